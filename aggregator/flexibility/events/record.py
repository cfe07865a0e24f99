"""The record of events: versions, steps, commitments, settlements; only added to. Not what decides them (see `conduct`), nor overrides (see `overrides`)."""

# ruff: noqa: S608 (statements are put together from constant text only)
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from aggregator.accounts.record_file import RecordFile, RecordsRefused
from aggregator.flexibility.events.event import LONGEST_MS, MAY_FOLLOW, OVER, DemandResponse, Said, Step

FILE_NAME: Final = "events.sqlite"  # in the data directory
_SAID: Final = msgspec.json.Decoder(Said)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What was fixed of an event at its notice: `leaf` is what the log has, with the hash of its inputs."""

    no: int
    event: int
    version: int
    leaf: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement: `leaf` is what the log has, `result` its canonical JSON, `metered` the intervals of the day that its hash is of."""

    no: int
    event: int
    version: int
    leaf: str
    result: str
    metered: bytes
    at_ms: int


class EventRecord:
    """Of one data directory. Any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self.file = RecordFile(path, "events.sql", "aggregator.flexibility.events")

    def close(self) -> None:
        """Idempotent."""
        self.file.close()

    def __enter__(self) -> "EventRecord":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading --------------------------------------------------------------------------------------------------

    def event(self, no: int) -> DemandResponse:
        """Raises RecordsRefused where there is none."""
        for found in self._events("no = ?", (no,)):
            return found
        raise RecordsRefused([f"event: expected one on record, got DR-{no}"])

    def events(self, facility: str, from_ms: int = 0, to_ms: int = 2**62, limit: int = 1000) -> list[DemandResponse]:
        """Those of a facility that touch [from_ms, to_ms), the latest begin last; at most the latest `limit`."""
        return self._events("facility = ? AND to_ms > ? AND from_ms < ?", (facility, from_ms, to_ms), limit)

    def open(self, since_ms: int) -> list[DemandResponse]:
        """Of all facilities, those that end after `since_ms` and of which something may still become."""
        return self._events(
            "to_ms > ? AND no IN (SELECT event FROM response_step s WHERE seq = (SELECT max(seq) FROM response_step WHERE event = s.event)"
            f" AND state NOT IN ({', '.join('?' * len(OVER))}))",
            (since_ms, *OVER),
        )

    def _events(self, where: str, parameters: tuple[Any, ...], limit: int = 10_000) -> list[DemandResponse]:
        found = self.file.rows(
            "SELECT no, version, said, (SELECT min(at_ms) FROM response_event f WHERE f.no = e.no) FROM response_event e"
            f" WHERE version = (SELECT max(version) FROM response_event l WHERE l.no = e.no) AND {where}"
            " ORDER BY from_ms DESC, no DESC LIMIT ?",
            (*parameters, limit),
        )
        return [
            DemandResponse(no, version, _SAID.decode(said), received_ms, self._steps(no))
            for no, version, said, received_ms in reversed(found)
        ]

    def _steps(self, no: int) -> tuple[Step, ...]:
        found = self.file.rows(
            "SELECT seq, version, state, by, reason, at_ms, detail FROM response_step WHERE event = ? ORDER BY seq",
            (no,),
        )
        return tuple(
            Step(seq, version, state, by, reason, at_ms, json.loads(detail))
            for seq, version, state, by, reason, at_ms, detail in found
        )

    def named(self, facility: str, source: str, external_id: str) -> DemandResponse | None:
        """The event that a source calls so."""
        found = self.file.rows(
            "SELECT DISTINCT no FROM response_event WHERE facility = ? AND source = ? AND external_id = ?",
            (facility, source, external_id),
        )
        return self.event(found[0][0]) if found and external_id else None

    def version(self, no: int, version: int) -> Said:
        """An earlier version. Raises RecordsRefused."""
        found = self.file.rows("SELECT said FROM response_event WHERE no = ? AND version = ?", (no, version))
        if not found:
            raise RecordsRefused([f"event: expected version {version} of DR-{no} on record, there is none"])
        return _SAID.decode(found[0][0])

    def commitment(self, no: int, version: int) -> Commitment | None:
        """Of a version of an event; None while there is none."""
        found = self._commitments("event = ? AND version = ?", (no, version))
        return found[0] if found else None

    def commitments(self) -> list[Commitment]:
        """All, in order."""
        return self._commitments("1", ())

    def _commitments(self, where: str, parameters: tuple[int, ...]) -> list[Commitment]:
        found = self.file.rows(
            f"SELECT no, event, version, leaf, at_ms FROM response_commitment WHERE {where} ORDER BY no",
            parameters,
        )
        return [Commitment(number, no, version, leaf, at_ms) for number, no, version, leaf, at_ms in found]

    def inputs(self, commitment: int) -> bytes:
        """The intervals that a commitment is of, as lines. Raises RecordsRefused where there is none of that number."""
        found = self.file.rows("SELECT inputs FROM response_commitment WHERE no = ?", (commitment,))
        if not found:
            raise RecordsRefused([f"commitment: expected one on record, got {commitment}"])
        return zlib.decompress(found[0][0])

    def settlements(self, no: int | None = None) -> list[Settled]:
        """Of an event, or all; in order."""
        found = self.file.rows(
            "SELECT no, event, version, leaf, result, metered, at_ms FROM response_settlement WHERE ? IS NULL OR event = ? ORDER BY no",
            (no, no),
        )
        return [
            Settled(number, event, version, leaf, said, zlib.decompress(metered), at_ms)
            for number, event, version, leaf, said, metered, at_ms in found
        ]

    def leaves(self, kind: str, numbers: list[int]) -> list[tuple[int, bytes]]:
        """The bytes of commitments or settlements that go into the audit log."""
        table = {"commitment": "response_commitment", "settlement": "response_settlement"}[kind]
        wanted = set(numbers)
        found = self.file.rows(f"SELECT no, leaf FROM {table} WHERE no >= ? ORDER BY no", (min(numbers, default=0),))
        return [(no, leaf.encode()) for no, leaf in found if no in wanted]

    def last_numbers(self) -> tuple[int, int]:
        """Of the last commitment and the last settlement; 0 where there is none."""
        found = self.file.rows(
            "SELECT (SELECT coalesce(max(no), 0) FROM response_commitment), (SELECT coalesce(max(no), 0) FROM response_settlement)"
        )
        return found[0][0], found[0][1]

    # -- adding ---------------------------------------------------------------------------------------------------

    def add(self, said: Said, now_ms: int) -> DemandResponse:
        """A new event, or the next version of the one that its source calls so. Raises RecordsRefused."""
        faults = list(_faults(said, now_ms))
        if faults:
            raise RecordsRefused(faults)
        with self.file.transaction() as db:
            before = self.named(said.facility, said.source, said.external_id)
            if before is None:
                no = int(db.execute("SELECT coalesce(max(no), 0) + 1 FROM response_event").fetchone()[0])
                version = 1
            else:
                if "received" not in MAY_FOLLOW[before.state] or before.said.from_ms <= now_ms:
                    raise RecordsRefused(
                        [f"external_id: expected an event that has not begun, {before.id} is {before.state}"]
                    )
                no, version = before.no, before.version + 1
            db.execute(
                "INSERT INTO response_event (no, version, facility, source, external_id, from_ms, to_ms, said, at_ms) VALUES (?,?,?,?,?,?,?,?,?)",
                (no, version, said.facility, said.source, said.external_id, said.from_ms, said.to_ms, said.encoded().decode(), now_ms),
            )  # fmt: skip
            self._enter(no, version, "received", said.by, said.note, now_ms, {})
        return self.event(no)

    def step(
        self, no: int, state: str, by: str, now_ms: int, reason: str = "", detail: Mapping[str, Any] | None = None
    ) -> DemandResponse:
        """An event comes to a state. Raises RecordsRefused where it may not from where it is."""
        with self.file.transaction():
            event = self.event(no)
            if state not in MAY_FOLLOW[event.state]:
                may = " or ".join(from_ for from_, to in MAY_FOLLOW.items() if state in to and from_ != state)
                raise RecordsRefused([f"{event.id}: expected an event that is {may}, it is {event.state}"])
            self._enter(no, event.version, state, by, reason, now_ms, detail or {})
        return self.event(no)

    def commit(self, no: int, version: int, leaf: dict[str, Any], inputs: bytes, now_ms: int) -> Commitment:
        """What was fixed at the notice; of a version once: of two who do it at the same time the first."""
        with self.file.transaction() as db:
            before = self.commitment(no, version)
            if before is not None:
                return before
            number = int(db.execute("SELECT coalesce(max(no), 0) + 1 FROM response_commitment").fetchone()[0])
            text = canonical({"commitment": number, **leaf})
            db.execute(
                "INSERT INTO response_commitment VALUES (?,?,?,?,?,?)",
                (number, no, version, text, zlib.compress(inputs, 6), now_ms),
            )
        return Commitment(number, no, version, text, now_ms)

    def settle(
        self, no: int, leaf: Mapping[str, Any], result: str, metered: bytes, now_ms: int, detail: Mapping[str, Any]
    ) -> Settled:
        """A settlement, and the step that says so. Raises RecordsRefused."""
        with self.file.transaction() as db:
            event = self.event(no)
            number = int(db.execute("SELECT coalesce(max(no), 0) + 1 FROM response_settlement").fetchone()[0])
            text = canonical({"settlement": number, **leaf})
            db.execute(
                "INSERT INTO response_settlement VALUES (?,?,?,?,?,?,?)",
                (number, no, event.version, text, result, zlib.compress(metered, 6), now_ms),
            )
            self.step(no, "settled", "wattline", now_ms, "", {**detail, "settlement": number})
        return Settled(number, no, event.version, text, result, metered, now_ms)

    def _enter(
        self, no: int, version: int, state: str, by: str, reason: str, now_ms: int, detail: Mapping[str, Any]
    ) -> None:
        with self.file.transaction() as db:
            db.execute(
                "INSERT INTO response_step SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ?, ?, ? FROM response_step WHERE event = ?",
                (no, version, state, by, reason, now_ms, canonical(detail), no),
            )


def canonical(value: Mapping[str, Any]) -> str:
    """JSON in its one spelling."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _faults(said: Said, now_ms: int) -> list[str]:
    faults = []
    if not said.by.strip():
        faults.append("by: expected the name of who asks, got nothing")
    if not said.from_ms < said.to_ms <= said.from_ms + LONGEST_MS:
        faults.append(f"to_ms: expected after from_ms ({said.from_ms}), within a day, got {said.to_ms}")
    if said.from_ms <= now_ms:
        faults.append(f"from_ms: expected in the future (after {now_ms}), got {said.from_ms}")
    if not 0 < said.target_kw < 1e6:
        faults.append(f"target_kw: expected above 0, below 1e6, got {said.target_kw:g}")
    if said.deadline_ms > said.from_ms:
        faults.append(f"deadline_ms: expected before the begin ({said.from_ms}), got {said.deadline_ms}")
    return faults

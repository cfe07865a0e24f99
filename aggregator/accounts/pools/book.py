"""What is on record of carbon pools: states to open a later statement with, contents stated by batteries, vehicles at meters. Not how they are used.

Nothing is edited: of two records of one instant, or of one vehicle, the later one counts. A content that was withdrawn counts no more, the one before it
does again.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from aggregator.accounts.pools.parcel import Parcel
from aggregator.accounts.pools.site_days import Anchor, PlugIn, State
from aggregator.accounts.record_file import RecordFile, RecordsRefused


@dataclass(frozen=True, slots=True)
class Opening:
    """The states at the end of a local day: under the profile's factors, and under marginal ones."""

    at_ms: int
    average: State
    marginal: State


class PoolBook:
    """The records of one accounts file. Any thread may call."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "pools/pools.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def __enter__(self) -> "PoolBook":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what people and devices say ----------------------------------------------------------------------------------

    def state_content(
        self,
        facility: str,
        anchor: Anchor,
        evidence: str,
        by: str,
        now_ms: int,
        capacity_kwh: Decimal | None = None,
    ) -> bool:
        """Puts a stated content on record; whether it was new. `capacity_kwh` None: not known. Raises RecordsRefused, RecordsBusy."""
        faults = _named(evidence, by)
        if anchor.kwh < 0:
            faults.append(f"content: expected 0 kWh or above, got {anchor.kwh}")
        if capacity_kwh is not None and anchor.kwh > capacity_kwh:
            faults.append(f"content: expected at most its capacity of {capacity_kwh:f} kWh, got {anchor.kwh:f}")
        if anchor.at_ms > now_ms:
            faults.append("time: expected one that is past, got one to come")
        if faults:
            raise RecordsRefused(faults)
        with self._file.transaction() as db:
            if anchor in self.anchors(facility, now_ms):
                return False
            db.execute(
                "INSERT INTO pool_anchor (facility, device, at_ms, kwh, evidence, by, recorded_at_ms) VALUES (?,?,?,?,?,?,?)",
                (facility, anchor.device, anchor.at_ms, format(anchor.kwh, "f"), evidence, by, now_ms),
            )
        return True

    def withdraw_content(self, facility: str, device: str, at_ms: int, reason: str, by: str, now_ms: int) -> Decimal:
        """Takes back the content (kWh) that counts at that instant; the one stated before it counts again. Raises RecordsRefused, RecordsBusy."""
        faults = [] if by.strip() else ["by: expected the name of who says so, got none"]
        if not reason.strip():
            faults.append("reason: expected why, got none")
        if faults:
            raise RecordsRefused(faults)
        with self._file.transaction() as db:
            found = db.execute(
                "SELECT no, kwh FROM pool_anchor WHERE facility = ? AND device = ? AND at_ms = ?"
                " AND no NOT IN (SELECT anchor FROM pool_anchor_withdrawal) ORDER BY no DESC LIMIT 1",
                (facility, device, at_ms),
            ).fetchone()
            if found is None:
                raise RecordsRefused(
                    [f"time: expected one of which a content of {device} is on record, there is none at that time"]
                )
            db.execute("INSERT INTO pool_anchor_withdrawal VALUES (?,?,?,?)", (found[0], reason, by, now_ms))
        return Decimal(found[1])

    def plug_in(self, facility: str, plug_in: PlugIn, evidence: str, by: str, now_ms: int) -> bool:
        """Puts a vehicle at a meter on record, or its end; whether that was new. Raises RecordsRefused, RecordsBusy."""
        faults = _named(evidence, by)
        if not plug_in.id.strip():
            faults.append("id: expected the session's, got none")
        if plug_in.end_ms is not None and plug_in.end_ms <= plug_in.start_ms:
            faults.append("end: expected it after the start, got one before or at it")
        if plug_in.arrival_kwh is not None and plug_in.arrival_kwh < 0:
            faults.append(f"arrival: expected 0 kWh or above, got {plug_in.arrival_kwh}")
        if faults:
            raise RecordsRefused(faults)
        with self._file.transaction() as db:
            if plug_in in self.plug_ins(facility, now_ms):
                return False
            arrival = None if plug_in.arrival_kwh is None else format(plug_in.arrival_kwh, "f")
            db.execute(
                "INSERT INTO plug_in (facility, device, id, start_ms, end_ms, arrival_kwh, evidence, by, recorded_at_ms)"
                " VALUES (?,?,?,?,?,?,?,?,?)",
                (facility, plug_in.device, plug_in.id, plug_in.start_ms, plug_in.end_ms, arrival, evidence, by, now_ms),
            )
        return True

    def anchors(self, facility: str, as_of_ms: int) -> list[Anchor]:
        """Ordered by instant, as they were on record then, without those that were withdrawn by then."""
        found = self._file.rows(
            "SELECT device, at_ms, kwh FROM pool_anchor WHERE facility = ?1 AND recorded_at_ms <= ?2 AND no NOT IN"
            " (SELECT anchor FROM pool_anchor_withdrawal WHERE recorded_at_ms <= ?2) ORDER BY at_ms, no",
            (facility, as_of_ms),
        )
        last = {(device, at_ms): Anchor(device, at_ms, Decimal(kwh)) for device, at_ms, kwh in found}
        return list(last.values())

    def ever_stated(self, facility: str, from_ms: int) -> set[Anchor]:
        """Contents from an instant on, with those that count no more."""
        found = self._file.rows(
            "SELECT device, at_ms, kwh FROM pool_anchor WHERE facility = ? AND at_ms >= ?", (facility, from_ms)
        )
        return {Anchor(device, at_ms, Decimal(kwh)) for device, at_ms, kwh in found}

    def plug_ins(self, facility: str, as_of_ms: int) -> list[PlugIn]:
        """Ordered by start, as they were on record then."""
        found = self._file.rows(
            "SELECT device, id, start_ms, end_ms, arrival_kwh FROM plug_in WHERE facility = ? AND recorded_at_ms <= ? ORDER BY start_ms, no",
            (facility, as_of_ms),
        )
        last = {
            (row[0], row[1]): PlugIn(row[0], row[1], row[2], row[3], None if row[4] is None else Decimal(row[4]))
            for row in found
        }
        return sorted(last.values(), key=lambda plug_in: (plug_in.start_ms, plug_in.device, plug_in.id))

    def changed_ms(self, facility: str, before_ms: int) -> int:
        """No record of what was before `before_ms` is later than this."""
        found = self._file.rows(
            "SELECT max(recorded_at_ms) FROM pool_anchor WHERE facility = ?1 AND at_ms < ?2 UNION ALL"
            " SELECT max(recorded_at_ms) FROM plug_in WHERE facility = ?1 AND start_ms < ?2 UNION ALL"
            " SELECT max(w.recorded_at_ms) FROM pool_anchor_withdrawal AS w JOIN pool_anchor ON no = w.anchor WHERE facility = ?1 AND at_ms < ?2",
            (facility, before_ms),
        )
        return max((row[0] for row in found if row[0] is not None), default=0)

    # -- states -------------------------------------------------------------------------------------------------------

    def keep(self, facility: str, profile: str, fingerprint: str, known_ms: int, openings: Iterable[Opening]) -> None:
        """Adds what is not kept yet. Raises RecordsBusy."""
        rows = [
            (facility, profile, one.at_ms, fingerprint, known_ms, json.dumps([_said(one.average), _said(one.marginal)], separators=(",", ":")))
            for one in openings
        ]  # fmt: skip
        if rows:
            with self._file.transaction() as db:
                db.executemany("INSERT OR IGNORE INTO pool_state VALUES (?,?,?,?,?,?)", rows)

    def opening(
        self,
        facility: str,
        profile: str,
        fingerprint: str,
        up_to_ms: int,
        as_of_ms: int,
        changed_ms: Callable[[int], int],
    ) -> Opening | None:
        """The last state at or before `up_to_ms` that nothing has changed since, neither before it was made nor before `as_of_ms`.

        `changed_ms(at)`: when anything before an instant was changed last.
        """
        found = self._file.rows(
            "SELECT at_ms, max(known_ms) FROM pool_state WHERE facility = ? AND profile = ? AND fingerprint = ? AND at_ms <= ?"
            " GROUP BY at_ms ORDER BY at_ms DESC",
            (facility, profile, fingerprint, up_to_ms),
        )
        for at_ms, known_ms in found:
            if changed_ms(at_ms) < min(known_ms, as_of_ms):
                row = self._file.rows(
                    "SELECT state FROM pool_state WHERE facility = ? AND profile = ? AND fingerprint = ? AND at_ms = ? AND known_ms = ?",
                    (facility, profile, fingerprint, at_ms, known_ms),
                )
                average, marginal = (_state(said) for said in json.loads(row[0][0]))
                return Opening(at_ms, average, marginal)
        return None


def _named(evidence: str, by: str) -> list[str]:
    faults = [] if by.strip() else ["by: expected the name of who says so, got none"]
    return faults if evidence.strip() else [*faults, "evidence: expected what shows it, got none"]


def _said(state: State) -> dict[str, Any]:
    return {
        "seen": sorted(state.seen),
        "contents": {
            name: [format(figure, "f") for figure in (one.kwh, one.kg, one.uncovered_kwh)]
            for name, one in sorted(state.contents.items())
        },
        "plugged": dict(sorted(state.plugged.items())),
        "at_ms": state.at_ms,
    }


def _state(said: Mapping[str, Any]) -> State:
    return State(
        frozenset((device, quantity) for device, quantity in said["seen"]),
        {name: Parcel(*map(Decimal, figures)) for name, figures in said["contents"].items()},
        dict(said["plugged"]),
        said["at_ms"],
    )

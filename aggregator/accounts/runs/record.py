"""The record of runs and publications: frozen, approved by a second person, published, restated; nothing is ever edited. Not how a run is made (see `restatement`).

provisional | settled -> approved -> published -> restated        (a row for each; a provisional run is never approved: make another)
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from aggregator.accounts.record_file import RecordFile, RecordsRefused
from aggregator.accounts.runs.bridge import Bridge, shares_of
from aggregator.accounts.runs.frozen import NotAsFrozen, Rules, packed, rules_of, statement_of, unpacked
from aggregator.accounts.runs.inputs import Series
from aggregator.accounts.runs.run import (
    APPROVED,
    PROVISIONAL,
    PUBLISHED,
    RESTATED,
    SETTLED,
    Calculation,
    Publication,
    Run,
)
from aggregator.accounts.statement import Statement
from aggregator.emissions.second_person import same_person

THRESHOLD_PERCENT: Final = Decimal(5)  # of the total: usual base-year practice
_RUN: Final = (
    "no", "facility", "profile", "from_ms", "to_ms", "as_of_ms", "factors_as_of_ms", "kg", "statement_sha256", "rules", "factor_set_sha256", "series",
    "input_root", "watermark_ms", "marks", "code_version", "supersedes", "restates", "causes", "threshold_percent", "reason", "operator", "created_at_ms",
)  # fmt: skip


class Runs:
    """Of one data directory. Any thread may call."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "runs/runs.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def __enter__(self) -> "Runs":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading --------------------------------------------------------------------------------------------------

    def run(self, no: int) -> Run:
        """Raises RecordsRefused where there is none."""
        for found in self._runs("WHERE no = ?", [no]):
            return found
        raise RecordsRefused([f"run {no}: expected a run on record, there is none"])

    def has(self, facility: str, no: int) -> bool:
        """Whether it is a run of this facility."""
        return bool(self._file.rows("SELECT 1 FROM calc_run WHERE no = ? AND facility = ?", [no, facility]))

    def runs(self, facility: str | None = None, profile: str | None = None) -> list[Run]:
        """All of them, or of a facility or profile; in the order in which they were made."""
        where = [("facility", facility), ("profile", profile)]
        named = [(name, value) for name, value in where if value is not None]
        clause = "WHERE " + " AND ".join(f"{name} = ?" for name, _ in named) if named else ""
        return list(self._runs(clause, [value for _, value in named]))

    def last(self) -> tuple[int, int]:
        """The numbers of the last run and the last publication; 0 where there is none."""
        found = self._file.rows(
            "SELECT (SELECT coalesce(max(no), 0) FROM calc_run), (SELECT coalesce(max(no), 0) FROM publication)"
        )
        return found[0][0], found[0][1]

    def _runs(self, clause: str, parameters: Sequence[Any]) -> Iterator[Run]:
        found = self._file.rows(f"SELECT {', '.join(_RUN)} FROM calc_run {clause} ORDER BY no", parameters)  # noqa: S608
        for row in found:
            said = dict(zip(_RUN, row, strict=True))
            states = self._file.rows("SELECT state, by FROM run_state WHERE run = ? ORDER BY seq", [said["no"]])
            rules, causes = said.pop("rules"), said.pop("causes")
            said["kg"], said["threshold_percent"] = _decimal(said["kg"]), Decimal(said["threshold_percent"])
            said["marks"] = tuple(json.loads(said["marks"]))
            said["series"] = tuple(msgspec.json.decode(said["series"], type=list[Series]))
            bridge = None
            if said["restates"] is not None:
                (before,) = self._file.rows("SELECT kg FROM calc_run WHERE no = ?", [said["supersedes"]])[0]
                bridge = Bridge(_decimal(before), said["kg"], shares_of(causes))
            yield Run(
                **said, rules_sha256=_sha256(rules), bridge=bridge, state=states[-1][0], settled=states[0][0] == SETTLED,
                approver=next((by for state, by in states if state == APPROVED), ""),
            )  # fmt: skip

    def states(self, no: int) -> list[tuple[str, str, str, int]]:
        """(state, by, note, at_ms) of a run, in order."""
        return [
            tuple(row)
            for row in self._file.rows("SELECT state, by, note, at_ms FROM run_state WHERE run = ? ORDER BY seq", [no])
        ]

    def encoded(self, no: int) -> bytes:
        """The run's statement, byte for byte as it was frozen. Raises RecordsRefused, also where the bytes are no longer those of their hash."""
        found = self._file.rows("SELECT statement, statement_sha256 FROM calc_run WHERE no = ?", [no])
        if not found:
            raise RecordsRefused([f"run {no}: expected a run on record, there is none"])
        try:
            raw = unpacked(found[0][0])
        except NotAsFrozen as error:
            raise RecordsRefused([f"run {no}: {error}"]) from error
        if _sha256(raw) != found[0][1]:
            raise RecordsRefused([f"run {no}: expected a statement with SHA-256 {found[0][1]}, got {_sha256(raw)}"])
        return raw

    def statement(self, no: int) -> Statement:
        """The run's statement. Raises RecordsRefused."""
        return statement_of(self.encoded(no))

    def rules(self, no: int) -> Rules:
        """What settings and profile said when the run was made. Raises RecordsRefused."""
        found = self._file.rows("SELECT rules FROM calc_run WHERE no = ?", [no])
        if not found:
            raise RecordsRefused([f"run {no}: expected a run on record, there is none"])
        try:
            return rules_of(found[0][0].encode())
        except NotAsFrozen as error:
            raise RecordsRefused([f"run {no}: {error}"]) from error

    def publications(self, facility: str | None = None, profile: str | None = None) -> list[Publication]:
        """In the order in which they were published."""
        found = self._file.rows(
            "SELECT p.no, p.run, p.supersedes, p.carries, p.note, p.by, p.at_ms,"
            " NOT EXISTS (SELECT 1 FROM publication later WHERE later.supersedes = p.no),"
            " facility, profile, from_ms, to_ms, kg, statement_sha256,"
            " (SELECT s.by FROM run_state s WHERE s.run = p.run AND s.state = 'approved')"
            " FROM publication p JOIN calc_run r ON r.no = p.run"
            " WHERE (? IS NULL OR facility = ?) AND (? IS NULL OR profile = ?) ORDER BY p.no",
            (facility, facility, profile, profile),
        )
        return [
            Publication(
                no=row[0], run=row[1], supersedes=row[2], carries=tuple(json.loads(row[3])), note=row[4], by=row[5], at_ms=row[6],
                standing=bool(row[7]), facility=row[8], profile=row[9], from_ms=row[10], to_ms=row[11], kg=_decimal(row[12]),
                statement_sha256=row[13], approver=row[14],
            )
            for row in found
        ]  # fmt: skip

    def publication(self, no: int) -> Publication:
        """Raises RecordsRefused where there is none."""
        found = next((each for each in self.publications() if each.no == no), None)
        if found is None:
            raise RecordsRefused([f"publication {no}: expected one on record, there is none"])
        return found

    def standing(
        self, facility: str, profile: str, from_ms: int, to_ms: int, as_of_ms: int | None = None
    ) -> Publication | None:
        """What is published of exactly this span, or was at `as_of_ms`."""
        issued = [
            each
            for each in self.publications(facility, profile)
            if (each.from_ms, each.to_ms) == (from_ms, to_ms) and (as_of_ms is None or each.at_ms <= as_of_ms)
        ]
        return issued[-1] if issued else None

    # -- adding ---------------------------------------------------------------------------------------------------

    def add(
        self,
        made: Calculation,
        operator: str,
        reason: str,
        now_ms: int,
        restates: Publication | None = None,
        bridge: Bridge | None = None,
        threshold_percent: Decimal = THRESHOLD_PERCENT,
    ) -> Run:
        """Freezes a calculation. Of a span that is published it must say which publication it restates. Raises RecordsRefused."""
        said = made.statement
        _named(operator, "operator")
        raw = said.encoded()
        with self._file.transaction() as db:
            published = self.standing(said.facility, said.profile, said.from_ms, said.to_ms)
            if published is not None and (restates is None or restates.no != published.no):
                raise RecordsRefused(
                    [
                        f"{said.facility} {said.profile}: the span is published (publication {published.no}): restate it, with its reason"
                    ]
                )
            if restates is not None:
                _named(reason, "reason of a restatement")
            cursor = db.execute(
                f"INSERT INTO calc_run ({', '.join(_RUN[1:])}, statement) VALUES ({', '.join('?' * len(_RUN))})",  # noqa: S608
                (
                    said.facility, said.profile, said.from_ms, said.to_ms, said.as_of_ms, made.factors_as_of_ms, _text(said.kg()), _sha256(raw),
                    made.rules.encoded().decode(), made.factor_set_sha256, msgspec.json.encode(made.series).decode(), made.input_root,
                    made.watermark_ms, json.dumps(sorted({mark for line in said.lines for mark in line.marks})), made.code_version, None if restates is None else restates.run,
                    None if restates is None else restates.no, "[]" if bridge is None else bridge.encoded(), str(threshold_percent), reason,
                    operator, now_ms, packed(raw),
                ),
            )  # fmt: skip
            assert cursor.lastrowid is not None
            self._stand(cursor.lastrowid, SETTLED if made.settled(now_ms) else PROVISIONAL, operator, reason, now_ms)
        return self.run(cursor.lastrowid)

    def approve(self, no: int, by: str, now_ms: int, note: str = "") -> Run:
        """A second person approves a settled run. Raises RecordsRefused."""
        _named(by, "who approves")
        with self._file.transaction():
            found = self.run(no)
            if found.state != SETTLED:
                raise RecordsRefused([f"run {no}: expected a settled run, it is {found.state}"])
            if same_person(found.operator, by):
                raise RecordsRefused([f"run {no}: expected a second person, {found.operator} made it"])
            self._stand(no, APPROVED, by.strip(), note, now_ms)
        return self.run(no)

    def publish(self, no: int, by: str, now_ms: int, note: str = "") -> Publication:
        """Publishes an approved run; a restatement takes the place of its publication. Raises RecordsRefused.

        An incomplete statement needs a note that says why it is published all the same.
        """
        _named(by, "who publishes")
        with self._file.transaction() as db:
            found = self.run(no)
            if found.state != APPROVED:
                raise RecordsRefused([f"run {no}: expected an approved run, it is {found.state}"])
            published = self.standing(found.facility, found.profile, found.from_ms, found.to_ms)
            if (None if published is None else published.no) != found.restates:
                seen = "is published by now" if published is not None else "is not published"
                raise RecordsRefused(
                    [f"run {no}: expected a run on what stands, the span {seen}: restate it from there"]
                )
            if not found.reissued:
                fault = f"run {no}: expected a change of at least {found.threshold_percent} %, it is smaller"
                raise RecordsRefused([f"{fault}: it stays on record and goes with the next issue"])
            if found.kg is None:
                raise RecordsRefused([f"run {no}: expected a total, it has none: nothing in its scopes has a figure"])
            if not note.strip() and not self.statement(no).complete:
                raise RecordsRefused(
                    [f"run {no}: expected a complete statement, or a note that says why an incomplete one is published"]
                )
            carries = self._not_told(found)
            cursor = db.execute(
                "INSERT INTO publication (run, supersedes, carries, note, by, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
                (no, found.restates, json.dumps(carries), note, by.strip(), now_ms),
            )
            assert cursor.lastrowid is not None
            self._stand(no, PUBLISHED, by, note, now_ms)
            if published is not None:
                self._stand(published.run, RESTATED, by, f"by run {no}: {found.reason}", now_ms)
        return self.publication(cursor.lastrowid)

    def _not_told(self, issued: Run) -> list[int]:
        """Approved restatements of the facility and profile that were too small to be reissued and that no publication tells of yet."""
        told = {no for each in self.publications(issued.facility, issued.profile) for no in each.carries}
        return [
            each.no
            for each in self.runs(issued.facility, issued.profile)
            if each.state == APPROVED and not each.reissued and each.no not in told
        ]

    def _stand(self, no: int, state: str, by: str, note: str, now_ms: int) -> None:
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO run_state SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ? FROM run_state WHERE run = ?",
                (no, state, by.strip(), note, now_ms, no),
            )


def _named(text: str, what: str) -> None:
    if not text.strip():
        raise RecordsRefused([f"{what}: expected words, got none"])


def _sha256(raw: bytes | str) -> str:
    return hashlib.sha256(raw.encode() if isinstance(raw, str) else raw).hexdigest()


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

"""The sampling queue: a share of the intervals drawn for people to check, and what they found. Not lineage, which is what they look at (see `lineage`).

Who knows the seed draws the same intervals again: those whose SHA-256 of seed, meter, start and version is lowest.
"""

# ruff: noqa: S608 (statements are put together from constant text only)
import hashlib
import heapq
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Final, Literal, cast

from aggregator.accounts.record_file import RecordFile, RecordsRefused
from aggregator.ledger import Ledger
from wire.reading import Quality

POPULATION_MAX: Final = 2_000_000  # intervals to draw from at once
TEXT_MAX: Final = 2000
RESULTS: Final = ("agrees", "differs", "cannot_tell")
Result = Literal["agrees", "differs", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Check:
    """What a person found of a sample. `found_kwh`: what it should be, where that is known."""

    result: Result
    found_kwh: Decimal | None
    note: str
    evidence: str
    by: str
    checked_at_ms: int


@dataclass(frozen=True, slots=True)
class Sample:
    """An interval as it stood when it was drawn; `check` is the last one, None while it waits."""

    no: int
    draw: int
    device: str
    quantity: str
    start_ms: int
    end_ms: int
    version: int
    energy_kwh: Decimal
    quality: str
    reason: str
    check: Check | None


@dataclass(frozen=True, slots=True)
class Draw:
    """`percent` of the final intervals of [from_ms, to_ms) (of one `device`, or "": of all), `population` in number."""

    no: int
    facility: str
    device: str
    from_ms: int
    to_ms: int
    percent: Decimal
    seed: str
    population: int
    population_sha256: str
    by: str
    drawn_at_ms: int
    samples: tuple[Sample, ...]

    def number(self, result: Result | None) -> int:
        """How many have this result; None: how many wait."""
        return sum((sample.check.result if sample.check else None) == result for sample in self.samples)

    @property
    def differing_percent(self) -> Decimal | None:
        """Of the checked ones that could be told; None where there is none."""
        told = self.number("agrees") + self.number("differs")
        return None if not told else (Decimal(self.number("differs")) * 100 / told).quantize(Decimal("0.01"))


class Samples:
    """The record of one aggregator. Any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "checks/samples.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def __enter__(self) -> "Samples":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def draw(
        self, ledger: Ledger, facility: str, span: tuple[int, int], percent: Decimal, by: str, now_ms: int, device: str = "", seed: str = ""
    ) -> Draw:  # fmt: skip
        """Draws, and keeps what was drawn with its seed. Raises RecordsRefused, LedgerError."""
        if not percent.is_finite() or not 0 < percent <= 100:
            raise RecordsRefused([f"percent: expected above 0 to 100, got {percent}"])
        if not by.strip():
            raise RecordsRefused(["by: expected the name of who draws, got nothing"])
        if span[1] <= span[0]:
            raise RecordsRefused([f"to: expected later than from ({span[0]}), got {span[1]}"])
        seed = seed or secrets.token_hex(16)
        found = ledger.rows(
            "SELECT device, quantity, start_ms, end_ms, version, energy_kwh, quality, reason FROM interval_energy WHERE facility = ?"
            " AND (? = '' OR device = ?) AND start_ms >= ? AND start_ms < ? AND state = 'final' AND superseded_at_ms IS NULL"
            " ORDER BY device, quantity, start_ms, end_ms LIMIT ?",
            (facility, device, device, *span, POPULATION_MAX + 1),
        )
        if not found:
            raise RecordsRefused(
                [f"from: expected final intervals of {facility} {device}".rstrip() + ", there is none"]
            )
        if len(found) > POPULATION_MAX:
            raise RecordsRefused(
                [f"to: expected at most {POPULATION_MAX} intervals, got more: a shorter span, or one device"]
            )
        wanted = int((percent * len(found) / 100).to_integral_value(ROUND_CEILING))
        chosen = heapq.nsmallest(wanted, found, key=lambda row: rank(seed, row))
        with self._file.transaction() as db:
            cursor = db.execute(
                "INSERT INTO sample_draw (facility, device, from_ms, to_ms, percent, seed, population, population_sha256, by, drawn_at_ms)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)",
                (facility, device, *span, str(percent), seed, len(found), _population(found), by.strip(), now_ms),
            )
            assert cursor.lastrowid is not None
            db.executemany(
                "INSERT INTO sample (draw, device, quantity, start_ms, end_ms, version, energy_kwh, quality, reason)"
                " VALUES (?,?,?,?,?,?,?,?,?)",
                [(cursor.lastrowid, *row[:6], Quality(row[6]).name.lower(), row[7]) for row in sorted(chosen)],
            )
        return self.drawn(cursor.lastrowid)

    def draws(self, facility: str) -> list[Draw]:
        """All of a facility, as they were drawn."""
        found = self._file.rows("SELECT no FROM sample_draw WHERE facility = ? ORDER BY no", (facility,))
        return [self.drawn(no) for (no,) in found]

    def drawn(self, no: int) -> Draw:
        """Raises RecordsRefused where there is no such draw."""
        found = self._file.rows(
            "SELECT no, facility, device, from_ms, to_ms, percent, seed, population, population_sha256, by, drawn_at_ms FROM sample_draw"
            " WHERE no = ?",
            (no,),
        )
        if not found:
            raise RecordsRefused([f"draw: expected the number of a draw, got {no}"])
        number, facility, device, from_ms, to_ms, percent, *rest = found[0]
        seed, population, population_sha256, by, drawn_at_ms = rest
        return Draw(
            number, facility, device, from_ms, to_ms, Decimal(percent), seed, population, population_sha256, by, drawn_at_ms,
            tuple(self._samples("sample.draw = ?", no)),
        )  # fmt: skip

    def check(
        self, facility: str, sample: int, result: str, found_kwh: Decimal | None, note: str, evidence: str, by: str, now_ms: int
    ) -> Sample:  # fmt: skip
        """Puts on record what was found of a sample; a later check takes the place of an earlier one. Raises RecordsRefused."""
        faults = []
        if result not in RESULTS:
            faults.append(f"result: expected one of {', '.join(RESULTS)}, got {result!r}")
        if found_kwh is not None and not found_kwh.is_finite():
            faults.append(f"found_kwh: expected kWh, got {found_kwh}")
        if result == "differs" and not note.strip():
            faults.append("note: expected in what it differs, got nothing")
        for name, text in (("evidence", evidence), ("by", by)):
            if not text.strip():
                faults.append(f"{name}: expected text, got nothing")
        faults += [f"{name}: expected at most {TEXT_MAX} characters" for name, text in (("note", note), ("evidence", evidence), ("by", by)) if len(text) > TEXT_MAX]  # fmt: skip
        known = self._file.rows(
            "SELECT 1 FROM sample JOIN sample_draw ON sample_draw.no = draw WHERE sample.no = ? AND facility = ?",
            (sample, facility),
        )
        if not known:
            faults.append(f"sample: expected the number of a sample of {facility}, got {sample}")
        if faults:
            raise RecordsRefused(faults)
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO sample_check (sample, result, found_kwh, note, evidence, by, checked_at_ms) VALUES (?,?,?,?,?,?,?)",
                (
                    sample,
                    result,
                    None if found_kwh is None else format(found_kwh, "f"),
                    note,
                    evidence,
                    by.strip(),
                    now_ms,
                ),
            )
        return next(self._samples("sample.no = ?", sample))

    def _samples(self, where: str, value: int) -> Iterator[Sample]:
        found = self._file.rows(
            "SELECT sample.no, draw, device, quantity, start_ms, end_ms, version, energy_kwh, quality, sample.reason, result, found_kwh,"
            " note, evidence, by, checked_at_ms FROM sample LEFT JOIN sample_check ON sample_check.no ="
            f" (SELECT max(no) FROM sample_check WHERE sample = sample.no) WHERE {where} ORDER BY sample.no",
            (value,),
        )
        for row in found:
            check = None
            if row[10] is not None:
                result, found_kwh, note, evidence, by, checked_at_ms = row[10:]
                kwh = None if found_kwh is None else Decimal(found_kwh)
                check = Check(cast("Result", result), kwh, note, evidence, by, checked_at_ms)
            number, draw, device, quantity, start_ms, end_ms, version, energy_kwh, quality, reason = row[:10]
            yield Sample(
                number, draw, device, quantity, start_ms, end_ms, version, Decimal(energy_kwh), quality, reason, check
            )


def rank(seed: str, row: Sequence[Any]) -> bytes:
    """Where an interval (device, quantity, start_ms, end_ms, version, ...) comes in the order of a seed."""
    return hashlib.sha256("\n".join((seed, *map(str, row[:5]))).encode()).digest()


def _population(rows: Sequence[Sequence[Any]]) -> str:
    """SHA-256 of the intervals that were drawn from, so that a draw can be repeated and compared."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(("\n".join(map(str, row[:6])) + "\n\n").encode())
    return digest.hexdigest()

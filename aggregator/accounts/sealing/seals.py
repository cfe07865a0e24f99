"""Periods of a facility whose interval energies are sealed into files, version after version. Not the files (see `sealed_file`), not the sums.

A seal holds the ledger's rows as they stood when it was made. It stands for them as of any time from then until the first change of them; after a
change the period may be sealed again, as a higher version, and both stay.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Self

from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordFile, RecordsRefused
from aggregator.accounts.sealing.file import MAX_ROWS, Chunk, SealedFiles, SealedFileUnusable, SealedRow, write_file
from aggregator.intervals.written_time import written
from aggregator.ledger import Ledger

SEALED_DIRECTORY: Final = "sealed"  # in the data directory
_SELECT: Final = (
    "SELECT device, quantity, start_ms, end_ms, energy_kwh, quality, reason, state, source, version FROM interval_energy"
    " WHERE facility = ? AND device = ? AND quantity = ? AND start_ms >= ? AND start_ms < ? AND superseded_at_ms IS NULL"
    " ORDER BY start_ms, end_ms"
)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file of a seal; its devices are those from `first_device` to `last_device`."""

    name: str
    rows: int
    sha256: str
    first_device: str
    last_device: str


@dataclass(frozen=True, slots=True)
class Seal:
    """Interval energies of [from_ms, to_ms) (by their start), as they stood at `sealed_at_ms`; `sha256` is of their canonical rows.

    `changed_ms`: when the first change since the version before was recorded; None of version 1. `given_up`: why its files are read no more, and who
    said so; "" as long as they are.
    """

    facility: str
    from_ms: int
    to_ms: int
    version: int
    sealed_at_ms: int
    changed_ms: int | None
    rows: int
    sha256: str
    sealed_by: str
    files: tuple[SealedFile, ...]
    given_up: str = ""

    def first_change_ms(self, ledger: Ledger) -> int | None:
        """When the first change since the seal was recorded. It may read the whole period."""
        touched_ms = ledger.intervals_changed_ms(self.facility, self.from_ms, self.to_ms)
        if touched_ms < self.sealed_at_ms:
            return None
        changed_ms, standing = ledger.changes(self.facility, self.from_ms, self.to_ms, self.sealed_at_ms)
        if changed_ms is None and standing != self.rows:  # provisional ones were taken back, which leaves no trace
            return touched_ms
        return changed_ms


class Seals:
    """The seals of a data directory. Any thread may call."""

    def __init__(self, data_directory: Path) -> None:
        """Raises RecordsUnusable."""
        self.directory = data_directory / SEALED_DIRECTORY
        self._records = RecordFile(data_directory / ACCOUNTS_NAME, "sealing/sealed.sql")
        self._files = SealedFiles()
        self._changed: dict[tuple[str, int, int], int] = {}

    def close(self) -> None:
        """Idempotent."""
        self._files.close()
        self._records.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def all(self, facility: str) -> list[Seal]:
        """Every version, by period."""
        files: dict[tuple[int, int, int], list[SealedFile]] = {}
        for from_ms, to_ms, version, *file in self._records.rows(
            "SELECT from_ms, to_ms, version, name, row_count, sha256, first_device, last_device FROM sealed_file WHERE facility = ?"
            " ORDER BY from_ms, to_ms, version, place",
            (facility,),
        ):
            files.setdefault((from_ms, to_ms, version), []).append(SealedFile(*file))
        found = self._records.rows(
            "SELECT facility, from_ms, to_ms, version, sealed_at_ms, changed_at_ms, row_count, sha256, sealed_by FROM seal WHERE facility = ?"
            " ORDER BY from_ms, to_ms, version",
            (facility,),
        )
        given_up: dict[tuple[int, int, int], str] = {}
        for from_ms, to_ms, version, by, reason in self._records.rows(
            "SELECT from_ms, to_ms, version, given_up_by, reason FROM seal_given_up WHERE facility = ?", (facility,)
        ):
            given_up[from_ms, to_ms, version] = f"{reason} ({by})"
        return [Seal(*(*row, tuple(files.get(row[1:4], ())), given_up.get(row[1:4], ""))) for row in found]

    def seal(self, ledger: Ledger, facility: str, from_ms: int, to_ms: int, now_ms: int, by: str) -> Seal:
        """Seals what stands. Raises RecordsRefused where the period is not over, is sealed as it stands, holds nothing or changes meanwhile."""
        standing = self._may_seal(ledger, facility, from_ms, to_ms, now_ms)

        def at_rest() -> int | None:
            if ledger.intervals_changed_ms(facility, from_ms, to_ms) >= now_ms:
                raise RecordsRefused(
                    [f"{facility}: expected interval energies at rest, some changed while they were sealed: seal again"]
                )
            return standing.first_change_ms(ledger) if standing else None

        version = standing.version + 1 if standing else 1
        return self.keep(
            facility, (from_ms, to_ms), version, now_ms, by, _by_device(ledger, facility, from_ms, to_ms), at_rest
        )

    def give_up(self, facility: str, from_ms: int, to_ms: int, now_ms: int, by: str, reason: str) -> list[Seal]:
        """Of the very period every version with a file that is lost or was changed: from now on the ledger answers for it. Raises RecordsRefused."""
        if not reason.strip():
            raise RecordsRefused([f"{facility}: expected why files are given up, got nothing"])
        found = [seal for seal in self.all(facility) if (seal.from_ms, seal.to_ms) == (from_ms, to_ms)]
        lost = [seal for seal in found if not seal.given_up and self._unusable(seal)]
        with self._records.transaction() as db:
            for seal in lost:
                key = (facility, from_ms, to_ms, seal.version)
                db.execute("INSERT INTO seal_given_up VALUES (?,?,?,?,?,?,?)", (*key, now_ms, by, reason.strip()))
        return lost

    def _unusable(self, seal: Seal) -> str:
        """What is the matter with its files; "" where they are as they were sealed."""
        try:
            self.check(seal)
        except SealedFileUnusable as error:
            return str(error)
        return ""

    def keep(
        self,
        facility: str,
        span: tuple[int, int],
        version: int,
        now_ms: int,
        by: str,
        series: Iterable[Sequence[SealedRow]],
        changed: Callable[[], int | None] = lambda: None,
    ) -> Seal:
        """Writes rows, a device and quantity after the other and in order, and puts the seal on record. `changed` gives its `changed_ms`, or raises."""
        from_ms, to_ms = span
        digest, files, batch, total = hashlib.sha256(), list[SealedFile](), list[SealedRow](), 0

        def flush() -> None:
            name = f"{facility}/{from_ms}-{to_ms}-v{version}-{len(files):03d}.parquet"
            path = self.directory / name
            path.unlink(missing_ok=True)  # of a sealing that did not come to its end: it is on no record
            files.append(SealedFile(name, len(batch), write_file(path, batch), batch[0].device, batch[-1].device))
            batch.clear()

        for rows in series:
            if batch and len(batch) + len(rows) > MAX_ROWS and batch[-1].device != rows[0].device:
                flush()
            digest.update(b"".join(row.canonical() for row in rows))
            batch += rows
            total += len(rows)
        if not total:
            raise RecordsRefused(
                [
                    f"{facility}: expected interval energies to seal, there are none from {written(from_ms)} to {written(to_ms)}"
                ]
            )
        flush()
        seal = Seal(facility, from_ms, to_ms, version, now_ms, changed(), total, digest.hexdigest(), by, tuple(files))
        key = (facility, from_ms, to_ms, version)
        with self._records.transaction() as db:
            db.execute(
                "INSERT INTO seal VALUES (?,?,?,?,?,?,?,?,?)", (*key, now_ms, seal.changed_ms, total, seal.sha256, by)
            )
            db.executemany(
                "INSERT INTO sealed_file VALUES (?,?,?,?,?,?,?,?,?,?)",
                [
                    (*key, place, file.name, file.rows, file.sha256, file.first_device, file.last_device)
                    for place, file in enumerate(files)
                ],
            )
        return seal

    def _may_seal(self, ledger: Ledger, facility: str, from_ms: int, to_ms: int, now_ms: int) -> Seal | None:
        """The latest version of the very period, if there is one."""
        if to_ms > now_ms:
            raise RecordsRefused(
                [
                    f"{facility}: expected a period that is over, it lasts until {written(to_ms)}, now is {written(now_ms)}"
                ]
            )
        standing = None
        for seal in self.all(facility):
            if (seal.from_ms, seal.to_ms) == (from_ms, to_ms):
                standing = seal
            elif seal.from_ms < to_ms and from_ms < seal.to_ms:
                raise RecordsRefused(
                    [
                        f"{facility}: expected a period apart from those sealed, {written(seal.from_ms)} to {written(seal.to_ms)} overlaps it"
                    ]
                )
        if standing is None or standing.given_up:
            return standing
        if ledger.intervals_changed_ms(facility, from_ms, to_ms) < standing.sealed_at_ms:
            fault = f"{facility}: expected a change since version {standing.version} was sealed, there is none"
            unusable = self._unusable(standing)
            raise RecordsRefused([f"{fault}; {unusable}: say why with --reason" if unusable else fault])
        return standing

    def standing(self, ledger: Ledger, facility: str, from_ms: int, to_ms: int, as_of_ms: int) -> list[Seal]:
        """The seals that hold what stood at `as_of_ms`, of the periods that [from_ms, to_ms) touches, by time."""
        touching = [seal for seal in self.all(facility) if seal.from_ms < to_ms and seal.to_ms > from_ms]
        found: list[Seal] = []
        for seal, later in zip_longest(touching, touching[1:]):
            if later is not None and later.from_ms == seal.from_ms:
                until_ms = later.changed_ms
            else:
                until_ms = self._first_change_ms(ledger, seal)
            if not seal.given_up and seal.sealed_at_ms <= as_of_ms and (until_ms is None or as_of_ms < until_ms):
                found.append(seal)
        return found

    def _first_change_ms(self, ledger: Ledger, seal: Seal) -> int | None:
        """As the seal says; remembered."""
        key = (seal.facility, seal.from_ms, seal.version)
        changed_ms = self._changed.get(key) or seal.first_change_ms(ledger)
        if changed_ms is not None:
            self._changed[key] = changed_ms
        return changed_ms

    def chunk(self, seal: Seal, device: str, quantity: str) -> Chunk | None:
        """The rows of one device and quantity; None: it has none. Raises SealedFileUnusable."""
        for file in seal.files:
            if file.first_device <= device <= file.last_device:
                return self._files.chunks(self.directory / file.name, file.sha256).get((device, quantity))
        return None

    def check(self, seal: Seal) -> None:
        """Reads every file and its rows again. Raises SealedFileUnusable."""
        for file in seal.files:
            self._files.chunks(self.directory / file.name, file.sha256)


def _by_device(ledger: Ledger, facility: str, from_ms: int, to_ms: int) -> Iterator[Sequence[SealedRow]]:
    """The rows of one device and quantity after the other."""
    last = ("", "")
    while True:
        found = ledger.rows(
            "SELECT device, quantity FROM interval_energy WHERE facility = ? AND (device, quantity) > (?, ?)"
            " ORDER BY device, quantity LIMIT 1",
            (facility, *last),
        )
        if not found:
            return
        last = found[0]
        rows = [SealedRow(*row) for row in ledger.rows(_SELECT, (facility, *last, from_ms, to_ms))]
        if rows:
            yield rows

"""One sealed file: interval energies as columns of a Parquet file that is written once. Not when a period is sealed (see `sealed`).

A row is device, quantity, start_ms, end_ms, mantissa, digits (energy = mantissa / 10^digits kWh), energy_text (what does not fit, in full),
quality, reason, final, source, version, ordered by device, quantity and start. Any tool that reads Parquet reads it.
"""

# ruff: noqa: S608 (what is put into a statement is a quoted path or value of our own)
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from aggregator.intervals.boundaries import Grade
from aggregator.ledger import LedgerUnusable
from wire.reading import Quality

MAX_ROWS: Final = 500_000  # of one file, so that what is read at once stays below 40 MB
ROW_GROUP: Final = 122_880
MAX_DIGITS: Final = 18
_MAX: Final = 2**63 - 1
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "256MB",
    "threads": "1",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
Longs = NDArray[np.int64]


class SealedFileUnusable(LedgerUnusable):
    """The file is missing, changed, or no sealed file."""


class SealedRow(NamedTuple):
    """A row of the ledger as it is sealed; `energy_kwh` as the ledger writes it."""

    device: str
    quantity: str
    start_ms: int
    end_ms: int
    energy_kwh: str
    quality: int
    reason: str
    state: str
    source: str
    version: int

    def canonical(self) -> bytes:
        """The line that the content hash is made of."""
        return ("\t".join(map(str, self)) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Interval energies of one device and quantity, ordered by start: mantissa / 10^digits kWh each.

    `odd` has the energies, by row, that no mantissa holds. `graded` numbers a row's grade and whether it is final in `grades`.
    """

    device: str
    quantity: str
    start_ms: Longs
    end_ms: Longs
    mantissa: Longs
    digits: NDArray[np.int8]
    graded: NDArray[np.uint8]
    grades: Sequence[tuple[Grade, bool]]
    odd: Mapping[int, Decimal]

    def energy_kwh(self, row: int) -> Decimal:
        """One row's energy, as the ledger has it."""
        if row in self.odd:
            return self.odd[row]
        return Decimal(int(self.mantissa[row])).scaleb(-int(self.digits[row]))


def split(energy_kwh: str) -> tuple[int, int] | None:
    """(mantissa, digits) of a decimal's text; None where it takes more than 63 bits, an exponent above 0 or a sign without a value."""
    if "E" in energy_kwh and "E+" not in energy_kwh:
        energy_kwh = format(Decimal(energy_kwh), "f")
    whole, _, fraction = energy_kwh.partition(".")
    try:
        mantissa = int(whole + fraction)
    except ValueError:
        return None
    if len(fraction) > MAX_DIGITS or not -_MAX <= mantissa <= _MAX or (mantissa == 0 and whole.startswith("-")):
        return None
    return mantissa, len(fraction)


def write_file(path: Path, rows: Sequence[SealedRow]) -> str:
    """Writes the file, once and durably; gives its SHA-256. Raises OSError, and FileExistsError where it is there."""
    if path.exists():
        raise FileExistsError(f"{path}: a sealed file is never written again")
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [split(row.energy_kwh) for row in rows]
    names = sorted({(row.device, row.quantity, row.reason, row.source) for row in rows})
    number = {name: place for place, name in enumerate(names)}
    columns = {
        "place": np.arange(len(rows), dtype=np.int64),
        "named": np.array([number[row.device, row.quantity, row.reason, row.source] for row in rows], np.int32),
        "start_ms": np.array([row.start_ms for row in rows], np.int64),
        "end_ms": np.array([row.end_ms for row in rows], np.int64),
        "mantissa": np.array([0 if part is None else part[0] for part in parts], np.int64),
        "digits": np.array([0 if part is None else part[1] for part in parts], np.int8),
        "quality": np.array([row.quality for row in rows], np.uint8),
        "final": np.array([row.state == "final" for row in rows], np.bool_),
        "version": np.array([row.version for row in rows], np.int32),
    }
    partial = path.with_suffix(".partial")
    with duckdb.connect(config=_CONFIG) as connection:
        connection.execute(
            "create table names(named integer, device varchar, quantity varchar, reason varchar, source varchar)"
        )
        connection.executemany(
            "insert into names values (?, ?, ?, ?, ?)", [(place, *name) for place, name in enumerate(names)]
        )
        connection.execute("create table odd(place bigint, energy_text varchar)")
        odd = [(place, rows[place].energy_kwh) for place, part in enumerate(parts) if part is None]
        if odd:
            connection.executemany("insert into odd values (?, ?)", odd)
        connection.register("columns", columns)
        connection.execute(
            "copy (select device, quantity, start_ms, end_ms, mantissa, digits, energy_text, quality, reason, final, source, version"
            " from columns join names using (named) left join odd using (place) order by place)"
            f" to '{_quoted(partial)}' (format parquet, compression zstd, row_group_size {ROW_GROUP})"
        )
    with partial.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    partial.chmod(0o444)
    partial.replace(path)
    return sha256


class SealedFiles:
    """Reads sealed files, one at a time in memory; each is checked against its hash first. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._held: tuple[str, dict[tuple[str, str], Chunk]] = ("", {})

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._held = None, ("", {})

    def chunks(self, path: Path, sha256: str) -> Mapping[tuple[str, str], Chunk]:
        """The file's rows by device and quantity. Raises SealedFileUnusable."""
        with self._lock:
            if self._held[0] != sha256:
                self._held = ("", {})
                _check(path, sha256)
                self._held = (sha256, {(chunk.device, chunk.quantity): chunk for chunk in self._read(path)})
            return self._held[1]

    def _read(self, path: Path) -> Iterator[Chunk]:
        if self._connection is None:
            self._connection = duckdb.connect(config=_CONFIG)
        source = f"read_parquet('{_quoted(path)}', file_row_number = true)"
        try:
            ask = self._connection.execute
            spans = ask(
                f"select device, quantity, min(file_row_number), count(*) from {source} group by all order by 3"
            ).fetchall()
            kinds = ask(f"select distinct quality, reason, final from {source} order by all").fetchall()
            if len(kinds) > 255:
                raise SealedFileUnusable(f"{path}: expected at most 255 grades, got {len(kinds)}")
            cases = " ".join(
                f"when quality = {quality:d} and reason = '{reason.replace(chr(39), chr(39) * 2)}' and final = {final} then {place}"
                for place, (quality, reason, final) in enumerate(kinds)
            )
            found: dict[str, Any] = ask(
                f"select start_ms, end_ms, mantissa, digits, (case {cases or 'when false then 0'} end)::utinyint as graded from {source}"
            ).fetchnumpy()
            odd = ask(f"select file_row_number, energy_text from {source} where energy_text is not null").fetchall()
        except duckdb.Error as error:
            raise SealedFileUnusable(f"{path}: expected a sealed file, DuckDB says {error}") from error
        grades = [(Grade(Quality(quality), reason), bool(final)) for quality, reason, final in kinds]
        for device, quantity, first, count in spans:
            part = slice(first, first + count)
            yield Chunk(
                device, quantity, found["start_ms"][part], found["end_ms"][part], found["mantissa"][part], found["digits"][part],
                found["graded"][part], grades, {row - first: Decimal(text) for row, text in odd if first <= row < first + count},
            )  # fmt: skip


def _check(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SealedFileUnusable(f"{path}: expected a sealed file, got {error.strerror}") from error
    if found != sha256:
        raise SealedFileUnusable(
            f"{path}: expected SHA-256 {sha256}, got {found}: the file was changed after it was sealed"
        )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")

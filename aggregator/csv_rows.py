"""Rows of a CSV file as instants and energies, with a fault for each row that is none. Not what becomes of them (`imports`)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, Inexact, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Final, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aggregator.emissions.amounts import EXACT
from aggregator.emissions.csv_table import ColumnMissing, Torn, cells
from wire.quantities import QUANTITIES

FLUE_GAS_CO2: Final = "flue_gas_co2_kg"
IMPORTABLE: Final = (
    "energy_import_kwh", "energy_export_kwh", "heat_energy_kwh", "cooling_energy_kwh", "gas_volume_m3", "gas_volume_normal_m3",
    "water_volume_m3", FLUE_GAS_CO2,
)  # fmt: skip
# Exact: powers of ten only. (Heat in GJ is no finite number of kWh; convert it before.)
_KWH_PER: Final = {"Wh": Decimal("0.001"), "kWh": Decimal(1), "MWh": Decimal(1000), "GWh": Decimal(1_000_000)}
_KG_PER: Final = {"kg": Decimal(1), "t": Decimal(1000)}
_KG_PER_NM3: Final = {"g/Nm3": Decimal("0.001"), "mg/Nm3": Decimal("0.000001")}  # of a concentration
_EPOCH_MS_PER: Final = {"epoch_s": 1000, "epoch_ms": 1}
_YEARS: Final = (1970, 2100)  # between these; a century's edge needs no thought about zones
_REACH_MS: Final = (31_536_000_000, 4_102_444_800_000)  # 1971-01-01 and 2100-01-01 UTC
_TOO_MUCH: Final = 10**12  # more than a country uses in a year
_DECIMALS: Final = 12
_SEEN_MAX: Final = 80
_TEXT_MAX: Final = 2000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RowFault:
    """One row that was not taken."""

    file: str
    line: int
    column: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column}: expected {self.expected}, got {self.seen}"


class FileUnusable(Exception):
    """The file as a whole cannot be imported: it is not there, not text, or lacks a column."""


class Kind(StrEnum):
    """What a row of the file says."""

    INTERVAL = "interval"  # the energy between the row's time and one interval later
    COUNTER = "counter"  # what a display showed at the row's time


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read a file.

    `time_zone` is that of times without an offset. `time_format` is iso, epoch_s, epoch_ms or a strptime format. `interval_s` is the
    length of an interval. `decimal_comma` reads 1234,5 as a number, for files with another delimiter than the comma.
    `flow_column`: the flow in Nm3/h beside a concentration (g/Nm3, mg/Nm3), both dry or both wet: their product over the interval is the mass.
    `reason` and `by`: other energies than those imported before are corrections, and why and who says so.
    """

    facility: str
    device: str
    quantity: str = "energy_import_kwh"
    kind: Kind = Kind.INTERVAL
    time_column: str = "start"
    value_column: str = "energy_kwh"
    unit: str = "kWh"
    time_zone: str = "UTC"
    time_format: str = "iso"
    interval_s: int = 900
    delimiter: str = ","
    decimal_comma: bool = False
    encoding: str = "utf-8-sig"
    reason: str = ""
    by: str = ""
    flow_column: str = ""

    def __post_init__(self) -> None:
        counted = QUANTITIES[self.quantity].unit if self.quantity in IMPORTABLE else "kWh"
        units = list(_KWH_PER) if counted == "kWh" else [counted]
        if self.quantity == FLUE_GAS_CO2:
            units = list(_KG_PER_NM3 if self.flow_column else _KG_PER)
        elif self.flow_column:
            raise ValueError(f"import: a flow column is for {FLUE_GAS_CO2} only, the quantity is {self.quantity}")
        if self.flow_column and (self.kind is not Kind.INTERVAL or not _decimal_hours(self.interval_s)):
            raise ValueError(
                "import: concentration and flow need intervals whose hours are a decimal number, such as 3600, 1800 or 900 s"
            )
        if self.unit not in units:
            raise ValueError(f"import: unit must be one of {', '.join(units)}, is {self.unit!r}")
        if self.interval_s <= 0 or 86_400 % self.interval_s:
            raise ValueError(f"import: the interval must divide a day, is {self.interval_s} s")
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"':
            raise ValueError(f"import: delimiter must be one character such as ';', is {self.delimiter!r}")
        if self.decimal_comma and self.delimiter == ",":
            raise ValueError("import: with a decimal comma the delimiter must be another one, for example ';'")
        if bool(self.reason.strip()) != bool(self.by.strip()):
            raise ValueError("import: a correction needs a reason and who says so")
        if self.reason.strip() and self.kind is not Kind.INTERVAL:
            raise ValueError(
                "import: only interval energies are corrected; a counter's change is decided or read by hand"
            )
        if len(self.reason) > _TEXT_MAX or len(self.by) > _TEXT_MAX:
            raise ValueError(f"import: reason and name must have at most {_TEXT_MAX} characters")
        if self.quantity not in IMPORTABLE:
            raise ValueError(f"import: quantity must be one of {', '.join(IMPORTABLE)}, is {self.quantity!r}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"import: time zone must be an IANA zone such as Asia/Shanghai, is {self.time_zone!r}"
            ) from error


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A good row: energy or display in kWh at an instant (UTC ms)."""

    line: int
    at_ms: int
    value: Decimal


def _decimal_hours(seconds: int) -> bool:
    """Whether so many seconds are a finite decimal number of hours."""
    try:
        EXACT.divide(Decimal(seconds), Decimal(3600))
    except Inexact:
        return False
    return True


class _NotARow(Exception):
    """What is wrong with one row: column, what was expected, what was seen."""

    def __init__(self, column: str, expected: str, seen: str) -> None:
        super().__init__(column, expected, seen)
        self.column, self.expected, self.seen = column, expected, seen


def csv_rows(
    file: TextIO,
    path: Path,
    options: ImportOptions,
    fault: Callable[[RowFault], None],
    progress: Callable[[int, int], None],
) -> Iterator[CsvRow]:
    """The good rows in the file's order; lines that start with # are comments. Raises FileUnusable where a column lacks."""
    size, done = path.stat().st_size, 0

    def lines() -> Iterator[str]:
        nonlocal done
        for line in file:
            done += len(line)
            yield line

    cells_to_row = _Cells(options)
    columns = (options.time_column, options.value_column, *filter(None, [options.flow_column]))
    try:
        for number, (line, row) in enumerate(cells(lines(), path.name, columns, options.delimiter), start=1):
            if number % 1000 == 0:
                progress(min(done, size), size)
            if isinstance(row, Torn):
                fault(RowFault(path.name, line, "row", f"{row.expected} columns", f"{row.seen}"))
                continue
            try:
                yield CsvRow(line, *cells_to_row(*row))
            except _NotARow as error:
                fault(RowFault(path.name, line, error.column, error.expected, error.seen))
    except ColumnMissing as error:
        raise FileUnusable(str(error)) from error
    progress(size, size)


class _Cells:
    """Turns a time and an energy as written into UTC ms and kWh; remembers which ambiguous local times it has met."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        self._zone = ZoneInfo(options.time_zone)
        self._per = {**_KWH_PER, **_KG_PER, **_KG_PER_NM3}.get(options.unit, Decimal(1))
        if options.flow_column:
            self._per = EXACT.multiply(self._per, EXACT.divide(Decimal(options.interval_s), Decimal(3600)))
        self._met: set[datetime] = set()

    def __call__(self, time_text: str, value_text: str, flow_text: str = "") -> tuple[int, Decimal]:
        at_ms, value = self._instant_ms(time_text.strip()), self._energy(value_text.strip())
        return at_ms, EXACT.multiply(value, self._flow(flow_text.strip())) if self._options.flow_column else value

    def _energy(self, text: str) -> Decimal:
        try:
            value = Decimal(text.replace(",", ".") if self._options.decimal_comma else text)
        except InvalidOperation:
            value = Decimal("NaN")
        column, unit = self._options.value_column, self._options.unit
        what = "a concentration" if self._options.flow_column else "an energy" if unit in _KWH_PER else "an amount"
        if not value.is_finite() or value < 0:
            raise _NotARow(column, f"{what} in {unit}, 0 or above", _quoted(text))
        if value >= _TOO_MUCH or value != round(value, _DECIMALS):
            expected = f"{what} in {unit} below 10^12 with at most {_DECIMALS} decimals"
            raise _NotARow(column, expected, _quoted(text))
        return EXACT.multiply(value, self._per)

    def _flow(self, text: str) -> Decimal:
        try:
            value = Decimal(text.replace(",", ".") if self._options.decimal_comma else text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or not 0 <= value < _TOO_MUCH or value != round(value, _DECIMALS):
            expected = f"a flow in Nm3/h, 0 or above, below 10^12 with at most {_DECIMALS} decimals"
            raise _NotARow(self._options.flow_column, expected, _quoted(text))
        return value

    def _instant_ms(self, text: str) -> int:
        """Of a local hour that comes twice the file's order decides; a local time that the clock skips is no time."""
        form = self._options.time_format
        if form in _EPOCH_MS_PER:
            return self._in_reach(self._since_1970(text, _EPOCH_MS_PER[form]), text)
        try:
            local = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007 (zone follows)
        except ValueError:
            expected = "a time such as 2026-03-05T00:15" if form == "iso" else f"a time as {form}"
            raise _NotARow(self._options.time_column, expected, _quoted(text)) from None
        if not _YEARS[0] < local.year < _YEARS[1]:
            self._in_reach(-1, text)
        if local.tzinfo is not None:
            return (local - _EPOCH) // _MS
        first = local.replace(tzinfo=self._zone, fold=0)
        second = first.replace(fold=1)
        if first.utcoffset() == second.utcoffset():
            return (first - _EPOCH) // _MS
        if first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None, fold=0) != local:
            raise _NotARow(self._options.time_column, f"a time that exists in {self._options.time_zone}", repr(text))
        if local in self._met:
            return (second.astimezone(UTC) - _EPOCH) // _MS
        self._met.add(local)
        return (first.astimezone(UTC) - _EPOCH) // _MS

    def _since_1970(self, text: str, ms_per_unit: int) -> int:
        try:
            return round(Decimal(text) * ms_per_unit)
        except (InvalidOperation, ValueError, OverflowError):
            unit = "seconds" if ms_per_unit == 1000 else "milliseconds"
            raise _NotARow(self._options.time_column, f"{unit} since 1970", _quoted(text)) from None

    def _in_reach(self, at_ms: int, text: str) -> int:
        if not _REACH_MS[0] <= at_ms < _REACH_MS[1]:
            first, end = _YEARS
            raise _NotARow(self._options.time_column, f"a time of the years {first + 1} to {end - 1}", _quoted(text))
        return at_ms


def _quoted(text: str) -> str:
    """What a row holds, for a message to people."""
    return repr(text if len(text) <= _SEEN_MAX else f"{text[:_SEEN_MAX]}...")

"""A utility's bill as its file says it, one row a meter and period. Not what the ledger says of it (see `bill_check`).

meter,from,to,opening,closing,multiplier,kwh,...       kwh_NAME: of a tariff period;  read_from, read_to: when the displays were read
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo

from aggregator.accounts.by_hand.entering_csv import local_ms
from aggregator.emissions.csv_table import decimal_cell, table

COLUMNS: Final = ("meter", "from", "to", "kwh")
OPTIONAL: Final = (
    "opening", "closing", "multiplier", "read_from", "read_to", "demand_kw", "demand_window_min", "demand_kind", "amount", "currency",
    "quantity", "number",
)  # fmt: skip
_PERIOD: Final = "kwh_"


@dataclass(frozen=True, slots=True)
class Demand:
    """The maximum that is billed: the highest mean of a window of `window_ms`, in blocks of the clock or sliding."""

    kw: Decimal
    window_ms: int
    kind: Literal["block", "sliding"]


@dataclass(frozen=True, slots=True)
class Bill:
    """One meter and period: what is billed of [from_ms, to_ms), with displays that were read at `read_from_ms` and `read_to_ms`."""

    device: str
    quantity: str
    from_ms: int
    to_ms: int
    read_from_ms: int
    read_to_ms: int
    kwh: Decimal
    opening: Decimal | None
    closing: Decimal | None
    multiplier: Decimal | None
    periods: tuple[tuple[str, Decimal], ...]
    demand: Demand | None
    amount: Decimal | None
    currency: str
    number: str


def read_bills(lines: Iterable[str], name: str, zone: ZoneInfo) -> list[Bill]:
    """The bills of a CSV file; days and times without an offset are of `zone`. Raises TableRefused: all rows, or none."""
    kept = list(lines)
    header = next(csv.reader(line for line in kept if not line.startswith("#")), [])
    periods = tuple(column.strip() for column in header if column.strip().startswith(_PERIOD))
    return table(kept, name, COLUMNS, lambda row: _bill(row, periods, zone), optional=(*OPTIONAL, *periods))


def _bill(row: Mapping[str, str], periods: Iterable[str], zone: ZoneInfo) -> Bill:
    from_ms, to_ms = local_ms(row["from"], "from", zone), local_ms(row["to"], "to", zone)
    read_from_ms = local_ms(row["read_from"], "read_from", zone) if row["read_from"] else from_ms
    read_to_ms = local_ms(row["read_to"], "read_to", zone) if row["read_to"] else to_ms
    if not (from_ms < to_ms and read_from_ms < read_to_ms):
        raise ValueError(f"to: expected a time after {row['from']}, got {row['to']!r}")
    opening, closing, multiplier, amount = (_maybe(row, key) for key in ("opening", "closing", "multiplier", "amount"))
    if (opening is None) != (closing is None):
        raise ValueError("closing: expected both displays, or neither, got one")
    if multiplier is not None and multiplier <= 0:
        raise ValueError(f"multiplier: expected a number above 0, got {row['multiplier']!r}")
    kwh = decimal_cell(row, "kwh")
    if kwh < 0:
        raise ValueError(f"kwh: expected 0 or above, got {row['kwh']!r}")
    return Bill(
        device=row["meter"],
        quantity=row["quantity"] or "energy_import_kwh",
        from_ms=from_ms,
        to_ms=to_ms,
        read_from_ms=read_from_ms,
        read_to_ms=read_to_ms,
        kwh=kwh,
        opening=opening,
        closing=closing,
        multiplier=multiplier,
        periods=tuple((name.removeprefix(_PERIOD), decimal_cell(row, name)) for name in periods if row[name]),
        demand=_demand(row),
        amount=amount,
        currency=row["currency"],
        number=row["number"],
    )


def _maybe(row: Mapping[str, str], name: str) -> Decimal | None:
    return decimal_cell(row, name) if row[name] else None


def _demand(row: Mapping[str, str]) -> Demand | None:
    kw = _maybe(row, "demand_kw")
    if kw is None:
        return None
    minutes, kind = row["demand_window_min"] or "15", row["demand_kind"] or "block"
    if not minutes.isdecimal() or not 0 < int(minutes) <= 60 or 60 % int(minutes):
        raise ValueError(f"demand_window_min: expected minutes that divide an hour, got {minutes!r}")
    if kind == "block":
        return Demand(kw, int(minutes) * 60_000, "block")
    if kind == "sliding":
        return Demand(kw, int(minutes) * 60_000, "sliding")
    raise ValueError(f"demand_kind: expected block or sliding, got {kind!r}")


@dataclass(frozen=True, slots=True)
class TariffPeriod:
    """A tariff period's hours of every day, as local times [begins, ends); `ends` midnight is the day's end."""

    name: str
    hours: tuple[tuple[time, time], ...]

    def holds(self, at_ms: int, zone: ZoneInfo) -> bool:
        """Whether an instant falls into it."""
        local = datetime.fromtimestamp(at_ms / 1000, zone).time()
        return any(begins <= local and (local < ends or ends == time(0)) for begins, ends in self.hours)


def tariff_period(text: str) -> TariffPeriod:
    """Of peak=08:00-11:00,18:00-21:00. Raises ValueError."""
    name, _, spans = text.partition("=")
    hours = []
    try:
        for span in spans.split(","):
            begins, _, ends = span.partition("-")
            hours.append((time.fromisoformat(begins), time.fromisoformat("00:00" if ends == "24:00" else ends)))
    except ValueError:
        hours = []
    if not name or not hours or any(ends <= begins and ends != time(0) for begins, ends in hours):
        raise ValueError(f"--period: expected a name and its hours such as peak=08:00-11:00,18:00-21:00, got {text!r}")
    return TariffPeriod(name, tuple(hours))

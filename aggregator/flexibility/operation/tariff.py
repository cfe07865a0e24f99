"""What a facility pays: periods of the day, prices that are told from outside, demand charges, contracts, carbon. Not how the settings file spells it.

Times are the facility's local ones, in minutes of the day. Of several periods that fit a time the first counts. Holidays count as weekend.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from aggregator.flexibility.problem import Currency

MINUTES: Final = 1440
SAMPLE_MIN: Final = 15  # of a step's mean price; periods begin and end on a quarter
SAMPLE_MS: Final = SAMPLE_MIN * 60_000
PROMISE_PER_KWH: Final = 5.0
KW_OF_A_KWH: Final = 12.0  # that one kWh more is within five minutes, the shortest step that plans are made for
MOST_PER_KWH: Final = 500.0  # half of what a kWh beyond the connection costs (`Problem.emergency_price_per_kwh`)

Days = Literal["all", "workday", "weekend"]
Window = Literal["block", "sliding"]
Mode = Literal["capacity", "contract", "actual"]


@dataclass(frozen=True, slots=True)
class When:
    """Months (1 to 12; none: all), kind of day, and hours as [from, until) minutes (none: the whole day)."""

    months: tuple[int, ...] = ()
    days: Days = "all"
    hours: tuple[tuple[int, int], ...] = ()

    def fits(self, local: datetime, holidays: frozenset[date]) -> bool:
        """Whether the local time is one of these."""
        if self.months and local.month not in self.months:
            return False
        weekend = local.weekday() >= 5 or local.date() in holidays
        if self.days != "all" and weekend != (self.days == "weekend"):
            return False
        minute = local.hour * 60 + local.minute
        return not self.hours or any(begin <= minute < end for begin, end in self.hours)


@dataclass(frozen=True, slots=True)
class Period:
    """A price of imported energy, money per kWh."""

    name: str
    price_per_kwh: Currency
    when: When = When()


@dataclass(frozen=True, slots=True)
class DemandRule:
    """Money per kW (or kVA) of a month's highest mean import of a window of `window_min`.

    `mode` capacity: paid by the transformer's size, whatever the peak, so no plan can change it; contract: only what is above `contract_kw` times
    `allowed_ratio` costs, `excess_factor` times the price; actual: the peak, but at least `floor_kw`. `power_factor`: kW per kVA where `unit` is kVA.
    """

    name: str
    price_per_kw: Currency
    window: Window = "block"
    window_min: int = 15
    unit: Literal["kW", "kVA"] = "kW"
    when: When = When()
    mode: Mode = "actual"
    contract_kw: float = 0.0
    allowed_ratio: float = 1.05
    excess_factor: float = 2.0
    floor_kw: float = 0.0
    power_factor: float = 0.9

    @property
    def kw_per_unit(self) -> float:
        """kW in one of what is billed."""
        return self.power_factor if self.unit == "kVA" else 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A contracted limit of net import, soft: what is above costs `price_per_kwh`."""

    name: str
    limit_kw: float
    price_per_kwh: Currency = 20.0
    when: When = When()


@dataclass(frozen=True, slots=True)
class Tariff:
    """All of it. `carbon_signal`: the intensity that the carbon price multiplies. `unserved_per_kwh`: of energy that a vehicle lacks at departure;
    None: so much that no peak is saved at a vehicle's cost.

    `ramp_per_kw`: money for each kW by which an asset's power changes, so that plans are calm.
    """

    periods: tuple[Period, ...]
    currency: str = ""
    export_price_per_kwh: Currency = 0.0
    demand: tuple[DemandRule, ...] = ()
    limits: tuple[Limit, ...] = ()
    carbon_price_per_kg: Currency = 0.0
    carbon_signal: Literal["accounting", "marginal"] = "accounting"
    unserved_per_kwh: Currency | None = None
    ramp_per_kw: Currency = 0.002
    holidays: frozenset[date] = frozenset()

    @property
    def lack_per_kwh(self) -> Currency:
        """What a kWh costs that a vehicle lacks: a promise outweighs money, and a limit outweighs a promise."""
        if self.unserved_per_kwh is not None:
            return self.unserved_per_kwh
        dearest = max(
            (rule.price_per_kw / rule.kw_per_unit for rule in self.demand if rule.mode != "capacity"), default=0.0
        )
        return min(PROMISE_PER_KWH + KW_OF_A_KWH * dearest, MOST_PER_KWH)

    def price_at(self, local: datetime) -> Period | None:
        """The period of a local time; None where none fits."""
        return next((one for one in self.periods if one.when.fits(local, self.holidays)), None)

    def uncovered(self) -> str | None:
        """A time that no period covers, in words; None where all are covered."""
        for month in range(1, 13):
            for day in (date(2024, month, 1) + timedelta(days=number) for number in range(7)):
                for minute in range(0, MINUTES, SAMPLE_MIN):
                    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60)  # noqa: DTZ001 (a wall clock)
                    if self.price_at(local) is None:
                        return f"month {month}, {local:%A} {local:%H:%M}"
        return None


@dataclass(frozen=True, slots=True)
class ToldPrices:
    """Prices that were told from outside: (start_ms, end_ms, import price, export price or None), ordered, with the version that they came under."""

    version: str
    rows: tuple[tuple[int, int, Currency, Currency | None], ...]

    def at(self, at_ms: int) -> tuple[Currency, Currency | None] | None:
        """Import and export price of an instant; None where nothing is told."""
        for start_ms, end_ms, bought, sold in self.rows:
            if start_ms <= at_ms < end_ms:
                return bought, sold
        return None


def prices(
    tariff: Tariff, told: ToldPrices | None, edges_ms: Sequence[int], zone: ZoneInfo
) -> tuple[list[Currency], list[Currency]]:
    """Import and export price of each step between `edges_ms`: the mean over it, what is told before what the periods say."""
    bought, sold = [], []
    for begin_ms, end_ms in itertools.pairwise(edges_ms):
        total = [0.0, 0.0]
        for at_ms, until_ms in _samples(begin_ms, end_ms):
            one = _at(tariff, told, at_ms, zone)
            for index in (0, 1):
                total[index] += one[index] * (until_ms - at_ms)
        bought.append(total[0] / (end_ms - begin_ms))
        sold.append(total[1] / (end_ms - begin_ms))
    return bought, sold


def _samples(begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """The step, cut at each quarter."""
    cuts = [begin_ms, *range((begin_ms // SAMPLE_MS + 1) * SAMPLE_MS, end_ms, SAMPLE_MS), end_ms]
    return list(itertools.pairwise(cuts))


def _at(tariff: Tariff, told: ToldPrices | None, at_ms: int, zone: ZoneInfo) -> tuple[Currency, Currency]:
    spoken = None if told is None else told.at(at_ms)
    period = tariff.price_at(datetime.fromtimestamp(at_ms / 1000, zone))
    bought = 0.0 if period is None else period.price_per_kwh
    if spoken is None:
        return bought, tariff.export_price_per_kwh
    return spoken[0], tariff.export_price_per_kwh if spoken[1] is None else spoken[1]


def counted(when: When, tariff: Tariff, edges_ms: Sequence[int], zone: ZoneInfo) -> list[bool]:
    """Which steps touch these times."""
    return [
        any(
            when.fits(datetime.fromtimestamp(at_ms / 1000, zone), tariff.holidays)
            for at_ms, _ in _samples(begin_ms, end_ms)
        )
        for begin_ms, end_ms in itertools.pairwise(edges_ms)
    ]

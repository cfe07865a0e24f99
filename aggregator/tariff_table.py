"""`[facility.tariff]` of the settings: what a facility pays, key by key and as a whole. Not what a plan makes of it (`flexibility.operation.tariff`)."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from aggregator.flexibility.operation.tariff import MINUTES, SAMPLE_MIN, DemandRule, Limit, Period, Tariff, When

_MOST: Any = 1e6


class Table(BaseModel):
    """A table whose every key is known."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


def number(value: Any) -> Any:
    """A price may be written as 1 or as 1.0."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def minutes_of(value: Any, wrong: PydanticCustomError) -> tuple[int, int]:
    """Minutes of the day of "10:00-12:30"; 24:00 is its end. Raises `wrong` where it is not written so, or not on quarters."""
    if not isinstance(value, str) or len(value) != 11 or value[5] != "-":
        raise wrong
    found = []
    for text in (value[:5], value[6:]):
        hour, colon, minute = text.partition(":")
        if colon != ":" or not (hour + minute).isascii() or not (hour + minute).isdigit() or len(hour) != 2:
            raise wrong
        found.append(int(hour) * 60 + int(minute))
        if int(minute) > 59 or found[-1] > MINUTES or found[-1] % SAMPLE_MIN:
            raise wrong
    return found[0], found[1]


def _hours(value: Any) -> tuple[int, int]:
    wrong = PydanticCustomError("expected", 'hours such as "08:00-11:30", on quarters, the end after the begin')
    begin, end = minutes_of(value, wrong)
    if begin >= end:
        raise wrong
    return begin, end


Money = Annotated[float, BeforeValidator(number), Field(ge=-_MOST, le=_MOST)]
Charge = Annotated[float, BeforeValidator(number), Field(ge=0, le=_MOST)]
Power = Annotated[float, BeforeValidator(number), Field(ge=0, le=_MOST)]
Ratio = Annotated[float, BeforeValidator(number), Field(gt=0, le=1)]
Factor = Annotated[float, BeforeValidator(number), Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Hours = Annotated[Any, BeforeValidator(_hours)]


class WhenTable(Table):
    """Which times: months, kind of day, hours."""

    months: list[Annotated[int, Field(ge=1, le=12)]] = Field(default=[], max_length=12)
    days: Literal["all", "workday", "weekend"] = "all"
    hours: list[Hours] = Field(default=[], max_length=48)

    def when(self) -> When:
        """These times."""
        return When(tuple(self.months), self.days, tuple(self.hours))


class PeriodTable(WhenTable):
    """`[[facility.tariff.period]]`: the first that fits a time counts."""

    name: Name
    price_per_kwh: Money


class DemandTable(WhenTable):
    """`[[facility.tariff.demand]]`."""

    name: Name
    price_per_kw: Charge
    window: Literal["block", "sliding"] = "block"
    window_min: Literal[5, 10, 15, 30, 60] = 15
    unit: Literal["kW", "kVA"] = "kW"
    mode: Literal["capacity", "contract", "actual"] = "actual"
    contract_kw: Power = 0.0
    allowed_ratio: Factor = 1.05
    excess_factor: Factor = 2.0
    floor_kw: Power = 0.0
    power_factor: Ratio = 0.9


class LimitTable(WhenTable):
    """`[[facility.tariff.limit]]`."""

    name: Name
    limit_kw: Power
    price_per_kwh: Charge = 20.0


class TariffTable(Table):
    """`[facility.tariff]`."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    period: Annotated[list[PeriodTable], Field(min_length=1, max_length=200)]
    demand: list[DemandTable] = Field(default=[], max_length=50)
    limit: list[LimitTable] = Field(default=[], max_length=50)
    export_price_per_kwh: Money = 0.0
    carbon_price_per_kg: Charge = 0.0
    carbon_signal: Literal["accounting", "marginal"] = "accounting"
    unserved_per_kwh: Charge | None = None
    ramp_per_kw: Charge = 0.002
    holidays: list[date] = Field(default=[], max_length=1000)

    def tariff(self) -> Tariff:
        """The tariff."""
        return Tariff(
            tuple(Period(one.name, one.price_per_kwh, one.when()) for one in self.period),
            self.currency,
            self.export_price_per_kwh,
            tuple(
                DemandRule(
                    one.name, one.price_per_kw, one.window, one.window_min, one.unit, one.when(), one.mode, one.contract_kw,
                    one.allowed_ratio, one.excess_factor, one.floor_kw, one.power_factor,
                )
                for one in self.demand
            ),
            tuple(Limit(one.name, one.limit_kw, one.price_per_kwh, one.when()) for one in self.limit),
            self.carbon_price_per_kg,
            self.carbon_signal,
            self.unserved_per_kwh,
            self.ramp_per_kw,
            frozenset(self.holidays),
        )  # fmt: skip

    def contradictions(self) -> Iterable[tuple[str, str, str]]:
        """(key, expected, seen) of what each key alone does not show."""
        for table, names in (
            ("demand", [one.name for one in self.demand]),
            ("limit", [one.name for one in self.limit]),
        ):
            for at, name in enumerate(names):
                if name in names[:at]:
                    yield (
                        f"{table}[{at}].name",
                        f"a name that {table}[{names.index(name)}] does not have",
                        repr(name),
                    )
        if (hole := self.tariff().uncovered()) is not None:
            yield (
                "period",
                "periods that cover every time (the last one without hours, months and days)",
                f"none for {hole}",
            )
        for at, rule in enumerate(self.demand):
            if rule.mode == "contract" and rule.contract_kw == 0:
                yield f"demand[{at}].contract_kw", 'the contracted kW, because mode = "contract"', "nothing"

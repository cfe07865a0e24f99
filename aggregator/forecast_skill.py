"""What became of the forecasts that were issued: the first word said of each day against what came. Not a backtest (see `forecasts.backtest`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from aggregator.facility import Facility
from aggregator.forecasting import Forecasting
from aggregator.forecasts.hours import HOURS, Days, Table, by_local_days
from aggregator.forecasts.issued import Hour, Issued
from aggregator.forecasts.methods import NAIVE
from aggregator.forecasts.scores import Score, score
from aggregator.intervals.local_time import local_day

ISSUED: Final = "issued"
SCALE_DAYS: Final = 168  # before the first forecast, for the scale of MASE


@dataclass(frozen=True, slots=True)
class KgScore:
    """Of forecast emissions against the load that came times the intensity that is known now."""

    hours: int
    mae_kg: float | None
    bias_kg: float | None
    covered_percent: float | None


@dataclass(frozen=True, slots=True)
class Skill:
    """Of the forecasts with one lead: the issued ones, the seasonal naive of the same hours, and the emissions."""

    lead_days: int
    days: int
    issued: Score
    naive: Score
    emissions: KgScore


def skill(forecasting: Forecasting, facility: str, device: str, first: date, last: date) -> list[Skill]:
    """By lead, of the days from `first` to `last` that are over. Raises CannotForecast, LedgerError, ForecastsUnusable."""
    named = forecasting.named(facility, device)
    last = min(last, local_day(forecasting.clock(), named.zone) - timedelta(days=1))
    said = forecasting.book.first_said(facility, device, first, last)
    found = []
    for lead in sorted({entry.lead_days for entry in said}):
        of_lead = [entry for entry in said if entry.lead_days == lead]
        begin, end = of_lead[0].day, of_lead[-1].day
        days = forecasting.known(named, device, begin - timedelta(days=SCALE_DAYS), end)
        if days is not None and days.first < begin:
            found.append(_skill(forecasting, named, of_lead, days))
    return found


def _skill(forecasting: Forecasting, facility: Facility, said: list[Issued], days: Days) -> Skill:
    begin, count = said[0].day, (said[-1].day - said[0].day).days + 1
    training, actual = days.kw[: days.row(begin)], _rows(days, begin, count)

    def of(value: Callable[[Hour], float | None]) -> Table:
        hours = [hour for entry in said for hour in entry.hours]
        return _table(((hour, value(hour)) for hour in hours), facility, begin, count)

    issued = score(
        ISSUED, training, actual, of(lambda hour: hour.kwh), of(lambda hour: hour.low_kwh), of(lambda hour: hour.high_kwh)
    )  # fmt: skip
    nothing = np.full_like(actual, np.nan)
    naive = score(NAIVE.name, training, actual, of(lambda hour: hour.naive_kwh), nothing, nothing)
    now_ms = forecasting.clock()
    with forecasting.resolving(facility, now_ms) as known:
        factor = known("average")

        def kg_per_kwh(hour: Hour) -> float | None:
            kg = factor(hour.start_ms, now_ms).kg_per_kwh
            return None if kg is None else float(kg) * (hour.end_ms - hour.start_ms) / 3_600_000

        kg = actual * of(kg_per_kwh)
    emissions = score(
        "kg", training[:0], kg, of(lambda hour: hour.kg), of(lambda hour: hour.low_kg), of(lambda hour: hour.high_kg)
    )
    return Skill(
        said[0].lead_days,
        len(said),
        issued,
        naive,
        KgScore(emissions.hours, emissions.mae_kwh, emissions.bias_kwh, emissions.covered_percent),
    )


def _table(values: Iterable[tuple[Hour, float | None]], facility: Facility, begin: date, count: int) -> Table:
    known = ((hour.start_ms, hour.end_ms, value) for hour, value in values if value is not None)
    days = by_local_days(known, facility.zone)
    return np.full((count, HOURS), np.nan) if days is None else _rows(days, begin, count)


def _rows(days: Days, begin: date, count: int) -> Table:
    """`count` days from `begin` on; NaN where the table has none."""
    whole = np.full((count, HOURS), np.nan)
    skipped = days.row(begin)
    taken = days.kw[max(skipped, 0) :][: count - max(-skipped, 0)]
    whole[max(-skipped, 0) :][: len(taken)] = taken
    return whole

"""Forecasts over HTTP as they were issued, and what became of them. Issues none (see `aggregator.forecast_rounds`)."""

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from aggregator.forecast_skill import skill
from aggregator.forecasting import Forecasting
from aggregator.forecasts.day_ahead import CannotForecast
from aggregator.forecasts.issued import ForecastsUnusable
from aggregator.intervals.local_time import local_day
from aggregator.ledger import LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Parameters
from aggregator.services import Services

router = APIRouter(prefix="/api/v1/facilities/{facility}/forecasts", tags=["forecasts"], dependencies=[Reader])

DAYS_MAX: Final = 400
Day = Annotated[
    str,
    Field(
        pattern=r"^(19[7-9]|20[0-9])[0-9]-[0-9]{2}-[0-9]{2}$",
        description="a local day such as 2026-11-21, of 1970 to 2099",
    ),
]


class ForecastParameters(Parameters):
    """Local days from `first` to `last` (default: today and tomorrow); without `device` all main meters together."""

    device: Annotated[str, Field(max_length=64)] = ""
    first: Day | None = None
    last: Day | None = None


class MeasuredAnswer(Answer):
    """The import of [start_ms, end_ms), at most an hour."""

    start_ms: int
    end_ms: int
    kwh: float


class ForecastsAnswer(Answer):
    """The last vintage of each day and lead. `lead_days` 1: from what was known when the day began, 2: a day before. kWh and kg CO2e of no statement.

    `measured`: what the whole hours of these days have come to so far.
    """

    facility: str
    device: str
    forecasts: list[dict[str, Any]]
    measured: list[MeasuredAnswer]


class SkillAnswer(Answer):
    """By lead, the first word said of each day against what came; the seasonal naive of the same hours beside it."""

    facility: str
    device: str
    skill: list[dict[str, Any]]


@router.get("")
def forecasts(given: Given, named: Named, wanted: Annotated[ForecastParameters, Query()]) -> ForecastsAnswer:
    """Load and emissions of the days, hour by hour with their bands of 80 % and the seasonal naive beside them."""
    forecasting = _forecasting(given)
    _device(forecasting, named.id, wanted.device)
    today = local_day(given.clock(), named.zone)
    first, last = _days(wanted, today, today + timedelta(days=1))
    try:
        found = forecasting.book.latest(named.id, wanted.device, first, last)
        measured = [
            MeasuredAnswer(start_ms=part.start_ms, end_ms=part.end_ms, kwh=kwh)
            for part, kwh in forecasting.measured(named, wanted.device, first, last)
        ]
    except (ForecastsUnusable, LedgerBusy) as error:
        raise Problem(503, "not read", "forecasts", "files that can be read", str(error), 5) from error
    said = [entry.as_json() for entry in found]
    return ForecastsAnswer(facility=named.id, device=wanted.device, forecasts=said, measured=measured)


@router.get("/skill")
def measured(given: Given, named: Named, wanted: Annotated[ForecastParameters, Query()]) -> SkillAnswer:
    """Scores of the forecasts that were issued for days that are over (default: the last 60)."""
    forecasting = _forecasting(given)
    _device(forecasting, named.id, wanted.device)
    today = local_day(given.clock(), named.zone)
    first, last = _days(wanted, today - timedelta(days=60), today - timedelta(days=1))
    try:
        found = skill(forecasting, named.id, wanted.device, first, last)
    except (ForecastsUnusable, LedgerBusy) as error:
        raise Problem(503, "not measured", "forecasts", "files that can be read", str(error), 5) from error
    return SkillAnswer(facility=named.id, device=wanted.device, skill=[asdict(entry) for entry in found])


def _forecasting(given: Services) -> Forecasting:
    if given.forecasting is None:
        raise Problem(503, "nothing is forecast", "forecasts", "an aggregator that forecasts", "one that does not", 60)
    return given.forecasting


def _device(forecasting: Forecasting, facility: str, device: str) -> None:
    try:
        forecasting.named(facility, device)
    except CannotForecast as error:
        raise unknown("device", device, [meter.device for meter in forecasting.facilities[facility].meters]) from error


def _days(wanted: ForecastParameters, first: date, last: date) -> tuple[date, date]:
    """The span asked for, or the default. Raises Problem."""
    try:
        begin = first if wanted.first is None else date.fromisoformat(wanted.first)
        end = last if wanted.last is None else date.fromisoformat(wanted.last)
    except ValueError as error:
        raise Problem(
            422, "bad query", "first", "days that the calendar has", f"{wanted.first} to {wanted.last}"
        ) from error
    if not begin <= end < begin + timedelta(days=DAYS_MAX):
        raise Problem(422, "bad span", "last", f"first or later, at most {DAYS_MAX} days", f"{begin} to {end}")
    return begin, end

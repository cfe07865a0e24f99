"""What a facility's measured span came to, over HTTP: sun used on site, hours without import, vehicles in the sun's hours, steps, cycles."""

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Query

from aggregator.flexibility.measures import Cycles
from aggregator.ledger import LedgerBusy
from aggregator.measured_figures import measured_figures
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Span

router = APIRouter(prefix="/api/v1/facilities/{facility}/measures", tags=["measures"], dependencies=[Reader])

LONGEST_MS: Final = 400 * 86_400_000


class MeasuresAnswer(Answer):
    """Of the hours in which every grid connection was measured (`covered_h`); null: no ground for a figure, never 0."""

    facility: str
    from_ms: int
    to_ms: int
    covered_h: float
    expected_h: float
    peak_kw: float | None
    largest_step_kw: float | None
    zero_carbon_h: float | None
    pv_kwh: float | None
    pv_self_use_percent: float | None
    vehicle_kwh: float | None
    pv_hours_percent: float | None
    cycles_per_day: Cycles | None
    life_years: float | None


@router.get("")
def measures(given: Given, named: Named, wanted: Annotated[Span, Query()]) -> MeasuresAnswer:
    """The figures of [from, to), at most 400 days, from interval energies."""
    wanted.checked(LONGEST_MS)
    try:
        return MeasuresAnswer(**asdict(measured_figures(given.books.ledger, named, wanted.from_ms, wanted.to_ms)))
    except LedgerBusy as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error

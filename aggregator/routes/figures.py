"""Interval energies, emissions with what they were made of, and the registry of factors. Not how they are made (`books`, `intervals`, `emissions`)."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from aggregator.books import EmissionRow, EmissionTotal
from aggregator.emissions.entry import as_json
from aggregator.emissions.resolution import Resolution
from aggregator.live import LETTER
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Instant, Span, no_parameters
from wire.quantities import QUANTITIES, Kind
from wire.reading import Json

router = APIRouter(prefix="/api/v1", tags=["figures"], dependencies=[Reader])
ROWS_MAX: Final = 40_000  # a year of quarter-hours of one meter
_LONGEST_MS: Final = 50 * 366 * 86_400_000


class IntervalParameters(Span):
    """`as_of`: as it was said then. Without `device` all meters of the facility."""

    device: Annotated[str | None, Field(max_length=64)] = None
    quantity: Annotated[str, Field(max_length=64)] = "energy_import_kwh"
    as_of: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_MAX


class IntervalAnswer(Answer):
    """Energy of [start_ms, end_ms) of one meter; a higher version takes the place of a lower one."""

    device: str
    start_ms: int
    end_ms: int
    energy_kwh: str
    quality: Literal["g", "u", "b", "s"]
    reason: str
    state: Literal["provisional", "final"]
    source: str
    version: int


class IntervalsAnswer(Answer):
    """Interval energies of a facility, ordered by device and start; intervals without a figure are absent. `energy_kwh` is in `unit`: m3 of a volume."""

    facility: str
    quantity: str
    unit: str
    intervals: list[IntervalAnswer]


class EmissionParameters(Span):
    """`detail` none: the total alone, over any span. `as_of`: as it was said then."""

    detail: Literal["intervals", "none"] = "intervals"
    as_of: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_MAX


class FactorAnswer(Answer):
    """The factor that was applied, or why there is none: `skipped` names each candidate that was passed over."""

    id: str
    version: int
    kg_per_kwh: str | None
    tier: str
    region: str
    data_year: int | None
    source: str
    marks: list[str]
    skipped: list[str]
    reason: str


class EmissionAnswer(Answer):
    """Emissions booked for the energy of one main meter in [start_ms, end_ms): kg = energy_kwh x factor, exactly."""

    device: str
    start_ms: int
    end_ms: int
    energy_kwh: str
    kg: str | None
    state: Literal["provisional", "final"]
    version: int
    factor: FactorAnswer


class TotalAnswer(Answer):
    """The exact sum of what has a figure, and how much that is: `covered` of `expected` intervals, `covered_kwh` of `energy_kwh`."""

    kg: str | None
    energy_kwh: str | None
    covered_kwh: str
    covered: int
    expected: int
    provisional: int
    until_ms: int | None
    marks: list[str]


class EmissionsAnswer(Answer):
    """Emissions of a facility (location-based scope 2) over [from_ms, to_ms)."""

    facility: str
    profile: str
    from_ms: int
    to_ms: int
    total: TotalAnswer
    emissions: list[EmissionAnswer]


class FactorNowAnswer(Answer):
    """The factor that applies at `at_ms`."""

    facility: str
    at_ms: int
    factor: FactorAnswer


class FactorsAnswer(Answer):
    """`factors`: what the ledger has booked with, or may. `registry`: every version of every factor and fuel parameter, with its document,
    the hash of its table, its reason and who approved it."""

    factors: list[dict[str, str | int | None]]
    registry: list[dict[str, str | int | None]]


@router.get("/facilities/{facility}/intervals")
def intervals(given: Given, named: Named, wanted: Annotated[IntervalParameters, Query()]) -> IntervalsAnswer:
    """Energies per interval, from counters or imported."""
    wanted.checked(_LONGEST_MS)
    quantity = QUANTITIES.get(wanted.quantity)
    if quantity is None or quantity.kind is not Kind.COUNTER:
        counters = [name for name, entry in QUANTITIES.items() if entry.kind is Kind.COUNTER]
        raise unknown("counter quantity", wanted.quantity, counters)
    if wanted.device is not None and named.meter(wanted.device) is None:
        raise unknown("meter", wanted.device, [meter.device for meter in named.meters])
    _fits(wanted, named.interval_ms, 1 if wanted.device else max(1, len(named.meters)))
    rows = given.books.ledger.intervals(
        named.id, wanted.device, wanted.quantity, wanted.from_ms, wanted.to_ms, wanted.as_of
    )
    return IntervalsAnswer(
        facility=named.id,
        quantity=wanted.quantity,
        unit=quantity.unit,
        intervals=[
            IntervalAnswer(
                device=row.device,
                start_ms=row.start_ms,
                end_ms=row.end_ms,
                energy_kwh=f"{row.energy_kwh:f}",
                quality=LETTER[row.grade.quality],
                reason=row.grade.reason,
                state="final" if row.final else "provisional",
                source=row.source,
                version=row.version,
            )
            for row in rows
        ],
    )


@router.get("/facilities/{facility}/emissions")
def emissions(given: Given, named: Named, wanted: Annotated[EmissionParameters, Query()]) -> EmissionsAnswer:
    """Booked emissions with energy, factor, version, data year, marks and source of each, and their total with its coverage."""
    wanted.checked(_LONGEST_MS)
    rows: list[EmissionRow] = []
    if wanted.detail == "intervals":
        _fits(wanted, named.interval_ms, max(1, len(named.main_meters())))
        rows = given.books.emissions(named.id, wanted.from_ms, wanted.to_ms, as_of_ms=wanted.as_of)
    total = given.books.total(named.id, wanted.from_ms, wanted.to_ms, wanted.as_of)
    return EmissionsAnswer(
        facility=named.id,
        profile=total.profile,
        from_ms=wanted.from_ms,
        to_ms=wanted.to_ms,
        total=_total(total),
        emissions=[_emission(row) for row in rows],
    )


@router.get("/facilities/{facility}/factor", dependencies=[Depends(no_parameters)])
def factor(given: Given, named: Named) -> FactorNowAnswer:
    """The factor that applies at this moment, or why there is none."""
    return FactorNowAnswer(facility=named.id, at_ms=given.clock(), factor=_factor(given.books.factor_now(named.id)))


@router.get("/factors", dependencies=[Depends(no_parameters)])
def factors(given: Given) -> FactorsAnswer:
    """The registry of emission factors."""
    return FactorsAnswer(
        factors=[{name: _plain(value) for name, value in row.items()} for row in given.books.factors()],
        registry=[as_json(entry) for entry in given.books.registered],
    )


def _fits(wanted: IntervalParameters | EmissionParameters, interval_ms: int, meters: int) -> None:
    rows = -(-(wanted.to_ms - wanted.from_ms) // interval_ms) * meters
    if rows > wanted.limit:
        raise Problem(422, "too many rows", "limit", f"at most {wanted.limit}: a shorter span or fewer meters", rows)


def _total(total: EmissionTotal) -> TotalAnswer:
    return TotalAnswer(
        kg=None if total.kg is None else f"{total.kg:f}",
        energy_kwh=None if total.energy_kwh is None else f"{total.energy_kwh:f}",
        covered_kwh=f"{total.covered_kwh:f}",
        covered=total.covered,
        expected=total.expected,
        provisional=total.provisional,
        until_ms=total.until_ms,
        marks=list(total.marks),
    )


def _emission(row: EmissionRow) -> EmissionAnswer:
    emission = row.emission
    return EmissionAnswer(
        device=emission.device,
        start_ms=emission.start_ms,
        end_ms=emission.end_ms,
        energy_kwh=f"{emission.energy_kwh:f}",
        kg=None if emission.kg is None else f"{emission.kg:f}",
        state="final" if emission.final else "provisional",
        version=row.version,
        factor=_factor(emission.resolution),
    )


def _factor(resolution: Resolution) -> FactorAnswer:
    return FactorAnswer(
        id=resolution.factor_id,
        version=resolution.version,
        kg_per_kwh=None if resolution.kg_per_kwh is None else f"{resolution.kg_per_kwh:f}",
        tier=resolution.tier,
        region=resolution.region,
        data_year=resolution.data_year,
        source=resolution.source,
        marks=list(resolution.marks),
        skipped=[f"{skipped.candidate}: {skipped.reason}" for skipped in resolution.skipped],
        reason=resolution.reason,
    )


def _plain(value: Json) -> str | int | None:
    return value if value is None or isinstance(value, (str, int)) else str(value)

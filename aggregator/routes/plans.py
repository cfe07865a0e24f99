"""Plans over HTTP: those on record with what binds and why, offers, and what people say that plans go by. Plans nothing itself (`aggregator.planning`)."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query
from pydantic import Field, JsonValue

from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.flexibility.problem import Currency
from aggregator.planning.plan_book import PlanRow, ScheduleRow, number_of
from aggregator.planning.planning import Planning
from aggregator.planning.stays import Declared
from aggregator.planning.told_book import ROWS_MAX, PriceRow
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Parameters, no_parameters
from aggregator.services import Services

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["plans"])

_DAY_MS: Final = 86_400_000
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
AtMs = Annotated[int, Field(ge=0, lt=2**53)]
Energy = Annotated[float, Field(ge=0, le=1e6)]
Price = Annotated[float, Field(ge=-1e4, le=1e4)]
By = Annotated[str, Field(max_length=100)]
PlanId = Annotated[str, Path(alias="plan", max_length=32)]


class PlanAnswer(Answer):
    """A plan as a list shows it: what had changed (`trigger`), its hashes, and whether it was proved the best, is feasible, or stale."""

    id: str
    made_ms: int
    status: str
    trigger: list[str]
    problem_sha256: str
    plan_sha256: str
    circuit_sha256: str
    money: Currency


class PlansAnswer(Answer):
    """The newest plans, newest first. `solved`, `unchanged` and `stale` count since the aggregator's start: looks at which nothing had changed solve nothing."""

    facility: str
    plans: list[PlanAnswer]
    solved: int
    unchanged: int
    stale: int


class ScheduleAnswer(Answer):
    """What an edge was told of a plan: sent, not_sent, taken, refused (with its reason), unanswered, or superseded before it was answered."""

    id: str
    edge: str
    number: int
    issued_at_ms: int
    valid_until_ms: int
    state: str
    reason: str
    at_ms: int
    sha256: str


class WholePlanAnswer(PlanAnswer):
    """A plan with its figures, what binds in words, what it is worth against doing without, and its schedules (docs/planning.md, "Rolling operation")."""

    figures: dict[str, JsonValue]
    schedules: list[ScheduleAnswer]


class OffersAnswer(Answer):
    """Firm kW of less (`down`) or more (`up`) net import beside the plan; `sha256` names them as they are on record."""

    facility: str
    offers: dict[str, JsonValue] | None


class StayBody(Answer):
    """What is known of a vehicle's stay at a charger. Energies are the battery's; `need_kwh` from plug-in on. `gives_back`: its owner agrees to discharging."""

    asset: Name
    departs_ms: AtMs | None = None
    need_kwh: Energy | None = None
    capacity_kwh: Energy | None = None
    held_kwh: Energy | None = None
    gives_back: bool = False
    reserve_kwh: Energy = 0.0
    session: Annotated[str, Field(max_length=64)] = ""
    by: By = ""


class StayAnswer(StayBody):
    """A word on record."""

    at_ms: int


class StaysAnswer(Answer):
    """What was declared in the last three days, the newest last."""

    facility: str
    stays: list[StayAnswer]


class PriceEntry(Answer):
    """Prices of [start_ms, end_ms), money per kWh; without `export_price` the tariff's holds."""

    start_ms: AtMs
    end_ms: AtMs
    import_price: Price
    export_price: Price | None = None


class PricesBody(Answer):
    """A version of prices; without a name it gets a hash of its rows. Of one time the version that comes last counts."""

    prices: Annotated[list[PriceEntry], Field(min_length=1, max_length=ROWS_MAX)]
    version: Annotated[str, Field(max_length=64)] = ""
    by: By = ""


class PricesAnswer(Answer):
    """Under which version they stand."""

    facility: str
    version: str
    rows: int


class RecentParameters(Parameters):
    """How many; `before`: plans with a lower number."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    before: Annotated[int, Field(ge=1, lt=2**53)] | None = None


def planning_of(given: Services, facility: str) -> Planning:
    """The planning, where this facility is planned. Raises Problem."""
    if given.planning is None or facility not in given.planning.steered:
        raise Problem(404, "no plans", "facility", "a facility with circuit and tariff in the settings", facility)
    return given.planning


def busy(error: RecordsBusy) -> Problem:
    """503: try again."""
    return Problem(503, "try again", "plans", "an answer in time", str(error), 5)


def _row(row: PlanRow) -> dict[str, Any]:
    return {
        "id": row.id, "made_ms": row.made_ms, "status": row.status, "trigger": list(row.trigger), "problem_sha256": row.problem_sha256,
        "plan_sha256": row.plan_sha256, "circuit_sha256": row.circuit_sha256, "money": row.money,
    }  # fmt: skip


def _schedule(row: ScheduleRow) -> ScheduleAnswer:
    return ScheduleAnswer(
        id=row.id, edge=row.edge, number=row.number, issued_at_ms=row.issued_at_ms, valid_until_ms=row.valid_until_ms,
        state=row.state, reason=row.reason, at_ms=row.at_ms, sha256=row.sha256,
    )  # fmt: skip


@router.get("/plans", dependencies=[Reader])
def plans(given: Given, named: Named, wanted: Annotated[RecentParameters, Query()]) -> PlansAnswer:
    """The newest plans of a facility."""
    planning = planning_of(given, named.id)
    try:
        rows = planning.book.recent(named.id, wanted.limit, wanted.before)
    except RecordsBusy as error:
        raise busy(error) from error
    rolling = planning.rounds.lines[named.id].rolling
    return PlansAnswer(
        facility=named.id, plans=[PlanAnswer(**_row(row)) for row in rows], solved=rolling.solved, unchanged=rolling.unchanged,
        stale=rolling.stale,
    )  # fmt: skip


@router.get("/plans/{plan}", dependencies=[Reader, Depends(no_parameters)])
def plan(given: Given, named: Named, plan_id: PlanId) -> WholePlanAnswer:
    """One plan, or `current`: with the binding limits and the marginal price of each span in words."""
    planning = planning_of(given, named.id)
    try:
        if plan_id == "current":
            row = next(iter(planning.book.recent(named.id, 1)), None)
        else:
            number = number_of(plan_id)
            row = None if number is None else planning.book.one(number)
        if row is None or row.facility != named.id:
            raise Problem(404, "unknown plan", "plan", f"current, or an id of {named.id} such as plan-17", plan_id)
        figures, schedules = planning.book.summary(row.no), planning.book.schedules(row.no)
    except RecordsBusy as error:
        raise busy(error) from error
    except KeyError as error:
        raise Problem(404, "forgotten plan", "plan", "one that is kept still", plan_id) from error
    return WholePlanAnswer(**_row(row), figures=figures, schedules=[_schedule(one) for one in schedules])


@router.get("/offers", dependencies=[Reader, Depends(no_parameters)])
def offers(given: Given, named: Named) -> OffersAnswer:
    """The newest firm offers of a facility; null where none has been made yet."""
    try:
        return OffersAnswer(facility=named.id, offers=planning_of(given, named.id).book.offered(named.id))
    except RecordsBusy as error:
        raise busy(error) from error


@router.get("/stays", dependencies=[Reader, Depends(no_parameters)])
def stays(given: Given, named: Named) -> StaysAnswer:
    """What was declared of vehicles' stays."""
    planning = planning_of(given, named.id)
    try:
        found = planning.told.declared(named.id, given.clock() - 3 * _DAY_MS)
    except RecordsBusy as error:
        raise busy(error) from error
    said = sorted((one for several in found.values() for one in several), key=lambda one: one.at_ms)
    return StaysAnswer(facility=named.id, stays=[_stay(one) for one in said])


def _stay(one: Declared) -> StayAnswer:
    return StayAnswer(
        asset=one.asset, departs_ms=one.departs_ms, need_kwh=one.need_kwh, capacity_kwh=one.capacity_kwh, held_kwh=one.held_kwh,
        gives_back=one.gives_back, reserve_kwh=one.reserve_kwh, session=one.session, by=one.by, at_ms=one.at_ms,
    )  # fmt: skip


@router.post("/stays", status_code=201, dependencies=[Depends(no_parameters)])
def declare(given: Given, named: Named, author: Writing, body: Annotated[StayBody, Body()]) -> StayAnswer:
    """Departure, need and consent of the vehicle that is, or will be, at a charger; the plan is looked at at once."""
    author.must("operate")
    planning = planning_of(given, named.id)
    known = [asset.name for asset in planning.steered[named.id].circuit.asset if asset.kind == "charger"]
    if body.asset not in known:
        raise unknown("asset", body.asset, known)
    if body.capacity_kwh is not None and body.held_kwh is not None and body.held_kwh > body.capacity_kwh:
        raise Problem(422, "bad body", "held_kwh", f"at most capacity_kwh ({body.capacity_kwh:g})", body.held_kwh)
    said = Declared(**(body.model_dump() | {"at_ms": given.clock(), "by": author.named(body.by)}))
    try:
        planning.told.declare(named.id, said)
    except RecordsBusy as error:
        raise busy(error) from error
    planning.rounds.nudge(named.id)
    return _stay(said)


@router.post("/prices", status_code=201, dependencies=[Depends(no_parameters)])
def tell_prices(given: Given, named: Named, author: Writing, body: Annotated[PricesBody, Body()]) -> PricesAnswer:
    """Prices of the coming hours, as a market or a supplier tells them; the plan is looked at at once."""
    author.must("operate")
    planning = planning_of(given, named.id)
    rows = [PriceRow(one.start_ms, one.end_ms, one.import_price, one.export_price) for one in body.prices]
    try:
        version = planning.told.tell_prices(named.id, rows, body.version, author.named(body.by), given.clock())
    except RecordsRefused as error:
        thing, _, said = error.faults[0].partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "bad prices", thing, expected or error.faults[0], seen) from error
    except RecordsBusy as error:
        raise busy(error) from error
    planning.rounds.nudge(named.id)
    return PricesAnswer(facility=named.id, version=version, rows=len(rows))

"""A virtual power plant over HTTP: what all facilities offer together, and a target shared out over them, again without those that fail. No event is made here."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Depends
from pydantic import Field

from aggregator.accounts.record_file import RecordsBusy
from aggregator.flexibility.problem import Currency
from aggregator.flexibility.virtual_plant import Bid, merit_order
from aggregator.routes.guard import Given, Reader, Writer
from aggregator.routes.plans import busy
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, no_parameters
from aggregator.services import Services

router = APIRouter(prefix="/api/v1/portfolio", tags=["portfolio"], dependencies=[Reader, Depends(no_parameters)])

OLDEST_MS: Final = 900_000  # older offers are not firm any more
Direction = Literal["down", "up"]
AtMs = Annotated[int, Field(ge=0, lt=2**53)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class WindowAnswer(Answer):
    """What all facilities with an offer of this window give together."""

    direction: str
    from_ms: int
    until_ms: int
    hours: float
    kw: float
    facilities: dict[str, float]


class PortfolioAnswer(Answer):
    """Windows by begin; `without`: planned facilities whose newest offers are too old or that have none."""

    at_ms: int
    windows: list[WindowAnswer]
    without: list[str]


class AllocationBody(Answer):
    """A target throughout [from_ms, until_ms). `prices`: money per kWh of each facility (0 where none is named). `failed` gives nothing."""

    direction: Direction
    from_ms: AtMs
    until_ms: AtMs
    target_kw: Annotated[float, Field(gt=0, le=1e9)]
    prices: Annotated[dict[Name, Annotated[float, Field(ge=0, le=1e6)]], Field(max_length=10_000)] = {}
    failed: Annotated[list[Name], Field(max_length=10_000)] = []


class ShareAnswer(Answer):
    """What a facility is to give, and the plan that it rests on with the hash of the offers."""

    facility: str
    kw: float
    firm_kw: float
    plan: str
    offers_sha256: str


class AllocationAnswer(Answer):
    """`lacking_kw`: of the target that nobody can give. `marginal_price`: of the dearest facility that is used."""

    shares: list[ShareAnswer]
    lacking_kw: float
    cost_per_h: float
    marginal_price: Currency | None
    without: list[str]


def _offered(given: Services) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The newest offers by facility, as far as they are fresh, and who has none."""
    found: dict[str, dict[str, Any]] = {}
    without = []
    if given.planning is None:
        return {}, []
    for facility in sorted(given.planning.steered):
        try:
            newest = given.planning.book.offered(facility)
        except RecordsBusy as error:
            raise busy(error) from error
        if newest is None or given.clock() - newest["made_ms"] > OLDEST_MS:
            without.append(facility)
        else:
            found[facility] = newest
    return found, without


@router.get("/offers")
def offers(given: Given) -> PortfolioAnswer:
    """The firm kW of all facilities together, window by window."""
    found, without = _offered(given)
    windows: dict[tuple[int, int, str, float], dict[str, float]] = {}
    for facility, newest in found.items():
        for one in newest["offers"]:
            key = one["from_ms"], one["until_ms"], one["direction"], one["hours"]
            windows.setdefault(key, {})[facility] = one["kw"]
    return PortfolioAnswer(
        at_ms=given.clock(),
        windows=[
            WindowAnswer(direction=direction, from_ms=begin, until_ms=end, hours=hours, kw=sum(kw.values()), facilities=kw)
            for (begin, end, direction, hours), kw in sorted(windows.items())
        ],
        without=without,
    )  # fmt: skip


@router.post("/allocation", dependencies=[Writer])
def allocation(given: Given, body: Annotated[AllocationBody, Body()]) -> AllocationAnswer:
    """Who gives what of a target, the cheapest first; asked again with `failed`, the others take the part of those. Nothing is sent to anybody."""
    if body.until_ms <= body.from_ms:
        raise Problem(422, "empty span", "until_ms", f"later than from_ms ({body.from_ms})", body.until_ms)
    found, without = _offered(given)
    firm = {facility: _firm_kw(newest["offers"], body) for facility, newest in found.items()}
    if strangers := sorted((set(body.prices) | set(body.failed)) - set(given.facilities)):
        raise Problem(404, "unknown facility", "prices", f"one of {', '.join(given.facilities)}", strangers[0])
    bids = [Bid(facility, kw, body.prices.get(facility, 0.0)) for facility, kw in firm.items() if kw > 0]
    shared = merit_order(bids, body.target_kw, body.failed)
    return AllocationAnswer(
        shares=[
            ShareAnswer(
                facility=one.facility, kw=round(one.kw, 3), firm_kw=firm[one.facility], plan=found[one.facility]["plan"],
                offers_sha256=found[one.facility]["sha256"],
            )
            for one in shared.shares
        ],
        lacking_kw=round(shared.lacking_kw, 3), cost_per_h=round(shared.cost_per_h, 6), marginal_price=shared.marginal_price, without=without,
    )  # fmt: skip


def _firm_kw(offers: list[dict[str, Any]], body: AllocationBody) -> float:
    """The most of one offer that covers the whole span."""
    covering = [
        float(one["kw"])
        for one in offers
        if one["direction"] == body.direction and one["from_ms"] <= body.from_ms and body.until_ms <= one["until_ms"]
    ]
    return max(covering, default=0.0)

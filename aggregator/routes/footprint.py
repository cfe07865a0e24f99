"""What the program itself emits, over HTTP. Not how it is reckoned (`aggregator.footprint.own_footprint`)."""

import sqlite3
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.footprint.own_footprint import FacilityShare, OwnFootprint, own_footprint
from aggregator.ledger import LedgerError
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, Parameters

router = APIRouter(prefix="/api/v1/footprint", tags=["footprint"], dependencies=[Reader])

DEFAULT_MS: Final = 30 * 86_400_000
LONGEST_MS: Final = 366 * 86_400_000


class FootprintParameters(Parameters):
    """[from, to), the last 30 days by default."""

    from_ms: Annotated[Instant | None, Query(alias="from")] = None
    to_ms: Annotated[Instant | None, Query(alias="to")] = None


class ShareAnswer(Answer):
    """A facility's share of the aggregator by readings, its gateways, and what is on record as saved; net = saved - own. Decimals are text."""

    facility: str
    readings: int
    share_percent: str | None
    aggregator_kg: str | None
    gateways: int
    gateway_kwh: str | None
    gateway_kg: str | None
    own_kg: str | None
    saved_kg: str | None
    net_kg: str | None


class WorkAnswer(Answer):
    """Heavy work of one kind that could wait for cleaner hours: g CO2e of its busy cores, had it run when due, and as it ran. Decimals are text."""

    work: str
    times: int
    waited: int
    cpu_s: str
    energy_kwh: str | None
    g_when_due: str | None
    g: str | None


class FootprintAnswer(Answer):
    """kg CO2e of the program itself; `g_per_million`: g CO2e per 10^6 readings, on `hardware` and with `factors`. null: no figure, and `why`."""

    from_ms: int
    to_ms: int
    spans: int
    real_s: str
    cpu_s: str
    readings: int
    received_bytes: int
    store_bytes: int
    hardware: str
    power_source: str
    factors: list[str]
    energy_kwh: str | None
    running_kg: str | None
    embodied_kg: str | None
    gateway_kwh: str | None
    gateway_kg: str | None
    own_kg: str | None
    g_per_million: str | None
    why: str
    facilities: list[ShareAnswer]
    work: list[WorkAnswer]


@router.get("")
def footprint(given: Given, wanted: Annotated[FootprintParameters, Query()]) -> FootprintAnswer:
    """Energy and emissions of the aggregator and its gateways, per facility, netted beside the savings on record."""
    if given.own_records is None or given.accounts is None:
        raise Problem(
            503, "nothing is measured", "footprint", "an aggregator that measures itself", "one that does not", 60
        )
    to_ms = given.clock() if wanted.to_ms is None else wanted.to_ms
    from_ms = to_ms - DEFAULT_MS if wanted.from_ms is None else wanted.from_ms
    if not 0 <= from_ms < to_ms <= from_ms + LONGEST_MS:
        raise Problem(422, "bad span", "to", "later than from, at most 366 days", f"{from_ms} to {to_ms}")
    try:
        return answer_of(own_footprint(given.accounts, given.own_records, from_ms, to_ms))
    except (RecordsBusy, RecordsUnusable, RegistryRefused, LedgerError, sqlite3.Error) as error:
        raise Problem(503, "not reckoned", "footprint", "records that can be read", str(error), 5) from error


def answer_of(found: OwnFootprint) -> FootprintAnswer:
    """As it is told to programs."""
    told: dict[str, Any] = {
        name: _text(getattr(found, name))
        for name in FootprintAnswer.model_fields
        if name not in {"factors", "facilities", "work"}
    }
    return FootprintAnswer(
        **told,
        factors=list(found.factors),
        facilities=[_share(share) for share in found.facilities],
        work=[
            WorkAnswer(**{name: _text(getattr(one, name)) for name in WorkAnswer.model_fields}) for one in found.work
        ],
    )


def _share(share: FacilityShare) -> ShareAnswer:
    return ShareAnswer(**{name: _text(getattr(share, name)) for name in ShareAnswer.model_fields})


def _text(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value

"""The series catalogue over HTTP. Not what it is made of (`aggregator.catalogue`)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from aggregator.catalogue import CatalogueEntry
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, Parameters
from aggregator.settle import COUNTERS

router = APIRouter(prefix="/api/v1/facilities/{facility}/catalogue", tags=["catalogue"], dependencies=[Reader])

Text = Annotated[str, Field(max_length=200)]


class CatalogueParameters(Parameters):
    """Only the series of which all of these hold."""

    device: Text | None = None
    quantity: Text | None = None
    owner: Text | None = None
    flow: Literal["source", "sink"] | None = None
    holder: Literal["government", "industry", "enterprise", "person"] | None = None
    domain: Literal["agriculture", "weather", "forestry", "industry", "land", "transport"] | None = None
    origin: Literal["metered", "remote_sensing", "statistical"] | None = None
    scale: Literal["administrative", "grid"] | None = None
    horizon: Literal["history", "forecast"] | None = None

    def holds(self, entry: CatalogueEntry) -> bool:
        """Whether all of them hold of a series."""
        known = dict(entry.sorts) | {
            "device": entry.series.device, "quantity": entry.series.quantity, "owner": entry.owner
        }  # fmt: skip
        return all(known[name] == value for name, value in self.model_dump(exclude_none=True).items())


class RetentionAnswer(Answer):
    """How long it is promised to be kept."""

    raw_days: int
    interval_days: int
    hourly_days: int


class SeriesAnswer(Answer):
    """One series. `owner`, `device_entity` and `signer_entity` are legal entities, "" where the settings name none; the key is the edge's."""

    edge: str
    device: str
    quantity: str
    unit: str
    kind: str
    carrier: str
    role: str
    owner: str
    device_entity: str
    signer_entity: str
    signer_key: str
    flow: str
    holder: str
    domain: str
    origin: str
    scale: str
    horizon: str
    retention: RetentionAnswer
    source: str
    newest_ms: int | None
    leads_to: str


class CatalogueAnswer(Answer):
    """The series of a facility that have a reading, and its meters' counters in any case."""

    facility: str
    series: list[SeriesAnswer]


@router.get("")
def catalogue(given: Given, named: Named, wanted: Annotated[CatalogueParameters, Query()]) -> CatalogueAnswer:
    """Every series with owner, responsible entities, kind of data and retention."""
    found = given.catalogue.entries(named, given.store.latest(named.id), COUNTERS)
    return CatalogueAnswer(facility=named.id, series=[_series(entry) for entry in found if wanted.holds(entry)])


def _series(entry: CatalogueEntry) -> SeriesAnswer:
    kept = entry.retention
    return SeriesAnswer(
        edge=entry.series.edge,
        device=entry.series.device,
        quantity=entry.series.quantity,
        unit=entry.unit,
        kind=entry.kind,
        carrier=entry.carrier,
        role=entry.role,
        owner=entry.owner,
        device_entity=entry.device_entity,
        signer_entity=entry.signer_entity,
        signer_key=entry.signer_key,
        **dict(entry.sorts),
        retention=RetentionAnswer(
            raw_days=kept.raw_days, interval_days=kept.interval_days, hourly_days=kept.hourly_days
        ),
        source=entry.source,
        newest_ms=entry.newest_ms,
        leads_to=entry.leads_to,
    )

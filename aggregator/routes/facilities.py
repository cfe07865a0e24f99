"""Facilities with their meters, and their devices with state, age and quality. Not their readings (`readings`)."""

from typing import Annotated

from fastapi import APIRouter, Depends

from aggregator.facility import Facility
from aggregator.live import LETTER
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, facility, no_parameters

router = APIRouter(prefix="/api/v1/facilities", tags=["facilities"], dependencies=[Reader, Depends(no_parameters)])
Named = Annotated[Facility, Depends(facility)]


class MeterAnswer(Answer):
    """A meter of a facility; decimals are text. `parent`: the meter that it lies inside of or checks, "" where the settings do not say.
    Of a meter that counts m3 `rated_power_kw` is m3/h."""

    device: str
    edge: str
    role: str
    carrier: str
    show: str
    rated_power_kw: str
    multiplier: str
    parent: str
    accuracy_percent: str | None


class FacilityAnswer(Answer):
    """What is accounted and reported."""

    id: str
    name: str
    time_zone: str
    place: str
    connection_kw: str | None
    interval_s: int
    meters: list[MeterAnswer]


class FacilitiesAnswer(Answer):
    """All facilities of this server."""

    facilities: list[FacilityAnswer]


class DeviceAnswer(Answer):
    """A device as it is now. `quality`: g good, u uncertain, b bad, s substituted; None where it was never heard."""

    device: str
    edge: str
    state: str
    protocol: str | None
    model: str | None
    last_contact_ms: int | None
    quality: str | None


class DevicesAnswer(Answer):
    """All devices of a facility at `at_ms` (UTC ms)."""

    facility: str
    at_ms: int
    devices: list[DeviceAnswer]


def _facility(entry: Facility, now_ms: int) -> FacilityAnswer:
    return FacilityAnswer(
        id=entry.id,
        name=entry.name,
        time_zone=entry.time_zone,
        place=entry.place,
        connection_kw=None if entry.connection_kw is None else str(entry.connection_kw),
        interval_s=entry.interval_s,
        meters=[
            MeterAnswer(
                device=meter.device,
                edge=meter.edge,
                role=meter.role.value,
                carrier=meter.carrier,
                show=meter.show,
                rated_power_kw=str(meter.rated_power_kw),
                multiplier=str(meter.multiplier_at(now_ms)),
                parent=meter.parent,
                accuracy_percent=None if meter.accuracy_percent is None else str(meter.accuracy_percent),
            )
            for meter in entry.meters
        ],
    )


@router.get("")
async def facilities(given: Given) -> FacilitiesAnswer:
    """All facilities of this server."""
    return FacilitiesAnswer(facilities=[_facility(entry, given.clock()) for entry in given.facilities.values()])


@router.get("/{facility}")
async def one_facility(given: Given, named: Named) -> FacilityAnswer:
    """One facility."""
    return _facility(named, given.clock())


@router.get("/{facility}/devices")
async def devices(given: Given, named: Named) -> DevicesAnswer:
    """All devices of a facility: online, late or offline, with their last contact."""
    found = []
    for (edge, device), state in given.live.device_states(named.id).items():
        about = given.live.about_device(named.id, edge, device)
        contact = given.newest.of_device(named.id, edge, device)
        found.append(
            DeviceAnswer(
                device=device,
                edge=edge,
                state=state,
                protocol=about.protocol if about else None,
                model=about.model if about else None,
                last_contact_ms=contact.at_ms if contact else None,
                quality=LETTER[contact.quality] if contact else None,
            )
        )
    return DevicesAnswer(facility=named.id, at_ms=given.clock(), devices=found)

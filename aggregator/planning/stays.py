"""Vehicles that are plugged in, as a plan takes them: from charging sessions, what vehicles and people say, else the site's own past. Pure.

A vehicle that takes nothing of what it is offered has what it wants, until it takes something again.

Order: what the vehicle tells (OCPP NotifyEVChargingNeeds), what a person has declared, what such stays were like here (marked as assumed).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.flexibility.operation.state import HOUR_MS, Basis, Stay
from aggregator.sessions import Session
from aggregator.stores.store import StoredEvent
from wire.circuit import Asset

NEEDS: Final = "ev_charging_needs"
EARLIER_MS: Final = (
    600_000  # a vehicle may tell its needs, and a person declare them, shortly before the session begins
)
LEAST_SESSIONS: Final = 5
AROUND_H: Final = 2
USUAL_H: Final = 4.0  # where the site has no past
USUAL_KWH: Final = 10.0
LONGEST_MS: Final = 48 * HOUR_MS
TAKES_NOTHING: Final = (
    "SuspendedEV"  # OCPP 1.6 section 7.7, 2.0.1 ChargingStateEnumType: power is offered, the vehicle takes none
)
WORTH_SAYING_KWH: Final = 0.5
LEAST_CAPACITY_KWH: Final = 0.1


@dataclass(frozen=True, slots=True)
class Declared:
    """What a person has said of a stay at an asset, at `at_ms`. Energies are the battery's; `need_kwh` counts from plug-in.

    `session`: the transaction that it is about ("": the one that is there, or comes next). `gives_back` is the consent to discharge, for this stay.
    """

    asset: str
    at_ms: int
    by: str
    departs_ms: int | None = None
    need_kwh: float | None = None
    capacity_kwh: float | None = None
    held_kwh: float | None = None
    gives_back: bool = False
    reserve_kwh: float = 0.0
    session: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a vehicle has told: when it leaves, and energies from then on, kWh. `spare_kwh`: what it may give back; `room_kwh`: what it can take at most."""

    at_ms: int
    departs_ms: int | None
    need_kwh: float | None
    spare_kwh: float
    room_kwh: float | None
    both_ways: bool


@dataclass(frozen=True, slots=True)
class Usual:
    """What stays of an hour of arrival are like here: the median length and energy, and the 90th percentile of the energy."""

    stay_h: float
    kwh: float
    likely_kwh: float
    sessions: int


def needs_of(events: Sequence[StoredEvent]) -> dict[tuple[str, str], list[Needs]]:
    """What vehicles have told, by (edge, device), in order; what cannot be read is passed over."""
    found: dict[tuple[str, str], list[Needs]] = {}
    for stored in sorted(events, key=lambda one: one.event.at_ms):
        event = stored.event
        if event.kind != NEEDS or not isinstance(event.body, Mapping):
            continue
        request = event.body.get("request")
        try:
            body = json.loads(request) if isinstance(request, str) else request
        except (ValueError, RecursionError):
            continue
        said = body.get("chargingNeeds") if isinstance(body, Mapping) else None
        if isinstance(said, Mapping):
            found.setdefault((stored.edge, event.device), []).append(_needs(event.at_ms, said))
    return found


def _needs(at_ms: int, said: Mapping[str, Any]) -> Needs:
    def kwh(table: str, key: str) -> float | None:
        inner = said.get(table)
        value = inner.get(key) if isinstance(inner, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e7:
            return None
        return value / 1000

    v2x, both = "v2xChargingParameters", ("AC_BPT", "DC_BPT", "AC_BPT_DER", "DC_ACDP_BPT")
    need = kwh(v2x, "evTargetEnergyRequest")
    for table in ("acChargingParameters", "dcChargingParameters"):
        need = kwh(table, "energyAmount") if need is None else need
    least, most = kwh(v2x, "evMinEnergyRequest"), kwh(v2x, "evMaxEnergyRequest")
    transfer = {said.get("requestedEnergyTransfer"), *_texts(said.get("availableEnergyTransfer"))}
    return Needs(
        at_ms, _instant(said.get("departureTime")), None if need is None else max(need, 0.0), max(-(least or 0.0), 0.0), most,
        bool(transfer.intersection(both)),
    )  # fmt: skip


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _instant(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        told = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)


def usual(sessions: Sequence[Session], arrived_ms: int, zone: ZoneInfo) -> Usual:
    """What finished sessions that began about the same local hour were like; of all, where those are too few."""
    done = [
        (one.first_ms, one.ended_at_ms - one.first_ms, float(one.energy_wh) / 1000)
        for one in sessions
        if one.state == "ended" and one.ended_at_ms is not None and one.energy_wh is not None and one.energy_wh > 0
    ]
    hour = datetime.fromtimestamp(arrived_ms / 1000, zone).hour
    alike = [one for one in done if _hours_apart(datetime.fromtimestamp(one[0] / 1000, zone).hour, hour) <= AROUND_H]
    used = alike if len(alike) >= LEAST_SESSIONS else done
    if len(used) < LEAST_SESSIONS:
        return Usual(USUAL_H, USUAL_KWH, USUAL_KWH, 0)
    kwh = [one[2] for one in used]
    return Usual(median(one[1] for one in used) / HOUR_MS, median(kwh), float(np.quantile(kwh, 0.9)), len(used))


def _hours_apart(one: int, other: int) -> int:
    return min((one - other) % 24, (other - one) % 24)


def stay_of(
    asset: Asset, session: Session, told: Sequence[Needs], declared: Sequence[Declared], past: Usual, now_ms: int
) -> tuple[Stay, str]:
    """The stay of a running session, and what is to be said about it ("": nothing)."""
    begun_ms = session.first_ms
    needs = next((one for one in reversed(told) if one.at_ms >= begun_ms - EARLIER_MS), None)
    said = next((one for one in reversed(declared) if _about(one, session)), None)
    charged_kwh = float(session.energy_wh or 0) / 1000 * asset.charge_ratio
    given_kwh = float(session.export_wh or 0) / 1000 / asset.discharge_ratio
    first_kwh = (said.held_kwh if said else None) or (needs.spare_kwh if needs else 0.0)
    departs_ms = (needs.departs_ms if needs else None) or (said.departs_ms if said else None)
    need_kwh = needs.need_kwh if needs and needs.need_kwh is not None else said.need_kwh if said else None
    basis: Basis = "vehicle" if needs and needs.need_kwh is not None else "declared" if said else "assumed"
    note = ""
    likely_kwh = None
    if departs_ms is None or need_kwh is None:
        assumed = (
            "departure" if need_kwh is not None else "energy" if departs_ms is not None else "departure and energy"
        )
        how = f"{past.sessions} stays here" if past.sessions else "no stays here yet"
        note = f"{asset.name}: {assumed} assumed, from {how}"
        likely_kwh = first_kwh + past.likely_kwh if need_kwh is None else None
        basis = "assumed" if need_kwh is None else basis
        departs_ms = departs_ms or begun_ms + round(past.stay_h * HOUR_MS)
        need_kwh = past.kwh if need_kwh is None else need_kwh
    departs_ms = min(max(departs_ms, now_ms + 60_000), now_ms + LONGEST_MS)  # it is still there
    wanted_kwh, held_kwh = first_kwh + need_kwh, max(first_kwh + charged_kwh - given_kwh, 0.0)
    room_kwh = needs.room_kwh if needs else None
    capacity_kwh = (said.capacity_kwh if said else None) or (wanted_kwh if room_kwh is None else first_kwh + room_kwh)
    if session.doing == TAKES_NOTHING:
        if wanted_kwh - held_kwh > WORTH_SAYING_KWH:
            full = f"its vehicle takes nothing at {held_kwh:.1f} of {wanted_kwh:.1f} kWh"
            note = f"{note}; {full}" if note else f"{asset.name}: {full}"
        wanted_kwh, likely_kwh = min(wanted_kwh, held_kwh), None
        capacity_kwh = max(wanted_kwh, LEAST_CAPACITY_KWH)
    agreed = said is not None and said.gives_back and asset.discharge_kw > 0 and (needs is None or needs.both_ways)
    if said is not None and said.gives_back and not agreed:
        note = f"{asset.name}: its owner agreed to give back, but " + (
            "the charger cannot" if not asset.discharge_kw else "the vehicle has not negotiated it"
        )
    return (
        Stay(
            f"{asset.name}:{session.transaction_id}", asset.name, begun_ms, departs_ms, held_kwh,
            wanted_kwh, max(capacity_kwh, wanted_kwh), basis, agreed, said.reserve_kwh if said else 0.0, likely_kwh,
        ),
        note,
    )  # fmt: skip


def _about(one: Declared, session: Session) -> bool:
    if one.session:
        return one.session == session.transaction_id
    return one.at_ms >= session.first_ms - 6 * EARLIER_MS

"""Vehicles at chargers as a plan takes them: what they tell, what people declare, what is usual here. Expected numbers by hand."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aggregator.planning.stays import Declared, Needs, Usual, needs_of, stay_of, usual
from aggregator.sessions import Session
from aggregator.stores.store import StoredEvent
from wire.circuit import Asset
from wire.reading import Event, Json

ZONE = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000
NOW_MS = 1_795_147_200_000  # 2026-11-20 12:00 at the plant
PILE = Asset("pile", "charger", "garage", "gw-01", "pile", "charging_limit_kw", charge_kw=11.0, discharge_kw=11.0, charge_ratio=0.9, discharge_ratio=0.9)  # fmt: skip
HERE = Usual(5.0, 12.0, 30.0, 8)


def session(begun_ms: int = NOW_MS - HOUR_MS, wh: str = "0", **said: Any) -> Session:
    given: dict[str, Any] = {
        "edge": "gw-01", "device": "pile", "identity": "CP-1", "connector": 1, "transaction_id": "7", "operator_transaction_id": "", "id_token": "",
        "state": "running", "doing": "Charging", "started_at_ms": begun_ms, "ended_at_ms": None, "first_told_ms": begun_ms, "told_at_ms": NOW_MS,
        "energy_wh": Decimal(wh), "export_wh": None, "meter_start_wh": None, "register_wh": None, "meter_stop_wh": None, "baseline": "meter_start",
        "quality": "good", "missing_bound_wh": None, "reason": "", "revision": 1, "signed_values": 0, "gaps": (),
    }  # fmt: skip
    return Session(**(given | said))


def needs_event(needs: dict[str, Any], at_ms: int = NOW_MS - HOUR_MS) -> StoredEvent:
    request = {"evseId": 1, "chargingNeeds": needs}
    body: dict[str, Json] = {"action": "NotifyEVChargingNeeds", "request": json.dumps(request), "connector": 1}
    return StoredEvent("works", "gw-01", Event("n1", at_ms, "pile", "ev_charging_needs", body))


def test_a_bidirectional_vehicle_tells_need_departure_and_what_it_may_give_back() -> None:
    told = needs_of(
        [
            needs_event(
                {
                    "requestedEnergyTransfer": "AC_BPT", "departureTime": "2026-11-20T09:00:00Z",
                    "v2xChargingParameters": {"evTargetEnergyRequest": 24000, "evMinEnergyRequest": -10000, "evMaxEnergyRequest": 40000},
                }
            )
        ]
    )["gw-01", "pile"]  # fmt: skip
    assert told == [Needs(NOW_MS - HOUR_MS, NOW_MS + 5 * HOUR_MS, 24.0, 10.0, 40.0, both_ways=True)]
    # It came with at least the 10 kWh that it may give; 5 kWh (AC) have gone in since, 4.5 of them into the battery.
    stay, note = stay_of(PILE, session(wh="5000"), told, [], HERE, NOW_MS)
    assert (stay.session, stay.basis, stay.departs_ms, note) == ("pile:7", "vehicle", NOW_MS + 5 * HOUR_MS, "")
    assert stay.held_kwh == pytest.approx(14.5)
    assert (stay.need_kwh, stay.capacity_kwh) == (34.0, 50.0)
    assert not stay.gives_back  # nobody has agreed to it
    agreed = Declared("pile", NOW_MS, "anna", gives_back=True, reserve_kwh=8.0)
    stay, _ = stay_of(PILE, session(), told, [agreed], HERE, NOW_MS)
    assert (stay.gives_back, stay.reserve_kwh, stay.need_kwh) == (True, 8.0, 34.0)


def test_a_vehicle_that_takes_nothing_has_what_it_wants_until_it_takes_something_again() -> None:
    told = needs_of([needs_event({"requestedEnergyTransfer": "AC_three_phase", "acChargingParameters": {"energyAmount": 20000}})])["gw-01", "pile"]  # fmt: skip
    stay, note = stay_of(PILE, session(wh="20000", doing="SuspendedEV"), told, [], HERE, NOW_MS)
    assert stay.held_kwh == stay.need_kwh == stay.capacity_kwh == pytest.approx(18.0)  # 20 kWh (AC) at 90 %
    assert note == "pile: departure assumed, from 8 stays here; its vehicle takes nothing at 18.0 of 20.0 kWh"
    stay, note = stay_of(PILE, session(wh="20000"), told, [], HERE, NOW_MS)
    assert (stay.need_kwh, stay.capacity_kwh) == (20.0, 20.0)


def test_consent_against_what_the_vehicle_has_negotiated_is_none_and_that_is_said() -> None:
    told = needs_of([needs_event({"requestedEnergyTransfer": "AC_three_phase", "acChargingParameters": {"energyAmount": 15000}})])  # fmt: skip
    agreed = Declared("pile", NOW_MS, "anna", departs_ms=NOW_MS + HOUR_MS, gives_back=True)
    stay, note = stay_of(PILE, session(), told["gw-01", "pile"], [agreed], HERE, NOW_MS)
    assert (stay.gives_back, stay.need_kwh, stay.departs_ms) == (False, 15.0, NOW_MS + HOUR_MS)
    assert note == "pile: its owner agreed to give back, but the vehicle has not negotiated it"


def test_the_last_word_on_a_stay_counts_and_one_on_another_session_does_not() -> None:
    said = [
        Declared("pile", NOW_MS - HOUR_MS, "anna", NOW_MS + HOUR_MS, 10.0),
        Declared("pile", NOW_MS, "anna", NOW_MS + 2 * HOUR_MS, 11.0),
        Declared("pile", NOW_MS, "ben", NOW_MS + 9 * HOUR_MS, 99.0, session="8"),
    ]
    stay, _ = stay_of(PILE, session(), [], said, HERE, NOW_MS)
    assert (stay.departs_ms, stay.need_kwh, stay.basis) == (NOW_MS + 2 * HOUR_MS, 11.0, "declared")
    old = [Declared("pile", NOW_MS - 30 * HOUR_MS, "anna", NOW_MS + HOUR_MS, 10.0)]
    assert stay_of(PILE, session(), [], old, HERE, NOW_MS)[0].basis == "assumed"


def test_what_nobody_says_is_what_is_usual_here_and_is_marked() -> None:
    stay, note = stay_of(PILE, session(), [], [], HERE, NOW_MS)
    assert (stay.basis, stay.departs_ms, stay.need_kwh, stay.likely_need_kwh) == (
        "assumed",
        NOW_MS + 4 * HOUR_MS,
        12.0,
        30.0,
    )
    assert note == "pile: departure and energy assumed, from 8 stays here"
    overstayed, _ = stay_of(PILE, session(NOW_MS - 9 * HOUR_MS), [], [], HERE, NOW_MS)
    assert overstayed.departs_ms == NOW_MS + 60_000  # it is still there


def test_the_median_of_stays_that_began_about_the_same_hour() -> None:
    day_ms = 24 * HOUR_MS
    mornings = [
        session(
            NOW_MS - day * day_ms - 4 * HOUR_MS,
            wh=str(1000 * kwh),
            state="ended",
            ended_at_ms=NOW_MS - day * day_ms + 5 * HOUR_MS,
        )
        for day, kwh in enumerate([10, 12, 14, 16, 38], start=1)
    ]
    evenings = [
        replace(
            one, started_at_ms=(one.started_at_ms or 0) + 10 * HOUR_MS, ended_at_ms=(one.ended_at_ms or 0) + 2 * HOUR_MS
        )
        for one in mornings
    ]
    found = usual([*mornings, *evenings], NOW_MS - 4 * HOUR_MS, ZONE)
    assert (found.stay_h, found.kwh, found.sessions) == (9.0, 14.0, 5)
    assert found.likely_kwh == pytest.approx(29.2)  # between 16 and 38, at 0.6 of the way
    assert usual(mornings[:3], NOW_MS, ZONE).sessions == 0  # too few: no past


@pytest.mark.parametrize("request_body", ["{", '"x"', '{"chargingNeeds": 7}', '{"chargingNeeds": {"departureTime": "soon", "acChargingParameters": {"energyAmount": true}}}'])  # fmt: skip
def test_needs_that_cannot_be_read_say_nothing(request_body: str) -> None:
    event = Event("n1", NOW_MS, "pile", "ev_charging_needs", {"request": request_body})
    found = needs_of([StoredEvent("works", "gw-01", event)])
    assert all((one.departs_ms, one.need_kwh) == (None, None) for several in found.values() for one in several)

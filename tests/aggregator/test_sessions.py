"""Charging sessions from events: the same session whatever order they come in, its energy as it was told, nobody's token in clear."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_plant import LivePlant, Server, works

from aggregator.accounts.compile import Accounts
from aggregator.sessions import Session, masked, sessions, with_register
from aggregator.stores.store import CommittedBatch, Rows, StoredEvent
from wire.reading import Event

T0 = 1_790_000_000_000
MINUTE_MS = 60_000
TAG = "04A2F7B19C5E80"


def told(
    phase: str, at_ms: int, *, start: int | None = T0, number: str = "41", device: str = "cp-1", **body: Any
) -> StoredEvent:
    """An event as the driver words it."""
    name = f"transaction-{device}-{number}-{start}-{phase}" + (f"-{at_ms}" if phase == "updated" else "")
    if body.get("revision"):
        name += f"-{body['revision']}"
    whole = {
        "phase": phase, "transaction_id": number, "identity": "CP-1", "connector": 1, "id_tag": TAG, "state": "Charging",
        "started_at_ms": start, "meter_start_wh": 7_900_250, "baseline": "meter_start", "energy_kwh": "0", "quality": "good",
        "missing_bound_kwh": "0", **body,
    }  # fmt: skip
    return StoredEvent("works", "gw-02", Event(name, at_ms, device, "transaction", whole))


def ended(at_ms: int, kwh: str, **body: Any) -> StoredEvent:
    start = {"meter_stop_wh": 7_900_250 + int(Decimal(kwh) * 1000), "reason": "EVDisconnected", "signed": []}
    return told("ended", at_ms, ended_at_ms=at_ms, energy_kwh=kwh, **{**start, **body})


def signed(at_ms: int, number: str = "41", name: str = "") -> StoredEvent:
    body = {"text": "OCMF|{}|{}", "context": "Transaction.Begin", "transaction_id": number}
    return StoredEvent("works", "gw-02", Event(name or f"signed-{at_ms}", at_ms, "cp-1", "signed_meter_value", body))


WHOLE = [
    told("started", T0),
    told("updated", T0 + 15 * MINUTE_MS, energy_kwh="2.75"),
    told("updated", T0 + 30 * MINUTE_MS, energy_kwh="5.5", state="SuspendedEV"),
    signed(T0, name="s-1"),
    signed(T0 + 45 * MINUTE_MS, name="s-2"),
    ended(T0 + 45 * MINUTE_MS, "8.251", signed=["s-1", "s-2"]),
]


def one(events: list[StoredEvent]) -> Session:
    (found,) = sessions(events)
    return found


def test_a_session_is_what_its_end_says() -> None:
    found = one(WHOLE)
    assert (found.device, found.identity, found.connector, found.transaction_id) == ("cp-1", "CP-1", 1, "41")
    assert (found.state, found.started_at_ms, found.ended_at_ms) == ("ended", T0, T0 + 45 * MINUTE_MS)
    # 7908501 Wh - 7900250 Wh
    assert (found.meter_start_wh, found.meter_stop_wh, found.energy_wh) == (7_900_250, 7_908_501, Decimal(8251))
    assert (found.reason, found.quality, found.baseline, found.signed_values) == (
        "EVDisconnected", "good", "meter_start", 2,
    )  # fmt: skip
    assert found.gaps == ()


@given(st.permutations([*WHOLE, *WHOLE[1:3]]))
def test_late_repeated_and_disordered_events_give_the_same_session(events: list[StoredEvent]) -> None:
    assert sessions(events) == sessions(WHOLE)


def test_a_running_session_is_what_was_told_last() -> None:
    found = one(WHOLE[:3])
    assert (found.state, found.doing, found.energy_wh, found.ended_at_ms) == ("running", "SuspendedEV", 5500, None)
    assert (found.told_at_ms, found.meter_stop_wh, found.reason) == (T0 + 30 * MINUTE_MS, None, "")


def test_a_running_session_goes_on_with_its_counter() -> None:
    begun = told("started", T0, energy_kwh=None, quality="bad", why="no reading to count from")
    fresh = with_register(one([begun]), T0 + 60_000, 7900.433)
    assert (fresh.energy_wh, fresh.register_wh, fresh.told_at_ms, fresh.quality) == (
        183,
        7_900_433,
        T0 + 60_000,
        "good",
    )
    assert (one([begun]).gaps, one([begun]).quality) == ((), None)
    # older than what was told, below the begin, and of a session that has ended
    for session, at_ms, kwh in ((fresh, T0, 7901.0), (fresh, T0 + 90_000, 7900.2), (one(WHOLE), T0 + 10**7, 8000.0)):
        assert with_register(session, at_ms, kwh) is session


def test_a_counter_is_not_taken_for_a_session_that_was_not_counted_from_the_meters_start() -> None:
    found = one([told("started", T0, baseline="first_sample", energy_kwh="0.1")])
    assert with_register(found, T0 + 60_000, 7901.0) is found


def test_a_revised_end_takes_the_place_of_the_first_one_in_either_order() -> None:
    first = ended(T0 + 20 * MINUTE_MS, "1.0", reason="Superseded")
    second = ended(T0 + 25 * MINUTE_MS, "1.5", revision=1)
    for events in ([first, second], [second, first]):
        found = one([WHOLE[0], *events])
        assert (found.energy_wh, found.revision, found.ended_at_ms) == (1500, 1, T0 + 25 * MINUTE_MS)


def test_an_id_that_is_given_again_is_another_session() -> None:
    later = T0 + 600 * MINUTE_MS
    again = [told("started", later, start=later), ended(later + MINUTE_MS, "0.1", start=later)]
    for seed in range(20):
        events = [*WHOLE, *again]
        Random(seed).shuffle(events)
        assert [(s.started_at_ms, s.energy_wh) for s in sessions(events)] == [(T0, 8251), (later, 100)]


def test_a_start_that_is_told_late_belongs_to_its_session() -> None:
    """Taken on from its first sample, its start told afterwards."""
    unknown = [
        told("started", T0 + 1000, start=None, meter_start_wh=None, baseline=""),
        told("updated", T0 + 2000, start=None, energy_kwh="0.2"),
    ]
    assert (one(unknown).started_at_ms, one(unknown).gaps) == (None, ("begun before anybody listened",))
    known = [*unknown, told("updated", T0 + 3000), ended(T0 + 5000, "0.5")]
    for events in (known, known[::-1]):
        found = one(events)
        assert (found.started_at_ms, found.energy_wh, found.gaps) == (T0, 500, ())


def test_a_session_without_an_end_is_broken_once_another_began() -> None:
    later = told("started", T0 + 10**7, start=T0 + 10**7, number="42")
    first, second = sessions([*WHOLE[:3], later])
    assert (first.state, first.energy_wh, second.state) == ("broken", 5500, "running")
    assert first.gaps == ("its end has not arrived, and another has begun",)


def test_what_is_missing_or_doubtful_is_said() -> None:
    bound = {"baseline": "first_sample", "quality": "uncertain", "missing_bound_kwh": "0.367"}
    found = one(
        [ended(T0 + 10**6, "3", signed=["s-1", "s-2"], why="the counter began anew", **bound), signed(T0, name="s-1")]
    )
    assert (found.quality, found.missing_bound_wh, found.signed_values) == ("uncertain", 367, 1)
    assert found.gaps == (
        "its start has not arrived",
        "the counter began anew",
        "1 signed values have not arrived",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            lambda phase, body, at_ms: (phase, body, at_ms),
            st.sampled_from(("started", "updated", "ended")),
            st.dictionaries(st.sampled_from(sorted(WHOLE[5].event.body)), JSON, max_size=6),
            st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=6,
    )
)
def test_any_body_is_a_session_or_left_out(spoilt: list[tuple[str, dict[str, Any], int]]) -> None:
    events = [
        StoredEvent(
            "works", "gw", Event(str(index), at_ms, "cp-1", "transaction", {**told(phase, T0).event.body, **body})
        )
        for index, (phase, body, at_ms) in enumerate(spoilt)
    ]
    assert sessions(events) == sessions(events[::-1])


@pytest.mark.parametrize(
    ("token", "shown"),
    [(TAG, "…80"), ("04A2F7B1", "…B1"), ("1234567", "…"), ("", ""), ("h:0123456789abcdef01234567", "h:0123456789abcdef01234567")],
)  # fmt: skip
def test_a_token_is_never_shown_in_clear(token: str, shown: str) -> None:
    assert masked(token) == shown


# --- over HTTP


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = LivePlant(tmp_path_factory.mktemp("sessions"))
    made.now_ms = T0 + 120 * MINUTE_MS
    begun = told("started", T0 + 100 * MINUTE_MS, start=T0 + 100 * MINUTE_MS, number="43", device="charger")
    events = (*(stored.event for stored in WHOLE), begun.event)
    codes = np.zeros(0, np.uint8)
    empty = Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), codes, codes)
    made.store.commit(empty, [CommittedBatch("works", "gw-02", "e1", 1, b"x" * 32, T0, T0, 0, events[:3])])
    made.store.commit(empty, [CommittedBatch("works", "gw-02", "e1", 2, b"y" * 32, T0, T0, 0, events[2:])])
    made.put("charger", 7903.75, "energy_import_kwh", at_ms=T0 + 119 * MINUTE_MS)
    made.announce()
    with Server(made.services) as server, httpx.Client(base_url=server.url, timeout=10) as client:
        yield client
    made.close()


def ask(client: httpx.Client, **parameters: Any) -> httpx.Response:
    span = {"from": T0, "to": T0 + 120 * MINUTE_MS, **parameters}
    return client.get("/api/v1/facilities/works/sessions", params=span)


def test_sessions_over_http_have_their_energy_as_text_and_no_token(plant: httpx.Client) -> None:
    answer = ask(plant)
    assert answer.status_code == 200, answer.text
    assert TAG not in answer.text
    first, second = answer.json()["sessions"]
    assert (first["device"], first["energy_wh"], first["state"], first["signed_values"]) == ("cp-1", "8251", "ended", 2)
    assert (first["id_token"], first["gaps"]) == ("…80", [])
    # the counter stands at 7903.75 kWh, and the session began at 7900.25 kWh
    assert (second["state"], second["energy_wh"], second["register_wh"]) == ("running", "3500", "7903750")


def test_sessions_say_what_they_carry_under_the_profile_that_is_asked_for(tmp_path: Path) -> None:
    """By hand: 8,251 Wh of a pile without intervals, over what reaches the loads of a site without PV, storage or an hourly series."""
    made = LivePlant(tmp_path, facility=works(meters=works().meters[:1]))
    made.now_ms = T0 + 120 * MINUTE_MS
    codes = np.zeros(0, np.uint8)
    empty = Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), codes, codes)
    events = tuple(stored.event for stored in WHOLE)
    made.store.commit(empty, [CommittedBatch("works", "gw-02", "e1", 1, b"x" * 32, T0, T0, 0, events)])
    accounts = Accounts(made.ledger, [made.facility], tmp_path, made.clock)
    try:
        with (
            Server(replace(made.services, accounts=accounts)) as server,
            httpx.Client(base_url=server.url, timeout=10) as client,
        ):
            (session,) = ask(client).json()["sessions"]
            factor = Decimal("0.5827")  # Jiangsu 2023, the latest (emissions page, 2.4)
            assert (session["shape"], session["covered_percent"], session["g_per_kwh"]) == ("even", "100", "582.7")
            assert Decimal(session["kg"]) == Decimal("8.251") * factor
            refused = ask(client, profile="GHG")
            assert (refused.status_code, refused.json()["thing"]) == (422, "profile")
    finally:
        made.close()


def test_a_session_belongs_to_the_span_in_which_it_began(plant: httpx.Client) -> None:
    for span, devices in (
        ({"to": T0 + 1}, ["cp-1"]),
        ({"from": T0 + 1}, ["charger"]),
        ({"from": T0 + 1, "to": T0 + 90 * MINUTE_MS}, []),
        ({"device": "charger"}, ["charger"]),
    ):
        assert [session["device"] for session in ask(plant, **span).json()["sessions"]] == devices


def test_what_cannot_be_answered_is_refused_with_its_reason(plant: httpx.Client) -> None:
    for parameters, status, thing in (
        ({"limit": 1}, 422, "limit"),
        ({"to": T0}, 422, "to"),
        ({"to": T0 + 101 * 86_400_000}, 422, "to"),
        ({"device": "cp-9"}, 404, "device"),
        ({"tag": TAG}, 422, "tag"),
    ):
        answer = ask(plant, **parameters)
        assert (answer.status_code, answer.json()["thing"]) == (status, thing), parameters

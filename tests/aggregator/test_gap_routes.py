"""Gaps over a real server: which intervals nobody has measured, what they are estimated at, and who may enter that. Figures by hand."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from live_plant import START_MS, LivePlant, Server

from aggregator.person import Person, new_token
from aggregator.settings import Http

ANN, ANN_SHA = new_token()
EVE, EVE_SHA = new_token()
PERSONS = (Person("Ann", ANN_SHA, may=("enter",)), Person("Eve", EVE_SHA, may=("approve",)))
QUARTER = 900_000
FROM = START_MS - 2 * 86_400_000
PATH = "/api/v1/facilities/works/gaps"
SPAN = {"from": FROM, "to": FROM + 5 * QUARTER}


@pytest.fixture
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlant]:
    """A quarter of 10 kWh, three that nobody measured, one of 18: a straight line gives 12, 14 and 16."""
    made = LivePlant(tmp_path_factory.mktemp("plant"), http=Http(port=0, token="0123456789abcdef-token"))
    made.book(FROM, "10")
    made.book(FROM + 4 * QUARTER, "18")
    yield made
    made.close()


@pytest.fixture
def client(plant: LivePlant) -> Iterator[httpx.Client]:
    with (
        Server(replace(plant.services, persons=PERSONS)) as server,
        httpx.Client(base_url=server.url, timeout=20, headers={"X-Wattline-Write": "1"}) as made,
    ):
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def asked(client: httpx.Client, **more: Any) -> Any:
    answer = client.get(PATH, params=SPAN | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_gaps_are_listed_and_entered_by_one_who_may_and_a_second_time_nothing_is_new(
    plant: LivePlant, client: httpx.Client
) -> None:
    found = asked(client)
    (gap,) = found["gaps"]
    assert (gap["device"], gap["from_ms"], gap["to_ms"], gap["open"]) == (
        "incomer", FROM + QUARTER, FROM + 4 * QUARTER, False,
    )  # fmt: skip
    assert [(float(one["energy"]), one["rule"]) for one in gap["estimates"]] == [
        (12, "gap-linear"), (14, "gap-linear"), (16, "gap-linear"),
    ]  # fmt: skip
    assert (float(gap["energy"]), found["entered"], found["without_estimate"], found["doubtful"]) == (42, 0, 0, [])
    body = {"from_ms": SPAN["from"], "to_ms": SPAN["to"]}
    assert client.post(PATH, json=body).status_code == 401
    assert client.post(PATH, json=body, headers=bearer(EVE)).json()["expected"] == "enter"
    assert asked(client)["intervals"] == 3
    done = client.post(PATH, json=body, headers=bearer(ANN))
    assert (done.status_code, done.json()["entered"]) == (201, 3)
    rows = plant.ledger.intervals("works", "incomer", "energy_import_kwh", FROM, FROM + 5 * QUARTER)
    assert sum(row.energy_kwh for row in rows) == 10 + 12 + 14 + 16 + 18
    assert {row.grade.reason for row in rows} == {"", "gap-linear"}
    again = client.post(PATH, json=body, headers=bearer(ANN)).json()
    assert (again["entered"], again["intervals"]) == (0, 3)  # an estimate is no figure: better ones may be made of it


def test_an_energy_that_cannot_be_is_named_and_one_device_may_be_asked_for(
    plant: LivePlant, client: httpx.Client
) -> None:
    """A line of 1,000 kW carries 1.2 x 250 kWh in a quarter."""
    plant.book(FROM + QUARTER, "300.5", device="workshop")
    (one,) = asked(client)["doubtful"]
    assert (one["device"], one["energy"], one["most"]) == ("workshop", "300.5", "300")
    only = asked(client, device="incomer")
    assert ([gap["device"] for gap in only["gaps"]], only["doubtful"]) == (["incomer"], [])


@pytest.mark.parametrize(
    ("wrong", "status", "thing"),
    [({"to": FROM}, 422, "to"), ({"to": FROM + 101 * 86_400_000}, 422, "to"), ({"device": "other"}, 404, "device")],
)
def test_a_question_that_is_none_is_refused(
    client: httpx.Client, wrong: dict[str, Any], status: int, thing: str
) -> None:
    answer = client.get(PATH, params=SPAN | wrong)
    assert (answer.status_code, answer.json()["thing"]) == (status, thing)

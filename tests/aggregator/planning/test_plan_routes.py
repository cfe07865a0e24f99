"""Plans, offers, stays and prices over HTTP, and a target shared out over facilities. What they hold is checked beside the rounds."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from live_plant import Server
from planned_aggregator import Works, at_ms

from aggregator.planning.logged import take_up_plans
from aggregator.settings import Http

WRITE = {"X-Wattline-Write": "test"}
PATH = "/api/v1/facilities/works"


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    made = Works(Path(tmp_path_factory.mktemp("works")))
    made.past(days=2)
    made.read("battery", "state_of_charge_percent", 50.0)
    made.look()
    yield made
    made.aggregator._close()


@pytest.fixture(scope="module")
def client(works: Works) -> Iterator[httpx.Client]:
    services = replace(works.aggregator.services(), http=Http(port=0))
    with Server(services) as server, httpx.Client(base_url=server.url, timeout=20) as made:
        yield made


def test_plans_are_listed_and_the_current_one_says_why(client: httpx.Client) -> None:
    listed = client.get(f"{PATH}/plans").json()
    assert [one["id"] for one in listed["plans"]] == ["plan-1"]
    assert (listed["solved"], listed["stale"]) == (1, 0)
    current = client.get(f"{PATH}/plans/current").json()
    assert current == client.get(f"{PATH}/plans/plan-1").json()
    first = current["figures"]["explained"][0]
    assert first["words"].startswith("one more kWh costs CNY 0.3")
    assert [(one["edge"], one["state"]) for one in current["schedules"]] == [("gw-01", "sent")]


def test_metrics_tell_what_looks_have_come_to_and_their_processor_time(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    assert 'wattline_plan_looks_total{facility="works",outcome="solved"} 1.0' in text
    spent = next(
        line for line in text.splitlines() if line.startswith('wattline_plan_processor_seconds_total{facility="works"}')
    )
    assert float(spent.split()[1]) > 0


@pytest.mark.parametrize("name", ["plan-99", "plan-", "x", "plan-0"])
def test_a_plan_that_is_not_there_is_said(client: httpx.Client, name: str) -> None:
    answer = client.get(f"{PATH}/plans/{name}")
    assert (answer.status_code, answer.json()["thing"]) == (404, "plan")


def test_the_hash_of_a_plan_is_a_leaf_whose_proof_is_served(client: httpx.Client, works: Works) -> None:
    take_up_plans(works.planning.book, works.aggregator.audit)
    works.aggregator.audit.keep_up()
    proof = client.get("/api/v1/log/proof/inclusion", params={"plan": 1}).json()
    assert (proof["kind"], proof["number"]) == ("plan", 1)
    current = client.get(f"{PATH}/plans/plan-1").json()
    assert json.loads(proof["leaf"])["plan_sha256"] == current["plan_sha256"]


def test_offers_are_told_and_shared_out_over_facilities(client: httpx.Client) -> None:
    offers = client.get(f"{PATH}/offers").json()["offers"]
    assert offers["plan"] == "plan-1"
    portfolio = client.get("/api/v1/portfolio/offers").json()
    assert portfolio["without"] == []
    window = next(
        one
        for one in portfolio["windows"]
        if one["direction"] == "up" and one["from_ms"] == at_ms() and one["hours"] == 0.25
    )
    assert window["facilities"] == {"works": window["kw"]}
    body = {
        "direction": "up",
        "from_ms": at_ms(),
        "until_ms": at_ms(0.25),
        "target_kw": window["kw"] / 2,
        "prices": {"works": 0.5},
    }
    shared = client.post("/api/v1/portfolio/allocation", json=body, headers=WRITE).json()
    assert [(one["facility"], one["kw"]) for one in shared["shares"]] == [
        ("works", pytest.approx(window["kw"] / 2, abs=0.001))
    ]
    assert shared["shares"][0]["offers_sha256"] == offers["sha256"]
    assert (shared["lacking_kw"], shared["marginal_price"]) == (0.0, 0.5)
    failed = client.post("/api/v1/portfolio/allocation", json=body | {"failed": ["works"]}, headers=WRITE).json()
    assert (failed["shares"], failed["lacking_kw"]) == ([], pytest.approx(window["kw"] / 2, abs=0.001))
    stranger = client.post("/api/v1/portfolio/allocation", json=body | {"failed": ["depot"]}, headers=WRITE)
    assert (stranger.status_code, stranger.json()["seen"]) == (404, "depot")


def test_stays_and_prices_are_taken_with_their_author_and_refused_with_a_reason(client: httpx.Client) -> None:
    stay = {"asset": "pile", "departs_ms": at_ms(4), "need_kwh": 20.0, "by": "anna"}
    assert client.post(f"{PATH}/stays", json=stay, headers=WRITE).status_code == 201
    assert [(one["asset"], one["by"], one["at_ms"]) for one in client.get(f"{PATH}/stays").json()["stays"]] == [
        ("pile", "anna", at_ms())
    ]
    wrong = client.post(f"{PATH}/stays", json=stay | {"asset": "battery"}, headers=WRITE)
    assert (wrong.status_code, wrong.json()["expected"]) == (404, "one of pile")
    rows = [
        {"start_ms": at_ms(1), "end_ms": at_ms(2), "import_price": 0.9},
        {"start_ms": at_ms(2), "end_ms": at_ms(3), "import_price": 1.1},
    ]
    told = client.post(f"{PATH}/prices", json={"prices": rows, "version": "day-ahead", "by": "anna"}, headers=WRITE)
    assert told.json() == {"facility": "works", "version": "day-ahead", "rows": 2}
    backwards = client.post(f"{PATH}/prices", json={"prices": rows[::-1], "by": "anna"}, headers=WRITE)
    assert (backwards.status_code, backwards.json()["thing"]) == (422, "prices, row 2")
    assert client.post(f"{PATH}/prices", json={"prices": rows, "by": "anna"}).status_code == 403


def test_a_facility_that_is_not_planned_says_so(client: httpx.Client, works: Works) -> None:
    assert works.aggregator.planning.current("works") is not None
    answer = client.get("/api/v1/facilities/depot/plans")
    assert answer.status_code == 404

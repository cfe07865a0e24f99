"""Runs and restatements over HTTP, from a person's run to a published restatement. Figures by hand: kWh times the national factor."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_plant import LivePlant, Server

from aggregator.accounts.compile import Accounts
from aggregator.accounts.runs.record import Runs
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.person import Person, sha256_of
from aggregator.settings import Http

BASE = "/api/v1/facilities/works"
DAY = 86_400_000
TOKENS = {"Ann": "ann-0123456789abcdef", "Bo": "bo-0123456789abcdef"}
PERSONS = (Person("Ann", sha256_of(TOKENS["Ann"])), Person("Bo", sha256_of(TOKENS["Bo"]), may=("enter", "approve")))


class Desk:
    """A server over one day that is over, and two persons."""

    def __init__(self, directory: Path) -> None:
        facility = Facility(
            "works", "Asia/Shanghai", place="CN", meters=(MeterSpec("incomer", "gw-01", Decimal(5000), Role.MAIN),)
        )
        self.plant = LivePlant(directory, facility=facility, http=Http(port=0, token="server-0123456789abcdef"))
        self.from_ms = self.plant.now_ms // DAY * DAY - 8 * 3_600_000 - DAY
        self.span = {"from": str(self.from_ms), "to": str(self.from_ms + DAY), "profile": "GHGP-LB"}
        self.accounts = Accounts(self.plant.ledger, [facility], directory, self.plant.clock)
        self.runs = Runs(directory / "accounts.sqlite")
        self.services = replace(self.plant.services, accounts=self.accounts, runs=self.runs, persons=PERSONS)

    def own_factor(self, kg_per_kwh: str) -> None:
        changed = replace(
            self.accounts.facilities["works"], overrides=(FactorOverride(Decimal(kg_per_kwh), "laboratory"),)
        )
        self.accounts.facilities["works"] = changed

    def close(self) -> None:
        self.runs.close()
        self.plant.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.own_factor("0.5")
    made.plant.book(made.from_ms, *["10.25"] * 96)
    yield made
    made.close()


@pytest.fixture
def client(desk: Desk) -> Iterator[httpx.Client]:
    with Server(desk.services) as server, httpx.Client(base_url=server.url, timeout=20) as made:
        yield made


def post(client: httpx.Client, who: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    headers = {"authorization": f"Bearer {TOKENS[who]}", "x-wattline-write": "1"}
    answer = client.post(BASE + path, json=body, headers=headers)
    return answer.status_code, answer.json()


def got(client: httpx.Client, path: str, **asked: str) -> dict[str, Any]:
    answer = client.get(BASE + path, params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def frozen(client: httpx.Client, desk: Desk) -> dict[str, Any]:
    status, made = post(client, "Ann", "/runs", from_ms=desk.from_ms, to_ms=desk.from_ms + DAY)
    assert status == 201, made
    return made


def test_from_a_run_to_a_published_restatement(client: httpx.Client, desk: Desk) -> None:
    """984 kWh at 0.5 kg/kWh are 492 kg; at 0.4 they are 393.6 kg, 20 % less."""
    run = frozen(client, desk)
    assert (run["kg"], run["operator"], run["state"], run["intervals"]) == ("492.000", "Ann", "settled", 96)
    headers = {"authorization": f"Bearer {TOKENS['Ann']}", "x-wattline-write": "1"}
    answer = client.post(f"{BASE}/runs/1/approve", headers=headers)  # without a body: nothing need be said
    assert (answer.status_code, answer.json()["expected"]) == (403, "approve")
    assert post(client, "Bo", "/runs/1/approve", note="bills compared")[1]["approver"] == "Bo"
    assert post(client, "Ann", "/runs/1/publish")[1]["publication"] == 1
    desk.own_factor("0.4")
    (impact,) = got(client, "/impact")["impact"]
    assert (impact["bridge"]["delta_kg"], impact["bridge"]["delta_percent"], impact["reissue"]) == (
        "-98.4",
        "-20",
        True,
    )
    status, again = post(client, "Bo", "/publications/1/restate", reason="laboratory corrected it")
    assert (status, again["restates"], again["kg"]) == (201, 1, "393.600")
    status, problem = post(client, "Bo", "/runs/2/approve")
    assert (status, problem["thing"]) == (409, "run 2")
    assert (problem["expected"], problem["seen"]) == ("a second person", "Bo made it")
    totals = got(client, "/totals", **desk.span)
    assert (totals["kg"], totals["latest_kg"]) == ("492.000", "393.600")
    assert totals["series"][0]["bridge"]["causes"] == [{"cause": "factor", "kg": "-492/5", "shown_kg": "-98.4"}]
    listed = got(client, "/runs")
    assert [each["state"] for each in listed["runs"]] == ["published", "settled"]
    compared = got(client, "/runs/compare", first="1", second="2")
    assert compared["text"] == "0.492 -> 0.3936 t CO2e: -0.0984 t (-20 %) = factor -0.0984"


def test_a_run_is_read_verified_and_proven(client: httpx.Client, desk: Desk) -> None:
    made = frozen(client, desk)
    run = got(client, "/runs/1")
    assert [state["state"] for state in run["states"]] == ["settled"]
    assert [series["device"] for series in run["inputs"]] == ["incomer"]
    lines = client.get(f"{BASE}/runs/1/lines")
    assert lines.content == desk.runs.encoded(1)
    assert got(client, "/runs/1/verification") == {"run": 1, "same": True, "differences": []}
    proof = got(client, "/runs/1/interval", device="incomer", at=str(desk.from_ms + 900_000))
    assert proof["input_root"] == made["input_root"]


REFUSED: tuple[tuple[str, dict[str, str], int, str], ...] = (
    ("/runs/9", {}, 404, "run"),
    ("/runs/9/lines", {}, 404, "run"),
    ("/runs/0", {}, 422, "run"),
    ("/runs/compare", {"first": "1", "second": "2"}, 404, "run"),
    ("/runs/1/interval", {"device": "incomer", "at": "17"}, 404, "interval"),
    ("/runs/1/record", {"no": "1"}, 404, "record"),
    ("/totals", {"from": "0", "to": "900000", "profile": "BEST"}, 422, "profile"),
    ("/totals", {"from": "0", "to": "900000", "view": "as_of"}, 422, "as_of"),
)


def test_what_there_is_none_of_is_refused_with_its_name(client: httpx.Client, desk: Desk) -> None:
    frozen(client, desk)
    for path, asked, status, thing in REFUSED:
        answer = client.get(BASE + path, params=asked)
        assert (path, answer.status_code, answer.json()["thing"]) == (path, status, thing)

"""Activity records, notices and exports over a real server: who may do what, and that a record counts once two persons stand behind it."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from live_plant import START_MS, LivePlant, Server

from aggregator.accounts.compile import Accounts
from aggregator.person import Person, new_token
from aggregator.settings import Http

ANN, ANN_SHA = new_token()
BO, BO_SHA = new_token()
PERSONS = (Person("Ann", ANN_SHA, may=("enter", "approve")), Person("Bo", BO_SHA, may=("approve",)))
HEAD = "source,kind,subject,class,from,to,unit,quantity,parameters,evidence\n"
ROW = "furnace,process,carbon,process,2018-01-01,2019-01-01,t,30,carbon_ratio=1; oxidation_ratio=1,weighed\n"
MADE = "line,production,plate,process,2018-01-01,2019-01-01,t,55,fossil_carbon_ratio=0.01,dispatch book\n"
SPAN = {"from": "2018-01-01T00:00:00+08:00", "to": "2019-01-01T00:00:00+08:00"}
BASE = "/api/v1/facilities/works"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    plant = LivePlant(tmp_path_factory.mktemp("plant"), http=Http(port=0, token="0123456789abcdef-token"))
    facility = replace(plant.facility, meters=())
    accounts = Accounts(plant.ledger, [facility], tmp_path_factory.mktemp("data"), lambda: START_MS + 10**12)
    services = replace(plant.services, accounts=accounts, persons=PERSONS)
    with (
        Server(services) as server,
        httpx.Client(base_url=server.url, timeout=20, headers={"X-Wattline-Write": "1"}) as made,
    ):
        yield made
    plant.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_from_a_file_to_an_export(client: httpx.Client) -> None:
    """30 t of carbon are 110 t of CO2, over 55 t of plate 2 t/t: by hand."""
    content = (HEAD + ROW + MADE).encode()
    assert client.post(f"{BASE}/activities", headers=bearer(BO), content=content).status_code == 403
    assert client.post(f"{BASE}/activities", headers=bearer(ANN), content=content).json() == {
        "new": 2,
        "corrected": 0,
        "unchanged": 0,
    }
    drafted = client.get(f"{BASE}/activities").json()["activities"]
    assert [(one["source"], one["approved"], one["by"]) for one in drafted] == [
        ("furnace", False, "Ann"),
        ("line", False, "Ann"),
    ]
    decision = {"numbers": [one["no"] for one in drafted], "decision": "approved"}
    refused = client.post(f"{BASE}/activities/decisions", headers=bearer(ANN), json=decision)
    assert (refused.status_code, "expected a second person, Ann recorded it" in refused.json()["seen"]) == (422, True)
    assert client.post(f"{BASE}/activities/decisions", headers=bearer(BO), json=decision).status_code == 201
    (row,) = client.get(f"{BASE}/products", params=SPAN).json()["rows"]
    assert (row["total_t"], row["t_per_unit"]) == ("110", "2")
    told = client.get(f"{BASE}/export", params=SPAN | {"profile": "CBAM", "format": "csv"})
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    assert "plate,55,110,0,2,0,0,0," in told.text
    versions = client.get(f"{BASE}/activities", params={"versions": "true"}).json()["activities"]
    assert [(one["state"], one["decided_by"]) for one in versions] == [("approved", "Bo")] * 2


@pytest.mark.parametrize(
    ("path", "params", "said"),
    [
        ("export", {"profile": "ESRS"}, "one of CN-GBT, CBAM, PACT, GHGP"),
        ("export", {"profile": "PACT"}, "its name and a URN such as"),
        ("products", {"profile": "ops"}, "one of OPS"),
    ],
)
def test_what_cannot_be_exported_is_said(client: httpx.Client, path: str, params: dict[str, str], said: str) -> None:
    told = client.get(f"{BASE}/{path}", params=SPAN | params)
    assert told.status_code == 422
    assert said in told.json()["expected"]


def test_a_file_with_a_fault_is_refused_with_its_line(client: httpx.Client) -> None:
    bad = client.post(
        f"{BASE}/activities",
        headers=bearer(ANN),
        content=(HEAD + ROW.replace(",30,", ",many,")).encode(),
        params={"file": "june.csv"},
    )
    assert (bad.status_code, bad.json()["thing"]) == (422, "june.csv")
    assert "june.csv:2: quantity: expected a decimal number" in bad.json()["seen"]
    assert client.post(f"{BASE}/activities", headers=bearer(ANN), content=b"\xff\xfe").status_code == 422


def test_a_notice_needs_two_persons(client: httpx.Client) -> None:
    body = {"year": 2018, "place_level": "national", "submitted_by": "2019-03-31", "document": "No. 1"}
    entered = client.post("/api/v1/notices", headers=bearer(ANN), json=body)
    assert (entered.status_code, entered.json()["approved_by"]) == (201, "")
    number = entered.json()["no"]
    assert client.post(f"/api/v1/notices/{number}/approve", headers=bearer(ANN), json={}).status_code == 422
    assert client.post(f"/api/v1/notices/{number}/approve", headers=bearer(BO), json={}).json()["approved_by"] == "Bo"
    assert [one["document"] for one in client.get("/api/v1/notices").json()] == ["No. 1"]
    again = client.post("/api/v1/notices", headers=bearer(ANN), json=body | {"submitted_by": "2019-02-30"})
    assert (again.status_code, again.json()["expected"]) == (422, "a day such as 2026-03-31")

"""Statements and factor decisions over a real server: what they answer, who may decide, how they refuse."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest
from live_plant import START_MS, LivePlant, Server

from aggregator.accounts.compile import Accounts
from aggregator.emissions.packfile import parse
from aggregator.person import Person, new_token
from aggregator.settings import Http

ANN, ANN_SHA = new_token()
BO, BO_SHA = new_token()
PERSONS = (Person("Ann", ANN_SHA, may=("enter", "approve")), Person("Bo", BO_SHA, may=("approve",)))
SPAN = {"from": START_MS - 1_800_000, "to": START_MS}
PACK = """
reason = ""
[source.mine]
title = "Contract 12"
issuer = "Works"
number = "12"
published_on = 2025-01-01
[[table]]
kind = "electricity"
source = "mine"
table = "1"
columns = ["id", "gas", "region", "facility", "data_year", "value", "unit", "mark", "evidence"]
rows = [["elec.own", "CO2", "CN", "works", "", "0.41", "kg/kWh", "", "contract 12"]]
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path_factory.mktemp("plant"), http=Http(port=0, token="0123456789abcdef-token"))
    made.book(START_MS - 1_800_000, "12.50", "10.00")
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(plant: LivePlant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("data")
    accounts = Accounts(plant.ledger, [plant.facility], data, plant.clock)
    headers = {"X-Wattline-Write": "1"}
    with (
        Server(replace(plant.services, accounts=accounts, persons=PERSONS)) as server,
        httpx.Client(base_url=server.url, timeout=20, headers=headers) as made,
    ):
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def statement(client: httpx.Client, **asked: Any) -> Any:
    answer = client.get("/api/v1/facilities/works/statement", params=SPAN | asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def scope2(made: Any) -> list[Any]:
    return [line for line in made["lines"] if line["counts"] == "scope2"]


def test_a_statement_has_exact_sums_and_its_canonical_lines_are_what_is_hashed(client: httpx.Client) -> None:
    made = statement(client, as_of=START_MS + 900_000)
    (line,) = scope2(made)
    assert line["quantity"] == "22.50"
    factor = line["factor"]
    # 22.5 kWh x the factor of the facility's province
    assert made["scopes_kg"] == made["kg"]["scope2"]
    assert float(made["scopes_kg"]) == pytest.approx(22.5 * float(factor["kg_per_unit"]), rel=1e-12)
    raw = client.get("/api/v1/facilities/works/statement/lines", params=SPAN | {"as_of": START_MS + 900_000}).content
    assert hashlib.sha256(raw).hexdigest() == made["sha256"]
    assert [json.loads(line) for line in raw.splitlines()][1:] == made["lines"]


def test_a_carbon_price_is_shown_beside_the_kg_and_never_within_them(client: httpx.Client) -> None:
    """kg x 100 CNY/t / 1000: a tenth of the kg."""
    at = {"as_of": START_MS + 900_000}
    price = {"price_per_t": "100", "price_currency": "CNY", "price_source": "national ETS, 2025-06-30"}
    plain, priced = statement(client, **at), statement(client, **at, **price)
    assert (plain["costs"], plain | {"costs": priced["costs"]}) == ([], priced)
    assert statement(client, **at, lines=False) == plain | {"lines": None}
    (of,) = priced["costs"]
    assert [Decimal(row["cost"]) for row in of["rows"]] == [Decimal(plain["scopes_kg"]) / 10] * 2
    assert [(used["price_per_t"], used["source"]) for used in of["prices"]] == [("100", "national ETS, 2025-06-30")]
    report = client.get(
        "/api/v1/facilities/works/report", params=SPAN | at | price | {"format": "json", "profile": "GHGP-LB,GHGP-MB"}
    )
    assert [each["profile"] for each in report.json()["costs"]] == ["GHGP-LB", "GHGP-MB"]
    assert report.json()["costs"][0]["rows"][0]["cost"] == of["rows"][0]["cost"]
    for path in ("statement", "report"):
        refused = client.get(f"/api/v1/facilities/works/{path}", params=SPAN | price | {"price_currency": ""})
        assert (refused.status_code, refused.json()["thing"]) == (422, "price_per_t, price_currency, price_source")


@pytest.mark.parametrize(
    ("asked", "thing"), [({"profile": "BEST"}, "profile"), ({"to": START_MS + 1}, "span"), ({"form": "x"}, "form")]
)
def test_a_question_that_is_none_is_refused_with_its_key(
    client: httpx.Client, asked: dict[str, Any], thing: str
) -> None:
    answer = client.get("/api/v1/facilities/works/statement", params=SPAN | asked)
    assert (answer.status_code, answer.json()["thing"]) == (422, thing)


def test_a_factor_needs_two_persons_and_then_it_is_in_the_statement(plant: LivePlant, client: httpx.Client) -> None:
    unread = client.post("/api/v1/factors/packs?name=mine", content=PACK, headers=bearer(ANN))
    assert unread.status_code == 422, "nobody has read the table against its document"
    tables = parse("mine", tomllib.loads(PACK)).tables
    read = (
        PACK
        + "[reviewed]\n"
        + "".join(f"{json.dumps(name)} = {json.dumps(sha256)}\n" for name, sha256 in tables.items())
    )
    assert client.post("/api/v1/factors/packs?name=mine", content=read, headers=bearer(BO)).status_code == 403
    assert client.post("/api/v1/factors/packs?name=mine", content=read, headers=bearer(ANN)).json()["new"] == 1
    before = statement(client)
    decision = {"id": "elec.own", "decision": "approved", "reason": "read"}
    own = client.post("/api/v1/factors/decisions", json=decision, headers=bearer(ANN))
    assert (own.status_code, "second person" in own.json()["seen"]) == (422, True)
    unnamed = client.post(
        "/api/v1/factors/decisions", json=decision | {"by": "Bo"}, headers=bearer("0123456789abcdef-token")
    )
    assert unnamed.status_code == 403, "the server's token is nobody's"
    assert statement(client)["lines"] == before["lines"]
    plant.now_ms += 1000
    assert client.post("/api/v1/factors/decisions", json=decision, headers=bearer(BO)).status_code == 201
    after = statement(client)
    assert (after["scopes_kg"], scope2(after)[0]["factor"]["id"]) == ("9.2250", "override.works")  # 22.50 kWh x 0.41
    assert client.post("/api/v1/factors/decisions", json=decision, headers=bearer(BO)).status_code == 422
    misprint = {"id": "elec.cn.grid.avg", "region": "CN-JS", "decision": "withdrawn", "reason": "misprint"}
    several = client.post("/api/v1/factors/decisions", json=misprint, headers=bearer(BO))
    assert (several.status_code, "data_year 2021, 2022, 2023" in several.json()["seen"]) == (422, True)
    one = client.post("/api/v1/factors/decisions", json=misprint | {"data_year": 2023}, headers=bearer(BO))
    assert [each["data_year"] for each in one.json()["decided"]] == [2023]

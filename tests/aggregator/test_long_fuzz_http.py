"""Thousands of strange requests to every path and method of the API's own description: none is a fault of the server."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_plant import START_MS, LivePlant

from aggregator.accounts.checks.challenges import Challenges
from aggregator.accounts.checks.lineage import Lineage
from aggregator.accounts.checks.samples import Samples
from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.record import Runs
from aggregator.app import create_app
from aggregator.audit.export import Exporter
from aggregator.audit.log import AuditLog
from aggregator.flexibility.events.conduct import Conduct
from aggregator.flexibility.events.record import EventRecord
from aggregator.footprint.own_use import OwnRecords
from aggregator.forecasting import Forecasting
from aggregator.services import Services
from aggregator.settings import Http
from aggregator.trust import Trust

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
ANSWERED_WITHIN_S = 20.0
UNSERVED = ("commands", "edges", "checkpoint")

GOOD = {
    "facility": ["works"], "alarm": ["A-1"], "device": ["incomer", "roof", "battery"], "quantity": ["active_power_kw", "energy_import_kwh"],
    "edge": ["gw-01"], "from": [START_MS - 3_600_000, START_MS, "2026-11-21T16:00:00+08:00"], "to": [START_MS + 60_000, START_MS + 600_000],
    "resolution_s": [1, 60, 900], "resolution": ["auto", "raw"], "limit": [10], "run": [1, 7], "publication": [1], "profile": ["GHGP-LB", "GHGP-MB", "OPS"], "as_of": [START_MS + 900_000], "format": ["json", "csv", "html"],
    "start": [START_MS - 900_000], "view": ["latest"], "event": ["DR-1"], "override": ["OV-1"], "answer": ["accept", "decline", "opt-out", "cancel"],
}  # fmt: skip
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 2**31, 2**53, 2**63, 2**64, 10**30, "1e309", "0x10", "1_000", "٣", "nan"])
)
strange = st.text(max_size=12) | st.sampled_from(
    ["", "\x00", "../..", "%", "null", "' OR 1=1 --", "<b>", "é" * 400, "a" * 4000]
)
times = st.sampled_from(
    ["2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-11-21", "now", "24:00"]
)
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


class Api:
    """The application in this process, asked without a socket."""

    def __init__(self, services: Services) -> None:
        self._loop = asyncio.new_event_loop()
        app = create_app(services)
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=30)
        paths = json.loads(self.ask("GET", "/api/v1/openapi.json").content)["paths"]
        self.operations = [
            (method.upper(), path, operation)
            for path, methods in sorted(paths.items())
            for method, operation in methods.items()
            if not path.endswith("/live")  # a stream never ends; its faulty parameters stand in tests/cases/http
        ]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        asked = self._client.request(method, path, **options)
        return self._loop.run_until_complete(asyncio.wait_for(asked, ANSWERED_WITHIN_S))

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    plant = LivePlant(tmp_path_factory.mktemp("plant"), http=Http(port=0, allowed_hosts=("127.0.0.1",)))
    plant.run_to(START_MS + 300_000)
    plant.book(START_MS - 1_800_000, "12.50", "10.00")
    plant.announce()
    plant.alarms.raise_alarm("works", "device_offline", "offices", "gw-01")
    data = tmp_path_factory.mktemp("data")
    records, facilities = data / ACCOUNTS_NAME, [plant.facility]
    accounts = Accounts(plant.ledger, facilities, data, plant.clock)
    with ExitStack() as open_meanwhile:
        audit = AuditLog(data, plant.store, "plant-1", plant.clock)
        open_meanwhile.callback(audit.close)
        runs, samples, challenges = Runs(records), Samples(records), Challenges(records)
        own = OwnRecords(records)
        forecasting = Forecasting(plant.ledger, facilities, data, plant.clock, boosting=False)
        events = EventRecord(data / "events.sqlite")
        for each in (runs, samples, challenges, own, forecasting, events):
            open_meanwhile.callback(each.close)
        conduct = Conduct(events, accounts, plant.store, plant.alarms, plant.clock)
        wanted = {"from_ms": START_MS + 900_000, "to_ms": START_MS + 2_700_000, "target_kw": 50}
        conduct.ask(conduct.said(plant.facility, "http", "operator", wanted))
        stop = {"scope": "facility", "name": "", "what": "stop", "until_ms": START_MS + 900_000, "reason": "drill"}
        conduct.override("works", stop, "operator")
        services = replace(
            plant.services,
            accounts=accounts,
            audit=audit,
            evidence=Exporter(audit, plant.store, Trust([])),
            lineage=Lineage(accounts, plant.settler, audit),
            runs=runs,
            samples=samples,
            challenges=challenges,
            forecasting=forecasting,
            own_records=own,
            conduct=conduct,
        )
        made = Api(services)
        yield made
        made.close()
    plant.close()


@st.composite
def value_of(draw: st.DrawFn, name: str) -> str:
    """Mostly one that is good for this name, so that the other parameters are looked at too."""
    if name in GOOD and draw(st.integers(0, 3)):
        return str(draw(st.sampled_from(GOOD[name])))
    return str(draw(numbers | strange | times))


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_is_answered_with_a_fault_of_the_server(api: Api, data: st.DataObject) -> None:
    method, path, operation = data.draw(st.sampled_from(api.operations))
    query: list[tuple[str, str]] = []
    for parameter in operation.get("parameters", []):
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace("{" + name + "}", quote(data.draw(value_of(name)), safe="") or "-")
        elif parameter["in"] == "query" and (parameter.get("required") or data.draw(st.booleans())):
            query += [(name, data.draw(value_of(name)))] * data.draw(st.sampled_from([1, 1, 1, 1, 2]))
    if data.draw(st.integers(0, 9)) == 0:
        query.append((data.draw(strange), data.draw(strange)))
    headers = {"X-Wattline-Write": "test"} if data.draw(st.integers(0, 4)) else {}
    options: dict[str, Any] = {"params": query, "headers": headers}
    if "requestBody" in operation or data.draw(st.integers(0, 19)) == 0:
        kind = data.draw(st.sampled_from(["json", "bytes", "csv"]))
        if kind == "json":
            options["content"] = json.dumps(data.draw(bodies)).encode()
            headers["content-type"] = "application/json"
        elif kind == "csv":
            options["content"] = b"start,energy_kwh\n" + data.draw(st.binary(max_size=80))
            headers["content-type"] = "text/csv"
        else:
            options["content"] = data.draw(st.binary(max_size=200))
    asked = (
        method
        if data.draw(st.integers(0, 19))
        else data.draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]))
    )
    response = api.ask(asked, path, **options)
    # This plant has no broker, no gateways that compute, and no signed checkpoint, which the routes of these say.
    unserved = response.status_code == 503 and (asked == "HEAD" or response.json()["thing"] in UNSERVED)
    assert response.status_code < 500 or unserved, (response.status_code, asked, path, query, response.text)
    if response.status_code >= 400 and asked != "HEAD":
        problem = response.json()
        assert set(problem) == {"error", "thing", "expected", "seen"}, (asked, path, query)
        assert len(response.content) < 4_000
    elif (
        asked != "HEAD" and response.headers.get("content-type", "").startswith("application/json") and response.content
    ):
        json.loads(response.content, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_there_is_something_to_ask(api: Api) -> None:
    assert len(api.operations) >= 12
    assert {"GET", "POST"} <= {method for method, _, _ in api.operations}

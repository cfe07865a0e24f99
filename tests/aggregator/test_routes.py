"""The HTTP interface over a real server: what it answers, how it refuses, who may write."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_plant import START_MS, LivePlant, Server, powers_kw

from aggregator.app import serve
from aggregator.gather import no_rows
from aggregator.settings import Http
from aggregator.stores.store import CommittedBatch
from wire.reading import Event

CASES = Path(__file__).parent.parent / "cases" / "http"
WORKS = "/api/v1/facilities/works"
WRITE = {"X-Wattline-Write": "test"}
TOKEN = "0123456789abcdef-token"
EVENTS_MS = START_MS - 86_400_000
EVENTS = (
    Event("e1", EVENTS_MS, "roof", "counter", {"change": "reset", "before": {"at_ms": 1, "raw": "12.50"}}),
    Event("e2", EVENTS_MS + 1, "", "alarm", {"code": "x"}),
    Event("e3", EVENTS_MS + 2, "charger", "alarm", {"code": "GroundFailure"}),
    Event("e4", EVENTS_MS + 3, "charger", "transaction", {"id_tag": "04A2F1C2", "energy_kwh": None}),
    Event("e5", EVENTS_MS + 4, "charger", "transaction", {"id_tag": "h:0123456789abcdef01234567", "energy_kwh": "1.5"}),
)
HOSTS = ("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlant]:
    """Ten minutes of readings, with 100 s of silence from 200 s on, and two booked intervals."""
    made = LivePlant(tmp_path_factory.mktemp("plant"), http=Http(port=0, allowed_hosts=HOSTS))
    made.run_to(START_MS + 200_000)
    made.now_ms = START_MS + 300_000
    made.run_to(START_MS + 600_000)
    made.book(START_MS - 1_800_000, "12.50", "10.00")
    made.book(START_MS - 900_000, "3.25", device="workshop")
    made.edges["gw-02"] = replace(
        made.edges["gw-02"], clock_synced=True, clock_offset_ms=-2, clock_error_ms=12, clock_skew_ms=250
    )
    made.announce()
    made.store.commit(
        no_rows(), [CommittedBatch("works", "gw-02", "e9", 1, bytes(32), EVENTS_MS, EVENTS_MS, 0, EVENTS)]
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(plant: LivePlant) -> Iterator[httpx.Client]:
    with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=10) as made:
        yield made


def guarded(directory: Path, **http: Any) -> LivePlant:
    return LivePlant(directory, http=Http(port=0, token=TOKEN, **http))


def answer(client: httpx.Client, path: str, **parameters: Any) -> Any:
    response = client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def test_facilities_are_listed_with_their_meters_and_decimals_as_text(client: httpx.Client) -> None:
    (found,) = answer(client, "/api/v1/facilities")["facilities"]
    assert (found["id"], found["time_zone"], found["connection_kw"]) == ("works", "Asia/Shanghai", "1000")
    assert found["meters"][0] == {
        "device": "incomer", "edge": "gw-01", "role": "main", "carrier": "electricity", "show": "grid",
        "rated_power_kw": "1000", "multiplier": "1", "parent": "", "accuracy_percent": None,
    }  # fmt: skip
    assert answer(client, WORKS) == found


def test_devices_have_state_protocol_contact_and_quality(client: httpx.Client) -> None:
    found = {entry["device"]: entry for entry in answer(client, f"{WORKS}/devices")["devices"]}
    assert found["roof"] == {
        "device": "roof", "edge": "gw-02", "state": "online", "protocol": "Modbus TCP", "model": "sunspec_103",
        "last_contact_ms": START_MS + 600_000, "quality": "g",
    }  # fmt: skip


def test_each_edge_says_how_its_clock_stands(client: httpx.Client) -> None:
    found = {entry["edge"]: entry for entry in answer(client, f"{WORKS}/edges")["edges"]}
    clock = {key: value for key, value in found["gw-02"].items() if key.startswith("clock_")}
    assert clock == {"clock_synced": True, "clock_offset_ms": -2, "clock_error_ms": 12, "clock_skew_ms": 250}
    assert found["gw-01"]["clock_synced"] is None


def test_events_are_listed_newest_first_by_kind_device_and_time(client: httpx.Client) -> None:
    span = {"from": EVENTS_MS, "to": EVENTS_MS + 100}
    found = answer(client, f"{WORKS}/events", **span)
    assert [entry["id"] for entry in found["events"]] == ["e5", "e4", "e3", "e2", "e1"]
    assert found["complete"] is True
    assert found["events"][-1] == {
        "id": "e1", "at_ms": EVENTS_MS, "edge": "gw-02", "device": "roof", "kind": "counter",
        "body": {"change": "reset", "before": {"at_ms": 1, "raw": "12.50"}},
    }  # fmt: skip
    assert [e["id"] for e in answer(client, f"{WORKS}/events", kind="alarm", **span)["events"]] == ["e3", "e2"]
    assert [e["id"] for e in answer(client, f"{WORKS}/events", device="charger", **span)["events"]] == [
        "e5",
        "e4",
        "e3",
    ]
    newest = answer(client, f"{WORKS}/events", limit=2, **span)
    assert ([entry["id"] for entry in newest["events"]], newest["complete"]) == (["e5", "e4"], False)
    assert answer(client, f"{WORKS}/events", **{"from": EVENTS_MS + 5, "to": EVENTS_MS + 6})["events"] == []


def test_no_event_shows_who_charged(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/events", kind="transaction", **{"from": EVENTS_MS, "to": EVENTS_MS + 100})
    assert [entry["body"]["id_tag"] for entry in found["events"]] == ["h:0123456789abcdef01234567", "…C2"]
    assert [entry["body"]["energy_kwh"] for entry in found["events"]] == ["1.5", None]


def test_latest_gives_each_series_with_its_unit(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/latest", device="battery")["readings"]
    assert [(entry["quantity"], entry["unit"]) for entry in found] == [
        ("active_power_kw", "kW"),
        ("state_of_charge_percent", "%"),
    ]
    assert found[0]["value"] == powers_kw(START_MS / 1000 + 600)["battery"]
    assert found[0]["at_ms"] == START_MS + 600_000


def test_raw_history_is_what_was_read(client: httpx.Client) -> None:
    found = answer(
        client,
        f"{WORKS}/history",
        device="roof",
        quantity="active_power_kw",
        **{"from": START_MS, "to": START_MS + 4000},
    )
    assert found["at_ms"] == [START_MS + second * 1000 for second in (1, 2, 3)]
    assert found["value"] == [powers_kw(START_MS / 1000 + second)["roof"] for second in (1, 2, 3)]
    assert found["quality"] == ["g", "g", "g"]
    assert (found["unit"], found["resolution_s"]) == ("kW", None)


def test_times_may_be_written_with_an_offset(client: httpx.Client) -> None:
    wanted = {
        "device": "roof",
        "quantity": "active_power_kw",
        "from": "2026-11-21T16:00:00+08:00",
        "to": START_MS + 4000,
    }
    assert len(answer(client, f"{WORKS}/history", **wanted)["at_ms"]) == 3


def test_buckets_are_means_and_what_was_not_read_is_null(client: httpx.Client) -> None:
    wanted = {
        "device": "roof",
        "quantity": "active_power_kw",
        "resolution": "100",
        "from": START_MS + 1,
        "to": START_MS + 600_001,
    }
    found = answer(client, f"{WORKS}/history", **wanted)
    assert len(found["value"]) == 6
    assert found["value"][2] is None
    assert found["quality"][2] is None
    assert found["readings"] == [100, 100, 0, 100, 100, 100]
    first = [powers_kw(START_MS / 1000 + second)["roof"] for second in range(1, 101)]
    assert found["value"][0] == pytest.approx(sum(first) / 100)
    assert (found["low"][0], found["high"][0]) == (min(first), max(first))


def test_a_series_for_the_chart_adds_up_and_keeps_its_gap(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/series", points=600, **{"from": START_MS, "to": START_MS + 600_000})
    assert found["step_ms"] == 1000
    columns = found["y"]
    at = found["t"].index(START_MS + 100_000)
    assert columns["grid"][at] == powers_kw(START_MS / 1000 + 100)["incomer"]
    assert columns["load"][at] == pytest.approx(
        columns["grid"][at] - columns["pv"][at] - columns["sto"][at] - columns["ev"][at], abs=0.01
    )
    silent = [found["t"].index(START_MS + second * 1000) for second in (210, 250, 299)]
    assert all(columns[part][at] is None for part in columns for at in silent)


def test_a_longer_span_has_longer_steps_not_more_points(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/series", points=100, **{"from": START_MS, "to": START_MS + 600_000})
    assert (found["step_ms"], len(found["t"])) == (10_000, 60)


def test_intervals_are_exact_text_with_state_and_version(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/intervals", device="incomer", **{"from": START_MS - 1_800_000, "to": START_MS})
    assert [
        (entry["start_ms"] - START_MS, entry["energy_kwh"], entry["state"], entry["version"])
        for entry in found["intervals"]
    ] == [
        (-1_800_000, "12.50", "final", 1),
        (-900_000, "10.00", "final", 1),
    ]


def test_intervals_of_all_meters_come_together(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/intervals", **{"from": START_MS - 900_000, "to": START_MS})
    assert {entry["device"]: entry["energy_kwh"] for entry in found["intervals"]} == {
        "incomer": "10.00",
        "workshop": "3.25",
    }


def test_emissions_lead_back_to_energy_factor_and_source(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/emissions", **{"from": START_MS - 1_800_000, "to": START_MS})
    first = found["emissions"][0]
    assert (first["energy_kwh"], first["kg"]) == ("12.50", "7.283750")  # 12.50 x 0.5827
    factor = first["factor"]
    assert (factor["kg_per_kwh"], factor["data_year"], factor["region"], factor["version"]) == (
        "0.5827",
        2023,
        "CN-JS",
        1,
    )
    assert {"provisional", "fallback_latest"} <= set(factor["marks"])
    assert "47" in factor["source"]


def test_a_total_says_how_much_it_covers(client: httpx.Client) -> None:
    total = answer(client, f"{WORKS}/emissions", detail="none", **{"from": START_MS - 3_600_000, "to": START_MS})[
        "total"
    ]
    assert (total["kg"], total["energy_kwh"]) == ("13.110750", "22.50")  # 22.50 x 0.5827
    assert (total["covered"], total["expected"]) == (2, 4)


def test_only_main_meters_emit(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/emissions", **{"from": START_MS - 900_000, "to": START_MS})
    assert [entry["device"] for entry in found["emissions"]] == ["incomer"]


def test_the_factor_of_now_and_the_registry_can_be_read(client: httpx.Client) -> None:
    assert answer(client, f"{WORKS}/factor")["factor"]["kg_per_kwh"] == "0.5827"
    found = answer(client, "/api/v1/factors")
    assert any((row["region"], row["data_year"], row["value"]) == ("CN-JS", 2023, "0.5827") for row in found["factors"])
    (diesel,) = [row for row in found["registry"] if row["id"] == "fuel.diesel.ncv"]
    assert (diesel["value"], diesel["unit"], diesel["status"], diesel["mark"]) == ("42.652", "GJ/t", "approved", "A")
    assert "GB/T 32151" in diesel["document"]
    assert len(diesel["table_sha256"]) == 64


def test_edges_show_their_delivery(client: httpx.Client) -> None:
    found = answer(client, f"{WORKS}/edges")["edges"]
    assert [(entry["edge"], entry["state"], entry["watermark"], entry["backlog"]) for entry in found] == [
        ("gw-01", "online", 4711, 2),
        ("gw-02", "online", 4711, 2),
    ]


def test_an_alarm_is_acknowledged_once_and_the_feed_hears_it(client: httpx.Client, plant: LivePlant) -> None:
    raised = plant.alarms.raise_alarm("works", "device_offline", "offices", "gw-01")
    assert [entry["id"] for entry in answer(client, f"{WORKS}/alarms")["alarms"]] == [raised.id]
    path = f"/api/v1/alarms/{raised.id}/acknowledge"
    with client.stream("GET", f"{WORKS}/live") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: snapshot"
        response = client.post(path, json={"by": "Li Wei", "note": "fuse"}, headers=WRITE)
        assert (response.status_code, response.json()["state"]) == (200, "ack")
        next(line for line in lines if line == "event: alarm")
        next(lines)
        told = json.loads(next(lines).removeprefix("data: "))
    assert (told["id"], told["st"], told["by"], told["note"]) == (raised.id, "ack", "Li Wei", "fuse")
    again = client.post(path, json={}, headers=WRITE)
    assert (again.status_code, again.json()["error"]) == (409, "already acknowledged")
    plant.alarms.clear("works", "device_offline", "offices")
    assert answer(client, f"{WORKS}/alarms")["alarms"] == []
    assert [entry["state"] for entry in answer(client, f"{WORKS}/alarms", since=0)["alarms"]] == ["normal"]


def test_a_stream_starts_with_everything_and_the_snapshot_is_the_same(client: httpx.Client) -> None:
    with client.stream("GET", f"{WORKS}/live") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in stream.headers
        data = next(line for line in stream.iter_lines() if line.startswith("data: "))
    once = answer(client, f"{WORKS}/live/snapshot")
    first = json.loads(data.removeprefix("data: "))
    assert {**first, "t": 0} == {**once, "t": 0}


def test_a_server_that_is_full_says_when_to_come_back(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path)
    plant.feed._viewers_max = 0
    with Server(plant.services) as server:
        response = httpx.get(f"{server.url}{WORKS}/live")
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert "at most 0 viewers" in response.json()["error"]
    plant.close()


def test_every_answer_forbids_foreign_scripts_frames_and_guessing(client: httpx.Client) -> None:
    for path in ("/", "/static/app.css", "/api/v1/facilities", "/api/v1/nothing", "/healthz"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_long_answers_are_compressed_where_the_caller_can_unpack_them(client: httpx.Client) -> None:
    wanted = {"points": 600, "from": START_MS, "to": START_MS + 600_000}
    assert client.get(f"{WORKS}/series", params=wanted).headers["content-encoding"] == "gzip"


def test_the_description_of_the_interface_names_every_path(client: httpx.Client) -> None:
    description = answer(client, "/api/v1/openapi.json")
    for path in (
        "latest",
        "history",
        "series",
        "intervals",
        "emissions",
        "alarms",
        "edges",
        "devices",
        "live",
        "live/snapshot",
    ):
        assert f"/api/v1/facilities/{{facility}}/{path}" in description["paths"]
    assert {"/healthz", "/readyz", "/metrics"} <= set(description["paths"])


def test_no_page_of_the_server_loads_from_another_origin(client: httpx.Client) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404


def test_alive_and_ready_are_two_things(client: httpx.Client, plant: LivePlant) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    plant.not_ready["mqtt"] = "not connected to 127.0.0.1:1883"
    response = client.get("/readyz")
    plant.not_ready["mqtt"] = None
    assert response.status_code == 503
    assert response.json() == {"ready": False, "parts": {"store": None, "mqtt": "not connected to 127.0.0.1:1883"}}
    assert client.get("/healthz").status_code == 200


def test_with_a_token_writes_need_it_and_reads_on_loopback_do_not(tmp_path: Path) -> None:
    plant = guarded(tmp_path)
    raised = plant.alarms.raise_alarm("works", "device_offline", "offices")
    path = f"/api/v1/alarms/{raised.id}/acknowledge"
    with Server(plant.services) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/api/v1/facilities").status_code == 200
        assert client.post(path, json={}, headers=WRITE).status_code == 401
        assert client.post(path, json={}, headers={**WRITE, "Authorization": f"Bearer {TOKEN}x"}).status_code == 401
        assert client.post(path, json={}, headers={**WRITE, "Authorization": f"Basic {TOKEN}"}).status_code == 401
        assert client.post(path, json={}, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 403
        assert client.post(path, json={}, headers={**WRITE, "Authorization": f"Bearer {TOKEN}"}).status_code == 200
    plant.close()


def test_the_token_starts_a_session_that_scripts_cannot_read_and_that_ends(tmp_path: Path) -> None:
    plant = guarded(tmp_path, open_reads=False)
    with Server(plant.services) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/").status_code == 200
        for path in ("/api/v1/facilities", f"{WORKS}/live", f"{WORKS}/latest", "/metrics"):
            assert client.get(path).status_code == 401
        started = client.post("/api/v1/session", json={"token": TOKEN}, headers=WRITE)
        cookie = started.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert client.get("/api/v1/facilities").status_code == 200
        plant.now_ms += 12 * 3_600_000
        assert client.get("/api/v1/facilities").status_code == 401
        assert client.get("/healthz").status_code == 200
    plant.close()


def test_without_a_token_a_server_on_a_network_takes_no_writes(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, http=Http(host="0.0.0.0", port=0))
    with Server(plant.services) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        response = httpx.post(f"{url}/api/v1/alarms/A-1/acknowledge", json={}, headers=WRITE)
    assert (response.status_code, response.json()["thing"]) == (403, "WATTLINE_TOKEN")
    plant.close()


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        plant = LivePlant(tmp_path, http=Http(port=port))
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}"):
            asyncio.run(serve(plant.services, lambda _: None, asyncio.Event()))
    plant.close()


def raw(url: str, request: bytes) -> bytes:
    """What the server answers to these bytes."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(client: httpx.Client) -> None:
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n"
    found = raw(str(client.base_url).rstrip("/"), head)
    assert found.startswith(b"HTTP/1.1 413")
    assert b"body too large" in found


def test_a_stop_ends_open_streams_with_bye_within_three_seconds(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path)
    server = Server(plant.services).__enter__()
    with httpx.Client(base_url=server.url, timeout=10) as client, client.stream("GET", f"{WORKS}/live") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: snapshot"
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
        rest = list(lines)
    at = rest.index("event: bye")
    assert json.loads(rest[at + 1].removeprefix("data: ")) == {"reason": "shutdown"}
    plant.close()


async def test_two_hundred_viewers_cost_less_than_a_tenth_of_a_core(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path)
    plant.announce()
    plant.run_to(START_MS + 5000)
    with Server(plant.services) as server:
        host, port = server.url.removeprefix("http://").split(":")
        request = f"GET {WORKS}/live HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        viewers = []
        for _ in range(200):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            viewers.append((reader, writer))
        await asyncio.gather(*(reader.readuntil(b"event: snapshot") for reader, _ in viewers))
        assert plant.feed.viewers == 200
        before = server.cpu_s()
        seconds = 4
        for _ in range(seconds):
            plant.run_to(plant.now_ms + 1000)
            await asyncio.gather(*(asyncio.wait_for(reader.readuntil(b"event: delta"), 5) for reader, _ in viewers))
        share = (server.cpu_s() - before) / seconds
        for _, writer in viewers:
            writer.close()
    assert share < 0.1, f"{share:.3f} of a core"
    plant.close()


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_each_bad_request_gets_one_clear_answer(client: httpx.Client, path: Path) -> None:
    case = json.loads(path.read_text())
    request = case["request"]
    body = request.get("body")
    content = None if body is None else ("[" * 100_000 if body == "[*100000" else body).encode()
    response = client.request(
        request["method"], request["path"], headers=request.get("headers"), json=request.get("json"), content=content
    )
    expected = case["expect"]
    assert response.status_code == expected["status"], response.text
    problem = response.json()
    assert set(problem) == {"error", "thing", "expected", "seen"}
    for name, text in expected["problem"].items():
        assert text in problem[name], problem


def test_there_are_enough_bad_requests_as_files() -> None:
    assert len(list(CASES.glob("*.json"))) >= 15

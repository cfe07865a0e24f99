"""Import over HTTP: CSV and JSON rows, exact totals, nothing twice, bad rows named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_plant import LivePlant, Server

from aggregator.imports import import_of
from aggregator.settings import Http

PATH = "/api/v1/facilities/works/import"
CSV = {"X-Wattline-Write": "test", "Content-Type": "text/csv"}
DAY = "2024-03-05T"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path, http=Http(port=0))
    yield made
    made.close()


@pytest.fixture
def client(plant: LivePlant) -> Iterator[httpx.Client]:
    with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=20) as made:
        yield made


def send(client: httpx.Client, text: str, **query: Any) -> httpx.Response:
    return client.post(PATH, params={"device": "incomer", **query}, content=text.encode(), headers=CSV)


def test_intervals_of_a_file_are_kept_with_every_digit_and_booked(client: httpx.Client) -> None:
    text = f"time,energy_kwh\n{DAY}00:00,3.17\n{DAY}00:15,4.001\n{DAY}00:30,0\n"
    found = send(client, text).json()
    assert (found["rows"], found["new"], found["bad"], found["total_kwh"], found["booked"]) == (3, 3, 0, "7.171", 3)
    assert found["to_ms"] - found["from_ms"] == 3 * 900_000
    wanted = {"from": found["from_ms"], "to": found["to_ms"], "device": "incomer"}
    intervals = client.get("/api/v1/facilities/works/intervals", params=wanted).json()["intervals"]
    assert [(row["energy_kwh"], row["source"]) for row in intervals] == [
        ("3.17", "import"),
        ("4.001", "import"),
        ("0", "import"),
    ]


def test_times_without_an_offset_are_the_facilitys(client: httpx.Client) -> None:
    local = send(client, f"time,energy_kwh\n{DAY}08:00,1\n").json()
    assert send(client, f"time,energy_kwh\n{DAY}00:00Z,1\n").json()["new"] == 0
    assert local["new"] == 1


def test_the_same_file_again_changes_nothing(client: httpx.Client) -> None:
    text = f"time,energy_kwh\n{DAY}00:00,3.17\n{DAY}00:15,4.001\n"
    assert send(client, text).json()["new"] == 2
    again = send(client, text).json()
    assert (again["rows"], again["new"], again["total_kwh"]) == (2, 0, "7.171")


def test_a_bad_row_is_named_with_its_line_and_stops_no_other(client: httpx.Client) -> None:
    found = send(client, f"time,energy_kwh\n{DAY}00:00,3.17\nyesterday,1\n{DAY}00:30,2\n").json()
    assert (found["rows"], found["bad"]) == (2, 1)
    (fault,) = found["faults"]
    assert (fault["line"], fault["column"]) == (3, "time")
    assert "yesterday" in fault["seen"]


def test_rows_of_the_future_are_named_and_not_taken(client: httpx.Client) -> None:
    for kind in ("interval", "counter"):
        found = send(client, f"time,energy_kwh\n{DAY}00:00,3.17\n2030-01-01T00:00,5\n", kind=kind).json()
        assert (found["new"], found["bad"], found["faults"][0]["line"]) == (1, 1, 3)


def test_a_correction_needs_a_reason_and_a_name_and_says_who_it_was(plant: LivePlant, client: httpx.Client) -> None:
    wrong, right = (f"time,energy_kwh\n{DAY}00:00,{kwh}\n" for kwh in ("30", "3"))
    send(client, wrong)
    assert send(client, right).json()["bad"] == 1
    assert send(client, right, reason="the point was lost").json()["thing"] == "by"
    assert send(client, right, by="Li Na").status_code == 422
    assert send(client, right, reason="?", by="Li Na", kind="counter").status_code == 422
    plant.now_ms += 1000
    assert send(client, right, reason="the point was lost", by="Li Na").json()["new"] == 1
    (row,) = plant.ledger.intervals("works", "incomer", "energy_import_kwh", 0, 2**60)
    assert (row.energy_kwh, row.version) == (3, 2)
    brought = import_of(plant.ledger, row, plant.now_ms)
    assert brought is not None
    assert (brought.reason, brought.by) == ("the point was lost", "Li Na")


def test_rows_may_come_as_json(client: httpx.Client) -> None:
    rows = [{"time": 1_709_568_000_000, "energy_kwh": "3.17"}, {"time": f"{DAY}00:15:00+08:00", "energy_kwh": "4.001"}]
    response = client.post(
        PATH, params={"device": "incomer"}, json={"rows": rows}, headers={"X-Wattline-Write": "test"}
    )
    assert (response.json()["rows"], response.json()["total_kwh"]) == (2, "7.171")


def test_counter_readings_go_to_the_store_and_the_settler_hears_of_them(plant: LivePlant) -> None:
    heard: list[Any] = []
    object.__setattr__(plant.services, "note", lambda *span: heard.append(span))
    with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        found = send(client, f"time,energy_kwh\n{DAY}00:00,1000.5\n{DAY}00:15,1003.25\n", kind="counter").json()
    assert (found["rows"], found["new"]) == (2, 2)
    ((series, from_ms, to_ms),) = heard
    assert (series.device, series.quantity, to_ms - from_ms) == ("incomer", "energy_import_kwh", 900_000)


@pytest.mark.parametrize(
    ("query", "text", "status", "says"),
    [
        ({"device": "boiler"}, "time,energy_kwh\n", 422, "expected a meter of works"),
        ({}, "start,energy_kwh\n", 422, "expected a column 'time'"),
        ({}, "", 422, "an empty file"),
        ({}, "time,energy_kwh\n", 422, "at least one row"),
        (
            {"quantity": "gas_volume_m3", "unit": "m3"},
            f"time,energy_kwh\n{DAY}00:00,3\n",
            422,
            "a meter for electricity",
        ),
        ({"unit": "GJ"}, "time,energy_kwh\n", 422, "unit must be one of"),
        ({"time_zone": "China"}, "time,energy_kwh\n", 422, "IANA zone"),
        ({"interval_s": 7}, "time,energy_kwh\n", 422, "must divide a day"),
        ({"kind": "guess"}, "time,energy_kwh\n", 422, "guess"),
        ({"file": "../../etc/passwd"}, "time,energy_kwh\n", 422, "passwd"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason(
    client: httpx.Client, query: dict[str, Any], text: str, status: int, says: str
) -> None:
    response = send(client, text, **query)
    assert response.status_code == status
    assert says in response.text


def test_a_file_that_is_no_text_is_refused(client: httpx.Client) -> None:
    response = client.post(PATH, params={"device": "incomer"}, content=b"time,energy_kwh\n\xff\xfe,1\n", headers=CSV)
    assert (response.status_code, response.json()["error"]) == (422, "file unusable")


@pytest.mark.parametrize(
    "body",
    ["[]", "{", '{"rows": [{"time": 1, "energy_kwh": 3.17}]}', '{"rows": [{"time": -1, "energy_kwh": "1"}]}', '{"rows": [], "x": 1}', "[" * 50_000],
)  # fmt: skip
def test_json_that_is_not_rows_is_refused(client: httpx.Client, body: str) -> None:
    headers = {"X-Wattline-Write": "test", "Content-Type": "application/json"}
    response = client.post(PATH, params={"device": "incomer"}, content=body, headers=headers)
    assert response.status_code == 422
    assert response.json()["error"] == "bad body"


def test_other_content_is_refused(client: httpx.Client) -> None:
    response = client.post(
        PATH,
        params={"device": "incomer"},
        content=b"x",
        headers={"X-Wattline-Write": "test", "Content-Type": "text/html"},
    )
    assert (response.status_code, response.json()["thing"]) == (415, "Content-Type")


def test_an_import_is_a_write(client: httpx.Client) -> None:
    assert (
        client.post(PATH, params={"device": "incomer"}, content=b"", headers={"Content-Type": "text/csv"}).status_code
        == 403
    )

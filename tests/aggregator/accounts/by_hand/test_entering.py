"""What people enter by HTTP, by file and by command: what is taken, what is refused and why, and what the figures make of it.

By hand: the meter carries 1000 kW, so 1.2 x 1000 x 24 h = 28,800 kWh a day at most. Its factor is 0.5 kg/kWh.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from live_plant import LivePlant, Server

from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.imports import ImportOptions, import_csv
from aggregator.ledger import IntervalRow
from aggregator.settings import Http
from aggregator.settle import Settler
from aggregator.stores.store import Rows, SeriesKey
from wattline.command import main

D = Decimal
PATH = "/api/v1/facilities/works/hand-readings"
WRITE = {"X-Wattline-Write": "test"}
DAY_MS = 86_400_000
T = 1_777_593_600_000  # 2026-05-01T00:00Z
METERS = (
    MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D("0.001"), modulus_kwh=D(1_000_000)),
    MeterSpec("clamp", "gw", D(100), Role.SUB, counted=False),
)
FACILITY = Facility("works", "Asia/Shanghai", place="CN", meters=METERS, overrides=(FactorOverride(D("0.5"), "test"),))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path, facility=FACILITY, http=Http(port=0))
    made.now_ms = T + 40 * DAY_MS
    yield made
    made.close()


@pytest.fixture
def client(plant: LivePlant) -> Iterator[httpx.Client]:
    with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=30) as made:
        yield made


def post(client: httpx.Client, path: str = "", **body: Any) -> httpx.Response:
    said = {"device": "incomer", "evidence": "photo 17", "by": "Li Na", **body}
    return client.post(PATH + path, json=said, headers=WRITE)


def read_off(client: httpx.Client, day: float, kwh: str, **more: Any) -> httpx.Response:
    return post(client, at_ms=T + round(day * DAY_MS), display_kwh=kwh, **more)


def finals(plant: LivePlant) -> list[IntervalRow]:
    plant.settler.settle(patient=False)
    rows = plant.ledger.intervals("works", "incomer", "energy_import_kwh", 0, 2**60)
    return [row for row in rows if row.final]


def test_two_displays_a_month_apart_are_a_month_of_energy_and_emissions(plant: LivePlant, client: httpx.Client) -> None:
    first = read_off(client, 0, "1000.5")
    assert (first.status_code, first.json()["place"], first.json()["version"]) == (201, "joins", 1)
    assert read_off(client, 30, "73000.5").status_code == 201
    rows = finals(plant)
    assert (len(rows), sum(row.energy_kwh for row in rows)) == (2880, D(72_000))
    assert plant.books.total("works", T, T + 30 * DAY_MS).kg == D(36_000)
    assert read_off(client, 30, "73000.5").json()["new"] is False


def test_what_the_meter_cannot_have_counted_is_refused_with_what_it_can(client: httpx.Client) -> None:
    read_off(client, 0, "1000")
    too_much = read_off(client, 1, "29801")
    assert (too_much.status_code, too_much.json()["thing"]) == (422, "display_kwh")
    assert too_much.json()["expected"].startswith("1000.000 to 29800.000 kWh")
    assert read_off(client, 1, "29800").status_code == 201
    too_little = read_off(client, 0.5, "15000").json()  # 14,400 kWh are left for the other half
    assert too_little["expected"].startswith("15400.000 to 29800.000 kWh")
    assert read_off(client, 2, "999").status_code == 422


def test_a_rollover_of_the_known_modulus_is_no_fault(plant: LivePlant, client: httpx.Client) -> None:
    read_off(client, 0, "999000")
    assert read_off(client, 1, "8600").status_code == 201  # 9,600 kWh
    assert sum(row.energy_kwh for row in finals(plant)) == 9600
    assert read_off(client, 2, "1000000").json()["expected"].startswith("less than the 1000000")


REFUSED = [
    ({"evidence": " "}, "evidence"),
    ({"by": ""}, "by"),
    ({"device": "boiler"}, "device"),
    ({"device": "clamp"}, "quantity"),
    ({"quantity": "heat_energy_kwh"}, "quantity"),
    ({"at_ms": T + 90 * DAY_MS}, "at"),
    ({"display_kwh": "123456789.12345678"}, "kwh"),
    ({"display_kwh": "-1"}, "display_kwh"),
]


def test_what_is_missing_or_wrong_is_named(plant: LivePlant, client: httpx.Client) -> None:
    for body, thing in REFUSED:
        refused = post(client, **{"at_ms": T, "display_kwh": "1", **body})
        assert (refused.status_code, refused.json()["thing"].rpartition(".")[2]) == (422, thing), body
    assert plant.hand.series() == []


def test_a_correction_needs_a_reason_and_both_versions_stay(plant: LivePlant, client: httpx.Client) -> None:
    read_off(client, 0, "1000")
    read_off(client, 1, "5800")
    assert sum(row.energy_kwh for row in finals(plant)) == 4800
    assert read_off(client, 1, "8500").json()["thing"] == "reason"
    assert read_off(client, 1, "8500", reason="digits swapped").json()["version"] == 2
    rows = finals(plant)
    assert (sum(row.energy_kwh for row in rows), {row.version for row in rows}) == (D(7500), {2})
    found = client.get(PATH, params={"from": T, "to": T + 9 * DAY_MS}).json()["readings"]
    assert [(each["version"], each["place"], each["by"]) for each in found] == [
        (1, "joins", "Li Na"), (1, "superseded", "Li Na"), (2, "joins", "Li Na"),
    ]  # fmt: skip
    gone = post(client, "/withdraw", at_ms=T + DAY_MS, reason="another meter's photo")
    assert (gone.status_code, gone.json()["place"]) == (201, "withdrawn")
    assert finals(plant) == []
    assert plant.books.total("works", T, T + DAY_MS).kg is None
    read_off(client, 1, "8500", reason="it was this meter's")
    assert {row.version for row in finals(plant)} == {3}


def test_beside_measured_readings_a_display_is_only_compared(plant: LivePlant, client: httpx.Client) -> None:
    plant.book(T, "90")
    series = plant.store.ids([SeriesKey("works", "gw", "incomer", "energy_import_kwh")])
    at_ms = np.array([T + n * 60_000 for n in range(61)], np.int64)
    value = np.array([1000.0 + n for n in range(61)])
    n = len(at_ms)
    plant.store.commit(Rows(np.repeat(series, n), at_ms, value, np.zeros(n, np.uint8), np.zeros(n, np.uint8)), [])
    told = post(client, at_ms=T + 30 * 60_000 + 30_000, display_kwh="1033").json()
    assert (told["place"], told["off_kwh"]) == ("beside", "2.500")  # the meter stood at 1030.5


def test_a_withdrawn_first_reading_takes_its_figures_back(plant: LivePlant, client: httpx.Client) -> None:
    """By hand: without a display before the one of the second day nothing is known of the first, and one display alone is no energy."""
    read_off(client, 0, "1000")
    read_off(client, 1, "5800")
    read_off(client, 2, "8200")
    assert sum(row.energy_kwh for row in finals(plant)) == 7200
    assert post(client, "/withdraw", at_ms=T, reason="another meter's photo").status_code == 201
    rows = finals(plant)
    assert (len(rows), rows[0].start_ms, sum(row.energy_kwh for row in rows)) == (96, T + DAY_MS, D(2400))
    assert plant.books.total("works", T, T + 2 * DAY_MS).kg == D(1200)
    series = SeriesKey("works", "gw", "incomer", "energy_import_kwh")
    assert plant.ledger.boundaries(series, 0, T + DAY_MS) == []
    for day in (1, 2):
        post(client, "/withdraw", at_ms=T + day * DAY_MS, reason="another meter's photo")
    assert (finals(plant), plant.books.total("works", T, T + 2 * DAY_MS).kg) == ([], None)
    assert plant.ledger.boundaries(series, 0, 2**60) == []


def test_what_was_withdrawn_before_a_restart_takes_its_figures_back_after_it(
    plant: LivePlant, client: httpx.Client
) -> None:
    for day, kwh in enumerate(("1000", "5800")):
        read_off(client, 40 * day / 2, kwh)
    assert len(finals(plant)) == 20 * 96
    for at_ms in (T, T + 20 * DAY_MS):
        post(client, "/withdraw", at_ms=at_ms, reason="another meter's photo")
        restarted = Settler(plant.store, plant.ledger, [FACILITY], plant.clock, books=plant.books, hand=plant.hand)
        restarted.settle(patient=False)
        assert plant.ledger.intervals("works", "incomer", "energy_import_kwh", 0, 2**60) == []
    assert plant.books.total("works", T, T + 20 * DAY_MS).kg is None


def test_a_withdrawn_reading_before_an_exchange_takes_the_energy_across_it_back(
    plant: LivePlant, client: httpx.Client
) -> None:
    read_off(client, 0, "90000")
    sheet = {"old_last_kwh": "94800", "new_first_kwh": "12", "reason": "calibration was due"}
    assert post(client, "/exchange", at_ms=T + DAY_MS, **sheet).status_code == 201
    read_off(client, 2, "2412")
    assert sum(row.energy_kwh for row in finals(plant)) == 4800 + 2400
    post(client, "/withdraw", at_ms=T, reason="another meter's photo")
    rows = finals(plant)
    assert (rows[0].start_ms, sum(row.energy_kwh for row in rows)) == (T + DAY_MS, D(2400))
    post(client, "/withdraw", at_ms=T + DAY_MS, reason="the sheet is of another meter")
    assert finals(plant) == []


def test_a_withdrawal_leaves_the_figures_of_a_gateway_before(plant: LivePlant, client: httpx.Client) -> None:
    plant.book(T + DAY_MS // 2, "7")  # found by no display of this series
    read_off(client, 1, "5800")
    read_off(client, 2, "8200")
    finals(plant)
    post(client, "/withdraw", at_ms=T + DAY_MS, reason="another meter's photo")
    assert [row.energy_kwh for row in finals(plant)] == [D(7)]


def test_an_interval_by_hand_stands_until_it_is_measured(plant: LivePlant, client: httpx.Client) -> None:
    quarter = {"start_ms": T, "energy_kwh": "22.5"}
    assert post(client, "/amounts", **quarter).json()["version"] == 1
    (row,) = finals(plant)
    assert (row.energy_kwh, row.source, row.grade.reason) == (D("22.5"), "manual", "manual")
    assert plant.books.total("works", T, T + 900_000).kg == D("11.25")
    assert post(client, "/amounts", start_ms=T, energy_kwh="23").json()["thing"] == "reason"
    assert post(client, "/amounts", start_ms=T, energy_kwh="23", reason="misread").json()["version"] == 2
    assert post(client, "/amounts", start_ms=T + 1000, energy_kwh="1").json()["thing"] == "start"
    plant.book(T, "24")
    (row,) = finals(plant)
    assert (row.energy_kwh, row.source, row.version) == (D(24), "measured", 3)
    refused = post(client, "/amounts", start_ms=T, energy_kwh="25", reason="I saw it")
    assert (refused.status_code, refused.json()["seen"]) == (422, "24 kWh (measured) at 2026-05-01T00:00:00Z")


def test_an_interval_by_hand_corrects_an_imported_one_and_says_why(
    plant: LivePlant, client: httpx.Client, tmp_path: Path
) -> None:
    file = tmp_path / "may.csv"
    options = ImportOptions("works", "incomer")

    def imported(*rows: str) -> list[str]:
        file.write_text("\n".join(["start,energy_kwh", *rows, ""]))
        return [str(fault) for fault in import_csv(file, options, plant.books).faults]

    assert imported("2026-05-01T00:00,300", "2026-05-01T00:15,4") == []
    plant.now_ms += 1
    right = {"start_ms": T, "energy_kwh": "3"}
    refused = post(client, "/amounts", **right)
    assert (refused.json()["thing"], refused.json()["expected"]) == ("reason", "why the imported 300 kWh is corrected")
    assert post(client, "/amounts", start_ms=T, energy_kwh="300", reason="?").json()["thing"] == "kwh"
    assert post(client, "/amounts", **right, reason="the point was lost").json()["version"] == 1
    row, other = finals(plant)
    assert (row.energy_kwh, row.source, row.version, other.energy_kwh, other.source) == (3, "manual", 2, 4, "import")
    old, _ = plant.ledger.interval_versions(row)
    assert (old.row.energy_kwh, old.row.source, old.superseded_at_ms) == (300, "import", plant.now_ms)
    assert plant.books.total("works", T, T + 1_800_000).kg == D("3.5")  # 7 kWh x 0.5
    assert plant.books.total("works", T, T + 1_800_000, plant.now_ms - 1).kg == 152
    assert imported("2026-05-01T00:00,300") == [
        "may.csv:2: energy_kwh: expected 3 kWh, which stands for 2026-05-01T00:00:00Z (manual), got 300 kWh"
    ]
    assert [row.energy_kwh for row in finals(plant)] == [3, 4]


def test_a_meter_that_is_only_read_by_hand_can_be_exchanged(plant: LivePlant, client: httpx.Client) -> None:
    read_off(client, 0, "90000")
    sheet = {"old_last_kwh": "94800", "new_first_kwh": "12", "reason": "calibration was due"}
    decided = post(client, "/exchange", at_ms=T + DAY_MS, **sheet)
    assert decided.status_code == 201
    read_off(client, 2, "2412")
    rows = finals(plant)
    assert sum(row.energy_kwh for row in rows) == 4800 + 2400
    assert sum(row.energy_kwh for row in rows[:96]) == 4800
    said = client.get("/api/v1/facilities/works/counter-changes", params={"from": T, "to": plant.now_ms}).json()
    assert [(each["change"], each["state"], each["evidence"]) for each in said["decisions"]] == [
        ("exchange", "in_force", "photo 17")
    ]


def test_an_exchange_long_after_the_last_round_is_taken(plant: LivePlant, client: httpx.Client) -> None:
    read_off(client, 0, "90000")
    sheet = {"old_last_kwh": "94800", "new_first_kwh": "12", "reason": "calibration was due"}
    assert post(client, "/exchange", at_ms=T + 33 * DAY_MS, **sheet).status_code == 201
    read_off(client, 34, "2412")
    assert sum(row.energy_kwh for row in finals(plant)) == 4800 + 2400


def test_an_exchange_that_does_not_fit_leaves_no_reading_behind(plant: LivePlant, client: httpx.Client) -> None:
    read_off(client, 0, "90000")
    refused = post(client, "/exchange", at_ms=T + DAY_MS, old_last_kwh="80000", new_first_kwh="0", reason="due")
    assert (refused.status_code, refused.json()["thing"]) == (422, "old_last_kwh")
    assert read_off(client, 2, "94800").status_code == 201
    assert sum(row.energy_kwh for row in finals(plant)) == 4800


FILE = """# June's round
device,time,display_kwh,evidence,reason
incomer,2026-05-02T08:00,5800,sheet 5,
incomer,2026-05-01T08:00,1000,sheet 4,
boiler,2026-05-01T08:00,1000,sheet 4,
incomer,2026-05-03T08:00,90000,sheet 6,
incomer,yesterday,1,sheet 7,
"""


def test_a_file_is_entered_in_the_order_of_time_and_bad_rows_are_named(plant: LivePlant, client: httpx.Client) -> None:
    def send() -> dict[str, Any]:
        headers = {**WRITE, "Content-Type": "text/csv"}
        found: dict[str, Any] = client.post(
            f"{PATH}/import", params={"by": "Li Na"}, content=FILE, headers=headers
        ).json()
        return found

    done = send()
    assert (done["rows"], done["new"], done["bad"]) == (2, 2, 3)
    assert [fault["line"] for fault in done["faults"]] == [5, 6, 7]
    assert "carries 1000 kW" in done["faults"][1]["said"]
    assert sum(row.energy_kwh for row in finals(plant)) == 4800
    again = send()
    assert (again["rows"], again["new"]) == (2, 0)


SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
[[facility.meter]]
device = "incomer"
edge = "gw"
rated_power_kw = 1000
role = "main"
[facility.factor]
kg_per_kwh = "0.5"
source = "test"
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def test_without_an_aggregator_the_command_enters_settles_and_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "aggregator.toml"
    config.write_text(SETTINGS)
    where = ["--config", str(config), "--facility", "works"]
    who = ["--evidence", "photo 1", "--by", "Li Na"]
    meter = [*where, "--device", "incomer", *who]
    assert main(["readings", "enter", *meter, "--at", "2026-05-01T08:00", "--kwh", "1000"]) == 0
    file = tmp_path / "round.csv"
    file.write_text("device,time,display_kwh,evidence\nincomer,2026-05-02T08:00,5800,sheet 5\n")
    assert main(["readings", "import", str(file), *where, "--by", "Li Na"]) == 0
    assert main(["readings", "enter", *meter, "--at", "2026-05-02T08:00", "--kwh", "99999"]) == 1
    assert "expected why version 1 (5800 kWh, by Li Na) is corrected" in capsys.readouterr().err
    sheet = ["--at", "2026-05-03T08:00", "--old-last", "10600", "--new-first", "7", "--reason", "due"]
    assert main(["readings", "exchange", *meter, *sheet]) == 0
    capsys.readouterr()
    assert main(["readings", "list", *where]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-05-01T00:00:00Z incomer energy_import_kwh 1000 kWh, version 1, joins, by Li Na, photo 1",
        "2026-05-02T00:00:00Z incomer energy_import_kwh 5800 kWh, version 1, joins, by Li Na, sheet 5",
        "2026-05-03T00:00:00Z incomer energy_import_kwh 7 kWh, version 1, joins, by Li Na, photo 1 (due)",
    ]
    span = ["--from", "2026-05-01T08:00+08:00", "--to", "2026-05-03T08:00+08:00"]
    assert main(["statement", *where, "--profile", "OPS", *span]) == 0
    assert "4800.000 kg" in capsys.readouterr().out  # 9,600 kWh x 0.5


def test_the_command_speaks_to_an_aggregator_that_runs(plant: LivePlant, capsys: pytest.CaptureFixture[str]) -> None:
    with Server(plant.services) as server:
        where = ["--url", server.url, "--facility", "works"]
        meter = [*where, "--device", "incomer", "--evidence", "photo 1", "--by", "Li Na"]
        assert main(["readings", "enter", *meter, "--at", "2026-05-01T08:00+08:00", "--kwh", "1000"]) == 0
        assert main(["readings", "enter", *meter, "--at", "2026-05-02T08:00", "--kwh", "99999"]) == 1
        assert "a time with its offset" in capsys.readouterr().err
        assert main(["readings", "list", *where]) == 0
        assert '"display_kwh": "1000"' in capsys.readouterr().out

"""Alarms of the meter tree over the last whole day, the route and the command, on one ledger. Figures by hand."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from live_plant import LivePlant, Server, works

from aggregator.alarms import Alarms
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import IntervalRow, Ledger
from aggregator.settings import Http
from aggregator.tree_watch import TreeWatch
from wattline.command import main

D = Decimal
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_MS = 86_400_000
QUARTER_MS = 900_000
MAY_4_MS = start_of_day_ms(date(2026, 5, 4), SHANGHAI)
SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 1000
accuracy_percent = 0.5
[[facility.meter]]
device = "press"
edge = "gw"
rated_power_kw = 400
parent = "incomer"
accuracy_percent = 1
[[facility.meter]]
device = "second"
edge = "gw"
rated_power_kw = 1000
role = "check"
parent = "incomer"
accuracy_percent = 0.5
[[facility.virtual_meter]]
device = "rest"
formula = [{ device = "incomer" }, { device = "press", sign = -1 }]
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def fill(ledger: Ledger, day_ms: int, **kwh: str) -> None:
    """The same energy of each meter in each of the day's 96 quarters."""
    for device, energy in kwh.items():
        starts = range(day_ms, day_ms + DAY_MS, QUARTER_MS)
        rows = [
            IntervalRow("works", device, "energy_import_kwh", at, at + QUARTER_MS, D(energy), GOOD, True, "measured")
            for at in starts
        ]
        ledger.put_intervals(rows, at + QUARTER_MS if (at := starts[-1]) else 0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "data" / "ledger.sqlite")) as opened:
        yield opened


def test_alarms_follow_the_last_whole_day(ledger: Ledger) -> None:
    facility = Facility(
        "works",
        "Asia/Shanghai",
        meters=(
            MeterSpec("incomer", "gw", D(1000), Role.MAIN, accuracy_percent=D("0.5")),
            MeterSpec("press", "gw", D(400), parent="incomer", accuracy_percent=D(1)),
            MeterSpec("second", "gw", D(1000), Role.CHECK, parent="incomer", accuracy_percent=D("0.5")),
        ),
    )
    now_ms = [MAY_4_MS + DAY_MS + 1]
    alarms = Alarms(ledger, lambda: now_ms[0])
    watch = TreeWatch(ledger, alarms, [facility], lambda: now_ms[0])
    # 100 - 102 = -2 kWh a quarter, and 0.5 % of 100 + 1 % of 102 explain 1.52; 98.9 is 1.1 % below 100, the classes allow 1 %.
    fill(ledger, MAY_4_MS, incomer="100", press="102", second="98.9")
    watch.look()
    told = {alarm.code: (alarm.source, alarm.arguments) for alarm in alarms.open("works")}
    assert told == {
        "part_negative": ("incomer", ("-192.0", "kWh", "145.9", "2026-05-04")),
        "check_apart": ("second", ("incomer", "-1.10", "1", "2026-05-04")),
    }
    now_ms[0] += DAY_MS
    watch.look()
    assert {alarm.state.value for alarm in alarms.open("works")} == {"unack"}  # a day without figures says nothing
    fill(ledger, MAY_4_MS + DAY_MS, incomer="100", press="101", second="99.1")
    now_ms[0] += QUARTER_MS
    watch.look()
    assert {alarm.state.value for alarm in alarms.open("works")} == {"rtn"}
    fill(ledger, MAY_4_MS + 2 * DAY_MS, incomer="100", press="110", second="90")
    now_ms[0] += DAY_MS
    watch.look()
    assert {alarm.state.value for alarm in alarms.open("works")} == {"unack"}
    TreeWatch(ledger, alarms, [replace(facility, meters=facility.meters[:1])], lambda: now_ms[0]).look()
    assert {alarm.state.value for alarm in alarms.open("works")} == {"rtn"}  # nobody states their places any more


def test_the_command_shows_the_tree_and_its_exit_status_says_whether_the_meters_agree(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "aggregator.toml").write_text(SETTINGS)
    fill(ledger, MAY_4_MS, incomer="10", press="4", second="10.5")
    span = ["--config", str(tmp_path / "aggregator.toml"), "--from", "2026-05-04", "--to", "2026-05-05"]
    assert main(["tree", *span]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown[2:7]] == [
        ["incomer", "(main)", "960.000", "576.000", "96"],
        ["press", "(sub)", "384.000", "384.000", "96"],
        ["rest", "(virtual)", "576.000", "no", "figure", "96,", "part", "of", "nothing"],
        ["total", "(mains)", "960.000"],
        ["unmetered", "576.000"],
    ]
    assert "second (check of incomer) 1008.000 beside 960.000: +5.000 %, both classes allow 1 %" in shown[7]
    assert main(["tree", *span, "--json", "--roll-up", "interval"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert len(told["spans"]) == 96
    assert (told["unit"], told["spans"][0]["total"], told["spans"][0]["unmetered"]) == ("kWh", "10", "6")
    assert main(["tree", *span, "--carrier", "sound"]) == 2
    assert "--carrier: expected one of electricity, gas" in capsys.readouterr().err


def test_the_route_gives_the_same_tree_and_refuses_what_is_too_much(tmp_path: Path) -> None:
    meters = (MeterSpec("incomer", "gw-01", D(1000), Role.MAIN), MeterSpec("roof", "gw-02", D(400)))
    plant = LivePlant(tmp_path, facility=works(meters=meters), http=Http(port=0))
    fill(plant.ledger, MAY_4_MS, incomer="10", roof="4")
    address = "/api/v1/facilities/works/tree"
    try:
        with Server(plant.services) as server, httpx.Client(base_url=server.url, timeout=20) as client:
            span = {"from": MAY_4_MS, "to": MAY_4_MS + DAY_MS}
            (found,) = client.get(address, params=span).json()["spans"]
            assert (found["total"], found["unmetered"], found["nodes"][1]["parent"]) == ("960", "576", "incomer")
            said = client.get(address, params=span | {"carrier": "sound"})
            assert (said.status_code, said.json()["thing"]) == (422, "carrier")
            said = client.get(address, params=span | {"to": MAY_4_MS + 60 * DAY_MS, "roll_up": "interval"})
            assert (said.status_code, said.json()["expected"]) == (422, "at most 3000 intervals")
    finally:
        plant.close()

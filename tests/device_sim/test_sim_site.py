"""A site file: every fault at once with file, key, expected and seen; the shipped examples; what serving reports."""

import copy
import socket
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from device_sim.plan import CsvPlan
from device_sim.plant import Node
from device_sim.profile import UJ_PER_KWH
from device_sim.serve import serve
from device_sim.site import SITES, load_site
from device_sim.site_table import SiteFaults


def faults_of(table: Any, **options: Any) -> str:
    with pytest.raises(SiteFaults) as raised:
        load_site(table, **options)
    return str(raised.value)


def test_the_demo_site_has_two_plants_and_every_kind_of_device() -> None:
    site = load_site(SITES / "demo.toml")
    assert [plan.name for plan in site.plants] == ["works", "depot"]
    assert {device.kind for device in site.plants[0].devices} == {
        "schneider_pm5560",
        "siemens_pac3200",
        "eastron_sdm630",
        "sunspec_pv",
        "sunspec_battery",
    }
    assert [device.measures for device in site.plants[0].devices] == [
        Node.GRID,
        Node.LOAD,
        Node.EV,
        Node.PV,
        Node.BATTERY,
    ]
    assert site.plants[1].battery is None


def test_the_steel_site_is_one_incomer_and_a_load() -> None:
    (plan,) = load_site(str(SITES / "steel.toml")).plants
    assert (plan.pv, plan.battery, plan.ev) == (None, None, None)
    assert [device.kind for device in plan.devices] == ["schneider_pm5560"]
    assert isinstance(plan.load, CsvPlan)
    assert sum(plan.load.intervals.energies_uj) * 100 == 1_933_613 * UJ_PER_KWH


def test_profile_and_start_can_be_given_by_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("interval_start_local,energy_kwh\n2020-05-01T00:00,6\n2020-05-01T01:00,12\n", encoding="utf-8")
    (plan,) = load_site(SITES / "steel.toml", profile=path, start_local="2020-05-01T01:00").plants
    plant = plan.build(1_520_175_600_000)
    assert plant.flow(Node.GRID).active_mw == 12_000_000
    (plan,) = load_site(SITES / "steel.toml", profile=str(path), start_local=datetime(2020, 5, 1)).plants  # noqa: DTZ001
    assert plan.build(1_520_175_600_000).flow(Node.GRID).active_mw == 6_000_000


def test_a_given_profile_needs_a_plant_that_reads_a_csv(works: dict[str, Any], tmp_path: Path) -> None:
    assert "expected 'csv' in a plant, since a profile was given" in faults_of(works, profile=tmp_path / "any.csv")


def test_a_given_start_must_be_local_time() -> None:
    for wrong in ("noon", "2018-03-05T00:00Z"):
        assert f"start_local: expected an ISO local time without zone, got {wrong!r}" in faults_of(
            SITES / "steel.toml", start_local=wrong
        )


def test_counters_start_where_the_file_says_to_the_last_digit(works: dict[str, Any]) -> None:
    works["plant"][0]["device"][0]["start_import_kwh"] = 184_230.57
    plan = load_site(works).plants[0]
    devices = {device.name: device for _, device in plan.build_devices(plan.build(0))}
    assert devices["incomer"].counters().import_uj * 100 == 18_423_057 * UJ_PER_KWH
    assert devices["pv"].counters().export_uj == UJ_PER_KWH  # an acc32 of 0 would say "not implemented"


def _changed(table: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(table)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("plant", 0, "name"), None, "site: plant[0].name: expected a value, got nothing"),
        (("plant", 0, "name"), "my works", "plant[0].name: expected 1 to 64 of A-Z a-z 0-9 _ -, got 'my works'"),
        (("plant", 0, "name"), 5, "plant[0].name: expected a string, got 5"),
        (("plant", 0, "time_zone"), "Mars/Olympus", "plant[0].time_zone: expected a name of the time zone database"),
        (("plant", 0, "time_zone"), "../etc", "plant[0].time_zone: expected a name of the time zone database"),
        (("plant", 0, "load"), None, "plant[0].load: expected a value, got nothing"),
        (("plant", 0, "load"), 7, "plant[0].load: expected a table, got 7"),
        (
            ("plant", 0, "load", "kind"),
            "wavy",
            "plant[0].load.kind: expected one of synthetic, csv, hourly, got 'wavy'",
        ),
        (("plant", 0, "load", "base_kw"), -1, "plant[0].load.base_kw: expected a number from 0 to 1e+06, got -1"),
        (("plant", 0, "load", "base_kw"), float("nan"), "plant[0].load.base_kw: expected a number"),
        (("plant", 0, "load", "base_kw"), True, "plant[0].load.base_kw: expected a number"),
        (("plant", 0, "load", "power_factor"), 0, "plant[0].load.power_factor: expected a number from 0.1 to 1, got 0"),
        (("plant", 0, "load", "bass_kw"), 5, "plant[0].load.bass_kw: expected one of the known keys (base_kw"),
        (("plant", 0, "pv", "peak_kw"), None, "plant[0].pv.peak_kw: expected a value, got nothing"),
        (("plant", 0, "pv", "latitude_deg"), 91, "plant[0].pv.latitude_deg: expected a number from -90 to 90, got 91"),
        (("plant", 0, "battery", "capacity_kwh"), 0, "plant[0].battery.capacity_kwh: expected a number from 0.001"),
        (
            ("plant", 0, "battery", "charge_efficiency_ratio"),
            1.1,
            "charge_efficiency_ratio: expected a number from 0.5 to 1, got 1.1",
        ),
        (("plant", 0, "battery", "without_set_point"), "sleep", "expected one of rest, self_consumption, got 'sleep'"),
        (("plant", 0, "ev", "points"), 1.5, "plant[0].ev.points: expected a whole number from 1 to 1000, got 1.5"),
        (("plant", 0, "ev", "pattern"), "home", "plant[0].ev.pattern: expected one of workplace, depot, got 'home'"),
        (("plant", 0, "device"), [], "plant[0].device: expected one or more tables [[...]], got []"),
        (("plant", 0, "device", 0, "kind"), "toaster", "plant[0].device[0].kind: expected one of schneider_pm5560"),
        (("plant", 0, "device", 0, "measures"), None, "plant[0].device[0].measures: expected a value, got nothing"),
        (
            ("plant", 0, "device", 0, "measures"),
            "roof",
            "plant[0].device[0].measures: expected one of grid, load, ev, pv, battery, wind, hvac, dc_bus, got 'roof'",
        ),
        (("plant", 0, "device", 3, "measures"), "grid", "plant[0].device[3].measures: expected one of pv, got 'grid'"),
        (("plant", 0, "device", 0, "unit"), 0, "plant[0].device[0].unit: expected a whole number from 1 to 247, got 0"),
        (
            ("plant", 0, "device", 1, "unit"),
            1,
            "plant[0].device.unit: expected each value once, got 'unit 1 on bus meters'",
        ),
        (("plant", 0, "device", 1, "name"), "incomer", "plant[0].device.name: expected each value once, got 'incomer'"),
        (
            ("plant", 0, "bus"),
            [{"name": "cellar", "protocol": "modbus_tcp"}],
            "plant[0].bus.name: expected a bus that a device names, got 'cellar'",
        ),
        (
            ("plant", 0, "bus"),
            [{"name": "meters", "protocol": "modbus_tcp", "port": 70_000}],
            "plant[0].bus[0].port: expected a whole number from 0 to 65535",
        ),
        (
            ("plant", 0, "bus"),
            [{"name": "meters", "protocol": "smoke_signals"}],
            "plant[0].bus[0].protocol: expected one of modbus_tcp",
        ),
        (
            ("plant", 0, "device", 0, "start_import_kwh"),
            -1,
            "start_import_kwh: expected a number from 0 to 1e+09, got -1",
        ),
        (("plant", 0, "device", 3, "modulus_kwh"), 5, "plant[0].device[3].modulus_kwh: expected one of the known keys"),
        (
            ("plant", 0, "pv"),
            None,
            "plant[0].device[3].kind: expected a table [plant.pv] beside a sunspec_pv, got no such table",
        ),
        (
            ("plant", 0, "battery"),
            None,
            "plant[0].device[4].kind: expected a table [plant.battery] beside a sunspec_battery",
        ),
        (("plants",), [], "site: plants: expected one of the known keys (plant), got an unknown key"),
        (("plant",), None, "site: plant: expected a value, got nothing"),
        (("plant",), {"name": "x"}, "site: plant: expected one or more tables [[...]]"),
    ],
)
def test_one_fault_gives_one_clear_line(
    works: dict[str, Any], path: tuple[str | int, ...], value: Any, expected: str
) -> None:
    message = faults_of(_changed(works, path, value))
    assert expected in message
    assert len(message.splitlines()) == 1


def test_all_faults_come_at_once(works: dict[str, Any]) -> None:
    works["plant"][0]["load"]["seed"] = "x"
    works["plant"][0]["pv"]["peak_kw"] = -5
    works["plant"].append(copy.deepcopy(works["plant"][0]))
    message = faults_of(works)
    assert message.count("load.seed") == message.count("pv.peak_kw") == 2
    assert "plant.name: expected each value once, got 'works'" in message


def test_two_buses_cannot_share_a_fixed_port(works: dict[str, Any]) -> None:
    names = [device["name"] for device in works["plant"][0]["device"][3:]]
    works["plant"][0]["bus"] = [{"name": name, "protocol": "modbus_tcp", "port": 1502} for name in names]
    assert "plant.bus.port: expected each value once, got '1502'" in faults_of(works)


def test_a_bad_profile_is_named_with_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(
        "interval_start_local,energy_kwh\n2020-01-01T00:00,1\n2020-01-01T01:00,one\n", encoding="utf-8"
    )
    text = (SITES / "steel.toml").read_text(encoding="utf-8").replace("../profiles/steel_plant_week.csv", "bad.csv")
    (tmp_path / "site.toml").write_text(text, encoding="utf-8")
    message = faults_of(tmp_path / "site.toml")
    assert "site.toml: plant[0].load.file: expected a profile without faults" in message
    assert "bad.csv:3: energy_kwh: expected kWh >= 0 with at most 12 decimals, got 'one'" in message


def test_a_csv_load_needs_a_file(steel: dict[str, Any]) -> None:
    del steel["plant"][0]["load"]["file"]
    assert faults_of(steel) == "site: plant[0].load.file: expected a value, got nothing"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("plant = [", "expected a readable TOML file"),
        ("plant = " + "[" * 5000, "expected a readable TOML file"),
        (None, "expected a readable TOML file"),
    ],
)
def test_an_unreadable_file_is_one_clear_line(tmp_path: Path, content: str | None, expected: str) -> None:
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert f"site.toml: file: {expected}" in faults_of(path)


async def test_what_is_served_is_reported_with_actual_ports(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        devices = served.ready["devices"]
        meters = {device["port"] for device in devices if device["bus"] == "meters"}
        assert len(meters) == 1
        assert len({device["port"] for device in devices}) == 3
        assert all(device["port"] > 0 for device in devices)
        assert served.ready["control_port"] > 0
        assert served.ready["started_at_ms"] == served.clock.at_ms
        assert served.place("incomer") == {
            "plant": "works",
            "device": "incomer",
            "kind": "schneider_pm5560",
            "measures": "grid",
            "bus": "meters",
            "protocol": "modbus_tcp",
            "host": "127.0.0.1",
            "port": served.place("process")["port"],
            "unit": 1,
            "table": "holding",
            "serial_addresses": [3111, 3243],
        }


def test_the_page_names_every_key_of_the_shipped_sites() -> None:
    page = (Path(__file__).parents[2] / "docs" / "drivers" / "modbus_simulator.md").read_text(encoding="utf-8")
    for path in SITES.glob("*.toml"):
        for plant in tomllib.loads(path.read_text(encoding="utf-8"))["plant"]:
            tables = [plant, *(value for value in plant.values() if isinstance(value, dict)), *plant["device"]]
            for key in {key for table in tables for key, value in table.items() if not isinstance(value, dict | list)}:
                assert f"`{key}`" in page, key


async def test_where_the_control_port_is_taken_no_device_has_said_a_word(works: dict[str, Any], tmp_path: Path) -> None:
    """A second simulator on the same ports would have published and called before it noticed."""
    with socket.socket() as taken, socket.socket() as caller:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        caller.bind(("127.0.0.1", 0))
        caller.listen()
        caller.settimeout(0.3)
        air = {"name": "air", "protocol": "mqtt", "broker_host": "127.0.0.1", "broker_port": caller.getsockname()[1]}
        works["plant"][0]["bus"] = [*works["plant"][0].get("bus", []), air]
        works["plant"][0]["device"].append({"name": "plug", "kind": "tasmota_plug", "measures": "load", "bus": "air"})
        with pytest.raises(OSError, match="in use"):
            await serve(
                load_site(works), lambda: 0, tmp_path / "log.jsonl", taken.getsockname()[1], lambda _ready: None
            )
        with pytest.raises(TimeoutError):
            caller.accept()

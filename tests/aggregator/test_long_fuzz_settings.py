"""Tens of thousands of spoiled aggregator files: each is loaded, or its faults are told; nothing else is ever raised."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import spoiled_toml

from aggregator.settings import SettingsFaults, load

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
GOOD = """
[aggregator]
store_id = "plant-1"
data_directory = "data"
http = { host = "127.0.0.1", port = 9000, allowed_hosts = ["energy.plant.example"] }
[mqtt]
host = "127.0.0.1"
port = 1883
plain = true
username = "aggregator"
[store]
kind = "influxdb"
url = "http://127.0.0.1:8086"
database = "wattline"
dialect = "v1"
[[facility]]
id = "works"
name = "Riverside Works"
time_zone = "Asia/Shanghai"
place = "CN-JS"
connection_kw = 1000
interval_s = 900
[[facility.factor]]
kg_per_kwh = "0.45848"
source = "test data"
valid_from = 2018-01-01
valid_to = 2019-01-01T00:00:00+08:00
marks = ["test data"]
[[facility.meter]]
device = "incomer"
edge = "gw-01"
role = "main"
carrier = "electricity"
rated_power_kw = 1000
modulus_kwh = 1000000
quantum_kwh = "0.01"
multiplier = [{ factor = "100" }, { factor = 120, valid_from = 2026-05-01, reason = "new transformer" }]
show = "grid"
[[facility.meter]]
device = "roof"
edge = "gw-01"
rated_power_kw = 250.5
show = "pv"
[[edge]]
facility = "works"
edge = "gw-01"
accept_unsigned = true
"""


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=spoiled_toml(GOOD))
def test_a_spoiled_settings_file_is_loaded_or_its_faults_are_told(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "aggregator.toml"
    path.write_bytes(text)
    try:
        found = load(path, {})
    except SettingsFaults as error:
        told = str(error)
    else:
        told = ""
        assert found.facilities
    assert not told or told.startswith(f"{path}: ")
    assert all(len(line) < 600 for line in told.splitlines())


def test_the_file_that_is_spoiled_is_good(tmp_path: Path) -> None:
    path = tmp_path / "aggregator.toml"
    path.write_text(GOOD)
    assert load(path, {}).facilities[0].id == "works"

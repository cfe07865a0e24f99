"""A circuit that does not fit its edge file starts nothing: each fault with its key, what was expected and what was seen."""

from pathlib import Path

import pytest

from edge_agent.check import check
from edge_agent.edge_file import EdgeFileFaults, load

EDGE = """
facility = "works"
edge = "gw-01"
mqtt = { host = "127.0.0.1", port = 1, plain = true }
spool = { directory = "spool" }
control = { circuit = "circuit.toml" }
[[bus]]
name = "meters"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 1
[[bus.device]]
name = "incomer"
model = "schneider_pm5560"
unit = 1
period_s = 2
[[bus.device]]
name = "battery"
model = "sunspec"
unit = 2
[[bus.device.allow]]
point = "active_power_setpoint_kw"
low = -50
high = 50
[[bus]]
name = "piles"
protocol = "ocpp"
host = "127.0.0.1"
port = 9000
security_profile = 0
accept = "all"
[[bus.device]]
name = "pile"
model = "ocpp_ac_pile"
identity = "P1"
[[bus.device.allow]]
point = "charging_limit_kw"
high = 22
hold_s = 900
[[bus]]
name = "lights"
protocol = "bacnet_ip"
interface = "127.0.0.1/8"
[[bus.device]]
name = "light"
model = "bacnet_lighting"
instance = 1
[[bus.device.allow]]
point = "light_level"
low = 0
high = 100
harmless = true
"""
CIRCUIT = """
facility = "works"
[[branch]]
name = "site"
limit_kva = 100
edge = "gw-01"
meter = "incomer"
uncontrolled_max_kva = 60
[[asset]]
name = "battery"
kind = "battery"
branch = "site"
edge = "gw-01"
device = "battery"
point = "active_power_setpoint_kw"
charge_kw = 50
discharge_kw = 50
capacity_kwh = 100
[[asset]]
name = "pile"
kind = "charger"
branch = "site"
edge = "gw-01"
device = "pile"
point = "charging_limit_kw"
charge_kw = 22
[[limit_source]]
branch = "site"
edge = "gw-01"
device = "incomer"
direction = "import"
quantity = "demand_kw"
fail_safe_kw = 30
"""


def written(directory: Path, edge: str, circuit: str) -> Path:
    (directory / "edge.toml").write_text(edge)
    (directory / "circuit.toml").write_text(circuit)
    return directory / "edge.toml"


def test_a_circuit_that_fits_is_listed_with_its_shares(tmp_path: Path) -> None:
    path = written(tmp_path, EDGE, CIRCUIT)
    load(path)
    assert check(path).circuit == (
        "branch site: 100 kVA; meter incomer",
        "asset battery: battery on site, battery.active_power_setpoint_kw, L1L2L3, -50 to 50 kW; share without its meter 0 kW",
        "asset pile: charger on site, pile.charging_limit_kw, L1L2L3, 0 to 22 kW; share without its meter 22 kW",
        "limit of site (import): demand_kw of incomer; 30 kW when not stated for 120 s",
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('meter = "incomer"', 'meter = "nobody"', "branch[0].meter: expected a device of the edge file, saw 'nobody'"),
        ("limit_kva = 100", "", "branch[0]: expected limit_kva or limit_a (never unlimited), saw neither"),
        ('device = "pile"', 'device = "other"', "asset[1].device: expected a device of the edge file, saw 'other'"),
        ('point = "charging_limit_kw"', 'point = "charging_limit_a"', "asset[1].point: expected a point that pile allows"),
        ("charge_kw = 22", "charge_kw = 43", "asset[1].point: expected an allowed range that holds 43, saw 0 to 22 kW"),
        ('facility = "works"', 'facility = "other"', "facility: expected 'works', saw 'other'"),
        ('edge = "gw-01"\ndevice = "pile"', 'edge = "gw-02"\ndevice = "pile"', "asset[1].edge: expected gw-01, which keeps"),
        ('quantity = "demand_kw"', 'quantity = "voltage_v"', "limit_source[0].quantity: expected a quantity in kW"),
        ('edge = "gw-01"\ndevice = "incomer"', 'edge = "gw-02"\ndevice = "incomer"', "limit_source[0].edge: expected gw-01"),
        ('device = "battery"\npoint = "active_power_setpoint_kw"', 'device = "light"\npoint = "light_level"', "asset[0].point: expected a point that falls back"),
    ],
)  # fmt: skip
def test_a_circuit_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in CIRCUIT
    with pytest.raises(EdgeFileFaults) as raised:
        load(written(tmp_path, EDGE, CIRCUIT.replace(old, new, 1)))
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("period_s = 2", "period_s = 5", "expected a meter that is read at least every 2 s, or limits cannot be kept, saw period_s = 5 of incomer"),
        ("hold_s = 900", "hold_s = 60", "expected hold_s of at least 900 in the allow of pile"),
        ('circuit = "circuit.toml"', 'circuit = "nothing.toml"', "expected a readable file"),
    ],
)  # fmt: skip
def test_an_edge_file_that_cannot_keep_its_circuit_is_refused(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in EDGE
    with pytest.raises(EdgeFileFaults) as raised:
        load(written(tmp_path, EDGE.replace(old, new, 1), CIRCUIT))
    assert expected in str(raised.value)

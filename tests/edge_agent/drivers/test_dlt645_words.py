"""What an edge file and a meter model may say about meters of DL/T 645 and CJ/T 188, and what a poll of them costs their line."""

import re
from pathlib import Path
from typing import Any

import pytest

from edge_agent import meter
from edge_agent.drivers.dlt645.questions import Item, place, plan
from edge_agent.drivers.table import declared
from edge_agent.edge_file import EdgeFileFaults, load
from edge_agent.meter import ModelFault

HEAD = """
maker = "m"
model = "m"
protocol = "{protocol}"
{keys}
[manual]
title = "t"
edition = "1"
[[row]]
{row}
"""


def model_file(directory: Path, protocol: str, row: str, keys: str = "") -> str:
    path = directory / "own.toml"
    path.write_text(HEAD.format(protocol=protocol, row=row, keys=keys))
    return str(path)


CJT = 'type = "10"\ndi_order = "1F90"'


@pytest.mark.parametrize(
    ("protocol", "keys", "row", "expected"),
    [
        ("dlt645", "", 'quantity = "energy_import_kwh"\nidentifier = "00000000"\nformat = "XXXXXX.XX"',
         "expected import (0001...) or export (0002...), saw '00000000', the combined energy of both"),
        ("dlt645", "", 'quantity = "energy_export_kwh"\nidentifier = "0000FF00"\nformat = "XXXXXX.XX"', "the combined energy of both"),
        ("dlt645", "", 'quantity = "energy_export_kwh"\nidentifier = "00010000"\nformat = "XXXXXX.XX"', "in front for energy_export_kwh"),
        ("dlt645", "", 'quantity = "voltage_l1_v"\nidentifier = "B611"\nformat = "XXXX"', "expected 8 digits in the 2007 edition"),
        ("dlt645", 'edition = "1997"', 'quantity = "voltage_l1_v"\nidentifier = "02010100"\nformat = "XXXX"',
         "expected 4 digits in the 1997 edition"),
        ("dlt645", "", 'quantity = "voltage_l1_v"\nidentifier = "02010100"\nformat = "XX.X"', "expected whole bytes, two digits each"),
        ("dlt645", "", 'quantity = "demand_max_kw"\nidentifier = "01010000"\nformat = "XX.XXXX"\nbytes = 2', "expected at least 3"),
        ("dlt645", "", 'quantity = "volts"\nidentifier = "02010100"\nformat = "XXX.X"', "expected a quantity of wire.quantities"),
        ("dlt645", "", 'quantity = "voltage_l1_v"\nidentifier = "0201010"\nformat = "XXX.X"', "identifier"),
        ("dlt645", 'blocks = ["02010100"]', 'quantity = "voltage_l1_v"\nidentifier = "02010100"\nformat = "XXX.X"', "blocks"),
        ("cjt188", CJT, 'quantity = "water_volume_m3"\noffset = 0\nformat = "XXX"', "expected whole bytes"),
        ("cjt188", CJT, 'quantity = "water_temperature_degc"\noffset = 0\nformat = "XXXX"\nunit = "code"', "expected a unit code beside"),
        ("cjt188", CJT, 'quantity = "alarm_code"\noffset = 0\nformat = "HHHH"', "expected a mask beside a binary word"),
        ("cjt188", 'type = "10"\ndi_order = "9F01"', 'quantity = "water_volume_m3"\noffset = 0\nformat = "XX"', "di_order"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_meant_is_refused(
    tmp_path: Path, protocol: str, keys: str, row: str, expected: str
) -> None:
    with pytest.raises(ModelFault) as caught:
        meter.load(model_file(tmp_path, protocol, row, keys))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "keys", "row"),
    [
        ("dlt645", "", 'quantity = "voltage_v"\nidentifier = "02010100"\nformat = "XXX.X"'),
        ("cjt188", CJT, 'quantity = "water_volume_m3"\noffset = 0\nformat = "XXXXXX.XX"\nunit = "code"'),
    ],
)
def test_a_model_that_offers_something_to_write_is_refused(tmp_path: Path, protocol: str, keys: str, row: str) -> None:
    point = '\n[[point]]\nname = "relay"\nunit = "1"'
    with pytest.raises(ModelFault, match="nothing is ever written here, saw 'relay'"):
        meter.load(model_file(tmp_path, protocol, row + point, keys))


EDGE = """
facility = "works"
edge = "gw"
[mqtt]
host = "127.0.0.1"
plain = true
[spool]
directory = "spool"
[[bus]]
name = "line"
protocol = "{protocol}"
{bus}
[[bus.device]]
name = "m1"
model = "{model}"
period_s = 60
address = "{address}"
{more}
"""
SECOND = """
[[bus.device]]
name = "m2"
model = "{model}"
period_s = 60
address = "{address}"
"""


def edge_file(directory: Path, **words: str) -> Any:
    path = directory / "edge.toml"
    words = {
        "protocol": "dlt645",
        "model": "dlt645_three_phase",
        "address": "12345678",
        "bus": 'serial = "/dev/ttyUSB0"',
        "more": "",
        **words,
    }
    path.write_text(EDGE.format(**words))
    return load(path)


def test_a_line_is_2400_baud_with_even_parity_unless_it_is_said(tmp_path: Path) -> None:
    (bus,) = edge_file(tmp_path).bus
    assert (bus.baud, bus.parity, bus.stop_bits, bus.broadcast_time) == (2400, "even", 1, False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"address": "1234567890123"}, "bus[0].device[0].address"),
        ({"address": "12AB"}, "bus[0].device[0].address"),
        ({"bus": 'serial = "/dev/ttyUSB0"\nbroadcast_time = true'}, "bus[0].time_zone: expected the time zone of the meters' clocks"),
        ({"bus": 'serial = "/dev/ttyUSB0"\ntime_zone = "Mars/Base"'}, "bus[0].time_zone: expected an IANA time zone"),
        ({"bus": "baud = 2400"}, "bus[0].serial: expected either serial, or host and port"),
        ({"more": SECOND.format(model="dlt645_three_phase", address="000012345678")}, "bus[0].device[1]: expected each address on a bus once, saw '000012345678'"),
        ({"model": "cjt188_gas"}, "bus[0].device[0].model"),
        ({"protocol": "cjt188", "model": "cjt188_gas", "address": "1" * 15}, "bus[0].device[0].address"),
    ],
)  # fmt: skip
def test_an_edge_file_that_cannot_be_meant_names_the_key(tmp_path: Path, words: dict[str, str], expected: str) -> None:
    with pytest.raises(EdgeFileFaults) as caught:
        edge_file(tmp_path, **words)
    assert expected in str(caught.value)


def test_the_bus_time_of_one_energy_is_computed_from_its_characters(tmp_path: Path) -> None:
    """By hand: 4 + 16 characters asked, 4 + 20 answered, 3.5 of silence, 11 bits each at 2400 baud; 100 ms turnaround."""
    spoken = declared("dlt645")
    name = model_file(
        tmp_path, "dlt645", 'quantity = "energy_import_kwh"\nidentifier = "00010000"\nformat = "XXXXXX.XX"'
    )
    bus = spoken.bus(name="line", protocol="dlt645", device=[], serial="/dev/ttyUSB0")  # type: ignore[call-arg]
    device = spoken.device(name="m1", model=name, address="1")  # type: ignore[call-arg]
    load = spoken.load(bus, spoken.plan(bus, device, meter.load(name)))
    assert load.requests == 1
    assert load.busy_ms == pytest.approx(47.5 * 11 / 2400 * 1000 + 100)


def test_the_bus_time_of_a_water_meter_is_computed_from_its_characters() -> None:
    """By hand: 4 + 16 characters asked, 4 + 16 + 19 answered, 3.5 of silence, 11 bits each at 2400 baud; 100 ms turnaround."""
    spoken = declared("cjt188")
    bus = spoken.bus(name="line", protocol="cjt188", device=[], serial="/dev/ttyUSB0")  # type: ignore[call-arg]
    device = spoken.device(name="m1", model="cjt188_cold_water", address="1")  # type: ignore[call-arg]
    load = spoken.load(bus, spoken.plan(bus, device, meter.load("cjt188_cold_water")))
    assert load.busy_ms == pytest.approx(62.5 * 11 / 2400 * 1000 + 100)


def item(identifier: str, size: int = 2) -> Item:
    return Item(f"q{identifier}", identifier, size, 0, False, 1, 0, 1, False, size)


@pytest.mark.parametrize(
    ("block", "identifier", "at"),
    [
        ("0201FF00", "02010100", 0),  # voltages begin with phase A
        ("0201FF00", "02010300", 4),
        ("0203FF00", "02030000", 0),  # powers begin with the total
        ("0203FF00", "02030100", 2),
        ("0001FF00", "00010200", 4),  # energies too, then tariff by tariff
        ("0201FF00", "02020100", None),
        ("0201FF00", "02010101", None),
    ],
)
def test_where_a_value_stands_in_a_data_block(block: str, identifier: str, at: int | None) -> None:
    assert place(block, item(identifier)) == at


def test_a_block_is_asked_for_where_it_gives_at_least_two_values() -> None:
    members = [item("02010100"), item("02010200"), item("02020100")]
    assert [q.identifier for q in plan(members, ["0201FF00", "0202FF00"])] == ["0201FF00", "02020100"]


PAGES = Path(__file__).parents[3] / "docs" / "drivers"


@pytest.mark.parametrize("page", ["dlt645", "cjt188"])
def test_the_example_of_the_page_is_an_edge_file_and_a_model(tmp_path: Path, page: str) -> None:
    edge, own = re.findall(r"```toml\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)
    path = tmp_path / "edge.toml"
    path.write_text(EDGE.partition("[[bus]]")[0] + edge)
    assert load(path).bus[0].protocol == page
    (tmp_path / "own.toml").write_text(own)
    assert meter.load(str(tmp_path / "own.toml")).protocol == page

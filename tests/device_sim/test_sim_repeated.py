"""`count` in a site file: many devices from one table."""

from typing import Any

import pytest

from device_sim.repeated import expanded
from device_sim.site import load_site
from device_sim.site_table import SiteFaults


def test_names_units_and_addresses_count_on() -> None:
    meters = expanded([{"name": "flat", "kind": "k", "unit": 3, "address": "000009", "count": 3}])
    assert [(m["name"], m["unit"], m["address"]) for m in meters] == [
        ("flat-001", 3, "000009"),
        ("flat-002", 4, "000010"),
        ("flat-003", 5, "000011"),
    ]
    assert all("count" not in m for m in meters)


def test_a_table_without_count_stays_as_it_is() -> None:
    one = {"name": "incomer", "unit": 1}
    assert expanded([one]) == [one]


def site(count: Any) -> dict[str, Any]:
    device = {"name": "flat", "kind": "eastron_sdm630", "measures": "load", "bus": "m", "unit": 1, "count": count}
    return {"plant": [{"name": "p", "load": {"kind": "synthetic"}, "device": [device]}]}


def test_a_site_builds_them_all() -> None:
    (plant,) = load_site(site(40)).plants
    assert [device.unit for device in plant.devices] == list(range(1, 41))


@pytest.mark.parametrize("count", [0, -1, 1001, 2.5, "many", True])
def test_a_count_that_cannot_be_is_a_fault(count: Any) -> None:
    with pytest.raises(SiteFaults, match="count: expected one of the known keys"):
        load_site(site(count))

"""Commissioning: what a network offers, and the rows that are suggested."""

from pathlib import Path

import pytest
from bacnet_peer import LibraryDevice, analog, commandable_value
from building import building

from edge_agent.drivers.bacnet.browse import browse, suggested
from edge_agent.drivers.bacnet.declared import Bus, Device


def bus(*devices: Device) -> Bus:
    return Bus(name="b", protocol="bacnet_ip", device=list(devices), interface="127.0.0.1", port=0, timeout_s=0.5)


async def test_a_device_is_shown_with_its_objects_units_and_values() -> None:
    device = await LibraryDevice(
        7, [analog(1, 12.5, "kilowatts", objectName="Main_kW"), commandable_value(2, 18.0, "degrees-celsius")]
    ).settle()
    try:
        (found,) = await browse(bus(Device(name="d", model="any", instance=7, host="127.0.0.1", port=device.port)))
    finally:
        device.close()
    assert (found.instance, found.name, found.fault) == (7, "device 7", "")
    first, second = found.objects
    assert (first.object, first.name, first.unit, first.value, first.commandable) == (
        "analog-input,1", "Main_kW", "kilowatts", 12.5, False,
    )  # fmt: skip
    assert first.row == {"quantity": "active_power_kw", "object": "analog-input,1"}
    assert (second.object, second.commandable) == ("analog-value,2", True)


async def test_a_silent_device_is_named_with_its_fault_and_the_others_are_shown(tmp_path: Path) -> None:
    async with building(tmp_path) as tower:
        await tower.ask({"device": "meter", "fault": "silence"})
        devices = [
            Device(name=name, model="any", instance=plan.instance, host="127.0.0.1", port=plan.port)
            for name, plan in tower.plans.items()
        ]
        found = {device.instance: device for device in await browse(bus(*devices))}
    assert "no answer" in found[1001].fault
    assert len(found[1002].objects) == 15
    rows = {one.name: one.row.get("quantity") for device in found.values() for one in device.objects}
    assert rows["Supply Air Temperature"] == "supply_air_temperature_degc"
    assert rows["Chilled Water Return Temperature"] == "cooling_return_temperature_degc"
    assert rows["Cooling Energy"] == "cooling_energy_kwh"
    assert rows["Illuminance"] == "illuminance_lx"


@pytest.mark.parametrize(
    ("words", "unit", "quantity"),
    [
        ("Active Power L2", "watts", "active_power_l2_kw"),
        ("Volts phase B", "volts", "voltage_l2_v"),
        ("kWh export", "kilowatt-hours", "energy_export_kwh"),
        ("OAT", "degrees-fahrenheit", "outdoor_temperature_degc"),
        ("anything", "", ""),
        ("anything", "hours", ""),
    ],
)
def test_a_suggestion_comes_from_the_unit_and_the_words(words: str, unit: str, quantity: str) -> None:
    assert suggested((0, 1), words, unit) == quantity

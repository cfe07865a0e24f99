"""Two readings of the same manuals, made apart: the agent's meter models against the simulator's maps, values in the agent's units and signs."""

from typing import Any

import pytest

from edge_agent import meter
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.modbus.declared import ModbusPlan, Row, fields
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp

MODELS = {"sunspec_pv": "sunspec_103", "sunspec_battery": "sunspec_802"}


async def _read(served: Any, device: str) -> dict[str, float]:
    """The device as the agent sees it, with a row for each serial pair; the clock stands still, so all is of one instant."""
    place = served.place(device)
    model = meter.load(MODELS.get(place["kind"], place["kind"]))
    serials = [
        Row(quantity=f"answer_serial_{number}", type="uint32", address=address, table=place["table"])
        for number, address in enumerate(place["serial_addresses"], 1)
    ]
    driver = ModbusTcp(Endpoint(place["host"], place["port"], 2.0), Gateway(served.clock))
    try:
        answer = await driver.read(ModbusPlan(device, place["unit"], fields(model, serials), model.limits()))
    finally:
        await driver.close()
    assert answer.faults == []
    return {
        reading.quantity: reading.value
        for block in answer.blocks
        for reading in block.readings()
        if reading.value is not None
    }


@pytest.mark.parametrize(
    ("device", "node", "step_kw"),
    [
        ("incomer", "grid", 1e-4),
        ("process", "load", 1e-4),
        ("charging", "ev", 1e-4),
        ("pv", "pv", 0.005),
        ("battery", "battery", 0.005),
    ],
)
async def test_the_agent_reads_the_plants_truth(
    run_site: Any, works: dict[str, Any], device: str, node: str, step_kw: float
) -> None:
    # Too small to balance the grid, too large to be empty or full by then.
    works["plant"][0]["battery"] |= {
        "without_set_point": "self_consumption",
        "capacity_kwh": 2000,
        "charge_kw": 5,
        "discharge_kw": 5,
    }
    async with run_site(works) as served:
        served.clock.forward(9.5 * 3600)
        truth = await served.truth("works")
        seen = await _read(served, device)
        power_kw = truth["active_power_kw"][node]
        assert power_kw != 0
        assert seen["active_power_kw"] == pytest.approx(power_kw, abs=step_kw + abs(power_kw) * 1e-6)
        phases = [seen[key] for key in seen if key.startswith("active_power_l") and key.endswith("_kw")]
        assert not phases or sum(phases) == pytest.approx(power_kw, rel=1e-5)
        for direction in ("import", "export"):
            shown = seen.get(f"energy_{direction}_kwh")
            if shown is not None:  # SunSpec's 103 has one counter only; a whole Wh is the coarsest step
                assert shown == pytest.approx(float(truth["devices"][device][f"{direction}_kwh"]), abs=0.001)
        assert 225 < seen["voltage_l1_v"] < 235
        assert 390 < seen["voltage_l1_l2_v"] < 410
        assert 49.9 < seen["frequency_hz"] < 50.1
        if "apparent_power_kva" in seen:
            current = sum(seen[f"current_l{phase}_a"] for phase in (1, 2, 3))
            assert seen["apparent_power_kva"] == pytest.approx(current * 0.2303, rel=0.01)


async def test_the_battery_bank_is_read_in_the_load_sign(run_site: Any, works: dict[str, Any]) -> None:
    works["plant"][0]["battery"]["without_set_point"] = "self_consumption"
    async with run_site(works) as served:
        seen = await _read(served, "battery")  # midnight: 50 kW of discharging
        assert seen["active_power_kw"] == -50
        assert seen["dc_power_kw"] == pytest.approx(-50 / 0.95, abs=0.01)
        assert seen["state_of_charge_percent"] == 50
        assert seen["charge_limit_kw"] == seen["discharge_limit_kw"] == 50


async def test_each_of_the_agents_requests_carries_its_serial(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        for device in ("incomer", "process", "charging", "pv", "battery"):
            seen = await _read(served, device)
            lines = [entry for entry in served.log() if entry["device"] == device and entry["count"] > 2]
            values = {int(value) for quantity, value in seen.items() if quantity.startswith("answer_serial_")}
            carried = {entry["serial"] for entry in lines if entry["carried"]}
            assert carried == values, device
            # Walking a SunSpec chain reads headers and the 64 words of the common model; every request with measured values in it carries.
            sunspec = device in ("pv", "battery")
            assert all(entry["carried"] or (sunspec and entry["count"] == 64) for entry in lines), device

"""The agent's CJ/T 188 driver and models against the simulator, which was written from the standard a second time.

The simulator's streams are exact integers, told over its control interface; what the agent reads must be those, cut to the meter's digits.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from metered_line import MeteredLine, metered_line, values_of

from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError
from wire.reading import REASON_CODES, Quality

QUICK: dict[str, Any] = {"baud": 115200, "timeout_s": 0.25}
MODELS = {
    "cold": "cjt188_cold_water",
    "hot": "cjt188_hot_water",
    "gas": "cjt188_gas",
    "heat": "cjt188_heat",
    "cooling": "cjt188_cooling",
}
VOLUMES = {"cold": "water_volume_m3", "hot": "water_volume_m3", "gas": "gas_volume_m3"}
STREAMS = {"cold": "cold_water", "hot": "hot_water", "gas": "gas", "heat": "heat", "cooling": "cooling"}


def serial_row(offset: int) -> dict[str, Any]:
    return {"quantity": "answer_serial_1", "offset": offset, "format": "XXXXXXXX"}


ROWS = {name: [serial_row(43 if name in {"heat", "cooling"} else 19)] for name in MODELS}


def site(serial: bool = False, **options: dict[str, Any]) -> dict[str, Any]:
    """A building with five carriers, each with a meter; `options` by meter."""
    kinds = {
        "cold": ("cjt188_cold_water", "cold_water", "78330011223344"),
        "hot": ("cjt188_hot_water", "hot_water", "00000000000011"),
        "gas": ("cjt188_gas", "gas", "00000000000030"),
        "heat": ("cjt188_heat", "heat", "00000000000020"),
        "cooling": ("cjt188_cooling", "cooling", "00000000000021"),
    }
    return {
        "plant": [
            {
                "name": "building",
                "time_zone": "Asia/Shanghai",
                "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
                "heat": {"peak_kw": 300},
                "cooling": {"peak_kw": 200},
                "water": {"cold_peak_m3_per_h": 6, "hot_peak_m3_per_h": 3},
                "gas": {"peak_m3_per_h": 40},
                "bus": [{"name": "line", "protocol": "cjt188", **({"serial": True} if serial else {})}],
                "device": [
                    {"name": name, "kind": kind, "measures": carrier, "bus": "line", "unit": number, "address": address, **options.get(name, {})}
                    for number, (name, (kind, carrier, address)) in enumerate(kinds.items(), 1)
                ],
            }
        ]
    }  # fmt: skip


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[MeteredLine]:
    async with metered_line(tmp_path, site(), "cjt188", MODELS, ROWS, **QUICK) as line:
        line.at_ms += 3_600_000
        yield line


async def truth(line: MeteredLine, name: str) -> dict[str, Any]:
    told = await line.ask({"show": "plants"})
    stream: dict[str, Any] = told["plants"]["building"]["streams"][STREAMS[name]]
    return stream


@pytest.mark.parametrize("name", VOLUMES)
async def test_a_volume_is_the_true_one_cut_to_ten_litres(line: MeteredLine, name: str) -> None:
    shown = (await line.values(name))[VOLUMES[name]]
    true_nl = (await truth(line, name))["volume_nl"]
    assert true_nl > 0
    assert shown == true_nl // 10_000_000_000 / 100


@pytest.mark.parametrize("name", ["heat", "cooling"])
async def test_a_heat_meter_shows_energy_power_flow_and_temperatures(line: MeteredLine, name: str) -> None:
    shown, true = await line.values(name), await truth(line, name)
    assert shown[f"{name}_energy_kwh"] == true["energy_uj"] // 36_000_000_000 / 100 / 1000 * 1000
    assert shown[f"{name}_volume_m3"] == true["volume_nl"] // 10_000_000_000 / 100
    assert shown[f"{name}_power_kw"] == pytest.approx(true["power_kw"], abs=0.011)
    assert shown[f"{name}_flow_m3_per_h"] == pytest.approx(true["flow_ul_per_s"] * 3.6e-6, abs=1e-4)
    assert shown[f"{name}_supply_temperature_degc"] == pytest.approx(true["supply_degc"], abs=0.01)
    assert shown[f"{name}_return_temperature_degc"] == pytest.approx(true["return_degc"], abs=0.01)


@pytest.mark.parametrize(("unit", "counts_kwh"), [("MWh", 10.0), ("GJ", 1 / 0.36)])
async def test_the_unit_code_of_each_answer_is_heeded(tmp_path: Path, unit: str, counts_kwh: float) -> None:
    """A hundredth of a MWh is 10 kWh, a hundredth of a GJ 2.778 kWh."""
    async with metered_line(
        tmp_path, site(heat={"energy_unit": unit}), "cjt188", {"heat": "cjt188_heat"}, **QUICK
    ) as line:
        line.at_ms += 3_600_000
        shown = (await line.values("heat"))["heat_energy_kwh"]
        true_kwh = (await truth(line, "heat"))["energy_uj"] / 3.6e12
        assert shown is not None
        assert shown == pytest.approx(true_kwh // counts_kwh * counts_kwh)


async def test_a_model_with_units_in_front_and_the_other_byte_order_is_read(tmp_path: Path) -> None:
    options = {"di_order": "901F", "unit_place": "before", "energy_unit": "MWh"}
    async with metered_line(tmp_path, site(heat=options), "cjt188", {"heat": "jy_heat_meter"}, **QUICK) as line:
        line.at_ms += 3_600_000
        true = await truth(line, "heat")
        assert (await line.values("heat"))["heat_volume_m3"] == true["volume_nl"] // 10_000_000_000 / 100


async def test_the_wrong_byte_order_is_answered_with_a_refusal(tmp_path: Path) -> None:
    async with metered_line(
        tmp_path, site(cold={"di_order": "901F"}), "cjt188", {"cold": "cjt188_cold_water"}, **QUICK
    ) as line:
        with pytest.raises(DeviceRefused, match="valve open, battery good"):
            await line.read("cold")


async def test_the_meters_are_read_over_a_pseudo_terminal(tmp_path: Path) -> None:
    async with metered_line(tmp_path, site(serial=True), "cjt188", MODELS, **QUICK) as line:
        line.at_ms += 3_600_000
        true = await truth(line, "gas")
        assert (await line.values("gas"))["gas_volume_m3"] == true["volume_nl"] // 10_000_000_000 / 100


async def test_every_answer_that_carried_its_number_is_read_once(line: MeteredLine) -> None:
    seen = [(await line.values("heat"))["answer_serial_1"] for _ in range(3)]
    assert seen == [entry["serial"] for entry in line.log() if entry["carried"] and entry["device"] == "heat"]


async def test_a_low_battery_makes_the_values_uncertain_and_a_closed_valve_is_told(tmp_path: Path) -> None:
    async with metered_line(
        tmp_path,
        site(cold={"battery_low": True, "valve": "closed"}),
        "cjt188",
        {"cold": "cjt188_cold_water"},
        **QUICK,
    ) as line:
        line.at_ms += 3_600_000
        (block,) = (await line.read("cold")).blocks
        told = dict(zip(block.shape.quantities, zip(block.columns, block.quality, strict=True), strict=True))
        assert told["water_volume_m3"][1] == (Quality.UNCERTAIN, REASON_CODES["device-fault"])
        assert told["operating_state"] == ((1,), (0, 0))
        assert told["alarm_code"] == ((0x0005,), (0, 0))


async def recovers(line: MeteredLine, name: str = "cold") -> None:
    """After the fault the meter is read again, by itself, within a few reads."""
    await line.ask({"device": name, "clear": "all"})
    for _ in range(5):
        try:
            answer = await line.read(name)
        except DriverError:
            continue
        if not answer.faults:
            return
    raise AssertionError(f"{name} does not come back")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"fault": "half_frame"}, DeviceMisanswered, "expected a whole answer, saw fe fe 68 10 44 33 22 11 00 33 78"),
        ({"fault": "wrong_unit"}, DeviceMisanswered, "expected an answer of meter 78330011223344 of type 10"),
        ({"fault": "exception"}, DeviceRefused, "valve open, battery good"),
        ({"fault": "stale"}, DeviceMisanswered, "expected serial number 1, saw 0"),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else "",
)
async def test_a_fault_is_told_in_the_words_of_the_protocol(
    line: MeteredLine, fault: dict[str, Any], error: type[DriverError], words: str
) -> None:
    await line.read("cold")
    await line.ask({"device": "cold", **fault})
    with pytest.raises(error, match=words):
        await line.read("cold")
    await recovers(line)


async def test_a_volume_rolls_over_at_a_million_cubic_metres(line: MeteredLine) -> None:
    """XXXXXX.XX m3: the display has six digits before the point."""
    await line.ask({"device": "gas", "fault": "rollover", "below_kwh": 2})
    near = (await line.values("gas"))["gas_volume_m3"]
    line.at_ms += 3_600_000
    past = (await line.values("gas"))["gas_volume_m3"]
    assert near == pytest.approx(999_998, abs=0.02)
    assert past is not None
    assert past < 100


async def test_a_meter_clock_that_jumps_changes_no_instant_of_a_reading(line: MeteredLine) -> None:
    await line.ask({"device": "heat", "fault": "clock_jump", "clock_s": -86_400})
    (block,) = (await line.read("heat")).blocks
    assert block.at_ms == (line.at_ms,)


async def test_a_dead_meter_costs_the_others_of_its_line_one_time_out(line: MeteredLine) -> None:
    await line.ask({"device": "cold", "fault": "silence"})
    with pytest.raises(DeviceUnreachable):
        await line.read("cold")
    asked = [raw for device, sent, raw in line.frames if sent and device == "cold"]
    assert len(asked) == 1
    assert values_of(await line.read("hot"))["water_volume_m3"] is not None


async def test_the_driver_never_sends_anything_but_the_question_for_metering_data(line: MeteredLine) -> None:
    for name in MODELS:
        await line.read(name)
    controls = {raw.lstrip(b"\xfe")[9] for _, sent, raw in line.frames if sent}
    assert controls == {0x01}

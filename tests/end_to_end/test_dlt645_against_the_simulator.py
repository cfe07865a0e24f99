"""The agent's DL/T 645 driver and models against the simulator, which was written from the standards' tables a second time.

What the simulator says is true (over its control interface, or by its integer physics) must be what the agent reads.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from metered_line import NOON_MS, MeteredLine, metered_line, values_of

from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError

SERIAL = {"quantity": "answer_serial_1", "identifier": "04A00101", "format": "XXXXXXXX"}
SERIAL_1997 = {"quantity": "answer_serial_1", "identifier": "C0A1", "format": "XXXXXXXX"}
QUICK: dict[str, Any] = {"baud": 115200, "timeout_s": 0.25}
MODELS = {"incomer": "dlt645_three_phase", "office": "dlt645_single_phase", "old": "dlt645_1997"}


def site(serial: bool = False, **incomer: Any) -> dict[str, Any]:
    """40 kW of constant load; an incomer behind transformers of 10 : 1, a single-phase meter, and one of the 1997 edition."""
    return {
        "plant": [
            {
                "name": "works",
                "time_zone": "Asia/Shanghai",
                "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
                "bus": [{"name": "line", "protocol": "dlt645", **({"serial": True} if serial else {})}],
                "device": [
                    {"name": "incomer", "kind": "dlt645_three_phase", "measures": "grid", "bus": "line",
                     "address": "000012345678", "transformer_ratio": 10, "start_import_kwh": 1000.25, **incomer},
                    {"name": "office", "kind": "dlt645_single_phase", "measures": "load", "bus": "line", "unit": 2,
                     "address": "190300000042", "share_percent": 10},
                    {"name": "old", "kind": "dlt645_1997", "measures": "load", "bus": "line", "unit": 3, "address": "77"},
                ],
            }
        ]
    }  # fmt: skip


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[MeteredLine]:
    rows = {"incomer": [SERIAL], "office": [SERIAL], "old": [SERIAL_1997]}
    async with metered_line(tmp_path, site(), "dlt645", MODELS, rows, **QUICK) as line:
        line.at_ms += 3_600_000
        (refusal,) = (await line.read("incomer")).faults  # it keeps no maximum demand, and is not asked for it again
        assert "identifier 01010000: refused with exception 2 (no such data)" in str(refusal)
        yield line


async def test_a_three_phase_meter_behind_transformers_shows_a_tenth(line: MeteredLine) -> None:
    values = await line.values("incomer")
    assert values["active_power_kw"] == 4.0  # 40 kW behind 10 : 1
    assert values["energy_import_kwh"] == pytest.approx(100.02 + 4.0, abs=0.011)  # 1000.25 / 10 rounded down, and 1 h
    assert values["energy_export_kwh"] == 0
    assert values["active_power_l1_kw"] == pytest.approx(0.34 * 4, abs=1e-4)
    assert values["power_factor_ratio"] == pytest.approx(0.95, abs=0.001)
    phases = [
        (values[f"voltage_l{n}_v"], values[f"current_l{n}_a"], values[f"active_power_l{n}_kw"]) for n in (1, 2, 3)
    ]
    for volts, amps, kilowatts in phases:
        assert volts is not None
        assert amps is not None
        assert kilowatts is not None
        assert volts * amps / 1000 * 0.95 == pytest.approx(kilowatts, rel=0.002)
    assert values["frequency_hz"] == pytest.approx(50, abs=0.04)


async def test_a_single_phase_meter_sees_its_share(line: MeteredLine) -> None:
    values = await line.values("office")
    assert values["active_power_kw"] == 4.0
    assert values["energy_import_kwh"] == 4.0
    assert values["voltage_v"] == pytest.approx(230, abs=2.5)


async def test_a_meter_of_the_1997_edition_is_read(line: MeteredLine) -> None:
    values = await line.values("old")
    assert values["active_power_kw"] == 40.0
    assert values["energy_import_kwh"] == 40.0
    assert values["voltage_l1_v"] == pytest.approx(230, abs=2.5)
    assert values["current_l1_a"] == pytest.approx(0.34 * 40_000 / 0.95 / 230, rel=0.02)


async def test_the_meters_are_read_over_a_pseudo_terminal(tmp_path: Path) -> None:
    async with metered_line(tmp_path, site(serial=True), "dlt645", MODELS, **QUICK) as line:
        line.at_ms += 3_600_000
        assert (await line.values("office"))["energy_import_kwh"] == 4.0
        assert (await line.values("old"))["energy_import_kwh"] == 40.0


async def test_every_answer_that_carried_its_number_is_read_once(line: MeteredLine) -> None:
    seen = [(await line.values("incomer"))["answer_serial_1"] for _ in range(3)]
    told = [entry["serial"] for entry in line.log() if entry["carried"] and entry["device"] == "incomer"]
    assert seen == told[1:]  # the first was read before


async def test_blocks_give_the_same_values_as_single_identifiers(line: MeteredLine, tmp_path: Path) -> None:
    blocks = await line.read("incomer")
    (tmp_path / "plain").mkdir()
    async with metered_line(tmp_path / "plain", site(blocks=False), "dlt645", MODELS, **QUICK) as plain:
        plain.at_ms = line.at_ms
        singles = await plain.read("incomer")
        wanted = {k: v for k, v in values_of(blocks).items() if k != "answer_serial_1"}
        assert values_of(singles) == wanted
        again = await plain.read("incomer")
        assert again.requests < singles.requests  # the refused blocks are not asked for again
    assert blocks.requests < again.requests


async def test_a_long_answer_comes_in_several_frames(tmp_path: Path) -> None:
    async with metered_line(tmp_path, site(longest=12), "dlt645", MODELS, **QUICK) as line:
        line.at_ms += 3_600_000
        values = values_of(await line.read("incomer"))
        assert values["active_power_l3_kw"] == pytest.approx(0.33 * 4, abs=1e-4)
        assert values["energy_import_tariff_4_kwh"] == 0
        controls = {entry["control"] for entry in line.log()}
        assert {"B1", "92"} <= controls


async def test_only_counters_are_read_when_only_they_are_wanted(line: MeteredLine) -> None:
    answer = await line.read("incomer", counters_only=True)
    quantities = set(values_of(answer))
    assert "energy_import_kwh" in quantities
    assert "active_power_kw" not in quantities


async def test_power_that_flows_back_is_negative_and_counts_as_export(tmp_path: Path) -> None:
    sunny = site()
    sunny["plant"][0]["pv"] = {"peak_kw": 250, "latitude_deg": 35, "longitude_deg": 127.7}
    async with metered_line(tmp_path, sunny, "dlt645", MODELS, **QUICK) as line:
        line.at_ms += 3_600_000
        values = values_of(await line.read("incomer"))
        truth = (await line.ask({"show": "plants"}))["plants"]["works"]
        assert values["active_power_kw"] is not None
        assert values["active_power_kw"] < 0
        assert values["active_power_kw"] == pytest.approx(truth["active_power_kw"]["grid"] / 10, abs=1e-3)
        assert values["energy_export_kwh"]
        assert values["current_l1_a"] is not None
        assert values["current_l1_a"] < 0


async def recovers(line: MeteredLine, name: str = "incomer") -> None:
    """After the fault the device is read whole again, by itself, within a few reads."""
    await line.ask({"device": name, "clear": "all"})
    for _ in range(5):
        try:
            answer = await line.read(name)
        except DriverError:
            continue
        if not answer.faults and values_of(answer).get("active_power_kw") == 4.0:
            return
    raise AssertionError(f"{name} does not come back")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"fault": "half_frame"}, DeviceMisanswered, "expected a whole answer, saw fe fe fe fe 68 78 56 34 12"),
        (
            {"fault": "wrong_unit"},
            DeviceMisanswered,
            "expected an answer of meter 000012345678, saw one of 000012345679",
        ),
        ({"fault": "exception", "code": 4}, DeviceRefused, "wrong password or not authorised"),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else "",
)
async def test_a_fault_is_told_in_the_words_of_the_protocol(
    line: MeteredLine, fault: dict[str, Any], error: type[DriverError], words: str
) -> None:
    await line.read("incomer")
    await line.ask({"device": "incomer", **fault})
    with pytest.raises(error, match=words):
        await line.read("incomer")
    await recovers(line)


async def test_a_late_answer_to_another_question_is_never_returned(line: MeteredLine) -> None:
    """Each answer comes 0.45 s late, the driver waits 0.25 s: what it takes for a value must be that value."""
    true = await line.values("incomer")
    await line.ask({"device": "incomer", "fault": "delay", "delay_s": 0.45})
    for _ in range(4):
        try:
            answer = await line.read("incomer")
        except DriverError:
            continue
        for quantity, value in values_of(answer).items():
            if not quantity.startswith(("answer_serial", "frequency", "voltage", "current")):
                assert value == true[quantity]
    await recovers(line)


async def test_an_old_answer_told_again_is_never_taken_for_another_identifier(line: MeteredLine) -> None:
    await line.values("incomer")
    await line.ask({"device": "incomer", "fault": "stale"})
    with pytest.raises(DeviceMisanswered, match="expected data identifier 0001FF00, saw 04A00101"):
        await line.read("incomer")
    await recovers(line)


async def test_a_counter_rolls_over_at_a_million_kwh(line: MeteredLine) -> None:
    await line.ask({"device": "office", "fault": "rollover", "below_kwh": 2})
    line.at_ms += 1_000
    near = (await line.values("office"))["energy_import_kwh"]
    line.at_ms += 3_600_000
    past = (await line.values("office"))["energy_import_kwh"]
    assert near == pytest.approx(999_998, abs=0.02)
    assert past == pytest.approx(2, abs=0.02)


async def test_a_meter_clock_that_jumps_changes_no_instant_of_a_reading(line: MeteredLine) -> None:
    await line.ask({"device": "incomer", "fault": "clock_jump", "clock_s": 86_400})
    answer = await line.read("incomer")
    assert {block.at_ms for block in answer.blocks} == {(line.at_ms,)}


async def test_the_only_meter_of_a_line_tells_its_address(tmp_path: Path) -> None:
    alone = site()
    del alone["plant"][0]["device"][1:]
    async with metered_line(tmp_path, alone, "dlt645", {"incomer": "dlt645_three_phase"}, **QUICK) as line:
        assert await line.driver.only_address() == "000012345678"  # type: ignore[attr-defined]


async def test_the_time_is_told_to_nobody_unless_the_edge_file_asks(line: MeteredLine) -> None:
    await line.read("incomer")
    assert not any(b"\x99\x99\x99\x99\x99\x99" in raw for _, sent, raw in line.frames if sent)


async def test_the_time_is_told_once_a_day_where_the_edge_file_asks(tmp_path: Path) -> None:
    keys = {**QUICK, "broadcast_time": True, "time_zone": "Asia/Shanghai"}
    async with metered_line(tmp_path, site(), "dlt645", MODELS, **keys) as line:
        for _ in range(3):
            await line.read("incomer")
        told = [raw for _, sent, raw in line.frames if sent and b"\x99" * 6 in raw]
        # 2018-03-05T11:00:00 in Shanghai: ss mm hh DD MM YY = 00 00 11 05 03 18, each + 33H
        assert [raw[-8:-2].hex(" ") for raw in told] == ["33 33 44 38 36 4b"]
        line.at_ms = NOON_MS + 86_400_000
        await line.read("incomer")
        assert len([raw for _, sent, raw in line.frames if sent and b"\x99" * 6 in raw]) == 2


async def test_after_an_outage_the_midnights_are_read_from_the_memory_of_the_meter(tmp_path: Path) -> None:
    """By hand: 1000.25 kWh / 10 at 11:00, then 4 kW: 152.025 at the first midnight and 96 kWh more at the next."""
    async with metered_line(tmp_path, site(), "dlt645", MODELS, **QUICK, time_zone="Asia/Shanghai") as line:
        (refused,) = (await line.read("incomer")).faults
        assert "01010000" in str(refused)
        midnight_ms = NOON_MS + 13 * 3_600_000
        await line.ask({"device": "incomer", "fault": "silence", "for_s": 40 * 3600})
        with pytest.raises(DeviceUnreachable):
            await line.read("incomer")
        line.at_ms += 41 * 3_600_000
        past = [block for _ in range(4) for block in (await line.read("incomer")).past]
        assert [block.at_ms for block in past] == [(midnight_ms,), (midnight_ms + 86_400_000,)]
        assert [block.shape.quantities for block in past] == [("energy_import_kwh", "energy_export_kwh")] * 2
        assert [block.columns for block in past] == [((15202,), (0,)), ((24802,), (0,))]


async def test_midnights_of_a_meter_whose_clock_is_wrong_are_not_believed(tmp_path: Path) -> None:
    async with metered_line(tmp_path, site(), "dlt645", MODELS, **QUICK, time_zone="Asia/Shanghai") as line:
        await line.read("incomer")
        await line.ask({"device": "incomer", "fault": "silence", "for_s": 20 * 3600})
        await line.ask({"device": "incomer", "fault": "clock_jump", "clock_s": 3600})
        line.at_ms += 21 * 3_600_000
        answer = await line.read("incomer")
        assert answer.past == []
        (fault,) = answer.faults
        assert str(fault) == "incomer: expected the meter's clock within 300 s of ours, saw it +3600 s away"
        assert (await line.read("incomer")).faults == []

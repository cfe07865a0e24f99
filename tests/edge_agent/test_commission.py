"""The dry run: what it makes of values that do not fit together, and a whole run against a simulated meter."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent.commission import RowSeen, _line, remarks, run_commission
from wire.clock import Clock

SITE = {
    "plant": [
        {
            "name": "works",
            "load": {"kind": "synthetic", "base_kw": 60, "peak_kw": 60, "noise_ratio": 0},
            "device": [{"name": "process", "kind": "siemens_pac3200", "measures": "load"}],
        }
    ]
}


def phases(
    power_kw: tuple[float, float, float] = (4.14, 4.14, 4.14), factor: float | None = 0.9
) -> dict[str, list[float]]:
    """230 V, 20 A and pf 0.9 on each phase: 4.14 kW."""
    values: dict[str, list[float]] = {"active_power_kw": [sum(power_kw)]}
    for phase, power in zip(("l1", "l2", "l3"), power_kw, strict=True):
        values[f"voltage_{phase}_v"], values[f"current_{phase}_a"] = [230.0], [20.0]
        values[f"active_power_{phase}_kw"] = [power]
        if factor is not None:
            values[f"power_factor_{phase}_ratio"] = [factor]
    return values


def test_values_that_fit_together_give_no_remark() -> None:
    assert remarks(phases()) == []
    assert remarks(phases((-4.14, -4.14, -4.14))) == []


def test_a_wrong_ratio_shows_as_volts_times_amperes_that_are_not_the_power() -> None:
    (remark, *others) = remarks(phases((0.83, 0.83, 0.83)))
    assert remark == "l1: V x I x pf = 4.140 kW, P = 0.830 kW: phases swapped or a wrong ratio"
    assert len(others) == 2


def test_without_a_power_factor_volts_times_amperes_still_bound_the_power() -> None:
    assert remarks(phases(factor=None)) == []
    assert "l2: P = 9.000 kW is more than V x I = 4.600 kVA: phases swapped or a wrong ratio" in remarks(
        phases((4.1, 9.0, 4.1), None)
    )


def test_a_transformer_turned_round_shows_as_one_phase_of_the_other_sign() -> None:
    found = remarks(phases((4.14, -4.14, 4.14)))
    assert found == [
        "l2: power has the other sign than the two other phases: a transformer turned round, or a source on one phase"
    ]


def test_a_total_that_is_not_the_sum_of_its_phases_is_named() -> None:
    values = phases() | {"active_power_kw": [4.14]}
    assert remarks(values) == ["P = 4.140 kW, sum of its phases = 12.420 kW"]


def test_a_counter_that_goes_back_is_named() -> None:
    assert remarks({"energy_import_kwh": [100.0, 101.0, 7.0]}) == ["energy_import_kwh: went back from 101 to 7"]


@pytest.mark.parametrize(
    ("power_kw", "counter", "remark"),
    [
        (5.0, "energy_export_kwh", "export counter runs although power is positive: the direction is turned round"),
        (-5.0, "energy_import_kwh", "import counter runs although power is negative: the direction is turned round"),
    ],
)
def test_the_wrong_counter_running_shows_a_direction_turned_round(power_kw: float, counter: str, remark: str) -> None:
    assert remarks({"active_power_kw": [power_kw, power_kw], counter: [10.0, 10.1]}) == [remark]
    assert remarks({"active_power_kw": [-power_kw, -power_kw], counter: [10.0, 10.1]}) == []


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(load_site(SITE), Clock().now_ms, tmp_path / "answers.jsonl", 0, ready.set_result))
    yield (await asyncio.wait_for(ready, 5))["devices"][0]["port"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def edge_file(directory: Path, port: int, extra: str = "") -> Path:
    path = directory / "edge.toml"
    path.write_text(
        'facility = "works"\nedge = "gw"\nmqtt = { host = "localhost", plain = true }\nspool = { directory = "spool" }\n'
        f'[[bus]]\nname = "meters"\nprotocol = "modbus_tcp"\nhost = "127.0.0.1"\nport = {port}\ntimeout_s = 0.3\n'
        f'[[bus.device]]\nname = "process"\nmodel = "siemens_pac3200"\n{extra}'
    )
    return path


async def test_a_sound_installation_exits_0_and_prints_values_plan_and_bus_time(tmp_path: Path, port: int) -> None:
    out = io.StringIO()
    assert await run_commission(edge_file(tmp_path, port), False, out, Clock(speed=100.0)) == 0
    text = out.getvalue()
    assert "process (siemens_pac3200 on meters)" in text
    assert "active_power_kw                              60 kW" in text
    assert "request: holding 1..70, 70 registers, 6 of them holes" in text
    assert "% of the bus" in text
    assert "!" not in text


async def test_rows_that_stand_at_zero_are_pointed_out(tmp_path: Path, port: int) -> None:
    out = io.StringIO()
    await run_commission(edge_file(tmp_path, port), True, out, Clock(speed=100.0))
    (device,) = json.loads(out.getvalue())["devices"]
    rows = {row["quantity"]: row for row in device["rows"]}
    assert rows["energy_export_kwh"]["remark"] == "always 0"
    assert rows["voltage_l1_v"]["remark"] == ""
    assert rows["voltage_l1_v"]["unit"] == "V"
    assert device["requests"] == [
        "holding 1..70, 70 registers, 6 of them holes",
        "holding 801..836, 36 registers, 12 of them holes",
    ]


async def test_a_rating_that_is_exceeded_is_pointed_out(tmp_path: Path, port: int) -> None:
    out = io.StringIO()
    await run_commission(edge_file(tmp_path, port, "rated_power_kw = 40\n"), False, out, Clock(speed=100.0))
    assert "! P = 60.000 kW is above 1.2 x rated power (40 kW)" in out.getvalue()


async def test_a_device_that_does_not_answer_exits_1_and_is_named(tmp_path: Path, port: int) -> None:
    out = io.StringIO()
    assert await run_commission(edge_file(tmp_path, port, "unit = 9\n"), False, out, Clock(speed=100.0)) == 1
    assert "no answer: process: unit 9" in out.getvalue()


async def test_a_file_with_faults_exits_2_and_asks_no_device(tmp_path: Path) -> None:
    out = io.StringIO()
    assert await run_commission(edge_file(tmp_path, 0), False, out, Clock(speed=100.0)) == 2
    assert "bus[0].port: expected int >= 1, saw 0" in out.getvalue()


def test_a_counter_is_shown_with_all_the_digits_of_the_meters_display() -> None:
    assert _line(RowSeen("energy_import_kwh", 184230.653, "kWh", "")).split() == [
        "energy_import_kwh",
        "184230.653",
        "kWh",
    ]
    assert _line(RowSeen("active_power_kw", 4.280412345, "kW", "")).split() == ["active_power_kw", "4.28041", "kW"]
    assert _line(RowSeen("power_factor_ratio", 0.9, "1", "")).split() == ["power_factor_ratio", "0.9"]

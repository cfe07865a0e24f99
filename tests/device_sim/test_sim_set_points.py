"""Written set-points read back where they count: as power on the AC meter and in the truth, not in the register that was written."""

import struct
from typing import Any

HOUR_S = 3600
# 123 of the PV chain begins at 40122, 124 of the battery chain at 40126; points by their offsets in the models.
WMAXLIMPCT, RVRT_PV, WMAXLIM_ENA, CONN = 40122 + 5, 40122 + 7, 40122 + 9, 40122 + 4
WCHAMAX, STORCTL, OUT_RATE, RVRT_BATTERY = 40126 + 2, 40126 + 5, 40126 + 12, 40126 + 15


def _signed(value: int) -> int:
    return value & 0xFFFF


async def _grid_kw(served: Any) -> float:
    registers = (await served.read("incomer", 3059, 2)).registers
    (value,) = struct.unpack(">f", struct.pack(">2H", *registers))
    return float(value)


async def _battery_kw(served: Any) -> float:
    truth = await served.truth("works")
    return float(truth["active_power_kw"]["battery"])


async def _pv_kw(served: Any) -> float:
    truth = await served.truth("works")
    return float(truth["active_power_kw"]["pv"])


async def test_a_charging_set_point_shows_on_the_incomer_and_reverts(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        before = await _grid_kw(served)
        assert not (await served.write("battery", RVRT_BATTERY, [60])).isError()
        assert not (await served.write("battery", OUT_RATE, [_signed(-6000), 6000])).isError()
        assert not (await served.write("battery", STORCTL, [3])).isError()
        assert await _battery_kw(served) == 30.0  # 60 % of 50 kW
        assert abs(await _grid_kw(served) - before - 30) < 1e-3
        served.clock.forward(59.999)
        assert await _battery_kw(served) == 30.0
        served.clock.forward(0.001)
        assert await _battery_kw(served) == 0.0
        assert (await served.read("battery", STORCTL, 1)).registers == [0]
        energy = (await served.truth("works"))["energy"]["battery"]
        assert energy["import_kwh"] == "0.5"  # 30 kW for a minute


async def test_a_rewritten_set_point_starts_its_timer_anew(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.write("battery", OUT_RATE, [_signed(-2000), 2000, 0, 60])
        await served.write("battery", STORCTL, [3])
        served.clock.forward(50)
        await served.write("battery", OUT_RATE, [4000, _signed(-4000)])
        served.clock.forward(59)
        assert await _battery_kw(served) == -20.0
        served.clock.forward(1)
        assert await _battery_kw(served) == 0.0


async def test_a_set_point_without_timer_stays(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.write("battery", OUT_RATE, [1000, _signed(-1000)])
        await served.write("battery", STORCTL, [3])
        served.clock.forward(2 * HOUR_S)
        assert await _battery_kw(served) == -5.0


async def test_the_battery_shows_what_it_does(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.write("battery", OUT_RATE, [10_000, _signed(-10_000)])
        await served.write("battery", STORCTL, [3])
        served.clock.forward(HOUR_S)
        inverter = (await served.read("battery", 40070, 52)).registers
        assert inverter[14] == 5000  # W in 10 W steps, generating
        assert inverter[15] == 1  # W_SF
        assert inverter[24] << 16 | inverter[25] == 51_000  # WH: 50 kWh and the 1 kWh it started with
        bank = (await served.read("battery", 40152, 64)).registers
        # 200 kWh half full less 50 / 0.95 = 52.63 kWh: 47.368 kWh are 23.68 %.
        assert bank[11] == 2368
        assert bank[16] == 3  # DISCHARGING
        served.clock.forward(HOUR_S)
        bank = (await served.read("battery", 40152, 64)).registers
        assert (bank[11], bank[16]) == (1000, 2)  # at its floor: EMPTY
        assert await _battery_kw(served) == 0.0


async def test_a_smaller_wchamax_scales_both_rates(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.write("battery", OUT_RATE, [_signed(-5000), 5000])
        await served.write("battery", STORCTL, [3])
        await served.write("battery", WCHAMAX, [2000])  # 20 kW
        assert await _battery_kw(served) == 10.0


async def test_curtailed_pv_gives_its_share_and_comes_back(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(12 * HOUR_S)
        free_kw = await _pv_kw(served)
        assert free_kw < -50
        assert not (await served.write("pv", WMAXLIMPCT, [1000, 0, 120, 0, 1])).isError()
        assert await _pv_kw(served) == -25.0  # 10 % of 250 kW
        inverter = (await served.read("pv", 40070, 52)).registers
        assert (inverter[14], inverter[15]) == (2500, 1)
        assert inverter[38] == 5  # THROTTLED
        served.clock.forward(120)
        assert await _pv_kw(served) < -50
        assert (await served.read("pv", WMAXLIM_ENA, 1)).registers == [0]


async def test_a_single_register_write_works_as_well(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(12 * HOUR_S)
        place = served.place("pv")
        client = await served.client(place["port"])
        for address, value in ((WMAXLIMPCT, 0), (WMAXLIM_ENA, 1)):
            answer = await client.write_register(address, value, device_id=place["unit"])
            assert (answer.address, answer.registers) == (address, [value])
        assert await _pv_kw(served) == 0.0
        assert not (await served.write("pv", WMAXLIM_ENA, [0])).isError()
        assert await _pv_kw(served) < -50


async def test_a_disconnected_inverter_sleeps_until_its_timer(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(12 * HOUR_S)
        await served.write("pv", CONN - 1, [30, 0])  # Conn_RvrtTms, Conn
        assert await _pv_kw(served) == 0.0
        assert (await served.read("pv", 40070 + 38, 1)).registers == [2]  # SLEEPING
        served.clock.forward(30)
        assert await _pv_kw(served) < -50


async def test_a_value_out_of_range_is_refused_and_changes_nothing(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(12 * HOUR_S)
        assert (await served.write("pv", WMAXLIMPCT, [10_001, 0, 0, 0, 1])).exception_code == 3
        assert (await served.write("pv", WMAXLIM_ENA, [2])).exception_code == 3
        assert (await served.write("pv", CONN, [2])).exception_code == 3
        assert (await served.write("battery", STORCTL, [4])).exception_code == 3
        assert (await served.write("battery", OUT_RATE, [10_001, 0])).exception_code == 3
        assert (await served.write("battery", WCHAMAX, [5001])).exception_code == 3
        assert (await served.write("battery", 40126 + 8, [1])).exception_code == 2  # ChaState can only be read
        assert (
            await served.write("battery", RVRT_BATTERY, [1, 1, 1, 1])
        ).exception_code == 2  # runs on into WChaMax_SF
        truth = await served.truth("works")
        assert truth["pv_limit_percent"] is None
        assert truth["battery_window"] == {"charge_percent": None, "discharge_percent": None, "reverts_at_ms": None}


async def test_a_point_that_is_not_simulated_takes_a_write_and_stays_not_implemented(
    run_site: Any, works: dict[str, Any]
) -> None:
    async with run_site(works) as served:
        assert not (await served.write("battery", OUT_RATE + 2, [5])).isError()  # InOutWRte_WinTms
        assert (await served.read("battery", OUT_RATE + 2, 1)).registers == [0xFFFF]

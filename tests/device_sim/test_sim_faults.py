"""Each fault as a Modbus client meets it, and what the log says of it."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from pymodbus.exceptions import ModbusIOException

from device_sim.answer_log import AnswerLog
from device_sim.faults import Fault, FaultKind, Faults


def _energy_wh(answer: Any) -> int:
    (value,) = struct.unpack(">q", struct.pack(">4H", *answer.registers[:4]))
    return int(value)


async def _silent(served: Any, device: str = "incomer") -> bool:
    try:
        await served.read(device, 3203, 42, timeout_s=0.15)
    except ModbusIOException:
        return True
    return False


async def test_silence_gives_no_answer_no_serial_and_ends_by_itself(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        assert (await served.ask({"device": "incomer", "fault": "silence", "for_s": 5})) == {"ok": True}
        assert await _silent(served)
        assert served.log() == []
        served.clock.forward(5)
        assert not await _silent(served)
        assert [entry["serial"] for entry in served.log()] == [1]


async def test_silence_without_a_duration_lasts_until_it_is_cleared(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "silence"})
        served.clock.forward(1e6)
        assert await _silent(served)
        await served.ask({"device": "incomer", "clear": "silence"})
        assert not await _silent(served)


async def test_one_silent_unit_does_not_silence_its_neighbours_on_the_port(
    run_site: Any, works: dict[str, Any]
) -> None:
    async with run_site(works) as served:
        await served.ask({"device": "incomer", "fault": "silence"})
        assert await _silent(served)
        assert not (await served.read("process", 1, 76)).isError()


async def test_a_delayed_answer_is_logged_when_it_is_sent(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "delay", "delay_s": 0.1})
        asked = asyncio.create_task(served.read("incomer", 3203, 42))
        await served.truth("steel")
        assert served.log() == []
        served.clock.forward(900)
        assert _energy_wh(await asked) == 2990  # the values of the moment of sending
        (entry,) = served.log()
        assert (entry["at_ms"], entry["carried"], entry["fault"]) == (served.clock.at_ms, True, "delay")


async def test_a_delayed_answer_to_a_client_that_has_gone_is_not_given(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "delay", "delay_s": 0.2})
        with pytest.raises(ModbusIOException):
            await served.read("incomer", 3203, 42, timeout_s=0.05)
        # Asked later and answered after the same delay, so the first answer's time has passed by then.
        assert not (await served.read("incomer", 3203, 42)).isError()
        assert [(entry["serial"], entry["carried"]) for entry in served.log()] == [(1, True)]


async def test_a_delayed_answer_to_a_client_that_asked_again_carries_nothing(
    run_site: Any, steel: dict[str, Any]
) -> None:
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "delay", "delay_s": 0.1})
        reader, writer = await asyncio.open_connection("127.0.0.1", served.place("incomer")["port"])
        request = b"\x00\x00\x00\x06\x01\x03\x0c\xab\x00\x02"
        writer.write(b"\x00\x01" + request + b"\x00\x02" + request)
        await asyncio.wait_for(reader.readexactly(26), 5)
        writer.close()
        assert [(entry["serial"], entry["carried"]) for entry in served.log()] == [(1, False), (2, True)]


async def test_an_exception_code_comes_instead_of_values(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "exception", "code": 6})
        assert (await served.read("incomer", 3203, 42)).exception_code == 6
        (entry,) = served.log()
        assert (entry["serial"], entry["carried"], entry["fault"]) == (1, False, "exception")


async def test_an_answer_under_a_wrong_unit_id_reaches_nobody(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "wrong_unit"})
        with pytest.raises(ModbusIOException):
            await served.read("incomer", 3203, 42, timeout_s=0.15)
        (entry,) = served.log()
        assert (entry["unit"], entry["carried"], entry["fault"]) == (2, False, "wrong_unit")


async def test_frozen_values_come_with_fresh_serials(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        served.clock.forward(900)
        await served.ask({"device": "incomer", "fault": "frozen", "for_s": 900})
        served.clock.forward(899)
        answers = [await served.read("incomer", 3203, 42) for _ in range(2)]
        assert [_energy_wh(answer) for answer in answers] == [2990, 2990]
        assert [answer.registers[41] for answer in answers] == [1, 2]
        served.clock.forward(1)
        assert _energy_wh(await served.read("incomer", 3203, 42)) == 6050  # 2.99 + 3.06
        assert [entry["fault"] for entry in served.log()] == ["frozen", "frozen", None]


async def test_a_reset_counter_starts_from_zero(run_site: Any, steel: dict[str, Any]) -> None:
    steel["plant"][0]["device"][0]["start_import_kwh"] = 5000
    async with run_site(steel) as served:
        served.clock.forward(900)
        assert _energy_wh(await served.read("incomer", 3203, 42)) == 5_002_990
        await served.ask({"device": "incomer", "fault": "reset"})
        assert _energy_wh(await served.read("incomer", 3203, 42)) == 0
        served.clock.forward(900)
        assert _energy_wh(await served.read("incomer", 3203, 42)) == 3060
        assert (await served.truth("steel"))["energy"]["grid"]["import_kwh"] == "6.05"  # the truth knows no reset


async def test_a_counter_near_its_modulus_wraps(run_site: Any, steel: dict[str, Any]) -> None:
    steel["plant"][0]["device"][0]["modulus_kwh"] = 1_000_000
    async with run_site(steel) as served:
        await served.ask({"device": "incomer", "fault": "rollover", "below_kwh": 1})
        assert _energy_wh(await served.read("incomer", 3203, 42)) == 999_999_000
        served.clock.forward(900)
        assert _energy_wh(await served.read("incomer", 3203, 42)) == 1990  # 2.99 kWh later
        shown = (await served.truth("steel"))["devices"]["incomer"]
        assert (shown["import_kwh"], shown["modulus_kwh"]) == ("1.99", "1000000")


async def test_a_start_value_near_the_modulus_wraps_too(run_site: Any, works: dict[str, Any]) -> None:
    works["plant"][0]["device"][3]["start_export_kwh"] = 4_294_967.0  # 296 Wh below 2^32 Wh
    async with run_site(works) as served:
        served.clock.forward(12 * 3600)
        registers = (await served.read("pv", 40070 + 24, 2)).registers
        produced_wh = int(1000 * float((await served.truth("works"))["energy"]["pv"]["export_kwh"]))
        assert registers[0] << 16 | registers[1] == (4_294_967_000 + produced_wh) % 2**32 < 4_000_000


async def test_a_rebooting_battery_is_silent_and_forgets_its_set_point(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.write("battery", 40138, [2000, 0x10000 - 2000, 0, 600])
        await served.write("battery", 40131, [3])
        assert (await served.truth("works"))["active_power_kw"]["battery"] == -10
        await served.ask({"device": "battery", "fault": "reboot", "for_s": 20})
        assert (await served.truth("works"))["active_power_kw"]["battery"] == 0
        with pytest.raises(ModbusIOException):
            await served.read("battery", 40070, 2, timeout_s=0.15)
        served.clock.forward(20)
        assert (await served.read("battery", 40131, 1)).registers == [0]
        assert (await served.read("battery", 40141, 1)).registers == [0]  # the timer register as well


async def test_a_rebooting_pv_inverter_forgets_its_limit(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(12 * 3600)
        await served.write("pv", 40127, [0, 0, 0, 0, 1])
        await served.ask({"device": "pv", "fault": "reboot", "for_s": 1})
        assert (await served.truth("works"))["active_power_kw"]["pv"] < -50


def test_faults_of_one_kind_replace_each_other_and_run_out() -> None:
    faults = Faults()
    faults.begin(Fault(FaultKind.SILENCE, 100))
    faults.begin(Fault(FaultKind.SILENCE, 50))
    faults.begin(Fault(FaultKind.DELAY, None, 2.0))
    assert set(faults.active(49)) == {FaultKind.SILENCE, FaultKind.DELAY}
    assert set(faults.active(50)) == {FaultKind.DELAY}
    faults.clear()
    assert faults.active(0) == {}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"not json", "expected one JSON object on a line"),
        (b"\xff\xfe", "expected one JSON object on a line"),
        (b"[1]", "expected a JSON object, got list"),
        ({}, "device: expected one of ['works/incomer'"),
        ({"device": "incomer"}, "fault: expected one of ['silence'"),
        ({"device": "nobody", "fault": "silence"}, "got 'nobody'"),
        ({"device": "incomer", "plant": "depot", "fault": "silence"}, "device: expected one of"),
        ({"device": "incomer", "fault": "fire"}, "got 'fire'"),
        ({"device": "incomer", "fault": "silence", "for_s": -1}, "for_s: expected a number from 0"),
        ({"device": "incomer", "fault": "silence", "for_s": "5"}, "for_s: expected a number from 0"),
        ({"device": "incomer", "fault": "silence", "four_s": 5}, "got ['four_s']"),
        ({"device": "incomer", "fault": "delay", "delay_s": 1e9}, "delay_s: expected a number from 0 to 3600"),
        ({"device": "incomer", "fault": "exception", "code": 0}, "code: expected a number from 1 to 11"),
        ({"device": "incomer", "fault": "reboot"}, "for_s: expected how long"),
        ({"device": "incomer", "fault": "rollover", "below_kwh": 0}, "below_kwh: expected a number"),
        ({"device": "incomer", "clear": "everything"}, "clear: expected 'all' or one of"),
        ({"show": "devices"}, "show: expected 'plants', got 'devices'"),
        ({"set": 5}, "set: expected an object"),
        ({"set": {"plant": "mill", "load_kw": 5}}, "set.plant: expected one of ['works'], got 'mill'"),
        ({"set": {"plant": "works", "load_kw": True}}, "load_kw: expected a number"),
    ],
)
async def test_a_request_that_cannot_be_carried_out_says_why(
    run_site: Any, works: dict[str, Any], request_: Any, expected: str
) -> None:
    async with run_site(works) as served:
        answer = await served.ask(request_)
        assert answer["ok"] is False
        assert expected in answer["error"]
        assert not (await served.read("incomer", 3059, 2)).isError()


async def test_an_overridden_load_shows_and_ends(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.ask({"set": {"plant": "works", "load_kw": 333.5, "for_s": 60}})
        assert (await served.truth("works"))["active_power_kw"]["load"] == 333.5
        served.clock.forward(60)
        assert (await served.truth("works"))["active_power_kw"]["load"] == 100
        await served.ask({"set": {"plant": "works", "load_kw": 1}})
        await served.ask({"set": {"plant": "works", "load_kw": None}})
        assert (await served.truth("works"))["active_power_kw"]["load"] == 100


async def test_a_device_name_in_two_plants_needs_the_plant(run_site: Any, steel: dict[str, Any]) -> None:
    steel["plant"].append({**steel["plant"][0], "name": "second"})
    async with run_site(steel) as served:
        answer = await served.ask({"device": "incomer", "fault": "silence"})
        assert "plant: expected the plant of 'incomer'" in answer["error"]
        assert (await served.ask({"device": "incomer", "plant": "second", "fault": "silence"}))["ok"]
        assert (await served.truth("second"))["devices"]["incomer"]["faults"] == ["silence"]
        assert (await served.truth("steel"))["devices"]["incomer"]["faults"] == []


async def test_a_restarted_simulator_continues_its_serials(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        await served.read("incomer", 3203, 42)
        await served.read("incomer", 3203, 42)
        path = served.log_path
    with path.open("a", encoding="ascii") as file:
        file.write('{"plant":"steel","device":"inc')  # the line that a power cut tore
    async with run_site(steel) as served:
        assert (await served.read("incomer", 3203, 42)).registers[41] == 3
        assert [entry["serial"] for entry in served.log()] == [1, 2, 3]


def test_a_log_is_complete_without_being_closed(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "a.jsonl")
    try:
        log.write("p", "d", 7, 5, carried=True, fault=None, address=0)
        assert (tmp_path / "a.jsonl").read_text(encoding="ascii").count("\n") == 1
    finally:
        log.close()
    with AnswerLog(tmp_path / "a.jsonl") as again:
        assert again.last_serials == {("p", "d"): 7}

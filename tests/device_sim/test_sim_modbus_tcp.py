"""The server seen through pymodbus' client, an independent peer: values, exceptions, serial numbers and the log."""

import asyncio
import re
import shutil
import struct
from typing import Any

import pytest

HOUR_S = 3600


def _float32(registers: list[int]) -> float:
    (value,) = struct.unpack(">f", struct.pack(">2H", *registers))
    return float(value)


def _int64(registers: list[int]) -> int:
    (value,) = struct.unpack(">q", struct.pack(">4H", *registers))
    return int(value)


def _double(registers: list[int]) -> float:
    (value,) = struct.unpack(">d", struct.pack(">4H", *registers))
    return float(value)


def _uint32(registers: list[int]) -> int:
    return registers[0] << 16 | registers[1]


async def test_the_incomer_shows_the_first_quarter_hours_energy_and_power(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        served.clock.forward(900)
        answer = await served.read("incomer", 3203, 4)
        assert _int64(answer.registers) == 2990  # 2.99 kWh, the first row
        answer = await served.read("incomer", 3059, 2)
        assert abs(_float32(answer.registers) - 12.24) < 1e-4  # kW: the second row is 3.06 kWh in a quarter of an hour


async def test_every_meter_shows_its_own_node(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(9.5 * HOUR_S)  # half past nine in Seoul: sun, vehicles, load
        truth = await served.truth("works")
        power = truth["active_power_kw"]
        assert power["pv"] < -20
        assert power["ev"] >= 11
        grid = _float32((await served.read("incomer", 3059, 2)).registers)
        load = _float32((await served.read("process", 65, 2)).registers) / 1000
        charging = _float32((await served.read("charging", 52, 2, function=4)).registers) / 1000
        assert abs(grid - power["grid"]) < 1e-4
        assert load == 100.0
        assert abs(charging - power["ev"]) < 1e-4
        assert abs(grid - (load + charging + power["pv"])) < 1e-3
        energy = truth["energy"]
        assert _double((await served.read("process", 801, 4)).registers) == 950_000.0  # 100 kW for 9.5 h, Wh
        assert (
            abs(
                _float32((await served.read("charging", 72, 2, function=4)).registers)
                - float(energy["ev"]["import_kwh"])
            )
            < 1e-4
        )


async def test_each_answer_carries_the_next_serial_in_every_covered_pair(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        first = (await served.read("incomer", 2999, 114)).registers
        assert _uint32(first[3111 - 2999 : 3113 - 2999]) == 1
        energies = (await served.read("incomer", 3203, 42)).registers
        assert _uint32(energies[40:42]) == 2
        assert _uint32((await served.read("charging", 0, 80, function=4)).registers[44:46]) == 1
        assert _uint32((await served.read("process", 1, 76)).registers[74:76]) == 1
        assert _uint32((await served.read("process", 801, 42)).registers[40:42]) == 2
        assert _uint32((await served.read("pv", 40070, 84)).registers[80:82]) == 1
        battery = (await served.read("battery", 40100, 120)).registers
        assert _uint32(battery[24:26]) == _uint32(battery[118:120]) == 1


async def test_serials_in_the_log_have_no_hole_whatever_is_asked(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        await served.read("incomer", 2999, 114)  # carried
        await served.read("incomer", 2999, 10)  # no serial pair in it
        await served.read("incomer", 9000, 2)  # exception
        await served.read("incomer", 3110, 2)  # half a pair only
        await served.read("incomer", 3203, 42)  # carried
        log = served.log()
        assert [entry["serial"] for entry in log] == [1, 2, 3, 4, 5]
        assert [entry["carried"] for entry in log] == [True, False, False, False, True]
        assert log[0] == {
            "plant": "works",
            "device": "incomer",
            "unit": 1,
            "serial": 1,
            "at_ms": served.clock.at_ms,
            "address": 2999,
            "count": 114,
            "carried": True,
            "fault": None,
        }


async def test_requests_outside_a_devices_rules_get_the_exception_of_the_standard(
    run_site: Any, works: dict[str, Any]
) -> None:
    async with run_site(works) as served:
        assert (await served.read("incomer", 100, 2)).exception_code == 2
        assert (await served.read("incomer", 3299, 2)).exception_code == 2
        assert (await served.read("charging", 0, 2, function=3)).exception_code == 1
        assert (await served.read("charging", 0, 82, function=4)).exception_code == 3
        assert (await served.write("incomer", 3059, [0, 0])).exception_code == 1
        assert (await served.write("pv", 40072, [0])).exception_code == 2


async def test_an_unknown_unit_is_answered_by_the_gateway_and_not_logged(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        client = await served.client(served.place("incomer")["port"])
        answer = await client.read_holding_registers(3059, count=2, device_id=99)
        assert answer.exception_code == 0x0B
        assert served.log() == []


async def test_a_broken_frame_ends_only_its_own_connection(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        port = served.place("incomer")["port"]
        for frame in (
            b"\x00\x01\x00\x07\x00\x06\x01\x03\x00\x00\x00\x01",
            b"\x00\x01\x00\x00\xff\xff\x01",
            b"\x00\x01\x00\x00\x00\x01\x01",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(frame)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert not (await served.read("incomer", 3059, 2)).isError()


async def test_a_request_cut_short_gets_illegal_value(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.place("incomer")["port"])
        writer.write(b"\x00\x09\x00\x00\x00\x04\x01\x03\x0b\xb7")  # an address without a count
        assert await asyncio.wait_for(reader.readexactly(9), 5) == b"\x00\x09\x00\x00\x00\x03\x01\x83\x03"
        writer.close()


async def test_requests_in_a_row_are_answered_in_order(run_site: Any, steel: dict[str, Any]) -> None:
    async with run_site(steel) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.place("incomer")["port"])
        request = b"\x00\x00\x00\x06\x01\x03\x0c\xab\x00\x02"  # 3243, the second serial pair
        writer.write(b"".join(number.to_bytes(2, "big") + request for number in range(40)))
        answers = [await asyncio.wait_for(reader.readexactly(13), 5) for _ in range(40)]
        assert [int.from_bytes(answer[:2], "big") for answer in answers] == list(range(40))
        assert [int.from_bytes(answer[9:], "big") for answer in answers] == list(range(1, 41))
        writer.close()


async def test_mbpoll_reads_a_meter_and_is_told_that_an_address_is_illegal(
    run_site: Any, works: dict[str, Any]
) -> None:
    """libmodbus. -t 4:float -B: big-endian floats of holding registers; -r counts from 1, so that 66 is the register with address 65."""
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll (Debian, libmodbus) is not installed")
    async with run_site(works) as served:
        place = served.place("process")
        said = []
        for words in (("-t", "4:float", "-B", "-r", "66", "-c", "1"), ("-t", "4", "-r", "60001")):
            process = await asyncio.create_subprocess_exec(
                "mbpoll", "-m", "tcp", "-p", str(place["port"]), "-a", "2", *words, "-1", "127.0.0.1",
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(process.communicate(), 30)
            said.append(out.decode(errors="replace"))
        assert re.findall(r"^\[66\]:\s+([\d.e+]+)", said[0], re.MULTILINE) == ["100000"], said[0]  # W
        assert "Illegal data address" in said[1]

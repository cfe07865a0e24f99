"""The simulated serial line as clients that we did not write meet it: pymodbus, and mbpoll with libmodbus. And raw frames, byte by byte."""

import asyncio
import os
import random
import re
import shutil
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from device_sim.modbus.rtu import crc
from device_sim.site_table import SiteFaults

METERS = [("process", "siemens_pac3200", "load", 2), ("charging", "eastron_sdm630", "ev", 3)]


def site(serial: bool, **options: Any) -> dict[str, Any]:
    return {
        "plant": [
            {
                "name": "works",
                "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
                "ev": {"points": 4, "max_kw": 11},
                "bus": [{"name": "line", "protocol": "modbus_rtu", **options, **({"serial": True} if serial else {})}],
                "device": [
                    {"name": name, "kind": kind, "measures": measures, "bus": "line", "unit": unit}
                    for name, kind, measures, unit in METERS
                ],
            }
        ]
    }


@pytest.fixture(params=[True, False], ids=["pty", "tcp"])
async def line(request: pytest.FixtureRequest, run_site: Callable[..., Any]) -> AsyncIterator[Any]:
    async with run_site(site(request.param)) as served:
        yield served


async def _pymodbus(place: dict[str, Any]) -> Any:
    client: Any
    if "serial" in place:
        client = AsyncModbusSerialClient(place["serial"], baudrate=9600, timeout=1, retries=0, reconnect_delay=0)
    else:
        client = AsyncModbusTcpClient(
            place["host"], port=place["port"], framer=FramerType.RTU, timeout=1, retries=0, reconnect_delay=0
        )
    assert await client.connect()
    return client


async def test_pymodbus_reads_both_units_of_the_line(line: Any) -> None:
    """PAC3200: average voltage in 57; SDM630: voltage of phase 1 in input register 0; both as float32 near 230 V."""
    client = await _pymodbus(line.place("process"))
    try:
        meter = await client.read_holding_registers(1, count=2, device_id=2)
        charging = await client.read_input_registers(0, count=2, device_id=3)
        for answer in (meter, charging):
            (voltage_v,) = struct.unpack(">f", struct.pack(">2H", *answer.registers))
            assert 215 < voltage_v < 245
        refused = await client.read_holding_registers(60_000, count=2, device_id=2)
        assert refused.exception_code == 2
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(1, count=2, device_id=9)
    finally:
        client.close()


async def test_pymodbus_sees_nothing_of_an_answer_with_a_wrong_checksum(line: Any) -> None:
    await line.ask({"device": "process", "fault": "wrong_checksum"})
    client = await _pymodbus(line.place("process"))
    try:
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(1, count=2, device_id=2)
    finally:
        client.close()
    assert [(entry["fault"], entry["carried"]) for entry in line.log()] == [("wrong_checksum", False)]


async def _mbpoll(*arguments: str) -> str:
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll (Debian, libmodbus) is not installed")
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return said.decode(errors="replace")


@pytest.mark.parametrize("parity", ["none", "even"])
async def test_mbpoll_reads_the_meter_on_the_pseudo_terminal(run_site: Callable[..., Any], parity: str) -> None:
    """-t 4:float -B: big-endian floats; -r counts from 1, so that 1 is the register with address 0."""
    async with run_site(site(True)) as served:
        path = served.place("charging")["serial"]
        words = ("-m", "rtu", "-b", "9600", "-P", parity, "-a", "3", "-t", "3:float", "-B", "-r", "1", "-c", "3", "-1")
        said = await _mbpoll(*words, path)
        voltages = [float(value) for value in re.findall(r"^\[\d+\]:\s+([\d.]+)", said, re.MULTILINE)]
        assert len(voltages) == 3, said
        assert all(215 < voltage_v < 245 for voltage_v in voltages)


async def test_mbpoll_is_told_that_an_address_is_illegal(run_site: Callable[..., Any]) -> None:
    async with run_site(site(True)) as served:
        path = served.place("process")["serial"]
        said = await _mbpoll("-m", "rtu", "-b", "9600", "-P", "none", "-a", "2", "-t", "4", "-r", "60001", "-1", path)
        assert "Illegal data address" in said


async def _raw(place: dict[str, Any], *parts: bytes, wanted: int) -> bytes:
    """Sends `parts` and gives the first `wanted` bytes that come back within a second."""
    loop, received = asyncio.get_running_loop(), bytearray()
    if "serial" in place:
        fd = os.open(place["serial"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            for part in parts:
                os.write(fd, part)
                await asyncio.sleep(0.01)
            deadline = loop.time() + 1
            while len(received) < wanted and loop.time() < deadline:
                try:
                    received += os.read(fd, wanted)
                except BlockingIOError:
                    await asyncio.sleep(0.005)
        finally:
            os.close(fd)
        return bytes(received)
    reader, writer = await asyncio.open_connection(place["host"], place["port"])
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.01)
    try:
        async with asyncio.timeout(1):
            while len(received) < wanted:
                received += await reader.read(wanted)
    except TimeoutError:
        pass
    writer.close()
    await writer.wait_closed()
    return bytes(received)


# Eastron SDM120Modbus protocol V2.4, page 3, prints this request with its checksum; here for unit 3.
REQUEST = bytes.fromhex("03 04 00 00 00 02") + crc(bytes.fromhex("03 04 00 00 00 02"))


def test_the_checksum_is_that_of_the_manual() -> None:
    assert crc(bytes.fromhex("01 04 00 00 00 02")) == bytes.fromhex("71 CB")
    assert crc(bytes.fromhex("01 04 04 43 66 33 34")) == bytes.fromhex("1B 38")


async def test_a_request_in_pieces_behind_noise_is_answered(line: Any) -> None:
    answer = await _raw(line.place("charging"), b"\x00\xff", REQUEST[:3], REQUEST[3:], wanted=9)
    assert answer[:3] == bytes((3, 4, 4))
    assert crc(answer[:-2]) == answer[-2:]


async def test_a_request_with_a_wrong_checksum_or_for_everybody_is_not_answered(line: Any) -> None:
    broken = REQUEST[:-1] + bytes((REQUEST[-1] ^ 1,))
    everybody = bytes((0,)) + REQUEST[1:-2]
    assert await _raw(line.place("charging"), broken, everybody + crc(everybody), wanted=1) == b""
    assert line.log() == []


async def test_an_unknown_function_is_refused_once_the_line_is_silent(line: Any) -> None:
    request = bytes.fromhex("03 2B 0E 01 00")
    answer = await _raw(line.place("charging"), request + crc(request), wanted=5)
    assert answer[:3] == bytes((3, 0xAB, 1))


async def test_one_unit_being_late_does_not_hold_up_another(line: Any) -> None:
    await line.ask({"device": "process", "fault": "delay", "delay_s": 30})
    late = bytes.fromhex("02 03 00 01 00 02")
    answer = await _raw(line.place("charging"), late + crc(late), REQUEST, wanted=9)
    assert answer[:3] == bytes((3, 4, 4))


async def test_any_bytes_leave_the_line_answering(line: Any) -> None:
    chance = random.Random(5)
    await _raw(line.place("charging"), *(chance.randbytes(chance.randrange(1, 60)) for _ in range(20)), wanted=0)
    answer = await _raw(line.place("charging"), REQUEST, wanted=9)
    assert answer[:3] == bytes((3, 4, 4))


async def test_a_refused_option_of_the_bus_is_named(run_site: Callable[..., Any]) -> None:
    with pytest.raises(SiteFaults, match="speed"):
        async with run_site(site(True, speed=9600)):
            pass

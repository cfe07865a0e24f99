"""What commissioning finds out: the framing behind a port, and the order of words, from devices made of struct."""

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from far_end import FarEnd, Parts, on_tcp
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent import meter
from edge_agent.drivers.driver import Answer, BusUnreachable, Gateway
from edge_agent.drivers.modbus.declared import ModbusPlan, fields
from edge_agent.drivers.modbus.detect import framing, word_order
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp


def tcp(request: bytes) -> Parts:
    """A Modbus TCP device: it looks at 12 bytes, knows protocol 0 and refuses every address."""
    if len(request) != 12 or request[2:4] != b"\x00\x00":
        return []
    return [(0, request[:4] + struct.pack(">HBBB", 3, request[6], request[7] | 0x80, 2))]


def rtu(request: bytes) -> Parts:
    """Unit 7 of an RTU line, which knows the two requests by their bytes: 07 03 0000 0001 and 07 04 0000 0002."""
    answers = {
        bytes.fromhex("07 03 00 00 00 01 84 6C"): bytes.fromhex("07 03 02 12 34 3D 33"),
        bytes.fromhex("07 04 00 00 00 02 71 AD"): bytes.fromhex("07 84 02 22 C0"),
    }
    return [(0, answers[request])] if request in answers else []


OnTcp = Callable[[Callable[[bytes], Parts]], AbstractAsyncContextManager[FarEnd]]


async def found(react: Callable[[bytes], Parts], **asked: Any) -> tuple[str | None, str, FarEnd]:
    async with on_tcp(react) as end:
        told = await framing("127.0.0.1", end.port, 7, timeout_s=0.3, **asked)
        return told.protocol, told.text, end


async def test_modbus_tcp_is_told_by_its_header_although_the_address_is_refused() -> None:
    assert (await found(tcp))[0] == "modbus_tcp"


async def test_rtu_behind_a_serial_server_is_told_by_its_checksum() -> None:
    protocol, text, end = await found(rtu)
    assert protocol == "modbus_rtu"
    assert "serial server" in text
    assert end.connections == 2


async def test_an_exception_tells_as_well_and_the_functions_are_those_of_the_tables() -> None:
    assert (await found(rtu, table="input", count=2))[0] == "modbus_rtu"


async def test_silence_and_strange_bytes_are_told_apart() -> None:
    protocol, text, _ = await found(lambda _: [])
    assert protocol is None
    assert "unit 7 answers neither" in text
    protocol, text, _ = await found(lambda _: [(0, b"SSH-2.0-OpenSSH_9.2\r\n")])
    assert protocol is None
    assert "saw 53 53 48 2d" in text


async def test_an_adapter_that_hands_our_own_bytes_back_is_no_framing() -> None:
    protocol, text, end = await found(lambda request: [(0, request)])
    assert protocol is None, text
    assert end.connections == 2


async def test_no_connection_is_a_bus_that_cannot_be_reached() -> None:
    async with on_tcp(lambda _: []) as end:
        port = end.port
    with pytest.raises(BusUnreachable, match=str(port)):
        await framing("127.0.0.1", port, 1, timeout_s=0.3)


@pytest.mark.parametrize(("framer", "expected"), [(FramerType.SOCKET, "modbus_tcp"), (FramerType.RTU, "modbus_rtu")])
async def test_the_servers_of_pymodbus_are_told_apart(framer: FramerType, expected: str) -> None:
    device = SimDevice(id=1, simdata=[SimData(0, values=[1, 2, 3, 4], datatype=DataType.REGISTERS)])
    server = ModbusTcpServer([device], framer=framer, address=("127.0.0.1", 0), ignore_missing_devices=True)
    await server.serve_forever(background=True)
    try:
        port = server.transport.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        assert (await framing("127.0.0.1", port, 1, timeout_s=1.0)).protocol == expected
    finally:
        await server.shutdown()


def lay(peer: Any, floats: dict[int, float], low_first: bool) -> None:
    peer.put(0, *[0] * 400)
    for address, value in floats.items():
        high, low = struct.unpack(">2H", struct.pack(">f", value))
        peer.put(address, *((low, high) if low_first else (high, low)))


@pytest.fixture
async def driver(peer: Any) -> AsyncIterator[ModbusTcp]:
    driver = ModbusTcp(Endpoint("127.0.0.1", peer.port, timeout_s=0.5), Gateway(lambda: 1_800_000_000_000))
    yield driver
    await driver.close()


# Input registers of an Eastron SDM630: three voltages, three currents, three powers, frequency, two counters.
LOADED = {0: 230.2, 2: 229.7, 4: 231.3, 6: 12.41, 8: 11.93, 10: 13.07, 12: 2811.4, 14: 2702.1, 16: 2984.9, 70: 49.98,
          72: 1234.56, 74: 17.3}  # fmt: skip


def sdm630() -> ModbusPlan:
    model = meter.load("eastron_sdm630")
    return ModbusPlan("meter", 1, fields(model), model.limits())


@pytest.mark.parametrize("low_first", [False, True])
async def test_the_word_order_is_found_whichever_it_is(peer: Any, driver: ModbusTcp, low_first: bool) -> None:
    lay(peer, LOADED, low_first)
    told = await word_order(sdm630(), driver.read)
    assert told.verdict == ("exchanged" if low_first else "declared")
    assert ("word_order = 'low_first'" in told.text) is low_first
    votes = told.exchanged if low_first else told.declared
    assert votes >= 10


async def test_a_meter_without_load_and_voltage_tells_nothing(peer: Any, driver: ModbusTcp) -> None:
    lay(peer, {}, False)
    told = await word_order(sdm630(), driver.read)
    assert told.verdict == "unknown"
    assert "cannot be told now" in told.text


@pytest.mark.parametrize("low_first", [False, True])
async def test_integer_counters_tell_by_their_size(peer: Any, driver: ModbusTcp, low_first: bool) -> None:
    """123456 and 4567 hundredths of a kWh; exchanged they would be 38 and 3 million kWh."""
    peer.put(0, *((0xE240, 0x0001, 0x11D7, 0x0000) if low_first else (0x0001, 0xE240, 0x0000, 0x11D7)))
    rows = [
        Field(f"energy_{way}_kwh", "holding", 2 * at, "uint32", exponent=-2, high=1e9, counter=True)
        for at, way in enumerate(("import", "export"))
    ]
    told = await word_order(ModbusPlan("meter", 1, tuple(rows)), driver.read)
    assert told.verdict == ("exchanged" if low_first else "declared")


async def test_single_registers_have_no_order_and_are_not_asked(peer: Any, driver: ModbusTcp) -> None:
    asked: list[ModbusPlan] = []

    async def read(plan: ModbusPlan) -> Answer:
        asked.append(plan)
        return await driver.read(plan)

    told = await word_order(ModbusPlan("meter", 1, (Field("voltage_l1_v", "holding", 0, "uint16"),)), read)
    assert (told.verdict, asked) == ("unknown", [])
    assert "no value of several registers" in told.text

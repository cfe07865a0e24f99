"""The Modbus RTU driver against a far end made of struct and a checksum by the letter of its definition. It shares no code with the driver."""

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from far_end import FarEnd, Parts, on_pty, on_tcp

from edge_agent.drivers.driver import (
    BusUnreachable,
    DeviceMisanswered,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from edge_agent.drivers.modbus.declared import ModbusPlan
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.rtu import RtuLink
from edge_agent.drivers.serial_line import Line, Wiring
from edge_agent.drivers.table import declared, open_driver

TIMEOUT_S = 0.3
NOON_MS = 1_800_000_000_000


def checksum(data: bytes) -> bytes:
    """MODBUS over Serial Line V1.02, 6.2.2: polynomial A001, start FFFF, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def framed(body: bytes) -> bytes:
    return body + checksum(body)


@dataclass
class Slave:
    """Answers reads from `words` for the units it has; `delays` (by first register) are waited for first, `spoil` changes the answer.

    A unit answers in order, as a meter does that takes up one request after the other.
    """

    words: dict[int, int]
    units: tuple[int, ...] = (1,)
    delays: dict[int, float] = field(default_factory=dict)
    spoil: Callable[[bytes], Parts] = lambda answer: [(0, answer)]
    refuse: int | None = None
    asked: list[tuple[int, int, int, int]] = field(default_factory=list)
    free_at_s: dict[int, float] = field(default_factory=dict)

    def react(self, request: bytes) -> Parts:
        if len(request) != 8 or framed(request[:-2]) != request:
            return []
        unit, function, start, count = struct.unpack(">BBHH", request[:6])
        self.asked.append((unit, function, start, count))
        if unit not in self.units:
            return []
        if self.refuse is not None:
            answer = framed(bytes((unit, function | 0x80, self.refuse)))
        elif any(at not in self.words for at in range(start, start + count)):
            answer = framed(bytes((unit, function | 0x80, 2)))
        else:
            data = b"".join(struct.pack(">H", self.words[at]) for at in range(start, start + count))
            answer = framed(bytes((unit, function, len(data))) + data)
        parts = list(self.spoil(answer))
        if not parts:
            return []
        now_s = asyncio.get_running_loop().time()
        wait_s = max(0.0, self.free_at_s.get(unit, 0.0) - now_s) + self.delays.get(start, 0.0)
        self.free_at_s[unit] = now_s + wait_s + sum(part_s for part_s, _ in parts) + 0.001
        return [(wait_s + parts[0][0], parts[0][1]), *parts[1:]]


@dataclass
class Bus:
    slave: Slave
    end: FarEnd
    link: RtuLink
    shown: list[tuple[str, bool, bytes]]

    async def read(self, start: int, count: int, unit: int = 1, table: str = "holding") -> list[int]:
        data = await self.link.registers("meter", unit, table, start, count)
        return list(struct.unpack(f">{count}H", data))


@pytest.fixture(params=["pty", "tcp"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """Every register holds its own address."""
    slave = Slave({at: at for at in range(2000)})
    async with (on_pty if request.param == "pty" else on_tcp)(slave.react) as end:
        where = Wiring(serial=end.path) if request.param == "pty" else Wiring(host="127.0.0.1", port=end.port)
        shown: list[tuple[str, bool, bytes]] = []
        gateway = Gateway(lambda: NOON_MS, frame=lambda *frame: shown.append(frame))
        link = RtuLink(Line(where), gateway, TIMEOUT_S)
        yield Bus(slave, end, link, shown)
        link.close()


async def test_the_request_and_answer_of_the_manual_stand_on_the_line(bus: Bus) -> None:
    """Eastron SDM120Modbus protocol V2.4, page 3: voltage of unit 1 from input register 0, answered 43 66 33 34 = 230.2 V."""
    bus.slave.words |= {0: 0x4366, 1: 0x3334}
    assert await bus.link.registers("meter", 1, "input", 0, 2) == bytes.fromhex("43663334")
    assert bus.end.asked == [bytes.fromhex("01 04 00 00 00 02 71 CB")]
    assert bus.shown == [
        ("meter", True, bytes.fromhex("01 04 00 00 00 02 71 CB")),
        ("meter", False, bytes.fromhex("01 04 04 43 66 33 34 1B 38")),
    ]
    assert bus.link.at_ms == NOON_MS


async def test_the_longest_answer_has_125_registers(bus: Bus) -> None:
    assert await bus.read(3, 125) == list(range(3, 128))


async def test_a_late_answer_of_another_register_is_never_returned(bus: Bus) -> None:
    """The case in which a known library returned [1111, 1111] of address 0 for address 100: time-out 0.3 s, answer after 0.45 s."""
    bus.slave.words |= {0: 1111, 1: 1111, 100: 2222, 101: 2222}
    bus.slave.delays = {0: 0.45}
    with pytest.raises(DeviceUnreachable, match=r"unit 1, 2 holding registers from 0: .* no answer within 0\.3 s"):
        await bus.read(0, 2)
    assert await bus.read(100, 2) == [2222, 2222]


async def test_an_answer_that_comes_later_than_anybody_waits_is_never_returned_for_another_register(bus: Bus) -> None:
    bus.slave.delays = {0: 1.0}
    with pytest.raises(DeviceUnreachable):
        await bus.read(0, 2)
    read: list[int] = []
    while not read:  # a second request, and the sweep before it, may fall into the silence
        try:
            read = await bus.read(100, 2)
        except DriverError:
            continue
    assert read == [100, 101]
    assert any(start == 100 and count != 2 for _, _, start, count in bus.slave.asked)


async def test_whatever_the_delays_no_register_is_ever_returned_for_another(bus: Bus) -> None:
    delays, wanted = random.Random(7), [(0, 2), (100, 2), (200, 2), (300, 4), (400, 4)]
    where = Wiring(serial=bus.end.path) if bus.end.path else Wiring(host="127.0.0.1", port=bus.end.port)
    link, right = RtuLink(Line(where), Gateway(lambda: NOON_MS), 0.1), 0
    for turn in range(20):
        start, count = wanted[turn % len(wanted)]
        bus.slave.delays = {start: delays.choice((0.0, 0.0, 0.08, 0.12, 0.17, 0.25, 0.4))}
        try:
            data = await link.registers("meter", 1, "holding", start, count)
        except (DeviceUnreachable, DeviceMisanswered):
            continue
        assert struct.unpack(f">{count}H", data) == tuple(range(start, start + count))
        right += 1
    link.close()
    assert right >= 3


async def test_another_units_answer_is_skipped_and_named_if_no_other_comes(bus: Bus) -> None:
    foreign = framed(bytes((2, 3, 4, 9, 9, 9, 9)))
    bus.slave.spoil = lambda answer: [(0, foreign), (0.02, answer)]
    assert await bus.read(5, 2) == [5, 6]
    bus.slave.spoil = lambda answer: [(0, foreign)]
    with pytest.raises(DeviceMisanswered, match="expected an answer of unit 1 to function 3, saw unit 2, function 3"):
        await bus.read(5, 2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda answer: [(0, answer[: len(answer) // 2])], r"expected 13 bytes, saw the first 6: 01 03 08 00 05 00"),
        (lambda answer: [(0, answer[:-1] + bytes((answer[-1] ^ 0xFF,)))], "expected the checksum .. .., saw"),
        (lambda answer: [(0, framed(bytes((1, 4)) + answer[2:-2]))], "to function 3, saw unit 1, function 4"),
        (lambda answer: [(0, framed(bytes((1, 3, 4, 1, 2, 3, 4))))], "saw unit 1, function 3, 9 bytes"),
        (lambda answer: [(0, framed(answer[:-4]))], "saw unit 1, function 3, 11 bytes"),
        (lambda answer: [(0, b"\xff\x00\x55\xaa\x10\x07")], "saw 6 bytes that are none: ff 00 55"),
    ],
    ids=["half", "checksum", "function", "shorter", "wrong byte count", "noise"],
)
async def test_what_is_no_answer_is_said_and_the_next_request_is_answered(
    bus: Bus, spoil: Callable[[bytes], Parts], message: str
) -> None:
    bus.slave.spoil = spoil
    with pytest.raises(DeviceMisanswered, match=message):
        await bus.read(5, 4)
    bus.slave.spoil = lambda answer: [(0, answer)]
    assert await bus.read(5, 4) == [5, 6, 7, 8]


async def test_noise_before_the_answer_does_not_hide_it(bus: Bus) -> None:
    bus.slave.spoil = lambda answer: [(0, b"\x00\x01\x03"), (0.02, answer), (0, b"\x00")]
    assert await bus.read(5, 2) == [5, 6]


async def test_an_exception_is_a_refusal_with_its_meaning(bus: Bus) -> None:
    with pytest.raises(DeviceRefused, match=r"unit 1, 2 holding registers from 5000: refused .* 2 \(illegal data addr"):
        await bus.read(5000, 2)
    bus.slave.refuse = 6
    with pytest.raises(DeviceRefused) as busy:
        await bus.read(5, 2)
    assert (busy.value.code, busy.value.retry) == (6, True)


async def test_a_gateways_word_for_a_silent_unit_is_a_unit_that_cannot_be_reached(bus: Bus) -> None:
    bus.slave.refuse = 11
    with pytest.raises(DeviceUnreachable, match="exception 11"):
        await bus.read(5, 2)


async def test_an_exception_while_an_answer_is_owed_teaches_nothing(bus: Bus) -> None:
    bus.slave.units = ()
    with pytest.raises(DeviceUnreachable):
        await bus.read(0, 2)
    bus.slave.units = (1,)
    with pytest.raises(DeviceMisanswered, match="exception 2, while the answer to an earlier request was owed"):
        await bus.read(5000, 4)
    with pytest.raises(DeviceRefused):
        await bus.read(5000, 4)


@pytest.mark.parametrize("unit", [0, 248, 255])
async def test_nothing_is_ever_asked_of_everybody_or_of_reserved_units(bus: Bus, unit: int) -> None:
    with pytest.raises(DriverError, match="from 1 to 247"):
        await bus.read(0, 2, unit=unit)
    assert bus.end.asked == []


async def test_one_register_is_written_by_function_6_and_several_by_16(bus: Bus) -> None:
    """Contents as in MODBUS Application Protocol V1.1b3, 6.6 and 6.12: register 2 set to 3; registers 2 and 3 to 000A and 0102."""
    one, several = framed(bytes.fromhex("01 06 0001 0003")), framed(bytes.fromhex("01 10 0001 0002 04 000A 0102"))
    echo = framed(bytes.fromhex("01 10 0001 0002"))
    bus.end.react = lambda request: [(0, {one: one, several: echo}[request])]
    await bus.link.write("meter", 1, 1, bytes.fromhex("0003"))
    await bus.link.write("meter", 1, 1, bytes.fromhex("000A 0102"))
    assert bus.end.asked == [one, several]
    bus.end.react = lambda _: [(0, framed(bytes.fromhex("01 86 02")))]
    with pytest.raises(DeviceRefused, match=r"1 registers from 1 to be written: refused with exception 2"):
        await bus.link.write("meter", 1, 1, bytes.fromhex("0003"))
    bus.end.react = lambda _: [(0, framed(bytes.fromhex("01 06 0001 0004")))]
    with pytest.raises(DeviceMisanswered):
        await bus.link.write("meter", 1, 1, bytes.fromhex("0003"))


VOLTAGE = Field("voltage_l1_v", "input", 0, "float32")
ENERGY = Field("energy_import_kwh", "input", 72, "uint32", exponent=-2, counter=True)


def bus_of(end: FarEnd, **keys: Any) -> Any:
    where = {"serial": end.path} if end.path else {"host": "127.0.0.1", "port": end.port}
    return declared("modbus_rtu").bus(
        name="line", protocol="modbus_rtu", device=[], timeout_s=TIMEOUT_S, **where, **keys
    )


async def test_a_dead_unit_costs_the_others_its_time_out_and_no_more(bus: Bus) -> None:
    bus.slave.words |= {0: 0x4366, 1: 0x3334, 72: 1, 73: 0xE240}
    bus.slave.units = (2,)
    driver = open_driver(bus_of(bus.end), Gateway(lambda: NOON_MS))
    dead, alive = (ModbusPlan(name, unit, (VOLTAGE, ENERGY)) for name, unit in (("dead", 1), ("alive", 2)))
    loop = asyncio.get_running_loop()
    for _ in range(2):
        with pytest.raises(DeviceUnreachable, match="dead"):
            await driver.read(dead)
        begun = loop.time()
        first, second = (await driver.read(alive)).blocks
        assert loop.time() - begun < TIMEOUT_S
        assert first.columns[0][0] == pytest.approx(230.2, abs=5e-5)
        assert second.columns == ((123456,),)
    await driver.close()
    assert [count for unit, _, _, count in bus.slave.asked if unit == 1] == [
        2,
        4,
    ]  # the second sweeps what the first owes


async def test_on_a_slow_line_a_longer_hole_is_read_along(bus: Bus) -> None:
    """ENERGY lies 70 registers behind VOLTAGE: 140 characters are more than the 20 and 20 ms of a request at any speed, on TCP they are nothing.

    12 registers of hole (24 characters) are less than 20 characters and 20 ms at 9600 baud: one request.
    """
    plan = ModbusPlan("meter", 1, (VOLTAGE, Field("current_l1_a", "input", 14, "float32"), ENERGY))
    driver = open_driver(bus_of(bus.end), Gateway(lambda: NOON_MS))
    assert (await driver.read(plan)).requests == 2
    assert bus.slave.asked == [(1, 4, 0, 16), (1, 4, 72, 2)]
    await driver.close()


async def test_a_bus_without_its_port_is_a_bus_that_cannot_be_reached() -> None:
    bus = declared("modbus_rtu").bus(name="line", protocol="modbus_rtu", device=[], serial="/dev/none/ttyS9")
    driver = open_driver(bus, Gateway(lambda: NOON_MS))
    with pytest.raises(BusUnreachable, match=r"meter: unit 1, .*/dev/none/ttyS9"):
        await driver.read(ModbusPlan("meter", 1, (VOLTAGE,)))


def test_bus_time_is_that_of_the_lines_own_characters() -> None:
    """8E1 at 9600: 11 bits a character; 20 characters, 20 ms and 2 registers of 2 characters = 20 x 1.14583 + 20 + 4 x 1.14583 = 47.5 ms.
    8N1: 10 bits, 24 x 1.041667 + 20 = 45.0 ms. 38400 8E1: 17 x 0.286458 + 2 x 1.75 + 20 = 28.37 ms."""
    speaks, plan = declared("modbus_rtu"), ModbusPlan("meter", 1, (VOLTAGE,))
    for keys, busy_ms in (
        ({"parity": "even"}, 47.5),
        ({}, 45.0),
        ({"baud": 38400, "parity": "even"}, 28.37),
        ({"turnaround_ms": 5.0}, 30.0),
    ):
        line = speaks.bus(name="line", protocol="modbus_rtu", device=[], serial="/dev/ttyS0", **keys)
        assert speaks.load(line, plan).busy_ms == pytest.approx(busy_ms, abs=0.005)

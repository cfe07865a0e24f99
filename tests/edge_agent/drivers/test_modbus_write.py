"""Writing points over Modbus TCP: which requests go out, in which order, and what is believed afterwards; against a device of plain sockets."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from edge_agent.drivers.driver import (
    Controllable,
    DeviceMisanswered,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from edge_agent.drivers.modbus import points
from edge_agent.drivers.modbus.coalesce import Limits
from edge_agent.drivers.modbus.declared import ModbusPlan
from edge_agent.drivers.modbus.points import Point, Rating, Step
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp


@dataclass
class Writable:
    """Registers behind plain sockets, coded from the Modbus specification (V1.1b3, 6.3, 6.6, 6.12).

    `keeps` maps an address to the value that the device makes of whatever is written there; `knows` are its function codes.
    """

    words: dict[int, int] = field(default_factory=dict)
    keeps: dict[int, int] = field(default_factory=dict)
    knows: set[int] = field(default_factory=lambda: {3, 6, 16})
    writes: list[tuple[int, int, list[int]]] = field(default_factory=list)
    says_back: bytes | None = None
    silent: bool = False
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(length - 1)
                if self.silent:
                    continue
                answer = self.answer(pdu)
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", pdu[:5])
        if function not in self.knows:
            return bytes((function | 0x80, 1))
        if function == 3:
            if not all(at in self.words for at in range(address, address + count)):
                return bytes((0x83, 2))
            data = struct.pack(f">{count}H", *(self.words[at] for at in range(address, address + count)))
            return bytes((3, len(data))) + data
        words = [count] if function == 6 else list(struct.unpack(f">{count}H", pdu[6:]))
        self.writes.append((function, address, words))
        for at, word in enumerate(words, address):
            self.words[at] = self.keeps.get(at, word)
        return self.says_back or pdu[:5]


@pytest.fixture
async def device() -> AsyncIterator[Writable]:
    made = Writable()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def driver(device: Writable) -> AsyncIterator[ModbusTcp]:
    made = ModbusTcp(Endpoint("127.0.0.1", device.port, timeout_s=0.3), Gateway(lambda: 1000))
    yield made
    await made.close()


def plan(*of: Point, **more: Any) -> ModbusPlan:
    return ModbusPlan("dut", 1, (), points=of, **more)


def plain(**step: Any) -> Point:
    return Point(name="p", unit="kW", safe=0.0, write=[Step(**{"address": 100, **step})])


async def test_one_register_goes_by_function_6_and_its_value_is_read_back(device: Writable, driver: ModbusTcp) -> None:
    device.words[100] = 150
    written = await driver.write(plan(plain(scale_exponent=-1)), "p", 23.4, 60)
    assert device.writes == [(6, 100, [234])]
    assert (written.delivered, written.before, written.after, written.note) == (True, 15.0, 23.4, "")
    assert isinstance(driver, Controllable)


async def test_a_device_that_does_not_know_function_6_is_asked_by_16(device: Writable, driver: ModbusTcp) -> None:
    device.words[100], device.knows = 0, {3, 16}
    assert (await driver.write(plan(plain()), "p", 7, 60)).delivered
    assert device.writes == [(16, 100, [7])]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("int16", -2.0, [0xFFFE]),
        ("uint32", 70000.0, [1, 0x1170]),  # 70000 = 0x11170
        ("int32", -1.0, [0xFFFF, 0xFFFF]),
        ("float32", 1.5, [0x3FC0, 0]),  # IEEE 754: sign 0, exponent 127, mantissa 1.1b
    ],
)
async def test_each_type_is_laid_out_as_the_specification_says(
    device: Writable, driver: ModbusTcp, kind: Any, value: float, words: list[int]
) -> None:
    device.words |= {100: 0, 101: 0}
    written = await driver.write(plan(plain(type=kind)), "p", value, 60)
    assert device.writes[0][2] == words
    assert written.after == value
    device.writes.clear()
    written = await driver.write(plan(plain(type=kind), low_word_first=True), "p", value, 60)
    assert device.writes[0][2] == words[::-1]
    assert written.after == value


async def test_the_sign_of_the_step_turns_the_load_sign_into_the_devices(device: Writable, driver: ModbusTcp) -> None:
    device.words[100] = 5
    written = await driver.write(plan(plain(type="int16", sign=-1)), "p", 20.0, 60)
    assert device.writes == [(6, 100, [0xFFEC])]  # -20
    assert (written.before, written.after) == (-5.0, 20.0)


async def test_a_point_without_a_release_goes_to_its_safe_value(device: Writable, driver: ModbusTcp) -> None:
    device.words[100] = 9
    assert (await driver.write(plan(plain()), "p", None, 0)).after == 0.0
    nowhere = Point(name="p", unit="kW", write=[Step(address=100)])
    with pytest.raises(DriverError, match="expected a safe value"):
        await driver.write(plan(nowhere), "p", None, 0)


TIMED = Point(
    name="limit",
    unit="%",
    fallback="device_timer",
    write=[Step(address=10), Step(what="timer", address=11), Step(what="fixed", address=12, fixed=1, release=0)],
)


async def test_value_and_timer_side_by_side_go_together_and_the_enabling_bit_last(
    device: Writable, driver: ModbusTcp
) -> None:
    device.words |= {10: 100, 11: 0, 12: 0}
    written = await driver.write(plan(TIMED), "limit", 60, 90.2)
    assert device.writes == [(16, 10, [60, 91]), (6, 12, [1])]
    assert (written.before, written.after) == (None, 60.0), "before, nothing was in force"
    written = await driver.write(plan(TIMED), "limit", None, 0)
    assert device.writes[2:] == [(6, 12, [0])]
    assert (written.delivered, written.before, written.after) == (True, 60.0, None)


async def test_a_heartbeat_is_another_number_each_time(device: Writable, driver: ModbusTcp) -> None:
    watched = Point(
        name="p",
        unit="kW",
        safe=0.0,
        fallback="watchdog",
        write=[Step(address=100), Step(what="heartbeat", address=105)],
    )
    device.words |= {100: 0, 105: 0}
    for _ in range(3):
        await driver.write(plan(watched), "p", 5, 10)
    assert [words for _, address, words in device.writes if address == 105] == [[1], [2], [3]]


async def test_a_device_that_keeps_another_value_has_not_been_told(device: Writable, driver: ModbusTcp) -> None:
    device.words[100], device.keeps = 0, {100: 50}
    written = await driver.write(plan(plain()), "p", 60, 10)
    assert (written.delivered, written.after) == (False, 50.0)
    assert written.note == "register 100: wrote 60, read back 50"


@pytest.mark.parametrize(
    ("step", "value"), [({}, -1.0), ({}, 65536.0), ({"type": "int16"}, 32768.0), ({"type": "int16"}, -32769.0)]
)
async def test_a_value_that_the_register_cannot_hold_is_never_sent(
    device: Writable, driver: ModbusTcp, step: dict[str, Any], value: float
) -> None:
    device.words[100] = 0
    with pytest.raises(DriverError, match="register number fits") as raised:
        await driver.write(plan(plain(**step)), "p", value, 10)
    assert raised.value.retry is False
    assert device.writes == []


async def test_refusals_silences_and_wrong_echoes_are_errors(device: Writable, driver: ModbusTcp) -> None:
    with pytest.raises(DeviceRefused, match="illegal data address"):
        await driver.write(plan(plain()), "p", 1, 10)
    with pytest.raises(DriverError, match=r"expected one of \['p'\]"):
        await driver.write(plan(plain()), "q", 1, 10)
    device.words[100] = 0
    device.says_back = bytes((6, 0, 101, 0, 1))
    with pytest.raises(DeviceMisanswered, match=r"expected .* to be said back"):
        await driver.write(plan(plain()), "p", 1, 10)
    device.says_back, device.silent = None, True
    with pytest.raises(DeviceUnreachable, match="no answer"):
        await driver.write(plan(plain()), "p", 1, 10)
    device.silent = False
    assert (await driver.write(plan(plain()), "p", 1, 10)).delivered, "and it goes on"


# --- SunSpec: places and scales come from the device


def lay(device: Writable, base: int, *models: tuple[int, dict[int, int], int]) -> dict[int, int]:
    """Lays models (id, words by offset, length) behind 'SunS'; gives where each id stands."""
    device.words |= dict(enumerate(struct.unpack(">2H", b"SunS"), base))
    address, places = base + 2, {}
    for model, words, length in models:
        places[model] = address
        device.words |= {address + at: 0x8000 for at in range(2, 2 + length)}
        device.words |= {address: model, address + 1: length}
        device.words |= {address + at: word for at, word in words.items()}
        address += 2 + length
    device.words |= {address: 0xFFFF, address + 1: 0}
    return places


LIMIT = Point(
    name="limit",
    unit="%",
    fallback="device_timer",
    model_block=123,
    write=[
        Step(offset=5, scale_offset=23),
        Step(what="timer", offset=7),
        Step(what="fixed", offset=9, fixed=1, release=0),
    ],
)
SET = Point(
    name="set_kw",
    unit="kW",
    fallback="device_timer",
    model_block=124,
    write=[
        Step(
            offset=12,
            type="int16",
            scale_offset=25,
            sign=-1,
            percent_of=Rating(offset=2, scale_offset=18, scale_exponent=-3),
        ),
        Step(what="fixed", offset=5, fixed=3, release=0),
    ],
)


async def test_a_sunspec_point_is_found_scaled_and_written_by_function_16(device: Writable, driver: ModbusTcp) -> None:
    at = lay(device, 50000, (1, {}, 66), (123, {5: 100, 23: 0xFFFE, 9: 0}, 24))[123]
    written = await driver.write(plan(LIMIT), "limit", 33.5, 120)
    assert device.writes == [(16, at + 5, [3350]), (16, at + 7, [120]), (16, at + 9, [1])]
    assert written.after == 33.5


async def test_a_power_is_written_as_per_cent_of_what_the_device_calls_its_maximum(
    device: Writable, driver: ModbusTcp
) -> None:
    # WChaMax 5000 x 10^1 W = 50 kW; 20 kW of charging are -40 % of discharging, in steps of 0.01 %.
    at = lay(device, 40000, (124, {2: 5000, 18: 1, 25: 0xFFFE, 5: 0, 12: 0}, 24))[124]
    written = await driver.write(plan(SET), "set_kw", 20.0, 60)
    assert device.writes == [(16, at + 12, [(-4000) & 0xFFFF]), (16, at + 5, [3])]
    assert written.after == 20.0


async def test_a_number_that_says_not_implemented_is_never_sent(device: Writable, driver: ModbusTcp) -> None:
    lay(device, 40000, (123, {5: 100, 23: 0, 9: 0}, 24))
    with pytest.raises(DriverError, match="register number fits"):
        await driver.write(plan(LIMIT), "limit", 65535, 60)
    device.words[100] = 0
    assert (await driver.write(plan(plain()), "p", 65535, 60)).delivered, "a plain register may hold it"


@pytest.mark.parametrize("words", [{2: 0xFFFF, 18: 0}, {2: 0, 18: 0}, {2: 5000, 18: 0x8000}, {2: 5000, 18: 11}])
async def test_without_a_rating_or_a_scale_nothing_is_written(
    device: Writable, driver: ModbusTcp, words: dict[int, int]
) -> None:
    lay(device, 40000, (124, {25: 0xFFFE, 5: 0, 12: 0, **words}, 24))
    with pytest.raises(DriverError, match=r"expected a (rating|scale factor)"):
        await driver.write(plan(SET), "set_kw", 20.0, 60)
    assert device.writes == []


async def test_a_model_that_has_moved_or_gone_is_noticed_before_anything_is_written(
    device: Writable, driver: ModbusTcp
) -> None:
    lay(device, 40000, (123, {5: 100, 23: 0xFFFE, 9: 0}, 24))
    assert (await driver.write(plan(LIMIT), "limit", 50, 60)).delivered
    device.writes.clear()
    at = lay(device, 40000, (1, {}, 66), (123, {5: 100, 23: 0xFFFE, 9: 0}, 24))[123]
    with pytest.raises(DeviceMisanswered, match="expected model 123"):
        await driver.write(plan(LIMIT), "limit", 50, 60)
    assert device.writes == []
    assert (await driver.write(plan(LIMIT), "limit", 50, 60)).delivered
    assert device.writes[0][1] == at + 5
    lay(device, 40000, (1, {}, 66))
    with pytest.raises(DeviceMisanswered):
        await driver.write(plan(LIMIT), "limit", 50, 60)
    with pytest.raises(DriverError, match=r"expected SunSpec model 123, saw \[1\]"):
        await driver.write(plan(LIMIT), "limit", 50, 60)


async def test_plain_registers_are_read_without_the_holes_between_them(device: Writable, driver: ModbusTcp) -> None:
    device.words |= {10: 0, 11: 0, 12: 0}
    far = Point(name="p", unit="1", safe=0.0, write=[Step(address=10), Step(what="fixed", address=4000, fixed=1)])
    device.words[4000] = 0
    assert (await driver.write(plan(far, limits=Limits(max_registers=10)), "p", 4, 60)).delivered


# --- what a model may say


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (Point(name="a b", unit="1", safe=0.0, write=[Step(address=1)]), "expected 1 to 64 of"),
        (Point(name="p", unit="1", write=[Step(address=1)]), "expected a safe value, or a step with a release"),
        (Point(name="p", unit="1", safe=0.0, write=[]), "expected a step with what = 'value'"),
        (Point(name="p", unit="1", safe=0.0, write=[Step(offset=4)]), "expected an address"),
        (Point(name="p", unit="1", safe=0.0, write=[Step(address=65535, type="uint32")]), "last register at 65535"),
        (Point(name="p", unit="1", safe=0.0, model_block=1, write=[Step(address=4)]), "expected an offset"),
        (Point(name="p", unit="1", safe=0.0, fallback="device_timer", write=[Step(address=1)]), "what = 'timer'"),
        (Point(name="p", unit="1", safe=0.0, fallback="watchdog", write=[Step(address=1)]), "what = 'heartbeat'"),
        (Point(name="p", unit="1", safe=0.0, write=[Step(address=1, type="acc32")]), "saw 'acc32'"),
        (Point(name="p", unit="1", safe=0.0, write=[Step(address=1, fixed=1)]), "and only there"),
        (
            Point(name="p", unit="1", safe=0.0, write=[Step(address=1), Step(what="timer", address=2, type="float32")]),
            "expected whole numbers",
        ),
    ],
)
def test_a_point_that_makes_no_sense_is_a_fault_of_its_model(point: Point, message: str) -> None:
    assert any(message in said for _, _, said in points.faults([point]))


def test_a_point_twice_is_a_fault() -> None:
    assert [said for _, _, said in points.faults([LIMIT, LIMIT])] == ["expected each point once, saw 'limit' again"]


async def test_of_two_points_of_a_name_the_one_counts_whose_model_the_device_has(
    device: Writable, driver: ModbusTcp
) -> None:
    newer = Point(
        name="limit",
        unit="%",
        fallback="device_timer",
        model_block=704,
        write=[
            Step(what="timer", type="uint32", offset=18),
            Step(what="fixed", offset=17, fixed=0, optional=True),
            Step(offset=15, scale_offset=54),
            Step(what="fixed", offset=14, fixed=1, release=0),
        ],
    )
    both = plan(newer, LIMIT)
    at = lay(device, 40000, (123, {5: 100, 23: 0xFFFE, 9: 0}, 24))[123]
    assert (await driver.write(both, "limit", 50, 60)).delivered
    assert device.writes[0] == (16, at + 5, [5000])
    device.words.clear()
    device.writes.clear()
    at = lay(device, 40000, (704, {14: 0, 15: 1000, 17: 0xFFFF, 54: 0xFFFF}, 65))[704]
    with pytest.raises(DriverError):
        await driver.write(both, "limit", 50, 60)  # the old chain is believed once more
    assert (await driver.write(both, "limit", 50, 70_000)).delivered
    # 70,000 s = 0x11170; a device without the reversion's enabling register is not asked to set it
    assert device.writes == [(16, at + 18, [1, 0x1170]), (16, at + 15, [500]), (16, at + 14, [1])]


def test_points_of_one_name_agree_in_what_a_set_point_is_judged_by() -> None:
    other = Point(name="limit", unit="kW", fallback="device_timer", model_block=704, write=LIMIT.write)
    assert any("to agree in unit" in said for _, _, said in points.faults([LIMIT, other]))

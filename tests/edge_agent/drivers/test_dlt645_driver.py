"""The DL/T 645 driver against a far end that does as it is told: late, foreign, refused, endless and malformed answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from far_end import FarEnd, Parts, on_pty, on_tcp

from edge_agent.drivers.declared import Bus
from edge_agent.drivers.dlt645 import declared as dlt645
from edge_agent.drivers.dlt645.declared import Device, Dlt645Plan, Model, Row
from edge_agent.drivers.dlt645.driver import Dlt645
from edge_agent.drivers.driver import (
    Answer,
    DeviceMisanswered,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from edge_agent.drivers.table import declared, open_driver
from wire.reading import REASON_CODES, Quality

TIMEOUT_S = 0.3
METER = "000012345678"
# Answers as the standard's tables lay them out, by identifier: the data behind it.
VOLTS, POWER, ENERGY, FREQUENCY = "02010100", "02030000", "00010000", "02800002"
SHOWN = {
    VOLTS: "01 23",  # 230.1 V
    "02010200": "02 23",
    "02010300": "03 23",
    "0201FF00": "01 23 02 23 03 23",
    POWER: "45 23 81",  # -1.2345 kW
    ENERGY: "78 56 34 12",  # 123456.78 kWh
    FREQUENCY: "01 50",
}


def frame(control: int, data: bytes, address: str = METER) -> bytes:
    """A frame of the standard's clause 5.2, made here from its text."""
    body = bytes((0x68, *bytes.fromhex(address)[::-1], 0x68, control, len(data)))
    body += bytes((byte + 0x33) % 256 for byte in data)
    return body + bytes((sum(body) % 256, 0x16))


def asked(request: bytes) -> tuple[int, str, bytes]:
    """Control code, identifier and the bytes behind it of a question."""
    bare = request.lstrip(b"\xfe")
    data = bytes((byte - 0x33) % 256 for byte in bare[10:-2])
    return bare[8], data[:4][::-1].hex().upper(), data[4:]


@dataclass
class Meter:
    """Answers from `shown`; `instead(identifier)` may give other parts, None for the usual answer."""

    shown: dict[str, str] = field(default_factory=lambda: dict(SHOWN))
    instead: Callable[[str], Parts | None] = lambda _identifier: None
    questions: list[str] = field(default_factory=list)
    controls: set[int] = field(default_factory=set)

    def react(self, request: bytes) -> Parts:
        control, identifier, _ = asked(request)
        self.questions.append(identifier)
        self.controls.add(control)
        parts = self.instead(identifier)
        return self.usual(identifier) if parts is None else parts

    def usual(self, identifier: str) -> Parts:
        if identifier not in self.shown:
            return [(0, refusal(0x02))]
        return [(0, answer(identifier, bytes.fromhex(self.shown[identifier])))]


def answer(identifier: str, data: bytes, control: int = 0x91) -> bytes:
    return frame(control, bytes.fromhex(identifier)[::-1] + data)


def refusal(code: int) -> bytes:
    return frame(0xD1, bytes((code,)))


ROWS = [
    Row(quantity="voltage_l1_v", identifier=VOLTS, format="XXX.X"),
    Row(quantity="voltage_l2_v", identifier="02010200", format="XXX.X"),
    Row(quantity="voltage_l3_v", identifier="02010300", format="XXX.X"),
    Row(quantity="active_power_kw", identifier=POWER, format="XX.XXXX", signed=True),
    Row(quantity="energy_import_kwh", identifier=ENERGY, format="XXXXXX.XX"),
]
MANUAL = {"title": "a test", "edition": "1"}


def model(rows: list[Row] = ROWS, **keys: Any) -> Model:
    return Model(maker="m", model="m", protocol="dlt645", manual=dlt645.declared.Manual(**MANUAL), row=rows, **keys)


@dataclass
class Bench:
    meter: Meter
    end: FarEnd
    bus: Bus
    driver: Dlt645
    frames: list[tuple[str, bool, bytes]]

    def plan(self, made: Model | None = None, address: str = METER) -> Dlt645Plan:
        made = made or model()
        device = Device(name="m1", model="m", address=address)
        return dlt645.plan(self.bus, device, made)  # type: ignore[arg-type]

    async def read(self, made: Model | None = None, **how: Any) -> Answer:
        return await self.driver.read(self.plan(made), **how)

    async def values(self, made: Model | None = None) -> dict[str, Any]:
        return columns(await self.read(made))


def columns(answer: Answer) -> dict[str, Any]:
    """Integers with their digits, as they stand in the blocks."""
    return {
        quantity: block.columns[index][0]
        for block in answer.blocks
        for index, quantity in enumerate(block.shape.quantities)
    }


def bus_of(end: FarEnd, **keys: Any) -> Any:
    where = {"serial": end.path} if end.path else {"host": "127.0.0.1", "port": end.port}
    return declared("dlt645").bus(
        name="line", protocol="dlt645", device=[], baud=115200, timeout_s=TIMEOUT_S, **where, **keys
    )


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    meter, frames = Meter(), list[tuple[str, bool, bytes]]()
    async with (on_pty if getattr(request, "param", "tcp") == "pty" else on_tcp)(meter.react) as end:
        bus = bus_of(end)
        driver = open_driver(bus, Gateway(lambda: 1_800_000_000_000, frame=lambda *seen: frames.append(seen)))
        assert isinstance(driver, Dlt645)
        yield Bench(meter, end, bus, driver, frames)
        await driver.close()


@pytest.mark.parametrize("bench", ["pty", "tcp"], indirect=True)
async def test_values_keep_the_digits_of_the_meter(bench: Bench) -> None:
    answer = await bench.read()
    assert columns(answer) == {
        "voltage_l1_v": 2301,
        "voltage_l2_v": 2302,
        "voltage_l3_v": 2303,
        "active_power_kw": -12345,
        "energy_import_kwh": 12345678,
    }
    assert {block.at_ms for block in answer.blocks} == {(1_800_000_000_000,)}
    assert {e for block in answer.blocks for e in block.shape.exponents} == {-1, -2, -4}


async def test_a_data_block_saves_questions(bench: Bench) -> None:
    assert (await bench.read(model(blocks=["0201FF00"]))).requests == 3
    assert bench.meter.questions == ["0201FF00", POWER, ENERGY]


async def test_a_refused_block_is_asked_for_value_by_value_at_once_and_from_then_on(bench: Bench) -> None:
    del bench.meter.shown["0201FF00"]
    made = model(blocks=["0201FF00"])
    assert (await bench.values(made))["voltage_l2_v"] == 2302
    assert bench.meter.questions == ["0201FF00", VOLTS, "02010200", "02010300", POWER, ENERGY]
    bench.meter.questions.clear()
    assert (await bench.read(made)).faults == []
    assert "0201FF00" not in bench.meter.questions
    assert bench.driver.requests(bench.plan(made))[0] == f"identifier {VOLTS}: voltage_l1_v"


async def test_a_block_that_is_never_answered_is_given_up_after_three_reads(bench: Bench) -> None:
    bench.meter.instead = lambda identifier: [] if identifier == "0201FF00" else None
    made = model(blocks=["0201FF00"])
    for _ in range(3):
        try:
            await bench.read(made)
        except DeviceUnreachable:
            continue
    bench.meter.questions.clear()
    for _ in range(3):
        try:
            if "voltage_l1_v" in columns(await bench.read(made)):
                break
        except DeviceUnreachable:
            continue
    assert VOLTS in bench.meter.questions


async def test_a_block_with_one_phase_leaves_the_others_without_a_value(bench: Bench) -> None:
    bench.meter.shown["0201FF00"] = "01 23"
    (block, *_) = (await bench.read(model(blocks=["0201FF00"]))).blocks
    assert block.columns == ((2301,), (None,), (None,))
    absent = (int(Quality.BAD), REASON_CODES["not-implemented"])
    assert block.quality == ((0, 0), absent, absent)


async def test_an_identifier_that_the_meter_has_not_is_left_out_and_the_others_are_read(bench: Bench) -> None:
    del bench.meter.shown[POWER]
    answer = await bench.read()
    assert "active_power_kw" not in columns(answer)
    (fault,) = answer.faults
    assert isinstance(fault, DeviceRefused)
    assert str(fault) == f"m1: meter {METER}, identifier {POWER}: refused with exception 2 (no such data)"
    assert (await bench.read()).faults == []


@pytest.mark.parametrize("bench", ["pty", "tcp"], indirect=True)
async def test_a_late_answer_to_another_question_is_never_the_answer(bench: Bench) -> None:
    """The voltage comes after its time-out and the time it was waited for, while the energy is asked: it must not be taken for it."""
    rows = [ROWS[0], ROWS[4]]
    bench.meter.instead = lambda identifier: (
        [(3 * TIMEOUT_S, answer(VOLTS, b"\x01\x23"))]
        if identifier == VOLTS
        else [(2 * TIMEOUT_S / 3, answer(ENERGY, bytes.fromhex(SHOWN[ENERGY])))]
    )
    with pytest.raises(DeviceUnreachable):
        await bench.read(model(rows))
    seen = []
    for _ in range(3):
        try:
            seen.append(columns(await bench.read(model(rows))))
        except DriverError:
            continue
    assert seen
    for values in seen:
        assert values.get("energy_import_kwh", 12345678) == 12345678
        assert values.get("voltage_l1_v", 2301) == 2301


async def test_an_answer_with_another_identifier_is_named(bench: Bench) -> None:
    bench.meter.instead = lambda _identifier: [(0, answer(VOLTS, b"\x01\x23"))]
    with pytest.raises(DeviceMisanswered, match=f"expected data identifier {ENERGY}, saw {VOLTS}"):
        await bench.read(model([ROWS[4]]))


async def test_an_answer_of_another_meter_is_named_and_the_right_one_behind_it_taken(bench: Bench) -> None:
    foreign = frame(0x91, bytes.fromhex(ENERGY)[::-1] + b"\0\0\0\0", "000000000001")
    bench.meter.instead = lambda _identifier: [(0, foreign)]
    with pytest.raises(DeviceMisanswered, match=f"expected an answer of meter {METER}, saw one of 000000000001"):
        await bench.read(model([ROWS[4]]))
    bench.meter.instead = lambda identifier: [(0, foreign), (0.05, answer(identifier, bytes.fromhex(SHOWN[ENERGY])))]
    assert await bench.values(model([ROWS[4]])) == {"energy_import_kwh": 12345678}


async def test_a_refusal_after_a_silence_may_belong_to_the_question_before(bench: Bench) -> None:
    rows = [ROWS[0], ROWS[4]]
    bench.meter.instead = lambda _identifier: []
    with pytest.raises(DeviceUnreachable):
        await bench.read(model(rows))
    bench.meter.instead = lambda _identifier: [(0, refusal(0x02))]
    with pytest.raises(DeviceMisanswered, match="may belong to the question before"):
        await bench.read(model([ROWS[4]]))
    bench.meter.instead = lambda _identifier: None
    assert (await bench.values(model(rows)))["energy_import_kwh"] == 12345678


@pytest.mark.parametrize("bench", ["pty", "tcp"], indirect=True)
async def test_a_long_answer_is_put_together_from_its_frames(bench: Bench) -> None:
    def parts(_identifier: str) -> Parts | None:
        head = bytes.fromhex("0201FF00")[::-1]
        if 0x12 in bench.meter.controls:
            return [(0, frame(0x92, head + bytes.fromhex("03 23") + b"\x01"))]
        return [(0, frame(0xB1, head + bytes.fromhex("01 23 02 23")))]

    bench.meter.instead = parts
    got = await bench.read(model(ROWS[:3], blocks=["0201FF00"]))
    assert columns(got) == {"voltage_l1_v": 2301, "voltage_l2_v": 2302, "voltage_l3_v": 2303}
    assert got.requests == 2


async def test_a_frame_out_of_its_turn_spoils_the_answer(bench: Bench) -> None:
    def parts(_identifier: str) -> Parts | None:
        head = bytes.fromhex("0201FF00")[::-1]
        if 0x12 in bench.meter.controls:
            return [(0, frame(0x92, head + bytes.fromhex("03 23") + b"\x02"))]
        return [(0, frame(0xB1, head + bytes.fromhex("01 23 02 23")))]

    bench.meter.instead = parts
    with pytest.raises(DeviceMisanswered, match="expected frame 1, saw 2"):
        await bench.read(model(ROWS[:3], blocks=["0201FF00"]))


async def test_an_answer_without_end_is_given_up(bench: Bench) -> None:
    bench.meter.instead = lambda _identifier: None
    head = bytes.fromhex(ENERGY)[::-1]
    sequence = iter(range(1, 100))

    def endless(_identifier: str) -> Parts | None:
        if 0x12 in bench.meter.controls:
            return [(0, frame(0xB2, head + bytes(100) + bytes((next(sequence),))))]
        return [(0, frame(0xB1, head + bytes(4)))]

    bench.meter.instead = endless
    with pytest.raises(DeviceMisanswered, match="expected an end within 32 frames"):
        await bench.read(model([ROWS[4]]))


@pytest.mark.parametrize(("data", "seen"), [("78 56 34", 3), ("78 56 34 12 00", 5)])
async def test_an_answer_of_another_length_is_refused_whole(bench: Bench, data: str, seen: int) -> None:
    bench.meter.shown[ENERGY] = data
    with pytest.raises(DeviceMisanswered, match=f"{ENERGY}: expected 4 bytes, saw {seen}"):
        await bench.read(model([ROWS[4]]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [("FF FF FF FF", "not-implemented"), ("0A 00 00 00", "device-fault")],
)
async def test_a_value_that_is_none_is_no_value(bench: Bench, data: str, reason: str) -> None:
    bench.meter.shown[ENERGY] = data
    (block,) = (await bench.read(model([ROWS[4]]))).blocks
    assert block.columns == ((None,),)
    assert block.quality == ((Quality.BAD, REASON_CODES[reason]),)


async def test_a_value_outside_its_bounds_is_no_value(bench: Bench) -> None:
    row = Row(quantity="voltage_l1_v", identifier=VOLTS, format="XXX.X", high=100.0)
    (block,) = (await bench.read(model([row]))).blocks
    assert (block.columns, block.quality) == (((None,),), ((Quality.BAD, REASON_CODES["out-of-range"]),))


async def test_the_value_of_a_maximum_demand_stands_in_front_of_its_time(bench: Bench) -> None:
    bench.meter.shown["01010000"] = "45 23 01 34 12 05 01 23"  # 1.2345 kW on 2023-01-05 at 12:34
    row = Row(quantity="demand_max_kw", identifier="01010000", format="XX.XXXX", bytes=8)
    assert await bench.values(model([row])) == {"demand_max_kw": 12345}


async def test_a_deadline_leaves_the_rest_for_the_next_read(bench: Bench) -> None:
    now_s = asyncio.get_running_loop().time()
    first = await bench.read(deadline_s=now_s)
    assert (first.requests, first.left_out) == (1, 4)
    second = await bench.read()
    assert bench.meter.questions[1] == "02010200"  # where the first read stopped
    assert len(columns(second)) == 5


async def test_only_the_counters_are_asked_for_where_only_they_are_wanted(bench: Bench) -> None:
    assert columns(await bench.read(counters_only=True)) == {"energy_import_kwh": 12345678}


async def test_a_silent_meter_costs_one_time_out(bench: Bench) -> None:
    bench.meter.instead = lambda _identifier: []
    with pytest.raises(DeviceUnreachable, match=f"m1: meter {METER}, identifier {VOLTS}: .*no answer within 0.3 s"):
        await bench.read()
    assert len(bench.meter.questions) == 1


async def test_every_frame_is_told_with_who_sent_it(bench: Bench) -> None:
    await bench.read(model([ROWS[4]]))
    (sent, received) = bench.frames
    assert sent[:2] == ("m1", True)
    assert sent[2].hex(" ") == "fe fe fe fe 68 78 56 34 12 00 00 68 11 04 33 33 34 33 c6 16"
    assert received[:2] == ("m1", False)


async def test_nothing_but_reading_is_ever_sent(bench: Bench) -> None:
    for _ in range(3):
        await bench.read(model(blocks=["0201FF00"]))
    assert bench.meter.controls == {0x11}


async def test_an_adapter_that_echoes_is_understood() -> None:
    meter = Meter()
    async with on_tcp(lambda request: [(0, request), *meter.react(request)]) as end:
        bus = bus_of(end, echo=True)
        driver = open_driver(bus, Gateway(lambda: 0))
        plan = dlt645.plan(bus, Device(name="m1", model="m", address=METER), model([ROWS[4]]))
        assert columns(await driver.read(plan)) == {"energy_import_kwh": 12345678}
        await driver.close()


async def test_the_address_may_be_printed_without_its_zeros(bench: Bench) -> None:
    assert bench.plan(address="12345678").address == METER

"""The CJ/T 188 driver against a far end that does as it is told: late, foreign, refused and malformed answers; units that change."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from far_end import FarEnd, Parts, on_pty, on_tcp

from edge_agent import meter
from edge_agent.drivers.cjt188 import declared as cjt188
from edge_agent.drivers.cjt188.declared import Device, Model, Row
from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import Answer, DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.table import declared, open_driver
from wire.block import Block, scaled
from wire.reading import REASON_CODES, Quality

TIMEOUT_S = 0.3
METER = "78330011223344"
WATER = "00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 00 00"  # 556677.00 m3, as published


def frame(control: int, data: bytes, address: str = METER, kind: int = 0x10) -> bytes:
    """A frame of the standard's clause 5.2, made here from its text."""
    body = bytes((0x68, kind, *bytes.fromhex(address)[::-1], control, len(data))) + data
    return body + bytes((sum(body) % 256, 0x16))


def told(request: bytes, data: str = WATER, **how: Any) -> bytes:
    """The answer to a question, its identifier and serial number repeated."""
    bare = request.lstrip(b"\xfe")
    return frame(how.pop("control", 0x81), bare[11:14] + bytes.fromhex(data), **how)


@dataclass
class Bench:
    end: FarEnd
    react: Callable[[bytes], Parts]
    driver: Any
    bus: Any

    async def read(self, model: str | Model = "cjt188_cold_water", address: str = METER) -> Answer:
        made = meter.load(model) if isinstance(model, str) else model
        device = Device(name="m1", model="m", address=address)
        answer: Answer = await self.driver.read(cjt188.plan(self.bus, device, made))  # type: ignore[arg-type]
        return answer


def value(block: Block, quantity: str) -> float | None:
    at = block.shape.quantities.index(quantity)
    return scaled(block.columns[at][0], block.shape.exponents[at])


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made: list[Bench] = []

    def react(asked: bytes) -> Parts:
        return made[0].react(asked)

    async with (on_pty if getattr(request, "param", "tcp") == "pty" else on_tcp)(react) as end:
        where = {"serial": end.path} if end.path else {"host": "127.0.0.1", "port": end.port}
        bus = declared("cjt188").bus(
            name="line", protocol="cjt188", device=[], baud=115200, timeout_s=TIMEOUT_S, **where
        )
        driver = open_driver(bus, Gateway(lambda: 1_800_000_000_000))
        made.append(Bench(end, lambda asked: [(0, told(asked))], driver, bus))
        yield made[0]
        await driver.close()


@pytest.mark.parametrize("bench", ["pty", "tcp"], indirect=True)
async def test_a_volume_keeps_the_digits_of_the_meter(bench: Bench) -> None:
    (block,) = (await bench.read()).blocks
    assert block.at_ms == (1_800_000_000_000,)
    assert (block.columns[0], block.shape.exponents[0]) == ((55_667_700,), -2)


async def test_each_question_has_the_next_serial_number(bench: Bench) -> None:
    for _ in range(3):
        await bench.read()
    assert [asked.lstrip(b"\xfe")[13] for asked in bench.end.asked] == [0, 1, 2]


@pytest.mark.parametrize("bench", ["pty", "tcp"], indirect=True)
async def test_a_late_answer_is_passed_over_and_the_right_one_taken(bench: Bench) -> None:
    """The first answer comes when the third question is under way; it has another serial number."""
    late: list[bytes] = []

    def react(asked: bytes) -> Parts:
        if not late:
            late.append(told(asked, WATER.replace("77", "11")))
            return []
        return [(0, late[0]), (0.05, told(asked))]

    bench.react = react
    with pytest.raises(DeviceUnreachable):
        await bench.read()
    (block,) = (await bench.read()).blocks
    assert value(block, "water_volume_m3") == 556_677.0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda a: told(a, address="00000000000001"), "expected an answer of meter 78330011223344 of type 10, saw one of 00000000000001"),
        (lambda a: told(a, kind=0x11), "saw one of 78330011223344 of type 11"),
        (lambda a: told(a, control=0x83), "expected control code 81, saw 83"),
        (lambda a: frame(0x81, b"\x90\x1f" + a.lstrip(b"\xfe")[13:14] + bytes.fromhex(WATER)), "expected data identifier 1F 90 as asked, saw 90 1F"),
        (lambda a: frame(0x81, b"\x1f\x90\x63" + bytes.fromhex(WATER)), "expected serial number 0, saw 99"),
        (lambda a: told(a)[:-2] + b"\x00\x16", "expected checksum"),
        (lambda a: told(a)[:20], "expected a whole answer"),
        (lambda a: told(a, "00 77 66 55 2C"), "expected at least 19 bytes behind the serial number, saw 5"),
    ],
)  # fmt: skip
async def test_an_answer_that_does_not_fit_is_named(bench: Bench, answer: Callable[[bytes], bytes], words: str) -> None:
    bench.react = lambda asked: [(0, answer(asked))]
    with pytest.raises(DeviceMisanswered, match=words):
        await bench.read()


async def test_a_refusal_tells_valve_and_battery(bench: Bench) -> None:
    bench.react = lambda asked: [(0, frame(0xC1, asked.lstrip(b"\xfe")[13:14] + b"\x05\x00"))]
    with pytest.raises(DeviceRefused, match=r"refused with exception 5 \(valve closed, battery low\)"):
        await bench.read()


async def test_a_silent_meter_is_named(bench: Bench) -> None:
    bench.react = lambda _asked: []
    with pytest.raises(DeviceUnreachable, match=r"m1: meter 78330011223344: .*no answer within 0\.3 s"):
        await bench.read()


async def test_bytes_of_the_maker_behind_the_standard_ones_are_let_pass(bench: Bench) -> None:
    bench.react = lambda asked: [(0, told(asked, WATER + " AA BB CC"))]
    (block,) = (await bench.read()).blocks
    assert value(block, "water_volume_m3") == 556_677.0


@pytest.mark.parametrize(
    ("code", "cubic_metres"),
    [("2C", 556_677.0), ("29", 556.677)],  # m3, L
)
async def test_the_unit_code_of_each_answer_decides(bench: Bench, code: str, cubic_metres: float) -> None:
    bench.react = lambda asked: [(0, told(asked, WATER.replace("2C", code)))]
    (block,) = (await bench.read()).blocks
    assert value(block, "water_volume_m3") == pytest.approx(cubic_metres)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (WATER.replace("2C", "05"), "device-fault"),  # kWh of water
        (WATER.replace("2C", "77"), "device-fault"),  # no unit at all
        (WATER.replace("00 77", "0A 77"), "device-fault"),  # no decimal digit
        (WATER.replace("00 77 66 55", "FF FF FF FF"), "not-implemented"),
    ],
)
async def test_a_value_that_is_none_is_no_value(bench: Bench, data: str, reason: str) -> None:
    bench.react = lambda asked: [(0, told(asked, data))]
    (block,) = (await bench.read()).blocks
    assert block.columns[0] == (None,)
    assert block.quality[0] == (Quality.BAD, REASON_CODES[reason])


async def test_a_meter_that_does_not_repeat_the_serial_number_is_read_where_its_model_says_so(bench: Bench) -> None:
    bench.react = lambda asked: [(0, frame(0x81, b"\x1f\x90\x00" + bytes.fromhex(WATER)))]
    row = Row(quantity="water_volume_m3", offset=0, format="XXXXXX.XX", unit="code")
    keys: dict[str, Any] = {"maker": "m", "model": "m", "protocol": "cjt188", "manual": Manual(title="t", edition="1")}
    silent = Model(**keys, row=[row], type="10", di_order="1F90", echo="off")
    for _ in range(2):
        assert len((await bench.read(silent)).blocks) == 1


async def test_a_meter_is_read_again_after_any_of_these(bench: Bench) -> None:
    usual = bench.react
    for wrong in ([], [(0, b"\x68" * 40)], [(0, b"\xfe" * 30)], [(0.4, b"late")]):
        bench.react = lambda _asked, parts=wrong: parts  # type: ignore[misc]
        with pytest.raises(DriverError):
            await bench.read()
        bench.react = usual
        assert len((await bench.read()).blocks) == 1


async def test_nothing_is_read_where_only_counters_are_wanted_and_there_is_none(bench: Bench) -> None:
    row = Row(quantity="operating_state", offset=17, format="HHHH", mask=3)
    keys: dict[str, Any] = {"maker": "m", "model": "m", "protocol": "cjt188", "manual": Manual(title="t", edition="1")}
    plan = cjt188.plan(
        bench.bus,
        Device(name="m1", model="m", address=METER),
        Model(**keys, row=[row], type="10", di_order="1F90"),
    )
    answer = await bench.driver.read(plan, counters_only=True)
    assert (answer.blocks, bench.end.asked) == ([], [])


async def test_a_model_says_which_bits_of_the_status_word_mean_a_low_battery(bench: Bench) -> None:
    bench.react = lambda asked: [(0, told(asked, WATER.removesuffix("00 00") + "20 00"))]
    row = Row(quantity="water_volume_m3", offset=0, format="XXXXXX.XX", unit="code")
    keys: dict[str, Any] = {"maker": "m", "model": "m", "protocol": "cjt188", "manual": Manual(title="t", edition="1")}
    upper = Model(**keys, row=[row], type="10", di_order="1F90", status_offset=17, battery_mask=0x20)
    (block,) = (await bench.read(upper)).blocks
    assert block.quality == ((Quality.UNCERTAIN, REASON_CODES["device-fault"]),)
    (usual,) = (await bench.read()).blocks
    assert usual.quality == ()

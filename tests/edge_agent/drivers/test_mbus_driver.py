"""The M-Bus driver at a far end that does as it is told: what it asks for in which order, and what it believes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from event_bodies import faults
from far_end import FarEnd, Parts, on_tcp

from edge_agent import meter
from edge_agent.drivers.driver import Answer, DeviceMisanswered, DeviceRefused, DeviceUnreachable, Gateway
from edge_agent.drivers.mbus.declared import DECLARED, Bus, Device, MbusPlan, Model, Row, row_faults
from edge_agent.drivers.mbus.driver import Mbus
from edge_agent.drivers.mbus.frame import long
from edge_agent.drivers.mbus.rows import Wanted, block, found, qualifiers
from edge_agent.drivers.mbus.telegram import parse_records
from wire.block import scaled
from wire.reading import REASON_CODES, Quality

NOW_MS = 1_700_000_000_000
ACK = b"\xe5"
WATER_5 = "0C 13 67 45 23 01"  # 1234.567 m3
MODEL: dict[str, Any] = {
    "maker": "x",
    "model": "y",
    "manual": meter.load("itron_cyble_water").manual,
    "row": [Row(quantity="water_volume_m3", what="volume")],
}


def telegram(access: int = 1, records: str = WATER_5, identification: str = "12345678", primary: int = 5) -> bytes:
    head = bytes.fromhex(identification)[::-1] + bytes.fromhex("7704 14 07") + bytes([access % 256, 0, 0, 0])
    return long(0x08, primary, 0x72, head + bytes.fromhex(records))


class Reader:
    """One meter at a far end whose answers to REQ_UD2 are `answers`, one after the other; SND_NKE and selections are acknowledged."""

    def __init__(self, answers: list[Parts], **model: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.model = Model(**{**MODEL, **model})
        self.driver: Mbus | None = None
        self.plan: MbusPlan | None = None

    def react(self, request: bytes) -> Parts:
        self.asked.append(request.hex())
        if request[0] == 0x68 or request[1] == 0x40:
            return [(0, ACK)]
        return self.answers.pop(0) if self.answers else []

    async def read(self, **how: Any) -> Answer:
        assert self.driver is not None
        assert self.plan is not None
        return await self.driver.read(self.plan, **how)

    async def value(self) -> float | None:
        (seen,) = (await self.read()).blocks
        return scaled(seen.columns[0][0], seen.shape.exponents[0])


@asynccontextmanager
async def reading(
    reader: Reader, react: Callable[[bytes], Parts] | None = None, **address: Any
) -> AsyncIterator[FarEnd]:
    """The reader's meter behind a serial server."""
    async with on_tcp(react or reader.react) as end:
        device = Device(name="m", model="y", **(address or {"primary": 5}))
        bus = Bus(
            name="b", protocol="mbus", device=[device], host="127.0.0.1", port=end.port, baud=38400, timeout_s=0.3
        )
        reader.plan = DECLARED.plan(bus, device, reader.model)  # type: ignore[assignment]
        reader.driver = Mbus(bus, Gateway(lambda: NOW_MS))
        try:
            yield end
        finally:
            await reader.driver.close()


async def test_a_meter_is_begun_once_and_then_asked_with_a_changing_frame_count_bit() -> None:
    reader = Reader([[(0, telegram(n))] for n in (1, 2, 3)])
    async with reading(reader):
        assert [await reader.value() for _ in range(3)] == [1234.567] * 3
    assert reader.asked == ["1040054516", "107b058016", "105b056016", "107b058016"]


async def test_a_spoiled_telegram_is_asked_for_again_with_the_same_bit() -> None:
    spoiled = telegram(1)[:-2] + b"\x00\x16"
    reader = Reader([[(0, spoiled)], [(0, telegram(1))], [(0, telegram(2))]])
    async with reading(reader):
        assert await reader.value() == 1234.567
        await reader.read()
    assert reader.asked == ["1040054516", "107b058016", "107b058016", "105b056016"]


async def test_half_a_telegram_is_asked_for_again_with_the_same_bit() -> None:
    reader = Reader([[(0, telegram(1)[:11])], [(0, telegram(1))]])
    async with reading(reader):
        reader.driver._link.timeout_s = 2.0  # type: ignore[union-attr]
        assert await reader.value() == 1234.567


async def test_after_a_silence_the_meter_is_begun_anew() -> None:
    reader = Reader([[], [(0, telegram(7))]])
    async with reading(reader):
        with pytest.raises(DeviceUnreachable, match=r"^m: primary 5, user data: .*no answer within 0.3 s$"):
            await reader.read()
        assert await reader.value() == 1234.567
    assert reader.asked == ["1040054516", "107b058016", "1040054516", "107b058016"]


async def test_a_dead_meter_is_asked_one_question() -> None:
    asked: list[bytes] = []
    reader = Reader([])

    def silent(request: bytes) -> Parts:
        asked.append(request)
        return []

    async with reading(reader, silent, secondary="12345678"):
        with pytest.raises(DeviceUnreachable, match=r"secondary 12345678, any maker.*selection"):
            await reader.read()
    # By hand: 53 + FD + 52 + 78 + 56 + 34 + 12 + 4 x FF = 6B2.
    assert [raw.hex(" ") for raw in asked] == ["68 0b 0b 68 53 fd 52 78 56 34 12 ff ff ff ff b2 16"]


async def test_by_its_secondary_address_only_the_right_meter_is_believed() -> None:
    reader = Reader([[(0, telegram(1, identification="12345679"))], [(0, telegram(1))]])
    async with reading(reader, secondary="12345678"):
        with pytest.raises(DeviceMisanswered, match=r"expected an answer of 12345678, .*, saw one of 12345679, ACW"):
            await reader.read()
        assert await reader.value() == 1234.567


async def test_a_foreign_telegram_in_front_of_the_right_one_is_passed_over() -> None:
    reader = Reader([[(0, telegram(9, primary=6) + telegram(1))]])
    async with reading(reader):
        assert await reader.value() == 1234.567


async def test_a_primary_address_can_be_tied_to_the_meter_that_is_meant() -> None:
    reader = Reader([[(0, telegram(1, identification="99999999"))]])
    async with reading(reader, primary=5, secondary="12345678"):
        with pytest.raises(DeviceMisanswered, match="saw one of 99999999"):
            await reader.read()


async def test_another_meter_at_the_same_primary_address_is_an_event() -> None:
    reader = Reader([[(0, telegram(1))], [(0, telegram(1, identification="55555555"))]])
    async with reading(reader):
        assert (await reader.read()).events == []
        (event,) = (await reader.read()).events
    assert (event.kind, event.device, event.at_ms) == ("device_identity", "m", NOW_MS)
    assert faults(event.kind, event.body) == []
    assert event.body == {
        "maker": "ACW",
        "version": "20",
        "serial": "55555555",
        "medium": 7,
        "before": {"maker": "ACW", "version": "20", "serial": "12345678", "medium": 7},
    }


async def test_an_access_number_that_stands_still_is_a_repeated_telegram_unless_the_model_says_otherwise() -> None:
    answers: list[Parts] = [[(0, telegram(n))] for n in (1, 2, 2, 2)]
    reader = Reader(answers)
    async with reading(reader):
        await reader.read()
        await reader.read()
        with pytest.raises(DeviceMisanswered, match="expected a new telegram, saw the one with access number 2 again"):
            await reader.read()
    reader = Reader(answers, access_number="fixed")
    async with reading(reader):
        assert [await reader.value() for _ in range(4)] == [1234.567] * 4


async def test_a_meter_that_never_counts_its_answers_is_read() -> None:
    reader = Reader([[(0, telegram(0))] for _ in range(4)])
    async with reading(reader):
        assert [await reader.value() for _ in range(4)] == [1234.567] * 4


async def test_a_busy_application_is_a_refusal_that_passes() -> None:
    reader = Reader([[(0, long(0x08, 5, 0x70, b"\x08"))], [(0, long(0x08, 5, 0x70, b"\x01"))]])
    async with reading(reader):
        with pytest.raises(DeviceRefused, match="application too busy") as busy:
            await reader.read()
        with pytest.raises(DeviceRefused, match="CI field not implemented") as never:
            await reader.read()
    assert (busy.value.retry, never.value.retry) == (True, False)


async def test_a_telegram_that_cannot_be_read_is_a_misanswer() -> None:
    reader = Reader([[(0, telegram(1, "04 13 01 00"))]])
    async with reading(reader):
        with pytest.raises(DeviceMisanswered, match="expected 4 bytes of a record's value, saw 2"):
            await reader.read()


async def test_further_telegrams_wait_for_the_next_reading_when_the_deadline_has_passed() -> None:
    rows = [*MODEL["row"], Row(quantity="water_flow_m3_per_h", what="volume_flow")]
    answers: list[Parts] = [
        [(0, telegram(1, WATER_5 + "1F"))],
        [(0, telegram(2, WATER_5 + "1F"))],
        [(0, telegram(3, "0B 3B 65 02 00"))],
    ]
    reader = Reader(answers, row=rows)
    async with reading(reader):
        early = await reader.read(deadline_s=asyncio.get_running_loop().time() - 1)
        assert (early.left_out, len(early.blocks), early.requests) == (1, 1, 2)
        whole = await reader.read()
        assert [b.shape.quantities for b in whole.blocks] == [("water_volume_m3",), ("water_flow_m3_per_h",)]
    assert reader.asked == ["1040054516", "107b058016", "1040054516", "107b058016", "105b056016"]


async def test_a_fault_behind_the_first_telegram_keeps_what_was_read() -> None:
    rows = [*MODEL["row"], Row(quantity="water_flow_m3_per_h", what="volume_flow")]
    reader = Reader([[(0, telegram(1, WATER_5 + "1F"))], []], row=rows)
    async with reading(reader):
        answer = await reader.read()
    assert len(answer.blocks) == 1
    (fault,) = answer.faults
    assert isinstance(fault, DeviceUnreachable)


async def test_a_row_that_no_telegram_has_is_said_not_to_be_there() -> None:
    rows = [*MODEL["row"], Row(quantity="water_flow_m3_per_h", what="volume_flow")]
    reader = Reader([[(0, telegram(1))]], row=rows)
    async with reading(reader):
        (seen,) = (await reader.read()).blocks
    assert seen.columns == ((1234567,), (None,))
    assert seen.quality[1] == (Quality.BAD, REASON_CODES["not-implemented"])


def one(row: Row, records: str) -> tuple[float | None, tuple[int, int]]:
    """What a row makes of records."""
    bus = Bus(name="b", protocol="mbus", device=[], host="h", port=1)
    plan = DECLARED.plan(bus, Device(name="m", model="y", primary=1), Model(**{**MODEL, "row": [row]}))
    (wanted,) = plan.rows  # type: ignore[attr-defined]
    parsed, _, _ = parse_records(bytes.fromhex(records))
    made = block("m", [(wanted, found(wanted, parsed))], 0, 1)
    return scaled(made.columns[0][0], made.shape.exponents[0]), (made.quality or ((0, 0),))[0]


@pytest.mark.parametrize(
    ("row", "records", "value"),
    [
        (Row(quantity="heat_energy_kwh", what="energy"), "0C 06 45 23 01 00", 12345.0),
        (Row(quantity="heat_energy_kwh", what="energy"), "0C 0E 45 23 01 00", 12345 / 3.6),  # MJ
        (Row(quantity="heat_energy_kwh", what="energy"), "04 FB 09 0A 00 00 00", 10 / 0.0036),  # GJ
        (Row(quantity="heat_energy_kwh", what="energy"), "04 FB 0D E8 03 00 00", 1163.0),  # 1000 x 10^6 cal
        (Row(quantity="heat_power_kw", what="power"), "04 33 10 27 00 00", 10_000_000 / 3.6e6),  # 10 MJ/h
        (Row(quantity="oil_volume_l", what="volume"), "0C 13 67 45 23 01", 1234567.0),
        (Row(quantity="oil_flow_l_per_h", what="volume_flow"), "02 3B 64 00", 100.0),
        (Row(quantity="water_flow_m3_per_h", what="volume_flow"), "02 43 64 00", 0.6),  # 100 x 10^-4 m3/min
        (Row(quantity="gas_pressure_kpa", what="pressure"), "02 69 F5 03", 1013.0),  # 10.13 bar
        (Row(quantity="active_power_kw", what="power", sign=-1), "02 2B E8 03", -1.0),
        (Row(quantity="heat_supply_temperature_degc", what="flow_temperature"), "05 5B 33 33 97 42", 75.6),
        (Row(quantity="energy_import_kwh", what="energy", nth=2), "04 03 01 00 00 00 04 03 E8 03 00 00", 1.0),
        (Row(quantity="energy_import_tariff_2_kwh", what="energy", tariff=2), "04 06 01 00 00 00 84 20 06 02 00 00 00", 2.0),
        (Row(quantity="demand_max_kw", what="power", function="maximum"), "02 2B 01 00 12 2B E8 03", 1.0),
        (Row(quantity="cooling_energy_kwh", what="energy", vife="3C"), "04 06 01 00 00 00 04 86 3C 02 00 00 00", 2.0),
        (Row(quantity="heat_energy_kwh", what="energy", vife="any"), "04 86 3B 02 00 00 00", 2.0),
        (Row(quantity="power_factor_ratio", vib="FFE1FF01", scale_exponent=-3), "02 FF E1 FF 01 E2 03", 0.994),
        (Row(quantity="voltage_l2_v", what="voltage", vife="7F02"), "02 FD C8 FF 01 01 00 02 FD C8 FF 02 FC 08", 230.0),
    ],
)  # fmt: skip
def test_a_row_finds_its_record_and_gives_it_in_its_own_unit(row: Row, records: str, value: float) -> None:
    assert one(row, records)[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("row", "records", "reason"),
    [
        (Row(quantity="heat_power_kw", what="power"), "3B 2D 99 99 99", "device-fault"),
        (Row(quantity="heat_power_kw", what="power"), "0B 2D EE EE 0E", "device-fault"),
        (Row(quantity="water_volume_m3", what="volume"), "0D 13 03 41 42 43", "device-fault"),
        (Row(quantity="water_volume_m3", what="volume"), "04 FB 20 01 00 00 00", "device-fault"),  # cubic feet
        (Row(quantity="water_volume_m3", what="volume"), "44 13 01 00 00 00", "not-implemented"),
        (Row(quantity="water_volume_m3", what="volume", high=1.0), "0C 13 67 45 23 01", "out-of-range"),
        (Row(quantity="energy_import_kwh", what="energy"), "0E 84 15 FF FF FF FF FF FF", "not-implemented"),
    ],
)
def test_a_value_that_cannot_be_used_says_why(row: Row, records: str, reason: str) -> None:
    assert one(row, records) == (None, (Quality.BAD, REASON_CODES[reason]))


def test_vifes_that_only_scale_are_no_qualifiers() -> None:
    assert qualifiers(bytes.fromhex("8674")) == b""
    assert qualifiers(bytes.fromhex("86FD3C")) == bytes.fromhex("3C")
    assert qualifiers(bytes.fromhex("FDC8FF81")) == bytes.fromhex("7F01")
    assert qualifiers(bytes.fromhex("8400")) == b""


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row(quantity="water_volume_m3"), "expected either what or vib, saw neither"),
        (Row(quantity="water_volume_m3", what="volume", vib="13"), "expected either what or vib, saw both"),
        (Row(quantity="water_volume_m3", what="wolume"), "saw 'wolume'"),
        (Row(quantity="water_volume_m3", what="energy"), "expected something that can be in m3, saw 'energy'"),
        (Row(quantity="heat_power_kw", what="status"), "expected something that can be in kW, saw 'status'"),
        (Row(quantity="nonsense", what="energy"), "saw 'nonsense'"),
    ],
)
def test_a_faulty_row_is_named(row: Row, expected: str) -> None:
    (fault,) = row_faults(Model(**MODEL), [row])
    assert expected in fault[2]


def test_a_poll_costs_its_characters_and_for_a_secondary_address_the_selection() -> None:
    """By hand, 2400 baud and 11 bits: 4.583 ms a character; 5 + 92 characters and 100 ms; the selection 18 characters and 100 ms more."""
    devices = [
        Device(name="a", model="itron_cyble_water", primary=1),
        Device(name="b", model="itron_cyble_gas", secondary="12345678"),
    ]
    bus = Bus(name="b", protocol="mbus", device=devices, serial="/dev/ttyUSB0")
    first, second = (DECLARED.load(bus, DECLARED.plan(bus, d, meter.load(d.model))) for d in devices)
    assert (first.requests, second.requests) == (1, 2)
    assert first.busy_ms == pytest.approx(97 * 11 / 2.4 + 100)
    assert second.busy_ms == pytest.approx(115 * 11 / 2.4 + 200)
    assert first.lines[0].startswith("user data of primary 1: water_volume_m3")


def test_a_meter_without_address_is_a_fault_of_the_edge_file() -> None:
    bus = Bus(name="b", protocol="mbus", device=[Device(name="a", model="x")], serial="/dev/ttyUSB0")
    assert list(DECLARED.faults(bus)) == [("device[0].primary", "a primary or a secondary address", "neither")]


def test_two_meters_may_share_no_address() -> None:
    assert DECLARED.address(Device(name="a", model="x", primary=7)) == "primary 7"
    told = DECLARED.address(Device(name="a", model="x", secondary="12345678", manufacturer="KAM"))
    assert told == "secondary 12345678, KAM, any version, any medium"


def test_a_wanted_row_is_found_by_the_function_error_where_there_is_no_other() -> None:
    wanted = Wanted("operating_state", "1", "on_time")
    records, _, _ = parse_records(bytes.fromhex("3C 22 17 00 00 00 0C 22 69 37 00 00"))
    chosen = found(wanted, records)
    assert chosen is not None
    assert chosen.value == 3769

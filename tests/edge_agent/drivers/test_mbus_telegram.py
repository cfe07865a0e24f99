"""M-Bus telegrams: records written by hand from EN 13757-3, records of any kind, and the same bytes read by pymeterbus."""

import random
import struct
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mbus_peer import meterbus

from edge_agent.drivers.mbus import frame, telegram
from edge_agent.drivers.mbus.meanings import Meaning
from edge_agent.drivers.mbus.secondary import Secondary
from edge_agent.drivers.mbus.telegram import Record, TelegramFault, parse_records
from edge_agent.drivers.mbus.values import MeterTime

HEADER = bytes.fromhex("78563412 2d2c 1b 04 55 08 0000")


def local(text: str) -> datetime:
    """Wall time without a zone, as a meter's clock shows it."""
    return datetime.fromisoformat(text)


def only(text: str) -> Record:
    records, more, makers = parse_records(bytes.fromhex(text))
    assert (len(records), more, makers) == (1, False, b"")
    return records[0]


def test_the_header_says_who_sent_it_and_how_it_is() -> None:
    seen = telegram.parse(0x72, HEADER)
    assert seen.sender == Secondary("12345678", "KAM", 27, 4)
    assert (seen.access_number, seen.status, seen.records) == (0x55, telegram.PERMANENT_ERROR, ())


def test_mode_two_sends_the_high_byte_first() -> None:
    data = bytes.fromhex("12345678 2c2d 1b 04 55 00 0000 0413 00000102 0c06 00012345")
    seen = telegram.parse(0x76, data)
    assert seen.sender == Secondary("12345678", "KAM", 27, 4)
    assert [record.value for record in seen.records] == [258, 12345]


@pytest.mark.parametrize(
    ("text", "what", "unit", "exponent", "value"),
    [
        ("04 06 39 30 00 00", "energy", "Wh", 3, 12345),
        ("0C 06 45 23 01 00", "energy", "Wh", 3, 12345),
        ("0C 0E 45 23 01 00", "energy", "J", 6, 12345),
        ("04 FB 00 0A 00 00 00", "energy", "Wh", 5, 10),
        ("04 FB 09 0A 00 00 00", "energy", "J", 9, 10),
        ("0C 14 78 56 34 12", "volume", "m3", -2, 12345678),
        ("02 2B 64 00", "power", "W", 0, 100),
        ("02 2B 9C FF", "power", "W", 0, -100),
        ("0B 3B 13 01 F0", "volume_flow", "m3/h", -3, -113),
        ("02 5A 8F 02", "flow_temperature", "degC", -1, 655),
        ("02 5E 00 80", "return_temperature", "degC", -1, None),
        ("0A 62 E3 0A", "temperature_difference", "K", -1, None),
        ("05 2E 00 00 C0 3F", "power", "W", 3, 1.5),
        ("05 2E 00 00 C0 7F", "power", "W", 3, None),
        ("02 FD 48 F6 08", "voltage", "V", -1, 2294),
        ("03 FD 59 10 27 00", "current", "A", -3, 10000),
        ("02 FB 2D 88 13", "frequency", "Hz", -2, 5000),
        ("04 86 74 39 30 00 00", "energy", "Wh", 1, 12345),  # VIFE 74: times 10^-2
        ("04 86 7D 39 30 00 00", "energy", "Wh", 6, 12345),  # VIFE 7D: times 1000
        ("01 FD 17 FF", "error_flags", "", 0, 255),
        ("0C 78 78 56 34 12", "fabrication_number", "", 0, 12345678),
        ("06 06 FF FF FF FF FF 7F", "energy", "Wh", 3, 2**47 - 1),
        ("0E 06 12 90 78 56 34 12", "energy", "Wh", 3, 123456789012),
        ("0D FD 11 04 44 43 42 41", "customer", "", 0, "ABCD"),
        ("0D 06 C2 34 12", "energy", "Wh", 3, 1234),
        ("0D 06 D2 34 12", "energy", "Wh", 3, -1234),
        ("0D 06 E3 01 00 80", "energy", "Wh", 3, -8388607),
        ("00 FD 17", "error_flags", "", 0, None),
        ("04 FF 13 01 00 00 00", "", "", 0, 1),
    ],
)
def test_values_of_each_coding(text: str, what: str, unit: str, exponent: int, value: object) -> None:
    record = only(text)
    assert record.meaning == Meaning(what, unit, exponent)
    assert record.value == value


@pytest.mark.parametrize(
    ("text", "function", "storage", "tariff", "subunit"),
    [
        ("04 06 01000000", "instantaneous", 0, 0, 0),
        ("44 06 01000000", "instantaneous", 1, 0, 0),
        ("54 06 01000000", "maximum", 1, 0, 0),
        ("24 06 01000000", "minimum", 0, 0, 0),
        ("34 06 01000000", "error", 0, 0, 0),
        ("84 10 06 01000000", "instantaneous", 0, 1, 0),
        ("84 40 06 01000000", "instantaneous", 0, 0, 1),
        ("C4 01 06 01000000", "instantaneous", 3, 0, 0),  # 1 + 2 x 1
        (
            "84 91 62 06 01000000",
            "instantaneous",
            66,
            9,
            2,
        ),  # storage 2 x (1 + 16 x 2); tariff 1 + 4 x 2; subunit 2 x 1
    ],
)
def test_what_the_extensions_of_a_dif_count(text: str, function: str, storage: int, tariff: int, subunit: int) -> None:
    record = only(text)
    assert (record.function, record.storage, record.tariff, record.subunit) == (function, storage, tariff, subunit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02 6C 8D 11", MeterTime(local("2012-01-13"), has_time=False)),  # 0D | 4 << 5, 01 | 1 << 4
        ("04 6D 22 10 8D 11", MeterTime(local("2012-01-13T16:34"), has_time=True)),
        ("04 6D 22 90 8D 11", MeterTime(local("2012-01-13T16:34"), has_time=True, summer=True)),
        ("04 6D 22 30 8D 11", MeterTime(local("2012-01-13T16:34"), has_time=True)),  # its hundreds: 20
        ("04 6D A2 10 8D 11", None),  # marked as invalid
        ("06 6D 1E 22 10 8D 11 00", MeterTime(local("2012-01-13T16:34:30"), has_time=True)),
        ("02 6C FF FF", None),
        ("02 6C 00 00", None),  # day 0: "every"
        (
            "02 EC 7E 3F 2C",
            MeterTime(local("2017-12-31"), has_time=False),
        ),  # a future date: 1F | 1 << 5, 0C | 2 << 4
        ("03 6D 1E 22 10", "16:34:30"),
    ],
)
def test_dates_and_times(text: str, expected: object) -> None:
    assert only(text).value == expected


def test_a_unit_in_plain_text_stands_behind_its_vif() -> None:
    record = only("02 FC 03 48 52 25 74 D4 11")  # libmbus and wmbusmeters read it in this order: VIF, text, VIFE
    assert (record.text, record.value, record.vif) == ("%RH", 4564, bytes.fromhex("FC74"))


def test_fillers_are_passed_over_and_the_makers_data_ends_the_records() -> None:
    records, more, makers = parse_records(bytes.fromhex("2F2F 01 FD 17 00 2F 0F 01 02 03"))
    assert ([record.value for record in records], more, makers) == ([0], False, b"\x01\x02\x03")
    records, more, makers = parse_records(bytes.fromhex("01 FD 17 00 1F"))
    assert (len(records), more, makers) == (1, True, b"")


def test_the_fixed_structure_has_two_counters() -> None:
    """By hand: BCD 12.345 kWh and 1.00 m3 of a heat meter (medium 4: bits 00 and 01), access number 7, power low."""
    data = bytes.fromhex("78563412 07 04 02 69 45230100 00010000".replace(" ", ""))
    seen = telegram.parse(0x73, data)
    assert seen.sender == Secondary("12345678", None, None, 4)
    assert (seen.access_number, seen.status) == (7, telegram.POWER_LOW)
    energy, volume = seen.records
    assert (energy.meaning, energy.value) == (Meaning("energy", "Wh", 0), 12345)
    assert (volume.meaning, volume.value) == (Meaning("volume", "m3", -3), 100)


def test_fixed_counters_can_be_binary_and_stored() -> None:
    data = bytes.fromhex("12345678 07 03 85 3E 00003039 FFFFFFFE".replace(" ", ""))
    first, second = telegram.parse(0x77, data).records
    assert (first.storage, first.meaning, first.value) == (1, Meaning("energy", "Wh", 3), 12345)
    assert (second.storage, second.meaning, second.value) == (1, Meaning("energy", "Wh", 3), -2)


@pytest.mark.parametrize(
    ("ci", "text", "expected"),
    [
        (0x70, "08", r"application error 8 \(application too busy\)"),
        (0x70, "", r"application error 0 \(unspecified error\)"),
        (0x7A, "00", "expected CI 72, 73, 76 or 77, saw 7a"),
        (0x72, "78563412 2d2c 1b 04 55 00", "expected a header of 12 bytes, saw 10"),
        (0x72, "78563412 2d2c 1b 04 55 00 2005 1122", "expected open records, saw encryption mode 5"),
        (0x73, "78563412 07 04", "expected 16 bytes of fixed structure, saw 6"),
        (0x72, HEADER.hex() + "04 06 01 00", "expected 4 bytes of a record's value, saw 2"),
        (0x72, HEADER.hex() + "04", "expected 1 bytes of a record's VIF, saw 0"),
        (0x72, HEADER.hex() + "84 80", "expected 1 bytes of a record's DIFE, saw 0"),
        (0x72, HEADER.hex() + "84" + 11 * "80", "expected at most 10 DIFE, saw more"),
        (0x72, HEADER.hex() + "04 86" + 11 * "80", "expected at most 10 VIFE, saw more"),
        (0x72, HEADER.hex() + "02 7C 09 41", "expected 9 bytes of a record's unit, saw 1"),
        (0x72, HEADER.hex() + "0D 06 FB", "expected a length byte of variable data, saw reserved fb"),
        (0x72, HEADER.hex() + "7F", "expected a data record, saw DIF 7f"),
    ],
)
def test_a_faulty_telegram_is_said_in_one_line(ci: int, text: str, expected: str) -> None:
    with pytest.raises(TelegramFault, match=expected):
        telegram.parse(ci, bytes.fromhex(text.replace(" ", "")))


def test_records_that_were_opened_already_are_read_whatever_the_mode_says() -> None:
    data = HEADER[:10] + bytes.fromhex("2005 2F2F 01FD1700".replace(" ", ""))
    assert len(telegram.parse(0x72, data).records) == 1


INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}


@st.composite
def coded(draw: st.DrawFn) -> tuple[bytes, tuple[str, int, int, int, object]]:
    """One record as bytes, put together by arithmetic alone, and what it must give."""
    function, storage, tariff, subunit = (draw(st.integers(0, top)) for top in (3, 2**13 - 1, 2**6 - 1, 2**3 - 1))
    field = draw(st.sampled_from(sorted(INTEGERS)))
    size = INTEGERS[field]
    value = draw(st.integers(-(1 << 8 * size - 1) + 1, (1 << 8 * size - 1) - 1))
    head = [field | function << 4 | (storage & 1) << 6]
    rest = storage >> 1
    for step in range(3):
        head[-1] |= 0x80
        head.append(rest >> 4 * step & 15 | (tariff >> 2 * step & 3) << 4 | (subunit >> step & 1) << 6)
    raw = bytes((*head, 0x13)) + value.to_bytes(size, "little", signed=True)
    names = ("instantaneous", "maximum", "minimum", "error")
    return raw, (names[function], storage, tariff, subunit, value)


@given(st.lists(coded(), max_size=12))
def test_records_that_follow_each_other_come_back_in_order(records: list[tuple[bytes, tuple[object, ...]]]) -> None:
    seen, more, makers = parse_records(b"".join(raw for raw, _ in records))
    assert not more
    assert not makers
    assert [(r.function, r.storage, r.tariff, r.subunit, r.value) for r in seen] == [wanted for _, wanted in records]


# Codes that both read: (VIF, unit as pymeterbus names it, power of ten).
SHARED_VIFS = [
    (0x05, "Wh", 2),
    (0x06, "Wh", 3),
    (0x0E, "J", 6),
    (0x13, "m^3", -3),
    (0x14, "m^3", -2),
    (0x2B, "W", 0),
    (0x2D, "W", 2),
    (0x3B, "m^3/h", -3),
    (0x5A, "C", -1),
    (0x5E, "C", -1),
]


def test_pymeterbus_reads_the_same_from_the_same_bytes() -> None:
    library, chance = meterbus(), random.Random(7)
    for _ in range(60):
        records, wanted = b"", []
        for _ in range(chance.randrange(1, 8)):
            vif, unit, exponent = chance.choice(SHARED_VIFS)
            storage = chance.randrange(2)
            if chance.random() < 0.5:
                number = chance.randrange(10**8)
                records += bytes((0x0C | storage << 6, vif)) + bytes.fromhex(f"{number:08}")[::-1]
            elif chance.random() < 0.5:
                number = chance.randrange(-(2**31) + 1, 2**31)
                records += bytes((0x04 | storage << 6, vif)) + struct.pack("<i", number)
            else:
                number = chance.randrange(2**15)
                records += bytes((0x82 | storage << 6, 0x10, vif)) + struct.pack("<h", number)
            wanted.append((number * 10.0**exponent, storage, unit))
        raw = frame.long(frame.RSP_UD, 1, 0x72, HEADER + records)
        ours = telegram.parse(0x72, HEADER + records).records
        theirs = library.load(raw).body.bodyPayload.records
        assert len(ours) == len(theirs) == len(wanted)
        for mine, other, (value, storage, unit) in zip(ours, theirs, wanted, strict=True):
            assert isinstance(mine.value, int)
            assert mine.value * 10.0**mine.meaning.exponent == pytest.approx(value, rel=1e-12)
            assert float(other.parsed_value) == pytest.approx(value, rel=1e-9)
            assert (mine.storage, other.dib.parse_dife()[0]) == (storage, storage)
            assert str(other.unit) == unit


def test_any_bytes_give_records_or_a_fault() -> None:
    chance = random.Random(3)
    until_s = time.monotonic() + 3.0
    starts = [bytes.fromhex(text) for text in ("0D", "8480", "04FD", "0DFC05", "046D", "026C", "0F", "1F", "2F")]
    while time.monotonic() < until_s:
        data = b"".join(chance.choice(starts) + chance.randbytes(chance.randrange(9)) for _ in range(6))
        for ci in (0x70, 0x72, 0x73, 0x76, 0x77):
            try:
                telegram.parse(ci, HEADER[:10] + b"\0\0" + data if ci in (0x72, 0x76) else data[:16])
            except TelegramFault:
                continue

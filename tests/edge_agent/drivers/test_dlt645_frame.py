"""DL/T 645 frames against published vectors, and the codec's own laws. No meter, no line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.dlt645 import frame
from edge_agent.drivers.dlt645.frame import Frame

ADDRESSES = st.text("0123456789", min_size=12, max_size=12)
FRAMES = st.builds(Frame, ADDRESSES, st.integers(0, 255), st.binary(max_size=200))


def test_the_published_question_for_an_address() -> None:
    asked = frame.build(Frame(frame.ANY_ADDRESS, frame.READ_ADDRESS))
    assert asked.hex(" ") == "fe fe fe fe 68 aa aa aa aa aa aa 68 13 00 df 16"


def test_the_published_question_for_the_voltage_of_phase_a() -> None:
    asked = frame.build(
        Frame("567890123456", frame.READ_2007, frame.identifier_bytes("02010100")),
        preamble=0,
    )
    assert asked.hex(" ") == "68 56 34 12 90 78 56 68 11 04 33 34 34 35 af 16"


@pytest.mark.parametrize(
    ("raw", "address", "identifier", "data"),
    [
        # Recorded 15:44:29 and 15:51:00, "DLT645-2007 message analysis": 0.26 kWh and 100.1 V.
        ("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16", "000000000161", "00010000", 26),
        ("68 61 01 00 00 00 00 68 91 06 33 34 34 35 34 43 10 16", "000000000161", "02010100", 1001),
    ],
)
def test_recorded_answers_of_the_2007_edition(raw: str, address: str, identifier: str, data: int) -> None:
    seen = frame.scan(bytes.fromhex(raw)).frame
    assert seen is not None
    assert (seen.address, seen.control) == (address, 0x91)
    assert seen.data[:4] == frame.identifier_bytes(identifier)
    assert frame.digits(seen.data[4:]) == data


def test_a_recorded_answer_of_the_1997_edition() -> None:
    """Heyuan ASDU-LS gateway user manual V1.1, page 18: B611, 100 V."""
    assert (
        frame.build(Frame("000000000003", frame.READ_1997, frame.identifier_bytes("B611")), 0).hex(" ")
        == "68 03 00 00 00 00 00 68 01 02 44 e9 03 16"
    )
    seen = frame.scan(bytes.fromhex("68 03 00 00 00 00 00 68 81 04 44 E9 33 34 EC 16")).frame
    assert seen == Frame("000000000003", 0x81, bytes.fromhex("11 B6 00 01"))
    assert frame.digits(seen.data[2:]) == 100


@given(FRAMES, st.integers(0, 4))
def test_what_is_built_is_read_back(sent: Frame, preamble: int) -> None:
    raw = frame.build(sent, preamble)
    seen = frame.scan(raw)
    assert (seen.frame, seen.used, seen.fault) == (sent, len(raw), "")


@given(FRAMES, st.integers(0, 4))
def test_the_checksum_does_not_count_the_preamble(sent: Frame, preamble: int) -> None:
    assert frame.build(sent, preamble)[preamble:] == frame.build(sent, 0)


@given(FRAMES, st.data())
def test_a_frame_that_comes_in_pieces_is_found_when_it_is_whole(sent: Frame, draw: st.DataObject) -> None:
    raw = frame.build(sent)
    cut = draw.draw(st.integers(0, len(raw) - 1))
    part = frame.scan(raw[:cut])
    assert part.frame is None or cut >= part.used
    if part.frame is None:
        assert frame.scan(raw[part.used :]).frame == sent


@given(FRAMES, st.integers(0, 10_000), st.integers(1, 255))
def test_one_damaged_byte_never_gives_a_frame_with_other_data(sent: Frame, where: int, by: int) -> None:
    raw = bytearray(frame.build(sent, 0))
    where %= len(raw)
    raw[where] ^= by
    seen = frame.scan(bytes(raw)).frame
    assert seen is None or seen == sent


def test_a_wrong_checksum_is_named_with_what_was_expected() -> None:
    seen = frame.scan(bytes.fromhex("68 61 01 00 00 00 00 68 91 06 33 34 34 35 34 43 11 16"))
    assert seen.frame is None
    assert seen.fault == "expected checksum 10 and 16, saw 11 and 16, after 16 bytes"


def test_a_frame_behind_the_beginning_of_another_is_found() -> None:
    noise = bytes.fromhex("68 00 00 00 00 00 00 68 91 50")  # promises 80 bytes that never come
    whole = frame.build(Frame("000000000161", 0x91, b"\x00\x00\x01\x00\x26"), 0)
    assert frame.scan(noise + whole).frame == Frame("000000000161", 0x91, b"\x00\x00\x01\x00\x26")


@given(st.integers(1, 8), st.data())
def test_bcd_is_read_back(size: int, draw: st.DataObject) -> None:
    value = draw.draw(st.integers(0, 10 ** (2 * size) - 1))
    assert frame.digits(frame.bcd(value, size)) == value


@given(st.integers(1, 8), st.data())
def test_signed_bcd_is_read_back(size: int, draw: st.DataObject) -> None:
    limit = 8 * 10 ** (2 * size - 1) - 1
    value = draw.draw(st.integers(-limit, limit))
    assert frame.digits(frame.bcd(value, size, signed=True), signed=True) == value


def test_the_sign_is_the_highest_bit_of_the_last_byte() -> None:
    """Active power XX.XXXX kW of -1.2345 kW: 01.2345 with the sign in front, low byte first."""
    assert frame.bcd(-12345, 3, signed=True) == bytes.fromhex("45 23 81")
    assert frame.digits(bytes.fromhex("45 23 81"), signed=True) == -12345


@pytest.mark.parametrize(("value", "size", "signed"), [(100, 1, False), (-1, 1, False), (80, 1, True), (-80, 1, True)])
def test_a_number_that_does_not_fit_is_refused(value: int, size: int, signed: bool) -> None:
    with pytest.raises(ValueError, match="expected a number of 2 digits"):
        frame.bcd(value, size, signed=signed)


def test_hexadecimal_digits_are_no_number() -> None:
    with pytest.raises(frame.NotBcd, match="saw 1a00"):
        frame.digits(bytes.fromhex("00 1A"))


@pytest.mark.parametrize(
    ("code", "words"),
    [(0x02, "no such data"), (0x05, "other error, wrong password or not authorised"), (0x00, "no reason given")],
)
def test_a_refusal_is_told_in_words(code: int, words: str) -> None:
    assert frame.refusal(bytes((code,))) == (code, words)


@pytest.mark.parametrize("address", ["", "12345678901", "1234567890123", "12345678901B"])
def test_an_address_has_twelve_digits(address: str) -> None:
    with pytest.raises(ValueError, match="expected an address of 12 digits"):
        frame.address_bytes(address)

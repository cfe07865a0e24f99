"""M-Bus frames against bytes written by hand from EN 13757-2, and against bytes of any kind."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.mbus import frame
from edge_agent.drivers.mbus.frame import ACKNOWLEDGEMENT, Frame, FrameFault, find_answer, parse
from edge_agent.drivers.mbus.secondary import Secondary, maker_letters, maker_number

# By hand: 08 + 02 + 72 = 7C; 7C + 01 + 02 = 7F.
ANSWER = bytes.fromhex("68 05 05 68 08 02 72 01 02 7F 16".replace(" ", ""))


def test_short_frames_are_those_of_the_standard() -> None:
    assert frame.short(frame.SND_NKE, 5).hex() == "1040054516"
    assert frame.short(frame.REQ_UD2, 5).hex() == "105b056016"
    assert frame.short(frame.REQ_UD2 | frame.FCB, frame.SELECTED).hex() == "107bfd7816"


def test_a_selection_names_identification_maker_version_and_medium() -> None:
    """By hand: 12345678 low byte first; KAM is 11 x 1024 + 1 x 32 + 13 = 11309 = 2C2D; sum 53+FD+52+78+56+34+12+2D+2C+1B+04 = 32E."""
    address = Secondary("12345678", "KAM", 0x1B, 0x04).to_bytes()
    raw = frame.long(frame.SND_UD, frame.SELECTED, frame.CI_SELECT, address)
    assert raw.hex(" ") == "68 0b 0b 68 53 fd 52 78 56 34 12 2d 2c 1b 04 2e 16"


def test_what_is_not_given_is_any() -> None:
    assert Secondary("1234FFFF").to_bytes().hex(" ") == "ff ff 34 12 ff ff ff ff"
    assert Secondary("1234FFFF").covers(Secondary("12345678", "KAM", 1, 4))
    assert not Secondary("1234FFFF", "ABB").covers(Secondary("12345678", "KAM", 1, 4))
    assert not Secondary("1235FFFF").covers(Secondary("12345678", "KAM", 1, 4))


@pytest.mark.parametrize(("letters", "number"), [("ABB", 0x0442), ("KAM", 0x2C2D), ("LUG", 0x32A7), ("ZRM", 0x6A4D)])
def test_makers_have_their_registered_number(letters: str, number: int) -> None:
    """Numbers as the makers' own manuals print them."""
    assert (maker_number(letters), maker_letters(number)) == (number, letters)


def test_a_control_frame_has_no_data() -> None:
    assert parse(frame.long(0x53, 1, 0x50)) == Frame("long", 0x53, 1, 0x50, b"")


def test_a_long_frame_is_taken_apart() -> None:
    seen = parse(ANSWER)
    assert seen == Frame("long", 0x08, 2, 0x72, b"\x01\x02")
    assert seen.is_answer


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", "expected E5, 10 or 68 at the beginning, saw nothing"),
        ("1040054616", "expected checksum 45, saw 46"),
        ("1040054517", "expected 16 at the end, saw 17"),
        ("10400545", "expected a whole frame, saw 4 bytes of it"),
        ("e5e5", "expected E5, 10 or 68 at the beginning, saw e5"),
        ("6805046808027201027f16", "expected the same length twice, saw 5 and 4"),
        ("6802026808020a16", "expected a length of at least 3, saw 2"),
        ("6805056908027201027f16", "expected 68 behind the length, saw 69"),
        ("6805056808027201027f1600", "expected the end after 11 bytes, saw 1 more"),
    ],
)
def test_a_faulty_frame_is_said_in_one_line(raw: str, expected: str) -> None:
    with pytest.raises(FrameFault, match=f"^{expected}$"):
        parse(bytes.fromhex(raw))


def test_more_than_252_bytes_do_not_fit() -> None:
    assert len(frame.long(8, 1, 0x72, bytes(252))) == frame.LONGEST_FRAME
    with pytest.raises(FrameFault, match="expected at most 252 bytes of data, saw 253"):
        frame.long(8, 1, 0x72, bytes(253))


def test_an_answer_is_found_behind_noise_and_foreign_acknowledgements() -> None:
    received = b"\x00\xe5\x68\x13\xff" + ANSWER
    assert find_answer(received, acknowledgement=False) == (5, 16)
    assert find_answer(received, acknowledgement=True) == (1, 2)


def test_half_an_answer_is_waited_for_and_a_spoiled_one_is_named() -> None:
    for length in range(len(ANSWER)):
        assert find_answer(ANSWER[:length], acknowledgement=False) is None
    spoiled = bytearray(ANSWER)
    spoiled[8] ^= 0x10
    with pytest.raises(FrameFault, match="expected checksum 8f, saw 7f"):
        find_answer(bytes(spoiled), acknowledgement=False)
    assert find_answer(bytes(spoiled) + ANSWER, acknowledgement=False) == (11, 22)
    assert find_answer(b"", acknowledgement=True) is None
    assert ACKNOWLEDGEMENT == b"\xe5"


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=252))
def test_each_long_frame_comes_back_as_it_was(control: int, address: int, ci: int, data: bytes) -> None:
    assert parse(frame.long(control, address, ci, data)) == Frame("long", control, address, ci, data)


@given(st.binary(max_size=252), st.integers(4, 200), st.integers(1, 255))
def test_one_changed_byte_is_always_noticed(data: bytes, at: int, change: int) -> None:
    raw = bytearray(frame.long(8, 1, 0x72, data))
    raw[at % len(raw)] ^= change
    with pytest.raises(FrameFault):
        parse(bytes(raw))


def test_any_bytes_give_a_frame_or_a_fault() -> None:
    chance = random.Random(13757)
    until_s = time.monotonic() + 2.0
    while time.monotonic() < until_s:
        raw = bytearray(chance.randbytes(chance.randrange(40)))
        if chance.random() < 0.5:
            raw[chance.randrange(len(raw) + 1) :] = ANSWER[: chance.randrange(12)]
        for acknowledgement in (True, False):
            try:
                found = find_answer(bytes(raw), acknowledgement=acknowledgement)
            except FrameFault:
                continue
            if found is not None:
                parse(bytes(raw[found[0] : found[1]]))

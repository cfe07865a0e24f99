"""CJ/T 188 frames against published vectors, and the codec's own laws. No meter, no line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.cjt188 import frame
from edge_agent.drivers.cjt188.frame import Frame, Status, Valve

ADDRESSES = st.text("0123456789", min_size=14, max_size=14)
FRAMES = st.builds(Frame, st.integers(0, 255), ADDRESSES, st.integers(0, 255), st.binary(max_size=100))


def test_the_published_question_for_a_water_meter() -> None:
    asked = frame.build(
        Frame(0x10, "78330011223344", frame.READ, frame.question("901F", 0, low_first=True)), preamble=0
    )
    assert asked.hex(" ") == "68 10 44 33 22 11 00 33 78 01 03 1f 90 00 80 16"


def test_the_published_question_for_a_heat_meter_that_has_the_high_byte_first() -> None:
    """ "CJ/T-188 heat meter, part 2": the JY heat meter with number 0040314132."""
    asked = frame.build(
        Frame(0x20, "00000040314132", frame.READ, frame.question("901F", 1, low_first=False)), preamble=4
    )
    assert asked.hex(" ") == "fe fe fe fe 68 20 32 41 31 40 00 00 00 01 03 90 1f 01 20 16"


def test_the_published_answer_of_that_heat_meter() -> None:
    raw = bytes.fromhex(
        "FE FE FE FE 68 20 32 41 31 40 00 00 00 81 2E 90 1F 01 08 02 00 00 00 08 02 00 00 00 17 00 00 00 00"
        "35 00 00 00 00 2C 34 10 00 00 35 25 00 66 25 00 00 00 00 53 00 12 10 07 15 20 00 00 31 16"
    )
    seen = frame.scan(raw)
    assert seen.frame is not None
    assert (seen.used, seen.frame.type, seen.frame.address) == (len(raw), 0x20, "00000040314132")
    assert (seen.frame.control, len(seen.frame.data)) == (0x81, 0x2E)
    assert frame.digits(seen.frame.data[24:28]) == 1034  # 10.34 m3, the unit 2C stands in front of it
    assert seen.frame.data[23] == 0x2C


def test_the_answer_that_web_pages_copy_is_not_believed() -> None:
    """It ends in 08, its bytes add up to 13H."""
    raw = "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 08 16"
    seen = frame.scan(bytes.fromhex(raw))
    assert seen.frame is None
    assert seen.fault.startswith("expected checksum 13 and 16, saw 08 and 16")


@given(FRAMES, st.integers(0, 4))
def test_what_is_built_is_read_back(sent: Frame, preamble: int) -> None:
    raw = frame.build(sent, preamble)
    seen = frame.scan(raw)
    assert (seen.frame, seen.used, seen.fault) == (sent, len(raw), "")


@given(FRAMES, st.data())
def test_a_frame_that_comes_in_pieces_is_found_when_it_is_whole(sent: Frame, draw: st.DataObject) -> None:
    raw = frame.build(sent)
    cut = draw.draw(st.integers(0, len(raw) - 1))
    part = frame.scan(raw[:cut])
    if part.frame is None:
        found = frame.scan(raw[part.used :]).frame
        assert found is not None


@given(st.integers(1, 8), st.data())
def test_bcd_is_read_back(size: int, draw: st.DataObject) -> None:
    value = draw.draw(st.integers(0, 10 ** (2 * size) - 1))
    assert frame.digits(frame.bcd(value, size)) == value


@pytest.mark.parametrize(
    ("word", "valve", "battery_low"),
    [
        (0x0000, Valve.OPEN, False),
        (0x0001, Valve.CLOSED, False),
        (0x0003, Valve.ABNORMAL, False),
        (0x0004, Valve.OPEN, True),
        (0x8421, Valve.CLOSED, False),
    ],
)
def test_the_status_word_tells_valve_and_battery(word: int, valve: Valve, battery_low: bool) -> None:
    assert (Status(word).valve, Status(word).battery_low) == (valve, battery_low)


def test_a_gigajoule_is_277_point_8_kwh() -> None:
    assert 1 / frame.UNITS[0x11].divisor == pytest.approx(277.777778)


@pytest.mark.parametrize("address", ["", "1" * 13, "1" * 15, "G" * 14])
def test_an_address_has_fourteen_digits(address: str) -> None:
    with pytest.raises(ValueError, match="expected an address of 14 digits"):
        frame.address_bytes(address)

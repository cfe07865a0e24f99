"""Modbus RTU under spoiled answers, for five seconds; `test_long_fuzz_modbus_rtu.py` takes a minute."""

import rtu_fuzz
from spoilt_bytes import bounded


def test_the_frame_parser_takes_any_bytes_and_finds_only_sound_frames() -> None:
    with bounded():
        assert rtu_fuzz.frames(2.0, seed=645) > 200


async def test_a_line_of_spoiled_answers_gives_right_registers_or_a_clear_error() -> None:
    reads, answered = await rtu_fuzz.line(3.0, seed=188)
    assert reads >= 10
    assert answered >= 3

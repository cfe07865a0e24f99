"""M-Bus codec and driver fed with spoiled telegrams for four seconds; `test_long_fuzz_mbus.py` takes a minute for each."""

import mbus_fuzz
from spoilt_bytes import bounded


def test_spoiled_telegrams_give_records_or_a_fault() -> None:
    with bounded():
        assert mbus_fuzz.telegrams(2.0, seed=13757) > 10


async def test_a_driver_at_a_spoiling_line_gives_answers_or_errors_and_recovers() -> None:
    assert await mbus_fuzz.line(2.0, seed=3) >= 3

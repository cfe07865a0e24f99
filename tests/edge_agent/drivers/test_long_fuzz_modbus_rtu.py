"""The fuzz of `test_fuzz_modbus_rtu.py` for a minute, with another seed each time; a failure names it."""

import secrets

import pytest
import rtu_fuzz

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


async def test_modbus_rtu_survives_a_minute_of_spoiled_answers() -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    assert rtu_fuzz.frames(25.0, seed) > 500
    reads, answered = await rtu_fuzz.line(35.0, seed)
    assert answered >= 0.2 * reads

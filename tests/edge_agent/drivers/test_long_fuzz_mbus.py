"""M-Bus codec and driver fed with a minute of spoiled telegrams each: a value, a DriverError or a TelegramFault, and no hang."""

import mbus_fuzz
import pytest
from spoilt_bytes import bounded

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
MINUTE_S = 60.0


def test_spoiled_telegrams_give_records_or_a_fault_and_no_memory_is_kept() -> None:
    with bounded():
        assert mbus_fuzz.telegrams(MINUTE_S, seed=1) > 100


async def test_a_driver_at_a_spoiling_line_gives_answers_or_driver_errors_and_recovers_after_a_minute() -> None:
    assert await mbus_fuzz.line(MINUTE_S, seed=2) > 50

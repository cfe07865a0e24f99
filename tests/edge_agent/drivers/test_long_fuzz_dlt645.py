"""The same as in the short test, for a minute, from a seed that is printed with a failure."""

import pytest
from meter_line_fuzz import PROTOCOLS, fuzz
from spoilt_bytes import bounded

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_noise_is_never_more_than_no_frame_for_a_minute(protocol: str) -> None:
    with bounded():
        assert fuzz(protocol, seed=188, seconds=60) > 10_000

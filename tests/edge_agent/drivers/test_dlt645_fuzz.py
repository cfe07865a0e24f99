"""Anything that a line can carry, given to the codecs of DL/T 645 and CJ/T 188: no exception, no hang, no memory beyond a frame. Five seconds."""

import pytest
from meter_line_fuzz import PROTOCOLS, fuzz
from spoilt_bytes import bounded


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_noise_is_never_more_than_no_frame(protocol: str) -> None:
    with bounded():
        assert fuzz(protocol, seed=645, seconds=2.5) > 500

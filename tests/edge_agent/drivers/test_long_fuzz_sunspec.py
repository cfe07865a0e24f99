"""SunSpec chains of any shape and spoiled Modbus TCP answers, for a minute together."""

import modbus_tcp_fuzz
import pytest
from spoilt_bytes import bounded, tried

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_any_chain_of_models_is_walked_or_refused_for_long() -> None:
    with bounded():
        assert tried(modbus_tcp_fuzz.chain, 30.0, seed=50_000) > 1000


async def test_spoiled_answers_are_values_or_errors_for_long() -> None:
    reads, right = await modbus_tcp_fuzz.answers(30.0, seed=503)
    assert right > reads / 10

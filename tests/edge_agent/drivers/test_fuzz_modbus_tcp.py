"""Modbus TCP under spoiled answers and SunSpec chains of any shape, for four seconds; `test_long_fuzz_sunspec.py` takes longer."""

import modbus_tcp_fuzz
from spoilt_bytes import bounded, tried


async def test_spoiled_answers_are_values_or_errors_and_the_bus_recovers() -> None:
    reads, right = await modbus_tcp_fuzz.answers(2.0, seed=502)
    assert reads >= 10
    assert right >= 3


def test_any_chain_of_models_is_walked_or_refused() -> None:
    with bounded():
        assert tried(modbus_tcp_fuzz.chain, 2.0, seed=40_000) > 100

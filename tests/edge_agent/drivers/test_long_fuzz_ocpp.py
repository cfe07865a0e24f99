"""Spoilt messages and results, for minutes."""

import tracemalloc
from pathlib import Path

import ocpp_fuzzing
import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.1"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_minute_of_spoilt_calls(tmp_path: Path, version: str, seed: int) -> None:
    tracemalloc.start()
    try:
        assert await ocpp_fuzzing.calls(version, 15, seed, tmp_path) > 500
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200 << 20


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_a_minute_of_spoilt_results(version: str) -> None:
    assert await ocpp_fuzzing.results(version, 20, 7) > 50

"""Spoilt messages and results, for five seconds."""

from pathlib import Path

import ocpp_fuzzing


async def test_spoilt_calls_of_16_are_answered_and_stop_nothing(tmp_path: Path) -> None:
    assert await ocpp_fuzzing.calls("ocpp1.6", 1.5, 16, tmp_path) > 50


async def test_spoilt_calls_of_21_are_answered_and_stop_nothing(tmp_path: Path) -> None:
    assert await ocpp_fuzzing.calls("ocpp2.1", 1.5, 21, tmp_path) > 50


async def test_spoilt_results_of_16_are_errors_or_read() -> None:
    assert await ocpp_fuzzing.results("ocpp1.6", 1.0, 16) > 5


async def test_spoilt_results_of_21_are_errors_or_read() -> None:
    assert await ocpp_fuzzing.results("ocpp2.1", 1.0, 21) > 5

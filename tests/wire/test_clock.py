"""The wall clock that is given to every part: real, accelerated, one for all processes."""

import os
import subprocess
import sys
import time

import pytest

from wire.clock import VARIABLE, Clock


def test_without_an_origin_it_is_the_machines_own() -> None:
    before = time.time_ns() // 1_000_000
    now_ms = Clock().now_ms()
    assert before <= now_ms <= time.time_ns() // 1_000_000
    assert Clock().to_environment() == ""


def test_it_runs_as_many_times_as_fast_as_it_is_told() -> None:
    origin_ns = time.monotonic_ns() - 2_000_000_000  # two seconds ago
    clock = Clock(1_000_000, 600.0, origin_ns)
    assert 1_000_000 + 1_200_000 <= clock() <= 1_000_000 + 1_200_000 + 60_000
    assert clock.real_s(600.0) == 1.0


async def test_a_simulated_minute_takes_its_share_of_real_time() -> None:
    clock, start = Clock(0, 6000.0), time.monotonic()
    await clock.sleep(60.0)
    assert 0.01 <= time.monotonic() - start < 5


def test_a_child_process_has_the_same_time() -> None:
    clock = Clock(1_795_248_000_000, 1000.0)
    code = "from wire.clock import Clock; print(Clock.from_environment().now_ms())"
    before = clock()
    environment = {**os.environ, VARIABLE: clock.to_environment()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert before <= int(done.stdout) <= clock(), done.stderr


@pytest.mark.parametrize("text", ["1", "1:2", "1:2:x", "1:2:3:4", "1:2:0", "1:2:-1", "1:2:nan", "1:2:1e9"])
def test_a_clock_that_is_none_is_refused_by_the_variables_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match="WATTLINE_CLOCK: expected monotonic_ns:utc_ms:speed"):
        Clock.from_environment()

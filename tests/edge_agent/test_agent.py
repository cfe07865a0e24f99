"""The agent as a process: what it refuses to start with, and how it ends. Delivery is judged in tests/end_to_end."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

EDGE = """
facility = "works"
edge = "gw-01"
mqtt = {{ host = "127.0.0.1", port = {port}, plain = true }}
spool = {{ directory = "spool" }}
[[bus]]
name = "bus"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 1
[[bus.device]]
name = "meter"
model = "eastron_sdm630"
"""


def agent(directory: Path, port: int, line: str = "") -> subprocess.Popen[str]:
    (directory / "edge.toml").write_text(f"{line}\n{EDGE.format(port=port)}")
    command = [sys.executable, "-m", "wattline.command", "edge", "run", str(directory / "edge.toml"), "--drain-s", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epoch(directory: Path, process: subprocess.Popen[str], word: str = "mqtt") -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"the agent ended: {process.wait(10)}")


def test_a_second_agent_on_the_same_spool_is_refused_by_name(tmp_path: Path, mosquitto: Any) -> None:
    first = agent(tmp_path, mosquitto.port)
    try:
        wait_for_epoch(tmp_path, first)
        _, said = (second := agent(tmp_path, mosquitto.port)).communicate(timeout=20)
        assert second.returncode == 2
        assert "another agent uses it" in said
        assert "Traceback" not in said
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
        first.communicate()


def test_a_clock_that_something_else_keeps_right_is_believed(tmp_path: Path) -> None:
    process = agent(tmp_path, 1, 'clock = { kept_by = "the hypervisor" }')
    wait_for_epoch(tmp_path, process, "clock_believed kept_by=the hypervisor")
    wait_for_epoch(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said


def test_an_agent_without_a_broker_and_without_a_meter_ends_in_good_order(tmp_path: Path) -> None:
    process = agent(tmp_path, 1)
    wait_for_epoch(tmp_path, process, "agent starts facility=works edge=gw-01 buses=1 devices=1")
    wait_for_epoch(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "agent stopped facility=works edge=gw-01" in said


def test_a_spool_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where a directory should be")
    process = agent(tmp_path, 1)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"spool {tmp_path / 'spool'}: expected a directory that can be written, saw " in said

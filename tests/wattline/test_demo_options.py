"""`wattline demo` used wrongly: one line that names the option, before anything is started."""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wattline.command import main
from wattline.demo import _no_broker
from wattline.report import summary


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seconds", "-5"], "--seconds: expected more than 0, got -5"),
        (["--poll-s", "-1"], "--poll-s: expected 0.1 or more, got -1"),
        (["--port", "99999"], "--port: expected 0 to 65535, got 99999"),
        (["--speed", "0"], "--speed: expected more than 0 and at most 3600, got 0"),
        (
            ["--facility", "hub", "--speed", "60"],
            "--speed: expected at most 20 with --facility hub, whose gateway reads its connection's meter every 2 s, got 60",
        ),
        (["--broker", "localhost:abc"], "--broker: expected HOST:PORT, got 'localhost:abc'"),
        (["--broker", "localhost"], "--broker: expected HOST:PORT, got 'localhost'"),
        (["--report", "/dev/null/r.json"], "--report: expected a directory to write in, /dev/null: Not a directory"),
        (["--directory", "/dev/null"], "--directory: expected a directory to write in, /dev/null: File exists"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_named_and_nothing_starts(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--no-browser", "--port", "0", *words]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", f"wattline demo: {said}\n")


def test_a_directory_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.json").mkdir()
    assert main(["demo", "--no-browser", "--report", str(tmp_path / "r.json")]) == 2
    assert "--report: expected a file" in capsys.readouterr().err


def test_a_broker_that_does_not_answer_is_said_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert main(["demo", "--no-browser", "--broker", f"127.0.0.1:{port}"]) == 2
        assert f"--broker: expected a broker at 127.0.0.1:{port}" in capsys.readouterr().err
        taken.listen()
        assert _no_broker(f"127.0.0.1:{port}") == ""


def test_a_report_of_nothing_says_so_in_words() -> None:
    none = {"p50_ms": None, "p95_ms": None}
    facility = {
        "facility": "works", "emissions_now_kg_per_h": None, "factor_now": {"kg_per_kwh": "0.5"}, "factors": [],
        "emissions_kg": None, "intervals": 0, "holdings": {"series": 0, "protocols": {}, "carriers": {}, "sessions": []},
    }  # fmt: skip
    text = summary(
        {
            "readings": {
                "stored": 0,
                "produced": 0,
                "answers": 0,
                "missing": 0,
                "missing_answers": [],
                "duplicates": 0,
            },
            "gaps": 0,
            "facilities": [facility],
            "power_balance_error_percent": None,
            "latency_ms": {"answer_to_stored": {}, "answer_to_live_feed": none},
            "peak_memory_mib": {"simulator": 25.0},
        }
    )
    assert "None" not in text
    assert "works: now no figure with 0.5 kg/kWh" in text
    assert "latency: no reading came through" in text


def test_a_demo_that_is_terminated_while_it_starts_leaves_nothing_running(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    words = ["-m", "wattline.command", "demo", "--no-browser", "--port", "0", "--directory", str(directory)]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        deadline = time.monotonic() + 30
        while not (directory / "simulator.log").exists():
            assert time.monotonic() < deadline, "no simulator was started"
            time.sleep(0.01)
        demo.terminate()
        demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(directory) in _text(path)] == []


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_bytes().decode(errors="replace")
    return ""

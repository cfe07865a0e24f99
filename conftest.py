"""A test run leaves no process behind: each one it starts carries a mark in its environment, and at the end nobody may carry it any more."""

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

MARK = "WATTLINE_TEST_RUN"
ENDS_WITHIN_S = 10.0


def pytest_sessionstart() -> None:
    os.environ[MARK] = uuid.uuid4().hex


def carriers(mark: str) -> dict[int, str]:
    """Process id -> command line of every other process that was started with `mark` in its environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(process.name) != os.getpid() and f"{MARK}={mark}".encode() in (
                process / "environ"
            ).read_bytes().split(b"\0"):
                found[int(process.name)] = (
                    (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
    return {pid: command for pid, command in found.items() if command}  # a zombie has none


def pytest_sessionfinish(session: pytest.Session) -> None:
    mark = os.environ.pop(MARK)
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (left := carriers(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid, command in left.items():
        session.config.get_terminal_writer().line(f"\nstray process {pid}, now killed: {command[:200]}", red=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if left and session.exitstatus == 0:
        session.exitstatus = 1

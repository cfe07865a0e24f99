"""The demo's processes: start, stop, kill and measure each part on its own. Not what they are told to do (see `wattline.demo_files`)."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

STARTS_WITHIN_S: Final = 60.0


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """SIGINT and SIGTERM wait until a child that is being started has a name here: otherwise nobody would end it."""
    if threading.current_thread() is not threading.main_thread():  # signals never reach it
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number_of in came:
            signal.raise_signal(number_of)


class PartFailed(Exception):
    """A part ended, or did not say in time that it is ready; the message holds its last words."""


class Part:
    """One process of `wattline ...`, its log in `<directory>/<name>.log`, its peak memory kept when it ends."""

    def __init__(self, name: str, directory: Path, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._arguments = [sys.executable, "-m", "wattline.command", *arguments]
        self._directory = directory
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._told_to_end = False
        self.peak_mib = 0.0
        self.cpu_s = 0.0

    def start(self) -> None:
        """Start it; its standard output is kept for `ready`."""
        self._told_to_end = False
        with self.log.open("ab") as log, undisturbed():
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def ready(self, timeout_s: float = STARTS_WITHIN_S) -> dict[str, Any]:
        """The JSON line with which a part says that it listens. Raises PartFailed."""
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise PartFailed(f"{self.name}: not ready within {timeout_s:g} s: {self.last_words()}")
            piece = os.read(self._process.stdout.fileno(), 65_536)
            if not piece:
                raise PartFailed(f"{self.name}: ended with status {self._process.wait(10)}: {self.last_words()}")
            line += piece
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def measure(self) -> None:
        """Keep the peak of its resident memory and its CPU time so far, where the system tells (Linux)."""
        if not self.alive:
            return
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_mib = max(self.peak_mib, int(line.split()[1]) / 1024)
            fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
            self.cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def terminate(self) -> None:
        """SIGTERM without waiting, once: a second one could meet a process that no longer handles it."""
        self.measure()
        if self.alive and not self._told_to_end:
            self._told_to_end = True
            os.kill(self.pid, signal.SIGTERM)

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and SIGKILL when that does not help in time; the exit status."""
        if self._process is None:
            return 0
        self.terminate()
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait(10)
        self._close()
        return status

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._close()

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return " / ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])
        return "nothing"

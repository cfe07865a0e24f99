"""Starts the processes that a benchmark needs, looks at what they cost, and ends each of them. Not what they do."""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
STARTS_WITHIN_S: Final = 60.0
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class NotThere(Exception):
    """A program or a part that a benchmark needs cannot be had; the message says which. The figure is left out."""


@lru_cache(maxsize=1)
def _byte_code() -> str:
    directory = tempfile.mkdtemp(prefix="wattline-bench-byte-code-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def surroundings() -> dict[str, str]:
    """The environment of processes: our sources, and their byte code kept between starts, as where they are installed.

    An agent that compiles its sources at each start takes 2 MiB and 100 ms more.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _byte_code()}


class Process:
    """One process of ours or a server; its standard output is read for JSON lines, its log lies in `<directory>/<name>.log`."""

    def __init__(
        self, name: str, directory: Path, words: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                cwd=directory,
                env={**surroundings(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @classmethod
    def python(cls, name: str, directory: Path, module: str, *words: str, **environment: str) -> "Process":
        """`python -m module words`."""
        return cls(name, directory, [sys.executable, "-m", module, *words], environment)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> dict[str, Any]:
        """The next JSON line of its standard output. Raises NotThere where it ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NotThere(f"{self.name} ended with status {self._process.wait(10)}: {self.last_words()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The end of its log."""
        return " / ".join(self.log.read_text(errors="replace").strip().splitlines()[-4:])

    def cpu_s(self) -> float:
        """Processor time so far, its own and the system's for it."""
        return sum(self._cpu_s())

    def system_s(self) -> float:
        """The system's part of it."""
        return self._cpu_s()[1]

    def _cpu_s(self) -> tuple[float, float]:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / _TICKS_PER_S, int(fields[12]) / _TICKS_PER_S

    def rss_mib(self) -> float:
        """Resident memory now: its own pages and its share of none, as `ps` shows it."""
        return self._status("VmRSS")

    def peak_mib(self) -> float:
        """The highest resident memory so far."""
        return self._status("VmHWM")

    def private_mib(self) -> float:
        """What would be free again if it ended: pages that no other process maps."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024

    def _status(self, key: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) / 1024
        raise NotThere(f"{self.name}: no {key} in /proc/{self.pid}/status")

    def written_bytes(self) -> tuple[int, int]:
        """Bytes that it made the system write to a disk, and bytes that it handed to write calls (sockets too)."""
        fields = dict(line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines())
        return int(fields["write_bytes"]), int(fields["wchar"])

    def stop(self, timeout_s: float = 30.0) -> None:
        """SIGTERM, then SIGKILL; harmless when it has ended."""
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    """Ends it, whatever happens."""
    try:
        yield process
    finally:
        process.stop()


@dataclass(slots=True)
class Spent:
    """Processor seconds of processes between two looks."""

    processes: Sequence[Process]
    before: list[float]
    begun: float

    @classmethod
    def of(cls, *processes: Process) -> "Spent":
        """Begin to look."""
        return cls(processes, [process.cpu_s() for process in processes], time.perf_counter())

    def so_far(self) -> tuple[float, list[float]]:
        """Seconds that passed, and processor seconds of each process."""
        passed = time.perf_counter() - self.begun
        return passed, [process.cpu_s() - at for process, at in zip(self.processes, self.before, strict=True)]


def until(what: str, true: Callable[[], bool], timeout_s: float = STARTS_WITHIN_S) -> None:
    """Wait until it is so. Raises NotThere."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise NotThere(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)

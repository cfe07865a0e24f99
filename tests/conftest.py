"""Real peers for all tests: a mosquitto of one's own on a free port, started, stopped and killed by the test."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> None:
    """Until something listens on `port`; fails when `process` ends before or the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(
        f"{process.args!r}: expected to listen on port {port} within {timeout_s} s, exit status {process.poll()}"
    )


class Mosquitto:
    """A broker process that can be killed and started again on the same port."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\nmax_inflight_messages 0\n{extra}\n"
        )
        self._log = directory / "mosquitto.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it listens."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(["mosquitto", "-c", str(self._config)], stdout=log, stderr=log)
        wait_for_port(self.port, self.process)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """Stop, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A started mosquitto."""
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[[str], Mosquitto]]:
    """Makes brokers with extra configuration lines."""
    made: list[Mosquitto] = []

    def make(extra: str) -> Mosquitto:
        made.append(Mosquitto(tmp_path / f"mosquitto-{len(made)}", extra))
        made[-1].start()
        return made[-1]

    yield make
    for broker in made:
        broker.close()

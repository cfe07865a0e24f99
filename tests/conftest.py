"""Real peers for all tests: mosquitto, InfluxDB and VictoriaMetrics on free ports and directories of their own, started, stopped and killed.

A peer that is missing fails the run, unless WATTLINE_SKIP_PEERS names it (`WATTLINE_SKIP_PEERS=influxd,victoria-metrics`).
"""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wattline.broker import found_mosquitto

START_TIMEOUT_S = 30.0
# What waits most, during which the other worker does the rest; last it would be waited for by both.
FIRST = (
    "test_demo.py",
    "test_nothing_is_lost.py",
    "test_fault_contract.py",
    "test_overview_page.py",
    "test_benchmarks.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Random order, but for what takes longest."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def peer_or_skip(name: str) -> str:
    """The path of a peer's program; skips with the name, or fails, where there is none."""
    path = shutil.which(name)
    if path is None:
        if name in os.environ.get("WATTLINE_SKIP_PEERS", "").split(","):
            pytest.skip(f"peer {name} is missing (WATTLINE_SKIP_PEERS)")
        pytest.fail(f"peer {name} is missing: install it, or name it in WATTLINE_SKIP_PEERS")
    return path


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@dataclass
class HttpPeer:
    """A database server in a process of its own, that can be killed and started again on the same port and directory."""

    command: list[str]
    url: str
    alive_path: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + self.alive_path, timeout=1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.command}: not alive within {START_TIMEOUT_S} s, see {self.log}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


def make_influxd(directory: Path) -> HttpPeer:
    program = peer_or_skip("influxd")
    http, rpc = free_ports(2)
    config = directory / "influxdb.conf"
    config.write_text(
        "\n".join(
            (
                "reporting-disabled = true",
                f'bind-address = "127.0.0.1:{rpc}"',
                f'[meta]\ndir = "{directory}/meta"',
                f'[data]\ndir = "{directory}/data"\nwal-dir = "{directory}/wal"\nquery-log-enabled = false',
                f'[http]\nbind-address = "127.0.0.1:{http}"\nlog-enabled = false',
                "[monitor]\nstore-enabled = false",
            )
        )
    )
    return HttpPeer([program, "-config", str(config)], f"http://127.0.0.1:{http}", "/ping", directory / "influxd.log")


def make_victoria_metrics(directory: Path) -> HttpPeer:
    program = peer_or_skip("victoria-metrics")
    (http,) = free_ports(1)
    command = [
        program,
        f"-httpListenAddr=127.0.0.1:{http}",
        f"-storageDataPath={directory}/data",
        "-dedup.minScrapeInterval=1ms",
        "-retentionPeriod=100y",
    ]
    return HttpPeer(command, f"http://127.0.0.1:{http}", "/health", directory / "victoria-metrics.log")


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpPeer]:
    """One influxd for all tests; each test takes a database of its own."""
    peer = make_influxd(tmp_path_factory.mktemp("influxd"))
    try:
        peer.start()
        yield peer
    finally:
        peer.close()


@pytest.fixture
def own_influxd(tmp_path: Path) -> Iterator[HttpPeer]:
    """An influxd that a test may kill."""
    peer = make_influxd(tmp_path)
    try:
        peer.start()
        yield peer
    finally:
        peer.close()


@pytest.fixture(scope="session")
def victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpPeer]:
    """One VictoriaMetrics for all tests; each test takes a facility of its own."""
    peer = make_victoria_metrics(tmp_path_factory.mktemp("victoria"))
    try:
        peer.start()
        yield peer
    finally:
        peer.close()


@pytest.fixture
def influxd_url(own_influxd: HttpPeer) -> str:
    """The address of an influxd of the test's own."""
    return own_influxd.url


_NUMBERS = itertools.count()


@pytest.fixture
def database() -> str:
    """The name of a database that no other test uses."""
    return f"test_{next(_NUMBERS)}"


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


def _mosquitto() -> str:
    return found_mosquitto() or peer_or_skip("mosquitto")


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
            self.process = subprocess.Popen([_mosquitto(), "-c", str(self._config)], stdout=log, stderr=log)
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


@pytest.fixture(scope="module")
def shared_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A started mosquitto for all tests of a module; none of them may stop it."""
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
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

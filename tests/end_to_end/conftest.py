"""Whole systems as real processes, and what can be done to them."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wattline.system import System, Wanted

STOPPED_WITHIN_S = 20.0


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Wait until `condition`; fail with `what` when it takes longer."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if condition():
                return
        time.sleep(0.05)
    pytest.fail(f"expected within {timeout_s} s: {what}")


@pytest.fixture
def wait_until() -> Callable[..., None]:
    return eventually


@pytest.fixture
def make_system() -> Iterator[Callable[[Wanted], System]]:
    """Starts systems, and ends all their processes after the test."""
    made: list[System] = []

    def make(wanted: Wanted) -> System:
        made.append(System(wanted))
        made[-1].start()
        return made[-1]

    yield make
    for system in made:
        for part in system.parts():
            if part.alive:
                part.kill()
        if system.broker is not None:
            system.broker.stop()


class BlackHole:
    """A TCP relay that can stop to relay while every connection stays open: neither end is told."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        self._open.clear()

    def relay(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.set()
        for one in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.wait()
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                far.settimeout(None)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                self._open.wait()
                sink.sendall(piece)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def make_black_hole() -> Iterator[Callable[[int], BlackHole]]:
    made: list[BlackHole] = []

    def make(port: int) -> BlackHole:
        made.append(BlackHole(port))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.fixture
def system_directory(tmp_path: Path) -> Path:
    return tmp_path / "system"

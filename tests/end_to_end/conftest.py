"""Whole systems as real processes, and what can be done to them."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import Page
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from whole_system import eventually

from wattline.system import System, Wanted

STOPPED_WITHIN_S = 20.0


@pytest.fixture
def wait_until() -> Callable[..., None]:
    return eventually


@pytest.fixture
def make_system() -> Iterator[Callable[..., System]]:
    """Starts systems, and ends all their processes after the test."""
    made: list[System] = []

    def make(wanted: Wanted, kind: type[System] = System) -> System:
        made.append(kind(wanted))
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


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if shutil.which("chromedriver") is None:
        pytest.skip("chromedriver is missing: apt install chromium-driver")
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--window-size=1600,1000", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(argument)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is not None:
        options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    made.set_page_load_timeout(30)
    yield made
    made.quit()


@pytest.fixture
def page(driver: webdriver.Chrome) -> Iterator[Page]:
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    driver.get_log("performance")  # type: ignore[no-untyped-call]
    made = Page(driver)
    yield made
    first, *others = driver.window_handles
    for other in others:
        driver.switch_to.window(other)
        driver.close()
    driver.switch_to.window(first)
    driver.get("about:blank")

"""`/api/v2/write` through influxdb-client against a server that answers as it is told: each fault must surface, none is swallowed."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from aggregator.stores.influx_http import Server
from aggregator.stores.influx_store import InfluxStore
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey, Spool, StoreUnavailable

T0 = 1_760_000_000_000
SPOOL = Spool("works", "gw-01", "e1")


class Told(ThreadingHTTPServer):
    """Keeps the lines that it took; refuses bodies over `largest` lines, lines that hold `poison`, or all with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 204
        self.poison = b"\x00"
        self.largest = 10_000
        self.lines: list[bytes] = []
        self.asked: list[tuple[str, str]] = []
        self.silent = threading.Event()


class Answer(BaseHTTPRequestHandler):
    server: Told

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.asked.append((self.path, self.headers["Authorization"]))
        lines = body.splitlines()
        if self.server.silent.is_set():
            threading.Event().wait(3)
        if self.server.status != 204:
            self._say(self.server.status, b'{"code":"fault","message":"as told"}')
        elif len(lines) > self.server.largest:
            self._say(413, b'{"code":"request too large","message":"too many"}')
        elif any(self.server.poison in line for line in lines):
            self._say(400, b'{"code":"invalid","message":"partial write: field type conflict"}')
        else:
            self.server.lines += lines
            self._say(204, b"")

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def told() -> Iterator[Told]:
    server = Told()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture
def store(told: Told, tmp_path: Path) -> Iterator[InfluxStore]:
    server = Server(f"http://127.0.0.1:{told.server_port}", "plant", "v2", token="secret", org="works", timeout_s=1.0)
    made = InfluxStore(server, tmp_path / "ledger.sqlite")
    yield made
    made.close()


def commit(store: InfluxStore, count: int = 10) -> int:
    ids = store.ids([SeriesKey("works", "gw-01", f"d{n}", "active_power_kw") for n in range(count)])
    codes = np.zeros(count, np.uint8)
    batch = CommittedBatch("works", "gw-01", "e1", 1, b"x" * 32, T0, T0, count)
    return store.commit(Rows(ids, np.full(count, T0), ids + 0.5, codes, codes), [batch])


def test_lines_go_to_the_bucket_in_milliseconds_with_the_token(told: Told, store: InfluxStore) -> None:
    assert commit(store, 2) == 2
    assert told.lines[1] == b"electricity,device=d1,edge=gw-01,facility=works active_power_kw=1.5 %d" % T0
    ((path, authorization),) = told.asked
    assert path.startswith("/api/v2/write?")
    assert {"bucket=plant", "org=works", "precision=ms"} <= set(path.split("?")[1].split("&"))
    assert authorization == "Token secret"


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_what_somebody_can_mend_is_held_and_welcome_afterwards(told: Told, store: InfluxStore, status: int) -> None:
    told.status = status
    with pytest.raises(StoreUnavailable, match=str(status)):
        commit(store)
    assert store.committed(SPOOL) == []
    told.status = 204
    assert commit(store) == 10
    assert len(store.committed(SPOOL)) == 1


def test_a_refused_line_is_found_among_its_neighbours(told: Told, store: InfluxStore) -> None:
    told.poison = b"device=d7,"
    assert commit(store) == 9
    assert len(set(told.lines)) == 9
    assert store.refused_lines == 1


def test_a_server_that_wants_smaller_bodies_gets_them(told: Told, store: InfluxStore) -> None:
    told.largest = 3
    assert commit(store, 50) == 50
    assert len(told.lines) == len(set(told.lines)) == 50


def test_a_server_that_does_not_answer_is_unavailable_within_the_time_out(told: Told, store: InfluxStore) -> None:
    told.silent.set()
    with pytest.raises(StoreUnavailable):
        commit(store)

"""An InfluxDB 1.x of one's own: Debian's influxd on free loopback ports, its data in a folder that goes afterwards."""

import contextlib
import json
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import NotThere, Process, running, until

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class InfluxDb:
    """A running server."""

    url: str
    process: Process

    def count(self, database: str) -> int:
        """How many values all fields of all measurements hold."""
        query = urllib.parse.urlencode({"db": database, "q": "select count(*) from /.*/"})
        with urllib.request.urlopen(f"{self.url}/query?{query}", timeout=_TIMEOUT_S) as answer:
            found = json.load(answer)
        return sum(sum(series["values"][0][1:]) for series in found["results"][0].get("series", []))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextlib.contextmanager
def influxdb(directory: Path) -> Iterator[InfluxDb]:
    """A server with an empty data folder. Raises NotThere."""
    program = shutil.which("influxd")
    if program is None:
        raise NotThere("influxd is not installed")
    http, rpc = _free_ports(2)
    configuration = directory / "influxdb.conf"
    configuration.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
        f'[meta]\ndir = "{directory}/meta"\n'
        f'[data]\ndir = "{directory}/tsm"\nwal-dir = "{directory}/wal"\nquery-log-enabled = false\n'
        f'[http]\nbind-address = "127.0.0.1:{http}"\nlog-enabled = false\n'
        "[monitor]\nstore-enabled = false\n"
    )
    url = f"http://127.0.0.1:{http}"
    process = Process("influxd", directory, [program, "-config", str(configuration)])
    with running(process):
        until(f"influxd answers: {process.last_words()}", lambda: _answers(url) or not process.alive())
        yield InfluxDb(url, process)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(f"{url}/ping", timeout=2):
        return True
    return False

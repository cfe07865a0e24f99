"""A broker with TLS and client certificates, as deploy/mosquitto sets it up. Its certificates are those of `wattline certs`."""

import getpass
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, NotThere, Process, until
from wattline.authority import Authority
from wattline.broker import found_mosquitto, free_port
from wattline.broker_acl import acl
from wire.clock import Clock


@dataclass(frozen=True, slots=True)
class Secured:
    """A running broker; `edges` maps FACILITY.EDGE to the folder that goes to its gateway, `aggregator` is that of the aggregator."""

    process: Process
    port: int
    edges: dict[str, Path]
    aggregator: Path


def secured_broker(directory: Path, edges: Sequence[tuple[str, str]]) -> Secured:
    """Certificates, access list and mosquitto on a free loopback port. Raises NotThere where there is no mosquitto."""
    program = found_mosquitto()
    if program is None:
        raise NotThere("mosquitto is not installed")
    authority = Authority.found(directory / "certs", Clock())
    broker = authority.broker(["127.0.0.1", "localhost"])
    aggregator = authority.aggregator()
    folders = {f"{facility}.{edge}": authority.edge(facility, edge) for facility, edge in edges}
    (broker / "wattline.acl").write_text(acl(list(folders)), encoding="ascii")
    port = free_port()
    shipped = (ROOT / "deploy" / "mosquitto" / "certificates.conf").read_text(encoding="utf-8")
    configuration = directory / "mosquitto.conf"
    own = shipped.replace("listener 8883", f"listener {port} 127.0.0.1").replace("/etc/mosquitto/wattline", str(broker))
    configuration.write_text(f"user {getpass.getuser()}\nlog_type error\n{own}")
    process = Process("mosquitto", directory, [program, "-c", str(configuration)])
    until("mosquitto listens", lambda: _listens(port) or not process.alive())
    if not process.alive():
        raise NotThere(f"mosquitto ended: {process.last_words()}")
    return Secured(process, port, folders, aggregator)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False

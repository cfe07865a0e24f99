"""What each pip extra costs a machine: time to import what it brings, memory after that and after it is open, and size on disk.

Each repeat is a new interpreter that imports the bare agent (`edge_agent.agent`) first, then the module that needs the extra, as an agent does whose
edge file names such a bus; then its bus is opened and read once. Nobody answers there: what is measured is the library at work, not an exchange.
`import` is processor time, from kept byte code; `rss` and `open` are resident memory, beside the bare agent's in the same process. `size` sums the files that
the installed distributions list (byte code left out), following their requirements, beyond what the bare agent needs.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.figure import Bound, Effort, Figure
from benchmarks.processes import ROOT, NotThere, surroundings

TOGETHER: Final = Bound(goal=56)  # G3: MiB with BACnet and OCPP
ALONE: Final = Bound(goal=40)  # G3: MiB with Modbus, TLS and signature
_OPENS_WITHIN_S: Final = 60

_HEAD: Final = """
facility = "works"
edge = "gw-01"
mqtt = { host = "127.0.0.1", port = 1, plain = true }
spool = { directory = "spool" }
"""
_BUSES: Final[Mapping[str, str]] = {
    "edge": """
[[bus]]
name = "tcp"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 1
timeout_s = 0.1
[[bus.device]]
name = "meter"
model = "eastron_sdm630"
unit = 1
[[bus]]
name = "line"
protocol = "modbus_rtu"
serial = "/dev/null"
timeout_s = 0.1
[[bus.device]]
name = "meter-2"
model = "eastron_sdm630"
unit = 1
""",
    "bacnet": """
[[bus]]
name = "building"
protocol = "bacnet_ip"
interface = "127.0.0.1"
port = 0
timeout_s = 0.1
[[bus.device]]
name = "ahu"
model = "bacnet_ahu"
instance = 7
host = "127.0.0.1"
port = 1
""",
    "opcua": """
[[bus]]
name = "machine"
protocol = "opcua"
url = "opc.tcp://127.0.0.1:2"
timeout_s = 0.1
[[bus.device]]
name = "press"
model = "opc34100_energy_e3"
root = "i=85"
""",
    "ocpp": """
[[bus]]
name = "piles"
protocol = "ocpp"
host = "127.0.0.1"
port = 0
security_profile = 0
timeout_s = 0.1
[[bus.device]]
name = "pile"
model = "ocpp_ac_pile"
identity = "CP-1"
""",
}
_CHILD: Final = """
import json, sys, time
def rss_mib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024
import edge_agent.agent
said = {"bare_mib": rss_mib()}
begun = time.process_time()
MODULES
said["import_ms"] = (time.process_time() - begun) * 1000
said["imported_mib"] = rss_mib()
OPENED
print(json.dumps(said))
"""
_OPEN_BUSES: Final = """
import asyncio, contextlib
from pathlib import Path
from edge_agent import edge_file, meter
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.table import declared, open_driver
async def opened():
    drivers = []
    for bus in edge_file.load("edge.toml").bus:
        driver = open_driver(bus, Gateway(lambda: time.time_ns() // 10**6, Path(".")))
        drivers.append(driver)
        for device in bus.device:
            with contextlib.suppress(DriverError):
                await driver.read(declared(bus.protocol).plan(bus, device, meter.load(device.model)))
    if any(bus.protocol == "ocpp" for bus in edge_file.load("edge.toml").bus):
        from edge_agent.drivers.ocpp import schemas
        for version in schemas.NUMBERS:  # as after the first session of a pile of each
            for action in ("BootNotification", "StatusNotification", "MeterValues", "StartTransaction", "TransactionEvent"):
                schemas.knows(version, action)
    said["open_mib"] = rss_mib()
    for driver in drivers:
        await driver.close()
asyncio.run(opened())
"""
_OPEN_STORE: Final = """
from pathlib import Path
from aggregator.stores.open import open_store
store = open_store("duckdb", Path("."))
said["open_mib"] = rss_mib()
store.close()
"""


@dataclass(frozen=True, slots=True)
class _Extra:
    """`extras`: of pyproject.toml. `modules`: what an installation with them imports. `opened`: code that opens it; empty where nothing is opened
    by itself."""

    extras: tuple[str, ...]
    modules: tuple[str, ...]
    buses: tuple[str, ...] = ()
    opened: str = ""
    bound: Bound | None = None


_DRIVER: Final = {
    "edge": ("edge_agent.drivers.modbus.tcp", "edge_agent.drivers.modbus.rtu", "serial"),
    "bacnet": ("edge_agent.drivers.bacnet.driver",),
    "opcua": ("edge_agent.drivers.opcua.driver",),
    "ocpp": ("edge_agent.drivers.ocpp.driver",),
}


def _drivers(*extras: str, bound: Bound | None = None) -> _Extra:
    return _Extra(extras, tuple(module for name in extras for module in _DRIVER[name]), extras, _OPEN_BUSES, bound)


EXTRAS: Final[Mapping[str, _Extra]] = {
    "edge": _drivers("edge", bound=ALONE),
    "bacnet": _drivers("bacnet"),
    "opcua": _drivers("opcua"),
    "ocpp": _drivers("ocpp"),
    "edge_bacnet_ocpp": _drivers("edge", "bacnet", "ocpp", bound=TOGETHER),
    "edge_protocols": _drivers("edge", "bacnet", "opcua", "ocpp"),
    "aggregator": _Extra(("aggregator",), ("aggregator.run",), opened=_OPEN_STORE),
    "influx": _Extra(("influx",), ("aggregator.stores.influx_store",)),
    "demo": _Extra(("demo",), ("amqtt.broker",)),
}


def figures(effort: Effort, names: Sequence[str] = tuple(EXTRAS)) -> Iterator[Figure]:
    """`extras.*`."""
    wanted = _wanted()
    bare = _closure(wanted[""])
    bare_mib = _bytes(bare) / 2**20
    yield Figure("extras.bare.size", "MiB", [bare_mib])
    for name in names:
        extra = EXTRAS[name]
        runs = [_one(extra) for _ in range(1 + effort.repeats_or(5))][1:]  # the first makes the byte code

        def of(key: str, runs: list[dict[str, float]] = runs) -> list[float]:
            return [run[key] for run in runs]

        beside = {"bare_agent": of("bare_mib")}
        yield Figure(f"extras.{name}.import", "ms", of("import_ms"))
        yield Figure(f"extras.{name}.rss", "MiB", of("imported_mib"), beside=beside)
        if extra.opened:
            yield Figure(f"extras.{name}.open", "MiB", of("open_mib"), extra.bound, beside=beside)
        added = _closure([text for each in extra.extras for text in wanted[each]]) - bare
        yield Figure(f"extras.{name}.size", "MiB", [_bytes(added) / 2**20], beside={"bare_installation": [bare_mib]})
        yield Figure(f"extras.{name}.distributions", "1", [float(len(added))])


def _one(extra: _Extra) -> dict[str, float]:
    code = _CHILD.replace("MODULES", "import " + ", ".join(extra.modules)).replace("OPENED", extra.opened)
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as folder:
        (Path(folder) / "edge.toml").write_text(_HEAD + "".join(_BUSES[bus] for bus in extra.buses), encoding="utf-8")
        words = [sys.executable, "-c", code]
        done = subprocess.run(
            words,
            cwd=folder,
            env=surroundings(),
            capture_output=True,
            text=True,
            timeout=_OPENS_WITHIN_S,
        )
    if done.returncode:
        raise NotThere(f"{', '.join(extra.modules)}: {done.stderr[-300:]}")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def _wanted() -> dict[str, list[str]]:
    """What pyproject.toml asks for: "" is the installation without an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def _closure(asked: list[str]) -> set[str]:
    """The distributions that these requirements bring, names as pip writes them. Raises NotThere where one is not installed."""
    try:
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name
    except ImportError as error:
        raise NotThere(f"packaging, which reads requirements: {error}") from error
    extras = _wanted()
    waiting = [(text, "") for text in asked]
    found: set[str] = set()
    followed: set[tuple[str, str]] = set()
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name == "wattline":
            waiting += [(inner, "") for each in requirement.extras for inner in extras[each]]
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise NotThere(f"distribution {name}, asked for by {text!r}") from error
        found.add(name)
        for each in ("", *requirement.extras):
            if (name, each) not in followed:
                followed.add((name, each))
                waiting += [(inner, each) for inner in distribution.requires or ()]
    return found


def _bytes(names: set[str]) -> int:
    total = 0
    for name in names:
        for file in metadata.distribution(name).files or ():
            place = Path(str(file.locate()))
            if place.suffix != ".pyc" and place.is_file():
                total += place.stat().st_size
    return total

"""What the agent takes of a gateway: memory, processor, flash and start-up, reading 34 meters x 34 quantities each second.

The agent is the real `wattline edge run` with spool, signature and TLS with client certificates to a real mosquitto, configured as deploy/
ships it. The meters are 34 Modbus TCP servers that answer after 20 ms (`benchmarks.meters_served`), each on a connection of its own, three
requests a poll; an acknowledger answers the batches. The agent runs a while before it is looked at; then every stretch gives processor time
(/proc/<pid>/stat over the stretch), resident memory at its end (VmRSS) and bytes that went to disk (/proc/<pid>/io). The peak (VmHWM) is the
highest since the start, the start itself included. Each repeat is a new agent on a new spool.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks import meters_served
from benchmarks.acknowledged import STORE, Acknowledger
from benchmarks.figure import Bound, Effort, Figure
from benchmarks.processes import Process, Spent, running, surroundings, until
from benchmarks.secured import secured_broker
from wire.clock import Clock
from wire.keys import PublicKey

METERS: Final = 34
READINGS_PER_S: Final = METERS * 34
DELAY_MS: Final = 20
WARM_UP_S: Final = 8.0
STRETCH_S: Final = 25.0
RSS: Final = Bound(at_most=48, goal=40)  # MiB; ThingsBoard gateway 3.8.5 took 69 to poll the same meters
CPU: Final = Bound(at_most=10)
CPU_US: Final = Bound(goal=6.5)  # G3, which was measured with one request for 50 quantities
FLASH: Final = Bound(goal=40)  # G3
IMPORT_MS: Final = Bound(goal=150)  # G3


def edge_file(directory: Path, folder: Path, port: int, meter_ports: Sequence[int]) -> Path:
    """An edge file for these meters, with everything that a gateway in a plant has switched on."""
    lines = [
        'facility = "works"',
        'edge = "gw-01"',
        f'mqtt = {{ host = "127.0.0.1", port = {port}, tls = {{ ca = "{folder}/ca.pem", cert = "{folder}/gw-01.pem", key = "{folder}/gw-01.key" }} }}',
        f'spool = {{ directory = "{directory}/spool" }}',
        f'signing = {{ key = "{folder}/gw-01.sign" }}',
        f'aggregator = {{ store_id = "{STORE}" }}',
    ]
    for number, meter_port in enumerate(meter_ports, start=1):
        lines += [
            f'[[bus]]\nname = "tcp{number}"\nprotocol = "modbus_tcp"\nhost = "127.0.0.1"\nport = {meter_port}',
            f'[[bus.device]]\nname = "meter-{number}"\nmodel = "{meters_served.MODEL}"\nunit = 1\nperiod_s = 1',
        ]
        for quantity, address, kind in meters_served.EXTRA_ROWS:
            lines.append(f'[[bus.device.row]]\nquantity = "{quantity}"\naddress = {address}\ntype = "{kind}"')
    path = directory / "edge.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _one_agent(directory: Path, warm_up_s: float, stretch_s: float, meters: int) -> dict[str, float]:
    secured = secured_broker(directory, [("works", "gw-01")])
    with running(secured.process):
        folder = secured.edges["works.gw-01"]
        key = PublicKey.from_text((folder / "gw-01.sign.pub").read_text())
        words = ("--count", str(meters), "--delay-ms", str(DELAY_MS))
        served = Process.python("meters", directory, "benchmarks.meters_served", *words)
        with running(served), Acknowledger(secured.port, secured.aggregator, key, Clock()) as acknowledger:
            file = edge_file(directory, folder, secured.port, served.said()["ports"])
            agent = Process.python("agent", directory, "wattline.command", "edge", "run", str(file))
            with running(agent):
                until(f"first batch ({agent.last_words()})", lambda: acknowledger.readings > 0 or not agent.alive())
                time.sleep(warm_up_s)
                spent, written, readings = Spent.of(agent), agent.written_bytes()[0], acknowledger.readings
                frame_bytes, system_s = acknowledger.frame_bytes, agent.system_s()
                time.sleep(stretch_s)
                seconds, (cpu_s,) = spent.so_far()
                readings = acknowledger.readings - readings
                return {
                    "rss_mib": agent.rss_mib(),
                    "peak_mib": agent.peak_mib(),
                    "private_mib": agent.private_mib(),
                    "cpu_percent": 100 * cpu_s / seconds,
                    "system_percent": 100 * (agent.system_s() - system_s) / seconds,
                    "cpu_us": 1e6 * cpu_s / readings,
                    "flash_bytes": (agent.written_bytes()[0] - written) / readings,
                    "frame_bytes": (acknowledger.frame_bytes - frame_bytes) / readings,
                    "readings_per_s": readings / seconds,
                }


def import_ms(module: str) -> float:
    """Processor time of importing what the agent runs on, from byte code, in a new interpreter whose own start is not counted."""
    code = f"import time; begun = time.process_time(); import {module}; print((time.process_time() - begun) * 1000)"
    words = [sys.executable, "-c", code]
    said = subprocess.run(words, env=surroundings(), capture_output=True, text=True, check=True, timeout=60)
    return float(said.stdout)


def figures(effort: Effort, meters: int = METERS) -> Iterator[Figure]:
    """`footprint.*`. The meters' answers carry floats whose last digits change, as a PM5560's do."""
    import_ms("edge_agent.agent, edge_agent.drivers.modbus.tcp, wattline.command")  # makes the byte code
    found: list[dict[str, float]] = []
    for _ in range(effort.repeats_or(3)):
        with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
            warm_up_s = min(WARM_UP_S, effort.seconds_or(WARM_UP_S))
            found.append(_one_agent(Path(name), warm_up_s, effort.seconds_or(STRETCH_S), meters))

    def of(key: str) -> list[float]:
        return [each[key] for each in found]

    yield Figure("footprint.rss", "MiB", of("rss_mib"), RSS, beside={"private": of("private_mib")})
    yield Figure("footprint.rss_peak", "MiB", of("peak_mib"), RSS)
    yield Figure("footprint.cpu", "% of a core", of("cpu_percent"), CPU, beside={"system": of("system_percent")})
    yield Figure("footprint.cpu_per_reading", "us", of("cpu_us"), CPU_US)
    yield Figure(
        "footprint.flash_per_reading", "B", of("flash_bytes"), FLASH, beside={"sealed_frame": of("frame_bytes")}
    )
    yield Figure("footprint.readings", "1/s", of("readings_per_s"))
    imports = [import_ms("edge_agent.agent") for _ in range(effort.repeats_or(5))]
    yield Figure(
        "footprint.import", "ms", imports, IMPORT_MS, beside={"asyncio": [import_ms("asyncio") for _ in imports]}
    )

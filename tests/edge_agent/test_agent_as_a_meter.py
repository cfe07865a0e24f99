"""An agent that reads nothing but itself: its own spool, traffic and energy lie in its own batches, and go on after a restart."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.spool import Limits, Spool
from wire.batch import unseal
from wire.content import blocks
from wire.reading import Reading
from wire.topics import edge_topic

LIMIT_S = 30.0
EDGE = """
facility = "works"
edge = "gw-01"
mqtt = { host = "127.0.0.1", port = 1, plain = true }
spool = { directory = "spool" }
[[bus]]
name = "own"
protocol = "host"
[[bus.device]]
name = "gateway"
model = "gateway"
period_s = 1
idle_w = 3600.0
core_w = 0.0
"""


def run_until_the_spool_has_grown(directory: Path, times: int) -> None:
    """Starts an agent without a broker and ends it when its spool has grown so often."""
    command = [
        sys.executable,
        "-m",
        "wattline.command",
        "edge",
        "run",
        str(directory / "edge.toml"),
        "--drain-s",
        "0.2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        sizes: set[int] = set()
        deadline = time.monotonic() + LIMIT_S
        while len(sizes) <= times and time.monotonic() < deadline and process.poll() is None:
            sizes.add(sum(file.stat().st_size for file in (directory / "spool").rglob("*.seg")))
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, said
    assert len(sizes) > times, said


def spooled(directory: Path) -> Iterator[Reading]:
    spool = Spool(directory / "spool", "works", "gw-01", Limits())
    topic = edge_topic("works", "gw-01", "batch")
    for seq in range(1, spool.current.last_seq + 1):
        found = spool.current.read(seq)
        assert found is not None
        for block in blocks(unseal(found[1], topic, lambda _: None, accept_unsigned=True).content):
            yield from block.readings()
    spool.close()


def test_an_agent_meters_itself_and_its_energy_goes_on_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(EDGE)
    run_until_the_spool_has_grown(tmp_path, 3)
    first = list(spooled(tmp_path))
    run_until_the_spool_has_grown(tmp_path, 2)
    told = list(spooled(tmp_path))

    def of(quantity: str) -> list[float]:
        return [reading.value for reading in told if reading.quantity == quantity and reading.value is not None]

    assert max(of("spool_batches")) >= 2  # nobody has confirmed any
    assert max(of("spool_bytes")) > 0
    assert max(of("spool_oldest_s")) >= 1
    assert set(of("sent_bytes")) == {0}
    assert max(of("sealed_readings")) > 0
    assert all(5 < value < 500 for value in of("agent_memory_mib"))
    energies = [reading for reading in told if reading.quantity == "energy_import_kwh" and reading.value is not None]
    values = [reading.value for reading in energies if reading.value is not None]
    assert values == sorted(values)
    span_s = (
        energies[-1].at_ms - energies[0].at_ms
    ) / 1000  # 3,600 W: a thousandth of a kWh a second, the pause included
    assert abs((values[-1] - values[0]) - span_s / 1000) < 0.0005
    assert len(told) > len(first)

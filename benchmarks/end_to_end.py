"""How old a reading is when it is stored, and when it reaches a screen: the whole demo, two plants, nine devices, one poll a second.

The demo's own processes (simulators, a broker, two agents that flush each second, aggregator, DuckDB) and its viewer of the live feed; the age
counts from the instant of the device's answer, so that up to a flush period of waiting in the agent is in it: on average half a second, one
second at the 95th percentile. `stored` is the aggregator's own figure at its commit. An age is a wait, not work: it hardly depends on the
processor.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.figure import Bound, Effort, Figure
from benchmarks.processes import NotThere
from device_sim.site import SITES
from wattline.broker import BrokerUnavailable
from wattline.parts import PartFailed
from wattline.system import System, Wanted
from wattline.viewer import Viewer, stored_latency_ms
from wire.clock import Clock

WARM_UP_S: Final = 4.0
STRETCH_S: Final = 15.0
LIVE_P95: Final = Bound(goal=1_200)  # ms; the goal is meant for p99


def _one_system(directory: Path, warm_up_s: float, stretch_s: float) -> dict[str, float]:
    system = System(Wanted(directory, SITES / "demo.toml", Clock()))
    try:
        system.start()
        time.sleep(warm_up_s)
        viewer = Viewer(system.url, [gateway.facility for gateway in system.gateways], system.wanted.clock)
        time.sleep(stretch_s)
        viewer.stop()
        live, stored = viewer.figures(), stored_latency_ms(system.url, 1.0)
    except (PartFailed, BrokerUnavailable) as error:
        raise NotThere(str(error)) from error
    finally:
        system.stop()
    ages = {
        "stored_p50": stored["p50_ms"],
        "stored_p95": stored["p95_ms"],
        "live_p50": live["p50_ms"],
        "live_p95": live["p95_ms"],
    }
    return {name: float("nan") if age_ms is None else age_ms for name, age_ms in ages.items()}


def figures(effort: Effort) -> Iterator[Figure]:
    """`end_to_end.*`."""
    found = []
    for _ in range(effort.repeats_or(3)):
        with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
            warm_up_s = min(WARM_UP_S, effort.seconds_or(WARM_UP_S))
            found.append(_one_system(Path(name), warm_up_s, effort.seconds_or(STRETCH_S)))
    for name in ("stored_p50", "stored_p95", "live_p50", "live_p95"):
        bound = LIVE_P95 if name == "live_p95" else None
        yield Figure(f"end_to_end.{name}", "ms", [each[name] for each in found], bound)

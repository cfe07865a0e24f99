"""What the end-to-end tests ask of a whole system: when it is done, what it holds, whether a reading is missing. Starts nothing itself."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.run import store_of
from aggregator.settings import load
from aggregator.stores.store import Store
from device_sim.site import SITES
from wattline.judge import Verdict
from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.clock import Clock

SPEED = 4.0
FLUSH_MS = 1_000  # of the simulated clock, the agents' default
SYNC_REAL_MS = 150  # the flush's own write and sync, on a busy machine
IN_FLIGHT_REAL_MS = 1_200  # an answer that was on its way to an agent that is gone by now: its time-out

Spans = list[tuple[int, int]]


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Wait until `condition`; fail with `what` when it takes longer."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if condition():
                return
        time.sleep(0.05)
    pytest.fail(f"expected within {timeout_s} s: {what}")


def wanted(directory: Path, **changes: Any) -> Wanted:
    return Wanted(directory, SITES / "demo.toml", Clock(speed=SPEED), **changes)


@contextlib.contextmanager
def opened(system: System) -> Iterator[Store]:
    store = store_of(load(system.directory / "aggregator.toml", {}))
    try:
        yield store
    finally:
        store.close()


def named_gaps(store: Store, system: System) -> Spans:
    """The time spans of all gap records that the agents have sent."""
    found = [event for gateway in system.gateways for event in store.events(gateway.facility, 0, 2**53, "gap")]
    bodies = [stored.event.body for stored in found]
    return [(body["from_ms"], body["to_ms"]) for body in bodies if body.get("from_ms") is not None]


def finish(system: System) -> None:
    """Agents stop and deliver, then everything else stops."""
    statuses = system.stop_polling()
    assert set(statuses.values()) == {0}, [edge.last_words() for edge in system.edges.values()]
    eventually(lambda: backlog(system) == 0, "nothing waits at any edge")
    assert system.aggregator.stop() == 0
    system.sim.stop()


def edges(system: System) -> Iterator[dict[str, Any]]:
    """What the aggregator says of each edge."""
    for gateway in system.gateways:
        yield from get_json(f"{system.url}/api/v1/facilities/{gateway.facility}/edges")["edges"]


def backlog(system: System) -> int:
    return sum(edge["backlog"] or 0 for edge in edges(system))


def stored(system: System) -> int:
    return sum(edge["readings"] for edge in edges(system))


def assert_whole(verdict: Verdict, gaps: Spans = (), kills_ms: Spans = ()) -> None:  # type: ignore[assignment]
    """Nothing twice, nothing invented; what is missing lies in a named gap, and that gap in the flush before a kill."""
    assert verdict.answers > 50
    assert (verdict.duplicates, verdict.unknown) == (0, 0)
    assert verdict.outside(gaps) == []
    before_ms = FLUSH_MS + SYNC_REAL_MS * SPEED
    windows = [(first - before_ms, last + IN_FLIGHT_REAL_MS * SPEED) for first, last in kills_ms]
    assert verdict.outside(windows) == []


def kill_at_random(
    system: System, chance: random.Random, kills: int, others: dict[str, Callable[[], None]] | None = None
) -> Spans:
    """Kill the parts in turn in random order at random moments and start them again; when edges were killed (UTC ms).

    `others` are more victims: each call kills and starts one again.
    """
    others = others or {}
    kills_ms: Spans = []
    victims: list[str] = []
    while len(victims) < kills:
        turn = ["broker", "aggregator", *system.edges, *others]
        chance.shuffle(turn)
        victims += turn
    for victim in victims[:kills]:
        time.sleep(chance.uniform(0.4, 1.6))  # the moment is what is random here
        before_ms = system.wanted.clock()
        if victim == "broker":
            assert system.broker is not None
            system.broker.process.kill()
            system.broker.process.wait(10)
            time.sleep(chance.uniform(0, 0.5))
            system.restart_broker()
        elif victim == "aggregator":
            system.aggregator.kill()
            time.sleep(chance.uniform(0, 0.5))
            system.start_aggregator()
        elif victim in others:
            others[victim]()
        else:
            system.edges[victim].kill()
            kills_ms.append((before_ms, system.wanted.clock()))
            time.sleep(chance.uniform(0, 0.5))
            system.edges[victim].start()
    return kills_ms

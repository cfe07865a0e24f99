"""A synthetic plant behind the real live state, store and HTTP server: a few meters whose powers add up. Not the simulator (`device_sim`)."""

import asyncio
import functools
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from aggregator.accounts.by_hand.entering import Entering
from aggregator.accounts.by_hand.readings import HandReadings
from aggregator.alarms import Alarms
from aggregator.app import serve
from aggregator.books import Books
from aggregator.emissions.entry import Entry
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.feed import Feed
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow, Ledger
from aggregator.live import AboutDevice, LiveState
from aggregator.newest import NewestReadings
from aggregator.numbering import EdgeFigures
from aggregator.overruling import Overruling
from aggregator.services import Services
from aggregator.settings import Http
from aggregator.settle import Settler
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import Rows, SeriesKey
from aggregator.watch import Watch
from wire.reading import Quality

START_MS = 1_795_248_000_000  # 2026-11-21 16:00 at the plant
# device -> (edge, role, show, protocol, model)
METERS = {
    "incomer": ("gw-01", Role.MAIN, "grid", "Modbus TCP", "schneider_pm5560"),
    "workshop": ("gw-01", Role.SUB, "load", "Modbus TCP", "eastron_sdm630"),
    "offices": ("gw-01", Role.SUB, "load", "Modbus TCP", "eastron_sdm630"),
    "roof": ("gw-02", Role.SUB, "pv", "Modbus TCP", "sunspec_103"),
    "battery": ("gw-02", Role.SUB, "storage", "Modbus TCP", "sunspec_802"),
    "charger": ("gw-02", Role.SUB, "ev", "Modbus TCP", "abb_b23"),
}


def works(**changes: object) -> Facility:
    """The facility of the plant; `changes` replace fields."""
    meters = tuple(
        MeterSpec(device, edge, Decimal(1000), role, show=show) for device, (edge, role, show, _, _) in METERS.items()
    )
    facility = Facility("works", "Asia/Shanghai", "Riverside Works", "CN-JS", Decimal(1000), 900, meters)
    return replace(facility, **changes)  # type: ignore[arg-type]


def powers_kw(at_s: float) -> dict[str, float]:
    """Every device's power; grid = workshop + offices + charger + roof + battery, exactly."""
    parts = {
        "workshop": 268 + 9 * math.sin(at_s / 630) + 14 * (int(at_s / 90) % 5 == 0) + 2 * math.sin(at_s / 7),
        "offices": 62 + 1.5 * math.sin(at_s / 300),
        "charger": 44 + 6 * math.sin(at_s / 200),
        "roof": -(190 + 30 * math.sin(at_s / 900) + 3 * math.sin(at_s / 11)),
        "battery": -74 / (1 + math.exp(-math.sin(at_s / 1200) * 9)),
    }
    parts = {device: round(value, 1) for device, value in parts.items()}
    return {"incomer": round(sum(parts.values()), 1), **parts}


@functools.cache
def shipped_entries() -> Sequence[Entry]:
    """The factors that come with the program, read once."""
    with Registry(":memory:") as registry:
        return registry.entries()


class LivePlant:
    """The plant, its clock and the services over it. Time moves only by `run_to`."""

    def __init__(
        self, directory: Path, *, facility: Facility | None = None, http: Http | None = None, tick_s: float = 1.0
    ) -> None:
        self.now_ms = START_MS
        self.facility = facility or works()
        self.store = DuckDBStore(directory / "readings.duckdb")
        self.newest = NewestReadings(self.store.keys)
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.books = Books(self.ledger, [self.facility], self.clock, registered=shipped_entries())
        self.alarms = Alarms(self.ledger, self.clock)
        self.live = LiveState([self.facility], self.newest, self.clock, alarms=self.alarms.open_as_json)
        self.feed = Feed(self.live.frame, tick_s=tick_s)
        self.edges = {edge: EdgeFigures("works", edge, "e1", 4711, 2, True, START_MS) for edge in ("gw-01", "gw-02")}
        self.watch = Watch(self.live, self.alarms, self.books, self.clock, edges=lambda: tuple(self.edges.values()))
        self.silent: set[str] = set()
        self.import_kwh = 500_000.0
        self.not_ready: dict[str, str | None] = {"store": None, "mqtt": None}
        self.hand = HandReadings(directory / "accounts.sqlite")
        self.settler = Settler(self.store, self.ledger, [self.facility], self.clock, self.alarms, self.books, self.hand)
        assert self.settler.hand is not None
        self.services = Services(
            http=http or Http(port=0),
            facilities={self.facility.id: self.facility},
            store=self.store,
            books=self.books,
            newest=self.newest,
            live=self.live,
            feed=self.feed,
            alarms=self.alarms,
            clock=self.clock,
            ready=lambda: self.not_ready,
            overruling=Overruling(self.settler),
            entering=Entering(self.settler, self.settler.hand),
        )

    def clock(self) -> int:
        return self.now_ms

    def announce(self) -> None:
        """What edges say of their devices, and one look at everything."""
        for edge in self.edges:
            about = {
                name: AboutDevice(protocol, model) for name, (at, _, _, protocol, model) in METERS.items() if at == edge
            }
            self.live.about("works", edge, about)
        self.watch.look()

    def book(self, start_ms: int, *energies_kwh: str, device: str = "incomer") -> None:
        """Final interval energies from `start_ms` on."""
        step_ms = self.facility.interval_ms
        rows = [
            IntervalRow(
                "works",
                device,
                "energy_import_kwh",
                at_ms,
                at_ms + step_ms,
                Decimal(kwh),
                Grade(Quality.GOOD),
                True,
                "measured",
            )
            for at_ms, kwh in zip(
                range(start_ms, start_ms + step_ms * len(energies_kwh), step_ms), energies_kwh, strict=True
            )
        ]
        self.books.enter(rows)

    def run_to(self, now_ms: int, step_ms: int = 1000) -> None:
        """Advance the clock; every device that is not silent answers every `step_ms`."""
        columns: dict[str, list[float]] = {"series": [], "at_ms": [], "value": []}
        while self.now_ms + step_ms <= now_ms:
            self.now_ms += step_ms
            powers = powers_kw(self.now_ms / 1000)
            self.import_kwh += max(0.0, powers["incomer"]) * step_ms / 3_600_000
            values = {(device, "active_power_kw"): power for device, power in powers.items()}
            values["incomer", "energy_import_kwh"] = round(self.import_kwh, 3)
            values["battery", "state_of_charge_percent"] = 71.0
            for (device, quantity), value in values.items():
                if device not in self.silent:
                    key = SeriesKey(self.facility.id, METERS[device][0], device, quantity)
                    columns["series"].append(int(self.store.ids([key])[0]))
                    columns["at_ms"].append(self.now_ms)
                    columns["value"].append(value)
        self.take(
            np.array(columns["series"], np.int32), np.array(columns["at_ms"], np.int64), np.array(columns["value"])
        )

    def take(self, series: np.ndarray, at_ms: np.ndarray, value: np.ndarray) -> None:
        """Commit these rows, all good, and show them."""
        codes = np.zeros(len(series), np.uint8)
        if len(series):
            self.store.commit(Rows(series, at_ms, value, codes, codes), [])
            self.newest.update(series, at_ms, value, codes)

    def put(
        self,
        device: str,
        value: float,
        quantity: str = "active_power_kw",
        edge: str | None = None,
        at_ms: int | None = None,
    ) -> None:
        """One reading of one device, now."""
        key = SeriesKey(self.facility.id, edge or METERS[device][0], device, quantity)
        self.take(self.store.ids([key]), np.array([at_ms or self.now_ms], np.int64), np.array([value]))

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
        self.hand.close()


class Server:
    """The real HTTP server over services, in a thread with a loop of its own."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.url = ""
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._started.wait(10), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and wait for it."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop within 10 s"

    def on_loop(self, call: object, *arguments: object) -> None:
        """Call something in the server's loop."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(call, *arguments)  # type: ignore[arg-type]

    def cpu_s(self) -> float:
        """CPU time that the server's thread has used."""
        assert self._thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        services = self.services
        services.alarms.told = lambda alarm: self.on_loop(services.feed.alarm, alarm.facility, alarm.as_json())

        def ready(url: str) -> None:
            self.url = url
            self._started.set()

        await serve(services, ready, self._stop)

"""A whole aggregator with a works that it plans: a battery, a charger, a load of 100 kW, and a clock that is set. No broker, no edge."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow
from aggregator.run import Aggregator
from aggregator.settings import load
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey
from wire.clock import Clock
from wire.keys import PublicKey
from wire.reading import Event, Json, Quality
from wire.schedule import Schedule, unseal
from wire.topics import edge_topic

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=ZONE)
QUARTER_MS, HOUR_MS = 900_000, 3_600_000
CIRCUIT = """
facility = "works"
[[branch]]
name = "transformer"
limit_kva = 400
export_limit_kw = 0
edge = "gw-01"
[[asset]]
name = "battery"
kind = "battery"
branch = "transformer"
edge = "gw-01"
device = "battery"
point = "active_power_setpoint_kw"
charge_kw = 50
discharge_kw = 50
charge_ratio = 1.0
discharge_ratio = 1.0
capacity_kwh = 100
[[asset]]
name = "pile"
kind = "charger"
branch = "transformer"
edge = "gw-01"
device = "pile"
point = "charging_limit_kw"
charge_kw = 11
charge_ratio = 1.0
"""
SETTINGS = """
[aggregator]
store_id = "plant-1"
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
circuit = "circuit.toml"
factor = { kg_per_kwh = "0.5", source = "contract" }
[[facility.meter]]
device = "incomer"
edge = "gw-01"
role = "main"
rated_power_kw = 1000
[facility.tariff]
currency = "CNY"
carbon_price_per_kg = 0.1
period = [{ name = "peak", price_per_kwh = 1.2, hours = ["16:00-20:00"] }, { name = "flat", price_per_kwh = 0.3 }]
demand = [{ name = "month", price_per_kw = 40, floor_kw = 200 }]
[[edge]]
facility = "works"
edge = "gw-01"
accept_unsigned = true
"""


def at_ms(hours: float = 0.0) -> int:
    return round((NOON + timedelta(hours=hours)).timestamp() * 1000)


class Wire:
    """What the aggregator sends, as an edge opens it."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None:
        assert not retain
        assert timeout_s > 0
        self.sent.append((topic, payload))


class Works:
    """The aggregator and its clock, which is set."""

    def __init__(self, directory: Path, circuit: str = CIRCUIT, settings: str = SETTINGS) -> None:
        (directory / "circuit.toml").write_text(circuit)
        (directory / "aggregator.toml").write_text(settings)
        self.now_ms = at_ms()
        works = self

        class Told(Clock):
            __slots__ = ()

            def now_ms(self) -> int:
                return works.now_ms

            __call__ = now_ms

        self.aggregator = Aggregator(load(directory / "aggregator.toml", {}), Told())
        self.planning = self.aggregator.planning
        self.wire = Wire()
        self.aggregator.session = self.wire  # type: ignore[assignment]
        self.seq = 0

    def past(
        self, days: int = 21, kwh: str = "25", device: str = "incomer", quantity: str = "energy_import_kwh"
    ) -> None:
        """Quarters of the days before noon."""
        rows = [
            IntervalRow("works", device, quantity, start_ms, start_ms + QUARTER_MS, Decimal(kwh), Grade(Quality.GOOD), True, "measured")
            for start_ms in range(at_ms() - days * 24 * HOUR_MS, at_ms(), QUARTER_MS)
        ]  # fmt: skip
        self.aggregator.ledger.put_intervals(rows, at_ms())

    def read(self, device: str, quantity: str, value: float, *events: Event) -> None:
        """A reading, and events, come up from the edge now."""
        self.seq += 1
        store = self.aggregator.store
        series = store.ids([SeriesKey("works", "gw-01", device, quantity)])
        rows = Rows(
            series,
            np.array([self.now_ms]),
            np.array([value]),
            np.array([int(Quality.GOOD)], np.uint8),
            np.array([0], np.uint8),
        )
        batch = CommittedBatch("works", "gw-01", "e1", self.seq, b"x" * 32, self.now_ms, self.now_ms, 1, events)
        store.commit(rows, [batch])
        self.aggregator.newest.update(rows.series, rows.at_ms, rows.value, rows.quality)
        self.planning.heard("works", events)

    def event(self, event_id: str, kind: str, body: dict[str, Json], device: str = "") -> Event:
        """Something that the edge tells now."""
        return Event(event_id, self.now_ms, device, kind, body)

    def look(self) -> bool:
        return asyncio.run(self.planning.rounds.look("works")) is not None

    def schedules(self) -> list[Schedule]:
        key = self.aggregator.commands.public_key
        topic = edge_topic("works", "gw-01", "schedule")
        assert {sent for sent, _ in self.wire.sent} <= {topic}
        return [unseal(frame, topic, PublicKey.from_text(key)) for _, frame in self.wire.sent]

    def alarms(self) -> list[str]:
        return sorted(alarm.code for alarm in self.aggregator.alarms.open("works"))


def plugged_in(works: Works, number: str, hours: float = 0.0) -> Event:
    begun_ms = at_ms(hours)
    body: dict[str, Json] = {
        "phase": "started", "transaction_id": number, "started_at_ms": begun_ms, "identity": "CP-1", "connector": 1, "revision": 1,
        "state": "Charging", "energy_kwh": "0", "baseline": "meter_start", "quality": "good",
    }  # fmt: skip
    return Event(f"t-{number}-{works.seq}", begun_ms, "pile", "transaction", body)

"""The gateway's kg and the books', from the same readings: the real agent's part, store, ledger, settlement; agreement to the last digit, and what happens without it."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from aggregator.alarms import Alarms
from aggregator.books import Books
from aggregator.edge_carbon import ALARM, EdgeCarbon, Verdict
from aggregator.facility import Facility, FactorOverride, MeterSpec, Multiplier, Role
from aggregator.factor_packs import FactorPacks, pack_for
from aggregator.ledger import Ledger
from aggregator.settle import Settler
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey
from edge_agent.carbon import Carbon
from wire.block import Block, Shape, scaled
from wire.factor_pack import FactorPack, unseal
from wire.keys import SigningKey
from wire.mqtt import PublishRefused
from wire.reading import Event
from wire.topics import edge_topic

D = Decimal
QUARTER = 900_000
T = 1_777_593_600_000  # 2026-05-01T00:00Z
KEY = SigningKey(bytes(range(32)))
TOPIC = edge_topic("works", "gw", "factors")
COUNTER = SeriesKey("works", "gw", "incomer", "energy_import_kwh")
FACILITY = Facility(
    "works",
    "Asia/Shanghai",
    meters=(
        MeterSpec(
            "incomer", "gw", D(2000), Role.MAIN, quantum_kwh=D("1.2"), multipliers=(Multiplier(D(120)), Multiplier(D("133.5"), T + 40 * QUARTER))
        ),
        MeterSpec("press", "gw", D(400), Role.SUB),
    ),
    overrides=(
        FactorOverride(D("0.5366"), "a supplier", valid_to_ms=T + 20 * QUARTER, marks=("test data",)),
        FactorOverride(D("0.530612"), "a supplier", valid_from_ms=T + 20 * QUARTER),
    ),
)  # fmt: skip


class Broker:
    """Takes what is published."""

    def __init__(self) -> None:
        self.connected = True
        self.refuses = False
        self.published: list[tuple[str, bytes, bool]] = []

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None:
        if self.refuses:
            raise PublishRefused("not allowed")
        self.published.append((topic, payload, retain))


class Both:
    """Gateway and aggregator, with a clock set by hand and what goes between them handed over."""

    def __init__(self, directory: Path) -> None:
        self.now_ms = T
        self.store = DuckDBStore(directory / "store.duckdb")
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.alarms = Alarms(self.ledger, lambda: self.now_ms)
        self.settler = Settler(self.store, self.ledger, [FACILITY], lambda: self.now_ms, self.alarms)
        self.broker = Broker()
        self.packs = self.issuer(self.settler.books)
        self.told: list[Event] = []
        self.gateway = Carbon(directory, KEY.public, TOPIC, self.told.append, lambda: True)
        self.edge_carbon = EdgeCarbon(self.store, self.settler.books, self.alarms, lambda: self.now_ms)

    def issuer(self, books: Books) -> FactorPacks:
        return FactorPacks(self.ledger, books, KEY, [("works", "gw")], lambda: self.now_ms, lambda: self.broker)

    def issue(self) -> None:
        asyncio.run(self.packs.issue())
        for _, frame, retained in self.broker.published:
            assert retained
            self.gateway.message(frame)

    def read(self, readings: list[tuple[int, int]]) -> None:
        """(UTC ms, hundredths of a kWh on the display): the gateway looks at each, the store takes them with the gateway's events."""
        first = len(self.told)
        for at_ms, counts in readings:
            self.gateway.look(Block("incomer", Shape(("energy_import_kwh",), (-2,)), (at_ms,), ((counts,),)))
        n = len(readings)
        values = np.array([scaled(counts, -2) for _, counts in readings], dtype=np.float64)
        zeros = np.zeros(n, np.uint8)
        rows = Rows(
            np.repeat(self.store.ids([COUNTER]), n),
            np.array([at for at, _ in readings], np.int64),
            values,
            zeros,
            zeros,
        )
        batch = CommittedBatch("works", "gw", "e", first + 1, bytes(32), T, T, n, tuple(self.told[first:]))
        self.store.commit(rows, [batch])
        self.settler.note(COUNTER, readings[0][0], readings[-1][0])
        self.edge_carbon.note("works", "gw", batch.events)
        self.now_ms = readings[-1][0]
        self.settler.settle(patient=False)
        self.edge_carbon.look()

    def open_alarms(self) -> list[tuple[str, tuple[str, ...]]]:
        found = self.ledger.alarms("works", 0, open_only=True, limit=100)
        return [(alarm.source, alarm.arguments) for alarm in found if alarm.code == ALARM and not alarm.cleared_at_ms]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    made = Both(tmp_path)
    yield made
    made.store.close()
    made.ledger.close()


def drawn(seed: int, quarters: int) -> list[tuple[int, int]]:
    """A counter read each minute and in the second after each quarter; some boundaries are missed, some hours are idle."""
    draw = random.Random(seed)
    counts, found = 1_234_567, list[tuple[int, int]]()
    for minute in range(quarters * 15 + 1):
        idle = (minute // 60) % 5 == 3
        counts += 0 if idle else draw.randrange(3, 27)
        late_ms = draw.choice([40, 300, 999, 1000, 2500]) if minute % 15 == 0 else draw.randrange(1000)
        found.append((T + minute * 60_000 + late_ms, counts))
    return found


def test_the_gateway_and_the_books_agree_to_the_last_digit(both: Both) -> None:
    both.issue()
    readings = drawn(1, 60)
    for first in range(0, len(readings), 100):
        both.read(readings[first : first + 100])
    found = both.edge_carbon.between("works", T, T + 61 * QUARTER)
    verdicts = Counter(each.verdict for each in found)
    assert (verdicts[Verdict.DIFFERS], both.open_alarms()) == (0, [])
    assert verdicts[Verdict.AGREES] > 15
    agreed = [each for each in found if each.verdict is Verdict.AGREES]
    assert all(each.edge_kg == each.book_kg and each.edge_kwh == each.book_kwh for each in agreed)
    spans = {(each.start_ms >= T + 20 * QUARTER, each.start_ms >= T + 40 * QUARTER) for each in agreed}
    assert len(spans) == 3, "under both factors and both multipliers"
    one = next(each for each in agreed if each.start_ms > T + 40 * QUARTER)
    assert one.edge_kwh is not None
    assert one.edge_kg == one.edge_kwh * D("0.530612")
    assert one.edge_kwh % D("1.335") == 0  # 0.01 kWh on the display x 133.5


def test_a_difference_raises_an_alarm_with_both_figures_until_the_meter_agrees_again(both: Both) -> None:
    """By hand: 3.00 kWh on the display x 120 x 0.5366 = 193.176 kg; a wrong pack says 0.5: 180 kg."""
    both.issue()
    true = both.gateway.pack
    assert true is not None
    forged = [msgspec.structs.replace(factor, kg_per_kwh="0.5") for factor in true.factors]
    both.gateway._use(msgspec.structs.replace(true, factors=forged))
    both.read([(T + n * 60_000, 100_001 + n * 20) for n in range(16)])
    ((device, said),) = both.open_alarms()
    assert (device, D(said[0]), D(said[1])) == ("incomer", D(180), D("193.176"))
    both.gateway._use(true)
    both.read([(T + n * 60_000, 100_001 + n * 20) for n in range(16, 32)])
    assert both.open_alarms() == []


def test_a_new_process_compares_what_the_last_one_had_no_figure_for(both: Both) -> None:
    both.issue()
    both.read([(T + n * 60_000, 100_001 + n * 20) for n in range(32)])
    later = EdgeCarbon(both.store, both.settler.books, both.alarms, lambda: both.now_ms)
    later.restore()
    later.look()
    assert later.counts[Verdict.AGREES] == both.edge_carbon.counts[Verdict.AGREES] == 2


def test_a_pack_is_issued_once_and_again_when_a_factor_or_the_broker_is_new(both: Both) -> None:
    both.issue()
    both.issue()
    assert len(both.broker.published) == 1
    both.packs.forget_sent()
    both.issue()
    numbers = [unseal(frame, TOPIC, KEY.public).number for _, frame, _ in both.broker.published]
    assert numbers == [T, T]
    both.now_ms += 5
    changed = replace(FACILITY, overrides=(FactorOverride(D("0.6"), "another supplier"),))
    both.packs = both.issuer(Books(both.ledger, [changed], lambda: both.now_ms))
    both.broker.refuses = True
    both.issue()
    both.broker.refuses = False
    both.issue()
    pack = both.gateway.pack
    assert pack is not None
    assert (pack.number, [factor.kg_per_kwh for factor in pack.factors]) == (T + 5, ["0.6"])
    both.broker.connected = False
    both.issue()
    assert len(both.broker.published) == 3


def test_a_pack_says_what_the_books_would_do_from_last_year_to_next(both: Both) -> None:
    pack = pack_for(both.settler.books, "works", "gw", T)
    assert isinstance(pack, FactorPack)
    assert [(meter.device, meter.count_kwh, len(meter.multipliers)) for meter in pack.meters] == [
        ("incomer", "0.01", 2)
    ]
    assert (pack.factors[0].kg_per_kwh, pack.factors[0].to_ms) == ("0.5366", T + 20 * QUARTER)
    assert [factor.kg_per_kwh for factor in pack.factors] == ["0.5366", "0.530612"]
    assert (pack.factors[0].from_ms, pack.factors[-1].to_ms) == (
        1_735_660_800_000,
        1_830_268_800_000,
    )  # 2025-01-01 and 2028-01-01 in Shanghai
    assert pack_for(both.settler.books, "works", "gw-2", T) is None
    assert pack_for(both.settler.books, "elsewhere", "gw", T) is None

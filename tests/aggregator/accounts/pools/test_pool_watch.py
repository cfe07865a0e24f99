"""What devices say of batteries and vehicles goes on record once. Expected contents by hand: capacity x state of charge."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from live_plant import LivePlant, works

from aggregator.accounts.pools.book import PoolBook
from aggregator.accounts.pools.site_days import Anchor, PlugIn
from aggregator.accounts.pools.watch import PoolWatch
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.facility import Cell
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.stores.store import CommittedBatch, Rows
from wire.reading import Event

D = Decimal
HOUR = 3_600_000


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    cells = (("battery", Cell(capacity_kwh=D(200))), ("charger", Cell(D("0.92"), D("0.92"), capacity_kwh=D(60))))
    made = LivePlant(tmp_path, facility=replace(works(), cells=cells))
    yield made
    made.close()


def told(plant: LivePlant, number: int, phase: str, at_ms: int, start_ms: int, **more: object) -> None:
    """A transaction's event, as the edge words it."""
    codes = np.zeros(0, np.uint8)
    empty = Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), codes, codes)
    body = {"phase": phase, "transaction_id": "41", "started_at_ms": start_ms, "energy_kwh": "0", **more}
    event = Event(f"e{number}", at_ms, "charger", "transaction", body)  # type: ignore[arg-type]
    plant.store.commit(
        empty, [CommittedBatch("works", "gw-02", "e1", number, bytes([number]) * 32, at_ms, at_ms, 0, (event,))]
    )


def test_contents_at_midnight_and_vehicles_at_a_meter_are_put_on_record_once(plant: LivePlant, tmp_path: Path) -> None:
    watch = PoolWatch(plant.store, [plant.facility], tmp_path / ACCOUNTS_NAME, plant.clock)
    midnight_ms = day_span_ms(local_day(plant.now_ms, plant.facility.zone), plant.facility.zone)[1]
    plant.put("battery", 99.0, "state_of_charge_percent", at_ms=midnight_ms - HOUR)  # too old to stand for midnight
    plant.put("battery", 62.5, "state_of_charge_percent", at_ms=midnight_ms - 1000)
    start_ms = midnight_ms + HOUR
    told(plant, 1, "started", start_ms, start_ms)
    plant.put("charger", 40.0, "state_of_charge_percent", at_ms=start_ms + 5000)
    plant.now_ms = start_ms + 60_000
    assert (watch.look(), watch.look()) == (2, 0)
    told(plant, 2, "ended", start_ms + HOUR, start_ms, ended_at_ms=start_ms + HOUR)
    plant.now_ms = start_ms + HOUR + 1
    assert (watch.look(), watch.look()) == (1, 0)
    with PoolBook(tmp_path / ACCOUNTS_NAME) as book:
        assert book.anchors("works", plant.now_ms) == [Anchor("battery", midnight_ms - 1000, D(125))]
        stay = PlugIn("charger", f"41/{start_ms}", start_ms, start_ms + HOUR, D(24))
        assert book.plug_ins("works", plant.now_ms) == [stay]
        assert book.plug_ins("works", plant.now_ms - 1) == [stay._replace(end_ms=None)]


def test_what_a_person_has_withdrawn_or_corrected_is_not_put_on_record_again(plant: LivePlant, tmp_path: Path) -> None:
    watch = PoolWatch(plant.store, [plant.facility], tmp_path / ACCOUNTS_NAME, plant.clock)
    midnight_ms = day_span_ms(local_day(plant.now_ms, plant.facility.zone), plant.facility.zone)[1]
    plant.put("battery", 62.5, "state_of_charge_percent", at_ms=midnight_ms - 1000)
    plant.now_ms = midnight_ms + HOUR
    assert watch.look() == 1
    told = Anchor("battery", midnight_ms - 1000, D(125))
    with PoolBook(tmp_path / ACCOUNTS_NAME) as book:
        book.withdraw_content("works", "battery", told.at_ms, "the sensor was being exchanged", "Li", plant.now_ms)
        assert watch.look() == 0
        assert book.anchors("works", plant.now_ms) == []
        read = told._replace(kwh=D(120))
        assert book.state_content("works", read, "display", "Li", plant.now_ms)
        assert watch.look() == 0
        assert book.anchors("works", plant.now_ms) == [read]


def test_nothing_is_made_where_nothing_is_stated(plant: LivePlant, tmp_path: Path) -> None:
    path = tmp_path / "apart" / ACCOUNTS_NAME
    PoolWatch(plant.store, [works()], path, plant.clock)
    assert not path.exists()

"""What every store must do, run on each of them. A new store gets a row in `KINDS` and nothing else."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.influx_http import Server
from aggregator.stores.influx_store import InfluxStore
from aggregator.stores.store import (
    CommittedBatch,
    Point,
    Range,
    Rows,
    SeriesKey,
    Spool,
    Store,
    StoreRefused,
    StoreUnavailable,
)
from wire.reading import REASON_CODES, Event, Quality

KINDS = ("duckdb", "influxdb-v1")
T0 = 1_760_000_000_000
POWER = SeriesKey("works", "gw-01", "incomer", "active_power_kw")
ENERGY = SeriesKey("works", "gw-01", "incomer", "energy_import_kwh")
CHARGE = SeriesKey("works", "gw-01", "battery", "state_of_charge_percent")
ELSEWHERE = SeriesKey("depot", "gw-07", "incomer", "active_power_kw")
SPOOL = Spool("works", "gw-01", "e1")

Row = tuple[SeriesKey, int, float] | tuple[SeriesKey, int, float, int, int]
Open = Callable[[], Store]


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store, as often as asked; closes all at the end."""
    opened: list[Store] = []
    if request.param == "influxdb-v1":
        server = Server(request.getfixturevalue("influxd").url, request.getfixturevalue("database"))

    def make() -> Store:
        if request.param == "duckdb":
            store: Store = DuckDBStore(tmp_path / "readings.duckdb", memory_limit="256MB")
        else:
            store = InfluxStore(server, tmp_path / "ledger.sqlite")
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def rows_of(store: Store, rows: Sequence[Row]) -> Rows:
    filled = [row if len(row) == 5 else (*row, 0, 0) for row in rows]
    return Rows(
        store.ids([row[0] for row in filled]),
        np.array([row[1] for row in filled], dtype=np.int64),
        np.array([row[2] for row in filled], dtype=np.float64),
        np.array([row[3] for row in filled], dtype=np.uint8),
        np.array([row[4] for row in filled], dtype=np.uint8),
    )


def put(store: Store, *rows: Row) -> int:
    return store.commit(rows_of(store, rows), [])


def batch(seq: int, sha256: bytes | None = None, epoch: str = "e1", events: tuple[Event, ...] = ()) -> CommittedBatch:
    digest = bytes([seq % 256]) * 32 if sha256 is None else sha256
    return CommittedBatch("works", "gw-01", epoch, seq, digest, T0 + seq % 5_000, T0 + seq % 5_000 + 50, 34, events)


def read(store: Store, key: SeriesKey, from_ms: int = T0 - 10**9, to_ms: int = T0 + 10**9) -> list[tuple[int, float]]:
    columns = store.history(key, from_ms, to_ms)
    return list(zip(columns.at_ms.tolist(), columns.value.tolist(), strict=True))


def test_what_was_committed_is_read_back_exactly(store: Store) -> None:
    values = [0.1 + 0.2, 1 / 3, 123456.789, -0.001, 1e-9, 9007199254740993.0, 0.0, 5e12]
    put(store, *[(POWER, T0 + i, value) for i, value in enumerate(values)])
    assert read(store, POWER) == [(T0 + i, value) for i, value in enumerate(values)]


def test_series_of_one_instant_do_not_mix(store: Store) -> None:
    put(store, (POWER, T0, 1.0), (ENERGY, T0, 2.0), (CHARGE, T0, 3.0), (ELSEWHERE, T0, 4.0))
    assert [read(store, key) for key in (POWER, ENERGY, CHARGE, ELSEWHERE)] == [[(T0, float(n))] for n in (1, 2, 3, 4)]


def test_history_is_ordered_however_the_rows_came(store: Store) -> None:
    put(store, (POWER, T0 + 3, 3.0), (POWER, T0 + 1, 1.0), (POWER, T0 + 2, 2.0))
    put(store, (POWER, T0, 0.0), (POWER, T0 + 4, 4.0))
    assert read(store, POWER) == [(T0 + i, float(i)) for i in range(5)]


def test_history_holds_its_start_and_not_its_end(store: Store) -> None:
    put(store, *[(POWER, T0 + i, float(i)) for i in range(5)])
    assert read(store, POWER, T0 + 1, T0 + 3) == [(T0 + 1, 1.0), (T0 + 2, 2.0)]


def test_history_of_an_unknown_series_is_empty(store: Store) -> None:
    put(store, (POWER, T0, 1.0))
    assert len(store.history(SeriesKey("works", "gw-01", "nobody", "active_power_kw"), 0, T0 * 2)) == 0
    assert len(store.history(ENERGY, 0, T0 * 2)) == 0


def test_a_row_repeated_within_a_commit_is_kept_once(store: Store) -> None:
    assert put(store, (POWER, T0, 1.5), (ENERGY, T0, 7.0), (POWER, T0, 1.5)) == 2
    assert read(store, POWER) == [(T0, 1.5)]


def test_a_row_repeated_across_commits_is_kept_once(store: Store) -> None:
    put(store, (POWER, T0, 1.0), (POWER, T0 + 1, 2.0))
    assert put(store, (POWER, T0 + 1, 2.0)) == 0
    put(store, (POWER, T0, 1.0), (POWER, T0 + 1, 2.0), (POWER, T0 + 2, 3.0))
    assert read(store, POWER) == [(T0, 1.0), (T0 + 1, 2.0), (T0 + 2, 3.0)]


def test_a_row_repeated_after_reopening_is_kept_once(open_store: Open) -> None:
    first = open_store()
    put(first, (POWER, T0, 1.0), (POWER, T0 + 1, 2.0), (CHARGE, T0 - 10**8, 50.0))
    first.close()
    second = open_store()
    put(second, (POWER, T0, 1.0), (POWER, T0 + 1, 2.0), (POWER, T0 + 2, 3.0), (CHARGE, T0 - 10**8, 50.0))
    assert read(second, POWER) == [(T0, 1.0), (T0 + 1, 2.0), (T0 + 2, 3.0)]
    assert read(second, CHARGE) == [(T0 - 10**8, 50.0)]


def test_late_rows_and_a_backfill_find_their_place(store: Store) -> None:
    put(store, (POWER, T0 + 10_000, 10.0))
    assert put(store, (POWER, T0 + 5_000, 5.0), (POWER, T0 + 11_000, 11.0)) == 2
    put(store, *[(POWER, T0 + 1_000 * i, float(i)) for i in range(12)])
    assert read(store, POWER) == [(T0 + 1_000 * i, float(i)) for i in range(12)]


def test_quality_and_reason_are_kept(store: Store) -> None:
    glitch, clock = REASON_CODES["glitch"], REASON_CODES["clock"]
    put(
        store,
        (POWER, T0, 1.0, Quality.BAD, glitch),
        (POWER, T0 + 1, 2.0, Quality.UNCERTAIN, clock),
        (POWER, T0 + 2, 3.0),
    )
    columns = store.history(POWER, T0, T0 + 10)
    assert columns.quality.tolist() == [2, 1, 0]
    assert columns.reason.tolist() == [glitch, clock, 0]


def test_a_null_is_kept_as_a_null_with_its_quality(store: Store) -> None:
    absent = REASON_CODES["not-implemented"]
    put(store, (POWER, T0, math.nan, Quality.BAD, absent), (POWER, T0 + 1, math.nan), (POWER, T0 + 2, 0.0))
    columns = store.history(POWER, T0, T0 + 10)
    assert columns.at_ms.tolist() == [T0, T0 + 1, T0 + 2]
    assert np.isnan(columns.value).tolist() == [True, True, False]
    assert columns.quality.tolist() == [2, 0, 0]
    assert columns.reason.tolist() == [absent, 0, 0]


def test_an_infinite_value_is_refused_and_nothing_of_its_commit_is_kept(store: Store) -> None:
    with pytest.raises(StoreRefused, match="finite"):
        put(store, (POWER, T0, 1.0), (ENERGY, T0, math.inf))
    assert read(store, POWER) == []


def test_buckets_summarise_by_hand_computed_figures(store: Store) -> None:
    put(store, *[(POWER, T0 + 250 * i, float(i)) for i in range(8)])  # 0 to 3 in the first second, 4 to 7 in the second
    put(store, (POWER, T0 + 5_500, 9.0, Quality.UNCERTAIN, 1))  # seconds 2, 3 and 4 have nothing
    buckets = store.buckets(POWER, T0, T0 + 10_000, 1_000)
    assert buckets.from_ms.tolist() == [T0, T0 + 1_000, T0 + 5_000]
    assert buckets.n.tolist() == [4, 4, 1]
    assert buckets.mean.tolist() == [1.5, 5.5, 9.0]
    assert buckets.low.tolist() == [0.0, 4.0, 9.0]
    assert buckets.high.tolist() == [3.0, 7.0, 9.0]
    assert buckets.quality.tolist() == [0, 0, 1]


def test_buckets_start_where_they_are_asked_to(store: Store) -> None:
    put(store, (POWER, T0 + 299, 1.0), (POWER, T0 + 300, 2.0), (POWER, T0 + 1_299, 4.0), (POWER, T0 + 1_300, 8.0))
    buckets = store.buckets(POWER, T0 + 300, T0 + 1_301, 1_000)
    assert (buckets.from_ms.tolist(), buckets.mean.tolist()) == ([T0 + 300, T0 + 1_300], [3.0, 8.0])


def test_nulls_count_in_a_buckets_quality_and_not_in_its_figures(store: Store) -> None:
    put(
        store,
        (POWER, T0, 4.0),
        (POWER, T0 + 1, math.nan, Quality.BAD, 0),
        (POWER, T0 + 1_000, math.nan, Quality.BAD, 0),
    )
    buckets = store.buckets(POWER, T0, T0 + 2_000, 1_000)
    assert buckets.n.tolist() == [1, 0]
    assert buckets.mean[0] == 4.0
    assert np.isnan([buckets.mean[1], buckets.low[1], buckets.high[1]]).all()
    assert buckets.quality.tolist() == [2, 2]
    assert len(store.buckets(ENERGY, T0, T0 + 2_000, 1_000)) == 0


def test_a_buckets_quality_is_its_worst(store: Store) -> None:
    good, uncertain, bad, substituted = 0, 1, 2, 3
    for second, qualities in enumerate(
        ((good, substituted), (substituted, uncertain), (bad, uncertain, substituted), (good,))
    ):
        put(store, *[(POWER, T0 + 1_000 * second + i, 1.0, quality, 0) for i, quality in enumerate(qualities)])
    assert store.buckets(POWER, T0, T0 + 4_000, 1_000).quality.tolist() == [substituted, uncertain, bad, good]


def test_latest_is_the_newest_instant_not_the_newest_commit(store: Store) -> None:
    put(store, (POWER, T0 + 5, 5.0, Quality.UNCERTAIN, REASON_CODES["frozen"]), (ELSEWHERE, T0, 1.0))
    put(store, (POWER, T0 + 1, 1.0), (CHARGE, T0, math.nan, Quality.BAD, 0))
    assert store.latest("works") == {
        POWER: Point(T0 + 5, 5.0, Quality.UNCERTAIN, "frozen"),
        CHARGE: Point(T0, None, Quality.BAD, ""),
    }
    assert set(store.latest(None)) == {POWER, CHARGE, ELSEWHERE}


def test_latest_and_series_survive_reopening(open_store: Open) -> None:
    first = open_store()
    put(first, (POWER, T0, 1.0), (POWER, T0 + 5, 5.0, Quality.UNCERTAIN, 1), (CHARGE, T0 - 10**9, 50.0))
    put(
        first,
        (ENERGY, T0, 8.0, Quality.BAD, 2),
        (ENERGY, T0 + 9, 9.0),
        (ELSEWHERE, T0, 3.0),
        (ELSEWHERE, T0 + 1, math.nan),
    )
    before = first.latest(None)
    first.close()
    second = open_store()
    assert second.latest(None) == before
    assert before[ENERGY] == Point(T0 + 9, 9.0, Quality.GOOD, "")
    assert before[ELSEWHERE] == Point(T0 + 1, None, Quality.GOOD, "")
    assert second.series() == sorted([POWER, ENERGY, CHARGE, ELSEWHERE])


def test_ids_that_nothing_was_committed_for_are_no_series(store: Store) -> None:
    ids = store.ids([POWER, ENERGY, POWER])
    assert ids[0] == ids[2] != ids[1]
    assert store.keys(ids[:2].tolist()) == [POWER, ENERGY]
    put(store, (ENERGY, T0, 1.0))
    assert store.series() == [ENERGY]


def test_an_id_that_was_never_given_is_refused(store: Store) -> None:
    rows = rows_of(store, [(POWER, T0, 1.0)])
    with pytest.raises(StoreRefused, match="series ids"):
        store.commit(Rows(rows.series + 1, rows.at_ms, rows.value, rows.quality, rows.reason), [])


def test_names_beyond_the_wires_ids_come_back_unchanged(store: Store) -> None:
    keys = [
        SeriesKey("works", "gw-01", name, "active_power_kw")
        for name in ("总表 1", "a,b=c d", 'quo"te', "it's", "back\\slash", "é")
    ]
    put(store, *[(key, T0, float(i)) for i, key in enumerate(keys)])
    assert [read(store, key) for key in keys] == [[(T0, float(i))] for i in range(len(keys))]
    assert store.series() == sorted(keys)


def test_many_series_and_many_instants_are_all_kept(open_store: Open) -> None:
    store = open_store()
    keys = [SeriesKey("works", f"gw-{n % 7}", f"meter-{n}", "active_power_kw") for n in range(2_500)]
    ids = store.ids(keys)
    for step in range(4):
        at_ms = np.full(len(ids), T0 + step, dtype=np.int64)
        zeros = np.zeros(len(ids), dtype=np.uint8)
        assert store.commit(Rows(ids, at_ms, ids + step / 4, zeros, zeros), [batch(step + 1)]) == len(ids)
    assert store.series() == sorted(keys)
    assert read(store, keys[1234]) == [(T0 + step, int(ids[1234]) + step / 4) for step in range(4)]
    store.close()
    assert len(open_store().latest(None)) == 2_500


def test_committed_batches_are_ranges_with_the_hash_of_their_last(open_store: Open) -> None:
    store = open_store()
    for seqs in ((1, 2, 3), (7,), (5,), (2**64 - 1,)):
        store.commit(rows_of(store, []), [batch(seq) for seq in seqs])
    expected = [
        Range(1, 3, bytes([3]) * 32),
        Range(5, 5, bytes([5]) * 32),
        Range(7, 7, bytes([7]) * 32),
        Range(2**64 - 1, 2**64 - 1, bytes([255]) * 32),
    ]
    assert store.committed(SPOOL) == expected
    assert store.committed(Spool("works", "gw-01", "e2")) == []
    store.close()
    again = open_store()
    assert again.committed(SPOOL) == expected
    again.commit(rows_of(again, []), [batch(6), batch(4)])
    assert again.committed(SPOOL)[0] == Range(1, 7, bytes([7]) * 32)


def test_the_hash_of_each_batch_is_known_for_good(open_store: Open) -> None:
    store = open_store()
    store.commit(rows_of(store, []), [batch(seq) for seq in range(1, 1_501)])
    store.close()
    again = open_store()
    for opened in (store, again):
        if opened is again:
            assert [opened.sha256_of(SPOOL, seq) for seq in (1, 700, 1_500)] == [
                (bytes([s % 256]) * 32,) for s in (1, 700, 1_500)
            ]
    assert again.sha256_of(SPOOL, 1_501) == ()
    assert again.sha256_of(Spool("works", "gw-02", "e1"), 1) == ()


def test_one_number_under_two_hashes_keeps_both(open_store: Open) -> None:
    store = open_store()
    store.commit(rows_of(store, []), [batch(1), batch(2)])
    store.commit(rows_of(store, []), [batch(2, b"x" * 32), batch(2, b"x" * 32), batch(2)])
    assert store.sha256_of(SPOOL, 2) == (bytes([2]) * 32, b"x" * 32)
    store.close()
    assert set(open_store().sha256_of(SPOOL, 2)) == {bytes([2]) * 32, b"x" * 32}


def test_spools_stand_in_the_order_of_their_last_batch(open_store: Open) -> None:
    store = open_store()
    for seq, epoch in ((1, "e1"), (2, "e2"), (3, "e1")):
        store.commit(rows_of(store, []), [batch(seq, epoch=epoch)])
    assert store.spools() == [Spool("works", "gw-01", "e2"), SPOOL]
    store.close()
    assert open_store().spools() == [Spool("works", "gw-01", "e2"), SPOOL]


def test_events_are_kept_once_with_their_body(open_store: Open) -> None:
    reset = Event("r1", T0, "incomer", "counter_reset", {"before": 12.5, "after": 0, "note": 'Zähler "neu"'})
    later = Event("r2", T0 + 60_000, "", "restart", {})
    store = open_store()
    store.commit(rows_of(store, []), [batch(1, events=(reset,))])
    store.commit(rows_of(store, []), [batch(2, events=(reset, later))])
    store.close()
    again = open_store()
    assert [stored.event for stored in again.events("works", T0, T0 + 60_001)] == [reset, later]
    assert [stored.event.id for stored in again.events("works", T0 + 1, T0 + 60_000)] == []
    assert [stored.event.id for stored in again.events("works", 0, T0 * 2, "restart")] == ["r2"]
    assert again.events("depot", 0, T0 * 2) == []


def test_events_can_be_asked_for_by_device_and_as_the_newest_few(store: Store) -> None:
    told = tuple(
        Event(f"e{n}", T0 + n // 2, ("incomer", "pv")[n % 2], ("alarm", "note", "note")[n % 3], {"n": n})
        for n in range(12)
    )
    store.commit(rows_of(store, []), [batch(1, events=told)])

    def found(**wanted: Any) -> list[int]:
        return [int(str(stored.event.body["n"])) for stored in store.events("works", 0, 2 * T0, **wanted)]

    assert found() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "e10 and e11 are at the last instant"
    assert found(device="pv") == [1, 3, 5, 7, 9, 11]
    assert found(device="pv", kind="alarm") == [3, 9]
    assert found(newest=3) == [9, 10, 11]
    assert found(newest=1, kind="alarm", device="incomer") == [6]
    assert found(device="nobody") == []


def test_an_event_keeps_numbers_of_any_length_and_every_character(store: Store) -> None:
    body = {
        "n": 2**80,
        "m": -(2**64),
        "f": 0.1,
        "text": "\x00 \u2028 \\u00b5 电表 \U0001f50c\r\n",
        "deep": [[{"a": None}]],
    }
    store.commit(rows_of(store, []), [batch(1, events=(Event("long", T0, "incomer", "signed_meter_value", body),))])
    assert [stored.event.body for stored in store.events("works", T0, T0 + 1)] == [body]


def test_an_empty_commit_is_nothing(store: Store) -> None:
    assert store.commit(rows_of(store, []), []) == 0
    assert (store.series(), store.spools(), store.latest(None)) == ([], [], {})


def test_a_closed_store_is_unavailable_and_may_be_closed_again(store: Store) -> None:
    rows = rows_of(store, [(POWER, T0, 1.0)])
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.commit(rows, [])

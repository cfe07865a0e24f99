"""The ingest from offered bytes to answers, over a real DuckDB file and real signatures."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from aggregator.ingest import Committed, Ingest, ranges_of
from aggregator.numbering import EdgeFigures
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.influx_http import Server
from aggregator.stores.influx_store import InfluxStore
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey, Spool, Store, StoreRefused, StoreUnavailable
from aggregator.trust import Trust, TrustedEdge
from wire.batch import HEADER, Sealer, unseal
from wire.block import Block, Shape
from wire.content import BlockJson, ClockJson, Content, EventJson, Gap, ShapeJson, pack
from wire.keys import SigningKey
from wire.messages import Ack, EdgeStatus
from wire.topics import edge_topic

NOW = 1_760_000_000_000
TOPIC = edge_topic("works", "gw-01", "batch")
SPOOL = Spool("works", "gw-01", "e1")
KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()
POWER = SeriesKey("works", "gw-01", "incomer", "active_power_kw")
SHAPE = Shape(("active_power_kw", "energy_import_kwh"), (-3, None))


def content_of(seq: int, *blocks: Block, **more: object) -> Content:
    shapes, packed = pack(blocks)
    given = {
        "facility": "works",
        "edge": "gw-01",
        "epoch": "e1",
        "prev": "",
        "sealed_at_ms": NOW,
        "cls": "gauge",
    } | more
    return Content(seq=seq, clock=ClockJson(True), shapes=shapes, blocks=packed, **given)  # type: ignore[arg-type]


def block(at_ms: int = NOW, power: int = 1_500, energy: float = 0.1) -> Block:
    return Block("incomer", SHAPE, (at_ms,), ((power,), (energy,)))


def seal(content: Content, key: SigningKey | None = KEY, topic: str = TOPIC) -> tuple[bytes, str]:
    frame, sha256 = Sealer(topic, key).seal(content)
    return frame, sha256.hex()


class Bench:
    """An ingest with what it answered; `send` offers frames and waits until all are dealt with."""

    def __init__(self, store: Store, trust: Trust, **options: object) -> None:
        self.store = store
        self.answers: list[Ack] = []
        self.committed: list[Committed] = []
        self.ingest = Ingest(
            store,
            "store-1",
            trust,
            lambda: NOW,
            self._answer,
            self.committed.append,
            tick_s=0.001,
            **options,  # type: ignore[arg-type]
        )

    def _answer(self, facility: str, edge: str, ack: Ack) -> None:
        assert (facility, edge) == ("works", "gw-01")
        self.answers.append(ack)

    def send(self, *frames: bytes, topic: str = TOPIC) -> list[Ack]:
        before = len(self.answers)
        for frame in frames:
            assert self.ingest.offer(topic, frame)
        assert self.ingest.drain(10)
        return self.answers[before:]

    @property
    def edge(self) -> EdgeFigures:
        return next(edge for edge in self.ingest.figures().edges if edge.edge == "gw-01")


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes running ingests, over a DuckDB of their own unless a store is given."""
    benches: list[Bench] = []

    def build(
        store: Store | None = None,
        edges: Sequence[TrustedEdge] | None = None,
        **options: object,
    ) -> Bench:
        listed = [TrustedEdge("works", "gw-01", (KEY.public,))] if edges is None else edges
        store = DuckDBStore(tmp_path / f"{len(benches)}.duckdb", memory_limit="256MB") if store is None else store
        bench = Bench(store, Trust(listed), **options)
        bench.ingest.__enter__()
        benches.append(bench)
        return bench

    yield build
    for bench in benches:
        bench.ingest.__exit__()
        bench.store.close()


def history(store: Store, key: SeriesKey = POWER) -> list[tuple[int, float]]:
    columns = store.history(key, 0, 2 * NOW)
    return list(zip(columns.at_ms.tolist(), columns.value.tolist(), strict=True))


def test_a_batch_is_acknowledged_with_its_hash_once_it_is_stored(make: Make) -> None:
    bench = make()
    frame, sha256 = seal(content_of(1, block(power=1_501, energy=7.25)))
    assert bench.send(frame) == [Ack("store-1", "e1", committed=[(1, 1, sha256)])]
    assert history(bench.store) == [(NOW, 1.501)]
    assert history(bench.store, POWER._replace(quantity="energy_import_kwh")) == [(NOW, 7.25)]
    assert bench.store.sha256_of(SPOOL, 1) == (bytes.fromhex(sha256),)


def test_batches_of_one_round_are_acknowledged_as_ranges(make: Make) -> None:
    bench = make(workers=2)
    frames = [seal(content_of(seq, block(NOW + seq))) for seq in (1, 2, 3, 7, 8)]
    told = {
        (seq, ack.committed[0][2]) for ack in bench.send(*[frame for frame, _ in frames]) for _, seq, _ in ack.committed
    }
    assert {seq for seq, _ in told} >= {3, 8}
    assert [(first, last) for first, last, _ in bench.store.committed(SPOOL)] == [(1, 3), (7, 8)]
    assert len(history(bench.store)) == 5


def test_ranges_end_at_holes_and_at_a_number_with_two_hashes() -> None:
    assert ranges_of([(3, "c"), (1, "a"), (2, "b"), (6, "f")]) == [(1, 3, "c"), (6, 6, "f")]
    assert ranges_of([(1, "a"), (2, "b"), (2, "x"), (3, "c")]) == [(1, 2, "b"), (2, 3, "c")]
    assert ranges_of([(4, "d"), (4, "d")]) == [(4, 4, "d")]


def test_a_batch_that_comes_again_is_acknowledged_again_and_stored_once(make: Make) -> None:
    bench = make()
    frame, sha256 = seal(content_of(1, block()))
    assert bench.send(frame)[0].committed == bench.send(frame)[0].committed == [(1, 1, sha256)]
    bench.send(frame, frame, frame)
    assert history(bench.store) == [(NOW, 1.5)]
    assert len(bench.committed) == 1
    assert (bench.edge.batches, bench.edge.repeated) == (1, 4)


def test_one_number_with_two_hashes_is_stored_twice_and_called_a_conflict(make: Make) -> None:
    bench = make()
    first, sha_first = seal(content_of(1, block(NOW)))
    second, sha_second = seal(content_of(1, block(NOW + 1)))
    assert bench.send(first)[0].committed == [(1, 1, sha_first)]
    assert bench.send(second)[0].committed == [(1, 1, sha_second)]
    assert [at_ms for at_ms, _ in history(bench.store)] == [NOW, NOW + 1]
    assert bench.edge.conflicts == 1


def test_a_forged_batch_gets_no_answer_and_is_counted(make: Make) -> None:
    bench = make()
    frame, _ = seal(content_of(1, block()))
    forged = frame[:20] + bytes([frame[20] ^ 1]) + frame[21:]
    moved, _ = seal(content_of(1, block()), topic=edge_topic("works", "gw-02", "batch"))
    assert bench.send(forged, moved) == []
    assert bench.edge.forged == 2
    assert history(bench.store) == []


def test_a_batch_of_an_unknown_key_is_held_and_the_key_is_shown(make: Make) -> None:
    bench = make()
    frame, _ = seal(content_of(9, block()), OTHER_KEY)
    (ack,) = bench.send(frame)
    assert [held.seq for held in ack.held] == [9]
    assert OTHER_KEY.key_id.hex() in ack.held[0].reason
    assert (ack.committed, ack.refused) == ([], [])
    assert bench.edge.unknown_key == OTHER_KEY.public.fingerprint
    assert history(bench.store) == []


def test_an_unsigned_batch_is_held_unless_the_edge_is_listed_for_it(make: Make) -> None:
    frame, sha256 = seal(content_of(1, block()), None)
    strict, lax = make(), make(edges=[TrustedEdge("works", "gw-01", accept_unsigned=True)])
    assert [held.seq for held in strict.send(frame)[0].held] == [1]
    assert lax.send(frame)[0].committed == [(1, 1, sha256)]
    assert (strict.edge.unknown_key, lax.edge.proven) == ("unsigned", False)


def test_a_key_is_never_taken_from_a_status(make: Make) -> None:
    bench = make(edges=[])
    bench.ingest.edge_status("works", "gw-01", EdgeStatus("online", epoch="e1", public_key=KEY.public.to_text()))
    assert [held.seq for ack in bench.send(seal(content_of(1, block()))[0]) for held in ack.held] == [1]


def test_a_signed_batch_that_cannot_be_read_is_refused_by_number(make: Make) -> None:
    bench = make()
    broken = content_of(5, block())
    broken.blocks[0].shape = 7
    frame, sha256 = seal(broken)
    good, sha_good = seal(content_of(6, block()))
    acks = bench.send(frame, good)
    refused = [(one.seq, one.sha256) for ack in acks for one in ack.refused]
    assert refused == [(5, sha256)]
    assert [ack.committed for ack in acks if ack.committed] == [[(6, 6, sha_good)]]
    assert bench.edge.refused == bench.edge.unreadable == 1


def test_a_batch_that_names_another_edge_than_its_topic_is_refused(make: Make) -> None:
    bench = make()
    (ack,) = bench.send(seal(content_of(1, block(), edge="gw-02"))[0])
    assert "gw-02" in ack.refused[0].reason
    (late,) = bench.send(seal(content_of(2, block(), sealed_at_ms=2**70))[0])
    assert late.refused[0].seq == 2


@pytest.mark.parametrize(
    "payload", [b"", b"WLB", b"x" * 200, HEADER.pack(b"WLB", 0, 2, 0, bytes(8), bytes(64)) + b"{}"]
)
def test_bytes_that_are_no_batch_get_no_answer_and_stop_nothing(make: Make, payload: bytes) -> None:
    bench = make()
    assert bench.send(payload) == []
    assert bench.send(payload, topic="wattline/v1/works/gw-01/status") == []
    assert bench.send(payload, topic="elsewhere") == []
    assert bench.send(seal(content_of(1, block()))[0])[0].committed


def test_a_wrong_column_row_or_value_leaves_its_neighbours(make: Make) -> None:
    bench = make()
    content = content_of(1)
    content.shapes = [ShapeJson(["active_power_kw", "made_up_kw", "current_a"], [-3, None, 18])]
    content.blocks = [
        BlockJson("incomer", 0, [NOW], row=[1_000, 5, 1]),
        BlockJson("incomer", 0, [NOW + 1], row=[2_000, 5, 10**299]),  # times 10^18 is beyond any float
        BlockJson("incomer", 0, [946_684_799_999], row=[3_000, 5, 1]),
        BlockJson("incomer", 0, [NOW + 3_600_000, 1], values=[[4_000, 1], [5, 5], [None, None]]),
        BlockJson("incomer", 0, [2**80], row=[5_000, 5, 1]),
    ]
    content.events = [EventJson("e", 2**70, "note"), EventJson("f", NOW, "note")]
    assert bench.send(seal(content)[0])[0].committed
    assert history(bench.store) == [(NOW, 1.0), (NOW + 1, 2.0), (NOW + 3_600_000, 4.0)]
    figures = bench.ingest.figures()
    # Unknown: one in each row of 6 instants. Impossible: two others in each of 3 instants. Not finite: one.
    assert figures.left_out == {"unknown_quantity": 6, "impossible_time": 6, "not_finite": 1, "event_time": 1}
    assert [stored.event.id for stored in bench.store.events("works", 0, 2 * NOW)] == ["f"]


def test_while_the_store_is_away_batches_are_held(make: Make, tmp_path: Path) -> None:
    nowhere = InfluxStore(Server("http://127.0.0.1:9", "nowhere", timeout_s=1), tmp_path / "ledger.sqlite")
    bench = make(nowhere)
    frames = [seal(content_of(seq, block()))[0] for seq in (1, 2)]
    acks = bench.send(*frames)
    assert sorted(held.seq for ack in acks for held in ack.held) == [1, 2]
    assert [ack.committed for ack in acks] == [[]] * len(acks)
    assert bench.edge.held == 2


class Picky(DuckDBStore):
    """Refuses a value of 13, for ever, and breaks at 14."""

    def commit(self, rows: Rows, batches: Sequence[CommittedBatch]) -> int:
        if (rows.value == 13.0).any():
            raise StoreRefused("thirteen")
        if (rows.value == 14.0).any():
            raise RuntimeError("a fault of ours")
        return super().commit(rows, batches)


def test_a_batch_that_the_store_refuses_does_not_cost_its_neighbours(make: Make, tmp_path: Path) -> None:
    bench = make(Picky(tmp_path / "picky.duckdb"))
    frames = [
        seal(content_of(seq, block(NOW + seq, power=power)))[0] for seq, power in ((1, 1_000), (2, 13_000), (3, 2_000))
    ]
    acks = bench.send(*frames)
    assert [one.seq for ack in acks for one in ack.refused] == [2]
    assert [value for _, value in history(bench.store)] == [1.0, 2.0]
    assert [(first, last) for first, last, _ in bench.store.committed(SPOOL)] == [(1, 1), (3, 3)]


class Slow(DuckDBStore):
    """Promises nothing for a third of a second; is away while `down`."""

    durable_after_s = 0.3
    down = False

    def commit(self, rows: Rows, batches: Sequence[CommittedBatch]) -> int:
        if self.down:
            raise StoreUnavailable("away")
        return super().commit(rows, batches)


def test_a_store_that_is_durable_later_is_acknowledged_later(make: Make, tmp_path: Path) -> None:
    bench = make(Slow(tmp_path / "slow.duckdb"))
    begun = time.monotonic()
    frame, sha256 = seal(content_of(1, block()))
    assert bench.send(frame, frame) == [Ack("store-1", "e1", committed=[(1, 1, sha256)])]
    assert time.monotonic() - begun >= 0.3
    assert len(bench.committed) == 1
    assert history(bench.store) == [(NOW, 1.5)]


def test_what_was_not_yet_durable_when_the_store_went_away_is_held(make: Make, tmp_path: Path) -> None:
    store = Slow(tmp_path / "slow.duckdb")
    bench = make(store)
    assert bench.ingest.offer(TOPIC, seal(content_of(1, block()))[0])
    deadline = time.monotonic() + 5
    while not bench.committed and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    store.down = True
    acks = bench.send(seal(content_of(2, block(NOW + 1)))[0])
    assert sorted(held.seq for ack in acks for held in ack.held) == [1, 2]
    assert bench.store.committed(SPOOL) == []
    store.down = False
    assert bench.send(seal(content_of(1, block()))[0])[0].committed[0][:2] == (1, 1)
    assert history(bench.store) == [(NOW, 1.5)]


def test_an_edge_that_comes_online_is_told_what_the_store_has(make: Make) -> None:
    bench = make()
    frames = [seal(content_of(seq, block(NOW + seq))) for seq in (1, 2, 5)]
    bench.send(*[frame for frame, _ in frames])
    bench.ingest.edge_status("works", "gw-01", EdgeStatus("online", epoch="e1", next_seq=6))
    assert _next(bench, 0) == Ack("store-1", "e1", committed=[(1, 2, frames[1][1]), (5, 5, frames[2][1])], have=True)
    bench.ingest.edge_status("works", "gw-01", EdgeStatus("online", epoch="fresh", next_seq=1))
    assert _next(bench, 1) == Ack("store-1", "fresh", have=True)
    bench.ingest.announce()
    assert _next(bench, 2).epoch == "e1"


def _next(bench: Bench, number: int) -> Ack:
    """The `have` answer with this number."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [ack for ack in bench.answers if ack.have]
        if len(found) > number:
            return found[number]
        threading.Event().wait(0.005)
    raise AssertionError(f"expected {number + 1} answers `have`, got {bench.answers}")


def test_the_watermark_stops_at_a_hole_and_passes_over_named_gaps(make: Make) -> None:
    bench = make()
    bench.send(*[seal(content_of(seq, block(NOW + seq)))[0] for seq in (1, 2, 6)])
    bench.ingest.edge_status("works", "gw-01", EdgeStatus("online", epoch="e1", next_seq=7))
    assert (bench.edge.watermark, bench.edge.backlog) == (2, 4)
    gap = Gap("dropped", "spool full", "e1", "gauge", 3, 4, readings=68)
    bench.send(seal(content_of(7, block(NOW + 7), gaps=[gap]))[0])
    assert (bench.edge.watermark, bench.edge.gaps, bench.edge.gap_readings) == (4, 1, 68)
    bench.send(seal(content_of(5, block(NOW + 5)))[0])
    assert bench.edge.watermark == 7


def test_watermark_and_gaps_survive_a_restart(make: Make) -> None:
    bench = make()
    gap = Gap("dropped", "spool full", "e1", "gauge", 2, 3)
    bench.send(*[seal(content_of(seq, block(NOW + seq), gaps=[gap] if seq == 4 else []))[0] for seq in (1, 4)])
    again = make(bench.store)
    assert (again.edge.watermark, again.edge.gaps, again.edge.epoch) == (4, 1, "e1")
    (stored,) = bench.store.events("works", 0, 2 * NOW)
    assert stored.event.body["kind"] == "dropped"


def test_a_broken_chain_is_counted(make: Make) -> None:
    bench = make()
    first, sha256 = seal(content_of(1, block(NOW)))
    bench.send(first)
    second, _ = seal(content_of(2, block(NOW + 1), prev=sha256))
    bench.send(second)
    assert bench.edge.chain_breaks == 0
    bench.send(seal(content_of(3, block(NOW + 2), prev="ab" * 32))[0])
    assert (bench.edge.chain_breaks, bench.edge.watermark) == (1, 3)


def test_a_full_inbox_takes_nothing_more(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "full.duckdb")
    ingest = Ingest(store, "s", Trust([]), lambda: NOW, lambda *_: None, inbox_batches=2)
    assert [ingest.offer(TOPIC, b"x") for _ in range(3)] == [True, True, False]
    assert ingest.figures().overflowed == 1
    store.close()


def test_what_follows_a_commit_may_fail_without_stopping_the_answers(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    bench.ingest._on_committed = lambda _: 1 / 0  # type: ignore[assignment,return-value]
    assert bench.send(seal(content_of(1, block()))[0])[0].committed
    assert "what follows a commit failed" in caplog.text


def test_lateness_is_the_age_of_readings_when_they_were_stored(make: Make) -> None:
    bench = make()
    assert bench.ingest.figures().lateness_p50_ms is None
    bench.send(*[seal(content_of(seq, block(NOW - late)))[0] for seq, late in enumerate((100, 200, 300), 1)])
    figures = bench.ingest.figures()
    assert (figures.lateness_p50_ms, figures.readings, figures.new_rows, figures.waiting) == (200.0, 6, 6, 0)
    assert figures.lateness_p95_ms == pytest.approx(300.0)


def test_events_of_a_batch_are_stored_with_it(make: Make) -> None:
    bench = make()
    event = EventJson("r1", NOW, "counter_reset", "incomer", {"before": 12.5})
    bench.send(seal(content_of(1, events=[event], cls="event"))[0])
    (stored,) = bench.store.events("works", NOW, NOW + 1)
    assert (stored.edge, stored.event.device, stored.event.body) == ("gw-01", "incomer", {"before": 12.5})


def test_a_frame_of_the_tests_is_what_the_wire_reads() -> None:
    frame, sha256 = seal(content_of(1, block()))
    batch = unseal(frame, TOPIC, lambda _: KEY.public)
    assert (batch.sha256, msgspec.to_builtins(batch.content)["seq"]) == (sha256, 1)

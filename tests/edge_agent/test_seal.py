"""What waits becomes batches: classes, sizes, chain, gaps; nothing waits without bound."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pending_gaps import MAX_PENDING, MAX_PER_BATCH, PendingGaps
from edge_agent.seal import Batcher
from edge_agent.spool import Limits, Spool
from wire import content as wire_content
from wire.batch import MAX_UNPACKED, unseal
from wire.block import Block, Shape
from wire.content import Gap
from wire.keys import SigningKey
from wire.reading import Event
from wire.topics import edge_topic

MIXED = Shape(("active_power_kw", "energy_import_kwh"), (-3, -2))
ONE = Shape(("active_power_kw",), (None,))
TOPIC = edge_topic("works", "gw-01", "batch")


def test_a_batch_is_signed_chained_and_readable_under_its_topic(tmp_path: Path) -> None:
    key = SigningKey.generate()
    spool = Spool(tmp_path / "spool", "works", "gw-01", machine="m1")
    batcher = Batcher(spool, "works", "gw-01", key, lambda: 5_000)
    for at_ms in (1_000, 2_000):
        batcher.add_block(Block("incomer", ONE, (at_ms,), ((1.5,),)))
        batcher.seal()
    frames = [spool.read(spool.current.identity.epoch, seq) or b"" for seq in (1, 2)]
    first, second = [
        unseal(frame, TOPIC, lambda key_id: key.public if key_id == key.key_id else None) for frame in frames
    ]
    assert first.signed
    assert (first.content.seq, first.content.prev, first.content.sealed_at_ms) == (1, "", 5_000)
    assert (second.content.seq, second.content.prev) == (2, first.sha256)


def test_counters_and_gauges_of_one_answer_go_in_batches_of_their_own(desk: Any) -> None:
    desk.batcher.add_block(Block("incomer", MIXED, (1_000,), ((1500,), (99,))))
    assert [seq for _, seq in desk.flush()] == [1, 2]
    assert [desk.content(seq).cls for seq in (1, 2)] == ["counter", "gauge"]
    assert desk.content(1).blocks[0].row == [99]
    assert not desk.batcher.waiting


def test_a_batch_holds_at_most_4000_readings_and_nothing_is_lost_by_cutting(desk: Any) -> None:
    at_ms = tuple(range(1, 10_001))
    desk.batcher.add_block(Block("incomer", ONE, at_ms, (tuple(i / 7 for i in at_ms),)))
    made = desk.flush()
    sizes = [sum(len(block.at_ms) for block in desk.content(seq).blocks) for _, seq in made]
    assert sizes == [4000, 4000, 2000]
    read = [block for _, seq in made for block in wire_content.blocks(desk.content(seq))]
    assert [at for block in read for at in block.at_ms] == list(at_ms)
    assert [value for block in read for value in block.columns[0]] == [i / 7 for i in at_ms]


def test_an_empty_block_is_nothing(desk: Any) -> None:
    desk.spool.take_gaps()
    desk.batcher.add_block(Block("incomer", ONE, (), ((),)))
    assert not desk.batcher.waiting


def test_events_are_cut_into_batches_that_a_reader_unpacks(desk: Any) -> None:
    for _ in range(30):
        desk.event(text="x" * 40_000)
    made = desk.flush()
    assert [len(desk.content(seq).events) for _, seq in made] == [6, 6, 6, 6, 6]  # 6 x 40,100 bytes fit in 256 KiB


def test_an_event_too_long_to_carry_is_named_and_holds_up_nothing(desk: Any) -> None:
    desk.event(text="x" * 70_000)
    desk.event(text="short")
    ((_, seq),) = desk.flush()
    assert [event.body["text"] for event in desk.content(seq).events] == ["short"]
    assert [(gap.kind, gap.cls, gap.devices) for gap in desk.content(seq).gaps][1:] == [
        ("unsealed", "event", ["incomer"])
    ]


def test_an_event_without_json_is_named(desk: Any) -> None:
    desk.batcher.add_event(Event("e1", 7, "incomer", "odd", {"body": object()}))  # type: ignore[dict-item]
    assert [(gap.kind, gap.from_ms) for gap in desk.spool.gaps][1:] == [("unsealed", 7)]


def test_gaps_alone_make_a_batch(desk: Any) -> None:
    assert desk.batcher.waiting  # new_spool
    ((_, seq),) = desk.flush()
    assert desk.content(seq).cls == "event"
    assert desk.flush() == []


def test_two_hundred_gaps_a_batch_and_the_rest_in_the_next(desk: Any) -> None:
    desk.flush()
    for number in range(500):
        desk.spool.add_gap(Gap("unreadable", "test", "e" * 16, first_seq=3 * number + 1, last_seq=3 * number + 1))
    counts = []
    while desk.batcher.waiting:
        ((_, seq),) = desk.flush()
        counts.append(len(desk.content(seq).gaps))
    assert counts == [MAX_PER_BATCH, MAX_PER_BATCH, 100]


def test_gaps_with_long_lists_of_devices_stay_below_what_a_reader_unpacks(desk: Any) -> None:
    devices = [f"device-{number:04d}-{'x' * 40}" for number in range(1000)]
    for number in range(100):
        desk.spool.add_gap(
            Gap("dropped", f"reason {number}", "e" * 16, "gauge", number + 1, number + 1, devices=devices)
        )
    desk.gauge()
    while desk.batcher.waiting:
        for _, seq in desk.flush():
            assert len(wire_content.encode(desk.content(seq))) < MAX_UNPACKED


def test_a_spool_that_takes_nothing_costs_the_oldest_gauges_and_then_counters_each_with_a_gap(
    desk_of: Any, tmp_path: Path
) -> None:
    desk = desk_of(tmp_path / "spool", limits=Limits(max_bytes=10))
    for _ in range(30_000):
        desk.counter()
    for _ in range(15_000):
        desk.gauge()
    assert desk.flush() == []
    assert desk.batcher.waiting_readings == 40_000
    unsealed = [gap for gap in desk.spool.gaps if gap.kind == "unsealed"]
    assert [(gap.cls, gap.readings, gap.devices) for gap in unsealed] == [("gauge", 20_000, ["incomer"])]
    assert unsealed[0].from_ms == desk.START_MS + 30_001_000
    assert unsealed[0].to_ms == desk.START_MS + 40_000_000


def test_after_a_pause_of_the_spool_all_that_waited_is_sealed(
    desk_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = desk_of(tmp_path / "spool")
    desk.spool.limits = Limits(max_bytes=10)
    for _ in range(5):
        desk.gauge()
        assert desk.flush() == []
    assert [gap.kind for gap in desk.spool.gaps] == ["new_spool"]
    desk.spool.limits = Limits()
    ((_, seq),) = desk.flush()
    assert len(desk.content(seq).blocks[0].at_ms) == 5
    assert [gap.kind for gap in desk.content(seq).gaps] == ["new_spool"]
    assert sum("cannot be written" in line for line in caplog.messages) == 1


def test_what_was_sealed_before_the_spool_was_full_is_still_given_to_be_sent(desk: Any) -> None:
    at_ms = tuple(range(1, 4041))
    desk.batcher.add_block(Block("incomer", ONE, at_ms[:40], (tuple(1.5 for _ in range(40)),)))
    desk.batcher.add_block(Block("incomer", ONE, at_ms[40:], (tuple(1 / i for i in at_ms[40:]),)))
    desk.spool.limits = Limits(max_bytes=5_000)  # 40 readings fit, 4,000 do not
    assert desk.flush() == [(desk.epoch, 1)]
    assert desk.batcher.waiting_readings == 4_000
    desk.spool.limits = Limits()
    assert desk.flush() == [(desk.epoch, 2)]


def test_no_restart_gap_where_nothing_was_before(desk: Any) -> None:
    desk.gauges(2)
    assert not [gap for gap in desk.content(1).gaps if gap.kind == "restart"]


def test_a_restart_gap_never_runs_backwards(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool", now_ms=1_000_000)
    first.gauges(2)
    second = desk_of(tmp_path / "spool", now_ms=500_000)
    second.gauges(1)
    (gap,) = [gap for gap in second.content(3).gaps if gap.kind == "restart"]
    assert (gap.from_ms, gap.to_ms) == (1_002_000, 1_002_000)


gaps = st.builds(
    lambda kind, epoch, cls, first, length: Gap(
        kind, "why", epoch, cls, first, first + length, readings=1, from_ms=first, to_ms=first + 1
    ),
    st.sampled_from(["dropped", "unreadable", "refused", "aggregator_restored"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["gauge", "counter", ""]),
    st.integers(1, 60),
    st.integers(0, 5),
)


@given(st.lists(gaps, max_size=60))
def test_joined_gaps_name_all_that_they_named_alone(given_gaps: list[Gap]) -> None:
    pending = PendingGaps()
    for gap in given_gaps:
        pending.add(gap)
    for gap in given_gaps:
        assert any(
            (held.kind, held.epoch, held.cls) == (gap.kind, gap.epoch, gap.cls)
            and (held.first_seq or 0) <= (gap.first_seq or 0)
            and (held.last_seq or 0) >= (gap.last_seq or 0)
            for held in pending.waiting
        )
    assert sum(gap.readings or 0 for gap in pending.waiting) == len(given_gaps)
    without_class = [gap for gap in pending.waiting if gap.cls == ""]
    covered = sum((gap.last_seq or 0) - (gap.first_seq or 0) + 1 for gap in without_class)
    assert covered <= sum((gap.last_seq or 0) - (gap.first_seq or 0) + 1 for gap in given_gaps if gap.cls == "")


def test_too_many_gaps_widen_those_of_their_own_epoch_and_class() -> None:
    pending = PendingGaps()
    for number in range(2 * MAX_PENDING):
        pending.add(Gap("dropped", f"{number}", "ab"[number % 2], "gauge", number + 1, number + 1, readings=1))
    assert len(pending.waiting) == MAX_PENDING
    assert sum(gap.readings or 0 for gap in pending.waiting) == 2 * MAX_PENDING
    for number in range(2 * MAX_PENDING):
        named = [gap for gap in pending.waiting if (gap.first_seq or 0) <= number + 1 <= (gap.last_seq or 0)]
        assert "ab"[number % 2] in {gap.epoch for gap in named}

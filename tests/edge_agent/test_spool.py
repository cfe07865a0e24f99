"""The spool's promise: numbers without a hole, epochs, answers; every loss has a gap."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_agent.spool import Limits, SpoolForeign
from wire.content import Gap
from wire.messages import Ack, Refused


def gaps_in(desk: Any, kind: str) -> list[Gap]:
    """Gaps of a kind that wait for a batch, and those in the batches of the current epoch."""
    carried = [gap for seq in desk.waiting() for gap in desk.content(seq).gaps]
    return [gap for gap in [*desk.spool.gaps, *carried] if gap.kind == kind]


def test_the_first_batch_says_that_the_spool_is_new(desk: Any) -> None:
    desk.gauge()
    assert desk.flush() == [(desk.epoch, 1)]
    assert desk.content(1).gaps == [Gap("new_spool", "the spool was empty", "unknown")]


def test_numbers_go_on_after_a_restart_and_the_chain_too(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(3)
    last = first.sha256(3)
    first.spool.close()
    second = desk_of(tmp_path / "spool", now_ms=first.now_ms + 60_000)
    assert second.epoch == first.epoch
    assert second.gauges(1) == [4]
    assert second.content(4).prev == last
    assert second.waiting() == [1, 2, 3, 4]


def test_a_restart_is_a_gap_from_the_last_synced_answer_to_the_first_new_one(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(2)
    first.counter()
    first.flush()
    last_ms = first.now_ms
    first.gauge()
    first.batcher.seal()  # killed before the sync
    second = desk_of(tmp_path / "spool", now_ms=last_ms + 60_000)
    second.gauges(2)
    (gap,) = gaps_in(second, "restart")
    assert (gap.from_ms, gap.to_ms) == (last_ms, last_ms + 61_000)


def test_the_oldest_batch_that_waits_tells_since_when(desk: Any) -> None:
    assert desk.spool.oldest_waiting_ms() is None
    desk.gauges(3)
    first_ms = desk.spool.oldest_waiting_ms()
    desk.spool.acknowledge(desk.committed((1, 2)))
    later_ms = desk.spool.oldest_waiting_ms()
    assert first_ms < later_ms <= desk.now_ms
    desk.spool.acknowledge(desk.committed((1, 3)))
    assert desk.spool.oldest_waiting_ms() is None


def test_answered_batches_do_not_come_again_after_a_restart(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(5)
    first.spool.acknowledge(first.committed((2, 4)))
    first.spool.tidy(first.now_ms)
    second = desk_of(tmp_path / "spool")  # without close: killed
    assert second.waiting() == [1, 5]


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_tail_begins_a_new_epoch_that_names_the_one_before(desk_of: Any, tmp_path: Path, cut: int) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(5)
    segment = next((tmp_path / "spool" / first.epoch).glob("gauge-*.seg"))
    segment.write_bytes(segment.read_bytes()[:-cut])
    second = desk_of(tmp_path / "spool", now_ms=first.now_ms)
    assert second.epoch != first.epoch
    assert second.gauges(1) == [1]
    (gap,) = gaps_in(second, "new_spool")
    assert (gap.epoch, gap.last_seq) == (first.epoch, 5)
    (hole,) = gaps_in(second, "unreadable")
    assert (hole.epoch, hole.first_seq, hole.last_seq) == (first.epoch, 5, 5)
    assert second.waiting(first.epoch) == [1, 2, 3, 4]


def test_a_torn_tail_is_told_once_also_when_the_agent_is_killed_at_once(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(5)
    segment = next((tmp_path / "spool" / first.epoch).glob("gauge-*.seg"))
    segment.write_bytes(segment.read_bytes()[:-1])
    second = desk_of(tmp_path / "spool")
    third = desk_of(tmp_path / "spool", now_ms=first.now_ms)  # the second was killed before it sealed anything
    assert third.epoch == second.epoch
    third.gauges(1)
    assert [gap.epoch for gap in third.content(1).gaps if gap.kind == "new_spool"] == [first.epoch]
    assert len(gaps_in(third, "unreadable")) == 1


def test_a_tail_lost_at_a_record_s_edge_is_noticed_by_the_mark(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(5)
    segment = next((tmp_path / "spool" / first.epoch).glob("gauge-*.seg"))
    frame = len(first.frame(5)) + 72
    segment.write_bytes(segment.read_bytes()[:-frame])
    second = desk_of(tmp_path / "spool")
    assert second.epoch != first.epoch
    assert second.waiting(first.epoch) == [1, 2, 3, 4]


def test_another_machine_begins_a_new_epoch(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool", machine="m1")
    first.gauges(2)
    second = desk_of(tmp_path / "spool", machine="m2")
    assert second.epoch != first.epoch
    assert gaps_in(second, "new_spool")[0].reason == "the spool came from another machine"
    assert second.waiting(first.epoch) == [1, 2]


def test_a_renamed_edge_begins_a_new_epoch_and_keeps_the_old_batches_under_the_old_name(
    desk_of: Any, tmp_path: Path
) -> None:
    first = desk_of(tmp_path / "spool", facility="works")
    first.gauges(2)
    second = desk_of(tmp_path / "spool", facility="park")
    second.gauges(1)
    assert second.content(1).facility == "park"
    assert second.content(2, first.epoch).facility == "works"
    assert second.spool.epochs[first.epoch].identity.facility == "works"
    assert desk_of(tmp_path / "spool", facility="park").epoch == second.epoch


def test_a_former_epoch_is_forgotten_when_all_of_it_is_answered_and_its_space_is_needed(
    desk_of: Any, tmp_path: Path
) -> None:
    first = desk_of(tmp_path / "spool", machine="m1")
    first.gauges(2)
    second = desk_of(tmp_path / "spool", machine="m2", limits=Limits(keep_answered_bytes=0))
    second.gauges(1)
    second.spool.acknowledge(second.committed((1, 2), epoch=first.epoch))
    second.spool.tidy(second.now_ms)
    assert list(second.spool.epochs) == [second.epoch]
    assert not (tmp_path / "spool" / first.epoch).exists()


def test_an_answer_commits_its_range_and_no_more(desk: Any) -> None:
    desk.gauges(6)
    assert desk.spool.acknowledge(desk.committed((2, 3), (5, 5))) == []
    assert desk.waiting() == [1, 4, 6]
    assert desk.spool.depth().batches == 3
    assert desk.spool.depth().oldest_seq == 1
    desk.spool.acknowledge(desk.committed((1, 4)))
    assert desk.spool.depth().oldest_seq == 6


def test_the_same_answer_twice_changes_nothing(desk: Any) -> None:
    desk.gauges(3)
    desk.spool.acknowledge(desk.committed((1, 2)))
    desk.spool.acknowledge(desk.committed((1, 2)))
    assert desk.waiting() == [3]


@pytest.mark.parametrize("ranges", [[(1, 9, "0" * 64)], [(1, 1, None), (1, 2, "0" * 64)]])
def test_an_answer_that_names_a_batch_never_written_is_foreign_and_obeyed_in_nothing(desk: Any, ranges: Any) -> None:
    desk.gauges(2)
    named = [(first, last, sha256 or desk.sha256(last)) for first, last, sha256 in ranges]
    with pytest.raises(SpoolForeign):
        desk.spool.acknowledge(Ack("store-1", desk.epoch, named))
    assert desk.waiting() == [1, 2]


@pytest.mark.parametrize("nonsense", [(3, 1), (0, 2), (-5, -2)])
def test_a_range_that_is_none_is_not_obeyed(desk: Any, nonsense: tuple[int, int]) -> None:
    desk.gauges(3)
    assert desk.spool.acknowledge(Ack("store-1", desk.epoch, [(*nonsense, "0" * 64)])) == []
    assert desk.waiting() == [1, 2, 3]


def test_an_answer_of_an_unknown_epoch_is_not_obeyed(desk: Any) -> None:
    desk.gauges(1)
    assert desk.spool.acknowledge(Ack("store-1", "f" * 16, [(1, 1, "0" * 64)])) == []
    assert desk.waiting() == [1]


def test_an_answer_whose_last_batch_was_dropped_meanwhile_still_commits_the_others(desk: Any) -> None:
    desk.gauges(3)
    last = desk.sha256(3)
    desk.spool.current.give_up(3, 3)
    desk.spool.acknowledge(Ack("store-1", desk.epoch, [(1, 3, last)]))
    assert desk.waiting() == []


def test_a_digest_damaged_on_disk_is_not_taken_for_a_foreign_batch(desk: Any, tmp_path: Path) -> None:
    desk.gauges(1)
    ack = desk.committed((1, 1))
    segment = next((tmp_path / "spool" / desk.epoch).glob("gauge-*.seg"))
    raw = bytearray(segment.read_bytes())
    raw[50] ^= 1  # within the digest
    segment.write_bytes(raw)
    desk.spool.acknowledge(ack)
    assert desk.waiting() == []


def test_what_the_aggregator_lost_is_sent_again_from_disk(desk: Any) -> None:
    desk.gauges(5)
    desk.spool.acknowledge(desk.committed((1, 5)))
    assert desk.spool.acknowledge(desk.committed((1, 2), have=True)) == [3, 4, 5]
    assert desk.waiting() == [3, 4, 5]


def test_what_both_sides_have_lost_becomes_one_gap(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=Limits(max_bytes=32_000, keep_answered_bytes=3_000))
    desk.gauges(40)
    desk.spool.acknowledge(desk.committed((1, 40)))
    desk.spool.tidy(desk.now_ms)
    on_disk = [seq for seq in range(1, 41) if desk.spool.read(desk.epoch, seq) is not None]
    again = desk.spool.acknowledge(Ack("store-1", desk.epoch, have=True))
    assert 0 < len(on_disk) < 20
    assert again == on_disk == desk.waiting()
    (gap,) = [gap for gap in desk.spool.gaps if gap.kind == "aggregator_restored"]
    assert (gap.first_seq, gap.last_seq) == (1, on_disk[0] - 1)


def test_a_years_old_spool_whose_aggregator_lost_everything_is_told_in_one_gap(desk: Any) -> None:
    desk.gauges(1)
    desk.spool.current.last_seq = 200_000_000
    desk.spool.current.commit(1, 200_000_000)
    desk.spool.acknowledge(Ack("store-1", desk.epoch, have=True))
    assert [gap.last_seq for gap in desk.spool.gaps if gap.kind == "aggregator_restored"] == [200_000_000]
    assert desk.waiting() == [1]


def test_a_refused_batch_is_set_aside_and_named(desk: Any, tmp_path: Path) -> None:
    desk.gauges(3)
    frame, sha256 = desk.frame(2), desk.sha256(2)
    desk.spool.acknowledge(desk.refused(2, "unreadable"))
    assert desk.waiting() == [1, 3]
    assert (tmp_path / "spool" / "refused" / f"{desk.epoch}-2.batch").read_bytes() == frame
    assert desk.spool.refused_total == 1
    (gap,) = desk.spool.gaps
    assert gap == Gap(
        "refused", "unreadable", desk.epoch, "gauge", 2, 2, sha256, gap.from_ms, gap.from_ms, ["incomer"], 2
    )


def test_the_gaps_inside_a_refused_batch_are_carried_on(desk: Any) -> None:
    desk.gauges(1)
    desk.spool.acknowledge(desk.refused(1))
    assert {gap.kind for gap in desk.spool.gaps} == {"new_spool", "refused"}


def test_a_refusal_of_other_bytes_is_not_obeyed(desk: Any, tmp_path: Path) -> None:
    desk.gauges(1)
    desk.spool.acknowledge(Ack("store-1", desk.epoch, refused=[Refused(1, "0" * 64, "forged")]))
    assert desk.waiting() == [1]
    assert not (tmp_path / "spool" / "refused").exists()


def test_refused_batches_are_kept_within_a_bound(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=Limits(max_bytes=16_000))
    for seq in desk.gauges(20):
        desk.spool.acknowledge(desk.refused(seq))
    kept = list((tmp_path / "spool" / "refused").iterdir())
    assert 0 < sum(path.stat().st_size for path in kept) <= 2_000
    assert tmp_path / "spool" / "refused" / f"{desk.epoch}-20.batch" in kept


def test_a_batch_that_cannot_be_read_any_more_is_named(desk: Any, tmp_path: Path) -> None:
    desk.gauges(3)
    shutil.rmtree(tmp_path / "spool" / desk.epoch)
    assert desk.spool.read(desk.epoch, 2) is None
    assert [(gap.kind, gap.first_seq) for gap in desk.spool.gaps] == [("unreadable", 2)]
    assert desk.waiting() == [1, 3]


def test_a_pinned_store_and_gaps_without_a_batch_survive_a_kill(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(3)
    first.spool.pin_store("store-1")
    first.spool.acknowledge(first.refused(2))
    first.spool.tidy(first.now_ms)
    second = desk_of(tmp_path / "spool")
    assert second.spool.store == "store-1"
    assert [(gap.kind, gap.first_seq) for gap in second.spool.gaps] == [("refused", 2)]
    second.gauges(1)
    assert [gap.kind for gap in desk_of(tmp_path / "spool").spool.gaps] == []


def test_gaps_in_a_batch_that_was_not_synced_are_not_forgotten(desk_of: Any, tmp_path: Path) -> None:
    first = desk_of(tmp_path / "spool")
    first.gauges(1)
    first.spool.acknowledge(first.refused(1))
    first.spool.tidy(first.now_ms)
    first.gauge()
    first.batcher.seal()
    segment = next((tmp_path / "spool" / first.epoch).glob("gauge-*.seg"))
    segment.write_bytes(segment.read_bytes()[: -len(first.frame(2)) - 72])  # the power cut took it
    second = desk_of(tmp_path / "spool")
    assert second.epoch == first.epoch
    assert "refused" in {gap.kind for gap in second.spool.gaps}


def test_the_directory_of_a_spool_that_cannot_be_is_an_error(desk_of: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        desk_of(tmp_path / "file" / "spool")

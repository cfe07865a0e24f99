"""Thousands of spoiled segments and spools: what is read is what was written, all else is named, and the agent starts every time."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import spoiled

from edge_agent.segment import RecordUnreadable, scan

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
LAST = 12


@pytest.fixture(scope="module")
def filled(desk_class: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[int, bytes]]:
    """A closed spool: one epoch of 12 batches in three classes, 1 to 3 committed."""
    directory = tmp_path_factory.mktemp("filled") / "spool"
    desk = desk_class(directory)
    for _ in range(LAST // 3):
        for add in (desk.counter, desk.gauge, desk.event):
            add()
            desk.flush()
    desk.spool.acknowledge(desk.committed((1, 3)))
    frames = {seq: desk.frame(seq) for seq in range(1, LAST + 1)}
    desk.spool.close()
    return directory, desk.epoch, frames


@settings(max_examples=15_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_spoiled_segment_gives_only_records_that_were_written(
    filled: tuple[Path, str, dict[int, bytes]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory, epoch, frames = filled
    source = sorted((directory / epoch).glob("*.seg"))[data.draw(st.integers(0, 2))]
    path = tmp_path_factory.getbasetemp() / "spoiled.seg"
    path.write_bytes(data.draw(spoiled(source.read_bytes())))
    segment = scan(path)
    assert list(segment.seqs) == sorted(set(segment.seqs))
    for index, seq in enumerate(segment.seqs):
        try:
            record, frame = segment.read(index)
        except RecordUnreadable:
            continue
        assert (record.seq, frame) == (seq, frames[seq])
    assert [frame for _, record, frame in segment.records() if record is not None] == [
        frames[seq] for seq, record, _ in segment.records() if record is not None
    ]
    if path.read_bytes() == source.read_bytes():
        assert (segment.torn, segment.damaged, len(segment.seqs)) == (False, False, LAST // 3)


@settings(max_examples=2_500, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_spool_with_spoiled_files_is_opened_and_goes_on(
    filled: tuple[Path, str, dict[int, bytes]],
    desk_of: Any,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    source, epoch, frames = filled
    directory = tmp_path_factory.getbasetemp() / "spoiled-spool"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(source, directory)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    changed = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True))
    for path in changed:
        if data.draw(st.integers(0, 6)):
            path.write_bytes(data.draw(spoiled(path.read_bytes())))
        else:
            path.unlink()
    for life in range(2):
        desk = desk_of(directory, now_ms=desk_of.START_MS + 60_000 * (life + 1))
        known = desk.spool.epochs.get(epoch)
        waiting = [seq for seq in (desk.waiting(epoch) if known else []) if seq in frames]
        assert all(desk.frame(seq, epoch) == frames[seq] for seq in waiting)
        desk.gauge()
        (made,) = desk.flush()
        if len(changed) == 1:
            assert made not in {(epoch, seq) for seq in frames}, "a number came twice"
        assert desk.content(made[1], made[0]).seq == made[1]
        desk.spool.close()

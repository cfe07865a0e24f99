"""Files of sealed batches: what is written is read, what is damaged is read around."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.segment import HEADER_BYTES, Record, RecordUnreadable, Segment, scan

PAYLOADS = [b"first", b"second payload", b"", b"WLR1 inside a payload", b"last"]


def written(path: Path, payloads: list[bytes] = PAYLOADS) -> Segment:
    segment = Segment(path)
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        for index, payload in enumerate(payloads):
            segment.append(file, Record(10 + 2 * index, 100 * index, 100 * index + 5, 7, bytes([index]) * 32), payload)
    finally:
        os.close(file)
    return segment


def read_all(segment: Segment) -> dict[int, bytes]:
    return {segment.seqs[i]: segment.read(i)[1] for i in range(len(segment.seqs))}


def test_what_is_written_is_read_by_number(tmp_path: Path) -> None:
    segment = written(tmp_path / "s")
    assert read_all(segment) == dict(zip([10, 12, 14, 16, 18], PAYLOADS, strict=True))
    assert segment.read(1)[0] == Record(12, 100, 105, 7, bytes([1]) * 32)


def test_a_file_is_found_again_as_it_was_written(tmp_path: Path) -> None:
    segment, found = written(tmp_path / "s"), scan(tmp_path / "s")
    assert (found.seqs, found.offsets, found.size) == (segment.seqs, segment.offsets, segment.size)
    assert found.last_ms == 405
    assert not found.torn
    assert not found.damaged


@pytest.mark.parametrize("kept", range(1, HEADER_BYTES + 4))
def test_a_record_cut_anywhere_is_torn_and_those_before_stay(tmp_path: Path, kept: int) -> None:
    segment = written(tmp_path / "s")
    os.truncate(tmp_path / "s", segment.offsets[4] + kept)
    found = scan(tmp_path / "s")
    assert list(found.seqs) == [10, 12, 14, 16]
    assert found.torn


def test_a_damaged_record_costs_itself_and_none_after_it(tmp_path: Path) -> None:
    segment = written(tmp_path / "s")
    raw = bytearray((tmp_path / "s").read_bytes())
    raw[segment.offsets[1] + HEADER_BYTES] ^= 1
    (tmp_path / "s").write_bytes(raw)
    found = scan(tmp_path / "s")
    assert list(found.seqs) == [10, 14, 16, 18]
    assert found.damaged
    assert not found.torn
    assert read_all(found)[18] == b"last"
    assert (tmp_path / "s").read_bytes() == raw  # kept as it lies


def test_a_record_damaged_after_the_scan_is_not_given(tmp_path: Path) -> None:
    segment = written(tmp_path / "s")
    raw = bytearray((tmp_path / "s").read_bytes())
    raw[segment.offsets[1] + HEADER_BYTES] ^= 1
    (tmp_path / "s").write_bytes(raw)
    with pytest.raises(RecordUnreadable, match="batch 12"):
        segment.read(1)
    assert [seq for seq, record, _ in segment.records() if record is None] == [12]


def test_a_file_that_cannot_be_read_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    assert scan(tmp_path / "s").torn


@given(st.binary(max_size=400))
def test_any_bytes_are_scanned(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    path.write_bytes(raw)
    assert not scan(path).seqs


FILLS = """
import os, sys
from pathlib import Path
from edge_agent.segment import Record, Segment, scan
path = Path(sys.argv[1])
segment, file = Segment(path), os.open(path, os.O_RDWR | os.O_CREAT)
try:
    for seq in range(1, 100):
        segment.append(file, Record(seq, 0, 0, 0, bytes(32)), bytes(500))
except OSError as error:
    print(error.errno, len(segment.seqs), path.stat().st_size == segment.size, not scan(path).torn)
"""


def test_a_write_that_fails_half_way_is_cut_back_and_tells_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLS, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000)),
    )
    assert done.stdout.split() == ["27", "3", "True", "True"], done.stderr  # EFBIG; 3 records of 572 bytes fit in 2,000

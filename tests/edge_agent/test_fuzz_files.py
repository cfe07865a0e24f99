"""Spoilt edge files and spool segments for four seconds: loaded or named, in bounded memory. `test_long_fuzz_edge_file.py` and `_spool.py` take minutes."""

import random
from pathlib import Path
from typing import Any

from spoilt_bytes import bounded, spoilt, tried

from edge_agent.edge_file import EdgeFileFaults, load
from edge_agent.segment import RecordUnreadable, scan

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "edge.toml"
VALUES = (
    '""', "0", "-1", "1.5", "1e400", "nan", "true", "[]", "{}", "[[]]", '"a"', '"' + "x" * 300 + '"', "2026-03-05", "99999999999999999999999",
    '"\\u0000"', '"../../etc"', "[{ a = 1 }]", "0x7fffffffffffffff",
)  # fmt: skip


def test_a_spoilt_edge_file_is_loaded_or_its_faults_are_told(tmp_path: Path) -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    path = tmp_path / "edge.toml"
    for name in ("ca.pem", "gw-01.pem", "gw-01.key", "gw-01.sign"):
        (tmp_path / name).touch()

    def one(chance: random.Random) -> None:
        changed = list(lines)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(changed))
            match chance.randrange(4):
                case 0 | 1 if "=" in changed[at]:
                    changed[at] = f"{changed[at].split('=')[0]}= {chance.choice(VALUES)}"
                case 2:
                    del changed[at]
                case _:
                    changed.insert(chance.randrange(len(changed)), changed[at])
        raw = "\n".join(changed).encode()
        path.write_bytes(spoilt(raw, chance) if chance.random() < 0.2 else raw)
        try:
            assert load(path).bus
        except EdgeFileFaults as error:
            told = str(error).splitlines()
        else:
            told = []
        assert all(len(line) < 600 for line in told)

    tried(
        one, 0.5, seed=1996
    )  # the same beginning: modules and models that are loaded once are there before it is measured what stays
    with bounded():
        assert tried(one, 2.0, seed=1996) > 20


def test_a_spoilt_segment_gives_only_records_that_were_written(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool")
    for _ in range(4):
        for add in (desk.counter, desk.gauge, desk.event):
            add()
            desk.flush()
    frames, epoch = {seq: desk.frame(seq) for seq in range(1, 13)}, desk.epoch
    desk.spool.close()
    sources = [path.read_bytes() for path in sorted((tmp_path / "spool" / epoch).glob("*.seg"))]
    path = tmp_path / "spoilt.seg"

    def one(chance: random.Random) -> None:
        path.write_bytes(spoilt(chance.choice(sources), chance))
        segment = scan(path)
        assert list(segment.seqs) == sorted(set(segment.seqs))
        for index, seq in enumerate(segment.seqs):
            try:
                record, frame = segment.read(index)
            except RecordUnreadable:
                continue
            assert (record.seq, frame) == (seq, frames[seq])
        assert all(frame == frames[seq] for seq, record, frame in segment.records() if record is not None)

    assert sources
    with bounded():
        assert tried(one, 2.0, seed=2000) > 100

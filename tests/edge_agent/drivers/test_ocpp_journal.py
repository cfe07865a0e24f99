"""What piles told must survive: the journal through restarts, torn ends, flipped bits and full disks."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.ocpp.journal import Journal, JournalFull


async def written(path: Path, **values: object) -> Journal:
    journal = Journal(path)
    for key, value in values.items():
        journal.put(key, value)
    await journal.sync()
    return journal


async def test_the_last_value_of_a_key_counts_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "j"
    journal = await written(path, a=1, b=[2])
    journal.put("a", 3)
    journal.put("b", None)
    await journal.sync()
    again = Journal(path)
    assert (again.get("a", int), again.get("b", list[int]), list(again.keys(""))) == (3, None, ["a"])


async def test_many_may_wait_for_one_sync(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")

    async def one(number: int) -> None:
        journal.put(f"k{number}", number)
        await journal.sync()

    await asyncio.gather(*(one(number) for number in range(100)))
    again = Journal(tmp_path / "j")
    assert [again.get(f"k{number}", int) for number in range(100)] == list(range(100))


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(0, 200))
def test_a_torn_end_costs_at_most_the_last_line(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "j"
        asyncio.run(written(path, a=1, b="x" * 20, c=3))
        raw = path.read_bytes()
        path.write_bytes(raw[: max(0, len(raw) - cut)])
        journal = Journal(path)
        whole = len(raw[: max(0, len(raw) - cut)].split(b"\n")) - 1
        kept = [key for key in "abc" if journal.get(key, object) is not None]
        assert len(kept) >= min(3, whole)
        journal.put("d", 4)
        asyncio.run(journal.sync())
        assert Journal(path).get("d", int) == 4


async def test_a_flipped_bit_costs_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    await written(path, a=1, b=2, c=3)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b'"b"') + 1] ^= 1
    path.write_bytes(raw)
    journal = Journal(path)
    assert (journal.get("a", int), journal.get("b", int), journal.get("c", int), journal.damaged) == (1, None, 3, 1)


async def test_history_is_left_behind_before_it_fills_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    for round_number in range(60):
        for key in range(4):
            journal.put(f"k{key}", [round_number, "x" * 20_000])
        await journal.sync()
    assert path.stat().st_size < 3 << 20
    assert Journal(path).get("k3", list[object]) == [59, "x" * 20_000]


async def test_what_cannot_be_written_is_an_error_and_written_later(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    journal = await written(directory / "j", a=1)
    (directory / "j").unlink()
    directory.rmdir()
    journal.put("b", 2)
    with pytest.raises(OSError, match="No such file"):
        await journal.sync()
    directory.mkdir()
    await journal.sync()
    assert Journal(directory / "j").get("b", int) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
async def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "j").symlink_to("/dev/full")
    journal = Journal(None)
    journal.path = tmp_path / "j"
    journal.put("a", 1)
    with pytest.raises(OSError, match="No space"):
        await journal.sync()


async def test_what_lives_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.drivers.ocpp.journal.MAX_BYTES", 100)
    journal = Journal(None)
    journal.put("a", "x" * 60)
    with pytest.raises(JournalFull):
        journal.put("b", "x" * 60)
    assert journal.get("a", str) == "x" * 60


async def test_a_value_of_another_kind_is_none(tmp_path: Path) -> None:
    journal = await written(tmp_path / "j", a="text")
    assert journal.get("a", int) is None

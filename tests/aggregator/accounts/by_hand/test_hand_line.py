"""Displays read by people, on their way to interval energies: on a real store, ledger and record.

By hand: 360 kW are 0.1 kWh/s and 90 kWh a quarter hour. The display shows 1000 at T.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from counter_room import FACILITY, METER, Room, T, replace_version, steady

from aggregator.accounts.by_hand.readings import Entry
from aggregator.accounts.compile import Accounts
from aggregator.accounts.line import Line
from aggregator.facility import Facility
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.meter import Multiplier
from aggregator.ledger import IntervalRow
from wire.reading import Quality

D = Decimal
H = 3600


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def test_a_meter_that_only_people_read_is_settled_from_display_to_display(room: Room) -> None:
    room.read_off(0, "1000")
    room.read_off(30 * 24 * H, "73000")  # 72,000 kWh in 30 days: 25 a quarter hour
    room.settle()
    assert room.kwh() == [D(25)] * 2880
    assert {row.grade for row in room.rows()} == {Grade(Quality.SUBSTITUTED, "manual")}
    assert sum(room.kwh()) == D(72_000)
    assert room.settler.books.total("works", T, T + 30 * 24 * H * 1000).kg == D(36_000)


def test_people_who_read_each_day_are_no_poll(room: Room) -> None:
    """Domain rule 2: neighbours more than two polls apart give a substituted boundary; a daily round is no poll."""
    for day in range(5):
        room.read_off(day * 24 * H, str(1000 + day * 96))  # 1 kWh a quarter hour
    room.settle()
    assert {row.grade for row in room.rows()} == {Grade(Quality.SUBSTITUTED, "manual")}
    assert set(room.kwh()) == {D(1)}
    room.commit([(5 * 24 * H + at_s, 1480 + at_s * 0.1) for at_s in range(60, 3700, 60)])
    room.settle()
    assert room.rows()[-1].grade == Grade()  # 60 s polls keep theirs


def test_a_display_read_in_a_gap_gives_each_part_of_the_gap_its_own_energy(room: Room) -> None:
    room.commit(steady(0, H))
    room.commit([(5 * H + at_s, 1500 + 0.1 * at_s) for at_s in range(0, 1000, 10)])  # 140.1 kWh came in 4 h 10 s
    room.settle()
    assert room.rows()[5].grade == Grade(Quality.SUBSTITUTED, "counter-diff")
    whole = sum(room.kwh())
    room.read_off(3 * H, "1420")  # 60.1 kWh before it, 80 after it: 10 a quarter hour
    room.settle()
    assert room.kwh()[12:20] == [D(10)] * 8
    assert {row.grade.reason for row in room.rows()[4:20]} == {"manual"}
    assert {row.grade for row in [*room.rows()[:3], room.rows()[20]]} == {Grade()}
    assert sum(room.kwh()) == whole
    assert {row.version for row in room.rows()[12:20]} == {2}


def test_a_display_beside_measured_readings_changes_nothing(room: Room) -> None:
    room.commit(steady(0, 2 * H))
    room.settle()
    before = room.rows()
    room.read_off(1805, "1190")  # the meter said 1180.5: somebody's watch was wrong
    room.settle()
    room.commit(steady(2 * H, 3 * H))
    room.settle()
    assert room.rows()[: len(before)] == before
    assert set(room.kwh()) == {D(90)}
    assert room.ledger.events("works", 0, 2**60) == []


def test_measured_readings_that_come_later_put_a_display_aside(room: Room) -> None:
    room.commit(steady(0, H))
    room.read_off(3 * H, "1700")  # true: 2080; it fits as long as nothing else is known
    room.settle()
    assert room.kwh()[4] < 70
    room.commit(steady(4 * H, 5 * H))
    room.settle()
    assert room.place(3 * H, "1700") == "joins"  # still possible: 1.2 x 1000 kW carry 740 kWh in an hour
    room.commit(steady(H, 4 * H))
    room.settle()
    assert room.place(3 * H, "1700") == "beside"
    assert set(room.kwh()) == {D(90)}


def test_a_display_above_the_next_measured_one_is_no_reset(room: Room) -> None:
    room.commit(steady(0, H))
    room.read_off(3 * H, "2700")
    room.settle()
    room.commit(steady(4 * H, 5 * H))
    room.settle()
    assert room.place(3 * H, "2700") == "contradicted"
    assert room.ledger.events("works", 0, 2**60) == []
    assert sum(room.kwh()[:16]) == D(1440)  # four hours of 360 kW


def test_a_correction_is_a_version_and_a_withdrawal_leaves_the_estimate(room: Room) -> None:
    room.commit(steady(0, H))
    room.commit(steady(5 * H, 6 * H))
    room.read_off(3 * H, "1420")
    room.settle()
    assert room.kwh()[12] == D("172.5")  # 2800 - 1420 over eight quarter hours
    room.read_off(3 * H, "2080", Entry("photo 17", "Li Na", "two digits were swapped"))
    room.settle()
    assert room.kwh()[12] == D(90)
    room.read_off(3 * H, None, Entry("photo 17", "Li Na", "another meter's photo"))
    room.settle()
    assert {row.grade.reason for row in room.rows()[4:19]} == {"counter-diff"}
    versions = room.book.versions("works", None, T, T + 6 * H * 1000, 10)
    assert [(kept.version, kept.display_kwh) for kept in versions] == [(1, D(1420)), (2, D(2080)), (3, None)]


def test_what_was_entered_and_not_settled_is_settled_after_a_restart(room: Room) -> None:
    room.commit(steady(0, H))
    room.commit(steady(5 * H, 6 * H))
    room.settle()
    room.read_off(3 * H, "1420", note=False)
    room.restart()
    room.settle()
    assert room.rows()[12].grade.reason == "manual"
    room.restart()
    assert not room.settler.settle(patient=False).series


def test_a_corrected_multiplier_reaches_a_meter_that_only_people_read(room: Room) -> None:
    # 100 kWh on the display in a day: 1,000 kWh times 10, and 1,200 times 12 (rule 4).
    def multiplied(*entries: Multiplier) -> Facility:
        return replace(FACILITY, meters=(replace(METER, multipliers=entries),))

    room.restart(multiplied(Multiplier(D(10))))
    room.read_off(0, "1000")
    room.read_off(24 * H, "1100")
    room.settle()
    assert sum(room.kwh()) == 1000
    for _ in range(2):
        room.restart(multiplied(Multiplier(D(10)), Multiplier(D(12), T - H * 1000, "CT plate", "photo")))
        room.settle()
        assert sum(room.kwh()) == 1200
    assert {row.version for row in room.rows()} == {2}


def test_displays_from_files_and_from_people_are_one_line_in_any_order(tmp_path: Path) -> None:
    # 500 kWh at the first look, 1000 to 21,165 in a file (one each quarter hour), 21,400 at the last look: 20,900 kWh went through.
    file = [(24 * H + n * 900, 1000.0 + n * 52.5) for n in range(385)]
    looks = [(0, "500"), (24 * H + 385 * 900 + 12 * H, "21400")]

    def in_order(first: str) -> list[IntervalRow]:
        room = Room(tmp_path / first)
        for what in (first, "people" if first == "file" else "file"):
            if what == "file":
                room.commit(file, "import")
            else:
                for look in looks:
                    room.read_off(*look)
            room.settle()
        rows = [replace_version(row) for row in room.rows()]
        room.close()
        return rows

    after, before = in_order("file"), in_order("people")
    assert after == before
    assert sum(row.energy_kwh for row in after) == 20_900
    assert [row.energy_kwh for row in after[96:480]] == [D("52.5")] * 384


def test_a_file_and_its_gateway_are_one_line_and_the_gateway_decides_an_instant(room: Room) -> None:
    # The file ends at 1 h with another value for that instant; from there on the gateway reads on.
    room.commit([*steady(0, H, 900), (H, 1359.0)], "import")
    room.commit(steady(H, 2 * H + 1, 900))
    room.settle()
    assert room.kwh() == [D(90)] * 8
    assert {row.source for row in room.rows()} == {"measured"}


def test_the_order_of_files_leaves_no_trace_in_the_reasons(tmp_path: Path) -> None:
    pieces = [steady(n * H, (n + 1) * H, 900) for n in range(6)]

    def told(name: str, order: Sequence[int]) -> list[IntervalRow]:
        room = Room(tmp_path / name)
        for n in order:
            room.commit(pieces[n], "import")
            room.settle()
        rows = [replace_version(row) for row in room.rows()]
        room.close()
        return rows

    expected = told("in_order", range(6))
    assert [(row.energy_kwh, row.grade) for row in expected] == [(D(90), Grade())] * 23
    assert told("backwards", [5, 4, 3, 2, 1, 0]) == told("mixed", [3, 0, 5, 1, 4, 2]) == expected


def test_the_record_is_never_edited(room: Room) -> None:
    room.read_off(0, "1000")
    with room.book._file.transaction() as db:
        for statement in ("UPDATE hand_reading SET display_kwh = '1'", "DELETE FROM hand_reading"):
            with pytest.raises(Exception, match="never"):
                db.execute(statement)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3, 128, 130))])
def test_a_random_order_of_late_data_gives_the_same_ledger(tmp_path: Path, seed: int) -> None:
    """Property: pieces of measured data, some from files, with gaps, and displays read by hand, good and bad, in any order of arrival."""
    rng = random.Random(seed)
    truth, readings, at_s = 1000.0, [], 0
    while at_s < 20 * H:
        readings.append((at_s, round(truth, 3)))
        step_s = rng.choice((30, 30, 30, 60, rng.randrange(300, 7200) if rng.random() < 0.1 else 30))
        truth += step_s * rng.uniform(0, 0.2)
        at_s += step_s
    hands: list[tuple[int, str | None]] = []
    for _ in range(12):
        hand_s = rng.randrange(0, 20 * H)
        near = min(readings, key=lambda reading: abs(reading[0] - hand_s))[1]
        shown = str(round(near + rng.choice((0, 0, 1, -40, 300)), 1))
        versions = rng.choice(
            ([shown], [shown], [str(round(near + 55, 1)), shown], [shown, None])
        )  # corrected; withdrawn
        hands += [(hand_s, version) for version in versions]
    pieces = [readings[first : first + rng.randrange(5, 60)] for first in range(0, len(readings), 60)]
    late = [reading for first, piece in zip(range(0, len(readings), 60), pieces, strict=True) for reading in readings[first + len(piece) : first + 60]]  # fmt: skip
    sources = [rng.choice(("commit", "commit", "import")) for _ in pieces]
    events: list[tuple[str, object]] = [*zip(sources, pieces, strict=True), *([("commit", late)] if late else [])]
    events += [("hand", hand) for hand in hands]

    def told(
        directory: Path, order: Sequence[tuple[str, object]], settling: random.Random
    ) -> tuple[list[IntervalRow], tuple[Line, ...]]:
        room = Room(directory)
        try:
            for kind, what in order:
                if kind in ("commit", "import"):
                    room.commit(what, "gw" if kind == "commit" else "import")  # type: ignore[arg-type]
                else:
                    room.read_off(*what, Entry("sheet", "Li Na", "again"))  # type: ignore[misc, arg-type]
                if settling.random() < 0.4:
                    room.settle()
                if settling.random() < 0.1:
                    room.restart()
            room.settle()
            accounts = Accounts(room.ledger, [FACILITY], directory, lambda: room.now_ms)
            statement = accounts.statement("works", "OPS", T, T + 20 * H * 1000)
            return [replace_version(row) for row in room.rows()], statement.lines
        finally:
            room.close()

    brought = [each for source, piece in zip(sources, pieces, strict=True) if source == "import" for each in piece]
    live = sorted({*readings} - {*brought})
    in_order = [("commit", live), ("import", brought), *[("hand", hand) for hand in hands]]
    expected = told(tmp_path / "in_order", in_order, random.Random(0))
    assert len(expected[0]) > 70
    assert sum(line.intervals for line in expected[1]) > 70
    for n in range(2):
        shuffled = rng.sample(events, len(events))
        later = {hand_s: iter([hand for hand in hands if hand[0] == hand_s]) for hand_s, _ in hands}
        shuffled = [("hand", next(later[what[0]])) if kind == "hand" else (kind, what) for kind, what in shuffled]  # type: ignore[index]
        assert told(tmp_path / f"shuffled{n}", shuffled, rng) == expected

"""The ledger: what it keeps, what it refuses, and what it says of an earlier day."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from aggregator import ledger as ledger_module
from aggregator.alarms import Alarm, Alarms, AlarmState
from aggregator.intervals.boundaries import GOOD, QUANTUM, Boundary, Grade
from aggregator.intervals.counter import CounterChange, CounterEvent
from aggregator.ledger import IntervalRow, Ledger, LedgerBusy, LedgerUnusable
from aggregator.stores.store import SeriesKey
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
SERIES = SeriesKey("works", "gw", "incomer", "energy_import_kwh")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite")) as opened:
        yield opened


def interval(n: int, kwh: str, *, final: bool = True, grade: Grade = GOOD, source: str = "measured") -> IntervalRow:
    return IntervalRow(
        "works", "incomer", "energy_import_kwh", n * QUARTER_MS, (n + 1) * QUARTER_MS, D(kwh), grade, final, source
    )


def standing(ledger: Ledger, as_of_ms: int | None = None) -> list[tuple[int, Decimal, bool, int]]:
    rows = ledger.intervals("works", "incomer", "energy_import_kwh", 0, 2**60, as_of_ms)
    return [(row.start_ms // QUARTER_MS, row.energy_kwh, row.final, row.version) for row in rows]


def test_decimals_come_back_to_the_last_digit(ledger: Ledger) -> None:
    ledger.put_intervals([interval(0, "0.1"), interval(1, "1E-9"), interval(2, "12345678901.000001")], 1)
    assert [kwh for _, kwh, _, _ in standing(ledger)] == [D("0.1"), D("1E-9"), D("12345678901.000001")]


def test_a_provisional_interval_is_replaced_and_a_final_one_superseded(ledger: Ledger) -> None:
    ledger.put_intervals([interval(0, "1", final=False)], 10)
    ledger.put_intervals([interval(0, "2", final=False)], 20)
    assert standing(ledger) == [(0, D(2), False, 1)]
    ledger.put_intervals([interval(0, "3")], 30)
    assert standing(ledger) == [(0, D(3), True, 1)]
    ledger.put_intervals([interval(0, "4")], 40)
    assert standing(ledger) == [(0, D(4), True, 2)]
    assert standing(ledger, as_of_ms=35) == [(0, D(3), True, 1)]
    assert standing(ledger, as_of_ms=40) == [(0, D(4), True, 2)]


def test_only_what_is_new_or_changed_is_given_back(ledger: Ledger) -> None:
    assert len(ledger.put_intervals([interval(0, "1"), interval(1, "2")], 1).written) == 2
    assert ledger.put_intervals([interval(0, "1"), interval(1, "2")], 2) == ([], [])
    changed = ledger.put_intervals([interval(0, "1"), interval(1, "2", grade=QUANTUM), interval(2, "0")], 3).written
    assert [(row.start_ms // QUARTER_MS, row.version) for row in changed] == [(1, 2), (2, 1)]


def test_a_provisional_figure_never_replaces_a_final_one(ledger: Ledger) -> None:
    ledger.put_intervals([interval(0, "1"), interval(1, "5", source="import")], 1)
    assert ledger.put_intervals([interval(0, "0.5", final=False), interval(1, "6", final=False)], 2) == ([], [])
    assert [kwh for _, kwh, _, _ in standing(ledger)] == [D(1), D(5)]


@pytest.mark.parametrize("first", ["the hour", "the quarters"])
def test_quarters_beneath_an_imported_hour_stand_once_the_last_is_known(ledger: Ledger, first: str) -> None:
    hour = replace(interval(0, "5", source="import"), end_ms=4 * QUARTER_MS)
    quarters = [interval(n, "1") for n in range(3)]
    puts = [[hour], quarters] if first == "the hour" else [quarters, [hour]]
    for rows in puts:
        ledger.put_intervals(rows, 10)
    assert [kwh for _, kwh, _, _ in standing(ledger)] == [5]
    kept = ledger.put_intervals([interval(3, "2")], 20)
    assert [kwh for _, kwh, _, _ in standing(ledger)] == [1, 1, 1, 2]
    assert [(row.end_ms, row.energy_kwh) for row in kept.gone] == [(hour.end_ms, 5)]
    assert len(kept.written) == 4


def test_what_stands_again_is_a_version_and_was_known_since_it_first_came(ledger: Ledger) -> None:
    ledger.put_intervals([interval(0, "5", source="import")], 10)
    ledger.put_intervals([interval(0, "6")], 20)
    assert [standing(ledger, at_ms) for at_ms in (10, 20)] == [[(0, D(5), True, 1)], [(0, D(6), True, 2)]]
    kept = ledger.withdraw_intervals("works", "incomer", "energy_import_kwh", 0, 30)
    assert [(row.energy_kwh, row.version) for row in kept.written] == [(5, 3)]
    assert kept.gone == []
    ledger.put_intervals([interval(0, "7")], 40)
    known = [
        (each.row.energy_kwh, each.known_ms, each.aside_ms, each.ended_ms) for each in ledger.asides(interval(0, "7"))
    ]
    assert known == [(5, 10, 20, 30), (5, 10, 40, None)]
    with pytest.raises(sqlite3.IntegrityError, match="never deleted"), ledger.transaction() as db:
        db.execute("DELETE FROM interval_aside")
    with pytest.raises(sqlite3.IntegrityError, match="ended, not edited"), ledger.transaction() as db:
        db.execute("UPDATE interval_aside SET energy_kwh = '9'")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE interval_energy SET energy_kwh = '9'",
        "UPDATE interval_energy SET state = 'provisional'",
        "DELETE FROM interval_energy",
        "UPDATE boundary_value SET value = '9'",
        "DELETE FROM boundary_value",
    ],
)
def test_the_file_itself_refuses_edits(ledger: Ledger, statement: str) -> None:
    ledger.put_intervals([interval(0, "1")], 1)
    ledger.put_boundaries(SERIES, [Boundary(0, D(1), GOOD, "reading")], 1)
    with (
        pytest.raises(sqlite3.IntegrityError, match=r"never deleted|superseded, not edited"),
        ledger.transaction() as db,
    ):
        db.execute(statement)


def test_boundaries_keep_their_history(ledger: Ledger) -> None:
    linear = Boundary(QUARTER_MS, D("2.5"), Grade(Quality.SUBSTITUTED, "counter-diff"), "linear")
    assert ledger.put_boundaries(SERIES, [Boundary(0, D("1.0"), GOOD, "reading"), linear], 1) == 2
    assert ledger.put_boundaries(SERIES, [linear], 2) == 0
    assert ledger.put_boundaries(SERIES, [Boundary(QUARTER_MS, D("2.6"), GOOD, "reading")], 3) == 1
    found = ledger.boundaries(SERIES, 0, 2 * QUARTER_MS)
    assert [(str(row.boundary.value), row.boundary.how, row.version) for row in found] == [
        ("1.0", "reading", 1),
        ("2.6", "reading", 2),
    ]
    assert len(ledger.rows("SELECT * FROM boundary_value")) == 3


def test_events_are_kept_once_with_both_readings(ledger: Ledger) -> None:
    event = CounterEvent(CounterChange.RESET, 60_000, 0, D("500.0"), D("0.0"), D("1.250000"))
    ledger.put_events(SERIES, [event], 1)
    ledger.put_events(SERIES, [event], 2)
    assert ledger.events("works", 0, 100_000) == [(SERIES, event)]
    assert ledger.events("works", 60_001, 100_000) == []


def test_of_checkpoints_the_last_few_and_one_a_day_remain(ledger: Ledger) -> None:
    day_ms = 86_400_000
    for n in range(4 * 96):
        ledger.put_checkpoint(SERIES, 100 * day_ms + n * QUARTER_MS, str(n))
    kept = [int(state) for (state,) in ledger.rows("SELECT state FROM checkpoint ORDER BY at_ms")]
    assert kept == [0, 96, 192, 288, *range(376, 384)]
    assert ledger.checkpoint(SERIES) == (100 * day_ms + 383 * QUARTER_MS, "383")
    assert ledger.checkpoint(SERIES, 101 * day_ms + 1) == (101 * day_ms, "96")
    ledger.forget_checkpoints(SERIES, 101 * day_ms)
    assert ledger.checkpoint(SERIES) == (100 * day_ms, "0")
    assert ledger.checkpoint(SERIES._replace(device="other")) is None


def test_alarms_outlive_the_process(ledger: Ledger, tmp_path: Path) -> None:
    now = [1000]
    alarms = Alarms(ledger, lambda: now[0])
    alarms.raise_alarm("works", "factor_missing", "works", "no factor for 2018")
    raised = alarms.raise_alarm("works", "counter_held", "incomer")
    alarms.acknowledge(raised.id, "li", "meter is being replaced")
    ledger.close()
    with closing(Ledger(tmp_path / "ledger.sqlite")) as again:
        found = Alarms(again, lambda: now[0]).open("works")
        notes = [a.note for a in again.alarms("works", 0, open_only=True, limit=1)]
        assert again.alarms("elsewhere", 0, open_only=False, limit=10) == []
    assert [(a.code, a.state, a.arguments) for a in found] == [
        ("factor_missing", AlarmState.UNACK, ("no factor for 2018",)),
        ("counter_held", AlarmState.ACK, ()),
    ]
    assert notes == ["meter is being replaced"]
    assert isinstance(found[0], Alarm)


def test_a_nested_transaction_is_kept_or_lost_as_a_whole(ledger: Ledger) -> None:
    def fail_after_the_inner_one() -> None:
        with ledger.transaction():
            ledger.put_intervals([interval(0, "1")], 1)
            raise RuntimeError("after the inner one was done")

    with pytest.raises(RuntimeError):
        fail_after_the_inner_one()
    assert standing(ledger) == []
    ledger.put_intervals([interval(0, "1")], 1)
    assert len(standing(ledger)) == 1


def test_many_threads_may_write_at_once(ledger: Ledger) -> None:
    def write(device: int) -> None:
        for n in range(20):
            ledger.put_intervals(
                [IntervalRow("works", f"d{device}", "energy_import_kwh", n, n + 1, D(n), GOOD, True, "measured")], 1
            )

    threads = [threading.Thread(target=write, args=(device,)) for device in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ledger.rows("SELECT * FROM interval_energy")) == 120


def test_a_lock_that_is_never_given_back_is_an_error_in_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "LOCK_TIMEOUT_S", 0.05)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.transaction():
            holding.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    with pytest.raises(LedgerBusy, match="another thread still holds it"):
        ledger.rows("SELECT 1")
    done.set()
    thread.join(10)
    assert ledger.rows("SELECT 1") == [(1,)]


def test_a_statement_without_end_is_an_error_in_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "STATEMENT_TIMEOUT_S", 0.05)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(LedgerBusy, match="expected an answer within"):
        ledger.rows(endless)
    monkeypatch.setattr(ledger_module, "STATEMENT_TIMEOUT_S", 30.0)
    assert ledger.put_intervals([interval(0, "1")], 1).written


def test_sums_in_the_file_are_exact(ledger: Ledger) -> None:
    ledger.put_intervals([interval(n, "0.1") for n in range(10)], 1)
    assert ledger.rows("SELECT decimal_sum(energy_kwh) FROM interval_energy") == [("1.0",)]
    assert ledger.rows("SELECT decimal_sum(energy_kwh) FROM interval_energy WHERE device = 'none'") == [(None,)]


def test_a_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerUnusable, match=r"ledger version 99 is newer than this program, which knows \d+"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a database, " * 100)
    with pytest.raises(LedgerUnusable, match=r"ledger\.sqlite: expected a ledger, SQLite says file is not a database"):
        Ledger(path)


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.sqlite"
    first = Ledger(path)
    first.put_intervals([interval(0, "1")], 1)
    first.close()
    with closing(Ledger(path)) as second:
        assert len(standing(second)) == 1


def test_an_estimate_gives_way_to_any_final_figure_and_takes_the_place_of_none(ledger: Ledger) -> None:
    guess = Grade(Quality.SUBSTITUTED, "gap-linear")
    ledger.put_intervals([interval(0, "5"), interval(1, "5", source="import")], 10)
    estimates = [interval(n, "9", grade=guess, source="estimate") for n in range(4)]
    assert [row.start_ms // QUARTER_MS for row in ledger.put_intervals(estimates, 20).written] == [2, 3]
    ledger.put_intervals([interval(2, "1", final=False), interval(3, "6", source="import")], 30)
    ledger.put_intervals([interval(3, "8", grade=guess, source="estimate")], 40)
    assert standing(ledger) == [(0, D(5), True, 1), (1, D(5), True, 1), (2, D(9), True, 1), (3, D(6), True, 2)]
    ledger.put_intervals([interval(2, "7")], 50)
    assert standing(ledger)[2] == (2, D(7), True, 2)
    assert standing(ledger, as_of_ms=49)[2] == (2, D(9), True, 1)


def test_a_ledger_from_before_estimates_keeps_every_version_and_its_guards(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    steps = sorted(resources.files("aggregator").joinpath("migrations").iterdir(), key=lambda entry: entry.name)[:5]
    with closing(sqlite3.connect(path)) as db:
        db.executescript("".join(step.read_text() for step in steps) + "PRAGMA user_version = 5;")
        row, other = (("works", device, "energy_import_kwh", 0, QUARTER_MS) for device in ("incomer", "press"))
        with db:
            db.execute("INSERT INTO interval_energy VALUES (?,?,?,?,?,1,'1.50',0,'','final','measured',10,20)", row)
            db.execute("INSERT INTO interval_energy VALUES (?,?,?,?,?,2,'1.75',0,'','final','import',20,NULL)", row)
            db.execute("INSERT INTO interval_energy VALUES (?,?,?,?,?,1,'3',0,'','final','import',10,20)", other)
            db.execute("INSERT INTO interval_energy VALUES (?,?,?,?,?,2,'4',0,'','final','measured',20,NULL)", other)
    with closing(Ledger(path)) as opened:
        assert standing(opened) == [(0, D("1.75"), True, 2)]
        assert standing(opened, as_of_ms=19) == [(0, D("1.50"), True, 1)]
        before = opened.filed(*other)  # what an import said before a counter took its place
        assert [kept.energy_kwh for kept in before] == [3]
        with pytest.raises(sqlite3.IntegrityError, match="superseded, not edited"), opened.transaction() as db:
            db.execute("UPDATE interval_energy SET energy_kwh = '2'")
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"), opened.transaction() as db:
            db.execute("DELETE FROM interval_energy")

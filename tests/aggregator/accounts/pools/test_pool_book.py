"""Kept states of pools, stated contents and plug-ins. What a walk from the first reading gives is the judge of what a kept state gives; else by hand."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from pool_plant import NOW, QUARTER, START, Plant, line

from aggregator.accounts.compile import Accounts, Span, compile_statement
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.pools.book import Opening, PoolBook
from aggregator.accounts.pools.parcel import Parcel
from aggregator.accounts.pools.site_days import Anchor, PlugIn, State
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsRefused
from aggregator.accounts.statement import Statement
from aggregator.emissions.profiles import profile
from aggregator.facility import Cell

D = Decimal
DAY = 96 * QUARTER
LATER = 60_000


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Four days: the battery charges on each and gives back a third."""
    made = Plant(tmp_path)
    made.facility = replace(
        made.facility, cells=(("battery", Cell(D("0.93"), D("0.97"), standing_loss_percent_per_day=D("1.5"))),)
    )
    for day in range(4):
        made.measured("incomer", "10 7 3", "0 0 0", start_ms=START + day * DAY)
        made.measured("roof", exported="0 2 5", start_ms=START + day * DAY)
        made.measured("battery", "6 0 1", "0 2 0", start_ms=START + day * DAY)
        made.grid("611 433 277", start_ms=START + day * DAY)
    made.clock_ms += LATER
    yield made
    made.ledger.close()


def days_read(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the next statements: from which day on readings of the battery were read."""
    read: list[int] = []
    intervals = plant.ledger.intervals

    def watched(facility: str, device: str | None, quantity: str, from_ms: int, *rest: int | None) -> object:
        if device == "battery" and quantity == "energy_export_kwh":
            read.append((from_ms - START) // DAY)
        return intervals(facility, device, quantity, from_ms, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(plant.ledger, "intervals", watched)
    return read


def last_day(plant: Plant) -> bytes:
    return plant.statement(from_ms=START + 3 * DAY, to_ms=START + 4 * DAY).encoded()


def test_a_kept_state_gives_the_same_bytes_as_the_walk_from_the_first_reading(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.statement(to_ms=START + 3 * DAY)
    read = days_read(plant, monkeypatch)
    kept = last_day(plant)
    assert min(read) == 3
    Path(plant.directory / ACCOUNTS_NAME).unlink()
    for name in ("-wal", "-shm"):
        Path(plant.directory / f"{ACCOUNTS_NAME}{name}").unlink(missing_ok=True)
    read.clear()
    assert last_day(plant) == kept
    assert min(read) == 0


def test_what_changes_before_a_state_sends_the_walk_further_back(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plant.statement(to_ms=START + 4 * DAY)
    plant.clock_ms += LATER
    plant.measured("battery", "9", "0", start_ms=START + DAY)  # a late reading of the second day
    plant.clock_ms += LATER
    read = days_read(plant, monkeypatch)
    late = last_day(plant)
    assert min(read) == 0  # the second day's state is of after the change; days of UTC and of Shanghai overlap
    assert late != last_day_of(before, plant)
    fresh = Plant(fresh_copy(plant))
    fresh.clock_ms, fresh.facility = plant.clock_ms, plant.facility
    assert last_day(fresh) == late
    fresh.ledger.close()
    # as it was known before the change
    as_known = plant.clock_ms
    plant.clock_ms = before.as_of_ms
    assert last_day(plant) == last_day_of(before, plant)
    plant.clock_ms = as_known


def test_a_span_is_the_sum_of_its_parts_wherever_it_is_cut(plant: Plant) -> None:
    whole = plant.statement(to_ms=START + 4 * DAY)
    for cut_ms in (START + QUARTER, START + DAY, START + 2 * DAY + 2 * QUARTER, START + 3 * DAY + 40 * QUARTER):
        parts = plant.statement(to_ms=cut_ms), plant.statement(from_ms=cut_ms, to_ms=START + 4 * DAY)
        assert sums([line for part in parts for line in part.lines]) == sums(whole.lines), cut_ms


def sums(lines: Iterable[Line]) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """kWh and kg by where it counts and source, without what is nothing."""
    found: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for one in lines:
        kwh, kg = found.get((one.counts, one.source), (D(0), D(0)))
        found[one.counts, one.source] = kwh + (one.quantity or 0), kg + (one.kg or 0)
    return {key: both for key, both in found.items() if any(both)}


def test_what_would_have_been_is_never_kept(plant: Plant) -> None:
    """A statement of a period whose energies somebody has replaced, as the bridge of a restatement does."""
    accounts = Accounts(plant.ledger, [plant.facility], plant.directory, lambda: plant.clock_ms)
    span = Span(START, START + 3 * DAY, plant.clock_ms)
    with accounts.opened(plant.facility, profile("OPS"), span) as (period, makers):
        doubled = replace(
            period, intervals=lambda device, quantity: [replace(row, energy_kwh=row.energy_kwh * 2) for row in period.intervals(device, quantity)], columns=None, rows=None
        )  # fmt: skip
        assert (
            compile_statement(doubled, makers).kg(Counts.SCOPE_2)
            == (plant.statement(to_ms=START + 3 * DAY).kg(Counts.SCOPE_2) or 0) * 2
        )
    assert last_day(plant) == last_day_of(plant.statement(), plant)


def last_day_of(made: Statement, plant: Plant) -> bytes:
    """What was said of the last day at that time, from a directory without kept states."""
    fresh = Plant(fresh_copy(plant))
    fresh.facility = plant.facility
    fresh.clock_ms = made.as_of_ms
    said = last_day(fresh)
    fresh.ledger.close()
    return said


def fresh_copy(plant: Plant) -> Path:
    """The same records without what is kept of pools."""
    to = plant.directory / f"copy-{len(list(plant.directory.glob('copy-*')))}"
    to.mkdir()
    for name in ("ledger.sqlite", "factors.sqlite"):
        with sqlite3.connect(plant.directory / name) as source, sqlite3.connect(to / name) as copy:
            source.backup(copy)
        source.close()
        copy.close()
    return to


def test_a_stated_content_changes_kwh_and_not_kg_from_its_interval_on(plant: Plant) -> None:
    free = dict(line(plant.statement(from_ms=START, to_ms=START + DAY), "pool:battery", Counts.ALLOCATED).figures)
    with PoolBook(plant.directory / ACCOUNTS_NAME) as book:
        anchor = Anchor("battery", START + 2 * QUARTER, D(4))
        assert book.state_content("works", anchor, "display, photograph 7", "Li", plant.clock_ms)
        assert not book.state_content("works", anchor, "display, photograph 7", "Li", plant.clock_ms)
    plant.clock_ms += LATER
    made = plant.statement(from_ms=START, to_ms=START + DAY)
    figures = dict(line(made, "pool:battery", Counts.ALLOCATED).figures)
    assert figures["anchored_kwh"] != 0
    # 4 kWh stated, and 0.93 of the 1 kWh that is charged in that interval, the day's last
    assert figures["closing_kwh"] == D("4.93")
    assert figures["closing_kg"] == free["closing_kg"]


def test_a_content_above_the_capacity_is_refused_and_the_one_before_it_stays(tmp_path: Path) -> None:
    good = Anchor("battery", START, D(2000))
    with PoolBook(tmp_path / ACCOUNTS_NAME) as book:
        assert book.state_content("works", good, "display", "Li", NOW, D(2000))
        with pytest.raises(RecordsRefused, match="content: expected at most its capacity of 2000 kWh, got 999999"):
            book.state_content("works", good._replace(kwh=D(999_999)), "display", "Li", NOW, D(2000))
        assert book.anchors("works", NOW) == [good]


def test_a_withdrawn_content_counts_no_more_and_the_one_before_it_does_again(plant: Plant) -> None:
    free = plant.statement(from_ms=START, to_ms=START + DAY).encoded()
    good = Anchor("battery", START + 2 * QUARTER, D(4))
    said: list[tuple[int, bytes]] = []
    with PoolBook(plant.directory / ACCOUNTS_NAME) as book:
        for kwh in (4, 9):
            book.state_content("works", good._replace(kwh=D(kwh)), "display", "Li", plant.clock_ms)
            plant.clock_ms += LATER
            said.append((plant.clock_ms, lines_of(plant)))
            plant.clock_ms += LATER
        assert book.withdraw_content("works", "battery", good.at_ms, "misread", "Wu", plant.clock_ms) == D(9)
        plant.clock_ms += LATER
        assert lines_of(plant) == said[0][1] != said[1][1]
        assert book.withdraw_content("works", "battery", good.at_ms, "misread", "Wu", plant.clock_ms) == D(4)
        with pytest.raises(
            RecordsRefused, match="time: expected one of which a content of battery is on record, there is none"
        ):
            book.withdraw_content("works", "battery", good.at_ms, "misread", "Wu", plant.clock_ms)
        plant.clock_ms += LATER
        assert lines_of(plant) == free[free.index(b"\n") :]
        assert book.anchors("works", said[1][0]) == [good._replace(kwh=D(9))]  # as it was known then
        with pytest.raises(RecordsRefused, match=r"by: expected the name.*reason: expected why, got none"):
            book.withdraw_content("works", "battery", good.at_ms, " ", "", plant.clock_ms)
        assert book.state_content("works", good, "display", "Li", plant.clock_ms)  # and it may be stated again
        assert book.anchors("works", plant.clock_ms) == [good]


def lines_of(plant: Plant) -> bytes:
    """The first day's, without the head, which has the time of asking."""
    said = plant.statement(from_ms=START, to_ms=START + DAY).encoded()
    return said[said.index(b"\n") :]


def test_a_time_without_readings_costs_its_standing_loss_and_keeps_what_was_stated_in_it(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.facility = replace(plant.facility, cells=(("battery", Cell(standing_loss_percent_per_day=D(24))),))
    for start_ms, charged in ((START, "10"), (START + DAY, "0")):
        plant.measured("incomer", charged, start_ms=start_ms)
        plant.measured("battery", charged, "0", start_ms=start_ms)
    plant.grid("500")
    for _ in range(2):  # by the walk from the first reading, and by the state that it has kept
        made = plant.statement(from_ms=START + DAY, to_ms=START + 2 * DAY)
        figures = dict(line(made, "pool:battery", Counts.ALLOCATED).figures)
        assert (figures["opening_kwh"], figures["standing_loss_kwh"]) == (D(10), D("2.4"))  # 24 hours of 24 % a day
        plant.clock_ms += LATER
    with PoolBook(tmp_path / ACCOUNTS_NAME) as book:
        book.state_content("works", Anchor("battery", START + DAY // 2, D(5)), "display", "Li", plant.clock_ms)
    plant.clock_ms += LATER
    made = plant.statement(from_ms=START + DAY, to_ms=START + 2 * DAY)
    assert dict(line(made, "pool:battery", Counts.ALLOCATED).figures)["closing_kwh"] == 5
    plant.ledger.close()


def test_a_vehicle_gives_back_what_it_was_charged_with_and_what_it_brought_has_no_figure(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.facility = replace(plant.facility, cells=(("charger", Cell(D("0.92"), D("0.92"))),))
    plant.measured("incomer", "40 0", "0 9.2")
    plant.measured("charger", "40 0", "0 9.2")
    plant.grid("300 300")
    unknown = line(plant.statement(), "ev:charger", Counts.ALLOCATED)
    assert unknown.kg == 12  # who stood there is not known: what came back has no figure
    with PoolBook(tmp_path / ACCOUNTS_NAME) as book:
        assert book.plug_in("works", PlugIn("charger", "A1", START, None), "transaction", "gw", plant.clock_ms)
        plant.clock_ms += 1
        assert book.plug_in(
            "works", PlugIn("charger", "A1", START, START + 2 * QUARTER), "transaction", "gw", plant.clock_ms
        )
    plant.clock_ms += 1
    made = plant.statement()
    session = line(made, "ev:charger", Counts.ALLOCATED)
    assert session.kg is not None
    assert abs(session.kg - D("8.739130435")) < D("1e-9")  # worked example 25
    exported = line(made, "export:charger", Counts.EXPORTED)
    assert exported.kg is not None
    assert abs(exported.kg - D("3.260869565")) < D("1e-9")
    with PoolBook(tmp_path / ACCOUNTS_NAME) as book:
        plugged = PlugIn("charger", "A1", START, START + 2 * QUARTER, D("36.8"))
        assert book.plug_in("works", plugged, "state of charge told", "gw", plant.clock_ms)
    plant.clock_ms += 1
    half = line(plant.statement(), "export:charger", Counts.EXPORTED)
    assert half.kg is not None
    assert abs(half.kg - D("1.630434783")) < D("1e-9")
    assert abs(dict(half.figures)["uncovered_kwh"] - D("4.6")) < D("1e-9")
    plant.ledger.close()


def test_records_are_never_edited_and_say_who_and_why(tmp_path: Path) -> None:
    path = tmp_path / ACCOUNTS_NAME
    with PoolBook(path) as book:
        with pytest.raises(RecordsRefused, match=r"by: expected the name.*evidence: expected.*0 kWh or above, got -1"):
            book.state_content("works", Anchor("battery", START, D(-1)), " ", "", NOW)
        with pytest.raises(RecordsRefused, match="end: expected it after the start"):
            book.plug_in("works", PlugIn("charger", "A1", START, START), "x", "Li", NOW)
        book.state_content("works", Anchor("battery", START, D(1)), "x", "Li", NOW)
        book.withdraw_content("works", "battery", START, "misread", "Li", NOW)
        book.plug_in("works", PlugIn("charger", "A1", START, None), "x", "Li", NOW)
        state = State(frozenset({("battery", "energy_import_kwh")}), {"battery": Parcel(D(1), D("0.5"), D(0))}, {})
        book.keep("works", "OPS", "f", NOW, [Opening(START, state, State())])
        assert book.opening("works", "OPS", "f", START, NOW + 9, lambda _: 0) == Opening(START, state, State())
        assert book.opening("works", "OPS", "g", START, NOW + 9, lambda _: 0) is None
    db = sqlite3.connect(path)
    for table in ("pool_anchor", "pool_anchor_withdrawal", "plug_in", "pool_state"):
        column = "by" if table == "pool_anchor_withdrawal" else "facility"
        for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                db.execute(statement)
    db.close()

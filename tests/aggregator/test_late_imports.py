"""Imported energies against the counter of their meter, in every order, on real stores, ledger and record.

By hand: the meter carries 1,000 kW, so that a quarter hour has at most 300 kWh; the factor is 0.5 kg/kWh.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
from counter_room import COUNTER, FACILITY, Room, T, replace_version

from aggregator.accounts.by_hand.entering import Entering
from aggregator.accounts.by_hand.readings import Entry
from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.gaps.doubtful import doubtful
from aggregator.accounts.runs.calculation import calculated, rules_now
from aggregator.accounts.runs.late import closed_spans, late_changes
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import impact
from aggregator.imports import ImportOptions, ImportResult, import_csv
from aggregator.intervals.decision import Decision, Said, Unfit
from aggregator.intervals.written_time import written
from aggregator.stores.influx_http import Server
from aggregator.stores.influx_store import InfluxStore

D = Decimal
H = 3600
HOURS = 12
SHEET = Entry("sheet", "Li Na", "again")
Deed = Literal["gateway", "file", "display", "energies", "by hand"]


@dataclass(frozen=True)
class Event:
    """Something that arrives. Of the events of one `order_of` each comes after the one before: a correction follows what it corrects."""

    deed: Deed
    what: Any
    order_of: object = None


def energies(room: Room, rows: Sequence[tuple[int, str]], interval_s: int, reason: str = "") -> ImportResult:
    """A file of (start in s from T, kWh)."""
    file = room.directory / "energies.csv"
    lines = [f"{written(T + at_s * 1000)},{kwh}" for at_s, kwh in rows]
    file.write_text("\n".join(["start,energy_kwh", *lines, ""]))
    options = ImportOptions("works", "incomer", interval_s=interval_s, reason=reason, by="Li Na" if reason else "")
    return import_csv(file, options, room.settler.books)


def by_hand(room: Room, at_s: int, kwh: str) -> None:
    assert room.settler.hand is not None
    Entering(room.settler, room.settler.hand).amount(
        "works", "incomer", COUNTER.quantity, T + at_s * 1000, D(kwh), SHEET
    )


def told(room: Room) -> dict[str, object]:
    """Everything that the order must not change."""
    room.settle()
    span = (T, T + HOURS * H * 1000)
    aside = room.ledger.rows(
        "SELECT start_ms, end_ms, source, energy_kwh, quality, reason FROM interval_aside WHERE ended_ms IS NULL"
    )
    statement = Accounts(room.ledger, [FACILITY], room.directory, lambda: room.now_ms).statement("works", "OPS", *span)
    booked = room.settler.books.emissions("works", 0, 2**60)
    return {
        "rows": [replace_version(row) for row in room.rows()],
        "aside": aside,
        "emissions": [
            (row.emission.start_ms, row.emission.end_ms, row.emission.kg) for row in booked if row.emission.final
        ],
        "lines": statement.lines,
        "doubtful": [(replace(one, row=replace_version(one.row))) for one in doubtful(room.ledger, FACILITY, *span)],
    }


def arrive(room: Room, event: Event) -> None:
    match event.deed:
        case "gateway":
            room.commit(event.what)
        case "file":
            room.commit(event.what, "import")
        case "display":
            room.read_off(*event.what, SHEET)
        case "energies":
            assert energies(room, *event.what).bad == 0
        case "by hand":
            by_hand(room, *event.what)


def random_events(rng: random.Random) -> list[Event]:
    """In order: measured readings with gaps, some from files, displays by hand, imports of three lengths, and corrections."""
    kwh, at_s, readings = 1000.0, 0, []
    while at_s < HOURS * H:
        readings.append((at_s, round(kwh, 3)))
        step_s = rng.randrange(300, 7200) if rng.random() < 0.008 else 60
        kwh += step_s * rng.uniform(0, 0.15)
        at_s += step_s
    pieces = [readings[first : first + 40] for first in range(0, len(readings), 40)]
    events = [Event(rng.choice(("gateway", "gateway", "file")), piece) for piece in pieces]
    for n in range(4):
        display_s = rng.randrange(0, HOURS * H)
        near = min(readings, key=lambda reading: abs(reading[0] - display_s))[1]
        for shown in rng.choice((["0"], ["55", "0"], ["0", None])):
            display = None if shown is None else str(round(near + float(shown), 1))
            events.append(Event("display", (display_s, display), ("display", n)))
    lengths = [rng.choice((0, 300, 900, 900, 3600)) for _ in range(HOURS)]
    for n, interval_s in enumerate(lengths):
        if not interval_s:
            continue
        starts = [at_s for at_s in range(n * H, (n + 1) * H, interval_s) if rng.random() < 0.9]
        rows = [(at_s, str(round(interval_s * rng.uniform(0, 0.2), 2))) for at_s in starts]
        if not rows:
            continue
        events.append(Event("energies", (rows, interval_s), n))
        if rng.random() < 0.4:
            corrected = [(at_s, str(D(kwh) + 1)) for at_s, kwh in rows[: rng.randrange(1, 4)]]
            if interval_s == 900 and rng.random() < 0.5:
                events += [Event("by hand", row, n) for row in corrected]
            else:
                events.append(Event("energies", (corrected, interval_s, "misread"), n))
    return events


def shuffled(events: Sequence[Event], rng: random.Random) -> list[Event]:
    later = {event.order_of: iter([each for each in events if each.order_of == event.order_of]) for event in events}
    return [
        event if event.order_of is None else next(later[event.order_of]) for event in rng.sample(events, len(events))
    ]


def played(room: Room, events: Sequence[Event], settling: random.Random) -> dict[str, object]:
    room.now_ms = T + 48 * H * 1000
    try:
        for event in events:
            arrive(room, event)
            if settling.random() < 0.4:
                room.settle()
            if settling.random() < 0.1:
                room.restart()
        return told(room)
    finally:
        room.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    made.now_ms = T + 48 * H * 1000
    yield made
    made.close()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
def test_imports_and_counters_in_any_order_give_the_same_ledger(tmp_path: Path, seed: int) -> None:
    """Property, and that both kinds of source stand somewhere: else it shows nothing."""
    rng = random.Random(seed)
    events = random_events(rng)
    expected = played(Room(tmp_path / "in_order"), events, random.Random(0))
    assert {row.source for row in expected["rows"]} >= {"measured", "import"}  # type: ignore[attr-defined]
    assert expected["aside"]
    for n in range(2):
        assert played(Room(tmp_path / f"shuffled{n}"), shuffled(events, rng), rng) == expected


def test_imports_and_counters_give_the_same_ledger_from_influxdb(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rng = random.Random(5)
    events = random_events(rng)
    expected = played(Room(tmp_path / "in_order"), events, random.Random(0))
    server = Server(request.getfixturevalue("influxd").url, request.getfixturevalue("database"))
    other = Room(tmp_path / "shuffled", InfluxStore(server, tmp_path / "batches.sqlite"))
    assert played(other, shuffled(events, rng), rng) == expected


def steady(from_s: int, to_s: int) -> list[tuple[int, float]]:
    """A display each minute: 360 kW are 90 kWh a quarter hour."""
    return [(at_s, 1000 + at_s / 10) for at_s in range(from_s, to_s, 60)]


def test_what_a_counter_no_longer_says_gives_the_import_back(room: Room) -> None:
    energies(room, [(H, "80")], 900)
    room.commit(steady(0, 2 * H))
    room.settle()
    assert room.kwh() == [D(90)] * 7
    reset = Decision(T + H * 1000 + 300_000, Said.RESET)
    room.settler.decide(COUNTER, reset, "the display was replaced", "Li Na")
    room.settle()
    (row,) = [row for row in room.rows() if row.start_ms == T + H * 1000]
    assert (row.energy_kwh, row.source) == (80, "import")
    assert room.settler.books.emissions("works", row.start_ms, row.end_ms)[0].emission.kg == 40
    assert (
        list(doubtful(room.ledger, FACILITY, T, T + 2 * H * 1000)) == []
    )  # its counter says nothing of that quarter hour
    room.settler.decide(COUNTER, replace(reset, said=Said.AUTOMATIC), "it was not", "Li Na")
    room.settle()
    assert room.kwh() == [D(90)] * 7
    assert [one.row.energy_kwh for one in doubtful(room.ledger, FACILITY, T, T + 2 * H * 1000)] == [D(80)]
    assert [each.row.source for each in room.ledger.interval_versions(row)][:3] == ["import", "measured", "import"]


def test_an_import_that_the_counter_contradicts_is_named_in_both_orders(tmp_path: Path) -> None:
    def named(order: Sequence[str]) -> list[tuple[int, Decimal, Decimal, Decimal]]:
        room = Room(tmp_path / "-".join(order))
        room.now_ms = T + 48 * H * 1000
        for what in order:
            if what == "file":
                energies(room, [(0, "80"), (900, "90")], 900)
                energies(room, [(H, "360")], 3600)
            else:
                room.commit(steady(0, 3 * H))
            room.settle()
        told = doubtful(room.ledger, FACILITY, T, T + 3 * H * 1000)
        found = [(one.row.start_ms - T, one.row.energy_kwh, one.least, one.most) for one in told]
        room.close()
        return found

    # Two counts of 0.001 kWh.
    assert named(["file", "counter"]) == named(["counter", "file"]) == [(0, D(80), D("89.998"), D("90.002"))]


def test_a_published_span_keeps_the_import_until_it_is_restated(room: Room) -> None:
    """The hour was imported with 300 kWh; its counter says 360: 60 kWh x 0.5 = 30 kg more, known by name before anything changes."""
    energies(room, [(0, "300")], 3600)
    room.now_ms += 1000
    accounts = Accounts(room.ledger, [FACILITY], room.directory, lambda: room.now_ms)
    asked = Span(T, T + H * 1000, room.now_ms)
    with closing(Runs(room.directory / "runs.sqlite")) as runs:
        run = runs.add(calculated(accounts, rules_now(accounts, "works", "OPS"), asked), "ann", "", room.now_ms)
        runs.approve(run.no, "bo", room.now_ms)
        runs.publish(run.no, "ann", room.now_ms, "the meter has no gateway yet")
        room.now_ms += 1000
        room.commit(steady(0, H + 60))
        room.settle()
        (span,) = closed_spans(runs, "works")
        (change,) = late_changes(room.ledger, span)
        assert (change.intervals, change.then_kwh, change.now_kwh) == (5, D(300), D(360))
        assert accounts.statement("works", "OPS", T, T + H * 1000, span.as_of_ms).kg() == 150
        (found,) = impact(accounts, runs, room.now_ms)
        assert found.bridge is not None
        assert [(share.cause, share.kg) for share in found.bridge.shares] == [("activity", Fraction(30))]


def test_a_persons_correction_of_an_import_waits_behind_the_counter(room: Room) -> None:
    room.commit(steady(0, H))
    room.settle()
    with pytest.raises(Unfit, match="an interval without a figure"):
        by_hand(room, 0, "85")
    energies(room, [(0, "80")], 900)
    by_hand(room, 0, "85")
    assert room.kwh() == [D(90)] * 3
    filed = room.ledger.filed("works", "incomer", COUNTER.quantity, T, T + 900_000)
    assert {(row.source, row.energy_kwh) for row in filed} == {("import", D(80)), ("manual", D(85))}
    assert energies(room, [(0, "81")], 900, "misread").bad == 1  # a person's figure is not corrected by a file

"""The gap ladder: example 28, which rule takes which gap, how estimates enter the ledger and leave it again. Figures by hand."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.accounts.compile import compile_statement
from aggregator.accounts.gaps.gaps import WAIT_MS, fill, gaps
from aggregator.accounts.gaps.rules import CFR75, HOUR_MS, Series, cfr75, estimates, nearest_rank
from aggregator.accounts.metered import location_lines
from aggregator.accounts.period import Period
from aggregator.books import Books
from aggregator.emissions.profiles import profile
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger
from wattline.command import main

D = Decimal
QUARTER_MS = 900_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
BERLIN = ZoneInfo("Europe/Berlin")
NOON_MS = round(datetime(2026, 6, 1, 12, tzinfo=BERLIN).timestamp() * 1000)
FACILITY = Facility(
    "works",
    "Europe/Berlin",
    meters=(MeterSpec("incomer", "gw", D(1000), Role.MAIN), MeterSpec("second", "gw", D(1000), Role.CHECK)),
    overrides=(FactorOverride(D("0.5"), "test"),),
)
IMPORT = "energy_import_kwh"


def series(energy: dict[int, Decimal], zone: ZoneInfo = BERLIN) -> Series:
    return Series(energy, QUARTER_MS, zone, D(1000))


def test_example_28_the_rule_in_the_manner_of_40_cfr_75() -> None:
    hundred = [D(n) for n in range(1, 101)]
    hour, rule = cfr75(D(12), D(97), D(100), D(60), hundred, D(1000))
    assert (hour, rule) == (80, "gap-cfr75-mean")
    assert hour is not None
    assert hour * 12 == 960
    hour, rule = cfr75(D(30), D(97), D(100), D(60), hundred, D(1000))
    assert (hour, rule) == (90, "gap-cfr75-p90")
    assert hour is not None
    assert hour * 30 == 2700  # interpolated it would be 2,703
    assert nearest_rank(hundred[:10], 95) == 10


@pytest.mark.parametrize(
    ("gap_h", "availability", "expected"),
    [
        (24, "95", (D(80), "gap-cfr75-mean")), (25, "95", (D(90), "gap-cfr75-p90")), (8, "94.9", (D(80), "gap-cfr75-mean")),
        (9, "90", (D(95), "gap-cfr75-p95")), (1, "89.9", (D(100), "gap-cfr75-maximum")), (1, "79.9", (D(1000), "gap-cfr75-potential")),
    ],
)  # fmt: skip
def test_the_grades_of_availability(gap_h: int, availability: str, expected: tuple[Decimal, str]) -> None:
    assert cfr75(D(gap_h), D(availability), D(100), D(60), [D(n) for n in range(1, 101)], D(1000)) == expected


def test_up_to_an_hour_is_a_straight_line_between_both_sides() -> None:
    found = estimates(series({NOON_MS - QUARTER_MS: D(10), NOON_MS + HOUR_MS: D(20)}), NOON_MS, NOON_MS + HOUR_MS)
    assert [(one.energy, one.rule) for one in found] == [(D(10 + 2 * n), "gap-linear") for n in (1, 2, 3, 4)]


def test_up_to_72_hours_it_is_the_median_of_the_same_clock_time_and_beyond_nothing() -> None:
    measured = {NOON_MS - weeks * WEEK_MS: D(kwh) for weeks, kwh in ((1, 8), (2, 2), (3, 4), (4, 30), (5, 999))}
    (one, *_, last) = estimates(series(measured), NOON_MS, NOON_MS + 72 * HOUR_MS)
    assert (one.energy, one.rule) == (6, "gap-profile")
    assert (last.energy, last.rule) == (None, "fewer than 2 of the last 4 weeks have this time measured")
    (one, *_) = estimates(series(measured), NOON_MS, NOON_MS + 72 * HOUR_MS + QUARTER_MS)
    assert (one.energy, one.rule) == (None, "longer than 72 h, and no rule of a regime is set")


def test_the_clock_counts_not_the_hours_since() -> None:
    # Summer time began on 29 March 2026: the same clock time two weeks before lies 14 x 24 h - 1 h + 2 h earlier in UTC.
    at_ms = round(datetime(2026, 4, 6, 9, tzinfo=BERLIN).timestamp() * 1000)
    before = {
        round(datetime(2026, month, day, 9, tzinfo=BERLIN).timestamp() * 1000): D(5)
        for month, day in ((3, 30), (3, 23))
    }
    assert max(before) - min(before) == WEEK_MS - HOUR_MS
    assert estimates(series(before), at_ms, at_ms + 2 * HOUR_MS)[0].energy == 5
    # What the clock skips on that Sunday has no counterpart.
    skipped_ms = round(datetime(2026, 4, 5, 2, 30, tzinfo=BERLIN).timestamp() * 1000)
    also = {
        round(datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN).timestamp() * 1000): D(1),
        skipped_ms - 2 * WEEK_MS + HOUR_MS: D(7),
    }
    assert estimates(series(also), skipped_ms, skipped_ms + 2 * HOUR_MS)[0].energy is None


class Desk:
    """Five weeks of 10 kWh a quarter, less what is cut out, in a real ledger."""

    def __init__(self, path: Path, facility: Facility = FACILITY) -> None:
        self.facility = facility
        self.now_ms = NOON_MS + WEEK_MS
        self.ledger = Ledger(path)
        self.books = Books(self.ledger, [facility], lambda: self.now_ms)

    def measure(self, from_ms: int, to_ms: int, kwh: str = "10", but: Callable[[int], bool] = lambda _: False) -> None:
        rows = [
            IntervalRow("works", "incomer", IMPORT, at_ms, at_ms + QUARTER_MS, D(kwh), GOOD, True, "measured")
            for at_ms in range(from_ms, to_ms, QUARTER_MS)
            if not but(at_ms)
        ]
        self.books.enter(rows)

    def kwh(self, as_of_ms: int | None = None) -> Decimal:
        rows = self.ledger.intervals("works", "incomer", IMPORT, NOON_MS, NOON_MS + DAY_MS, as_of_ms)
        return sum((row.energy_kwh for row in rows), D(0))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "data" / "ledger.sqlite")
    with closing(made.ledger):
        made.measure(
            NOON_MS - 30 * DAY_MS, NOON_MS + 3 * DAY_MS, but=lambda at_ms: NOON_MS <= at_ms < NOON_MS + 3 * HOUR_MS
        )
        yield made


def test_estimates_fill_what_nobody_measured_are_booked_and_marked_and_give_way_to_measured_figures(desk: Desk) -> None:
    span = (NOON_MS - DAY_MS, NOON_MS + 2 * DAY_MS)
    (gap,) = gaps(desk.ledger, desk.facility, *span, desk.now_ms)
    assert (gap.from_ms, gap.to_ms, gap.open, gap.energy, gap.rules) == (
        NOON_MS,
        NOON_MS + 3 * HOUR_MS,
        False,
        120,
        ("gap-profile",),
    )
    assert desk.kwh() == 840
    fill(desk.books, desk.facility, [gap])
    assert desk.kwh() == 960
    assert desk.books.total("works", NOON_MS, NOON_MS + DAY_MS).kg == 480
    assert fill(desk.books, desk.facility, [gap])[0].intervals == []  # a second time nothing is new
    found = Resolution("works", "override", D("0.5"), "override.works", 1, "", None, "test", (), (), 0, 2**62)
    rows = desk.ledger.intervals("works", "incomer", IMPORT, NOON_MS, NOON_MS + DAY_MS)
    period = Period(
        desk.facility, profile("GHGP-LB"), NOON_MS, NOON_MS + DAY_MS, 2**60, lambda _d, _q: rows, lambda _: found
    )
    made = compile_statement(period, [location_lines])
    assert (made.coverage.covered, made.coverage.substituted, made.coverage.substituted_percent) == (96, 12, D("12.5"))
    assert {line.reason for line in made.lines} == {"", "gap-profile"}

    estimated_ms, desk.now_ms = desk.now_ms, desk.now_ms + 1
    desk.measure(NOON_MS, NOON_MS + HOUR_MS, "1")
    assert (desk.kwh(), desk.kwh(estimated_ms)) == (924, 960)
    (left,) = gaps(desk.ledger, desk.facility, *span, desk.now_ms)
    assert (left.from_ms, left.to_ms) == (NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS)


def test_what_may_still_come_is_no_gap_and_what_a_meter_never_had_neither(desk: Desk) -> None:
    desk.now_ms = NOON_MS + 2 * HOUR_MS + WAIT_MS
    (gap,) = gaps(desk.ledger, desk.facility, NOON_MS - 60 * DAY_MS, NOON_MS + 2 * DAY_MS, desk.now_ms)
    assert (gap.from_ms, gap.to_ms, len(gap.estimates)) == (NOON_MS, NOON_MS + 3 * HOUR_MS, 8)
    desk.now_ms = NOON_MS + 10 * DAY_MS
    (_, last) = gaps(desk.ledger, desk.facility, NOON_MS, NOON_MS + 4 * DAY_MS, desk.now_ms)
    assert (last.open, last.from_ms, last.to_ms, last.energy) == (True, NOON_MS + 3 * DAY_MS, NOON_MS + 4 * DAY_MS, 960)


def test_a_regime_s_preset_holds_for_every_gap(tmp_path: Path) -> None:
    made = Desk(tmp_path / "ledger.sqlite", replace(FACILITY, gap_preset=CFR75))
    with closing(made.ledger):
        made.measure(NOON_MS - 30 * DAY_MS, NOON_MS, "10")
        made.measure(NOON_MS + 12 * HOUR_MS, NOON_MS + DAY_MS, "20")
        (gap,) = gaps(made.ledger, made.facility, NOON_MS, NOON_MS + DAY_MS, made.now_ms)
        assert (gap.energy, gap.rules) == (720, ("gap-cfr75-mean",))  # 12 h of (40 + 80) / 2 kWh


def test_the_command_lists_fills_and_says_what_remains(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "aggregator.toml"
    config.write_text(
        '[aggregator]\ndata_directory = "data"\n[[facility]]\nid = "works"\ntime_zone = "Europe/Berlin"\n[[facility.meter]]\n'
        'device = "incomer"\nedge = "gw"\nrole = "main"\nrated_power_kw = 1000\n[[edge]]\nfacility = "works"\nedge = "gw"\n'
        "accept_unsigned = true\n"
    )
    asked = ["gaps", "--config", str(config), "--from", "2026-05-31", "--to", "2026-06-03"]
    assert main(asked) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        f"incomer {IMPORT} 2026-06-01T12:00+02:00 to 2026-06-01T15:00+02:00 (3 h): 120.000000 kWh, gap-profile",
        "1 gaps, 12 intervals, 0 without an estimate",
    ]
    assert main([*asked, "--fill", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["entered"], told["gaps"][0]["energy"], desk.kwh()) == (12, "120.000000", 960)
    # The line carries 1,000 kW: with the margin of counters 300 kWh in a quarter.
    desk.measure(NOON_MS + DAY_MS, NOON_MS + DAY_MS + QUARTER_MS, "300")
    desk.measure(NOON_MS + DAY_MS + QUARTER_MS, NOON_MS + DAY_MS + 2 * QUARTER_MS, "300.001")
    assert main(asked) == 1
    assert (
        "12:15+02:00 to 2026-06-02T12:30+02:00 (measured): expected 0 to 300 kWh, got 300.001"
        in capsys.readouterr().out
    )
    assert main([*asked[:-1], "2026-05-30"]) == 2
    assert "--to: expected a time after 2026-05-31, got 2026-05-30" in capsys.readouterr().err


def test_a_figure_of_another_length_supersedes_every_estimate_that_it_touches(desk: Desk) -> None:
    fill(desk.books, desk.facility, list(gaps(desk.ledger, desk.facility, NOON_MS, NOON_MS + DAY_MS, desk.now_ms)))
    hour = IntervalRow("works", "incomer", IMPORT, NOON_MS, NOON_MS + HOUR_MS, D(32), GOOD, True, "import")
    desk.books.enter([hour])
    five_ms = 300_000
    short = IntervalRow(
        "works",
        "incomer",
        IMPORT,
        NOON_MS + HOUR_MS + five_ms,
        NOON_MS + HOUR_MS + 2 * five_ms,
        D(3),
        GOOD,
        True,
        "import",
    )
    desk.books.enter([short])
    # 84 quarters measured, 7 estimated, an hour of 32 kWh and five minutes of 3.
    assert desk.kwh() == 840 + 70 + 32 + 3
    assert desk.books.total("works", NOON_MS, NOON_MS + DAY_MS).kg == D(945) / 2

"""Statements compiled from a ledger: location, market and marginal, days, factors, knowledge time. Figures: worked examples of the specification, by hand."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.line import Counts
from aggregator.accounts.runs.frozen import statement_of
from aggregator.emissions.instruments import Instrument, Instruments
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow, Ledger
from wire.reading import Quality

D = Decimal
HOUR = 3_600_000
QUARTER = 900_000
SHANGHAI = ZoneInfo("Asia/Shanghai")


def ms(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


NOW = ms("2026-06-01")
METERS = (
    MeterSpec("incomer", "gw", D(10_000), Role.MAIN),
    MeterSpec("second", "gw", D(10_000), Role.MAIN),
    MeterSpec("press", "gw", D(1000), Role.SUB),
)


class Bench:
    """A ledger filled by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.clock_ms = NOW

    def accounts(self, place: str = "CN", grid_zone: str = "") -> Accounts:
        facility = Facility("works", "Asia/Shanghai", place=place, meters=METERS, grid_zone=grid_zone)
        return Accounts(self.ledger, [facility], self.directory, lambda: self.clock_ms)

    def measured(
        self,
        start_ms: int,
        *kwh: str,
        device: str = "incomer",
        step_ms: int = QUARTER,
        grade: Grade = GOOD,
        final: bool = True,
    ) -> None:
        rows = [
            IntervalRow("works", device, "energy_import_kwh", start_ms + n * step_ms, start_ms + (n + 1) * step_ms, D(one), grade, final, "measured")
            for n, one in enumerate(kwh)
        ]  # fmt: skip
        self.ledger.put_intervals(rows, self.clock_ms)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


def test_a_year_end_splits_by_local_time_and_each_year_has_its_factor(bench: Bench) -> None:
    """Worked example 6: 100 MWh on 2022-12-31 and 150 MWh on 2023-01-01 come to 133.25 t."""
    bench.measured(ms("2022-12-31T23:00"), "100000", step_ms=HOUR)
    bench.measured(ms("2023-01-01T00:00"), "150000", step_ms=HOUR)
    made = bench.accounts().statement("works", "GHGP-LB", ms("2022-12-31"), ms("2023-01-02"))
    assert made.kg() == 133_250
    assert [(line.quantity, line.factor.kg_per_unit, line.factor.data_year) for line in made.lines if line.factor] == [
        (100_000, D("0.5366"), 2022), (150_000, D("0.5306"), 2023),
    ]  # fmt: skip


def test_a_line_is_a_local_day_of_one_meter_one_factor_and_one_grade(bench: Bench) -> None:
    start = ms("2023-05-01T23:30")
    bench.measured(start, "1.5", "2.25", "4", "8.125")
    bench.measured(ms("2023-05-02T01:00"), "16", grade=Grade(Quality.SUBSTITUTED, "counter-diff"), final=False)
    bench.measured(start, "100", device="second")
    bench.measured(start, "1000", device="press")
    made = bench.accounts().statement("works", "GHGP-LB", ms("2023-05-01"), ms("2023-05-03"))
    got = [
        (line.source, line.quantity, line.quality, line.reason, line.intervals, line.provisional)
        for line in made.of(Counts.SCOPE_2)
    ]
    assert got == [
        ("meter:incomer", D("3.75"), "good", "", 2, 0), ("meter:incomer", D("12.125"), "good", "", 2, 0),
        ("meter:incomer", D("16"), "substituted", "counter-diff", 1, 1), ("meter:second", D("100"), "good", "", 1, 0),
    ]  # fmt: skip
    assert made.kg(Counts.SCOPE_2) == D("131.875") * D("0.5306")
    assert (made.coverage.expected, made.coverage.covered, made.coverage.substituted) == (2 * 2 * 96, 6, 1)
    assert not made.complete


def test_without_a_factor_there_is_no_figure_and_the_reason_is_told(bench: Bench) -> None:
    bench.measured(ms("2020-05-01"), "10")
    made = bench.accounts().statement("works", "GHGP-LB", ms("2020-05-01"), ms("2020-05-02"))
    assert (made.kg(), made.coverage.covered, made.complete) == (None, 0, False)
    assert "no factor for 2020 or earlier" in made.lines[0].why


def test_what_was_known_then_is_told_again_byte_for_byte(bench: Bench) -> None:
    bench.measured(ms("2023-05-01"), "10")
    accounts, span = bench.accounts(), (ms("2023-05-01"), ms("2023-05-02"))
    before = accounts.statement("works", "GHGP-LB", *span, NOW)
    bench.clock_ms = NOW + HOUR
    bench.measured(ms("2023-05-01"), "11")
    after = accounts.statement("works", "GHGP-LB", *span)
    assert (before.kg(), after.kg()) == (D("5.306"), D("5.8366"))
    assert accounts.statement("works", "GHGP-LB", *span, NOW).encoded() == before.encoded()


def test_the_factor_that_was_known_at_that_time_holds(bench: Bench) -> None:
    """The 2023 factor was published on 2025-12-31: before, the latest earlier one stood in."""
    bench.clock_ms = ms("2025-06-01")
    bench.measured(ms("2023-05-01"), "1000")
    accounts, span = bench.accounts(), (ms("2023-05-01"), ms("2023-05-02"))
    early, late = (accounts.statement("works", "GHGP-LB", *span, at_ms) for at_ms in (bench.clock_ms, NOW))
    assert (early.kg(), early.lines[0].marks) == (D("536.6"), ("provisional", "fallback_latest"))
    assert (late.kg(), late.lines[0].marks) == (D("530.6"), ())


def certificate(number: int, start_ms: int, mwh: str, kind: str = "rec", hours: int = 1) -> Instrument:
    return Instrument(
        f"c{number}", kind, D(mwh), start_ms, start_ms + hours * HOUR, "CN", D(0), "works", f"R-{number}", "statement 7"
    )


def test_the_market_method_takes_retired_certificates_first_and_the_residual_mix_for_the_rest(bench: Bench) -> None:
    """Worked example 9: 1,000 kWh, 400 kWh retired: location 530.6 kg, market 365.76 kg."""
    start = ms("2023-05-01")
    bench.measured(start, "600", "300")
    bench.measured(start + 2 * QUARTER, "100", grade=Grade(Quality.SUBSTITUTED, "counter-diff"))
    with Instruments(bench.directory / "factors.sqlite") as instruments:
        instruments.add([certificate(1, start, "0.4")], "ann", NOW - 2)
        instruments.retire("c1", "works", "ann", NOW - 1)
    accounts, span = bench.accounts(), (start, ms("2023-05-02"))
    assert accounts.statement("works", "GHGP-LB", *span).kg() == D("530.6")
    market = accounts.statement("works", "GHGP-MB", *span)
    assert market.kg() == D("365.76")
    got = [(line.factor and line.factor.tier, line.quantity, line.quality, line.intervals) for line in market.lines]
    assert sorted(got, key=str) == [
        ("rec", 400, "good", 0), ("residual", 100, "substituted", 1), ("residual", 500, "good", 2),
    ]  # fmt: skip
    assert (market.coverage.covered, market.coverage.substituted) == (3, 1)


def test_hourly_matching_shows_what_annual_matching_hides(bench: Bench) -> None:
    """Worked example 10: load 100, 100, 100; contracted 250, 50, 0: annual 0 kg, hourly 150 kWh x 0.6096 = 91.44 kg."""
    start = ms("2023-05-01")
    bench.measured(start, "100", "100", "100", step_ms=HOUR)
    with Instruments(bench.directory / "factors.sqlite") as instruments:
        instruments.add(
            [certificate(1, start, "0.25", "gc_hourly"), certificate(2, start + HOUR, "0.05", "gc_hourly")],
            "ann",
            NOW - 2,
        )
        for name in ("c1", "c2"):
            instruments.retire(name, "works", "ann", NOW - 1)
    accounts, span = bench.accounts(), (start, ms("2023-05-02"))
    assert accounts.statement("works", "GHGP-MB", *span).kg() == 0
    hourly = accounts.statement("works", "GHGP-MB-HOURLY", *span)
    assert hourly.kg() == D("91.44")
    assert hourly.kg(Counts.EXPORTED) is None
    assert [line.quantity for line in hourly.of(Counts.EXPORTED)] == [150]  # of the first hour's 250


def test_a_months_certificate_is_not_a_days_but_has_hours_where_matching_is_hourly(bench: Bench) -> None:
    """Domain rule 21: 7.44 MWh of May are 10 kWh an hour. The month has 744 hours and 300 kWh, of which three hours' 30 are matched."""
    start, month = ms("2023-05-01"), 744
    bench.measured(start, "100", "100", "100", step_ms=HOUR)
    with Instruments(bench.directory / "factors.sqlite") as instruments:
        instruments.add([certificate(1, start, "7.44", "rec", month)], "ann", NOW - 2)
        instruments.retire("c1", "works", "ann", NOW - 1)
    accounts = bench.accounts()
    of_day = accounts.statement("works", "GHGP-MB", start, start + 24 * HOUR)
    (unused,) = of_day.of(Counts.EXPORTED)
    assert (of_day.kg(), unused.source, unused.quantity) == (D("182.88"), "instruments:not_used:c1", 7440)
    assert "which does not lie within the span: not used" in unused.why
    for hours in (24, month):
        made = accounts.statement("works", "GHGP-MB-HOURLY", start, start + hours * HOUR)
        assert made.kg() == 270 * D("0.6096")
        (matched,) = [line for line in made.lines if line.factor and line.factor.tier == "rec"]
        assert (matched.quantity, matched.marks) == (30, ("profile_basis flat",))
        assert [line.quantity for line in made.of(Counts.EXPORTED)] == [10 * hours - 30]  # surplus
    assert accounts.statement("works", "GHGP-MB", start, start + month * HOUR).kg() == 0


def test_an_hourly_series_is_a_sum_of_products_and_marginal_figures_stand_apart(bench: Bench) -> None:
    """Worked example 7: 100, 300, 50 kWh at 400, 200, 600 g/kWh are 130 kg; total x mean intensity would be 180."""
    start = ms("2026-05-01")
    bench.measured(start, "100", "300", "50", step_ms=HOUR)
    with GridIntensities(bench.directory / "factors.sqlite") as series:
        series.add(
            [
                HourlyFactor("CN-X", signal, start + n * HOUR, start + (n + 1) * HOUR, D(kg), "provider", NOW - 5, estimated=False)
                for signal, values in (("average", ("0.4", "0.2", "0.6")), ("marginal", ("0.8", "0.8", "0.8")))
                for n, kg in enumerate(values)
            ],
            "ann", NOW - 3,
        )  # fmt: skip
    accounts, span = bench.accounts(grid_zone="CN-X"), (start, start + 3 * HOUR)
    assert accounts.statement("works", "OPS", *span).kg() == 130
    marginal = accounts.statement("works", "MARGINAL", *span)
    assert (marginal.kg(), marginal.kg(Counts.CAUSED)) == (None, 360)


@pytest.mark.parametrize(
    ("facility", "profile", "from_ms", "to_ms", "said"),
    [
        ("nowhere", "OPS", 0, QUARTER, "facility: expected one of works, got 'nowhere'"),
        ("works", "BEST", 0, QUARTER, "profile: expected one of OPS"),
        (
            "works",
            "OPS",
            QUARTER,
            QUARTER,
            "both on a boundary of 900 s, got 1970-01-01T08:15+08:00 to 1970-01-01T08:15+08:00",
        ),
        ("works", "OPS", 1, QUARTER, "on a boundary of 900 s"),
    ],
)
def test_a_question_that_is_none_is_refused_with_what_was_expected(
    bench: Bench, facility: str, profile: str, from_ms: int, to_ms: int, said: str
) -> None:
    with pytest.raises(CannotCompile) as refused:
        bench.accounts().statement(facility, profile, from_ms, to_ms)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["GHGP-LB", "GHGP-MB", "GHGP-MB-HOURLY"])
@pytest.mark.parametrize(
    ("rows", "step_s", "covered", "percent", "complete"),
    [(96, 300, 32, D(100) / 3, False), (288, 300, 96, D(100), True), (24, 3600, 96, D(100), True), (97, 300, 32, D(9700) / 288, False), (96, 900, 96, D(100), True)],
)  # fmt: skip
def test_coverage_counts_the_facility_s_intervals_by_time_whatever_length_the_rows_have(
    bench: Bench, name: str, rows: int, step_s: int, covered: int, percent: Decimal, complete: bool
) -> None:
    """By hand, of a day of 96 quarters: 300 s are a third of one, an hour is four."""
    bench.measured(ms("2026-01-01"), *["1"] * rows, step_ms=step_s * 1000)
    bench.measured(ms("2026-01-01"), *["0"] * 96, device="second")
    made = bench.accounts().statement("works", name, ms("2026-01-01"), ms("2026-01-02"))
    found = made.coverage
    assert sum(line.intervals for line in made.lines if line.counts is Counts.SCOPE_2) == rows + 96
    assert (found.expected, found.covered, made.complete) == (192, covered + 96, complete)
    assert found.percent is not None
    assert abs(found.percent - (percent + 100) / 2) < D("1e-20")
    assert statement_of(made.encoded()) == made


def test_a_row_that_reaches_over_the_end_covers_only_what_lies_before_it(bench: Bench) -> None:
    bench.measured(ms("2026-01-01T23:30"), "4", step_ms=HOUR)
    made = bench.accounts().statement("works", "GHGP-LB", ms("2026-01-01"), ms("2026-01-02"))
    assert (made.coverage.covered, [line.covered for line in made.lines]) == (2, [2])

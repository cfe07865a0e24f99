"""CO2 that is measured in a stack: mass from concentration and flow, hours that nobody measured, and what was calculated for the sources behind it.

120,000 Nm3 of natural gas are 259.46265708 t (example 3 of the specification); a 12 h gap between 100 and 60 an hour is 960 (example 28). The rest by hand.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from recorded_site import YEAR, Site, ms

from aggregator.accounts.activities.kept_of_span import kept_of_span
from aggregator.accounts.gaps.gaps import fill, gaps
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.books import Books
from aggregator.facility import Facility
from aggregator.intervals.boundaries import GOOD
from aggregator.intervals.carrier_use import CarrierUse, Stack
from aggregator.intervals.meter import MeterSpec, Role
from aggregator.ledger import IntervalRow, Ledger
from aggregator.reports.checking import check
from aggregator.reports.recorded import differences
from wattline.command import main

D = Decimal
HOUR_MS = 3_600_000
CO2 = "flue_gas_co2_kg"
STACK = Stack("QAL2 report 2025-03", ("activity:boiler",))
SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN-JS"
[[facility.meter]]
device = "stack-1"
edge = "gw"
role = "main"
carrier = "flue_gas"
rated_co2_kg_per_h = 50000
accuracy_percent = 5
stack = { evidence = "QAL2 report 2025-03", in_place_of = ["activity:boiler"] }
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""
HOURS = """start,co2_g_per_nm3,flow_nm3_per_h
2025-01-01T00:00+08:00,180,100000
2025-01-01T01:00+08:00,150.5,99999.9
2025-01-01T02:00+08:00,0,100000
2025-01-01T03:00+08:00,-1,100000
2025-01-01T04:00+08:00,180,many
2025-01-01T05:00+08:00,180,1000000
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The boiler's natural gas is on record, and its stack measures 260 t in the first hour of the year."""
    made = Site(tmp_path)
    made.records("boiler,fuel,natural_gas,stationary,SPAN,Nm3,120000,,")
    made.ledger.put_intervals([hour(ms("2025-01-01"), "260000")], 0)
    yield made
    made.close()


def hour(at_ms: int, kg: str) -> IntervalRow:
    return IntervalRow("works", "stack-1", CO2, at_ms, at_ms + HOUR_MS, D(kg), GOOD, True, "import")


def stack_of(stack: Stack = STACK) -> MeterSpec:
    return MeterSpec("stack-1", "gw", D(50_000), Role.MAIN, "flue_gas", use=CarrierUse(stack=stack))


def stated(site: Site, stack: Stack = STACK, *others: MeterSpec) -> Statement:
    site.meters = (stack_of(stack), *others)
    return site.statement("CBAM")


def only(made: Statement, source: str, counts: Counts) -> Line:
    (line,) = [line for line in made.of(counts) if line.source == source]
    return line


def test_what_was_measured_takes_the_place_of_what_was_calculated_and_the_difference_is_said(site: Site) -> None:
    """260 t instead of 259.46265708 t: 0.207 % more."""
    made = stated(site)
    line = only(made, "meter:stack-1", Counts.SCOPE_1)
    assert (line.kg, line.quantity, line.unit, line.intervals, line.covered) == (D(260_000), D(260_000), "kg", 1, 4)
    assert line.factor is not None
    assert (line.factor.kg_per_unit, line.factor.tier) == (1, "measured")
    assert line.factor.source == "measured all the time in stack-1: QAL2 report 2025-03"
    calculated = only(made, "activity:boiler", Counts.ALLOCATED)
    assert (calculated.kg, calculated.marks) == (D("259462.65708"), ("measured_at_stack-1",))
    assert (made.kg(), made.kg(Counts.SCOPE_1)) == (D(260_000), D(260_000))
    assert made.notes == ("stack-1: measured 260000.000 kg CO2 in place of 259462.657 kg calculated, +0.207 %",)
    assert not made.complete, "8,759 hours have no figure"
    assert made.coverage.expected == 8760 * 4


def test_other_gases_of_the_fuel_stay_calculated(site: Site) -> None:
    """Under GHGP diesel has CH4 and N2O besides; a stack measures neither."""
    site.records("boiler,fuel,diesel,stationary,SPAN,t,10,,")
    site.meters = (stack_of(),)
    made = site.statement("GHGP-LB")
    assert {line.gas for line in made.of(Counts.SCOPE_1) if line.source == "activity:boiler"} == {"CH4", "N2O"}
    assert {line.carrier for line in made.of(Counts.ALLOCATED)} == {"natural_gas", "diesel"}


def test_a_record_from_before_the_stack_counts_as_calculated_and_one_across_has_no_figure(site: Site) -> None:
    before = stated(site, replace(STACK, from_ms=YEAR[1]))
    assert before.kg() == before.kg(Counts.SCOPE_1) == D("259462.65708"), "the same CO2 is not counted twice"
    shown = only(before, "meter:stack-1", Counts.ALLOCATED)
    assert (shown.kg, shown.marks) == (D(260_000), ("before_valid_from",))
    assert before.coverage.expected == 0
    across = stated(site, replace(STACK, from_ms=ms("2025-07-01")))
    line = only(across, "activity:boiler", Counts.SCOPE_1)
    assert (line.kg, "expected a record up to then and one from then on" in line.why) == (None, True)
    assert across.notes == ("stack-1: measured no figure CO2 in place of no figure calculated",), (
        "it measured in January only"
    )


def test_the_biogenic_share_of_a_stack_is_shown_apart(site: Site) -> None:
    made = stated(site, replace(STACK, biogenic_ratio=D("0.25")))
    assert (made.kg(), made.kg(Counts.BIOGENIC)) == (D(195_000), D(65_000))
    assert "measured 260000.000 kg" in made.notes[0]


def test_a_gas_meter_behind_the_stack_counts_no_more_and_is_not_expected_to(site: Site) -> None:
    gas = MeterSpec("boiler", "gw", D(400), Role.MAIN, "gas", use=CarrierUse("natural_gas"))
    row = IntervalRow("works", "boiler", "gas_volume_normal_m3", YEAR[0], YEAR[0] + HOUR_MS, D(120), GOOD, True, "import")  # fmt: skip
    site.ledger.put_intervals([row], 0)
    made = stated(site, replace(STACK, in_place_of=("meter:boiler",)), gas)
    assert made.kg(Counts.SCOPE_1) == D(260_000)
    assert only(made, "meter:boiler", Counts.ALLOCATED).kg == D("259.46265708")
    assert made.coverage.expected == 8760 * 4
    both = stated(site, replace(STACK, in_place_of=("meter:boiler",), from_ms=ms("2025-07-01")), gas)
    assert both.coverage.expected == 8760 * 4, "the boiler until July, the stack from then on"
    assert both.kg(Counts.SCOPE_1) == D("259.46265708")


def test_a_stack_that_counts_from_noon_on_splits_the_day_for_itself_and_for_the_gas_meter_behind_it(site: Site) -> None:
    """120 Nm3 (0.25946265708 t) an hour and 300 kg an hour in the stack, hour by hour through a day: 12 h of each."""
    gas = MeterSpec("boiler", "gw", D(400), Role.MAIN, "gas", use=CarrierUse("natural_gas"))
    day_ms = ms("2025-03-04")
    for at_ms in range(day_ms, day_ms + 24 * HOUR_MS, HOUR_MS):
        row = IntervalRow("works", "boiler", "gas_volume_normal_m3", at_ms, at_ms + HOUR_MS, D(120), GOOD, True, "import")  # fmt: skip
        site.ledger.put_intervals([row], 0)
        site.ledger.put_intervals([hour(at_ms, "300")], 0)
    made = stated(site, replace(STACK, in_place_of=("meter:boiler",), from_ms=day_ms + 12 * HOUR_MS), gas)
    assert made.kg(Counts.SCOPE_1) == 12 * D("259.46265708") + 12 * 300
    assert {line.kg for line in made.of(Counts.ALLOCATED) if line.source == "meter:boiler"} == {12 * D("259.46265708")}
    assert "no figure" not in made.notes[0]


def test_hours_that_nobody_measured_follow_the_rule_of_the_stack(tmp_path: Path) -> None:
    """29 hours of 100 kg, 12 without a figure, then 60: each missing hour is 80 kg, by the mean of both sides (40 CFR 75.33)."""
    facility = Facility("works", "Asia/Shanghai", meters=(stack_of(replace(STACK, gap_preset="40cfr75")),))
    start_ms = ms("2025-01-01")
    now_ms = start_ms + 10 * 24 * HOUR_MS
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        books = Books(ledger, [facility], lambda: now_ms)
        books.enter([hour(start_ms + n * HOUR_MS, "100" if n < 29 else "60") for n in range(60) if not 29 <= n < 41])
        (gap, _) = gaps(ledger, facility, start_ms, now_ms, now_ms)
        assert (gap.energy, gap.rules, len(gap.estimates)) == (D(960), ("gap-cfr75-mean",), 48)
        fill(books, facility, [gap])
        rows = ledger.intervals("works", "stack-1", CO2, start_ms, now_ms)
        assert sum(row.energy_kwh for row in rows) == 29 * 100 + 960 + 19 * 60


def test_a_verifier_knows_which_records_a_stack_stands_in_for(site: Site) -> None:
    """A line that is shown apart must be the stack's or a main meter's, and one that counts must be neither's."""
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,")
    made = stated(site)
    facility = site.accounts().facility("works")
    rules = site.accounts().profile("CBAM")
    records = kept_of_span(site.directory, facility, rules, *YEAR, site.now_ms)
    assert list(differences(made, records, facility.meters)) == []
    for source, counts, wanted in (
        ("activity:boiler", Counts.SCOPE_1, "allocated"), ("activity:truck", Counts.ALLOCATED, "scope1"),
    ):  # fmt: skip
        lines = tuple(replace(line, counts=counts) if line.source == source else line for line in made.lines)
        (found,) = differences(replace(made, lines=lines), records, facility.meters)
        assert (found.expected.endswith(f"to count as {wanted}"), found.seen) == (True, counts)


def test_concentration_times_flow_is_imported_settled_and_checked_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """180 g/Nm3 x 100,000 Nm3 are 18,000 kg, 150.5 x 99,999.9 are 15,049.98495 kg; 180,000 kg are more than 1.2 x 50,000 an hour."""
    config, hours = tmp_path / "aggregator.toml", tmp_path / "hours.csv"
    config.write_text(SETTINGS)
    hours.write_text(HOURS)
    of = ["--config", str(config), "--facility", "works"]
    words = [
        "import",
        str(hours),
        *of,
        "--device",
        "stack-1",
        "--quantity",
        CO2,
        "--time-column",
        "start",
        "--interval-s",
        "3600",
    ]
    measured = ["--value-column", "co2_g_per_nm3", "--flow-column", "flow_nm3_per_h", "--unit", "g/Nm3"]
    assert main([*words, *measured]) == 1
    said = capsys.readouterr()
    assert "3 rows, 3 new, 3 bad, 33049.98495 kg" in said.out
    for fault in (
        "hours.csv:5: co2_g_per_nm3: expected a concentration in g/Nm3, 0 or above, got '-1'",
        "hours.csv:6: flow_nm3_per_h: expected a flow in Nm3/h, 0 or above",
        "hours.csv:7: co2_g_per_nm3: expected at most 60000",
    ):
        assert fault in said.err, said.err
    span = ("--from", "2025-01-01", "--to", "2025-01-02")
    assert main(["statement", *of, *span, "--lines"]) == 0
    assert "meter:stack-1  flue_gas  33049.98495 kg x 1 (co2.measured v1) = 33049.985 kg" in capsys.readouterr().out
    assert main(["lineage", "line", *of, *span, "--line", "0"]) == 0
    assert "intervals 3, sum 33049.98495 kg: the same" in capsys.readouterr().out
    out = tmp_path / "report.zip"
    assert main(["report", *of, *span, "--format", "zip", "--out", str(out)]) == 0
    verdict = check(out.read_bytes())
    assert (verdict.faults, verdict.statements[0].summed, verdict.statements[0].intervals) == ([], 1, 3)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--flow-column", "flow_nm3_per_h", "--unit", "kg"), "unit must be one of g/Nm3, mg/Nm3, is 'kg'"),
        (("--unit", "kWh"), "unit must be one of kg, t, is 'kWh'"),
        (("--flow-column", "flow_nm3_per_h", "--unit", "g/Nm3", "--interval-s", "60"), "need intervals whose hours are a decimal number"),
        (("--quantity", "gas_volume_m3", "--unit", "m3", "--flow-column", "x"), "a flow column is for flue_gas_co2_kg only"),
    ],
)  # fmt: skip
def test_an_import_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    config, hours = tmp_path / "aggregator.toml", tmp_path / "hours.csv"
    config.write_text(SETTINGS)
    hours.write_text(HOURS)
    of = ["--config", str(config), "--facility", "works", "--device", "stack-1", "--quantity", CO2]
    assert main(["import", str(hours), *of, *more]) == 1
    assert said in capsys.readouterr().err

"""What the meters inside a main take of its kg: example 23 with a factor, supply of the site's own, and conservation over random sites."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.accounts.compile import compile_statement
from aggregator.accounts.line import Counts
from aggregator.accounts.metered import location_lines
from aggregator.accounts.period import Period
from aggregator.accounts.tree import shares
from aggregator.accounts.tree.shares import allocated_lines, shared
from aggregator.emissions.profiles import profile
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
IMPORT, EXPORT = "energy_import_kwh", "energy_export_kwh"
FOUND = Resolution("works", "national", D("0.5306"), "elec.cn.grid.avg", 1, "CN", 2023, "doc", (), (), 0, 2**62)
Energies = dict[tuple[str, str], list[Decimal]]


def meter(device: str, parent: str = "", role: Role = Role.SUB) -> MeterSpec:
    return MeterSpec(device, "gw", D(1000), role, parent=parent)


def period(energies: Energies, *meters: MeterSpec, kg_per_kwh: str | None = "0.5306", grade: Grade = GOOD) -> Period:
    def intervals(device: str, quantity: str) -> list[IntervalRow]:
        return [
            IntervalRow("works", device, quantity, n * QUARTER_MS, (n + 1) * QUARTER_MS, kwh, grade, True, "measured")
            for n, kwh in enumerate(energies.get((device, quantity), []))
        ]

    found = replace(FOUND, kg_per_kwh=None if kg_per_kwh is None else D(kg_per_kwh))
    facility = Facility("works", "Asia/Shanghai", meters=meters)
    return Period(facility, profile("GHGP-LB"), 0, 96 * QUARTER_MS, 1, intervals, lambda _: found)


TREE = (meter("incomer", role=Role.MAIN), meter("A"), meter("A1", "A"), meter("B"))
EX_23: Energies = {
    ("incomer", IMPORT): [D(1000)],
    ("A", IMPORT): [D(400)],
    ("A1", IMPORT): [D(150)],
    ("B", IMPORT): [D(350)],
}


def test_example_23_the_parts_of_the_main_are_shown_apart_and_add_up_to_it() -> None:
    made = compile_statement(period(EX_23, *TREE), [location_lines, allocated_lines])
    assert made.kg() == D(1000) * D("0.5306")
    parts = {line.source: (line.quantity, line.kg) for line in made.of(Counts.ALLOCATED)}
    assert parts == {
        "part:A": (D(250), D("132.65")),
        "part:A1": (D(150), D("79.59")),
        "part:B": (D(350), D("185.71")),
        "unmetered": (D(250), D("132.65")),
    }
    assert made.kg(Counts.ALLOCATED) == made.kg()


def test_where_the_roof_supplies_too_everybody_gets_less_of_the_grid_s_kg() -> None:
    # 300 kWh of the grid and 200 of the roof reach 500 kWh of loads: 3/5 of 0.5306 kg/kWh each.
    energies: Energies = {("incomer", IMPORT): [D(300)], ("roof", EXPORT): [D(200)], ("press", IMPORT): [D(450)]}
    made = compile_statement(
        period(energies, meter("incomer", role=Role.MAIN), meter("roof"), meter("press")),
        [location_lines, allocated_lines],
    )
    found = {line.source: (line.quantity, line.kg, line.factor, line.marks) for line in made.of(Counts.ALLOCATED)}
    assert found == {
        "part:press": (D(450), D("143.262"), None, ("site_mix",)),
        "unmetered": (D(50), D("15.918"), None, ("site_mix",)),
    }
    assert made.kg(Counts.ALLOCATED) == made.kg() == D("159.18")


def test_without_a_factor_the_parts_have_no_figure_and_say_why_and_without_sub_meters_there_are_none() -> None:
    lines = list(
        allocated_lines(period(EX_23, *TREE, kg_per_kwh=None, grade=Grade(Quality.SUBSTITUTED, "counter-diff")))
    )
    assert {(line.kg, line.quality, line.reason) for line in lines} == {(None, "substituted", "counter-diff")}
    assert list(allocated_lines(period(EX_23, TREE[0]))) == []


def test_thirds_are_cut_and_the_largest_takes_the_rest() -> None:
    assert shared(D(1), {"a": D(1), "b": D(2)}) == {"a": D("0.333333333"), "b": D("0.666666667")}


kwh = st.decimals(0, 1000, places=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(kwh, kwh, kwh, kwh, kwh), min_size=1, max_size=4))
def test_what_is_allocated_is_what_the_main_emitted_wherever_something_consumed(
    rows: list[tuple[Decimal, ...]],
) -> None:
    names = [("incomer", IMPORT), ("A", IMPORT), ("A1", IMPORT), ("B", IMPORT), ("roof", EXPORT)]
    energies = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    asked = period(energies, *TREE, meter("roof"))
    allocated = sum((line.kg or D(0) for line in allocated_lines(asked)), D(0))
    consumed = [
        row for row in rows if any((row[1] - row[2] > 0, row[2] > 0, row[3] > 0, row[0] + row[4] > row[1] + row[3]))
    ]
    assert allocated == sum((row[0] for row in consumed), D(0)) * D("0.5306")


def test_a_long_span_is_read_piece_by_piece_with_the_same_lines_and_days_without_sub_meters_have_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Local midnight is 16:00 UTC: the span touches four days, and A tells something on the first alone.
    energies: Energies = {("incomer", IMPORT): [D(1 + n % 7) for n in range(3 * 96)], ("A", IMPORT): [D(1)] * 30}
    asked = replace(period(energies, *TREE), to_ms=3 * 96 * QUARTER_MS)
    whole = list(allocated_lines(asked))
    monkeypatch.setattr(shares, "HELD", 1)
    read: list[tuple[int, int]] = []

    def rows(device: str, quantity: str, from_ms: int, to_ms: int) -> list[IntervalRow]:
        read.append((from_ms, to_ms))
        return [row for row in asked.intervals(device, quantity) if from_ms <= row.start_ms < to_ms]

    assert list(allocated_lines(replace(asked, rows=rows))) == whole
    assert len(set(read)) == 4
    assert max(line.end_ms for line in whole) == 64 * QUARTER_MS  # local midnight after the only 30 quarters of A

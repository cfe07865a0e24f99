"""Restatements over a real ledger and registry: impact first, causes that sum to the change, closed spans that stay. Figures: worked example 27, by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pool_plant import new_registry

from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.notices import Notice, Notices
from aggregator.accounts.record_file import RecordsRefused
from aggregator.accounts.runs.bridge import Bridge
from aggregator.accounts.runs.calculation import calculated, differences, proof_of_interval, rules_now
from aggregator.accounts.runs.causes import causes_between, inputs_of, mixed
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import Known, bridge_between, bridge_of_runs, impact, restated
from aggregator.accounts.runs.run import Publication
from aggregator.accounts.sealing.seals import Seals
from aggregator.emissions.packfile import FactorPack, parse
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility, FactorOverride, MeterSpec, Multiplier, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger

D = Decimal
QUARTER = 900_000
DAY = 86_400_000
SPAN = (1_653_926_400_000, 1_653_926_400_000 + DAY)  # 2022-05-31T00:00+08:00, a day
SUMMER_2024 = 1_719_763_200_000  # 2024-07-01: the factor of 2021 is published, that of 2022 is not
SUMMER_2026 = 1_782_835_200_000
FACILITY = Facility(
    "works", "Asia/Shanghai", place="CN",
    meters=(MeterSpec("incomer", "gw", D(10**9), Role.MAIN), MeterSpec("second", "gw", D(10**9), Role.MAIN)),
)  # fmt: skip


class Bench:
    """One data directory at a time that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now_ms = directory, SUMMER_2024
        (directory / "factors.sqlite").write_bytes(new_registry())
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.runs = Runs(directory / "accounts.sqlite")
        self.accounts = Accounts(self.ledger, [FACILITY], directory, lambda: self.now_ms)

    def set(self, **changes: Any) -> None:
        self.accounts.facilities["works"] = replace(self.accounts.facilities["works"], **changes)

    def measured(self, kwh: str, device: str = "incomer", *, at: int = 0, final: bool = True) -> None:
        start_ms = SPAN[0] + at * QUARTER
        row = IntervalRow(
            "works", device, "energy_import_kwh", start_ms, start_ms + QUARTER, D(kwh), GOOD, final, "measured"
        )
        self.ledger.put_intervals([row], self.now_ms - 1)

    def published(self, profile: str = "GHGP-LB") -> Publication:
        made = calculated(self.accounts, rules_now(self.accounts, "works", profile), Span(*SPAN, self.now_ms))
        run = self.runs.add(made, "ann", "", self.now_ms)
        self.runs.approve(run.no, "bo", self.now_ms)
        return self.runs.publish(run.no, "ann", self.now_ms, "some intervals are not measured")

    def impact(self, **asked: Any) -> list[tuple[str, bool]]:
        found = impact(self.accounts, self.runs, self.now_ms, **asked)
        return [(each.bridge.text() if each.bridge else each.unknown, each.reissue) for each in found]

    def close(self) -> None:
        self.ledger.close()
        self.runs.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def factor_of_2022(value: str, reason: str = "misprint in the table") -> FactorPack:
    content: dict[str, Any] = {
        "region": "CN",
        "reason": reason,
        "source": {"fix": {"title": "Correction", "issuer": "Office", "number": "9", "published": "2025"}},
        "table": [
            {
                "kind": "electricity",
                "source": "fix",
                "table": "1",
                "columns": ["id", "gas", "data_year", "value", "unit", "mark"],
                "rows": [["elec.cn.grid.avg", "CO2", 2022, value, "kg/kWh", "A"]],
            }
        ],
    }
    content["reviewed"] = dict(parse("fix", content).tables)
    return parse("fix", content)


def shares(found: Bridge) -> dict[str, Fraction]:
    return {share.cause: share.kg for share in found.shares}


def test_example_27_the_factor_of_the_year_appears_and_the_meter_is_corrected(bench: Bench) -> None:
    """10,000 MWh of 2022 booked in 2024 with the factor of 2021 (0.5568); in 2026 that of 2022 (0.5366) is known and the meter had 10,050 MWh."""
    bench.measured("10000000")
    first = bench.published()
    assert first.kg == 5_568_000
    bench.now_ms = SUMMER_2026
    assert bench.impact() == [("5568 -> 5366 t CO2e: -202 t (-3.627873563 %) = factor -202", False)]
    bench.measured("10050000")
    said = "5568 -> 5392.83 t CO2e: -175.17 t (-3.146012931 %) = factor -202.505, activity +27.335"
    assert bench.impact() == [(said, False)]
    assert bench.impact(threshold_percent=D(3)) == [(said, True)]
    run = restated(bench.accounts, bench.runs, first.no, "ann", "factor of the data year", bench.now_ms, D(3))
    assert run.bridge is not None
    assert shares(run.bridge) == {"factor": -202_505, "activity": 27_335}
    assert bench.runs.standing("works", "GHGP-LB", *SPAN) == first  # it stands until the other is published
    bench.runs.approve(run.no, "bo", bench.now_ms)
    issued = bench.runs.publish(run.no, "ann", bench.now_ms, "as before")
    assert (issued.kg, issued.supersedes, bench.impact()) == (D(5_392_830), 1, [])
    assert bridge_of_runs(bench.accounts, bench.runs, 1, 2) == run.bridge
    back = bridge_of_runs(bench.accounts, bench.runs, 2, 1)
    assert shares(back) == {"factor": 202_505, "activity": -27_335}


def test_16_4_gwh_at_9905_t_become_less_with_every_official_factor(bench: Bench) -> None:
    """The data-bank paper's 9,905 t are 0.60396 kg/kWh; checklist 1.6: 9,131.5, 8,800.2 and 8,701.8 t at later official factors, -12.1 %."""
    paper = FactorOverride(D("0.60396"), "the data-bank paper")
    bench.set(overrides=(paper,))
    bench.measured("16400000")
    assert bench.published().kg == D("9904944")
    bench.set(overrides=())
    assert bench.impact() == [("9904.944 -> 9131.52 t CO2e: -773.424 t (-7.808464137 %) = factor -773.424", True)]
    bench.now_ms = SUMMER_2026
    (impacted,) = impact(bench.accounts, bench.runs, bench.now_ms)
    assert impacted.bridge is not None
    assert impacted.bridge.after_kg == D("8800240")
    bench.set(overrides=(FactorOverride(D("0.5306"), "national factor of 2023"),))
    (last,) = impact(bench.accounts, bench.runs, bench.now_ms)
    assert last.bridge is not None
    assert last.bridge.after_kg == D("8701840")
    assert round(float(last.bridge.delta_percent or 0), 1) == -12.1


def test_a_draft_of_the_registry_shows_what_it_would_do_before_anybody_approves_it(bench: Bench) -> None:
    bench.now_ms = SUMMER_2026
    bench.measured("1000")
    bench.published()
    bench.now_ms += DAY
    with Registry(bench.directory / "factors.sqlite") as registry:
        registry.add(factor_of_2022("0.5466"), "ann", bench.now_ms)
    assert bench.impact() == []
    said = "0.5366 -> 0.5466 t CO2e: +0.01 t (+1.863585539 %) = factor +0.01"
    assert bench.impact(drafts=True) == [(said, False)]
    with Registry(bench.directory / "factors.sqlite") as registry:
        registry.decide("elec.cn.grid.avg", "approved", "bo", "", bench.now_ms)
    assert bench.impact() == [(said, False)]


def test_an_open_span_follows_late_data_by_itself_and_a_published_one_does_not(bench: Bench) -> None:
    bench.measured("1000")
    bench.published()
    bench.now_ms += DAY
    bench.measured("1100")
    assert bench.accounts.statement("works", "GHGP-LB", *SPAN).kg() == D("612.48")
    standing = bench.runs.standing("works", "GHGP-LB", *SPAN)
    assert standing is not None
    assert standing.kg == D("556.8")
    assert bench.runs.statement(standing.run).kg() == D("556.8")


@pytest.mark.parametrize("restates", [False, True])
def test_under_a_notice_later_factors_restate_only_where_it_says_so(bench: Bench, restates: bool) -> None:
    """Domain rule 15: published CN-GBT totals are not restated by later factors. 1,010 kWh at 0.5568, or at 0.5366."""
    notice = Notice(
        "CN-GBT", 2022, "national", "latest_at_submission", date(2024, 6, 30), "notice of the year", restates
    )
    with Notices(bench.directory / "accounts.sqlite") as notices:
        notices.approve(notices.add(notice, "ann", bench.now_ms - 2).no, "bo", bench.now_ms - 1)
    bench.measured("1000")
    assert bench.published("CN-GBT").kg == D("556.8")
    assert bench.runs.run(1).waits
    bench.now_ms = SUMMER_2026
    moved = "0.5568 -> 0.5366 t CO2e: -0.0202 t (-3.627873563 %) = factor -0.0202"
    assert bench.impact() == ([(moved, False)] if restates else [])
    bench.measured("1010")
    (found,) = impact(bench.accounts, bench.runs, bench.now_ms)
    assert found.bridge is not None
    assert found.bridge.after_kg == D("541.966" if restates else "562.368")
    assert set(shares(found.bridge)) == ({"factor", "activity"} if restates else {"activity"})


def test_a_corrected_multiplier_is_told_apart_from_late_readings(bench: Bench) -> None:
    """A meter of 200:1 was taken for 100:1 and shows 5 kWh; a second one brings 40 kWh late. By hand at 0.5568: +278.4 and +22.272 kg."""
    meters = FACILITY.meters
    bench.set(meters=(replace(meters[0], multipliers=(Multiplier(D(100)),)), meters[1]))
    bench.measured("500")
    bench.published()
    bench.now_ms += DAY
    bench.set(meters=(replace(meters[0], multipliers=(Multiplier(D(200)),)), meters[1]))
    bench.measured("1000")
    bench.measured("40", "second")
    (found,) = impact(bench.accounts, bench.runs, bench.now_ms)
    assert found.bridge is not None
    assert shares(found.bridge) == {"activity": Fraction("22.272"), "activity:multiplier": Fraction("278.4")}


def test_a_meter_that_was_forgotten_is_a_boundary(bench: Bench) -> None:
    bench.set(meters=FACILITY.meters[:1])
    bench.measured("500")
    bench.measured("100", "second")
    bench.published()
    bench.set(meters=FACILITY.meters)
    (found,) = impact(bench.accounts, bench.runs, bench.now_ms)
    assert found.bridge is not None
    assert shares(found.bridge) == {"boundary": Fraction("55.68")}


def test_a_facility_that_left_the_settings_is_named_in_the_list(bench: Bench) -> None:
    bench.measured("500")
    bench.published()
    bench.accounts.facilities.clear()
    assert bench.impact() == [("facility: expected one of none, got 'works'", False)]


def test_what_has_not_changed_is_not_restated(bench: Bench) -> None:
    bench.measured("500")
    bench.published()
    bench.now_ms += DAY
    with pytest.raises(RecordsRefused, match="what is known now gives the same lines"):
        restated(bench.accounts, bench.runs, 1, "ann", "to be sure", bench.now_ms)


def test_a_run_calculated_again_gives_the_same_bytes_also_after_later_changes(bench: Bench) -> None:
    for at in range(8):
        bench.measured(f"{100 + at}.25", at=at)
    bench.published()
    bench.now_ms = SUMMER_2026
    bench.measured("999", at=3)
    bench.set(meters=FACILITY.meters[:1], place="CN-JS")
    assert differences(bench.accounts, bench.runs, 1) == []


def test_a_run_over_a_sealed_month_is_the_run_over_its_rows(bench: Bench) -> None:
    bench.now_ms = SUMMER_2026
    for at in range(8):
        bench.measured(f"{100 + at}.25", at=at)
    rules, span = rules_now(bench.accounts, "works", "GHGP-LB"), Span(*SPAN, bench.now_ms + DAY)
    rows = calculated(bench.accounts, rules, span)
    with Seals(bench.directory) as seals:
        seals.seal(bench.ledger, "works", *SPAN, bench.now_ms, "ann")
    sealed = calculated(bench.accounts, rules, span)
    assert sealed.statement.encoded() == rows.statement.encoded()
    assert sealed.series == rows.series
    assert [each.intervals for each in rows.series] == [8]


def test_what_is_no_longer_as_the_run_read_it_is_named(bench: Bench) -> None:
    """A provisional interval is replaced, not superseded: a run over one cannot be calculated again."""
    bench.measured("100", final=False)
    made = calculated(bench.accounts, rules_now(bench.accounts, "works", "GHGP-LB"), Span(*SPAN, bench.now_ms))
    bench.runs.add(made, "ann", "", bench.now_ms)
    bench.now_ms += DAY
    bench.measured("101", final=True)
    found = differences(bench.accounts, bench.runs, 1)
    assert found[0] == "inputs: expected the intervals of incomer energy_import_kwh that the run read, got others"
    assert found[1].startswith("statement, line 2: expected {")


def test_an_interval_leads_to_the_input_root_of_the_run_and_one_that_came_later_does_not(bench: Bench) -> None:
    for at in range(8):
        bench.measured(f"{100 + at}.25", at=at)
    bench.published()
    bench.now_ms += DAY
    bench.measured("7", at=20)
    run = bench.runs.run(1)
    asked = (bench.accounts, bench.runs, 1, "incomer", "energy_import_kwh")
    proof = proof_of_interval(*asked, SPAN[0] + 5 * QUARTER)
    assert proof.root() == run.input_root
    assert '"energy_kwh":"105.25"' in proof.interval.leaf
    with pytest.raises(LookupError):
        proof_of_interval(*asked, SPAN[0] + 20 * QUARTER)


kwh = st.decimals(min_value=0, max_value=10**6, places=3)
factors = st.decimals(min_value="0.0001", max_value=2, places=4)
multipliers = st.sampled_from(["1", "40", "60", "7"])
# energies of both meters before and after; factor, multiplier and number of meters of each side; whether readings came late
Change = tuple[list[Decimal], tuple[Decimal, str, int], tuple[Decimal, str, int], bool]
sides = st.tuples(factors, multipliers, st.integers(1, 2))
changes: st.SearchStrategy[Change] = st.tuples(st.lists(kwh, min_size=4, max_size=4), sides, sides, st.booleans())


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(change=changes)
def test_the_causes_sum_to_the_change_whatever_changed(
    tmp_path_factory: pytest.TempPathFactory, change: Change
) -> None:
    sums_up(tmp_path_factory.mktemp("bench"), change)


@pytest.mark.long
@settings(max_examples=150, deadline=None, phases=[Phase.generate])
@given(change=changes)
def test_the_causes_sum_to_the_change_whatever_changed_at_length(
    tmp_path_factory: pytest.TempPathFactory, change: Change
) -> None:
    sums_up(tmp_path_factory.mktemp("bench"), change)


def sums_up(directory: Path, change: Change) -> None:
    bench = Bench(directory)
    try:
        energies, before, after, late = change
        rules = rules_now(bench.accounts, "works", "GHGP-LB")

        def made(factor: Decimal, multiplier: str, meters: int) -> Rules:
            first = replace(FACILITY.meters[0], multipliers=(Multiplier(D(multiplier)),))
            own = (FactorOverride(factor, "laboratory"),)
            return Rules(replace(FACILITY, overrides=own, meters=(first, *FACILITY.meters[1:meters])), rules.profile)

        def known(side: tuple[Decimal, str, int]) -> Known:
            span, said = Span(*SPAN, bench.now_ms), made(*side)
            return said, span, calculated(bench.accounts, said, span).statement.kg()

        bench.measured(str(energies[0]))
        bench.measured(str(energies[1]), "second")
        old = known(before)
        bench.now_ms += DAY
        if late:
            bench.measured(str(energies[2]))
            bench.measured(str(energies[3]), "second")
        new = known(after)
        found = shares(bridge_between(bench.accounts, old, new))
        assert sum(found.values(), Fraction(0)) == Fraction(new[2] or 0) - Fraction(old[2] or 0)
        assert "code and method" not in found  # every change has its cause here
        one, other = (inputs_of(bench.accounts, *each[:2]) for each in (old, new))
        assert mixed(bench.accounts, one, other, frozenset()).kg() == old[2]
        assert mixed(bench.accounts, one, other, frozenset(causes_between(one, other))).kg() == new[2]
    finally:
        bench.close()

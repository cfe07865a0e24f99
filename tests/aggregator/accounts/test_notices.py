"""What a reporting year's notice fixes (domain rules 15 and 20). Factors: emissions.md 2.4, known from the days of their announcements."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from recorded_site import Site, close, ms

from aggregator.accounts.line import Counts
from aggregator.accounts.notices import Notice, Notices
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsRefused
from aggregator.facility import MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow

D = Decimal
SPAN = (ms("2023-01-01"), ms("2024-01-01"))
NATIONAL = Notice(
    "CN-GBT", 2023, "national", "latest_at_submission", date(2025, 6, 30), "notice of the ministry for 2023"
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.place = "CN-YN"
    made.records("grid,electricity,grid,indirect,SPAN,GWh,1,,", span="2023-01-01,2024-01-01")
    yield made
    made.close()


@pytest.fixture
def notices(site: Site) -> Iterator[Notices]:
    with Notices(site.directory / ACCOUNTS_NAME) as opened:
        yield opened


def enter(site: Site, notices: Notices, notice: Notice) -> None:
    site.now_ms += 1000
    notices.approve(notices.add(notice, "ann", site.now_ms).no, "bo", site.now_ms)


def test_without_an_approved_notice_there_is_no_figure(site: Site, notices: Notices) -> None:
    assert site.statement("CN-GBT", SPAN).kg() is None
    drafted = notices.add(NATIONAL, "ann", site.now_ms)
    made = site.statement("CN-GBT", SPAN)
    assert made.kg() is None
    assert "the reporting year's notice, which names the place level, is not entered" in made.lines[0].why
    with pytest.raises(RecordsRefused, match="expected a second person, ann entered it"):
        notices.approve(drafted.no, "Ann", site.now_ms)


def test_the_place_level_is_the_notices(site: Site, notices: Notices) -> None:
    """1 GWh of 2023 in Yunnan: 133.3 t with its own factor, 530.6 t with the nation's, 3.98 times as much (domain rule 15)."""
    late = replace(NATIONAL, submitted_by=date(2026, 3, 31))
    enter(site, notices, replace(late, place_level="province"))
    assert close(site.statement("CN-GBT", SPAN).kg(), "133.3")
    with pytest.raises(RecordsRefused, match="a correction needs a reason"):
        notices.add(late, "ann", site.now_ms)
    enter(site, notices, replace(late, reason="misread"))
    made = site.statement("CN-GBT", SPAN)
    assert close(made.kg(), "530.6")
    assert made.lines[0].marks == ()


def test_factors_that_were_known_after_the_submission_do_not_count_unless_the_notice_says_so(
    site: Site, notices: Notices
) -> None:
    """The factors of 2022 were announced on 2024-12-26 and those of 2023 on 2025-12-31: by 2025-06-30 the latest is 0.5366."""
    enter(site, notices, NATIONAL)
    assert close(site.statement("CN-GBT", SPAN).kg(), "536.6")
    enter(site, notices, replace(NATIONAL, restate_on_new_factor=True, reason="follows the factor"))
    assert close(site.statement("CN-GBT", SPAN).kg(), "530.6")


def test_the_data_years_factor_alone_may_be_what_the_notice_wants(site: Site, notices: Notices) -> None:
    enter(site, notices, replace(NATIONAL, factor_year_rule="data_year"))
    made = site.statement("CN-GBT", SPAN)
    assert made.kg() is None
    assert "no factor for 2023, and CN-GBT takes no other year's" in made.lines[0].why
    enter(
        site,
        notices,
        replace(NATIONAL, factor_year_rule="data_year", submitted_by=date(2026, 3, 31), reason="deadline moved"),
    )
    assert close(site.statement("CN-GBT", SPAN).kg(), "530.6")


def test_a_facilitys_own_notice_goes_before_that_for_all_and_another_year_has_none(
    site: Site, notices: Notices
) -> None:
    enter(site, notices, replace(NATIONAL, facility="works", place_level="province"))
    enter(site, notices, replace(NATIONAL, restate_on_new_factor=True))
    assert close(site.statement("CN-GBT", SPAN).kg(), "107.3")  # Yunnan 2022: 0.1073
    assert site.statement("CN-GBT", (ms("2024-01-01"), ms("2024-02-01"))).lines == ()
    assert notices.in_force("CN-GBT", "works", site.now_ms - 3000) == {}


@pytest.mark.parametrize(("deducts", "kg"), [(False, None), (True, D("-21.224"))])
def test_exports_are_deducted_only_where_the_notice_says_so(
    site: Site, notices: Notices, deducts: bool, kg: Decimal | None
) -> None:
    """Worked example 8: PV 140, load 100, no import; 40 kWh of export at 0.5306 are 21.224 kg."""
    site.meters = (MeterSpec("incomer", "gw", D(1000), Role.MAIN),)
    site.place = "CN"
    start_ms = ms("2023-05-01")
    row = IntervalRow(
        "works", "incomer", "energy_export_kwh", start_ms, start_ms + 900_000, D(40), GOOD, True, "measured"
    )
    site.ledger.put_intervals([row], site.now_ms)
    enter(
        site,
        notices,
        replace(NATIONAL, submitted_by=date(2026, 3, 31), deducts_exports=deducts, document="notice; sector part 1"),
    )
    made = site.statement("CN-GBT", (ms("2023-05-01"), ms("2023-05-02")))
    assert made.kg(Counts.SCOPE_2) == kg
    deducted = [(line.quantity, line.marks) for line in made.of(Counts.SCOPE_2)]
    assert deducted == ([(D(-40), ("export_deducted",))] if deducts else [])
    assert site.statement("GHGP-LB", (ms("2023-05-01"), ms("2023-05-02"))).kg() is None


def test_a_notice_that_cannot_be_is_refused(notices: Notices) -> None:
    with pytest.raises(RecordsRefused) as refused:
        notices.add(replace(NATIONAL, regime="GHGP-LB", place_level="planet", document=""), "", 0)
    assert [fault.split(",")[0] for fault in refused.value.faults] == [
        "GHGP-LB 2023: expected a regime that needs a notice", "GHGP-LB 2023: place level: expected one of province",
        "GHGP-LB 2023: expected the document that says so", "expected the name of who enters it",
    ]  # fmt: skip

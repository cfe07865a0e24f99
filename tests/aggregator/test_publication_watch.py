"""The alarm of a published total that has moved: raised where it would be reissued, cleared by the restatement. Figures by hand."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.runs.calculation import calculated, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import restated
from aggregator.alarms import Alarms
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger
from aggregator.publication_watch import PublicationWatch

DAY = 86_400_000
FACILITY = Facility("works", "UTC", meters=(MeterSpec("incomer", "gw", Decimal(5000), Role.MAIN),))


class Bench:
    """One published day, and a factor of the facility's own that can change."""

    def __init__(self, directory: Path) -> None:
        self.now_ms = 20_000 * DAY
        self.ledger, self.runs = Ledger(directory / "ledger.sqlite"), Runs(directory / "accounts.sqlite")
        self.alarms = Alarms(self.ledger, lambda: self.now_ms)
        self.accounts = Accounts(self.ledger, [FACILITY], directory, lambda: self.now_ms)
        self.watch = PublicationWatch(self.accounts, self.runs, self.alarms, lambda: self.now_ms, Decimal(5))
        from_ms = self.now_ms - 2 * DAY
        row = IntervalRow(
            "works", "incomer", "energy_import_kwh", from_ms, from_ms + 900_000, Decimal(100), GOOD, True, "measured"
        )
        self.ledger.put_intervals([row], self.now_ms)
        self.factor("0.5")
        made = calculated(
            self.accounts, rules_now(self.accounts, "works", "OPS"), Span(from_ms, from_ms + DAY, self.now_ms)
        )
        self.publish(self.runs.add(made, "ann", "", self.now_ms).no)

    def factor(self, kg_per_kwh: str) -> None:
        self.accounts.facilities["works"] = replace(
            FACILITY, overrides=(FactorOverride(Decimal(kg_per_kwh), "laboratory"),)
        )

    def publish(self, no: int) -> None:
        self.runs.approve(no, "bo", self.now_ms)
        self.runs.publish(no, "ann", self.now_ms, "one quarter-hour")

    def look(self) -> int:
        due = self.watch.due()
        for publication in due:
            self.watch.look(publication)
        return len(due)

    def next_day(self) -> list[tuple[str, tuple[str, ...]]]:
        self.now_ms += DAY
        self.look()
        return [(alarm.source, alarm.arguments) for alarm in self.alarms.open("works") if alarm.cleared_at_ms is None]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ledger.close()
    made.runs.close()


def test_a_total_that_moved_by_the_threshold_raises_an_alarm_until_it_is_restated(bench: Bench) -> None:
    assert bench.next_day() == []
    bench.factor("0.49")  # -2 %
    assert bench.next_day() == []
    bench.factor("0.4")  # -20 %
    assert bench.next_day() == [("publication 1", ("OPS", "-20"))]
    bench.publish(restated(bench.accounts, bench.runs, 1, "ann", "laboratory corrected it", bench.now_ms).no)
    assert bench.next_day() == []


def test_it_looks_once_a_day(bench: Bench) -> None:
    assert bench.next_day() == []
    bench.factor("0.4")
    bench.now_ms += 3_600_000
    assert (bench.look(), bench.alarms.open("works")) == (0, [])


def test_a_facility_that_left_the_settings_is_not_looked_at(bench: Bench) -> None:
    bench.accounts.facilities.clear()
    assert bench.look() == 0

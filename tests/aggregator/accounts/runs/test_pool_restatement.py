"""Runs of a site with a battery: what came late the day before changes whose the kg are, not how many there are. By conservation."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pool_plant import QUARTER, START, Plant

from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.calculation import calculated, differences, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import impact

DAY = 96 * QUARTER
AFTER = START + DAY


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    made.measured("incomer", "100 50")
    made.measured("battery", "100 50", "0 0")
    made.grid("600 200")
    made.measured("incomer", "10", start_ms=AFTER)
    made.measured("battery", "0", "40", start_ms=AFTER)
    made.grid("400", start_ms=AFTER)
    yield made
    made.ledger.close()


def test_a_battery_that_opens_otherwise_moves_lines_and_no_total_and_the_run_is_calculated_again(plant: Plant) -> None:
    accounts = Accounts(plant.ledger, [plant.facility], plant.directory, lambda: plant.clock_ms)
    plant.clock_ms += 1000
    made = calculated(accounts, rules_now(accounts, "works", "OPS"), Span(AFTER, AFTER + DAY, plant.clock_ms))
    with Runs(plant.directory / ACCOUNTS_NAME) as runs:
        runs.add(made, "ann", "", plant.clock_ms)
        runs.approve(1, "bo", plant.clock_ms)
        runs.publish(1, "ann", plant.clock_ms, "two quarter-hours")
        plant.clock_ms += 1000
        assert differences(accounts, runs, 1) == []
        plant.measured("battery", "80 50")  # of the day before, late
        plant.clock_ms += 1000
        accounts.statement("works", "OPS", AFTER, AFTER + DAY)  # whatever is kept of it meanwhile
        assert differences(accounts, runs, 1) == []
        (found,) = impact(accounts, runs, plant.clock_ms)
    assert found.lines > 0
    assert found.bridge is not None
    assert (found.bridge.delta_kg, found.bridge.shares, found.reissue) == (0, (), False)

"""Work that can wait runs in the cleanest hour before its deadline, and stands in the own footprint with g before and after; figures by hand."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.accounts.compile import REGISTRY_NAME, Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.alarms import Alarms
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.footprint.clean_hours import CleanHours
from aggregator.footprint.own_footprint import own_footprint
from aggregator.footprint.own_jobs import OwnJob
from aggregator.footprint.own_machine import OwnMachine
from aggregator.footprint.own_use import OwnRecords
from aggregator.forecast_rounds import ForecastRounds
from aggregator.forecasting import Forecasting
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow, Ledger
from aggregator.routes.footprint import answer_of
from aggregator.sealing import SealRounds
from wire.clock import Clock
from wire.reading import Quality

D = Decimal
HOUR_MS = 3_600_000
MIDNIGHT = round(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)
# 3,600 W a core: a second of it is a Wh
MACHINE = OwnMachine("node", D(1), D(3600), "test", grid_zone="ZZ", time_zone="UTC")
# g/kWh of the hours from midnight on; the cleanest of the night is the third, of all the ninth
GRAMS = [900, 600, 300, 310, 700, 700, 700, 700, 100, *[800] * 15]


class Kept:
    def __init__(self, directory: Path) -> None:
        self.directory, self.now_ms = directory, MIDNIGHT
        self.records = OwnRecords(directory / ACCOUNTS_NAME)

    def hours(self, *days: int) -> None:
        """What a provider says of two days the evening before; or of other days, counted from then."""
        rows = [
            HourlyFactor("ZZ", "average", at, at + HOUR_MS, D(grams) / 1000, "grid operator", MIDNIGHT - 6 * HOUR_MS)
            for day in days or (0, 1)
            for at, grams in ((MIDNIGHT + (24 * day + hour) * HOUR_MS, grams) for hour, grams in enumerate(GRAMS))
        ]
        with GridIntensities(self.directory / REGISTRY_NAME) as series:
            series.add(rows, "test", MIDNIGHT - 6 * HOUR_MS)

    def clean(self, machine: OwnMachine | None = MACHINE) -> CleanHours:
        return CleanHours(machine, self.directory, self.records, lambda: self.now_ms)

    def hours_in_which_it_runs(self, patient_h: int, machine: OwnMachine | None = MACHINE) -> list[int]:
        clean = self.clean(machine)
        found = []
        for hour in range(24):
            self.now_ms = MIDNIGHT + hour * HOUR_MS + 1
            if clean.now(MIDNIGHT, patient_h * HOUR_MS):
                found.append(hour)
        return found


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.records.close()


def test_work_waits_for_the_cleanest_hour_before_its_deadline(kept: Kept) -> None:
    kept.hours()
    assert kept.hours_in_which_it_runs(6)[0] == 2
    assert kept.hours_in_which_it_runs(12)[0] == 8
    assert kept.hours_in_which_it_runs(2)[0] == 1  # the third hour begins at the deadline


def test_without_a_forecast_the_same_hours_of_past_weeks_are_expected(kept: Kept) -> None:
    kept.hours(-14, -7)
    assert kept.hours_in_which_it_runs(6)[0] == 2


def test_after_its_deadline_work_runs_whatever_the_hour(kept: Kept) -> None:
    kept.hours()
    assert kept.hours_in_which_it_runs(6)[-18:] == list(range(6, 24))


def test_where_no_hour_is_known_to_be_cleaner_nothing_waits(kept: Kept) -> None:
    assert kept.hours_in_which_it_runs(6) == list(range(24))  # no series
    kept.hours()
    assert kept.hours_in_which_it_runs(6, None) == list(range(24))  # no machine
    own = OwnMachine("node", D(1), D(1), "test", grid_zone="ZZ", kg_per_kwh=D("0.4"), factor_source="contract")
    assert kept.hours_in_which_it_runs(6, own) == list(range(24))  # one factor all day


def test_what_ran_is_on_record_with_its_grams_when_due_and_when_it_ran(
    kept: Kept, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    kept.hours()
    kept.now_ms = MIDNIGHT + 2 * HOUR_MS + 5
    with caplog.at_level(logging.INFO), kept.clean().counted("sealing", MIDNIGHT, 6 * HOUR_MS):
        sum(number * number for number in range(200_000))
    (job,) = kept.records.jobs(MIDNIGHT, MIDNIGHT + 24 * HOUR_MS)
    assert (job.work, job.due_ms, job.begun_ms) == ("sealing", MIDNIGHT, kept.now_ms)
    assert D(0) < job.cpu_s < 10
    assert "own work done work=sealing waited_h=2.0" in caplog.text
    # a second of processor that was due at midnight: 1 Wh at 900 g/kWh, and at 300 where it ran; another that nobody ran for a day did not wait
    kept.records.add_job(OwnJob("forecasts", MIDNIGHT, MIDNIGHT + 2 * HOUR_MS, D(1), MACHINE.encoded()))
    kept.now_ms = MIDNIGHT + 30 * HOUR_MS
    with kept.clean().counted("late", MIDNIGHT, 6 * HOUR_MS):
        pass
    accounts = Accounts(ledger, [Facility("works", "UTC")], kept.directory, lambda: kept.now_ms)
    found = own_footprint(accounts, kept.records, MIDNIGHT, MIDNIGHT + 48 * HOUR_MS)
    forecasts, late, sealing = found.work
    assert (forecasts.energy_kwh, forecasts.g_when_due, forecasts.g) == (D("0.001"), D("0.9"), D("0.3"))
    assert (forecasts.times, forecasts.waited) == (1, 1)
    assert sealing.g is not None
    assert sealing.g_when_due == pytest.approx(sealing.g * 3)
    assert (late.times, late.waited, late.g) == (1, 0, late.g_when_due)
    told = json.loads(answer_of(found).model_dump_json())
    assert told["work"][0] == {
        "work": "forecasts", "times": 1, "waited": 1, "cpu_s": "1", "energy_kwh": "0.001000000000000", "g_when_due": "0.9000000000000000",
        "g": "0.3000000000000000",
    }  # fmt: skip


def test_work_of_a_machine_whose_power_nobody_said_has_no_grams(kept: Kept, ledger: Ledger) -> None:
    with kept.clean(None).counted("sealing", MIDNIGHT, HOUR_MS):
        pass
    accounts = Accounts(ledger, [Facility("works", "UTC")], kept.directory, lambda: kept.now_ms)
    (work,) = own_footprint(accounts, kept.records, MIDNIGHT, MIDNIGHT + HOUR_MS).work
    assert (work.times, work.g, work.g_when_due) == (1, None, None)


@pytest.fixture
def ledger(kept: Kept) -> Iterator[Ledger]:
    with closing(Ledger(kept.directory / "ledger.sqlite")) as opened:
        yield opened


def test_single_meters_are_forecast_in_a_cleaner_hour_of_the_night_and_the_main_meters_at_once(
    kept: Kept, ledger: Ledger
) -> None:
    kept.hours()
    works = Facility(
        "works", "UTC", meters=(MeterSpec("incomer", rated_power_kw=D(100), edge="gw-01", role=Role.MAIN),)
    )
    found = []
    with closing(Forecasting(ledger, [works], kept.directory, lambda: kept.now_ms)) as forecasting:
        for hour in range(4):
            kept.now_ms = MIDNIGHT + hour * HOUR_MS + 660_000
            clock = Clock(kept.now_ms, 0.001)
            rounds = ForecastRounds(forecasting, clock, Alarms(ledger, clock), kept.clean())
            found.append([device for _, device, _ in rounds.due()])
    assert found == [
        [""],
        [""],
        ["", "incomer"],
        ["", "incomer"],
    ]  # 900, 600, 300 and 310 g: the last two are cleaner than all until 6


def test_a_month_is_sealed_in_the_cleanest_hour_of_the_day_on_which_it_is_due(kept: Kept, ledger: Ledger) -> None:
    kept.hours(*range(4))  # June 1 to 4: May is due when it has been over for three days
    row = IntervalRow(
        "works",
        "incomer",
        "energy_import_kwh",
        MIDNIGHT - 900_000,
        MIDNIGHT,
        D(1),
        Grade(Quality.GOOD),
        True,
        "measured",
    )
    ledger.put_intervals([row], MIDNIGHT)
    rounds = SealRounds(ledger, [Facility("works", "UTC")], kept.directory, lambda: kept.now_ms, kept.clean())
    sealed = {}
    for hour in (0, 3, 7, 8):
        kept.now_ms = MIDNIGHT + (72 + hour) * HOUR_MS + 5
        sealed[hour] = len(rounds.look())
    assert sealed == {0: 0, 3: 0, 7: 0, 8: 1}
    (job,) = kept.records.jobs(MIDNIGHT, kept.now_ms + 1)
    assert (job.work, job.due_ms, job.begun_ms) == ("sealing", MIDNIGHT + 72 * HOUR_MS, kept.now_ms)

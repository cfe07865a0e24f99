"""Forecasts as they are issued from a ledger, kept by vintage and measured afterwards."""

import csv
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from live_plant import LivePlant, Server

from aggregator.alarms import Alarms, AlarmState
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.forecast_rounds import ForecastRounds
from aggregator.forecast_skill import skill
from aggregator.forecasting import Forecasting
from aggregator.forecasts.day_ahead import CannotForecast
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import day_span_ms
from aggregator.ledger import IntervalRow, Ledger
from aggregator.open_books import REGISTRY_NAME
from wire.clock import Clock
from wire.reading import Quality

EXCERPT = Path(__file__).parent / "forecasts" / "steel_plant_144_days_hourly.csv"
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
FIRST, LAST = date(2026, 6, 1), date(2026, 10, 22)  # Mondays first, as in the excerpt: 1 January 2018 was one
HOUR_MS = 3_600_000
Hours = Sequence[tuple[int, float]]


def meter(device: str, role: Role = Role.MAIN) -> MeterSpec:
    return MeterSpec(device, rated_power_kw=Decimal(1000), edge="gw-01", role=role)


def works(zone: ZoneInfo = SHANGHAI, grid_zone: str = "") -> Facility:
    own = () if grid_zone else (FactorOverride(Decimal("0.5"), "a meter's own factor, for this test"),)
    return Facility(
        "works", str(zone), meters=(meter("incomer"), meter("press", Role.SUB)), overrides=own, grid_zone=grid_zone
    )


def steel() -> Hours:
    """The last 90 of the excerpt's 144 days, which are told as from 1 June 2026 on."""
    lines = [line for line in EXCERPT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    begin_ms = day_span_ms(FIRST, SHANGHAI)[0]
    return [(begin_ms + at * HOUR_MS, float(row["energy_kwh"])) for at, row in enumerate(csv.DictReader(lines))][
        54 * 24 :
    ]


def rows(hours: Hours, device: str = "incomer") -> list[IntervalRow]:
    return [
        IntervalRow("works", device, "energy_import_kwh", at, at + HOUR_MS, Decimal(str(kwh)), Grade(Quality.GOOD), True, "measured")
        for at, kwh in hours
    ]  # fmt: skip


class Plant:
    """A ledger with a load, and a clock that is set."""

    def __init__(self, directory: Path, facility: Facility) -> None:
        self.now_ms = 0
        self.facility = facility
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.forecasting = Forecasting(self.ledger, [facility], directory, lambda: self.now_ms)

    def on(self, day: date, minutes: int = 15) -> None:
        self.now_ms = day_span_ms(day, self.facility.zone)[0] + minutes * 60_000

    def close(self) -> None:
        self.forecasting.close()
        self.ledger.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path, works())
    made.ledger.put_intervals(rows(steel()), 0)
    made.on(LAST)
    yield made
    made.close()


def test_today_and_tomorrow_are_forecast_with_bands_the_naive_and_emissions(plant: Plant) -> None:
    today, tomorrow = plant.forecasting.issue("works")
    assert (today.day, today.lead_days, tomorrow.day, tomorrow.lead_days) == (LAST, 1, LAST + timedelta(days=1), 2)
    assert sum(hour.kwh or 0 for hour in today.hours) == pytest.approx(today.day_kwh)
    given = dict(steel())
    for hour in today.hours:
        assert hour.naive_kwh == pytest.approx(given[hour.start_ms - 168 * HOUR_MS])
        assert (hour.low_kwh or 0) <= (hour.kwh or 0) <= (hour.high_kwh or 0)
        assert hour.kg == pytest.approx(0.5 * (hour.kwh or 0))
        assert hour.high_kg == pytest.approx(0.5 * (hour.high_kwh or 0))
        assert hour.marginal_kg_per_kwh is None
    assert today.day_low_kwh is not None
    assert today.day_low_kwh < (today.day_kwh or 0) < (today.day_high_kwh or 0)
    assert today.intensity == "factor: a meter's own factor, for this test"
    assert tomorrow.method == "seasonal_median"  # of the day before it nothing is known


def test_what_came_after_midnight_does_not_change_what_is_said_and_a_late_reading_makes_a_new_vintage(
    plant: Plant,
) -> None:
    first = plant.forecasting.issue("works")
    plant.on(LAST, minutes=900)
    changed = [(at, 900.0) for at, _ in steel() if at >= day_span_ms(LAST, SHANGHAI)[0]]
    plant.ledger.put_intervals(rows(changed), 1)
    assert [entry.hours for entry in plant.forecasting.issue("works")] == [entry.hours for entry in first]
    book = plant.forecasting.book
    assert [entry.issued_at_ms for entry in book.latest("works", "", LAST, LAST)] == [first[0].issued_at_ms]
    week_ago_ms = day_span_ms(LAST - timedelta(days=7), SHANGHAI)[0]
    plant.ledger.put_intervals(rows([(week_ago_ms, 999.0)]), 2)
    plant.forecasting.issue("works")
    (said,), (now,) = book.first_said("works", "", LAST, LAST), book.latest("works", "", LAST, LAST)
    assert (said.issued_at_ms, now.issued_at_ms) == (first[0].issued_at_ms, plant.now_ms)
    assert now.hours[0].naive_kwh == 999.0
    assert said.hours == first[0].hours


def test_what_was_issued_is_never_edited_or_removed(plant: Plant, tmp_path: Path) -> None:
    plant.forecasting.issue("works")
    with sqlite3.connect(tmp_path / "forecasts.sqlite") as db:
        for statement in ("UPDATE issued_forecast SET body = ''", "DELETE FROM issued_forecast"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                db.execute(statement)
    db.close()


def test_skill_is_what_was_said_against_what_came(plant: Plant) -> None:
    given, misses = dict(steel()), []
    days = [LAST - timedelta(days=back) for back in (3, 2, 1)]
    for day in days:
        plant.on(day)
        today, _ = plant.forecasting.issue("works")
        misses += [(hour.kwh or 0) - given[hour.start_ms] for hour in today.hours]
    plant.on(LAST)
    found = skill(plant.forecasting, "works", "", days[0], LAST)
    assert [entry.lead_days for entry in found] == [1, 2]
    one = found[0]
    assert (one.days, one.issued.hours, one.naive.hours) == (3, 72, 72)
    assert one.issued.mae_kwh == pytest.approx(sum(abs(miss) for miss in misses) / 72)
    assert one.issued.bias_kwh == pytest.approx(sum(misses) / 72)
    assert one.emissions.mae_kg == pytest.approx(0.5 * (one.issued.mae_kwh or 0))
    assert one.naive.mase_week_ratio is not None


def test_main_meters_are_added_and_an_hour_that_one_lacks_is_not_known(tmp_path: Path) -> None:
    made = Plant(tmp_path, replace(works(), meters=(meter("incomer"), meter("second"))))
    hours = [(day_span_ms(FIRST, SHANGHAI)[0] + at * HOUR_MS, 10.0) for at in range(24 * 60)]
    made.ledger.put_intervals(rows(hours), 0)
    made.ledger.put_intervals(rows([(at, 5.0) for at, _ in hours[:5] + hours[6:]], "second"), 0)
    days = made.forecasting.known(made.facility, "", FIRST, FIRST + timedelta(days=59))
    assert days is not None
    assert (days.kw[0, 4], str(days.kw[0, 5]), days.kw[59, 23]) == (15.0, "nan", 15.0)
    made.on(FIRST + timedelta(days=60))
    assert made.forecasting.issue("works", "second")[0].day_kwh == pytest.approx(120)
    assert made.forecasting.issue("works")[0].day_kwh == pytest.approx(360)
    made.close()


@pytest.mark.parametrize(
    ("day", "hours", "kwh"),
    [(date(2026, 3, 29), [0, 1, *range(3, 24)], 276 - 2), (date(2026, 10, 25), [0, 1, 2, 2, *range(3, 24)], 276 + 2)],
)
def test_a_day_of_23_or_25_hours_is_forecast_with_as_many(
    tmp_path: Path, day: date, hours: list[int], kwh: int
) -> None:
    """Berlin, where the clock changes; hour h draws h kW. Both hours from 2 to 3 of October are those of the clock hour 2 of other days."""
    made = Plant(tmp_path, works(BERLIN))
    begin_ms, end_ms = day_span_ms(day - timedelta(days=80), BERLIN)[0], day_span_ms(day, BERLIN)[0]
    loads = [(at, float(datetime.fromtimestamp(at / 1000, BERLIN).hour)) for at in range(begin_ms, end_ms, HOUR_MS)]
    made.ledger.put_intervals(rows(loads), 0)
    made.on(day)
    today, _ = made.forecasting.issue("works")
    assert [hour.kwh for hour in today.hours] == hours
    assert today.day_kwh == pytest.approx(kwh)
    assert today.hours[0].start_ms == end_ms
    made.close()


def intensities(first: date, days: int, signal: str, grams: int, published: datetime) -> list[HourlyFactor]:
    """Hour h of the local day has grams + h g/kWh."""
    found = []
    for number in range(days):
        begin_ms, end_ms = day_span_ms(first + timedelta(days=number), SHANGHAI)
        for at in range(begin_ms, end_ms, HOUR_MS):
            kg = Decimal(grams + (at - begin_ms) // HOUR_MS) / 1000
            found.append(
                HourlyFactor("CN-EAST", signal, at, at + HOUR_MS, kg, "grid", round(published.timestamp() * 1000))
            )
    return found


def test_the_zone_s_hours_are_forecast_by_their_median_and_by_the_provider_where_it_says_so(tmp_path: Path) -> None:
    made = Plant(tmp_path, works(grid_zone="CN-EAST"))
    made.ledger.put_intervals(rows(steel()), 0)
    with GridIntensities(tmp_path / REGISTRY_NAME) as series:
        made.on(LAST, minutes=-60)
        first = LAST - timedelta(days=80)
        past = intensities(first, 80, "average", 300, datetime(2026, 10, 21, tzinfo=UTC))
        series.add(
            [*past, *intensities(first, 81, "marginal", 700, datetime(2026, 10, 21, tzinfo=UTC))], "ann", made.now_ms
        )
        made.on(LAST)
        today, _ = made.forecasting.issue("works")
        assert today.intensity == "seasonal_median: the zone's hours of the last same weekdays"
        assert [hour.kg_per_kwh for hour in today.hours] == pytest.approx([0.3 + 0.001 * at for at in range(24)])
        assert [hour.kg for hour in today.hours] == pytest.approx(
            [(h.kwh or 0) * (h.kg_per_kwh or 0) for h in today.hours]
        )
        # The marginal signal is told for dispatch and enters no kg.
        assert [hour.marginal_kg_per_kwh for hour in today.hours] == pytest.approx(
            [0.7 + 0.001 * at for at in range(24)]
        )
        made.on(LAST, minutes=-30)
        series.add(intensities(LAST, 1, "average", 100, datetime(2026, 10, 21, 8, tzinfo=UTC)), "ann", made.now_ms)
        made.on(LAST)
        today, tomorrow = made.forecasting.issue("works")
        assert today.intensity == "provider: grid, published 2026-10-21T08:00+00:00"
        assert today.hours[5].kg_per_kwh == pytest.approx(0.105)
        assert tomorrow.intensity.startswith("seasonal_median")
    made.close()


def test_too_little_is_said_so(plant: Plant) -> None:
    with pytest.raises(CannotForecast, match="facility: expected one of works, got 'mill'"):
        plant.forecasting.issue("mill")
    with pytest.raises(CannotForecast, match=r"device: expected a meter of works \(incomer, press\), got 'lathe'"):
        plant.forecasting.issue("works", "lathe")
    with pytest.raises(CannotForecast, match="expected intervals before 2026-10-22, none is settled"):
        plant.forecasting.issue("works", "press")
    plant.on(LAST + timedelta(days=80))
    with pytest.raises(CannotForecast, match="at least one same weekday of the last 8 weeks"):
        plant.forecasting.issue("works")


def test_every_day_is_issued_once_ten_minutes_after_midnight(plant: Plant) -> None:
    clock = Clock(day_span_ms(LAST, SHANGHAI)[0] + 5 * 60_000, 0.001)
    alarms = Alarms(plant.ledger, clock)
    assert list(ForecastRounds(plant.forecasting, clock, alarms).due()) == []
    clock = Clock(day_span_ms(LAST, SHANGHAI)[0] + 11 * 60_000, 0.001)
    rounds = ForecastRounds(plant.forecasting, clock, alarms)
    due = list(rounds.due())
    assert [(device, day) for _, device, day in due] == [("", LAST), ("incomer", LAST), ("press", LAST)]
    for facility, device, day in due:
        rounds.issue(facility, device, day)
    assert list(rounds.due()) == []
    assert len(plant.forecasting.book.latest("works", "incomer", LAST, LAST + timedelta(days=1))) == 2
    assert plant.forecasting.book.latest("works", "press", LAST, LAST) == []


def test_a_load_that_may_exceed_the_connection_is_warned_of_hours_ahead_until_it_no_longer_may(plant: Plant) -> None:
    """A connection of 200 kW lies within the band of the shifts, one of 2,000 kW above every load of the plant."""
    clock = Clock(day_span_ms(LAST, SHANGHAI)[0] + 11 * 60_000, 0.001)
    alarms = Alarms(plant.ledger, clock)
    today, _ = plant.forecasting.issue("works")
    over = next(hour for hour in today.hours if (hour.high_kwh or 0) > 200)
    for connection_kw, expected in ((200, ["overload_expected"]), (2000, [])):
        plant.forecasting.facilities["works"] = facility = replace(plant.facility, connection_kw=Decimal(connection_kw))
        ForecastRounds(plant.forecasting, clock, alarms).issue(facility, "", LAST)
        active = [alarm for alarm in alarms.open("works") if alarm.state is AlarmState.UNACK]
        assert [alarm.code for alarm in active] == expected
        for alarm in active:
            assert alarm.arguments[0] == datetime.fromtimestamp(over.start_ms / 1000, SHANGHAI).isoformat(
                timespec="minutes"
            )
            assert alarm.arguments[2] == "200"


def test_programs_read_what_was_issued_and_how_good_it_was(plant: Plant, tmp_path: Path) -> None:
    for back in (1, 0):
        plant.on(LAST - timedelta(days=back))
        plant.forecasting.issue("works")
    (tmp_path / "live").mkdir()
    live = LivePlant(tmp_path / "live", facility=plant.facility)
    live.now_ms = plant.now_ms
    with (
        Server(replace(live.services, forecasting=plant.forecasting)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        found = client.get("/api/v1/facilities/works/forecasts").json()
        assert [(entry["day"], entry["lead_days"]) for entry in found["forecasts"]] == [
            ("2026-10-22", 1),
            ("2026-10-22", 2),
            ("2026-10-23", 2),
        ]
        assert len(found["forecasts"][0]["hours"]) == 24
        given = dict(steel())  # the excerpt's last day is today
        assert [(hour["start_ms"], hour["kwh"]) for hour in found["measured"]] == [
            (at, pytest.approx(kwh)) for at, kwh in given.items() if at >= day_span_ms(LAST, SHANGHAI)[0]
        ]
        measured = client.get("/api/v1/facilities/works/forecasts/skill").json()
        assert [entry["issued"]["hours"] for entry in measured["skill"]] == [24]
        assert client.get("/api/v1/facilities/works/forecasts", params={"device": "lathe"}).status_code == 404
        for bad in ("2026-02-30", "9999-12-31", "0001-01-01", "2099-12-31"):
            refused = client.get("/api/v1/facilities/works/forecasts", params={"first": bad})
            assert refused.status_code == 422, bad
    with Server(live.services) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/api/v1/facilities/works/forecasts").status_code == 503
    live.close()

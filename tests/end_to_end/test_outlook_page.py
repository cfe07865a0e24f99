"""The page of today and tomorrow in a real Chromium: forecast beside measured, the skill of what was issued, and the program's own footprint."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from browser import Page
from live_plant import LivePlant, Server

from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.footprint.own_machine import OwnMachine
from aggregator.footprint.own_use import OwnRecords, OwnSpan
from aggregator.forecasting import Forecasting
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import day_span_ms
from aggregator.ledger import IntervalRow
from aggregator.settings import Http
from wire.reading import Quality

TODAY = date(2026, 6, 1)
HOUR_MS = 3_600_000
FACILITY = Facility(
    "works", "Asia/Shanghai", meters=(MeterSpec("incomer", "gw", Decimal(1000), Role.MAIN),), overrides=(FactorOverride(Decimal("0.5"), "test"),)
)  # fmt: skip
MACHINE = OwnMachine(
    "edge node", Decimal(4), Decimal(1), "example 29", kg_per_kwh=Decimal("0.5306"), factor_source="2023"
)


class Outlook:
    """Sixty days of an hour h that draws 100 + h kW, until noon of today; forecasts of yesterday and today."""

    def __init__(self, directory: Path) -> None:
        self.live = LivePlant(directory, facility=FACILITY, http=Http(port=0, allowed_hosts=("127.0.0.1",)))
        begin_ms, today_ms = (day_span_ms(day, FACILITY.zone)[0] for day in (TODAY - timedelta(days=60), TODAY))
        rows = [
            IntervalRow(
                "works", "incomer", "energy_import_kwh", at, at + HOUR_MS, Decimal(100 + (at - begin_ms) // HOUR_MS % 24), Grade(Quality.GOOD), True,
                "measured",
            )
            for at in range(begin_ms, today_ms + 12 * HOUR_MS, HOUR_MS)
        ]  # fmt: skip
        self.live.ledger.put_intervals(rows, 0)
        self.forecasting = Forecasting(self.live.ledger, [FACILITY], directory, self.live.clock)
        for at_ms in (today_ms - 23 * HOUR_MS, today_ms + 12 * HOUR_MS):
            self.live.now_ms = at_ms
            self.forecasting.issue("works")
        self.records = OwnRecords(directory / ACCOUNTS_NAME)
        self.records.add(
            OwnSpan(
                today_ms,
                today_ms,
                Decimal(86_400),
                Decimal(0),
                5000,
                MACHINE.encoded(),
                {"works": 86_400},
                {"works": 900},
            )
        )
        accounts = Accounts(self.live.ledger, [FACILITY], directory, self.live.clock)
        self.services = replace(
            self.live.services, forecasting=self.forecasting, own_records=self.records, accounts=accounts
        )

    def close(self) -> None:
        self.forecasting.close()
        self.records.close()
        self.live.close()


@pytest.fixture
def outlook(tmp_path: Path) -> Iterator[Outlook]:
    made = Outlook(tmp_path)
    yield made
    made.close()


def test_the_page_shows_the_forecast_beside_what_was_measured_its_skill_and_the_own_footprint(
    page: Page, outlook: Outlook
) -> None:
    """The day's kWh are 24 x 100 + 276, the kg half of it; 4 W for a day at 0.5306 kg/kWh are 50.938 g, 589.56 g per million of 86,400."""
    with Server(outlook.services) as server:
        page.open(f"{server.url}/outlook")
        page.until(lambda: "2,676 kWh" in page.text("#said"), "the forecast is told")
        assert "1,338 kg CO2e" in page.text("#said")
        for key in ("load", "forecast", "high", "low", "naive"):
            path = page.attribute(f'#load path[data-series="{key}"]', "d") or ""
            assert path.count("L") > 10, key
        measured, forecast = (
            page.script(f"return document.querySelector('path[data-series={key}]').getBBox().width")
            for key in ("load", "forecast")
        )
        assert measured / forecast == pytest.approx(11 / 48, abs=0.01)  # until noon of the first of two days
        page.until(lambda: len(page.all("#skill tbody tr")) == 2, "the skill is listed")
        assert "issued 24 0.00" in " ".join(page.text("#skill tbody tr").split())
        page.until(lambda: "589.5556 g CO2e per million" in page.text("#own-said"), "the own footprint is told")
        assert page.text("#own tbody tr").split() == ["works", "86,400", "50.938", "none", "recorded", "–"]
        page.script("document.getElementById('language').click()")
        page.until(lambda: "每百万读数" in page.text("#own-said"), "it is told in Chinese")
        assert page.faults() == []

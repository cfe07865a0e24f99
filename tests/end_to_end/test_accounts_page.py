"""The books' page in a real Chromium: what a month comes to as known and as published, runs with their causes, the meter tree. Figures by hand.

May 2026 has 744 hours. The incomer draws 100 kWh in each, the workshop 40 and the offices 25 of it: 74,400 kWh at 0.5 kg/kWh are 37.2 t, and
35 kWh an hour, 26,040 kWh, nobody measures further. Then one hour is corrected from 100 to 300 kWh: 0.1 t more.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from browser import Page
from live_plant import LivePlant, Server

from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.price import CarbonPrice
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.calculation import calculated, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import restated
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow
from aggregator.settings import Http
from wire.reading import Quality

HOUR_MS = 3_600_000
FROM = 1_777_564_800_000  # 2026-05-01 00:00 in Shanghai
TO = FROM + 744 * HOUR_MS
DRAWN = {"incomer": "100", "workshop": "40", "offices": "25"}
FACILITY = Facility(
    "works", "Asia/Shanghai", "Works <b>1</b>",
    meters=tuple(
        MeterSpec(device, "gw", Decimal(1000), Role.MAIN if device == "incomer" else Role.SUB, parent="" if device == "incomer" else "incomer")
        for device in DRAWN
    ),
    overrides=(FactorOverride(Decimal("0.5"), "contract"),),
    carbon_prices=(CarbonPrice(Decimal("68.38"), "CNY", "national ETS, 2025-06-30"),),
)  # fmt: skip


class Books:
    """A published May, and a restatement of it."""

    def __init__(self, directory: Path) -> None:
        self.live = LivePlant(directory, facility=FACILITY, http=Http(port=0, allowed_hosts=("127.0.0.1",)))
        self.live.now_ms = TO + HOUR_MS
        for device, kwh in DRAWN.items():
            self.enter(device, kwh, range(FROM, TO, HOUR_MS))
        accounts = Accounts(self.live.ledger, [FACILITY], directory, self.live.clock)
        self.runs = Runs(directory / ACCOUNTS_NAME)
        made = calculated(accounts, rules_now(accounts, "works", "GHGP-LB"), Span(FROM, TO, self.live.now_ms))
        self.runs.add(made, "Ann", "", self.live.now_ms)
        self.runs.approve(1, "Bo", self.live.now_ms)
        self.runs.publish(1, "Ann", self.live.now_ms)
        self.live.now_ms += 86_400_000
        self.enter("incomer", "300", [FROM])
        restated(accounts, self.runs, 1, "Ann", "a <i>typing</i> error", self.live.now_ms)
        self.services = replace(self.live.services, accounts=accounts, runs=self.runs)

    def enter(self, device: str, kwh: str, starts: range | list[int]) -> None:
        rows = [
            IntervalRow(
                "works", device, "energy_import_kwh", at_ms, at_ms + HOUR_MS, Decimal(kwh), Grade(Quality.GOOD), True, "measured",
            )
            for at_ms in starts
        ]  # fmt: skip
        self.live.ledger.put_intervals(rows, self.live.now_ms)

    def close(self) -> None:
        self.runs.close()
        self.live.close()


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path)
    yield made
    made.close()


def row(page: Page, selector: str) -> list[str]:
    """The cells of a row, read in one step."""
    return [str(text) for text in page.script(f"return [...document.querySelectorAll('{selector} > *')].map(e => e.innerText.trim())")]  # fmt: skip


def test_the_page_shows_what_is_known_beside_what_is_published_the_runs_and_the_tree(page: Page, books: Books) -> None:
    with Server(books.services) as server:
        page.open(f"{server.url}/accounts", period="2026-05")
        totals = '#totals tr[data-profile="GHGP-LB"]'
        page.until(lambda: "+0.100" in page.text(totals), "the published total is compared")
        assert row(page, totals) == [
            "GHGP-LB", "37.300", "–", "100.0 %", "0.0 %", "0", "37.200", "+0.100 (+0.27 %)", "activity +0.100",
        ]  # fmt: skip
        page.until(lambda: "…" not in page.text("#totals"), "every profile is told")
        assert "not published" in page.text('#totals tr[data-profile="GHGP-MB"]')
        assert "GHGP-LB: 2,550.57 CNY at 68.38 CNY/t (national ETS, 2025-06-30)" in page.text("#said")  # 37.3 x 68.38
        assert page.text("#span") == "2026-05-01 – 2026-05-31"

        restatement, first = page.all("#runs tbody tr")
        assert "small to be published at once" in restatement.text
        assert "a <i>typing</i> error" in restatement.text
        assert "Ann → Bo" in first.text
        bars = page.script("return [...document.querySelectorAll('#issued rect')].map(e => e.dataset.kg)")
        assert [Decimal(kg) for kg in bars] == [37_200, 37_300]

        assert row(page, '#tree tr[data-device="offices"]') == [
            "offices sub-meter",
            "18,600.0",
            "18,600.0",
            "24.9 %",
            "0",
            "0",
        ]
        assert row(page, '#tree tr[data-left="unmetered"]')[2] == "26,240.0"  # with the corrected hour
        assert page.attribute('#tree tr[data-device="workshop"] th', "data-level") == "1"
        assert "74,600.0 kWh" in page.text("#tree-said")
        assert "Own part, kWh" in page.text("#tree thead")

        page.script("document.getElementById('ask-impact').click()")
        page.until(lambda: "37.200 t would be 37.300 t" in page.text("#impact"), "the impact list is told")
        assert "(activity +0.100); small: it goes with the next issue" in page.text("#impact")

        page.script("document.getElementById('language').click()")
        page.until(lambda: "已发布" in page.text("#runs"), "it is told in Chinese")
        page.script("const p = document.getElementById('period'); p.value = '2026-06'; p.onchange()")
        page.until(lambda: "截至目前" in page.text("#span"), "a month that is not over")
        assert page.faults() == []


def test_a_facility_without_runs_says_so(page: Page, tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, http=Http(port=0, allowed_hosts=("127.0.0.1",)))
    accounts = Accounts(plant.ledger, [plant.facility], tmp_path, plant.clock)
    with (
        Runs(tmp_path / ACCOUNTS_NAME) as runs,
        Server(replace(plant.services, accounts=accounts, runs=runs)) as server,
    ):
        page.open(f"{server.url}/accounts")
        page.until(lambda: "No runs yet." in page.text("#runs"), "there are no runs")
        assert "Nothing is published yet" in page.text("#issued")
        page.until(lambda: "not complete" in page.text("#said"), "a month without energy is not complete")
        assert page.text('#totals tr[data-profile="GHGP-LB"] td') == "–"
        assert page.faults() == []
    plant.close()

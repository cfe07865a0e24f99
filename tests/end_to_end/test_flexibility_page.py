"""The page of grid events and overrides in a real Chromium: an event is asked for, answered, watched against its baseline, overridden; its reasons are read."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from browser import Page
from live_plant import START_MS, LivePlant, Server, works

from aggregator.accounts.compile import Accounts
from aggregator.audit.log import AuditLog
from aggregator.flexibility.events.conduct import Conduct
from aggregator.flexibility.events.event import Firm
from aggregator.flexibility.events.planner import Planner
from aggregator.flexibility.events.record import EventRecord
from aggregator.flexibility.events.rounds import EventRounds
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow
from aggregator.settings import Http
from wire.circuit import of_tree
from wire.clock import Clock

QUARTER_MS = 900_000
CIRCUIT = of_tree(
    {
        "facility": "works",
        "branch": [{"name": "supply", "limit_kva": 1000.0}],
        "asset": [{"name": "bank", "kind": "battery", "branch": "supply", "edge": "gw-02", "device": "battery", "point": "active_power_setpoint_kw", "charge_kw": 100.0, "discharge_kw": 100.0, "capacity_kwh": 200.0},
                  {"name": "pump", "kind": "load", "branch": "supply", "edge": "gw-02", "device": "pump", "point": "active_power_limit_percent", "charge_kw": 10.0}],
    }
)  # fmt: skip
PLAN = {
    "id": "P-7", "made_ms": START_MS, "status": "optimal", "trigger": ["event"], "why": "", "edges_ms": [START_MS, START_MS + 4 * QUARTER_MS], "currency": "CNY",
    "money": {"total": 12.5}, "kg": {"accounting": 3.0}, "peak_kw": 90.0, "outlook": "seasonal naive", "sun_kw": [190.0], "curtailed_kw": [0.0],
    "import_kw": [90.0], "export_kw": [0.0], "assets": {"bank": {"asset": "bank", "kw": [-50.0], "kwh": [100.0]}}, "kinds": {"bank": "battery", "pump": "load"}, "stays": [], "charging_mode": "one_way",
    "loads": [{"asset": "pump", "name": "pump 11-21 10:00", "kind": "window", "from_ms": START_MS, "until_ms": START_MS + 8 * QUARTER_MS, "kwh": 20.0, "had_kwh": 16.0,
               "planned_kwh": 4.0, "lacking_kwh": 0.0, "runs": [], "words": "pump 11-21 10:00 (20 kWh): 16.0 kWh had"}],
    "lacking": [], "left_out": [], "broken": [{"kind": "response", "name": "DR-1", "step": 0, "amount": 4.5, "unit": "kW"}], "notes": [], "against": {"uncontrolled": {"saved_money": 3.0, "peak_kw": 140.0}},
    "explained": [{"from_ms": START_MS, "until_ms": START_MS + 4 * QUARTER_MS, "marginal_price": 0.75, "binding": ["response DR-1"], "words": "one more kWh costs CNY 0.750"}],
}  # fmt: skip


class Site:
    """A works with an hour of live readings before now, and its events; time moves by hand."""

    def __init__(self, directory: Path) -> None:
        self.plant = LivePlant(directory, facility=works(), http=Http(port=0, allowed_hosts=("127.0.0.1",)))
        self.plant.now_ms = START_MS - QUARTER_MS - 60_000
        self.plant.run_to(START_MS - 60_000, 2000)
        self.plant.announce()
        self.put(START_MS - 2 * QUARTER_MS, START_MS, 100)
        self.log = AuditLog(directory, self.plant.store, "test", self.plant.clock)
        self.record = EventRecord(directory / "events.sqlite")
        accounts = Accounts(self.plant.ledger, [self.plant.facility], directory, self.plant.clock)
        offers = {"at_ms": START_MS, "offers": [{"from_ms": START_MS, "hours": 1.0, "direction": "down", "kw": 80.0}]}
        planner = Planner(
            firm=lambda _: Firm(80.0, None, self.plant.now_ms),
            circuit=lambda _: CIRCUIT,
            plan=lambda _: PLAN,
            offers=lambda _: offers,
        )
        self.conduct = Conduct(self.record, accounts, self.plant.store, self.plant.alarms, self.plant.clock, planner)
        self.rounds = EventRounds(self.conduct, self.log, Clock())
        self.services = replace(self.plant.services, conduct=self.conduct, audit=self.log)

    def put(self, from_ms: int, to_ms: int, kw: int) -> None:
        rows = [
            IntervalRow("works", "incomer", "energy_import_kwh", at, at + QUARTER_MS, Decimal(kw) / 4, GOOD, True, "measured")
            for at in range(from_ms, to_ms, QUARTER_MS)
        ]  # fmt: skip
        self.plant.ledger.put_intervals(rows, self.plant.now_ms)

    def close(self) -> None:
        self.record.close()
        self.log.close()
        self.plant.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def filled(page: Page, form: str, **fields: str) -> None:
    """Fills a form and sends it, as a person does: what a choice changes is changed first."""
    for name, value in fields.items():
        page.script(f"const e = document.forms['{form}'].elements['{name}']; e.value = '{value}'; e.onchange?.()")
    page.script(f"document.forms['{form}'].requestSubmit()")


@pytest.mark.timeout(120)
def test_an_operator_asks_watches_overrides_and_reads_why(page: Page, site: Site) -> None:
    """100 kW in the quarter before, 40 kW in the first of the event: 15 kWh, and 1 in the minute after it; 50 kW were asked for, for half an hour."""
    with Server(site.services) as server:
        page.open(f"{server.url}/flexibility")
        page.until(lambda: page.attribute("body", "data-feed") == "live", "the feed is live")
        page.until(lambda: page.all("#assets tr[data-row=bank]"), "the battery is listed")
        assert "holds" not in page.text("#assets tbody")
        assert "142.0 kWh" in page.text("#assets tbody")  # 71 % of 200 kWh
        assert "one more kWh costs CNY 0.750" in page.text("#why tbody")
        assert "P-7: optimal" in page.text("#plan-said")
        assert "no vehicle gives back (charging mode one-way)" in page.text("#plan-said")
        pump = page.text("#assets tr[data-row=pump]")
        assert ("16.0 kWh" in pump, "20.0" in pump, "kept" in pump) == (True, True, True)
        assert page.text("#loads-why li") == "pump 11-21 10:00 (20 kWh): 16.0 kWh had"
        assert page.text("#plan-broken") == "Cannot be kept: response DR-1: 4.5 kW"
        assert "80.0" in page.text("#offers tbody")

        filled(
            page,
            "ask",
            **{
                "from": "2026-11-21T16:00",
                "minutes": "30",
                "target_kw": "50",
                "rules": "quarter_before",
                "pay_per_kwh": "2",
            },
        )
        page.until(lambda: page.all("#events tr[data-row=DR-1]"), "the event is listed")
        assert page.attribute("#events tr[data-row=DR-1]", "data-state") == "received"
        page.until(lambda: page.all("#answers [data-answer=accept]:not(:disabled)"), "it can be accepted").pop().click()
        page.until(lambda: page.attribute("#events tr[data-row=DR-1]", "data-state") == "accepted", "it is accepted")

        site.plant.now_ms = START_MS + QUARTER_MS + 60_000
        site.put(START_MS, START_MS + QUARTER_MS, 40)
        site.plant.put("incomer", 40.0, at_ms=site.plant.now_ms - 1000)
        site.rounds.look()
        said = "So far 16.0 of 13.3 kWh; expected at the end: 30.0 of 25.0 kWh"
        page.until(lambda: said in page.text("#event-said"), "what is delivered so far is said", 20)
        assert "15.0" in page.text("#delivery tbody tr")
        assert page.attribute("#event-chart path[data-series=forecast]", "d") != "M0 0"

        filled(page, "override", place="asset bank", what="hold", kw="-20", reason="inverter test")
        page.until(lambda: page.all("#overrides tr[data-row=OV-1]"), "the override is listed")
        assert "inverter test" in page.text("#overrides tbody")
        page.one("#answers [data-answer=opt-out]").click()
        page.until(lambda: page.script("return document.getElementById('reason').open"), "a reason is asked for")
        page.one("#reason-text").send_keys("a customer calls")
        page.one("#reason button[value=ok]").click()
        page.until(lambda: "a customer calls" in page.text("#trace"), "the reason is in the trace")
        page.script("document.getElementById('language').click()")
        assert page.text("#h-override") == "人工干预"
        page.until(lambda: "已退出" in page.text("#event"), "the event speaks Chinese")
    page.until(lambda: page.attribute("body", "data-feed") == "lost", "the feed is lost")
    assert page.all("[data-control]")
    assert not page.all("[data-control]:not(:disabled)")

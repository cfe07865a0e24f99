"""The program's own footprint: what it draws, emits and shares out, against worked example 29 and sums by hand."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from live_plant import LivePlant, Server

from aggregator.accounts.activities.activity import Activity
from aggregator.accounts.activities.record import Activities
from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.facility import Facility, FactorOverride
from aggregator.footprint.own_footprint import NO_POWER, OwnFootprint, own_footprint
from aggregator.footprint.own_machine import OwnMachine, decoded
from aggregator.footprint.own_use import GatewayCount, OwnRecords, OwnSpan, bytes_below, gateway_counts
from aggregator.ledger import Ledger
from aggregator.newest import NewestReadings
from aggregator.run import Aggregator
from aggregator.settings import load
from aggregator.stores.store import SeriesKey
from wattline.command import main
from wire.clock import Clock

D = Decimal
DAY_MS = 86_400_000
BEGIN = 1_780_272_000_000  # 2026-06-01 UTC
NODE = OwnMachine("edge node", D(4), D(1), "example 29", kg_per_kwh=D("0.5306"), factor_source="national 2023", embodied_kg=D(50), life_years=D(5), embodied_source="example 29")  # fmt: skip


class Kept:
    """Records and accounts of two facilities; what is asked is the first day."""

    def __init__(self, directory: Path) -> None:
        own = (FactorOverride(D("0.4"), "test"),)
        self.facilities = [Facility("mill", "UTC", overrides=own), Facility("works", "UTC", overrides=own)]
        self.directory = directory
        self.ledger = Ledger(directory / "ledger.sqlite")
        self.records = OwnRecords(directory / ACCOUNTS_NAME)
        self.accounts = Accounts(self.ledger, self.facilities, directory, lambda: BEGIN + 5 * DAY_MS)

    def used(self, real_s: int, cpu_s: int, machine: OwnMachine | None = NODE, **readings: int) -> None:
        encoded = "" if machine is None else machine.encoded()
        received = {facility: 10 * count for facility, count in readings.items()}
        self.records.add(OwnSpan(BEGIN, BEGIN + 1000 * real_s, D(real_s), D(cpu_s), 5000, encoded, readings, received))

    def footprint(self, days: int = 1) -> OwnFootprint:
        return own_footprint(self.accounts, self.records, BEGIN, BEGIN + days * DAY_MS)

    def close(self) -> None:
        self.records.close()
        self.ledger.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.close()


def test_the_edge_node_of_the_example_emits_51_g_a_day_and_0_9_g_per_thousand_messages(kept: Kept) -> None:
    """Worked example 29: 4 W, 0.5306 kg/kWh, 50 kg over 5 years, 86,400 messages a day."""
    kept.used(86_400, 0, works=86_400)
    found = kept.footprint()
    assert found.energy_kwh == D("0.096")
    assert found.running_kg == D("0.0509376")
    assert found.g_per_million is not None
    assert float(found.g_per_million) == pytest.approx(906.653475, abs=1e-6)  # 0.906653475 g per 1,000
    assert found.worked is not None
    assert float(found.worked["sci_g_per_unit"]) == pytest.approx(906.653475, abs=1e-6)
    assert found.factors == ("0.5306 kg/kWh, own (national 2023)",)


def test_energy_is_the_share_of_idle_and_what_busy_cores_and_stored_bytes_add() -> None:
    """An hour: 20 W x 25 % + 10 W x half a core + 1.2 W/TB x 2 TB = 5 + 5 + 2.4 Wh."""
    machine = replace(NODE, idle_w=D(20), core_w=D(10), share_percent=D(25), store_w_per_tb=D("1.2"))
    assert machine.energy_kwh(D(3600), D(1800), 2 * 10**12) == D("0.0124")
    cooled = replace(machine, pue_ratio=D("1.5"))  # half as much again for cooling, distribution and lighting
    assert cooled.energy_kwh(D(3600), D(1800), 2 * 10**12) == D("0.0186")
    assert decoded(machine.encoded()) == machine


def test_facilities_share_by_readings_and_their_gateways_are_their_own(kept: Kept) -> None:
    """1 W-hour run: 1,000 g of the aggregator at 1 kg/kWh split 3 to 1; the gateway's 0.5 kWh x 0.4 kg/kWh on top."""
    machine = replace(NODE, idle_w=D(0), core_w=D(1000), kg_per_kwh=D(1), embodied_kg=None, life_years=None)
    kept.used(3600, 3600, machine, works=750_000, mill=250_000)
    for at, kwh in ((0, "100"), (1000, "100.2"), (2000, "100.5")):
        kept.records.count([GatewayCount("works", "gw-01", "gateway", BEGIN + at, D(kwh))])
    found = kept.footprint()
    assert (found.running_kg, found.embodied_kg, found.gateway_kwh, found.gateway_kg) == (1, None, D("0.5"), D("0.20"))
    assert (found.own_kg, found.g_per_million) == (D("1.2"), 1200)
    mill, works = found.facilities
    assert (mill.facility, mill.share_percent, mill.own_kg, mill.gateways) == ("mill", 25, D("0.25"), 0)
    assert (works.own_kg, works.gateway_kg, works.gateways) == (D("0.95"), D("0.20"), 1)
    assert sum((share.own_kg or D(0) for share in found.facilities), D(0)) == found.own_kg
    assert (works.saved_kg, works.net_kg) == (None, None)
    assert (found.received_bytes_per_reading, found.store_bytes) == (10, 5000)
    assert found.cpu_s_per_million == 3600


def test_a_gateway_s_count_that_begins_anew_says_nothing_of_that_span(kept: Kept) -> None:
    for at, kwh in ((0, "7"), (1000, "0.1"), (2000, "0.3"), (2000, "0.4")):
        kept.records.count([GatewayCount("works", "gw-01", "gateway", BEGIN + at, D(kwh))])
    found = kept.records.gateways(BEGIN, BEGIN + DAY_MS)
    assert [(each.to_ms - BEGIN, each.energy_kwh) for each in found] == [(1000, None), (2000, D("0.2"))]


def test_a_machine_of_which_nothing_is_said_gives_use_and_no_figure(kept: Kept) -> None:
    kept.used(60, 6, None, works=1000)
    found = kept.footprint()
    assert (found.readings, found.cpu_s, found.energy_kwh, found.own_kg, found.g_per_million) == (
        1000,
        6,
        None,
        None,
        None,
    )
    assert found.why == NO_POWER
    assert own_footprint(kept.accounts, kept.records, 0, 1).why == "nothing is on record"


def test_a_place_without_a_factor_gives_energy_and_no_emissions(kept: Kept) -> None:
    kept.used(86_400, 0, replace(NODE, kg_per_kwh=None, place="ZZ"), works=1000)
    found = kept.footprint()
    assert (found.energy_kwh, found.own_kg) == (D("0.096"), None)
    assert "ZZ" in found.why


def test_the_machine_s_place_is_resolved_by_the_registry(kept: Kept) -> None:
    """Guangdong 2023, 0.4419 kg/kWh: 250 MWh are 110.475 t in worked example 6."""
    kept.used(86_400, 0, replace(NODE, kg_per_kwh=None, place="CN-GD", time_zone="Asia/Shanghai"), works=1000)
    found = kept.footprint()
    assert found.running_kg == D("0.0424224")
    assert found.factors[0].startswith("0.4419 kg/kWh, CN-GD 2023")


def claim(facility: str = "works") -> Activity:
    """10 kg over ten days from 28 May: four of them before 1 June."""
    return Activity(
        facility, "retrofit", "saving", "lighting", "indirect", date(2026, 5, 28), date(2026, 6, 7), "kg", "audit 2026-04", quantity=D(10)
    )  # fmt: skip


def test_a_claimed_saving_counts_once_a_second_person_has_approved_it_and_by_its_days(kept: Kept) -> None:
    kept.used(86_400, 0, works=86_400)
    with Activities(kept.directory / ACCOUNTS_NAME) as activities:
        activities.add([claim()], "ann", BEGIN)
        assert kept.footprint(3).facilities[1].saved_kg is None
        (standing,) = activities.standings("works")
        activities.decide("works", [standing.activity.no], "approved", "bo", BEGIN)
    mill, works = kept.footprint(3).facilities
    assert (works.saved_kg, mill.saved_kg) == (3, None)
    assert works.own_kg is not None
    assert works.net_kg == 3 - works.own_kg


def test_what_was_used_is_never_edited_or_removed(kept: Kept, tmp_path: Path) -> None:
    kept.used(60, 6, works=1000)
    kept.records.count([GatewayCount("works", "gw-01", "gateway", BEGIN, D(1))])
    with sqlite3.connect(tmp_path / ACCOUNTS_NAME) as db:
        for table, column in (("own_span", "cpu_s"), ("own_share", "readings"), ("gateway_span", "energy_kwh")):
            for statement in (f"UPDATE {table} SET {column} = 1", f"DELETE FROM {table}"):
                with pytest.raises(sqlite3.IntegrityError, match="never"):
                    db.execute(statement)
    db.close()


def test_gateways_are_known_by_what_only_they_tell() -> None:
    keys = [
        SeriesKey("works", "gw-01", device, quantity)
        for device, quantity in (
            ("gateway", "host_cpu_percent"), ("gateway", "energy_import_kwh"), ("incomer", "energy_import_kwh"),
        )
    ]  # fmt: skip
    newest = NewestReadings(lambda ids: [keys[number] for number in ids])
    newest.update(np.arange(3, dtype=np.int32), np.full(3, BEGIN), np.array([5.0, 0.125, 70.0]), np.zeros(3, np.uint8))
    assert gateway_counts(newest, ["works"]) == [GatewayCount("works", "gw-01", "gateway", BEGIN, D("0.125"))]


SETTINGS = """
[aggregator]
store_id = "s"
data_directory = "data"
[footprint]
hardware = "4 cores"
idle_w = 12
core_w = "7.5"
power_source = "plug meter"
pue_ratio = "1.25"
kg_per_kwh = "0.5"
factor_source = "contract"
[[facility]]
id = "works"
time_zone = "UTC"
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def test_an_aggregator_takes_its_own_use_down_and_tells_it_by_command_and_over_http(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aggregator.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    aggregator = Aggregator(load(file, {}), Clock())
    aggregator.own_use.received("works", 900)
    aggregator.own_use.stored([("works", 400), ("works", 600)])
    aggregator._close()
    assert main(["footprint", "--config", str(file), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["readings"], told["received_bytes"], told["hardware"]) == (1000, 900, "4 cores")
    assert D(told["real_s"]) > 0
    joules = D("1.25") * (12 * D(told["real_s"]) + D("7.5") * D(told["cpu_s"]))
    assert float(told["energy_kwh"]) == pytest.approx(float(joules) / 3.6e6, rel=1e-9)
    assert float(told["g_per_million"]) == pytest.approx(float(joules) / 3.6e6 * 0.5 * 1000 * 1000)
    assert 0 < told["store_bytes"] < 10 * bytes_below(tmp_path / "data")  # logs of writes are folded in at the end
    assert main(["footprint", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "hardware: 4 cores; power: plug meter" in shown
    assert "none recorded" in shown
    assert main(["footprint", "--config", str(file), "--from", "soon"]) == 2
    assert "--from: expected a day such as 2026-11-01, got 'soon'" in capsys.readouterr().err


def test_programs_read_the_footprint(kept: Kept, tmp_path: Path) -> None:
    kept.used(86_400, 0, works=86_400)
    (tmp_path / "live").mkdir()
    live = LivePlant(tmp_path / "live")
    services = replace(live.services, accounts=kept.accounts, own_records=kept.records)
    with Server(services) as server, httpx.Client(base_url=server.url) as client:
        span = {"from": BEGIN, "to": BEGIN + DAY_MS}
        told = client.get("/api/v1/footprint", params=span).json()
        assert (told["running_kg"], told["readings"]) == ("0.0509376000000000000", 86_400)
        assert [share["facility"] for share in told["facilities"]] == ["mill", "works"]
        assert client.get("/api/v1/footprint", params={"from": BEGIN, "to": BEGIN}).status_code == 422
    live.close()

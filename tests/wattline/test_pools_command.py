"""`wattline pools` and `wattline sessions` as a person uses them, on a works whose energies come from CSV files. Figures: by hand."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import httpx
import numpy as np
import pytest
from live_plant import LivePlant, Server

from aggregator.accounts.compile import Accounts
from aggregator.stores.store import CommittedBatch, Rows
from wattline.command import main
from wire.reading import Event, Json

PAGE = Path(__file__).parents[2] / "docs" / "carbon_pools.md"
D = Decimal
SETTINGS = """
[aggregator]
data_directory = "data"
[mqtt]
host = "127.0.0.1"
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN"
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 1000
[[facility.meter]]
device = "roof"
edge = "gw"
rated_power_kw = 1000
show = "pv"
[[facility.meter]]
device = "battery"
edge = "gw"
rated_power_kw = 1000
show = "storage"
[[facility.meter]]
device = "charger"
edge = "gw"
rated_power_kw = 1000
show = "ev"
[[facility.storage]]
meter = "battery"
charge_efficiency_ratio = 0.8
discharge_efficiency_ratio = 0.5
capacity_kwh = 2000
[[facility.storage]]
meter = "charger"
charge_efficiency_ratio = 1
discharge_efficiency_ratio = 1
"""
# kWh of two quarter hours of 2023-05-02: 10 of the grid and 10 of PV, the battery takes 10; then it gives 2.
ENERGIES = {
    ("incomer", "energy_import_kwh"): (10, 0), ("incomer", "energy_export_kwh"): (0, 0), ("roof", "energy_export_kwh"): (10, 0),
    ("battery", "energy_import_kwh"): (10, 0), ("battery", "energy_export_kwh"): (0, 2), ("charger", "energy_import_kwh"): (0, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pools")
    file = directory / "aggregator.toml"
    file.write_text(SETTINGS)
    for (device, quantity), (one, two) in ENERGIES.items():
        energies = directory / "energies.csv"
        energies.write_text(
            f"time,energy_kwh\n2023-05-02T00:00:00+08:00,{one}\n2023-05-02T00:15:00+08:00,{two}\n", encoding="utf-8"
        )
        words = ["--config", str(file), "--facility", "works", "--device", device, "--quantity", quantity]
        assert main(["import", str(energies), *words]) == 0
    return file


def show(capsys: pytest.CaptureFixture[str], config: Path, *words: str) -> str:
    capsys.readouterr()
    assert main(["pools", "show", "--config", str(config), "--from", "2023-05-02", "--to", "2023-05-03", *words]) == 0
    return capsys.readouterr().out


def test_both_methods_stand_side_by_side_and_what_a_battery_says_of_itself_counts(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    told = show(capsys, config)
    assert f"--to 2023-05-03\n{told}```" in PAGE.read_text(encoding="utf-8"), "the page shows what the command says"
    # 10 kWh at 0.5306, and at the residual 0.6096; half of what the battery took was PV
    assert re.search(r"^scope 2 +5\.306 kg +6\.096 kg$", told, re.MULTILINE)
    assert re.search(r"^  charged +2\.653 kg +3\.048 kg$", told, re.MULTILINE)
    found = {one["source"]: one for one in json.loads(show(capsys, config, "--json"))["GHGP-LB"]}
    # 8 kWh with 2.653 kg at DC; 2 kWh AC draw 4 of them
    pool, charged = found["pool:battery"], found["ev:charger"]
    assert [D(pool[name]) for name in ("charged_kg", "delivered_kg", "closing_kwh", "closing_kg")] == [
        D("2.653"), D("1.3265"), D(4), D("1.3265"),
    ]  # fmt: skip
    assert (D(charged["kwh"]), D(charged["kg"])) == (D(1), D("0.66325"))  # half of what came back
    # then its own management states what it holds
    words = [
        "pools",
        "content",
        "--config",
        str(config),
        "--at",
        "2023-05-02T00:20:00+08:00",
        "--evidence",
        "display",
        "--by",
        "Li",
    ]
    assert main([*words, "--device", "battery", "--kwh", "5"]) == 0
    assert main([*words, "--device", "battery", "--kwh", "5"]) == 0
    assert "on record already" in capsys.readouterr().out
    found = {one["source"]: one for one in json.loads(show(capsys, config, "--json"))["GHGP-LB"]}
    assert D(found["pool:battery"]["closing_kwh"]) == 1  # 5 stated, 4 drawn
    assert D(found["pool:battery"]["closing_kg"]) == D("0.5306")  # a fifth of 2.653 kg
    withdraw = [
        "pools",
        "withdraw",
        "--config",
        str(config),
        "--device",
        "battery",
        "--reason",
        "misread",
        "--by",
        "Wu",
    ]
    assert main([*withdraw, "--at", "2023-05-02T00:20:00+08:00"]) == 0
    assert "battery: 5 kWh at 2023-05-02T00:20:00+08:00 withdrawn" in capsys.readouterr().out
    assert show(capsys, config) == told
    assert main([*withdraw, "--at", "2023-05-02T00:20:00+08:00"]) == 1
    assert "expected one of which a content of battery is on record, there is none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["content", "--device", "roof", "--at", "2023-05-02", "--kwh", "1"], 2, "expected a meter shown as \"storage\" (battery), got 'roof'"),
        (["content", "--device", "battery", "--at", "2023-05-02", "--kwh", "full"], 2, "--kwh: expected a decimal number such as 42.652, got 'full'"),
        (["content", "--device", "battery", "--at", "2023-05-02", "--kwh", "999999"], 1, "content: expected at most its capacity of 2000 kWh, got 999999"),
        (["content", "--device", "battery", "--at", "2999-01-01", "--kwh", "1"], 1, "time: expected one that is past"),
        (["plug-in", "--device", "charger", "--id", "A", "--start", "2023-05-02", "--end", "2023-05-01"], 1, "end: expected it after the start"),
        (["plug-in", "--device", "battery", "--id", "A", "--start", "2023-05-02"], 2, "shown as \"ev\" (charger), got 'battery'"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], config: Path, words: list[str], status: int, said: str
) -> None:
    verb, *rest = words
    assert main(["pools", verb, "--config", str(config), *rest, "--evidence", "x", "--by", "Li"]) == status
    assert said in capsys.readouterr().err


def test_a_vehicle_is_put_on_record(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    words = [
        "--device",
        "charger",
        "--id",
        "A1",
        "--start",
        "2023-05-02",
        "--end",
        "2023-05-02T08:00+08:00",
        "--arrival-kwh",
        "20",
    ]
    assert main(["pools", "plug-in", "--config", str(config), *words, "--evidence", "log book", "--by", "Li"]) == 0
    assert "charger: A1 from 2023-05-02 to 2023-05-02T08:00+08:00" in capsys.readouterr().out


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    made = LivePlant(tmp_path)
    codes = np.zeros(0, np.uint8)
    empty = Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), codes, codes)
    for number, (begun, kwh) in enumerate([("02:00", "0"), ("03:00", "7.5")], start=1):
        start_ms = round(datetime.fromisoformat(f"2026-05-01T{begun}:00+08:00").timestamp() * 1000)
        body: dict[str, Json] = {
            "phase": "ended",
            "transaction_id": f"{number}",
            "started_at_ms": start_ms,
            "energy_kwh": kwh,
            "quality": "good",
        }
        event = Event(f"e{number}", start_ms + 900_000, "cp-9", "transaction", body)
        batch = CommittedBatch("works", "gw-02", "e1", number, bytes([number]) * 32, start_ms, start_ms, 0, (event,))
        made.store.commit(empty, [batch])
    made.now_ms = round(datetime.fromisoformat("2026-05-02T00:00:00+08:00").timestamp() * 1000)
    accounts = Accounts(made.ledger, [made.facility], tmp_path, made.clock)
    with Server(replace(made.services, accounts=accounts)) as server:
        yield server.url
    made.close()


def test_sessions_are_asked_of_a_running_aggregator(capsys: pytest.CaptureFixture[str], served: str) -> None:
    span = ["--from", "2026-05-01T00:00+08:00", "--to", "2026-05-02T00:00+08:00"]
    assert main(["sessions", "--url", served, "--facility", "works", *span]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "works, OPS, 2 sessions",
        "2026-04-30T18:00+00:00  cp-9  1  ended  0.000 kWh  0.000 kg  even",  # nothing was charged
        "2026-04-30T19:00+00:00  cp-9  2  ended  7.500 kWh  no figure  even",  # PV on site, and nothing measured then
    ]
    assert main(["sessions", "--url", served, "--facility", "work", *span]) == 1
    assert "404" in capsys.readouterr().err
    assert main(["sessions", "--url", "works", "--facility", "works", *span]) == 2
    assert httpx.get(f"{served}/healthz").status_code == 200

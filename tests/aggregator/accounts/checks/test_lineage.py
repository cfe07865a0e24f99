"""From a number down to the meter: over an aggregator as it is assembled, from sealed batches to lines, over HTTP and offline.

By hand: a batch every 10 s with one reading, 1000 kWh and n halves of one on the display; transformers of 40. Minutes begin at NOW + 40 s:
the display then shows 1002, a minute later 1005, so the first interval is 3 x 40 = 120 kWh.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from audit_chain import KEY, NOW, TOPIC
from live_plant import Server

from aggregator.run import Aggregator
from aggregator.settings import load
from aggregator.stores.store import Spool
from wattline.command import main
from wire.batch import Sealer
from wire.block import Block, Shape
from wire.clock import Clock
from wire.content import ClockJson, Content, pack

BATCHES = 20
FIRST_MS = NOW + 40_000
SETTINGS = f"""
[aggregator]
store_id = "store-1"
data_directory = "data"
[[facility]]
id = "steel"
time_zone = "Asia/Shanghai"
place = "CN"
interval_s = 60
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 10000
quantum_kwh = "0.4"
multiplier = [{{factor = 40, reason = "200/5 A", evidence = "photo of the plate", approver = "Wang"}}]
[[edge]]
facility = "steel"
edge = "gw"
public_key = "{KEY.public.to_text()}"
"""


def chain() -> Iterator[tuple[bytes, str]]:
    sealer, prev = Sealer(TOPIC, KEY), ""
    for seq in range(1, BATCHES + 1):
        at_ms = NOW + 10_000 * seq
        block = Block("incomer", Shape(("energy_import_kwh",), (-3,)), (at_ms,), ((1_000_000 + 500 * seq,),))
        shapes, blocks = pack([block])
        content = Content("steel", "gw", "e1", seq, prev, at_ms + 500, "counter", ClockJson(True), [], shapes, blocks)
        frame, sha256 = sealer.seal(content)
        prev = sha256.hex()
        yield frame, prev


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("lineage") / "aggregator.toml"
    file.write_text(SETTINGS)
    return file


@pytest.fixture(scope="module")
def digests() -> list[str]:
    return [digest for _, digest in chain()]


@pytest.fixture(scope="module")
def answers(config: Path) -> dict[str, Any]:
    """What the routes say, before the aggregator ends."""
    made = Aggregator(load(config, {}), Clock())
    with made.ingest:
        for frame, _ in chain():
            assert made.ingest.offer(TOPIC, frame)
        assert made.ingest.drain(20)
    made.settler.settle(patient=False)
    made.audit.keep_up()
    span = {"facility": "steel", "from": FIRST_MS, "to": FIRST_MS + 120_000}
    meter = {"facility": "steel", "device": "incomer"}
    with Server(made.services()) as server, httpx.Client(base_url=f"{server.url}/api/v1/lineage", timeout=20) as client:
        found: dict[str, Any] = {
            "interval": client.get("/interval", params={**meter, "at": FIRST_MS + 5_000}),
            "line": client.get("/line", params={**span, "line": 0}),
            "market": client.get("/line", params={**span, "line": 0, "profile": "GHGP-MB"}),
            "no line": client.get("/line", params={**span, "line": 7}),
            "no interval": client.get("/interval", params={**meter, "at": FIRST_MS - 86_400_000}),
            "no meter": client.get("/interval", params={**meter, "device": "boiler", "at": FIRST_MS}),
            "no facility": client.get("/interval", params={"facility": "x", "device": "y", "at": FIRST_MS}),
        }
    found["leaf"] = made.audit.entry_of(Spool("steel", "gw", "e1"), 4).index
    made._close()
    return found


def test_an_interval_leads_to_the_counter_at_both_ends_and_to_the_batches_that_brought_it(
    answers: dict[str, Any], digests: list[str]
) -> None:
    found = answers["interval"].json()
    assert (found["interval"]["energy_kwh"], found["interval"]["start_ms"]) == ("120.0", FIRST_MS)
    assert [each["superseded_at_ms"] for each in found["versions"]] == [None]
    counter = found["counter"]
    assert (counter["start"]["value_kwh"], counter["end"]["value_kwh"]) == ("1002.0", "1005.0")
    assert (counter["derived_kwh"], counter["agrees"]) == ("120.0", True)
    assert counter["multipliers"] == [
        {
            "factor": "40",
            "valid_from_ms": None,
            "reason": "200/5 A",
            "evidence": "photo of the plate",
            "approver": "Wang",
        }
    ]
    before, after = counter["start"]["before"], counter["start"]["after"]
    assert (before["at_ms"], before["display_kwh"], after["at_ms"]) == (FIRST_MS, "1002.0", FIRST_MS + 10_000)
    assert before["batch"] == {"edge": "gw", "epoch": "e1", "seq": 4, "sha256": digests[3], "leaf": answers["leaf"]}


def test_a_line_leads_to_its_intervals_and_to_the_document_of_its_factor(answers: dict[str, Any]) -> None:
    found = answers["line"].json()
    assert (found["line"]["quantity"], found["sum_kwh"], found["sum_agrees"]) == ("240.0", "240.0", True)
    assert [row["start_ms"] for row in found["intervals"]] == [FIRST_MS, FIRST_MS + 60_000]
    factor = found["factor"]
    # 2023's national average, notice 47 of 2025, is the newest that was known: 0.5306 (emissions.md 2.4)
    document = factor["entry"]["document"]
    assert (factor["kg_per_unit"], factor["data_year"], document["number"]) == ("0.5306", 2023, "2025年 第47号")
    assert len(factor["entry"]["table_sha256"]) == 64
    assert found["line"]["kg"] == "127.34400"
    assert found["last"]["counter"]["end"]["value_kwh"] == "1008.0"


def test_a_line_of_the_market_method_leads_to_the_main_meters_and_the_residual_mix(answers: dict[str, Any]) -> None:
    found = answers["market"].json()
    assert (found["line"]["source"], found["sum_kwh"], found["sum_agrees"]) == ("meters:main", "240.0", True)
    # the nation's factor without market-traded non-fossil power, 2023: 0.6096 (emissions.md 2.4)
    assert found["factor"]["kg_per_unit"] == "0.6096"
    assert found["factor"]["entry"]["document"]["number"] == "2025年 第47号"


def test_what_cannot_be_traced_is_named(answers: dict[str, Any]) -> None:
    said = {
        name: (answer.status_code, answer.json().get("thing"))
        for name, answer in answers.items()
        if name.startswith("no ")
    }
    assert said == {
        "no line": (422, "line"), "no interval": (422, "at"), "no meter": (422, "device"), "no facility": (404, "facility"),
    }  # fmt: skip


def test_it_is_found_offline_too(
    config: Path, answers: dict[str, Any], digests: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert answers
    span = ["--from", "2025-10-09T08:54:00Z", "--to", "2025-10-09T08:56:00Z"]
    assert FIRST_MS == 1_760_000_040_000  # 2025-10-09T08:54:00Z
    where = ["lineage", "line", "--config", str(config), *span]
    assert main(where) == 0
    assert capsys.readouterr().out.startswith("0  2025-10-09T08:54:00Z  meter:incomer  scope2  240 kWh  127.344 kg")
    assert main([*where, "--line", "0"]) == 0
    told = capsys.readouterr().out
    assert f"batch gw/e1/4, leaf {answers['leaf']} of the log, SHA-256 {digests[3]}" in told
    assert "times     40 200/5 A photo of the plate Wang" in told
    assert "document  " in told
    assert main([*where, "--line", "9"]) == 2
    assert "expected 0 to 0, the lines of this statement, got 9" in capsys.readouterr().err
    empty = ["--from", "2025-10-08T08:54:00Z", "--to", "2025-10-08T08:56:00Z"]
    assert main(["lineage", "line", "--config", str(config), *empty, "--line", "6"]) == 2
    assert "line: expected a statement with lines, it has none, got 6" in capsys.readouterr().err
    meter = ["lineage", "interval", "--config", str(config), "--device", "incomer", "--at", "2025-10-09T08:55:10Z"]
    assert main(meter) == 0
    assert "makes     120.0 kWh: the same" in capsys.readouterr().out

"""What comes late for a published span: the span keeps its figure, and the intervals that ask for a restatement are named.

By hand: 1000 to 3400 kWh on one day are 25 kWh a quarter hour; with 3496 at its end they are 26.
"""

from pathlib import Path

import httpx
import pytest
from live_plant import Server

from aggregator.run import Aggregator
from aggregator.settings import load
from wattline.command import main
from wire.clock import Clock

SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN"
[[facility.meter]]
device = "incomer"
edge = "gw"
rated_power_kw = 1000
role = "main"
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def test_a_published_day_keeps_its_figure_and_its_late_intervals_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, round_file = tmp_path / "aggregator.toml", tmp_path / "round.csv"
    config.write_text(SETTINGS)
    round_file.write_text(
        "device,time,display_kwh,evidence\nincomer,2026-05-01,1000,sheet 4\nincomer,2026-05-02,3400,sheet 4\n"
    )
    where = ["--config", str(config), "--facility", "works"]
    span = ["--profile", "GHGP-LB", "--from", "2026-05-01", "--to", "2026-05-02"]

    def said(*arguments: str) -> tuple[int, str]:
        status = main([*arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    assert said("readings", "import", str(round_file), *where, "--by", "ann")[0] == 0
    assert said("runs", "new", *where, *span, "--by", "ann")[0] == 0
    assert said("runs", "approve", "1", "--config", str(config), "--by", "bo")[0] == 0
    status, text = said("runs", "publish", "1", "--config", str(config), "--by", "ann", "--note", "first")
    assert (status, "1273.440 kg" in text) == (0, True)  # 2,400 kWh x 0.5306
    assert said("late", *where) == (0, "works: 1 published span, nothing has come late\n")

    correction = ["--device", "incomer", "--at", "2026-05-02", "--kwh", "3496", "--evidence", "photo", "--by", "ann"]
    status, text = said("readings", "enter", *where, *correction, "--reason", "a 9 was read as a 0")
    assert (status, "needs a restatement of what is published" in text) == (0, True)
    later = ["--device", "incomer", "--at", "2026-05-03", "--kwh", "5000", "--evidence", "photo", "--by", "ann"]
    assert "restatement" not in said("readings", "enter", *where, *later)[1]
    status, text = said("late", *where)
    assert status == 1
    assert text.startswith(
        "publication 1 GHGP-LB 2026-04-30T16:00:00Z to 2026-05-01T16:00:00Z needs a restatement: incomer"
    )
    assert "96 intervals" in text
    assert text.endswith("2400.000000 kWh then, 2496.000000 now\n")
    status, text = said("runs", "view", *where, *span, "--view", "published", "--json")
    assert '"kg": "1273.4400' in text

    made = Aggregator(load(config, {}), Clock())
    with Server(made.services()) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        found = client.get("/api/v1/facilities/works/late").json()
    made._close()
    ((change,),) = [closed["changes"] for closed in found["closed"]]
    assert (change["intervals"], change["then_kwh"], change["now_kwh"]) == (96, "2400.000000", "2496.000000")

"""The aggregator as it is assembled: what a restart with other settings changes."""

import json
from decimal import Decimal
from pathlib import Path

from aggregator.audit.record_proof import LogReader, record_proof
from aggregator.imports import ImportOptions, import_csv
from aggregator.run import Aggregator
from aggregator.settings import load
from wattline.command import main
from wire.clock import Clock

SETTINGS = """
[aggregator]
store_id = "s"
data_directory = "data"
[[facility]]
id = "steel"
time_zone = "Asia/Seoul"
{factor}
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 1000
[[edge]]
facility = "steel"
edge = "gw"
accept_unsigned = true
"""
FACTOR = """[facility.factor]
kg_per_kwh = "0.5"
source = "test data"
"""


def started(directory: Path, factor: str) -> Aggregator:
    file = directory / "aggregator.toml"
    file.write_text(SETTINGS.format(factor=factor))
    return Aggregator(load(file, {}), Clock())


def booked(aggregator: Aggregator) -> list[Decimal | None]:
    return [row.emission.kg for row in aggregator.books.emissions("steel", 0, 2**53)]


def test_a_factor_that_comes_with_a_restart_fills_the_figures_that_were_missing(tmp_path: Path) -> None:
    csv = tmp_path / "energy.csv"
    csv.write_text("start,energy_kwh\n2018-03-05T00:00:00,40\n2018-03-05T00:15:00,10.5\n")
    before = started(tmp_path, "")
    import_csv(csv, ImportOptions("steel", "incomer", time_zone="Asia/Seoul"), before.books)
    assert booked(before) == [None, None]
    before._close()

    after = started(tmp_path, FACTOR)
    assert booked(after) == [Decimal("20.0"), Decimal("5.25")]
    after._close()


def test_a_run_that_a_command_makes_beside_it_is_in_the_log(tmp_path: Path) -> None:
    csv = tmp_path / "energy.csv"
    csv.write_text("start,energy_kwh\n2018-03-05T00:00:00,40\n2018-03-05T00:15:00,10.5\n")
    running = started(tmp_path, FACTOR)
    import_csv(csv, ImportOptions("steel", "incomer", time_zone="Asia/Seoul"), running.books)
    span = ["--from", "2018-03-05", "--to", "2018-03-06", "--by", "ann"]
    assert main(["runs", "new", "--config", str(tmp_path / "aggregator.toml"), *span]) == 0
    running._close()
    with LogReader(tmp_path / "data") as log:
        proof = record_proof(log, "run", 1)
        assert proof.check(log.verifier).size == 1
    assert json.loads(proof.leaf)["kg"] == "25.25"  # 50.5 kWh at 0.5

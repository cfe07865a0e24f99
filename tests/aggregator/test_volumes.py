"""Gas and water from counter readings to a statement, by the commands a person would use. Figures: example 3 of the emissions specification."""

import json
from pathlib import Path

import pytest

from wattline.command import main

SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN-JS"
[[facility.meter]]
device = "gas"
edge = "gw"
role = "main"
carrier = "gas"
rated_flow_m3_per_h = 100000
quantum_m3 = "0.01"
fuel = "natural_gas"
measured_at_degc = 20
[[facility.meter]]
device = "hall"
edge = "gw"
carrier = "gas"
rated_flow_m3_per_h = 100000
[[facility.meter]]
device = "tap"
edge = "gw"
role = "main"
carrier = "water"
rated_flow_m3_per_h = 10
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def test_a_gas_counter_becomes_intervals_a_tree_and_scope_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, rows = tmp_path / "aggregator.toml", tmp_path / "gas.csv"
    config.write_text(SETTINGS)
    # 120,000 m3 at 20 degC in the first two hours of 4 May at the plant, 30,000 of them in the hall.
    rows.write_text(
        "".join(["time,m3\n", *(f"2026-05-04T0{n // 4}:{n % 4 * 15:02}:00,{1000 + 15_000 * n}\n" for n in range(9))])
    )
    base = ["import", str(rows), "--config", str(config), "--facility", "works", "--value-column", "m3"]
    counters = [*base, "--kind", "counter", "--quantity", "gas_volume_m3"]
    assert main([*counters, "--device", "gas"]) == 1
    assert "unit must be one of m3, is 'kWh'" in capsys.readouterr().err
    assert main([*counters, "--device", "gas", "--unit", "m3"]) == 0
    rows.write_text("time,m3\n2026-05-04T00:00:00,30000\n")
    hour = [*base, "--device", "hall", "--quantity", "gas_volume_m3", "--unit", "m3", "--interval-s", "3600"]
    assert main(hour) == 0
    capsys.readouterr()

    span = ["--config", str(config), "--from", "2026-05-04", "--to", "2026-05-05", "--json"]
    assert main(["tree", *span, "--carrier", "gas"]) == 0
    tree = json.loads(capsys.readouterr().out)
    (whole,) = tree["spans"]
    assert (tree["unit"], whole["total"], whole["nodes"][1]["energy"]) == ("m3", "120000", "30000")
    assert (whole["unmetered"], whole["undivided"]) == (
        "30000",
        "60000",
    )  # the hall has no figure of the second hour

    assert main(["statement", *span]) == 0
    head, *lines = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert head["expected"] == 96  # the gas meter's; the water has no factor, nothing is said of it
    assert [(line["quantity"], line["intervals"], line["reason"]) for line in lines] == [("120000.0", 8, "")]
    assert {(line["counts"], line["unit"], line["carrier"]) for line in lines} == {("scope1", "m3", "natural_gas")}
    assert sum(float(line["kg"]) for line in lines) == pytest.approx(241_760.957808, abs=1e-6)

"""`wattline samples` from a file of energies to a finding."""

from pathlib import Path

import pytest

from wattline.command import main

SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
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


def test_intervals_are_drawn_checked_and_the_finding_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, energies = tmp_path / "aggregator.toml", tmp_path / "energy.csv"
    config.write_text(SETTINGS)
    rows = [f"2026-05-01T{at // 4:02d}:{at % 4 * 15:02d},100" for at in range(96)]
    energies.write_text("time,energy_kwh\n" + "\n".join(rows) + "\n")
    assert main(["import", str(energies), "--config", str(config), "--facility", "works", "--device", "incomer"]) == 0
    where = ["--config", str(config)]
    span = ["--from", "2026-05-01", "--to", "2026-05-02"]
    capsys.readouterr()
    assert main(["samples", "draw", *where, *span, "--percent", "3", "--seed", "dice", "--by", "Li Na"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(
        "draw 1: 3 of 96 intervals, 3 %, 2026-04-30T16:00:00Z to 2026-05-01T16:00:00Z, seed dice, by Li Na: 3 wait"
    )
    assert len(told) == 4
    finding = [
        "--result",
        "differs",
        "--found-kwh",
        "10",
        "--note",
        "a zero too many",
        "--evidence",
        "photo 9",
        "--by",
        "Wang",
    ]
    assert main(["samples", "check", "2", *where, *finding]) == 0
    capsys.readouterr()
    assert main(["samples", "list", *where]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert "2 wait, 0 agree, 1 differ (100.00 % of those told)" in listed[0]
    assert listed[1].endswith("differs 10 kWh a zero too many (photo 9, Wang)")
    assert listed[2:] == ["  2 more: --waiting shows those that wait"]
    assert main(["samples", "list", *where, "--waiting"]) == 0
    assert [line.endswith(": waits") for line in capsys.readouterr().out.splitlines()] == [False, True, False, True]
    assert main(["samples", "draw", *where, *span, "--percent", "lots", "--by", "Li Na"]) == 2
    assert main(["samples", "check", "99", *where, *finding]) == 1

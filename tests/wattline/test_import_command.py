"""`wattline import` as a person uses it: a wrong file, the right one with a reason, and what the interval's lineage then says."""

import json
from pathlib import Path

import pytest

from wattline.command import main

SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "UTC"
[[facility.meter]]
device = "incomer"
edge = "gw"
rated_power_kw = 1000
role = "main"
[facility.factor]
kg_per_kwh = "0.5"
source = "test"
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def test_a_corrected_file_supersedes_and_the_lineage_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = tmp_path / "aggregator.toml", tmp_path / "may.csv"
    config.write_text(SETTINGS)
    where = ["--config", str(config), "--facility", "works", "--device", "incomer"]

    def imported(kwh: str, *more: str) -> int:
        file.write_text(f"time,energy_kwh\n2026-05-01T00:00,{kwh}\n")
        return main(["import", str(file), *where, *more])

    assert imported("30") == 0
    assert imported("3") == 1
    assert imported("3", "--reason", "the point was lost") == 1
    assert "a correction needs a reason and who says so" in capsys.readouterr().err
    assert imported("3", "--reason", "the point was lost", "--by", "Li Na") == 0
    asked = ["lineage", "interval", *where, "--at", "2026-05-01T00:05Z"]
    capsys.readouterr()
    assert main([*asked, "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)["versions"]
    assert [(each["energy_kwh"], each["import"]["reason"], each["import"]["by"]) for each in versions] == [
        ("30", "", ""), ("3", "the point was lost", "Li Na"),
    ]  # fmt: skip
    assert main(asked) == 0
    said = capsys.readouterr().out.splitlines()
    assert "import    version 2, 3 kWh from may.csv: the point was lost, by Li Na" in said


def test_a_file_of_energies_behind_the_counter_is_set_aside_and_the_lineage_still_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, hours, displays = tmp_path / "aggregator.toml", tmp_path / "may.csv", tmp_path / "displays.csv"
    config.write_text(SETTINGS)
    where = ["--config", str(config), "--facility", "works", "--device", "incomer"]
    shown = [f"2026-05-01T{n // 4:02d}:{n % 4 * 15:02d},{1000 + 10 * n}" for n in range(6)]  # 10 kWh a quarter hour
    displays.write_text("\n".join(["time,energy_kwh", *shown, ""]))
    hours.write_text("time,energy_kwh\n2026-05-01T00:00,41.0\n")
    assert main(["import", str(displays), *where, "--kind", "counter"]) == 0
    capsys.readouterr()
    assert main(["import", str(hours), *where, "--interval-s", "3600"]) == 0
    assert capsys.readouterr().out == (
        f"{hours}: 1 row, 1 new, 0 bad, 41.0 kWh; 1 interval set aside: the meter's counter stands there\n"
    )
    assert main(["lineage", "interval", *where, "--at", "2026-05-01T00:05Z"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "aside     2026-05-01T00:00:00Z to 2026-05-01T01:00:00Z: 41.0 kWh, good imported import from may.csv" in said
    assert main(["gaps", *where[:4], "--from", "2026-05-01", "--to", "2026-05-02"]) == 1
    told = "(import): expected 39.8 to 40.2 kWh by its counter, got 41.0"  # 40 kWh, and two counts of the file's last digit
    assert told in capsys.readouterr().out


def test_counter_readings_have_no_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, file = tmp_path / "aggregator.toml", tmp_path / "may.csv"
    config.write_text(SETTINGS)
    file.write_text("time,energy_kwh\n2026-05-01T00:00,1000\n")
    where = [str(file), "--config", str(config), "--facility", "works", "--device", "incomer"]
    assert main(["import", *where, "--kind", "counter"]) == 0
    assert capsys.readouterr().out == f"{file}: 1 row, 1 new, 0 bad; 0 intervals settled\n"
    file.write_text("time,energy_kwh\n2026-05-01T00:15,1010\n2026-05-01T00:30,1020\n2026-05-01T00:45,1030\n")
    assert main(["import", *where, "--kind", "counter"]) == 0
    assert capsys.readouterr().out == f"{file}: 3 rows, 3 new, 0 bad; 3 intervals settled\n"
    file.write_text("time,energy_kwh\n2026-06-01T00:00,3\n")
    assert main(["import", *where]) == 0
    assert capsys.readouterr().out.startswith(f"{file}: 1 row, 1 new, 0 bad, 3 kWh")


def test_a_file_after_displays_read_by_people_gives_what_it_gives_before_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A look at 500 kWh, a file from 1000 to 1380 (quarter hours of 95 kWh), a look at 1400: 900 kWh, of which 500 before the file and 20 after it.
    def lines(name: str, order: str) -> list[str]:
        config, file = tmp_path / f"{name}.toml", tmp_path / "counter.csv"
        config.write_text(SETTINGS.replace('"data"', f'"{name}"'))
        where = ["--config", str(config), "--facility", "works", "--device", "incomer"]
        file.write_text(
            "time,energy_kwh\n" + "".join(f"2026-05-02T0{n // 4}:{n % 4 * 15:02},{1000 + 95 * n}\n" for n in range(5))
        )
        for word in order.split():
            if word == "file":
                assert main(["import", str(file), *where, "--kind", "counter"]) == 0
            else:
                at, kwh = {"first": ("2026-05-01T00:00", "500"), "last": ("2026-05-02T12:00", "1400")}[word]
                assert (
                    main(
                        ["readings", "enter", *where, "--at", at, "--kwh", kwh, "--evidence", "photo", "--by", "Li Na"]
                    )
                    == 0
                )
        capsys.readouterr()
        told = ["statement", "--config", str(config), "--from", "2026-05-01", "--to", "2026-05-03", "--json"]
        assert main(told) == 0
        return capsys.readouterr().out.splitlines()[1:]  # the first line says when it was asked

    in_order = lines("in_order", "first file last")
    assert [json.loads(line)["quantity"] for line in in_order] == ["500.000000", "380.0", "20.000000"]
    assert lines("file_last", "first last file") == in_order

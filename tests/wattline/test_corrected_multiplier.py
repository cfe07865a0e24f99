"""A multiplier that is corrected in the settings, and each command that is the first one after it: what the old rules made is settled anew.

By hand: 1 kWh on the display each quarter hour of two days. Times 10 they are 960 kWh a day, and from the second day on times 12 1,152 kWh:
1,920 and 2,112 kWh, at 0.5306 kg/kWh 1,018.752 and 1,120.6272 kg.
"""

import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from wattline.command import main

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
multiplier = [{ factor = 10 }%s]
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""
CORRECTED = (
    ', { factor = 12, valid_from = 2026-05-02T00:00:00+08:00, reason = "plate", evidence = "photo", approver = "Bo" }'
)
SPAN = ["--from", "2026-05-01", "--to", "2026-05-03"]
SAID = "multiplier: expected energy_import_kwh times 12 from 2026-05-02T00:00+08:00 on, as the settings have it, got what was settled times 10"
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two published days, and then the correction."""
    made = tmp_path_factory.mktemp("corrected")
    config, rows = made / "aggregator.toml", ["time,v"]
    config.write_text(SETTINGS % "")
    begin = datetime.fromisoformat("2026-05-01T00:00:00")
    rows += [f"{begin + timedelta(minutes=15 * n)},{1000 + n}" for n in range(193)]
    (made / "c.csv").write_text("\n".join(rows) + "\n")
    named = ["--config", str(config)]
    columns = ["--kind", "counter", "--time-column", "time", "--value-column", "v", "--device", "incomer"]
    assert main(["import", str(made / "c.csv"), *named, "--facility", "works", *columns]) == 0
    assert main(["runs", "new", *named, *SPAN, "--by", "ann"]) == 0
    assert main(["runs", "approve", "1", *named, "--by", "bo"]) == 0
    assert main(["runs", "publish", "1", *named, "--by", "ann", "--note", "first"]) == 0
    config.write_text(SETTINGS % CORRECTED)
    return made


@pytest.mark.parametrize(
    ("word", "status", "expected"),
    [
        (["statement"], 0, "1120.627 kg"),
        (["runs", "restate", "1", "--by", "bo", "--reason", "the plate was read"], 0, "1120.627 kg"),
        (["runs", "impact"], 0, "(+10 %) = activity:multiplier +0.1018752\n"),
        (["late", "--facility", "works"], 1, "96 intervals"),
        (["tree"], 0, "2112"),
        (["lineage", "interval", "--device", "incomer", "--at", "2026-05-02"], 0, "makes     12"),
    ],
    ids=lambda each: "-".join(each[:2]) if isinstance(each, list) else "",
)
def test_the_first_command_settles_it_anew_and_says_so(
    corrected: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], word: list[str], status: int, expected: str
) -> None:
    here = tmp_path / "here"
    shutil.copytree(corrected, here)
    with_span = SPAN if word[0] in ("statement", "tree") else []
    capfd.readouterr()
    assert main([*word, *with_span, "--config", str(here / "aggregator.toml")]) == status
    said = capfd.readouterr()
    assert expected in said.out
    assert SAID in said.err
    assert main(["runs", "verify", "1", "--config", str(here / "aggregator.toml")]) == 0  # frozen: the rules of then
    assert SAID not in capfd.readouterr().err


def test_a_report_that_is_the_first_command_is_verified(
    corrected: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here, made = tmp_path / "here", tmp_path / "w.zip"
    shutil.copytree(corrected, here)
    assert (
        main(["report", "--config", str(here / "aggregator.toml"), *SPAN, "--format", "zip", "--out", str(made)]) == 0
    )
    capfd.readouterr()
    assert (main(["verify", str(made)]), "fault" in capfd.readouterr().out) == (0, False)


def test_where_another_program_has_the_readings_the_command_refuses_in_one_line(
    corrected: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    shutil.copytree(corrected, here)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(here / "data" / "readings.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        capfd.readouterr()
        for word in (["statement", *SPAN], ["tree", *SPAN]):
            assert main([*word, "--config", str(here / "aggregator.toml")]) == 1
            said = capfd.readouterr()
            (line,) = said.err.splitlines()
            assert (said.out, SAID in line, "settles it anew when it is started again" in line) == ("", True, True)
        other.communicate()

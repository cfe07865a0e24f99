"""The command line: which extra is not installed, which number cannot be, a file that is only checked. Not the words' own work."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from wattline.command import main
from wire.keys import SigningKey

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: as if it were not installed
from wattline.command import main
sys.exit(main(sys.argv[2:]))
"""
EDGE = """
facility = "works"
edge = "gw-01"
mqtt = { host = "127.0.0.1", port = 1883, plain = true }
spool = { directory = "spool" }
signing = { key = "a.sign" }
aggregator = { store_id = "s" }
[[bus]]
name = "meters"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 502
[[bus.device]]
name = "incomer"
model = "schneider_pm5560"
unit = 1
"""
RESPONSE = ["response", "--config", "a.toml", "--from", "2026-06-17T14:00+08:00", "--to", "2026-06-17T16:00+08:00"]


@pytest.mark.parametrize(
    ("missing", "words", "package", "extra"),
    [
        ("uvicorn", ["aggregator", "run", "aggregator.toml"], "uvicorn", "aggregator"),
        ("numpy,duckdb", ["import", "x.csv", "--config", "a.toml", "--facility", "f", "--device", "d"], "numpy", "aggregator"),
        ("numpy,duckdb", ["demo", "--no-browser"], "numpy", "aggregator"),
    ],
    ids=["aggregator", "import", "demo"],
)  # fmt: skip
def test_a_word_whose_extra_is_not_installed_names_it(missing: str, words: list[str], package: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, *words], capture_output=True, text=True, timeout=60, check=False
    )
    said = f"wattline: expected the package {package}, it is not installed: pip install 'wattline[{extra}]'\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["edge", "commission", "edge.toml", "--reads", "0"], "--reads: expected 1 to 1000, saw '0'"),
        (["edge", "commission", "edge.toml", "--reads", "-5"], "--reads: expected 1 to 1000, saw '-5'"),
        (["edge", "commission", "edge.toml", "--pause-s", "nan"], "--pause-s: expected 0 to 3600 seconds, saw 'nan'"),
        (["edge", "commission", "edge.toml", "--pause-s", "soon"], "--pause-s: expected 0 to 3600 seconds, saw 'soon'"),
        ([*RESPONSE, "--target-kw", "-50"], "--target-kw: expected a number, 0 or above, got '-50'"),
        ([*RESPONSE, "--pay-per-kwh", "nan"], "--pay-per-kwh: expected a number, 0 or above, got 'nan'"),
        ([*RESPONSE, "--cap-percent", "inf"], "--cap-percent: expected a number, 0 or above, got 'inf'"),
        (["plan", "solve", "day.json", "--budget-s", "nan"], "--budget-s: expected a number above 0, got 'nan'"),
        (["plan", "solve", "day.json", "--budget-s", "0"], "--budget-s: expected a number above 0, got '0'"),
        (["plan", "offers", "day.json", "--every-h", "soon"], "--every-h: expected a number above 0, got 'soon'"),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_its_option(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert said in capsys.readouterr().err


def test_an_aggregator_file_is_checked_without_being_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "aggregator.toml"
    file.write_text(
        '[aggregator]\nstore_id = "s"\ndata_directory = "data"\n[mqtt]\nhost = "127.0.0.1"\nplain = true\n[store]\nkind = "duckdb"\n'
        '[[facility]]\nid = "works"\nname = "Works"\ntime_zone = "Asia/Shanghai"\nplace = "CN-JS"\n'
        '[[edge]]\nfacility = "works"\nedge = "gw-01"\naccept_unsigned = true\n'
    )
    assert main(["aggregator", "check", str(file)]) == 0
    assert capsys.readouterr().out == "works: 0 meters, edges gw-01\n"
    assert not (tmp_path / "data").exists()
    file.write_text(file.read_text().replace("Asia/Shanghai", "Asia/Nowhere"))
    assert main(["aggregator", "check", str(file)]) == 2
    assert "time_zone" in capsys.readouterr().err


def test_the_public_key_of_a_gateway_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The key of RFC 8032, section 7.1, test 1."""
    SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")).save(
        tmp_path / "a.sign"
    )
    file = tmp_path / "edge.toml"
    unsigned = EDGE.replace('signing = { key = "a.sign" }\n', "")
    file.write_text(EDGE)
    assert main(["edge", "key", str(file)]) == 0
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert base64.b64decode(capsys.readouterr().out) == public
    file.write_text(unsigned)
    assert main(["edge", "key", str(file)]) == 1
    assert "this gateway signs nothing" in capsys.readouterr().err
    (tmp_path / "a.sign").write_text("no key")
    file.write_text(EDGE)
    assert main(["edge", "key", str(file)]) == 2
    assert "a.sign: expected an unencrypted PKCS#8 PEM file" in capsys.readouterr().err


def test_a_reader_that_stops_reading_is_no_trouble() -> None:
    words = [sys.executable, "-c", "import sys; from wattline.command import main; sys.exit(main(['factors', 'show']))"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()  # before anything is written, as `head -0` does
        said = done.stderr.read()
        assert (done.wait(timeout=60), said) == (1, "")

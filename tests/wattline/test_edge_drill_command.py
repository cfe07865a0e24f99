"""`wattline edge drill` without a field: what it refuses, that it asks first, and what it says of a sheet."""

import io
import json
from pathlib import Path

import pytest

from wattline.command import main
from wire.drill import Row, Sheet, encoded, signed
from wire.keys import SigningKey

EDGE = """
facility = "works"
edge = "gw-01"
mqtt = { host = "127.0.0.1", port = 1, plain = true }
spool = { directory = "spool" }
signing = { key = "edge.sign" }
[[bus]]
name = "bus"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 1
[[bus.device]]
name = "incomer"
model = "eastron_sdm630"
"""
CIRCUIT = """
facility = "works"
[[branch]]
name = "works"
limit_kva = 100
edge = "gw-01"
meter = "incomer"
uncontrolled_max_kva = 80
"""


@pytest.fixture
def edge(tmp_path: Path) -> Path:
    SigningKey.generate().save(tmp_path / "edge.sign")
    (tmp_path / "circuit.toml").write_text(CIRCUIT)
    (tmp_path / "edge.toml").write_text('control = { circuit = "circuit.toml" }\n' + EDGE)
    return tmp_path / "edge.toml"


def test_without_a_circuit_there_is_nothing_to_drill(edge: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edge.write_text(EDGE)
    assert main(["edge", "drill", str(edge), "--yes"]) == 2
    assert "expected [control] circuit for a drill, it is missing" in capsys.readouterr().err


def test_it_asks_before_anything_is_steered(
    edge: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["edge", "drill", str(edge), "--leave-out", "cloud"]) == 2
    said = capsys.readouterr().out
    assert "meter, limit_source, gateway will be cut in turn" in said
    assert "nothing was done" in said


def test_a_sheet_is_shown_when_its_signature_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Row("meter", "works", "battery", "battery", "0 kW", 10.0, 7.0, True),
        Row("meter", "works", "pile", "pile", "at most 5 kW", 20.0, None, False, "nothing was shown"),
    ]
    sheet = signed(Sheet("drill-1", "works", "gw-01", "0" * 64, 1, 2, rows, "Li Wei"), SigningKey.generate())
    path = tmp_path / "sheet.json"
    path.write_bytes(encoded(sheet))
    assert main(["edge", "drill", str(path), "--show"]) == 1  # not everything passed
    said = capsys.readouterr().out
    assert "passed  meter works  battery (battery): 0 kW: 7 s of 10 s" in said
    assert "drilled: battery; not drilled: pile" in said
    changed = json.loads(path.read_bytes())
    changed["rows"][1]["passed"] = True
    path.write_text(json.dumps(changed))
    assert main(["edge", "drill", str(path), "--show"]) == 2
    assert "expected the signature" in capsys.readouterr().err


def test_the_check_lists_branches_and_shares(edge: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edge", "check", str(edge)]) == 0
    assert "branch works: 100 kVA; meter incomer" in capsys.readouterr().out

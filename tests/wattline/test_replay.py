"""`wattline sim replay` as a command: what it says when it serves, and what it refuses."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from wattline import replay

HEAD = {"device": "incomer", "protocol": "modbus_tcp", "reason": "voltage_l1_v: rejected as out of range"}
FRAMES = [
    {"at_ms": 1, "sent": True, "hex": "000100000006010400460002"},
    {"at_ms": 2, "sent": False, "hex": "00010000000701040442480000"},
]


def stopped() -> asyncio.Event:
    stop = asyncio.Event()
    stop.set()
    return stop


def options(path: Path, port: int = 0) -> argparse.Namespace:
    return argparse.Namespace(file=path, port=port, once=False)


def test_it_says_where_it_serves_and_what_an_edge_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frames-incomer-1.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (HEAD, *FRAMES)))
    assert replay.run(options(path), stopped) == 0
    ready = json.loads(capsys.readouterr().out)
    assert ready["reason"] == "voltage_l1_v: rejected as out of range"
    assert ready["exchanges"] == 1
    assert f'port = {ready["port"]}\n[[bus.device]]\nname = "incomer"\n' in ready["edge_file"]
    assert ready["edge_file"].endswith("unit = 1\n")


def test_what_cannot_be_served_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run(options(tmp_path / "missing"), stopped) == 2
    path = tmp_path / "frames.jsonl"
    path.write_text(json.dumps({**HEAD, "protocol": "ocpp"}))
    assert replay.run(options(path), stopped) == 2
    path.write_text("".join(json.dumps(line) + "\n" for line in (HEAD, *FRAMES)))
    assert replay.run(options(path, 70_000), stopped) == 2
    said = capsys.readouterr().err
    assert "expected one of modbus_tcp, modbus_rtu, dlt645, cjt188, mbus, saw 'ocpp'" in said
    assert "missing" in said

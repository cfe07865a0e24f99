"""Golden messages of the OCPP models: what piles sent, byte for byte, told to the driver over a WebSocket, becomes the readings that it means.

Each file in tests/frames/<model>/ holds the messages, the agent's clock (`now`), the last value of each quantity, and in `absent` what must have none.
The number of a transaction is the driver's to give where the messages begin one: "@" in the file.
"""

import json
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from ocpp_bench import Bench
from ocpp_station import Clock, raw

from edge_agent import meter

FRAMES = Path(__file__).parents[2] / "frames"
MODELS = [name for name in meter.shipped() if meter.load(name).protocol == "ocpp"]
FILES = sorted(path for name in MODELS for path in (FRAMES / name).glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_golden_message_means_what_it_says(path: Path) -> None:
    golden = tomllib.loads(path.read_text(encoding="utf-8"))
    assert golden["source"]
    clock = Clock(round(1000 * datetime.fromisoformat(golden["now"]).timestamp()))
    device = {"name": "cp1", "model": path.parent.name, "identity": "CP-1"}
    async with Bench(clock, devices=[device]) as bench, raw(bench.url, version=golden["version"]) as pile:
        number = 0
        for message in golden["message"]:
            await pile.socket.send(message.replace('"@"', str(number)))
            answer = await pile.answer(json.loads(message)[1])
            assert answer[0] == 3, f"an answer to each call, not an error: {answer}"
            number = answer[2].get("transactionId", number)
        await bench.gather()
        told = {quantity: value for _, quantity, _, value, _ in bench.readings}
    assert {name: told.get(name) for name in golden["values"]} == pytest.approx(golden["values"], rel=1e-12)
    absent = golden.get("absent", [])
    assert {name: told.get(name) for name in absent} == dict.fromkeys(absent)

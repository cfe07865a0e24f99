"""An aggregator as it is assembled, for one edge, and a chain of batches that this edge has sealed."""

from pathlib import Path

from aggregator.run import Aggregator
from aggregator.settings import load
from wire.batch import Sealer
from wire.block import Block, Shape
from wire.clock import Clock
from wire.content import ClockJson, Content, pack
from wire.keys import SigningKey
from wire.topics import edge_topic

NOW = 1_760_000_000_000
KEY = SigningKey(bytes(range(32)))
TOPIC = edge_topic("steel", "gw", "batch")
SETTINGS = f"""
[aggregator]
store_id = "store-1"
data_directory = "data"
http = {{ port = 0 }}
[[facility]]
id = "steel"
time_zone = "Asia/Seoul"
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 1000
[[edge]]
facility = "steel"
edge = "gw"
public_key = "{KEY.public.to_text()}"
"""
COUNT = 20


def sealed(count: int = COUNT) -> list[tuple[bytes, str]]:
    """Frames and digests of a chain of counter batches, one reading each."""
    sealer, prev, found = Sealer(TOPIC, KEY), "", []
    for seq in range(1, count + 1):
        at_ms = NOW + 1_000 * seq
        block = Block("incomer", Shape(("energy_import_kwh",), (-3,)), (at_ms,), ((1_000_000 + 500 * seq,),))
        shapes, blocks = pack([block])
        content = Content("steel", "gw", "e1", seq, prev, at_ms, "counter", ClockJson(True), [], shapes, blocks)
        frame, sha256 = sealer.seal(content)
        prev = sha256.hex()
        found.append((frame, prev))
    return found


FRAMES = sealed()


def started(directory: Path) -> Aggregator:
    file = directory / "aggregator.toml"
    file.write_text(SETTINGS)
    return Aggregator(load(file, {}), Clock())

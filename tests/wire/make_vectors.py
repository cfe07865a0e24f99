"""Writes `tests/cases/batch_vectors`: run once per wire version (`python tests/wire/make_vectors.py`), never to make a failing test pass.

The key is a fixed test key; the values are chosen by hand. A vector that stands is never written again.
"""

import gzip
import json
from pathlib import Path

from wire import content as wire_content
from wire.batch import GZIP, HEADER, MAGIC, Sealer, frame_digest
from wire.block import Block, Shape
from wire.content import ClockJson, Content, EventJson, Gap
from wire.keys import SigningKey
from wire.topics import edge_topic

VECTORS = Path(__file__).parent.parent / "cases" / "batch_vectors"
TOPIC = edge_topic("works", "gw-01", "batch")
KEY = SigningKey(bytes(range(32)))


def content_of(seq: int, cls: wire_content.BatchClass, **rest: object) -> Content:
    clock = ClockJson(synced=True, boot="4f0c", offset_ms=2)
    return Content("works", "gw-01", "e-1", seq, "00" * 32, 1_795_248_000_000, cls, clock, **rest)  # type: ignore[arg-type]


def with_blocks(seq: int, cls: wire_content.BatchClass, blocks: list[Block]) -> Content:
    shapes, packed = wire_content.pack(blocks)
    return content_of(seq, cls, shapes=shapes, blocks=packed)


POWER = Shape(("active_power_kw", "voltage_l1_v"), (-3, None))
ENERGY = Shape(("energy_import_kwh", "energy_export_kwh"), (-2, -2))
CONTENTS = {
    "gauges_of_one_instant": with_blocks(
        1, "gauge", [Block("incomer", POWER, (1_795_247_999_900,), ((12_345,), (230.1,)))]
    ),
    "counters_of_three_instants": with_blocks(
        2, "counter", [Block("incomer", ENERGY, (1_000, 2_000, 3_500), ((100, 101, 103), (7, None, 7)))]
    ),
    "quality_by_column": with_blocks(3, "gauge", [Block("pv", POWER, (5_000,), ((None,), (231.5,)), ((2, 3), (0, 0)))]),
    "events": content_of(
        4, "event", events=[EventJson("4-1", 9_000, "device_lost", "pv", {"reason": "no answer within 1 s"})]
    ),
    "gaps": content_of(
        5,
        "event",
        gaps=[
            Gap("new_spool", "the spool was empty", epoch="unknown"),
            Gap(
                "dropped", "the spool was full", "e-0", "gauge", 11, 19, "ab" * 32, 1_000, 9_000, ["incomer", "pv"], 640
            ),
        ],
    ),
}


def write(name: str, frame: bytes, content: Content, public_key: str) -> None:
    path = VECTORS / f"{name}.json"
    if path.exists():
        raise FileExistsError(f"{path}: a vector that stands is never written again")
    vector = {
        "topic": TOPIC,
        "public_key": public_key,
        "sha256": frame_digest(frame, TOPIC).hex(),
        "content": json.loads(wire_content.encode(content)),
        "frame": frame.hex(),
    }
    path.write_text(json.dumps(vector, indent=1) + "\n")


if __name__ == "__main__":
    for name, content in CONTENTS.items():
        write(f"v0_{name}", Sealer(TOPIC, KEY).seal(content)[0], content, KEY.public.to_text())
    unsigned = CONTENTS["events"]
    packed = gzip.compress(wire_content.encode(unsigned), mtime=0)
    write("v0_unsigned_gzip", HEADER.pack(MAGIC, 0, GZIP, 0, bytes(8), bytes(64)) + packed, unsigned, "")

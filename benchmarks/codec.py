"""What a reading costs on the wire: encoding, decoding and bytes of a batch, beside plain JSON rows of the same readings.

`encode` is what an edge does with blocks of readings, without the signature: pack, JSON, zstd, hash. `decode` is what an aggregator does
with a frame: hash, unzip, JSON, every check of structure. `columns` goes on from there to the numpy columns of one commit. Sizes: 1 reading,
20 (a device's), 204 (6 devices x 34 quantities x 1 instant, the live shape) and 3,876 (the same devices, 19 instants: backfill). Beside: an
object per reading as JSON by orjson and by msgspec, zstd level 1, decoded to dicts and to structs. All in turns, in one process.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import orjson
import zstandard

from aggregator.gather import Gatherer
from aggregator.stores.series_table import SeriesTable
from benchmarks.figure import Effort, Figure, side_by_side
from benchmarks.live_shape import BACKFILL, SIZES, T0, Meters, content
from wire.batch import Sealer, unseal
from wire.block import Block
from wire.topics import edge_topic

STRETCH_S: Final = 0.15
TOPIC: Final = edge_topic("works", "gw-01", "batch")


class _Row(msgspec.Struct):
    """What a row of JSON is decoded to."""

    device: str
    quantity: str
    at_ms: int
    value: float | None
    quality: int


def _rows(blocks: list[Block]) -> list[_Row]:
    return [
        _Row(reading.device, reading.quantity, reading.at_ms, reading.value, int(reading.quality))
        for block in blocks
        for reading in block.readings()
    ]


def figures(effort: Effort) -> Iterator[Figure]:
    """`codec.*`, ns of processor time and bytes per reading."""
    for name, (devices, quantities, instants) in {**SIZES, "backfill": BACKFILL}.items():
        blocks = Meters(devices, quantities).blocks(T0, instants)
        yield from _of_size(name, blocks, devices * quantities * instants, effort)


def _of_size(size: str, blocks: list[Block], readings: int, effort: Effort) -> Iterator[Figure]:
    sealer, gatherer = Sealer(TOPIC, None), Gatherer(SeriesTable().ids)
    packer, opener = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
    frame = sealer.seal(content(blocks))[0]
    decoded = unseal(frame, TOPIC, lambda _: None, accept_unsigned=True).content
    rows = _rows(blocks)
    plain = [msgspec.to_builtins(row) for row in rows]
    row_encoder, row_decoder = msgspec.json.Encoder(), msgspec.json.Decoder(list[_Row])
    raw = orjson.dumps(plain)
    zipped = packer.compress(raw)
    ns = side_by_side(
        {
            "encode": lambda: sealer.seal(content(blocks)),
            "encode_orjson": lambda: packer.compress(orjson.dumps(plain)),
            "encode_msgspec": lambda: packer.compress(row_encoder.encode(rows)),
            "decode": lambda: unseal(frame, TOPIC, lambda _: None, accept_unsigned=True),
            "decode_orjson": lambda: orjson.loads(opener.decompress(zipped)),
            "decode_msgspec": lambda: row_decoder.decode(opener.decompress(zipped)),
            "columns": lambda: gatherer.gather([decoded], T0 + 10**7),
        },
        effort.seconds_or(STRETCH_S),
        effort.repeats_or(5),
    )
    yardstick = ns.pop("yardstick")
    per = {name: [value / readings for value in values] for name, values in ns.items()}
    for what in ("encode", "decode"):
        beside = {"orjson_rows": per[f"{what}_orjson"], "msgspec_rows": per[f"{what}_msgspec"]}
        yield Figure(f"codec.{what}.{size}", "ns", per[what], beside=beside, yardstick_ns=yardstick)
    yield Figure(f"codec.columns.{size}", "ns", per["columns"], yardstick_ns=yardstick)
    bytes_beside = {"json_rows_zstd": [len(zipped) / readings], "json_rows": [len(raw) / readings]}
    yield Figure(f"codec.bytes.{size}", "B", [len(frame) / readings], beside=bytes_beside)

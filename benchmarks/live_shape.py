"""Readings as they travel in life: 6 devices x 34 quantities x 1 instant, in blocks and as sealed batches. Not what is measured on them."""

import random
from collections.abc import Iterator, Sequence
from typing import Final

from wire.batch import Sealer
from wire.block import Block, Shape
from wire.content import ClockJson, Content, pack
from wire.keys import SigningKey
from wire.quantities import QUANTITIES, Carrier, Kind
from wire.topics import edge_topic

DEVICES: Final = 6
QUANTITIES_PER_DEVICE: Final = 34
COUNTERS: Final = 5  # of the 34
READINGS: Final = DEVICES * QUANTITIES_PER_DEVICE
SIZES: Final = {"1": (1, 1, 1), "20": (1, 20, 1), "204": (DEVICES, QUANTITIES_PER_DEVICE, 1)}
BACKFILL: Final = (DEVICES, QUANTITIES_PER_DEVICE, 19)  # 3,876 readings: the most that a batch of such devices holds
T0: Final = 1_760_000_000_000


def _names(count: int) -> list[str]:
    """Quantities of electricity: powers, voltages, currents, and as many counters as a meter has."""
    of = {
        kind: [row.name for row in QUANTITIES.values() if row.carrier is Carrier.ELECTRICITY and row.kind is kind]
        for kind in Kind
    }
    counters = of[Kind.COUNTER][: min(COUNTERS, count // 4)]
    return [*of[Kind.GAUGE][: count - len(counters)], *counters]


class Meters:
    """Devices whose values walk at random, as a meter's do: a few digits change between two instants."""

    def __init__(self, devices: int, quantities: int, seed: int = 7) -> None:
        names = _names(quantities)
        self.shape = Shape(tuple(names), tuple(-2 if name.endswith("kwh") else -3 for name in names))
        self._counter = [QUANTITIES[name].kind is Kind.COUNTER for name in names]
        self._random = random.Random(seed)
        self._values = [[self._random.randrange(10**4, 10**7) for _ in names] for _ in range(devices)]

    def _instant(self, device: int) -> list[int]:
        step = self._random.randrange
        values = self._values[device]
        self._values[device] = [
            value + (step(8) if counter else step(-200, 200))
            for value, counter in zip(values, self._counter, strict=True)
        ]
        return values

    def blocks(self, at_ms: int, instants: int = 1, period_ms: int = 1000) -> list[Block]:
        """One block per device; `instants` of them each, `period_ms` apart."""
        made = []
        for device in range(len(self._values)):
            rows = [self._instant(device) for _ in range(instants)]
            times = tuple(at_ms + device + number * period_ms for number in range(instants))
            columns = tuple(zip(*rows, strict=True))
            made.append(Block(f"meter-{device + 1}", self.shape, times, columns))
        return made


def content(
    blocks: Sequence[Block], facility: str = "works", edge: str = "gw-01", seq: int = 1, prev: str = ""
) -> Content:
    """The content of a batch of these blocks."""
    shapes, packed = pack(blocks)
    sealed_at_ms = blocks[-1].at_ms[-1] + 5
    clock = ClockJson(synced=True, boot="5f0c2d9e-8f2c-4d6b-9f0a-0c2e3a9b7d11")
    return Content(
        facility, edge, "0123456789abcdef", seq, prev, sealed_at_ms, "gauge", clock, shapes=shapes, blocks=packed
    )


def sealed(
    facility: str, edge: str, key: SigningKey | None, count: int, from_ms: int, period_ms: int = 1000, seed: int = 7
) -> Iterator[bytes]:
    """`count` frames of one edge as they travel, numbered from 1, chained and signed, one instant of `READINGS` readings each."""
    meters = Meters(DEVICES, QUANTITIES_PER_DEVICE, seed)
    sealer, prev = Sealer(edge_topic(facility, edge, "batch"), key), ""
    for seq in range(1, count + 1):
        blocks = meters.blocks(from_ms + seq * period_ms)
        frame, sha256 = sealer.seal(content(blocks, facility, edge, seq, prev))
        prev = sha256.hex()
        yield frame

"""A spool with its batcher at hand, and hands that play the aggregator's side."""

from pathlib import Path

import pytest

from edge_agent.seal import Batcher
from edge_agent.spool import Limits, Spool
from wire.batch import peek
from wire.block import Block, Shape
from wire.content import Content
from wire.messages import Ack, Refused
from wire.reading import Event

START_MS = 1_795_248_000_000
GAUGE = Shape(("active_power_kw", "voltage_l1_v"), (-3, None))
COUNTER = Shape(("energy_import_kwh",), (-2,))


class Desk:
    """Reads out made-up devices, flushes, answers."""

    START_MS = START_MS

    def __init__(
        self,
        directory: Path,
        facility: str = "works",
        edge: str = "gw-01",
        limits: Limits | None = None,
        machine: str = "m1",
        now_ms: int = START_MS,
    ) -> None:
        self.now_ms = now_ms
        self.spool = Spool(directory, facility, edge, limits, machine)
        self.batcher = Batcher(self.spool, facility, edge, None, lambda: self.now_ms)

    @property
    def epoch(self) -> str:
        return self.spool.current.identity.epoch

    def gauge(self, device: str = "incomer", instants: int = 1) -> None:
        """A block of `instants` x 2 readings, one second after the one before."""
        at_ms = tuple(self.now_ms + 1000 * (i + 1) for i in range(instants))
        self.now_ms = at_ms[-1]
        values = tuple(self.now_ms % 10_007 + i for i in range(instants))
        self.batcher.add_block(Block(device, GAUGE, at_ms, (values, tuple(230.1 for _ in at_ms))))

    def counter(self, device: str = "incomer") -> None:
        """A block of one reading."""
        self.now_ms += 1000
        self.batcher.add_block(Block(device, COUNTER, (self.now_ms,), ((self.now_ms % 10_009,),)))

    def event(self, device: str = "incomer", text: str = "") -> None:
        self.now_ms += 1000
        self.batcher.add_event(Event(f"e{self.now_ms}", self.now_ms, device, "counter_reset", {"text": text}))

    def flush(self) -> list[tuple[str, int]]:
        made = self.batcher.seal()
        self.spool.sync()
        return made

    def gauges(self, count: int) -> list[int]:
        """`count` synced batches of one gauge block each: their numbers."""
        made = []
        for _ in range(count):
            self.gauge()
            made += [seq for _, seq in self.flush()]
        return made

    def frame(self, seq: int, epoch: str = "") -> bytes:
        frame = self.spool.read(epoch or self.epoch, seq)
        assert frame is not None
        return frame

    def content(self, seq: int, epoch: str = "") -> Content:
        return peek(self.frame(seq, epoch))

    def sha256(self, seq: int, epoch: str = "") -> str:
        found = self.spool.epochs[epoch or self.epoch].read(seq)
        assert found is not None
        return found[0].digest.hex()

    def committed(self, *ranges: tuple[int, int], epoch: str = "", have: bool = False) -> Ack:
        epoch = epoch or self.epoch
        return Ack("store-1", epoch, [(first, last, self.sha256(last, epoch)) for first, last in ranges], have=have)

    def refused(self, seq: int, reason: str = "unreadable") -> Ack:
        return Ack("store-1", self.epoch, refused=[Refused(seq, self.sha256(seq), reason)])

    def waiting(self, epoch: str = "") -> list[int]:
        """Numbers still to be delivered, lowest first."""
        found = self.spool.epochs[epoch or self.epoch]
        return sorted(found.waiting_downwards(found.last_seq))


@pytest.fixture
def desk_of() -> type[Desk]:
    """The class itself, so that a test opens as many as it needs."""
    return Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A fresh spool in `tmp_path / "spool"`."""
    return Desk(tmp_path / "spool")


@pytest.fixture(scope="session")
def desk_class() -> type[Desk]:
    """The same for fixtures of a wider scope."""
    return Desk

"""What both sides say beside batches: answers to batches, states. Not the commands for devices.

A reader passes over keys that it does not know: later writers may say more.
"""

from typing import Any, Final, Literal, TypeVar

import msgspec

MAX_STATUS_BYTES: Final = 256 << 10


class Refused(msgspec.Struct, frozen=True):
    """A batch that the aggregator will never take."""

    seq: int
    sha256: str
    reason: str


class Held(msgspec.Struct, frozen=True):
    """A batch that the aggregator cannot take now; send it again later."""

    seq: int
    reason: str


class Ack(msgspec.Struct, omit_defaults=True, frozen=True):
    """The aggregator's answer: `committed` holds (first seq, last seq, sha256 of the last) per range.

    With `have` it is everything that the store holds of this epoch, else what has changed.
    """

    store: str
    epoch: str
    committed: list[tuple[int, int, str]] = []
    refused: list[Refused] = []
    held: list[Held] = []
    have: bool = False


class AggregatorStatus(msgspec.Struct, frozen=True):
    """Retained; edges send batches only while it says online."""

    store: str
    state: Literal["online", "offline"]
    at_ms: int = 0


class DeviceState(msgspec.Struct, omit_defaults=True, frozen=True):
    """One device of an edge: `state` is online, lost or unknown. `period_s`: how often it is asked, 0 where that is not said; `listens`: it
    speaks when it has something to say, so that its silence means nothing."""

    name: str
    protocol: str = ""
    model: str = ""
    state: str = "unknown"
    last_answer_ms: int | None = None
    reason: str = ""
    period_s: float = 0.0
    listens: bool = False


class EdgeStatus(msgspec.Struct, omit_defaults=True, frozen=True):
    """Retained, and the edge's will. `page` of `pages` where the device list is long."""

    state: Literal["online", "offline"]
    reason: str = ""
    version: str = ""
    at_ms: int = 0
    epoch: str = ""
    oldest_seq: int = 0
    next_seq: int = 0
    spool_batches: int = 0
    spool_bytes: int = 0
    public_key: str = ""
    store: str = ""
    gaps: int = 0
    refused: int = 0
    held: int = 0
    figures: dict[str, Any] = {}
    devices: list[DeviceState] = []
    page: int = 1
    pages: int = 1


_T = TypeVar("_T")


class MessageUnreadable(ValueError):
    """A message that is not what its topic promises."""


def encode(message: Ack | AggregatorStatus | EdgeStatus) -> bytes:
    """The JSON bytes of a message."""
    return msgspec.json.encode(message)


def decode_ack(raw: bytes) -> Ack:
    """Raises MessageUnreadable."""
    return _decode(raw, Ack, "ack")


def decode_aggregator_status(raw: bytes) -> AggregatorStatus:
    """Raises MessageUnreadable."""
    return _decode(raw, AggregatorStatus, "aggregator status")


def decode_edge_status(raw: bytes) -> EdgeStatus:
    """Raises MessageUnreadable."""
    return _decode(raw, EdgeStatus, "edge status")


def _decode(raw: bytes, kind: type[_T], name: str) -> _T:
    if len(raw) > MAX_STATUS_BYTES:
        raise MessageUnreadable(f"{name}: expected at most {MAX_STATUS_BYTES} bytes, got {len(raw)}")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageUnreadable(f"{name}: {error}") from error

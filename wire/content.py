"""What is inside a batch, as JSON: shapes once, integers by block, events, gaps. Not its frame and signature (see `wire.batch`).

A block of one instant carries `row`, one value per column. A block of several carries `values`, per column the first integer and then
differences (plain floats stay as they are). `null` is a missing value and is skipped by the differences.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec

from wire import extended
from wire.block import Block, Shape, Value
from wire.quantities import QUANTITIES, Kind
from wire.topics import valid_id

BatchClass: TypeAlias = Literal["counter", "gauge", "event"]
CLASSES: Final[tuple[BatchClass, ...]] = ("counter", "gauge", "event")
MAX_READINGS: Final = 4_000  # a batch is sealed at the latest with so many
MAX_DECODED_READINGS: Final = 100_000  # what a reader accepts; 1 MiB of JSON cannot hold more than about 500,000 digits

GAP_KINDS: Final = frozenset(
    {"new_spool", "restart", "dropped", "refused", "unreadable", "unsealed", "aggregator_restored"}
)

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHAPES_KEPT: Final = 1024  # a gateway knows few: one per request of each meter model

QualityRun: TypeAlias = tuple[int, int, int]  # quality, reason code, how many instants


class ShapeJson(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Columns: names, and `null` or the power of ten of each."""

    quantities: list[str]
    exp: list[int | None]


class BlockJson(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename={"exceptions": "except"}, gc=False
):
    """Values of one device; exactly one of `row` and `values`."""

    device: str
    shape: int
    at_ms: list[int]  # the first, then differences
    row: list[int | float | None] | None = None
    values: list[list[int | float | None]] | None = None
    quality: list[QualityRun] = []
    exceptions: dict[str, list[QualityRun]] = {}


class EventJson(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Something that happened."""

    id: str
    at_ms: int
    kind: str
    device: str = ""
    body: dict[str, Any] = {}


class ClockJson(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What the edge knew of its clock when it sealed.

    `boot` names the machine's start, `monotonic_ms` counts from it and stands for the same instant as `sealed_at_ms`: of two batches of one
    start, one of them synchronised, the difference of the two tells how far the readings of the other are off. `offset_ms` is what the
    operating system was still correcting, `error_ms` the most that it could be off.
    """

    synced: bool | None  # None: it cannot tell
    boot: str = ""
    offset_ms: int | None = None
    error_ms: int | None = None
    monotonic_ms: int | None = None


class Gap(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What is missing, why, and which numbers or time span it had.

    kind, one of GAP_KINDS or a later one: `new_spool` (another epoch went before), `restart` (the agent was away), `dropped` (the spool was full), `refused` (the
    aggregator will not have it), `unreadable` (a spool segment was damaged), `unsealed` (lost before it had a number),
    `aggregator_restored` (acknowledged before, gone from both sides now). Where not all numbers from `first_seq` to `last_seq`
    are missing, `seqs` names those that are: the first, then differences.
    """

    kind: str
    reason: str
    epoch: str = ""
    cls: Literal["counter", "gauge", "event", ""] = ""
    first_seq: int | None = None
    last_seq: int | None = None
    last_sha256: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    devices: list[str] = []
    readings: int | None = None
    seqs: list[int] = []


class Content(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename={"cls": "class"}):
    """A whole batch, unpacked."""

    facility: str
    edge: str
    epoch: str
    seq: int
    prev: str
    sealed_at_ms: int
    cls: BatchClass
    clock: ClockJson
    gaps: list[Gap] = []
    shapes: list[ShapeJson] = []
    blocks: list[BlockJson] = []
    events: list[EventJson] = []


class ContentUnreadable(ValueError):
    """Content whose structure breaks the contract; the message says where, what was expected and what was seen."""


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Content)
_INNER: Final[dict[str, type[msgspec.Struct]]] = {
    "clock": ClockJson,
    "gaps": Gap,
    "shapes": ShapeJson,
    "blocks": BlockJson,
    "events": EventJson,
}


def encode(content: Content) -> bytes:
    """The JSON bytes of a batch's content."""
    return _ENCODER.encode(content)


def decode(raw: bytes) -> Content:
    """The content of JSON bytes, structure checked; values, names and times are for the reader to judge row by row.

    Raises ContentUnreadable.
    """
    return decode_extended(raw)[0]


def decode_extended(raw: bytes) -> tuple[Content, tuple[str, ...]]:
    """See `decode`; and the names of the keys that this reader does not know and has left out."""
    names: tuple[str, ...] = ()
    try:
        try:
            content = _DECODER.decode(raw)
        except msgspec.ValidationError as error:
            if not extended.is_extended(error):
                raise
            content, names = extended.known_part(raw, Content, _INNER)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContentUnreadable(f"batch content: {error}") from error
    _check(content)
    return content, names


def _check(content: Content) -> None:
    for name, text in (("facility", content.facility), ("edge", content.edge), ("epoch", content.epoch)):
        if not valid_id(text):
            raise ContentUnreadable(f"{name}: expected 1 to 64 of A-Z a-z 0-9 _ -, got {text!r}")
    if not 0 < content.seq < 2**64:
        raise ContentUnreadable(f"seq: expected 1 to 2^64-1, got {content.seq}")
    if content.prev and not _SHA256.fullmatch(content.prev):
        raise ContentUnreadable(f"prev: expected 64 hex digits or nothing, got {content.prev!r}")
    for index, shape in enumerate(content.shapes):
        if len(shape.quantities) != len(shape.exp) or not shape.quantities:
            raise ContentUnreadable(
                f"shapes[{index}]: expected as many exponents as quantities, got {len(shape.exp)} and {len(shape.quantities)}"
            )
        for exponent in shape.exp:
            if exponent is not None and not -18 <= exponent <= 18:
                raise ContentUnreadable(f"shapes[{index}].exp: expected -18 to 18, got {exponent}")
    for index, gap in enumerate(content.gaps):
        if gap.seqs and not (
            gap.first_seq == gap.seqs[0] > 0
            and gap.last_seq == sum(gap.seqs)
            and all(step > 0 for step in gap.seqs[1:])
        ):
            raise ContentUnreadable(
                f"gaps[{index}].seqs: expected rising numbers from {gap.first_seq} to {gap.last_seq}, got {gap.seqs[:8]}"
            )
    cells = 0
    for index, block in enumerate(content.blocks):
        cells += _check_block(content.shapes, index, block)
        if cells > MAX_DECODED_READINGS:
            raise ContentUnreadable(f"blocks: expected at most {MAX_DECODED_READINGS} readings, got more")


def _check_block(shapes: list[ShapeJson], index: int, block: BlockJson) -> int:
    where = f"blocks[{index}]"
    if not valid_id(block.device):
        raise ContentUnreadable(f"{where}.device: expected 1 to 64 of A-Z a-z 0-9 _ -, got {block.device!r}")
    if not 0 <= block.shape < len(shapes):
        raise ContentUnreadable(f"{where}.shape: expected 0 to {len(shapes) - 1}, got {block.shape}")
    columns, instants = len(shapes[block.shape].quantities), len(block.at_ms)
    if block.row is not None and block.values is None:
        if instants != 1 or len(block.row) != columns:
            raise ContentUnreadable(
                f"{where}.row: expected 1 instant and {columns} values, got {instants} and {len(block.row)}"
            )
    elif block.values is not None and block.row is None:
        if instants == 0 or len(block.values) != columns or any(len(column) != instants for column in block.values):
            raise ContentUnreadable(
                f"{where}.values: expected {columns} columns of {instants} instants, got {[len(c) for c in block.values][:8]}"
            )
    else:
        raise ContentUnreadable(f"{where}: expected exactly one of row and values")
    for runs in (block.quality, *block.exceptions.values()):
        if runs and sum(run[2] for run in runs) != instants:
            raise ContentUnreadable(f"{where}.quality: expected runs over {instants} instants, got {runs[:8]}")
        if any(not 0 <= quality <= 3 or not 0 <= reason <= 255 or count <= 0 for quality, reason, count in runs):
            raise ContentUnreadable(
                f"{where}.quality: expected quality 0 to 3, reason 0 to 255, count from 1, got {runs[:8]}"
            )
    for key in block.exceptions:
        if not (key.isascii() and key.isdigit() and int(key) < columns):
            raise ContentUnreadable(f"{where}.except: expected a column number below {columns}, got {key!r}")
    return columns * instants


def missing_numbers(first_seq: int, last_seq: int, seqs: Sequence[int]) -> list[tuple[int, int]]:
    """The numbers that a gap names, as closed ranges: all from first to last, or those of `seqs` (the first, then differences)."""
    if not seqs:
        return [(first_seq, last_seq)]
    ranges: list[tuple[int, int]] = []
    number = 0
    for step in seqs:
        number += step
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


@lru_cache(maxsize=_SHAPES_KEPT)
def batch_class(shape: Shape) -> BatchClass:
    """Which class a shape's readings travel in: `counter` where all of its quantities are counters, else `gauge`."""
    return "counter" if all(QUANTITIES[quantity].kind is Kind.COUNTER for quantity in shape.quantities) else "gauge"


def split_by_class(block: Block) -> list[Block]:
    """`block` as at most two blocks: its counters, and the rest; the instants stay the same."""
    return [_columns_of(block, columns, shape) for columns, shape in _split(block.shape)] or [block]


@lru_cache(maxsize=_SHAPES_KEPT)
def _split(shape: Shape) -> tuple[tuple[tuple[int, ...], Shape], ...]:
    """Columns and shape of the counters, then of the rest; nothing where all are of one class."""
    is_counter = [QUANTITIES[quantity].kind is Kind.COUNTER for quantity in shape.quantities]
    if all(is_counter) or not any(is_counter):
        return ()
    parts = []
    for wanted in (True, False):
        columns = tuple(i for i, flag in enumerate(is_counter) if flag is wanted)
        quantities, exponents = shape.quantities, shape.exponents
        part = Shape(tuple(quantities[i] for i in columns), tuple(exponents[i] for i in columns))
        parts.append((columns, part))
    return tuple(parts)


def _columns_of(block: Block, columns: tuple[int, ...], shape: Shape) -> Block:
    quality = tuple(block.quality[i] for i in columns) if block.quality else ()
    if not any(pair != (0, 0) for pair in quality):
        quality = ()
    return Block(block.device, shape, block.at_ms, tuple(block.columns[i] for i in columns), quality)


def pack(blocks: Sequence[Block]) -> tuple[list[ShapeJson], list[BlockJson]]:
    """Shapes and blocks for `Content`: blocks of one device and shape become one, in the order of their instants."""
    shapes: dict[Shape, int] = {}
    groups: dict[tuple[str, int], list[Block]] = {}
    for block in blocks:
        number = shapes.setdefault(block.shape, len(shapes))
        groups.setdefault((block.device, number), []).append(block)
    packed = [_packed(device, number, group) for (device, number), group in groups.items()]
    return [ShapeJson(list(shape.quantities), list(shape.exponents)) for shape in shapes], packed


def _packed(device: str, number: int, group: list[Block]) -> BlockJson:
    shape = group[0].shape
    at_ms = [instant for block in group for instant in block.at_ms]
    base, exceptions = _quality_runs(group)
    if len(at_ms) == 1:
        return BlockJson(
            device, number, at_ms, row=[column[0] for column in group[0].columns], quality=base, exceptions=exceptions
        )
    steps = [at_ms[0], *(later - earlier for earlier, later in itertools.pairwise(at_ms))]
    values: list[list[Value]] = []
    for index, exponent in enumerate(shape.exponents):
        column = [value for block in group for value in block.columns[index]]
        values.append(column if exponent is None else _differences(column))
    return BlockJson(device, number, steps, values=values, quality=base, exceptions=exceptions)


def _quality_runs(group: list[Block]) -> tuple[list[QualityRun], dict[str, list[QualityRun]]]:
    if not any(block.quality for block in group):
        return [], {}
    width = len(group[0].shape.quantities)
    columns = [
        _runs((block.quality[i] if block.quality else (0, 0), len(block.at_ms)) for block in group)
        for i in range(width)
    ]
    base = max(columns, key=lambda runs: sum(other == runs for other in columns))
    exceptions = {str(i): runs for i, runs in enumerate(columns) if runs != base}
    return ([] if all(run[:2] == (0, 0) for run in base) else base), exceptions


def _runs(pairs: Iterable[tuple[tuple[int, int], int]]) -> list[QualityRun]:
    runs: list[QualityRun] = []
    for (quality, reason), count in pairs:
        if runs and runs[-1][:2] == (quality, reason):
            runs[-1] = (quality, reason, runs[-1][2] + count)
        else:
            runs.append((quality, reason, count))
    return runs


def _differences(column: list[Value]) -> list[Value]:
    previous: int | float = 0
    out: list[Value] = []
    for value in column:
        if value is None:
            out.append(None)
        else:
            out.append(value - previous)
            previous = value
    return out


def instants(block: BlockJson) -> list[int]:
    """The block's instants, UTC ms."""
    if len(block.at_ms) == 1:
        return block.at_ms
    total, out = 0, []
    for step in block.at_ms:
        total += step
        out.append(total)
    return out


def columns(shape: ShapeJson, block: BlockJson) -> list[list[Value]]:
    """The block's columns with the differences undone: integers where the shape has an exponent."""
    if block.row is not None:
        return [[value] for value in block.row]
    assert block.values is not None
    return [
        column if exponent is None else _summed(column)
        for exponent, column in zip(shape.exp, block.values, strict=True)
    ]


def _summed(column: list[Value]) -> list[Value]:
    total: int | float = 0
    out: list[Value] = []
    for value in column:
        if value is None:
            out.append(None)
        else:
            total += value
            out.append(total)
    return out


def quality_columns(shape: ShapeJson, block: BlockJson) -> list[list[QualityRun]] | None:
    """Per column its quality runs, or None where all is good."""
    if not block.quality and not block.exceptions:
        return None
    good: list[QualityRun] = [(0, 0, len(block.at_ms))]
    return [block.exceptions.get(str(i)) or block.quality or good for i in range(len(shape.exp))]


def blocks(content: Content) -> list[Block]:
    """The content's blocks as they were given; a block whose quality changes over its instants comes as several. A slow path."""
    out: list[Block] = []
    for block in content.blocks:
        shape = content.shapes[block.shape]
        at_ms, values, quality = instants(block), columns(shape, block), quality_columns(shape, block)
        own = Shape(tuple(shape.quantities), tuple(shape.exp))
        spans = [(0, len(at_ms), ())] if quality is None else _spans(quality, len(at_ms))
        for first, last, pairs in spans:
            cut = tuple(tuple(column[first:last]) for column in values)
            out.append(Block(block.device, own, tuple(at_ms[first:last]), cut, pairs))
    return out


def _spans(quality: list[list[QualityRun]], count: int) -> list[tuple[int, int, tuple[tuple[int, int], ...]]]:
    edges = {0, count}
    for runs in quality:
        position = 0
        for run in runs:
            position += run[2]
            edges.add(position)
    ordered = sorted(edges)
    spans = []
    for first, last in itertools.pairwise(ordered):
        pairs = tuple(_at(runs, first) for runs in quality)
        spans.append((first, last, pairs if any(pair != (0, 0) for pair in pairs) else ()))
    return spans


def _at(runs: list[QualityRun], index: int) -> tuple[int, int]:
    for quality, reason, count in runs:
        if index < count:
            return quality, reason
        index -= count
    raise AssertionError("runs cover all instants: checked on decoding")

"""Batches: what goes in comes out, and no bytes do harm."""

import gzip
import json
import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import content as wire_content
from wire.batch import (
    GZIP,
    HEADER,
    MAGIC,
    MAX_UNPACKED,
    ZSTD,
    Batch,
    BatchUnreadable,
    KeyUnknown,
    Sealer,
    SignatureForged,
    unseal,
)
from wire.block import Block, Shape
from wire.content import ClockJson, Content, EventJson, Gap
from wire.keys import PublicKey, SigningKey
from wire.quantities import QUANTITIES
from wire.topics import edge_topic

TOPIC = edge_topic("works", "gw-01", "batch")
KEY = SigningKey.generate()


def accepted(key_id: bytes) -> PublicKey | None:
    return KEY.public if key_id == KEY.key_id else None


def content_of(blocks: list[Block], **changes: object) -> Content:
    shapes, packed = wire_content.pack(blocks)
    fields: dict[str, object] = {
        "facility": "works",
        "edge": "gw-01",
        "epoch": "e1",
        "seq": 7,
        "prev": "ab" * 32,
        "sealed_at_ms": 1_795_248_000_000,
        "cls": "gauge",
        "clock": ClockJson(synced=True, boot="b1", offset_ms=-3),
        "shapes": shapes,
        "blocks": packed,
    }
    return Content(**{**fields, **changes})  # type: ignore[arg-type]


def live_block(device: str = "incomer", at_ms: int = 1_795_248_000_000) -> Block:
    shape = Shape(("active_power_kw", "energy_import_kwh", "voltage_l1_v"), (-3, -2, None))
    return Block(device, shape, (at_ms,), ((-12_345,), (98_765_432,), (230.125,)))


def frame_of(raw: bytes, compression: int = GZIP) -> bytes:
    packed = gzip.compress(raw) if compression == GZIP else zstandard.ZstdCompressor().compress(raw)
    return HEADER.pack(MAGIC, 0, compression, 0, bytes(8), bytes(64)) + packed


def test_a_batch_comes_out_as_it_went_in() -> None:
    content = content_of(
        [live_block(), live_block("sub-1")],
        gaps=[Gap("restart", "agent started", from_ms=1, to_ms=2)],
        events=[EventJson("id1", 5, "device_lost", "sub-1", {"reason": "no answer"})],
    )
    frame, digest = Sealer(TOPIC, KEY).seal(content)
    batch = unseal(frame, TOPIC, accepted)
    assert batch == Batch(content, digest.hex(), signed=True)
    assert wire_content.blocks(batch.content) == [live_block(), live_block("sub-1")]


def test_the_meters_own_digits_come_back_exactly() -> None:
    readings = list(live_block().readings())
    assert [repr(reading.value) for reading in readings] == ["-12.345", "987654.32", "230.125"]


def test_blocks_of_one_device_and_shape_travel_as_one_with_differences() -> None:
    first, second = live_block(at_ms=1_000), live_block(at_ms=2_500)
    content = content_of([first, second])
    assert len(content.blocks) == 1
    assert content.blocks[0].at_ms == [1_000, 1_500]
    assert content.blocks[0].values == [[-12_345, 0], [98_765_432, 0], [230.125, 230.125]]
    (merged,) = wire_content.blocks(content)
    assert merged.at_ms == (1_000, 2_500)
    assert merged.columns == ((-12_345, -12_345), (98_765_432, 98_765_432), (230.125, 230.125))


def test_quality_is_kept_per_column_and_instant() -> None:
    shape = Shape(("active_power_kw", "frequency_hz"), (-1, -2))
    bad = Block("m", shape, (1_000,), ((None,), (5_000,)), ((2, 3), (0, 0)))
    good = Block("m", shape, (2_000,), ((15,), (5_001,)))
    assert wire_content.blocks(content_of([bad, good])) == [bad, good]


def test_a_mixed_block_travels_as_counters_and_the_rest() -> None:
    counters, rest = wire_content.split_by_class(live_block())
    assert counters.shape.quantities == ("energy_import_kwh",)
    assert rest.shape.quantities == ("active_power_kw", "voltage_l1_v")
    assert (wire_content.batch_class(counters.shape), wire_content.batch_class(rest.shape)) == ("counter", "gauge")


def test_one_changed_byte_anywhere_is_found() -> None:
    frame, digest = Sealer(TOPIC, KEY).seal(content_of([live_block()]))
    for position in range(len(frame)):
        changed = bytearray(frame)
        changed[position] ^= 1
        try:
            batch = unseal(bytes(changed), TOPIC, accepted)
        except (BatchUnreadable, SignatureForged, KeyUnknown):
            continue
        pytest.fail(f"byte {position} was changed and the batch {batch.sha256} was accepted, sealed as {digest.hex()}")


def test_a_batch_on_another_edges_topic_is_forged() -> None:
    frame, _ = Sealer(TOPIC, KEY).seal(content_of([live_block()]))
    with pytest.raises(SignatureForged):
        unseal(frame, edge_topic("works", "gw-02", "batch"), accepted)


def test_an_unsigned_batch_needs_permission() -> None:
    frame, _ = Sealer(TOPIC, None).seal(content_of([live_block()]))
    with pytest.raises(KeyUnknown, match="accept_unsigned"):
        unseal(frame, TOPIC, accepted)
    assert not unseal(frame, TOPIC, accepted, accept_unsigned=True).signed


def test_an_unknown_key_is_named() -> None:
    other = SigningKey.generate()
    frame, _ = Sealer(TOPIC, other).seal(content_of([live_block()]))
    with pytest.raises(KeyUnknown, match=other.key_id.hex()):
        unseal(frame, TOPIC, accepted)


@pytest.mark.parametrize("compression", [GZIP, ZSTD])
def test_a_bomb_is_refused_without_being_unpacked(compression: int) -> None:
    frame = frame_of(b" " * (64 << 20), compression)
    assert len(frame) < 1 << 20
    tracemalloc.start()
    with pytest.raises(BatchUnreadable, match=f"at most {MAX_UNPACKED}"):
        unseal(frame, TOPIC, accepted, accept_unsigned=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MAX_UNPACKED


def test_a_zstd_frame_that_hides_its_size_is_refused() -> None:
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(b" " * (4 << 20))
    frame = HEADER.pack(MAGIC, 0, ZSTD, 0, bytes(8), bytes(64)) + packed
    with pytest.raises(BatchUnreadable, match="states -1"):
        unseal(frame, TOPIC, accepted, accept_unsigned=True)


def test_a_batch_of_gzip_is_read_too() -> None:
    content = content_of([live_block()])
    frame = frame_of(wire_content.encode(content))
    assert unseal(frame, TOPIC, accepted, accept_unsigned=True).content == content


@given(st.binary(max_size=4_000))
def test_any_bytes_are_answered_not_obeyed(frame: bytes) -> None:
    with pytest.raises((BatchUnreadable, KeyUnknown)):
        unseal(frame, TOPIC, accepted)


@given(st.binary(max_size=2_000), st.sampled_from([GZIP, ZSTD]))
def test_any_content_behind_a_good_header_is_answered(raw: bytes, compression: int) -> None:
    with pytest.raises(BatchUnreadable):
        unseal(frame_of(raw, compression), TOPIC, accepted, accept_unsigned=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(["shapes", "blocks", "events", "gaps", "clock", "seq", "prev", "epoch"]), json_values)
def test_any_json_in_any_place_is_read_or_refused(key: str, value: object) -> None:
    good = json.loads(wire_content.encode(content_of([live_block()])))
    try:
        batch = unseal(frame_of(json.dumps({**good, key: value}).encode()), TOPIC, accepted, accept_unsigned=True)
    except BatchUnreadable:
        return
    wire_content.blocks(batch.content)


names = st.sampled_from(sorted(QUANTITIES))


@st.composite
def block_lists(draw: st.DrawFn) -> list[Block]:
    blocks = []
    for device in draw(st.lists(st.sampled_from(["m1", "m2", "m3"]), min_size=1, max_size=3, unique=True)):
        quantities = tuple(draw(st.lists(names, min_size=1, max_size=5, unique=True)))
        exponents = tuple(
            draw(st.lists(st.none() | st.integers(-9, 3), min_size=len(quantities), max_size=len(quantities)))
        )
        shape = Shape(quantities, exponents)
        at_ms = 1_700_000_000_000
        for _ in range(draw(st.integers(1, 4))):
            at_ms += draw(st.integers(1, 10_000_000))
            columns = tuple(
                (
                    draw(
                        st.none()
                        | (
                            st.floats(allow_nan=False, allow_infinity=False)
                            if e is None
                            else st.integers(-(2**53), 2**53)
                        )
                    ),
                )
                for e in exponents
            )
            pairs = tuple(draw(st.tuples(st.integers(0, 3), st.integers(0, 16))) for _ in quantities)
            quality = pairs if any(pair != (0, 0) for pair in pairs) else ()
            blocks.append(Block(device, shape, (at_ms,), columns, quality))
    return blocks


def instants_of(blocks: list[Block]) -> set[tuple[object, ...]]:
    return {
        (
            block.device,
            quantity,
            exponent,
            at_ms,
            repr(block.columns[q][i]),
            block.quality[q] if block.quality else (0, 0),
        )
        for block in blocks
        for q, (quantity, exponent) in enumerate(zip(block.shape.quantities, block.shape.exponents, strict=True))
        for i, at_ms in enumerate(block.at_ms)
    }


@settings(deadline=None)
@given(block_lists())
def test_every_value_instant_and_quality_survives_the_trip(blocks: list[Block]) -> None:
    frame, _ = Sealer(TOPIC, KEY).seal(content_of(blocks))
    back = wire_content.blocks(unseal(frame, TOPIC, accepted).content)
    assert instants_of(back) == instants_of(blocks)

"""Tens of thousands of spoiled batches: unsealing reads or refuses each of them, in little memory and time, and never breaks otherwise."""

import gzip
import json

import pytest
from faulty_batch import TOPIC, good_content
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import spoiled

from wire import content as wire_content
from wire.batch import (
    GZIP,
    HEADER,
    MAGIC,
    MAX_UNPACKED,
    ZSTD,
    BatchUnreadable,
    KeyUnknown,
    Sealer,
    SignatureForged,
    numbered,
    unseal,
)
from wire.block import Block, Shape
from wire.content import ClockJson, Content, EventJson, Gap
from wire.keys import SigningKey

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
MANY = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
KEY = SigningKey.generate()
AT_MS = 1_795_248_000_000


def sealed(key: SigningKey | None) -> bytes:
    """A batch with everything in it: two shapes, many instants, qualities, an event, a gap."""
    power, energy = Shape(("active_power_kw", "voltage_l1_v"), (-3, None)), Shape(("energy_import_kwh",), (-2,))
    blocks = [
        Block("incomer", power, (AT_MS,), ((1_500,), (230.1,))),
        Block("incomer", power, (AT_MS + 1000,), ((None,), (230.2,)), ((2, 3), (0, 0))),
        Block("sub-1", energy, (AT_MS,), ((98_765,),)),
    ]
    shapes, packed = wire_content.pack(blocks)
    content = Content(
        "works", "gw-01", "e1", 7, "ab" * 32, AT_MS, "gauge", ClockJson(synced=True, boot="b", offset_ms=-3),
        [Gap("restart", "the agent was away", from_ms=1, to_ms=2)], shapes, packed, [EventJson("id1", 5, "device_lost", "sub-1", {"a": [1]})],
    )  # fmt: skip
    return Sealer(TOPIC, key).seal(content)[0]


SIGNED, UNSIGNED = sealed(KEY), sealed(None)
INSIDE = wire_content.encode(unseal(UNSIGNED, TOPIC, lambda _: None, accept_unsigned=True).content)


def read_or_refused(frame: bytes) -> bool:
    """Whether an unsigned frame was read; everything that a reader asks of it is asked."""
    try:
        batch = unseal(frame, TOPIC, lambda _: None, accept_unsigned=True)
    except (BatchUnreadable, KeyUnknown):
        return False
    blocks = wire_content.blocks(batch.content)
    assert all(len(column) == len(block.at_ms) for block in blocks for column in block.columns)
    assert wire_content.decode(wire_content.encode(batch.content)) == batch.content
    return True


@MANY
@given(spoiled(SIGNED))
def test_a_signed_frame_is_the_one_that_was_signed_or_none(frame: bytes) -> None:
    try:
        batch = unseal(frame, TOPIC, lambda key_id: KEY.public if key_id == KEY.key_id else None)
    except (BatchUnreadable, KeyUnknown, SignatureForged):
        return
    assert frame == SIGNED
    assert batch.signed


@MANY
@given(spoiled(UNSIGNED))
def test_an_unsigned_frame_is_read_or_refused(frame: bytes) -> None:
    read_or_refused(frame)
    try:
        numbered(frame)
    except BatchUnreadable:
        return


@MANY
@given(spoiled(INSIDE), st.sampled_from([GZIP, ZSTD]))
def test_spoiled_json_behind_a_good_header_is_read_or_refused(raw: bytes, compression: int) -> None:
    packed = gzip.compress(raw, 1, mtime=0)
    if compression == ZSTD:
        packed = Sealer(TOPIC, None)._compressor.compress(raw)
    read_or_refused(HEADER.pack(MAGIC, 0, compression, 0, bytes(8), bytes(64)) + packed)


PLACES = (
    ("seq",), ("prev",), ("epoch",), ("sealed_at_ms",), ("clock",), ("shapes",), ("shapes", 0), ("shapes", 0, "exp"), ("shapes", 0, "quantities"),
    ("blocks",), ("blocks", 0), ("blocks", 0, "at_ms"), ("blocks", 0, "row"), ("blocks", 0, "values"), ("blocks", 0, "quality"),
    ("blocks", 0, "except"), ("blocks", 0, "shape"), ("blocks", 0, "device"), ("events",), ("gaps",),
)  # fmt: skip
numbers = st.sampled_from(
    [0, 1, -1, 2, 3, 255, 256, 2**31, 2**53, 2**63, 2**64, 10**19, 10**400, -(10**400), 0.5, -0.0, 1e308, 5e-324]
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=6) | st.sampled_from(["active_power_kw", "0", "1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["0", "1", "9", "device", "kind", ""]), inner, max_size=3)
    ),
    max_leaves=10,
)


@MANY
@given(st.sampled_from(PLACES), json_values)
def test_any_json_at_any_place_is_read_or_refused(place: tuple[str | int, ...], value: object) -> None:
    content = good_content()
    inner: object = content
    for step in place[:-1]:
        inner = inner[step]  # type: ignore[index]
    inner[place[-1]] = value  # type: ignore[index]
    raw = gzip.compress(json.dumps(content).encode(), 1, mtime=0)
    read_or_refused(HEADER.pack(MAGIC, 0, GZIP, 0, bytes(8), bytes(64)) + raw)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 4 * MAX_UNPACKED), st.binary(min_size=1, max_size=3), st.sampled_from([GZIP, ZSTD]))
def test_any_size_unpacked_is_bounded(size: int, pattern: bytes, compression: int) -> None:
    raw = (pattern * (size // len(pattern) + 1))[:size]
    packed = gzip.compress(raw, 1, mtime=0) if compression == GZIP else Sealer(TOPIC, None)._compressor.compress(raw)
    assert not read_or_refused(HEADER.pack(MAGIC, 0, compression, 0, bytes(8), bytes(64)) + packed)

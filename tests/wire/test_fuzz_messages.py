"""Spoilt batches, commands and results for four seconds: read or refused, in bounded memory. `test_long_fuzz_batch.py` and `_command.py` take minutes."""

import gzip
import json
import random

import msgspec
from faulty_batch import TOPIC, good_content
from spoilt_bytes import bounded, spoilt, tried

from wire import content as wire_content
from wire.batch import GZIP, HEADER, MAGIC, ZSTD, BatchUnreadable, KeyUnknown, Sealer, SignatureForged, numbered, unseal
from wire.command import (
    Command,
    CommandForged,
    CommandUnreadable,
    Outcome,
    Result,
    SetPoint,
    State,
    decode_result,
    encode_result,
    seal,
)
from wire.command import unseal as unseal_command
from wire.keys import SigningKey
from wire.topics import edge_topic

KEY = SigningKey.generate()
AT_MS = 1_795_248_000_000
INSIDE = json.dumps(good_content()).encode()
CONTENT = wire_content.decode(INSIDE)
SIGNED = Sealer(TOPIC, KEY).seal(CONTENT)[0]
PACKED = {GZIP: lambda raw: gzip.compress(raw, 1, mtime=0), ZSTD: Sealer(TOPIC, None)._compressor.compress}

ASKED = edge_topic("works", "gw-01", "command")
COMMAND = Command(
    "c-1", "dispatch", 7, AT_MS, AT_MS + 1, [SetPoint("battery", "power_kw", -20.5, AT_MS, AT_MS + 900_000)]
)
FRAME = seal(COMMAND, ASKED, KEY)
RESULT = encode_result(
    Result("c-1", "dispatch", 7, AT_MS, 3, [Outcome(State.REFUSED, AT_MS, "why", 1.5, -2.0)], "whole")
)


def batch(chance: random.Random) -> None:
    """A signed frame, or spoilt content behind a good header."""
    if chance.random() < 0.4:
        frame = spoilt(SIGNED, chance)
        try:
            unseal(frame, TOPIC, lambda key_id: KEY.public if key_id == KEY.key_id else None)
        except (BatchUnreadable, KeyUnknown, SignatureForged):
            pass
        else:
            assert frame == SIGNED
        try:
            numbered(frame)
        except BatchUnreadable:
            return
    else:
        packing = chance.choice((GZIP, ZSTD))
        frame = HEADER.pack(MAGIC, 0, packing, 0, bytes(8), bytes(64)) + PACKED[packing](spoilt(INSIDE, chance))
    try:
        content = unseal(frame, TOPIC, lambda _: None, accept_unsigned=True).content
    except (BatchUnreadable, KeyUnknown):
        return
    for block in wire_content.blocks(content):
        assert all(len(column) == len(block.at_ms) for column in block.columns)
    assert wire_content.decode(wire_content.encode(content)) == content


def command(chance: random.Random) -> None:
    """A signed frame, a spoilt command that somebody has signed, or a result."""
    frame = spoilt(FRAME, chance)
    try:
        assert unseal_command(frame, ASKED, KEY.public) == COMMAND
        assert frame == FRAME
    except (CommandForged, CommandUnreadable):
        pass
    try:
        result = decode_result(spoilt(RESULT, chance))
    except CommandUnreadable:
        pass
    else:
        assert decode_result(encode_result(result)) == result
    try:
        other = msgspec.json.decode(spoilt(msgspec.json.encode(COMMAND), chance), type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    try:
        assert unseal_command(seal(other, ASKED, KEY), ASKED, KEY.public) == other
    except CommandUnreadable:
        return


def test_spoilt_batches_are_read_or_refused() -> None:
    with bounded():
        assert tried(batch, 2.0, seed=6962) > 100


def test_spoilt_commands_and_results_are_read_or_refused() -> None:
    with bounded():
        assert tried(command, 2.0, seed=25519) > 100

"""Tens of thousands of spoiled commands and results: each is read or refused, and nothing that was not signed is ever read."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from mutations import spoiled

from wire.batch import HEADER, digest
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
    unseal,
)
from wire.keys import SigningKey
from wire.topics import edge_topic

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
MANY = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
KEY = SigningKey.generate()
TOPIC = edge_topic("works", "gw-01", "command")
AT_MS = 1_795_248_000_000
COMMAND = Command(
    "c-1",
    "dispatch",
    7,
    AT_MS,
    AT_MS + 1,
    [
        SetPoint("battery", "power_kw", -20.5, AT_MS, AT_MS + 900_000),
        SetPoint("pv", "limit_percent", None, AT_MS, AT_MS + 1),
    ],
    firm=True,
)
FRAME = seal(COMMAND, TOPIC, KEY)
RESULT = encode_result(
    Result("c-1", "dispatch", 7, AT_MS, 3, [Outcome(state, AT_MS, "why", 1.5, -2.0) for state in State], "whole")
)


@MANY
@given(spoiled(FRAME))
def test_a_frame_is_the_one_that_was_signed_or_none(frame: bytes) -> None:
    try:
        command = unseal(frame, TOPIC, KEY.public)
    except (CommandForged, CommandUnreadable):
        return
    assert frame == FRAME
    assert command == COMMAND


@MANY
@given(spoiled(msgspec.json.encode(COMMAND)))
def test_spoiled_json_under_a_good_signature_is_read_or_refused(raw: bytes) -> None:
    head = HEADER.pack(b"WLC", 1, 0, 0, KEY.key_id, b"")[:14]
    frame = head + KEY.sign(b"wattline command\x00" + digest(head, TOPIC, raw)) + raw
    try:
        command = unseal(frame, TOPIC, KEY.public)
    except CommandUnreadable:
        return
    assert unseal(seal(command, TOPIC, KEY), TOPIC, KEY.public) == command


@MANY
@given(spoiled(RESULT))
def test_a_spoiled_result_is_read_or_refused(raw: bytes) -> None:
    try:
        result = decode_result(raw)
    except CommandUnreadable:
        return
    assert decode_result(encode_result(result)) == result

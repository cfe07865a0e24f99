"""Commands and results on the wire: what goes in comes out, a forgery is found, and no bytes do harm."""

import json
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.batch import HEADER, digest
from wire.command import (
    LONGEST_MS,
    MAX_COMMAND_BYTES,
    MAX_SET_POINTS,
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
from wire.keys import PublicKey, SigningKey
from wire.topics import edge_topic

TOPIC = edge_topic("works", "gw-01", "command")
KEY = SigningKey.generate()
AT_MS = 1_795_248_000_000
VECTORS = Path(__file__).parent.parent / "cases" / "command_vectors"


def command_of(*set_points: SetPoint, **changes: object) -> Command:
    given_ = set_points or (SetPoint("battery", "power_kw", -20.5, AT_MS, AT_MS + 60_000),)
    return msgspec.structs.replace(Command("c-1", "dispatch", 7, AT_MS, AT_MS + 10_000, list(given_)), **changes)


def signed(raw: bytes) -> bytes:
    """Whatever bytes, under our own signature."""
    head = HEADER.pack(b"WLC", 1, 0, 0, KEY.key_id, b"")[:14]
    return head + KEY.sign(b"wattline command\x00" + digest(head, TOPIC, raw)) + raw


def test_a_command_comes_out_as_it_went_in() -> None:
    command = command_of(
        SetPoint("battery", "power_kw", -20.5, AT_MS, AT_MS + 1),
        SetPoint("battery", "power_kw", None, AT_MS + 1, AT_MS + 2),
        firm=True,
    )
    assert unseal(seal(command, TOPIC, KEY), TOPIC, KEY.public) == command


def test_one_changed_byte_anywhere_is_found() -> None:
    frame = seal(command_of(), TOPIC, KEY)
    for position in range(len(frame)):
        changed = bytearray(frame)
        changed[position] ^= 1
        with pytest.raises((CommandForged, CommandUnreadable)):
            unseal(bytes(changed), TOPIC, KEY.public)


def test_a_command_for_one_edge_is_a_forgery_at_another() -> None:
    with pytest.raises(CommandForged, match="signature"):
        unseal(seal(command_of(), TOPIC, KEY), edge_topic("works", "gw-02", "command"), KEY.public)


def test_a_batchs_signature_signs_no_command() -> None:
    raw = msgspec.json.encode(command_of())
    head = HEADER.pack(b"WLC", 1, 0, 0, KEY.key_id, b"")[:14]
    frame = head + KEY.sign(b"wattline batch\x00" + digest(head, TOPIC, raw)) + raw
    with pytest.raises(CommandForged):
        unseal(frame, TOPIC, KEY.public)


def test_another_key_is_a_forgery_and_named() -> None:
    other = SigningKey.generate()
    with pytest.raises(CommandForged, match=other.key_id.hex()):
        unseal(seal(command_of(), TOPIC, other), TOPIC, KEY.public)


POINT = SetPoint("battery", "power_kw", 1.0, AT_MS, AT_MS + 1)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (command_of(id="a b"), "id: expected"),
        (command_of(issuer=""), "issuer: expected"),
        (command_of(counter=0), "counter: expected"),
        (command_of(expires_at_ms=-1), "expires_at_ms: expected"),
        (command_of(set_points=[]), "set_points: expected 1 to"),
        (command_of(set_points=[POINT] * (MAX_SET_POINTS + 1)), "set_points: expected 1 to"),
        (command_of(msgspec.structs.replace(POINT, device="")), r"set_points\[0\].device"),
        (command_of(msgspec.structs.replace(POINT, point="a/b")), r"set_points\[0\].point"),
        (command_of(msgspec.structs.replace(POINT, value=2e12)), r"set_points\[0\].value"),
        (command_of(msgspec.structs.replace(POINT, expires_at_ms=AT_MS)), r"set_points\[0\].expires_at_ms"),
        (
            command_of(msgspec.structs.replace(POINT, expires_at_ms=AT_MS + LONGEST_MS + 1)),
            r"set_points\[0\].expires_at_ms",
        ),
        (command_of(POINT, POINT), r"set_points\[1\].from_ms: expected set-points of one point in their order"),
    ],
)
def test_what_no_edge_would_take_is_neither_sealed_nor_read(command: Command, match: str) -> None:
    with pytest.raises(CommandUnreadable, match=match):
        seal(command, TOPIC, KEY)
    with pytest.raises(CommandUnreadable):
        unseal(signed(msgspec.json.encode(command)), TOPIC, KEY.public)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_value_that_json_cannot_carry_is_not_sealed_as_a_release(value: float) -> None:
    with pytest.raises(CommandUnreadable, match="value"):
        seal(command_of(msgspec.structs.replace(POINT, value=value)), TOPIC, KEY)


def test_unknown_keys_and_other_types_are_refused() -> None:
    good = json.loads(msgspec.json.encode(command_of()))
    for change in ({"extra": 1}, {"counter": "7"}, {"counter": 7.5}, {"firm": 1}, {"set_points": {}}, {"id": None}):
        with pytest.raises(CommandUnreadable):
            unseal(signed(json.dumps(good | change).encode()), TOPIC, KEY.public)
    for text in ('"NaN"', "NaN", "1e999", "true", "[]"):
        raw = json.dumps(good).replace("-20.5", text).encode()
        with pytest.raises(CommandUnreadable):
            unseal(signed(raw), TOPIC, KEY.public)


def test_another_version_is_refused_before_its_signature() -> None:
    frame = bytearray(seal(command_of(), TOPIC, KEY))
    frame[3] = 2
    with pytest.raises(CommandUnreadable, match="version 2"):
        unseal(bytes(frame), TOPIC, KEY.public)


def test_a_frame_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(CommandUnreadable, match=str(MAX_COMMAND_BYTES)):
        unseal(bytes(MAX_COMMAND_BYTES + 1), TOPIC, KEY.public)


@given(st.binary(max_size=2_000))
def test_any_bytes_are_refused_not_obeyed(frame: bytes) -> None:
    for variant in (frame, b"WLC\x01\x00\x00" + KEY.key_id + frame):
        with pytest.raises((CommandUnreadable, CommandForged)):
            unseal(variant, TOPIC, KEY.public)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from([*Command.__struct_fields__, "x"]), json_values)
def test_any_json_in_any_place_is_read_or_refused(key: str, value: object) -> None:
    good = json.loads(msgspec.json.encode(command_of()))
    try:
        command = unseal(signed(json.dumps({**good, key: value}).encode()), TOPIC, KEY.public)
    except CommandUnreadable:
        return
    seal(command, TOPIC, KEY)  # what was read keeps every rule of what is written


@given(st.sampled_from([*Result.__struct_fields__, "x"]), json_values)
def test_any_json_as_a_result_is_read_or_refused(key: str, value: object) -> None:
    good = json.loads(encode_result(Result("c-1", "dispatch", 7, AT_MS, 1, [Outcome(State.ACCEPTED, AT_MS)])))
    try:
        result = decode_result(json.dumps({**good, key: value}).encode())
    except CommandUnreadable:
        return
    assert decode_result(encode_result(result)) == result


def test_a_result_comes_out_as_it_went_in() -> None:
    outcomes = [Outcome(state, AT_MS, f"because of {state}", 1.5, None) for state in State]
    result = Result("c-1", "dispatch", 7, AT_MS, 2, outcomes, "why")
    assert decode_result(encode_result(result)) == result


@pytest.mark.parametrize("path", sorted(VECTORS.glob("v?_command_*.json")), ids=lambda path: path.stem)
def test_old_commands_stay_readable(path: Path) -> None:
    vector = json.loads(path.read_text())
    command = unseal(bytes.fromhex(vector["frame"]), vector["topic"], PublicKey.from_text(vector["public_key"]))
    assert json.loads(msgspec.json.encode(command)) == vector["content"]


@pytest.mark.parametrize("path", sorted(VECTORS.glob("v?_result_*.json")), ids=lambda path: path.stem)
def test_old_results_stay_readable(path: Path) -> None:
    vector = json.loads(path.read_text())
    result = decode_result(vector["message"].encode())
    assert json.loads(encode_result(result)) == vector["content"]


def test_there_are_vectors_of_both() -> None:
    assert len(list(VECTORS.glob("v1_command_*.json"))) >= 3
    assert len(list(VECTORS.glob("v1_result_*.json"))) >= 2


def test_the_frame_is_what_the_page_says() -> None:
    """Field by field with struct and the hash alone, as somebody who writes a reader in another language would."""
    import hashlib

    frame = seal(command_of(), TOPIC, KEY)
    magic, version, zeros, key_id, signature = struct.unpack_from(">3sBH8s64s", frame)
    assert (magic, version, zeros) == (b"WLC", 1, 0)
    assert key_id == hashlib.sha256(KEY.public.raw).digest()[:8]
    topic = TOPIC.encode()
    hashed = hashlib.sha256(frame[:14] + len(topic).to_bytes(2, "big") + topic + frame[78:]).digest()
    assert KEY.public.verifies(signature, b"wattline command\x00" + hashed)
    assert json.loads(frame[78:])["set_points"][0]["value"] == -20.5

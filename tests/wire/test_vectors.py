"""The frozen vectors of the wire: every version is read for ever, by us and by a reader that is none of ours, to the last digit."""

import hashlib
import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import page_reader
import pytest

from wire import content as wire_content
from wire import messages
from wire.batch import READ, VERSION, Batch, Sealer, numbered, peek, unseal
from wire.command import CommandUnfit, decode_result, encode_result
from wire.command import unseal as unseal_command
from wire.keys import PublicKey, SigningKey

CASES = Path(__file__).parent.parent / "cases"
FOLDERS = ("batch_vectors", "command_vectors", "factor_vectors", "message_vectors")
EVERY = sorted((CASES / "batch_vectors").glob("v?_*.json"))
WITH_READINGS = [path for path in EVERY if path.stem.startswith("v1_")]
KEY = SigningKey(bytes(range(32)))
COMMANDS = sorted(path for path in (CASES / "command_vectors").iterdir() if '"frame"' in path.read_text())
READERS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "ack": (messages.decode_ack, messages.encode),
    "aggregator_status": (messages.decode_aggregator_status, messages.encode),
    "edge_status": (messages.decode_edge_status, messages.encode),
    "result": (decode_result, encode_result),
}


def load(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def read(vector: dict[str, Any]) -> Batch:
    key = PublicKey.from_text(vector["public_key"]) if vector["public_key"] else None
    return unseal(bytes.fromhex(vector["frame"]), vector["topic"], lambda _: key, accept_unsigned=key is None)


def known_to_version_1(vector: dict[str, Any]) -> dict[str, Any]:
    """The content without the keys that the vector names as unknown to a reader of version 1."""
    tree: dict[str, Any] = json.loads(json.dumps(vector["content"]))
    for name in vector.get("unknown", []):
        place, _, key = name.rpartition(".")
        inner = tree.get(place, []) if place else tree
        for entry in inner if isinstance(inner, list) else [inner]:
            entry.pop(key, None)
    return tree


def exact(readings: list[list[Any]]) -> list[list[Any]]:
    """With values as Decimal, to compare numbers and not their spelling."""
    return [[*row[:3], None if row[3] is None else Decimal(row[3]), *row[4:]] for row in readings]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_batch_of_any_version_reads_as_it_was_written(path: Path) -> None:
    vector = load(path)
    batch = read(vector)
    assert batch.sha256 == vector["sha256"]
    assert batch.signed is bool(vector["public_key"])
    assert list(batch.unknown_keys) == vector.get("unknown", [])
    assert json.loads(wire_content.encode(batch.content)) == known_to_version_1(vector)


@pytest.mark.parametrize("path", WITH_READINGS, ids=lambda path: path.stem)
def test_its_values_are_those_that_were_worked_out_by_hand(path: Path) -> None:
    vector = load(path)
    found = []
    for block in wire_content.blocks(read(vector).content):
        for number, (quantity, power) in enumerate(zip(block.shape.quantities, block.shape.exponents, strict=True)):
            quality, reason = block.quality[number] if block.quality else (0, 0)
            for at_ms, value in zip(block.at_ms, block.columns[number], strict=True):
                text = (
                    None if value is None else Decimal(repr(value)) if power is None else Decimal(value).scaleb(power)
                )
                found.append([block.device, quantity, at_ms, text, quality, reason])
    # What changes its quality over its instants comes as several blocks: order by device, quantity and time.
    assert sorted(found, key=lambda row: row[:3]) == sorted(exact(vector["readings"]), key=lambda row: row[:3])


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_what_was_read_can_be_sealed_again_as_the_present_version(path: Path) -> None:
    content = read(load(path)).content
    frame, digest = Sealer(load(path)["topic"], KEY).seal(content)
    again = unseal(frame, load(path)["topic"], lambda _: KEY.public)
    assert (frame[3], again) == (VERSION, Batch(content, digest.hex(), signed=True))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_spool_with_batches_of_any_version_is_read_by_an_agent_of_the_present_one(path: Path) -> None:
    frame, batch = bytes.fromhex(load(path)["frame"]), read(load(path))
    named = numbered(frame)
    assert peek(frame) == batch.content
    assert (named.epoch, named.seq) == (batch.content.epoch, batch.content.seq)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_reader_that_knows_only_the_page_finds_the_same(path: Path, tmp_path: Path) -> None:
    vector = load(path)
    frame = bytes.fromhex(vector["frame"])
    if frame[4] == 2 and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    digest = page_reader.digest_of(frame, vector["topic"])
    assert digest.hex() == vector["sha256"]
    if vector["public_key"]:
        signed = (frame, b"wattline batch", digest, vector["public_key"], tmp_path)
        assert page_reader.signature_holds(*signed)
        changed = (*signed[:2], bytes([digest[0] ^ 1]) + digest[1:], *signed[3:])
        assert not page_reader.signature_holds(*changed), "or the judge says yes to everything"
    content = page_reader.unpacked(frame)
    assert content == json.loads(json.dumps(vector["content"]), parse_float=Decimal)
    if "readings" in vector:
        assert page_reader.readings_of(content) == exact(vector["readings"])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_what_is_sealed_today_is_read_by_it_too(tmp_path: Path) -> None:
    for name in ("v1_every_quality", "v1_counters_with_missing_values", "v1_gauges_of_one_instant"):
        vector = load(CASES / "batch_vectors" / f"{name}.json")
        frame, digest = Sealer(vector["topic"], KEY).seal(read(vector).content)
        assert page_reader.digest_of(frame, vector["topic"]) == digest
        assert page_reader.signature_holds(frame, b"wattline batch", digest, vector["public_key"], tmp_path)
        assert page_reader.readings_of(page_reader.unpacked(frame)) == exact(vector["readings"])


@pytest.mark.parametrize("path", sorted((CASES / "message_vectors").iterdir()), ids=lambda path: path.stem)
def test_an_answer_or_a_state_reads_as_it_was_written(path: Path) -> None:
    vector = load(path)
    decode, encode = READERS[vector["reader"]]
    message = decode(vector["message"].encode())
    assert json.loads(encode(message)) == known_to_version_1(vector)
    assert decode(encode(message)) == message


def test_every_kind_of_message_has_a_vector() -> None:
    vectors = [load(path) for path in (CASES / "message_vectors").iterdir()]
    assert {vector["reader"] for vector in vectors} == set(READERS)
    told = {key for vector in vectors if vector["reader"] == "ack" for key in vector["content"]}
    assert {"committed", "refused", "held", "have"} <= told


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_commands_signature_is_good_by_openssl_too(path: Path, tmp_path: Path) -> None:
    vector = load(path)
    frame = bytes.fromhex(vector["frame"])
    digest = page_reader.digest_of(frame, vector["topic"])
    assert frame[:6] == b"WLC\x01\x00\x00"
    assert page_reader.signature_holds(frame, b"wattline command", digest, vector["public_key"], tmp_path)
    assert json.loads(frame[78:]) == vector["content"]


def test_a_command_of_a_later_version_is_not_obeyed_and_can_be_named() -> None:
    vector = load(CASES / "command_vectors" / "v1_unfit_with_a_key_of_a_later_version.json")
    with pytest.raises(CommandUnfit, match="only_above_soc") as refused:
        unseal_command(bytes.fromhex(vector["frame"]), vector["topic"], PublicKey.from_text(vector["public_key"]))
    assert msgspec.to_builtins(refused.value.named) == vector["named"]


def test_a_batch_names_the_one_before_it_by_its_digest() -> None:
    first = load(CASES / "batch_vectors" / "v1_gauges_of_one_instant.json")
    second = read(load(CASES / "batch_vectors" / "v1_chained_to_gauges_of_one_instant.json"))
    assert second.content.prev == first["sha256"]


def test_a_signed_meter_value_is_not_touched_by_a_single_character() -> None:
    vector = load(CASES / "batch_vectors" / "v1_signed_meter_values.json")
    texts = [event.body["text"] for event in read(vector).content.events]
    assert texts[0].startswith('OCMF|{"FV":"1.0","GI":"Example \\u00b5"'), (
        "an escape of the meter's own stays an escape"
    )
    assert (
        texts[1] == ' <value sig="\\/\N{LATIN SMALL LETTER E WITH ACUTE}">\t12,5\N{NO-BREAK SPACE}kWh 电表</value>\r\n'
    )


def test_versions_that_are_read_are_never_fewer() -> None:
    assert {0, 1} <= READ
    assert {int(path.stem[1]) for path in EVERY} == READ


def test_no_vector_has_changed_since_it_was_written() -> None:
    """As `sha256sum -c vectors.sha256` says it."""
    lines = (CASES / "vectors.sha256").read_text().splitlines()
    listed = {name: sha256 for sha256, name in (line.split("  ") for line in lines)}
    there = {f"{folder}/{path.name}": path for folder in FOLDERS for path in (CASES / folder).iterdir()}
    assert len(listed) == len(lines)
    assert listed.keys() == there.keys(), "a vector is added with its line, and none is ever taken away"
    changed = [name for name, path in there.items() if hashlib.sha256(path.read_bytes()).hexdigest() != listed[name]]
    assert changed == [], "a vector that stands is never edited: write another one"

"""Factor packs: what was framed by hand is read, what was tampered with or breaks the contract is not."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from page_reader import digest_of, signature_holds

from wire.factor_pack import Factor, FactorPack, Meter, Multiplier, PackForged, PackUnreadable, seal, unseal
from wire.keys import PublicKey, SigningKey
from wire.topics import edge_topic

VECTORS = sorted((Path(__file__).parent.parent / "cases" / "factor_vectors").iterdir())
KEY = SigningKey(bytes(range(32)))
TOPIC = edge_topic("works", "gw-01", "factors")
PACK = FactorPack(
    1,
    0,
    "OPS",
    900_000,
    [Meter("incomer", [Multiplier(0, "1")])],
    [Factor(0, 1, "0.5"), Factor(1, 2, None, reason="none")],
)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_reads_as_it_was_written_and_openssl_finds_its_signature_good(path: Path, tmp_path: Path) -> None:
    vector: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    frame, topic = bytes.fromhex(vector["frame"]), vector["topic"]
    pack = unseal(frame, topic, PublicKey.from_text(vector["public_key"]))
    assert pack == msgspec.convert(vector["content"], FactorPack)
    assert signature_holds(frame, b"wattline factors", digest_of(frame, topic), vector["public_key"], tmp_path)


def test_a_pack_goes_there_and_back_and_is_worth_nothing_elsewhere() -> None:
    frame = seal(PACK, TOPIC, KEY)
    assert unseal(frame, TOPIC, KEY.public) == PACK
    with pytest.raises(PackForged, match="signature"):
        unseal(frame, edge_topic("works", "gw-02", "factors"), KEY.public)
    with pytest.raises(PackForged, match="expected key"):
        unseal(frame, TOPIC, SigningKey.generate().public)
    with pytest.raises(PackForged, match="signature"):
        unseal(frame[:-3] + b"9" + frame[-2:], TOPIC, KEY.public)
    with pytest.raises(PackUnreadable, match="expected magic"):
        unseal(b"WLB" + frame[3:], TOPIC, KEY.public)
    with pytest.raises(PackUnreadable, match="bytes"):
        unseal(frame[:78], TOPIC, KEY.public)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"number": 0}, "number: expected"),
        ({"factors": [Factor(5, 9, "1"), Factor(8, 10, "1")]}, "in order and none over another"),
        ({"factors": [Factor(5, 5, "1")]}, "in order"),
        ({"factors": [Factor(0, 1, "NaN")]}, "kg_per_kwh: expected a decimal number"),
        ({"factors": [Factor(0, 1, "1" * 31)]}, "expected a decimal number"),
        ({"meters": [Meter("a/b", [Multiplier(0, "1")])]}, "device: expected"),
        ({"meters": [Meter("a", [])]}, "multipliers: expected at least one"),
        ({"meters": [Meter("a", [Multiplier(0, "1")], count_kwh="x")]}, "count_kwh: expected"),
    ],
)
def test_what_no_edge_would_take_is_not_sealed(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PackUnreadable, match=says):
        seal(msgspec.structs.replace(PACK, **changes), TOPIC, KEY)


def test_a_key_of_a_later_version_makes_the_pack_unreadable() -> None:
    vector: dict[str, Any] = json.loads(VECTORS[0].read_text(encoding="utf-8"))
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**vector["content"], "only_on_sundays": True}, FactorPack)

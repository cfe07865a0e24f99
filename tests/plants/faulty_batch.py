"""Makes the frame of a case in tests/cases/batch: a good batch with one fault in it. Not what must become of it (the case says so).

A case is JSON: `content` replaces keys of a good batch's content (`raw` all of it, `raw_repeat` times), `frame` says what is done to the
frame around it, `times` how often a list is repeated, `expect` is part of the one message, `decoder` what `unseal` raises ("reads" where only rows are at fault), `answer`
what the edge is told, `counted` the figures that have grown by it.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from wire.batch import GZIP, HEADER, MAGIC, VERSION, ZSTD, digest
from wire.keys import UNSIGNED, SigningKey
from wire.topics import edge_topic

CASES = Path(__file__).parent.parent / "cases" / "batch"
TOPIC = edge_topic("works", "gw-01", "batch")
SEALED_MS = 1_760_000_000_000
SEQ = 5
DECODERS = {"unreadable", "forged", "unknown_key", "reads"}
ANSWERS = {"refused", "held", "none", "committed"}


@dataclass(frozen=True)
class Case:
    """One fault and what must follow."""

    name: str
    expect: str
    decoder: str
    answer: str
    counted: dict[str, int]
    content: dict[str, Any]
    raw: str | None
    frame: dict[str, Any]
    times: dict[str, int]

    def frame_of(self, key: SigningKey, epoch: str = "e1") -> bytes:
        """The bytes as they come from the broker; `key` is the one that the aggregator accepts."""
        frame = self.frame
        packed = _packed(self._json(epoch), frame)
        signer = {"none": None, "other": SigningKey.generate()}.get(frame.get("key", ""), key)
        stated = key if frame.get("states_the_accepted_key") else signer
        compression = frame.get("compression", GZIP)
        head = HEADER.pack(
            frame.get("magic", MAGIC.decode()).encode(),
            frame.get("version", VERSION),
            compression,
            frame.get("zero", 0),
            UNSIGNED if stated is None else stated.key_id,
            b"",
        )[:14]
        sealed_for = edge_topic("works", frame.get("sealed_for", "gw-01"), "batch")
        signature = (
            bytes(64) if signer is None else signer.sign(b"wattline batch\x00" + digest(head, sealed_for, packed))
        )
        made = bytearray(head + signature + packed)
        for position in frame.get("flip", []):
            made[position] ^= 1
        return bytes(made[: frame.get("keep", len(made))])

    def _json(self, epoch: str) -> bytes:
        if self.raw is not None:
            return self.raw.encode()
        content = {**good_content(), "epoch": epoch, **self.content}
        return json.dumps(content | {name: content[name] * count for name, count in self.times.items()}).encode()


def good_content() -> dict[str, Any]:
    """A whole and sound batch of two values."""
    return {
        "facility": "works",
        "edge": "gw-01",
        "epoch": "e1",
        "seq": SEQ,
        "prev": "ab" * 32,
        "sealed_at_ms": SEALED_MS,
        "class": "gauge",
        "clock": {"synced": True},
        "shapes": [{"quantities": ["active_power_kw", "frequency_hz"], "exp": [-3, None]}],
        "blocks": [{"device": "incomer", "shape": 0, "at_ms": [SEALED_MS], "row": [1500, 50.01]}],
    }


def _packed(raw: bytes, frame: dict[str, Any]) -> bytes:
    raw += b" " * frame.get("blanks", 0)
    if frame.get("compression", GZIP) == ZSTD:
        packed = zstandard.ZstdCompressor(write_content_size=not frame.get("hides_its_size", False)).compress(raw)
    else:
        packed = gzip.compress(raw, mtime=0)
    packed = packed[: len(packed) - frame.get("cut_content", 0)]
    return packed + bytes(frame.get("trailing", 0))


def cases() -> list[Case]:
    """All cases, by name."""
    return [_case(path) for path in sorted(CASES.glob("*.json"))]


def _case(path: Path) -> Case:
    text = json.loads(path.read_text())
    known = {"expect", "decoder", "answer", "counted", "content", "raw", "raw_repeat", "frame", "times"}
    assert set(text) <= known, f"{path.name}: {set(text) - known}"
    assert text["decoder"] in DECODERS, path.name
    assert text["answer"] in ANSWERS, path.name
    raw = text.get("raw")
    return Case(
        path.stem,
        text["expect"],
        text["decoder"],
        text["answer"],
        text["counted"],
        text.get("content", {}),
        None if raw is None else raw * text.get("raw_repeat", 1),
        text.get("frame", {}),
        text.get("times", {}),
    )

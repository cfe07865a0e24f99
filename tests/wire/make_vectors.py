"""Writes the vectors of version 1 that are not there yet: `python tests/wire/make_vectors.py`. Never to make a failing test pass.

Nothing of ours makes them: contents by hand (`vector_contents`), frames by struct, json, gzip, zstandard and the Ed25519 of
`cryptography`, with the fixed test key 00 01 02 ... 1f. A vector that stands is never written again; its SHA-256 goes into
tests/cases/vectors.sha256. The vectors of version 0 were written when that was the current one.
"""

import base64
import gzip
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from message_contents import MESSAGES, UNFIT
from vector_contents import VECTORS

CASES = Path(__file__).parent.parent / "cases"
SEED = bytes(range(32))
TOPIC = "wattline/v1/works/gw-01/batch"
COMPRESSIONS = {"gzip": 1, "zstd": 2}


def framed(content: dict[str, Any], compression: str, *, signed: bool) -> tuple[bytes, bytes]:
    """The frame of a content as docs/batches.md describes it, and its digest."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    packed = gzip.compress(raw, mtime=0) if compression == "gzip" else zstandard.ZstdCompressor(level=3).compress(raw)
    key_id = hashlib.sha256(key.public_key().public_bytes_raw()).digest()[:8] if signed else bytes(8)
    head = struct.pack("3sBBB8s", b"WLB", 1, COMPRESSIONS[compression], 0, key_id)
    topic = TOPIC.encode()
    digest = hashlib.sha256(head + struct.pack(">H", len(topic)) + topic + packed).digest()
    signature = key.sign(b"wattline batch\x00" + digest) if signed else bytes(64)
    return head + signature + packed, digest


def chained() -> dict[str, dict[str, Any]]:
    """The contents of VECTORS in their order, and one more whose `prev` is the digest of the first."""
    first = VECTORS["gauges_of_one_instant"]
    _, digest = framed(first[0], first[3], signed=True)
    following = {**VECTORS["clock_of_which_nothing_is_known"][0], "seq": 8, "prev": digest.hex()}
    every = {**VECTORS, "chained_to_gauges_of_one_instant": (following, [], [], "zstd", True)}
    return {name: vector_of(*given) for name, given in every.items()}


def vector_of(
    content: dict[str, Any], readings: list[list[Any]], unknown: list[str], compression: str, signed: bool
) -> dict[str, Any]:
    """One vector file's content."""
    frame, digest = framed(content, compression, signed=signed)
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    return {
        "topic": TOPIC,
        "public_key": base64.b64encode(public).decode() if signed else "",
        "sha256": digest.hex(),
        "content": content,
        "readings": readings,
        "unknown": unknown,
        "frame": frame.hex(),
    }


def unfit_command() -> dict[str, Any]:
    """A command as docs/set_points.md describes it, with a key of a later version."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    public = key.public_key().public_bytes_raw()
    raw, topic = json.dumps(UNFIT, separators=(",", ":")).encode(), b"wattline/v1/works/gw-01/command"
    head = struct.pack("3sBBB8s", b"WLC", 1, 0, 0, hashlib.sha256(public).digest()[:8])
    digest = hashlib.sha256(head + struct.pack(">H", len(topic)) + topic + raw).digest()
    return {
        "topic": topic.decode(),
        "public_key": base64.b64encode(public).decode(),
        "named": {name: UNFIT[name] for name in ("id", "issuer", "counter")},
        "content": UNFIT,
        "frame": (head + key.sign(b"wattline command\x00" + digest) + raw).hex(),
    }


def write(folder: str, name: str, vector: dict[str, Any]) -> None:
    """Writes a vector and its line in the manifest, where there is none."""
    path = CASES / folder / f"{name}.json"
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(vector, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    with (CASES / "vectors.sha256").open("a") as manifest:
        manifest.write(f"{hashlib.sha256(text.encode()).hexdigest()}  {folder}/{name}.json\n")


if __name__ == "__main__":
    for name, vector in chained().items():
        write("batch_vectors", f"v1_{name}", vector)
    for name, (reader, tree, unknown) in MESSAGES.items():
        text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
        write("message_vectors", f"v1_{name}", {"reader": reader, "unknown": unknown, "content": tree, "message": text})
    write("command_vectors", "v1_unfit_with_a_key_of_a_later_version", unfit_command())

"""Reads a batch as docs/batches.md describes it, with nothing of ours: the standard library, `openssl` for the signature, `zstd` where needed.

A second opinion of the frame, the hash, the signature and every value. Not a reader for anything but tests.
"""

import base64
import gzip
import hashlib
import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

SPKI: Final = bytes.fromhex(
    "302a300506032b6570032100"
)  # RFC 8410, section 4: what stands before an Ed25519 public key in DER


def digest_of(frame: bytes, topic: str) -> bytes:
    """sha256 over bytes 0-13, the topic's length and text, and what is from byte 78 on."""
    name = topic.encode()
    return hashlib.sha256(frame[:14] + len(name).to_bytes(2, "big") + name + frame[78:]).digest()


def signature_holds(frame: bytes, said: bytes, digest: bytes, public_key: str, directory: Path) -> bool:
    """Whether openssl finds the signature in bytes 14-77 good over `said`, a zero byte and the digest."""
    key, signature, message = directory / "key.der", directory / "signature", directory / "message"
    key.write_bytes(SPKI + base64.b64decode(public_key))
    signature.write_bytes(frame[14:78])
    message.write_bytes(said + b"\0" + digest)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"]
    files = ["-inkey", str(key), "-sigfile", str(signature), "-in", str(message)]
    return subprocess.run([*command, *files], capture_output=True, timeout=30, check=False).returncode == 0


def unpacked(frame: bytes) -> dict[str, Any]:
    """The JSON of a frame, fractions as Decimal."""
    assert frame[:3] == b"WLB"
    assert frame[3] in (0, 1)
    if frame[4] == 1:
        raw = gzip.decompress(frame[78:])
    else:
        assert frame[4] == 2
        raw = subprocess.run(["zstd", "-dc"], input=frame[78:], capture_output=True, timeout=30, check=True).stdout
    read: dict[str, Any] = json.loads(raw, parse_float=Decimal)
    return read


def readings_of(content: dict[str, Any]) -> list[list[Any]]:
    """Device, quantity, UTC ms, exact value (None: missing), quality, reason code of every value in its order: by column, then by instant."""
    found = []
    for block in content.get("blocks", []):
        shape = content["shapes"][block["shape"]]
        instants = [sum(block["at_ms"][: n + 1]) for n in range(len(block["at_ms"]))]
        columns = [[value] for value in block["row"]] if "row" in block else block["values"]
        for number, (quantity, power, column) in enumerate(
            zip(shape["quantities"], shape["exp"], columns, strict=True)
        ):
            runs = block.get("except", {}).get(str(number)) or block.get("quality") or [[0, 0, len(instants)]]
            marks = [run[:2] for run in runs for _ in range(run[2])]
            total = 0
            for at_ms, value, mark in zip(instants, column, marks, strict=True):
                if value is not None and power is not None:
                    total += value
                    exact = Decimal(total).scaleb(power)
                else:
                    exact = None if value is None else Decimal(value)
                found.append([block["device"], quantity, at_ms, exact, *mark])
    return found

"""Writes `tests/cases/factor_vectors`: run once per wire version, never to make a failing test pass. Written by hand and framed without `wire`."""

import base64
import hashlib
import json
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from make_vectors import SEED, write

TOPIC = "wattline/v1/works/gw-01/factors"
PACKS = {
    "two_years_and_a_multiplier": {
        "number": 1767196800001,
        "issued_at_ms": 1767196800000,
        "profile": "OPS",
        "interval_ms": 900000,
        "meters": [
            {"device": "incomer", "multipliers": [{"from_ms": 0, "factor": "100"}, {"from_ms": 1767196800000, "factor": "120"}], "count_kwh": "0.01"},
            {"device": "second", "multipliers": [{"from_ms": 0, "factor": "1"}]},
        ],
        "factors": [
            {
                "from_ms": 1735660800000, "to_ms": 1767196800000, "kg_per_kwh": "0.5306", "id": "elec.grid", "version": 1, "region": "CN",
                "data_year": 2023, "source": "生态环境部 2025", "marks": ["provisional", "fallback_latest"],
            },
            {"from_ms": 1767196800000, "to_ms": 1798732800000, "kg_per_kwh": None, "reason": "no place is configured"},
        ],
    },
}  # fmt: skip


def framed(pack: dict[str, object]) -> dict[str, object]:
    """As docs/edge_carbon.md describes a pack."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    public = key.public_key().public_bytes_raw()
    raw, topic = json.dumps(pack, ensure_ascii=False, separators=(",", ":")).encode(), TOPIC.encode()
    head = struct.pack("3sBBB8s", b"WLF", 1, 0, 0, hashlib.sha256(public).digest()[:8])
    digest = hashlib.sha256(head + struct.pack(">H", len(topic)) + topic + raw).digest()
    frame = head + key.sign(b"wattline factors\x00" + digest) + raw
    return {"topic": TOPIC, "public_key": base64.b64encode(public).decode(), "content": pack, "frame": frame.hex()}


if __name__ == "__main__":
    for name, pack in PACKS.items():
        write("factor_vectors", f"v1_{name}", framed(pack))

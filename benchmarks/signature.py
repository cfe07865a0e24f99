"""What proof costs: signing and verifying a batch's digest with Ed25519, each beside hashing the batch.

`sign` is the light signer of an edge (`wire.libcrypto`, where there is one), beside `cryptography`; `verify` is the aggregator's. One signature
covers a batch, so that a reading of 204 bears a 204th part of it.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.figure import Effort, Figure, side_by_side
from benchmarks.live_shape import READINGS, sealed
from wire.keys import SigningKey

STRETCH_S: Final = 0.3


def figures(effort: Effort) -> Iterator[Figure]:
    """`signature.*`, us of processor time per batch and ns per reading of a live batch."""
    key = SigningKey.generate()
    heavy = Ed25519PrivateKey.generate()
    message = b"wattline batch\x00" + bytes(range(32))
    signature, frame = key.sign(message), next(iter(sealed("works", "gw-01", key, 1, 0)))
    ns = side_by_side(
        {
            "sign": lambda: key.sign(message),
            "sign_cryptography": lambda: heavy.sign(message),
            "verify": lambda: key.public.verifies(signature, message),
            "hash": lambda: hashlib.sha256(frame).digest(),
        },
        effort.seconds_or(STRETCH_S),
        effort.repeats_or(5),
    )
    us = {name: [value / 1000 for value in values] for name, values in ns.items()}
    beside = {"cryptography": us["sign_cryptography"], "sha256_of_batch": us["hash"]}
    yield Figure("signature.sign", "us", us["sign"], beside=beside)
    yield Figure("signature.verify", "us", us["verify"], beside={"sha256_of_batch": us["hash"]})
    per_reading = [value / READINGS for value in ns["verify"]]
    yield Figure("signature.verify_per_reading", "ns", per_reading, yardstick_ns=ns["yardstick"])

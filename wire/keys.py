"""Ed25519 keys that sign batches: files, ids, fingerprints. Not TLS certificates (see `wattline certs`)."""

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ID_BYTES: Final = 8
UNSIGNED: Final = bytes(KEY_ID_BYTES)
# All of a PKCS#8 file of an Ed25519 key but the key's own 32 bytes: RFC 8410, section 7 and the first example of 10.3.
_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
_PEM: Final = re.compile(rb"-----BEGIN PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")


class KeyUnusable(ValueError):
    """A key file or a key's text that cannot be used; the message says why. Trying again does not help."""


class SigningKey:
    """An edge's (or the aggregator's) private key."""

    __slots__ = ("_key", "key_id", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())
        self.key_id = self.public.key_id

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """The key of a PKCS#8 PEM file. Raises KeyUnusable."""
        try:
            pem = path.read_bytes()
            key = _plain_key(pem) or _any_key(pem)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable(f"signing key {path}: expected an unencrypted PKCS#8 PEM file, got: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(f"signing key {path}: expected Ed25519, got {type(key).__name__}")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key for its owner only (mode 0600). Raises FileExistsError rather than replace a key."""
        text = base64.b64encode(_PKCS8 + self._key.private_bytes_raw())
        pem = b"-----BEGIN PRIVATE KEY-----\n" + text + b"\n-----END PRIVATE KEY-----\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        return self._key.sign(message)


def _plain_key(pem: bytes) -> Ed25519PrivateKey | None:
    """The key of a file as `save` and openssl write it, None for any other.

    `cryptography` has a reader for every kind of key; importing it alone takes an agent 1.3 MiB and 12 ms.
    """
    found = _PEM.fullmatch(pem)
    der = b"" if found is None else base64.b64decode(found[1])
    plain = len(der) == len(_PKCS8) + 32 and der.startswith(_PKCS8)
    return Ed25519PrivateKey.from_private_bytes(der[len(_PKCS8) :]) if plain else None


def _any_key(pem: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, password=None)


class PublicKey:
    """What verifies: 32 bytes, written as base64 in configuration and shown as a fingerprint."""

    __slots__ = ("_key", "key_id", "raw")

    def __init__(self, raw: bytes) -> None:
        try:
            self._key = Ed25519PublicKey.from_public_bytes(raw)
        except ValueError as error:
            raise KeyUnusable(f"public key: expected 32 bytes of Ed25519, got {len(raw)}") from error
        self.raw = raw
        self.key_id = hashlib.sha256(raw).digest()[:KEY_ID_BYTES]

    @classmethod
    def from_text(cls, text: str) -> "PublicKey":
        """The key of its base64 text. Raises KeyUnusable."""
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except ValueError as error:
            raise KeyUnusable(f"public key: expected the base64 of 32 bytes, got {text!r}") from error

    def to_text(self) -> str:
        """The base64 text for configuration files."""
        return base64.b64encode(self.raw).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """What a person compares: `ed25519:` and the key id in hex."""
        return f"ed25519:{self.key_id.hex()}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint})"

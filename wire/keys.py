"""Ed25519 keys that sign batches: files, ids, fingerprints. Not TLS certificates (see `wattline certs`)."""

import base64
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_ID_BYTES: Final = 8
UNSIGNED: Final = bytes(KEY_ID_BYTES)


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
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable(f"signing key {path}: expected an unencrypted PKCS#8 PEM file, got: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(f"signing key {path}: expected Ed25519, got {type(key).__name__}")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key for its owner only (mode 0600). Raises FileExistsError rather than replace a key."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        return self._key.sign(message)


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

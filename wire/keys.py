"""Ed25519 keys that sign batches: files, ids, fingerprints. Not TLS certificates (see `wattline certs`)."""

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from wire import libcrypto

if TYPE_CHECKING:  # imported where it is needed: an agent that finds a libcrypto does without
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
UNSIGNED: Final = bytes(KEY_ID_BYTES)
# All of a PKCS#8 file of an Ed25519 key but the key's own 32 bytes: RFC 8410, section 7 and the first example of 10.3.
_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
_PEM: Final = re.compile(rb"-----BEGIN PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")


class KeyUnusable(ValueError):
    """A key file or a key's text that cannot be used; the message says why. Trying again does not help."""


class _Signer(Protocol):
    def sign(self, message: bytes) -> bytes: ...


class SigningKey:
    """An edge's (or the aggregator's) private key."""

    __slots__ = ("_seed", "_signer", "key_id", "public")

    def __init__(self, seed: bytes) -> None:
        """`seed`: the 32 bytes of the private key."""
        self._seed = seed
        self._signer, public = _signer(seed)
        self.public = PublicKey(public)
        self.key_id = self.public.key_id

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key from the operating system's randomness (RFC 8032, 5.1.5: any 32 random bytes are a key)."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """The key of a PKCS#8 PEM file. Raises KeyUnusable."""
        try:
            pem = path.read_bytes()
            seed = _plain_seed(pem) or _any_seed(pem)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable(f"signing key {path}: expected an unencrypted PKCS#8 PEM file, got: {error}") from error
        return cls(seed)

    def save(self, path: Path) -> None:
        """Write the key for its owner only (mode 0600). Raises FileExistsError rather than replace a key."""
        text = base64.b64encode(_PKCS8 + self._seed)
        pem = b"-----BEGIN PRIVATE KEY-----\n" + text + b"\n-----END PRIVATE KEY-----\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        return self._signer.sign(message)


def _signer(seed: bytes) -> tuple[_Signer, bytes]:
    """What signs with this key, and the public key."""
    if libcrypto.signs_as_the_standard_says():
        light = libcrypto.Ed25519Signer(seed)
        return light, light.public_bytes()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key, key.public_key().public_bytes_raw()


def _plain_seed(pem: bytes) -> bytes:
    """The key of a file as `save` and openssl write it; nothing for any other."""
    found = _PEM.fullmatch(pem)
    der = b"" if found is None else base64.b64decode(found[1])
    return der[len(_PKCS8) :] if len(der) == len(_PKCS8) + KEY_BYTES and der.startswith(_PKCS8) else b""


def _any_seed(pem: bytes) -> bytes:
    """The key of whatever `cryptography` reads. Raises ValueError, TypeError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{type(key).__name__}, not Ed25519")
    return key.private_bytes_raw()


class PublicKey:
    """What verifies: 32 bytes, written as base64 in configuration and shown as a fingerprint.

    `light`: by the libcrypto that Python's TLS has loaded already, where there is one; for an agent, which has little memory and verifies seldom.
    """

    __slots__ = ("_light", "_verifier", "key_id", "raw")

    def __init__(self, raw: bytes, *, light: bool = False) -> None:
        if len(raw) != KEY_BYTES:
            raise KeyUnusable(f"public key: expected 32 bytes of Ed25519, got {len(raw)}")
        self._verifier: Ed25519PublicKey | None = None
        self._light = libcrypto.Ed25519Verifier(raw) if light and libcrypto.verifies_as_the_standard_says() else None
        self.raw = raw
        self.key_id = hashlib.sha256(raw).digest()[:KEY_ID_BYTES]

    @classmethod
    def from_text(cls, text: str, *, light: bool = False) -> "PublicKey":
        """The key of its base64 text. Raises KeyUnusable."""
        try:
            return cls(base64.b64decode(text.strip(), validate=True), light=light)
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
        if self._light is not None:
            return self._light.verifies(signature, message)
        from cryptography.exceptions import InvalidSignature

        verifier = self._verifier
        if verifier is None:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

            verifier = self._verifier = Ed25519PublicKey.from_public_bytes(self.raw)
        try:
            verifier.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint})"

"""Signed notes and checkpoints as C2SP writes them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), Ed25519 only. Not the tree that a checkpoint is of."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from aggregator.audit.tree import HASH_BYTES
from wire.keys import KeyUnusable, PublicKey, SigningKey

MOST_BYTES: Final = 64 << 10  # of a note that is read, where nothing else is said
_ED25519: Final = b"\x01"
_NAME: Final = re.compile(r"[^\s+]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteUnproven(ValueError):
    """A note that no known key has signed, or that is none; its text says nothing."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who may sign: a name and its public key, written `name+hash+key`."""

    name: str
    key: PublicKey

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes that stand before each of its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key.raw).digest()[:4]

    def to_text(self) -> str:
        """What a person pins."""
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(_ED25519 + self.key.raw).decode()}"

    @classmethod
    def from_text(cls, text: str) -> "Verifier":
        """The verifier of its text. Raises KeyUnusable."""
        name, _, rest = text.strip().partition("+")
        key_hash, _, encoded = rest.partition("+")
        raw = _unbase64(encoded)
        if not _NAME.fullmatch(name) or raw is None or raw[:1] != _ED25519:
            raise KeyUnusable(f"log key: expected name+hash+key of Ed25519, got {text.strip()[:200]!r}")
        found = cls(name, PublicKey(raw[1:]))
        if found.key_hash.hex() != key_hash:
            raise KeyUnusable(f"log key {name}: expected hash {found.key_hash.hex()}, got {key_hash[:64]!r}")
        return found


def sign(text: str, name: str, key: SigningKey) -> str:
    """The note of `text`, which ends in a newline and has no control character besides."""
    if not text.endswith("\n") or _CONTROL.search(text) or not _NAME.fullmatch(name):
        raise ValueError(f"note: expected a name and lines of text, got {name!r} and {text!r}")
    signature = Verifier(name, key.public).key_hash + key.sign(text.encode())
    return f"{text}\n\u2014 {name} {base64.b64encode(signature).decode()}\n"


def opened(note: bytes, verifier: Verifier, most_bytes: int = MOST_BYTES) -> str:
    """The text of a note, once the verifier's signature holds. Signatures of others are passed over. Raises NoteUnproven."""
    if len(note) > most_bytes:
        raise NoteUnproven(f"note: expected at most {most_bytes} bytes, got {len(note)}")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise NoteUnproven(f"note: expected UTF-8, got byte {note[error.start]:#04x} at {error.start}") from error
    body, blank, signatures = whole.rpartition("\n\n")
    if not blank or _CONTROL.search(whole) or not signatures.endswith("\n"):
        raise NoteUnproven("note: expected text, an empty line and signature lines")
    text = body + "\n"
    proven = False
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = _unbase64(encoded)
        if dash != "\u2014" or not _NAME.fullmatch(name) or raw is None or len(raw) < 5:
            raise NoteUnproven(f"note: expected a signature line, got {line[:200]!r}")
        if (name, raw[:4]) != (verifier.name, verifier.key_hash):
            continue
        if not verifier.key.verifies(raw[4:], text.encode()):
            raise NoteUnproven(f"note: the signature of {name} is not that of key {verifier.key.fingerprint}")
        proven = True
    if not proven:
        raise NoteUnproven(f"note: expected a signature of {verifier.name}+{verifier.key_hash.hex()}, there is none")
    return text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's tree at one size. Extension lines of others are passed over when read."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def from_text(cls, text: str) -> "Checkpoint":
        """The checkpoint of an opened note. Raises NoteUnproven."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or not all(lines) or not _DECIMAL.fullmatch(lines[1]):
            raise NoteUnproven(f"checkpoint: expected origin, size and root, got {text[:200]!r}")
        root = _unbase64(lines[2])
        if root is None or len(root) != HASH_BYTES:
            raise NoteUnproven(f"checkpoint: expected a root of {HASH_BYTES} bytes in base64, got {lines[2][:200]!r}")
        return cls(lines[0], int(lines[1]), root)


def _unbase64(text: str) -> bytes | None:
    """The bytes of standard base64 in its one spelling, else None."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None

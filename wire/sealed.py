"""The signed frame of what goes down to one edge: commands, factor packs, schedules. Not what is in it.

```
0   3  magic
3   1  version: 1
4   2  zeros
6   8  key id: the first 8 bytes of sha256(public key)
14 64  Ed25519 signature of the frame's own words + 00 + digest
78     JSON, not compressed
digest = sha256(bytes 0..13 + length of the topic as 2 bytes, high first + topic in UTF-8 + bytes from 78)
```
The topic names facility and edge, so a frame for one edge is worth nothing at another.
"""

from dataclasses import dataclass
from typing import Final

from wire.batch import HEADER, digest
from wire.keys import PublicKey, SigningKey

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Frame:
    """One kind of frame: `what` names it in messages, `words` open what is signed, `unreadable` and `forged` are raised."""

    what: str
    magic: bytes
    words: bytes
    most_bytes: int
    unreadable: type[ValueError]
    forged: type[ValueError]

    def seal(self, raw: bytes, topic: str, key: SigningKey, named: str = "") -> bytes:
        """The frame for the edge that `topic` names. Raises `unreadable` for what is too long for any edge."""
        if len(raw) + HEADER.size > self.most_bytes:
            raise self.unreadable(
                f"{named or self.what}: expected at most {self.most_bytes} bytes, got {len(raw) + HEADER.size}"
            )
        head = HEADER.pack(self.magic, VERSION, 0, 0, key.key_id, b"")[:14]
        return head + key.sign(self.words + b"\x00" + digest(head, topic, raw)) + raw

    def unseal(self, frame: bytes, topic: str, key: PublicKey) -> bytes:
        """What a frame that came on `topic` holds; its signature is checked before anything is read. Raises `forged`, `unreadable`."""
        if not HEADER.size < len(frame) <= self.most_bytes:
            raise self.unreadable(
                f"{self.what} frame: expected {HEADER.size + 1} to {self.most_bytes} bytes, got {len(frame)}"
            )
        magic, version, first, second, key_id, signature = HEADER.unpack_from(frame)
        if magic != self.magic or version != VERSION or first or second:
            raise self.unreadable(
                f"{self.what} frame: expected magic {self.magic!r}, version {VERSION} and zeros, got {magic!r}, version {version}"
            )
        raw = frame[HEADER.size :]
        if key_id != key.key_id:
            raise self.forged(f"{self.what}: expected key {key.key_id.hex()}, signed with {key_id.hex()}")
        if not key.verifies(signature, self.words + b"\x00" + digest(frame[:14], topic, raw)):
            raise self.forged(f"{self.what}: the signature is not that of key {key_id.hex()}")
        return raw

"""The frame of a batch: header, compression, hash chain and signature, read strictly within limits. Not its content (see `wire.content`).

```
0   3  magic "WLB"
3   1  version: 1 (0 is read for ever: the same but for the number)
4   1  compression: 1 gzip, 2 zstd
5   1  zero
6   8  key id: the first 8 bytes of sha256(public key); zeros = unsigned
14 64  Ed25519 signature of "wattline batch" + 00 + digest; zeros = unsigned
78     compressed JSON
digest = sha256(bytes 0..13 + length of the topic as 2 bytes, high first + topic in UTF-8 + bytes from 78)
```
The digest names the batch: `prev` of the next one, acknowledgements and gap records quote it.
"""

import hashlib
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import zstandard

from wire import content as _content
from wire.content import Content, ContentUnreadable
from wire.keys import UNSIGNED, PublicKey, SigningKey

MAGIC: Final = b"WLB"
VERSION: Final = 1
READ: Final = frozenset({0, 1})  # versions that are read, for ever
GZIP: Final = 1
ZSTD: Final = 2
HEADER: Final = struct.Struct("<3sBBB8s64s")
MAX_UNPACKED: Final = 1 << 20  # a reader unpacks nothing beyond
MAX_SEALED: Final = 256 << 10  # a batch is sealed at the latest with so many bytes of JSON
MAX_FRAME: Final = MAX_UNPACKED + HEADER.size + 1024
_SIGNED: Final = b"wattline batch\x00"
_LEVEL: Final = 1  # level 3 saves 2 % of the bytes of a live batch at twice the time


class BatchUnreadable(ValueError):
    """A frame that breaks the contract, for ever: it is refused by number where one can be read."""


class SignatureForged(ValueError):
    """The signature is not the named key's. Never answered with `refused`: a forger could make an edge drop its own batch."""


class KeyUnknown(ValueError):
    """Signed with a key (or unsigned) that is not accepted for this edge: held, and shown with its id."""

    def __init__(self, message: str, key_id: bytes) -> None:
        super().__init__(message)
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class Batch:
    """An unsealed batch: its content, its digest (hex), whether a known key has signed it, and the keys that a later writer has added."""

    content: Content
    sha256: str
    signed: bool
    unknown_keys: tuple[str, ...] = ()


def digest(head: bytes, topic: str, packed: bytes) -> bytes:
    """The 32 bytes that name a batch; `head` is the frame's first 14 bytes."""
    name = topic.encode()
    sha256 = hashlib.sha256(head)
    sha256.update(len(name).to_bytes(2, "big"))
    sha256.update(name)
    sha256.update(packed)
    return sha256.digest()


def frame_digest(frame: bytes, topic: str) -> bytes:
    """The digest of a whole frame."""
    return digest(frame[:14], topic, frame[HEADER.size :])


class Sealer:
    """Makes frames: compresses, hashes, signs. One per edge; it keeps the compressor."""

    def __init__(self, topic: str, key: SigningKey | None) -> None:
        self._topic = topic
        self._key = key
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def seal(self, content: Content) -> tuple[bytes, bytes]:
        """The frame and its digest. Raises ValueError when the JSON passes what a reader would unpack."""
        raw = _content.encode(content)
        if len(raw) > MAX_UNPACKED:
            raise ValueError(f"batch {content.seq}: expected at most {MAX_UNPACKED} bytes of JSON, got {len(raw)}")
        packed = self._compressor.compress(raw)
        key_id = UNSIGNED if self._key is None else self._key.key_id
        head = HEADER.pack(MAGIC, VERSION, ZSTD, 0, key_id, b"")[:14]
        sha256 = digest(head, self._topic, packed)
        signature = bytes(64) if self._key is None else self._key.sign(_SIGNED + sha256)
        return head + signature + packed, sha256


def unseal(
    frame: bytes, topic: str, key_of: Callable[[bytes], PublicKey | None], *, accept_unsigned: bool = False
) -> Batch:
    """The batch of a frame that came on `topic`.

    `key_of` gives the accepted public key of a key id. The signature is checked before anything is unpacked.
    Raises BatchUnreadable, SignatureForged, KeyUnknown.
    """
    if not HEADER.size < len(frame) <= MAX_FRAME:
        raise BatchUnreadable(f"batch frame: expected {HEADER.size + 1} to {MAX_FRAME} bytes, got {len(frame)}")
    magic, version, compression, zero, key_id, signature = HEADER.unpack_from(frame)
    if magic != MAGIC or version not in READ or zero != 0:
        raise BatchUnreadable(
            f"batch frame: expected magic {MAGIC!r}, version 0 or {VERSION} and a zero, got {magic!r}, version {version} and {zero}"
        )
    sha256 = frame_digest(frame, topic)
    if key_id == UNSIGNED:
        if not accept_unsigned:
            raise KeyUnknown("batch: unsigned, and this edge is not listed under accept_unsigned", key_id)
    else:
        key = key_of(key_id)
        if key is None:
            raise KeyUnknown(f"batch: signed with key {key_id.hex()}, which is not accepted for this edge", key_id)
        if not key.verifies(signature, _SIGNED + sha256):
            raise SignatureForged(f"batch: the signature is not that of key {key_id.hex()}")
    try:
        content, unknown_keys = _content.decode_extended(_unpacked(compression, frame[HEADER.size :]))
    except ContentUnreadable as error:
        raise BatchUnreadable(str(error)) from error
    return Batch(content, sha256.hex(), key_id != UNSIGNED, unknown_keys)


def peek(frame: bytes) -> Content:
    """The content of a frame of one's own, its signature unchecked. Raises BatchUnreadable."""
    if len(frame) <= HEADER.size:
        raise BatchUnreadable(f"batch frame: expected more than {HEADER.size} bytes, got {len(frame)}")
    try:
        return _content.decode(_unpacked(frame[4], frame[HEADER.size :]))
    except ContentUnreadable as error:
        raise BatchUnreadable(str(error)) from error


class Numbered(msgspec.Struct, frozen=True):
    """What a frame says it is; the rest of its content may be unreadable."""

    facility: str
    edge: str
    epoch: str
    seq: int


def numbered(frame: bytes) -> Numbered:
    """What a frame says it is, signature unchecked: enough to name it in an answer, never to store it. Raises BatchUnreadable."""
    if not HEADER.size < len(frame) <= MAX_FRAME or not frame.startswith(MAGIC) or frame[3] not in READ:
        raise BatchUnreadable(f"batch frame: expected magic {MAGIC!r} version 0 or {VERSION}, got {frame[:4]!r}")
    try:
        return msgspec.json.decode(_unpacked(frame[4], frame[HEADER.size :]), type=Numbered)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchUnreadable(f"batch content: {error}") from error


def _unpacked(compression: int, packed: bytes) -> bytes:
    if compression == ZSTD:
        return _unpacked_zstd(packed)
    if compression == GZIP:
        return _unpacked_gzip(packed)
    raise BatchUnreadable(f"batch frame: expected compression {GZIP} (gzip) or {ZSTD} (zstd), got {compression}")


def _unpacked_zstd(packed: bytes) -> bytes:
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_UNPACKED:
            raise BatchUnreadable(
                f"batch frame: expected at most {MAX_UNPACKED} bytes unpacked, the frame states {size}"
            )
        return _unpackers.of_this_thread().decompress(packed, max_output_size=max(size, 1), allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BatchUnreadable(f"batch frame: zstd: {error}") from error


class _Unpackers(threading.local):
    """One decompressor per thread, kept: a new one for each batch takes 16 us in place of 5 for a live one."""

    unpacker: zstandard.ZstdDecompressor | None = None

    def of_this_thread(self) -> zstandard.ZstdDecompressor:
        if self.unpacker is None:
            self.unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_UNPACKED)
        return self.unpacker


_unpackers: Final = _Unpackers()


def _unpacked_gzip(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        raw = unpacker.decompress(packed, MAX_UNPACKED + 1)
    except zlib.error as error:
        raise BatchUnreadable(f"batch frame: gzip: {error}") from error
    if len(raw) > MAX_UNPACKED or not unpacker.eof or unpacker.unused_data:
        raise BatchUnreadable(f"batch frame: expected one whole gzip member of at most {MAX_UNPACKED} bytes unpacked")
    return raw

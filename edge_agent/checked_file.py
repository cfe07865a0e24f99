"""Small files that are replaced whole and carry a checksum, so that a flipped bit is not obeyed. Not the segments of the spool."""

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar

import msgspec

_T = TypeVar("_T")
_TRAILER: Final = b"\n#crc32 %08x\n"
_TRAILER_BYTES: Final = len(_TRAILER % 0)


class FileDamaged(ValueError):
    """A file whose bytes are not those that were written."""


def write(path: Path, value: msgspec.Struct, *, durable: bool = True) -> None:
    """Replace `path` by the JSON of `value` and its checksum: after a crash there is the old or the new one. Raises OSError."""
    raw = msgspec.json.encode(value)
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(raw + _TRAILER % zlib.crc32(raw))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def read(path: Path, kind: type[_T]) -> _T:
    """What `write` wrote. Raises OSError, FileDamaged."""
    whole = path.read_bytes()
    raw, trailer = whole[:-_TRAILER_BYTES], whole[-_TRAILER_BYTES:]
    if trailer != _TRAILER % zlib.crc32(raw):
        raise FileDamaged(f"{path}: expected JSON and its checksum, got {len(whole)} bytes that do not fit it")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileDamaged(f"{path}: {error}") from error


def sync_directory(directory: Path) -> None:
    """Make new and renamed files of a directory survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Mark(NamedTuple):
    """How far an epoch was synced: highest number, its digest, and the instant (UTC ms) up to which every answer is on disk.

    It is written over itself after each sync and not synced itself: after a power cut it may be behind, never ahead. A number that it
    names and that is not on disk was lost, and must not be given again.
    """

    seq: int
    digest: bytes
    to_ms: int

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The mark of a file; None where there is no sound one."""
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        if len(raw) != MARK_BYTES or zlib.crc32(raw[:-4]) != int.from_bytes(raw[-4:], "little"):
            return None
        seq, digest, to_ms = _MARK.unpack(raw[:-4])
        return cls(seq, digest, to_ms)

    def write(self, file: int) -> None:
        """Write it over the one in the open file descriptor `file`. Raises OSError."""
        raw = _MARK.pack(*self)
        os.pwrite(file, raw + zlib.crc32(raw).to_bytes(4, "little"), 0)


_MARK: Final = struct.Struct("<Q32sq")
MARK_BYTES: Final = _MARK.size + 4

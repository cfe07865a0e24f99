"""One append-only file of sealed batches, each record with a checksum. Not which batches are still needed (see `edge_agent.epoch`).

A record: "WLR1", payload length, CRC-32 of all that follows, sequence number, first and last instant (UTC ms), readings, digest, payload.
A file is written by the process that made it and never again: what is found damaged stays as it lies and is read around.
"""

import contextlib
import errno
import os
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

MAGIC: Final = b"WLR1"
_HEAD: Final = struct.Struct("<4sII")
_BODY: Final = struct.Struct("<QqqI32s")
HEADER_BYTES: Final = _HEAD.size + _BODY.size
MAX_PAYLOAD: Final = 2 << 20


class Record(NamedTuple):
    """What a segment knows of one batch besides its bytes."""

    seq: int
    first_ms: int
    last_ms: int
    readings: int
    digest: bytes


class RecordUnreadable(OSError):
    """A record whose bytes on disk are not those that were written."""


@dataclass(slots=True)
class Segment:
    """The records of one file in order of their numbers; `offsets[i]` is where record `seqs[i]` starts: 12 bytes each.

    `size` is the file's, `waiting` says how many of its batches are still wanted. `torn`: there are no sound bytes up to the end;
    `damaged`: there were such bytes before a sound record.
    """

    path: Path
    size: int = 0
    last_ms: int = 0
    waiting: int = 0
    seqs: "array[int]" = field(default_factory=lambda: array("Q"))
    offsets: "array[int]" = field(default_factory=lambda: array("I"))
    torn: bool = False
    damaged: bool = False

    def append(self, file: int, record: Record, payload: bytes) -> None:
        """Write at the end of the open file descriptor `file`; on a failed write the file is cut back and OSError raised."""
        body = _BODY.pack(record.seq, record.first_ms, record.last_ms, record.readings, record.digest)
        frame = _HEAD.pack(MAGIC, len(payload), zlib.crc32(payload, zlib.crc32(body))) + body + payload
        try:
            written = 0
            while written < len(frame):  # after a short write the next one tells why
                count = os.pwrite(file, memoryview(frame)[written:], self.size + written)
                if count == 0:
                    raise OSError(errno.EIO, f"{self.path}: wrote {written} of {len(frame)} bytes")
                written += count
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, self.size)
            raise
        self._note(record, self.size)
        self.size += len(frame)

    def _note(self, record: Record, offset: int) -> None:
        self.seqs.append(record.seq)
        self.offsets.append(offset)
        self.last_ms = max(self.last_ms, record.last_ms)
        self.waiting += 1

    def read(self, index: int) -> tuple[Record, bytes]:
        """Record number `index` of this file. Raises RecordUnreadable, OSError."""
        end = self.offsets[index + 1] if index + 1 < len(self.offsets) else self.size
        with self.path.open("rb") as file:
            file.seek(self.offsets[index])
            found = _record_at(file.read(end - self.offsets[index]), 0)
        if found is None or found[0].seq != self.seqs[index]:
            raise RecordUnreadable(f"{self.path}: the record of batch {self.seqs[index]} is damaged")
        return found[0], found[1]

    def records(self) -> Iterator[tuple[int, Record | None, bytes]]:
        """Each number with its record and payload; None and nothing where it cannot be read. Reads the file once."""
        try:
            buffer = self.path.read_bytes()
        except OSError:
            buffer = b""
        for seq, offset in zip(self.seqs, self.offsets, strict=True):
            found = _record_at(buffer, offset)
            sound = found is not None and found[0].seq == seq
            yield (seq, found[0], found[1]) if found is not None and sound else (seq, None, b"")

    @property
    def first_seq(self) -> int:
        """The lowest number; beyond all numbers while there is none."""
        return self.seqs[0] if self.seqs else 2**64


def _record_at(buffer: bytes, offset: int) -> tuple[Record, bytes, int] | None:
    """The record at `offset`, its payload and its end; None where there is no whole and sound one."""
    if offset + HEADER_BYTES > len(buffer):
        return None
    magic, length, crc = _HEAD.unpack_from(buffer, offset)
    end = offset + HEADER_BYTES + length
    if magic != MAGIC or length > MAX_PAYLOAD or end > len(buffer):
        return None
    if zlib.crc32(memoryview(buffer)[offset + _HEAD.size : end]) != crc:
        return None
    record = Record(*_BODY.unpack_from(buffer, offset + _HEAD.size))
    return record, buffer[offset + HEADER_BYTES : end], end


def scan(path: Path) -> Segment:
    """The segment of a file as it lies on disk; nothing is changed there. A file that cannot be read has no records and is `torn`."""
    segment = Segment(path)
    try:
        buffer = path.read_bytes()
    except OSError:
        segment.torn = True
        return segment
    segment.size = len(buffer)
    offset = 0
    while offset < len(buffer):
        found = _record_at(buffer, offset)
        if found is None or (segment.seqs and found[0].seq <= segment.seqs[-1]):
            following = _next_sound(buffer, offset + 1)
            if following is None:
                segment.torn = True
                break
            segment.damaged = True
            offset = following
            continue
        segment._note(found[0], offset)
        offset = found[2]
    return segment


def _next_sound(buffer: bytes, offset: int) -> int | None:
    while (offset := buffer.find(MAGIC, offset)) >= 0:
        if _record_at(buffer, offset) is not None:
            return offset
        offset += 1
    return None

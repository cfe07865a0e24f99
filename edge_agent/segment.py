"""One append-only file of sealed batches, each record with a checksum. Not which batches are still needed (see `edge_agent.spool`).

A record: "WLR1", payload length, CRC-32 of all that follows, sequence number, first and last instant (UTC ms), readings, digest, payload.
"""

import os
import struct
import zlib
from array import array
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
    """The records of one file in order of their numbers; `offsets[i]` is where record `seqs[i]` starts."""

    path: Path
    size: int = 0
    last_ms: int = 0
    seqs: "array[int]" = field(default_factory=lambda: array("Q"))
    offsets: "array[int]" = field(default_factory=lambda: array("I"))
    torn: bool = False
    damaged: bool = False

    def append(self, file: int, record: Record, payload: bytes) -> None:
        """Write at the end of the open file descriptor `file`; on a failed write the file is cut back and OSError raised."""
        body = _BODY.pack(record.seq, record.first_ms, record.last_ms, record.readings, record.digest)
        frame = _HEAD.pack(MAGIC, len(payload), zlib.crc32(payload, zlib.crc32(body))) + body + payload
        try:
            written = os.pwrite(file, frame, self.size)
            if written != len(frame):
                raise OSError(28, f"{self.path}: wrote {written} of {len(frame)} bytes")
        except OSError:
            os.ftruncate(file, self.size)
            raise
        self._note(record, self.size)
        self.size += len(frame)

    def _note(self, record: Record, offset: int) -> None:
        self.seqs.append(record.seq)
        self.offsets.append(offset)
        self.last_ms = max(self.last_ms, record.last_ms)

    def read(self, index: int) -> tuple[Record, bytes]:
        """Record number `index` of this file. Raises RecordUnreadable, OSError."""
        with self.path.open("rb") as file:
            file.seek(self.offsets[index])
            found = _record_at(file.read(self._span(index)), 0)
        if found is None or found[0].seq != self.seqs[index]:
            raise RecordUnreadable(f"{self.path}: the record of batch {self.seqs[index]} is damaged")
        return found[0], found[1]

    def record(self, index: int) -> Record:
        """The record's facts without its payload, unchecked. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(self.offsets[index] + _HEAD.size)
            return Record(*_BODY.unpack(file.read(_BODY.size)))

    def _span(self, index: int) -> int:
        end = self.offsets[index + 1] if index + 1 < len(self.offsets) else self.size
        return int(end - self.offsets[index])


def _record_at(buffer: bytes, offset: int) -> tuple[Record, bytes, int] | None:
    """The record at `offset`, its payload and its end; None where there is no whole and sound one."""
    if offset + HEADER_BYTES > len(buffer):
        return None
    magic, length, crc = _HEAD.unpack_from(buffer, offset)
    end = offset + HEADER_BYTES + length
    if magic != MAGIC or length > MAX_PAYLOAD or end > len(buffer):
        return None
    if zlib.crc32(buffer[offset + _HEAD.size : end]) != crc:
        return None
    record = Record(*_BODY.unpack_from(buffer, offset + _HEAD.size))
    return record, buffer[offset + HEADER_BYTES : end], end


def scan(path: Path) -> Segment:
    """The segment of a file as it lies on disk.

    Bytes after the last whole record are cut off (`torn`). Damage before a later sound record is jumped over (`damaged`): the file is
    rewritten with its sound records and the original kept beside it as `.damaged`.
    """
    buffer = path.read_bytes()
    segment = Segment(path)
    sound: list[tuple[int, int]] = []
    offset = 0
    while offset < len(buffer):
        found = _record_at(buffer, offset)
        if found is None:
            following = _next_sound(buffer, offset + 1)
            if following is None:
                segment.torn = True
                break
            segment.damaged = True
            offset = following
            continue
        segment._note(found[0], offset)
        sound.append((offset, found[2]))
        offset = found[2]
    segment.size = sound[-1][1] if sound else 0
    if segment.damaged:
        _rewrite(segment, buffer, sound)
    elif segment.torn:
        os.truncate(path, segment.size)
    return segment


def _next_sound(buffer: bytes, offset: int) -> int | None:
    while (offset := buffer.find(MAGIC, offset)) >= 0:
        if _record_at(buffer, offset) is not None:
            return offset
        offset += 1
    return None


def _rewrite(segment: Segment, buffer: bytes, sound: list[tuple[int, int]]) -> None:
    fresh = segment.path.with_suffix(".new")
    with fresh.open("wb") as file:
        for index, (first, last) in enumerate(sound):
            segment.offsets[index] = file.tell()
            file.write(buffer[first:last])
        segment.size = file.tell()
        file.flush()
        os.fsync(file.fileno())
    segment.path.replace(segment.path.with_suffix(".damaged"))
    fresh.replace(segment.path)

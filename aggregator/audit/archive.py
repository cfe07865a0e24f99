"""The sealed frames of committed batches, in files that grow one after the other; the oldest goes when all together pass a bound. Knows nothing of the log.

A frame is written as it came, without a word around it: whoever asks for it knows its place and checks its digest. What is written is in the
operating system's hands until `sync`, so a power cut may cost the frames of the last minute; what is read then does not have its digest.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

SEGMENTS: Final = 16  # of these one at a time is dropped
_LEAST_SEGMENT: Final = 64 << 10
_FILE: Final = re.compile(r"frames-(\d{9})\.bin")


class Place(NamedTuple):
    """Where a frame is: number of the file, first byte, number of bytes."""

    segment: int
    start: int
    length: int


class FrameArchive:
    """Files in `directory`, together at most `most_bytes`. One thread writes, any may read. Raises OSError."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._directory = directory
        self._segment_bytes = max(_LEAST_SEGMENT, most_bytes // SEGMENTS)
        self._most_bytes = most_bytes
        directory.mkdir(parents=True, exist_ok=True)
        self._bytes = {
            int(found[1]): path.stat().st_size for path in directory.iterdir() if (found := _FILE.fullmatch(path.name))
        }
        self._file: BinaryIO | None = None
        self._number = max(self._bytes, default=0)

    @property
    def bytes_kept(self) -> int:
        """Of all files together."""
        return sum(self._bytes.values())

    @property
    def oldest(self) -> int:
        """Number of the oldest file; frames of those before are gone."""
        return min(self._bytes, default=self._number + 1)

    def keep(self, frames: Sequence[bytes]) -> list[Place]:
        """Write frames; their places in the same order."""
        if self._file is None or self._bytes[self._number] >= self._segment_bytes:
            self._next_segment()
        assert self._file is not None
        number, start = self._number, self._bytes[self._number]
        try:
            self._file.write(b"".join(frames))
        except OSError:
            self._file.close()
            self._file = None  # where it ends now nobody knows: the next frames begin a new file
            raise
        places = []
        for frame in frames:
            places.append(Place(number, start, len(frame)))
            start += len(frame)
        self._bytes[number] = start
        return places

    def _next_segment(self) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
        self._number += 1
        self._file = self._path(self._number).open("xb", buffering=0)
        self._bytes[self._number] = 0
        while len(self._bytes) > 1 and self.bytes_kept > self._most_bytes - self._segment_bytes:
            oldest = self.oldest
            self._path(oldest).unlink(missing_ok=True)
            del self._bytes[oldest]

    def read(self, place: Place) -> bytes | None:
        """The bytes at a place; None where the file is gone or ends before."""
        try:
            with self._path(place.segment).open("rb") as file:
                file.seek(place.start)
                found = file.read(place.length)
        except FileNotFoundError:
            return None
        return found if len(found) == place.length else None

    def sync(self) -> None:
        """Have all that was written survive a power cut."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None

    def _path(self, number: int) -> Path:
        return self._directory / f"frames-{number:09d}.bin"

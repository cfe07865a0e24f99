"""What must survive a restart: an append-only file of keyed JSON values, each line with its checksum, synced before anyone is answered.

    crc32 space {"k": key, "v": value} newline        value null: the key is gone

The last line of a key counts. A torn or damaged line is skipped and counted. The file is written anew when most of it is history.
"""

import asyncio
import contextlib
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

log = logging.getLogger(__name__)

MAX_BYTES: Final = 64 << 20  # of what lives; a relay's queue of 10,000 meter values has some 20 MiB
_SMALL: Final = 1 << 20  # below this a file is not worth writing anew
_HISTORY: Final = 4  # written anew when it is so many times what lives in it


class _Line(msgspec.Struct):
    k: str
    v: msgspec.Raw


class JournalFull(OSError):
    """What lives would pass the bound."""


class Journal:
    """Values by key. `path` None: memory only. Blocking is done in a thread; `sync` may be waited for by many at once."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.damaged = 0
        self._live: dict[str, bytes] = {}
        self._live_bytes = 0
        self._pending: list[bytes] = []
        self._file_bytes = 0
        self._writing = asyncio.Lock()
        self._generation = 0
        self._synced = 0
        if path is not None:
            self._load(path)

    def _load(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return
        for line in raw.split(b"\n"):
            if line and not self._take(line):
                self.damaged += 1
        self._file_bytes = len(raw)
        if self.damaged:
            log.warning("journal_damaged file=%s lines=%s", path, self.damaged)
        if raw and not raw.endswith(b"\n"):
            self._pending.append(b"\n")  # ends a torn line, so that the next one stands alone

    def _take(self, line: bytes) -> bool:
        checksum, _, body = line.partition(b" ")
        try:
            if int(checksum, 16) != zlib.crc32(body):
                return False
            entry = msgspec.json.decode(body, type=_Line)
        except (ValueError, msgspec.DecodeError):
            return False
        self._set(entry.k, bytes(entry.v))
        return True

    def _set(self, key: str, value: bytes) -> None:
        before = self._live.pop(key, None)
        if before is not None:
            self._live_bytes -= len(before) + len(key)
        if value != b"null":
            self._live[key] = value
            self._live_bytes += len(value) + len(key)

    def put(self, key: str, value: Any) -> None:
        """Sets `key`; None removes it. On disk with the next `sync`. Raises JournalFull."""
        raw = msgspec.json.encode(value)
        if raw != b"null" and self._live_bytes + len(raw) > MAX_BYTES:
            raise JournalFull(f"{self.path}: expected at most {MAX_BYTES} bytes of what lives, saw {self._live_bytes}")
        if self._live.get(key) == raw:
            return
        self._set(key, raw)
        if self.path is not None:
            body = msgspec.json.encode({"k": key, "v": msgspec.Raw(raw)})
            self._pending.append(b"%08x %s\n" % (zlib.crc32(body), body))
        self._generation += 1

    def get(self, key: str, kind: Any) -> Any:
        """The value of `key` as `kind`, None where there is none that fits."""
        raw = self._live.get(key)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("journal_value_unfit key=%s reason=%s", key, error)
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, in the order in which they were set last."""
        return iter([key for key in self._live if key.startswith(prefix)])

    async def sync(self) -> None:
        """Returns when all that was put before is on disk. Raises OSError; what could not be written is tried again the next time."""
        if self.path is None:
            return
        wanted = self._generation
        async with self._writing:
            if self._synced >= wanted and not self._pending:
                return  # another one's sync has taken ours along
            lines, generation = self._pending, self._generation
            self._pending = []
            try:
                if self._file_bytes > max(_SMALL, _HISTORY * self._live_bytes):
                    snapshot = dict(self._live)
                    await asyncio.to_thread(self._write_anew, snapshot)
                else:
                    await asyncio.to_thread(self._append, b"".join(lines))
            except OSError:
                self._pending = [b"\n", *lines, *self._pending]  # half a line may stand at the end
                raise
            self._synced = generation

    def _append(self, raw: bytes) -> None:
        assert self.path is not None
        fresh = not self.path.exists()
        with self.path.open("ab") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        self._file_bytes += len(raw)
        if fresh:
            _sync_directory(self.path.parent)

    def _write_anew(self, live: dict[str, bytes]) -> None:
        assert self.path is not None
        lines = []
        for key, value in live.items():
            body = msgspec.json.encode({"k": key, "v": msgspec.Raw(value)})
            lines.append(b"%08x %s\n" % (zlib.crc32(body), body))
        raw = b"".join(lines)
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            with beside.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        _sync_directory(self.path.parent)
        self._file_bytes = len(raw)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

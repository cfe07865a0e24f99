"""The last raw frames of each device, kept in memory and written down when a value is rejected. Not a log of everything.

A dump is a file of JSON lines: first what it is, then one line per frame. `wattline sim replay FILE` answers from it, so that what a
meter did once on site can be asked again.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from wire.reading import Event, Json

log = logging.getLogger(__name__)

FRAMES: Final = 32  # per device: a slow read of a meter with many requests, twice
FRAME_BYTES: Final = 1024  # the longest Modbus TCP frame has 260, an M-Bus telegram 261
DUMPS: Final = 50  # files kept; the oldest go first
EVERY_MS: Final = 60_000  # a device that is always wrong writes one dump a minute at most
EVENT_BYTES: Final = 16 << 10  # of frames in an event; the file holds them all


class FlightRecorder:
    """Rings of frames by device. `protocols` names each device's protocol, `directory` takes the dumps (None: only events)."""

    def __init__(self, directory: Path | None, now_ms: Callable[[], int], protocols: Mapping[str, str]) -> None:
        self._directory = directory
        self._now_ms = now_ms
        self._protocols = protocols
        self._rings: dict[str, deque[tuple[int, bool, bytes]]] = {}
        self._dumped_ms: dict[str, int] = {}

    def frame(self, device: str, sent: bool, raw: bytes) -> None:
        """Takes one frame; `sent`: by us."""
        ring = self._rings.get(device)
        if ring is None:
            ring = self._rings[device] = deque(maxlen=FRAMES)
        ring.append((self._now_ms(), sent, bytes(raw[:FRAME_BYTES])))

    def dump(self, device: str, reason: str) -> Event | None:
        """Writes the device's frames down and gives the event that says so; None where there are none, or a dump was just made."""
        now_ms = self._now_ms()
        ring, last_ms = self._rings.get(device), self._dumped_ms.get(device)
        if not ring or (last_ms is not None and 0 <= now_ms - last_ms < EVERY_MS):
            return None
        self._dumped_ms[device] = now_ms
        head: dict[str, Json] = {
            "device": device,
            "protocol": self._protocols.get(device, ""),
            "reason": reason,
            "at_ms": now_ms,
        }
        frames: list[dict[str, Json]] = [{"at_ms": at_ms, "sent": sent, "hex": raw.hex()} for at_ms, sent, raw in ring]
        name = f"frames-{device}-{now_ms}"
        told: list[dict[str, Json]] = []
        size = 0
        for frame in reversed(frames):
            size += len(str(frame["hex"])) + 60
            if size > EVENT_BYTES:
                break
            told.append(frame)
        body: dict[str, Json] = {
            "protocol": head["protocol"],
            "reason": reason,
            "file": self._write(name, [head, *frames]),
            "frames": told[::-1],
        }
        return Event(name, now_ms, device, "frames", body)

    def _write(self, name: str, lines: list[dict[str, Json]]) -> str:
        """The file's name, "" where none could be written: the frames are in the event all the same."""
        if self._directory is None:
            return ""
        path = self._directory / f"{name}.jsonl"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
            for old in sorted(self._directory.glob("frames-*.jsonl"), key=lambda file: file.stat().st_mtime)[:-DUMPS]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("frames not written file=%s reason=%s", path, error)
            return ""
        return path.name

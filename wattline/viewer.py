"""A viewer of the live feed that measures how old a reading is when it reaches a screen. It shows nothing."""

import contextlib
import http.client
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

from wire.clock import Clock

TIMEOUT_S: Final = 10.0
KEPT: Final = 100_000


def get_json(url: str, timeout_s: float = TIMEOUT_S) -> Any:
    """The JSON at an address of the aggregator. Raises OSError, ValueError."""
    if not url.startswith("http://"):
        raise ValueError(f"expected an http address, got {url!r}")
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 the scheme is checked
        return json.load(answer)


def stored_latency_ms(url: str, speed: float) -> dict[str, float | None]:
    """p50 and p95 from answer to commit in real ms, as the aggregator's metrics have them. Raises OSError."""
    if not url.startswith("http://"):
        raise ValueError(f"expected an http address, got {url!r}")
    found: dict[str, float | None] = {"p50_ms": None, "p95_ms": None}
    with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_S) as answer:  # noqa: S310 the scheme is checked
        for line in answer.read().decode().splitlines():
            for name, quantile in (("p50_ms", '{quantile="0.5"}'), ("p95_ms", '{quantile="0.95"}')):
                if line.startswith(f"wattline_lateness_seconds{quantile} "):
                    found[name] = round(float(line.rsplit(" ", 1)[1]) * 1000 / speed, 1)
    return found


class Viewer:
    """Follows the feed of each facility in a thread of its own until `stop`."""

    def __init__(self, url: str, facilities: Sequence[str], clock: Clock) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._clock = clock
        self._ended = threading.Event()
        self._ages_ms: list[float] = []
        self.frames = 0
        self._threads = [
            threading.Thread(target=self._follow, args=(facility,), daemon=True) for facility in facilities
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop measuring."""
        self._ended.set()

    def figures(self) -> dict[str, float | int | None]:
        """p50 and p95 of the age of fresh device values when a frame arrived, in real ms, and how many were seen."""
        ages = sorted(self._ages_ms)
        if not ages:
            return {"seen": 0, "frames": self.frames, "p50_ms": None, "p95_ms": None}
        return {
            "seen": len(ages),
            "frames": self.frames,
            "p50_ms": round(ages[len(ages) // 2], 1),
            "p95_ms": round(ages[min(len(ages) - 1, int(len(ages) * 0.95))], 1),
        }

    def _follow(self, facility: str) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._read(facility)
            self._ended.wait(0.5)

    def _read(self, facility: str) -> None:
        connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=30)
        try:
            connection.request("GET", f"/api/v1/facilities/{facility}/live", headers={"accept": "text/event-stream"})
            answer = connection.getresponse()
            event = ""
            while not self._ended.is_set():
                line = answer.readline()
                if not line:
                    return
                if line.startswith(b"event:"):
                    event = line[6:].strip().decode()
                elif line.startswith(b"data:") and event == "delta":
                    self._note(json.loads(line[5:]))
        finally:
            connection.close()

    def _note(self, delta: dict[str, Any]) -> None:
        now_ms = self._clock()
        self.frames += 1
        for device in (delta.get("d") or {}).values():
            if isinstance(device, dict) and device.get("ts") is not None and len(self._ages_ms) < KEPT:
                self._ages_ms.append((now_ms - device["ts"]) / self._clock.speed)

"""The judge of "nothing is lost": one JSON line per answer given, in the order of sending. It outlives the process that writes it."""

import json
from pathlib import Path
from typing import Any, Self, TextIO


class AnswerLog:
    """Appends line by line, each handed to the operating system at once, so a killed process loses no line.

    A log that exists is continued: `last_serials` tells per (plant, device) the highest serial in it, and a torn last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.last_serials: dict[tuple[str, str], int] = {}
        if path.exists():
            self._continue(path)
        self._file: TextIO = path.open("a", encoding="ascii", buffering=1)

    def _continue(self, path: Path) -> None:
        with path.open("r+b") as file:
            kept = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = json.loads(line)
                self.last_serials[entry["plant"], entry["device"]] = entry["serial"]
                kept += len(line)
            file.truncate(kept)

    def write(
        self, plant: str, device: str, serial: int, at_ms: int, *, carried: bool, fault: str | None, **said: Any
    ) -> None:
        """Notes one answer that was handed to the network: its number, its instant, whether the client could see the number, and what was said."""
        entry = {
            "plant": plant,
            "device": device,
            "serial": serial,
            "at_ms": at_ms,
            "carried": carried,
            "fault": fault,
            **said,
        }
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""A flight recorder's dump as data: what was asked and what came back, in order. It serves nothing and knows no protocol.

Either the file of JSON lines that a gateway keeps (first a line with device, protocol and reason, then a line for each frame), or one JSON
object with the same keys and `frames`: the body of an event of kind "frames", or the whole event.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MOST_FRAMES: Final = 100_000
_LONGEST_FRAME: Final = 4096
_MOST_BYTES: Final = 64 << 20


class DumpFault(ValueError):
    """A file that is no dump: what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and everything that came before the next one; no `answer` is silence."""

    request: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Dump:
    """A device's last exchanges, oldest first, and why they were kept."""

    device: str
    protocol: str
    reason: str
    exchanges: tuple[Exchange, ...]


def load(path: Path) -> Dump:
    """The dump in a file. Raises DumpFault, OSError."""
    if path.stat().st_size > _MOST_BYTES:
        raise DumpFault(f"{path}: expected a dump, saw {path.stat().st_size} bytes")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return _parsed(text)
    except (DumpFault, RecursionError) as fault:
        raise DumpFault(f"{path}: {fault}") from fault


def _parsed(text: str) -> Dump:
    try:
        whole = json.loads(text)
        lines = [whole]
    except ValueError:
        lines = [_line(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines or not isinstance(lines[0], dict):
        raise DumpFault("expected a first line with device and protocol, saw none")
    head: Mapping[str, Any] = lines[0]
    if isinstance(head.get("body"), dict):
        head = {"device": head.get("device", ""), **head["body"]}
    frames = head["frames"] if isinstance(head.get("frames"), list) else lines[1:]
    if not isinstance(head.get("protocol"), str):
        raise DumpFault(f"protocol: expected a protocol's name, saw {head.get('protocol')!r}")
    if len(frames) > MOST_FRAMES:
        raise DumpFault(f"expected at most {MOST_FRAMES} frames, saw {len(frames)}")
    pairs = [_frame(number, frame) for number, frame in enumerate(frames, 1)]
    return Dump(str(head.get("device", "")), head["protocol"], str(head.get("reason", "")), _exchanges(pairs))


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DumpFault(f"line {number}: expected a JSON object, saw {line[:60]!r}") from error


def _frame(number: int, frame: object) -> tuple[bool, bytes]:
    if not isinstance(frame, Mapping) or not isinstance(frame.get("hex"), str) or "sent" not in frame:
        raise DumpFault(f"frame {number}: expected sent and hex, saw {str(frame)[:60]}")
    try:
        raw = bytes.fromhex(frame["hex"])
    except ValueError as error:
        raise DumpFault(f"frame {number}: expected hexadecimal digits, saw {frame['hex'][:60]!r}") from error
    if len(raw) > _LONGEST_FRAME:
        raise DumpFault(f"frame {number}: expected at most {_LONGEST_FRAME} bytes, saw {len(raw)}")
    return bool(frame["sent"]), raw


def _exchanges(frames: list[tuple[bool, bytes]]) -> tuple[Exchange, ...]:
    """What came in before the first request belongs to one that is not there any more."""
    found: list[list[bytes]] = []
    for sent, raw in frames:
        if sent:
            found.append([raw])
        elif found:
            before = found[-1][1:]
            if before and raw.startswith(before[-1]):  # the same bytes once more, with those that came later
                found[-1][-1] = raw
            else:
                found[-1].append(raw)
    return tuple(Exchange(request, b"".join(answer)) for request, *answer in found)

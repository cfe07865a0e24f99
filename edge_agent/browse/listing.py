"""What browsing found, protocol by protocol in one form: a table for people and what to paste into an edge file or a meter model."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

_LONGEST_CELL = 48


@dataclass(frozen=True, slots=True)
class Listing:
    """One device (or server): a line about it, a table, notes, and TOML: `device` for the edge file, `rows` for a model file beside it."""

    title: str
    columns: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    device: str = ""
    rows: str = ""


class NotBrowsable(Exception):
    """A protocol in which there is nothing to look for; the message says what to do instead."""


def print_listings(listings: Sequence[Listing], bus: str, as_json: bool, out: TextIO) -> None:
    """Tables first, then one snippet for the edge file with the bus in front, then the rows for models."""
    snippet = "\n".join([bus, *(listing.device for listing in listings if listing.device)])
    if as_json:
        out.write(json.dumps({"found": [asdict(listing) for listing in listings], "edge_file": snippet}) + "\n")
        return
    for listing in listings:
        out.write(f"{listing.title}\n")
        for line in _aligned((listing.columns, *listing.table) if listing.table else ()):
            out.write(f"  {line}\n")
        out.writelines(f"  {note}\n" for note in listing.notes)
    if any(listing.device for listing in listings):
        out.write(f"\n# for the edge file\n{snippet}\n")
    for listing in listings:
        if listing.rows:
            out.write(f"\n# rows for a model file: {listing.title}; quantities are guesses\n{listing.rows}\n")


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    if not lines:
        return []
    cut = [
        [cell if len(cell) <= _LONGEST_CELL else f"{cell[: _LONGEST_CELL - 2]}.." for cell in line] for line in lines
    ]
    widths = [max(len(line[column]) for line in cut) for column in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cut]


def toml(table: str, keys: dict[str, Any], model: str) -> str:
    """A table of TOML with a name, keys and a model to be named; texts are quoted as JSON, which TOML reads alike."""
    lines = [f"[[{table}]]"]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items() if value is not None]
    return (
        "\n".join([*lines, f"model = {json.dumps(model)}" + ("" if model else "  # see: wattline edge models")]) + "\n"
    )


def identifier(words: str, otherwise: str) -> str:
    """A device's name made of what it calls itself: letters, digits, - and _."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", words).strip("-").lower()[:64]
    return name or otherwise

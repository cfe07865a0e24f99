"""Statements, and the rules they were made under, as bytes that are kept for good, and back. Not where they are kept (see `runs`)."""

import re
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeVar

import msgspec

from aggregator.accounts.line import Line
from aggregator.accounts.statement import Statement
from aggregator.emissions.profiles import Profile
from aggregator.facility import Facility

MOST_BYTES: Final = 512 << 20  # of a statement, unpacked
_T = TypeVar("_T")
_FRACTION: Final = re.compile(r"[0-9]{1,18}(/[1-9][0-9]{0,17})?")


class NotAsFrozen(ValueError):
    """Bytes that are no statement or rules of ours; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What settings and profile said: meters with roles and multipliers, place, own factors, and how a factor is chosen."""

    facility: Facility
    profile: Profile

    def encoded(self) -> bytes:
        """JSON; the same rules give the same bytes."""
        return msgspec.json.encode(self)


@dataclass(frozen=True, slots=True)
class _Head:
    facility: str
    profile: str
    from_ms: int
    to_ms: int
    as_of_ms: int
    expected: int
    notes: tuple[str, ...]


def rules_of(raw: bytes) -> Rules:
    """What `Rules.encoded` gave. Raises NotAsFrozen."""
    return _decoded(raw, Rules)


def statement_of(raw: bytes) -> Statement:
    """The statement whose `encoded` is `raw`. Raises NotAsFrozen."""
    rows = raw.split(b"\n")
    if len(rows) < 2 or rows.pop():
        raise NotAsFrozen("expected a statement of JSON lines, each ended, got none or part of one")
    head = _decoded(rows[0], _Head)
    lines = tuple(_decoded(row, Line) for row in rows[1:])
    return Statement(
        head.facility, head.profile, head.from_ms, head.to_ms, head.as_of_ms, lines, head.expected, head.notes
    )


def packed(raw: bytes) -> bytes:
    """Compressed."""
    return zlib.compress(raw, 6)


def unpacked(raw: bytes) -> bytes:
    """What `packed` was given. Raises NotAsFrozen."""
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(raw, MOST_BYTES)
    except zlib.error as error:
        raise NotAsFrozen(f"expected compressed bytes, {error}") from error
    if not reader.eof:
        raise NotAsFrozen(f"expected at most {MOST_BYTES} bytes, whole, got more or less")
    return found


def _decoded(raw: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind, dec_hook=_fraction)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NotAsFrozen(f"expected {kind.__name__.strip('_').lower()} in JSON, {error}") from error


def _fraction(kind: type[Any], value: object) -> Fraction:
    """What JSON has as text. Raises ValueError."""
    if kind is not Fraction or not isinstance(value, str) or not _FRACTION.fullmatch(value):
        raise ValueError(f"expected a fraction such as 97/3, got {str(value)[:64]!r}")
    return Fraction(value)

"""Secondary addresses of M-Bus meters: identification number, maker, version and medium, with wildcards. Not how a meter is selected.

On the wire: four bytes of BCD, low first; two of the maker, low first; version; medium. F in a digit and FF in a byte stand for any.
"""

import re
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.mbus.frame import FrameFault

_DIGITS: Final = re.compile(r"[0-9A-F]{8}")
_ANY_MAKER: Final = 0xFFFF
_ANY_BYTE: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Secondary:
    """`identification`: 8 digits as printed on the meter, F for any. `manufacturer`: three letters; it, `version` and `medium` None for any."""

    identification: str
    manufacturer: str | None = None
    version: int | None = None
    medium: int | None = None

    def __str__(self) -> str:
        parts = [self.identification, self.manufacturer or "any maker"]
        parts.append("any version" if self.version is None else f"version {self.version}")
        parts.append("any medium" if self.medium is None else f"medium {self.medium}")
        return ", ".join(parts)

    def to_bytes(self) -> bytes:
        """The eight bytes of a selection. Raises FrameFault."""
        if not _DIGITS.fullmatch(self.identification):
            raise FrameFault(f"expected 8 digits, saw {self.identification!r}")
        maker = _ANY_MAKER if self.manufacturer is None else maker_number(self.manufacturer)
        tail = (_ANY_BYTE if part is None else part for part in (self.version, self.medium))
        return bytes.fromhex(self.identification)[::-1] + maker.to_bytes(2, "little") + bytes(tail)

    def covers(self, other: "Secondary") -> bool:
        """Whether a meter with the address `other` is meant; what `other` does not tell (fixed telegrams name no maker) is no obstacle."""
        digits = zip(self.identification, other.identification, strict=True)
        return all(mine in ("F", theirs) for mine, theirs in digits) and all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in (
                (self.manufacturer, other.manufacturer),
                (self.version, other.version),
                (self.medium, other.medium),
            )
        )


def maker_number(letters: str) -> int:
    """Three capital letters as the number that stands on the wire (EN 13757-3: 32 x 32 x first + 32 x second + third, A = 1)."""
    if not re.fullmatch("[A-Z]{3}", letters):
        raise FrameFault(f"expected a maker of three capital letters, saw {letters!r}")
    one, two, three = (ord(letter) - 64 for letter in letters)
    return (one << 10) | (two << 5) | three


def maker_letters(number: int) -> str:
    """The letters of a maker's number; one that has none as four hexadecimal digits. Bit 15 (a soft address) is left out."""
    parts = tuple(number >> shift & 0x1F for shift in (10, 5, 0))
    if all(1 <= part <= 26 for part in parts):
        return "".join(chr(64 + part) for part in parts)
    return f"{number:04X}"

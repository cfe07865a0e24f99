"""Whether two names are one person's: whoever entered a thing is not its second person. Not who may do what (see `aggregator.person`)."""

import unicodedata
from typing import Final

# Default_Ignorable_Code_Point of the Unicode Character Database, beside the format characters (Cf): joiner, fillers, selectors, reserved.
_NOT_SHOWN: Final = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip


def same_person(one: str, other: str) -> bool:
    """Whatever the case, the blanks, the width of letters (NFKC) and marks that do not show, which may stand where a blank does too."""
    names = _plain(one), _plain(other)
    if not all(map(_shows, one + other)):
        names = names[0].replace(" ", ""), names[1].replace(" ", "")
    return names[0] == names[1]


def _plain(name: str) -> str:
    shown = "".join(filter(_shows, name))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", shown).casefold())
    return " ".join(folded.split())


def _shows(letter: str) -> bool:
    if letter.isspace():
        return True
    hidden = any(first <= ord(letter) <= last for first, last in _NOT_SHOWN)
    return not hidden and unicodedata.category(letter) not in ("Cf", "Cc")

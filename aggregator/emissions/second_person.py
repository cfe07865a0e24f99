"""Whether two names are one person's: whoever entered a thing is not its second person. Not who may do what (see `aggregator.person`)."""

import unicodedata


def same_person(one: str, other: str) -> bool:
    """Whatever the case, the blanks, the width of letters (NFKC) and marks that do not show."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    shown = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", shown).casefold())
    return " ".join(folded.split())

"""A person who may write: named in the settings, known by a token of their own. Not how a request is refused (see `routes.guard`).

The settings hold the SHA-256 of a token, never the token: it is 256 random bits, so that nobody can try them all.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Right = Literal["enter", "approve", "operate"]


@dataclass(frozen=True, slots=True)
class Person:
    """`entity` is the legal entity that answers for what the person signs. `may`: enter
    figures, approve what another one entered, operate (take alarms, send set-points, ask for and answer events, override plans)."""

    name: str
    token_sha256: str
    entity: str = ""
    may: tuple[Right, ...] = ("enter",)


def new_token() -> tuple[str, str]:
    """A token and its SHA-256 in hex."""
    token = secrets.token_urlsafe(32)
    return token, sha256_of(token)


def sha256_of(token: str) -> str:
    """As the settings have it."""
    return hashlib.sha256(token.encode()).hexdigest()


def person_of(token: str, persons: Sequence[Person]) -> Person | None:
    """Whose token it is, in a time that does not tell how near another one was."""
    digest, found = sha256_of(token), None
    for person in persons:
        if hmac.compare_digest(digest, person.token_sha256):
            found = person
    return found

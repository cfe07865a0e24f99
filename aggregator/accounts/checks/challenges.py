"""What people outside doubt about a published figure: each is a ticket on the quality of the data until somebody answers it. Corrects nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.accounts.record_file import RecordFile, RecordsRefused

STATES: Final = ("looked_into", "upheld", "rejected")
TEXT_MAX: Final = 2000
A_DAY: Final = 100  # of one facility: anybody may write
_DAY_MS: Final = 86_400_000


class TooMany(Exception):
    """As many as are taken of one facility in a day."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A doubt `about` a figure. `contact`: how to reach who said it, for whoever answers; `state` "open" while there is no answer."""

    no: int
    facility: str
    about: str
    text: str
    contact: str
    received_at_ms: int
    state: str = "open"
    answer: str = ""
    by: str = ""
    answered_at_ms: int | None = None


class Challenges:
    """Of one data directory. Any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "checks/challenges.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def __enter__(self) -> "Challenges":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, facility: str, about: str, text: str, contact: str, now_ms: int) -> Challenge:
        """Takes a doubt. Raises RecordsRefused, TooMany."""
        _in_words([("about", about, True), ("text", text, True), ("contact", contact, False)])
        with self._file.transaction() as db:
            (today,) = db.execute(
                "SELECT count(*) FROM challenge WHERE facility = ? AND received_at_ms > ?", (facility, now_ms - _DAY_MS)
            ).fetchone()
            if today >= A_DAY:
                raise TooMany(f"expected at most {A_DAY} a day")
            row = db.execute(
                "INSERT INTO challenge (facility, about, text, contact, received_at_ms) VALUES (?,?,?,?,?) RETURNING no",
                (facility, about.strip(), text.strip(), contact.strip(), now_ms),
            ).fetchone()
        return self.one(facility, int(row[0]))

    def answer(self, facility: str, no: int, state: str, text: str, by: str, now_ms: int) -> Challenge:
        """Answers one; a later answer takes the place of an earlier one. Raises RecordsRefused."""
        self.one(facility, no)
        if state not in STATES:
            raise RecordsRefused([f"state: expected one of {', '.join(STATES)}, got {state!r}"])
        _in_words([("text", text, True), ("by", by, True)])
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO challenge_answer (challenge, state, text, by, answered_at_ms) VALUES (?,?,?,?,?)",
                (no, state, text.strip(), by.strip(), now_ms),
            )
        return self.one(facility, no)

    def one(self, facility: str, no: int) -> Challenge:
        """Raises RecordsRefused where there is none."""
        found = next((each for each in self.all(facility) if each.no == no), None)
        if found is None:
            raise RecordsRefused([f"challenge: expected the number of one of {facility}, got {no}"])
        return found

    def all(self, facility: str) -> list[Challenge]:
        """Of a facility, the newest first."""
        found = self._file.rows(
            "SELECT challenge.no, facility, about, challenge.text, contact, received_at_ms, coalesce(state, 'open'),"
            " coalesce(challenge_answer.text, ''), coalesce(by, ''), answered_at_ms FROM challenge LEFT JOIN challenge_answer ON"
            " challenge_answer.no = (SELECT max(no) FROM challenge_answer WHERE challenge = challenge.no)"
            " WHERE facility = ? ORDER BY challenge.no DESC",
            (facility,),
        )
        return [Challenge(*row) for row in found]


def _in_words(said: Sequence[tuple[str, str, bool]]) -> None:
    faults = [f"{name}: expected text, got nothing" for name, text, needed in said if needed and not text.strip()]
    faults += [f"{name}: expected at most {TEXT_MAX} characters, got {len(text)}" for name, text, _ in said if len(text) > TEXT_MAX]  # fmt: skip
    if faults:
        raise RecordsRefused(faults)

"""What was commanded and answered, kept in the ledger's file for good. Signs and sends nothing (see `aggregator.commands`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from aggregator.ledger import Ledger
from wire.command import Command, Result, SetPoint, decode_result, encode_result


@dataclass(frozen=True, slots=True)
class Commanded:
    """One command as it stands. `not_sent` says why it never left, empty where it did; `result` is the edge's newest answer."""

    command: Command
    facility: str
    edge: str
    asked_by: str
    not_sent: str = ""
    answered_at_ms: int | None = None
    result: Result | None = None


_SET_POINTS: Final = msgspec.json.Decoder(list[SetPoint])
_COLUMNS: Final = "id, facility, edge, counter, asked_by, issued_at_ms, expires_at_ms, firm, set_points, not_sent, answered_at_ms, result"


class CommandBook:
    """Any thread may call. Raises LedgerBusy."""

    def __init__(self, ledger: Ledger, issuer: str) -> None:
        self._ledger = ledger
        self._issuer = issuer

    def enter(
        self,
        command_id: str,
        facility: str,
        edge: str,
        asked_by: str,
        now_ms: int,
        expires_at_ms: int,
        set_points: Sequence[SetPoint],
        firm: bool,
    ) -> Command:
        """A new command under the next counter, kept before it is sent.

        The counter is at least the time in ms, so that it rises also where this file was restored from a backup.
        """
        with self._ledger.transaction() as db:
            (last,) = db.execute("SELECT COALESCE(MAX(counter), 0) FROM command").fetchone()
            command = Command(
                command_id, self._issuer, max(last + 1, now_ms), now_ms, expires_at_ms, list(set_points), firm
            )
            db.execute(
                "INSERT INTO command VALUES (?,?,?,?,?,?,?,?,?,'',0,NULL,NULL)",
                (
                    command_id, facility, edge, command.counter, asked_by, now_ms, expires_at_ms, int(firm),
                    msgspec.json.encode(command.set_points).decode(),
                ),
            )  # fmt: skip
        return command

    def not_sent(self, command_id: str, reason: str) -> None:
        """The command never left."""
        with self._ledger.transaction() as db:
            db.execute("UPDATE command SET not_sent = ? WHERE id = ?", (reason, command_id))

    def answer(self, facility: str, edge: str, result: Result, now_ms: int) -> bool:
        """Keep an edge's answer in place of an older one; False where it is to no command of ours, or is not newer."""
        with self._ledger.transaction() as db:
            changed = db.execute(
                "UPDATE command SET result = ?, revision = ?, answered_at_ms = COALESCE(answered_at_ms, ?)"
                " WHERE id = ? AND facility = ? AND edge = ? AND counter = ? AND revision < ?",
                (
                    encode_result(result).decode(), result.revision, now_ms, result.id, facility, edge, result.counter,
                    result.revision,
                ),
            )  # fmt: skip
        return changed.rowcount == 1

    def find(self, facility: str, edge: str, command_id: str) -> Commanded | None:
        """One command; None where there is none of that id."""
        found = self._ledger.rows(
            f"SELECT {_COLUMNS} FROM command WHERE id = ? AND facility = ? AND edge = ?",  # noqa: S608 (constant text)
            (command_id, facility, edge),
        )
        return self._commanded(found[0]) if found else None

    def recent(self, facility: str, edge: str, limit: int) -> list[Commanded]:
        """The newest commands of an edge, newest first."""
        found = self._ledger.rows(
            f"SELECT {_COLUMNS} FROM command WHERE facility = ? AND edge = ? ORDER BY issued_at_ms DESC, counter DESC LIMIT ?",  # noqa: S608
            (facility, edge, limit),
        )
        return [self._commanded(row) for row in found]

    def _commanded(self, row: Sequence[Any]) -> Commanded:
        command_id, facility, edge, counter, by, issued, expires, firm, set_points, not_sent, answered, result = row
        command = Command(
            command_id, self._issuer, counter, issued, expires, _SET_POINTS.decode(set_points), bool(firm)
        )
        kept = None if result is None else decode_result(result.encode())
        return Commanded(command, facility, edge, by, not_sent, answered, kept)

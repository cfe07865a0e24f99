"""What a pile told while the operator's back end was away, in its order, until that has it. What belongs to a transaction is on disk.

Full: readings outside of transactions go first, then the oldest meter values; starts and ends of transactions are never dropped, the
pile is asked to keep them.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from edge_agent.drivers.ocpp.journal import Journal, JournalFull

_KEPT: Final = frozenset({"StartTransaction", "StopTransaction", "TransactionEvent"})
_DURABLE: Final = _KEPT | {"MeterValues"}
_LATEST: Final = frozenset({"BootNotification"})  # only the last one says anything


class Waiting(msgspec.Struct, omit_defaults=True):
    """A call as the pile sent it."""

    id: str
    action: str
    raw: str
    refusals: int = 0


class UpstreamQueue:
    """Of one pile. Changes are on disk with the journal's next sync."""

    def __init__(self, journal: Journal, identity: str, bound: int) -> None:
        self._journal = journal
        self._prefix = f"queue/{identity}/"
        self._bound = bound
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()
        self.dropped = 0
        for key in sorted(journal.keys(self._prefix)):
            waiting = journal.get(key, Waiting)
            if waiting is not None:
                self._waiting[int(key.removeprefix(self._prefix))] = waiting
        self._number = max(self._waiting, default=0)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Waiting) -> bool:
        """Appends a call; False where there is no room and the pile must keep it."""
        if any(known.id == waiting.id and known.raw == waiting.raw for known in self._waiting.values()):
            return True  # sent again because our answer was lost
        if waiting.action in _LATEST:
            for number in [n for n, known in self._waiting.items() if known.action == waiting.action]:
                self._remove(number)
        if len(self._waiting) >= self._bound and not self._make_room():
            return False
        self._number += 1
        if waiting.action in _DURABLE:
            try:
                self._journal.put(self._key(self._number), waiting)
            except JournalFull:
                return False
        self._waiting[self._number] = waiting
        return True

    def _make_room(self) -> bool:
        for needed in (_DURABLE, _KEPT):
            number = next((n for n, known in self._waiting.items() if known.action not in needed), None)
            if number is not None:
                self._remove(number)
                self.dropped += 1
                return True
        return False

    def first(self) -> tuple[int, Waiting] | None:
        """The oldest one with its number."""
        return next(iter(self._waiting.items()), None)

    def done(self, number: int) -> None:
        """It has been delivered, or given up."""
        self._remove(number)

    def refused(self, number: int) -> int:
        """It was answered with an error; how often now."""
        waiting = self._waiting[number]
        waiting.refusals += 1
        return waiting.refusals

    def _remove(self, number: int) -> None:
        self._waiting.pop(number, None)
        self._journal.put(self._key(number), None)

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:012d}"

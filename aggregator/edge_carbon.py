"""The edges' provisional kg beside the books': the same interval, compared to the last digit. Not how either is worked out."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from aggregator.alarms import Alarms
from aggregator.books import BOOKED_QUANTITY, Books, EmissionRow
from aggregator.ledger import LedgerError
from aggregator.stores.store import SeriesKey, Store, StoredEvent, StoreError
from wire.reading import Event

log = logging.getLogger(__name__)

KIND: Final = "carbon"
ALARM: Final = "edge_carbon"
EVERY_S: Final = 5.0  # real
WAITING_MAX: Final = 20_000
WAITING_MS: Final = 2 * 86_400_000  # by then the books have it, or its counter is silent
_READING: Final = "reading"  # how a boundary is known: by its own reading


class Verdict(StrEnum):
    """What the comparison of one interval says."""

    AGREES = "agrees"
    DIFFERS = "differs"
    WAITING = "waiting"  # the books' figure is not final yet
    NOT_STATED = "not_stated"  # the edge gives no figure, and says why
    OTHERWISE = "otherwise"  # the books have estimated, been told or imported what the edge read: nothing to compare


@dataclass(frozen=True, slots=True)
class Compared:
    """One interval of a meter: the edge's kWh and kg, the books', and what that says. `why`: in words, where it is not plain."""

    edge: str
    device: str
    start_ms: int
    end_ms: int
    pack: int
    edge_kwh: Decimal | None
    edge_kg: Decimal | None
    book_kwh: Decimal | None
    book_kg: Decimal | None
    verdict: Verdict
    why: str = ""


def compare(books: Books, facility: str, edge: str, event: Event) -> Compared | None:
    """The event beside what is booked; None where the event is not of that kind or cannot be read. Raises LedgerError."""
    body = event.body
    start_ms, end_ms, number = (_whole(body, name) for name in ("start_ms", "end_ms", "number"))
    if event.kind != KIND or start_ms is None or end_ms is None or number is None or not start_ms < end_ms:
        return None
    edge_kwh, edge_kg = _decimal(body, "kwh"), _decimal(body, "kg")
    rows = books.emissions(facility, start_ms, end_ms, device=event.device)

    def said(verdict: Verdict, why: str = "", row: EmissionRow | None = None) -> Compared:
        kwh = None if row is None else row.emission.energy_kwh
        kg = None if row is None else row.emission.kg
        return Compared(edge, event.device, start_ms, end_ms, number, edge_kwh, edge_kg, kwh, kg, verdict, why)

    if edge_kg is None or edge_kwh is None:
        return said(Verdict.NOT_STATED, str(body.get("why", ""))[:200])
    if not rows or not all(row.emission.final for row in rows):
        return said(Verdict.WAITING)
    if len(rows) != 1 or (rows[0].emission.start_ms, rows[0].emission.end_ms) != (start_ms, end_ms):
        return said(Verdict.OTHERWISE, "booked in other intervals")
    row = rows[0]
    if otherwise := _booked_otherwise(
        books, SeriesKey(facility, edge, event.device, BOOKED_QUANTITY), start_ms, end_ms
    ):
        return said(Verdict.OTHERWISE, otherwise, row)
    if edge_kwh != row.emission.energy_kwh:
        return said(Verdict.DIFFERS, "another energy", row)
    if edge_kg != row.emission.kg:
        return said(
            Verdict.DIFFERS,
            f"another factor: {body.get('kg_per_kwh')} there, {row.emission.resolution.kg_per_kwh} here",
            row,
        )
    return said(Verdict.AGREES, "", row)


def _booked_otherwise(books: Books, series: SeriesKey, start_ms: int, end_ms: int) -> str:
    """Why the booked interval is not the difference of two readings; "" where it is."""
    kept = {row.boundary.at_ms: row.boundary for row in books.ledger.boundaries(series, start_ms, end_ms + 1)}
    for at_ms in (start_ms, end_ms):
        if at_ms not in kept:
            return "the books know a boundary from elsewhere"
        if kept[at_ms].how != _READING:
            return f"the books have a boundary by {kept[at_ms].how}"
    found = books.ledger.intervals(series.facility, series.device, series.quantity, start_ms, end_ms)
    if any(row.source != "measured" or row.grade.reason for row in found):
        return f"the books' interval is {found[0].source}, {found[0].grade.reason or 'good'}"
    return ""


class EdgeCarbon:
    """Compares what edges tell as soon as the books are final; a difference raises an alarm with both figures, until the meter agrees again."""

    def __init__(self, store: Store, books: Books, alarms: Alarms, clock: Callable[[], int]) -> None:
        self._store = store
        self._books = books
        self._alarms = alarms
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str, Event]] = deque(maxlen=WAITING_MAX)
        self.counts: dict[Verdict, int] = dict.fromkeys(Verdict, 0)

    def note(self, facility: str, edge: str, events: Iterable[Event]) -> None:
        """Events that have become durable; quick, in any thread."""
        fresh = [(facility, edge, event) for event in events if event.kind == KIND]
        if fresh:
            with self._lock:
                self._waiting.extend(fresh)

    def restore(self) -> None:
        """What came before this process and may not have been compared. Raises StoreError."""
        now_ms = self._clock()
        for facility in self._books.facilities:
            for stored in self._store.events(
                facility, now_ms - WAITING_MS, now_ms + WAITING_MS, KIND, newest=WAITING_MAX
            ):
                self.note(facility, stored.edge, [stored.event])

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        try:
            await asyncio.to_thread(self.restore)
        except StoreError as error:
            log.warning("edge figures of before are not compared reason=%s", error)
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Once, now. What the books have not settled yet waits, for two days at most."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        now_ms = self._clock()
        back: list[tuple[str, str, Event]] = []
        for facility, edge, event in sorted(taken, key=lambda each: each[2].at_ms):
            if facility not in self._books.facilities:
                continue
            try:
                found = compare(self._books, facility, edge, event)
            except LedgerError as error:
                log.error("edge figure not compared facility=%s reason=%s", facility, error)
                back.append((facility, edge, event))
                continue
            if found is None:
                continue
            if found.verdict is Verdict.WAITING:
                if event.at_ms > now_ms - WAITING_MS:
                    back.append((facility, edge, event))
                continue
            self.counts[found.verdict] += 1
            self._judge(facility, found)
        with self._lock:
            self._waiting.extendleft(reversed(back))

    def _judge(self, facility: str, found: Compared) -> None:
        if found.verdict is Verdict.DIFFERS:
            said = (str(found.edge_kg), str(found.book_kg), str(found.start_ms), found.why)
            self._alarms.raise_alarm(facility, ALARM, found.device, *said)
        elif found.verdict is Verdict.AGREES:
            self._alarms.clear(facility, ALARM, found.device)

    def between(self, facility: str, from_ms: int, to_ms: int) -> list[Compared]:
        """Every figure of an interval that ends in [from_ms, to_ms), compared now, in order. Raises StoreError, LedgerError."""
        events: list[StoredEvent] = self._store.events(facility, from_ms, to_ms, KIND)
        found = (compare(self._books, facility, stored.edge, stored.event) for stored in events)
        return [each for each in found if each is not None]


def _whole(body: Mapping[str, object], key: str) -> int | None:
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else None


def _decimal(body: Mapping[str, object], key: str) -> Decimal | None:
    """Decimal text of at most 60 characters."""
    value = body.get(key)
    if not isinstance(value, str) or len(value) > 60:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None

"""Puts on record what devices say of batteries and vehicles: contents at local midnights, and who stood at a meter that gives energy back. Not what follows.

Stores forget readings after a while; these records stay, so that pools can be recomputed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Final

from aggregator import sessions as folding
from aggregator.accounts.pools.book import PoolBook
from aggregator.accounts.pools.site_days import Anchor, PlugIn, Site, site_of
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.facility import Facility
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.sessions import TRANSACTION, Session
from aggregator.stores.store import SeriesKey, Store, StoreError
from wire.reading import Quality

log = logging.getLogger(__name__)

PERIOD_S: Final = 60.0  # real
CHARGE: Final = "state_of_charge_percent"
NEAR_MS: Final = 600_000  # before a midnight, after a plug-in: how old a state of charge may be
BACK_MS: Final = 3 * 86_400_000  # how far each look goes back
FIRST_BACK_MS: Final = 31 * 86_400_000  # and the first one after a start
_MILLI: Final = Decimal("0.001")


class PoolWatch:
    """Looks at every facility with stated storage. `clock` gives UTC ms."""

    def __init__(self, store: Store, facilities: Iterable[Facility], path: Path, clock: Callable[[], int]) -> None:
        """`path`: the accounts file; it is not made where there is nothing to watch."""
        sites = ((facility, site_of(facility)) for facility in facilities)
        self._sites = [(facility, site) for facility, site in sites if site is not None and facility.cells]
        self._store, self._path, self._clock = store, path, clock
        self._back_ms = FIRST_BACK_MS

    async def run(self) -> None:
        """For ever."""
        while self._sites:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(PERIOD_S)

    def look(self) -> int:
        """How many records are new. What cannot be read or written now is tried again at the next look."""
        new = 0
        try:
            with PoolBook(self._path) as book:
                for facility, site in self._sites:
                    new += sum(self._contents(book, facility, site)) + sum(self._plug_ins(book, facility, site))
            self._back_ms = BACK_MS
        except (StoreError, RecordsBusy, RecordsRefused) as error:
            log.warning("pools not recorded reason=%s", error)
        return new

    def _contents(self, book: PoolBook, facility: Facility, site: Site) -> Iterator[bool]:
        """What each battery of known capacity held at the last midnights. What a person has withdrawn or corrected since is left as it is."""
        now_ms = self._clock()
        known = book.ever_stated(facility.id, now_ms - BACK_MS - NEAR_MS)
        for device in site.storage:
            capacity_kwh = site.cells[device].capacity_kwh
            if capacity_kwh is None or device not in dict(facility.cells):
                continue
            midnight_ms = day_span_ms(local_day(now_ms, facility.zone), facility.zone)[0]
            while midnight_ms > now_ms - BACK_MS:
                found = self._charge(facility, device, midnight_ms - NEAR_MS, midnight_ms)
                if found:
                    at_ms, percent = found[-1]
                    anchor = Anchor(device, at_ms, _content(capacity_kwh, percent))
                    if anchor not in known:
                        yield book.state_content(facility.id, anchor, f"{CHARGE} {percent}", device, now_ms)
                midnight_ms = day_span_ms(local_day(midnight_ms - 1, facility.zone), facility.zone)[0]

    def _plug_ins(self, book: PoolBook, facility: Facility, site: Site) -> Iterator[bool]:
        """Every session at a meter of vehicles that may give energy back."""
        names = [device for device in site.vehicles if device in site.cells]
        if not names:
            return
        now_ms = self._clock()
        events = self._store.events(facility.id, max(0, now_ms - self._back_ms), now_ms + 1, TRANSACTION)
        known = {(one.device, one.id): one for one in book.plug_ins(facility.id, now_ms)}
        for session in folding.sessions(events):
            if session.device not in names or session.started_at_ms is None:
                continue
            before = known.get((session.device, plug_in_id(session)))
            if before is not None and (before.start_ms, before.end_ms) == (session.started_at_ms, session.ended_at_ms):
                continue
            arrival_kwh = self._arrival(facility, site, session) if before is None else before.arrival_kwh
            plug_in = plug_in_of(session)._replace(arrival_kwh=arrival_kwh)
            if plug_in.end_ms is None or plug_in.end_ms > plug_in.start_ms:
                yield book.plug_in(facility.id, plug_in, f"transaction {session.transaction_id}", session.edge, now_ms)

    def _arrival(self, facility: Facility, site: Site, session: Session) -> Decimal | None:
        """What a vehicle brought, where the pile has told its state of charge and the settings its capacity."""
        capacity_kwh = site.cells[session.device].capacity_kwh
        if capacity_kwh is None:
            return None
        found = self._charge(facility, session.device, session.first_ms, session.first_ms + NEAR_MS)
        return _content(capacity_kwh, found[0][1]) if found else None

    def _charge(self, facility: Facility, device: str, from_ms: int, to_ms: int) -> list[tuple[int, Decimal]]:
        """Good states of charge, %."""
        meter = facility.meter(device)
        assert meter is not None
        columns = self._store.history(SeriesKey(facility.id, meter.edge, device, CHARGE), from_ms, to_ms)
        return [
            (int(at_ms), Decimal(str(float(value))))
            for at_ms, value, quality in zip(columns.at_ms, columns.value, columns.quality, strict=True)
            if quality == Quality.GOOD and 0 <= value <= 100
        ]


def plug_in_of(session: Session) -> PlugIn:
    """The vehicle of a session; an id may be given again, with another start."""
    return PlugIn(session.device, plug_in_id(session), session.first_ms, session.ended_at_ms)


def plug_in_id(session: Session) -> str:
    """One vehicle's stay at a meter."""
    return f"{session.transaction_id}/{session.first_ms}"


def _content(capacity_kwh: Decimal, percent: Decimal) -> Decimal:
    return (capacity_kwh * percent / 100).quantize(_MILLI, ROUND_HALF_EVEN)

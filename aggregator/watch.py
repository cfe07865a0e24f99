"""Looks at the live state once a second: tells it what ingest and books know, raises and clears alarms. Not the alarms' states (`aggregator.alarms`)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aggregator.alarms import Alarms
from aggregator.books import Books
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.live import Booked, LiveState
from aggregator.numbering import EdgeFigures

RESIDUAL_RATIO: Final = 0.02  # of what flows; below it the meters' own accuracy explains the difference
RESIDUAL_FOR_MS: Final = 30_000  # meters are read one after another: a ramp alone gives a residual for seconds
RESIDUAL_LEAST_KW: Final = 0.5
CLOCK_OFF_MS: Final = 10_000  # a larger error moves visible energy from one quarter-hour into the next
START_MS: Final = 60_000  # devices and edges may be silent for so long after the start of the aggregator
BACK_MS: Final = 30_000  # devices may be silent for so long after their edge was lost: its word that it is back comes before their values


class Watch:
    """Looks at every facility of `books`; `edges` gives the figures of all edges. `clock` is UTC ms, `speed` how fast it runs."""

    def __init__(
        self,
        live: LiveState,
        alarms: Alarms,
        books: Books,
        clock: Callable[[], int],
        *,
        speed: float = 1.0,
        edges: Callable[[], Sequence[EdgeFigures]] = tuple,
    ) -> None:
        self._live = live
        self._alarms = alarms
        self._books = books
        self._clock = clock
        self._speed = speed
        self._edges = edges
        self._started_at_ms = clock()
        self._apart_since_ms: dict[str, int] = {}
        self._lost_at_ms: dict[tuple[str, str], int] = {}  # when an edge was last seen lost
        self._counted: dict[tuple[str, str, str], int] = {}

    async def run(self, every_s: float = 1.0) -> None:
        """Looks every `every_s` real seconds until cancelled, in a thread: the ledger may be busy."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(every_s)

    def look(self) -> None:
        """One look at everything."""
        figures = self._edges()
        self._live.delivery(figures)
        for edge in figures:
            self._look_at_delivery(edge)
        for facility in self._books.facilities:
            self._tell(facility)
            self._look_at_devices(facility)
            self._look_at_balance(facility)

    def _tell(self, facility: str) -> None:
        factor = self._books.factor_now(facility)
        self._live.factor(facility, factor)
        self._alarms.set(factor.kg_per_kwh is None, facility, "factor_missing", facility, factor.reason)
        entry = self._books.facilities[facility]
        now_ms = self._clock()
        from_ms, to_ms = day_span_ms(local_day(now_ms, entry.zone), entry.zone)
        total = self._books.total(facility, from_ms, to_ms)
        until_ms = min(total.until_ms or from_ms, now_ms)
        expected = (until_ms - from_ms) // entry.interval_ms * len(entry.main_meters())
        self._live.booked(facility, Booked(from_ms, until_ms, float(total.kg or 0), max(0, expected - total.covered)))

    def _look_at_delivery(self, edge: EdgeFigures) -> None:
        """What has no end of its own is raised and cleared at once: it waits for somebody to acknowledge it."""
        if edge.facility not in self._books.facilities:
            return
        for code, count in (
            ("gap", edge.gaps),
            ("conflict", edge.conflicts),
            ("batch_refused", edge.refused),
        ):
            key = (edge.facility, edge.edge, code)
            # What was so at the first look was so before this start, and has had its alarm.
            if count > self._counted.get(key, count):
                self._alarms.raise_alarm(edge.facility, code, edge.edge, str(count))
                self._alarms.clear(edge.facility, code, edge.edge)
            self._counted[key] = count
        self._alarms.set(bool(edge.unknown_key), edge.facility, "key_unknown", edge.edge, edge.unknown_key)
        self._alarms.set(edge.clock_synced is False, edge.facility, "clock_unsynced", edge.edge)
        off_ms = self._clock_off_ms(edge)
        self._alarms.set(abs(off_ms) > CLOCK_OFF_MS, edge.facility, "clock_off", edge.edge, f"{off_ms / 1000:+.1f}")

    def _clock_off_ms(self, edge: EdgeFigures) -> float:
        """By how much an edge's clock is, or may be, ahead of the right time: the worst of what it and we know."""
        known = (
            -(edge.clock_skew_ms or 0) / self._speed,  # the way here takes real time, whatever the clock's speed
            -(edge.clock_offset_ms or 0),
            edge.clock_error_ms or 0,
        )
        return max(known, key=abs)

    def _look_at_devices(self, facility: str) -> None:
        now_ms = self._clock()
        settled = now_ms - self._started_at_ms > START_MS * self._speed
        states = self._live.device_states(facility)
        silent: set[str] = set()
        for edge, figures in self._live.edges(facility).items():
            # An edge that never sent a status is judged by its devices.
            heard = any(state != "offline" for (behind, _), state in states.items() if behind == edge)
            lost = figures.online is False or (figures.online is None and not heard)
            if lost:
                silent.add(edge)
                self._lost_at_ms[facility, edge] = now_ms
            if settled or not lost or figures.online is False:
                self._alarms.set(lost, facility, "edge_offline", edge)
        for (edge, device), state in states.items():
            # A silent edge is one alarm, not one for each device behind it.
            lost = state == "offline" and edge not in silent
            lost_at_ms = self._lost_at_ms.get((facility, edge))
            back = lost_at_ms is None or now_ms - lost_at_ms > BACK_MS * self._speed
            if (settled and back) or not lost:
                self._alarms.set(lost, facility, "device_offline", device, edge)
        here = {"device_offline": {device for _, device in states}, "edge_offline": set(self._live.edges(facility))}
        for alarm in self._alarms.open(facility):
            if settled and alarm.source not in here.get(alarm.code, {alarm.source}):
                self._alarms.clear(facility, alarm.code, alarm.source)  # taken out since: nothing to wait for

    def _look_at_balance(self, facility: str) -> None:
        balance = self._live.balance_kw(facility)
        now_ms = self._clock()
        if balance is None or abs(balance[0]) <= max(RESIDUAL_LEAST_KW, RESIDUAL_RATIO * balance[1]):
            self._apart_since_ms.pop(facility, None)
            self._alarms.clear(facility, "residual", facility)
        elif now_ms - self._apart_since_ms.setdefault(facility, now_ms) >= RESIDUAL_FOR_MS * self._speed:
            self._alarms.raise_alarm(facility, "residual", facility, f"{balance[0]:.1f}", f"{balance[1]:.1f}")

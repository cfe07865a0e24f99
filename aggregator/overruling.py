"""People's word on what a counter did: checked against its readings, entered, and listed beside what the algebra found.

Not how a decision changes the figures (see `aggregator.intervals.decision` and `aggregator.settle`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from aggregator.decision_book import Decided, Found
from aggregator.facility import Facility
from aggregator.intervals.counter import CounterChange, CounterEvent
from aggregator.intervals.decision import Decision, Said, Unfit
from aggregator.intervals.series import displayed
from aggregator.intervals.written_time import written
from aggregator.measured_readings import IMPORT_EDGE
from aggregator.series_line import DAY_MS
from aggregator.settle import COUNTERS, Settler
from aggregator.stores.store import SeriesKey
from wire.reading import Quality

_WINDOWS_MS: Final = (900_000, DAY_MS, 31 * DAY_MS)  # how far around an instant its readings are looked for
_MOST: Final = 10_000


class Overlapping(Exception):
    """Another decision stands where this one would be; `thing` is the key, `other` the decision that is there."""

    def __init__(self, thing: str, other: Decision) -> None:
        super().__init__(f"{thing}: {other.said.value} at {written(other.at_ms)} stands there")
        self.thing, self.other = thing, other


class TooMany(Exception):
    """More changes than may be listed at once: a shorter span."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the algebra found, and whether it holds: `overruled` by a decision, or `withdrawn` because of other readings."""

    series: SeriesKey
    event: CounterEvent
    state: Literal["stands", "overruled", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision and what it made of the readings: `applied` is None until it has been, and where it no longer fits them."""

    decided: Decided
    state: Literal["in_force", "waiting", "superseded"]
    applied: CounterEvent | None


@dataclass(frozen=True, slots=True)
class Forensics:
    """Everything that happened to the counters of a facility in a span, ordered by instant."""

    changes: list[Change]
    rulings: list[Ruling]


class Overruling:
    """Any thread may call; `decide` waits for a settlement that is running. Raises LedgerError and StoreError."""

    def __init__(self, settler: Settler) -> None:
        self._settler = settler

    @property
    def _facilities(self) -> Mapping[str, Facility]:
        return self._settler.facilities

    def decide(self, series: SeriesKey, decision: Decision, reason: str, by: str, evidence: str = "") -> Ruling:
        """Enters a decision at its first reading at or after `decision.at_ms`; the figures follow at the next settlement.

        Raises Unfit where it contradicts the meter or its readings, Overlapping.
        """
        self._check_series(series)
        series = self._settler.line_of(series)
        now_ms = self._settler.clock()
        if decision.at_ms > now_ms:
            raise Unfit("at_ms", f"an instant that has passed (now {now_ms})", decision.at_ms)
        after = self._reading(series, decision.at_ms, 1)
        if after is None:
            raise Unfit("at_ms", f"a reading of {series.device} {series.quantity} within 31 days after it", "none")
        if decision.said is Said.GLITCH:
            if decision.until_ms is not None and after[0] > decision.until_ms:
                raise Unfit("until_ms", f"a reading from {decision.at_ms} until then", "none")
        else:
            before = self._before(series, after[0])
            if before is None:
                raise Unfit("at_ms", "a reading within 31 days before it", "none")
            if decision.said is not Said.AUTOMATIC and not decision.estimated:
                decision.energy(before, after[1])
        placed = Decision(
            after[0], decision.said, decision.modulus, decision.old_last, decision.new_first, decision.until_ms
        )
        self._check_overlap(series, placed)
        number = self._settler.decide(series, placed, reason, by, evidence)
        entered = self._settler.decisions.decided(series.facility, placed.at_ms, placed.at_ms + 1, series.device, _MOST)
        return Ruling(next(decided for decided in entered if decided.id == number), "waiting", None)

    def forensics(self, facility: str, from_ms: int, to_ms: int, device: str | None) -> Forensics:
        """What was found and decided in [from_ms, to_ms). Raises TooMany."""
        book = self._settler.decisions
        decided = book.decided(facility, from_ms, to_ms, device, _MOST + 1)
        first_ms = min([from_ms, *(entry.decision.at_ms for entry in decided)])
        found = book.found(facility, first_ms, to_ms, device, _MOST + 1)
        if len(decided) > _MOST or len(found) > _MOST:
            raise TooMany
        applied = {
            (entry.series, entry.event.at_ms): entry.event
            for entry in found
            if entry.event.change is CounterChange.DECIDED and entry.withdrawn_at_ms is None
        }
        rulings = [_ruling(entry, applied.get((entry.series, entry.decision.at_ms))) for entry in decided]
        said = [ruling for ruling in rulings if ruling.state != "superseded"]
        judged = {(entry.series, entry.event.at_ms) for entry in found if entry.event.change is not CounterChange.HELD}
        changes = [
            Change(entry.series, entry.event, _state(entry, said))
            for entry in found
            if entry.event.at_ms >= from_ms and entry.event.change is not CounterChange.DECIDED
            if entry.event.change is not CounterChange.HELD or (entry.series, entry.event.at_ms) not in judged
        ]
        return Forensics(changes, rulings)

    def _check_series(self, series: SeriesKey) -> None:
        meter = self._facilities[series.facility].meter(series.device)
        if meter is None:
            raise Unfit("device", f"a meter of {series.facility}", series.device)
        if series.edge not in (meter.edge, IMPORT_EDGE):
            raise Unfit("edge", f"{meter.edge} or {IMPORT_EDGE}", series.edge)
        counters = COUNTERS.get(meter.carrier, ()) if meter.counted else ()
        if series.quantity not in counters:
            expected = (
                f"one of {', '.join(counters)}" if counters else f"a meter with a counter, {series.device} has none"
            )
            raise Unfit("quantity", expected, series.quantity)

    def _check_overlap(self, series: SeriesKey, wanted: Decision) -> None:
        if wanted.said is Said.AUTOMATIC:
            return
        for other in self._settler.decisions.standing(series):
            if other.at_ms == wanted.at_ms or other.said is Said.AUTOMATIC:
                continue
            if other.covers(wanted.at_ms):
                raise Overlapping("at_ms", other)
            if wanted.covers(other.at_ms):
                raise Overlapping("until_ms", other)

    def _before(self, series: SeriesKey, at_ms: int) -> Decimal | None:
        """The last believed reading before an instant: what the algebra compared with, else the last usable one."""
        events = self._settler.decisions.found(series.facility, at_ms, at_ms + 1, series.device, _MOST)
        known = [entry.event for entry in events if entry.series == series]
        if known:
            return known[-1].before
        reading = self._reading(series, at_ms, -1)
        return None if reading is None else reading[1]

    def _reading(self, series: SeriesKey, at_ms: int, direction: Literal[1, -1]) -> tuple[int, Decimal] | None:
        """The first usable reading at or after an instant, or the last one before it."""
        for window_ms in _WINDOWS_MS:
            span = (at_ms, at_ms + window_ms) if direction == 1 else (at_ms - window_ms, at_ms)
            columns, _ = self._settler.history(series, *span)
            usable = np.flatnonzero((columns.value >= 0) & (columns.quality != Quality.BAD))
            if len(usable):
                row = usable[0 if direction == 1 else -1]
                return int(columns.at_ms[row]), displayed(columns.value[row])
        meter = self._facilities[series.facility].meter(series.device)
        if self._settler.hand is None or meter is None:
            return None
        return self._settler.hand.neighbour(meter, series, at_ms, direction)  # people read seldom


def _ruling(decided: Decided, applied: CounterEvent | None) -> Ruling:
    if decided.superseded_by is not None:
        return Ruling(decided, "superseded", None)
    if decided.decision.said is Said.AUTOMATIC:
        return Ruling(decided, "in_force", None)
    return Ruling(decided, "waiting" if applied is None else "in_force", applied)


def _state(found: Found, said: list[Ruling]) -> Literal["stands", "overruled", "withdrawn"]:
    if found.withdrawn_at_ms is None:
        return "stands"
    at_ms = found.event.at_ms
    overruled = any(
        (decision := ruling.decided.decision).said is not Said.AUTOMATIC
        and (decision.at_ms == at_ms or decision.covers(at_ms))
        for ruling in said
        if ruling.decided.series == found.series
    )
    return "overruled" if overruled else "withdrawn"

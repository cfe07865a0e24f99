"""Which readings make a counter's line: the measured ones, and between them the displays that people have read. Enters nothing (see `entering`).

    measured    * * * * *                       * * * * *
    by hand         c            h                  c          h: joins the line;  c: beside measured readings, only compared
                         <--- more than 15 min --->

Whether one joins depends on the readings around it alone, so that the order of arrival does not matter.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

import numpy as np

from aggregator.accounts.by_hand.readings import HandReading, HandReadings
from aggregator.intervals.counter import CounterLine, CounterReading
from aggregator.intervals.decision import Decision
from aggregator.intervals.meter import MeterSpec
from aggregator.intervals.series import displayed
from aggregator.measured_readings import MeasuredReadings
from aggregator.stores.store import Columns, SeriesKey
from wire.reading import REASON_CODES, Quality

BESIDE_MS: Final = 900_000  # a measured reading this near makes a display by hand a comparison only
REACH_MS: Final = 31 * 86_400_000  # how far a measured neighbour is looked for
_WINDOWS_MS: Final = (BESIDE_MS, 86_400_000, REACH_MS)


class Shown(NamedTuple):
    """A display at an instant."""

    at_ms: int
    kwh: Decimal


class HandLine:
    """Any thread may call. Raises what store and records raise. `decisions` gives what people said that a counter did, ordered."""

    def __init__(
        self,
        readings: MeasuredReadings,
        book: HandReadings,
        decisions: Callable[[SeriesKey], Sequence[Decision]],
    ) -> None:
        self.book = book
        self._readings = readings
        self._decisions = decisions
        self._followed_ms: dict[tuple[SeriesKey, int], int] = {}  # display by hand -> the first measured one after it

    def history(self, meter: MeterSpec, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[Columns, Columns]:
        """The line of [from_ms, to_ms), and the measured part of it alone."""
        measured = self._readings.history(series, from_ms, to_ms)
        joining = [
            hand
            for hand in self.book.standing(series, from_ms, to_ms)
            if self.place(meter, series, hand.at_ms, hand.display_kwh or Decimal(0)) == "joins"
        ]
        return (_merged(measured, joining) if joining else measured), measured

    def back_to(self, series: SeriesKey, from_ms: int, to_ms: int) -> int:
        """`from_ms`, or the earliest display by hand to be placed anew because readings of [from_ms, to_ms] have come after it."""
        for hand in self.book.standing(series, from_ms - REACH_MS, from_ms):
            known_ms = self._followed_ms.get((series, hand.at_ms))
            if known_ms is not None and known_ms < from_ms:
                continue
            after = self.measured(series, hand.at_ms, 1)
            if after is not None and after.at_ms < from_ms:
                self._followed_ms[series, hand.at_ms] = after.at_ms
            elif after is not None and after.at_ms <= to_ms:
                return hand.at_ms
        return from_ms

    def place(
        self, meter: MeterSpec, series: SeriesKey, at_ms: int, display_kwh: Decimal
    ) -> Literal["joins", "beside", "contradicted"]:
        """What becomes of a display: it joins the line, lies beside measured readings, or contradicts those around it."""
        before, after = self.measured(series, at_ms, -1), self.measured(series, at_ms, 1)
        hand = Shown(at_ms, display_kwh)
        if (before and at_ms - before.at_ms <= BESIDE_MS) or (after and after.at_ms - at_ms <= BESIDE_MS):
            return "beside"
        told = [decision.at_ms for decision in self._decisions(series)]
        fell = before is not None and after is not None and after.kwh < before.kwh  # the algebra, or a person, says why
        for one, other in ((before, hand), (hand, after)):
            if one is None or other is None or fell or any(one.at_ms < told_ms <= other.at_ms for told_ms in told):
                continue
            if not carries(meter, one, other):
                return "contradicted"
        return "joins"

    def neighbour(self, meter: MeterSpec, series: SeriesKey, at_ms: int, direction: Literal[1, -1]) -> Shown | None:
        """The nearest display of the line before an instant (-1), or after it (1)."""
        measured = self.measured(series, at_ms, direction)
        for hand in self.book.beside(series, at_ms, direction):
            shown = Shown(hand.at_ms, hand.display_kwh or Decimal(0))
            if measured is not None and (shown.at_ms - measured.at_ms) * direction >= 0:
                break
            if self.place(meter, series, *shown) == "joins":
                return shown
        return measured

    def measured(self, series: SeriesKey, at_ms: int, direction: Literal[1, -1]) -> Shown | None:
        """The nearest usable measured reading before an instant (-1), or at or after it (1), within 31 days."""
        for window_ms in _WINDOWS_MS:
            span = (at_ms, at_ms + window_ms + 1) if direction == 1 else (at_ms - window_ms, at_ms)
            columns = self._readings.history(series, *span)
            usable = np.flatnonzero((columns.value >= 0) & (columns.quality != Quality.BAD))
            if len(usable):
                row = usable[0 if direction == 1 else -1]
                return Shown(int(columns.at_ms[row]), displayed(columns.value[row]))
        return None


def carries(meter: MeterSpec, one: Shown, other: Shown) -> bool:
    """Whether the line can have carried what lies between two displays (a rollover of a known modulus included)."""
    return CounterLine(meter, finest_digit=finest(one, other)).step(
        *one, CounterReading(other.at_ms, other.kwh)
    ) is not None  # fmt: skip


def finest(*shown: Shown) -> int:
    """The exponent of the finest digit shown."""
    exponents = [exponent for each in shown if isinstance(exponent := each.kwh.as_tuple().exponent, int)]
    return min([0, *exponents])


def _merged(measured: Columns, hands: Sequence[HandReading]) -> Columns:
    at_ms = np.concatenate([measured.at_ms, np.array([hand.at_ms for hand in hands], np.int64)])
    order = np.argsort(at_ms, kind="stable")
    n = len(hands)
    shown_kwh = np.array([float(hand.display_kwh or 0) for hand in hands], np.float64)
    return Columns(
        at_ms[order],
        np.concatenate([measured.value, shown_kwh])[order],
        np.concatenate([measured.quality, np.full(n, int(Quality.UNCERTAIN), np.uint8)])[order],
        np.concatenate([measured.reason, np.full(n, REASON_CODES["manual"], np.uint8)])[order],
    )

"""One series on its way to figures: its state after the last reading taken, and how rows of the store are fed to it.

Not which series are due (see `settle`).
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np

from aggregator.intervals.counter import CounterReading
from aggregator.intervals.meter import MeterSpec, Multiplier
from aggregator.intervals.power import IntegratedLine, energy_between
from aggregator.intervals.series import CounterIntervals, Settled, displayed
from aggregator.stores.store import Columns, SeriesKey, Store
from wire.reading import REASONS, Quality

POWER: Final = "active_power_kw"
IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"
SIGN: Final = {IMPORT: 1, EXPORT: -1}
POWER_MARGIN_MS: Final = 180_000  # power readings on both sides of a span, so that its ends are reached
DAY_MS: Final = 86_400_000
DAYS_COUNTED: Final = 7


@dataclass(slots=True)
class Line:
    """One series on its way: the state after the reading at `watermark_ms`."""

    engine: CounterIntervals | IntegratedLine
    watermark_ms: int
    settled_ms: int = -(2**62)  # when this was last done, by the clock
    # UTC day -> readings taken, of the last week: by it a restart finds late readings that were stored and never settled.
    settled_of_day: dict[int, int] = field(default_factory=dict)
    hand_no: int = 0  # the last entry by hand that was known when this was last done
    multipliers: tuple[Multiplier, ...] = ()  # by which its energies stand; none: not kept, then by the meter's
    anew: bool = (
        True  # it goes on from a kept state, or from none: what stands in the ledger beyond may not be found again
    )

    def took(self, day: int, readings: int) -> None:
        self.settled_of_day[day] = self.settled_of_day.get(day, 0) + readings
        while len(self.settled_of_day) > DAYS_COUNTED:
            del self.settled_of_day[min(self.settled_of_day)]

    def to_json(self, meter: MeterSpec) -> str:
        """The state, with what else of the meter it was settled by."""
        state = {
            "days": {str(day): n for day, n in self.settled_of_day.items()},
            "hand_no": self.hand_no,
            "multipliers": [
                [entry.valid_from_ms, str(entry.factor)] for entry in self.multipliers or meter.multipliers
            ],
            "engine": self.engine.to_json(),
        }
        return json.dumps(state, separators=(",", ":"))


class StoredPower:
    """The power integral of a counter's own device, read from the store when it is asked for; in displayed kWh."""

    def __init__(self, store: Store, counter: SeriesKey) -> None:
        self._store = store
        self._key = counter._replace(quantity=POWER)
        self._sign = SIGN.get(counter.quantity)

    def __call__(self, from_ms: int, to_ms: int) -> Decimal | None:
        if self._sign is None:
            return None
        columns = self._store.history(self._key, from_ms - POWER_MARGIN_MS, to_ms + POWER_MARGIN_MS)
        usable = columns.quality != Quality.BAD
        return energy_between(columns.at_ms[usable], columns.value[usable], from_ms, to_ms, sign=self._sign)


def offer_rows(engine: CounterIntervals | IntegratedLine, columns: Columns, first: int, last: int) -> Settled:
    """Feeds rows first..last to an engine; nulls and bad values are left out."""
    usable = ~np.isnan(columns.value[first:last]) & (columns.quality[first:last] != Quality.BAD)
    rows = (np.flatnonzero(usable) + first).tolist()
    at_ms, value = columns.at_ms[rows].tolist(), columns.value[rows].tolist()
    if isinstance(engine, IntegratedLine):
        fed = zip(at_ms, value, strict=True)
        return Settled(intervals=[interval for at, kw in fed for interval in engine.feed(at, kw)])
    quality, reason = columns.quality[rows].tolist(), columns.reason[rows].tolist()
    return engine.offer(
        CounterReading(at, displayed(v), Quality(q), REASONS[r] if r < len(REASONS) else "")
        for at, v, q, r in zip(at_ms, value, quality, reason, strict=True)
    )


def rows_by_day(columns: Columns) -> list[tuple[int, int]]:
    """Row ranges of one UTC day each, so that a long stretch leaves checkpoints on its way."""
    if not len(columns):
        return []
    cuts = (np.flatnonzero(np.diff(columns.at_ms // DAY_MS)) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(columns)], strict=True))

"""Tells the settler what was committed and has it settle in time. Not the settlement (`aggregator.settle`)."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import numpy as np

from aggregator.facility import Facility
from aggregator.ledger import LedgerError
from aggregator.measured_readings import IMPORT_EDGE
from aggregator.settle import Settler
from aggregator.stores.store import Rows, SeriesKey, Store, StoreError
from wire.clock import Clock
from wire.quantities import QUANTITIES, Kind

log = logging.getLogger(__name__)

PERIOD_S: Final = 2.0  # of the injected clock
SHORTEST_S: Final = 0.25  # real; an accelerated clock shall not turn settling into a busy loop
_POWER: Final = "active_power_kw"


class Noting:
    """Finds the counters and powers of metered devices among the rows of a commit. Used by one thread."""

    def __init__(self, store: Store, settler: Settler, facilities: Sequence[Facility]) -> None:
        self._store = store
        self._settler = settler
        self._meters = {(facility.id, meter.edge, meter.device) for facility in facilities for meter in facility.meters}
        self._keys: list[SeriesKey] = []
        self._matters = np.zeros(0, dtype=np.bool_)

    def note(self, rows: Rows) -> None:
        """Tell the settler which spans of which series have come."""
        if not len(rows):
            return
        highest = int(rows.series.max())
        if highest >= len(self._keys):
            self._learn(highest)
        chosen = np.flatnonzero(self._matters[rows.series])
        if not len(chosen):
            return
        series, at_ms = rows.series[chosen], rows.at_ms[chosen]
        order = np.argsort(series, kind="stable")
        series, at_ms = series[order], at_ms[order]
        starts = np.flatnonzero(np.diff(series, prepend=-1))
        first = np.minimum.reduceat(at_ms, starts)
        last = np.maximum.reduceat(at_ms, starts)
        for number, from_ms, to_ms in zip(series[starts].tolist(), first.tolist(), last.tolist(), strict=True):
            self._settler.note(self._keys[number], from_ms, to_ms)

    def _learn(self, highest: int) -> None:
        fresh = self._store.keys(range(len(self._keys), highest + 1))
        self._keys += fresh
        self._matters = np.concatenate([self._matters, np.array([self._counts(key) for key in fresh], dtype=np.bool_)])

    def _counts(self, key: SeriesKey) -> bool:
        quantity = QUANTITIES.get(key.quantity)
        wanted = key.quantity == _POWER or (quantity is not None and quantity.kind is Kind.COUNTER)
        metered = (key.facility, key.edge, key.device) in self._meters
        return wanted and (metered or key.edge == IMPORT_EDGE)


class Settling:
    """Settles every two seconds of the clock."""

    def __init__(self, settler: Settler, clock: Clock) -> None:
        self._settler = settler
        self._clock = clock
        self.failures = 0

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            await asyncio.to_thread(self.settle)
            await asyncio.sleep(max(self._clock.real_s(PERIOD_S), SHORTEST_S))

    def settle(self, *, patient: bool = True) -> None:
        """Once, now. A store or ledger that cannot answer is logged; what was to be settled stays to be settled."""
        try:
            self._settler.settle(patient=patient)
        except (StoreError, LedgerError) as error:
            self.failures += 1
            log.error("settlement failed, tried again later reason=%s", error)

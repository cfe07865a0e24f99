"""What was measured of a meter's counter: its gateway's readings and those imported from files, as one line. Not what people read (see `accounts.by_hand`)."""

from typing import Final

import numpy as np

from aggregator.stores.store import Columns, SeriesKey, Store

IMPORT_EDGE: Final = "import"  # the edge under which imported counter readings are stored


class MeasuredReadings:
    """Of the series of a store, named by the meter's own edge. Any thread may call; raises what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._imported: set[SeriesKey] | None = None

    def imported(self, series: SeriesKey) -> SeriesKey | None:
        """The series of what was imported for a meter, where anything was."""
        if self._imported is None:
            self._imported = {key for key in self._store.series() if key.edge == IMPORT_EDGE}
        key = series._replace(edge=IMPORT_EDGE)
        return key if key in self._imported and series.edge != IMPORT_EDGE else None

    def took(self, series: SeriesKey) -> None:
        """Readings of an imported series have been committed."""
        if self._imported is not None:
            self._imported.add(series)

    def history(self, series: SeriesKey, from_ms: int, to_ms: int) -> Columns:
        """The readings of [from_ms, to_ms), each instant once: of two the gateway's."""
        own = self._store.history(series, from_ms, to_ms)
        imported = self.imported(series)
        if imported is None:
            return own
        file = self._store.history(imported, from_ms, to_ms)
        if not len(file):
            return own
        fresh = ~np.isin(file.at_ms, own.at_ms)
        at_ms = np.concatenate([own.at_ms, file.at_ms[fresh]])
        order = np.argsort(at_ms, kind="stable")
        return Columns(
            at_ms[order],
            np.concatenate([own.value, file.value[fresh]])[order],
            np.concatenate([own.quality, file.quality[fresh]])[order],
            np.concatenate([own.reason, file.reason[fresh]])[order],
        )

    def of_days(self, series: SeriesKey, from_ms: int, to_ms: int, day_ms: int) -> dict[int, int]:
        """How many readings with a value each day (from 1970) of [from_ms, to_ms) has."""
        imported = self.imported(series)
        if imported is not None and len(self._store.history(imported, from_ms, to_ms)):
            columns = self.history(series, from_ms, to_ms)
            days, n = np.unique(columns.at_ms[~np.isnan(columns.value)] // day_ms, return_counts=True)
            return dict(zip(days.tolist(), n.tolist(), strict=True))
        buckets = self._store.buckets(series, from_ms, to_ms, day_ms)
        return dict(zip((buckets.from_ms // day_ms).tolist(), buckets.n.tolist(), strict=True))

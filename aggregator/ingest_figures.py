"""Counts of the ingest and how late readings were, for /metrics, the page and the report. Not the counts of one edge (`aggregator.numbering`)."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.numbering import EdgeFigures
from aggregator.stores.store import Rows

LATENESS_KEPT: Final = 1 << 16
_LATENESS_PER_COMMIT: Final = 256


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """Counts since the start, and how late readings were when they were stored (ms of the injected clock, newest 65,536 looked at).

    `left_out` counts readings by cause: unknown_quantity, impossible_time, not_finite; event_time, event_kind (ours) events; unknown_key batches
    with keys that are not known here.
    """

    batches: int
    repeated: int
    readings: int
    new_rows: int
    commits: int
    overflowed: int
    unreadable: int
    forged: int
    refused: int
    held: int
    conflicts: int
    left_out: dict[str, int]
    waiting: int
    lateness_p50_ms: float | None
    lateness_p95_ms: float | None
    edges: tuple[EdgeFigures, ...]


class Tally:
    """Added to by the ingest's threads, under its lock."""

    def __init__(self) -> None:
        self.repeated = 0
        self.overflowed = 0
        self._batches = self._readings = self._new_rows = self._commits = 0
        self._left_out: Counter[str] = Counter()
        self._lateness_ms = np.full(LATENESS_KEPT, np.nan)
        self._lateness_at = 0

    def add(self, rows: Rows, batches: int, new_rows: int, left_out: Counter[str], now_ms: int) -> None:
        """One commit, stored at `now_ms`."""
        self._commits += 1
        self._batches += batches
        self._readings += len(rows)
        self._new_rows += new_rows
        self._left_out += left_out
        if len(rows):
            looked_at = rows.at_ms[:: max(1, len(rows) // _LATENESS_PER_COMMIT)]
            places = np.arange(self._lateness_at, self._lateness_at + len(looked_at)) % LATENESS_KEPT
            self._lateness_ms[places] = now_ms - looked_at
            self._lateness_at += len(looked_at)

    def figures(self, edges: tuple[EdgeFigures, ...], waiting: int) -> IngestFigures:
        """A copy for showing; `waiting` batches are on the way."""
        kept = self._lateness_ms[: min(self._lateness_at, LATENESS_KEPT)]
        p50, p95 = (float(p) for p in np.percentile(kept, (50, 95))) if len(kept) else (None, None)
        return IngestFigures(
            batches=self._batches,
            repeated=self.repeated,
            readings=self._readings,
            new_rows=self._new_rows,
            commits=self._commits,
            overflowed=self.overflowed,
            unreadable=sum(edge.unreadable for edge in edges),
            forged=sum(edge.forged for edge in edges),
            refused=sum(edge.refused for edge in edges),
            held=sum(edge.held for edge in edges),
            conflicts=sum(edge.conflicts for edge in edges),
            left_out=dict(self._left_out),
            waiting=waiting,
            lateness_p50_ms=p50,
            lateness_p95_ms=p95,
            edges=edges,
        )

"""The seam to what keeps readings: columns in, columns out, a batch ledger beside them. Not a database of its own.

Every implementation (`duckdb_store`, `influx_store`) passes the one contract test in tests/aggregator/stores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wire.reading import Event, Quality

Int64s: TypeAlias = NDArray[np.int64]
Int32s: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.uint8]


class StoreError(Exception):
    """Root of what a store raises.

    StoreError
    ├── StoreUnavailable   try the same commit again later
    └── StoreRefused       the same rows will be refused again
    """


class StoreUnavailable(StoreError):
    """Nothing was promised: the same commit may be tried again, what had been written already is not doubled."""


class StoreRefused(StoreError):
    """The store will not take these rows, however often they are offered."""


class SeriesKey(NamedTuple):
    """One quantity of one device behind one edge of one facility."""

    facility: str
    edge: str
    device: str
    quantity: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of one commit, each (row,). `series` holds ids that `Store.ids` of the same open store gave."""

    series: Int32s
    at_ms: Int64s
    value: Floats  # nan = the device answered without a usable value
    quality: Codes
    reason: Codes

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True, slots=True)
class Columns:
    """History of one series, each column (reading,), ordered by `at_ms`; `value` nan = null."""

    at_ms: Int64s
    value: Floats
    quality: Codes
    reason: Codes

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Summaries of one series, each column (bucket,), ordered; buckets without a reading are absent.

    `n` counts readings with a value; mean, low and high are nan where n is 0. `quality` is the worst in the bucket, nulls
    included, from best to worst: good, substituted, uncertain, bad.
    """

    from_ms: Int64s
    n: Int64s
    mean: Floats
    low: Floats
    high: Floats
    quality: Codes

    def __len__(self) -> int:
        return len(self.from_ms)


class Point(NamedTuple):
    """One reading as a store gives it back; `value` None = null."""

    at_ms: int
    value: float | None
    quality: Quality
    reason: str


class Range(NamedTuple):
    """Batches first..last (both included) are committed; `sha256` is that of batch `last`."""

    first: int
    last: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class CommittedBatch:
    """The batch ledger's row, with the events that the batch carried (they are kept in the same step)."""

    facility: str
    edge: str
    epoch: str
    seq: int
    sha256: bytes
    sealed_at_ms: int
    stored_at_ms: int
    readings: int
    events: tuple[Event, ...] = ()


class Spool(NamedTuple):
    """One life of one edge's spool, the space in which batches are numbered."""

    facility: str
    edge: str
    epoch: str


class StoredEvent(NamedTuple):
    """An event and where it came from."""

    facility: str
    edge: str
    event: Event


class Store(Protocol):
    """What the aggregator asks of a store. All methods block and may be called from any thread.

    Raises StoreUnavailable or StoreRefused, nothing of the library beneath.
    """

    @property
    def durable_after_s(self) -> float:
        """How long after `commit` returned a crash of the store may still lose its rows; 0 where it may not.

        Where it is not 0, rows are committed first without their batches, and the batches (without rows) that much later.
        """

    def ids(self, keys: Sequence[SeriesKey]) -> Int32s:
        """Ids of these series (key,), given on first sight and good until `close`; dense from 0."""

    def keys(self, ids: Sequence[int]) -> list[SeriesKey]:
        """The series behind these ids."""

    def commit(self, rows: Rows, batches: Sequence[CommittedBatch]) -> int:
        """Keep rows, batches and their events; durable when it returns. Gives the number of rows not known before.

        A reading is kept once per series and `at_ms`. Rows may hold duplicates, late rows and any order.
        """

    def history(self, key: SeriesKey, from_ms: int, to_ms: int) -> Columns:
        """Readings of [from_ms, to_ms), ordered by `at_ms`, floats as they were given."""

    def buckets(self, key: SeriesKey, from_ms: int, to_ms: int, bucket_ms: int) -> Buckets:
        """Summaries of [from_ms, to_ms) in buckets of `bucket_ms`, the first of which starts at `from_ms`."""

    def latest(self, facility: str | None = None) -> dict[SeriesKey, Point]:
        """The newest reading of each series of one facility, or of all."""

    def series(self) -> list[SeriesKey]:
        """Every series that has a reading, sorted."""

    def spools(self) -> list[Spool]:
        """Every spool that has a committed batch, the most recently stored last."""

    def committed(self, spool: Spool) -> list[Range]:
        """Ranges of committed batches of one spool, ascending, as few as possible."""

    def sha256_of(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        """Hashes under which this batch number is committed: none, one, or more after a conflict."""

    def events(
        self,
        facility: str,
        from_ms: int,
        to_ms: int,
        kind: str | None = None,
        device: str | None = None,
        newest: int | None = None,
    ) -> list[StoredEvent]:
        """Events of one facility with from_ms <= at_ms < to_ms, ordered by `at_ms`: of one kind and device, or of all; the `newest`, or all."""

    def close(self) -> None:
        """Let go of file and connections. Idempotent."""

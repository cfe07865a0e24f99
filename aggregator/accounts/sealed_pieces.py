"""A span's energies piece by piece: from sealed columns where a seal stands, from the ledger's rows elsewhere. Not how either is summed (see `columns`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

from aggregator.accounts.columns import Piece, Resolve, Spans, pieces_of_columns, pieces_of_rows
from aggregator.accounts.period import Period
from aggregator.accounts.sealed import Seal, Seals
from aggregator.accounts.sealed_file import Chunk
from aggregator.ledger import IntervalRow, Ledger

# (device, quantity, from_ms, to_ms) -> the interval energies that start within, ordered
Rows = Callable[[str, str, int, int], Sequence[IntervalRow]]


class SealedPieces:
    """Called with a device and a quantity, gives the pieces of [from_ms, to_ms). Ask for devices in their order: a file is read once then."""

    def __init__(
        self,
        seals: Seals,
        standing: Sequence[Seal],
        rows: Rows,
        span: tuple[int, int],
        zone: ZoneInfo,
        resolve: Resolve,
    ) -> None:
        """`standing`: the seals that hold what stood (see `Seals.standing`), none over another, by time."""
        self._seals = seals
        self._rows = rows
        self._resolve = resolve
        self._parts: list[tuple[int, int, Seal | None, Spans | None]] = []
        at_ms, to_ms = span
        for seal in standing:
            begin_ms, end_ms = max(seal.from_ms, at_ms), min(seal.to_ms, to_ms)
            if at_ms < begin_ms:
                self._parts.append((at_ms, begin_ms, None, None))
            self._parts.append((begin_ms, end_ms, seal, Spans(begin_ms, end_ms, zone, resolve)))
            at_ms = end_ms
        if at_ms < to_ms:
            self._parts.append((at_ms, to_ms, None, None))

    def sealed(self) -> Iterator[tuple[Spans, Callable[[str, str], Chunk | None]]]:
        """Each part of [from_ms, to_ms) that a seal holds, and what gives its rows by device and quantity. Raises SealedFileUnusable."""
        for _, _, seal, spans in self._parts:
            if seal is not None and spans is not None:
                yield spans, partial(self._seals.chunk, seal)

    def __call__(self, device: str, quantity: str) -> Iterator[Piece]:
        """Raises SealedFileUnusable, LedgerBusy."""
        for from_ms, to_ms, seal, spans in self._parts:
            if seal is None or spans is None:
                yield from pieces_of_rows(self._rows(device, quantity, from_ms, to_ms), self._resolve)
                continue
            chunk = self._seals.chunk(seal, device, quantity)
            if chunk is not None:
                yield from pieces_of_columns(chunk, spans, self._resolve)


def reading_seals(period: Period, seals: Seals, ledger: Ledger) -> Period:
    """The period, reading sealed columns where a seal holds what stood. Raises LedgerBusy."""
    facility, span = period.facility, (period.from_ms, period.to_ms)
    standing = seals.standing(ledger, facility.id, *span, period.as_of_ms)
    if not standing:
        return period

    def rows(device: str, quantity: str, from_ms: int, to_ms: int) -> Sequence[IntervalRow]:
        return ledger.intervals(facility.id, device, quantity, from_ms, to_ms, period.as_of_ms)

    return replace(period, columns=SealedPieces(seals, standing, rows, span, facility.zone, period.resolve))

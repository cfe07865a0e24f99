"""A span's energies piece by piece: from sealed columns where a seal stands, from the ledger's rows elsewhere. Not how either is summed (see `columns`)."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

from aggregator.accounts.period import Period
from aggregator.accounts.sealing.columns import Piece, Resolve, Spans, pieces_of_columns, pieces_of_rows
from aggregator.accounts.sealing.file import Chunk
from aggregator.accounts.sealing.seals import Seal, Seals
from aggregator.intervals.local_time import local_day, start_of_day_ms
from aggregator.ledger import IntervalRow, Ledger

# (device, quantity, from_ms, to_ms) -> the interval energies that start within, ordered
Rows = Callable[[str, str, int, int], Sequence[IntervalRow]]


class SealedPieces:
    """The pieces of [from_ms, to_ms), part by part: a part is one seal's, or what lies between two, and one file is read at a time."""

    def __init__(
        self,
        seals: Seals,
        standing: Sequence[Seal],
        rows: Rows,
        span: tuple[int, int],
        zone: ZoneInfo,
        resolve: Resolve,
    ) -> None:
        """`standing`: the seals that hold what stood (see `Seals.standing`), none over another, by time. Those that cut a local day are not read."""
        self._seals = seals
        self._rows = rows
        self._note: Callable[[str, str], None] = _nobody
        self._zone = zone
        self._resolve = resolve
        self._parts: list[tuple[int, int, Seal | None]] = []
        at_ms, to_ms = span
        for seal in standing:
            begin_ms, end_ms = max(seal.from_ms, at_ms), min(seal.to_ms, to_ms)
            if any(each not in span and not self._begins_a_day(each) for each in (begin_ms, end_ms)):
                continue
            if at_ms < begin_ms:
                self._parts.append((at_ms, begin_ms, None))
            self._parts.append((begin_ms, end_ms, seal))
            at_ms = end_ms
        if at_ms < to_ms:
            self._parts.append((at_ms, to_ms, None))

    def noting(self, note: Callable[[str, str], None]) -> "SealedPieces":
        """The same; `note` is told each device and quantity that is read."""
        noted = copy(self)
        noted._note = note
        return noted

    def _chunk(self, seal: Seal, device: str, quantity: str) -> Chunk | None:
        self._note(device, quantity)
        return self._seals.chunk(seal, device, quantity)

    def _begins_a_day(self, at_ms: int) -> bool:
        return start_of_day_ms(local_day(at_ms, self._zone), self._zone) == at_ms

    def sealed(self) -> Iterator[tuple[Spans, Callable[[str, str], Chunk | None]]]:
        """Each part that a seal holds, and what gives its rows by device and quantity. Raises SealedFileUnusable."""
        for from_ms, to_ms, seal in self._parts:
            if seal is not None:
                yield Spans(from_ms, to_ms, self._zone, self._resolve), partial(self._chunk, seal)

    def __call__(
        self, devices: Sequence[str], quantity: str, resolve: Resolve | None = None
    ) -> Iterator[tuple[str, Iterator[Piece]]]:
        """Part by part, each device's pieces under `resolve` (default: the period's). Use them before the next ones; give devices in their order.

        Raises SealedFileUnusable, LedgerBusy.
        """
        resolve = resolve or self._resolve
        for from_ms, to_ms, seal in self._parts:
            spans = None if seal is None else Spans(from_ms, to_ms, self._zone, resolve)
            for device in devices:
                if seal is None or spans is None:
                    self._note(device, quantity)
                    yield device, pieces_of_rows(self._rows(device, quantity, from_ms, to_ms), resolve)
                elif (chunk := self._chunk(seal, device, quantity)) is not None:
                    yield device, pieces_of_columns(chunk, spans, resolve)


def _nobody(_device: str, _quantity: str) -> None:
    """Nobody wants to know what is read."""


def reading_seals(period: Period, seals: Seals, ledger: Ledger) -> Period:
    """The period, reading sealed columns where a seal holds what stood. Raises LedgerBusy."""
    facility, span = period.facility, (period.from_ms, period.to_ms)
    standing = seals.standing(ledger, facility.id, *span, period.as_of_ms)
    if not standing:
        return period

    def rows(device: str, quantity: str, from_ms: int, to_ms: int) -> Sequence[IntervalRow]:
        return ledger.intervals(facility.id, device, quantity, from_ms, to_ms, period.as_of_ms)

    return replace(period, columns=SealedPieces(seals, standing, rows, span, facility.zone, period.resolve))

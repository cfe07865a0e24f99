"""What a statement is made from: a facility, a profile, a span and a knowledge time, with the energies and factors as they stood. Not the lines."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Protocol

from aggregator.accounts.line import Line
from aggregator.accounts.sealing.columns import Piece, pieces_of_rows, without_factor
from aggregator.emissions.entry import Entry
from aggregator.emissions.profiles import Profile
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import IntervalRow

Intervals = Callable[[str, str], Sequence[IntervalRow]]


class Columns(Protocol):
    """What reads sealed columns (see `sealed_pieces`)."""

    def __call__(
        self, devices: Sequence[str], quantity: str, resolve: Callable[[int], Resolution] | None = None
    ) -> Iterator[tuple[str, Iterator[Piece]]]: ...

    def noting(self, note: Callable[[str, str], None]) -> "Columns":
        """The same; `note` is told each device and quantity that is read."""


@dataclass(frozen=True, slots=True)
class Period:
    """One facility's [from_ms, to_ms) (UTC) under one profile, as known at `as_of_ms`.

    `intervals(device, quantity)` gives the interval energies of the span as they stood then, ordered; `resolve(at_ms)` the facility's electricity
    factor under the profile; `entries` every factor that was approved and known then. `columns` gives the pieces of devices where some
    are sealed; they are those of their rows. `rows` reads a part of the span alone, where all of it is too much to hold.
    """

    facility: Facility
    profile: Profile
    from_ms: int
    to_ms: int
    as_of_ms: int
    intervals: Intervals
    resolve: Callable[[int], Resolution]
    entries: Sequence[Entry] = ()
    columns: Columns | None = None
    rows: Callable[[str, str, int, int], Sequence[IntervalRow]] | None = None

    def pieces(self, devices: Iterable[str], quantity: str) -> Iterator[tuple[str, Iterable[Piece]]]:
        """Each device's interval energies under the factors that held, cut where another begins; of a device perhaps several times, of one span after the other."""
        return self._pieces(devices, quantity, self.resolve)

    def energies(self, devices: Iterable[str], quantity: str) -> Iterator[tuple[str, Iterable[Piece]]]:
        """The same without factors: every interval whole."""
        return self._pieces(devices, quantity, without_factor)

    def _pieces(
        self, devices: Iterable[str], quantity: str, resolve: Callable[[int], Resolution]
    ) -> Iterator[tuple[str, Iterable[Piece]]]:
        ordered = sorted(devices)  # as sealed files are
        if self.columns is not None:
            yield from self.columns(ordered, quantity, resolve)
            return
        read = self.reading(self.from_ms, self.to_ms)
        for device in ordered:
            yield device, pieces_of_rows(read(device, quantity), resolve)

    def reading(self, from_ms: int, to_ms: int) -> Intervals:
        """The interval energies of a part of the span, by device and quantity."""
        if self.rows is None:
            whole = self.intervals
            return lambda device, quantity: [row for row in whole(device, quantity) if from_ms <= row.start_ms < to_ms]
        rows = self.rows
        return lambda device, quantity: rows(device, quantity, from_ms, to_ms)

    def covered(self, intervals: int, time_ms: int) -> Fraction | None:
        """The facility's intervals that the time of so many rows comes to; None where it is one for each row."""
        interval_ms = self.facility.interval_ms
        return None if time_ms == intervals * interval_ms else Fraction(time_ms, interval_ms)

    def days(self) -> Iterator[tuple[date, int, int]]:
        """The local days that the span touches, each with its part of the span in ms: 23, 24 or 25 hours of a whole day."""
        at_ms = self.from_ms
        while at_ms < self.to_ms:
            day = local_day(at_ms, self.facility.zone)
            end_ms = min(day_span_ms(day, self.facility.zone)[1], self.to_ms)
            yield day, at_ms, end_ms
            at_ms = end_ms


# Makes the lines of one kind: metered electricity, activities, pools. It reads the period and keeps nothing.
Maker = Callable[[Period], Iterable[Line]]

"""An interval's energy as the ledger has it, and what else it knows of it. Not where that is kept (see `ledger`)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.intervals.boundaries import Grade

MEASURED: Final = "measured"
IMPORT: Final = "import"
MANUAL: Final = "manual"  # of those that a person has entered
ESTIMATE: Final = "estimate"  # the source of interval energies that nobody measured


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """Energy of [start_ms, end_ms) of one device and quantity, as the ledger has it."""

    facility: str
    device: str
    quantity: str
    start_ms: int
    end_ms: int
    energy_kwh: Decimal
    grade: Grade
    final: bool
    source: str  # measured | import | manual | estimate
    version: int = 1

    def says(self) -> tuple[object, ...]:
        """What makes it another figure."""
        return self.energy_kwh, self.grade, self.final, self.source


@dataclass(frozen=True, slots=True)
class IntervalVersion:
    """One version of an interval; it stood from `recorded_at_ms` to `superseded_at_ms` (None: it stands)."""

    row: IntervalRow
    recorded_at_ms: int
    superseded_at_ms: int | None


@dataclass(frozen=True, slots=True)
class FigureAside:
    """What is or was known of an interval and did not stand, since another figure ranks above it. Known from `known_ms` on, aside from `aside_ms` to
    `ended_ms`: None while it is, else when it stood again or another one of its source took its place."""

    row: IntervalRow
    known_ms: int
    aside_ms: int
    ended_ms: int | None

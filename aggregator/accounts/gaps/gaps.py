"""Intervals of a closed span that nobody has measured: which they are, what they are estimated at, and how estimates enter the ledger. Not the rules (see `gap_rules`).

An estimate is an interval row of source `estimate`, quality substituted, the rule as its reason. It never takes the place of a figure, and gives way to
any that comes later: both stay on record. Filling again estimates again from what is known by then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.gaps.rules import AVAILABILITY_H, HOUR_MS, Estimate, Series, estimates
from aggregator.accounts.tree.slots import FLOWS, NORMAL_GAS
from aggregator.books import Books, Entered
from aggregator.facility import Facility
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.meter import MeterSpec, Role
from aggregator.ledger import ESTIMATE, IntervalRow, Ledger
from wire.reading import Quality

WAIT_MS: Final = 24 * HOUR_MS  # what an edge still holds may come by then
_BACK_MS: Final = 29 * 24 * HOUR_MS
_AFTER_MS: Final = 73 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Gap:
    """[from_ms, to_ms) of one device and quantity without a measured figure; `estimates` of those of its intervals that lie in the span asked for.

    `open`: nothing has come after it yet, so that it may grow, or be closed by the counter's difference.
    """

    device: str
    quantity: str
    from_ms: int
    to_ms: int
    open: bool
    estimates: tuple[Estimate, ...]

    @property
    def energy(self) -> Decimal | None:
        """Of the intervals that have an estimate; None where none has."""
        known = [one.energy for one in self.estimates if one.energy is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.rule for one in self.estimates))


def gaps(ledger: Ledger, facility: Facility, from_ms: int, to_ms: int, now_ms: int) -> Iterator[Gap]:
    """Of all meters that count, what of [from_ms, to_ms) is over for a day and has no figure. Before a meter's first figure there is no gap."""
    to_ms = min(to_ms, now_ms - WAIT_MS)
    to_ms -= to_ms % facility.interval_ms
    for meter in facility.meters:
        if meter.role is Role.CHECK:
            continue
        flows = FLOWS.get(meter.carrier, ())
        for quantity in (*flows, *(NORMAL_GAS if meter.carrier == "gas" else ())):
            if quantity:
                yield from _of_quantity(ledger, facility, meter, quantity, from_ms, to_ms)


def _of_quantity(
    ledger: Ledger, facility: Facility, meter: MeterSpec, quantity: str, from_ms: int, to_ms: int
) -> Iterator[Gap]:
    length_ms, stack = facility.interval_ms, meter.use.stack
    preset = facility.gap_preset if stack is None else stack.gap_preset or facility.gap_preset
    back_ms = AVAILABILITY_H * HOUR_MS if preset else _BACK_MS
    rows = ledger.intervals(facility.id, meter.device, quantity, from_ms - back_ms, to_ms + _AFTER_MS)
    standing = [row for row in rows if row.source != ESTIMATE]
    if not standing:
        return
    taken: set[int] = set()
    for row in standing:
        taken.update(range(row.start_ms - row.start_ms % length_ms, row.end_ms, length_ms))
    measured: dict[int, Decimal] = {}
    for row in standing:
        if row.final and row.grade.quality is not Quality.SUBSTITUTED:
            parts = (row.end_ms - row.start_ms) // length_ms
            if parts == 1 or (stack is not None and parts * length_ms == row.end_ms - row.start_ms):  # hours of a stack
                measured |= {row.start_ms + n * length_ms: row.energy_kwh / parts for n in range(parts)}
    series = Series(measured, length_ms, facility.zone, meter.rated_power_kw)
    last_ms = max(taken)
    for start_ms, end_ms in _runs(taken, min(taken), max(to_ms, last_ms), length_ms):
        if start_ms < to_ms and end_ms > from_ms:
            end_ms = min(end_ms, to_ms) if end_ms > last_ms else end_ms
            found = estimates(series, start_ms, end_ms, preset)
            inside = tuple(one for one in found if from_ms <= one.start_ms < to_ms)
            yield Gap(meter.device, quantity, start_ms, end_ms, end_ms > last_ms, inside)


def _runs(taken: set[int], first_ms: int, end_ms: int, length_ms: int) -> Iterator[tuple[int, int]]:
    """Stretches of the grid in [first_ms, end_ms) of which no interval is taken."""
    since_ms: int | None = None
    for at_ms in range(first_ms, end_ms, length_ms):
        if at_ms in taken:
            if since_ms is not None:
                yield since_ms, at_ms
            since_ms = None
        elif since_ms is None:
            since_ms = at_ms
    if since_ms is not None:
        yield since_ms, end_ms


def fill(books: Books, facility: Facility, found: Sequence[Gap]) -> list[Entered]:
    """Enters every estimate that there is, and books what counts; gives what was new or changed. Raises LedgerError."""
    done: list[Entered] = []
    for gap in found:
        rows = [
            IntervalRow(
                facility.id, gap.device, gap.quantity, one.start_ms, one.start_ms + facility.interval_ms, one.energy,
                Grade(Quality.SUBSTITUTED, one.rule), True, ESTIMATE,
            )
            for one in gap.estimates
            if one.energy is not None
        ]  # fmt: skip
        if rows:
            done.append(books.enter(rows))
    return done

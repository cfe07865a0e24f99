"""Interval energies that cannot be: beyond what their line carries, or other than their own counter says. Shown and left as they are; a person corrects them."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.gaps.rules import HOUR_MS
from aggregator.accounts.tree.slots import FLOWS, NORMAL_GAS
from aggregator.facility import Facility, MeterSpec
from aggregator.interval_row import IMPORT, MANUAL, MEASURED, IntervalRow
from aggregator.intervals.counter import SPARE_COUNTS
from aggregator.ledger import Ledger
from aggregator.stores.store import SeriesKey

MARGIN: Final = Decimal("1.2")  # as for counters: overload and the error of both readings


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An energy and what it can be, in the unit of its quantity: what its line carries, or (`counted`, of an import, whether it stands or the counter's
    figure does) what the counter's readings of the same time say."""

    row: IntervalRow
    most: Decimal
    least: Decimal = Decimal(0)
    counted: bool = False


def doubtful(ledger: Ledger, facility: Facility, from_ms: int, to_ms: int) -> Iterator[Doubtful]:
    """Of every meter, check meters included. What was settled from counters never is: its readings were held before."""
    for meter in facility.meters:
        flows = FLOWS.get(meter.carrier, ())
        for quantity in (*flows, *(NORMAL_GAS if meter.carrier == "gas" else ())):
            rows = ledger.intervals(facility.id, meter.device, quantity, from_ms, to_ms) if quantity else []
            for row in rows:
                most = MARGIN * meter.rated_power_kw * (row.end_ms - row.start_ms) / HOUR_MS
                if not 0 <= row.energy_kwh <= most:
                    yield Doubtful(row, most)
            if quantity:
                yield from _contradicted(
                    ledger, facility, meter, _imported(ledger, meter.device, quantity, (facility.id, from_ms, to_ms))
                )


def _imported(ledger: Ledger, device: str, quantity: str, within: tuple[str, int, int]) -> list[IntervalRow]:
    """What was imported for intervals that start within a span, whether it stands or its counter does; not what a person has corrected."""
    facility, from_ms, to_ms = within
    filed = [row for row in ledger.filed(facility, device, quantity, from_ms, to_ms) if row.start_ms >= from_ms]
    corrected = {(row.start_ms, row.end_ms) for row in filed if row.source == MANUAL}
    return [row for row in filed if row.source == IMPORT and (row.start_ms, row.end_ms) not in corrected]


def _contradicted(
    ledger: Ledger, facility: Facility, meter: MeterSpec, rows: Sequence[IntervalRow]
) -> Iterator[Doubtful]:
    """Imported energies of one quantity whose meter has a counter that stood elsewhere at their ends, by more than two counts."""
    if not rows:
        return
    series = SeriesKey(facility.id, meter.edge, meter.device, rows[0].quantity)
    kept = ledger.boundaries(series, rows[0].start_ms, max(row.end_ms for row in rows) + 1)
    at_ms, value = [each.boundary.at_ms for each in kept], [each.boundary.value for each in kept]
    for row in rows:
        first, last = bisect_left(at_ms, row.start_ms), bisect_left(at_ms, row.end_ms)
        if last >= len(at_ms) or (at_ms[first], at_ms[last]) != (row.start_ms, row.end_ms):
            continue
        steps = (max(value[n + 1] - value[n], Decimal(0)) * meter.multiplier_at(at_ms[n]) for n in range(first, last))
        counted = sum(steps, Decimal(0))
        exponent = row.energy_kwh.as_tuple().exponent
        digit = Decimal(1).scaleb(min(exponent, 0)) if isinstance(exponent, int) else Decimal(0)
        apart = SPARE_COUNTS * (meter.quantum_kwh or digit)
        if abs(row.energy_kwh - counted) > apart and _counted_throughout(ledger, row):
            yield Doubtful(row, counted + apart, max(counted - apart, Decimal(0)), counted=True)


def _counted_throughout(ledger: Ledger, row: IntervalRow) -> bool:
    """Whether the counter has a figure of all of it: where it began anew within, the difference of its ends says nothing."""
    series = (row.facility, row.device, row.quantity)
    known = [
        *ledger.intervals(*series, row.start_ms, row.end_ms),
        *(aside.row for aside in ledger.asides(row) if aside.ended_ms is None),
    ]
    ends = {(each.start_ms, each.end_ms) for each in known if each.source == MEASURED}
    inside = [(start_ms, end_ms) for start_ms, end_ms in ends if start_ms >= row.start_ms and end_ms <= row.end_ms]
    return sum(end_ms - start_ms for start_ms, end_ms in inside) == row.end_ms - row.start_ms

"""What is measured in a stack takes the place of what was calculated for the sources behind it: these are shown inside it, with the difference. Not the lines themselves.

First of the resolution order: a continuous measurement of the facility that is valid then, before any calculation. Only CO2: a stack measures no CH4 and no N2O.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from aggregator.accounts.behind_stack import MEASURED_AT, stands_in_for
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.period import Period
from aggregator.accounts.statement import total_kg
from aggregator.emissions.factors import AVERAGE
from aggregator.intervals.carrier_use import Stack
from aggregator.intervals.meter import MeterSpec
from aggregator.intervals.written_time import written

_SHOWN: Final = Decimal("0.001")


def measured_in_place(period: Period, lines: Sequence[Line]) -> tuple[list[Line], tuple[str, ...]]:
    """The lines with those that a stack measures shown inside it, and a note for each stack."""
    kept, notes = list(lines), []
    for meter in period.facility.main_meters() if period.profile.signal == AVERAGE else ():
        stack = meter.use.stack
        if stack is None or not stack.in_place_of:
            continue
        inside = [at for at, line in enumerate(kept) if stands_in_for(stack, line)]
        for at in inside:
            kept[at] = _placed(kept[at], meter, stack, period)
        notes.append(_note(meter, kept, [kept[at] for at in inside]))
    return kept, tuple(notes)


def counted_ms(period: Period, meters: Iterable[MeterSpec]) -> Iterator[int]:
    """For how long each main meter counts by itself in the period, ms: up to where a stack measures what it feeds, a stack from there on."""
    begins = {
        source: period.from_ms if stack.from_ms is None else stack.from_ms
        for meter in period.facility.main_meters()
        if (stack := meter.use.stack) is not None
        for source in stack.in_place_of
    }
    for meter in meters:
        until_ms = min(begins.get(f"meter:{meter.device}", period.to_ms), period.to_ms)
        stack = meter.use.stack
        yield until_ms - max(period.from_ms, (stack.from_ms if stack is not None else None) or period.from_ms)


def _placed(line: Line, meter: MeterSpec, stack: Stack, period: Period) -> Line:
    if stack.from_ms is not None and line.start_ms < stack.from_ms:
        since = written(stack.from_ms, period.facility.zone)
        why = f"measured at {meter.device} from {since} on: expected a record up to then and one from then on"
        return replace(line, kg=None, why=why)
    return replace(line, counts=Counts.ALLOCATED, marks=(*line.marks, f"{MEASURED_AT}{meter.device}"))


def _note(meter: MeterSpec, lines: Sequence[Line], inside: Sequence[Line]) -> str:
    """Both figures; the calculated one only where every line behind the stack has one."""
    source = f"meter:{meter.device}"
    measured = total_kg(line for line in lines if line.source == source and line.counts in (Counts.SCOPE_1, Counts.BIOGENIC))  # fmt: skip
    calculated = total_kg(inside) if all(line.kg is not None for line in inside) else None
    apart = ""
    if measured is not None and calculated:
        percent = (measured - calculated) / calculated * 100
        apart = f", {percent.quantize(_SHOWN, ROUND_HALF_EVEN):+f} %"
    said = (
        f"{'no figure' if kg is None else f'{kg.quantize(_SHOWN, ROUND_HALF_EVEN):f} kg'}"
        for kg in (measured, calculated)
    )
    return f"{meter.device}: measured {next(said)} CO2 in place of {next(said)} calculated{apart}"

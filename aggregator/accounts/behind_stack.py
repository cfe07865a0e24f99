"""Which lines a stack stands in for. Not what becomes of them (see `in_place`); a verifier asks the same."""

from typing import Final

from aggregator.accounts.line import Counts, Line
from aggregator.intervals.carrier_use import Stack

GAS: Final = "CO2"
MEASURED_AT: Final = "measured_at_"  # the mark of a line that is shown inside a stack's, with the stack's name


def stands_in_for(stack: Stack, line: Line) -> bool:
    """Whether a line is of a source behind the stack, of the gas that it measures, and counts beside it so far."""
    if line.source not in stack.in_place_of or line.gas != GAS:
        return False
    counts = (Counts.SCOPE_1, Counts.BIOGENIC) if stack.biogenic_ratio else (Counts.SCOPE_1,)
    return line.counts in counts and (stack.from_ms is None or line.end_ms > stack.from_ms)

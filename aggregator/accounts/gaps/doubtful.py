"""Interval energies that cannot be: more than their line can carry, or below nothing. They are shown and left as they are; a person corrects them."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.gaps.rules import HOUR_MS
from aggregator.accounts.tree.slots import FLOWS, NORMAL_GAS
from aggregator.facility import Facility
from aggregator.ledger import IntervalRow, Ledger

MARGIN: Final = Decimal("1.2")  # as for counters: overload and the error of both readings


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An interval and the most that its line can carry in it, in the unit of its quantity."""

    row: IntervalRow
    most: Decimal


def doubtful(ledger: Ledger, facility: Facility, from_ms: int, to_ms: int) -> Iterator[Doubtful]:
    """Of every meter, check meters included. What was settled from counters never is: its readings were held before."""
    for meter in facility.meters:
        flows = FLOWS.get(meter.carrier, ())
        for quantity in (*flows, *(NORMAL_GAS if meter.carrier == "gas" else ())):
            for row in ledger.intervals(facility.id, meter.device, quantity, from_ms, to_ms) if quantity else ():
                most = MARGIN * meter.rated_power_kw * (row.end_ms - row.start_ms) / HOUR_MS
                if not 0 <= row.energy_kwh <= most:
                    yield Doubtful(row, most)

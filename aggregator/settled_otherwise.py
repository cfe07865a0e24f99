"""Counters whose energies were settled by other multipliers than the settings have: such energies do not fit the rules of today. Not their settling (see `settle`)."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aggregator.facility import Facility
from aggregator.intervals.meter import MeterSpec, Multiplier, factor_at, multiplied_otherwise_from
from aggregator.intervals.written_time import written
from aggregator.ledger import Ledger, LedgerBusy
from aggregator.stores.store import SeriesKey


class SettledOtherwise(LedgerBusy):
    """Energies cannot be used before they are settled anew; the message names meter, setting, both values and what to do."""

    def __init__(self, found: Sequence["Otherwise"], advice: str) -> None:
        more = f" (and {len(found) - 1} more counters)" if len(found) > 1 else ""
        super().__init__(f"{found[0]}{more}; {advice}")


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A counter's energies that end after `from_ms` (UTC) stand by the multiplier `settled`, and the settings have `wanted` there."""

    facility: Facility
    series: SeriesKey
    from_ms: int
    settled: Decimal
    wanted: Decimal

    def __str__(self) -> str:
        return (
            f"facility {self.facility.id}, meter {self.series.device}: multiplier: expected {self.series.quantity} times {self.wanted} from"
            f" {written(self.from_ms, self.facility.zone)} on, as the settings have it, got what was settled times {self.settled}"
        )


def settled_otherwise(ledger: Ledger, facilities: Iterable[Facility], to_ms: int = 2**62) -> list[Otherwise]:
    """The counters of facilities with energies before `to_ms` that stand by other multipliers than the settings', in order. Raises LedgerBusy."""
    found = []
    for facility in facilities:
        for *named, state in ledger.rows(
            "SELECT facility, edge, device, quantity, max(at_ms), json_extract(state, '$.multipliers') FROM checkpoint"
            " WHERE facility = ? GROUP BY edge, device, quantity ORDER BY device, quantity",
            (facility.id,),
        ):
            series = SeriesKey(*named[:4])
            meter = facility.meter(series.device)
            if meter is None or meter.edge != series.edge or state is None:
                continue
            kept = multipliers_of(json.loads(state))
            from_ms = otherwise_from_ms(ledger, series, kept, meter)
            if from_ms is not None and from_ms < to_ms:
                found.append(
                    Otherwise(facility, series, from_ms, factor_at(kept, from_ms), meter.multiplier_at(from_ms))
                )
    return found


def otherwise_from_ms(ledger: Ledger, series: SeriesKey, kept: Sequence[Multiplier], meter: MeterSpec) -> int | None:
    """From when on a meter multiplies otherwise than the `kept` multipliers by which the series stands; None: nowhere, or no energy stands after it."""
    from_ms = multiplied_otherwise_from(kept, meter.multipliers) if meter.counted and kept else None
    if from_ms is None:
        return None
    first_ms = ledger.first_boundary_ms(series)
    if first_ms is None:
        return None
    stands = ledger.rows(
        "SELECT 1 FROM interval_energy WHERE facility = ? AND device = ? AND quantity = ? AND end_ms > ? AND source = 'measured'"
        " AND superseded_at_ms IS NULL LIMIT 1",
        (series.facility, series.device, series.quantity, max(from_ms, first_ms)),
    )
    return max(from_ms, first_ms) if stands else None


def multipliers_of(kept: Iterable[tuple[int | None, str]]) -> tuple[Multiplier, ...]:
    """As a checkpoint has them: (valid_from_ms, factor)."""
    return tuple(Multiplier(Decimal(factor), valid_from_ms) for valid_from_ms, factor in kept)

"""Why a bill and the ledger differ: a sum of named causes that is the difference exactly. Nothing is recorded or corrected.

ledger of the period --clock--> ledger between the two times of reading --multiplier--> the same with the bill's multiplier
  --display--> as if our meter had shown what the bill says --gap--> with what missing and estimated intervals lack
  --arithmetic--> the bill's displays times its multiplier against its own kWh;  what is left is the remainder
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from aggregator.accounts.by_hand.line import BESIDE_MS
from aggregator.accounts.checks.bill import Bill, TariffPeriod
from aggregator.facility import Facility, MeterSpec
from aggregator.intervals.counter import HEADROOM, MS_PER_H
from aggregator.ledger import ESTIMATE, MANUAL, IntervalRow
from aggregator.settle import Settler
from aggregator.stores.store import SeriesKey
from wire.reading import Quality

CAUSES: Final = ("clock", "multiplier", "display", "gap", "arithmetic", "remainder")
EXACT_IN_SUM: Final = ("counter-diff", "manual")  # estimated in shape only: their sum is a difference of displays
WITHOUT_DISPLAY: Final = ("import", MANUAL)  # sources of what came as energy: nothing is multiplied there
_DAY_MS: Final = 86_400_000
_ZERO: Final = Fraction(0)


class NotChecked(ValueError):
    """The bill names no meter of the facility."""


@dataclass(frozen=True, slots=True)
class Cause:
    """`kwh` more on the bill than in the ledger, because of `name`; `why` in words."""

    name: str
    kwh: Fraction
    why: str


@dataclass(frozen=True, slots=True)
class DemandCheck:
    """The billed maximum against the ledger's. `window`: how much of the difference comes from the bill's window, `multiplier` from its
    multiplier, in kW; `ledger_kw` is the highest interval's mean."""

    ledger_kw: Fraction
    window_kw: Fraction
    multiplier_kw: Fraction
    remainder_kw: Fraction
    at_ms: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A bill with its causes. `missing_ms`, `estimated`: time without a figure and intervals that no display backs."""

    bill: Bill
    ledger_kwh: Fraction
    causes: tuple[Cause, ...]
    missing_ms: int
    estimated: int
    demand: DemandCheck | None
    periods: tuple[tuple[str, Decimal, Fraction], ...]  # name, billed, in the ledger

    @property
    def difference_kwh(self) -> Fraction:
        return Fraction(self.bill.kwh) - self.ledger_kwh

    def cause(self, name: str) -> Fraction:
        """The kWh of a cause."""
        return next((cause.kwh for cause in self.causes if cause.name == name), _ZERO)


def check(bill: Bill, facility: Facility, settler: Settler, periods: Sequence[TariffPeriod] = ()) -> Checked:
    """Raises NotChecked, and what ledger and store raise."""
    meter = facility.meter(bill.device)
    if meter is None:
        known = ", ".join(each.device for each in facility.meters) or "none, it has no meter"
        raise NotChecked(f"meter: expected one of {facility.id} ({known}), got {bill.device!r}")
    first_ms, last_ms = min(bill.from_ms, bill.read_from_ms), max(bill.to_ms, bill.read_to_ms)
    rows = settler.ledger.intervals(facility.id, bill.device, bill.quantity, first_ms - _DAY_MS, last_ms)
    rows = [row for row in rows if row.end_ms > first_ms]
    series = SeriesKey(facility.id, meter.edge, bill.device, bill.quantity)
    shown = [_display(settler, series, at_ms) for at_ms in (bill.read_from_ms, bill.read_to_ms)]
    own = None if shown[0] is None or shown[1] is None else _difference(shown[0], shown[1], meter)
    missing_ms, backed_by_none = _gaps(rows, bill.read_from_ms, bill.read_to_ms)
    causes = _causes(bill, meter, rows, own, missing_ms, backed_by_none)
    return Checked(
        bill,
        _energy(rows, bill.from_ms, bill.to_ms),
        causes,
        missing_ms,
        len(backed_by_none),
        _demand(bill, meter, rows, facility),
        tuple(_periods(bill, rows, periods, facility)),
    )


def _causes(
    bill: Bill, meter: MeterSpec, rows: Sequence[IntervalRow], own: Decimal | None, missing_ms: int, gaps: Sequence[IntervalRow]
) -> tuple[Cause, ...]:  # fmt: skip
    asked = _energy(rows, bill.from_ms, bill.to_ms)
    read = _energy(rows, bill.read_from_ms, bill.read_to_ms)
    scaled = (
        read if bill.multiplier is None else _energy(rows, bill.read_from_ms, bill.read_to_ms, meter, bill.multiplier)
    )
    factor = Fraction(bill.multiplier or meter.multiplier_at(bill.read_from_ms))
    billed = Fraction(bill.kwh)
    displayed = None
    if bill.opening is not None and bill.closing is not None:
        displayed = _difference(bill.opening, bill.closing, meter)
    measured = billed if displayed is None else Fraction(displayed) * factor
    display = _ZERO if displayed is None or own is None else (Fraction(displayed) - Fraction(own)) * factor
    rest = measured - scaled - display
    gap = _ZERO
    if missing_ms or gaps:
        gap_ms = missing_ms + sum(row.end_ms - row.start_ms for row in gaps)
        most = Fraction(HEADROOM * meter.rated_power_kw) * gap_ms / MS_PER_H
        booked = sum((Fraction(row.energy_kwh) for row in gaps), _ZERO)
        gap = min(max(rest, -booked), most - booked)
    ours = meter.multiplier_at(bill.read_from_ms)
    apart = (
        ", imported and entered energies have no display" if any(row.source in WITHOUT_DISPLAY for row in rows) else ""
    )
    found = (
        Cause("clock", read - asked, "the displays were read at other times than the period's ends"),
        Cause("multiplier", scaled - read, f"billed with {bill.multiplier}, settled with {ours}{apart}"),
        Cause(
            "display", display, f"the bill's displays differ by {displayed}, the readings of the same instants by {own}"
        ),
        Cause("gap", gap, f"{missing_ms / 60_000:g} min without a figure, {len(gaps)} intervals that no display backs"),
        Cause("arithmetic", billed - measured, "the bill's kWh against its own displays times its multiplier"),
    )
    remainder = billed - asked - sum((cause.kwh for cause in found), _ZERO)
    return (*found, Cause("remainder", remainder, "not explained"))


def _energy(
    rows: Iterable[IntervalRow], from_ms: int, to_ms: int, meter: MeterSpec | None = None, multiplier: Decimal | None = None
) -> Fraction:  # fmt: skip
    """kWh of [from_ms, to_ms), parts of intervals in proportion to time; with a multiplier as if displays had been settled with that one."""
    total = _ZERO
    for row in rows:
        within_ms = min(row.end_ms, to_ms) - max(row.start_ms, from_ms)
        if within_ms > 0:
            kwh = Fraction(row.energy_kwh) * Fraction(within_ms, row.end_ms - row.start_ms)
            if meter is not None and multiplier is not None and row.source not in WITHOUT_DISPLAY:
                kwh *= Fraction(multiplier) / Fraction(meter.multiplier_at(row.start_ms))
            total += kwh
    return total


def _gaps(rows: Iterable[IntervalRow], from_ms: int, to_ms: int) -> tuple[int, list[IntervalRow]]:
    """Time of the span without a figure, and intervals whose energy is no difference of displays within it."""
    inside = [row for row in rows if row.end_ms > from_ms and row.start_ms < to_ms]
    covered_ms = sum(min(row.end_ms, to_ms) - max(row.start_ms, from_ms) for row in inside)
    ends = (inside[0], inside[-1]) if inside else ()
    return to_ms - from_ms - covered_ms, [
        row
        for row in inside
        if row.source == ESTIMATE
        or (row.grade.quality is Quality.SUBSTITUTED and (row.grade.reason not in EXACT_IN_SUM or row in ends))
    ]


def _display(settler: Settler, series: SeriesKey, at_ms: int) -> Decimal | None:
    """What our meter showed at an instant, between two readings at most 15 minutes away; None where it is not known."""
    if settler.hand is None:
        return None
    before, after = settler.hand.measured(series, at_ms + 1, -1), settler.hand.measured(series, at_ms, 1)
    if before is None or after is None or at_ms - before.at_ms > BESIDE_MS or after.at_ms - at_ms > BESIDE_MS:
        return None
    if after.at_ms == before.at_ms or after.kwh < before.kwh:
        return after.kwh
    share = Decimal(at_ms - before.at_ms) / (after.at_ms - before.at_ms)
    return (before.kwh + (after.kwh - before.kwh) * share).quantize(Decimal("0.000001"))


def _difference(opening: Decimal, closing: Decimal, meter: MeterSpec) -> Decimal:
    """From one display to the other; past the modulus, where it is known."""
    delta = closing - opening
    return delta + meter.modulus_kwh if delta < 0 and meter.modulus_kwh is not None else delta


def _demand(bill: Bill, meter: MeterSpec, rows: Sequence[IntervalRow], facility: Facility) -> DemandCheck | None:
    """Of the calendar period; windows that begin with an interval, whole ones only."""
    if bill.demand is None:
        return None
    inside = [row for row in rows if row.start_ms >= bill.from_ms and row.end_ms <= bill.to_ms]
    plain = _highest(inside, facility.interval_ms, facility.interval_ms)
    slip_ms = facility.interval_ms if bill.demand.kind == "sliding" else bill.demand.window_ms
    windowed = _highest(inside, bill.demand.window_ms, slip_ms)
    if plain is None or windowed is None:
        return None
    window = windowed[1], windowed[1] + bill.demand.window_ms
    more = (
        _ZERO
        if bill.multiplier is None
        else _energy(inside, *window, meter, bill.multiplier) - _energy(inside, *window)
    )
    scaled = more * MS_PER_H / bill.demand.window_ms
    billed = Fraction(bill.demand.kw)
    return DemandCheck(plain[0], windowed[0] - plain[0], scaled, billed - windowed[0] - scaled, windowed[1])


def _highest(rows: Sequence[IntervalRow], window_ms: int, slip_ms: int) -> tuple[Fraction, int] | None:
    """The highest mean power of a whole window, and where it begins. Offsets of zones are multiples of 15 min: blocks of the hour are those of UTC."""
    best: tuple[Fraction, int] | None = None
    for at, first in enumerate(rows):
        if first.start_ms % slip_ms:
            continue
        end_ms, kwh, until_ms = first.start_ms + window_ms, _ZERO, first.start_ms
        for row in rows[at:]:
            if row.start_ms != until_ms or row.end_ms > end_ms:
                break
            kwh, until_ms = kwh + Fraction(row.energy_kwh), row.end_ms
        mean_kw = kwh * MS_PER_H / window_ms
        if until_ms == end_ms and (best is None or mean_kw > best[0]):
            best = (mean_kw, first.start_ms)
    return best


def _periods(
    bill: Bill, rows: Sequence[IntervalRow], periods: Sequence[TariffPeriod], facility: Facility
) -> Iterator[tuple[str, Decimal, Fraction]]:
    known = {period.name: period for period in periods}
    for name, billed in bill.periods:
        if name in known:
            chosen = [row for row in rows if known[name].holds(row.start_ms, facility.zone)]
            yield name, billed, _energy(chosen, bill.from_ms, bill.to_ms)

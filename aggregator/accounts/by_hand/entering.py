"""What people read off meters, checked against the meter and put on record. Not which of it makes the figures (see `hand_line` and `aggregator.settle`)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal

from aggregator.accounts.by_hand.line import HandLine, Shown, carries
from aggregator.accounts.by_hand.readings import Entry, HandAmount, HandReading
from aggregator.accounts.runs.late import Closed
from aggregator.facility import Facility, MeterSpec
from aggregator.interval_row import ESTIMATE, IMPORT, MANUAL, IntervalRow
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.counter import HEADROOM, MS_PER_H, SPARE_COUNTS
from aggregator.intervals.decision import Decision, Said, Unfit
from aggregator.overruling import Overruling, Ruling
from aggregator.settle import COUNTERS, Settler
from aggregator.stores.store import SeriesKey
from wire.reading import Quality

DIGITS_MAX: Final = 15  # what a store keeps exactly
KWH_MAX: Final = Decimal(10) ** 12
TEXT_MAX: Final = 2000
LISTED_MAX: Final = 10_000
AS_ENTERED: Final = Grade(Quality.UNCERTAIN, "manual")
_DAY_MS: Final = 86_400_000

Place = Literal["joins", "beside", "contradicted", "withdrawn", "superseded"]


@dataclass(frozen=True, slots=True)
class Told:
    """A reading by hand and what became of it. `off_kwh`: how far above the measured line it lies, where it lies beside it.

    `restatement`: it changes a published span, which keeps its figure until it is restated.
    """

    reading: HandReading
    place: Place
    off_kwh: Decimal | None = None
    new: bool = True
    restatement: bool = False


@dataclass(frozen=True, slots=True)
class ToldAmount:
    """An energy by hand; `new` where it was not on record."""

    amount: HandAmount
    new: bool


class Entering:
    """For one aggregator. Any thread may call. Raises Unfit for what is refused, and what ledger, store and records raise."""

    def __init__(
        self, settler: Settler, line: HandLine, closed: Closed = lambda _facility, _from_ms, _to_ms: False
    ) -> None:
        self._settler = settler
        self._closed = closed
        self._line = line
        self._book = line.book

    # -- displays -------------------------------------------------------------------------------------------------

    def reading(
        self, facility: str, device: str, quantity: str, at_ms: int, display_kwh: Decimal, entry: Entry
    ) -> Told:
        """Enters what a display showed; another value for an instant that has one is a correction and needs a reason."""
        series, meter = self._series(facility, device, quantity)
        self._check(at_ms, display_kwh, entry)
        if meter.modulus_kwh is not None and display_kwh >= meter.modulus_kwh:
            raise Unfit(
                "display_kwh", f"less than the {meter.modulus_kwh} at which the display starts again", display_kwh
            )
        kept = self._book.at(series, at_ms)
        if kept is not None and kept.display_kwh == display_kwh:
            return self._told(meter, kept, new=False)
        if kept is not None and not entry.reason.strip():
            was = "withdrawn" if kept.display_kwh is None else f"{kept.display_kwh} kWh"
            raise Unfit("reason", f"why version {kept.version} ({was}, by {kept.entry.by}) is corrected", "nothing")
        place = self._line.place(meter, series, at_ms, display_kwh)
        if place != "beside":
            self._check_bound(meter, series, Shown(at_ms, display_kwh))
        entered = self._book.enter(series, at_ms, display_kwh, entry, self._settler.clock())
        self._settler.note(series, at_ms, at_ms)
        return replace(
            self._told(meter, entered), restatement=place == "joins" and self._touches_closed(meter, series, at_ms)
        )

    def withdraw(self, facility: str, device: str, quantity: str, at_ms: int, entry: Entry) -> Told:
        """A reading no longer stands; its versions stay on record."""
        series, meter = self._series(facility, device, quantity)
        kept = self._book.at(series, at_ms)
        if kept is None or kept.display_kwh is None:
            raise Unfit("at_ms", f"the instant of a reading by hand of {device} that stands", _utc(at_ms))
        self._check_words(entry)
        if not entry.reason.strip():
            raise Unfit("reason", "why the reading is withdrawn", "nothing")
        entered = self._book.enter(series, at_ms, None, entry, self._settler.clock())
        self._settler.note(series, at_ms, at_ms)
        return replace(self._told(meter, entered), restatement=self._touches_closed(meter, series, at_ms))

    def listed(self, facility: str, device: str | None, from_ms: int, to_ms: int) -> list[Told]:
        """Every version of every reading of a span with what became of it."""
        versions = self._book.versions(facility, device, from_ms, to_ms, LISTED_MAX + 1)
        if len(versions) > LISTED_MAX:
            raise Unfit("to", f"a shorter span, of at most {LISTED_MAX} versions", "more")
        newest = {(each.series, each.at_ms): each.version for each in versions}
        told = []
        for each in versions:
            meter = self._facility(facility).meter(each.series.device)
            if newest[each.series, each.at_ms] != each.version or meter is None:
                told.append(Told(each, "superseded"))
            else:
                told.append(self._told(meter, each))
        return told

    def _told(self, meter: MeterSpec, reading: HandReading, *, new: bool = True) -> Told:
        if reading.display_kwh is None:
            return Told(reading, "withdrawn", new=new)
        place = self._line.place(meter, reading.series, reading.at_ms, reading.display_kwh)
        off_kwh = None
        if place == "beside":
            before, after = (self._line.measured(reading.series, reading.at_ms, side) for side in (-1, 1))
            measured = _between(before, after, reading.at_ms)
            off_kwh = None if measured is None else reading.display_kwh - measured
        return Told(reading, place, off_kwh, new)

    def _touches_closed(self, meter: MeterSpec, series: SeriesKey, at_ms: int) -> bool:
        """Whether the energies on both sides of an instant belong to a published span."""
        before = self._line.neighbour(meter, series, at_ms, -1)
        after = self._line.neighbour(meter, series, at_ms + 1, 1)
        from_ms = at_ms if before is None else before.at_ms
        return self._closed(series.facility, from_ms, at_ms + 1 if after is None else after.at_ms)

    def _check_bound(self, meter: MeterSpec, series: SeriesKey, hand: Shown) -> None:
        """Rule 1: what the line can have carried since the display before, and until the one after."""
        told = [decision.at_ms for decision in self._settler.decisions.standing(series)]
        before = self._line.neighbour(meter, series, hand.at_ms, -1)
        after = self._line.neighbour(meter, series, hand.at_ms, 1)
        for one, other in ((before, hand), (hand, after)):
            if one is None or other is None or any(one.at_ms < told_ms <= other.at_ms for told_ms in told):
                continue
            if not carries(meter, one, other):
                beside = one if other is hand else other
                carried = (
                    HEADROOM
                    * meter.rated_power_kw
                    * (other.at_ms - one.at_ms)
                    / MS_PER_H
                    / meter.multiplier_at(other.at_ms)
                )
                low, high = (beside.kwh, beside.kwh + carried) if other is hand else (beside.kwh - carried, beside.kwh)
                where = "before" if other is hand else "after"
                raise Unfit(
                    "display_kwh",
                    f"{max(low, Decimal(0)):.3f} to {high:.3f} kWh, {SPARE_COUNTS} counts more at most: {where} it the display showed"
                    f" {beside.kwh} at {_utc(beside.at_ms)}, and {meter.device} carries {meter.rated_power_kw} kW",
                    hand.kwh,
                )

    # -- interval energies ----------------------------------------------------------------------------------------

    def amount(
        self, facility: str, device: str, quantity: str, start_ms: int, energy_kwh: Decimal, entry: Entry
    ) -> ToldAmount:
        """Enters the energy of one interval of the facility's length; it stands until it is corrected or measured.

        Of an imported one it is a correction and needs a reason; it stands wherever that would.
        """
        self._series(facility, device, quantity)
        end_ms = start_ms + self._facility(facility).interval_ms
        if start_ms % (end_ms - start_ms):
            raise Unfit("start", f"the start of an interval of {(end_ms - start_ms) // 1000} s", _utc(start_ms))
        self._check(end_ms, energy_kwh, entry)
        ledger = self._settler.ledger
        filed = ledger.filed(facility, device, quantity, start_ms, end_ms)
        exact = [row for row in filed if (row.start_ms, row.end_ms) == (start_ms, end_ms)]
        imported = next((row for row in exact if row.source == IMPORT), None)
        if imported is None:
            standing = ledger.intervals(facility, device, quantity, start_ms - _DAY_MS, end_ms)
            taken = [
                row for row in standing if row.final and row.end_ms > start_ms and row.source not in (MANUAL, ESTIMATE)
            ]
            taken += [row for row in filed if row.source == IMPORT]
            if taken:
                row = taken[0]
                raise Unfit(
                    "start",
                    "an interval without a figure",
                    f"{row.energy_kwh} kWh ({row.source}) at {_utc(row.start_ms)}",
                )
        elif len(exact) == 1:  # nobody has corrected it yet
            if imported.energy_kwh == energy_kwh:
                raise Unfit("kwh", "another energy than the imported one, which is on record", energy_kwh)
            if not entry.reason.strip():
                raise Unfit("reason", f"why the imported {imported.energy_kwh} kWh is corrected", "nothing")
        versions = self._book.amounts(facility, device, start_ms, start_ms + 1, LISTED_MAX)
        kept = next((each for each in reversed(versions) if each.quantity == quantity), None)
        new = kept is None or kept.energy_kwh != energy_kwh
        if kept is None or new:
            if kept is not None and not entry.reason.strip():
                raise Unfit(
                    "reason",
                    f"why version {kept.version} ({kept.energy_kwh} kWh, by {kept.entry.by}) is corrected",
                    "nothing",
                )
            kept = self._book.enter_amount(
                facility, device, quantity, (start_ms, end_ms), energy_kwh, entry, self._settler.clock()
            )
        self._settler.books.enter(
            [
                IntervalRow(
                    facility, device, quantity, start_ms, end_ms, kept.energy_kwh, AS_ENTERED, final=True, source=MANUAL
                )
            ]
        )
        return ToldAmount(kept, new)

    def amounts(self, facility: str, device: str | None, from_ms: int, to_ms: int) -> list[HandAmount]:
        """Every version of every amount of a span."""
        found = self._book.amounts(facility, device, from_ms, to_ms, LISTED_MAX + 1)
        if len(found) > LISTED_MAX:
            raise Unfit("to", f"a shorter span, of at most {LISTED_MAX} versions", "more")
        return found

    # -- another meter --------------------------------------------------------------------------------------------

    def exchange(
        self, facility: str, device: str, quantity: str, at_ms: int, old_last_kwh: Decimal, new_first_kwh: Decimal, entry: Entry
    ) -> Ruling:  # fmt: skip
        """Another meter has taken the place: the last display of the old one and the first of the new one.

        Where nothing was measured since, the new meter's first display goes on record as read by hand.
        """
        series, _ = self._series(facility, device, quantity)
        self._check(at_ms, old_last_kwh, entry)
        self._check(at_ms, new_first_kwh, entry)
        if not entry.reason.strip():
            raise Unfit("reason", "why the meter was exchanged", "nothing")
        hand = None
        if self._line.measured(series, at_ms, 1) is None and not self._book.standing(series, at_ms):
            hand = self._book.enter(series, at_ms, new_first_kwh, entry, self._settler.clock())
        try:
            decision = Decision(at_ms, Said.EXCHANGE, None, old_last_kwh, new_first_kwh)
            ruling = Overruling(self._settler).decide(series, decision, entry.reason, entry.by, entry.evidence)
        except Unfit as error:
            if hand is not None:
                refused = Entry(entry.evidence, entry.by, f"the exchange was refused: {error}"[:TEXT_MAX])
                self._book.enter(series, at_ms, None, refused, self._settler.clock())
            raise
        self._settler.note(series, at_ms, at_ms)
        return ruling

    # -- checks ---------------------------------------------------------------------------------------------------

    def _facility(self, name: str) -> Facility:
        found = self._settler.facilities.get(name)
        if found is None:
            raise Unfit("facility", f"one of {', '.join(self._settler.facilities) or 'none'}", name)
        return found

    def _series(self, facility: str, device: str, quantity: str) -> tuple[SeriesKey, MeterSpec]:
        meter = self._facility(facility).meter(device)
        if meter is None:
            known = ", ".join(each.device for each in self._facility(facility).meters) or "none, it has no meter"
            raise Unfit("device", f"a meter of {facility} ({known})", device)
        counters = COUNTERS.get(meter.carrier, ()) if meter.counted else ()
        if quantity not in counters:
            expected = f"one of {', '.join(counters)}" if counters else f"a meter with a counter, {device} has none"
            raise Unfit("quantity", expected, quantity)
        return SeriesKey(facility, meter.edge, device, quantity), meter

    def _check(self, at_ms: int, kwh: Decimal, entry: Entry) -> None:
        now_ms = self._settler.clock()
        if not 0 < at_ms <= now_ms:
            raise Unfit("at", f"an instant that has passed (now {_utc(now_ms)})", _utc(at_ms))
        if not kwh.is_finite() or not 0 <= kwh < KWH_MAX or len(kwh.normalize().as_tuple().digits) > DIGITS_MAX:
            raise Unfit("kwh", f"0 or above, below 10^12, of at most {DIGITS_MAX} digits", kwh)
        self._check_words(entry)

    def _check_words(self, entry: Entry) -> None:
        for name, text in (("evidence", entry.evidence), ("by", entry.by)):
            if not text.strip():
                raise Unfit(
                    name, "what shows it: a photo, a sheet" if name == "evidence" else "who enters it", "nothing"
                )
        for name, text in (("evidence", entry.evidence), ("by", entry.by), ("reason", entry.reason)):
            if len(text) > TEXT_MAX:
                raise Unfit(name, f"at most {TEXT_MAX} characters", len(text))


def _between(before: Shown | None, after: Shown | None, at_ms: int) -> Decimal | None:
    """The measured line at an instant."""
    if before is None or after is None:
        return None if before is None and after is None else (before or after or Shown(0, Decimal(0))).kwh
    if after.at_ms == before.at_ms:
        return after.kwh
    share = Decimal(at_ms - before.at_ms) / (after.at_ms - before.at_ms)
    return (before.kwh + (after.kwh - before.kwh) * share).quantize(Decimal("0.001"))


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

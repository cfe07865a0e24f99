"""Which inputs differ between two calculations of one span, and the calculation in which some are new and the others old. Not the split (see `bridge`).

| cause                | what is new in it                                                                        |
|----------------------|------------------------------------------------------------------------------------------|
| factor               | electricity and heat factors, the facility's own, its place, hourly series, certificates |
| fuel parameter       | net calorific value, carbon content, oxidation, process factors                          |
| gwp set              | global warming potentials, or the set that the profile takes                             |
| activity             | interval energies and activity records, as known later                                   |
| activity:multiplier  | CT x PT of a meter: its energies times the quotient of both multipliers                  |
| boundary             | which meters there are, what each counts as, and what stands behind them                 |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final

from aggregator.accounts.compile import Accounts, Span, compile_statement
from aggregator.accounts.period import Period
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.statement import Statement
from aggregator.emissions.entry import Entry
from aggregator.facility import Facility
from aggregator.intervals.meter import ONE, MeterSpec, Multiplier
from aggregator.ledger import IntervalRow

FACTOR: Final = "factor"
FUEL_PARAMETER: Final = "fuel parameter"
GWP_SET: Final = "gwp set"
ACTIVITY: Final = "activity"
MULTIPLIER: Final = "activity:multiplier"
BOUNDARY: Final = "boundary"
CAUSES: Final = (FACTOR, FUEL_PARAMETER, GWP_SET, ACTIVITY, MULTIPLIER, BOUNDARY)

_BY_KIND: Final = {"electricity": FACTOR, "heat": FACTOR, "gwp": GWP_SET}
_STEP_KWH: Final = Decimal(
    "1E-12"
)  # of an energy under another multiplier; what is lost there is in no total, only in a split
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a calculation was made of: rules, times, and the factors that were known then."""

    rules: Rules
    span: Span
    entries: Sequence[Entry]


def inputs_of(accounts: Accounts, rules: Rules, span: Span) -> Inputs:
    """Raises what `Accounts.opened` raises."""
    with accounts.opened(rules.facility, rules.profile, span) as (period, _):
        return Inputs(rules, span, period.entries)


def causes_between(old: Inputs, new: Inputs) -> list[str]:
    """Which causes can have an effect, in the order of `CAUSES`."""
    one, other = old.rules.facility, new.rules.facility
    times = [(inputs.span.factors_ms, inputs.span.draft_factors) for inputs in (old, new)]
    activities = [(inputs.span.as_of_ms, inputs.span.draft_activities) for inputs in (old, new)]
    differ = {
        FACTOR: times[0] != times[1] or one.factor_place() != other.factor_place(),
        FUEL_PARAMETER: _of(old.entries, FUEL_PARAMETER) != _of(new.entries, FUEL_PARAMETER),
        GWP_SET: _potentials(old) != _potentials(new),
        ACTIVITY: activities[0] != activities[1],
        MULTIPLIER: _multipliers(one) != _multipliers(other),
        BOUNDARY: _boundary(one) != _boundary(other),
    }
    return [cause for cause in CAUSES if differ[cause]]


def mixed(accounts: Accounts, old: Inputs, new: Inputs, fresh: frozenset[str]) -> Statement:
    """The statement when the inputs of the causes in `fresh` are the new ones; its profile is the old one but for the gwp set. Raises what `Accounts.opened` raises."""
    activity, factor = (new if cause in fresh else old for cause in (ACTIVITY, FACTOR))
    facility = _facility(old.rules.facility, new.rules.facility, fresh)
    profile = replace(old.rules.profile, gwp=(new if GWP_SET in fresh else old).rules.profile.gwp)
    span = replace(
        old.span,
        as_of_ms=activity.span.as_of_ms,
        draft_activities=activity.span.draft_activities,
        factors_as_of_ms=factor.span.factors_ms,
        draft_factors=factor.span.draft_factors,
    )
    with accounts.opened(facility, profile, span) as (period, makers):
        entries = [
            entry
            for cause in (FACTOR, FUEL_PARAMETER, GWP_SET)
            for entry in _of((new if cause in fresh else old).entries, cause)
        ]
        return compile_statement(_shown_by(activity.rules.facility, replace(period, entries=entries)), makers)


def _facility(old: Facility, new: Facility, fresh: frozenset[str]) -> Facility:
    bounds, place = (new if cause in fresh else old for cause in (BOUNDARY, FACTOR))
    multipliers = {meter.device: meter.multipliers for meter in (new if MULTIPLIER in fresh else old).meters}
    meters = (replace(each, multipliers=multipliers.get(each.device, each.multipliers)) for each in bounds.meters)
    return replace(
        bounds, meters=tuple(meters), place=place.place, overrides=place.overrides, grid_zone=place.grid_zone
    )


def _shown_by(had: Facility, period: Period) -> Period:
    """The period with the energies of `had`'s multipliers turned into those of its own."""
    if all(each.multipliers == meter.multipliers for each, meter in _both(had, period.facility)):
        return period
    read = period.intervals

    def intervals(device: str, quantity: str) -> Sequence[IntervalRow]:
        rows = read(device, quantity)
        for each, meter in _both(had, period.facility):
            if meter.device == device and each.multipliers != meter.multipliers:
                return [_times(row, each, meter) for row in rows]
        return rows

    return replace(period, intervals=intervals, columns=None, rows=None)


def _both(one: Facility, other: Facility) -> list[tuple[MeterSpec, MeterSpec]]:
    """The meters that both have."""
    known = {meter.device: meter for meter in one.meters}
    return [(known[meter.device], meter) for meter in other.meters if meter.device in known]


def _of(entries: Sequence[Entry], cause: str) -> list[Entry]:
    return [e for e in entries if e.status == "approved" and _BY_KIND.get(e.kind, FUEL_PARAMETER) == cause]


def _potentials(inputs: Inputs) -> tuple[str, list[Entry]]:
    return inputs.rules.profile.gwp, _of(inputs.entries, GWP_SET)


def _multipliers(facility: Facility) -> dict[str, object]:
    return {
        meter.device: [(each.factor, each.valid_from_ms) for each in meter.multipliers] for meter in facility.meters
    }


def _boundary(facility: Facility) -> Facility:
    """The facility without what belongs to another cause, or to none."""
    meters = tuple(replace(meter, multipliers=(Multiplier(ONE),)) for meter in facility.meters)
    return replace(
        facility, meters=meters, name="", place="", overrides=(), grid_zone="", connection_kw=None, carbon_prices=()
    )


def _times(row: IntervalRow, had: MeterSpec, has: MeterSpec) -> IntervalRow:
    """The interval as the other multiplier would have it; that of its first moment holds throughout."""
    quotient = Fraction(has.multiplier_at(row.start_ms)) / Fraction(had.multiplier_at(row.start_ms))
    energy = Fraction(row.energy_kwh) * quotient
    energy_kwh = _WIDE.divide(Decimal(energy.numerator), Decimal(energy.denominator))
    return replace(row, energy_kwh=_WIDE.quantize(energy_kwh, _STEP_KWH))

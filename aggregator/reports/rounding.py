"""What a total would have been, had each interval been rounded, and what another column of figures for the same intervals says. Not the total itself.

Rounding an interval to q leaves out at most half of q, always to zero below it; thousands of small intervals lose in one direction. A column of
rounded figures gives itself away: each of its rows bounds the factor behind it, and what the rows cannot hold is counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from aggregator.emissions.amounts import EXACT

GRAINS_T: Final = (Decimal("0.01"), Decimal("0.001"), Decimal("0.000001"))
_FIGURES: Final = Context(prec=5)  # of an implied factor: more digits than its bounds agree in would be invented


@dataclass(frozen=True, slots=True)
class Rounded:
    """The sum of intervals each rounded half-even to `grain_t`; `zeroed` intervals became 0, which were `zeroed_t` together."""

    grain_t: Decimal
    total_t: Decimal
    zeroed: int
    zeroed_t: Decimal
    error_percent: Decimal | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A run of intervals [start_ms, end_ms) that the column has as 0 though they are above half of its last digit."""

    start_ms: int
    end_ms: int
    intervals: int
    energy_kwh: Decimal
    kg: Decimal


@dataclass(frozen=True, slots=True)
class Column:
    """Another series of t for the same intervals, and why it differs from energy times the factor that it implies.

    `low` and `high` (kg/kWh) bound the factor that rounds to every row that is not 0; `implied` is their middle in five digits, None where no factor does.
    Column + rounded_to_zero_t + missing_t + others_t = implied_total_t.
    """

    name: str
    total_t: Decimal
    grain_t: Decimal
    low: Decimal
    high: Decimal
    implied: Decimal | None
    implied_total_t: Decimal | None = None
    rounded_to_zero: int = 0
    rounded_to_zero_t: Decimal = Decimal(0)
    missing: tuple[Missing, ...] = ()
    missing_t: Decimal = Decimal(0)
    others_t: Decimal = Decimal(0)
    error_percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rounding:
    """Of one profile: the exact total of its `intervals` (t) beside those of rounded intervals, and of another column where one was given."""

    profile: str
    intervals: int
    energy_kwh: Decimal
    total_t: Decimal
    rounded: tuple[Rounded, ...]
    column: Column | None = None


def rounding(
    profile: str,
    parts: Sequence[tuple[int, int, Decimal, Decimal]],
    column: tuple[str, Mapping[int, Decimal]] | None = None,
) -> Rounding:
    """Of (start_ms, end_ms, kWh, kg) of each interval, in order. `column`: a name and t by start.

    Raises ValueError where the column lacks an interval.
    """
    total_kg, energy_kwh = Decimal(0), Decimal(0)
    for _, _, kwh, kg in parts:
        total_kg, energy_kwh = EXACT.add(total_kg, kg), EXACT.add(energy_kwh, kwh)
    total_t = in_tons(total_kg)
    rounded = tuple(_rounded(grain_t, [kg for *_, kg in parts], total_t) for grain_t in GRAINS_T)
    beside = None if column is None else explained(*column, [(start, end, kwh) for start, end, kwh, _ in parts])
    return Rounding(profile, len(parts), energy_kwh, total_t, rounded, beside)


def in_tons(kg: Decimal) -> Decimal:
    """The same amount in t, exactly."""
    return kg.scaleb(-3, EXACT)


def _rounded(grain_t: Decimal, kilograms: Sequence[Decimal], exact_t: Decimal) -> Rounded:
    total_t, zeroed, zeroed_t = Decimal(0), 0, Decimal(0)
    for kg in kilograms:
        tons = in_tons(kg)
        as_said = tons.quantize(grain_t, ROUND_HALF_EVEN)
        total_t += as_said
        if not as_said and tons:
            zeroed, zeroed_t = zeroed + 1, zeroed_t + tons
    return Rounded(grain_t, total_t, zeroed, zeroed_t, _percent(total_t - exact_t, exact_t))


def explained(name: str, said_t: Mapping[int, Decimal], energies: Sequence[tuple[int, int, Decimal]]) -> Column:
    """A column against the energies of the same intervals: the factor that it implies, and what it has lost. Raises ValueError."""
    lacking = [start for start, *_ in energies if start not in said_t]
    if lacking:
        raise ValueError(
            f"column {name}: expected a figure for each of {len(energies)} intervals, {len(lacking)} have none (first: {lacking[0]})"
        )
    said = [(start, end, kwh, said_t[start]) for start, end, kwh in energies]
    total_t = sum((tons for *_, tons in said), Decimal(0))
    grain_t = min((_grain(tons) for *_, tons in said if tons), default=Decimal(1))
    low, high = _bounds(said, grain_t)
    if not Decimal(0) < low <= high:
        return Column(name, total_t, grain_t, low, high, None)
    implied = _FIGURES.plus((low + high) / 2)
    whole_t = in_tons(implied * sum((kwh for *_, kwh, _ in said), Decimal(0)))
    half = grain_t / 2
    zeroed = [in_tons(kwh * implied) for _, _, kwh, tons in said if not tons]
    small = [tons for tons in zeroed if tons <= half]
    runs = _missing(said, implied, half)
    missing_t = in_tons(sum((run.kg for run in runs), Decimal(0)))
    small_t = sum(small, Decimal(0))
    return Column(
        name, total_t, grain_t, low, high, implied, whole_t, sum(1 for tons in small if tons), small_t, runs, missing_t,
        whole_t - total_t - small_t - missing_t, _percent(total_t - whole_t, whole_t),
    )  # fmt: skip


def _bounds(said: Sequence[tuple[int, int, Decimal, Decimal]], grain_t: Decimal) -> tuple[Decimal, Decimal]:
    """kg/kWh that give every row that is not 0 when rounded to the grain."""
    low, high = Decimal(0), Decimal("Infinity")
    for *_, kwh, tons in said:
        if tons and kwh:
            low = max(low, (tons - grain_t / 2) * 1000 / kwh)
            high = min(high, (tons + grain_t / 2) * 1000 / kwh)
    return low, high if high.is_finite() else Decimal(0)


def _missing(
    said: Sequence[tuple[int, int, Decimal, Decimal]], implied: Decimal, half_t: Decimal
) -> tuple[Missing, ...]:
    """Runs of neighbouring rows that are 0 and should not be, a row that may be 0 between them bridged."""
    runs: list[Missing] = []
    open_run = False
    for start_ms, end_ms, kwh, tons in said:
        if tons:
            open_run = False
            continue
        kg = kwh * implied
        if in_tons(kg) <= half_t:
            continue
        if open_run:
            last = runs[-1]
            runs[-1] = Missing(last.start_ms, end_ms, last.intervals + 1, last.energy_kwh + kwh, last.kg + kg)
        else:
            runs.append(Missing(start_ms, end_ms, 1, kwh, kg))
            open_run = True
    return tuple(runs)


def _grain(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(exponent, 0))


def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    return part / whole * 100 if whole else None

"""The scenario forecast, formula (3) of the data-bank paper, in two modes: Kaya (all elasticities 1) and STIRPAT (cited ones).

GHG_f(y) = GHG_h x product over drivers k of (X_k(y) / X_k(h)) ^ e_k
"""

import math
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from aggregator.emissions.formulas.bridge import logarithmic_shares
from aggregator.emissions.formulas.drivers import (
    FACILITY,
    KAYA,
    KAYA_MULTIPLIERS,
    Elasticities,
    checked_elasticities,
    checked_product,
    same_years,
)
from aggregator.emissions.formulas.guards import Impossible, positive
from aggregator.emissions.formulas.irrational import logarithm, power
from aggregator.emissions.formulas.worked import Figure, Worked, shown

SCENARIOS: Final = ("baseline", "policy", "deep")
BACKCAST_YEARS: Final = 5
DRAWS: Final = 10_000
SEED: Final = 20260101  # so that the same question gives the same band

Ratios = Mapping[str, Fraction]
History = Mapping[str, Sequence[Fraction]]


def kaya(
    base_t: Fraction, ratios: Ratios, history_t: Sequence[Fraction] = (), history: History | None = None
) -> Worked:
    """The forecast with all elasticities 1, t CO2e. Raises Impossible.

    Population x GDP per head x energy per GDP x CO2 per energy telescopes to CO2; technology, urbanisation and industry structure are
    further multipliers, and count as unchanged where they are not given.
    """
    positive("base_t", base_t)
    checked_product(ratios, KAYA)
    one = {name: Fraction(1) for name in ratios}
    unchanged = [name for name in KAYA_MULTIPLIERS if name not in ratios]
    notes = ["mode kaya: every elasticity is 1"]
    if unchanged:
        notes.append(f"unchanged: {', '.join(unchanged)}")
    before = _backcast(history_t, history or {}, one)
    return before.with_more(_steps(base_t, ratios, one), ("factor", "forecast_t"), notes)


def facility(
    base_t: Fraction, ratios: Ratios, history_t: Sequence[Fraction] = (), history: History | None = None
) -> Worked:
    """The forecast of one facility: output x energy per output x fuel mix x grid factor, t CO2e. Raises Impossible."""
    positive("base_t", base_t)
    checked_product(ratios, tuple(FACILITY))
    one = {name: Fraction(1) for name in ratios}
    before = _backcast(history_t, history or {}, one)
    return before.with_more(_steps(base_t, ratios, one), ("factor", "forecast_t"), ["every elasticity is 1"])


def stirpat(
    base_t: Fraction,
    ratios: Ratios,
    elasticities: Elasticities,
    history_t: Sequence[Fraction] = (),
    history: History | None = None,
) -> Worked:
    """The forecast with cited elasticities and its 90 % band from their standard errors, t CO2e. Raises Impossible."""
    positive("base_t", base_t)
    checked_elasticities(ratios, elasticities)
    before = _backcast(history_t, history or {}, elasticities.of)
    figures = _steps(base_t, ratios, elasticities.of)
    notes = [f"mode stirpat: {elasticities}"]
    band, said = _band(base_t, ratios, elasticities)
    return before.with_more([*figures, *band], ("factor", "forecast_t", *(f.name for f in band)), [*notes, said])


def scenarios(base_t: Fraction, of: Mapping[str, Ratios], elasticities: Elasticities | None) -> Worked:
    """The three named scenarios side by side, and what each driver has of the way from one to the next, t CO2e. Raises Impossible.

    Without elasticities in Kaya mode. The bridge is LMDI: its shares sum to the difference.
    """
    positive("base_t", base_t)
    drivers = {name for scenario in of.values() for name in scenario}
    for name in SCENARIOS:
        if set(of.get(name, {})) != drivers or not drivers:
            raise Impossible(
                f"{name}: expected the same drivers in each of {', '.join(SCENARIOS)} ({', '.join(sorted(drivers)) or 'none seen'}), "
                f"saw {', '.join(sorted(of.get(name, {}))) or 'none'}"
            )
    figures, results = [], []
    totals = {}
    for name in SCENARIOS:
        if elasticities is None:
            checked_product(of[name], KAYA)
            exponents: Mapping[str, Fraction] = {driver: Fraction(1) for driver in drivers}
        else:
            checked_elasticities(of[name], elasticities)
            exponents = elasticities.of
        *_, factor, forecast = _steps(base_t, of[name], exponents)
        assert forecast.value is not None
        totals[name] = forecast.value
        figures.append(
            Figure(f"{name}_t", forecast.value, "t CO2e", f"{shown(base_t)} t x {shown(factor.value or Fraction(0))}")
        )
        results.append(f"{name}_t")
    for first, second in pairwise(SCENARIOS):
        change = totals[second] - totals[first]
        logs = {k: exponents[k] * logarithm(of[second][k] / of[first][k]) for k in of[first]}
        shares = logarithmic_shares(totals[first], totals[second], logs)
        for driver, share in shares.items():
            made_of = f"share of {driver}: {shown(of[first][driver])} becomes {shown(of[second][driver])}"
            figures.append(Figure(f"{first}_to_{second}_{driver}_t", share, "t CO2e", made_of))
        figures.append(Figure(f"{first}_to_{second}_t", change, "t CO2e", "sum of the shares"))
        results.append(f"{first}_to_{second}_t")
    mode = "mode kaya: every elasticity is 1" if elasticities is None else f"mode stirpat: {elasticities}"
    return Worked(tuple(figures), tuple(results), (mode, "scenarios, not predictions"))


def _steps(base_t: Fraction, ratios: Ratios, exponents: Mapping[str, Fraction]) -> list[Figure]:
    factor = Fraction(1)
    figures = []
    for name, value in ratios.items():
        raised = power(value, exponents[name])
        factor *= raised
        figures.append(Figure(f"{name}_factor", raised, "", f"{shown(value)} ^ {shown(exponents[name])}"))
    product = " x ".join(shown(figure.value or Fraction(0)) for figure in figures)
    figures.append(Figure("factor", factor, "", product))
    figures.append(Figure("forecast_t", base_t * factor, "t CO2e", f"{shown(base_t)} t x {shown(factor)}"))
    return figures


def _backcast(history_t: Sequence[Fraction], history: History, exponents: Mapping[str, Fraction]) -> Worked:
    """The past recast from its first year: what the formula would have said of the last five years. Shown before any future."""
    if not history_t:
        if history:
            raise Impossible(
                f"history_t: expected beside {', '.join(f'{name}_history' for name in history)}, it is missing"
            )
        return Worked((), (), ("not back-cast: no history is given",))
    if len(history_t) < BACKCAST_YEARS + 1:
        raise Impossible(f"history_t: expected {BACKCAST_YEARS + 1} years or more, oldest first, saw {len(history_t)}")
    same_years(history_t, history, exponents)
    for name, values in (("history_t", history_t), *((f"{n}_history", history[n]) for n in exponents)):
        for value in values:
            positive(name, value)
    start = len(history_t) - BACKCAST_YEARS - 1
    figures, errors = [], []
    for year in range(start + 1, len(history_t)):
        factor = Fraction(1)
        for name, exponent in exponents.items():
            factor *= power(history[name][year] / history[name][start], exponent)
        said = history_t[start] * factor
        error = (said - history_t[year]) / history_t[year] * 100
        errors.append(abs(error))
        made_of = f"{shown(history_t[start])} t x {shown(factor, 6)}; it was {shown(history_t[year])} t, error {shown(error, 3)} %"
        figures.append(Figure(f"backcast_{year - start}_t", said, "t CO2e", made_of))
    mean = sum(errors, Fraction(0)) / len(errors)
    worst = f"mean of {len(errors)} absolute errors, the largest {shown(max(errors), 3)} %"
    return Worked((*figures, Figure("backcast_error_percent", mean, "%", worst)), ("backcast_error_percent",))


def _band(base_t: Fraction, ratios: Ratios, elasticities: Elasticities) -> tuple[list[Figure], str]:
    """5th and 95th percentile (nearest rank) over draws of the elasticities, independent and normal."""
    without = [name for name in ratios if name not in elasticities.standard_error]
    if without:
        return [], f"no band: the standard error is missing for {', '.join(without)}"
    draw = random.Random(SEED)
    terms = [
        (float(elasticities.of[name]), float(elasticities.standard_error[name]), math.log(ratio))
        for name, ratio in ratios.items()
    ]
    logs = sorted(sum(draw.gauss(mean, error) * log for mean, error, log in terms) for _ in range(DRAWS))
    low_t = base_t * Fraction(math.exp(logs[math.ceil(0.05 * DRAWS) - 1]))
    high_t = base_t * Fraction(math.exp(logs[math.ceil(0.95 * DRAWS) - 1]))
    made_of = f"percentile of {DRAWS} draws of the elasticities"
    figures = [
        Figure("low_t", low_t, "t CO2e", f"5th {made_of}"),
        Figure("high_t", high_t, "t CO2e", f"95th {made_of}"),
    ]
    return figures, f"the band holds 90 % of the draws (seed {SEED}); errors of the drivers themselves are not in it"

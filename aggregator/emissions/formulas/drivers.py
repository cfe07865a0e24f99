"""What drives a scenario: the paper's seven drivers as ratios to the base year, their elasticities and what is said of them. Not the forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, between

# The data-bank paper's GDP, P, T, D, U, I, S; GDP per head stands in for GDP wherever population is a driver of its own.
DRIVERS: Final[dict[str, str]] = {
    "population": "P",
    "gdp": "GDP",
    "gdp_per_head": "GDP/P",
    "energy_intensity": "D, energy per GDP",
    "carbon_intensity": "S, CO2 per energy (energy structure)",
    "technology": "T, technical progress",
    "urbanisation": "U, urban share",
    "industry_structure": "I, e.g. tertiary share",
}
# At a facility the same product is output x energy per output x CO2 of fuels per energy x grid factor's change.
FACILITY: Final[dict[str, str]] = {
    "output": "product made",
    "energy_per_output": "energy per product",
    "fuel_mix": "CO2 per energy by what is burnt and bought, at unchanged factors",
    "grid_factor": "CO2 per energy by the change of the grid's factor",
}
# The product of these telescopes: P x GDP/P x energy/GDP x CO2/energy = CO2.
KAYA: Final = ("population", "gdp_per_head", "energy_intensity", "carbon_intensity")
KAYA_MULTIPLIERS: Final = ("technology", "urbanisation", "industry_structure")


@dataclass(frozen=True, slots=True)
class Elasticities:
    """Exponents of the drivers with their standard errors (where the source gives one), and where they were estimated."""

    of: Mapping[str, Fraction]
    standard_error: Mapping[str, Fraction]
    source: str
    region: str
    period: str

    def __str__(self) -> str:
        return f"elasticities from {self.source} ({self.region}, {self.period})"


def checked_ratios(ratios: Mapping[str, Fraction]) -> None:
    """Raises Impossible for what is no ratio of two years, and for a driver that would be counted twice."""
    if not ratios:
        raise Impossible(f"drivers: expected at least one of {', '.join(DRIVERS)}, saw none")
    for name, value in ratios.items():
        between(name, value, "0.01", "100", "the value of the year divided by the base year's: +4.5 % is 1.045")
    if "gdp" in ratios and "gdp_per_head" in ratios:
        raise Impossible(
            "gdp and gdp_per_head: expected one of them, saw both; GDP is population x GDP per head and would count twice"
        )
    if "gdp" in ratios and "population" in ratios:
        raise Impossible(
            "gdp and population: expected gdp_per_head beside population, saw gdp; population would count twice"
        )


def checked_product(ratios: Mapping[str, Fraction], whole: Sequence[str]) -> None:
    """Raises Impossible where a product that telescopes (Kaya's, a facility's) lacks one of its factors."""
    checked_ratios(ratios)
    absent = [name for name in whole if name not in ratios]
    if absent:
        raise Impossible(
            f"expected all of {', '.join(whole)}, {', '.join(absent)} is missing; the product does not telescope"
        )


def checked_elasticities(ratios: Mapping[str, Fraction], elasticities: Elasticities) -> None:
    """Raises Impossible where drivers and elasticities do not belong together, or have no citation."""
    checked_ratios(ratios)
    for name in ratios:
        if name not in elasticities.of:
            raise Impossible(f"{name}_elasticity: expected beside {name}, it is missing; there is no default")
    for kind, given in (("elasticity", elasticities.of), ("error", elasticities.standard_error)):
        for name in given:
            if name not in ratios:
                raise Impossible(f"{name}_{kind}: expected together with {name}, which is missing")
    for name, value in elasticities.of.items():
        between(f"{name}_elasticity", value, "-10", "10", "% of emissions per % of the driver")
    for name, value in elasticities.standard_error.items():
        between(f"{name}_error", value, "0", "2", "standard error of the elasticity, in its unit")
    for key, text in (
        ("source", elasticities.source),
        ("region", elasticities.region),
        ("period", elasticities.period),
    ):
        if not text.strip():
            raise Impossible(f"elasticity_{key}: expected where the elasticities were estimated, is empty")


def same_years(
    history_t: Sequence[Fraction], history: Mapping[str, Sequence[Fraction]], ratios: Mapping[str, Fraction]
) -> None:
    """Raises Impossible where a driver's history does not cover the emissions' years."""
    for name in ratios:
        if name not in history:
            raise Impossible(f"{name}_history: expected {len(history_t)} values as in history_t, it is missing")
        if len(history[name]) != len(history_t):
            raise Impossible(
                f"{name}_history: expected {len(history_t)} values as in history_t, saw {len(history[name])}"
            )

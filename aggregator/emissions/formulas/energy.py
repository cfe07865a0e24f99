"""Emissions of energy interval by interval with coverage, and energy as coal equivalent. Not what is booked from meters (see `booking`)."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import between, not_negative, same_length
from aggregator.emissions.formulas.worked import Figure, Worked, shown

SHOWN_TERMS: Final = 12


def energy_emissions(energy_kwh: Sequence[Fraction | None], factor_kg_per_kwh: Sequence[Fraction | None]) -> Worked:
    """E = sum over intervals of kWh x factor, kg CO2e (GHG Protocol, scope 2). Raises Impossible.

    An interval without a factor has no emissions, neither 0 nor the others' mean: `coverage_percent` says how much of the energy has a
    figure, and the intensity is that of the covered energy alone.
    """
    same_length(energy_kwh=energy_kwh, factor_kg_per_kwh=factor_kg_per_kwh)
    total_kwh = covered_kwh = emissions_kg = Fraction(0)
    missing, terms = 0, []
    for energy, factor in zip(energy_kwh, factor_kg_per_kwh, strict=True):
        if energy is None:
            missing += 1
            continue
        not_negative("energy_kwh", energy)
        total_kwh += energy
        if factor is None:
            continue
        between("factor_kg_per_kwh", factor, "0", "2", "kg/kWh, not g/kWh")
        covered_kwh += energy
        emissions_kg += energy * factor
        terms.append(f"{shown(energy)} x {shown(factor)}")
    has = bool(terms)
    figures = (
        Figure("covered_kwh", covered_kwh, "kWh", "energy that has a factor"),
        Figure(
            "coverage_percent",
            covered_kwh / total_kwh * 100 if total_kwh else None,
            "%",
            f"{shown(covered_kwh)} kWh / {shown(total_kwh)} kWh",
        ),
        Figure("emissions_kg", emissions_kg if has else None, "kg CO2e", _sum_of(terms)),
        Figure(
            "intensity_kg_per_kwh",
            emissions_kg / covered_kwh if covered_kwh else None,
            "kg CO2e/kWh",
            f"{shown(emissions_kg)} kg / {shown(covered_kwh)} kWh",
        ),
    )
    notes = []
    if missing:
        notes.append(f"incomplete: {missing} of {len(energy_kwh)} intervals have no energy, and count for nothing")
    if covered_kwh != total_kwh:
        notes.append(f"incomplete: {shown(total_kwh - covered_kwh)} kWh have no factor, and no emissions")
    return Worked(figures, ("emissions_kg", "coverage_percent", "intensity_kg_per_kwh"), tuple(notes))


def _sum_of(terms: Sequence[str]) -> str:
    if len(terms) > SHOWN_TERMS:
        return f"{' + '.join(terms[:SHOWN_TERMS])} + ... ({len(terms)} terms)"
    return " + ".join(terms) or "no interval has a factor"


def coal_equivalent(energy_kwh: Fraction, coefficient_kgce_per_kwh: Fraction) -> Worked:
    """Standard coal = energy x coefficient, tce (GB/T 2589: 0.1229 kgce/kWh by heat content). Raises Impossible.

    By heat content (0.1229) or by what power plants burn (about 0.3): the coefficient says which, and it is no emission factor.
    """
    not_negative("energy_kwh", energy_kwh)
    between("coefficient_kgce_per_kwh", coefficient_kgce_per_kwh, "0.1", "0.45")
    made_of = f"{shown(energy_kwh)} kWh x {shown(coefficient_kgce_per_kwh)} kgce/kWh / 1000"
    value = energy_kwh * coefficient_kgce_per_kwh / 1000
    return Worked((Figure("coal_tce", value, "tce", made_of),), ("coal_tce",))

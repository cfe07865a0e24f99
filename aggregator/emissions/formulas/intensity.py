"""Emissions per product and per area, and the direct intensity of a sector. Ratios are made from sums, never averaged."""

from collections.abc import Sequence
from fractions import Fraction

from aggregator.emissions.formulas.guards import not_negative, positive, same_length
from aggregator.emissions.formulas.worked import Figure, Worked, shown


def product_intensity(emissions_t: Fraction, output: Fraction, output_unit: str) -> Worked:
    """I = emissions / output, t CO2e per unit of product (GB/T 32150; data-bank paper: emissions beside business data). Raises Impossible.

    No output gives no figure: neither infinity nor 0.
    """
    not_negative("output", output)
    name, unit = "intensity_t_per_unit", f"t CO2e/{output_unit}"
    if output == 0:
        missing = Figure(name, None, unit, f"{shown(emissions_t)} t / 0 {output_unit}")
        return Worked((missing,), (name,), ("no output, so no intensity",))
    made_of = f"{shown(emissions_t)} t / {shown(output)} {output_unit}"
    return Worked((Figure(name, emissions_t / output, unit, made_of),), (name,))


def area_intensity(emissions_kg: Fraction, area_m2: Fraction, energy_kwh: Fraction | None = None) -> Worked:
    """I = emissions / floor area, kg CO2e/m2, and kWh/m2 where the energy is given (white paper: buildings). Raises Impossible."""
    positive("area_m2", area_m2)
    figures = [
        Figure(
            "intensity_kg_per_m2",
            emissions_kg / area_m2,
            "kg CO2e/m2",
            f"{shown(emissions_kg)} kg / {shown(area_m2)} m2",
        )
    ]
    if energy_kwh is not None:
        not_negative("energy_kwh", energy_kwh)
        made_of = f"{shown(energy_kwh)} kWh / {shown(area_m2)} m2"
        figures.append(Figure("energy_kwh_per_m2", energy_kwh / area_m2, "kWh/m2", made_of))
    return Worked(tuple(figures), tuple(figure.name for figure in figures))


def sector_intensity(energy_kwh: Sequence[Fraction], factor_kg_per_kwh: Sequence[Fraction], output: Fraction) -> Worked:
    """S_i = sum over carriers of E_k x beta_k / X_i, kg CO2e per unit of output (white paper, annex 1). Raises Impossible."""
    same_length(energy_kwh=energy_kwh, factor_kg_per_kwh=factor_kg_per_kwh)
    positive("output", output)
    for energy, factor in zip(energy_kwh, factor_kg_per_kwh, strict=True):
        not_negative("energy_kwh", energy)
        not_negative("factor_kg_per_kwh", factor)
    emissions_kg = sum((e * f for e, f in zip(energy_kwh, factor_kg_per_kwh, strict=True)), Fraction(0))
    made_of = " + ".join(f"{shown(e)} x {shown(f)}" for e, f in zip(energy_kwh, factor_kg_per_kwh, strict=True))
    return Worked(
        (
            Figure("emissions_kg", emissions_kg, "kg CO2e", made_of),
            Figure(
                "intensity_kg_per_unit",
                emissions_kg / output,
                "kg CO2e per unit of output",
                f"{shown(emissions_kg)} kg / {shown(output)}",
            ),
        ),
        ("intensity_kg_per_unit",),
    )

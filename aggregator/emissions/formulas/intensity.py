"""Emissions per product and per area, and the direct intensity of a sector. Ratios are made from sums, never averaged."""

from collections.abc import Sequence
from fractions import Fraction

from aggregator.emissions.formulas.guards import not_negative, positive, same_length
from aggregator.emissions.formulas.worked import Figure, Worked, shown


def product_intensity(
    emissions_t: Fraction,
    output: Fraction,
    output_unit: str,
    energy_kwh: Fraction | None = None,
    coal_tce: Fraction | None = None,
) -> Worked:
    """I = emissions / output, t CO2e per unit of product, and kWh and kgce per unit where they are given (GB/T 32150; white paper: kgce per
    tonne of clinker, kWh per tonne of aluminium). Raises Impossible.

    No output gives no figure: neither infinity nor 0.
    """
    not_negative("output", output)
    wanted = [("intensity_t_per_unit", emissions_t, Fraction(1), "t", "t CO2e")]
    for key, name, value, scale, unit, per in (
        ("energy_kwh", "energy_kwh_per_unit", energy_kwh, Fraction(1), "kWh", "kWh"),
        ("coal_tce", "coal_kgce_per_unit", coal_tce, Fraction(1000), "tce", "kgce"),
    ):
        if value is not None:
            not_negative(key, value)
            wanted.append((name, value, scale, unit, per))
    figures = tuple(
        Figure(
            name,
            value * scale / output if output else None,
            f"{per}/{output_unit}",
            f"{shown(value)} {unit} / {shown(output)} {output_unit}",
        )
        for name, value, scale, unit, per in wanted
    )
    return Worked(figures, tuple(figure.name for figure in figures), () if output else ("no output, so no intensity",))


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

"""What running software emits: its energy, and its share of the machine that was made for it. Not how the energy is measured."""

from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import between, not_negative, positive
from aggregator.emissions.formulas.worked import Figure, Worked, shown

HOURS_PER_YEAR: Final = 8760


def software_intensity(
    energy_kwh: Fraction,
    factor_kg_per_kwh: Fraction,
    embodied_kg: Fraction,
    life_years: Fraction,
    used_h: Fraction,
    units: Fraction,
) -> Worked:
    """SCI = (energy x factor + embodied x time used / life) / functional units, g CO2e (ISO/IEC 21031, SCI). Raises Impossible."""
    not_negative("energy_kwh", energy_kwh)
    between("factor_kg_per_kwh", factor_kg_per_kwh, "0", "2", "kg/kWh, not g/kWh")
    not_negative("embodied_kg", embodied_kg)
    positive("life_years", life_years)
    positive("used_h", used_h)
    positive("units", units)
    running_g = energy_kwh * factor_kg_per_kwh * 1000
    embodied_g = embodied_kg * 1000 * used_h / (life_years * HOURS_PER_YEAR)
    made_of = f"{shown(embodied_kg)} kg x {shown(used_h)} h / ({shown(life_years)} x {HOURS_PER_YEAR} h)"
    return Worked(
        (
            Figure("running_g", running_g, "g CO2e", f"{shown(energy_kwh)} kWh x {shown(factor_kg_per_kwh)} kg/kWh"),
            Figure("embodied_g", embodied_g, "g CO2e", made_of),
            Figure(
                "sci_g_per_unit",
                (running_g + embodied_g) / units,
                "g CO2e per unit",
                f"({shown(running_g)} g + {shown(embodied_g)} g) / {shown(units)}",
            ),
        ),
        ("sci_g_per_unit",),
    )

"""Heat: steam and hot water by enthalpy, cooling by the plant's coefficient of performance, heat and power by efficiency. Not fuel burnt.

A chiller's or boiler's own output is an allocation of what its meter already counts, never an addition.
"""

from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import between, not_negative, positive
from aggregator.emissions.formulas.worked import Figure, Worked, shown

# Enthalpy of feed water at 20 degC as the sector guides print it (20 x 4.187); hot water is reckoned with 4.1868 there.
FEED_WATER_KJ_PER_KG: Final = Fraction("83.74")
WATER_KJ_PER_KG_K: Final = Fraction("4.1868")


def steam(steam_t: Fraction, enthalpy_kj_per_kg: Fraction, factor_t_per_gj: Fraction) -> Worked:
    """Q = m x (h - 83.74) / 1000 GJ and E = Q x factor, t CO2 (GB/T 32150 and sector guides). Raises Impossible."""
    not_negative("steam_t", steam_t)
    between("enthalpy_kj_per_kg", enthalpy_kj_per_kg, "83.74", "3700", "saturated steam has about 2,777 at 1 MPa")
    heat_gj = steam_t * (enthalpy_kj_per_kg - FEED_WATER_KJ_PER_KG) / 1000
    return _bought(heat_gj, f"{shown(steam_t)} t x ({shown(enthalpy_kj_per_kg)} - 83.74) kJ/kg / 1000", factor_t_per_gj)


def hot_water(water_t: Fraction, water_degc: Fraction, factor_t_per_gj: Fraction) -> Worked:
    """Q = m x (t - 20) x 4.1868 / 1000 GJ and E = Q x factor, t CO2 (GB/T 32150 and sector guides). Raises Impossible."""
    not_negative("water_t", water_t)
    between("water_degc", water_degc, "20", "200", "heat counts from 20 degC")
    heat_gj = water_t * (water_degc - 20) * WATER_KJ_PER_KG_K / 1000
    return _bought(heat_gj, f"{shown(water_t)} t x ({shown(water_degc)} - 20) x 4.1868 kJ/kg / 1000", factor_t_per_gj)


def _bought(heat_gj: Fraction, made_of: str, factor_t_per_gj: Fraction) -> Worked:
    between("factor_t_per_gj", factor_t_per_gj, "0", "0.5", "t CO2 per GJ of heat")
    return Worked(
        (
            Figure("heat_gj", heat_gj, "GJ", made_of),
            Figure(
                "emissions_t",
                heat_gj * factor_t_per_gj,
                "t CO2",
                f"{shown(heat_gj)} GJ x {shown(factor_t_per_gj)} t/GJ",
            ),
        ),
        ("emissions_t",),
    )


def cooling(cooling_kwh: Fraction, performance_ratio: Fraction, factor_kg_per_kwh: Fraction) -> Worked:
    """E = cooling / COP x electricity factor, kg CO2, for cooling bought from an electric chiller plant. Raises Impossible."""
    not_negative("cooling_kwh", cooling_kwh)
    between(
        "performance_ratio", performance_ratio, "0.3", "15", "kWh of cooling per kWh of electricity of the whole plant"
    )
    between("factor_kg_per_kwh", factor_kg_per_kwh, "0", "2", "kg/kWh, not g/kWh")
    electricity_kwh = cooling_kwh / performance_ratio
    return Worked(
        (
            Figure("electricity_kwh", electricity_kwh, "kWh", f"{shown(cooling_kwh)} kWh / {shown(performance_ratio)}"),
            Figure(
                "emissions_kg",
                electricity_kwh * factor_kg_per_kwh,
                "kg CO2",
                f"{shown(electricity_kwh)} kWh x {shown(factor_kg_per_kwh)} kg/kWh",
            ),
        ),
        ("emissions_kg",),
    )


def heat_and_power(
    emissions_t: Fraction,
    heat_gj: Fraction,
    electricity_gj: Fraction,
    heat_efficiency_ratio: Fraction,
    electricity_efficiency_ratio: Fraction,
) -> Worked:
    """Emissions of combined heat and power shared by efficiency: E_heat = E x (H / e_H) / (H / e_H + P / e_P), t CO2 (GHG Protocol,
    Allocation of GHG Emissions from a Combined Heat and Power Plant, efficiency method). The shares sum to the whole. Raises Impossible.
    """
    not_negative("emissions_t", emissions_t)
    not_negative("heat_gj", heat_gj)
    not_negative("electricity_gj", electricity_gj)
    between("heat_efficiency_ratio", heat_efficiency_ratio, "0.3", "1.1", "of making that heat alone, often 0.8")
    between(
        "electricity_efficiency_ratio", electricity_efficiency_ratio, "0.1", "0.7", "of making it alone, often 0.35"
    )
    fuel_of_heat_gj = heat_gj / heat_efficiency_ratio
    fuel_of_electricity_gj = electricity_gj / electricity_efficiency_ratio
    whole_gj = fuel_of_heat_gj + fuel_of_electricity_gj
    positive("heat_gj + electricity_gj", whole_gj)
    share = fuel_of_heat_gj / whole_gj
    return Worked(
        (
            Figure("fuel_of_heat_gj", fuel_of_heat_gj, "GJ", f"{shown(heat_gj)} GJ / {shown(heat_efficiency_ratio)}"),
            Figure(
                "fuel_of_electricity_gj",
                fuel_of_electricity_gj,
                "GJ",
                f"{shown(electricity_gj)} GJ / {shown(electricity_efficiency_ratio)}",
            ),
            Figure("heat_share_ratio", share, "", f"{shown(fuel_of_heat_gj)} GJ / {shown(whole_gj)} GJ"),
            Figure("heat_t", emissions_t * share, "t CO2", f"{shown(emissions_t)} t x {shown(share)}"),
            Figure(
                "electricity_t", emissions_t * (1 - share), "t CO2", f"{shown(emissions_t)} t x (1 - {shown(share)})"
            ),
        ),
        ("heat_t", "electricity_t"),
    )

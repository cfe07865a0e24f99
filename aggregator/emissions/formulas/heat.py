"""Purchased heat: steam and hot water by enthalpy, cooling by the plant's coefficient of performance. Not fuel burnt on site.

A chiller's or boiler's own output is an allocation of what its meter already counts, never an addition.
"""

from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import between, not_negative
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

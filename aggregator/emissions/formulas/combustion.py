"""CO2 and other gases from burning fuel. Not the fuels' parameters: every one of them is asked for.

Formula (1) of the data-bank paper, GHG = sum of E x HG x theta, and the sector guides' AD x NCV x CC x OF x 44/12 are one: E = AD x NCV, HG = CC x 44/12, theta = OF.
"""

from fractions import Fraction

from aggregator.emissions.formulas.guards import between, not_negative, ratio
from aggregator.emissions.formulas.units import CO2_PER_CARBON
from aggregator.emissions.formulas.worked import Figure, Worked, shown

_CARBON_HINT = "the unit is tC/GJ; tC/TJ divided by 1000, tCO2/GJ times 12/44"


def combustion(
    fuel_t: Fraction,
    ncv_gj_per_t: Fraction,
    carbon_t_per_gj: Fraction,
    oxidation_ratio: Fraction,
    stored_ratio: Fraction | None = None,
) -> Worked:
    """E = AD x NCV x CC x OF x 44/12, t CO2 (GB/T 32151; data-bank paper, formula (1)). Raises Impossible.

    `stored_ratio` is the share of carbon that stays in the product and is taken off (paper: carbon fixed in the product).
    """
    between(
        "ncv_gj_per_t", ncv_gj_per_t, "1", "145", "net calorific value in GJ/t; hydrogen has 120, kJ/kg divided by 1000"
    )
    return _burnt(fuel_t, "t", ncv_gj_per_t, carbon_t_per_gj, oxidation_ratio, stored_ratio)


def gas_combustion(
    volume_nm3: Fraction,
    ncv_gj_per_10k_nm3: Fraction,
    carbon_t_per_gj: Fraction,
    oxidation_ratio: Fraction,
) -> Worked:
    """E = AD x NCV x CC x OF x 44/12 with AD in 10^4 Nm3 (0 degC, 101.325 kPa), t CO2 (GB/T 32151). Raises Impossible."""
    between("ncv_gj_per_10k_nm3", ncv_gj_per_10k_nm3, "10", "1500", "GJ per 10^4 Nm3; natural gas has about 390")
    return _burnt(volume_nm3 / 10_000, "x 10^4 Nm3", ncv_gj_per_10k_nm3, carbon_t_per_gj, oxidation_ratio, None)


def _burnt(
    fuel: Fraction,
    unit: str,
    ncv: Fraction,
    carbon_t_per_gj: Fraction,
    oxidation_ratio: Fraction,
    stored_ratio: Fraction | None,
) -> Worked:
    not_negative("fuel", fuel)
    between("carbon_t_per_gj", carbon_t_per_gj, "0", "0.08", _CARBON_HINT)
    ratio("oxidation_ratio", oxidation_ratio)
    heat_gj = fuel * ncv
    carbon_t = heat_gj * carbon_t_per_gj
    figures = [
        Figure("heat_gj", heat_gj, "GJ", f"{shown(fuel)} {unit} x {shown(ncv)}"),
        Figure("carbon_t", carbon_t, "tC", f"{shown(heat_gj)} GJ x {shown(carbon_t_per_gj)} tC/GJ"),
    ]
    free_t = carbon_t
    if stored_ratio is not None:
        ratio("stored_ratio", stored_ratio)
        free_t = carbon_t * (1 - stored_ratio)
        made_of = f"{shown(carbon_t)} tC x (1 - {shown(stored_ratio)} fixed in the product)"
        figures.append(Figure("free_carbon_t", free_t, "tC", made_of))
    burnt_t = free_t * oxidation_ratio
    emissions_t = burnt_t * CO2_PER_CARBON
    figures += [
        Figure("oxidised_carbon_t", burnt_t, "tC", f"{shown(free_t)} tC x {shown(oxidation_ratio)}"),
        Figure("emissions_t", emissions_t, "t CO2", f"{shown(burnt_t)} tC x 44/12"),
    ]
    return Worked(tuple(figures), ("emissions_t",))


def combustion_by_heat(
    fuel_t: Fraction, ncv_gj_per_t: Fraction, factor_t_per_tj: Fraction, oxidation_ratio: Fraction
) -> Worked:
    """E = AD x NCV x EF x OF, t CO2 (IPCC 2006, volume 2, chapter 2; OF is 1 there). Raises Impossible."""
    not_negative("fuel_t", fuel_t)
    between("ncv_gj_per_t", ncv_gj_per_t, "1", "145", "net calorific value in GJ/t, not gross")
    between("factor_t_per_tj", factor_t_per_tj, "0", "300", "t CO2 per TJ; kg per TJ divided by 1000")
    ratio("oxidation_ratio", oxidation_ratio)
    heat_tj = fuel_t * ncv_gj_per_t / 1000
    emissions_t = heat_tj * factor_t_per_tj * oxidation_ratio
    return Worked(
        (
            Figure("heat_tj", heat_tj, "TJ", f"{shown(fuel_t)} t x {shown(ncv_gj_per_t)} GJ/t / 1000"),
            Figure(
                "emissions_t",
                emissions_t,
                "t CO2",
                f"{shown(heat_tj)} TJ x {shown(factor_t_per_tj)} t/TJ x {shown(oxidation_ratio)}",
            ),
        ),
        ("emissions_t",),
    )


def combustion_of_all_gases(
    heat_tj: Fraction,
    co2_kg_per_tj: Fraction,
    ch4_kg_per_tj: Fraction,
    n2o_kg_per_tj: Fraction,
    gwp_ch4: Fraction,
    gwp_n2o: Fraction,
    gwp_set: str,
) -> Worked:
    """E = sum over gases of heat x EF x GWP, kg CO2e (IPCC 2006, volume 2). `gwp_set` names the report the GWPs are from. Raises Impossible."""
    for name, value in (
        ("heat_tj", heat_tj),
        ("co2_kg_per_tj", co2_kg_per_tj),
        ("ch4_kg_per_tj", ch4_kg_per_tj),
        ("n2o_kg_per_tj", n2o_kg_per_tj),
    ):
        not_negative(name, value)
    between("gwp_ch4", gwp_ch4, "20", "90", "over 100 years AR5 has 28, AR6 29.8 for fossil methane")
    between("gwp_n2o", gwp_n2o, "250", "320", "over 100 years AR5 has 265, AR6 273")
    co2_kg = heat_tj * co2_kg_per_tj
    ch4_kg = heat_tj * ch4_kg_per_tj
    n2o_kg = heat_tj * n2o_kg_per_tj
    total_kg = co2_kg + ch4_kg * gwp_ch4 + n2o_kg * gwp_n2o
    made_of = f"{shown(co2_kg)} + {shown(ch4_kg)} x {shown(gwp_ch4)} + {shown(n2o_kg)} x {shown(gwp_n2o)} ({gwp_set})"
    return Worked(
        (
            Figure("co2_kg", co2_kg, "kg CO2", f"{shown(heat_tj)} TJ x {shown(co2_kg_per_tj)} kg/TJ"),
            Figure("ch4_kg", ch4_kg, "kg CH4", f"{shown(heat_tj)} TJ x {shown(ch4_kg_per_tj)} kg/TJ"),
            Figure("n2o_kg", n2o_kg, "kg N2O", f"{shown(heat_tj)} TJ x {shown(n2o_kg_per_tj)} kg/TJ"),
            Figure("emissions_kg", total_kg, "kg CO2e", made_of),
        ),
        ("emissions_kg",),
    )


def normal_volume(volume_m3: Fraction, measured_at_degc: Fraction) -> Worked:
    """Gas at 0 degC from gas at another temperature and the same pressure: V x 273.15 / (273.15 + t). Raises Impossible.

    A cubic metre at 20 degC is 0.9318 Nm3: taking one for the other is 6.8 % wrong.
    """
    not_negative("volume_m3", volume_m3)
    between("measured_at_degc", measured_at_degc, "-60", "100")
    factor = Fraction("273.15") / (Fraction("273.15") + measured_at_degc)
    return Worked(
        (
            Figure("volume_ratio", factor, "Nm3/m3", f"273.15 / (273.15 + {shown(measured_at_degc)})"),
            Figure("volume_nm3", volume_m3 * factor, "Nm3", f"{shown(volume_m3)} m3 x {shown(factor)}"),
        ),
        ("volume_nm3",),
    )

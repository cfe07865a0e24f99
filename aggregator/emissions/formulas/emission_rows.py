"""Formulas of what is emitted and taken up: burning, processes, heat, sinks. The calculations stand in the files they are imported from."""

from typing import Final

from aggregator.emissions.formulas import combustion, heat, process, sinks
from aggregator.emissions.formulas.declared import Formula, Input

_CARBON: Final = Input("carbon_t_per_gj", "tC/GJ", "carbon content per heat")
_OXIDATION: Final = Input("oxidation_ratio", "1", "share of the carbon that is oxidised")
_NCV: Final = Input("ncv_gj_per_t", "GJ/t", "net calorific value")
_FACTOR: Final = Input("factor_kg_per_kwh", "kg/kWh", "emission factor of electricity")
_HEAT_FACTOR: Final = Input("factor_t_per_gj", "t/GJ", "emission factor of the heat")
_METHODOLOGY: Final = Input("methodology", "", f"one a project: {' '.join(sinks.METHODOLOGIES)}", "words")
_BASELINE: Final = Input("baseline_t", "t", "C2, what would have been taken up without the project", "numbers")
_LEAKAGE: Final = Input("leakage_t", "t", "C3, what the project causes elsewhere", "numbers")
_DENSITY: Final = Input("co2_t_per_10k_nm3", "t/10^4Nm3", "density of CO2; 44 / 22.414 gives 19.63")
_GWP_SET: Final = Input("gwp_set", "", "the report that the GWPs are from, e.g. AR5", "word")


def _share(name: str, text: str) -> Input:
    return Input(name, "1", text)


BURNING: Final = (
    Formula(
        "combustion",
        "solid or liquid fuel burnt, with oxidation",
        "E = AD x NCV x CC x OF x 44/12",
        "data-bank paper, formula (1): GHG = sum of E x HG x theta; GB/T 32150, GB/T 32151",
        (
            Input("fuel_t", "t", "fuel burnt"),
            _NCV,
            _CARBON,
            _OXIDATION,
            Input("stored_ratio", "1", "share of the carbon that stays in the product", optional=True),
        ),
        combustion.combustion,
    ),
    Formula(
        "gas-combustion",
        "gaseous fuel burnt, with oxidation",
        "E = AD x NCV x CC x OF x 44/12, AD in 10^4 Nm3",
        "data-bank paper, formula (1); GB/T 32150, GB/T 32151",
        (
            Input("volume_nm3", "Nm3", "gas burnt, at 0 degC"),
            Input("ncv_gj_per_10k_nm3", "GJ/10^4Nm3", "net calorific value"),
            _CARBON,
            _OXIDATION,
        ),
        combustion.gas_combustion,
    ),
    Formula(
        "combustion-by-heat",
        "fuel burnt, with a factor per heat",
        "E = AD x NCV x EF x OF",
        "IPCC 2006 Guidelines, volume 2, chapter 2",
        (Input("fuel_t", "t", "fuel burnt"), _NCV, Input("factor_t_per_tj", "t/TJ", "CO2 per heat"), _OXIDATION),
        combustion.combustion_by_heat,
    ),
    Formula(
        "combustion-of-all-gases",
        "CO2, CH4 and N2O of fuel burnt, as CO2e",
        "E = heat x (EF_CO2 + EF_CH4 x GWP_CH4 + EF_N2O x GWP_N2O)",
        "IPCC 2006 Guidelines, volume 2, chapter 2",
        (
            Input("heat_tj", "TJ", "heat of the fuel, net"),
            Input("co2_kg_per_tj", "kg/TJ", "CO2 per heat"),
            Input("ch4_kg_per_tj", "kg/TJ", "CH4 per heat"),
            Input("n2o_kg_per_tj", "kg/TJ", "N2O per heat"),
            Input("gwp_ch4", "kg/kg", "GWP of CH4 over 100 years"),
            Input("gwp_n2o", "kg/kg", "GWP of N2O over 100 years"),
            _GWP_SET,
        ),
        combustion.combustion_of_all_gases,
    ),
    Formula(
        "normal-volume",
        "gas at 0 degC from gas at another temperature",
        "V = V_t x 273.15 / (273.15 + t)",
        "ideal gas at equal pressure",
        (
            Input("volume_m3", "m3", "gas as measured"),
            Input("measured_at_degc", "degC", "at this temperature, often 20"),
        ),
        combustion.normal_volume,
    ),
)

PROCESSES: Final = (
    Formula(
        "carbonate",
        "carbonate calcined",
        "E = material x purity x share calcined x factor",
        "IPCC 2006 Guidelines, volume 3, table 2.1",
        (
            Input("material_t", "t", "raw material"),
            _share("purity_ratio", "share of carbonate in it"),
            _share("calcined_ratio", "share of the carbonate that is calcined"),
            Input("factor_t_per_t", "t/t", "CO2 per carbonate"),
        ),
        process.carbonate,
    ),
    Formula(
        "clinker",
        "process emissions of cement clinker",
        "E = clinker x ((CaO - CaO not from carbonate) x 44/56 + (MgO - MgO not from carbonate) x 44/40)",
        "GB/T 32151, cement; white paper: 55 to 60 % of a cement plant's emissions",
        (
            Input("clinker_t", "t", "clinker made"),
            _share("cao_ratio", "share of CaO in the clinker"),
            _share("mgo_ratio", "share of MgO in the clinker"),
            _share("cao_not_from_carbonate_ratio", "share of CaO that came in as oxide or from slag"),
            _share("mgo_not_from_carbonate_ratio", "share of MgO that came in as oxide or from slag"),
        ),
        process.clinker,
    ),
    Formula(
        "carbon-balance",
        "carbon in, less carbon in products and residues",
        "E = (sum in x C - sum products x C - sum residues x C) x 44/12",
        "data-bank paper, factor derivation: less the carbon fixed in the product; GB/T 32150",
        (
            Input("input_t", "t", "materials in", "numbers"),
            Input("input_carbon_ratio", "1", "share of carbon in each", "numbers"),
            Input("product_t", "t", "products", "numbers"),
            Input("product_carbon_ratio", "1", "share of carbon in each", "numbers"),
            Input("residue_t", "t", "residues, slag", "numbers"),
            Input("residue_carbon_ratio", "1", "share of carbon in each", "numbers"),
        ),
        process.carbon_balance,
    ),
    Formula(
        "carbon-burnt",
        "carbon burnt off: coke on a catalyst, an anode, a residue",
        "E = material x C x OF x 44/12",
        "GB/T 32150; white paper: catalyst coke burn of a petrochemical site",
        (Input("material_t", "t", "material"), _share("carbon_ratio", "share of carbon in it"), _OXIDATION),
        process.carbon_burnt,
    ),
    Formula(
        "flare",
        "gas flared, with the CO2 that was in it",
        "E = V x (C x OF x 44/12 + share of CO2 x density)",
        "sector guides for petrochemicals; white paper: flare gas",
        (
            Input("volume_nm3", "Nm3", "gas flared, at 0 degC"),
            Input("carbon_t_per_10k_nm3", "tC/10^4Nm3", "carbon in all but its CO2"),
            _OXIDATION,
            _share("co2_ratio", "share of CO2 by volume"),
            _DENSITY,
        ),
        process.flare,
    ),
    Formula(
        "vented-gas",
        "gas with CO2 let off: acid gas, off-gas",
        "E = V x share of CO2 x density",
        "sector guides for petrochemicals; white paper: carbon in acid gas",
        (
            Input("volume_nm3", "Nm3", "gas let off, at 0 degC"),
            _share("co2_ratio", "share of CO2 by volume"),
            _DENSITY,
        ),
        process.vented_gas,
    ),
    Formula(
        "leaked-gas",
        "refrigerant, SF6 or a blend that leaked",
        "E = leak x sum of share x GWP",
        "IPCC 2006 Guidelines, volume 3, chapters 7 and 8",
        (
            Input("leak_kg", "kg", "gas that leaked or was refilled"),
            Input("share_ratio", "1", "share of each gas by mass, 1 for a single gas", "numbers"),
            Input("gwp", "kg/kg", "GWP of each gas over 100 years", "numbers"),
            _GWP_SET,
        ),
        process.leaked_gas,
    ),
    Formula(
        "steam",
        "purchased steam",
        "Q = m x (h - 83.74) / 1000; E = Q x factor",
        "GB/T 32150 and the sector guides: heat by enthalpy",
        (Input("steam_t", "t", "steam"), Input("enthalpy_kj_per_kg", "kJ/kg", "its enthalpy"), _HEAT_FACTOR),
        heat.steam,
    ),
    Formula(
        "hot-water",
        "purchased hot water",
        "Q = m x (t - 20) x 4.1868 / 1000; E = Q x factor",
        "GB/T 32150 and the sector guides: heat by temperature",
        (Input("water_t", "t", "water"), Input("water_degc", "degC", "its temperature"), _HEAT_FACTOR),
        heat.hot_water,
    ),
    Formula(
        "cooling",
        "cooling bought from an electric plant",
        "E = cooling / COP x factor",
        "GHG Protocol Scope 2 Guidance; white paper: water, electricity, gas, heat and cold",
        (Input("cooling_kwh", "kWh", "cooling"), Input("performance_ratio", "", "COP of the whole plant"), _FACTOR),
        heat.cooling,
    ),
    Formula(
        "heat-and-power",
        "emissions of combined heat and power, shared by efficiency",
        "E_heat = E x (H / e_H) / (H / e_H + P / e_P)",
        "GHG Protocol, Allocation of GHG Emissions from a Combined Heat and Power Plant (efficiency method)",
        (
            Input("emissions_t", "t", "emissions of the plant"),
            Input("heat_gj", "GJ", "heat delivered"),
            Input("electricity_gj", "GJ", "electricity delivered"),
            Input("heat_efficiency_ratio", "1", "efficiency of making that heat alone"),
            Input("electricity_efficiency_ratio", "1", "efficiency of making that electricity alone"),
        ),
        heat.heat_and_power,
    ),
)

SINKS: Final = (
    Formula(
        "sink",
        "sinks of projects, beyond baseline and leakage",
        "C = sum of (C1 - C2 - C3)",
        "data-bank paper, formula (2)",
        (_METHODOLOGY, Input("project_t", "t", "C1, what the project took up", "numbers"), _BASELINE, _LEAKAGE),
        sinks.sink,
    ),
    Formula(
        "sink-forecast",
        "sinks of projects in a scenario's year",
        "C_f = sum of (C_sim - C2 - C3)",
        "data-bank paper, formula (4)",
        (
            Input("year", "", "the scenario's year"),
            _METHODOLOGY,
            Input("simulated_t", "t", "what the project's simulation takes up", "numbers"),
            _BASELINE,
            _LEAKAGE,
        ),
        sinks.sink_forecast,
    ),
)

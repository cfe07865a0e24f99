"""Formulas of what is made of emissions and energy: ratios, prices, changes, uncertainty. The calculations stand in the files they are imported from."""

from typing import Final

from aggregator.emissions.formulas import (
    bridge,
    carbon_price,
    claims,
    data_centre,
    energy,
    input_output,
    intensity,
    software,
    uncertainty,
    units,
)
from aggregator.emissions.formulas.declared import Formula, Input

_FACTOR: Final = Input("factor_kg_per_kwh", "kg/kWh", "emission factor of electricity")
_CAUSE: Final = Input("cause", "", "names of the factors of the product", "words")
_BEFORE: Final = Input("before", "", "their values before", "numbers")
_AFTER: Final = Input("after", "", "their values after", "numbers")

RATIOS: Final = (
    Formula(
        "data-centre",
        "PUE, DCiE, WUE, CUE, limits and savings of a data centre",
        "PUE = total / IT; DCiE = 1 / PUE; CUE = PUE x factor; WUE = water / IT",
        "data-bank paper: total energy of the data infrastructure / energy of IT devices; ISO/IEC 30134-2, -8, -9",
        (
            Input("total_kwh", "kWh", "energy of the whole data centre"),
            Input("it_kwh", "kWh", "energy of its IT devices"),
            Input("factor_kg_per_kwh", "kg/kWh", "emission factor, for CUE and savings", optional=True),
            Input("water_l", "l", "water used, for WUE", optional=True),
            Input("previous_pue", "", "PUE before, for savings", optional=True),
            Input("limits_of", "", f"limits of a place: {' '.join(data_centre.LIMITS)}", "word", optional=True),
            Input("limit_pue", "", "a limit of your own", optional=True),
            Input("limit_wue_l_per_kwh", "l/kWh", "a limit of your own", optional=True),
        ),
        data_centre.data_centre,
    ),
    Formula(
        "product-intensity",
        "emissions, energy and standard coal per unit of product",
        "I = emissions / output",
        "data-bank paper: emissions beside business data; GB/T 32150",
        (
            Input("emissions_t", "t", "emissions"),
            Input("output", "", "output in the same period"),
            Input("output_unit", "", "what is counted, e.g. t or piece", "word"),
            Input("energy_kwh", "kWh", "energy for it", optional=True),
            Input("coal_tce", "tce", "its standard coal", optional=True),
        ),
        intensity.product_intensity,
    ),
    Formula(
        "area-intensity",
        "emissions and energy per floor area",
        "I = emissions / area",
        "white paper: buildings, kWh/m2 and kg/m2",
        (
            Input("emissions_kg", "kg", "emissions"),
            Input("area_m2", "m2", "floor area"),
            Input("energy_kwh", "kWh", "energy", optional=True),
        ),
        intensity.area_intensity,
    ),
    Formula(
        "sector-intensity",
        "direct intensity of a sector",
        "S_i = sum of E_k x beta_k / X_i",
        "white paper, annex 1",
        (
            Input("energy_kwh", "kWh", "energy of each carrier", "numbers"),
            Input("factor_kg_per_kwh", "kg/kWh", "emission factor of each", "numbers"),
            Input("output", "", "the sector's output, in money or mass"),
        ),
        intensity.sector_intensity,
    ),
    Formula(
        "input-output",
        "embodied intensities and linkages of sectors",
        "B = (I - A)^-1; T = S x B; IF_i = sum over j of t_ij",
        "white paper, annex 1 (Leontief inverse)",
        (
            Input("technical", "", "A: what each column's sector buys from the row's per unit of output", "table"),
            Input("intensity", "", "S: direct emissions of each sector per unit of output", "numbers"),
        ),
        input_output.input_output,
    ),
    Formula(
        "carbon-cost",
        "what emissions cost",
        "cost = emissions x price",
        "white paper: carbon price scenarios; the price as cited with the inputs",
        (
            Input("emissions_t", "t", "emissions"),
            Input("price_per_t", "", "price per t CO2e"),
            Input("currency", "", "of the price, e.g. CNY", "word"),
            Input("price_source", "", "market and day of the price", "word"),
        ),
        carbon_price.carbon_cost,
    ),
    Formula(
        "software-intensity",
        "what software emits per unit of what it does",
        "SCI = (energy x factor + embodied x time / life) / units",
        "ISO/IEC 21031 (Software Carbon Intensity)",
        (
            Input("energy_kwh", "kWh", "energy of the machine for it"),
            _FACTOR,
            Input("embodied_kg", "kg", "emissions of making the machine"),
            Input("life_years", "", "years the machine is used"),
            Input("used_h", "h", "hours it is used for this"),
            Input("units", "", "what is counted: messages, readings, 1 for all"),
        ),
        software.software_intensity,
    ),
)

ENERGY: Final = (
    Formula(
        "energy-emissions",
        "emissions of energy, interval by interval, with coverage",
        "E = sum of kWh x factor over the intervals that have one",
        "GHG Protocol Scope 2 Guidance (location-based)",
        (
            Input("energy_kwh", "kWh", "energy of each interval", "numbers with holes"),
            Input("factor_kg_per_kwh", "kg/kWh", "factor of each interval", "numbers with holes"),
        ),
        energy.energy_emissions,
    ),
    Formula(
        "coal-equivalent",
        "energy as standard coal",
        "coal = energy x coefficient",
        "GB/T 2589",
        (
            Input("energy_kwh", "kWh", "energy"),
            Input(
                "coefficient_kgce_per_kwh", "kgce/kWh", "0.1229 by heat content, about 0.3 by what power plants burn"
            ),
        ),
        energy.coal_equivalent,
    ),
    Formula(
        "convert",
        "a value in another unit of the same kind",
        "value x size of its unit / size of the other",
        "SI brochure; 44/12 for carbon as CO2",
        (
            Input("value", "", "the value"),
            Input("unit", "", "its unit, e.g. lb/MWh", "word"),
            Input("to_unit", "", "the other unit, e.g. g/kWh", "word"),
        ),
        units.convert,
    ),
)

CHANGES: Final = (
    Formula(
        "lmdi",
        "shares of the factors in the change of a product, by logarithmic means",
        "share = L(G2, G1) x ln(x2 / x1)",
        "LMDI-I (Ang 2005)",
        (_CAUSE, _BEFORE, _AFTER),
        bridge.lmdi,
    ),
    Formula(
        "shapley",
        "shares of the factors in the change of a product, averaged over every order",
        "share = (x2 - x1) x mean of the product of the others",
        "Shapley (1953); symmetric split for two causes",
        (_CAUSE, _BEFORE, _AFTER),
        bridge.shapley,
    ),
    Formula(
        "relative-change",
        "change from one figure to another",
        "(after - before) / before",
        "arithmetic",
        (Input("before", "", "the figure before"), Input("after", "", "the figure after")),
        claims.relative_change,
    ),
    Formula(
        "baseline-of-saving",
        "the baseline behind a claimed saving",
        "baseline = saved / share saved",
        "arithmetic",
        (Input("saved", "", "what is saved"), Input("saved_percent", "%", "share of the baseline that this is")),
        claims.baseline_of_saving,
    ),
    Formula(
        "cycle-life",
        "years that a battery's cycles last",
        "years = cycles / (cycles a day x 365)",
        "white paper: storage station, cycles and cycles a day",
        (
            Input("cycles", "", "full cycles it stands"),
            Input("cycles_per_day", "", "full cycles a day"),
            Input("wanted_years", "", "life that is wanted", optional=True),
        ),
        claims.cycle_life,
    ),
)

UNCERTAINTY: Final = (
    Formula(
        "uncertainty-of-product",
        "uncertainty of a product of independent values",
        "U = root of the sum of U_i^2",
        "IPCC 2006 Guidelines, volume 1, equation 3.1",
        (Input("percent", "%", "uncertainty of each factor, at 95 %", "numbers"),),
        uncertainty.uncertainty_of_product,
    ),
    Formula(
        "uncertainty-of-sum",
        "uncertainty of a sum, with errors that lines share",
        "U = root of the sum of (U_i x_i)^2 / sum of x_i; lines with a shared error linearly",
        "IPCC 2006 Guidelines, volume 1, equation 3.2",
        (
            Input("amount_t", "t", "each line", "numbers"),
            Input("percent", "%", "its uncertainty, at 95 %", "numbers"),
            Input("shared", "", "a word for each error that lines have in common", "words with holes", optional=True),
        ),
        uncertainty.uncertainty_of_sum,
    ),
    Formula(
        "uncertainty-of-metering",
        "uncertainty of many meters and intervals under one factor",
        "U = root of (noise^2 / (meters x intervals) + meter^2 / meters + factor^2)",
        "IPCC 2006 Guidelines, volume 1, chapter 3: what is correlated adds linearly",
        (
            Input("meters", "", "meters of equal load"),
            Input("intervals", "", "intervals of equal energy"),
            Input("noise_percent", "%", "of one interval, independent of the others"),
            Input("meter_percent", "%", "of one meter, the same in all its intervals"),
            Input("factor_percent", "%", "of the factor, the same for all"),
        ),
        uncertainty.uncertainty_of_metering,
    ),
)

"""The worked examples of the emissions specification, by their numbers there. Expected values are those it prints."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import starmap

import pytest

from aggregator.emissions.formulas.bridge import lmdi, shapley
from aggregator.emissions.formulas.carbon_price import carbon_cost
from aggregator.emissions.formulas.combustion import (
    combustion,
    combustion_by_heat,
    combustion_of_all_gases,
    gas_combustion,
    normal_volume,
)
from aggregator.emissions.formulas.data_centre import data_centre
from aggregator.emissions.formulas.energy import coal_equivalent, energy_emissions
from aggregator.emissions.formulas.heat import cooling, hot_water, steam
from aggregator.emissions.formulas.input_output import input_output, leontief_inverse
from aggregator.emissions.formulas.intensity import product_intensity
from aggregator.emissions.formulas.process import (
    carbon_balance,
    carbon_burnt,
    carbonate,
    clinker,
    flare,
    leaked_gas,
    vented_gas,
)
from aggregator.emissions.formulas.sinks import sink, sink_forecast
from aggregator.emissions.formulas.software import software_intensity
from aggregator.emissions.formulas.uncertainty import (
    uncertainty_of_metering,
    uncertainty_of_product,
    uncertainty_of_sum,
)
from aggregator.emissions.formulas.units import convert
from aggregator.emissions.formulas.worked import Worked

F = Fraction


def fs(*texts: str) -> list[Fraction]:
    return [F(text) for text in texts]


@dataclass(frozen=True)
class Near:
    """A value as the page prints it: equal to what lies within the page's tolerance."""

    value: Fraction
    tolerance: Fraction
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fraction) and abs(other - self.value) <= self.tolerance


def near(text: str, tolerance: str = "1e-9") -> Near:
    return Near(F(text), F(tolerance))


# ---- 1 to 5: fuel


def test_example_1a_coal_by_carbon_content() -> None:
    worked = combustion(F(1000), F("20.908"), F("0.0258"), F("0.98"))
    assert worked["emissions_t"] == F("1938.338864")
    # the paper's own form: E x HG x theta with HG = CC x 44/12
    assert worked["heat_gj"] * (F("0.0258") * F(44, 12)) * F("0.98") == F("1938.338864")


def test_example_1b_coal_by_heat() -> None:
    assert combustion_by_heat(F(1000), F("20.908"), F("94.6"), F(1))["emissions_t"] == F("1977.8968")


@pytest.mark.parametrize(("oxidation", "t"), [("0.95", "1094.835753917"), ("0.85", "979.589885083")])
def test_example_2_anthracite_in_a_power_boiler_and_in_an_industrial_one(oxidation: str, t: str) -> None:
    assert combustion(F(500), F("22.867"), F("0.02749"), F(oxidation))["emissions_t"] == near(t, "1e-6")


def test_example_3_natural_gas() -> None:
    worked = gas_combustion(F(120_000), F("389.31"), F("0.0153"), F("0.99"))
    assert worked["emissions_t"] == F("259.46265708")
    assert worked["emissions_t"] * 1000 / 120_000 == near("2.1621888", "1e-7")


def test_example_3_an_older_carbon_content_gives_0_13_percent_more() -> None:
    older = gas_combustion(F(10_000), F("389.31"), F("0.01532"), F("0.99"))["emissions_t"]
    newer = gas_combustion(F(10_000), F("389.31"), F("0.0153"), F("0.99"))["emissions_t"]
    assert older == F("21.650151996")
    assert (older / newer - 1) * 100 == near("0.13", "0.005")


def test_example_3_gas_measured_at_20_degrees_is_less_gas() -> None:
    volume_nm3 = normal_volume(F(120_000), F(20))["volume_nm3"]
    assert volume_nm3 == near("111813.064984", "1e-6")
    assert gas_combustion(volume_nm3, F("389.31"), F("0.0153"), F("0.99"))["emissions_t"] == near("241.760957808")


def test_example_4_diesel() -> None:
    # The page's 30.959096373 is 30.9590963733...
    assert combustion(F(10), F("42.652"), F("0.0202"), F("0.98"))["emissions_t"] == near("30.959096373")


@pytest.mark.parametrize(
    ("ch4", "n2o", "report", "kg"), [("28", "265", "AR5", "74343.0"), ("29.8", "273", "AR6", "74353.2")]
)
def test_example_5_all_gases_of_a_terajoule_of_diesel(ch4: str, n2o: str, report: str, kg: str) -> None:
    worked = combustion_of_all_gases(F(1), F(74_100), F(3), F("0.6"), F(ch4), F(n2o), report)
    assert worked["emissions_kg"] == F(kg)


# ---- 7, 39: energy


def test_example_7_the_sum_of_products_is_not_the_product_of_sum_and_mean() -> None:
    energies, factors = fs("100", "300", "50"), fs("0.4", "0.2", "0.6")
    worked = energy_emissions(energies, factors)
    assert worked["emissions_kg"] == F("130.0")
    wrong = sum(energies) * sum(factors) / 3
    assert wrong == 180
    assert (wrong / worked["emissions_kg"] - 1) * 100 == near("38.46", "0.005")


def test_example_39_energy_without_a_factor_is_not_covered_and_thins_nothing() -> None:
    worked = energy_emissions(fs("10", "10"), [F("0.3"), None])
    assert worked["emissions_kg"] == 3
    assert worked["covered_kwh"] == 10
    assert worked["coverage_percent"] == 50
    assert worked["intensity_kg_per_kwh"] == F("0.3")  # never 0.15
    assert any("10 kWh have no factor" in note for note in worked.notes)


# ---- 11 to 16, 37: heat, processes, gases


def test_example_11_steam_and_hot_water() -> None:
    of_steam = steam(F(500), F("2777.1"), F("0.11"))
    assert (of_steam["heat_gj"], of_steam["emissions_t"]) == (F("1346.68"), F("148.1348"))
    of_water = hot_water(F(1000), F(60), F("0.11"))
    assert (of_water["heat_gj"], of_water["emissions_t"]) == (F("167.472"), F("18.42192"))


def test_example_12_cooling() -> None:
    assert cooling(F(100_000), F("5.0"), F("0.5306"))["emissions_kg"] == F(10_612)


def test_a_petrochemical_sites_carbon_by_hand() -> None:
    """By hand: 1,200 t x 0.93 x 0.98 x 44/12 = 4,010.16 t; 50 x (6.2 x 0.98 x 44/12 + 0.02 x 19.7) = 3,341.8/3 + 19.7 t; 8 x 0.6 x 19.7 = 94.56 t."""
    assert carbon_burnt(F(1200), F("0.93"), F("0.98"))["emissions_t"] == F("4010.16")
    worked = flare(F(500_000), F("6.2"), F("0.98"), F("0.02"), F("19.7"))
    assert worked["emissions_t"] == F(33418, 30) + F("19.7")
    assert vented_gas(F(80_000), F("0.6"), F("19.7"))["emissions_t"] == F("94.56")


@pytest.mark.parametrize(
    ("hfc32", "hfc125", "report", "gwp", "t"),
    [("677", "3170", "AR5", "1923.5", "23.082"), ("771", "3740", "AR6", "2255.5", "27.066")],
)
def test_example_13_leaked_r410a(hfc32: str, hfc125: str, report: str, gwp: str, t: str) -> None:
    worked = leaked_gas(F(12), fs("0.5", "0.5"), fs(hfc32, hfc125), report)
    assert (worked["gwp"], worked["emissions_t"]) == (F(gwp), F(t))


def test_example_14_limestone() -> None:
    assert carbonate(F(100), F("0.95"), F("0.98"), F("0.43971"))["emissions_t"] == F("40.937001")


def test_example_15_clinker() -> None:
    assert clinker(F(1000), F("0.645"), F("0.015"), F(0), F(0))["emissions_t"] == near("523.285714286")


def test_example_16_carbon_balance() -> None:
    worked = carbon_balance(fs("100"), fs("0.85"), fs("60"), fs("0.8"), fs("5"), fs("0.6"))
    assert worked["lost_carbon_t"] == 85 - 48 - 3
    assert worked["emissions_t"] == near("124.666666667")


@pytest.mark.parametrize(("gwp", "report", "t"), [("23500", "AR5", "11.75"), ("24300", "AR6", "12.15")])
def test_example_37_sf6(gwp: str, report: str, t: str) -> None:
    assert leaked_gas(F("0.5"), fs("1"), fs(gwp), report)["emissions_t"] == F(t)


# ---- 17, 19: sinks


def test_example_17_sinks_are_project_less_baseline_less_leakage() -> None:
    worked = sink(
        ["forest-management", "bamboo-afforestation"], fs("12000", "5000"), fs("3000", "1200"), fs("600", "0")
    )
    assert (worked["project_1_t"], worked["project_2_t"], worked["sink_t"]) == (8400, 3800, 12_200)


def test_example_19_the_sink_forecast_is_simulated_less_baseline_less_leakage() -> None:
    worked = sink_forecast(
        F(2030), ["forest-management", "bamboo-afforestation"], fs("13500", "5600"), fs("3000", "1200"), fs("650", "50")
    )
    assert (worked["project_1_t"], worked["project_2_t"], worked["sink_t"]) == (9850, 4350, 14_200)


# ---- 20: uncertainty


def test_example_20_uncertainty_of_a_line_and_of_a_sum() -> None:
    line_percent = uncertainty_of_product(fs("2", "3", "4", "1"))["uncertainty_percent"]
    assert line_percent == near("5.477225575")
    worked = uncertainty_of_sum(fs("1938.338864", "530.6"), [line_percent, F(7)])
    assert worked["total_t"] == F("2468.938864")
    assert worked["uncertainty_t"] == near("112.476667888")
    assert worked["uncertainty_percent"] == near("4.555668410")


def test_example_20_sites_that_share_a_factor_add_linearly() -> None:
    shared = uncertainty_of_sum(fs("530.6", "530.6"), fs("7", "7"), ["grid 2023", "grid 2023"])
    assert (shared["uncertainty_t"], shared["uncertainty_percent"]) == (F("74.284"), 7)
    alone = uncertainty_of_sum(fs("530.6", "530.6"), fs("7", "7"))
    assert alone["uncertainty_percent"] == near("4.949747468")  # 7 / root of 2


@pytest.mark.parametrize(
    ("meters", "intervals", "noise", "meter", "percent"),
    [
        (1, 8760, "1", "0", "7.000008"),  # rule 5.11: if the whole 1 % were noise
        (1, 8760, "0", "1", "7.071068"),  # domain rule 16: it is the meter's own
        (100, 8760, "0", "1", "7.000714"),
    ],
)
def test_the_factors_error_does_not_average_out(
    meters: int, intervals: int, noise: str, meter: str, percent: str
) -> None:
    worked = uncertainty_of_metering(F(meters), F(intervals), F(noise), F(meter), F(7))
    assert worked["uncertainty_percent"] == near(percent, "5e-7")


# ---- 21, 22: data centre, intensity


def test_example_21_a_data_centre() -> None:
    worked = data_centre(F(1_555_000), F(1_000_000), factor_kg_per_kwh=F("0.5306"), previous_pue=F("1.660"))
    assert worked["pue"] == F("1.555")
    assert worked["dcie_percent"] == near("64.308681672")
    assert worked["cue_kg_per_kwh"] == F("0.825083")
    assert (worked["saved_kwh"], worked["saved_kg"]) == (105_000, 55_713)


def test_example_22_intensity_of_no_output_is_missing_and_not_infinite() -> None:
    assert product_intensity(F(2500), F(1250), "t")["intensity_t_per_unit"] == 2
    assert product_intensity(F(2500), F(0), "t").figure("intensity_t_per_unit").value is None


# ---- 27, 32: bridges


def test_example_27_the_causes_of_a_restatement_sum_to_its_delta() -> None:
    corrected = shapley(["factor", "activity"], fs("0.5568", "10000"), fs("0.5366", "10000"))
    assert (corrected["total_before"], corrected["total_after"]) == (5568, 5366)
    assert corrected["change_percent"] == near("-3.627873563")
    both = shapley(["factor", "activity"], fs("0.5568", "10000"), fs("0.5366", "10050"))
    assert both["total_after"] == F("5392.83")
    assert (both["share_of_factor"], both["share_of_activity"]) == (F("-202.505"), F("27.335"))
    assert both["change"] == F("-175.17")


def test_example_32_lmdi() -> None:
    worked = lmdi(["activity", "factor"], fs("1000", "0.5366"), fs("1100", "0.5306"))
    assert (worked["total_before"], worked["total_after"]) == (F("536.6"), F("583.66"))
    assert worked["share_of_activity"] == near("53.354673084")
    assert worked["share_of_factor"] == near("-6.294673084")
    assert worked["change"] == F("47.06")
    assert worked["share_of_activity"] + worked["share_of_factor"] == near("47.06", "1e-40")


# ---- 29: software


def test_example_29_an_edge_nodes_day_and_the_specifications_own_example() -> None:
    energy_kwh = F(4) * 24 / 1000  # 4 W
    worked = software_intensity(energy_kwh, F("0.5306"), F(50), F(5), F(24), F("86.4"))
    assert energy_kwh == F("0.096")
    assert worked["running_g"] == F("50.9376")
    assert worked["sci_g_per_unit"] == near("0.906653475")
    hour = software_intensity(F(0), F(0), F(1000), F(4), F(1), F(1))
    assert hour["sci_g_per_unit"] == near("28.538812785")


# ---- 30, 31, 33


def test_example_30_emissions_at_a_price() -> None:
    worked = carbon_cost(F("132.65"), F("68.38"), "CNY", "national market, as printed")
    assert worked["cost"] == F("9070.607")


def test_example_31_input_output() -> None:
    worked = input_output([fs("0.2", "0.3"), fs("0.1", "0.4")], fs("0.5", "2.0"))
    b = [[worked[f"b_{i}_{j}"] for j in (1, 2)] for i in (1, 2)]
    assert b == [[F(4, 3), F(2, 3)], [F(2, 9), F(16, 9)]]
    assert [worked["embodied_1"], worked["embodied_2"]] == [F(10, 9), F(35, 9)]
    assert [worked["linkage_1"], worked["linkage_2"]] == [1, 4]


@pytest.mark.parametrize(
    ("value", "unit", "to_unit", "expected", "tolerance"),
    [
        ("900", "lb/MWh", "g/kWh", "408.233133", "0"),
        ("1", "GWh", "GJ", "3600", "0"),
        ("1", "tC", "tCO2", "3.666667", "5e-7"),
    ],
)
def test_example_33_units(value: str, unit: str, to_unit: str, expected: str, tolerance: str) -> None:
    assert convert(F(value), unit, to_unit)["value"] == near(expected, tolerance)


def test_example_33_normal_volume_and_coal_equivalent() -> None:
    assert normal_volume(F(1), F(20))["volume_nm3"] == near("0.931775541")
    assert coal_equivalent(F(16_400_000), F("0.1229"))["coal_tce"] == F("2015.56")


# ---- balances that hold for any numbers


@pytest.mark.parametrize("bridge", [lmdi, shapley])
def test_the_shares_of_seven_causes_sum_to_the_change(bridge: Callable[..., Worked]) -> None:
    causes = list("abcdefg")
    before = list(starmap(F, [(7, 3), (5, 2), (11, 10), (1, 9), (3, 1), (13, 4), (2, 5)]))
    after = list(starmap(F, [(8, 3), (4, 2), (13, 10), (2, 9), (7, 2), (11, 4), (1, 5)]))
    worked = bridge(causes, before, after)
    shares = sum((worked[f"share_of_{cause}"] for cause in causes), F(0))
    assert abs(shares - worked["change"]) < F("1e-40")


def test_the_leontief_inverse_times_its_matrix_is_one_exactly() -> None:
    n = 6
    technical = [[F((3 * i + 5 * j) % 7, 60) for j in range(n)] for i in range(n)]
    b = leontief_inverse(technical)
    product = [
        [sum(((F(i == k) - technical[i][k]) * b[k][j] for k in range(n)), F(0)) for j in range(n)] for i in range(n)
    ]
    assert product == [[F(i == j) for j in range(n)] for i in range(n)]

"""Which test holds each worked example of the emissions specification and each replayed figure of the founding documents.

A row names a test and the numbers that it must contain. A test that was renamed, or that lost a number, fails here; so does an example without a row.
The tests themselves are run where they are.
"""

import ast
import re
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FORMULAS = "emissions/formulas/test_formula_examples.py::test_example_"
SEEDS = "emissions/formulas/test_seed_figures.py::test_"
POOL = "accounts/pools/test_pool.py::test_example_"

# (example, test, numbers as the test writes them: a unit or a sign apart from the specification's)
EXAMPLES = [
    ("1a", FORMULAS + "1a_coal_by_carbon_content", "1938.338864"),
    ("1b", FORMULAS + "1b_coal_by_heat", "1977.8968"),
    ("2", FORMULAS + "2_anthracite_in_a_power_boiler_and_in_an_industrial_one", "1094.835753917 979.589885083"),
    ("3", FORMULAS + "3_natural_gas", "259.46265708 2.1621888"),
    ("3", FORMULAS + "3_an_older_carbon_content_gives_0_13_percent_more", "21.650151996 0.13"),
    ("3", FORMULAS + "3_gas_measured_at_20_degrees_is_less_gas", "111813.064984 241.760957808"),
    ("4", FORMULAS + "4_diesel", "30.959096373"),
    ("5", FORMULAS + "5_all_gases_of_a_terajoule_of_diesel", "74343.0 74353.2"),
    ("6", "emissions/test_resolution.py::test_what_is_resolved_gives_the_worked_examples", "139200 134150 132650 110475"),
    ("6", "accounts/test_compile.py::test_a_year_end_splits_by_local_time_and_each_year_has_its_factor", "133250"),
    ("7", FORMULAS + "7_the_sum_of_products_is_not_the_product_of_sum_and_mean", "130.0 180 38.46"),
    ("8", "accounts/pools/test_site_mix.py::test_example_8_surplus_of_pv_is_exported_with_nothing_in_it", "0 40"),
    ("8", "accounts/test_notices.py::test_exports_are_deducted_only_where_the_notice_says_so", "-21.224"),
    ("9", "accounts/test_compile.py::test_the_market_method_takes_retired_certificates_first_and_the_residual_mix_for_the_rest", "530.6 365.76"),
    ("10", "accounts/test_compile.py::test_hourly_matching_shows_what_annual_matching_hides", "0 150 91.44"),
    ("11", FORMULAS + "11_steam_and_hot_water", "1346.68 148.1348 167.472 18.42192"),
    ("12", FORMULAS + "12_cooling", "10612"),
    ("13", FORMULAS + "13_leaked_r410a", "1923.5 23.082 2255.5 27.066"),
    ("14", FORMULAS + "14_limestone", "40.937001"),
    ("15", FORMULAS + "15_clinker", "523.285714286"),
    ("16", FORMULAS + "16_carbon_balance", "124.666666667"),
    ("17", FORMULAS + "17_sinks_are_project_less_baseline_less_leakage", "8400 3800 12200"),
    ("18", "emissions/formulas/test_scenario_formula.py::test_example_18_with_cited_elasticities", "1.032754134 1032754.134"),
    ("18", "emissions/formulas/test_scenario_formula.py::test_example_18_with_unit_elasticities_is_the_plain_product", "1.003489987"),
    ("19", FORMULAS + "19_the_sink_forecast_is_simulated_less_baseline_less_leakage", "9850 4350 14200"),
    ("20", FORMULAS + "20_uncertainty_of_a_line_and_of_a_sum", "5.477225575 2468.938864 112.476667888 4.555668410"),
    ("20", FORMULAS + "20_sites_that_share_a_factor_add_linearly", "7 74.284"),
    ("21", FORMULAS + "21_a_data_centre", "1.555 64.308681672 0.825083 105000 55713"),
    ("22", FORMULAS + "22_intensity_of_no_output_is_missing_and_not_infinite", "2"),
    ("23", "accounts/tree/test_tree.py::test_example_23_the_total_is_the_main_and_every_own_part_is_seen", "1000 250 1900"),
    ("24", POOL + "24_losses_stay_with_what_is_delivered_and_no_residue_is_left", "466.666667 518.518519 7.0 0"),
    ("25", POOL + "25_what_a_vehicle_gives_to_the_grid_leaves_the_session", "36.8 326.086957 3260.869565 354.442344 8739.130435"),
    ("25", "emissions/formulas/test_pool_formulas.py::test_example_25_a_vehicle_gives_energy_to_the_grid", "7.36"),
    ("25b", POOL + "25b_the_marginal_pool_gives_what_the_discharge_has_cost_and_a_loss_is_shown", "3012.173913 -1335.652174"),
    ("26", "accounts/pools/test_site_mix.py::test_example_26_the_sites_intensity_is_what_reaches_the_loads", "500 180 0 3.4 226.666667 10"),
    ("27", "accounts/runs/test_bridge.py", "5568 -3.627873563 5392.83 -175.17 -202.505 27.335"),
    ("28", "accounts/gaps/test_gaps.py::test_example_28_the_rule_in_the_manner_of_40_cfr_75", "960 2700"),
    ("29", FORMULAS + "29_an_edge_nodes_day_and_the_specifications_own_example", "0.096 50.9376 0.906653475 28.538812785"),
    ("30", FORMULAS + "30_emissions_at_a_price", "9070.607"),
    ("31", FORMULAS + "31_input_output", "4 3 2 9 16 10 35 1"),
    ("32", FORMULAS + "32_lmdi", "536.6 583.66 53.354673084 -6.294673084 47.06"),
    ("33", FORMULAS + "33_units", "408.233133 3600 3.666667"),
    ("33", FORMULAS + "33_normal_volume_and_coal_equivalent", "0.931775541 2015.56"),
    ("34", "forecasts/test_methods_and_band.py::test_the_example_of_mase_and_pinball_loss", "0.5 0.2 2.7"),
    ("35", "reports/test_rounding.py::test_the_nine_months_of_the_steel_plant", "26208 729316.67 386.975425102 359.40 388.012"),
    ("36", "audit/test_audit_tree.py", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("36", "audit/test_audit_tree.py", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328 ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("37", FORMULAS + "37_sf6", "11.75 12.15"),
    ("38", "emissions/test_resolution.py::test_what_is_resolved_gives_the_worked_examples", "133300 679600"),
    ("39", FORMULAS + "39_energy_without_a_factor_is_not_covered_and_thins_nothing", "3 10 50 0.3"),
    ("39", "accounts/pools/test_session_kg.py::test_example_39_half_of_a_session_without_a_factor_is_never_half_as_dirty", "50"),
]  # fmt: skip

# The domain rules' own numbers.
RULES = [
    ("rule 16", "emissions/formulas/test_formula_examples.py::test_the_factors_error_does_not_average_out", "7.071068 7.000714 7.000008"),
    ("rule 17", "accounts/pools/test_pool.py::test_rule_17_a_charged_battery_that_gives_half_of_its_content_gives_half_of_its_carbon", "142.5 67.5"),
    ("rule 24", "reports/test_rounding.py::test_the_nine_months_of_the_steel_plant", "386.975425102 359.40 388.012 308.21 334.377 -7.8"),
]  # fmt: skip

# The table of figures that the founding documents print (checklist, 1.6), row by row.
FIGURES = [
    ("16.4 GWh, 2,015 tce", SEEDS + "1000_pb_save_16_4_gwh_and_2015_tce_by_heat_content", "2015.56"),
    ("16.4 GWh, 9,905 t", SEEDS + "9905_t_for_the_same_saving_is_a_grid_factor_and_not_coal", "0.60396 4.916"),
    ("16.4 GWh, 9,905 t", SEEDS + "9905_t_become_less_with_every_official_factor", "9131.5 8800.2 8701.8 -12.1"),
    ("75.79 % and 80 %", SEEDS + "savings_of_75_79_and_80_percent_have_baselines", "21.64 30875"),
    ("201.1 TWh, 120 Mt", SEEDS + "201_1_twh_and_120_mt_of_data_centres_and_5g_are_one_factor", "0.5967"),
    ("82.25 to 137.61 Mt", SEEDS + "ict_grows_by_61_percent_only_from_another_base_year_than_it_prints", "67.3 85.24 61.4"),
    ("12,000 cycles", SEEDS + "12000_cycles_last_20_years_only_below_1_64_a_day", "16.4 21.9 1.64"),
    ("700 riders", SEEDS + "700_riders_save_1_27_t_at_1_814_kg_a_trip", "1.814"),
    ("three shares", SEEDS + "three_shares_of_data_centres_cannot_be_of_one_boundary", "2.7 74.5 372.4"),
    ("340 kWp, 211 t", SEEDS + "211_t_of_340_kwp_are_a_plausible_yield", "1170 1028"),
    ("100 kt, 40,000 mu", SEEDS + "100_kt_of_3_5_to_4_million_m2_and_40000_mu", "25 28.6 2.5"),
    ("34,100 t, 439.3 g", SEEDS + "34100_t_of_waste_at_439_3_g_are_77_6_million_transactions", "77.6"),
    ("PUE 1.555", SEEDS + "a_pue_of_1_555_that_fell_by_0_105_was_1_660", "1.555 0.105 1.660"),
]  # fmt: skip

ALL = [*EXAMPLES, *RULES, *FIGURES]


@cache
def tree(file: str) -> ast.Module:
    return ast.parse((HERE / file).read_text(encoding="utf-8"))


def held(test: str) -> list[ast.AST]:
    """The test's own code without its docstring, or all of a file. Raises LookupError where there is no such test."""
    file, _, name = test.partition("::")
    module = tree(file)
    if not name:
        return list(module.body)
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            told = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
            return [*node.decorator_list, *node.body[int(told) :]]
    raise LookupError(f"{file}: expected a test {name}")


def contained(nodes: list[ast.AST]) -> tuple[set[Decimal], str]:
    """The numbers that stand in code, also those in texts, and all texts."""
    numbers: set[Decimal] = set()
    texts: list[str] = []
    for node in (each for top in nodes for each in ast.walk(top)):
        if not isinstance(node, ast.Constant):
            continue
        if isinstance(node.value, str):
            texts.append(node.value)
            for word in re.findall(r"-?\d[\d_]*(?:\.\d+)?", node.value):
                numbers.add(Decimal(word.replace("_", "")))
        elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
            numbers.add(Decimal(repr(node.value)))
    return numbers, " ".join(texts)


@pytest.mark.parametrize(("example", "test", "wanted"), ALL, ids=[f"{row[0]}-{n}" for n, row in enumerate(ALL)])
def test_the_test_that_holds_an_example_has_its_numbers(example: str, test: str, wanted: str) -> None:
    numbers, texts = contained(held(test))
    for word in wanted.split():
        try:
            found = Decimal(word) in numbers or abs(Decimal(word)) in numbers
        except InvalidOperation:
            found = word in texts
        assert found, f"example {example}: expected {word} in {test}"


def test_every_worked_example_has_a_test() -> None:
    """39 of them; 1 has a and b, 25 has b."""
    wanted = {str(number) for number in range(2, 40)} | {"1a", "1b", "25b"}
    assert {example for example, _, _ in EXAMPLES} == wanted


def test_every_replayed_figure_has_a_test() -> None:
    """The table has 12 rows."""
    assert len({figure for figure, _, _ in FIGURES}) == 12

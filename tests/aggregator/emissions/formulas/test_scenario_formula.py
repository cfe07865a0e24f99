"""The scenario forecast: example 18 of the specification, its guards, its band against the closed form, its back-cast and its bridge by hand."""

import math
from fractions import Fraction

import pytest

from aggregator.emissions.formulas.drivers import Elasticities
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.scenario import facility, kaya, scenarios, stirpat

F = Fraction
BASE_T = F(1_000_000)
# Panel of 30 provinces, 2000 to 2015, n = 450, R2 0.9904 (ChinaXiv 201810.00130); the last coefficient is not significant.
RATIOS = {
    "population": F("1.005"),
    "gdp_per_head": F("1.045"),
    "energy_intensity": F("0.975"),
    "urbanisation": F("1.01"),
    "industry_structure": F("1.01"),
}
OF = {
    "population": F("1.0469"),
    "gdp_per_head": F("0.9386"),
    "energy_intensity": F("0.7226"),
    "urbanisation": F("0.4116"),
    "industry_structure": F("-0.0108"),
}
KAYA = {
    "population": F("1.005"),
    "gdp_per_head": F("1.045"),
    "energy_intensity": F("0.975"),
    "carbon_intensity": F("0.98"),
}


def cited(of: dict[str, Fraction], error: dict[str, Fraction] | None = None) -> Elasticities:
    return Elasticities(of, error or {}, "ChinaXiv 201810.00130", "30 provinces of China", "2000-2015")


def test_example_18_with_cited_elasticities() -> None:
    worked = stirpat(BASE_T, RATIOS, cited(OF))
    assert abs(worked["factor"] - F("1.032754134")) < F("1e-9")
    assert abs(worked["forecast_t"] - F("1032754.134")) < F("1e-3")
    assert any("ChinaXiv 201810.00130" in note and "2000-2015" in note for note in worked.notes)


def test_example_18_with_unit_elasticities_is_the_plain_product() -> None:
    worked = kaya(BASE_T, KAYA)
    assert worked["factor"] == F("1.005") * F("1.045") * F("0.975") * F("0.98")
    assert abs(worked["factor"] - F("1.003489987")) < F("1e-9")


def test_both_modes_agree_where_every_elasticity_is_one() -> None:
    one = cited(dict.fromkeys(KAYA, F(1)))
    assert stirpat(BASE_T, KAYA, one)["forecast_t"] == kaya(BASE_T, KAYA)["forecast_t"]


def test_multipliers_that_are_not_given_are_said_to_be_unchanged() -> None:
    worked = kaya(BASE_T, KAYA | {"technology": F("0.99")})
    assert worked["factor"] == kaya(BASE_T, KAYA)["factor"] * F("0.99")
    assert "unchanged: urbanisation, industry_structure" in worked.notes


@pytest.mark.parametrize("beside", ["gdp_per_head", "population"])
def test_gdp_beside_what_it_is_made_of_would_count_twice(beside: str) -> None:
    ratios = {"gdp": F("1.05"), beside: F("1.01")}
    with pytest.raises(Impossible, match="count twice"):
        stirpat(BASE_T, ratios, cited(dict.fromkeys(ratios, F(1))))


def test_kaya_without_one_of_its_four_does_not_telescope() -> None:
    with pytest.raises(Impossible, match="carbon_intensity is missing"):
        kaya(BASE_T, {name: ratio for name, ratio in KAYA.items() if name != "carbon_intensity"})


def test_an_elasticity_has_no_default_and_needs_its_driver_and_its_source() -> None:
    without = {name: value for name, value in OF.items() if name != "urbanisation"}
    with pytest.raises(Impossible, match="urbanisation_elasticity: expected beside urbanisation"):
        stirpat(BASE_T, RATIOS, cited(without))
    with pytest.raises(Impossible, match="gdp_elasticity: expected together with gdp"):
        stirpat(BASE_T, RATIOS, cited(OF | {"gdp": F(1)}))
    with pytest.raises(Impossible, match="elasticity_region: expected where"):
        stirpat(BASE_T, RATIOS, Elasticities(OF, {}, "a paper", " ", "2000-2015"))


def test_a_growth_rate_is_no_ratio() -> None:
    with pytest.raises(Impossible, match=r"\+4.5 % is 1.045"):
        kaya(BASE_T, KAYA | {"population": F("0.005")})


def test_without_standard_errors_there_is_no_band() -> None:
    worked = stirpat(BASE_T, RATIOS, cited(OF, {"population": F("0.05")}))
    assert "low_t" not in worked.results
    assert any(note.startswith("no band: the standard error is missing for gdp_per_head") for note in worked.notes)


def test_the_band_is_that_of_the_closed_form() -> None:
    # The logarithm of the factor is a sum of normals: mean sum of e ln r, variance sum of (se ln r)^2; z(0.95) = 1.644854.
    errors = dict.fromkeys(OF, F("0.2"))
    wide = {name: (ratio - 1) * 10 + 1 for name, ratio in RATIOS.items()}
    worked = stirpat(BASE_T, wide, cited(OF, errors))
    mean = sum(float(OF[name]) * math.log(wide[name]) for name in OF)
    deviation = math.sqrt(sum((0.2 * math.log(wide[name])) ** 2 for name in OF))
    for name, z in (("low_t", -1.644854), ("high_t", 1.644854)):
        assert float(worked[name]) == pytest.approx(1e6 * math.exp(mean + z * deviation), rel=0.005)
    assert worked["low_t"] < worked["forecast_t"] < worked["high_t"]
    assert worked == stirpat(BASE_T, wide, cited(OF, errors)), "the same question gives the same band"


def test_the_past_is_recast_before_a_future_is_shown() -> None:
    # Emissions follow population x GDP per head exactly, and jump by a tenth in the last year.
    population = [F(100 + n) for n in range(7)]
    flat = [F(1)] * 7
    history_t = [10 * n for n in population[:6]] + [population[6] * 11]
    worked = kaya(
        BASE_T,
        KAYA,
        history_t,
        {"population": population, "gdp_per_head": flat, "energy_intensity": flat, "carbon_intensity": flat},
    )
    names = [figure.name for figure in worked.figures]
    assert names.index("backcast_error_percent") < names.index("forecast_t")
    # Five years from the second on: four without error, the last 10/11 of what it was.
    assert [worked[f"backcast_{n}_t"] for n in range(1, 5)] == [10 * n for n in population[2:6]]
    assert worked["backcast_error_percent"] == (1 - F(10, 11)) * 100 / 5


def test_a_short_or_ragged_past_is_refused() -> None:
    six = [F(1)] * 6
    with pytest.raises(Impossible, match="expected 6 years or more, oldest first, saw 5"):
        kaya(BASE_T, KAYA, [F(1)] * 5, dict.fromkeys(KAYA, [F(1)] * 5))
    with pytest.raises(Impossible, match="population_history: expected 6 values as in history_t, saw 5"):
        kaya(BASE_T, KAYA, six, dict.fromkeys(KAYA, six) | {"population": [F(1)] * 5})
    with pytest.raises(Impossible, match="energy_intensity_history"):
        kaya(BASE_T, KAYA, six, {"population": six, "gdp_per_head": six, "carbon_intensity": six})
    with pytest.raises(Impossible, match="history_t: expected beside population_history"):
        kaya(BASE_T, KAYA, (), {"population": six})


def test_without_a_past_the_forecast_says_so() -> None:
    assert "not back-cast: no history is given" in kaya(BASE_T, KAYA).notes


def test_a_facilitys_forecast_is_the_product_of_its_drivers() -> None:
    # 10 % more output, 5 % less energy for it, an unchanged mix, and the grid's factor from 0.5366 to 0.5306
    ratios = {
        "output": F("1.1"),
        "energy_per_output": F("0.95"),
        "fuel_mix": F(1),
        "grid_factor": F("0.5306") / F("0.5366"),
    }
    worked = facility(F("536.6"), ratios)
    assert worked["forecast_t"] == 1000 * F("1.1") * F("0.95") * F("0.5306")
    with pytest.raises(Impossible, match="grid_factor is missing"):
        facility(F(1), {name: ratio for name, ratio in ratios.items() if name != "grid_factor"})


def test_the_bridge_between_scenarios_sums_to_their_difference() -> None:
    of = {
        "baseline": KAYA,
        "policy": KAYA | {"energy_intensity": F("0.95"), "carbon_intensity": F("0.96")},
        "deep": KAYA | {"energy_intensity": F("0.92"), "carbon_intensity": F("0.90")},
    }
    worked = scenarios(BASE_T, of, None)
    assert worked["policy_t"] == BASE_T * F("1.005") * F("1.045") * F("0.95") * F("0.96")
    for first, second in (("baseline", "policy"), ("policy", "deep")):
        shares = [worked[f"{first}_to_{second}_{driver}_t"] for driver in KAYA]
        assert abs(sum(shares) - (worked[f"{second}_t"] - worked[f"{first}_t"])) < F("1e-30")
        assert shares[:2] == [0, 0], "what is the same in both has no share"


def test_a_driver_that_one_scenario_lacks_is_named() -> None:
    with pytest.raises(Impossible, match="deep: expected the same drivers"):
        scenarios(BASE_T, {"baseline": KAYA, "policy": KAYA, "deep": {"population": F(1)}}, None)
    with pytest.raises(Impossible, match="none seen"):
        scenarios(BASE_T, {}, None)


def test_scenarios_with_elasticities_are_each_the_forecast() -> None:
    slower = RATIOS | {"energy_intensity": F("0.95")}
    worked = scenarios(BASE_T, {"baseline": RATIOS, "policy": slower, "deep": slower}, cited(OF))
    assert worked["baseline_t"] == stirpat(BASE_T, RATIOS, cited(OF))["forecast_t"]
    assert worked["policy_to_deep_t"] == 0

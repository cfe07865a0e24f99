"""What a formula refuses, and how it says so; reading numbers with units; showing figures. Not the results (see the worked examples)."""

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.emissions.formulas.bridge import lmdi, shapley
from aggregator.emissions.formulas.carbon_price import carbon_cost, priced
from aggregator.emissions.formulas.claims import baseline_of_saving, cycle_life, relative_change
from aggregator.emissions.formulas.combustion import combustion, combustion_of_all_gases
from aggregator.emissions.formulas.data_centre import data_centre
from aggregator.emissions.formulas.energy import coal_equivalent, energy_emissions
from aggregator.emissions.formulas.given import from_file, number, read
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.heat import cooling, heat_and_power, steam
from aggregator.emissions.formulas.input_output import MAX_SECTORS, input_output
from aggregator.emissions.formulas.intensity import area_intensity, product_intensity, sector_intensity
from aggregator.emissions.formulas.process import carbon_balance, clinker, leaked_gas
from aggregator.emissions.formulas.sinks import sink, sink_forecast
from aggregator.emissions.formulas.table import FORMULAS
from aggregator.emissions.formulas.uncertainty import uncertainty_of_metering, uncertainty_of_sum
from aggregator.emissions.formulas.units import UNITS, convert, size
from aggregator.emissions.formulas.worked import Worked, shown

F = Fraction


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: combustion(F(1), F(20), F("25.8"), F(1)), "carbon_t_per_gj: expected 0 to 0.08, saw 25.8; the unit is tC/GJ"),
        (lambda: combustion(F(1), F(20908), F("0.0258"), F(1)), "ncv_gj_per_t: expected 1 to 145"),
        (lambda: combustion(F(1), F(20), F("0.0258"), F(98)), "oxidation_ratio: expected 0 to 1, saw 98 (98 % is 0.98)"),
        (lambda: combustion(F(-1), F(20), F("0.0258"), F(1)), "fuel: expected 0 or more, saw -1"),
        (lambda: combustion_of_all_gases(F(1), F(1), F(1), F(1), F(28), F(28), "AR5"), "gwp_n2o: expected 250 to 320"),
        (lambda: clinker(F(1), F("64.5"), F("0.01"), F(0), F(0)), "cao_ratio: expected 0 to 0.75"),
        (lambda: clinker(F(1), F("0.6"), F("0.01"), F("0.7"), F(0)), "cao_not_from_carbonate_ratio: expected 0 to 0.6"),
        (lambda: carbon_balance([F(1)], [F(1)], [F(2)], [F(1)], [F(0)], [F(0)]), "no more carbon out than in"),
        (lambda: carbon_balance([F(1)], [F(1), F(1)], [F(2)], [F(1)], [F(0)], [F(0)]), "saw input_t 1, input_carbon_ratio 2"),
        (lambda: leaked_gas(F(1), [F("0.5"), F("0.4")], [F(677), F(3170)], "AR5"), "share_ratio: expected a sum of 1, saw 0.9"),
        (lambda: steam(F(1), F(80), F("0.11")), "enthalpy_kj_per_kg: expected 83.74 to 3700"),
        (lambda: cooling(F(1), F(5), F("530.6")), "factor_kg_per_kwh: expected 0 to 2, saw 530.6; kg/kWh, not g/kWh"),
        (lambda: energy_emissions([F(1)], [F(400)]), "factor_kg_per_kwh: expected 0 to 2"),
        (lambda: energy_emissions([], []), "saw energy_kwh 0"),
        (lambda: coal_equivalent(F(1), F("0.00123")), "coefficient_kgce_per_kwh: expected 0.1 to 0.45"),
        (lambda: data_centre(F(1000), F(1555)), "a PUE below 1 means swapped meters"),
        (lambda: data_centre(F(2), F(1), limits_of="beijing", limit_pue=F(2)), "either a place or limits of your own"),
        (lambda: data_centre(F(2), F(1), limits_of="mars"), "expected one of beijing, shanghai, saw 'mars'"),
        (lambda: sink(["trees"], [F(1)], [F(0)], [F(0)]), "methodology: expected one of bamboo-afforestation"),
        (lambda: sink(["ocean"], [F(1)], [F(-1)], [F(0)]), "baseline_t: expected 0 or more"),
        (lambda: sink_forecast(F(30), ["ocean"], [F(1)], [F(0)], [F(0)]), "year: expected a year of the scenario"),
        (lambda: area_intensity(F(1), F(0)), "area_m2: expected more than 0"),
        (lambda: sector_intensity([F(1)], [F(1)], F(0)), "output: expected more than 0"),
        (lambda: input_output([[F(1), F(1)], [F(1), F(1)]], [F(1), F(1)]), "sector 1 uses more than it makes"),
        (lambda: input_output([[F("0.5"), F(1)], [F(1), F("0.5")]], [F(1), F(1)]), "sector 2 uses more than it makes"),
        (lambda: input_output([[F(0), F(0)]], [F(1)]), "expected a square table"),
        (lambda: input_output([[F(0)] * 51] * 51, [F(1)] * 51), f"of 1 to {MAX_SECTORS} sectors, saw 51 rows"),
        (lambda: carbon_cost(F(1), F(1), "yuan", "a market"), "currency: expected three capital letters"),
        (lambda: carbon_cost(F(1), F(1), "CNY", " "), "price_source: expected the market and the day"),
        (lambda: priced(cycle_life(F(1), F(1)), F(1), "CNY", "x"), "price: expected a formula that gives emissions, saw life_years"),
        (lambda: lmdi(["a", "b"], [F(1), F(0)], [F(1), F(1)]), "b before: expected more than 0"),
        (lambda: lmdi(["a", "a"], [F(1), F(1)], [F(1), F(1)]), "cause: expected each name once"),
        (lambda: shapley(list("abcdefgh"), [F(1)] * 8, [F(2)] * 8), "cause: expected at most 7, saw 8"),
        (lambda: relative_change(F(0), F(1)), "before: expected other than 0"),
        (lambda: baseline_of_saving(F(1), F(0)), "saved_percent: expected above 0 to 100"),
        (lambda: uncertainty_of_sum([F(1), F(-1)], [F(1), F(1)]), "amount_t: expected a sum other than 0"),
        (lambda: uncertainty_of_metering(F("1.5"), F(1), F(1), F(1), F(1)), "meters: expected a whole number, saw 1.5"),
        (lambda: convert(F(1), "t", "tCO2"), "expected a unit like tCO2 (mass of CO2), saw t (mass)"),
        (lambda: convert(F(1), "m3", "Nm3"), "use the formula normal-volume"),
        (lambda: convert(F(1), "kgce", "kWh"), "use the formula coal-equivalent"),
        (lambda: convert(F(1), "furlong", "m2"), "saw 'furlong'"),
        (lambda: convert(F(1), "kW", "kWh"), "saw kW (power)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_was_expected_and_seen(work: Callable[[], Worked], words: str) -> None:
    with pytest.raises(Impossible) as refused:
        work()
    assert words in str(refused.value)


def test_carbon_that_stays_in_the_product_is_not_emitted() -> None:
    whole = combustion(F(100), F("20.908"), F("0.0258"), F(1))["emissions_t"]
    part = combustion(F(100), F("20.908"), F("0.0258"), F(1), stored_ratio=F("0.25"))["emissions_t"]
    assert part == whole * F("0.75")


def test_heat_and_power_share_the_whole_by_what_each_alone_would_burn() -> None:
    # 80 GJ of heat at 0.8 and 35 GJ of electricity at 0.35 would each burn 100 GJ: half and half of 60 t
    worked = heat_and_power(F(60), F(80), F(35), F("0.8"), F("0.35"))
    assert (worked["heat_t"], worked["electricity_t"]) == (F(30), F(30))
    only = heat_and_power(F(60), F(80), F(0), F("0.8"), F("0.35"))
    assert (only["heat_t"], only["electricity_t"]) == (F(60), F(0))
    with pytest.raises(Impossible, match=r"heat_gj \+ electricity_gj: expected more than 0"):
        heat_and_power(F(60), F(0), F(0), F("0.8"), F("0.35"))


def test_a_year_of_intervals_is_summed_exactly_and_told_in_short() -> None:
    worked = energy_emissions([F("0.01")] * 35_040, [F("0.5306")] * 35_040)
    assert worked["emissions_kg"] == F("350.4") * F("0.5306")
    assert worked.figure("emissions_kg").made_of.endswith("+ ... (35040 terms)")


def test_a_process_that_loses_no_carbon_emits_none() -> None:
    assert carbon_balance([F(10)], [F("0.5")], [F(5)], [F(1)], [F(0)], [F(0)])["emissions_t"] == 0


def test_energy_and_coal_per_product_by_hand() -> None:
    # 5,000 t of clinker with 490 tce and 300 MWh: 98 kgce/t (the white paper's 100 kept), 60 kWh/t
    worked = product_intensity(F(4000), F(5000), "t", energy_kwh=F(300_000), coal_tce=F(490))
    assert (worked["intensity_t_per_unit"], worked["energy_kwh_per_unit"]) == (F("0.8"), F(60))
    assert worked["coal_kgce_per_unit"] == 98
    none = product_intensity(F(1), F(0), "t", energy_kwh=F(1))
    assert [figure.value for figure in none.figures] == [None, None]


def test_a_project_below_its_baseline_is_shown_and_not_cut_off() -> None:
    worked = sink(["ocean", "grassland"], [F(100), F(10)], [F(20), F(15)], [F(5), F(5)])
    assert (worked["project_2_t"], worked["sink_t"]) == (-10, 65)
    assert "project 2 is below its baseline: -10 t" in worked.notes


def test_a_missing_energy_is_not_a_zero() -> None:
    worked = energy_emissions([F(10), None], [F("0.5"), F("0.5")])
    assert worked["emissions_kg"] == 5
    assert "incomplete: 1 of 2 intervals have no energy, and count for nothing" in worked.notes
    assert energy_emissions([F(10)], [None]).figure("emissions_kg").value is None


def test_wue_and_limits_are_judged_where_the_water_is_known() -> None:
    known = data_centre(F(1350), F(1000), water_l=F(1500), limits_of="shanghai")
    assert known["wue_l_per_kwh"] == F("1.5")
    assert known.notes == (
        "PUE 1.35 is above the limit 1.3 (DCiE limit 76.92 %)",
        "WUE 1.5 l/kWh is above the limit 1.4",
    )
    unknown = data_centre(F(1250), F(1000), limits_of="shanghai")
    assert unknown.notes[1] == "WUE: no figure against the limit 1.4, water_l is missing"


def test_intensity_per_area_and_of_a_sector_by_hand() -> None:
    worked = area_intensity(F(5306), F(1000), F(10_000))
    assert (worked["intensity_kg_per_m2"], worked["energy_kwh_per_m2"]) == (F("5.306"), 10)
    # 1000 kWh x 0.5 + 200 kWh x 0.2 = 540 kg over 270 units
    assert sector_intensity([F(1000), F(200)], [F("0.5"), F("0.2")], F(270))["intensity_kg_per_unit"] == 2


# ---- reading


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("20.908", "GJ/t", "20.908"),
        ("20.908 GJ/t", "GJ/t", "20.908"),
        ("20908kJ/kg", "GJ/t", "20.908"),
        ("250MWh", "kWh", "250000"),
        ("98 %", "1", "0.98"),
        ("530.6g/kWh", "kg/kWh", "0.5306"),
        ("12 10^4Nm3", "Nm3", "120000"),
        ("1e3", "t", "1000"),
        (".5", "", "0.5"),
        ("-3", "", "-3"),
        ("20degC", "degC", "20"),
    ],
)
def test_a_number_may_carry_its_unit(text: str, unit: str, value: str) -> None:
    assert number(text, unit) == F(value)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("12,5", "t", "expected a number such as 20.908 in t, saw '12,5'"),
        ("abc", "", "saw 'abc'"),
        ("nan", "t", "saw 'nan'"),
        ("20 908", "kg", "expected a number such as 20.908 in kg, saw '20 908'"),
        ("1210^4Nm3", "Nm3", "expected a number"),
        ("1e400", "t", "expected an exponent of at most 40"),
        ("1e99999", "t", "expected"),
        ("9" * 61, "t", "expected a number"),
        ("٣", "t", "expected a number"),
        ("5 kg", "", "expected a number without a unit, saw '5 kg'"),
        ("5 kWh", "t", "expected a unit like t (mass), saw kWh (energy)"),
        ("5 m3", "Nm3", "use the formula normal-volume"),
    ],
)
def test_what_is_no_number_is_said(text: str, unit: str, words: str) -> None:
    with pytest.raises(Impossible) as refused:
        number(text, unit)
    assert words in str(refused.value)


def test_every_fault_is_told_at_once_and_nothing_is_filled_in() -> None:
    with pytest.raises(Impossible) as refused:
        read(FORMULAS["combustion"], {"fuel_t": "many", "oxidaton_ratio": "1", "carbon_t_per_gj": ""})
    lines = str(refused.value).splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("did you mean oxidation_ratio?")
    assert any(line.startswith("ncv_gj_per_t: expected net calorific value (GJ/t), it is missing") for line in lines)


def test_lists_tables_words_and_holes_are_read() -> None:
    assert read(FORMULAS["energy-emissions"], {"energy_kwh": "1, 2MWh,-", "factor_kg_per_kwh": "-,0.5,0.5"}) == {
        "energy_kwh": [1, 2000, None],
        "factor_kg_per_kwh": [None, F("0.5"), F("0.5")],
    }
    assert read(FORMULAS["input-output"], {"technical": "0.2,0.3; 0.1,0.4", "intensity": "0.5,2"}) == {
        "technical": [[F("0.2"), F("0.3")], [F("0.1"), F("0.4")]],
        "intensity": [F("0.5"), 2],
    }
    shared = read(FORMULAS["uncertainty-of-sum"], {"amount_t": "1,2", "percent": "7,7", "shared": "grid,-"})["shared"]
    assert shared == ["grid", None]


def test_a_file_is_read_as_if_it_had_been_typed(tmp_path: Path) -> None:
    path = tmp_path / "inputs.toml"
    path.write_text('a = 0.1\nb = [1, "2 MWh"]\nc = [[1, 2], [3, 4]]\n[policy]\npopulation = 1.005\n', encoding="utf-8")
    assert from_file(path) == {"a": "0.1", "b": "1,2 MWh", "c": "1,2;3,4", "policy.population": "1.005"}


@pytest.mark.parametrize(
    "content",
    [
        b"a = ",
        b"a = true",
        b"a = 2020-01-01",
        b"\xff\xfe",
        b"a = " + b"[" * 5000,
        b"a = " + b"9" * 5000,
        b"a = 1e" + b"9" * 30,
    ],
)
def test_a_file_that_holds_no_inputs_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "inputs.toml"
    path.write_bytes(content)
    with pytest.raises(Impossible, match=r"inputs\.toml: expected"):
        from_file(path)


@given(st.text(max_size=30), st.sampled_from(["", "1", "t", "GJ/t", "degC"]))
def test_any_text_is_a_number_or_refused(text: str, unit: str) -> None:
    with contextlib.suppress(Impossible):
        assert isinstance(number(text, unit), Fraction)


NUMBERS = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "0.5",
        "0.98",
        "1.01",
        "7",
        "20.908",
        "0.0258",
        "389.31",
        "500",
        "2030",
        "1e40",
        "1e-40",
        "99999999",
    ]
)
WORDS = st.sampled_from(["ocean", "CNY", "AR5", "kWh", "GJ", "t", "beijing", "x", "-"])


def texts_for(kind: str) -> st.SearchStrategy[str]:
    several = st.lists(NUMBERS, min_size=1, max_size=3).map(",".join)
    return {
        "number": NUMBERS,
        "numbers": several,
        "numbers with holes": st.lists(st.one_of(NUMBERS, st.just("-")), min_size=1, max_size=3).map(",".join),
        "table": st.lists(several, min_size=1, max_size=3).map(";".join),
        "word": WORDS,
        "words": st.lists(WORDS, min_size=1, max_size=3).map(",".join),
        "words with holes": st.lists(WORDS, min_size=1, max_size=3).map(",".join),
    }[kind]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_given_a_formula_answers_or_says_what_is_impossible(data: st.DataObject) -> None:
    formula = data.draw(st.sampled_from(list(FORMULAS.values())))
    texts = {
        one.name: data.draw(texts_for(one.kind))
        for one in formula.inputs
        if not one.optional or data.draw(st.booleans())
    }
    with contextlib.suppress(Impossible):
        worked = formula.work(**read(formula, texts))
        assert set(worked.results) <= {figure.name for figure in worked.figures}
        for figure in worked.figures:
            assert figure.value is None or shown(figure.value)


# ---- units and showing


def test_converting_there_and_back_loses_nothing() -> None:
    for unit in UNITS:
        for other in UNITS:
            if size(unit)[0] == size(other)[0]:
                there = convert(F("12.34"), unit, other)["value"]
                assert convert(there, other, unit)["value"] == F("12.34")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (F(1, 3), "0.333333333333"),
        (F(-1, 3), "-0.333333333333"),
        (F(0), "0"),
        (F(12_000), "12000"),
        (F("0.0000000000005"), "0.0000000000005"),
        (F(1, 3 * 10**9), "0.000000000333333333333"),
        (F("1.0000000000005"), "1"),  # half-even
        (F("1.0000000000015"), "1.000000000002"),
    ],
)
def test_a_value_is_rounded_once_half_even(value: Fraction, text: str) -> None:
    assert shown(value) == text

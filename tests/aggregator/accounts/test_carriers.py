"""Gas, heat, cooling and water of meters, and what a facility makes itself: worked examples 3, 11 and 12, rule 19, and hand calculation."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.accounts.carriers import carrier_lines, carrier_mains
from aggregator.accounts.compile import Accounts, compile_statement
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.made import made_lines
from aggregator.accounts.metered import location_lines
from aggregator.accounts.period import Period
from aggregator.accounts.tree.shares import allocated_lines
from aggregator.accounts.uncertainty import uncertainty_of
from aggregator.emissions.entry import Entry, SourceDoc
from aggregator.emissions.profiles import profile
from aggregator.emissions.registry import Registry
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.intervals.carrier_use import CarrierUse
from aggregator.ledger import IntervalRow, Ledger
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
DAY_MS = 86_400_000
GWP_CH4 = D("29.8")  # AR6, fossil
FOUND = Resolution("works", "national", D("0.5306"), "elec.cn.grid.avg", 1, "CN", 2023, "doc", (), (), 0, 2**62)
CONTRACT = SourceDoc("contract", "Supply contract", "Town heating", "7", date(2025, 1, 1))
Readings = dict[tuple[str, str], list[str]]

with Registry(":memory:") as shipped:
    ENTRIES = shipped.entries()


def meter(device: str, carrier: str, role: Role = Role.MAIN, **use: object) -> MeterSpec:
    return MeterSpec(device, "gw", D(1000), role, carrier, use=CarrierUse(**use))  # type: ignore[arg-type]


def of_our_own(id_: str, value: str, unit: str, gas: str = "CO2", kind: str = "heat") -> Entry:
    return Entry(
        id_,
        kind,
        D(value),
        unit,
        CONTRACT,
        "annex",
        "",
        gas,
        facility="works",
        evidence="contract 7",
        version=1,
        status="approved",
    )


def period(
    readings: Readings, *meters: MeterSpec, own: Sequence[Entry] = (), rules: str = "GHGP-LB", grade: Grade = GOOD
) -> Period:
    def intervals(device: str, quantity: str) -> list[IntervalRow]:
        return [
            IntervalRow(
                "works", device, quantity, n * QUARTER_MS, (n + 1) * QUARTER_MS, D(amount), grade, True, "measured"
            )
            for n, amount in enumerate(readings.get((device, quantity), []))
        ]

    facility = Facility("works", "Asia/Shanghai", place="CN-JS", meters=meters)
    return Period(facility, profile(rules), 0, 96 * QUARTER_MS, 1, intervals, lambda _: FOUND, (*ENTRIES, *own))


def co2(lines: Sequence[Line]) -> Line:
    (found,) = (line for line in lines if line.gas == "CO2")
    return found


def test_example_3_gas_in_normal_cubic_metres_is_scope_1() -> None:
    gas = meter("gas", "gas", fuel="natural_gas")
    methane = of_our_own("fuel.natural_gas.combustion", "1", "kg/TJ", "CH4", "combustion")
    lines = list(carrier_lines(period({("gas", "gas_volume_normal_m3"): ["100000", "20000"]}, gas, own=[methane])))
    line = co2(lines)
    assert (line.counts, line.activity, line.carrier, line.unit, line.intervals) == (
        Counts.SCOPE_1, "stationary", "natural_gas", "Nm3", 2,
    )  # fmt: skip
    assert line.kg == pytest.approx(D("259462.65708"), abs=D("1e-9"))
    assert dict(line.figures)["ncv_gj_per_10k_nm3"] == D("389.31")
    (other,) = (line for line in lines if line.gas == "CH4")
    assert (other.intervals, other.kg) == (0, D("4.67172") * GWP_CH4)  # 4,671.72 GJ; the intervals are counted once


def test_example_3_cubic_metres_at_20_degrees_are_fewer_normal_ones_and_at_an_unknown_temperature_none() -> None:
    readings: Readings = {("gas", "gas_volume_m3"): ["120000"]}
    warm = meter("gas", "gas", fuel="natural_gas", measured_at_degc=D(20))
    assert co2(list(carrier_lines(period(readings, warm)))).kg == pytest.approx(D("241760.957808"), abs=D("1e-6"))
    for unknown, why in (
        (meter("gas", "gas", fuel="natural_gas"), "measured_at_degc"),
        (meter("gas", "gas", measured_at_degc=D(20)), "fuel"),
    ):
        (line,) = carrier_lines(period(readings, unknown))
        assert line.kg is None
        assert why in line.why


def test_bought_heat_takes_the_supplier_s_factor_and_else_the_default() -> None:
    # Example 11's 167.472 GJ are 46,520 kWh: 18,421.92 kg at 0.11 t/GJ.
    readings: Readings = {("heat", "heat_energy_kwh"): ["46520"]}
    (line,) = carrier_lines(period(readings, meter("heat", "heat")))
    assert (line.counts, line.quantity, line.unit, line.kg) == (Counts.SCOPE_2, D("167.472"), "GJ", D("18421.92"))
    assert line.factor is not None
    assert line.factor.id == "heat.purchased"
    own = of_our_own("heat.purchased", "0.06", "t/GJ")
    (line,) = carrier_lines(period(readings, meter("heat", "heat"), own=[own]))
    assert (line.kg, line.factor.tier if line.factor else "") == (D("10048.32"), "facility")
    (line,) = carrier_lines(period({("st", "heat_energy_kwh"): ["46520"]}, meter("st", "steam")))
    assert (line.carrier, line.kg) == ("steam", D("18421.92"))


def test_example_12_bought_cooling_by_the_plant_s_performance_or_the_supplier_s_factor_or_not_at_all() -> None:
    readings: Readings = {("cold", "cooling_energy_kwh"): ["60000", "40000"]}
    (line,) = carrier_lines(period(readings, meter("cold", "cooling", performance_ratio=D(5))))
    assert (line.counts, line.kg) == (Counts.SCOPE_2, D(10_612))
    own = of_our_own("cooling.purchased", "0.02", "t/GJ")
    (line,) = carrier_lines(period(readings, meter("cold", "cooling"), own=[own]))
    assert line.kg == D(7200)  # 360 GJ
    (line,) = carrier_lines(period(readings, meter("cold", "cooling")))
    assert line.kg is None
    assert "no cooling.purchased" in line.why


def test_water_is_scope_3_where_its_supply_has_a_factor_and_nothing_where_it_has_none() -> None:
    readings: Readings = {("water", "water_volume_m3"): ["10", "2.5"]}
    water = meter("water", "water")
    assert list(carrier_lines(period(readings, water))) == []
    own = of_our_own("upstream.water", "0.21", "kg/m3", "CO2e", "process")
    (line,) = carrier_lines(period(readings, water, own=[own]))
    assert (line.counts, line.quantity, line.kg) == (Counts.SCOPE_3, D("12.5"), D("2.625"))


def test_a_calorific_value_that_changes_in_the_night_holds_from_then_on_and_grades_stay_apart() -> None:
    later = replace(of_our_own("fuel.natural_gas.ncv", "350", "GJ/10^4 Nm3", "", "ncv"), valid_from_ms=2 * QUARTER_MS)
    readings: Readings = {("gas", "gas_volume_normal_m3"): ["100", "100", "100"]}
    asked = period(
        readings, meter("gas", "gas", fuel="natural_gas"), own=[later], grade=Grade(Quality.SUBSTITUTED, "counter-diff")
    )
    found = [
        (line.quantity, dict(line.figures)["ncv_gj_per_10k_nm3"]) for line in carrier_lines(asked) if line.gas == "CO2"
    ]
    assert found == [(D(200), D("389.31")), (D(100), D(350))]
    assert {line.quality for line in carrier_lines(asked)} == {"substituted"}


def test_rule_19_what_the_chiller_took_is_inside_the_main_and_adds_nothing() -> None:
    meters = (
        MeterSpec("incomer", "gw", D(1000), Role.MAIN),
        MeterSpec("chiller", "gw", D(400)),
        meter("cold", "cooling", Role.SUB, made_by=("chiller",)),
    )
    readings: Readings = {
        ("incomer", "energy_import_kwh"): ["400", "600"],
        ("chiller", "energy_import_kwh"): ["50", "150"],
        ("cold", "cooling_energy_kwh"): ["250", "750"],
    }
    made = compile_statement(period(readings, *meters), [location_lines, allocated_lines, carrier_lines, made_lines])
    assert made.kg() == D(1000) * D("0.5306")
    (line,) = (line for line in made.of(Counts.ALLOCATED) if line.carrier == "cooling")
    assert (line.quantity, line.kg, line.marks) == (D(1000), D(200) * D("0.5306"), ("made_here",))
    assert list(made_lines(period(readings, *meters, rules="MARGINAL"))) == []


def test_a_boiler_s_heat_carries_the_gas_that_it_burnt_and_an_interval_without_it_has_no_figure() -> None:
    meters = (meter("gas", "gas", fuel="natural_gas"), meter("boiler", "heat", Role.SUB, made_by=("gas",)))
    readings: Readings = {("gas", "gas_volume_normal_m3"): ["10"], ("boiler", "heat_energy_kwh"): ["90", "80"]}
    first, second = made_lines(period(readings, *meters, rules="CN-GBT"))
    assert first.kg == pytest.approx(
        D("21.62188809"), abs=D("1e-9")
    )  # 259,462.65708 kg / 12,000 of example 3; this profile takes CO2 alone
    assert (second.kg, second.why, second.quantity) == (None, "gas, or the main around it, has no figure", D(80))


def test_only_what_gives_a_figure_is_expected_and_nothing_under_a_marginal_profile() -> None:
    meters = (meter("gas", "gas", fuel="natural_gas"), meter("water", "water"))
    assert [found.device for found in carrier_mains(period({}, *meters))] == ["gas"]
    assert carrier_mains(period({}, *meters, rules="MARGINAL")) == ()


def test_example_20_a_fuel_s_line_is_as_uncertain_as_its_meter_and_its_three_parameters() -> None:
    parameters = [
        replace(of_our_own(f"fuel.natural_gas.{name}", value, unit, "", kind), u95_percent=D(u95))
        for name, value, unit, kind, u95 in (
            ("ncv", "389.31", "GJ/10^4 Nm3", "ncv", 3), ("carbon_content", "0.0153", "tC/GJ", "carbon_content", 4),
            ("oxidation", "0.99", "1", "oxidation", 1),
        )
    ]  # fmt: skip
    gas = replace(meter("gas", "gas", fuel="natural_gas"), accuracy_percent=D(2))
    made = compile_statement(
        period({("gas", "gas_volume_normal_m3"): ["100", "50"]}, gas, own=parameters), [carrier_lines]
    )
    told = uncertainty_of(made)
    assert told is not None
    assert told.unstated == ()
    assert told.percent == pytest.approx(D("5.477225575"), abs=D("1e-9"))


def test_at_a_site_with_a_roof_the_cooling_carries_what_the_chiller_s_own_line_carries(tmp_path: Path) -> None:
    meters = (
        MeterSpec("incomer", "gw", D(4000), Role.MAIN),
        MeterSpec("roof", "gw", D(4000), show="pv"),
        MeterSpec("chiller", "gw", D(4000)),
        meter("cold", "cooling", Role.SUB, made_by=("chiller",)),
    )
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        for device, quantity, kwh in (
            ("incomer", "energy_import_kwh", ("300", "300")), ("roof", "energy_export_kwh", ("200", "0")),
            ("chiller", "energy_import_kwh", ("100", "100")), ("cold", "cooling_energy_kwh", ("400", "400")),
        ):  # fmt: skip
            rows = [
                IntervalRow(
                    "works", device, quantity, n * QUARTER_MS, (n + 1) * QUARTER_MS, D(one), GOOD, True, "measured"
                )
                for n, one in enumerate(kwh)
            ]
            ledger.put_intervals(rows, 1)
        own = (FactorOverride(D("0.5306"), "test"),)
        facility = Facility("works", "Asia/Shanghai", meters=meters, overrides=own)
        made = Accounts(ledger, [facility], tmp_path, lambda: 10 * DAY_MS).statement(
            "works", "GHGP-LB", 0, 8 * 3_600_000
        )
    # 300 kWh of the grid reach 500 kWh of loads, then 300 of 300: (3/5 + 1) x 100 kWh x 0.5306.
    lines = {line.source: line.kg for line in made.of(Counts.ALLOCATED)}
    assert lines["meter:cold"] == lines["part:chiller"] == D("84.896")
    assert made.kg() == D("318.36")

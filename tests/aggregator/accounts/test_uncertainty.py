"""Uncertainty of statements: rule 16 of the domain rules, example 20 of the emissions specification, and IPCC's equation as an independent peer."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from aggregator.accounts.compile import compile_statement
from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.metered import location_lines
from aggregator.accounts.period import Period
from aggregator.accounts.statement import Statement, line_order
from aggregator.accounts.uncertainty import Uncertainty, uncertainty_of
from aggregator.emissions.formulas.uncertainty import uncertainty_of_metering
from aggregator.emissions.profiles import profile
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow

D = Decimal
HOUR_MS = 3_600_000
FACTOR = Applied("elec.cn.grid.avg", 1, D("0.5306"), "CN", 2023, "national", u95_percent=D(7))


def line(source: str, kg: str, meter: str | None, factor: Applied | None = FACTOR, **said: object) -> Line:
    known = Line(
        source, Counts.SCOPE_2, "indirect", "electricity", 0, HOUR_MS, None, "kWh", factor, D(kg),
        meter_u95_percent=None if meter is None else D(meter),
    )  # fmt: skip
    return replace(known, **said)  # type: ignore[arg-type]


def of(*lines: Line) -> Uncertainty:
    found = uncertainty_of(Statement("works", "GHGP-LB", 0, HOUR_MS, 1, tuple(sorted(lines, key=line_order))))
    assert found is not None
    return found


def test_rule_16_of_one_meter_over_a_year_and_of_a_hundred_with_one_factor() -> None:
    year = [line("meter:m0", "53.06", "1", start_ms=hour * HOUR_MS) for hour in range(8760)]
    assert of(*year).percent == pytest.approx(D("7.0710678118654752"), abs=D("1e-9"))
    hundred = of(*(line(f"meter:m{n}", "53.06", "1") for n in range(100)))
    assert hundred.percent == pytest.approx(D("7.000714249"), abs=D("1e-9"))


def test_the_formula_of_equal_meters_says_the_same() -> None:
    found = of(*(line(f"meter:m{n}", "10", "2", start_ms=hour) for n in range(5) for hour in range(24)))
    peer = uncertainty_of_metering(Fraction(5), Fraction(24), Fraction(0), Fraction(2), Fraction(7))
    assert found.percent == pytest.approx(D(float(peer.figures[0].value)), abs=D("1e-9"))


def test_example_20_the_sum_of_a_fuel_and_electricity_and_two_sites_that_share_a_factor() -> None:
    coal = Applied("fuel.coal", 1, D(1), u95_percent=D("5.477225575051661"))  # root of 2^2 + 3^2 + 4^2 + 1^2
    found = of(line("activity:coal", "1938338.864", "0", coal, unit="t"), line("meter:m", "530600", "0"))
    assert (found.total_kg, found.unstated) == (D("2468938.864"), ())
    assert found.kg == pytest.approx(D("112476.667888"), abs=D("1e-6"))
    assert found.percent == pytest.approx(D("4.555668410"), abs=D("1e-9"))
    assert of(line("meter:a", "100", "0"), line("meter:b", "300", "0")).kg == 28  # 7 % of 400, not root(7^2 + 21^2)


def test_what_nobody_stated_is_named_and_not_taken_for_zero() -> None:
    found = of(line("meter:m", "100", None), line("meter:n", "100", "1", replace(FACTOR, u95_percent=None)))
    assert found.unstated == ("elec.cn.grid.avg CN 2023 v1", "meter:m")
    assert str(found).startswith(
        "± 7.071 kg (3.536 %) at 95 %: independent 0.000, meters 1.000, factors 7.000; at least"
    )
    assert uncertainty_of(Statement("works", "GHGP-LB", 0, HOUR_MS, 1, ())) is None


def test_class_last_digit_and_the_facility_s_assumption_come_from_the_settings() -> None:
    meter = MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D(120), accuracy_percent=D("0.5"))
    facility = Facility("works", "Asia/Shanghai", meters=(meter,), factor_u95_percent=D(7))
    rows = [
        IntervalRow(
            "works", "incomer", "energy_import_kwh", n * 900_000, (n + 1) * 900_000, D(600), GOOD, True, "measured"
        )
        for n in range(4)
    ]
    found = Resolution("works", "national", D("0.5"), "elec.cn.grid.avg", 1, "CN", 2023, "doc", (), (), 0, 2**62)
    period = Period(facility, profile("GHGP-LB"), 0, HOUR_MS, 1, lambda _device, _quantity: rows, lambda _: found)
    told = uncertainty_of(compile_statement(period, [location_lines]))
    assert told is not None
    # 2,400 kWh = 1,200 kg; four intervals of 0.776393 x 120 kWh x 0.5 each: 2 x 46.58358 kg.
    assert (told.total_kg, told.meter_kg, told.factor_kg, told.unstated) == (1200, 6, 84, ())
    assert told.independent_kg == pytest.approx(D("93.16716"), abs=D("1e-9"))

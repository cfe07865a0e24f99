"""What a statement costs at carbon prices. 132.65 t at 68.38 CNY/t is example 30 of the specification; the other products are by hand."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aggregator.accounts.cost import Cost, costs_of
from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.price import CarbonPrice, price_given
from aggregator.accounts.statement import Statement
from aggregator.facility import Facility

D = Decimal
DAY = 86_400_000
ETS = CarbonPrice(D("68.38"), "CNY", "national ETS, 2025-06-30")
FACTOR = Applied("elec.cn.grid.avg", 1, D("0.5306"), "CN", 2023, "national")


def line(counts: Counts, kg: str | None, day: int = 0, **said: Any) -> Line:
    activity, carrier, unit = said.pop("of", ("indirect", "electricity", "kWh"))
    return Line(
        "meter:incomer", counts, activity, carrier, day * DAY, (day + said.pop("days", 1)) * DAY, D(1), unit, FACTOR,
        None if kg is None else D(kg), **said,
    )  # fmt: skip


def statement(*lines: Line, days: int = 31, expected: int = 0) -> Statement:
    return Statement("works", "GHGP-LB", 0, days * DAY, days * DAY, lines, expected)


def rows(made: Statement, *prices: CarbonPrice) -> list[tuple[Any, ...]]:
    return [(row.counts, row.kg, row.priced_kg, row.cost, row.complete) for of in costs_of(made, prices) for row in of.rows]  # fmt: skip


def test_132_65_t_cost_9070_607_cny_and_the_statement_knows_nothing_of_it() -> None:
    made = statement(line(Counts.SCOPE_2, "132650", intervals=1, provisional=1), expected=1)
    (of,) = costs_of(made, [ETS])
    whole = Cost("all_scopes", D(132650), D(132650), D("9070.607"), complete=True, provisional=1)
    assert (of.profile, of.currency, of.rows) == ("GHGP-LB", "CNY", (whole, replace(whole, counts="scope2")))
    assert [(used.price, used.priced_kg, used.cost) for used in of.prices] == [(ETS, D(132650), D("9070.607"))]
    assert b"68.38" not in made.encoded()


def test_each_scope_has_its_cost_and_what_is_shown_apart_has_none() -> None:
    """1,000 kg and 500 kg at 100 CNY/t are 100 and 50; exported kg are in no total and cost nothing."""
    made = statement(
        line(Counts.SCOPE_1, "1000"), line(Counts.SCOPE_2, "500"), line(Counts.EXPORTED, "70"), line(Counts.BIOGENIC, "9")
    )  # fmt: skip
    price = replace(ETS, price_per_t=D(100))
    assert rows(made, price) == [
        ("all_scopes", D(1500), D(1500), D(150), True),
        ("scope1", D(1000), D(1000), D(100), True),
        ("scope2", D(500), D(500), D(50), True),
    ]


def test_a_figure_that_is_missing_has_no_cost_and_is_not_0() -> None:
    none = statement(line(Counts.SCOPE_2, None))
    assert rows(none, ETS) == [("all_scopes", None, None, None, False), ("scope2", None, None, None, False)]
    some = statement(line(Counts.SCOPE_2, "1000"), line(Counts.SCOPE_1, None))
    assert rows(some, ETS)[0] == ("all_scopes", D(1000), D(1000), D("68.38"), False)
    gap = statement(line(Counts.SCOPE_2, "1000", intervals=96), expected=97)  # an interval without any line
    assert [row[-1] for row in rows(gap, ETS)] == [False, False]


def test_each_day_is_priced_by_the_price_that_held_and_a_month_across_a_change_by_none() -> None:
    """Day 0 at 68.38, day 1 at 80: 68.38 + 160; the fuel bill of both days has no price, and the result says so."""
    first, then = replace(ETS, valid_to_ms=DAY), replace(ETS, price_per_t=D(80), valid_from_ms=DAY, source="exchange B")
    made = statement(line(Counts.SCOPE_2, "1000"), line(Counts.SCOPE_2, "2000", 1), line(Counts.SCOPE_1, "500", days=2), days=2)  # fmt: skip
    assert rows(made, first, then) == [
        ("all_scopes", D(3500), D(3000), D("228.38"), False),
        ("scope1", D(500), None, None, False),
        ("scope2", D(3000), D(3000), D("228.38"), True),
    ]
    (of,) = costs_of(made, [then, first])
    assert [(used.price.source, used.cost) for used in of.prices] == [(ETS.source, D("68.38")), ("exchange B", D(160))]


def test_prices_of_two_currencies_stand_side_by_side_and_one_of_another_time_prices_nothing() -> None:
    made = statement(line(Counts.SCOPE_2, "1000"))
    later = replace(ETS, currency="EUR", price_per_t=D("86.53"), valid_from_ms=31 * DAY)
    said = {of.currency: (of.rows[0].cost, len(of.prices)) for of in costs_of(made, [ETS, later])}
    assert said == {"CNY": (D("68.38"), 1), "EUR": (None, 0)}
    assert costs_of(made, []) == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("-1", "CNY", "x"), "expected price_per_t of 0 or above"),
        (("1", "yuan", "x"), "expected a currency of three capital letters"),
        (("1", "CNY", " "), "expected a source"),
        (("much", "CNY", "x"), "expected a decimal number per t, got 'much'"),
        ((None, "CNY", "x"), "expected a decimal number per t, got ''"),
        (("NaN", "CNY", "x"), "expected price_per_t of 0 or above, got NaN"),
        (("1E+99", "CNY", "x"), "expected at most 18 digits"),
    ],
)
def test_a_price_without_currency_source_or_sense_is_refused(given: tuple[str | None, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        price_given(*given)


def test_a_facility_has_one_price_in_a_currency_at_a_time() -> None:
    with pytest.raises(ValueError, match="expected one carbon price in CNY at a time"):
        Facility("works", "Asia/Shanghai", carbon_prices=(ETS, replace(ETS, valid_from_ms=DAY)))
    Facility("works", "Asia/Shanghai", carbon_prices=(replace(ETS, valid_to_ms=DAY), replace(ETS, valid_from_ms=DAY)))

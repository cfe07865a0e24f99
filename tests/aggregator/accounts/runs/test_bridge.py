"""The split of a change among its causes: example 27 of the specification by hand, and the sum for any inputs."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.accounts.runs.bridge import RESIDUAL, bridge, shares_of
from aggregator.emissions.formulas.bridge import shapley

CAUSES = ["factor", "fuel parameter", "gwp set", "activity", "activity:multiplier", "boundary"]


def ex27(fresh: frozenset[str]) -> Fraction:
    """kg of 10,000 (10,050) MWh at 0.5568 (0.5366) kg/kWh."""
    kwh = 10_050_000 if "activity" in fresh else 10_000_000
    return kwh * Fraction("0.5366" if "factor" in fresh else "0.5568")


def test_example_27_a_corrected_factor_and_a_corrected_meter() -> None:
    """Specification, section 8, example 27: 5,568 -> 5,392.83 t; -175.17 = factor -202.505 + activity +27.335."""
    made = bridge(Decimal(5_568_000), Decimal(5_392_830), ["factor", "activity"], ex27)
    assert {share.cause: share.kg / 1000 for share in made.shares} == {
        "factor": Fraction("-202.505"),
        "activity": Fraction("27.335"),
    }
    assert made.delta_kg == -175_170
    assert made.text() == ("5568 -> 5392.83 t CO2e: -175.17 t (-3.146012931 %) = factor -202.505, activity +27.335")


def test_example_27_with_the_factor_alone() -> None:
    """5,568 -> 5,366 t, -3.627873563 %."""
    made = bridge(Decimal(5_568_000), Decimal(5_366_000), ["factor"], ex27)
    assert made.text() == "5568 -> 5366 t CO2e: -202 t (-3.627873563 %) = factor -202"


def test_code_and_method_come_last_as_one_line() -> None:
    """A new program books 3 kg less for the old inputs and a new method 2 kg more for the new ones."""
    made = bridge(Decimal(103), Decimal(152), ["activity"], lambda fresh: Fraction(150 if fresh else 100))
    assert [(share.cause, share.kg) for share in made.shares] == [("activity", 50), (RESIDUAL, -1)]


def test_a_cause_without_effect_has_no_line_and_a_total_that_is_not_there_no_causes() -> None:
    assert bridge(Decimal(7), Decimal(7), CAUSES[:2], lambda _: Fraction(7)).shares == ()
    absent = bridge(None, Decimal(7), CAUSES[:2], lambda _: Fraction(7))
    assert (absent.delta_kg, absent.shares, absent.text()) == (None, (), "no total before")


def test_an_eighth_cause_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 7"):
        bridge(Decimal(1), Decimal(2), [f"cause {n}" for n in range(8)], lambda _: Fraction(1))


kilograms = st.decimals(min_value=-(10**9), max_value=10**9, places=9)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 6), kilograms, kilograms)
def test_the_shares_sum_to_the_change_whatever_the_totals(
    data: st.DataObject, count: int, before: Decimal, after: Decimal
) -> None:
    totals: dict[frozenset[str], Fraction] = {}

    def total(fresh: frozenset[str]) -> Fraction:
        if fresh not in totals:
            totals[fresh] = Fraction(data.draw(kilograms))
        return totals[fresh]

    made = bridge(before, after, CAUSES[:count], total)
    assert sum((share.kg for share in made.shares), Fraction(0)) == Fraction(after) - Fraction(before)
    assert shares_of(made.encoded()) == made.shares


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=5))
def test_of_a_product_it_is_the_split_that_the_formula_gives(pairs: list[tuple[int, int]]) -> None:
    """Independent peer: `wattline formula shapley`, written for products of drivers."""
    names = CAUSES[: len(pairs)]
    before, after = ([Fraction(pair[at]) for pair in pairs] for at in (0, 1))

    def product(fresh: frozenset[str]) -> Fraction:
        made = Fraction(1)
        for name, one, other in zip(names, before, after, strict=True):
            made *= other if name in fresh else one
        return made

    peer = shapley(names, before, after)
    made = bridge(Decimal(int(product(frozenset()))), Decimal(int(product(frozenset(names)))), names, product)
    shares = {share.cause: share.kg for share in made.shares}
    assert {name: shares.get(name, Fraction(0)) for name in names} == {name: peer[f"share_of_{name}"] for name in names}

"""Which version of a fuel parameter applies, with every candidate that was passed over. Figures: worked examples of the specification."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from aggregator.emissions.entry import Entry
from aggregator.emissions.parameter import Asked, Resolved, resolve_parameter
from aggregator.emissions.registry import Registry

D = Decimal
NOW = 1_780_272_000_000  # 2026-06-01
DAY = 86_400_000
CO2_PER_C = Fraction(44, 12)


@pytest.fixture(scope="module")
def entries() -> Iterator[list[Entry]]:
    with Registry(":memory:") as registry:
        yield registry.entries()


def ask(entries: list[Entry], identity: str, **asked: str) -> Resolved:
    return resolve_parameter(entries, Asked(identity, NOW, NOW, **({"region": "CN-JS"} | asked)))  # type: ignore[arg-type]


def fraction(found: Resolved) -> Fraction:
    assert found.value is not None
    return Fraction(found.value)


def burnt_t(
    entries: list[Entry], fuel: str, amount: str, oxidation: str = "", carbon: str = "", of: str | None = None
) -> Decimal:
    """Amount x heat x carbon x oxidation x 44/12 with what the registry resolves, to 9 decimals."""
    share = Fraction(of) if of else fraction(ask(entries, f"fuel.{fuel}.oxidation", variant=oxidation))
    t = Fraction(amount) * fraction(ask(entries, f"fuel.{fuel}.ncv"))
    t *= fraction(ask(entries, f"fuel.{fuel}.carbon_content", variant=carbon)) * share * CO2_PER_C
    return round(Decimal(t.numerator) / Decimal(t.denominator), 9)


def test_the_shipped_parameters_give_the_worked_examples_of_combustion(entries: list[Entry]) -> None:
    assert burnt_t(entries, "raw_coal", "1000", of="0.98") == D("1938.338864")  # example 1a, oxidation given
    assert burnt_t(entries, "anthracite", "500", "power boiler") == D("1094.835753917")  # 2
    assert burnt_t(entries, "anthracite", "500", "industrial boiler") == D("979.589885083")
    assert burnt_t(entries, "natural_gas", "12") == D("259.462657080")  # 3, of 10^4 Nm3
    assert burnt_t(entries, "natural_gas", "1", carbon="older sector guides") == D("21.650151996")
    assert burnt_t(entries, "diesel", "10") == D("30.959096373")  # 4


def test_the_ipcc_factors_give_their_examples(entries: list[Entry]) -> None:
    coal = fraction(ask(entries, "fuel.raw_coal.combustion", gas="CO2")) * fraction(ask(entries, "fuel.raw_coal.ncv"))
    assert coal * 1000 / 10**6 == Fraction("1977.8968")  # example 1b: 1,000 t, GJ to TJ and kg to t

    def diesel_kg(report: str, methane: str) -> Fraction:
        gwp = {
            gas: fraction(ask(entries, report, gas=gas, variant=variant))
            for gas, variant in (("CO2", ""), ("CH4", methane), ("N2O", ""))
        }
        return sum(
            (fraction(ask(entries, "fuel.diesel.combustion", gas=gas)) * by for gas, by in gwp.items()), Fraction(0)
        )

    assert diesel_kg("gwp.ar5", "") == Fraction("74343.0")  # example 5
    assert diesel_kg("gwp.ar6", "fossil") == Fraction("74353.2")


def test_the_other_defaults_give_their_examples(entries: list[Entry]) -> None:
    def blend(report: str) -> Fraction:
        return sum(
            (
                fraction(ask(entries, "blend.r-410a", gas=gas)) * fraction(ask(entries, report, gas=gas))
                for gas in ("HFC-32", "HFC-125")
            ),
            Fraction(0),
        )

    assert (blend("gwp.ar5") * 12, blend("gwp.ar6") * 12) == (23_082, 27_066)  # example 13, kg
    assert fraction(ask(entries, "heat.purchased", gas="CO2")) * Fraction("1346.68") == Fraction("148.1348")  # 11
    assert fraction(ask(entries, "process.limestone", gas="CO2")) * 100 * Fraction("0.95") * Fraction(
        "0.98"
    ) == Fraction("40.9370010")  # 14
    assert fraction(ask(entries, "gwp.ar5", gas="SF6")) / 2000 == Fraction("11.75")  # 37


def test_a_draft_is_no_default_and_says_so_until_somebody_approves_it() -> None:
    with Registry(":memory:") as registry:
        found = ask(registry.entries(), "gwp.ar6", gas="SF6")
        assert (found.tier, found.value) == ("none", None)
        assert found.reason.endswith("international gwp.ar6 SF6 INT version 1: is a draft that nobody has approved")
        registry.decide("gwp.ar6", "approved", "ann", "read Table 7.SM.7", NOW - DAY)
        found = ask(registry.entries(), "gwp.ar6", gas="SF6")
        assert found.value is not None
        assert found.value / 2000 == D("12.15")  # example 37


def test_the_facilitys_own_value_goes_first_while_it_is_valid(entries: list[Entry]) -> None:
    shipped = ask(entries, "fuel.diesel.ncv").entry
    assert shipped is not None
    own = replace(
        shipped,
        facility="works",
        value=D("42.9"),
        evidence="laboratory report 12",
        valid_from_ms=NOW - DAY,
        valid_to_ms=NOW + DAY,
        version=1,
    )
    found = ask([*entries, own], "fuel.diesel.ncv", facility="works")
    assert (found.tier, found.value) == ("facility", D("42.9"))
    for moved, why in ((replace(own, valid_from_ms=NOW + 1), "is not valid yet"), (replace(own, valid_to_ms=NOW), "is no longer valid"),
                       (replace(own, evidence=""), "has no evidence"), (replace(own, known_from_ms=NOW + DAY), "known only from 2026-06-02")):  # fmt: skip
        found = ask([*entries, moved], "fuel.diesel.ncv", facility="works")
        assert (found.tier, found.value) == ("national", D("42.652"))
        assert why in found.skipped[0].reason
    assert ask([*entries, own], "fuel.diesel.ncv", facility="another").tier == "national"


def test_a_withdrawn_version_leaves_the_one_before_it(entries: list[Entry]) -> None:
    shipped = ask(entries, "fuel.diesel.ncv").entry
    assert shipped is not None
    second = replace(shipped, version=2, value=D("43"), status="withdrawn", note="misread")
    found = ask([*entries, second], "fuel.diesel.ncv")
    assert found.value == D("42.652")
    assert [(s.candidate, s.reason) for s in found.skipped if "version 2" in s.candidate] == [
        ("national fuel.diesel.ncv CN version 2", "was withdrawn: misread")
    ]


def test_what_was_corrected_does_not_come_back_where_its_correction_has_ended(entries: list[Entry]) -> None:
    shipped = ask(entries, "fuel.diesel.ncv").entry
    assert shipped is not None
    second = replace(shipped, version=2, value=D("43"), valid_to_ms=NOW)
    found = ask([*entries, second], "fuel.diesel.ncv")
    assert found.value is None
    assert [s.reason for s in found.skipped[1:3]] == ["is no longer valid at this time", "version 2 took its place"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"identity": "fuel.anthracite.oxidation"}, "is for kiln, none is asked"),
        ({"identity": "fuel.raw_coal.oxidation"}, "national CN: has no fuel.raw_coal.oxidation"),
        ({"identity": "heat.purchased", "gas": "CO2", "signal": "marginal"}, "is average, marginal is asked"),
        ({"identity": "heat.purchased", "gas": "CO2", "boundary": "life_cycle"}, "counts direct, life_cycle is asked"),
        ({"identity": "gwp.ar6", "gas": "CH4"}, "is for fossil, none is asked"),
        ({"identity": "fuel.diesel.ncv", "region": "DE"}, "national DE: has no fuel.diesel.ncv"),
    ],
)
def test_nothing_stands_in_for_what_is_asked(entries: list[Entry], asked: dict[str, str], why: str) -> None:
    found = ask(entries, **asked)
    assert found.value is None
    assert why in found.reason

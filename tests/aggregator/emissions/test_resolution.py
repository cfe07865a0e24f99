"""Which factor applies, when, and what was known when."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aggregator.emissions.amounts import AverageKg, MarginalKg
from aggregator.emissions.factors import FactorTable, shipped
from aggregator.emissions.place import FactorOverride, Place
from aggregator.emissions.profiles import profile, profiles
from aggregator.emissions.resolution import Resolution, resolve

D = Decimal
TABLE = FactorTable.from_pack(shipped())


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-06-01T00:00")


def at(
    region: str, when: str, *, as_of: str = "2026-06-01T00:00", overrides: tuple[FactorOverride, ...] = ()
) -> Resolution:
    return resolve(TABLE, Place("works", region, "Asia/Shanghai", overrides), ms(when), ms(as_of))


@pytest.mark.parametrize(
    ("region", "tier", "found", "text"),
    [
        ("CN-JS", "province", "CN-JS", "0.5978"),
        ("CN-GRID-EAST", "grid", "CN-GRID-EAST", "0.5617"),
        ("CN", "national", "CN", "0.5366"),
    ],
)
def test_the_place_says_where_the_search_starts(region: str, tier: str, found: str, text: str) -> None:
    resolution = at(region, "2022-06-01T00:00")
    assert (resolution.tier, resolution.region, str(resolution.kg_per_kwh)) == (tier, found, text)
    assert (resolution.factor_id, resolution.version, resolution.data_year, resolution.marks) == (
        "elec.cn.grid.avg",
        1,
        2022,
        (),
    )
    assert "2024年 第33号" in resolution.source


def test_a_province_without_a_factor_gets_its_nations_and_the_figure_says_so() -> None:
    resolution = at("CN-XZ", "2022-06-01T00:00")
    assert (resolution.tier, str(resolution.kg_per_kwh), resolution.marks) == (
        "national",
        "0.5366",
        ("fallback_place",),
    )
    assert [(s.candidate, s.reason) for s in resolution.skipped] == [("province CN-XZ", "has no factor")]


def test_the_residual_and_the_fossil_factor_are_never_taken() -> None:
    for year in (2021, 2022, 2023, 2026):
        assert at("CN", f"{year}-06-01T00:00").factor_id == "elec.cn.grid.avg"


def test_after_the_last_year_the_latest_earlier_factor_applies_and_is_marked() -> None:
    resolution = at("CN-JS", "2026-05-01T00:00")
    assert (str(resolution.kg_per_kwh), resolution.data_year) == ("0.5827", 2023)
    assert resolution.marks == ("provisional", "fallback_latest")


def test_before_the_first_year_there_is_no_figure() -> None:
    resolution = at("CN-JS", "2018-03-05T00:00")
    assert (resolution.kg_per_kwh, resolution.tier, resolution.data_year) == (None, "none", None)
    assert resolution.reason == (
        "province CN-JS: no factor for 2018 or earlier, the first is of 2021; "
        "grid CN-GRID-EAST: no factor for 2018 or earlier, the first is of 2021; "
        "national CN: no factor for 2018 or earlier, the first is of 2021"
    )


@pytest.mark.parametrize("region", ["", "DE", "US-CA"])
def test_without_a_known_place_there_is_no_figure(region: str) -> None:
    resolution = at(region, "2022-06-01T00:00")
    assert resolution.kg_per_kwh is None
    assert resolution.reason


@pytest.mark.parametrize(
    ("as_of", "text", "year"),
    [
        ("2024-04-11T15:59", None, None),  # a minute before 12 April in Beijing
        ("2024-04-11T16:00", "0.5568", 2021),
        ("2024-12-25T15:59", "0.5568", 2021),
        ("2024-12-25T16:00", "0.5366", 2022),
        ("2025-12-30T16:00", "0.5306", 2023),
    ],
)
def test_an_earlier_knowledge_time_gives_what_was_known_then(as_of: str, text: str | None, year: int | None) -> None:
    resolution = at("CN", "2023-06-01T00:00", as_of=as_of)
    assert resolution.kg_per_kwh == (None if text is None else D(text))
    assert resolution.data_year == year


def test_the_year_is_that_of_the_clock_on_the_wall() -> None:
    assert at("CN", "2022-12-31T15:59").data_year == 2022
    turned = at("CN", "2022-12-31T16:00")
    assert turned.data_year == 2023
    assert (turned.from_ms, turned.to_ms) == (ms("2022-12-31T16:00"), ms("2023-12-31T16:00"))


def test_an_override_goes_before_everything_and_carries_its_marks() -> None:
    own = FactorOverride(D("0.45848"), "implied by the data set", marks=("test data",))
    resolution = at("CN-JS", "2018-03-05T00:00", overrides=(own,))
    assert (resolution.tier, resolution.kg_per_kwh, resolution.factor_id, resolution.version) == (
        "override",
        D("0.45848"),
        "override.works",
        1,
    )
    assert (resolution.marks, resolution.data_year, resolution.source) == (
        ("test data",),
        None,
        "implied by the data set",
    )


def test_outside_its_validity_an_override_is_skipped_and_bounds_what_is_found() -> None:
    own = FactorOverride(
        D("0.4"), "laboratory", valid_from_ms=ms("2022-04-01T00:00"), valid_to_ms=ms("2022-07-01T00:00")
    )
    before, within, after = (at("CN", f"2022-{day}T00:00", overrides=(own,)) for day in ("03-01", "05-01", "08-01"))
    assert [r.tier for r in (before, within, after)] == ["national", "override", "national"]
    assert before.to_ms == within.from_ms == ms("2022-04-01T00:00")
    assert within.to_ms == after.from_ms == ms("2022-07-01T00:00")
    assert after.skipped[0].reason == "not valid at this time"


def test_an_override_is_unknown_before_it_was_known() -> None:
    own = FactorOverride(D("0.4"), "laboratory", known_from_ms=ms("2026-01-01T00:00"))
    assert at("CN", "2022-06-01T00:00", as_of="2025-12-31T00:00", overrides=(own,)).tier == "national"
    assert at("CN", "2022-06-01T00:00", as_of="2026-01-01T00:00", overrides=(own,)).tier == "override"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kg_per_kwh": D(-1)}, "kg_per_kwh must be 0 or above"),
        ({"kg_per_kwh": D("NaN")}, "kg_per_kwh must be 0 or above"),
        ({"source": " "}, "source must name"),
        ({"valid_from_ms": 2, "valid_to_ms": 2}, "valid_to must be after valid_from"),
    ],
)
def test_a_faulty_override_is_refused(fault: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FactorOverride(**({"kg_per_kwh": D(1), "source": "x"} | fault))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "when", "mwh", "kg"),
    [
        # worked example 6
        ("CN", "2021-06-01T00:00", 250, "139200"),
        ("CN", "2022-06-01T00:00", 250, "134150"),
        ("CN", "2023-06-01T00:00", 250, "132650"),
        ("CN-GD", "2023-06-01T00:00", 250, "110475"),
        # worked example 38: the same GWh in two provinces
        ("CN-YN", "2023-06-01T00:00", 1000, "133300"),
        ("CN-TJ", "2023-06-01T00:00", 1000, "679600"),
    ],
)
def test_what_is_resolved_gives_the_worked_examples(region: str, when: str, mwh: int, kg: str) -> None:
    assert at(region, when).amount(D(mwh * 1000)) == AverageKg(D(kg))


def by_profile(name: str, region: str = "CN-YN", when: str = "2023-06-01T00:00") -> Resolution:
    return resolve(TABLE, Place("works", region, "Asia/Shanghai"), ms(when), NOW, profile(name))


def test_without_the_years_notice_the_national_standard_gives_nothing() -> None:
    found = by_profile("CN-GBT")
    assert found.kg_per_kwh is None
    assert found.reason == "CN-GBT: the reporting year's notice, which names the place level, is not entered"


def test_a_factor_of_the_facilitys_own_waits_for_the_notice_too() -> None:
    """Domain rule 15: null until the notice is entered. With it the own factor goes first, as section 4 of the specification has it."""
    mine = Place("works", "CN-YN", "Asia/Shanghai", (FactorOverride(D("0.3"), "supplier"),))
    found = resolve(TABLE, mine, ms("2023-06-01T00:00"), NOW, profile("CN-GBT"))
    assert (found.kg_per_kwh, found.tier) == (None, "none")
    noticed = profile("CN-GBT").noticed("national", "notice of the year")
    assert resolve(TABLE, mine, ms("2023-06-01T00:00"), NOW, noticed).kg_per_kwh == D("0.3")
    assert resolve(TABLE, mine, ms("2023-06-01T00:00"), NOW, profile("GHGP-LB")).kg_per_kwh == D("0.3")


def test_the_years_notice_says_which_level_counts() -> None:
    """Yunnan's 0.1333 against the nation's 0.5306 is a factor of 3.98."""
    for level, region, text in (("province", "CN-YN", "0.1333"), ("national", "CN", "0.5306")):
        rules = profile("CN-GBT").noticed(level, "notice of the year")
        found = resolve(TABLE, Place("works", "CN-YN", "Asia/Shanghai"), ms("2023-06-01T00:00"), NOW, rules)
        assert (found.region, str(found.kg_per_kwh), found.marks) == (region, text, ())
    assert [s.reason for s in found.skipped] == ["CN-GBT takes national"] * 2
    with pytest.raises(ValueError, match="expected which document"):
        profile("CN-GBT").noticed("national", " ")
    with pytest.raises(ValueError, match="expected one of province, grid, national"):
        profile("CN-GBT").noticed("county", "notice")


def test_an_average_never_stands_in_for_a_marginal() -> None:
    found = by_profile("MARGINAL")
    assert found.kg_per_kwh is None
    assert [s.reason for s in found.skipped] == ["has average factors only, marginal is asked"] * 2 + [
        "has average, residual, fossil factors only, marginal is asked"
    ]
    own = FactorOverride(D("0.4"), "laboratory")
    place = Place("works", "CN", "Asia/Shanghai", (own,))
    assert resolve(TABLE, place, NOW, NOW, profile("MARGINAL")).skipped[0].reason == "is average, marginal is asked"


def test_a_marginal_factor_gives_a_marginal_amount_of_the_same_year_only() -> None:
    one = next(
        v for v in shipped().versions if (v.factor_id, v.region, v.data_year) == ("elec.cn.grid.avg", "CN", 2023)
    )
    table = FactorTable(
        [*shipped().versions, replace(one, factor_id="elec.cn.grid.marginal", signal="marginal", kg_per_kwh=D("0.8"))]
    )
    place = Place("works", "CN", "Asia/Shanghai")
    found = resolve(table, place, ms("2023-06-01T00:00"), NOW, profile("MARGINAL"))
    assert found.amount(D(10)) == MarginalKg(D("8.0"))
    with pytest.raises(TypeError):
        found.amount(D(10)) + at("CN", "2023-06-01T00:00").amount(D(10))  # type: ignore[operator]
    assert resolve(table, place, ms("2024-06-01T00:00"), NOW, profile("MARGINAL")).reason == (
        "national CN: no factor for 2024, and MARGINAL takes no other year's"
    )
    assert resolve(table, place, ms("2023-06-01T00:00"), NOW).signal == "average"


def test_a_later_years_factor_stands_in_only_where_the_profile_says_so() -> None:
    rules = replace(profile("OPS"), years=("same", "earlier", "later"))
    found = resolve(TABLE, Place("works", "CN", "Asia/Shanghai"), ms("2018-06-01T00:00"), NOW, rules)
    assert (found.data_year, found.marks) == (2021, ("provisional", "fallback_oldest"))


def test_every_profile_is_one_of_seven_and_a_stranger_is_refused() -> None:
    assert list(profiles()) == ["OPS", "GHGP-LB", "GHGP-MB", "GHGP-MB-HOURLY", "CN-GBT", "CBAM", "MARGINAL"]
    with pytest.raises(ValueError, match="profile: expected one of OPS"):
        profile("ops")

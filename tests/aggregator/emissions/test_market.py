"""The market-based figure: what retired instruments cover, once each, and what the rest is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.emissions.amounts import AverageKg
from aggregator.emissions.factors import FactorTable, shipped
from aggregator.emissions.instruments import Instrument, Instruments, InstrumentsRefused, Retired, read_instruments
from aggregator.emissions.market import MarketFigure, Use, market_based
from aggregator.emissions.place import FactorOverride, Place
from aggregator.emissions.resolution import Skipped

D = Decimal
HOUR = 3_600_000
TABLE = FactorTable.from_pack(shipped())
WORKS = Place("works", "CN-JS", "Asia/Shanghai")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-06-01")
START = ms("2023-06-01")
CERTIFICATE = Instrument("c1", "rec", D("0.4"), START, START + HOUR, "CN", D(0), "works", "R-1", "statement 7")


def figure(
    uses: list[Use], *instruments: Instrument, hourly: bool = False, place: Place = WORKS, as_of_ms: int = NOW
) -> MarketFigure:
    retired = [Retired(instrument, "works", "ann", NOW - 1) for instrument in instruments]
    return market_based(TABLE, place, uses, retired, as_of_ms, "hourly" if hourly else "annual")


def kg(found: MarketFigure) -> Decimal:
    assert found.total.amount is not None
    return found.total.amount.kg


def test_retired_certificates_and_the_residual_mix() -> None:
    """Worked example 9: 1,000 kWh, 400 kWh retired, residual 0.6096."""
    found = figure([Use(START, START + HOUR, D(1000))], CERTIFICATE)
    assert kg(found) == D("365.76")
    assert [(part.tier, part.kwh) for part in found.parts] == [("rec", 400), ("residual", 600)]
    assert found.parts[1].marks == ("fallback_place", "quasi_residual", "data year 2023")
    assert (found.surplus_kwh, found.total.coverage_percent) == (0, 100)


def test_annual_matching_hides_what_hourly_matching_shows() -> None:
    """Worked example 10: load 100, 100, 100; contracted 250, 50, 0."""
    uses = [Use(START + n * HOUR, START + (n + 1) * HOUR, D(100)) for n in range(3)]
    made = [
        replace(CERTIFICATE, id=f"h{n}", type="gc_hourly", mwh=D(mwh), from_ms=use.start_ms, to_ms=use.end_ms)
        for n, (use, mwh) in enumerate(zip(uses[:2], ("0.25", "0.05"), strict=True))
    ]
    annual, hourly = figure(uses, *made), figure(uses, *made, hourly=True)
    assert (kg(annual), annual.surplus_kwh) == (0, 0)
    assert kg(hourly) == D("91.44")
    assert sum(p.kwh for p in hourly.parts if p.tier == "gc_hourly") == 150
    assert hourly.surplus_kwh == 150  # made at night by nobody's load: shown, never carried on


def test_the_surplus_never_makes_a_negative_figure() -> None:
    found = figure([Use(START, START + HOUR, D(100))], CERTIFICATE)
    assert (kg(found), found.surplus_kwh) == (0, 300)


def test_instruments_are_taken_in_their_order_and_each_says_why_not() -> None:
    year = Use(START, START + HOUR, D(1000))
    ppa = replace(CERTIFICATE, id="p", type="ppa", registry_ref="contract 3")
    found = figure(
        [year],
        ppa,
        replace(CERTIFICATE, id="old", from_ms=START - 2 * HOUR, to_ms=START - HOUR),
        CERTIFICATE,
        replace(CERTIFICATE, id="de", zone="DE"),
    )
    assert [part.tier for part in found.parts] == ["rec", "ppa", "residual"]
    assert {(s.candidate, s.reason) for s in found.parts[-1].skipped if s.candidate.startswith("rec")} == {
        ("rec old", "is of another time"),
        ("rec de", "is of the market DE, the facility is in CN-JS"),
    }


def test_a_certificate_of_a_month_is_spread_over_its_hours_and_says_so() -> None:
    """Domain rule 21. 7.2 MWh of 720 hours are 10 kWh an hour: of 25, 4 and 0 kWh they cover 10, 4 and nothing; 6 and 10 are surplus."""
    month = replace(CERTIFICATE, mwh=D("7.2"), to_ms=START + 720 * HOUR)
    uses = [Use(START + n * HOUR, START + (n + 1) * HOUR, D(kwh)) for n, kwh in ((5, 25), (6, 4), (7, 0))]
    found = figure(uses, month, hourly=True)
    matched = [part for part in found.parts if part.tier == "rec"]
    assert [(part.kwh, part.marks) for part in matched] == [(10, ("profile_basis flat",)), (4, ("profile_basis flat",))]
    assert kg(found) == 15 * D("0.6096")
    assert (found.surplus_kwh, found.unused) == (16, ())
    # Of quarter hours each draws on the share of its hour.
    quarters = [Use(use.start_ms, use.start_ms + HOUR // 4, use.kwh) for use in uses[:2]]
    assert [part.kwh for part in figure(quarters, month, hourly=True).parts] == [10, 15, 4]
    # A year has seasons, and a contract has hours of its own: neither is spread.
    for other, why in (
        (replace(month, to_ms=START + 8760 * HOUR), "is of more than a month, and matching is hourly"),
        (replace(month, type="ppa"), "is of more than an hour, and matching is hourly"),
    ):
        found = figure(uses, other, hourly=True)
        assert (found.parts[0].skipped[0].reason, [one.why for one in found.unused]) == (why, [why])
        assert found.surplus_kwh == 0


def test_the_shares_of_a_month_add_up_to_its_certificate() -> None:
    month = replace(CERTIFICATE, mwh=D("1"), to_ms=START + 719 * HOUR)  # 1000 kWh / 719 do not end
    uses = [Use(START + n * HOUR, START + (n + 1) * HOUR, D(9)) for n in range(719)]
    assert sum(part.kwh for part in figure(uses, month, hourly=True).parts if part.tier == "rec") == 1000


def test_what_does_not_lie_within_the_span_is_not_used_and_no_surplus() -> None:
    month = replace(CERTIFICATE, to_ms=START + 720 * HOUR)
    found = figure([Use(START, START + 24 * HOUR, D(1000))], month, replace(CERTIFICATE, id="de", zone="DE"))
    assert (kg(found), found.surplus_kwh) == (D("609.6"), 0)
    assert [(one.instrument.id, one.why) for one in found.unused] == [
        ("c1", "is of 2023-06-01T08:00+08:00 to 2023-07-01T08:00+08:00, which does not lie within the span"),
        ("de", "is of the market DE, the facility is in CN-JS"),
    ]


def test_a_suppliers_mix_stands_for_all_the_rest() -> None:
    mix = replace(
        CERTIFICATE,
        id="m",
        type="supplier_mix",
        mwh=D(0),
        kg_per_kwh=D("0.45"),
        from_ms=START - HOUR,
        to_ms=START + 2 * HOUR,
    )
    assert kg(figure([Use(START, START + HOUR, D(1000))], mix, CERTIFICATE)) == D("270.00")  # 600 x 0.45


def test_without_a_residual_mix_the_grid_average_is_marked_and_without_that_there_is_no_figure() -> None:
    use = [Use(START, START + HOUR, D(1000))]
    known_2021 = ms("2020-01-01")
    none = figure(use, CERTIFICATE, as_of_ms=known_2021)
    assert (none.total.amount, none.total.coverage_percent) == (None, 0)  # neither retirement nor factor was known then
    without = FactorTable([version for version in shipped().versions if version.signal == "average"], shipped().grid_of)
    found = market_based(without, WORKS, use, [], NOW)
    assert kg(found) == D("582.7")  # Jiangsu 2023
    assert (found.parts[0].tier, found.parts[0].marks) == ("grid_average", ("no_residual",))
    nowhere = figure(use, replace(CERTIFICATE, zone="DE"), place=Place("works", "DE", "Europe/Berlin"))
    assert (nowhere.total.amount, nowhere.total.coverage_percent) == (AverageKg(D("0.0")), 40)
    assert nowhere.parts[1].kg_per_kwh is None


def test_a_factor_of_the_facilitys_own_stands_in_for_the_grid_average_and_for_nothing_before_it() -> None:
    """The specification's order (section 4): an average stands in for no residual mix, and for no certificate."""
    own = FactorOverride(D("0.5"), "contract 12")
    alone = Place("works", "", "Asia/Shanghai", (own,))
    use = [Use(START, START + HOUR, D(1000))]
    found = figure(use, place=alone)
    assert (kg(found), found.total.coverage_percent) == (500, 100)
    (part,) = found.parts
    assert (part.tier, part.source, part.id, part.marks) == (
        "override",
        "contract 12",
        "override.works",
        ("no_residual",),
    )
    assert part.skipped[0].reason == "is average, residual is asked"
    china = replace(WORKS, overrides=(own,))
    certified = figure(use, CERTIFICATE, place=china)
    assert [(part.tier, part.kwh) for part in certified.parts] == [("rec", 400), ("residual", 600)]
    assert kg(certified) == D("365.76")  # worked example 9, as without one


def test_a_factor_of_the_facilitys_own_stands_for_a_span_only_where_it_holds_throughout() -> None:
    use = [Use(START, START + 2 * HOUR, D(1000))]
    for bounds in ((None, START + HOUR), (START + HOUR, None)):
        found = figure(
            use, place=Place("works", "", "Asia/Shanghai", (FactorOverride(D("0.5"), "contract 12", *bounds),))
        )
        assert found.total.amount is None
        assert Skipped("own factor", "does not hold throughout the span") in found.parts[0].skipped
    without = FactorTable([version for version in shipped().versions if version.signal == "average"], shipped().grid_of)
    place = replace(WORKS, overrides=(FactorOverride(D("0.5"), "contract 12", START + HOUR),))
    assert kg(market_based(without, place, use, [], NOW)) == D("582.7")  # Jiangsu 2023


def test_a_span_over_two_years_is_refused() -> None:
    with pytest.raises(ValueError, match="within one local year"):
        figure([Use(ms("2022-06-01"), ms("2023-06-01"), D(1000))])


@pytest.fixture
def instruments(tmp_path: Path) -> Iterator[Instruments]:
    with Instruments(tmp_path / "factors.sqlite") as opened:
        yield opened


def test_an_instrument_is_retired_once(instruments: Instruments) -> None:
    assert instruments.add([CERTIFICATE], "ann", NOW) == 1
    assert instruments.add([CERTIFICATE], "ann", NOW) == 0
    instruments.retire("c1", "works", "ann", NOW)
    for facility in ("works", "mill"):
        with pytest.raises(InstrumentsRefused, match="c1: was retired for works by ann; an instrument is retired once"):
            instruments.retire("c1", facility, "bo", NOW + 1)
    assert [(r.instrument, r.facility) for r in instruments.retired()] == [(CERTIFICATE, "works")]
    assert instruments.retired("mill") == instruments.retired("works", NOW - 1) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "c2"}, "rec R-1 is on record as c1: it would count twice"),
        ({"mwh": D("0.5")}, "an instrument is never edited"),
        ({"id": "c2", "registry_ref": "R-2", "type": "gec", "mwh": D("1.5")}, "expected whole MWh"),
        ({"id": "c2", "registry_ref": "R-2", "mwh": D(0)}, "expected MWh above 0"),
        ({"id": "c2", "registry_ref": "R-2", "evidence": ""}, "expected id, zone, registry_ref and evidence"),
        ({"id": "c2", "registry_ref": "R-2", "type": "wish"}, "expected the type to be one of"),
        ({"id": "c2", "registry_ref": "R-2", "to_ms": START}, "expected `to` after `from`"),
    ],
)
def test_an_instrument_that_would_count_twice_or_says_too_little_is_refused(
    instruments: Instruments, changed: dict[str, object], said: str
) -> None:
    instruments.add([CERTIFICATE], "ann", NOW)
    with pytest.raises(InstrumentsRefused, match=said):
        instruments.add(
            [replace(CERTIFICATE, id="fine", registry_ref="R-9"), replace(CERTIFICATE, **changed)], "ann", NOW
        )  # type: ignore[arg-type]
    assert [held.id for held in instruments.held()] == ["c1"]


def test_instruments_are_read_from_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "bought.csv"
    head = "id,type,mwh,from,to,zone,kg_per_kwh,owner,registry_ref,evidence\n"
    path.write_text(head + "g1,gec,12,2023-06-01,2023-07-01,CN,0,works,GEC-5,statement\n", encoding="utf-8")
    (read,) = read_instruments(path)
    assert (read.kwh, read.from_ms, read.to_ms) == (12_000, START, ms("2023-07-01"))
    path.write_text(head + "g1,gec,a dozen,2023-06-01,2023-07-01,CN,0,works,GEC-5,statement\n", encoding="utf-8")
    with pytest.raises(
        InstrumentsRefused, match=r"bought.csv:2: mwh: expected a decimal number such as 42.652, got 'a dozen'"
    ):
        read_instruments(path)
    path.write_text(head + "g1,gec,1e999999,2023-06-01,2023-07-01,CN,0,works,GEC-5,statement\n", encoding="utf-8")
    with pytest.raises(
        InstrumentsRefused, match=r"bought.csv:2: mwh: expected a decimal number such as 42.652, got '1e999999'"
    ):
        read_instruments(path)
    path.write_text("id,type\n", encoding="utf-8")
    with pytest.raises(InstrumentsRefused, match="mwh, from, to"):
        read_instruments(path)

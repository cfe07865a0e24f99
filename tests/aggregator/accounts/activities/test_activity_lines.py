"""What recorded activities come to in a statement. Figures: worked examples 2 to 4, 6, 11, 13 to 16, 37 and 38 of the specification, and by hand."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from recorded_site import YEAR, Site, close, ms

from aggregator.accounts.line import Counts, Line
from aggregator.emissions.instruments import Instrument, Instruments
from aggregator.emissions.packfile import parse
from aggregator.facility import MeterSpec, Role
from aggregator.intervals.carrier_use import CarrierUse

D = Decimal


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("row", "counts", "t"),
    [
        # 3: 12 x 389.31 x 0.0153 x 0.99 x 44/12; the same at 20 degC is 111,813.06 Nm3
        ("boiler,fuel,natural_gas,stationary,SPAN,Nm3,120000,,", Counts.SCOPE_1, "259.46265708"),
        ("boiler,fuel,natural_gas,stationary,SPAN,m3,120000,,measured_at_degc=20", Counts.SCOPE_1, Fraction("259.46265708") * Fraction("273.15") / Fraction("293.15")),
        ("boiler,fuel,natural_gas,stationary,SPAN,10^4Nm3,12,,", Counts.SCOPE_1, "259.46265708"),
        # 4: 10 x 42.652 x 0.0202 x 0.98 x 44/12
        ("truck,fuel,diesel,mobile,SPAN,kg,10000,,", Counts.SCOPE_1, Fraction(10) * Fraction("42.652") * Fraction("0.0202") * Fraction("0.98") * Fraction(44, 12)),
        # 2: by equipment
        ("kiln,fuel,anthracite,stationary,SPAN,t,500,power boiler,", Counts.SCOPE_1, Fraction(500) * Fraction("22.867") * Fraction("0.02749") * Fraction("0.95") * Fraction(44, 12)),
        # 11
        ("network,heat,steam,indirect,SPAN,t,500,,enthalpy_kj_per_kg=2777.1", Counts.SCOPE_2, "148.1348"),
        ("network,heat,hot_water,indirect,SPAN,t,1000,,water_degc=60", Counts.SCOPE_2, "18.42192"),
        ("network,heat,heat,indirect,SPAN,GJ,1346.68,,", Counts.SCOPE_2, "148.1348"),
        # 13 and 37 under AR5
        ("chiller,gas,r-410a,fugitive,SPAN,kg,12,,", Counts.SCOPE_1, "23.082"),
        ("switchgear,gas,SF6,逸散,SPAN,kg,0.5,,", Counts.SCOPE_1, "11.75"),
        # 14, 15, 16
        ("kiln,material,limestone,制程,SPAN,t,100,,purity_ratio=0.95; calcined_ratio=0.98", Counts.SCOPE_1, Fraction(100) * Fraction("0.95") * Fraction("0.98") * Fraction("0.43971")),
        ("kiln,process,clinker,process,SPAN,t,1000,,cao_ratio=0.645; mgo_ratio=0.015; cao_not_from_carbonate_ratio=0; mgo_not_from_carbonate_ratio=0", Counts.SCOPE_1, Fraction("645") * Fraction(44, 56) + Fraction(15) * Fraction(44, 40)),
        ("furnace,process,carbon_balance,process,SPAN,t,100,,input_carbon_ratio=0.85; product_t=60; product_carbon_ratio=0.8; residue_t=5; residue_carbon_ratio=0.6", Counts.SCOPE_1, Fraction(34) * Fraction(44, 12)),
        # the petrochemical sources of the white paper, by hand
        ("fcc,process,carbon,process,SPAN,t,1200,,carbon_ratio=0.93; oxidation_ratio=0.98", Counts.SCOPE_1, "4010.16"),
        ("torch,process,flare,stationary,SPAN,Nm3,500000,,carbon_t_per_10k_nm3=6.2; oxidation_ratio=0.98; co2_ratio=0.02; co2_t_per_10k_nm3=19.7", Counts.SCOPE_1, Fraction(50) * Fraction("6.2") * Fraction("0.98") * Fraction(44, 12) + Fraction("19.7")),
        ("amine,process,vent,process,SPAN,Nm3,80000,,co2_ratio=0.6; co2_t_per_10k_nm3=19.7", Counts.SCOPE_1, "94.56"),
    ],
)  # fmt: skip
def test_a_record_comes_to_its_worked_example(site: Site, row: str, counts: Counts, t: Fraction | str) -> None:
    site.records(row)
    made = site.statement()
    assert [line.counts for line in made.lines] == [counts]
    (line,) = made.lines
    assert close(line.kg, t), (line.kg, line.why)
    assert line.factor is not None
    assert line.quantity is not None
    assert line.kg == line.quantity * line.factor.kg_per_unit
    assert (line.quality, line.marks, made.complete) == ("manual", (), True)


@pytest.mark.parametrize(("profile", "t"), [("CBAM", "23.082"), ("GHGP-LB", "27.066")])
def test_refrigerants_are_weighed_with_the_set_of_the_profile(site: Site, profile: str, t: str) -> None:
    """Worked example 13: 12 kg of R-410A, 1,923.5 under AR5 and 2,255.5 under AR6."""
    site.records("chiller,gas,r-410a,fugitive,SPAN,kg,12,,")
    assert close(site.statement(profile).kg(), t)


def test_a_potential_that_nobody_has_approved_gives_no_figure_until_somebody_does(site: Site) -> None:
    """Worked example 37: 0.5 kg of SF6 is 12.15 t under AR6 with 24,300, which is shipped as a draft."""
    site.records("switchgear,gas,SF6,fugitive,SPAN,kg,0.5,,")
    made = site.statement("GHGP-LB")
    assert (made.kg(), made.complete) == (None, False)
    assert "is a draft that nobody has approved" in made.lines[0].why
    site.registry.decide("gwp.ar6", "approved", "bo", "read in Table 7.SM.7", site.now_ms)
    assert close(site.statement("GHGP-LB").kg(), "12.15")


def test_methane_and_nitrous_oxide_of_burning_stand_apart_where_the_profile_takes_them(site: Site) -> None:
    """By hand: 10 t x 42.652 GJ/t = 0.42652 TJ; x 3 kg CH4 x 29.8 = 38.130888 kg, x 0.6 kg N2O x 273 = 69.863976 kg."""
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,")
    assert {line.gas: line.kg for line in site.statement("GHGP-LB").lines if line.gas != "CO2"} == {
        "CH4": D("38.130888"),
        "N2O": D("69.863976"),
    }
    assert [line.gas for line in site.statement("CBAM").lines] == ["CO2"]


def test_biogenic_carbon_is_no_scope_1(site: Site) -> None:
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,biogenic_ratio=0.25")
    made, whole = site.statement(), Fraction("426.52") * Fraction("0.0202") * Fraction("0.98") * Fraction(44, 12)
    assert close(made.kg(), whole * Fraction(3, 4))
    assert close(made.kg(Counts.BIOGENIC), whole / 4)


def test_a_solid_fuel_without_its_equipment_has_no_figure(site: Site) -> None:
    site.records("kiln,fuel,anthracite,stationary,SPAN,t,500,,")
    (line,) = site.statement().lines
    assert line.kg is None
    assert "no fuel.anthracite.oxidation" in line.why


def test_a_draft_is_shown_without_a_figure_and_the_statement_is_not_complete(site: Site) -> None:
    site.records("truck,fuel,diesel,mobile,SPAN,t,10,,", approved=False)
    made = site.statement()
    assert (made.kg(), made.complete, made.lines[0].why) == (
        None,
        False,
        "record 1 waits for a second person's approval",
    )


def test_a_correction_moves_the_figure_from_its_approval_on(site: Site) -> None:
    site.records("furnace,process,carbon,process,SPAN,t,100,,carbon_ratio=1; oxidation_ratio=1")
    before_ms = site.now_ms
    site.records("furnace,process,carbon,process,SPAN,t,90,,carbon_ratio=1; oxidation_ratio=1", approved=False)
    assert close(site.statement().kg(), Fraction(1100, 3))
    assert site.statement().lines[0].marks == ("correction_waits",)
    site.records("furnace,process,carbon,process,SPAN,t,90,,carbon_ratio=1; oxidation_ratio=1")
    assert close(site.statement().kg(), Fraction(330))
    old, new = site.statement(as_of_ms=before_ms), site.statement()
    assert close(old.kg(), Fraction(1100, 3))
    assert old.sha256 != new.sha256


def test_parts_of_a_record_that_the_span_cuts_sum_to_it(site: Site) -> None:
    """A year of 100 t in months and a year: shares by time sum exactly."""
    site.records("furnace,process,carbon,process,SPAN,t,100,,carbon_ratio=0.6; oxidation_ratio=1")
    edges = [ms(f"2025-{month:02}-01") for month in range(1, 13)] + [YEAR[1]]
    months = [site.statement(span=(start, end)) for start, end in pairwise(edges)]
    lines: list[Line] = [line for month in months for line in month.lines]
    assert sum(line.quantity or 0 for line in lines) == 100
    assert all("pro_rata" in line.marks for line in lines)
    assert close(sum((line.kg or D(0) for line in lines), D(0)), Fraction(220))


def test_a_laboratory_value_counts_in_its_month_and_the_default_in_the_rest(site: Site) -> None:
    """365 t of coal in 365 days, 31 of them at 23.1 GJ/t, the rest at 22.867: x 0.02749 x 0.99 x 44/12, by hand."""
    site.records("kiln,fuel,anthracite,stationary,SPAN,t,365,kiln,")
    site.records("LAB-1,laboratory,anthracite.ncv,stationary,2025-03-01,2025-04-01,GJ/t,23.1,,")
    made = site.statement()
    per_gj = Fraction("0.02749") * Fraction("0.99") * Fraction(44, 12)
    assert [(line.quantity, dict(line.figures)["ncv_gj_per_t"]) for line in made.lines] == [
        (D(59), D("22.867")),
        (D(31), D("23.1")),
        (D(275), D("22.867")),
    ]
    assert close(made.kg(), (334 * Fraction("22.867") + 31 * Fraction("23.1")) * per_gj)
    assert made.lines[1].factor is not None
    assert made.lines[1].factor.tier == "facility"


def test_a_bill_counts_where_there_is_no_meter_and_is_inside_the_meters_lines_where_there_is_one(site: Site) -> None:
    """Worked examples 6 and 38: 250 MWh in Guangdong 110.475 t, 1 GWh in Yunnan 133.3 t and in Tianjin 679.6 t, all of 2023."""
    span = (ms("2023-01-01"), ms("2024-01-01"))
    site.records("grid,electricity,grid,indirect,SPAN,GWh,1,,", span="2023-01-01,2024-01-01")
    for place, t in (("CN-YN", "133.3"), ("CN-TJ", "679.6")):
        site.place = place
        assert close(site.statement("GHGP-LB", span).kg(), t)
    site.meters = (MeterSpec("incomer", "gw", D(10_000), Role.MAIN),)
    made = site.statement("GHGP-LB", span)
    assert made.kg() is None
    assert close(made.kg(Counts.ALLOCATED), "679.6")


def test_a_fuel_that_a_main_meter_counts_is_inside_the_meters_lines(site: Site) -> None:
    use = CarrierUse("natural_gas", D(20))
    site.meters = (MeterSpec("gas", "gw", D(500), Role.MAIN, carrier="gas", use=use),)
    site.records("boiler,fuel,natural_gas,stationary,SPAN,Nm3,120000,,", "truck,fuel,diesel,mobile,SPAN,t,10,,")
    counted = {
        line.carrier: (line.counts, line.marks)
        for line in site.statement().lines
        if line.source.startswith("activity:")
    }
    assert counted == {"natural_gas": (Counts.ALLOCATED, ("metered",)), "diesel": (Counts.SCOPE_1, ())}


def test_a_bill_under_the_market_method_takes_the_residual_mix(site: Site) -> None:
    """250 MWh of 2023 x 0.6096 (emissions.md 2.4), no certificate."""
    site.records("grid,electricity,grid,indirect,SPAN,MWh,250,,", span="2023-01-01,2024-01-01")
    span = (ms("2023-01-01"), ms("2024-01-01"))
    assert close(site.statement("GHGP-MB", span).kg(), "152.4")
    assert "a bill has none" in site.statement("GHGP-MB-HOURLY", span).lines[0].why
    assert site.statement("MARGINAL", span).lines == ()


def test_one_certificate_covers_one_bill_or_the_other(site: Site) -> None:
    """Domain rule 21: of 2 MWh on two bills 1.5 MWh are retired, and 0.5 take the residual mix: 304.8 kg."""
    span = (ms("2023-01-01"), ms("2024-01-01"))
    site.records(
        "office,electricity,grid,indirect,SPAN,MWh,1,,",
        "shed,electricity,grid,indirect,SPAN,MWh,1,,",
        span="2023-01-01,2024-01-01",
    )
    with Instruments(site.directory / "factors.sqlite") as instruments:
        instruments.add(
            [Instrument("c1", "rec", D("1.5"), *span, "CN", D(0), "works", "R-1", "doc")], "ann", site.now_ms
        )
        instruments.retire("c1", "works", "ann", site.now_ms)
    made = site.statement("GHGP-MB", span)
    assert made.kg() == D("304.8")
    covered = [line.quantity for line in made.lines if line.factor and line.factor.tier == "rec"]
    assert sorted(covered) == [500, 1000]


UPSTREAM = """
[source.study]
title = "Life cycle study of lime"
issuer = "Institute"
number = "7"
published = "2024"
[[table]]
kind = "process"
source = "study"
table = "3"
columns = ["id", "gas", "value", "unit", "mark", "low", "high"]
rows = [["upstream.lime", "CO2e", "900", "kg/t", "B", "700", "1400"]]
"""


def test_what_others_emit_for_us_is_scope_3_with_the_registrys_factor(site: Site) -> None:
    """10 t of lime at 900 kg/t, by hand."""
    site.records("stores,bought,lime,indirect,SPAN,t,10,,")
    assert "no upstream.lime of CO2e" in site.statement().lines[0].why
    pack = parse("study", tomllib.loads(UPSTREAM))
    site.registry.add(replace(pack, reviewed=pack.tables), "ann", site.now_ms)
    site.registry.decide("upstream.lime", "approved", "bo", "", site.now_ms)
    made = site.statement()
    assert (made.kg(Counts.SCOPE_3), made.kg(Counts.SCOPE_1)) == (D(9000), None)
    site.records("stores2,bought,lime,indirect,SPAN,kg,10,,")
    assert any("expected it in kg/kg, it is in kg/t" in line.why for line in site.statement().lines)


def test_what_only_counts_gives_no_line(site: Site) -> None:
    site.records("mill,production,cement,process,SPAN,t,1000,,", "hall,area,floor,indirect,SPAN,m2,500,,")
    assert site.statement().lines == ()

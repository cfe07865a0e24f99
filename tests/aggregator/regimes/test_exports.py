"""One source, many uses: every export adds up to its statement. Figures by hand and worked examples 13, 22 of the specification."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from recorded_site import YEAR, Site, ms

from aggregator.accounts.activities.activity import Activity
from aggregator.accounts.activities.products import divided
from aggregator.accounts.activities.record import InForce
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.notices import Notice, Notices
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.statement import Statement
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow
from aggregator.process import REST, SHARES, Process
from aggregator.regimes.exporter import Wanted, export, products
from aggregator.regimes.form import CannotExport, Export, as_csv, as_json
from aggregator.regimes.pact import Company

D, F = Decimal, Fraction
DAYS = (date(2025, 1, 1), date(2026, 1, 1))
WANTED = Wanted("works", *YEAR, company=Company("Works Ltd", "urn:pact:company:customcode:buyer-assigned:4711"))
DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")  # of the PACT schema


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A furnace with a meter of its own, a main meter, two products of the furnace, one of the mill."""
    made = Site(tmp_path)
    made.meters = (
        MeterSpec("incomer", "gw", D(1000), Role.MAIN),
        MeterSpec("furnace", "gw", D(500), Role.SUB, parent="incomer"),
    )
    made.processes = (Process("furnace", ("furnace",), ("plate", "rod")), Process("mill", (), ("powder",)))
    start_ms = ms("2025-05-01")
    for device, kwh in (("incomer", 1000), ("furnace", 600)):
        row = IntervalRow(
            "works", device, "energy_import_kwh", start_ms, start_ms + 900_000, D(kwh), GOOD, True, "measured"
        )
        made.ledger.put_intervals([row], made.now_ms)
    made.records(
        "furnace,process,carbon,process,SPAN,t,30,,carbon_ratio=1; oxidation_ratio=1",
        "truck,fuel,diesel,mobile,SPAN,t,10,,biogenic_ratio=0.1",
        "cold,gas,r-410a,fugitive,SPAN,kg,12,,",
        "network,heat,heat,indirect,SPAN,GJ,100,,",
        "line,production,plate,process,SPAN,t,75,,fossil_carbon_ratio=0.002",
        "line,production,rod,process,SPAN,t,25,,fossil_carbon_ratio=0.002",
        "mill,production,powder,process,SPAN,kg,100000,,fossil_carbon_ratio=0",
    )
    with_process = replace(made.activities.in_force("works")[1].activity, process="furnace", reason="its process")
    assert with_process.source == "furnace"
    made.activities.add([with_process], "ann", made.now_ms)
    made.activities.decide(
        "works",
        [standing.activity.no for standing in made.activities.standings("works") if standing.state == "draft"],
        "approved",
        "bo",
        made.now_ms,
    )
    yield made
    made.close()


def total(made: Export, *columns: str) -> Fraction:
    return sum((F(row[column] or 0) for row in made.rows for column in columns), F(0))


def near(one: Fraction, other: Fraction | Decimal | None) -> bool:
    """To the rounding of the rows: 1e-9 t each."""
    return other is not None and abs(one - F(other)) < F(1, 10**7)


def test_the_totals_of_all_exports_are_those_of_their_statements(site: Site) -> None:
    """White paper: one source, many uses."""
    accounts = site.accounts()
    with Notices(site.directory / ACCOUNTS_NAME) as notices:
        notices.approve(
            notices.add(
                Notice("CN-GBT", 2025, "national", "latest_at_submission", date(2026, 3, 31), "No. 1"),
                "ann",
                site.now_ms,
            ).no,
            "bo",
            site.now_ms,
        )
    table = export(accounts, "CN-GBT", WANTED)
    gbt = site.statement("CN-GBT")
    assert near(
        total(replace(table, rows=[row for row in table.rows if "apart" not in str(row["category"])]), "emissions_t")
        * 1000,
        gbt.kg(),
    )
    assert near(F(table.head["covered_t"]) * 1000, gbt.kg())
    goods, cbam = export(accounts, "CBAM", WANTED), site.statement("CBAM")
    assert near(total(goods, "direct_t", "indirect_t") * 1000, cbam.kg())
    assert near(total(goods, "electricity_mwh"), F(1))
    location, market = site.statement("GHGP-LB"), site.statement("GHGP-MB")
    dual = {(row["line"], row["method"]): row for row in export(accounts, "GHGP", WANTED).rows}
    assert near(F(dual["scope 1", "both"]["emissions_t"] or 0) * 1000, location.kg(Counts.SCOPE_1))
    assert near(F(dual["scope 2", "location-based"]["emissions_t"] or 0) * 1000, location.kg(Counts.SCOPE_2))
    assert near(F(dual["scope 2", "market-based"]["emissions_t"] or 0) * 1000, market.kg(Counts.SCOPE_2))
    assert location.kg(Counts.SCOPE_1) == market.kg(Counts.SCOPE_1)
    footprints = export(accounts, "PACT", WANTED)
    assert near((total(footprints, "emissions_t") + F(footprints.head["undivided_t"])) * 1000, location.kg())
    assert near(total(products(accounts, WANTED), "total_t") * 1000, location.kg())


def test_a_processs_meter_and_records_go_to_its_products_and_the_rest_to_all(site: Site) -> None:
    """By hand: furnace 110 t + 600 kWh, the rest over 75 + 25 + 100 t by mass; Jiangsu's latest factor is 0.5827."""
    rows = {row["product"]: row for row in products(site.accounts(), WANTED).rows}
    other_kg = F("0.4") * F(1000) * F("0.5827") + 100 * 110 + 12 * F("2255.5")
    diesel_kg = F("426.52") * F("0.0202") * F("0.98") * F(44, 12) * 1000 * F("0.9") + F("0.42652") * (
        3 * F("29.8") + F("0.6") * 273
    )
    rest_kg, furnace_kg = other_kg + diesel_kg, 110_000 + 600 * F("0.5827")
    assert near(F(rows["plate"]["total_t"] or 0), (furnace_kg * F(3, 4) + rest_kg * F(3, 8)) / 1000)
    assert near(F(rows["rod"]["total_t"] or 0), (furnace_kg / 4 + rest_kg / 8) / 1000)
    assert near(F(rows["powder"]["total_t"] or 0), rest_kg / 2 / 1000)
    assert near(F(rows["plate"]["kwh_per_unit"] or 0), (600 * F(3, 4) + 400 * F(3, 8)) / 75)
    assert rows["powder"]["unit"] == "kg"


def test_under_the_market_method_a_process_takes_its_share_of_the_kilowatt_hours(site: Site) -> None:
    """By hand: 600 of 1,000 kWh, all at the residual mix 0.6096; plate has 3/4 of the furnace and 3/8 of the rest."""
    rows = {row["product"]: row for row in products(site.accounts(), replace(WANTED, profile="GHGP-MB")).rows}
    by_location = {row["product"]: row for row in products(site.accounts(), WANTED).rows}
    moved_kg = (F("0.6096") - F("0.5827")) * (600 * F(3, 4) + 400 * F(3, 8))
    assert near(F(rows["plate"]["total_t"] or 0) - F(by_location["plate"]["total_t"] or 0), moved_kg / 1000)
    assert rows["plate"]["kwh_per_unit"] == by_location["plate"]["kwh_per_unit"]


def test_a_gap_in_the_meters_leaves_totals_open(site: Site) -> None:
    """One quarter of an hour of a year is covered: the sums stand, the total does not."""
    assert export(site.accounts(), "GHGP", WANTED).head["total_location_t"] is None
    table = export(site.accounts(), "CN-GBT", WANTED)
    assert (table.head["total_t"], table.head["complete"]) == (None, False)
    assert "is not entered" in table.head["why"][0]


def test_what_cannot_be_divided_stands_apart_with_the_reason(site: Site) -> None:
    site.processes = (Process("furnace", ("furnace",), ("plate", "rod"), "energy"), Process("mill", (), ("powder",)))
    made = products(site.accounts(), WANTED)
    rows = {row["product"]: row for row in made.rows}
    assert rows["plate"]["t_per_unit"] is None
    said = "plate: expected gj_per_unit with its production, to be divided by energy"
    assert (rows["plate"]["why"], rows["(not divided) furnace"]["why"]) == (said, said)
    assert rows["powder"]["t_per_unit"] is not None
    assert near(total(made, "total_t") * 1000, site.statement("GHGP-LB").kg())


@pytest.mark.parametrize(("output", "t_per_unit"), [("1250", "2"), ("0", None)])
def test_tonnes_per_tonne_and_nothing_where_nothing_was_made(
    tmp_path: Path, output: str, t_per_unit: str | None
) -> None:
    """Worked example 22: 2,500 t / 1,250 t = 2.0 t/t; no output gives no figure. 2,500 t CO2 are 7,500/11 t of carbon; here 3,000 t x 10/11 x 1/4 x 44/12."""
    site = Site(tmp_path)
    try:
        site.records(
            "furnace,process,carbon,process,SPAN,t,3000,,carbon_ratio=0.25; oxidation_ratio=1",
            f"line,production,plate,process,SPAN,t,{output},,",
        )
        (row,) = products(site.accounts(), WANTED).rows
        assert near(F(row["total_t"] or 0), F(2750))
        assert row["t_per_unit"] == (None if t_per_unit is None else "2.2")
        assert row["why"] == (None if t_per_unit else "no output, so no figure per unit")
    finally:
        site.close()


def test_a_footprint_has_the_fields_of_pact(site: Site) -> None:
    """Names and patterns of the ProductFootprint and CarbonFootprint schemas, specification 3.0."""
    documents: list[dict[str, Any]] = json.loads(as_json(export(site.accounts(), "PACT", WANTED)))["data"]
    assert [document["productNameCompany"] for document in documents] == ["plate", "powder", "rod"]
    for document in documents:
        assert {
            "id",
            "specVersion",
            "created",
            "status",
            "companyName",
            "companyIds",
            "productDescription",
            "productIds",
            "productNameCompany",
            "pcf",
        } <= document.keys()
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", document["id"])
        pcf = document["pcf"]
        for name in ("declaredUnitAmount", "productMassPerDeclaredUnit", "pcfExcludingBiogenicUptake", "pcfIncludingBiogenicUptake", "fossilGhgEmissions",
                     "fossilCarbonContent", "exemptedEmissionsPercent", "primaryDataShare"):  # fmt: skip
            assert DECIMAL.fullmatch(pcf[name]), (name, pcf[name])
        assert (pcf["referencePeriodStart"], pcf["referencePeriodEnd"]) == (
            "2024-12-31T16:00:00Z",
            "2025-12-31T16:00:00Z",
        )
        assert (pcf["geographyCountrySubdivision"], pcf["declaredUnitOfMeasurement"], document["status"]) == (
            "CN-JS",
            "kilogram",
            "Active",
        )
        assert "precedingPfIds" not in document
    rows = {row["product"]: row for row in products(site.accounts(), WANTED).rows}
    plate = documents[0]["pcf"]
    assert near(F(plate["pcfExcludingBiogenicUptake"]), F(rows["plate"]["t_per_unit"] or 0))
    again = json.loads(as_json(export(site.accounts(), "PACT", replace(WANTED, as_of_ms=site.now_ms))))["data"]
    assert [document["id"] for document in again] == [document["id"] for document in documents]


def test_a_corrected_footprint_names_the_one_it_takes_the_place_of(site: Site) -> None:
    """3 t of carbon less are 11,000 kg of CO2 less, all of the furnace's products; the mill's footprint stays."""
    sent_ms = site.now_ms
    sent = json.loads(as_json(export(site.accounts(), "PACT", WANTED)))["data"]
    record = next(one.activity for one in site.activities.in_force("works") if one.activity.source == "furnace")
    site.now_ms += 1000
    site.activities.add([replace(record, quantity=D(27), reason="weighed again")], "ann", site.now_ms)
    site.activities.decide(
        "works",
        [max(standing.activity.no for standing in site.activities.standings("works"))],
        "approved",
        "bo",
        site.now_ms,
    )
    documents = json.loads(as_json(export(site.accounts(), "PACT", replace(WANTED, before_ms=sent_ms))))["data"]
    said = [
        (document["productNameCompany"], document["status"], document.get("precedingPfIds")) for document in documents
    ]
    assert said == [
        ("plate", "Deprecated", None), ("plate", "Active", [sent[0]["id"]]), ("powder", "Active", None),
        ("rod", "Deprecated", None), ("rod", "Active", [sent[2]["id"]]),
    ]  # fmt: skip
    assert documents[0]["id"] == sent[0]["id"]
    assert "activity:furnace carbon -11000" in documents[0]["statusComment"]
    assert re.search(r"t CO2e: -11 t \(-\d.* %\) = activity -11\. Lines", documents[0]["statusComment"])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_processes_the_parts_add_up_to_the_statement(seed: int) -> None:
    """Seeded: lines, processes, shares and productions at random; exact fractions."""
    random = Random(seed)
    names = ["a", "b", "c"]
    processes = tuple(
        Process(name, (), tuple(random.sample(names, random.randint(0, 3))), random.choice(SHARES))
        for name in random.sample(["p", "q", REST], random.randint(0, 3))
    )
    facility = Facility("works", "Asia/Shanghai", processes=processes)
    lines, records = [], []
    for number in range(random.randint(0, 12)):
        process = random.choice(["", "p", "q", "r"])
        kg = random.choice([None, D(random.randint(-50, 999)) / 7])
        counts = random.choice([Counts.SCOPE_1, Counts.SCOPE_2, Counts.SCOPE_3, Counts.BIOGENIC, Counts.EXPORTED])
        lines.append(Line(f"activity:s{number}", counts, "process", "x", *YEAR, D(1), "t", None, kg, why="none"))
        records.append(
            InForce(
                Activity("works", f"s{number}", "process", "x", "process", *DAYS, "t", "e", D(1), process=process), True
            )
        )
    for product in random.sample(names, random.randint(0, 3)):
        amount = D(random.randint(0, 9))
        weights = tuple(
            (name, str(random.randint(0, 3))) for name in ("cny_per_unit", "gj_per_unit") if random.random() < 0.7
        )
        one = Activity(
            "works",
            "line",
            "production",
            product,
            "process",
            *DAYS,
            random.choice(["t", "kg", "m2"]),
            "e",
            amount,
            parameters=weights,
        )
        records.append(InForce(one, random.random() < 0.9))
    made = Statement("works", "GHGP-LB", *YEAR, 0, tuple(lines))
    shared = divided(made, facility, records)
    assert shared.total_kg() == F(made.kg() or 0)
    for footprint in shared.footprints:
        assert sum(footprint.by_process.values()) == footprint.amounts.total()
        assert footprint.why or footprint.per_unit(footprint.amounts.total()) is not None


def test_pact_needs_the_companys_urn_and_the_products_carbon(site: Site) -> None:
    with pytest.raises(CannotExport, match="company: expected its name and a URN such as"):
        export(site.accounts(), "PACT", replace(WANTED, company=Company("Works", "4711")))
    site.records("mill,production,dust,process,SPAN,t,1,,")
    site.processes = (*site.processes[:1], Process("mill", (), ("powder", "dust")))
    rows = {row["product"]: row for row in export(site.accounts(), "PACT", WANTED).rows}
    assert "expected fossil_carbon_ratio with its production" in str(rows["dust"]["why"])
    with pytest.raises(CannotExport, match="regime: expected one of CN-GBT, CBAM, PACT, GHGP, got 'ESRS'"):
        export(site.accounts(), "ESRS", WANTED)


def test_csv_has_the_head_as_comments_and_no_cell_is_a_formula(site: Site) -> None:
    made = export(site.accounts(), "CBAM", WANTED)
    lines = as_csv(made).decode("utf-8-sig").splitlines()
    assert "# facility: works" in lines
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["product"] for row in rows] == ["plate", "powder", "rod"]
    spiked = replace(made, rows=[{"product": "=1+1"}], columns=("product",), head={})
    assert next(iter(csv.DictReader(io.StringIO(as_csv(spiked).decode("utf-8-sig")))))["product"] == "'=1+1"

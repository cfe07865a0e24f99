"""A report's tables, and the same figures in every form. The statements are made by hand and so are the sums."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.statement import Statement, line_order
from aggregator.emissions.entry import published_text
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility
from aggregator.reports.chart import bars, lying_bars, nice_ticks
from aggregator.reports.exports import export
from aggregator.reports.report import Report, Restated, report_of
from aggregator.reports.rounding import rounding
from aggregator.reports.spreadsheet import workbook
from aggregator.reports.tables import tables_of
from aggregator.reports.words import LANGUAGES, WORDS, in_tons

D = Decimal
HOUR = 3_600_000
DAY = 24 * HOUR
FROM = 1_767_196_800_000  # 2026-01-01 00:00 in Shanghai
TO = FROM + 31 * DAY
GRID = Applied("elec.cn.grid.avg", 1, D("0.5306"), "CN", 2023, "national", "announcement 47 of 2025")
DIESEL = Applied("fuel.diesel", 2, D("3.0959"), "CN", 2013, "national", "GB/T 32150")
NS = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def metered(day: int, kwh: str, quality: str = "good", intervals: int = 96) -> Line:
    quantity = D(kwh)
    return Line(
        "meter:incomer", Counts.SCOPE_2, "indirect", "electricity", FROM + day * DAY, FROM + (day + 1) * DAY, quantity, "kWh", GRID,
        quantity * GRID.kg_per_unit, quality=quality, intervals=intervals,
    )  # fmt: skip


def recorded(source: str, counts: Counts, quantity: str, factor: Applied | None, unit: str = "kg") -> Line:
    kg = None if factor is None else D(quantity) * factor.kg_per_unit
    why = "" if factor else "no factor for it"
    return Line(source, counts, "stationary", "fuel.diesel", FROM, TO, D(quantity), unit, factor, kg, why=why)


LINES = (
    metered(0, "1000.000000001"), metered(1, "500", "substituted", 90), recorded("activity:diesel", Counts.SCOPE_1, "100", DIESEL),
    recorded("=cmd|' /C calc'!A0", Counts.SCOPE_3, "7", None), recorded("pv", Counts.AVOIDED, "3", DIESEL),
)  # fmt: skip
STATEMENT = Statement("works", "GHGP-LB", FROM, TO, TO, tuple(sorted(LINES, key=line_order)), 200, ("A note <b>",))
MARKET = Statement(
    "works", "GHGP-MB", FROM, TO, TO, (replace(metered(0, "1500"), kg=None, factor=None, why="no residual mix"),), 200
)
# by hand: 1000.000000001 x 0.5306 + 500 x 0.5306 + 100 x 3.0959
SCOPE_2 = D("795.9000000005306")
ALL = SCOPE_2 + D("309.59")
FACILITY = Facility("works", "Asia/Shanghai", "Works <script>alert(1)</script>")


@pytest.fixture(scope="module")
def report() -> Report:
    parts = [(FROM, FROM + HOUR, D(1000), D("530.6"))]
    told = [
        Restated("GHGP-LB", "run 1", "published", TO, D("1000"), by="Li Na"),
        Restated(
            "GHGP-LB",
            "run 2",
            "restated",
            TO + DAY,
            ALL,
            "a meter was exchanged",
            "Li Na",
            "readings +0.1054900000005306 t",
        ),
    ]
    return report_of(FACILITY, [STATEMENT, MARKET], [], told, roundings=[rounding("GHGP-LB", parts)])


def rows(report: Report, name: str) -> list[tuple[object, ...]]:
    return [row for table in tables_of(report) if table.name == name for row in table.rows]


def test_totals_add_scopes_only_and_a_missing_figure_is_not_0(report: Report) -> None:
    assert rows(report, "totals") == [
        ("GHGP-LB", "all_scopes", ALL, 4),
        ("GHGP-LB", "scope1", D("309.59"), 1),
        ("GHGP-LB", "scope2", SCOPE_2, 2),
        ("GHGP-LB", "scope3", None, 1),
        ("GHGP-LB", "avoided", D("9.2877"), 1),
        ("GHGP-MB", "all_scopes", None, 1),
        ("GHGP-MB", "scope2", None, 1),
    ]


def test_days_hold_what_lies_within_one_and_months_what_lies_within_one(report: Report) -> None:
    days = {(row[0], row[1]): row[2:7] for row in rows(report, "days")}
    assert days["GHGP-LB", "2026-01-01"] == (
        D("1000.000000001"),
        None,
        D("530.6000000005306"),
        None,
        D("530.6000000005306"),
    )
    assert days["GHGP-LB", "longer_than_a_day"] == (None, D("309.59"), None, None, D("309.59"))
    months = {(row[0], row[1]): row[6] for row in rows(report, "months")}
    assert months == {("GHGP-LB", "2026-01"): ALL, ("GHGP-MB", "2026-01"): None}


def test_coverage_and_grades_say_what_was_not_measured_well(report: Report) -> None:
    """186 of 200 intervals have a figure, 90 of them substituted; the market method has none."""
    assert rows(report, "coverage") == [
        ("GHGP-LB", 200, 186, 93, 90, 45, 0, "no"),
        ("GHGP-MB", 200, 0, 0, 0, 0, 0, "no"),
    ]
    assert [row[2:3] + row[5:7] for row in rows(report, "grades") if row[1] == "meter:incomer" and row[0] == "GHGP-LB"] == [
        ("good", 96, D("1000.000000001")), ("substituted", 90, D(500)),
    ]  # fmt: skip
    assert [row[-1] for row in rows(report, "without_figure")] == ["no factor for it", "no residual mix"]


def test_what_meters_and_factors_state_makes_a_half_width() -> None:
    """3 % of 795.9 kg by a meter and 4 % by its factor are 5 % together; the diesel states nothing and is named."""
    grid = replace(GRID, u95_percent=D(4))
    lines = (
        replace(metered(0, "1500"), factor=grid, meter_u95_percent=D(3)),
        recorded("activity:diesel", Counts.SCOPE_1, "100", DIESEL),
    )
    made = report_of(FACILITY, [replace(STATEMENT, lines=lines)], [])
    ((profile, half_kg, percent, independent_kg, meters_kg, factors_kg, unstated),) = rows(made, "uncertainty")
    assert (profile, half_kg, independent_kg, meters_kg, factors_kg) == (
        "GHGP-LB",
        D("39.795"),
        0,
        D("23.877"),
        D("31.836"),
    )
    assert percent == round(D("39.795") / (D("795.9") + D("309.59")) * 100, 8)
    assert unstated == f"activity:diesel, {DIESEL}"
    assert "t CO2e ± 3.6 %" in export(made, "html", "en").decode()


def test_a_factor_made_of_parameters_names_each_with_its_document() -> None:
    """As a fuel's line names them: key, version and document of every parameter."""
    with Registry(":memory:") as registry:
        entries = registry.entries()
    ncv = next(entry for entry in entries if entry.id == "fuel.diesel.ncv")
    source = f"{ncv.key} version {ncv.version}, {published_text(ncv.source)}, {ncv.table_ref}"
    made = Applied("fuel.diesel", ncv.version, D("3.0959"), ncv.region, tier="national", source=source)
    report = report_of(
        FACILITY, [replace(STATEMENT, lines=(recorded("activity:diesel", Counts.SCOPE_1, "100", made),))], entries
    )
    assert [(seen.entry, seen.parts) for seen in report.factors] == [(None, (ncv,))]
    whole, part = rows(report, "factors")
    assert (whole[0], part[0], part[4], part[5]) == ("fuel.diesel", "fuel.diesel: fuel.diesel.ncv", ncv.value, ncv.unit)
    assert (part[8], part[11]) == (published_text(ncv.source), ncv.table_sha256)
    said = json.loads(export(report, "json", "en"))["factors"][0]
    assert (said["entry"], said["parts"][0]["table_sha256"]) == (None, ncv.table_sha256)


def test_restatements_show_each_figure_its_change_and_why(report: Report) -> None:
    assert [row[4:7] for row in rows(report, "restatements")] == [
        (D(1000), None, ""), (ALL, ALL - 1000, "readings +0.1054900000005306 t"),
    ]  # fmt: skip


def test_every_form_carries_the_total_with_all_its_digits(report: Report) -> None:
    text = f"{ALL:f}"
    in_tons = f"{ALL / 1000:f}"
    page = export(report, "html", "en").decode()
    assert f"exactly {in_tons} t CO2e" in page
    assert ("longer_than_a_day" in page, ">longer than a day<" in page) == (False, True)
    assert text in export(report, "csv", "en").decode("utf-8-sig")
    assert json.loads(export(report, "json", "en"))["statements"][0]["kg"] == text
    with zipfile.ZipFile(io.BytesIO(export(report, "tables", "en"))) as archive:
        assert text in archive.read("totals.csv").decode("utf-8-sig")
        assert {name.removesuffix(".csv") for name in archive.namelist()} == {table.name for table in tables_of(report)}


def test_json_holds_the_lines_as_they_are_hashed(report: Report) -> None:
    said = json.loads(export(report, "json", "zh"))
    assert said["lines"]["GHGP-LB"] == [json.loads(line) for line in STATEMENT.encoded().splitlines()[1:]]
    assert said["statements"][0]["sha256"] == STATEMENT.sha256


def sheet(raw: bytes, number: int) -> list[list[str | None]]:
    """Cells of a sheet as an XML reader has them: numbers and texts."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        root = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
    return [
        [(c.findtext("m:v", None, NS) or "".join(c.itertext())) for c in row.findall("m:c", NS)]
        for row in root.iter(f"{{{NS['m']}}}row")
    ]


def test_a_workbook_keeps_numbers_as_numbers_unless_a_float_would_lose_digits(report: Report) -> None:
    raw = export(report, "xlsx", "en")
    totals = sheet(raw, 1)
    assert totals[0] == ["Profile", "Counts as", "kg CO2e", "Lines"]
    assert totals[1] == ["GHGP-LB", "All scopes", f"{ALL:f}", "4"]
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        first = archive.read("xl/worksheets/sheet1.xml").decode()
        assert {"[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/styles.xml"} < set(archive.namelist())
    assert (
        f'<c r="C2" t="inlineStr"><is><t xml:space="preserve">{ALL:f}</t>' in first
    )  # 16 digits: more than a float keeps
    assert '<c r="C3"><v>309.5900</v>' in first


def test_a_workbook_has_names_that_a_spreadsheet_takes() -> None:
    raw = workbook(
        [
            ("By source: all/of it [kg] and more words", [["a"], [None], ["\x07<&"]]),
            ("by source  all of it  kg  and more words", [[1]]),
        ]
    )
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        root = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    names = [each.get("name") or "" for each in root.iter(f"{{{NS['m']}}}sheet")]
    assert all(0 < len(name) <= 31 and not re.search(r"[\[\]:*?/\\]", name) for name in names)
    assert len({name.lower() for name in names}) == 2
    assert sheet(raw, 1)[2] == ["\ufffd<&"]
    assert raw == workbook(
        [
            ("By source: all/of it [kg] and more words", [["a"], [None], ["\x07<&"]]),
            ("by source  all of it  kg  and more words", [[1]]),
        ]
    )


def test_text_of_others_is_no_formula_and_no_markup(report: Report) -> None:
    text = export(report, "csv", "en").decode("utf-8-sig")
    assert "'=cmd|' /C calc'!A0" in {cell for row in csv.reader(io.StringIO(text)) for cell in row}
    page = export(report, "html", "en").decode()
    assert "<script" not in page
    assert "Works &lt;script&gt;" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)


def test_chinese_has_its_own_words_and_the_same_figures(report: Report) -> None:
    page = export(report, "html", "zh").decode()
    assert 'lang="zh-CN"' in page
    for said in ("能源与碳排放报告", "范围一", "范围二", "无数值", f"{ALL / 1000:f}"):
        assert said in page
    assert "Scope 1" not in page
    assert all(len(said) == len(LANGUAGES) and all(said) for said in WORDS.values())
    for english, chinese in WORDS.values():
        assert set(re.findall(r"\{\d+\}", english)) == set(re.findall(r"\{\d+\}", chinese))


def test_every_heading_and_every_place_to_count_has_its_word(report: Report) -> None:
    tables = tables_of(report)
    assert {table.name for table in tables} | {column.name for table in tables for column in table.columns} <= set(
        WORDS
    )
    assert {counts.value for counts in Counts} <= set(WORDS)


def test_a_report_is_of_one_facility_and_span() -> None:
    with pytest.raises(ValueError, match="expected each profile once"):
        report_of(FACILITY, [STATEMENT, STATEMENT], [])
    with pytest.raises(ValueError, match="expected statements of"):
        report_of(FACILITY, [STATEMENT, replace(MARKET, to_ms=TO + DAY)], [])


@pytest.mark.parametrize(
    ("kg", "shown"),
    [
        ("386975.425102", "386.975"),
        ("402.0600865", "0.402"),
        ("0.4020600865", "0.000402"),
        ("0", "0.000"),
        ("-12", "-0.0120"),
        ("1234567", "1,234.567"),
    ],
)
def test_a_small_total_is_not_shown_as_nothing(kg: str, shown: str) -> None:
    assert in_tons(D(kg)) == shown


# ---- charts: geometry by hand


def test_ticks_are_round_and_hold_all_values() -> None:
    assert nice_ticks(0, 66.98) == [0, 20, 40, 60, 80]
    assert nice_ticks(-3, 9) == [-5, -2.5, 0, 2.5, 5, 7.5, 10]


def test_bars_stack_from_zero_in_proportion() -> None:
    """Between 12 px above and 34 px below 260 px are 214 px for 0 to 10: 5 is 107 px high and ends where the next begins."""
    drawn = bars("t", [("a", [("scope1", 5.0), ("scope2", 5.0)]), ("b", [("scope1", -0.0)])])
    heights = [float(each) for each in re.findall(r'height="([\d.]+)" class="scope', drawn)]
    tops = [float(each) for each in re.findall(r'y="([\d.]+)" width', drawn)]
    assert (heights, tops) == ([107, 107], [119, 12])
    assert bars("t", [("a", [])]) == lying_bars("t", []) == ""

"""Two sites settled from files alone: the cement line of docs/examples, and a petrochemical site of 70 units that is made here.

Totals: the formulas written out by hand in fractions, with the parameters of emissions.md 2.4 and 2.5 and the laboratory's values.
"""

import json
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from recorded_site import Site, close, ms

from aggregator.accounts.activities.products import divided
from aggregator.accounts.line import CLASSES, Counts
from aggregator.facility import Facility
from aggregator.regimes.cn_gbt import cn_gbt
from wattline.command import main

F = Fraction
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "cement"
C = F(44, 12)
CLINKER_T = 800_000 * (F("0.645") * F(44, 56) + F("0.015") * F(44, 40))
COAL_T = (54_000 * F("23.1") + 54_000 * F("22.9")) * F("0.02749") * F("0.99") * C
LIMESTONE_T = 1200 * F("0.92") * F("0.95") * F("0.43971")
DIESEL_T = 900 * F("42.652") * F("0.0202") * F("0.98") * C
DIESEL_OTHER_T = 900 * F("42.652") / 1000 * (3 * F("29.8") + F("0.6") * 273) / 1000
ELECTRICITY_T = 50_000 * F("0.6553")  # Anhui 2023, the latest
REFRIGERANT_T = 12 * (F(771) + F(3740)) / 2 / 1000
KILN_T = CLINKER_T + COAL_T + LIMESTONE_T
REST_T = DIESEL_T + DIESEL_OTHER_T + ELECTRICITY_T + REFRIGERANT_T


@pytest.fixture(scope="module")
def cement(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as somebody would follow it: recorded by one person, approved by another."""
    directory = tmp_path_factory.mktemp("cement")
    for name in ("aggregator.toml", "2025.csv"):
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        (directory / name).write_text(text.replace('"data"', f'"{directory / "data"}"'), encoding="utf-8")
    where = ["--config", str(directory / "aggregator.toml"), "--facility", "cement"]
    assert main(["activities", "import", str(directory / "2025.csv"), *where, "--by", "ann"]) == 0
    assert main(["activities", "approve", "--all", *where, "--by", "bo"]) == 0
    return directory


def asked(cement: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert (
        main([*words, "--config", str(cement / "aggregator.toml"), "--from", "2025-01-01", "--to", "2026-01-01"]) == 0
    )
    return json.loads(capsys.readouterr().out)


def near(text: str, t: F) -> bool:
    return abs(F(text) - t) < F(1, 10**9)


def test_the_cement_line_settles_from_its_files(cement: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = asked(cement, capsys, "products")
    assert near(made["total_t"], KILN_T + REST_T)
    assert made["complete"] is True
    # white paper: 55 to 60 % process, 35 to 42 % fuel, below 5 % electricity
    total_t = KILN_T + REST_T
    assert F(55, 100) < (CLINKER_T + LIMESTONE_T) / total_t < F(60, 100)
    assert F(35, 100) < (COAL_T + DIESEL_T) / total_t < F(42, 100)
    assert ELECTRICITY_T / total_t < F(5, 100)
    assert near(made["kg_per_m2"], total_t * 1000 / 60_000)


def test_its_products_have_what_the_processes_give_them(cement: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The kiln's all to cement; the rest by value: 300,000,000 of 330,000,000 CNY."""
    rows = {row["product"]: row for row in asked(cement, capsys, "products")["rows"]}
    assert near(rows["cement"]["total_t"], KILN_T + REST_T * F(10, 11))
    assert near(rows["crushed stone"]["t_per_unit"], REST_T * F(1, 11) / 500_000)
    assert near(rows["cement"]["kwh_per_unit"], 50_000_000 * F(10, 11) / 1_000_000)


def test_its_coal_per_tonne_is_told_in_standard_coal(cement: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """(54,000 x 23.1 + 54,000 x 22.9 GJ, and 10/11 of 900 t of diesel at 42.652) / 29.3076 GJ/tce over 1,000,000 t (white paper: kgce per tonne)."""
    rows = {row["product"]: row for row in asked(cement, capsys, "products")["rows"]}
    heat_gj = 54_000 * F("46") + 900 * F("42.652") * F(10, 11)
    assert near(rows["cement"]["fuel_kgce_per_unit"], heat_gj / F("29.3076") * 1000 / 1_000_000)


def test_cbam_says_what_a_tonne_embeds(cement: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under CBAM burning counts CO2 alone and refrigerants AR5: 1,923.5."""
    made = asked(cement, capsys, "export", "--profile", "CBAM")
    rows = {row["product"]: row for row in made["rows"]}
    rest_direct_t = DIESEL_T + 12 * F("1.9235")
    assert near(rows["cement"]["specific_direct_t_per_t"], (KILN_T + rest_direct_t * F(10, 11)) / 1_000_000)
    assert near(rows["cement"]["specific_indirect_t_per_t"], ELECTRICITY_T * F(10, 11) / 1_000_000)
    assert near(rows["cement"]["mwh_per_t"], 50_000 * F(10, 11) / 1_000_000)
    assert (rows["cement"]["factor_t_per_mwh"], rows["cement"]["factor_basis"]) == ("0.6553", "other public")
    assert near(made["total_t"], KILN_T + rest_direct_t + ELECTRICITY_T)


def test_gb_t_32150_has_a_total_once_the_years_notice_is_approved(
    cement: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the nation's factor, 0.5306 (of 2023, the latest), AR5, and CO2 alone of burning."""
    asking = ("export", "--profile", "CN-GBT")
    assert asked(cement, capsys, *asking)["total_t"] is None
    notice, where = ["factors", "notice"], ["--config", str(cement / "aggregator.toml")]
    entered = [
        *notice,
        "add",
        "--year",
        "2025",
        "--place-level",
        "national",
        "--submitted-by",
        "2026-03-31",
        "--document",
        "No. 1 of 2026",
    ]
    assert main([*entered, "--by", "ann", *where]) == 0
    assert main([*notice, "approve", "1", "--by", "bo", *where]) == 0
    made = asked(cement, capsys, *asking)
    burnt_t, process_t, leaked_t, bought_t = (
        COAL_T + DIESEL_T,
        CLINKER_T + LIMESTONE_T,
        12 * F("1.9235"),
        50_000 * F("0.5306"),
    )
    assert near(made["total_t"], burnt_t + process_t + leaked_t + bought_t)
    by_category = {name.split()[0]: t for name, t in made["by_category_t"].items()}
    assert near(by_category["化石燃料燃烧"], burnt_t)
    assert near(by_category["工业生产过程"], process_t)
    assert near(by_category["购入电力"], bought_t)
    assert near(made["by_class_t"]["移动 mobile"], DIESEL_T)
    told = {row["sub_class"]: row["class"] for row in made["rows"]}
    assert told["desulphurisation"] == "process"
    assert told["kiln fuel"] == "stationary"


# ---- 70 units of a petrochemical site, made by arithmetic from the unit's number: 5 classes, 24 sub-classes, one record each and a tank each

FURNACE = (F("389.31") * F("0.0153") * F("0.99") * C / 10_000, "fuel,natural_gas,stationary", "Nm3", "")
KINDS = (
    ("process furnace", *FURNACE), ("cracker furnace", *FURNACE), ("reformer furnace", *FURNACE), ("hot oil heater", *FURNACE), ("incinerator", *FURNACE),
    ("steam boiler", F("41.816") * F("0.0211") * F("0.98") * C, "fuel,fuel_oil,stationary", "t", ""),
    ("coal boiler", F("22.867") * F("0.02749") * F("0.95") * C, "fuel,anthracite,stationary", "t", "power boiler"),
    ("coker off-gas", F("50.179") * F("0.0172") * F("0.98") * C, "fuel,lpg,stationary", "t", ""),
    ("forklifts", F("50.179") * F("0.0172") * F("0.98") * C, "fuel,lpg,mobile", "t", ""),
    ("fire engines", F("42.652") * F("0.0202") * F("0.98") * C, "fuel,diesel,mobile", "t", ""),
    ("shuttle cars", F("43.070") * F("0.0189") * F("0.98") * C, "fuel,gasoline,mobile", "t", ""),
    ("catalyst coke burn", F("0.93") * F("0.98") * C, "process,carbon,process", "t", "|carbon_ratio=0.93; oxidation_ratio=0.98"),
    ("catalyst regeneration", F("0.9") * C, "process,carbon,process", "t", "|carbon_ratio=0.9; oxidation_ratio=1"),
    ("acid gas", F("0.6") * F("19.7") / 10_000, "process,vent,process", "Nm3", "|co2_ratio=0.6; co2_t_per_10k_nm3=19.7"),
    ("hydrogen plant off-gas", F("0.35") * F("19.7") / 10_000, "process,vent,process", "Nm3", "|co2_ratio=0.35; co2_t_per_10k_nm3=19.7"),
    ("flue gas treatment", F("0.95") * F("0.98") * F("0.43971"), "material,limestone,process", "t", "|purity_ratio=0.95; calcined_ratio=0.98"),
    ("neutralisation", F("0.99") * F("0.41492"), "material,soda_ash,process", "t", "|purity_ratio=0.99; calcined_ratio=1"),
    ("flare", (F("6.2") * F("0.98") * C + F("0.02") * F("19.7")) / 10_000, "process,flare,stationary", "Nm3", "|carbon_t_per_10k_nm3=6.2; oxidation_ratio=0.98; co2_ratio=0.02; co2_t_per_10k_nm3=19.7"),
    ("purchased electricity", F("0.5827") / 1000, "electricity,grid,indirect", "kWh", ""),  # Jiangsu 2023
    ("purchased steam", (F("2777.1") - F("83.74")) / 1000 * F("0.11"), "heat,steam,indirect", "t", "|enthalpy_kj_per_kg=2777.1"),
    ("purchased hot water", 40 * F("4.1868") / 1000 * F("0.11"), "heat,hot_water,indirect", "t", "|water_degc=60"),
    ("equipment leaks", F(28, 1000), "gas,CH4,fugitive", "kg", ""),
    ("refrigeration", F("1923.5") / 1000, "gas,r-410a,fugitive", "kg", ""),
    ("switchgear", F(23_500, 1000), "gas,SF6,fugitive", "kg", ""),
)  # fmt: skip


def petrochemical_site() -> tuple[list[str], F]:
    """(rows, tonnes): unit n has the n-th kind of source, round and round, and its amount is 1,000 + 7 n; every unit also has fittings that leak n kg of CH4."""
    rows: list[str] = []
    total_t = F(0)
    for number, (name, per_unit_t, what, unit, more) in zip(range(1, 71), cycle(KINDS), strict=False):
        kind, subject, own_class = what.split(",")
        variant, _, parameters = more.partition("|") if "|" in more else (more, "", "")
        rows.append(
            f"unit-{number:02} {name},{kind},{subject},{own_class},SPAN,{unit},{1000 + 7 * number},{variant},{parameters}"
        )
        rows.append(f"unit-{number:02} fittings,gas,CH4,fugitive,SPAN,kg,{number},,")
        total_t += per_unit_t * (1000 + 7 * number) + F(28 * number, 1000)
    return rows, total_t


def test_a_petrochemical_site_of_70_units_settles_from_its_file(tmp_path: Path) -> None:
    rows, total_t = petrochemical_site()
    site = Site(tmp_path)
    try:
        site.records(*rows, span="2023-01-01,2024-01-01")
        made = site.statement("CBAM", (ms("2023-01-01"), ms("2024-01-01")))
        assert close(made.kg(), total_t)
        assert made.complete
        assert len(made.lines) == 140
        assert {line.activity for line in made.lines} == set(CLASSES)
        assert len({name for name, *_ in KINDS}) == 24
        by_unit = divided(made, Facility("works", "Asia/Shanghai"), [])
        assert by_unit.total_kg() == F(made.kg(Counts.SCOPE_1, Counts.SCOPE_2) or 0)
        table = cn_gbt(made, Facility("works", "Asia/Shanghai"))
        assert abs(F(table.head["total_t"]) - total_t) < F(1, 10**8)
        assert abs(sum(F(row["emissions_t"] or 0) for row in table.rows) - total_t) < F(1, 10**6)
    finally:
        site.close()

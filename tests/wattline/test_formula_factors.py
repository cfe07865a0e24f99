"""`wattline formula` with factors of the registry, against the specification's worked examples. Not the registry's own rules."""

import json
from pathlib import Path

import pytest

from wattline.command import main

CHINA = ["--region", "CN", "--at", "2026-06-01", "--as-of", "2026-06-01"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["formula", *words])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize(
    ("words", "result"),
    [
        # examples 2, 3, 4, 5, 13 and 14 with the parameters on record
        (["combustion", "fuel_t=500", "ncv_gj_per_t=@fuel.anthracite.ncv", "carbon_t_per_gj=@fuel.anthracite.carbon_content",
          "oxidation_ratio=@fuel.anthracite.oxidation/power boiler"], "1094.835753916667"),
        (["gas-combustion", "volume_nm3=120000", "ncv_gj_per_10k_nm3=@fuel.natural_gas.ncv",
          "carbon_t_per_gj=@fuel.natural_gas.carbon_content", "oxidation_ratio=@fuel.natural_gas.oxidation"], "259.46265708"),
        (["combustion", "fuel_t=10", "ncv_gj_per_t=@fuel.diesel.ncv", "carbon_t_per_gj=@fuel.diesel.carbon_content",
          "oxidation_ratio=@fuel.diesel.oxidation"], "30.959096373333"),
        (["combustion-of-all-gases", "heat_tj=1", "co2_kg_per_tj=@fuel.diesel.combustion/CO2", "ch4_kg_per_tj=@fuel.diesel.combustion/CH4",
          "n2o_kg_per_tj=@fuel.diesel.combustion/N2O", "gwp_ch4=@gwp.ar6/CH4/fossil", "gwp_n2o=@gwp.ar6/N2O", "gwp_set=AR6"], "74353.2"),
        (["leaked-gas", "leak_kg=12", "share_ratio=@blend.r-410a/HFC-32,@blend.r-410a/HFC-125", "gwp=@gwp.ar5/HFC-32,@gwp.ar5/HFC-125",
          "gwp_set=AR5"], "23.082"),
        (["carbonate", "material_t=100", "purity_ratio=95%", "calcined_ratio=98%", "factor_t_per_t=@process.limestone/CO2"], "40.937001"),
    ],
    ids=["anthracite", "natural gas", "diesel", "all gases", "R-410A", "limestone"],
)  # fmt: skip
def test_factors_on_record_give_the_worked_examples(
    capsys: pytest.CaptureFixture[str], words: list[str], result: str
) -> None:
    status, out, err = run(capsys, *words, *CHINA, "--json")
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert answer["figures"][-1]["value"] == result
    assert len(answer["factors"]) == " ".join(words).count("@")
    assert all(" version 1, " in factor for factor in answer["factors"])


def test_each_factor_is_said_with_version_document_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("energy-emissions", "energy_kwh=250MWh", "factor_kg_per_kwh=@electricity")
    status, out, _ = run(capsys, *words, "--region", "CN-GD", "--at", "2023-06-01", "--as-of", "2026-06-01")
    assert status == 0
    # example 6: Guangdong 2023
    assert "= 110475 kg CO2" in out
    first = out.splitlines()[0]
    assert first.startswith("factor factor_kg_per_kwh: elec.cn.grid.avg CN-GD 2023, 0.4419 kg/kWh, ")
    assert "47" in first


def test_an_earlier_knowledge_gives_the_earlier_factor_with_its_marks(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("energy-emissions", "energy_kwh=250MWh", "factor_kg_per_kwh=@electricity")
    _, out, _ = run(capsys, *words, "--region", "CN", "--at", "2023-06-01", "--as-of", "2025-06-01")
    assert "250000 x 0.5366 = 134150 kg CO2e" in out  # the national factor of 2022
    assert "(provisional, fallback_latest)" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gwp=@gwp.ar6/SF6", *CHINA], "is a draft that nobody has approved"),
        (["gwp=@gwp.ar5/SF6"], "--region: expected beside @"),
        (["gwp=@gwp.ar5", *CHINA], "@gwp.ar5: expected a factor that may be used, there is none"),
        (["gwp=@gwp.ar5/SF6/a/b", *CHINA], "expected @ID/GAS/VARIANT, saw 3 words"),
        (["gwp=@fuel.diesel.ncv", *CHINA], "gwp: expected a unit like kg/kg (number), saw GJ/t"),
        (["gwp=@gwp.ar5/SF6", *CHINA, "--registry", "nowhere.sqlite"], "--registry: expected a registry of factors, nowhere.sqlite is not there"),
        (["gwp=@gwp.ar5/SF6", "--region", "CN", "--at", "yesterday"], "--at: expected a day or a time"),
        (["gwp=@electricity", "--region", "CN", "--time-zone", "Nowhere/Else"], "--time-zone: expected a zone such as Asia/Shanghai"),
        (["gwp=@electricity", "--region", "CN", "--at", "2018-06-01"], "@electricity: expected a factor that may be used, there is none"),
    ],
)  # fmt: skip
def test_a_factor_that_may_not_be_used_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    status, out, err = run(capsys, "leaked-gas", "leak_kg=0.5", "share_ratio=1", "gwp_set=AR6", *words)
    assert (status, out) == (2, "")
    assert said in err


def test_a_file_that_is_no_registry_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "factors.sqlite"
    path.write_bytes(b"not a database, but long enough to be read as one" * 40)
    words = ("leaked-gas", "leak_kg=0.5", "share_ratio=1", "gwp_set=AR5", "gwp=@gwp.ar5/SF6")
    status, _, err = run(capsys, *words, *CHINA, "--registry", str(path))
    assert status == 2
    assert "expected a registry of factors" in err

"""`wattline formula` as a person and a program use it, and docs/formulas.md, whose commands are run. Not the formulas' results."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aggregator.emissions.formulas.table import FORMULAS
from wattline.command import main

PAGE = Path(__file__).parents[2] / "docs" / "formulas.md"
COAL = ["combustion", "fuel_t=1000", "ncv_gj_per_t=20.908", "carbon_t_per_gj=0.0258", "oxidation_ratio=0.98"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["formula", *words])
    out, err = capsys.readouterr()
    return status, out, err


def examples() -> list[tuple[list[str], str]]:
    """Commands and outputs of the page: `$ wattline formula ...` (a line that ends in a backslash goes on) and what follows."""
    found = []
    for block in re.findall(r"```\n(\$ wattline formula.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        command, _, output = block.replace("\\\n", " ").partition("\n")
        found.append((shlex.split(command)[3:], output))
    return found


def calculation(output: str) -> tuple[list[str], int]:
    """The lines that a formula answers for, and how many factors were looked up; what the registry says of those is its own."""
    lines = output.splitlines()
    factors = [line for line in lines if re.match(r"factor \w+: ", line)]
    return [line for line in lines if line not in factors], len(factors)


def test_the_commands_of_the_page_give_what_the_page_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown = examples()
    assert {words[0] for words, _ in shown} == set(FORMULAS), "each formula has an example, and no other"
    for words, output in shown:
        status, out, err = run(capsys, *words)
        assert (status, calculation(out), err) == (0, calculation(output), ""), words


def test_the_page_says_each_formulas_expression_and_source() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for formula in FORMULAS.values():
        assert f"### {formula.name}\n" in text
        assert formula.expression in text, formula.name
        assert formula.source in text, formula.name


def test_a_program_gets_decimals_as_text_with_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, *COAL, "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer["results"] == ["emissions_t"]
    assert [figure["name"] for figure in answer["figures"]] == [
        "heat_gj",
        "carbon_t",
        "oxidised_carbon_t",
        "emissions_t",
    ]
    assert answer["figures"][-1] == {
        "name": "emissions_t",
        "value": "1938.338864",
        "exact": True,
        "unit": "t CO2",
        "calculation": "528.637872 tC x 44/12",
    }
    assert "formula (1)" in answer["source"]
    assert answer["inputs"]["oxidation_ratio"] == "0.98"


def test_no_figure_is_null_and_a_rounded_one_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "product-intensity", "emissions_t=2500", "output=0", "output_unit=t", "--json")
    assert json.loads(out)["figures"][0]["value"] is None
    _, out, _ = run(capsys, "product-intensity", "emissions_t=1", "output=3", "output_unit=t")
    assert "1 t / 3 t ~ 0.333333333333 t CO2e/t" in out


def test_without_values_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "combustion")
    assert status == 0
    assert "ncv_gj_per_t     net calorific value (GJ/t)" in out
    assert "takes as well:" in out
    _, out, _ = run(capsys, "combustion", "--json")
    assert [one["name"] for one in json.loads(out)["inputs"] if not one["optional"]] == [
        "fuel_t",
        "ncv_gj_per_t",
        "carbon_t_per_gj",
        "oxidation_ratio",
    ]


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(FORMULAS)
    _, out, _ = run(capsys, "--json")
    assert [one["formula"] for one in json.loads(out)] == list(FORMULAS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["combustoin"], "formula: expected the name of a formula, saw 'combustoin'; did you mean combustion?"),
        (COAL[:-1], "formula combustion: oxidation_ratio: expected share of the carbon that is oxidised (0 to 1), it is missing"),
        ([*COAL[:-1], "oxidation_ratio=98"], "formula combustion: oxidation_ratio: expected 0 to 1, saw 98 (98 % is 0.98)"),
        ([*COAL, "fuel_t=2"], "formula combustion: fuel_t: expected once, saw it twice"),
        ([*COAL, "fuel"], "formula combustion: expected KEY=VALUE, saw 'fuel'"),
        ([*COAL, "--price", "68.38"], "formula combustion: --price: expected --currency and --price-source beside it"),
        ([*COAL, "--price", "dear", "--currency", "CNY", "--price-source", "x"], "formula combustion: --price: expected a number"),
        (["combustion", "--file", "nowhere.toml"], "nowhere.toml"),
    ],
)  # fmt: skip
def test_bad_use_is_said_in_a_line_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert said in err


def test_any_emissions_can_be_carried_on_to_their_cost(capsys: pytest.CaptureFixture[str]) -> None:
    # 250 MWh x 0.5306 = 132.65 t, at 68.38 CNY/t (example 30 of the specification)
    status, out, _ = run(
        capsys,
        *("energy-emissions", "energy_kwh=250MWh", "factor_kg_per_kwh=0.5306"),
        *("--price", "68.38", "--currency", "CNY", "--price-source", "national market, as printed"),
    )
    assert status == 0
    assert "cost_of_emissions_kg = 132.65 t x 68.38 CNY/t = 9070.607 CNY" in out
    assert "note: price: national market, as printed" in out


def test_a_calculation_needs_none_of_the_aggregators_packages() -> None:
    heavy = "import sys; sys.modules.update(dict.fromkeys('numpy duckdb pydantic fastapi uvicorn prometheus_client'.split()))"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{heavy}\nfrom wattline.command import main\nsys.exit(main(sys.argv[1:]))",
            "formula",
            *COAL,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "= 1938.338864 t CO2" in done.stdout


def test_each_of_several_figures_has_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(
        capsys,
        *("data-centre", "total_kwh=1555", "it_kwh=1000", "factor_kg_per_kwh=0.5", "previous_pue=1.655"),
        *("--price", "100", "--currency", "EUR", "--price-source", "market@example", "--json"),
    )
    answer = json.loads(out)
    # 100 kWh saved x 0.5 = 50 kg; the ratios have no cost
    assert (status, answer["results"][-1], answer["figures"][-1]["value"]) == (0, "cost_of_saved_kg", "5")


def test_a_file_and_the_command_line_go_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "coal.toml"
    path.write_text(
        'fuel_t = 1000\nncv_gj_per_t = 20.908\ncarbon_t_per_gj = "0.0258 tC/GJ"\noxidation_ratio = 1\n',
        encoding="utf-8",
    )
    status, out, _ = run(capsys, "combustion", "oxidation_ratio=0.98", "--file", str(path))
    assert status == 0
    assert "= 1938.338864 t CO2" in out

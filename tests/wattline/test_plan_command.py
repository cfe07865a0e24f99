"""`wattline plan solve`: the example of docs/planning.md, promises that cannot be kept, and files that are none."""

import json
import re
from pathlib import Path

import pytest

from wattline.command import main

PAGE = Path(__file__).parents[2] / "docs" / "planning.md"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    found = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    path = tmp_path / "day.json"
    path.write_text(found[1], encoding="utf-8")
    return path


def test_the_example_of_the_page_is_solved_and_every_promise_kept(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "solve", str(day)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("optimal: ")
    assert "binding" in shown
    assert main(["plan", "solve", str(day), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ev = found["assets"]["ev"]
    # 20 kWh at 0.93 are 21.505 kWh, within the three hours before departure
    assert sum(ev["charge_kw"][:3]) == pytest.approx(20 / 0.93, abs=1e-5)
    # 40 per kW of peak is worth more than any energy: load, vehicle and battery are level up to step 2
    assert max(found["import_kw"]) == pytest.approx(min(found["import_kw"][:3]), abs=1e-4)
    assert found["money_total"] == pytest.approx(found["objective"], abs=1e-6)


def test_a_promise_that_cannot_be_kept_is_said_and_ends_with_1(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = json.loads(day.read_text())
    problem["sessions"][0] |= {"need_kwh": 60, "shortfall_price_per_kwh": 500}
    day.write_text(json.dumps(problem))
    assert main(["plan", "solve", str(day)]) == 1
    # 10 + 3 x 11 x 0.93 = 40.69 of 60 kWh
    assert "not kept    departure ev at step 2: 19.310 kWh short" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"load_kw": [1]}, "load_kw: expected 4 finite values, got 1"),
        ({"load_kw": "100"}, "problem.load_kw: expected a list of numbers, got '100'"),
        ({"storage": [{"name": "b", "size": 3}]}, "problem.storage[0].size: expected one of name,"),
        ({"import_limit_kw": None}, "problem.import_limit_kw: expected a number, got 'None'"),
        (
            {"demand": [{"name": "m", "price_per_kw": 1, "steps": [1, 1, 1, 1]}]},
            "problem.demand[0].steps[0]: expected bool",
        ),
    ],
)
def test_a_fault_is_named_with_its_key(
    day: Path, change: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    day.write_text(json.dumps(json.loads(day.read_text()) | change))
    assert main(["plan", "solve", str(day)]) == 2
    assert said in capsys.readouterr().err


def test_a_carbon_price_on_a_constant_intensity_is_said_to_move_nothing(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem, said = json.loads(day.read_text()), "  carbon      0.58 kg/kWh throughout: its price cannot move load\n"
    for last, price, told in ((0.58, 0.1, True), (0.58, 0, False), (0.6, 0.1, False)):
        problem["carbon"] = {"kg_per_kwh": [0.58, 0.58, 0.58, last], "price_per_kg": price}
        day.write_text(json.dumps(problem))
        assert main(["plan", "solve", str(day)]) == 0
        assert (said in capsys.readouterr().out) is told


def test_offers_are_told_for_each_window(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "offers", str(day), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # four steps of an hour: 1 h from four, 2 h from three, 4 h from one, down and up; steps are longer than a quarter
    assert len(found) == 2 * (4 + 3 + 1)
    assert all(offer["kw"] >= 0 for offer in found)
    assert main(["plan", "offers", str(day)]) == 0
    assert capsys.readouterr().out.startswith("down  1 h from step 0: ")


def test_a_file_that_is_no_problem_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for raw in (b"", b"[1, 2", b"\xff\xfe", b"[" * 100_000, b"{}"):
        (tmp_path / "x.json").write_bytes(raw)
        assert main(["plan", "solve", str(tmp_path / "x.json")]) == 2
        assert "wattline plan: problem" in capsys.readouterr().err
    assert main(["plan", "solve", str(tmp_path / "none.json")]) == 2


def test_the_modes_of_a_day_stand_in_one_table(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "compare", str(day)]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = ["uncontrolled", "simple rules", "one-way ordered", "two-way, rolling", "two-way ordered"]
    assert [line[:17].strip() for line in lines[1:6]] == named
    # uncontrolled: 0.33 x 111 + 0.33 x 110.505 + 1.2 x 300 + 0.75 x 100 for energy, 40 x 120 for the peak of 300 over 180
    energy = 0.33 * 111 + 0.33 * (100 + 20 / 0.93 - 11) + 1.2 * 300 + 0.75 * 100
    assert float(lines[1].split()[1]) == pytest.approx(energy + 4800, abs=0.01)
    assert main(["plan", "compare", str(day), "--json"]) == 0
    found = {one["mode"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["uncontrolled"]["measures"]["peak_kw"] == pytest.approx(300)
    assert found["two_way"]["cost"] < found["rule_based"]["cost"] < found["uncontrolled"]["cost"]
    assert main(["plan", "solve", str(day), "--json"]) == 0
    beside = json.loads(capsys.readouterr().out)["counterfactuals"]
    assert beside["uncontrolled"]["cost"] == pytest.approx(energy + 4800)
    assert main(["plan", "solve", str(day)]) == 0
    assert "against uncontrolled" in capsys.readouterr().out


def test_cost_against_kg_needs_an_intensity_and_shows_where_hours_change_places(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "pareto", str(day)]) == 2
    assert "carbon: expected the grid's intensity" in capsys.readouterr().err
    problem = json.loads(day.read_text())
    # dearer and cleaner: the third hour than the fourth (0.45 for 0.5 kg: 0.9 per kg) and than the first two (1.45), the fourth than those (4.2)
    problem["carbon"] = {"kg_per_kwh": [0.8, 0.8, 0.2, 0.7], "price_per_kg": 0}
    problem["demand"] = []
    day.write_text(json.dumps(problem))
    assert main(["plan", "pareto", str(day), "--prices", "0,1.4,1.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["break_even_per_kg"] == pytest.approx([0.9, 1.45])
    assert [one["price_per_kg"] for one in found["choices"]] == [0, 1.4, 1.5]
    with pytest.raises(SystemExit):
        main(["plan", "pareto", str(day), "--prices", "0,x"])
    assert "expected a number, 0 or above, got 'x'" in capsys.readouterr().err


def test_the_example_day_comes_out_as_its_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (PAGE.parent / "flexibility.md").read_text(encoding="utf-8")
    found = re.search(r"\| mode \| cost \|.*\n\|[-|]+\n((?:\|.*\n)+)", page)
    assert found is not None
    rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in found[1].splitlines()]
    assert main(["plan", "compare", str(PAGE.parent / "examples" / "charging_day.json"), "--json"]) == 0
    modes = json.loads(capsys.readouterr().out)
    assert len(rows) == len(modes) == 5
    for (_, *told), mode in zip(rows, modes, strict=True):
        figures = mode["measures"]
        names = ("largest_step_kw", "pv_hours_percent", "pv_self_use_percent", "cycles_per_day")
        seen = [mode["cost"], mode["kg"], figures["peak_kw"], *(figures[name] for name in names)]
        # plans of nearly the same money may differ in steps and hours
        for at, (text, value) in enumerate(zip(told, seen, strict=True)):
            assert float(text) == pytest.approx(value, rel=0.003 if at < 3 else 0.1), (mode["mode"], at)
        assert figures["stays_short"] == 0
        assert figures["limit_h"] == 0
    cost = [mode["cost"] for mode in modes]
    assert cost == sorted(cost, reverse=True)

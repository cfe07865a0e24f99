"""No plan in time: the one before from now on, cut to what physics allows, with what it breaks named, and said to be stale."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_site import random_site

from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Problem, Session, Shiftable, Storage
from aggregator.flexibility.record import decode_record, encode_problem, encode_record, replay
from aggregator.flexibility.solve import Unsolved
from aggregator.flexibility.stale import followed, plan_or_shifted, shifted
from wattline.command import main


def site(steps: int, **said: object) -> Problem:
    known = {"step_h": np.ones(steps), "load_kw": np.zeros(steps), "pv_kw": np.zeros(steps), "import_price": np.full(steps, 0.5), "export_price": np.zeros(steps)}  # fmt: skip
    return Problem(**(known | {"import_limit_kw": 20.0, "export_limit_kw": 20.0} | said))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_held_against_its_own_problem_comes_to_the_same(seed: int) -> None:
    problem = random_site(seed)
    best = plan(problem)
    held = shifted(best, problem, 0)
    assert held.status == "stale"
    assert held.money.total == pytest.approx(best.objective, rel=1e-9, abs=1e-6)
    assert [(one.kind, one.name, one.step) for one in held.broken] == [(one.kind, one.name, one.step) for one in best.broken]  # fmt: skip
    assert held.objective - held.gap <= best.objective + 1e-6


def test_an_hour_later_a_vehicle_that_left_does_nothing_and_what_it_would_have_got_is_not_drawn() -> None:
    """Planned: a in hours 1 to 2, b in hour 2. An hour later a has gone: of 7 + 4 kW only b's remain, in its second hour."""
    stay = {"capacity_kwh": 50.0, "charge_kw": 7.0, "charge_ratio": 1.0}
    a, b = Session("a", 0, 4, 0.0, 14.0, **stay), Session("b", 0, 4, 0.0, 4.0, **stay)
    before = plan(site(4, import_price=np.array([0.9, 0.1, 0.1, 0.9]), sessions=[a, b]))
    assert before.import_kw.tolist() == pytest.approx([0, 11, 7, 0], abs=1e-6)
    later = site(4, sessions=[replace(b, departure=3)])
    found = shifted(before, later, 1)
    assert (found.status, found.import_kw.tolist()) == ("stale", pytest.approx([4, 0, 0, 0], abs=1e-6))
    assert not found.broken
    cut = shifted(before, replace(later, sessions=[replace(b, departure=3, charge_kw=3.0)]), 1)
    assert [(one.kind, one.name, round(one.amount, 6)) for one in cut.broken] == [("departure", "b", 1.0)]


def test_a_vehicle_that_no_plan_knew_gets_nothing_and_its_shortfall_is_named() -> None:
    new = Session("new", 0, 2, 5.0, 8.0, 50.0, 7.0)
    found = shifted(plan(site(3)), site(3, sessions=[new]), 1)
    assert [(one.kind, one.name, round(one.amount, 6)) for one in found.broken] == [("departure", "new", 3.0)]


def test_a_battery_gives_and_takes_only_what_it_can_by_now() -> None:
    """Told 5 kW out for three hours with 8 kWh above its least at 1.0: 5, 3, 0; told 5 kW in with 7 kWh of room: 5, 2, 0."""
    full = np.full(3, 5.0)
    one = Storage("b", 20.0, 13.0, 9.0, 9.0, 1.0, 1.0, least_kwh=5.0)
    given = followed(site(3, load_kw=full, storage=[one]), {"b": (np.zeros(3), full)}, {})
    assert given.assets["b"].discharge_kw.tolist() == pytest.approx([5, 3, 0])
    taken = followed(site(3, storage=[one]), {"b": (full, np.zeros(3))}, {})
    assert taken.assets["b"].charge_kw.tolist() == pytest.approx([5, 2, 0])
    weak = followed(site(3, storage=[replace(one, charge_kw=3.0, least_kw=2.5)]), {"b": (full, np.zeros(3))}, {})
    assert weak.assets["b"].charge_kw.tolist() == pytest.approx(
        [3, 3, 0]
    )  # the last kWh would be below its least power
    sun = followed(
        site(3, pv_kw=np.array([2.0, 0, 9]), storage=[replace(one, from_grid=False)]), {"b": (full, np.zeros(3))}, {}
    )
    assert sun.assets["b"].charge_kw.tolist() == pytest.approx([2, 0, 5])
    home = followed(
        site(3, load_kw=np.array([2.0, 0, 9]), storage=[replace(one, to_grid=False)]), {"b": (np.zeros(3), full)}, {}
    )
    assert home.assets["b"].discharge_kw.tolist() == pytest.approx([2, 0, 5])


def test_a_load_that_ran_already_is_not_run_again_and_what_is_missing_is_named() -> None:
    oven = Shiftable("oven", 0, 3, 4.0, 3.0)
    found = followed(site(3, shiftable=[oven]), {}, {"oven": np.array([3.0, 3.0, 3.0])})
    assert found.shifted_kw["oven"].tolist() == pytest.approx([3, 1, 0])
    assert [(one.kind, one.amount) for one in followed(site(3, shiftable=[oven]), {}, {}).broken] == [("shift", pytest.approx(4))]  # fmt: skip


def test_what_a_cold_store_cannot_take_it_does_not_and_what_then_lacks_is_named() -> None:
    """10 kWh hold 9 at the begin, 2 kW are drawn: told 5 kW for three hours, 3 kW fit into the first, 2 kW into the others. Told nothing, 1 kWh is left
    after four hours, so that 1 kW lacks in the fifth."""
    cold = Storage("cold", 10.0, 9.0, 5.0, 0.0, 1.0, 1.0, drain_kw=np.full(5, 2.0))
    found = followed(site(5, storage=[cold]), {"cold": (np.array([5.0, 5.0, 5.0, 0.0, 0.0]), np.zeros(5))}, {})
    assert found.assets["cold"].charge_kw.tolist() == pytest.approx([3, 2, 2, 0, 0])
    idle = followed(site(5, storage=[cold]), {}, {})
    assert [(one.kind, one.step, one.amount) for one in idle.broken] == [("comfort", 4, pytest.approx(1))]


def test_beyond_the_connection_it_is_said_and_not_hidden() -> None:
    found = shifted(plan(site(2)), site(2, load_kw=np.array([25.0, 5.0])), 1)
    assert [(one.kind, one.step, one.amount) for one in found.broken] == [("connection", 0, pytest.approx(5))]


def test_without_time_the_plan_before_stands_and_without_one_before_there_is_a_word() -> None:
    problem = random_site(2)
    before = plan(problem)
    assert plan_or_shifted(problem, before, 0, 0.0).status == "stale"
    assert plan_or_shifted(problem, before, 0).status == "optimal"
    with pytest.raises(Unsolved, match="expected a plan within 0 s"):
        plan_or_shifted(problem, None, 0, 0.0)


def test_a_stale_plan_on_record_comes_out_again() -> None:
    problem = random_site(1)
    kept = decode_record(encode_record(problem, shifted(plan(problem), problem, 2)))
    assert kept.plan["status"] == "stale"
    assert replay(kept).differences == ()


def test_the_command_goes_on_with_a_record_where_the_time_is_too_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    day, kept, later = (tmp_path / name for name in ("day.json", "kept.json", "later.json"))
    problem = random_site(4)
    day.write_bytes(encode_problem(problem))
    main(["plan", "solve", str(day), "--keep", str(kept)])
    assert main(["plan", "solve", str(day), "--budget-s", "1e-9"]) == 1
    assert "expected a plan within 1e-09 s" in capsys.readouterr().err
    given = ["--budget-s", "1e-9", "--previous", str(kept), "--steps", "1", "--keep", str(later), "--json"]
    assert main(["plan", "solve", str(day), *given]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["status"] == "stale"
    assert main(["plan", "replay", str(later)]) == 0
    with pytest.raises(SystemExit):
        main(["plan", "solve", str(day), "--steps", "-1"])
    assert main(["plan", "solve", str(day), "--previous", str(day)]) == 2
    assert "record: expected a record of version 1" in capsys.readouterr().err

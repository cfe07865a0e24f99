"""Plans on record: what is written reads back to the last bit, solving again gives the same numbers, and a changed record is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_site import random_site

from aggregator.flexibility.certificate import proven
from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Problem, ProblemFault
from aggregator.flexibility.record import (
    decode_problem,
    decode_record,
    digest,
    encode_plan,
    encode_problem,
    encode_record,
    replay,
)
from wattline.command import main


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_on_record_comes_out_again_to_the_last_bit_and_its_duals_prove_it(seed: int) -> None:
    problem = random_site(seed)
    kept = decode_record(encode_record(problem, plan(problem)))
    again = replay(kept)
    assert (again.differences, again.exact, again.versions) == ((), True, ())
    assert again.proven == pytest.approx(kept.plan["objective"], rel=1e-6, abs=1e-5)


def test_a_problem_reads_back_to_the_last_bit() -> None:
    problem = random_site(3)
    raw = encode_problem(problem)
    assert encode_problem(decode_problem(raw)) == raw
    assert decode_problem(raw).load_kw.tobytes() == problem.load_kw.tobytes()
    assert decode_problem(raw).branches[0].members == problem.branches[0].members
    assert digest(raw) != digest(encode_problem(replace(problem, load_kw=np.nextafter(problem.load_kw, 1e9))))


def test_the_time_that_a_solver_takes_is_outside_the_hash() -> None:
    found = plan(random_site(1))
    assert encode_plan(found) == encode_plan(replace(found, solve_s=found.solve_s + 1))


def test_any_duals_prove_a_bound_and_never_more_than_the_optimum() -> None:
    """Weak duality holds for every vector of duals: spoilt ones prove less."""
    made = dispatch(random_site(5))
    best = plan(made.problem)
    for seed in range(20):
        spoilt = best.duals * np.random.default_rng(seed).uniform(0, 2, len(best.duals))
        assert proven(made, spoilt) <= best.objective + 1e-6


def test_what_differs_is_said_by_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = random_site(2)
    content = json.loads(encode_record(problem, plan(problem)))
    content["plan"]["import_kw"][3] += 1.0
    content["plan"]["made_by"]["planner"] = "another"
    changed = json.dumps(content["plan"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content))
    assert main(["plan", "replay", str(path)]) == 2
    assert "record.plan: expected sha256" in capsys.readouterr().err
    path.write_text(json.dumps(content | {"plan_sha256": digest(changed)}))
    assert main(["plan", "replay", str(path)]) == 1
    said = capsys.readouterr().out
    assert "import_kw[3]: " in said
    assert "planner another, now " in said
    assert "1 numbers differ" in said


def test_solve_keeps_a_record_that_replay_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day, kept = tmp_path / "day.json", tmp_path / "kept.json"
    day.write_bytes(encode_problem(random_site(4)))
    assert main(["plan", "solve", str(day), "--keep", str(kept)]) in (0, 1)
    assert main(["plan", "replay", str(kept)]) == 0
    assert "the same numbers to the last bit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "record: expected JSON"),
        (b"[]", "record: expected a record of version 1, got '[]'"),
        (b'{"record": 7}', "record: expected a record of version 1, got '7'"),
        (b'{"record": 1, "problem": 3}', "record.problem: expected an object, got '3'"),
        (b'{"record": 1, "problem": {}, "problem_sha256": "00"}', "record.problem: expected sha256 00, got 44136fa3"),
    ],
)
def test_a_file_that_is_no_record_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(ProblemFault) as refused:
        decode_record(raw)
    assert said in str(refused.value)


def test_a_problem_with_a_number_that_is_none_goes_on_no_record() -> None:
    problem: Problem = replace(random_site(0), ramp_price_per_kw=float("nan"))
    with pytest.raises(ProblemFault, match="record: expected finite numbers"):
        encode_problem(problem)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["objective"], "5", "record.plan.objective: expected a number, got '5'"),
        (["made_by"], None, "record.plan.made_by: expected an object"),
        (["made_by", "budget_s"], None, "record.plan.made_by.budget_s: expected a number"),
        (["duals", "at"], [10**9], "record.plan.duals: expected rows, places within them"),
        (["assets"], [], "record.plan.assets: expected an object"),
        (["assets", "ev0", "charge_kw"], [1.0], "record.plan.assets.ev0.charge_kw: expected 12 numbers"),
        (["shifted_kw", "oven"], ["x"] * 12, "record.plan.shifted_kw.oven: expected 12 numbers"),
    ],
)
def test_a_record_that_somebody_wrote_anew_is_refused_where_it_does_not_fit(
    path: list[str], value: object, said: str
) -> None:
    problem = random_site(2)
    content = json.loads(encode_record(problem, plan(problem)))
    place = content["plan"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    changed = json.dumps(content["plan"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(ProblemFault) as refused:
        decode_record(json.dumps(content | {"plan_sha256": digest(changed)}).encode())
    assert said in str(refused.value)

"""A circuit as the planner's branches. Expected numbers by hand: a phase of 400/230 V carries 1000 / 230.94 A per kW."""

import math

import numpy as np
import pytest

from aggregator.flexibility.operation.network import Background, branches
from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Branch, Problem, Session
from wire import circuit as network
from wire.circuit import Circuit

PER_KW = 1000 / (400 / math.sqrt(3))  # 4.330 A


def charger(name: str, phases: str, **said: object) -> dict[str, object]:
    return {
        "name": name, "kind": "charger", "branch": "garage", "edge": "gw", "device": name, "point": "charging_limit_kw",
        "phases": phases, "charge_kw": 11.0, **said,
    }  # fmt: skip


def garage(*assets: dict[str, object], **said: object) -> Circuit:
    return network.of_tree(
        {
            "facility": "works",
            "branch": [{"name": "transformer", "limit_kva": 400}, {"name": "garage", "within": "transformer", "limit_a": 32, **said}],
            "asset": list(assets),
        }
    )  # fmt: skip


def named(found: list[Branch]) -> dict[str, Branch]:
    return {one.name: one for one in found}


def test_a_charger_on_one_phase_loads_that_phase_alone_and_the_neutral() -> None:
    found = named(branches(garage(charger("a", "L2"), neutral_limit_a=8), {}, {"a": ["a#1"]}, 1))
    assert found["garage L1"].members == {}
    assert abs(found["garage L2"].members["a#1"]) == pytest.approx(PER_KW)
    assert found["garage N"].members["a#1"] == found["garage L2"].members["a#1"]
    assert (found["transformer"].limit, found["transformer"].members) == (400, {"a#1": 1.0 + 0j})


def test_three_equal_chargers_on_three_phases_leave_the_neutral_empty() -> None:
    circuit = garage(charger("a", "L1"), charger("b", "L2"), charger("c", "L3"), neutral_limit_a=1.0)
    found = named(branches(circuit, {}, {name: [name] for name in "abc"}, 1))
    assert abs(sum(found["garage N"].members.values())) == pytest.approx(0, abs=1e-12)


def test_a_charger_that_has_no_vehicle_draws_nothing() -> None:
    assert all(not one.members for one in branches(garage(charger("a", "L1")), {}, {}, 1))


def test_900_kw_with_600_kvar_is_1082_kva() -> None:
    # Domain rule 27. Of a transformer of 1,082 kVA nothing is left: |900 + j600| = 1081.67.
    circuit = network.of_tree({"facility": "works", "branch": [{"name": "transformer", "limit_kva": 1082}]})
    (branch,) = branches(circuit, {"transformer": Background(np.array([900.0]), np.array([600.0]))}, {}, 1)
    assert branch.background is not None
    assert abs(branch.background[0]) == pytest.approx(1081.665, abs=1e-3)


def test_a_background_of_unknown_angle_is_taken_off_the_limit_as_a_scalar() -> None:
    # 10 kVA of unknown angle and 2 kVA kept free are 17.32 A of 32 A on each phase.
    found = named(
        branches(garage(charger("a", "L1")), {"garage": Background(kva=np.array([10.0]), spare_kva=2.0)}, {"a": ["a"]}, 1)
    )  # fmt: skip
    assert found["garage L1"].scalar == pytest.approx(np.array([12_000 / (400 * math.sqrt(3))]))


def test_a_plan_keeps_phase_unbalance_within_its_limit() -> None:
    # Unbalance of 10 A: the one vehicle on L1 may take 10 A cos(pi/12) / 4.330 = 2.2307 kW (twelve facets inside the circle).
    circuit = garage(charger("a", "L1"), unbalance_limit_a=10)
    vehicle = Session("a", 0, 1, 0.0, 100.0, 100.0, 11.0, charge_ratio=1.0)
    one = np.ones(1)
    problem = Problem(one, 0 * one, 0 * one, 0.5 * one, 0 * one, 400, 400, sessions=[vehicle])
    limited = Problem(one, 0 * one, 0 * one, 0.5 * one, 0 * one, 400, 400, sessions=[vehicle],
                      branches=branches(circuit, {}, {"a": ["a"]}, 1))  # fmt: skip
    assert plan(problem).assets["a"].charge_kw[0] == pytest.approx(11.0)
    assert plan(limited).assets["a"].charge_kw[0] == pytest.approx(10 * math.cos(math.pi / 12) / PER_KW, rel=1e-6)

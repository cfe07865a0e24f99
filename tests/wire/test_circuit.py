"""A circuit is one tree with limits everywhere; its phasors are those of a drawing by hand."""

import cmath
import math
from pathlib import Path

import pytest

from wire.circuit import PHASES, Asset, CircuitFaults, amps_per_kw, load, of_tree

WORKS = {
    "facility": "works",
    "branch": [
        {"name": "transformer", "limit_kva": 400, "edge": "gw", "meter": "incomer", "uncontrolled_max_kva": 250},
        {"name": "garage", "within": "transformer", "limit_a": 160, "neutral_limit_a": 160},
        {"name": "row-2", "within": "garage", "limit_a": 63},
    ],
    "asset": [
        {"name": "battery", "kind": "battery", "branch": "transformer", "edge": "gw", "device": "b", "point": "p", "charge_kw": 50, "discharge_kw": 50, "capacity_kwh": 100},
        {"name": "pile", "kind": "charger", "branch": "row-2", "edge": "gw", "device": "c", "point": "p", "phases": "L2", "charge_kw": 7.36},
    ],
}  # fmt: skip


def asset(phases: str, cos_phi: float = 1.0) -> Asset:
    return Asset("a", "charger", "b", "e", "d", "p", phases=phases, charge_kw=1, cos_phi=cos_phi)  # type: ignore[arg-type]


def test_a_branch_knows_what_it_is_within_and_what_is_below_it() -> None:
    circuit = of_tree(WORKS)
    assert circuit.connection.name == "transformer"
    assert [branch.name for branch in circuit.path("row-2")] == ["row-2", "garage", "transformer"]
    assert [one.name for one in circuit.below("transformer")] == ["battery", "pile"]
    assert [one.name for one in circuit.below("garage")] == ["pile"]


def test_7_36_kw_on_one_phase_of_a_400_v_network_are_32_a() -> None:
    # 7.36 kW / 230 V = 32 A; a nominal 400 V between lines is 230.94 V to neutral, so 31.87 A.
    amps = 7.36 * amps_per_kw(asset("L2"), "L2")
    assert abs(amps) == pytest.approx(7360 * math.sqrt(3) / 400)
    assert math.degrees(cmath.phase(amps)) == pytest.approx(-120)
    assert amps_per_kw(asset("L2"), "L1") == 0


def test_three_phases_carry_a_third_each_and_leave_the_neutral_empty() -> None:
    phasors = [amps_per_kw(asset("L1L2L3"), phase) for phase in PHASES]
    assert [abs(one) for one in phasors] == pytest.approx([1000 / (math.sqrt(3) * 400)] * 3)
    assert abs(sum(phasors)) == pytest.approx(0, abs=1e-12)


def test_between_two_lines_the_same_current_goes_and_comes_back_30_degrees_ahead() -> None:
    # U12 leads U1 by 30 degrees; 1 kW at 400 V is 2.5 A.
    out, back = (amps_per_kw(asset("L1L2"), phase) for phase in ("L1", "L2"))
    assert abs(out) == pytest.approx(2.5)
    assert math.degrees(cmath.phase(out)) == pytest.approx(30)
    assert out + back == 0


def test_a_lagging_load_draws_more_current_and_later() -> None:
    whole, lagging = amps_per_kw(asset("L1"), "L1"), amps_per_kw(asset("L1", 0.8), "L1")
    assert abs(lagging) == pytest.approx(abs(whole) / 0.8)
    assert math.degrees(cmath.phase(lagging)) == pytest.approx(-math.degrees(math.acos(0.8)))


def test_the_description_has_one_name_whatever_its_file_looks_like(tmp_path: Path) -> None:
    file = tmp_path / "circuit.toml"
    file.write_text('facility="w"\n[[branch]]\nlimit_kva=10.0\nname="a"\n')
    assert load(file).sha256 == of_tree({"facility": "w", "branch": [{"name": "a", "limit_kva": 10}]}).sha256


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"branch": []}, "branch: expected exactly one without within: the connection, got none"),
        ({"branch": [{"name": "a"}]}, "branch[0]: expected limit_kva or limit_a (never unlimited), got neither"),
        ({"branch": [{"name": "a", "limit_a": 0}]}, "branch[0].limit_a: expected `float` > 0.0"),
        ({"branch": [{"name": "a", "limit_a": float("nan")}]}, "branch[0].limit_a: expected"),
        ({"branch": [{"name": "a", "limit_a": 1, "limit_w": 1}]}, "branch[0]: expected the keys of a circuit, got object contains unknown field `limit_w`"),
        ({"branch": [{"name": "a", "limit_a": 1, "within": "b"}, {"name": "b", "limit_a": 1, "within": "a"}]}, "a circle through a"),
        ({"branch": [{"name": "a", "limit_a": 1, "meter": "m"}]}, "branch[0].uncontrolled_max_kva: expected"),
        ({"asset": [{"name": "x", "kind": "battery", "branch": "garage", "edge": "e", "device": "d", "point": "p", "charge_kw": 1}]}, "asset[0].capacity_kwh: expected a battery's capacity, got none"),
        ({"asset": [{"name": "x", "kind": "charger", "branch": "cellar", "edge": "e", "device": "d", "point": "p", "charge_kw": 1}]}, "asset[0].branch: expected one of transformer, garage, row-2, got 'cellar'"),
    ],
)  # fmt: skip
def test_a_fault_names_its_key_and_what_was_expected(change: dict[str, object], said: str) -> None:
    with pytest.raises(CircuitFaults) as caught:
        of_tree({**WORKS, **change}, "circuit.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("circuit.toml: ")


def test_a_file_that_is_not_there_or_no_toml_is_said(tmp_path: Path) -> None:
    with pytest.raises(CircuitFaults, match="expected a readable file, got No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CircuitFaults, match="expected TOML"):
        load(tmp_path / "bad.toml")

"""The states as a table: what is known, and the state that follows, by flexibility's control layer (watchdog) and rule 26."""

import pytest

from edge_agent.limits.modes import Facts, edge_state, states
from edge_agent.limits.shares import safe_shares
from edge_agent.limits.windows import Windows
from wire.circuit import of_tree

NOW = 10_000_000
MINUTE = 60_000


@pytest.mark.parametrize(
    ("issued_ms", "until_ms", "cloud_lost_ms", "state", "reason"),
    [
        (None, None, None, "local", "there is no schedule"),
        (NOW - 5 * MINUTE, NOW + 60 * MINUTE, None, "plan", ""),
        (NOW - 15 * MINUTE, NOW + 60 * MINUTE, None, "plan", ""),
        (NOW - 15 * MINUTE - 1, NOW + 60 * MINUTE, None, "local", "the schedule is older than 15 min"),
        (NOW - 5 * MINUTE, NOW, None, "local", "the schedule is over"),
        (NOW - 5 * MINUTE, NOW + 1, None, "plan", ""),
        (NOW - 5 * MINUTE, NOW + 60 * MINUTE, NOW - 120_000, "plan", ""),
        (NOW - 5 * MINUTE, NOW + 60 * MINUTE, NOW - 120_001, "local", "broker or aggregator away for more than 120 s"),
    ],
)
def test_the_plan_is_followed_only_while_it_can_be(
    issued_ms: int | None, until_ms: int | None, cloud_lost_ms: int | None, state: str, reason: str
) -> None:
    found = edge_state(Facts(NOW, issued_ms, until_ms, cloud_lost_ms))
    assert (found.state, found.reason) == (state, reason)


def test_branches_sources_and_assets_each_have_their_own_state() -> None:
    facts = Facts(
        NOW,
        metered={"fresh": NOW - 5_000, "gone": NOW - 5_001},
        stated={"fresh": (NOW - 10_000, 10.0), "gone": (NOW - 10_001, 10.0)},
        lost={"here": "", "away": "no answer"},
    )
    found = {(one.of, one.name): one.state for one in states(facts)}
    assert found == {
        ("edge", ""): "local",
        ("branch", "fresh"): "kept",
        ("branch", "gone"): "safe",
        ("limit_source", "fresh"): "stated",
        ("limit_source", "gone"): "fail_safe",
        ("asset", "here"): "steered",
        ("asset", "away"): "lost",
    }


def charger(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name, "kind": "charger", "branch": "site", "edge": "e", "device": name, "point": "charging_limit_kw",
        "charge_kw": 22.0, **more,
    }  # fmt: skip


def shares(assets: list[dict[str, object]], now_ms: int = 0, **branch: object) -> dict[str, float]:
    site = {"name": "site", "edge": "e", "meter": "m", "uncontrolled_max_kva": 60.0, **branch}
    return safe_shares(of_tree({"facility": "f", "branch": [site], "asset": assets}), now_ms)


def test_the_share_is_what_is_left_in_equal_parts() -> None:
    # (100 - 60 - 0) / 4 = 10 kW
    found = shares([charger(f"c{n}") for n in range(4)], limit_kva=100.0)
    assert found == pytest.approx(dict.fromkeys(["c0", "c1", "c2", "c3"], 10.0))


def test_what_an_asset_may_always_draw_is_taken_off_first() -> None:
    # (100 - 60 - 10) / 2 = 15 kW; the second has its 10 kW besides, at most its rated 22
    found = shares([charger("c0"), charger("c1", safe_kw=10.0)], limit_kva=100.0)
    assert found == pytest.approx({"c0": 15.0, "c1": 22.0})


def test_nothing_is_left_below_0_and_batteries_rest_while_pv_has_its_fixed_limit() -> None:
    battery = charger("b", kind="battery", capacity_kwh=10.0)
    pv = charger("pv", kind="pv", charge_kw=0.0, discharge_kw=50.0, safe_kw=30.0)
    found = shares([charger("c0"), battery, pv], limit_kva=50.0)
    assert found == {"c0": 0.0, "b": 0.0, "pv": -30.0}


def test_below_six_amperes_each_they_take_turns() -> None:
    # 70 - 60 = 10 kVA; 6 A on three phases are 4.14 kW: two at a time, 5 kW each
    names = [f"c{n}" for n in range(3)]
    turns = [shares([charger(name) for name in names], turn * 900_000, limit_kva=70.0) for turn in range(3)]
    assert [sorted(turn.values()) for turn in turns] == [[0.0, 5.0, 5.0]] * 3
    for name in names:
        assert sorted(turn[name] for turn in turns) == [0.0, 5.0, 5.0]  # each is off once


def test_a_phase_is_shared_by_those_on_it() -> None:
    # 69.282 kVA of 400 V are 100 A a phase; 160 - 100 = 60 A: two on L1 have 30 A each, 6.928 kW; one on L2 its rated 7.36
    found = shares(
        [charger(f"c{n}", phases=phase, charge_kw=7.36) for n, phase in enumerate(["L1", "L1", "L2"])],
        limit_a=160.0,
        uncontrolled_max_kva=69.282,
    )
    assert found["c0"] == pytest.approx(6.928, abs=0.002)
    assert found["c2"] == pytest.approx(7.36)


def test_a_demand_window_lets_through_what_keeps_its_mean() -> None:
    # 15 min at a mean of 200 kW are 180,000 kWs; 400 kW for 5 min leave 60,000 kWs for 600 s: 100 kW
    windows, key, start_ms = Windows(), (0, 900, "import"), 1_795_248_000_000
    for second in range(301):
        allowed_kw = windows.allowed_kw(key, 200.0, 400.0, start_ms + second * 1000)
    assert allowed_kw == pytest.approx(100.0)
    for second in range(301, 900):
        allowed_kw = windows.allowed_kw(key, 200.0, 0.0, start_ms + second * 1000)
    assert allowed_kw > 200  # nothing was drawn since: there is room again
    assert windows.allowed_kw(key, 200.0, 300.0, start_ms + 900_000) == pytest.approx(200.0)  # a new window


def test_a_window_that_cannot_be_kept_any_more_asks_for_nothing_below_zero() -> None:
    windows = Windows()
    for second in range(0, 800, 10):
        allowed_kw = windows.allowed_kw((0, 900, "import"), 100.0, 400.0, 1_795_248_000_000 + second * 1000)
    assert allowed_kw == 0.0

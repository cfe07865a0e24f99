"""The figures by which days are compared, each from a day that is worked out by hand; cycles and life from the white paper's own numbers."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from random_site import random_site

from aggregator.flexibility.cost_against_kg import break_evens, choices
from aggregator.flexibility.measures import cycles_allowed, life_years, measures
from aggregator.flexibility.modes import judged
from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Carbon, Problem, ProblemFault, Session, Storage
from aggregator.flexibility.simple_rules import Course


def building() -> Problem:
    """Six hours with sun in two of them and wind in two others, a battery and a vehicle."""
    return Problem(
        step_h=np.ones(6), load_kw=np.full(6, 10.0), pv_kw=np.array([0.0, 0.0, 40.0, 40.0, 0.0, 0.0]), import_price=np.full(6, 0.5),
        export_price=np.zeros(6), import_limit_kw=30.0, export_limit_kw=100.0, wind_kw=np.array([5.0, 1.0, 1.0, 1.0, 1.0, 9.0]),
        storage=[Storage("battery", 40.0, 0.0, 20.0, 20.0, 1.0, 0.5)],
        sessions=[Session("ev", 1, 6, 0.0, 20.0, 40.0, 10.0, charge_ratio=1.0, discharge_ratio=1.0, discharge_kw=2.0)],
    )  # fmt: skip


def test_each_figure_of_a_day_is_the_one_worked_out_by_hand() -> None:
    # net: 10, 10 + 10, 10 + 20 + 10 - 40 = 0, 10 - 40 = -30, 10 - 10 = 0, 10 - 2 = 8
    zero = np.zeros(6)
    found = judged(
        building(),
        Course(
            {"battery": np.array([0.0, 0, 20, 0, 0, 0]), "ev": np.array([0.0, 10, 10, 0, 0, 0])},
            {"battery": np.array([0.0, 0, 0, 0, 10, 0]), "ev": np.array([0.0, 0, 0, 0, 0, 2])}, {}, zero,
        ),
    )  # fmt: skip
    figures = measures(building(), found)
    assert figures.peak_kw == pytest.approx(20.0)
    assert figures.largest_step_kw == pytest.approx(30.0)  # 0 to -30 and back
    assert figures.delivered_kwh == pytest.approx(18.0)
    assert (figures.shortfall_kwh, figures.stays_short) == (pytest.approx(2.0), 1)
    assert figures.zero_carbon_h == pytest.approx(3.0)
    assert figures.pv_hours_percent == pytest.approx(50.0)  # 10 of 20 kWh
    assert figures.wind_hours_percent == pytest.approx(0.0)  # the wind blows in the first and the last hour
    assert figures.either_percent == pytest.approx(50.0)
    assert figures.pv_self_use_percent == pytest.approx(100 * (80 - 30) / 80)
    # 10 kWh AC at 0.5 are 20 kWh of 40, in a quarter of a day
    assert figures.cycles_per_day == pytest.approx(2.0)
    assert figures.limit_h == 0.0


def test_a_figure_without_ground_is_none() -> None:
    bare = replace(building(), pv_kw=np.zeros(6), wind_kw=None, storage=(), sessions=())
    figures = measures(bare, plan(bare))
    assert (figures.pv_hours_percent, figures.wind_hours_percent, figures.either_percent) == (None, None, None)
    assert (figures.pv_self_use_percent, figures.cycles_per_day, figures.life_years) == (None, None, None)


def test_twelve_thousand_cycles_last_as_long_as_the_white_paper_s_replay_says() -> None:
    assert life_years(1.5) == pytest.approx(21.9, abs=0.05)
    assert life_years(2.0) == pytest.approx(16.4, abs=0.05)
    assert cycles_allowed() == pytest.approx(1.64, abs=0.005)  # twenty years


def test_hours_change_places_at_the_break_even_of_the_page() -> None:
    # flexibility.md 3.3, A4: 0.30/0.35 money and 0.8/0.4 kg flip at 0.125 per kg
    two = Problem(
        step_h=np.ones(2), load_kw=np.zeros(2), pv_kw=np.zeros(2), import_price=np.array([0.30, 0.35]), export_price=np.zeros(2),
        import_limit_kw=50.0, export_limit_kw=0.0, sessions=[Session("ev", 0, 2, 0.0, 10.0, 20.0, 10.0, charge_ratio=1.0)],
        carbon=Carbon(np.array([0.8, 0.4]), 0.0),
    )  # fmt: skip
    assert break_evens(two) == pytest.approx((0.125, 0.125))
    assert break_evens(replace(two, carbon=Carbon(np.full(2, 0.4), 0.0))) is None  # equally clean: none
    below, above = choices(two, [0.12, 0.13])
    assert (below.money, below.kg) == (pytest.approx(3.0), pytest.approx(8.0))
    assert (above.money, above.kg) == (pytest.approx(3.5), pytest.approx(4.0))
    assert below.best
    assert above.best


@pytest.mark.parametrize("seed", range(4))
def test_dearer_carbon_never_means_more_kg_or_less_cost(seed: int) -> None:
    found = choices(random_site(seed), [0.0, 0.1, 0.3, 1.0, 3.0])
    for cheap, dear in pairwise(found):
        assert dear.kg <= cheap.kg + 1e-6
        assert dear.money >= cheap.money - 1e-6


def test_without_an_intensity_there_is_nothing_to_weigh() -> None:
    with pytest.raises(ProblemFault, match="expected the grid's intensity"):
        choices(building(), [0.1])

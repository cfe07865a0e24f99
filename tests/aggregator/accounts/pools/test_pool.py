"""Carbon pools of storage and vehicles. Figures: domain rules 17 and 18, worked examples 24, 25 and 25b of the emissions page; else by hand, and conservation."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.accounts.pools.parcel import Parcel, of_factor, uncovered
from aggregator.accounts.pools.pool import Cell, Pool
from aggregator.emissions.amounts import EXACT

G = Decimal("0.001")  # kg


def of_grams(kwh: str, g_per_kwh: str) -> Parcel:
    return of_factor(Decimal(kwh), Decimal(g_per_kwh) * G)


def some(value: Decimal | None) -> Decimal:
    assert value is not None
    return value


def near(value: Decimal, figure: str, within: str = "1e-6") -> bool:
    return abs(value - Decimal(figure)) <= Decimal(within)


def test_rule_17_a_charged_battery_that_gives_half_of_its_content_gives_half_of_its_carbon() -> None:
    pool = Pool(Cell(Decimal("0.95"), Decimal("0.947368421")))
    pool.charge(of_grams("100", "600"))
    pool.charge(of_grams("50", "200"))
    assert (pool.content.kwh, pool.content.kg) == (Decimal("142.5"), Decimal(70))
    given_back = pool.discharge(Decimal("67.5"))
    # 0.947368421 is 0.9473684210526.. cut: 67.5 kWh AC draw 71.250000004 of 142.5 kWh
    assert near(given_back.kg / G, "35000", "1e-5")
    assert near(pool.content.kg / G, "35000", "1e-5")
    assert given_back.kg + pool.content.kg == 70


def test_example_24_losses_stay_with_what_is_delivered_and_no_residue_is_left() -> None:
    pool = Pool(Cell(discharge_efficiency_ratio=Decimal("0.9")))
    pool.charge(of_grams("100", "600"))
    pool.charge(of_grams("50", "200"))
    basis = pool.content.kg_per_kwh
    delivered = pool.discharge(Decimal("135"))
    assert near(some(basis) / G, "466.666667")
    assert near(some(delivered.kg_per_kwh) / G, "518.518519")
    assert near(delivered.kg - 135 * some(basis), "7.0", "1e-9")
    assert (pool.content, pool.turnover.lost_kg) == (Parcel(), Decimal(0))


def test_example_25_what_a_vehicle_gives_to_the_grid_leaves_the_session() -> None:
    vehicle = Pool(Cell(Decimal("0.92"), Decimal("0.92")))
    vehicle.charge(of_grams("40", "300"))
    assert vehicle.content.kwh == Decimal("36.8")
    assert near(some(vehicle.content.kg_per_kwh) / G, "326.086957")
    exported = vehicle.discharge(Decimal("9.2"))
    assert vehicle.turnover.drawn_kwh == 10
    assert near(exported.kg / G, "3260.869565")
    assert near(some(exported.kg_per_kwh) / G, "354.442344")
    assert near((vehicle.turnover.charged.kg - exported.kg) / G, "8739.130435")


@pytest.mark.parametrize(
    ("on_charge", "on_discharge", "avoided_g"), [("400", "800", "3012.173913"), ("800", "800", "-1335.652174")]
)
def test_example_25b_the_marginal_pool_gives_what_the_discharge_has_cost_and_a_loss_is_shown(
    on_charge: str, on_discharge: str, avoided_g: str
) -> None:
    caused = Pool(Cell(Decimal("0.92"), Decimal("0.92")))  # the same pool, its kg marginal
    caused.charge(of_grams("40", on_charge))
    cost = caused.discharge(Decimal("9.2"))
    assert near(Decimal("9.2") * Decimal(on_discharge) - cost.kg / G, avoided_g)


def test_what_a_vehicle_brought_has_no_figure_and_is_drawn_in_proportion() -> None:
    vehicle = Pool.first(Cell(opening_kwh=Decimal(30)))
    vehicle.charge(of_grams("10", "300"))
    given_back = vehicle.discharge(Decimal(8))
    assert given_back == Parcel(Decimal(8), Decimal("0.6"), Decimal(6))  # a fifth of 40 kWh: a fifth of 30 and of 3 kg
    assert given_back.kg_per_kwh == Decimal("0.3")


def test_standing_loss_and_the_managements_word_change_kwh_and_not_kg() -> None:
    pool = Pool(Cell(standing_loss_percent_per_day=Decimal(2)))
    pool.charge(of_grams("50", "400"))
    pool.stand(43_200_000)  # half a day: 1 %
    assert pool.content == Parcel(Decimal("49.5"), Decimal(20), Decimal(0))
    pool.anchor(Decimal(40))
    assert (pool.content.kwh, pool.content.kg, pool.turnover.anchored_kwh) == (
        Decimal(40),
        Decimal(20),
        Decimal("-9.5"),
    )
    assert pool.content.kg_per_kwh == Decimal("0.5")


def test_kg_that_are_left_at_the_floor_become_storage_loss() -> None:
    pool = Pool(Cell())
    pool.charge(of_grams("50", "400"))
    pool.discharge(Decimal(30))
    pool.anchor(Decimal(0))
    assert (pool.content, pool.turnover.lost_kg) == (Parcel(), Decimal(8))


def test_a_full_battery_is_not_filled_further_and_one_that_gives_more_than_it_has_gives_it_without_a_figure() -> None:
    pool = Pool(Cell(capacity_kwh=Decimal(10)))
    pool.charge(of_grams("12", "500"))
    assert (pool.content.kwh, pool.content.kg, pool.turnover.anchored_kwh) == (Decimal(10), Decimal(6), Decimal(-2))
    assert pool.discharge(Decimal(15)) == Parcel(Decimal(15), Decimal(6), Decimal(5))
    assert (pool.turnover.missing_kwh, pool.content) == (Decimal(5), Parcel())
    assert pool.discharge(Decimal(1)).known_kg is None


@pytest.mark.parametrize("key", ["charge_efficiency_ratio", "discharge_efficiency_ratio", "capacity_kwh"])
def test_a_cell_that_cannot_be_is_refused_by_name(key: str) -> None:
    with pytest.raises(ValueError, match=f"storage: expected {key} above 0.*got 0"):
        Cell(**{key: Decimal(0)})


AMOUNTS = st.decimals(0, 500, places=6)
FACTORS = st.none() | st.decimals(0, 2, places=9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("charge"), AMOUNTS, FACTORS),
        st.tuples(st.just("discharge"), AMOUNTS, st.none()),
        st.tuples(st.just("stand"), st.integers(0, 10**9), st.none()),
        st.tuples(st.just("anchor"), AMOUNTS, st.none()),
    ),
    max_size=12,
)
RATIOS = st.decimals("0.5", 1, places=9)
CELLS = st.builds(
    Cell, RATIOS, RATIOS, st.none() | st.decimals(1, 300, places=3), st.decimals(0, 100, places=3), AMOUNTS
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CELLS, STEPS)
def test_a_pool_conserves_at_each_step(cell: Cell, steps: list[tuple[str, Decimal, Decimal | None]]) -> None:
    pool = Pool.first(cell)
    came = went = Fraction(0)
    for name, amount, factor in steps:
        if name == "charge":
            came += 0 if factor is None else Fraction(amount) * Fraction(factor)
            pool.charge(of_factor(amount, factor))
        elif name == "discharge":
            delivered = pool.discharge(amount)
            went += Fraction(delivered.kg)
            assert 0 <= delivered.uncovered_kwh <= delivered.kwh == amount
        elif name == "stand":
            pool.stand(int(amount))
        else:
            pool.anchor(amount)
        turnover, content = pool.turnover, pool.content
        assert came == went + Fraction(turnover.lost_kg) + Fraction(content.kg)
        assert content.kg >= 0
        assert 0 <= content.uncovered_kwh <= content.kwh
        assert cell.capacity_kwh is None or name != "charge" or content.kwh <= cell.capacity_kwh
        came_kwh = turnover.opening.kwh + turnover.stored_kwh + turnover.anchored_kwh
        assert came_kwh == EXACT.add(turnover.drawn_kwh, turnover.stood_kwh) + content.kwh


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.decimals(0, 1000, places=6),
    st.decimals(0, 1000, places=9),
    st.decimals(0, 1, places=6),
    st.decimals(0, 1, places=6),
)
def test_parts_of_a_parcel_make_the_whole_again(kwh: Decimal, kg: Decimal, without: Decimal, part: Decimal) -> None:
    whole = Parcel(kwh, kg, kwh * without)
    taken, rest = whole.take(kwh * part)
    assert taken + rest == whole
    for each in (taken, rest):
        assert 0 <= each.uncovered_kwh <= each.kwh
        assert each.kg >= 0


def test_a_parcel_gives_no_more_than_it_has() -> None:
    with pytest.raises(ValueError, match="expected 0 to 1 kWh to be taken, got 2"):
        uncovered(Decimal(1)).take(Decimal(2))

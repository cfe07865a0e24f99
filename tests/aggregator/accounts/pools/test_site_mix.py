"""One interval of a site. Figures: worked examples 8, 26 and 39 of the emissions page; else by hand, and conservation."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.accounts.pools.parcel import Parcel, of_factor
from aggregator.accounts.pools.pool import Cell, Pool
from aggregator.accounts.pools.site_mix import GRID, PV, Flows, InOut, Solved, solve, unsolved

G = Decimal("0.001")  # kg


def flows(
    imported: str = "0",
    exported: str = "0",
    pv: str = "0",
    g_per_kwh: str | None = "500",
    storage: dict[str, tuple[str, str]] | None = None,
    vehicles: dict[str, tuple[str, str]] | None = None,
) -> Flows:
    grid = of_factor(Decimal(imported), None if g_per_kwh is None else Decimal(g_per_kwh) * G)
    return Flows(grid, Parcel(Decimal(pv)), Decimal(exported), in_out(storage), in_out(vehicles))


def in_out(given_kwh: dict[str, tuple[str, str]] | None) -> dict[str, InOut]:
    return {name: InOut(Decimal(one), Decimal(two)) for name, (one, two) in (given_kwh or {}).items()}


def intensity_g(solved: Solved) -> Decimal | None:
    return None if solved.reached.kg_per_kwh is None else solved.reached.kg_per_kwh / G


def test_example_26_the_sites_intensity_is_what_reaches_the_loads() -> None:
    quarter_hours = [
        solve(flows(imported, exported, pv, g, vehicles={"ev": ("5", "0")}), {})
        for imported, exported, pv, g in [("20", "0", "0", "500"), ("8", "0", "12", "450"), ("0", "10", "30", "400")]
    ]
    assert [intensity_g(each) for each in quarter_hours] == [500, 180, 0]
    session = sum((each.charged["ev"] for each in quarter_hours), Parcel())
    assert session.kg == Decimal("3.4")
    assert session.kg_per_kwh is not None
    assert abs(session.kg_per_kwh / G - Decimal("226.666667")) < Decimal("1e-6")
    assert sum(each.exported[PV].kwh for each in quarter_hours) == 10
    assert [each.loads.kwh for each in quarter_hours] == [15, 15, 15]


def test_example_8_surplus_of_pv_is_exported_with_nothing_in_it() -> None:
    solved = solve(flows(exported="40", pv="140", g_per_kwh="530.6"), {})
    assert (solved.grid.kg, solved.loads, solved.pv_own_kwh) == (Decimal(0), Parcel(Decimal(100)), Decimal(100))
    assert solved.exported[PV] == Parcel(Decimal(40))


def test_example_39_energy_without_a_factor_counts_as_uncovered_and_not_as_clean() -> None:
    with_factor = solve(flows("10", g_per_kwh="300", vehicles={"ev": ("10", "0")}), {}).charged["ev"]
    without = solve(flows("10", g_per_kwh=None, vehicles={"ev": ("10", "0")}), {}).charged["ev"]
    session = with_factor + without
    assert (session.kg_per_kwh, session.covered_kwh, session.covered_percent) == (
        Decimal("0.3"),
        Decimal(10),
        Decimal(50),
    )
    assert without.known_kg is None


def test_storage_charges_from_grid_and_pv_and_gives_its_own_to_the_loads() -> None:
    pool = Pool(Cell(Decimal("0.5")))
    # 10 kWh of the grid at 600 and 10 of PV: 300 g/kWh upstream
    solved = solve(flows("10", pv="10", g_per_kwh="600", storage={"battery": ("8", "0")}), {"battery": pool})
    assert solved.charged["battery"] == Parcel(Decimal(8), Decimal("2.4"))
    assert pool.content == Parcel(Decimal(4), Decimal("2.4"))
    solved = solve(flows("3", g_per_kwh="200", storage={"battery": ("0", "1")}), {"battery": pool})
    # a quarter of its 2.4 kg with 1 kWh, and 0.6 kg with 3 kWh of the grid
    assert solved.reached == Parcel(Decimal(4), Decimal("1.2"))
    assert pool.content == Parcel(Decimal(3), Decimal("1.8"))


def test_grid_energy_is_not_exported_while_local_energy_is_there() -> None:
    pool = Pool.reopened(Cell(), Parcel(Decimal(10), Decimal(5)))
    solved = solve(flows("2", "6", "4", storage={"battery": ("0", "8")}), {"battery": pool})
    assert solved.exported == {GRID: Parcel(), PV: Parcel(Decimal(2)), "battery": Parcel(Decimal(4), Decimal(2))}
    assert solved.loads == Parcel(
        Decimal(8), Decimal("3")
    )  # 2 of the grid with 1 kg, 2 of PV, 4 of the battery with 2 kg
    assert solve(flows("9", "5", "3"), {}).exported == {GRID: Parcel(Decimal(2), Decimal(1)), PV: Parcel(Decimal(3))}


def test_a_vehicle_that_gives_to_the_site_raises_it_by_what_its_pool_carries() -> None:
    vehicle = Pool.reopened(Cell(), Parcel(Decimal(20), Decimal(6)))
    solved = solve(flows("5", vehicles={"ev": ("0", "5")}, g_per_kwh="500"), {"ev": vehicle})
    assert solved.loads == Parcel(Decimal(10), Decimal(4))  # 2.5 kg of the grid, 1.5 kg of the vehicle
    assert vehicle.content == Parcel(Decimal(15), Decimal("4.5"))


def test_what_flows_out_beyond_what_came_in_has_no_figure() -> None:
    solved = solve(flows("3", storage={"battery": ("5", "0")}, g_per_kwh="500"), {})
    assert solved.charged["battery"] == Parcel(Decimal(5), Decimal("1.5"), Decimal(2))
    assert solved.short_kwh == 2


def test_sold_certificates_make_own_pv_what_the_residual_mix_is() -> None:
    sold = Flows(Parcel(), of_factor(Decimal(10), Decimal("0.6096")), Decimal(0), {}, {})
    assert solve(sold, {}).loads == of_factor(Decimal(10), Decimal("0.6096"))


KWH = st.decimals(0, 100, places=6)
SIDES = st.fixed_dictionaries({"one": st.builds(InOut, KWH, KWH), "two": st.builds(InOut, KWH, KWH)})
ANY = st.builds(
    Flows, st.builds(of_factor, KWH, st.none() | st.decimals(0, 1, places=9)), st.builds(Parcel, KWH), KWH, SIDES,
    st.fixed_dictionaries({"car": st.builds(InOut, KWH, KWH)}),
)  # fmt: skip
RATIOS = st.decimals("0.5", 1, places=9)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(ANY, st.booleans()), min_size=1, max_size=6),
    st.dictionaries(st.sampled_from(["one", "two", "car"]), RATIOS),
)
def test_every_kg_that_comes_in_goes_out_or_is_in_a_pool(
    intervals: list[tuple[Flows, bool]], ratios: dict[str, Decimal]
) -> None:
    pools = {name: Pool.first(Cell(ratio, ratio, opening_kwh=Decimal(20))) for name, ratio in ratios.items()}
    came = went = Decimal(0)
    for each, measured in intervals:
        solved = solve(each, pools) if measured else unsolved(each, pools)
        exported = sum((parcel.kg for parcel in solved.exported.values()), Decimal(0))
        charged, delivered = (
            sum((parcel.kg for parcel in part.values()), Decimal(0)) for part in (solved.charged, solved.delivered)
        )
        assert solved.grid.kg + delivered == charged + exported + solved.loads.kg
        assert solved.loads.kg >= 0
        assert 0 <= solved.loads.uncovered_kwh <= solved.loads.kwh
        came += solved.grid.kg
        went += exported + solved.loads.kg + sum(p.kg for name, p in solved.charged.items() if name not in pools)
        kept = sum((pool.content.kg + pool.turnover.lost_kg for pool in pools.values()), Decimal(0))
        assert came == went + kept
        out_kwh = sum((parcel.kwh for parcel in solved.exported.values()), Decimal(0))
        assert out_kwh <= each.exported_kwh


@pytest.mark.parametrize("exported", ["0.0000001", "0.3333333333"])
def test_shares_of_an_export_add_up_to_it(exported: str) -> None:
    solved = solve(flows("1", exported, "1", storage={"a": ("0", "1"), "b": ("0", "1")}), {})
    assert sum((parcel.kwh for parcel in solved.exported.values()), Decimal(0)) == Decimal(exported)

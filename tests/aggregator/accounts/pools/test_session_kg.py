"""What charging sessions carry. Figures: worked examples 25, 25b, 26 and 39 of the emissions page; else by hand."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from home import DATA
from pool_plant import METERS, QUARTER, START, G, Plant

from aggregator.accounts.compile import Accounts
from aggregator.accounts.pools.session_kg import SessionKg, session_kgs
from aggregator.facility import Cell
from aggregator.sessions import Session

D = Decimal


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    made.facility = replace(made.facility, place="")
    yield made
    made.ledger.close()


def session(
    number: str, from_quarter: float, to_quarter: float, wh: str | None, device: str = "charger", export_wh: str | None = None
) -> Session:  # fmt: skip
    begun, ended = (START + round(quarter * QUARTER) for quarter in (from_quarter, to_quarter))
    return Session(
        edge="gw", device=device, identity="", connector=1, transaction_id=number, operator_transaction_id="", id_token="", state="ended",
        doing="", started_at_ms=begun, ended_at_ms=ended, first_told_ms=begun, told_at_ms=ended, energy_wh=None if wh is None else D(wh),
        export_wh=None if export_wh is None else D(export_wh), meter_start_wh=None, register_wh=None, meter_stop_wh=None,
        baseline="meter_start", quality="good", missing_bound_wh=None, reason="", revision=0, signed_values=0, gaps=(),
    )  # fmt: skip


def carried(plant: Plant, *sessions: Session, profile: str = "OPS") -> list[SessionKg]:
    accounts = Accounts(plant.ledger, [plant.facility], plant.directory, lambda: plant.clock_ms)
    found = session_kgs(accounts, "works", profile, sessions)
    return [found[one] for one in sessions]


def near(value: Decimal | None, figure: str) -> bool:
    return value is not None and abs(value - D(figure)) < D("1e-6")


def test_example_26_a_session_beside_pv(plant: Plant) -> None:
    plant.measured("incomer", "20 8 0", "0 0 10")
    plant.measured("roof", exported="0 12 30")
    plant.measured("charger", "5 5 5")
    plant.grid("500 450 400")
    (one,) = carried(plant, session("1", 0, 3, "15000"))
    assert (one.kg, one.covered_percent, one.shape) == (D("3.4"), D(100), "metered")
    assert near(one.g_per_kwh, "226.666667")


def test_example_39_half_of_a_session_without_a_factor_is_never_half_as_dirty(plant: Plant) -> None:
    plant.measured("incomer", "10 10")
    plant.measured("charger", "10 10")
    plant.grid("300 -")
    (one,) = carried(plant, session("1", 0, 2, "20000"))
    assert (one.g_per_kwh, one.covered_percent, one.kg) == (D(300), D(50), D(3))


def test_an_interval_that_is_missing_has_no_figure_and_the_energy_stays_the_sessions_own(plant: Plant) -> None:
    plant.measured("incomer", "10 10 10")
    plant.measured("charger", "5 - 5")
    plant.grid("300 300 600")
    (one,) = carried(plant, session("1", 0, 3, "16000"))
    assert (one.kg, one.covered_percent) == (D("4.5"), D("62.5"))  # 10 of 16 kWh: 5 at 300 and 5 at 600 g


def test_a_meter_that_counts_a_little_otherwise_than_the_pile_gives_the_shape_and_not_the_energy(plant: Plant) -> None:
    plant.measured("incomer", "10 10")
    plant.measured("charger", "4 4")
    plant.grid("300 600")
    (one,) = carried(plant, session("1", 0, 2, "8080"))
    assert (one.kg, one.g_per_kwh) == (D("3.636"), D(450))


def test_two_sessions_in_one_interval_share_it_by_the_time_that_each_was_there(plant: Plant) -> None:
    plant.measured("incomer", "10 10")
    plant.measured("charger", "6 6")
    plant.grid("300 600")
    first, second = carried(plant, session("1", 0, 1.5, None), session("2", 1.5, 2, None))
    assert (first.kg, second.kg) == (D("3.6"), D("1.8"))  # 6 x 300 + 3 x 600 g, and 3 x 600 g


def test_a_pile_without_intervals_is_spread_over_its_time_at_what_reaches_the_loads(plant: Plant) -> None:
    plant.measured("incomer", "20 8", "0 0")
    plant.measured("roof", exported="0 12")
    plant.grid("500 450")
    (one,) = carried(plant, session("1", 0, 2, "10000", device="cp-7"))
    assert (one.kg, one.shape) == (D("3.4"), "even")  # 5 x 500 + 5 x 180 g
    plant.facility = replace(plant.facility, meters=METERS[:1], cells=())
    (one,) = carried(plant, session("1", 0, 2, "10000", device="cp-7"))
    assert one.kg == D("4.75")  # no PV on record: the grid's


def test_examples_25_and_25b_what_a_vehicle_gives_back_leaves_its_session(plant: Plant) -> None:
    plant.facility = replace(plant.facility, cells=(("charger", Cell(D("0.92"), D("0.92"))),))
    plant.measured("incomer", "40 0", "0 9.2")
    plant.measured("charger", "40 0", "0 9.2")
    plant.grid("300 300")
    whole = session("A1", 0, 2, "40000", export_wh="9200")
    (one,) = carried(plant, whole)
    assert near(one.kg and one.kg / G, "8739.130435")
    assert near(one.given_back_kg and one.given_back_kg / G, "3260.869565")
    assert (one.given_back_kwh, one.avoided_kg) == (D("9.2"), None)
    plant.grid("400 800", signal="marginal")
    assert near((carried(plant, whole)[0].avoided_kg or D(0)) / G, "3012.173913")


def test_a_session_of_which_nothing_is_known_has_no_figure(plant: Plant) -> None:
    plant.measured("incomer", "10")
    plant.grid("300")
    (one,) = carried(plant, session("1", 0, 1, None, device="cp-7"))
    assert (one.kg, one.g_per_kwh, one.covered_percent) == (None, None, None)
    assert carried(plant) == []


@pytest.mark.skipif(not (DATA / "ev_sessions_a.csv").exists(), reason=f"no measured sessions in {DATA}")
def test_a_garages_sessions_carry_their_energy_times_the_factor_to_the_last_digit(plant: Plant) -> None:
    """1,057 measured sessions (ACN-Data, Lee, Li, Low 2019) at one factor, against the sum of the file's own kWh."""
    plant.facility = replace(plant.facility, place="CN", grid_zone="", meters=METERS[:1], cells=())
    with (DATA / "ev_sessions_a.csv").open() as file:
        rows = list(csv.DictReader(file))
    sessions = []
    for number, row in enumerate(rows):
        begun, ended = (ms_of(row[name]) for name in ("connected_utc", "disconnected_utc"))
        one = session(str(number), 0, 1, None, device=row["station"])
        sessions.append(
            replace(
                one, energy_wh=D(row["energy_kwh"]) * 1000, started_at_ms=begun, ended_at_ms=ended, first_told_ms=begun, told_at_ms=ended
            )
        )  # fmt: skip
    found = carried(plant, *sessions, profile="GHGP-LB")
    assert len(found) == 1057
    # 2021: 0.5568 kg/kWh (emissions page, 2.4)
    assert sum((one.kg or D(0) for one in found), D(0)) == sum((D(row["energy_kwh"]) for row in rows), D(0)) * D(
        "0.5568"
    )
    assert {one.covered_percent for one in found if one.kg} == {D(100)}


def ms_of(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)

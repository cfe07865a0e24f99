"""Carriers and wind in a site file, and in the plant that is built from it."""

from typing import Any

import pytest

from device_sim.carriers import Carrier
from device_sim.plant import Node
from device_sim.site import load_site
from device_sim.site_table import SiteFaults
from device_sim.wind import Wind

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def site(**tables: Any) -> dict[str, Any]:
    device = {"name": "incomer", "kind": "eastron_sdm630", "measures": "grid"}
    return {"plant": [{"name": "works", "load": {"base_kw": 50}, "device": [device], **tables}]}


def test_each_carrier_of_a_site_file_flows() -> None:
    content = site(
        heat={"peak_kw": 300},
        cooling={"peak_kw": 200},
        water={"cold_peak_m3_per_h": 3, "hot_peak_m3_per_h": 1},
        gas={"peak_m3_per_h": 40},
        oil={"peak_l_per_h": 25},
    )
    plant = load_site(content).plants[0].build(START_MS)
    plant.advance(START_MS + DAY_MS)
    assert set(plant.streams) == set(Carrier)
    assert all(stream.volume_nl > 0 for stream in plant.streams.values())
    oil_l = plant.streams[Carrier.OIL].volume_nl / 1e9
    assert 100 < oil_l < 600  # 25 L/h at the peak, 0.15 of it by night


def test_water_without_hot_water_has_no_hot_water() -> None:
    plant = load_site(site(water={"cold_peak_m3_per_h": 3})).plants[0].build(START_MS)
    assert set(plant.streams) == {Carrier.COLD_WATER}


def test_wind_is_generation_and_the_balance_holds() -> None:
    plant = load_site(site(wind={"rated_kw": 500}, pv={"peak_kw": 100})).plants[0].build(START_MS)
    for hour in range(48):
        plant.advance(START_MS + hour * 3_600_000)
        parts = [plant.flow(node).active_mw for node in Node if node is not Node.GRID]
        assert plant.flow(Node.GRID).active_mw == sum(parts)
        assert -500_000_000 <= plant.flow(Node.WIND).active_mw <= 0
    assert plant.tallies[Node.WIND].export_uj > 0
    assert plant.tallies[Node.WIND].import_uj == 0


def test_a_turbine_at_half_the_cube_gives_half_its_power() -> None:
    """By hand: no power up to cut-in, all of it from rated speed on, nothing from cut-out on; between them the cube decides."""
    turbine = Wind(1000, 7, 3, 12, 25, seed=1)
    seen: set[str] = set()
    for minute in range(0, 60 * 24 * 365, 37):
        speed, (power_mw, _) = turbine.speed_mm_per_s(minute * 60_000), turbine.power(minute * 60_000)
        if speed < 3000 or speed >= 25_000:
            assert power_mw == 0
            seen.add("none")
        elif speed >= 12_000:
            assert power_mw == 10**9
            seen.add("rated")
        else:
            assert power_mw == pytest.approx(1e9 * ((speed / 1000) ** 3 - 27) / (1728 - 27), abs=1)
            seen.add("between")
    assert seen == {"none", "rated", "between"}


def test_the_mean_wind_speed_is_the_one_asked_for() -> None:
    turbine = Wind(1000, 7, 3, 12, 25, seed=2)
    speeds = [turbine.speed_mm_per_s(hour * 3_600_000) for hour in range(20_000)]
    assert sum(speeds) / len(speeds) == pytest.approx(
        7000, rel=0.02
    )  # 20,000 draws of a spread of half the mean: 0.4 %


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"heat": {}}, "plant[0].heat.peak_kw: expected a value, got nothing"),
        ({"gas": {"peak_m3_per_h": -1}}, "plant[0].gas.peak_m3_per_h: expected a number from 0 to 1e+06, got -1"),
        (
            {"wind": {"rated_kw": 5, "cut_in_m_per_s": 13}},
            "expected a speed between cut_in_m_per_s and cut_out_m_per_s",
        ),
        ({"oil": {"peak_kw": 5, "peak_l_per_h": 4}}, "plant[0].oil.peak_kw: expected one of the known keys"),
    ],
)
def test_a_faulty_carrier_table_is_named(tables: dict[str, Any], expected: str) -> None:
    with pytest.raises(SiteFaults) as raised:
        load_site(site(**tables))
    assert expected in str(raised.value)

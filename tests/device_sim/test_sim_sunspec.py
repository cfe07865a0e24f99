"""SunSpec chains against the alliance's own models (pysunspec2): layout point by point, and a scan of the running devices."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import sunspec2
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from device_sim.inverters import BatteryInverter, PvInverter
from device_sim.sunspec import VENDOR_MODEL, Chain, scale_exponent, size

MODELS = Path(sunspec2.__file__).parent / "models" / "json"
HOUR_S = 3600


@pytest.mark.parametrize("model", [1, 103, 123, 124, 802])
def test_each_models_layout_is_the_published_one(model: int) -> None:
    published = json.loads((MODELS / f"model_{model}.json").read_text(encoding="utf-8"))["group"]["points"]
    (placed,) = Chain(model).models
    offset, expected = 0, {}
    for point in published:
        if offset >= 2:
            expected[point["name"]] = (
                placed.address + offset,
                point["type"] if point["type"] != "string" else f"string{point['size']}",
            )
        offset += point["size"]
    assert placed.points == expected
    assert placed.length == offset - 2


def test_only_points_published_as_writable_can_be_written() -> None:
    for model in (123, 124):
        published = json.loads((MODELS / f"model_{model}.json").read_text(encoding="utf-8"))["group"]["points"]
        writable = {point["name"] for point in published if point.get("access") == "RW"}
        assert set(Chain(model).writable.values()) == writable


def test_chains_put_serials_where_the_page_says() -> None:
    assert PvInverter().serial_addresses == (40150,)
    assert BatteryInverter().serial_addresses == (40124, 40218)
    assert [placed.model for placed in Chain(1, VENDOR_MODEL).models] == [1, VENDOR_MODEL]


def test_sizes_follow_the_types() -> None:
    assert [size(type_) for type_ in ("uint16", "string8", "acc32", "sunssf", "bitfield32")] == [1, 8, 2, 1, 2]


@pytest.mark.parametrize(("largest", "exponent"), [(1000, 0), (27_300, 0), (27_400, 1), (250_000, 1), (600_000, 2)])
def test_the_scale_leaves_room_for_a_fifth_more(largest: float, exponent: int) -> None:
    assert scale_exponent(largest) == exponent


def _scan(port: int) -> tuple[list[int], dict[int, dict[str, Any]]]:
    """What pysunspec2 finds on a device: model ids in order, and computed values of the models we use."""
    client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
    try:
        client.scan()
        order = [model.model_id for model in client.model_list]
        values = {}
        for number in {1, 103, 123, 124, 802} & set(order):
            model = client.models[number][0]
            model.read()
            values[number] = {name: point.cvalue for name, point in model.points.items()}
        return order, values
    finally:
        client.close()


async def test_pysunspec2_finds_the_pv_chain_and_its_power(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        served.clock.forward(12 * HOUR_S)
        order, values = await asyncio.to_thread(_scan, served.place("pv")["port"])
        truth = await served.truth("works")
        assert order == [1, 103, 123]  # it skips the vendor block, whose model it does not know
        assert values[1]["Mn"] == "Wattline"
        assert values[1]["SN"] == "works-pv"
        assert abs(values[103]["W"] + 1000 * truth["active_power_kw"]["pv"]) <= 5  # W, steps of 10 W
        assert values[103]["WH"] == int(1000 * float(truth["energy"]["pv"]["export_kwh"])) + 1000
        assert 49.9 < values[103]["Hz"] < 50.1
        assert 225 < values[103]["PhVphA"] < 235
        assert abs(values[103]["A"] - values[103]["W"] / 230) < 0.03 * values[103]["A"]
        assert (values[123]["WMaxLimPct"], values[123]["WMaxLim_Ena"], values[123]["Conn"]) == (100, 0, 1)


async def test_pysunspec2_finds_the_battery_chain_and_its_state(run_site: Any, works: dict[str, Any]) -> None:
    async with run_site(works) as served:
        order, values = await asyncio.to_thread(_scan, served.place("battery")["port"])
        assert order == [1, 103, 124, 802]
        assert values[103]["W"] == 0
        assert values[124]["WChaMax"] == 50_000
        assert (values[124]["InWRte"], values[124]["OutWRte"], values[124]["StorCtl_Mod"]) == (100, 100, 0)
        bank = values[802]
        assert bank["WHRtg"] == 200_000
        assert (bank["WChaRteMax"], bank["WDisChaRteMax"]) == (50_000, 50_000)
        assert (bank["SoC"], bank["SoCMin"], bank["SoH"]) == (50, 10, 100)
        assert (bank["W"], bank["A"]) == (0, 0)
        assert bank["V"] == 800
        assert bank["ChaSt"] == 6  # HOLDING

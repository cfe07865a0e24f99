"""SunSpec chains against the alliance's own models (pysunspec2): layout point by point, and a scan of the running devices."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import sunspec2
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from device_sim.modbus.inverters import BatteryInverter, PvInverter
from device_sim.modbus.sunspec import Chain, scale_exponent, size
from device_sim.modbus.sunspec_der import DerBattery
from device_sim.modbus.sunspec_layouts import MODELS as LAYOUTS
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL

MODELS = Path(sunspec2.__file__).parent / "models" / "json"
HOUR_S = 3600


def _published(group: dict[str, Any], prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
    """The points of a published model in their order, groups that repeat once."""
    points = [(prefix + point["name"], point) for point in group["points"]]
    for inner in group.get("groups", []):
        repeats = inner.get("count") is not None
        points += _published(inner, f"{inner['name']}{'1' if repeats else ''}.")
    return points


@pytest.mark.parametrize("model", sorted(LAYOUTS.keys() - {VENDOR_MODEL}))
def test_each_models_layout_is_the_published_one(model: int) -> None:
    published = json.loads((MODELS / f"model_{model}.json").read_text(encoding="utf-8"))["group"]
    (placed,) = Chain(model).models
    offset, expected = 0, {}
    for name, point in _published(published):
        if offset >= 2:
            expected[name] = (
                placed.address + offset,
                point["type"] if point["type"] != "string" else f"string{point['size']}",
            )
        offset += point["size"]
    assert placed.points == expected
    assert placed.length == offset - 2


def test_only_points_published_as_writable_can_be_written() -> None:
    for model in (123, 124, 704):
        published = json.loads((MODELS / f"model_{model}.json").read_text(encoding="utf-8"))["group"]
        writable = {name for name, point in _published(published) if point.get("access") == "RW"}
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


def _values(port: int, *, base: int) -> tuple[list[int], dict[int, Any]]:
    """What pysunspec2 finds at a device: model ids in order, and the first of each model, read, with computed values."""
    client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
    try:
        client.scan()
        assert client.base_addr == base
        for models in client.models.values():
            if isinstance(models, list):
                models[0].read()
        return [model.model_id for model in client.model_list], {
            number: found[0] for number, found in client.models.items() if isinstance(number, int)
        }
    finally:
        client.close()


@pytest.fixture
def der(works: dict[str, Any]) -> dict[str, Any]:
    """The same plant with devices of the 700 generation, meters, and inverters of the other kinds."""
    plant = works["plant"][0]
    plant["battery"]["cells"] = {"count": 240, "start_cycles": 120}
    plant["device"] = [
        plant["device"][0],
        {"name": "pv", "kind": "sunspec_der_pv"},
        {"name": "battery", "kind": "sunspec_der_battery"},
        {"name": "meter", "kind": "sunspec_meter", "measures": "grid", "start_import_kwh": 7, "start_export_kwh": 3},
        {"name": "meter-float", "kind": "sunspec_meter_float", "measures": "grid", "start_import_kwh": 7},
        {"name": "one", "kind": "sunspec_pv_single_phase"},
        {"name": "two", "kind": "sunspec_pv_split_phase"},
        {"name": "float", "kind": "sunspec_pv_float"},
    ]
    return works


async def test_pysunspec2_finds_the_700_models_of_a_battery_at_50000(run_site: Any, der: dict[str, Any]) -> None:
    async with run_site(der) as served:
        order, models = await asyncio.to_thread(_values, served.place("battery")["port"], base=50_000)
        assert order == [1, 701, 704, 713, 714, 803, 804]
        assert models[713].points["WHRtg"].cvalue == 200_000
        assert models[713].points["WHAvail"].cvalue == 100_000
        assert models[713].points["SoC"].cvalue == 50
        assert models[714].groups["Prt"][0].points["DCSta"].cvalue == 1
        string = models[804]
        assert string.points["NCyc"].cvalue == 120
        assert 3.2 < string.points["CellVMin"].cvalue < string.points["CellVMax"].cvalue < 3.4
        assert string.groups["lithium_ion_string_module"][0].points["ModNCell"].cvalue == 240
        assert models[803].points["ModTmpMax"].cvalue == pytest.approx(22, abs=0.5)


async def test_pysunspec2_steers_a_battery_by_704_both_ways_and_it_reverts(run_site: Any, der: dict[str, Any]) -> None:
    def steer(port: int, watts: int, seconds: int) -> float:
        """Writes as pysunspec2 does; gives W of model 701."""
        client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            client.scan()
            controls, measured = client.models[704][0], client.models[701][0]
            controls.read()
            controls.WSetRvrtTms.cvalue = seconds
            controls.WSetMod.cvalue = 1
            controls.WSet.cvalue = watts
            controls.WSetEna.cvalue = 1
            controls.write()
            measured.read()
            return float(measured.points["W"].cvalue)
        finally:
            client.close()

    async with run_site(der) as served:
        port = served.place("battery")["port"]
        assert await asyncio.to_thread(steer, port, 12_000, 60) == 12_000
        assert (await served.truth("works"))["active_power_kw"]["battery"] == -12.0
        assert await asyncio.to_thread(steer, port, -7_000, 60) == -7_000
        assert (await served.truth("works"))["active_power_kw"]["battery"] == 7.0
        served.clock.forward(60)
        assert (await served.truth("works"))["active_power_kw"]["battery"] == 0.0


async def test_pysunspec2_curtails_pv_by_704(run_site: Any, der: dict[str, Any]) -> None:
    def curtail(port: int) -> None:
        client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            client.scan()
            controls = client.models[704][0]
            controls.read()
            controls.WMaxLimPct.cvalue = 10
            controls.WMaxLimPctRvrtTms.cvalue = 30
            controls.WMaxLimPctEna.cvalue = 1
            controls.write()
        finally:
            client.close()

    async with run_site(der) as served:
        served.clock.forward(12 * HOUR_S)
        assert (await served.truth("works"))["active_power_kw"]["pv"] < -50
        await asyncio.to_thread(curtail, served.place("pv")["port"])
        assert (await served.truth("works"))["active_power_kw"]["pv"] == -25.0  # 10 % of 250 kW
        served.clock.forward(30)
        assert (await served.truth("works"))["active_power_kw"]["pv"] < -50


async def test_a_704_write_out_of_range_or_over_half_a_number_is_refused(run_site: Any, der: dict[str, Any]) -> None:
    async with run_site(der) as served:
        (controls,) = [placed for placed in _der_battery().models if placed.model == 704]
        w_set, enabled = controls.points["WSet"][0], controls.points["WSetEna"][0]
        assert (await served.write("battery", enabled, [2])).exception_code == 3
        assert (await served.write("battery", w_set, [1, 0])).exception_code == 3  # 65,536 W of 50 kW
        assert (await served.write("battery", w_set, [0])).exception_code == 2
        assert (await served.write("battery", controls.address + 2 + 18, [0])).exception_code == 2  # a reading
        assert (await served.truth("works"))["active_power_kw"]["battery"] == 0.0


def _der_battery() -> Chain:
    return DerBattery().chain


@pytest.mark.parametrize(("name", "model", "base"), [("meter", 203, 40_000), ("meter-float", 213, 0)])
async def test_pysunspec2_reads_the_meters_as_the_plant_is(
    run_site: Any, der: dict[str, Any], name: str, model: int, base: int
) -> None:
    async with run_site(der) as served:
        served.clock.forward(12 * HOUR_S)
        truth = await served.truth("works")
        order, models = await asyncio.to_thread(_values, served.place(name)["port"], base=base)
        assert order == [1, model]
        shown = {point: value.cvalue for point, value in models[model].points.items()}
        grid_w = 1000 * truth["active_power_kw"]["grid"]
        assert shown["W"] == pytest.approx(grid_w, abs=5)
        assert shown["WphA"] + shown["WphB"] + shown["WphC"] == pytest.approx(grid_w, abs=15)
        imported_wh = 1000 * float(truth["energy"]["grid"]["import_kwh"]) + 7000
        assert shown["TotWhImp"] == pytest.approx(imported_wh, abs=1, rel=1e-6)
        assert 225 < shown["PhVphA"] < 235
        assert 49.9 < shown["Hz"] < 50.1


async def test_pysunspec2_reads_every_kind_of_inverter_alike(run_site: Any, der: dict[str, Any]) -> None:
    async with run_site(der) as served:
        served.clock.forward(12 * HOUR_S)
        pv_w = -1000 * (await served.truth("works"))["active_power_kw"]["pv"]
        for name, model, phases in (("one", 101, 1), ("two", 102, 2), ("float", 113, 3)):
            order, models = await asyncio.to_thread(_values, served.place(name)["port"], base=40_000)
            shown = {point: value.cvalue for point, value in models[model].points.items()}
            assert order == [1, model, 123]
            assert shown["W"] == pytest.approx(pv_w, abs=5)
            # pysunspec2 gives None, and for a floating-point number NaN, where a point is not implemented.
            there = [phase for phase in "ABC" if shown[f"Aph{phase}"] is not None]
            assert len(there) == phases
            assert sum(shown[f"Aph{phase}"] for phase in there) == pytest.approx(shown["A"], abs=0.31)
            assert shown["WH"] == pytest.approx(
                1000 * float((await served.truth("works"))["energy"]["pv"]["export_kwh"]) + 1000, rel=1e-5
            )

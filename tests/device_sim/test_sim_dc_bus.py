"""A direct-current bus: powers balance on it at every instant, the storage goes before the converter, and the voltage says who is working."""

from random import Random
from typing import Any

import pytest

from device_sim.battery import Battery, Unasked
from device_sim.dc_bus import NOMINAL_MV, DcBus
from device_sim.modbus.sunspec import Chain
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL
from device_sim.plant import Node, Plant
from device_sim.profile import UJ_PER_KWH, NoPower
from device_sim.site import load_site

HOUR_MS = 3_600_000
NOON_MS = 1_623_700_800_000  # 2021-06-14T20:00Z, 13 o'clock in Los Angeles
KW = 1_000_000


class Constant:
    """A power that can be set."""

    def __init__(self, power_kw: float) -> None:
        self.power_kw = power_kw

    def power(self, at_ms: int) -> tuple[int, int]:
        return round(self.power_kw * KW), at_ms + HOUR_MS


def bus(sun_kw: float, load_kw: float, percent: float = 50.0) -> tuple[Plant, DcBus]:
    """40 kWh with 10 kW without losses, a converter of 20 kW at 0.95."""
    storage = Battery.build(40, 10, 10, 1, 1, percent, 10, Unasked.REST)
    made = DcBus(Constant(sun_kw), Constant(load_kw), storage, 20 * KW, 950_000)
    return Plant("p", 0, NoPower(), NoPower(), NoPower(), dc_bus=made), made


@pytest.mark.parametrize(
    ("sun_kw", "load_kw", "stored_kw", "carried_kw", "off_percent"),
    [
        (12, 7, 5, 0, 1.0),  # half of what the storage can take: half of 2 %
        (7, 12, -5, 0, -1.0),
        (30, 10, 10, -10, 3.5),  # the storage full on, half of the converter: 2 + 3 / 2 %
        (0, 25, -10, 15, -4.25),
        (50, 10, 10, -20, 5.0),  # 10 kW too much: curtailed
        (0, 40, -10, 20, -5.0),  # 10 kW too little: shed
    ],
)
def test_storage_then_converter_then_curtailment(
    sun_kw: float, load_kw: float, stored_kw: float, carried_kw: float, off_percent: float
) -> None:
    plant, made = bus(sun_kw, load_kw)
    plant.advance(1000)
    assert (made.stored_mw / KW, made.carried_mw / KW) == (stored_kw, carried_kw)
    assert 100 * (made.voltage_mv / NOMINAL_MV - 1) == pytest.approx(off_percent)
    # What is carried into the alternating current loses 5 %, what is taken from it costs as much more.
    alternating_kw = carried_kw / 0.95 if carried_kw > 0 else carried_kw * 0.95
    assert plant.flow(Node.DC_BUS).active_mw == pytest.approx(alternating_kw * KW, abs=1)
    assert plant.flow(Node.GRID).active_mw == plant.flow(Node.DC_BUS).active_mw


def test_powers_and_energies_balance_on_the_bus_whatever_happens() -> None:
    plan = load_site({"plant": [TABLE]}).plants[0]
    built, chance = plan.build(NOON_MS), Random(8)
    made = built.dc_bus
    assert made is not None
    assert made.storage is not None
    begin, carried_uj, now = made.storage.stored, 0, NOON_MS
    while now < NOON_MS + 24 * HOUR_MS:
        made.set_point_mw = chance.choice((None, None, chance.randrange(-30 * KW, 30 * KW)))
        built.disturb()
        built.flow(Node.GRID)
        assert made.given_mw + made.carried_mw == made.used_mw + made.stored_mw
        assert abs(made.carried_mw) <= made.converter_mw
        step = min(max(1, built._until_ms - now), chance.randrange(1, 400_000))
        carried_uj += made.carried_mw * step
        now += step
        built.advance(now)
    lost = made.storage.stored - begin
    assert made.given_uj + carried_uj - made.used_uj == pytest.approx(lost / 1e6, abs=0.06 * 24 * 30 * UJ_PER_KWH)
    assert made.given_uj > 50 * UJ_PER_KWH


TABLE: dict[str, Any] = {
    "name": "house",
    "time_zone": "America/Los_Angeles",
    "load": {"base_kw": 0, "peak_kw": 0, "noise_ratio": 0},
    "dc_bus": {
        "converter_kw": 30,
        "pv_peak_kw": 40,
        "latitude_deg": 34,
        "longitude_deg": -118,
        "base_kw": 4,
        "storage_kwh": 40,
        "storage_kw": 10,
    },
    "device": [{"name": "converter", "kind": "sunspec_dc_bus"}],
}


def test_registers_show_the_bus_and_a_set_point_holds_until_its_timer() -> None:
    plan = load_site({"plant": [TABLE]}).plants[0]
    built = plan.build(NOON_MS)
    ((_, device),) = plan.build_devices(built)
    chain = Chain(1, 701, VENDOR_MODEL, 704, 713, 714, VENDOR_MODEL, base=50_000)
    controls, port = chain.models[3].points, chain.models[5].points
    made = built.dc_bus
    assert made is not None

    def shown(point: str, words: int = 1) -> int:
        address = port[point][0]
        return int.from_bytes(device.image(built.now_ms).read(address, words), "big", signed=True)

    assert shown("Prt1.DCV") == round(made.voltage_mv / 100)
    assert shown("DCW") == pytest.approx(-made.carried_mw / 1e6 * 100, abs=1)  # in 10 W
    words = {
        **dict(
            zip(range(controls["WSet"][0], controls["WSet"][0] + 2), divmod((-9500) & 0xFFFFFFFF, 1 << 16), strict=True)
        ),
        controls["WSetMod"][0]: 1,
        controls["WSetEna"][0]: 1,
        **dict(zip(range(controls["WSetRvrtTms"][0], controls["WSetRvrtTms"][0] + 2), (0, 60), strict=True)),
    }
    device.kind.write(device.view(built.now_ms), words)
    assert made.set_point_mw == 9500 * 970  # 9.5 kW from the alternating current, 3 % lost
    built.advance(NOON_MS + 61_000)
    assert made.set_point_mw is None

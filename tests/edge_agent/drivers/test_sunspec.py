"""The walk along a SunSpec chain and the reading of models wherever they stand, against a device made of plain sockets."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from event_bodies import faults
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import meter
from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DeviceUnreachable, Gateway
from edge_agent.drivers.modbus import sunspec
from edge_agent.drivers.modbus.declared import TCP, Device, ModbusPlan, fields
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp
from wire.block import Block, Value

SUNS = struct.unpack(">2H", b"SunS")


@pytest.fixture
async def driver(peer: Any) -> AsyncIterator[ModbusTcp]:
    driver = ModbusTcp(Endpoint("127.0.0.1", peer.port, timeout_s=0.3), Gateway(lambda: 1000))
    yield driver
    await driver.close()


def chain(peer: Any, base: int, *models: tuple[int, list[int]]) -> dict[int, int]:
    """Lays models (id, words after the header) behind 'SunS' and gives where each id stands."""
    peer.put(base, *SUNS)
    address, places = base + 2, {}
    for model, words in models:
        places[model] = address
        peer.put(address, model, len(words), *words)
        address += 2 + len(words)
    peer.put(address, 0xFFFF, 0)
    return places


def inverter_103(watts: int = 1234, scale: int = 0, energy_wh: int = 5_000_000) -> list[int]:
    """Model 103 after its header, offsets from the model's definition: W 14, W_SF 15, WH 24..25, WH_SF 26; the rest not implemented."""
    words = [0x8000] * 52
    words[14], words[15] = watts, scale & 0xFFFF
    words[24], words[25], words[26] = energy_wh >> 16, energy_wh & 0xFFFF, 0
    return words[2:]


def values(blocks: list[Block]) -> dict[str, Value]:
    return {q: block.columns[i][0] for block in blocks for i, q in enumerate(block.shape.quantities)}


def plan_103() -> ModbusPlan:
    model = meter.load("sunspec_103")
    return ModbusPlan("pv", 1, fields(model), model.limits())


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_the_models_are_found_behind_each_of_the_three_bases(peer: Any, driver: ModbusTcp, base: int) -> None:
    chain(peer, base, (1, [0] * 66), (103, inverter_103()))
    answer = await driver.read(plan_103())
    assert values(answer.blocks)["active_power_kw"] == -1234
    assert values(answer.blocks)["energy_export_kwh"] == 5_000_000


async def test_lengths_come_from_the_headers_and_unknown_models_are_stepped_over(peer: Any, driver: ModbusTcp) -> None:
    chain(peer, 40000, (1, [0] * 65), (64999, [7] * 13), (103, inverter_103(watts=10, scale=2)))
    (block,) = (await driver.read(plan_103())).blocks
    column = block.shape.quantities.index("active_power_kw")
    assert block.columns[column] == (-10,)
    assert block.shape.exponents[column] == -1  # kW = W x 10^2 x 10^-3


async def test_a_model_that_a_device_lacks_costs_its_rows_and_no_others(peer: Any, driver: ModbusTcp) -> None:
    chain(peer, 40000, (103, inverter_103()))
    answer = await driver.read(plan_103())
    assert "active_power_limit_percent" not in values(answer.blocks)
    assert "active_power_kw" in values(answer.blocks)


async def test_the_chain_is_walked_once_and_again_when_a_model_has_moved(peer: Any, driver: ModbusTcp) -> None:
    chain(peer, 40000, (103, inverter_103()))
    await driver.read(plan_103())
    peer.asked.clear()
    await driver.read(plan_103())
    assert len(peer.asked) == 1
    chain(peer, 40000, (1, [0] * 66), (103, inverter_103(watts=99)))  # a firmware update has put a model in front
    with pytest.raises(DeviceMisanswered, match="expected 103, saw 1"):
        await driver.read(plan_103())
    assert values((await driver.read(plan_103())).blocks)["active_power_kw"] == -99


async def test_a_device_without_the_mark_is_named_with_what_stood_there(peer: Any, driver: ModbusTcp) -> None:
    peer.put(40000, 1, 2)
    with pytest.raises(DeviceMisanswered, match=r"pv: expected the mark 'SunS' .* 40000: 00010002; 50000: exception 2"):
        await driver.read(plan_103())


async def test_a_chain_without_an_end_is_given_up() -> None:
    async def read(address: int, count: int) -> bytes:
        return b"SunS" if address == 40000 else struct.pack(">HH", 300, 2)

    with pytest.raises(DeviceMisanswered, match="expected the chain of SunSpec models to end"):
        await sunspec.walk(read, "pv")


def test_a_models_fields_are_placed_with_a_check_on_its_id() -> None:
    field = Field("active_power_kw", "holding", 14, "int16", model_block=103, scale_address=15)
    placed, missing = sunspec.placed(
        [field, Field("x", "holding", 5, "uint16")], sunspec.Chain(40000, {103: sunspec.Placed(40070, 50)})
    )
    assert [(f.quantity, f.address, f.scale_address, f.expect) for f in placed] == [
        ("", 40070, None, 103),
        ("active_power_kw", 40084, 40085, None),
        ("x", 5, None, None),
    ]
    assert missing == frozenset()


def test_a_field_beyond_the_length_in_the_header_is_not_there() -> None:
    field = Field("energy_export_kwh", "holding", 24, "acc32", model_block=103)
    placed, _ = sunspec.placed([field], sunspec.Chain(40000, {103: sunspec.Placed(40070, 24)}))
    assert [f.quantity for f in placed] == ["", "energy_export_kwh"]
    placed, _ = sunspec.placed([field], sunspec.Chain(40000, {103: sunspec.Placed(40070, 23)}))
    assert placed == ()


def test_of_two_fields_of_a_quantity_the_first_counts_whose_model_is_there() -> None:
    fields = [
        Field("active_power_kw", "holding", 10, "int16", model_block=701),
        Field("active_power_kw", "holding", 14, "int16", model_block=103),
    ]
    both = sunspec.Chain(40000, {103: sunspec.Placed(40070, 50), 701: sunspec.Placed(40122, 153)})
    assert [(f.quantity, f.address) for f in sunspec.placed(fields, both)[0]] == [
        ("", 40122),
        ("active_power_kw", 40132),
    ]
    old = sunspec.Chain(40000, {103: sunspec.Placed(40070, 50)})
    assert [(f.quantity, f.address) for f in sunspec.placed(fields, old)[0]] == [
        ("", 40070),
        ("active_power_kw", 40084),
    ]


def test_a_meter_behind_an_inverter_is_not_mixed_with_it() -> None:
    """Power of the inverter beside the import of the grid's meter would be one device that does not exist."""
    fields = [
        Field("active_power_kw", "holding", 14, "int16", model_block=103),
        Field("active_power_kw", "holding", 18, "int16", model_block=203),
        Field("energy_import_kwh", "holding", 46, "acc32", model_block=203),
    ]
    both = sunspec.Chain(40000, {103: sunspec.Placed(40070, 50), 203: sunspec.Placed(40188, 105)})
    assert [f.quantity for f in sunspec.placed(fields, both)[0]] == ["", "active_power_kw"]
    alone = sunspec.Chain(40000, {203: sunspec.Placed(40070, 105)})
    assert [f.quantity for f in sunspec.placed(fields, alone)[0]] == ["", "active_power_kw", "energy_import_kwh"]
    chosen = [fields[0], fields[2]]  # no alternatives: whoever wrote these two rows wants both
    assert [f.quantity for f in sunspec.placed(chosen, both)[0]] == ["", "active_power_kw", "", "energy_import_kwh"]


async def test_an_inverter_and_the_meter_behind_it_are_two_devices_of_one_unit(peer: Any, driver: ModbusTcp) -> None:
    """Model 203: W at 18 with its scale at 22, TotWhImp at 46 with its scale at 54, counted from the id."""
    words = [0x8000] * 107
    words[18], words[22], words[46], words[47], words[54] = 4857, 0, 0x0114, 0x0820, 0
    chain(peer, 40000, (1, [0] * 65), (103, inverter_103(watts=5520)), (1, [0] * 65), (203, words[2:]))
    devices = [Device(name="pv", model="sunspec_103", unit=1), Device(name="grid", model="sunspec_203", unit=1)]
    assert len({TCP.address(device) for device in devices}) == 2
    assert TCP.address(Device(name="a", model="eastron_sdm120")) == TCP.address(Device(name="b", model="abb_b23")), (
        "two meters at one unit are a mistake"
    )
    inverter, grid = [ModbusPlan(d.name, 1, fields(meter.load(d.model)), meter.load(d.model).limits()) for d in devices]
    assert values((await driver.read(inverter)).blocks)["active_power_kw"] == -5520
    seen = values((await driver.read(grid)).blocks)
    assert (seen["active_power_kw"], seen["energy_import_kwh"]) == (4857, 18_090_016)


async def test_the_walk_goes_on_where_a_base_is_silent() -> None:
    """Some devices say nothing, and not "illegal address", where they have no registers."""
    asked: list[int] = []

    async def read(address: int, count: int) -> bytes:
        asked.append(address)
        words = {50000: b"SunS", 50002: b"\x00\x67\x00\x32", 50054: b"\xff\xff\x00\x00"}
        if address < 50000:
            raise DeviceUnreachable("pv: no answer within 1 s")
        return words[address][: 2 * count]

    assert await sunspec.walk(read, "pv") == sunspec.Chain(50000, {103: sunspec.Placed(50002, 50)})
    assert asked == [40000, 50000, 50002, 50054]


async def test_a_device_that_is_silent_everywhere_is_unreachable_and_a_bus_that_is_down_is_not_asked_thrice() -> None:
    asked: list[int] = []

    async def silent(address: int, _: int) -> bytes:
        asked.append(address)
        raise DeviceUnreachable("pv: no answer within 1 s")

    async def down(address: int, _: int) -> bytes:
        asked.append(address)
        raise BusUnreachable("no connection")

    with pytest.raises(DeviceUnreachable, match="no answer"):
        await sunspec.walk(silent, "pv")
    with pytest.raises(BusUnreachable):
        await sunspec.walk(down, "pv")
    assert asked == [40000, 50000, 0, 40000]


async def test_the_common_model_tells_who_made_the_device_once_and_again_when_it_is_another(
    peer: Any, driver: ModbusTcp
) -> None:
    def common(serial: bytes) -> list[int]:
        texts = ((b"Example", 32), (b"Roof 3", 32), (b"", 16), (b"2.1", 16), (serial, 32))
        return [*struct.unpack(">64H", b"".join(text.ljust(size, b"\0") for text, size in texts)), 1, 0x8000]

    chain(peer, 40000, (1, common(b"SN-0001")), (103, inverter_103()))
    (event,) = (await driver.read(plan_103())).events
    assert (event.kind, event.device) == ("device_identity", "pv")
    assert faults(event.kind, event.body) == []
    assert event.body == {
        "maker": "Example",
        "model": "Roof 3",
        "version": "2.1",
        "serial": "SN-0001",
        "models": [1, 103],
    }
    assert (await driver.read(plan_103())).events == []
    other = ModbusTcp(Endpoint("127.0.0.1", peer.port, timeout_s=0.3), Gateway(lambda: 2000))
    try:
        (again,) = (await other.read(plan_103())).events
        assert again.id == event.id, "the same device says the same"
        chain(peer, 40000, (1, common(b"SN-0002")), (103, inverter_103()))
    finally:
        await other.close()
    exchanged = ModbusTcp(Endpoint("127.0.0.1", peer.port, timeout_s=0.3), Gateway(lambda: 3000))
    try:
        (another,) = (await exchanged.read(plan_103())).events
        assert another.id != event.id
    finally:
        await exchanged.close()


@given(st.dictionaries(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), max_size=40), st.sampled_from(sunspec.BASES))
def test_whatever_a_chain_holds_the_walk_ends(words: dict[int, int], base: int) -> None:
    """Random headers behind a good mark: a chain or one clear error, and never more than 70 requests."""
    asked = 0

    async def read(address: int, count: int) -> bytes:
        nonlocal asked
        asked += 1
        if address == base:
            return b"SunS"
        return struct.pack(f">{count}H", *(words.get(address + n, (address * 7 + n) % 300) for n in range(count)))

    try:
        found = asyncio.run(sunspec.walk(read, "pv", (base,)))
        assert all(base < placed.address <= 0xFFFF for placed in found.models.values())
    except DeviceMisanswered:
        pass
    assert asked <= 70

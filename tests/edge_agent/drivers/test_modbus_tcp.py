"""The Modbus TCP driver against a device made of plain sockets: right answers, wrong answers, no answers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from edge_agent import meter
from edge_agent.drivers.driver import (
    BusUnreachable,
    DeviceMisanswered,
    DeviceRefused,
    DeviceUnreachable,
    Gateway,
)
from edge_agent.drivers.modbus.coalesce import Limits
from edge_agent.drivers.modbus.declared import ModbusPlan, TcpBus, fields
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp
from edge_agent.drivers.table import open_driver

VOLTAGE = Field("voltage_l1_v", "input", 0, "float32")
CURRENT = Field("current_l1_a", "input", 6, "float32")
ENERGY = Field("energy_import_kwh", "input", 72, "uint32", exponent=-2, counter=True)
PLAN = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY))
NOON_MS = 1_800_000_000_000


@pytest.fixture
async def driver(peer: Any) -> AsyncIterator[ModbusTcp]:
    driver = ModbusTcp(Endpoint("127.0.0.1", peer.port, timeout_s=0.3), Gateway(lambda: NOON_MS))
    yield driver
    await driver.close()


def fill(peer: Any) -> None:
    """230.2 V (43 66 33 33 is the float next to it), 1.0 A (3F 80 00 00), 1234.56 kWh as 123456 hundredths."""
    peer.put(0, *[0] * 80)
    peer.put(0, 0x4366, 0x3333)
    peer.put(6, 0x3F80, 0x0000)
    peer.put(72, 0x0001, 0xE240)  # 123456


async def test_the_manuals_own_frame_gives_the_manuals_own_value(peer: Any, driver: ModbusTcp) -> None:
    """Eastron SDM120Modbus protocol V2.4, page 3: 43 66 33 34 are 230.2 V."""
    peer.put(0, 0x4366, 0x3334)
    (block,) = (await driver.read(ModbusPlan("incomer", 1, (VOLTAGE,)))).blocks
    assert block.columns[0][0] == pytest.approx(230.2, abs=0.00005)


async def test_a_device_is_read_into_one_block_of_columns(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    answer = await driver.read(PLAN)
    (block,) = answer.blocks
    assert block.device == "incomer"
    assert block.shape.quantities == ("voltage_l1_v", "current_l1_a", "energy_import_kwh")
    assert block.shape.exponents == (None, None, -2)
    assert block.columns == ((230.2,), (1.0,), (123456,))
    assert block.at_ms == (NOON_MS,)
    assert block.quality == ()
    assert peer.asked == [(1, 4, 0, 74)]


async def test_each_block_is_stamped_when_its_own_answer_arrives(peer: Any) -> None:
    fill(peer)
    instants = iter((1000, 2000, 3000))
    driver = ModbusTcp(Endpoint("127.0.0.1", peer.port), Gateway(lambda: next(instants)))
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(one_request_per_field=True))
    answer = await driver.read(plan)
    await driver.close()
    assert [block.at_ms for block in answer.blocks] == [(1000,), (2000,), (3000,)]


async def test_a_late_answer_of_another_unit_to_another_function_is_skipped(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)

    def late_one_first(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
        late = struct.pack(">HHHBBB4s", transaction - 1, 0, 7, 9, 3, 4, bytes(4))
        return late + peer.answer(transaction, unit, function, address, count)

    peer.fault = late_one_first
    (block,) = (await driver.read(PLAN)).blocks
    assert block.columns == ((230.2,), (1.0,), (123456,))


async def test_a_silent_device_is_unreachable_and_the_message_says_how_long_was_waited(
    peer: Any, driver: ModbusTcp
) -> None:
    peer.units = set()
    with pytest.raises(DeviceUnreachable, match=r"incomer: unit 1, .* no answer within 0\.3 s"):
        await driver.read(PLAN)
    assert len(peer.asked) == 1  # one time-out is enough: the other devices of the bus are waiting


async def test_no_connection_is_told_apart_from_no_answer() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    driver = ModbusTcp(Endpoint("127.0.0.1", port, timeout_s=5), Gateway(lambda: 0))
    with pytest.raises(BusUnreachable, match=rf"127.0.0.1:{port}: no connection \(it was refused, or "):
        await driver.read(PLAN)


async def test_a_device_that_comes_back_is_read_again_over_a_new_connection(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    peer.fault = lambda *_: b"close"
    with pytest.raises(DeviceUnreachable, match="closed before the answer"):
        await driver.read(PLAN)
    peer.fault = None
    answer = await driver.read(PLAN)
    assert len(answer.blocks) == 1
    assert peer.connections == 2


async def test_three_silences_in_a_row_renew_the_connection(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    peer.units = set()
    for _ in range(3):
        with pytest.raises(DeviceUnreachable):
            await driver.read(PLAN)
    peer.units = {1}
    await driver.read(PLAN)
    assert peer.connections == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda t, u, f: struct.pack(">HHHBBB", t, 0, 3 + 148, 7, f, 148) + bytes(148),
            "expected transaction 1 of unit 1, saw 1 of unit 7",
        ),
        (
            lambda t, u, f: struct.pack(">HHHBBB", 99, 0, 3 + 148, u, f, 148) + bytes(148),
            "expected transaction 1 of unit 1, saw 99",
        ),
        (
            lambda t, u, f: struct.pack(">HHHBBB", 0, 0, 3 + 148, u, f, 148) + bytes(148),
            "expected transaction 1 of unit 1, saw 0",
        ),
        (lambda t, u, f: struct.pack(">HHHBBB", t, 0, 3 + 4, u, f, 4) + bytes(4), "expected 148 bytes, saw 4"),
        (lambda t, u, f: struct.pack(">HHHBBB", t, 0, 3 + 4, u, f, 148) + bytes(4), "expected 148 bytes, saw 4"),
        (lambda t, u, f: struct.pack(">HHHBBB", t, 0, 3 + 148, u, 3, 148) + bytes(148), "function 4, saw 0 and 3"),
        (lambda t, u, f: struct.pack(">HHHBBB", t, 0, 3 + 148, u, 0x55, 148) + bytes(148), "function 4, saw 0 and 85"),
        (lambda t, u, f: struct.pack(">HHHBBB", t, 9, 3 + 148, u, f, 148) + bytes(148), "expected protocol 0 .* saw 9"),
        (
            lambda t, u, f: struct.pack(">HHHBBB", t, 0, 3 + 148, u, f, 148) + bytes(100),
            "expected a whole frame, saw 109 bytes",
        ),
    ],
    ids=[
        "foreign unit",
        "foreign transaction",
        "transaction 0",
        "short",
        "short and lying",
        "other function",
        "unknown function",
        "no Modbus",
        "half",
    ],
)
async def test_an_answer_that_does_not_fit_the_question_is_refused_with_what_was_wrong(
    peer: Any, driver: ModbusTcp, answer: Callable[[int, int, int], bytes], message: str
) -> None:
    fill(peer)
    peer.fault = lambda transaction, unit, function, *_: answer(transaction, unit, function)
    with pytest.raises(DeviceMisanswered, match=message):
        await driver.read(PLAN)
    peer.fault = None
    assert (await driver.read(PLAN)).blocks[0].columns[0] == (230.2,)


async def test_a_late_answer_is_never_taken_for_the_next_one(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    held: list[bytes] = []

    def late(transaction: int, unit: int, function: int, address: int, count: int) -> bytes | None:
        right = peer.answer(transaction, unit, function, address, count)
        if not held:
            held.append(right)
            peer.put(0, 0x4365, 0x3333)
            return None
        together: bytes = held[0] + right
        return together  # both come in one packet

    peer.fault = late
    with pytest.raises(DeviceUnreachable):
        await driver.read(PLAN)
    assert (await driver.read(PLAN)).blocks[0].columns[0] == (
        229.2,
    )  # 43 65 33 33, and not the 230.2 of the first question


async def test_what_a_device_refuses_as_a_whole_is_split_at_its_hole_and_the_split_is_remembered(
    peer: Any, driver: ModbusTcp
) -> None:
    fill(peer)
    for address in range(8, 72):
        del peer.words[address]
    answer = await driver.read(PLAN)
    assert [block.shape.quantities for block in answer.blocks] == [
        ("voltage_l1_v", "current_l1_a"),
        ("energy_import_kwh",),
    ]
    assert answer.faults == []
    peer.asked.clear()
    await driver.read(PLAN)
    assert peer.asked == [(1, 4, 0, 8), (1, 4, 72, 2)]
    assert [(request.start, request.count) for request in driver.planned(PLAN)] == [(0, 8), (72, 2)]


async def test_a_device_that_takes_fewer_registers_than_its_manual_says_is_split_too(
    peer: Any, driver: ModbusTcp
) -> None:
    fill(peer)
    peer.max_registers = 60
    answer = await driver.read(PLAN)
    assert len(answer.blocks) == 2


async def test_one_refused_register_costs_its_own_quantity_and_no_other(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    del peer.words[6]
    answer = await driver.read(PLAN)
    assert {quantity for block in answer.blocks for quantity in block.shape.quantities} == {
        "voltage_l1_v",
        "energy_import_kwh",
    }
    (fault,) = answer.faults
    assert isinstance(fault, DeviceRefused)
    assert fault.code == 2
    assert not fault.retry
    peer.asked.clear()
    assert (await driver.read(PLAN)).faults == []
    assert (1, 4, 6, 2) not in peer.asked


async def test_a_busy_device_is_worth_another_try(peer: Any, driver: ModbusTcp) -> None:
    peer.fault = lambda transaction, unit, function, *_: struct.pack(
        ">HHHBBB", transaction, 0, 3, unit, function | 0x80, 6
    )
    with pytest.raises(DeviceRefused, match=r"exception 6 \(device busy\)") as caught:
        await driver.read(PLAN)
    assert caught.value.retry


async def test_a_gateway_that_answers_for_a_silent_device_does_not_make_it_refuse(peer: Any, driver: ModbusTcp) -> None:
    peer.fault = lambda transaction, unit, function, *_: struct.pack(
        ">HHHBBB", transaction, 0, 3, unit, function | 0x80, 11
    )
    with pytest.raises(DeviceUnreachable, match="gateway answered for it with exception 11"):
        await driver.read(PLAN)


async def test_one_block_may_fail_and_the_others_of_the_device_still_come(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    peer.fault = lambda t, u, f, address, count: None if address == 6 else peer.answer(t, u, f, address, count)
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(one_request_per_field=True))
    answer = await driver.read(plan)
    assert [block.shape.quantities for block in answer.blocks] == [("voltage_l1_v",), ("energy_import_kwh",)]
    assert [type(fault) for fault in answer.faults] == [DeviceUnreachable]


async def test_what_a_deadline_leaves_out_comes_first_in_the_next_read(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(one_request_per_field=True))
    past = asyncio.get_running_loop().time() - 1
    assert (await driver.read(plan, deadline_s=past)).left_out == 2
    await driver.read(plan, deadline_s=past)
    await driver.read(plan, deadline_s=past)
    assert [address for _, _, address, _ in peer.asked] == [0, 6, 72]


async def test_a_poll_for_counters_reads_only_the_blocks_that_hold_one_and_those_whole(
    peer: Any, driver: ModbusTcp
) -> None:
    fill(peer)
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(max_registers=20))
    answer = await driver.read(plan, counters_only=True)
    assert [block.shape.quantities for block in answer.blocks] == [("energy_import_kwh",)]
    assert peer.asked == [(1, 4, 72, 2)]


async def test_units_of_one_gateway_share_the_connection(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)
    peer.units = {1, 2}
    await driver.read(PLAN)
    await driver.read(ModbusPlan("press", 2, PLAN.fields))
    assert peer.connections == 1


def test_a_driver_is_found_by_its_protocols_name() -> None:
    assert isinstance(
        open_driver(TcpBus(name="b", protocol="modbus_tcp", host="127.0.0.1", device=[]), Gateway(lambda: 0)), ModbusTcp
    )


async def test_a_shipped_model_is_read_with_its_units_converted(peer: Any, driver: ModbusTcp) -> None:
    model = meter.load("eastron_sdm630")
    peer.put(0, *[0] * 400)
    peer.put_bytes(52, struct.pack(">f", 12345.6))  # W, Eastron SDM630 protocol V1.7, page 3
    answer = await driver.read(ModbusPlan("sdm", 1, fields(model), model.limits()))
    block = answer.blocks[0]
    assert block.columns[block.shape.quantities.index("active_power_kw")] == (12.3456,)
    assert peer.asked[0] == (1, 4, 0, 80)


async def test_a_block_that_is_never_answered_does_not_make_the_device_dead(peer: Any, driver: ModbusTcp) -> None:
    """Some meters are silent, and do not refuse, where a request touches a register that they lack."""
    fill(peer)
    peer.fault = lambda t, u, f, address, count: None if address == 0 else peer.answer(t, u, f, address, count)
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(one_request_per_field=True))
    with pytest.raises(DeviceUnreachable):
        await driver.read(plan)
    for _ in range(3):
        answer = await driver.read(plan)
        assert [block.shape.quantities for block in answer.blocks] == [("current_l1_a",), ("energy_import_kwh",)]
    assert (await driver.read(plan)).faults == []  # after three lessons it is left out, until the next plan
    assert [request.start for request in driver.planned(plan)] == [6, 72]


async def test_a_block_that_is_silent_or_refused_now_and_then_keeps_its_registers(peer: Any, driver: ModbusTcp) -> None:
    """A lossy link or a busy gateway: seen as a device that lacks the register, it would cost an hour of readings."""
    fill(peer)
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(one_request_per_field=True))
    planned = driver.planned(plan)
    for _ in range(4):
        peer.fault = None
        assert (await driver.read(plan)).faults == []
        peer.fault = lambda t, u, f, address, count: None if address == 6 else peer.answer(t, u, f, address, count)
        assert [type(fault) for fault in (await driver.read(plan)).faults] == [DeviceUnreachable]
        peer.fault = lambda t, u, f, address, count: (
            struct.pack(">HHHBBB", t, 0, 3, u, f | 0x80, 2) if address == 6 else peer.answer(t, u, f, address, count)
        )
        assert [type(fault) for fault in (await driver.read(plan)).faults] == [DeviceRefused]
    assert driver.planned(plan) == planned
    for _ in range(2):  # twice more, and it is believed
        await driver.read(plan)
    assert [request.start for request in driver.planned(plan)] == [0, 72]


async def test_a_request_that_alone_is_never_answered_is_split_until_its_good_part_comes(
    peer: Any, driver: ModbusTcp
) -> None:
    fill(peer)
    peer.fault = lambda t, u, f, address, count: (
        None if address <= 6 < address + count else peer.answer(t, u, f, address, count)
    )
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(max_registers=20))
    with pytest.raises(DeviceUnreachable):
        await driver.read(plan)
    for _ in range(3):
        await driver.read(plan)
    answer = await driver.read(plan)
    assert {quantity for block in answer.blocks for quantity in block.shape.quantities} == {
        "voltage_l1_v",
        "energy_import_kwh",
    }


async def test_a_device_that_refuses_everything_is_asked_for_everything_again(peer: Any, driver: ModbusTcp) -> None:
    for _ in range(2):
        with pytest.raises(DeviceRefused):
            await driver.read(PLAN)
    fill(peer)
    assert len((await driver.read(PLAN)).blocks) == 1


async def test_an_answer_of_the_wrong_length_costs_its_own_block_only(peer: Any, driver: ModbusTcp) -> None:
    fill(peer)

    def short(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
        right: bytes = peer.answer(transaction, unit, function, address, 1 if address == 0 else count)
        return right

    peer.fault = short
    plan = ModbusPlan("incomer", 1, (VOLTAGE, CURRENT, ENERGY), Limits(one_request_per_field=True))
    answer = await driver.read(plan)
    assert [block.shape.quantities for block in answer.blocks] == [("current_l1_a",), ("energy_import_kwh",)]
    assert [type(fault) for fault in answer.faults] == [DeviceMisanswered]

"""Asking a device in another way than the edge file says: other framing, other word order, without bounds, without an address. Reads only."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from edge_agent.commission.finding import Finding
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import Answer, BusUnreachable, Driver, DriverError
from wire.block import scaled

_MODBUS = ("modbus_tcp", "modbus_rtu")
_TURNED = {"modbus_tcp": "Modbus TCP", "modbus_rtu": "Modbus RTU behind a transparent serial server"}


async def framing(bus: Bus) -> Finding | None:
    """Where no Modbus device of a bus answers: whether its port speaks the other framing. The bus's own connection must be closed."""
    host, port = getattr(bus, "host", None), getattr(bus, "port", None)
    if bus.protocol not in _MODBUS or host is None or port is None or not bus.device:
        return None
    from edge_agent.drivers.modbus import detect

    try:
        unit = getattr(bus.device[0], "unit", 1)
        told = await detect.framing(host, port, unit, timeout_s=bus.timeout_s)
    except BusUnreachable:
        return None
    if told.protocol is None or told.protocol == bus.protocol:
        return None
    return Finding(
        bus.device[0].name,
        "",
        "framing",
        _TURNED[told.protocol],
        _TURNED[bus.protocol],
        f"{host}:{port} is {'a serial server' if told.protocol == 'modbus_rtu' else 'a Modbus gateway or a device with a network port'}",
        f'protocol = "{told.protocol}" in bus {bus.name}',
    )


async def word_order(plan: Any, read: Callable[[Any], Awaitable[Answer]]) -> tuple[str, Finding | None]:
    """What the values of several registers say of the word order, for people; a finding where it is not the model's."""
    from edge_agent.drivers.modbus import detect

    try:
        told = await detect.word_order(plan, read)
    except DriverError as fault:
        return f"word order: not found out, {fault}", None
    if told.verdict != "exchanged":
        return told.text, None
    order = {"high_first": "low_first", "low_first": "high_first"}.get(told.order)
    return told.text, Finding(
        plan.name,
        "",
        "word_order",
        f"{told.exchanged} of {told.declared + told.exchanged + told.undecided} values plausible only with their words exchanged",
        f"the words as the model has them ({told.order})",
        "the device is set to, or built with, another word order than the model's manual says",
        f'word_order = "{order}" in a copy of the model'
        if order
        else "the other word_order in each row of a copy of the model",
    )


async def bare(plan: Any, quantities: Iterable[str], driver: Driver[Any]) -> dict[str, str]:
    """What a Modbus device really sends for these quantities, without bounds and without numbers that mean "none"; empty where it is silent."""
    wanted = set(quantities)
    fields = tuple(
        replace(field, low=float("-inf"), high=float("inf"), absent=())
        for field in plan.fields
        if field.quantity in wanted and field.model_block is None
    )
    if not fields:
        return {}
    try:
        answer = await driver.read(replace(plan, name=f"{plan.name}~bare", fields=fields))
    except DriverError:
        return {}
    kinds = {field.quantity: field for field in fields}
    found: dict[str, str] = {}
    for block in answer.blocks:
        for index, quantity in enumerate(block.shape.quantities):
            field, value = kinds[quantity], block.columns[index][0]
            number = scaled(value, block.shape.exponents[index])
            if number is None:
                found[quantity] = f"NaN in {field.table} register {field.address}"
            elif isinstance(value, int):
                held = (-value if field.sign < 0 else value) & ((1 << 16 * field.words) - 1)
                found[quantity] = f"{number:g} (0x{held:0{4 * field.words}X} in {field.table} register {field.address})"
            else:
                found[quantity] = f"{number:g} in {field.table} register {field.address}"
    return found


async def only_address(bus: Bus, driver: Any) -> tuple[str, Finding | None]:
    """The address of the only DL/T 645 meter of a line, for people; a finding where it is not the edge file's."""
    if bus.protocol != "dlt645":
        return "", None
    if len(bus.device) != 1:
        return f"address: not asked for, {len(bus.device)} meters would answer at once", None
    try:
        address = await driver.only_address()
    except DriverError as fault:
        return f"address: {fault}", None
    own = str(getattr(bus.device[0], "address", "")).zfill(12)
    if address == own:
        return f"address: {address}, as the file says", None
    return f"address: {address}", Finding(
        bus.device[0].name,
        "",
        "address",
        f"a meter with the address {address}",
        f"{own}, as the edge file says",
        "a misread number plate, or another meter",
        f'address = "{address}" for this device',
    )

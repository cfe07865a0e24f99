"""What a server offers, for commissioning: its variables with type, unit and value, and the row that each would make. Nothing is kept or written."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.opcua import units
from edge_agent.drivers.opcua.address import OPC_UA, NodeAddress, located
from edge_agent.drivers.opcua.declared import Bus
from edge_agent.drivers.opcua.library import NodeId, name_of, ua
from edge_agent.drivers.opcua.session import Session
from wire.quantities import QUANTITIES

MAX_VARIABLES: Final = 5_000
MAX_NODES: Final = 50_000
MAX_DEPTH: Final = 16
_AT_ONCE: Final = 100  # nodes of one browse request
_MAX_VALUE: Final = 60  # characters of a value, for people
# Words of a browse name that tell which quantity of a unit is meant, in the order in which they decide.
_WORDS: Final = (
    ("export", ("energy_export_kwh", "reactive_energy_export_kvarh")),
    ("deliver", ("energy_export_kwh",)),
    ("l1l2", ("voltage_l1_l2_v",)),
    ("l2l3", ("voltage_l2_l3_v",)),
    ("l3l1", ("voltage_l3_l1_v",)),
    *(
        (f"l{n}", (f"active_power_l{n}_kw", f"reactive_power_l{n}_kvar", f"voltage_l{n}_v", f"current_l{n}_a"))
        for n in (1, 2, 3)
    ),
)
_PLAIN: Final = {
    "kW": "active_power_kw",
    "kWh": "energy_import_kwh",
    "kvar": "reactive_power_kvar",
    "kvarh": "reactive_energy_import_kvarh",
    "kVA": "apparent_power_kva",
    "V": "voltage_v",
    "A": "current_a",
    "Hz": "frequency_hz",
    "degC": "temperature_degc",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One variable. `row` is TOML for a model file, empty where its value is no number; `quantity` in it is a guess to be looked at."""

    node: str
    path: str
    type: str
    unit: str
    value: str
    status: str
    row: str


async def browse(bus: Bus, gateway: Gateway, root: str = "") -> list[Found]:
    """The variables below `root` (node id or path; the Objects folder without the server's own), at most MAX_VARIABLES. Raises DriverError."""
    session = Session(bus, [], lambda _told: None, lambda: None, gateway.state, gateway.now_ms)
    try:
        await session.open()
        start = await _start(session, root)
        variables = [found async for found in _variables(session, start)]
        return await _described(session, variables)
    finally:
        await session.close()


async def _start(session: Session, root: str) -> NodeId:
    if not root:
        return ua.NodeId(ua.ObjectIds.ObjectsFolder)
    # Prefixes of a path that is typed by hand are the indices of this session: they need not outlive it.
    prefixes = {"": OPC_UA} | {str(index): name for index, name in enumerate(session.lookup.namespaces)}
    address = (
        located(root, None, "", prefixes)
        if root.startswith(("nsu=", "i=", "s=", "g=", "b="))
        else located(None, root, "", prefixes)
    )
    ((node, status),) = await session.find([address])
    if node is None:
        raise DriverError(f"{session.bus.url}: expected a node at {root}, saw {name_of(status)}")
    return node


async def _variables(session: Session, start: NodeId) -> AsyncIterator[tuple[NodeId, str]]:
    """Node ids and paths of the variables, breadth first; what is reached twice is told once."""
    seen: set[str] = {start.to_string()}
    level: list[tuple[NodeId, str]] = [(start, "")]
    told = 0
    for _ in range(MAX_DEPTH):
        below: list[tuple[NodeId, str]] = []
        for begin in range(0, len(level), _AT_ONCE):
            part = level[begin : begin + _AT_ONCE]
            for (_, path), references in zip(part, await session.references([node for node, _ in part]), strict=True):
                for reference in references:
                    node = session.lookup.plain(reference.NodeId)
                    name = node.to_string()
                    server = node.NamespaceIndex == 0 and node.Identifier == ua.ObjectIds.Server
                    if name in seen or server or len(seen) >= MAX_NODES:
                        continue
                    seen.add(name)
                    here = f"{path}/{reference.BrowseName.Name}" if path else str(reference.BrowseName.Name)
                    below.append((node, here))
                    if reference.NodeClass == ua.NodeClass.Variable and not _is_property(reference):
                        told += 1
                        yield node, here
                        if told >= MAX_VARIABLES:
                            return
        level = below
        if not level:
            return


def _is_property(reference: Any) -> bool:
    return bool(
        reference.ReferenceTypeId.Identifier == ua.ObjectIds.HasProperty
        and reference.ReferenceTypeId.NamespaceIndex == 0
    )


async def _described(session: Session, variables: Sequence[tuple[NodeId, str]]) -> list[Found]:
    nodes = [node for node, _ in variables]
    answers = await session.read(nodes)
    eus = await session.engineering_units(nodes)
    found = []
    for (node, path), answer, eu in zip(variables, answers, eus, strict=True):
        variant = answer.Value
        kind = "" if variant is None or variant.VariantType is None else str(variant.VariantType.name)
        address = str(NodeAddress(session.lookup.namespaces[node.NamespaceIndex], node.Identifier))
        status = name_of(int(answer.StatusCode.value)) if answer.StatusCode is not None else "Good"
        value = None if variant is None else variant.Value
        unit_id, unit_name = eu
        row = (
            _row(address, path, unit_id, unit_name)
            if isinstance(value, int | float) and not isinstance(value, bool)
            else ""
        )
        found.append(
            Found(address, path, kind, unit_name or units.code_of(unit_id), str(value)[:_MAX_VALUE], status, row)
        )
    return found


def _row(address: str, path: str, unit_id: int | None, unit_name: str) -> str:
    quantity = suggested(path, unit_id, unit_name)
    known = bool(quantity)
    lines = [
        "[[row]]",
        f'quantity = "{quantity}"' if known else 'quantity = ""  # of the closed table in wire/quantities.py',
        f"node = {json.dumps(address, ensure_ascii=False)}",
    ]
    return "\n".join([*lines, "engineering_units = true"] if known else lines)


def suggested(path: str, unit_id: int | None, unit_name: str) -> str:
    """The quantity that a variable's unit and name point to; "" where nothing does."""
    ours = next((unit for unit in units.likely(unit_id, unit_name) if unit in _PLAIN), None)
    if ours is None:
        return ""
    name = path.rpartition("/")[2].lower().replace("_", "").replace("-", "")
    for word, quantities in _WORDS:
        if word in name:
            for quantity in quantities:
                if QUANTITIES[quantity].unit == ours:
                    return quantity
    return _PLAIN[ours]

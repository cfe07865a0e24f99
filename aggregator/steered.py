"""What of the settings says that a facility's assets are planned: its circuit file, its tariff, its loads and what vehicles may do. Not the plans."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from aggregator.flexibility.operation.loads import Comfort, Waiting
from aggregator.flexibility.operation.state import Charging
from aggregator.flexibility.operation.tariff import Tariff
from aggregator.load_table import faults_of
from aggregator.settings_tables import FacilityTable
from wire import circuit as network
from wire.circuit import Circuit, CircuitFaults

Said: TypeAlias = tuple[str, str, str]  # key, expected, seen


@dataclass(frozen=True, slots=True)
class Steered:
    """A facility whose assets are planned: its circuit, what it pays, its loads that can wait, its comfort bands, and what its vehicles may do."""

    circuit: Circuit
    tariff: Tariff
    waiting: tuple[Waiting, ...] = ()
    comfort: tuple[Comfort, ...] = ()
    charging: Charging = "two_way"


def steered_of(entry: FacilityTable, folder: Path, edges: Collection[str]) -> tuple[Steered | None, list[Said]]:
    """Circuit and tariff of a facility, and what is wrong with them. `edges`: those that the settings list for it."""
    said: list[Said] = []
    if entry.tariff is not None:
        said += [(f"tariff.{key}", expected, seen) for key, expected, seen in entry.tariff.contradictions()]
    if entry.circuit is None:
        if entry.tariff is not None:
            said.append(("circuit", "the file of the circuit that the tariff is to plan", "nothing"))
        elif entry.shiftable or entry.comfort:
            said.append(("circuit", "the file of the circuit that shiftable and comfort are about", "nothing"))
        return None, said
    here = f"circuit {entry.circuit}"
    try:
        circuit = network.load(folder / entry.circuit)
    except CircuitFaults as error:
        return None, said + [(f"{here}: {key}", expected, seen) for key, expected, seen in error.faults]
    except ValueError as error:
        return None, [*said, ("circuit", "the name of a file", str(error))]
    if circuit.facility != entry.id:
        said.append((f"{here}: facility", repr(entry.id), repr(circuit.facility)))
    named = {asset.edge for asset in circuit.asset} | {branch.edge for branch in circuit.branch if branch.edge}
    listed = f"an edge listed under [[edge]] for {entry.id}"
    said += [(f"{here}: edge", listed, repr(edge)) for edge in sorted(named.difference(edges))]
    counted = [meter.device for meter in entry.meter if meter.carrier == "electricity"]
    said += faults_of(entry.shiftable, entry.comfort, circuit, counted)
    if entry.tariff is None and (entry.shiftable or entry.comfort):
        said.append(("tariff", "a tariff, by which loads are planned", "nothing"))
    if said or entry.tariff is None:
        return None, said
    assets = {asset.name: asset for asset in circuit.asset}
    waiting = tuple(one.waiting(assets[one.asset]) for one in entry.shiftable)
    comfort = tuple(one.comfort(assets[one.asset]) for one in entry.comfort)
    return Steered(circuit, entry.tariff.tariff(), waiting, comfort, entry.charging_mode), said

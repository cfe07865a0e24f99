"""What an edge file and a meter model say about the gateway as a meter: where its /proc is, what it draws, what its electricity emits. Nothing is read here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.declared import Declared, Load, Text, quantity_faults
from edge_agent.drivers.driver import DevicePlan
from edge_agent.drivers.host.power import BOARDS, PowerModel
from wire.quantities import QUANTITIES, Kind

# What can be read, and the power of ten of its integers.
EXPONENTS: Final = {
    "host_cpu_percent": -1,
    "agent_cpu_percent": -2,
    "host_memory_mib": -1,
    "agent_memory_mib": -1,
    "host_temperature_degc": -3,
    "host_disk_used_percent": -1,
    "host_disk_free_bytes": 0,
    "flash_written_bytes": 0,
    "agent_written_bytes": 0,
    "spool_batches": 0,
    "spool_bytes": 0,
    "spool_oldest_s": 0,
    "sent_bytes": 0,
    "sealed_readings": 0,
    "active_power_kw": -6,
    "energy_import_kwh": -6,
    "emitted_kg_co2e": -6,
}


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One figure; its quantity says which."""


class Point(declared.Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing of a gateway is written."""


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The figures that are read."""

    row: list[Row]
    point: list[Point] = []


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The gateway.

    `idle_w` and `core_w`: what it draws at rest, and what each busy core adds; or the `board` whose figures are known ("auto": as the machine
    calls itself). `kg_co2e_per_kwh` with the `intensity_source` it is from: without it nothing is said of emissions. `disk`: a directory on the
    file system that counts; `flash`: the block devices whose writes count; `sensor`: which temperature.
    """

    board: Literal["auto", "raspberry_pi_4", "raspberry_pi_5"] = "auto"
    idle_w: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    core_w: Annotated[float, Meta(ge=0, le=1000)] | None = None
    kg_co2e_per_kwh: Annotated[float, Meta(ge=0, le=10)] | None = None
    intensity_source: str = ""
    disk: Text | None = None
    flash: list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9!_.-]{1,64}$")]] = []
    sensor: str = ""
    period_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    row: list[Row] = []


class Bus(declared.Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The machine whose /proc and /sys stand under `root`: another one than "/" where the agent's container sees its host's there."""

    device: list[Device]
    root: Text = "/"


@dataclass(frozen=True, slots=True)
class HostPlan(DevicePlan):
    """The figures to read, in the order of the model's rows, and what they need to know. `power`: None where the machine's own name decides."""

    names: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    root: str = "/"
    power: PowerModel | None = None
    kg_co2e_per_kwh: float | None = None
    disk: str | None = None
    flash: tuple[str, ...] = ()
    sensor: str = ""

    @property
    def has_counters(self) -> bool:
        return any(QUANTITIES[name].kind is Kind.COUNTER for name in self.names)

    @property
    def quantities(self) -> tuple[str, ...]:
        return self.names


def plan(bus: Bus, device: Device, model: Model) -> HostPlan:
    """The gateway as the driver reads it."""
    rows = (*model.row, *device.row)
    power = None
    if device.idle_w is not None and device.core_w is not None:
        power = PowerModel(device.idle_w, device.core_w)
    elif device.board != "auto":
        power = BOARDS[device.board][1]
    return HostPlan(
        device.name,
        tuple(row.quantity for row in rows),
        tuple(row.bounds() for row in rows),
        bus.root,
        power,
        device.kg_co2e_per_kwh,
        device.disk,
        tuple(device.flash),
        device.sensor,
    )


def row_faults(_model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` behind the rows `before`: (index, key, expected and seen)."""
    yield from quantity_faults(rows, before)
    for index, row in enumerate(rows):
        if row.quantity in QUANTITIES and row.quantity not in EXPONENTS:
            yield index, "quantity", f"expected one of {', '.join(EXPONENTS)}, saw {row.quantity!r}"


def faults(bus: Bus) -> Iterator[declared.Fault]:
    """What is wrong between the keys of a device."""
    for index, device in enumerate(bus.device or []):
        where = f"device[{index}]"
        if (device.idle_w is None) != (device.core_w is None):
            yield f"{where}.idle_w", "idle_w and core_w together", "one without the other"
        if device.idle_w is not None and device.board not in ("auto", None):
            yield f"{where}.board", "either a board, or idle_w and core_w", "both"
        if (device.kg_co2e_per_kwh is None) != (not (device.intensity_source or "").strip()):
            yield (
                f"{where}.kg_co2e_per_kwh",
                "kg_co2e_per_kwh and its intensity_source together",
                "one without the other",
            )


def load(_bus: object, planned: HostPlan) -> Load:
    """A look at /proc takes no turn on any line."""
    return Load(0, 0.0, (f"this machine: {', '.join(planned.names)}",))


DECLARED: Final = Declared(
    family="host",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.host.driver",
    plan=plan,
    model_faults=row_faults,
    place=lambda bus: bus.root,
    address=lambda _device: "this machine",
    load=load,
    faults=faults,
    point_faults=declared.read_only,
)

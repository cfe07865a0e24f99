"""What a three-phase meter at a node sees at one instant: phases, voltages, currents and counters. Not where it shows them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device_sim.carriers import Carrier, Passing
from device_sim.charging_points import ChargingPoints
from device_sim.plant import Flow, Node, Plant

if TYPE_CHECKING:
    from device_sim.miswiring import Miswiring

# How a node's power splits over the phases, in per cent: fixed, a little uneven, as in life. They add up to 100.
_SHARES: Final = (34, 33, 33)
_NOMINAL_V: Final = 230.0
_NOMINAL_HZ: Final = 50.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What a device's counters show: uJ, uvars, uVAs and nL, with the device's own start value and modulus applied.

    A meter of another carrier counts heat or cold in `import_uj` and volume in `volume_nl`.
    """

    import_uj: int = 0
    export_uj: int = 0
    reactive_import_uvars: int = 0
    reactive_export_uvars: int = 0
    apparent_uvas: int = 0
    volume_nl: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Three-phase values in W, var, VA, V, A, Hz; tuples are (L1, L2, L3). Load sign: import positive."""

    active_w: tuple[float, float, float]
    reactive_var: tuple[float, float, float]
    apparent_va: tuple[float, float, float]
    voltage_v: tuple[float, float, float]
    line_voltage_v: tuple[float, float, float]
    current_a: tuple[float, float, float]
    neutral_current_a: float
    frequency_hz: float
    total_active_w: float
    total_reactive_var: float
    total_apparent_va: float

    @property
    def power_factor(self) -> tuple[float, float, float]:
        """Active over apparent power per phase, signed like the active power; 1 without load."""
        one, two, three = (_ratio(p, s) for p, s in zip(self.active_w, self.apparent_va, strict=True))
        return one, two, three

    @property
    def total_power_factor(self) -> float:
        """Active over apparent power of the sum; 1 without load."""
        return _ratio(self.total_active_w, self.total_apparent_va)


def _ratio(active_w: float, apparent_va: float) -> float:
    return active_w / apparent_va if apparent_va else 1.0


def _phases(value: float) -> tuple[float, float, float]:
    one, two, three = (value * share / 100 for share in _SHARES)
    return one, two, three


def phases_of(plant: Plant, node: Node, flow: Flow) -> tuple[float, float, float] | None:
    """How the active power of a node lies on the phases, W: that of charging points as they are wired, all else by the fixed shares. None: all of it."""
    points = plant.vehicles
    if node not in (Node.GRID, Node.EV) or not isinstance(points, ChargingPoints):
        return None
    wired = points.phases_mw()
    if wired is None:
        return None
    rest_mw = flow.active_mw - sum(wired)
    one, two, three = ((mw + rest_mw * share / 100) / 1000 for mw, share in zip(wired, _SHARES, strict=True))
    return one, two, three


def measure(flow: Flow, at_ms: int, active_w: tuple[float, float, float] | None = None) -> Measured:
    """The electrical picture of a flow. Voltage and frequency wander slowly around 230 V and 50 Hz as a function of the instant.

    `active_w`: how its active power lies on the phases, where that is known; reactive power lies by the fixed shares all the same.
    """
    second = at_ms / 1000
    frequency = _NOMINAL_HZ + 0.02 * math.sin(second / 37.0) + 0.01 * math.sin(second / 5.3)
    swing = 2.0 * math.sin(second / 611.0)
    voltages = (_NOMINAL_V + swing, _NOMINAL_V + swing - 0.4, _NOMINAL_V + swing + 0.3)
    one, two, three = voltages
    # Three phasors at 120 degrees: |a - b| = sqrt(a2 + b2 + a b).
    lines = (
        math.sqrt(one**2 + two**2 + one * two),
        math.sqrt(two**2 + three**2 + two * three),
        math.sqrt(three**2 + one**2 + three * one),
    )
    active, reactive = active_w or _phases(flow.active_mw / 1000), _phases(flow.reactive_mvar / 1000)
    apparent_1, apparent_2, apparent_3 = (math.hypot(p, q) for p, q in zip(active, reactive, strict=True))
    apparent = apparent_1, apparent_2, apparent_3
    current_1, current_2, current_3 = (s / v for s, v in zip(apparent, voltages, strict=True))
    unbalance = math.sqrt(
        max(
            0.0,
            current_1**2
            + current_2**2
            + current_3**2
            - current_1 * current_2
            - current_2 * current_3
            - current_3 * current_1,
        )
    )
    return Measured(
        active,
        reactive,
        apparent,
        voltages,
        lines,
        (current_1, current_2, current_3),
        unbalance,
        frequency,
        flow.active_mw / 1000,
        flow.reactive_mvar / 1000,
        math.hypot(flow.active_mw, flow.reactive_mvar) / 1000,
    )


@dataclass(frozen=True, slots=True)
class View:
    """All that a register map may draw from at one instant; `written` are the set-point registers as they were written, lost at a reboot.

    `passing` is set for a meter of another carrier; of its `measured` only the total active power means something: heat or cold, W.
    `miswiring`: what is wrong with the installation; `measured` and `counters` show it already.
    """

    device: str
    unit: int
    plant: Plant
    node: Node | Carrier
    at_ms: int
    measured: Measured
    counters: Counters
    written: dict[str, int]
    passing: Passing | None = None
    miswiring: "Miswiring | None" = None

"""The circuit, tariff and policy of a simulated plant whose battery and piles are planned: `wattline demo --facility hub`. Not the plant itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Listed = Mapping[str, Any]  # a device's line of the simulator's `ready`

HOLD_S: Final = {"charger": 900, "battery": 60}
SAFE_A: Final = 6  # what a pile lets flow without a word from us
PROFILE_S: Final = 3600
_POINTS: Final = {
    "ocpp21_pile": "active_power_setpoint_kw",
    "ocpp201_pile": "charging_limit_kw",
    "ocpp16_pile": "charging_limit_kw",
}
_THREE_PHASES_KW: Final = 20.0
_ONE_PHASE_KW: Final = 6.6


@dataclass(frozen=True, slots=True)
class Connection:
    """What the plant's connection bears."""

    limit_a: float
    limit_kva: float
    export_limit_kw: float
    uncontrolled_max_kva: float


CONNECTIONS: Final[Mapping[str, Connection]] = {
    "hub": Connection(260, 170, 60, 140)
}  # by plant: those that are planned


@dataclass(frozen=True, slots=True)
class Asset:
    """What is steered, in the words of wire/circuit.py."""

    device: str
    kind: str
    point: str
    phases: str
    charge_kw: float
    discharge_kw: float
    more: tuple[str, ...] = ()

    def lines(self, edge: str) -> list[str]:
        """Its table in the circuit."""
        return [
            "", "[[asset]]", f'name = "{self.device}"', f'kind = "{self.kind}"', 'branch = "connection"', f'edge = "{edge}"',
            f'device = "{self.device}"', f'point = "{self.point}"', f'phases = "{self.phases}"', f"charge_kw = {self.charge_kw:g}",
            f"discharge_kw = {self.discharge_kw:g}", *self.more,
        ]  # fmt: skip

    def allowed(self) -> list[str]:
        """What the edge file says of its device: that its point may be written, and a pile's own keys."""
        own = []
        if self.kind == "charger":
            rated_kw = max(self.charge_kw, self.discharge_kw)
            own = [f"profile_s = {PROFILE_S}", f"phases = {len(self.phases) // 2}", f"rated_power_kw = {rated_kw:g}", f"safe_current_a = {SAFE_A}"]  # fmt: skip
        return [
            *own, "[[bus.device.allow]]", f'point = "{self.point}"', f"low = {-self.discharge_kw:g}", f"high = {self.charge_kw:g}",
            f"hold_s = {HOLD_S[self.kind]}",
        ]  # fmt: skip


def assets(plant: Mapping[str, Any], devices: Sequence[Listed]) -> dict[str, Asset]:
    """The battery and the piles of a plant that is planned, by device; {} of any other. `plant`: its table of the site file."""
    if plant["name"] not in CONNECTIONS:
        return {}
    battery, vehicles = plant.get("battery", {}), plant.get("ev", {})
    found: dict[str, Asset] = {}
    piles = [device for device in devices if device["kind"] in _POINTS]
    for device in devices:
        if device["measures"] == "battery":
            more = (f"capacity_kwh = {battery['capacity_kwh']}", "least_percent = 10", "wear_per_kwh = 0.05")
            found[device["device"]] = Asset(
                device["device"],
                "battery",
                "active_power_setpoint_kw",
                "L1L2L3",
                battery["charge_kw"],
                battery["discharge_kw"],
                more,
            )
    for number, device in enumerate(piles):
        phases = vehicles.get("phases", ["L1L2L3"])[number % len(vehicles.get("phases", ["L1L2L3"]))]
        gives_kw = float(vehicles.get("max_discharge_kw", 0)) if device["kind"] == "ocpp21_pile" else 0.0
        charge_kw = _THREE_PHASES_KW if len(phases) == 6 else _ONE_PHASE_KW
        named = "L1L2L3" if len(phases) == 6 else phases  # the order of phases is a pile's own
        more = ("charge_ratio = 1", "discharge_ratio = 1", "wear_per_kwh = 0.05")
        found[device["device"]] = Asset(
            device["device"], "charger", _POINTS[device["kind"]], named, charge_kw, gives_kw, more
        )
    return found


def circuit_text(plant: str, edge: str, meter: str, found: Mapping[str, Asset]) -> str:
    """The circuit file."""
    connection = CONNECTIONS[plant]
    lines = [
        f'facility = "{plant}"', "", "[[branch]]", 'name = "connection"', f"limit_a = {connection.limit_a:g}",
        f"limit_kva = {connection.limit_kva:g}", f"export_limit_kw = {connection.export_limit_kw:g}", f'edge = "{edge}"', f'meter = "{meter}"',
        f"uncontrolled_max_kva = {connection.uncontrolled_max_kva:g}",
    ]  # fmt: skip
    return "\n".join([*lines, *(line for asset in found.values() for line in asset.lines(edge))]) + "\n"


def tariff_lines() -> list[str]:
    """What the facility pays, and how it answers events: at once up to the firm power, against the quarter of an hour before, for lack of a past."""
    return [
        "[facility.tariff]", 'currency = "CNY"', "export_price_per_kwh = 0.2", "carbon_price_per_kg = 0.06",
        "[[facility.tariff.period]]", 'name = "peak"', "price_per_kwh = 1.2", 'hours = ["08:00-11:00", "17:00-22:00"]',
        "[[facility.tariff.period]]", 'name = "valley"', "price_per_kwh = 0.33", 'hours = ["00:00-06:00", "22:00-24:00"]',
        "[[facility.tariff.period]]", 'name = "flat"', "price_per_kwh = 0.72",
        "[[facility.tariff.demand]]", 'name = "month"', "price_per_kw = 1.3",
        "[facility.demand_response]", 'accept = "automatic"', 'rules = "quarter_before"', "pay_per_kwh = 3.0", "penalty_per_kwh = 1.0",
    ]  # fmt: skip

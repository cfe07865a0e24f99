"""What simulated OPC UA devices show: variables with type, unit and value. Not the server that shows them.

Two kinds: a machine of a production line, in names of its own, and a meter in the names of the companion specification OPC 34100 "Energy
Consumption Management" 1.00 (interface IEnergyProfileE3Type, 7.1.3.4), whose values per phase are structures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from device_sim.device import Device
from device_sim.electrical import View
from device_sim.profile import UJ_PER_KWH, UJ_PER_WH

LINE: Final = "urn:wattline:simulator:line"
ECM: Final = "http://opcfoundation.org/UA/ECM/"
SERIAL: Final = "AnswerSerial"
LIMIT: Final = "PowerLimit"  # the one variable that takes a write
_UJ_PER_PART: Final = UJ_PER_KWH // 4  # the line makes a part of each quarter of a kWh
_IDLE_W: Final = 100.0


class Variable(NamedTuple):
    """One variable: its type ("double", "float", "int32", "uint32", "uint64", or "float3" for a structure of three), UN/CEFACT code of its unit, value."""

    type: str
    unit: str
    value: Any


Image = dict[str, Variable]


@dataclass(frozen=True, slots=True)
class OpcUaKind:
    """One device model. `namespace` is that of its variables' browse names."""

    name: str
    namespace: str
    folder: str
    writable: frozenset[str]
    draw: Callable[[View], Image]
    family: str = "opcua"
    modulus_uj: int = 1_000_000_000 * UJ_PER_KWH
    options: frozenset[str] = frozenset()

    def image(self, view: View) -> Image:
        """The variables of this instant, without the serial."""
        return self.draw(view)

    def listed(self, device: Device) -> Mapping[str, Any]:
        """Where the device begins in the server and where its answer serial stands."""
        return {"root": f"{self.folder}/{device.name}", "serial_variable": SERIAL}


def _state(power_w: float) -> int:
    """0 off, 1 idle, 2 running."""
    return 0 if abs(power_w) < 1 else 1 if abs(power_w) < _IDLE_W else 2


def _machine(view: View) -> Image:
    measured, counters = view.measured, view.counters
    image = {
        "ActivePower": Variable("double", "WTT", measured.total_active_w),
        "ReactivePower": Variable("double", "D44", measured.total_reactive_var),
        "EnergyImport": Variable("uint64", "WHR", counters.import_uj // UJ_PER_WH),
        "EnergyExport": Variable("uint64", "WHR", counters.export_uj // UJ_PER_WH),
        "Frequency": Variable("float", "HTZ", measured.frequency_hz),
        "State": Variable("int32", "", _state(measured.total_active_w)),
        "PartsProduced": Variable("uint32", "", counters.import_uj // _UJ_PER_PART),
        LIMIT: Variable("double", "KWT", view.written.get(LIMIT, 0) / 1000),
    }
    for phase in range(3):
        image[f"VoltageL{phase + 1}"] = Variable("float", "VLT", measured.voltage_v[phase])
        image[f"CurrentL{phase + 1}"] = Variable("float", "AMP", measured.current_a[phase])
    return image


def _ecm(view: View) -> Image:
    measured, counters = view.measured, view.counters
    return {
        "AcActivePowerTotal": Variable("float", "WTT", measured.total_active_w),
        "AcActivePowerPe": Variable("float3", "WTT", measured.active_w),
        "AcReactivePowerPe": Variable("float3", "D44", measured.reactive_var),
        "AcActiveEnergyTotalImportHp": Variable("double", "WHR", counters.import_uj / UJ_PER_WH),
        "AcActiveEnergyTotalExportHp": Variable("double", "WHR", counters.export_uj / UJ_PER_WH),
        "AcReactiveEnergyTotalImportHp": Variable("double", "", counters.reactive_import_uvars / UJ_PER_WH),
        "AcReactiveEnergyTotalExportHp": Variable("double", "", counters.reactive_export_uvars / UJ_PER_WH),
        "AcVoltagePe": Variable("float3", "VLT", measured.voltage_v),
        "AcVoltagePp": Variable("float3", "VLT", measured.line_voltage_v),
        "AcCurrentPe": Variable("float3", "AMP", measured.current_a),
        "AcPowerFactorPe": Variable("float3", "C62", measured.power_factor),
    }


KINDS: Final[dict[str, OpcUaKind]] = {
    kind.name: kind
    for kind in (
        OpcUaKind("opcua_machine", LINE, "Line", frozenset({LIMIT}), _machine),
        OpcUaKind("opcua_ecm_meter", ECM, "Meters", frozenset(), _ecm),
    )
}

"""All device models that speak Modbus here, by name. Not their maps."""

from typing import Final

from device_sim.inverters import BatteryInverter, PvInverter
from device_sim.meters import METER_KINDS
from device_sim.modbus_answers import RegisterKind

KINDS: Final[dict[str, RegisterKind]] = {
    **METER_KINDS,
    **{kind.name: kind for kind in (PvInverter(), BatteryInverter())},
}

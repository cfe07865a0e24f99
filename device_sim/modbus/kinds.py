"""All device models that speak Modbus here, by name. Not their maps."""

from typing import Final

from device_sim.modbus.answers import RegisterKind
from device_sim.modbus.inverters import BatteryInverter, PvInverter
from device_sim.modbus.meters import METER_KINDS
from device_sim.modbus.sunspec_dc_bus import DcBusConverter
from device_sim.modbus.sunspec_der import DerBattery, DerPv
from device_sim.modbus.sunspec_meters import SunSpecMeter

KINDS: Final[dict[str, RegisterKind]] = {
    **METER_KINDS,
    **{
        kind.name: kind
        for kind in (
            PvInverter(),
            PvInverter("sunspec_pv_single_phase", 101),
            PvInverter("sunspec_pv_split_phase", 102),
            PvInverter("sunspec_pv_float", 113),
            BatteryInverter(),
            DerPv(),
            DerBattery(),
            DcBusConverter(),
            SunSpecMeter("sunspec_meter", 203, 40_000),
            SunSpecMeter("sunspec_meter_float", 213, 0),
        )
    },
}

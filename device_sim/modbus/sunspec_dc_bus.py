"""A direct-current bus's converter as a SunSpec device of the 700 generation: 1, 701, 704, 713 and 714 at 50000. Not what flows on the bus.

Model 714 shows the bus: its voltage, and the converter's power on that side, positive when it gives to the alternating current. 713 is the storage. The
set-point of 704 is the converter's power at the alternating current in W, positive when injecting, with its revert timer.
"""

from device_sim.cells import PPM
from device_sim.dc_bus import DcBus
from device_sim.device import Device
from device_sim.electrical import View
from device_sim.modbus.answers import listed
from device_sim.modbus.inverters import common, timer
from device_sim.modbus.registers import Image
from device_sim.modbus.sunspec import Chain
from device_sim.modbus.sunspec_der import Der, capacity, controls, dc_side, int32, measurement
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL
from device_sim.plant import Node

_WATTS = 1  # WSetMod: WSet counts, in W


class DcBusConverter(Der):
    """The converter of a plant's [plant.dc_bus]."""

    def __init__(self) -> None:
        super().__init__(
            "sunspec_dc_bus", Node.DC_BUS, Chain(1, 701, VENDOR_MODEL, 704, 713, 714, VENDOR_MODEL, base=50_000)
        )

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        bus = _bus(view)
        rating_w = bus.converter_mw / 1000
        return self.chain.image(
            {
                1: common(view, "DC bus converter"),
                701: measurement(view, rating_w),
                704: {
                    **controls(view),
                    "WSetEna": int(bus.set_point_mw is not None),
                    "WSetMod": view.written.get("WSetMod", _WATTS),
                    "WSet": view.written.get("WSet", 0),
                    "WSetRvrtTms": view.written.get("WSetRvrtTms", 0),
                },
                713: {} if bus.storage is None else capacity(bus.storage),
                714: dc_side(bus.carried_mw / 1000, bus.voltage_mv / 1000, rating_w),
            }
        )

    def write(self, view: View, values: dict[int, int]) -> None:
        """Raises LookupError for an address that is not writable, ValueError for a value out of range."""
        bus = _bus(view)
        named = self.chain.named(values)
        for name in ("WSetEna", "WSetMod"):
            if named.get(name, 0) > 1:
                raise ValueError(f"{name}: expected 0 or 1, got {named[name]}")
        if "WSet" in named and abs(1000 * int32(named["WSet"])) > bus.converter_mw:
            raise ValueError(f"WSet: expected at most the rated power, got {int32(named['WSet'])} W")
        view.written.update(named)
        if named.keys() & {"WSet", "WSetEna", "WSetMod", "WSetRvrtTms"}:
            enabled = bool(named.get("WSetEna", bus.set_point_mw is not None))
            in_force = enabled and view.written.get("WSetMod", _WATTS) == _WATTS
            alternating_mw = -1000 * int32(view.written.get("WSet", 0))
            own_mw = (
                alternating_mw * bus.efficiency_ppm // PPM
                if alternating_mw > 0
                else alternating_mw * PPM // bus.efficiency_ppm
            )
            bus.set_point_mw = own_mw if in_force else None
            bus.reverts_at_ms = timer(view, "WSetRvrtTms", in_force)
        view.plant.disturb()


def _bus(view: View) -> DcBus:
    bus = view.plant.dc_bus
    assert bus is not None
    return bus

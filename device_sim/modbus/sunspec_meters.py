"""SunSpec meters, three-phase: in integers (203) or floating point (213). Not what feeds them."""

from typing import Final

from device_sim.device import Device
from device_sim.electrical import Measured, View
from device_sim.modbus.answers import listed
from device_sim.modbus.inverters import common, rounded
from device_sim.modbus.registers import Image
from device_sim.modbus.sunspec import Chain, Value, scale_exponent
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL
from device_sim.profile import UJ_PER_WH

_ACC32_UJ: Final = 2**32 * UJ_PER_WH


class SunSpecMeter:
    """A meter with model 203 or 213, its chain at `base`. Import positive, as meters count."""

    family = "modbus"
    options: frozenset[str] = frozenset()
    functions = frozenset({3})
    max_registers = 125

    def __init__(self, name: str, model: int, base: int) -> None:
        self.name = name
        self._model = model
        self._chain = Chain(1, model, VENDOR_MODEL, base=base)
        self.serial_addresses = self._chain.serial_addresses
        self.modulus_uj = _ACC32_UJ

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        values = _metered(view.measured)
        values |= {
            "TotWhImp": view.counters.import_uj / UJ_PER_WH,
            "TotWhExp": view.counters.export_uj / UJ_PER_WH,
        }
        shown: dict[str, Value] = dict(values)
        if self._model == 203:
            power = scale_exponent(max(1000.0, abs(view.measured.total_apparent_va)))
            scales = {"A": -1, "V": -1, "Hz": -2, "W": power, "VA": power, "VAR": power, "PF": -1, "TotWh": 0}
            shown = {name: int(rounded(value, scales[_scale_of(name)])) for name, value in values.items()}
            shown["PF"] = int(rounded(values["PF"] * 100, -1))  # per cent in this model, a ratio in 213
            shown |= {
                "TotWhImp": view.counters.import_uj // UJ_PER_WH,
                "TotWhExp": view.counters.export_uj // UJ_PER_WH,
            }
            shown |= {f"{name}_SF": scale for name, scale in scales.items()}
            shown |= {name.replace("PPV", "PhV"): shown.pop(name) for name in ("PPVphAB", "PPVphBC", "PPVphCA")}
        shown["Evt"] = 0
        return self._chain.image({1: common(view, "meter"), self._model: shown})

    def write(self, view: View, values: dict[int, int]) -> None:
        """Nothing can be written: raises LookupError."""
        raise LookupError(f"{view.device}: addresses {sorted(values)}")


def _scale_of(name: str) -> str:
    for scale in ("TotWh", "VAR", "VA", "PF", "Hz", "W", "A"):
        if name.startswith(scale):
            return scale
    return "V"


def _metered(measured: Measured) -> dict[str, float]:
    values: dict[str, float] = {
        "A": sum(measured.current_a),
        "PhV": sum(measured.voltage_v) / 3,
        "PPV": sum(measured.line_voltage_v) / 3,
        "Hz": measured.frequency_hz,
        "W": measured.total_active_w,
        "VA": measured.total_apparent_va,
        "VAR": measured.total_reactive_var,
        "PF": measured.total_power_factor,
    }
    for index, phase in enumerate("ABC"):
        values |= {
            f"Aph{phase}": measured.current_a[index],
            f"PhVph{phase}": measured.voltage_v[index],
            f"Wph{phase}": measured.active_w[index],
            f"VAph{phase}": measured.apparent_va[index],
            f"VARph{phase}": measured.reactive_var[index],
        }
    return values | dict(zip(("PPVphAB", "PPVphBC", "PPVphCA"), measured.line_voltage_v, strict=True))

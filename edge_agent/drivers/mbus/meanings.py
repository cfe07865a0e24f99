"""What the VIF of an M-Bus record means (EN 13757-3, tables of primary VIFs and of the extensions FB and FD): what, unit, power of ten.

Each unit is the simplest of its kind: Wh, J, m3, kg, W, J/h, m3/h, kg/h, °C, bar, V, A, s. No model of a meter is known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    """`what` is measured, in `unit` x 10^`exponent`. `what` empty: the table is silent or left to the maker."""

    what: str
    unit: str = ""
    exponent: int = 0


UNKNOWN: Final = Meaning("")

_DURATION_UNITS: Final = ("s", "min", "h", "d")
_DATE: Final = 0x6C
_DATE_TIME: Final = 0x6D


def _run(first: int, count: int, what: str, unit: str, exponent: int) -> Iterator[tuple[int, Meaning]]:
    """`count` codes from `first`, each ten times the one before."""
    return ((first + step, Meaning(what, unit, exponent + step)) for step in range(count))


def _units(first: int, what: str, units: tuple[str, ...]) -> Iterator[tuple[int, Meaning]]:
    return ((first + step, Meaning(what, unit)) for step, unit in enumerate(units))


def _names(first: int, names: tuple[str, ...]) -> Iterator[tuple[int, Meaning]]:
    return ((first + step, Meaning(name)) for step, name in enumerate(names) if name)


# EN 13757-3, table of primary VIFs (E000 0000 to E111 1010).
PRIMARY: Final[dict[int, Meaning]] = {
    **dict(_run(0x00, 8, "energy", "Wh", -3)),
    **dict(_run(0x08, 8, "energy", "J", 0)),
    **dict(_run(0x10, 8, "volume", "m3", -6)),
    **dict(_run(0x18, 8, "mass", "kg", -3)),
    **dict(_units(0x20, "on_time", _DURATION_UNITS)),
    **dict(_units(0x24, "operating_time", _DURATION_UNITS)),
    **dict(_run(0x28, 8, "power", "W", -3)),
    **dict(_run(0x30, 8, "power", "J/h", 0)),
    **dict(_run(0x38, 8, "volume_flow", "m3/h", -6)),
    **dict(_run(0x40, 8, "volume_flow", "m3/min", -7)),
    **dict(_run(0x48, 8, "volume_flow", "m3/s", -9)),
    **dict(_run(0x50, 8, "mass_flow", "kg/h", -3)),
    **dict(_run(0x58, 4, "flow_temperature", "degC", -3)),
    **dict(_run(0x5C, 4, "return_temperature", "degC", -3)),
    **dict(_run(0x60, 4, "temperature_difference", "K", -3)),
    **dict(_run(0x64, 4, "external_temperature", "degC", -3)),
    **dict(_run(0x68, 4, "pressure", "bar", -3)),
    _DATE: Meaning("date"),
    _DATE_TIME: Meaning("date_time"),
    0x6E: Meaning("heat_cost_units"),
    **dict(_units(0x70, "averaging_duration", _DURATION_UNITS)),
    **dict(_units(0x74, "actuality_duration", _DURATION_UNITS)),
    **dict(_names(0x78, ("fabrication_number", "enhanced_identification", "bus_address"))),
}

# EN 13757-3, second extension (VIF FD).
EXTENSION_FD: Final[dict[int, Meaning]] = {
    **dict(_run(0x00, 4, "credit", "currency", -3)),
    **dict(_run(0x04, 4, "debit", "currency", -3)),
    **dict(
        _names(
            0x08,
            (
                "access_number",
                "medium",
                "manufacturer",
                "parameter_set",
                "model_version",
                "hardware_version",
                "firmware_version",
                "software_version",
                "customer_location",
                "customer",
                "access_code_user",
                "access_code_operator",
                "access_code_system_operator",
                "access_code_developer",
                "password",
                "error_flags",
                "error_mask",
                "",
                "digital_output",
                "digital_input",
                "baud_rate",
                "response_delay",
                "retry",
                "remote_control",
                "first_storage",
                "last_storage",
                "storage_size",
            ),
        )
    ),
    **dict(_units(0x24, "storage_interval", (*_DURATION_UNITS, "month", "year"))),
    **dict(_units(0x2C, "since_last_readout", _DURATION_UNITS)),
    0x30: Meaning("tariff_start"),
    **dict(_units(0x31, "tariff_duration", _DURATION_UNITS[1:])),
    **dict(_units(0x34, "tariff_period", (*_DURATION_UNITS, "month", "year"))),
    0x3A: Meaning("dimensionless"),
    **dict(_run(0x40, 16, "voltage", "V", -9)),
    **dict(_run(0x50, 16, "current", "A", -12)),
    **dict(
        _names(
            0x60,
            (
                "reset_counter",
                "cumulation_counter",
                "control_signal",
                "day_of_week",
                "week_number",
                "day_change",
                "parameter_activation",
                "supplier_information",
            ),
        )
    ),
    **dict(_units(0x68, "since_last_cumulation", ("h", "d", "month", "year"))),
    **dict(_units(0x6C, "battery_operating_time", ("h", "d", "month", "year"))),
    0x70: Meaning("battery_change"),
}

# EN 13757-3, first extension (VIF FB).
EXTENSION_FB: Final[dict[int, Meaning]] = {
    **dict(_run(0x00, 2, "energy", "Wh", 5)),
    **dict(_run(0x02, 2, "reactive_energy", "varh", 3)),
    **dict(_run(0x04, 4, "apparent_energy", "VAh", 3)),
    **dict(_run(0x08, 2, "energy", "J", 8)),
    **dict(_run(0x0C, 4, "energy", "cal", 5)),
    **dict(_run(0x10, 2, "volume", "m3", 2)),
    **dict(_run(0x14, 4, "reactive_power", "var", 0)),
    **dict(_run(0x18, 2, "mass", "kg", 5)),
    **dict(_run(0x1A, 2, "relative_humidity", "percent", -1)),
    **dict(_run(0x20, 2, "volume", "ft3", -1)),
    **dict(_run(0x28, 2, "power", "W", 5)),
    0x2A: Meaning("phase_voltage_to_voltage", "deg", -1),
    0x2B: Meaning("phase_voltage_to_current", "deg", -1),
    **dict(_run(0x2C, 4, "frequency", "Hz", -3)),
    **dict(_run(0x30, 2, "power", "J/h", 8)),
    **dict(_run(0x34, 4, "apparent_power", "VA", 0)),
    **dict(_run(0x74, 4, "temperature_limit", "degC", -3)),
    **dict(_run(0x78, 8, "maximum_power", "W", -3)),
}

_CORRECTIONS: Final = range(0x70, 0x78)  # VIFE E111 0nnn: the value is to be multiplied by 10^(nnn - 6)
_THOUSAND: Final = 0x7D
_MAKERS: Final = 0x7F  # everything behind it is the maker's own


def meaning(vif: bytes) -> Meaning:
    """What VIF and VIFEs say, multiplicative corrections of the VIFEs included. UNKNOWN for reserved and makers' own codes."""
    first, rest = vif[0], vif[1:]
    if first in (0xFB, 0xFD) and rest:
        table = EXTENSION_FB if first == 0xFB else EXTENSION_FD
        found, rest = table.get(rest[0] & 0x7F, UNKNOWN), rest[1:]
    elif first & 0x7F in (0x7C, 0x7E, 0x7F):  # plain text, "any VIF", the maker's own
        return UNKNOWN
    else:
        found = PRIMARY.get(first & 0x7F, UNKNOWN)
    shift = 0
    for vife in rest:
        code = vife & 0x7F
        if code == _MAKERS:
            break
        if code in _CORRECTIONS:
            shift += code - 0x76
        elif code == _THOUSAND:
            shift += 3
    return Meaning(found.what, found.unit, found.exponent + shift) if shift and found.what else found


def is_time(vif: bytes) -> bool:
    """Whether an integer under this VIF is a date or a time."""
    return vif[0] & 0x7F in (_DATE, _DATE_TIME) or (vif[:2] == b"\xfd\x70")


def is_code(vif: bytes) -> bool:
    """Whether an integer under this VIF is an unsigned code or a set of flags, not a number."""
    if vif[0] == 0xFD and len(vif) > 1:
        return 0x08 <= vif[1] & 0x7F <= 0x1B
    return vif[0] & 0x7F in (0x78, 0x79, 0x7A)


MEDIA: Final[dict[int, str]] = {
    0x00: "other",
    0x01: "oil",
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat",  # volume measured in the return
    0x05: "steam",
    0x06: "warm water",
    0x07: "water",
    0x08: "heat cost allocator",
    0x09: "compressed air",
    0x0A: "cooling",  # volume measured in the return
    0x0B: "cooling, flow",
    0x0C: "heat, flow",
    0x0D: "heat and cooling",
    0x0E: "bus or system",
    0x0F: "unknown",
    0x14: "calorific value",
    0x15: "hot water",
    0x16: "cold water",
    0x17: "hot and cold water",
    0x18: "pressure",
    0x19: "converter",
}


def medium_name(medium: int) -> str:
    """The medium's name, or its number."""
    return MEDIA.get(medium, f"medium {medium}")

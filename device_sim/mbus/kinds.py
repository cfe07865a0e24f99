"""M-Bus meter models: who they say they are, and the records of their telegrams in the order in which the products send them. Not the frames.

A record is its head in hexadecimal and the name of its value in an `Image`, or a number that never changes. The orders are those of telegrams
recorded from the products (libmbus, test/test-frames); second telegrams are made up. 04 FD 3A is the number of the answer, which no product sends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from device_sim.carriers import NL_PER_M3, Carrier
from device_sim.electrical import View
from device_sim.mbus.frames import modulus
from device_sim.profile import UJ_PER_KWH

Image = Mapping[str, int]
SERIAL: Final = "04 FD 3A serial"


@dataclass(frozen=True, slots=True)
class MeterKind:
    """One meter model. `telegrams`: records of each; `makers`: the maker's own bytes at the end of the last one.

    Its counters go on from 0 where the digits of their records end.
    """

    name: str
    maker: str
    version: int
    media: Mapping[str, int]  # by what is measured; "" for electricity
    telegrams: Sequence[Sequence[str]]
    makers: str = ""
    family: str = "mbus"
    # primary: 1 to 250 (without: the unit id); secondary: 8 digits; version; status: of the header; utc_offset_minutes: of its clock
    options: frozenset[str] = frozenset({"primary", "secondary", "version", "status", "utc_offset_minutes"})
    carriers: tuple[Carrier, ...] = field(init=False)
    modulus_uj: int = field(init=False)
    volume_modulus_nl: int = field(init=False)

    def __post_init__(self) -> None:
        heads = {name: head for telegram in reversed(self.telegrams) for head, name in map(parted, reversed(telegram))}
        energy = next((heads[name] for name in ("energy", "cold", "import", "tariff") if name in heads), None)
        volume = heads.get("volume")
        object.__setattr__(self, "carriers", tuple(Carrier(name) for name in self.media if name))
        object.__setattr__(self, "modulus_uj", modulus(energy) if energy else 10**8 * UJ_PER_KWH)
        object.__setattr__(self, "volume_modulus_nl", modulus(volume) if volume else 10**8 * NL_PER_M3)

    def image(self, view: View) -> Image:
        """Its values in the plant's small units."""
        return _thermal_or_volume(view) if view.passing is not None else _electric(view)

    def listed(self, device: Any) -> dict[str, object]:
        """How the meter is asked, and the row of a model that reads the number of the answer."""
        return {
            "primary": primary(device),
            "secondary": secondary(device),
            "serial_row": {"quantity": "answer_serial_1", "what": "dimensionless"},
        }


def parted(line: str) -> tuple[bytes, str]:
    """Head and value of a record as the tables below write it."""
    head, _, value = line.rpartition(" ")
    return bytes.fromhex(head), value


def primary(device: Any) -> int:
    """The meter's primary address."""
    return int(device.options.get("primary", device.unit))


def secondary(device: Any) -> str:
    """The meter's identification number."""
    return str(device.options.get("secondary", f"{20_000_000 + primary(device):08d}"))


def _thermal_or_volume(view: View) -> Image:
    passing = view.passing
    assert passing is not None
    cooling = view.node is Carrier.COOLING
    power_mw = round(view.measured.total_active_w * 1000)
    return {
        "energy": 0 if cooling else view.counters.import_uj,
        "cold": view.counters.import_uj if cooling else 0,
        "volume": view.counters.volume_nl,
        "flow": passing.flow_ul_per_s,
        "power": -power_mw if cooling else power_mw,
        "supply": passing.supply_millidegc,
        "return": passing.back_millidegc,
        "difference": passing.supply_millidegc - passing.back_millidegc,
    }


def _electric(view: View) -> Image:
    measured = view.measured
    image = {
        "import": view.counters.import_uj,
        "tariff": view.counters.import_uj,  # all of it in the first tariff
        "export": view.counters.export_uj,
        "active": round(measured.total_active_w * 1000),
    }
    for phase in (1, 2, 3):
        image[f"active_{phase}"] = round(measured.active_w[phase - 1] * 1000)
        image[f"voltage_{phase}"] = round(measured.voltage_v[phase - 1] * 1000)
        image[f"current_{phase}"] = round(measured.current_a[phase - 1] * 1000)
    return image


_HEAT: Final = {"heat": 0x04}
_WATER: Final = {"cold_water": 0x16, "hot_water": 0x06}

KINDS: Final[dict[str, MeterKind]] = {
    kind.name: kind
    for kind in (
        MeterKind(
            "kamstrup_multical_601",
            "KAM",
            8,
            _HEAT,
            (
                (
                    *("0C 78 id", "04 06 energy", "04 14 volume", "04 22 running", "04 59 supply", "04 5D return"),
                    *(
                        "04 61 difference",
                        "04 2D power",
                        "14 2D 0",
                        "04 3B flow",
                        "14 3B 0",
                        "84 10 06 0",
                        "84 20 06 0",
                    ),
                    *("84 40 14 0", "84 80 40 14 0", "84 C0 40 06 0", "04 6D clock", "44 06 0", "44 14 0", SERIAL),
                ),
            ),
            "00 00 00 00 E7 E4 00 00 63 66",
        ),
        MeterKind(
            "landis_gyr_ultraheat_t230",
            "LUG",
            7,
            _HEAT,
            (
                (
                    *(
                        "09 74 4",
                        "09 70 8",
                        "0C 06 energy",
                        "0C 14 volume",
                        "0B 2D power",
                        "0B 3B flow",
                        "0B 5A supply",
                    ),
                    *(
                        "0B 5E return",
                        "0B 62 difference",
                        "0C 78 id",
                        "89 10 71 7",
                        "3C 22 0",
                        "0C 22 running",
                        "0C 26 0",
                    ),
                    *("8C 90 10 06 0", "9B 10 2D 0", "4C 06 0", "4C 14 0", "7C 22 0", "04 6D clock", SERIAL),
                ),
            ),
            "09 07 00 66 01",
        ),
        MeterKind(
            "sensus_pollucom_e",
            "SEN",
            8,
            _HEAT,
            (
                (
                    *("0C 06 energy", "0C 13 volume", "0C 3B flow", "0C 2B power", "02 5A supply", "02 5E return"),
                    *("03 60 difference", "0C 78 id", "0C FD 10 id", SERIAL),
                ),
                ("4C 06 0", "4C 13 0", "04 6D clock"),
            ),
        ),
        MeterKind(
            "engelmann_sensostar_2c",
            "EFE",
            1,
            _HEAT,
            (
                (
                    *("04 78 id", "04 6D clock", "04 15 volume", "04 FB 00 energy", "84 20 FB 00 0", "84 30 FB 00 0"),
                    *(
                        "04 3D flow",
                        "04 2D power",
                        "02 5B supply",
                        "02 5F return",
                        "04 61 difference",
                        "01 FD 17 0",
                        SERIAL,
                    ),
                ),
            ),
        ),
        MeterKind(
            "itron_cf51",
            "ACW",
            10,
            {"heat": 0x0D, "cooling": 0x0D},
            (
                (
                    *("0C 78 id", "04 06 energy", "0C 14 volume", "0B 2D power", "0B 3B flow", "0A 5A supply"),
                    *("0A 5E return", "0B 61 difference", "04 6D clock", "09 FD 0E 17", "09 FD 0F 38", "8C C0 00 16 0"),
                    *("8C 80 40 14 0", "04 86 3C cold", SERIAL),
                ),
            ),
            "03 20",
        ),
        MeterKind(
            "itron_cyble_water",
            "ACW",
            0x14,
            _WATER,
            (("0C 78 id", "04 6D clock", "04 14 volume", "04 94 7F 0", "44 14 0", SERIAL),),
            "10 01 1F",
        ),
        MeterKind(
            "itron_cyble_gas",
            "ACW",
            0x14,
            {"gas": 0x03},
            (("0C 78 id", "04 6D clock", "04 14 volume", "04 94 7F 0", "44 14 0", SERIAL),),
            "00 02 1F",
        ),
        MeterKind(
            "elster_falcon_water",
            "ELS",
            10,
            {"cold_water": 0x07, "hot_water": 0x06},
            (("0C 13 volume", "04 6D clock", "4C 13 0", "1B 3B 0", "0B 3B flow", SERIAL),),
            "01 02 03",
        ),
        MeterKind(
            "relay_padpuls_m2_oil",
            "REL",
            0x41,
            {"oil": 0x01},
            (("0C 13 volume", "04 6D clock", "4C 13 0", SERIAL),),
            "00 00 00 00",
        ),
        MeterKind(
            "emu_professional_375",
            "EMU",
            16,
            {"": 0x02},
            (
                (
                    *(
                        "04 78 id",
                        "84 10 03 tariff",
                        "84 20 03 0",
                        "84 90 40 03 0",
                        "84 A0 40 03 0",
                        "04 AB FF 01 active_1",
                    ),
                    *("04 AB FF 02 active_2", "04 AB FF 03 active_3", "04 2B active", "02 FD C8 FF 01 voltage_1"),
                    *("02 FD C8 FF 02 voltage_2", "02 FD C8 FF 03 voltage_3", "04 FD D9 FF 01 current_1"),
                    *("04 FD D9 FF 02 current_2", "04 FD D9 FF 03 current_3", "01 FD 60 0", "01 FD 17 0", SERIAL),
                ),
            ),
        ),
        MeterKind(
            "nzr_dhz_5_63",
            "NZR",
            1,
            {"": 0x02},
            (
                (
                    "0C 03 import",
                    "0C 83 7F 0",
                    "02 FD 48 voltage_1",
                    "02 FD 5B current_1",
                    "04 2B active",
                    "0C 78 id",
                    SERIAL,
                ),
            ),
        ),
    )
}

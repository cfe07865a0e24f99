"""CJ/T 188 water, heat, cooling and gas meters on a serial line: their frames and what they answer. Not the line itself.

Written from CJ/T 188-2004, clauses 5 and 6 and annex A, alone: 68 T A0..A6 C L DI0 DI1 SER data CS 16, low bytes first. 01 reads (answer 81,
refusal C1 with SER and the status word), 03 reads the address. Nothing can be written: a valve is moved by nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from device_sim import line
from device_sim.answer_log import AnswerLog
from device_sim.carriers import NL_PER_M3, Carrier
from device_sim.device import Device
from device_sim.electrical import View
from device_sim.faults import FaultKind
from device_sim.line import Line, Said
from device_sim.profile import UJ_PER_KWH

OPTIONS: Final = line.OPTIONS
_READ, _ADDRESS, _ANSWER, _REFUSAL = 0x01, 0x03, 0x80, 0x40
_ANY: Final = b"\xaa" * 7
_KWH, _KW, _M3, _M3_PER_H = 0x05, 0x17, 0x2C, 0x35  # annex A
_MWH, _GJ = 0x08, 0x11
_UJ_PER_GJ: Final = 10**15
_ENERGY_UNITS: Final = {"kWh": (_KWH, UJ_PER_KWH), "MWh": (_MWH, 1000 * UJ_PER_KWH), "GJ": (_GJ, _UJ_PER_GJ)}
_BATTERY_LOW: Final = 0x04
_VALVES: Final = {"open": 0, "closed": 1, "abnormal": 3}
_SERIAL_BYTES: Final = 4

Image = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MeterKind:
    """One meter model: the byte T, and the carrier that it measures; of heat and cold it counts the energy besides the volume."""

    name: str
    type: int
    carriers: tuple[Carrier, ...]
    modulus_uj: int = 10**6 * UJ_PER_KWH
    family: str = "cjt188"
    # address: 14 digits; di_order "1F90" or "901F": identifier bytes on the wire; unit_place: "before" or "after" the value;
    # energy_unit; valve, battery_low: what the status word says; utc_offset_minutes: of its clock
    options: frozenset[str] = frozenset(
        {"address", "di_order", "unit_place", "energy_unit", "valve", "battery_low", "utc_offset_minutes"}
    )

    def image(self, view: View) -> Image:
        """Volumes in nL, energies in uJ, power in mW, flow in uL/s, temperatures in thousandths of a degree."""
        passing = view.passing
        assert passing is not None, f"{view.device}: a {self.name} measures a carrier, not electricity"
        return {
            "volume_nl": view.counters.volume_nl,
            "energy_uj": view.counters.import_uj,
            "power_mw": round(view.measured.total_active_w * 1000),
            "flow_ul_per_s": passing.flow_ul_per_s,
            "supply_millidegc": passing.supply_millidegc,
            "back_millidegc": passing.back_millidegc,
        }

    def listed(self, device: Device) -> dict[str, object]:
        """How the meter is asked; the serial lies behind the status word."""
        order = str(device.options.get("di_order", "1F90"))
        return {"address": address(device), "type": f"{self.type:02X}", "di_order": order, "serial_offset": self.size}

    @property
    def thermal(self) -> bool:
        """Whether it is a meter of heat or cold."""
        return bool({Carrier.HEAT, Carrier.COOLING} & set(self.carriers))

    @property
    def size(self) -> int:
        """Bytes of the standard's answer behind SER."""
        return 43 if self.thermal else 19


KINDS: Final[dict[str, MeterKind]] = {
    kind.name: kind
    for kind in (
        MeterKind("cjt188_cold_water", 0x10, (Carrier.COLD_WATER,)),
        MeterKind("cjt188_hot_water", 0x11, (Carrier.HOT_WATER,)),
        MeterKind("cjt188_heat", 0x20, (Carrier.HEAT,)),
        MeterKind("cjt188_cooling", 0x21, (Carrier.COOLING,)),
        MeterKind("cjt188_gas", 0x30, (Carrier.GAS,)),
    )
}


def address(device: Device) -> str:
    """The device's printed address; without one it is made of its unit id."""
    return str(device.options.get("address", f"{device.unit:014d}")).zfill(14)


def split(received: bytes) -> tuple[bytes | None, int]:
    """The first whole request in the bytes, from 68 to 16, and how many bytes are done with."""
    for start, byte in enumerate(received):
        if byte != 0x68:
            continue
        rest = received[start:]
        if len(rest) < 11 or len(rest) < 13 + rest[10]:
            return None, start
        whole = rest[: 13 + rest[10]]
        if whole[-1] == 0x16 and sum(whole[:-2]) % 256 == whole[-2]:
            return whole, start + len(whole)
    return None, len(received)


def say(kind: int, wire_address: bytes, control: int, data: bytes) -> bytes:
    """A whole frame of a meter behind two FE."""
    frame = bytes([0x68, kind]) + wire_address + bytes([control, len(data)]) + data
    return b"\xfe\xfe" + frame + bytes([sum(frame) % 256, 0x16])


def decimal(number: int, size: int) -> bytes:
    """A number as `size` bytes of two decimal digits each, the lowest pair first; it rolls over like a counter."""
    left = number % 100**size
    out = []
    for _ in range(size):
        left, pair = divmod(left, 100)
        out.append(pair // 10 * 16 + pair % 10)
    return bytes(out)


class Meter:
    """One meter."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.kind: MeterKind = device.kind
        options = device.options
        self.address = bytes.fromhex(address(device))[::-1]
        low_first = str(options.get("di_order", "1F90")) == "1F90"
        self._metering = bytes.fromhex("1F90" if low_first else "901F")
        self._address_identifier = bytes.fromhex("0A81" if low_first else "810A")
        self._unit_first = options.get("unit_place", "after") == "before"
        self._energy_unit, self._uj_per_unit = _ENERGY_UNITS[str(options.get("energy_unit", "kWh"))]
        self._status = _VALVES[str(options.get("valve", "open"))] | (_BATTERY_LOW if options.get("battery_low") else 0)
        self._offset = timedelta(minutes=int(options.get("utc_offset_minutes", 480)))

    def answer(self, control: int, data: bytes, now_ms: int) -> tuple[int, bytes, bool]:
        """Control code and data of the answer, and whether it carries the serial."""
        active = self.device.faults.active(now_ms)
        serial = data[2:3] or b"\x00"
        refusal = (control | _ANSWER | _REFUSAL, serial + self._status.to_bytes(2, "little"), False)
        if FaultKind.EXCEPTION in active:
            return refusal
        if control == _READ and data[:2] == self._metering:
            jump = active.get(FaultKind.CLOCK_JUMP)
            seconds = now_ms / 1000 + (jump.clock_s if jump is not None else 0.0)
            clock = datetime.fromtimestamp(seconds, UTC) + self._offset
            image: Image = self.device.image(now_ms)
            values = self._thermal(image, clock) if self.kind.thermal else self._volume(image, clock)
            # Behind what the standard has stands the number of the answer: bytes of the maker's own.
            return control | _ANSWER, data[:3] + values + decimal(self.device.serial, _SERIAL_BYTES), True
        if control == _ADDRESS and data[:2] == self._address_identifier:
            return control | _ANSWER, data[:3], False
        return refusal

    def _volume(self, image: Image, clock: datetime) -> bytes:
        """Table 5, water and gas: volume now, volume on settlement day, clock, status."""
        now = self._with_unit(image["volume_nl"] * 100 // NL_PER_M3, _M3)
        return now + self._with_unit(0, _M3) + _clock(clock) + self._status.to_bytes(2, "little")

    def _thermal(self, image: Image, clock: datetime) -> bytes:
        """Table 5, heat: energy on settlement day and now, power, flow, volume, temperatures, hours, clock, status."""
        return b"".join(
            (
                self._with_unit(0, self._energy_unit),
                self._with_unit(image["energy_uj"] * 100 // self._uj_per_unit, self._energy_unit),
                self._with_unit(image["power_mw"] // 10_000, _KW),
                self._with_unit(image["flow_ul_per_s"] * 36 // 1000, _M3_PER_H),  # 1e4 x 3600 / 1e9
                self._with_unit(image["volume_nl"] * 100 // NL_PER_M3, _M3),
                decimal(image["supply_millidegc"] // 10, 3),
                decimal(image["back_millidegc"] // 10, 3),
                decimal(self.device.plant.now_ms // 3_600_000 - self.device.plant.started_ms // 3_600_000, 3),
                _clock(clock),
                self._status.to_bytes(2, "little"),
            )
        )

    def _with_unit(self, count: int, unit: int) -> bytes:
        value = decimal(count, 4)
        return bytes([unit]) + value if self._unit_first else value + bytes([unit])


def _clock(at: datetime) -> bytes:
    """YYYYMMDDhhmmss, low byte first."""
    parts = (at.second, at.minute, at.hour, at.day, at.month, at.year % 100, at.year // 100)
    return b"".join(decimal(part, 1) for part in parts)


class Meters:
    """The meters of one line. `Spoken` of `device_sim.line`."""

    checksum_at = 2

    def __init__(self, members: Sequence[Device]) -> None:
        self._meters = {meter.address: meter for meter in map(Meter, members)}
        if len(self._meters) < len(members):
            raise ValueError("cjt188: expected each address once on a line, got one twice")

    def split(self, received: bytes) -> tuple[bytes | None, int]:
        """See `Spoken`."""
        return split(received)

    def addressed(self, request: bytes) -> Device | None:
        """The meter with the request's address; AA is any, where there is only one."""
        meter = self._meter(request)
        return None if meter is None else meter.device

    def answer(self, request: bytes, now_ms: int) -> Said | None:
        """See `Spoken`."""
        meter = self._meter(request)
        if meter is None:
            return None
        device = meter.device
        device.serial += 1
        control, data, carried = meter.answer(request[9], request[11:-2], now_ms)
        active = device.faults.active(now_ms)
        shows = (FaultKind.WRONG_UNIT, FaultKind.EXCEPTION, FaultKind.FROZEN)
        fault = next((kind for kind in shows if kind in active), None)
        sender = meter.address
        if FaultKind.WRONG_UNIT in active:
            sender, carried = bytes([sender[0] ^ 0x01]) + sender[1:], False
        return Said(device, say(meter.kind.type, sender, control, data), carried, fault, {"control": f"{control:02X}"})

    def _meter(self, request: bytes) -> Meter | None:
        """Type and address must fit; the type AA, like the address AA, is any."""
        kind, wanted = request[1], request[2:9]
        if wanted == _ANY:
            return next(iter(self._meters.values())) if len(self._meters) == 1 else None
        meter = self._meters.get(wanted)
        return meter if meter is not None and kind == meter.kind.type else None


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> Line:
    """Serves meters on one line. See `device_sim.bus`."""
    return Line(members, Meters(members), clock, log, host, options)

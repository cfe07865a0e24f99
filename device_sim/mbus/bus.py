"""M-Bus meters behind a level converter: who answers which request with what. Not the line itself, not the tables of records.

SND_NKE starts a meter anew; REQ_UD2 with a frame count bit that has changed asks for the next telegram, with the same bit for the last one again;
CI 52 at address FD selects by secondary address (F and FF for any), and deselects all others. Where several meters answer at once, their bytes
lie over each other. Nothing can be written.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from device_sim import line
from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind
from device_sim.line import Line, Said
from device_sim.mbus.frames import ACK, answer, date_time, error, header, overlaid, record, split
from device_sim.mbus.kinds import Image, MeterKind, parted, primary, secondary

OPTIONS: Final = line.OPTIONS
_NKE, _SND_UD, _REQ_UD1, _REQ_UD2 = 0x40, 0x53, 0x5A, 0x5B
_FCB: Final = 0x20
_SELECTED, _EVERYBODY, _ALL_SILENT = 0xFD, 0xFE, 0xFF
_SELECT, _RESET = 0x52, 0x50
_MORE, _MAKERS = 0x1F, 0x0F


class Meter:
    """One meter: its addresses, whether it is selected, and where it stands in its telegrams."""

    def __init__(self, device: Device) -> None:
        options = device.options
        self.device = device
        self.kind: MeterKind = device.kind
        device.volume_modulus_nl = self.kind.volume_modulus_nl
        self.primary = primary(device)
        self.identification = secondary(device)
        if not 0 <= self.primary <= 250 or len(self.identification) != 8 or not self.identification.isdecimal():
            raise ValueError(
                f"mbus: {device.name}: expected a primary address from 0 to 250 and a secondary one of 8 digits, "
                f"got {self.primary} and {self.identification!r}"
            )
        self.version = int(options.get("version", self.kind.version))
        self.medium = self.kind.media.get(str(device.node), self.kind.media.get("", 0))
        self._status = int(options.get("status", 0))
        self._offset = timedelta(minutes=int(options.get("utc_offset_minutes", 0)))
        self._began_ms = device.plant.started_ms
        self._access = 0
        self.selected = False
        self.start_anew()

    def start_anew(self) -> None:
        """Forgets the frame count bit; the next telegram is the first."""
        self._fcb: int | None = None
        self._next = 0
        self._last = b""

    def forget(self) -> None:
        """What a meter without power forgets."""
        self.start_anew()
        self.selected = False

    def is_meant(self, wanted: bytes) -> bool:
        """Whether a secondary address, as sent, is this meter's."""
        own = header(self.identification, self.kind.maker, self.version, self.medium, 0, 0)[:8]
        digits = zip(wanted[:4], own[:4], strict=True)
        if any(nibble not in (0xF, mine) for w, o in digits for nibble, mine in ((w >> 4, o >> 4), (w & 15, o & 15))):
            return False
        maker = wanted[4:6] in (b"\xff\xff", own[4:6])
        return maker and all(w in (0xFF, o) for w, o in zip(wanted[6:8], own[6:8], strict=True))

    def user_data(self, control: int, address: int, now_ms: int) -> tuple[bytes, bool, bool]:
        """The telegram, whether it carries a fresh answer serial, and whether it is the last one again."""
        active = self.device.faults.active(now_ms)
        if FaultKind.EXCEPTION in active:
            return error(address, active[FaultKind.EXCEPTION].exception_code % 10), False, False
        if self._last and self._fcb == control & _FCB:
            return self._last, False, True
        self._fcb = control & _FCB
        index = self._next
        self._next = (index + 1) % len(self.kind.telegrams)
        self._access += 1
        shown, at = self.identification, address
        if FaultKind.WRONG_UNIT in active:
            shown, at = f"{(int(shown) + 1) % 10**8:08d}", (address + 1) % 251
        head = header(shown, self.kind.maker, self.version, self.medium, self._access, self._status)
        records = self._records(index, now_ms, active)
        tail = bytes([_MORE])
        if index + 1 == len(self.kind.telegrams):
            tail = bytes([_MAKERS]) + bytes.fromhex(self.kind.makers) if self.kind.makers else b""
        self._last = answer(at, head, records + tail)
        carried = index == 0 and FaultKind.WRONG_UNIT not in active
        return self._last, carried, False

    def _records(self, index: int, now_ms: int, active: Mapping[FaultKind, Fault]) -> bytes:
        image: Image = self.device.image(now_ms)
        jump = active.get(FaultKind.CLOCK_JUMP)
        clock_s = now_ms / 1000 + (jump.clock_s if jump is not None else 0.0)
        own = {
            "id": int(self.identification),
            "serial": self.device.serial,
            "running": (now_ms - self._began_ms) // 1000,
        }
        told = bytearray()
        for entry in self.kind.telegrams[index]:
            head, name = parted(entry)
            if name == "clock":
                told += date_time(head, datetime.fromtimestamp(clock_s, UTC) + self._offset)
            else:
                value = own[name] if name in own else image[name] if name in image else int(name)
                told += record(head, value)
        return bytes(told)


class Meters:
    """The meters of one line. `Spoken` of `device_sim.line`."""

    checksum_at = 2

    def __init__(self, members: Sequence[Device]) -> None:
        self._meters = [Meter(device) for device in members]
        if len({meter.identification for meter in self._meters}) < len(members):
            raise ValueError("mbus: expected each secondary address once on a line, got one twice")

    def split(self, received: bytes) -> tuple[bytes | None, int]:
        """See `Spoken`."""
        return split(received)

    def addressed(self, request: bytes) -> Device | None:
        """The first of the meters that are meant."""
        self._forget_what_reboots()
        meant = self._meant(request)
        return meant[0].device if meant else None

    def answer(self, request: bytes, now_ms: int) -> Said | None:
        """See `Spoken`. What several meters say at once lies over each other."""
        meant = self._meant(request)
        control, address, told = _parts(request)
        if told is not None and told[:1] == bytes([_SELECT]) and address == _SELECTED:
            for meter in self._meters:
                if meter in meant:
                    meter.start_anew()
                meter.selected = meter in meant
        elif control == _NKE:
            for meter in meant:
                meter.start_anew()
                meter.selected = meter.selected and address != _SELECTED
        elif told is not None and told[:1] == bytes([_RESET]):
            for meter in meant:
                meter.start_anew()
        if not meant or address == _ALL_SILENT:
            return None
        if control & ~_FCB == _REQ_UD2:
            return self._user_data(meant, control, address, now_ms)
        if told is not None and told[0] not in (_SELECT, _RESET):
            return None
        device = meant[0].device
        device.serial += 1
        return Said(device, ACK, about={"control": f"{control:02X}"})

    def _user_data(self, meant: Sequence[Meter], control: int, address: int, now_ms: int) -> Said:
        frames: list[bytes] = []
        for meter in meant:
            meter.device.serial += 1
            own = meter.primary if address in (_EVERYBODY, _SELECTED) else address
            frame, carried, again = meter.user_data(control, own, now_ms)
            frames.append(frame)
        device = meant[0].device
        about: dict[str, Any] = {"control": f"{control:02X}", "again": again}
        if len(frames) > 1:
            return Said(device, overlaid(frames), about={**about, "collision": len(frames)})
        active = device.faults.active(now_ms)
        shows = (FaultKind.WRONG_UNIT, FaultKind.EXCEPTION, FaultKind.FROZEN)
        return Said(device, frame, carried, next((kind for kind in shows if kind in active), None), about)

    def _forget_what_reboots(self) -> None:
        for meter in self._meters:
            if FaultKind.REBOOT in meter.device.faults.active(meter.device.plant.now_ms):
                meter.forget()

    def _meant(self, request: bytes) -> list[Meter]:
        """The meters that must react, in the order of the site file; for a selection those that fit it."""
        control, address, told = _parts(request)
        if control & ~_FCB not in (_NKE, _SND_UD, _REQ_UD1, _REQ_UD2):
            return []
        if address == _SELECTED:
            if told is not None and told[:1] == bytes([_SELECT]):
                return [meter for meter in self._meters if len(told) == 9 and meter.is_meant(told[1:])]
            return [meter for meter in self._meters if meter.selected]
        if address in (_EVERYBODY, _ALL_SILENT):
            return list(self._meters)
        return [meter for meter in self._meters if meter.primary == address]


def _parts(request: bytes) -> tuple[int, int, bytes | None]:
    """Control and address of a request, and of a long one CI with what follows."""
    if request[0] == 0x10:
        return request[1], request[2], None
    return request[4], request[5], request[6:-2]


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> Line:
    """Serves meters on one line. See `device_sim.bus`."""
    return Line(members, Meters(members), clock, log, host, options)

"""One simulated device: its counters, serial numbers and answers to Modbus requests. It knows the protocol's content, not the network."""

import struct
from dataclasses import dataclass, field
from typing import Final, Protocol

from device_sim.carriers import NL_PER_M3, Carrier
from device_sim.electrical import Counters, View, measure
from device_sim.faults import Fault, FaultKind, Faults
from device_sim.inverters import BatteryInverter, PvInverter
from device_sim.meters import METER_KINDS
from device_sim.plant import Flow, Node, Plant
from device_sim.profile import UJ_PER_KWH
from device_sim.registers import Image

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_READS: Final = (3, 4)


class Kind(Protocol):
    """A device model."""

    @property
    def name(self) -> str: ...
    @property
    def functions(self) -> frozenset[int]: ...
    @property
    def max_registers(self) -> int: ...
    @property
    def serial_addresses(self) -> tuple[int, ...]: ...
    @property
    def modulus_uj(self) -> int: ...
    def image(self, view: View) -> Image:
        """The registers of one instant."""

    def write(self, view: View, values: dict[int, int]) -> None:
        """Takes written registers; LookupError: not writable, ValueError: out of range."""


KINDS: Final[dict[str, Kind]] = {**METER_KINDS, **{kind.name: kind for kind in (PvInverter(), BatteryInverter())}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client, and what the log will say of it. `carried`: the client has seen the serial."""

    pdu: bytes
    unit: int
    serial: int
    at_ms: int
    address: int
    count: int
    carried: bool
    fault: str | None


@dataclass(slots=True)
class Device:
    """A device at a node of a plant. Counters show (tally + offset) modulo `modulus_uj`; offsets change by start values and counter faults."""

    name: str
    kind: Kind
    unit: int
    plant: Plant
    node: Node | Carrier
    modulus_uj: int
    import_offset_uj: int = 0
    export_offset_uj: int = 0
    serial: int = 0
    faults: Faults = field(default_factory=Faults)
    written: dict[str, int] = field(default_factory=dict)
    volume_modulus_nl: int = 10**8 * NL_PER_M3
    volume_offset_nl: int = 0
    _reactive_offset_uj: tuple[int, int, int] = (0, 0, 0)
    _frozen: tuple[Fault, Image] | None = None

    def counters(self) -> Counters:
        """What the counters show at the plant's present instant."""
        if isinstance(self.node, Carrier):
            stream = self.plant.streams[self.node]
            return Counters(
                import_uj=(stream.energy_uj + self.import_offset_uj) % self.modulus_uj,
                volume_nl=(stream.volume_nl + self.volume_offset_nl) % self.volume_modulus_nl,
            )
        tally, modulus = self.plant.tallies[self.node], self.modulus_uj
        reactive_import, reactive_export, apparent = self._reactive_offset_uj
        return Counters(
            (tally.import_uj + self.import_offset_uj) % modulus,
            (tally.export_uj + self.export_offset_uj) % modulus,
            (tally.reactive_import_uvars + reactive_import) % modulus,
            (tally.reactive_export_uvars + reactive_export) % modulus,
            (tally.apparent_uvas + apparent) % modulus,
        )

    def reset_counters(self) -> None:
        """All counters start from 0 again, at the plant's present instant."""
        if isinstance(self.node, Carrier):
            stream = self.plant.streams[self.node]
            self.import_offset_uj, self.volume_offset_nl = -stream.energy_uj, -stream.volume_nl
            return
        tally = self.plant.tallies[self.node]
        self.import_offset_uj, self.export_offset_uj = -tally.import_uj, -tally.export_uj
        self._reactive_offset_uj = (-tally.reactive_import_uvars, -tally.reactive_export_uvars, -tally.apparent_uvas)

    def approach_rollover(self, below_uj: int) -> None:
        """The active energy counters jump to `below_uj` under their modulus, so that they soon wrap through 0.

        A volume counter jumps to as many m3 below its modulus as `below_uj` is kWh.
        """
        if isinstance(self.node, Carrier):
            stream = self.plant.streams[self.node]
            self.import_offset_uj = self.modulus_uj - below_uj - stream.energy_uj
            below_nl = below_uj * NL_PER_M3 // UJ_PER_KWH
            self.volume_offset_nl = self.volume_modulus_nl - below_nl - stream.volume_nl
            return
        tally = self.plant.tallies[self.node]
        self.import_offset_uj = self.modulus_uj - below_uj - tally.import_uj
        self.export_offset_uj = self.modulus_uj - below_uj - tally.export_uj

    def begin(self, fault: Fault, now_ms: int) -> None:
        """Puts a fault in force: a frozen device keeps this instant's image, a rebooting one forgets its set-points."""
        self.plant.advance(now_ms)
        if fault.kind is FaultKind.FROZEN:
            self._frozen = (fault, self.kind.image(self._view(now_ms)))
        elif fault.kind is FaultKind.REBOOT:
            self.written.clear()
            if isinstance(self.node, Node):
                self.plant.lose_set_points(self.node)
        self.faults.begin(fault)

    def answer(self, function: int, content: bytes, now_ms: int) -> Answer:
        """Answers one request (its PDU without the function code) at an instant. Whether and when it is sent is not decided here."""
        self.plant.advance(now_ms)
        active = self.faults.active(now_ms)
        self.serial += 1
        address, count, carried = 0, 0, False
        fault = active.get(FaultKind.EXCEPTION)
        try:
            address, count = _range(content)
            if fault is not None:
                pdu = _exception(function, fault.exception_code)
            elif function not in self.kind.functions:
                pdu = _exception(function, ILLEGAL_FUNCTION)
            elif function in _READS:
                pdu, carried = self._read(function, address, count, now_ms, active)
            else:
                pdu, count = self._write(function, content, now_ms)
        except LookupError:
            pdu = _exception(function, ILLEGAL_ADDRESS)
        except (ValueError, struct.error):
            pdu = _exception(function, ILLEGAL_VALUE)
        unit = self.unit
        if FaultKind.WRONG_UNIT in active:
            unit, carried = unit % 247 + 1, False
        shown = next(
            (kind.value for kind in (FaultKind.EXCEPTION, FaultKind.WRONG_UNIT, FaultKind.FROZEN) if kind in active),
            None,
        )
        return Answer(pdu, unit, self.serial, now_ms, address, count, carried, shown)

    def _view(self, now_ms: int) -> View:
        passing = None
        if isinstance(self.node, Carrier):
            stream = self.plant.streams[self.node]
            flow, passing = Flow(stream.power_mw), stream.passing()
        else:
            flow = self.plant.flow(self.node)
        return View(
            self.name,
            self.unit,
            self.plant,
            self.node,
            now_ms,
            measure(flow, now_ms),
            self.counters(),
            self.written,
            passing,
        )

    def _read(
        self, function: int, address: int, count: int, now_ms: int, active: dict[FaultKind, Fault]
    ) -> tuple[bytes, bool]:
        if not 1 <= count <= self.kind.max_registers:
            raise ValueError(count)
        if FaultKind.FROZEN in active and self._frozen is not None and self._frozen[0] is active[FaultKind.FROZEN]:
            image = self._frozen[1]
        else:
            image = self.kind.image(self._view(now_ms))
        carried = False
        for pair in self.kind.serial_addresses:
            image.uint32(pair, self.serial)
            carried = carried or (address <= pair and pair + 2 <= address + count)
        registers = image.read(address, count)
        return bytes((function, len(registers))) + registers, carried

    def _write(self, function: int, content: bytes, now_ms: int) -> tuple[bytes, int]:
        address = int.from_bytes(content[:2], "big")
        if function == 6:
            (value,) = struct.unpack(">H", content[2:])
            words: tuple[int, ...] = (value,)
        else:
            count, size = struct.unpack(">HB", content[2:5])
            if not 1 <= count <= 123 or size != 2 * count:
                raise ValueError(count)
            words = struct.unpack(f">{count}H", content[5:])
        self.kind.write(self._view(now_ms), {address + index: word for index, word in enumerate(words)})
        return bytes((function,)) + content[:4], len(words)


def _range(content: bytes) -> tuple[int, int]:
    """Address and the word after it, which is the count in reads and block writes."""
    address, count = struct.unpack(">HH", content[:4])
    return address, count


def _exception(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))

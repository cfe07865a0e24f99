"""A pile's meter: what it shows, with its faults and its own clock, and when it is to be read. Not what is made of a reading (`v16`, `v20`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from device_sim.answer_log import AnswerLog
from device_sim.charging_points import ChargingPoint
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind
from device_sim.ocpp.meter_values import Context, Reading
from device_sim.ocpp.settings import Settings
from device_sim.profile import UJ_PER_WH

NEVER: Final = 2**62


@dataclass
class Metering:
    """The meter between a point and its pile. Readings within a session are due every `sample_s`, all others at whole multiples of `aligned_s`."""

    device: Device
    point: ChargingPoint
    settings: Settings
    log: AnswerLog
    _sample_ms: int = NEVER
    _aligned_ms: int = NEVER
    _frozen: tuple[Fault, Reading] | None = field(default=None)

    def faults(self) -> Mapping[FaultKind, Fault]:
        """The faults in force at the plant's present instant."""
        return self.device.faults.active(self.device.plant.now_ms)

    def stamp(self, at_ms: int) -> int:
        """An instant as the pile's clock has it."""
        jump = self.faults().get(FaultKind.CLOCK_JUMP)
        return at_ms + (round(1000 * jump.clock_s) if jump is not None else 0)

    def reading(self, at_ms: int, energies_uj: tuple[int, int] | None = None) -> Reading:
        """The meter now, or as it stood with the point's energies of an earlier instant."""
        point, device = self.point, self.device
        frozen = self.faults().get(FaultKind.FROZEN)
        if frozen is not None and self._frozen is not None and self._frozen[0] is frozen:
            return replace(self._frozen[1], at_ms=self.stamp(at_ms))  # the clock goes on
        gone_in, gone_out = point.energies(device.plant.now_ms) if energies_uj is None else energies_uj
        visit = point.visit
        used = min(point.phases, visit.phases if visit is not None else 3, point.steering.phases)
        reading = Reading(
            self.stamp(at_ms),
            (gone_in + device.import_offset_uj) % device.modulus_uj // UJ_PER_WH,
            (gone_out + device.export_offset_uj) % device.modulus_uj // UJ_PER_WH,
            point.power_mw,
            point.offered_mw(),
            used,
            point.state_of_charge_percent(device.plant.now_ms),
        )
        self._frozen = None if frozen is None else (frozen, reading)
        return reading

    def due_ms(self) -> int:
        """When the meter is to be read next."""
        return min(self._sample_ms, self._aligned_ms)

    def session_begins(self, now_ms: int) -> None:
        """From now on readings are due every `sample_s`."""
        self._sample_ms = now_ms + 1000 * self.settings.sample_s if self.settings.sample_s else NEVER

    def session_ends(self) -> None:
        """Only readings at whole multiples of `aligned_s` are still due."""
        self._sample_ms = NEVER

    def due(self, now_ms: int) -> list[Context]:
        """Why the meter is to be read at this instant; each reason is told once."""
        found = []
        if now_ms >= self._sample_ms:
            self.session_begins(now_ms)
            found.append(Context.PERIODIC)
        if now_ms >= self._aligned_ms:
            found.append(Context.CLOCK)
        aligned_ms = 1000 * self.settings.aligned_s
        if not aligned_ms:
            self._aligned_ms = NEVER
        elif now_ms >= self._aligned_ms or self._aligned_ms > now_ms + aligned_ms:
            self._aligned_ms = (now_ms // aligned_ms + 1) * aligned_ms
        return found

    def next_serial(self) -> int:
        """A number for the next reading that is sent."""
        self.device.serial += 1
        return self.device.serial

    def log_sent(self, serial: int, reading: Reading, context: Context, message_id: str) -> None:
        """A line of the answer log for a reading that was handed to the network."""
        fault = next(iter(self.faults()), None)
        self.log.write(
            self.device.plant.name,
            self.device.name,
            serial,
            reading.at_ms,
            carried=True,
            fault=None if fault is None else fault.value,
            import_wh=reading.import_wh,
            export_wh=reading.export_wh,
            context=context.value,
            message_id=message_id,
        )

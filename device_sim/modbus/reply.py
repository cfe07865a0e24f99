"""What a simulated device says to one Modbus TCP request under the faults in force. Not the framing. On serial lines `line` does this."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.faults import FaultKind
from device_sim.modbus import answers as modbus_answers
from device_sim.modbus.answers import Answer

_SILENT = (FaultKind.SILENCE, FaultKind.REBOOT)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer on its way; `half`: only the first half of its frame is sent."""

    answer: Answer
    half: bool = False
    carried: bool = False
    fault: str | None = None


class Replies:
    """The answers of the devices of one bus, and their log."""

    def __init__(self, clock: Callable[[], int], answer_log: AnswerLog) -> None:
        self._clock = clock
        self._log = answer_log
        self._last: dict[str, Answer] = {}

    async def of(
        self, device: Device, function: int, content: bytes, given_up: Callable[[], bool], gone: Callable[[], bool]
    ) -> Reply | None:
        """The reply of `device`, after its delay; None: it stays silent, or its client has `gone`.

        `given_up`: whether the client has asked again meanwhile. A late answer is then sent, but nobody counts on it.
        """
        active = device.faults.active(self._clock())
        late = active.get(FaultKind.DELAY)
        if any(kind in active for kind in _SILENT):
            return None
        if late is not None:
            await asyncio.sleep(late.delay_s)
            active = device.faults.active(self._clock())
            if any(kind in active for kind in _SILENT):
                return None
        if gone():
            return None  # nobody there: no answer, no serial, no line
        half = FaultKind.HALF_FRAME in active
        fault = next((kind.value for kind in (FaultKind.HALF_FRAME, FaultKind.STALE) if kind in active), None)
        if FaultKind.STALE in active:
            last = self._last.get(device.name)
            return None if last is None else Reply(last, half, False, fault)
        answer = modbus_answers.answer(device, function, content, self._clock())
        self._last[device.name] = answer
        if fault is None:
            fault = FaultKind.DELAY.value if late is not None and answer.fault is None else answer.fault
        carried = answer.carried and not half and not (late is not None and given_up())
        return Reply(answer, half, carried, fault)

    def note(self, device: Device, reply: Reply) -> None:
        """Writes an answer into the log. To be called after its bytes were handed over and before anything else can run."""
        answer = reply.answer
        self._log.write(
            device.plant.name,
            device.name,
            answer.serial,
            answer.at_ms,
            carried=reply.carried,
            fault=reply.fault,
            unit=answer.unit,
            address=answer.address,
            count=answer.count,
        )

    def one_connection(self, devices: Iterable[Device]) -> bool:
        """Whether a device of this bus lets only one client in at a time."""
        return any(FaultKind.ONE_CONNECTION in device.faults.active(self._clock()) for device in devices)

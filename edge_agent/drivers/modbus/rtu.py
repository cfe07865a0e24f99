"""Modbus RTU on a serial line or behind a transparent serial server: an answer counts only for the request that it belongs to. Not the planning.

RTU frames carry no number of their request. What keeps a late answer from being taken for another register's:
- the line waits for an answer that is still owed, up to one more time-out, before the same unit is asked again;
- an owed answer that looks like the next one (same unit, function and length, other registers) is swept away first: a short read of
  another length is asked, and a unit answers in order;
- an exception that comes while an answer is owed is nobody's: no lesson is drawn from it.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.driver import DeviceMisanswered, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.modbus import rtu_frame
from edge_agent.drivers.modbus.declared import FIRST_UNIT, LAST_UNIT, RtuBus, rtu_cost
from edge_agent.drivers.modbus.reader import RegisterReader, refused
from edge_agent.drivers.modbus.rtu_frame import Expected
from edge_agent.drivers.serial_line import Line, Wiring

_FUNCTION: Final = {"holding": rtu_frame.READ_HOLDING, "input": rtu_frame.READ_INPUT}
_BEHIND_GATEWAY: Final = frozenset({10, 11})
_OWED_S: Final = 60.0  # nobody answers later
_MOST_OWED: Final = 16
_SWEEPS: Final = (2, 4, 6, 8, 1, 3, 5, 7)  # registers; many meters hold two to a value and refuse odd counts


@dataclass(frozen=True, slots=True)
class _Owed:
    function: int
    start: int
    count: int
    asked_s: float


class RtuLink:
    """A `Link` over one line."""

    def __init__(self, line: Line, gateway: Gateway, timeout_s: float) -> None:
        self._line = line
        self._now_ms = gateway.now_ms
        self._frame = gateway.frame
        self._timeout_s = timeout_s
        self._owed: dict[int, list[_Owed]] = {}
        self.at_ms = 0

    def was_silence(self, took_s: float) -> bool:
        """See `Link.was_silence`."""
        return took_s >= 0.5 * self._timeout_s

    def close(self) -> None:
        """Gives the line up; the next request opens it again."""
        self._line.drop()

    async def registers(self, device: str, unit: int, table: str, start: int, count: int) -> bytes:
        """See `Link.registers`."""
        function = _FUNCTION[table]
        what = f"{device}: unit {unit}, {count} {table} registers from {start}"
        while any(
            (owed.function, owed.count) == (function, count) and owed.start != start for owed in self._still_owed(unit)
        ):
            sweep = next((size for size in _SWEEPS if not self._owes(unit, function, size)), None)
            if sweep is None:
                raise DeviceUnreachable(f"{what}: answers to earlier requests are still owed")
            await self._read(
                f"{what}: after a silence", device, unit, _Owed(function, min(start, 0x10000 - sweep), sweep, _now_s())
            )
        return rtu_frame.registers(await self._read(what, device, unit, _Owed(function, start, count, _now_s())))

    async def write(self, device: str, unit: int, start: int, words: bytes, *, many: bool = False) -> None:
        """See `Link.write`."""
        what = f"{device}: unit {unit}, {len(words) // 2} registers from {start} to be written"
        one = len(words) == 2 and not many
        request = rtu_frame.write_one(unit, start, words) if one else rtu_frame.write_many(unit, start, words)
        code = rtu_frame.exception(await self._ask(what, device, request, Expected.to_write(request)))
        if code is not None:
            raise _refused(what, code)

    async def _read(self, what: str, device: str, unit: int, asked: _Owed) -> bytes:
        owed = self._still_owed(unit)
        self._owed[unit] = [*owed, asked][-_MOST_OWED:]
        request = rtu_frame.read(unit, asked.function, asked.start, asked.count)
        frame = await self._ask(what, device, request, Expected.to_read(unit, asked.function, asked.count))
        code = rtu_frame.exception(frame)
        if code is not None and owed:
            self._owed[unit] = owed[1:]
            raise DeviceMisanswered(f"{what}: exception {code}, while the answer to an earlier request was owed")
        del self._owed[unit]
        if code is not None:
            raise _refused(what, code)
        return frame

    async def _ask(self, what: str, device: str, request: bytes, expected: Expected) -> bytes:
        """The frame that answers `request`, an exception perhaps. Raises DriverError."""
        unit, received = request[0], bytearray()
        if not FIRST_UNIT <= unit <= LAST_UNIT:
            raise DriverError(f"{what}: expected a unit from {FIRST_UNIT} to {LAST_UNIT}, which one device answers")

        def seen(sent: bool, data: bytes) -> None:
            if not sent:
                received.extend(data)
            self._frame(device, sent, data)

        try:
            answer = await self._line.exchange(
                request, expected.complete, self._timeout_s, addressee=unit, answer_chars=expected.length, seen=seen
            )
        except DeviceMisanswered as fault:
            raise DeviceMisanswered(f"{what}: {expected.saw(bytes(received)) if received else fault}") from fault
        except DriverError as fault:
            raise type(fault)(f"{what}: {fault}") from fault
        self.at_ms = self._now_ms()
        frame = expected.find(answer)
        assert frame is not None
        return frame

    def _still_owed(self, unit: int) -> list[_Owed]:
        return [owed for owed in self._owed.get(unit, ()) if owed.asked_s > _now_s() - _OWED_S]

    def _owes(self, unit: int, function: int, count: int) -> bool:
        return any((owed.function, owed.count) == (function, count) for owed in self._still_owed(unit))


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _refused(what: str, code: int) -> DriverError:
    if code in _BEHIND_GATEWAY:
        return DeviceUnreachable(f"{what}: the gateway answered for it with exception {code}")
    return refused(what, code)


def open_driver(bus: RtuBus, gateway: Gateway) -> RegisterReader:
    """A driver that opens the line at its first read."""
    line = Line(Wiring.of(bus), echo=bus.echo, connect_pause_s=bus.connect_pause_ms / 1000)
    return RegisterReader(RtuLink(line, gateway, bus.timeout_s), rtu_cost(bus))

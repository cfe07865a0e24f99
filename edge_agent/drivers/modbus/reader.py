"""Reading a Modbus device over any link: which requests are made, in which order, and what refusals and silences teach. Not framing."""

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    DeviceMisanswered,
    DeviceRefused,
    DriverError,
    Written,
)
from edge_agent.drivers.modbus import coalesce, sunspec
from edge_agent.drivers.modbus.coalesce import Cost, Request
from edge_agent.drivers.modbus.declared import ModbusPlan, line
from edge_agent.drivers.modbus.registers import Mismatch
from edge_agent.drivers.modbus.sunspec import Chain
from edge_agent.drivers.modbus.writer import Writer
from wire.reading import Event, Json

log = logging.getLogger(__name__)

_SPLITS: Final = frozenset({2, 3})  # illegal address; illegal value, which some meters give for "too many registers"
_LESSONS: Final = 3  # so many reads in which one request alone is not answered, and it is taken for a refusal
_REPLAN_S: Final = 3600.0  # fields that a device refused are tried again after an hour: it may have been starting up
# Modbus Application Protocol Specification V1.1b3, section 7
_MEANING: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
}
_PASSING: Final = frozenset({4, 5, 6})


class Link(Protocol):
    """One way to Modbus devices, one request at a time."""

    at_ms: int  # when the last answer arrived, UTC ms

    async def registers(self, device: str, unit: int, table: str, start: int, count: int) -> bytes:
        """The bytes of `count` registers. Raises DriverError."""
        ...

    async def write(self, device: str, unit: int, start: int, words: bytes, *, many: bool = False) -> None:
        """Sets holding registers: one by function 6 (16 with `many`), several by 16. Raises DriverError."""
        ...

    def was_silence(self, took_s: float) -> bool:
        """Whether a fault took about as long as the time-out: it cost the bus that time, whatever came instead of the answer."""
        ...

    def close(self) -> None:
        """Gives up the connection; the next request opens it again."""
        ...


def refused(what: str, code: int) -> DeviceRefused:
    """A Modbus exception as an error."""
    return DeviceRefused(what, code, _MEANING.get(code, "unknown"), retry=code in _PASSING)


class _Planned:
    """The requests of one device as they stand now: what the device refuses, or never answers, changes them.

    What was answered once is there: a silence or a refusal says something about the link or the moment, unless it refuses again and again.
    """

    __slots__ = ("answered", "first", "made_at_s", "refusals", "requests", "silences")

    def __init__(self, requests: tuple[Request, ...], made_at_s: float) -> None:
        self.requests = list(requests)
        self.made_at_s = made_at_s
        self.first = 0  # where the next read begins: behind what a deadline or a silence has stopped at
        self.silences: dict[int, int] = {}  # per first register: reads in which only this request went unanswered
        self.refusals: dict[int, int] = {}  # per first register, since its last answer
        self.answered: set[tuple[str, int, int]] = set()  # table, first register, count

    def turn(self, counters_only: bool) -> deque[Request]:
        """The requests of one read in their order."""
        turn = (*self.requests[self.first :], *self.requests[: self.first])
        return deque(request for request in turn if not counters_only or request.decoder.has_counters)

    def note_answer(self, request: Request) -> None:
        """This request's registers are there."""
        self.answered.add((request.table, request.start, request.count))
        self.refusals.pop(request.start, None)

    def was_answered(self, request: Request) -> bool:
        """Whether it was answered since it was planned."""
        return (request.table, request.start, request.count) in self.answered

    def refused(self, request: Request) -> bool:
        """Whether a refusal is to be believed: at once where it was never answered, else the third in a row."""
        count = self.refusals[request.start] = self.refusals.get(request.start, 0) + 1
        return count >= _LESSONS or not self.was_answered(request)

    def replace(self, request: Request) -> tuple[Request, ...]:
        """Puts the two halves of `request` in its place and gives them; for a single field none: it is left out."""
        parts = tuple(part for part in coalesce.split(request) if part.decoder.quantities)
        at = self.requests.index(request)
        self.requests[at : at + 1] = parts
        self.first = 0
        return parts


class RegisterReader:
    """A `Driver` over one link; `cost` is what a request takes on it."""

    listens = False

    def __init__(self, link: Link, cost: Cost) -> None:
        self._link = link
        self._cost = cost
        self._planned: dict[str, _Planned] = {}
        self._chains: dict[str, Chain] = {}
        self._silent_walks: dict[str, int] = {}
        self._writer = Writer(link, self._chains)
        self._told: dict[str, list[Event]] = {}  # of devices that were identified and not yet read

    def planned(self, device: ModbusPlan) -> tuple[Request, ...]:
        """The requests as last planned; before the first read of a SunSpec device, whose addresses only its chain tells, none."""
        planned = self._planned.get(device.name)
        if planned is not None:
            return tuple(planned.requests)
        return () if device.in_models else coalesce.plan(device.fields, device.limits, self._cost)

    def requests(self, device: ModbusPlan) -> tuple[str, ...]:
        """See `Driver.requests`."""
        return tuple(map(line, self.planned(device)))

    async def read(self, device: ModbusPlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. A request that is refused for its addresses is split, at once and for the reads to come."""
        loop = asyncio.get_running_loop()
        planned = self._planned.get(device.name)
        if planned is None or not planned.requests or loop.time() - planned.made_at_s > _REPLAN_S:
            planned = self._planned[device.name] = _Planned(await self._plan(device), loop.time())
        queue, answer, silent = (
            planned.turn(counters_only),
            Answer(events=self._told.pop(device.name, [])),
            list[Request](),
        )
        while queue:
            if deadline_s is not None and answer.requests and loop.time() >= deadline_s:
                answer.left_out = len(queue)
                planned.first = planned.requests.index(queue[0])
                break
            if device.limits.pause_ms and answer.requests:
                await asyncio.sleep(device.limits.pause_ms / 1000)
            request, begun_s = queue.popleft(), loop.time()
            answer.requests += 1
            try:
                await self._one(device, request, answer)
                planned.note_answer(request)
            except DeviceRefused as refusal:
                if refusal.code not in _SPLITS or not planned.refused(request):
                    answer.faults.append(refusal)
                elif parts := planned.replace(request):
                    queue.extendleft(reversed(parts))
                else:
                    answer.faults.append(refusal)
                    log.warning("register_refused device=%s reason=%s", device.name, refusal)
            except DriverError as fault:
                answer.faults.append(fault)
                if isinstance(fault, BusUnreachable) or self._link.was_silence(loop.time() - begun_s):
                    silent.append(request)
                if silent and (not answer.blocks or len(silent) > 1):
                    break  # each further silence would cost the other devices of the bus a time-out
        self._heed(device, planned, silent, answer)
        if answer.faults and not answer.blocks:
            raise answer.faults[0]
        return answer

    async def write(self, device: ModbusPlan, point: str, value: float | None, hold_s: float) -> Written:
        """See `Controllable.write`."""
        return await self._writer.write(device, point, value, hold_s)

    async def registers(self, name: str, unit: int, table: str, start: int, count: int) -> bytes:
        """The bytes of registers that no plan asks for; `name` is what errors call the device. Raises DriverError."""
        return await self._link.registers(name, unit, table, start, count)

    async def close(self) -> None:
        """Closes the connection; the next read opens it again."""
        self._link.close()

    async def _identify(self, device: ModbusPlan, chain: Chain) -> None:
        """Has the next answer tell who made the device. One that will not say is read all the same."""
        common = chain.models.get(sunspec.COMMON)
        if common is None or common.length < sunspec.IDENTITY_WORDS:
            return
        try:
            raw = await self._link.registers(
                device.name, device.unit, device.fields[0].table, common.address + 2, sunspec.IDENTITY_WORDS
            )
        except DriverError as error:
            log.warning("sunspec_identity_unknown device=%s reason=%s", device.name, error)
            return
        found = sunspec.identity(raw)
        body: dict[str, Json] = {**found._asdict(), "models": list(chain.models)}
        event_id = f"device_identity-{device.name}-{zlib.crc32(repr((found, list(chain.models))).encode()):08x}"
        self._told[device.name] = [Event(event_id, self._link.at_ms, device.name, "device_identity", body)]
        log.info("sunspec_device device=%s maker=%s model=%s serial=%s", device.name, *found[:2], found.serial)

    def _bases(self, device: str) -> Sequence[int]:
        """Where to look for a chain: everywhere, but once all was silent only at one place a time, for a silence costs the bus a time-out."""
        silent = self._silent_walks.get(device, 0)
        self._silent_walks[device] = silent + 1  # until the walk has found something
        return sunspec.BASES if silent == 0 else (sunspec.BASES[silent % len(sunspec.BASES)],)

    async def _one(self, device: ModbusPlan, request: Request, answer: Answer) -> None:
        words = await self._link.registers(device.name, device.unit, request.table, request.start, request.count)
        try:
            answer.blocks.append(request.decoder.decode(device.name, words, self._link.at_ms))
        except Mismatch as mismatch:
            self._planned.pop(device.name, None)  # its models have moved: walk the chain again
            self._chains.pop(device.name, None)
            raise DeviceMisanswered(f"{device.name}: {mismatch}") from mismatch

    async def _plan(self, device: ModbusPlan) -> tuple[Request, ...]:
        fields = device.fields
        if device.in_models:
            table = fields[0].table

            async def read(address: int, count: int) -> bytes:
                return await self._link.registers(device.name, device.unit, table, address, count)

            chain = self._chains[device.name] = await sunspec.walk(read, device.name, self._bases(device.name))
            del self._silent_walks[device.name]
            await self._identify(device, chain)
            fields, missing = sunspec.placed(fields, chain)
            if missing and not device.alternatives:
                log.warning("sunspec_models_missing device=%s models=%s", device.name, sorted(missing))
        requests = coalesce.plan(fields, device.limits, self._cost)
        return tuple(request for request in requests if request.decoder.quantities)

    @staticmethod
    def _heed(device: ModbusPlan, planned: _Planned, silent: list[Request], answer: Answer) -> None:
        """Draws the lesson from silences: the next read begins elsewhere, and what alone is never answered is split like a refusal.

        Some meters say nothing, and not "illegal address", when a request touches a register that they do not have.
        """
        if not silent:
            return
        request = silent[0]
        if request in planned.requests:
            planned.first = (planned.requests.index(request) + 1) % len(planned.requests)
        if not answer.blocks or planned.was_answered(request):
            return  # the whole device is silent, or this request is answered at other times
        count = planned.silences[request.start] = planned.silences.get(request.start, 0) + 1
        if count >= _LESSONS and request in planned.requests:
            del planned.silences[request.start]
            parts = planned.replace(request)
            log.warning(
                "request_never_answered device=%s registers=%d..%d split_in=%d",
                device.name,
                request.start,
                request.start + request.count - 1,
                len(parts),
            )

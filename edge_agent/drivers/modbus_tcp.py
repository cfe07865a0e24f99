"""Modbus TCP: one connection per bus, one request at a time, answers checked before they are believed. Not which registers mean what.

pymodbus does framing and transport; its own retries and reconnections are switched off, because both hide what happened. What is
used of it beyond its client's public methods (the context's response future and receive buffer) stands in `_Connection` alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from pymodbus.client.tcp import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
)

from edge_agent.drivers import coalesce, sunspec
from edge_agent.drivers.coalesce import TCP_COST, Request
from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    DeviceMisanswered,
    DevicePlan,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Endpoint,
)
from edge_agent.drivers.registers import Mismatch

log = logging.getLogger(__name__)
# pymodbus logs each failed answer as an error; a dead device must give one line when it is lost, which the collection writes.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_FUNCTION: Final = {"holding": 3, "input": 4}
_SPLITS: Final = frozenset({2, 3})  # illegal address; illegal value, which some meters give for "too many registers"
_BEHIND_GATEWAY: Final = frozenset(
    {10, 11}
)  # no path, or the target did not answer: the gateway speaks for a silent device
_SILENCES: Final = (
    3  # so many time-outs in a row, over all devices: the connection itself is suspected (a black hole) and renewed
)
_LESSONS: Final = 3  # so many reads in which one request alone is not answered, and it is taken for a refusal
_REPLAN_S: Final = 3600.0  # fields that a device refused are tried again after an hour: it may have been starting up
_BUFFER_BYTES: Final = (
    2048  # pymodbus drops its buffer above 264 bytes, less than a late answer and the right one together
)


class _Words(ReadHoldingRegistersResponse):
    """An answer to a register read, kept as bytes: one struct.unpack later takes them all."""

    words: bytes = b""

    def decode(self, data: bytes) -> None:
        self.words = bytes(data[1 : 1 + data[0]]) if data else b""

    def __str__(self) -> str:  # pymodbus formats every answer for its debug log
        return "words"


class _InputWords(_Words):
    function_code = 4


class _Connection:
    """One TCP connection and the request that is under way on it."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], int]) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._client: AsyncModbusTcpClient | None = None
        self._silences = 0
        self._unit = 0
        self._transaction = 0
        self._function = 0
        self._stray = ""  # what came instead of the answer
        self.at_ms = 0

    async def connect(self) -> None:
        """Raises BusUnreachable."""
        if self._client is not None and self._client.connected:
            return
        self.close()
        endpoint = self._endpoint
        client = AsyncModbusTcpClient(
            endpoint.host,
            port=endpoint.port,
            timeout=endpoint.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._packet,
            trace_pdu=self._pdu,
            trace_connect=self._connected,
        )
        client.set_max_no_responses(1 << 30)  # we decide ourselves when to give the connection up
        client.register(_Words)
        client.register(_InputWords)
        client.ctx.max_buffer_size = _BUFFER_BYTES
        self._client = client
        if not await client.connect():
            self.close()
            raise BusUnreachable(f"{endpoint.host}:{endpoint.port}: no connection within {endpoint.timeout_s} s")
        self._silences = 0
        if endpoint.connect_pause_ms:
            await asyncio.sleep(endpoint.connect_pause_ms / 1000)

    def was_silence(self, took_s: float) -> bool:
        """Whether a fault took about as long as the time-out: it cost the bus that time, whatever came instead of the answer."""
        return took_s >= 0.5 * self._endpoint.timeout_s

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def registers(self, device: str, unit: int, table: str, start: int, count: int) -> bytes:
        """The bytes of `count` registers; `at_ms` is then when they arrived. Raises DriverError."""
        await self.connect()
        client = self._client
        assert client is not None
        what = f"{device}: unit {unit}, {count} {table} registers from {start}"
        request = (ReadHoldingRegistersRequest if table == "holding" else ReadInputRegistersRequest)(
            dev_id=unit, address=start, count=count
        )
        self._unit, self._function, self._stray = unit, _FUNCTION[table], ""
        try:
            answer = await client.ctx.execute(False, request)
        except ConnectionException as error:
            self.close()
            raise DeviceUnreachable(f"{what}: the connection was closed before the answer") from error
        except ModbusException as error:
            raise self._silence(what) from error
        self._silences = 0
        if (
            answer.transaction_id != self._transaction or answer.dev_id != unit
        ):  # pymodbus lets transaction 0 and unit 0 pass
            raise DeviceMisanswered(f"{what}: {self._stray}")
        if answer.isError():
            if answer.exception_code in _BEHIND_GATEWAY:
                raise DeviceUnreachable(f"{what}: the gateway answered for it with exception {answer.exception_code}")
            raise DeviceRefused(what, answer.exception_code)
        assert isinstance(answer, _Words)
        if len(answer.words) != 2 * count:
            raise DeviceMisanswered(f"{what}: expected {2 * count} bytes, saw {len(answer.words)}")
        return answer.words

    def _silence(self, what: str) -> DriverError:
        """What a time-out means: nothing came, or what came was not the answer."""
        self._silences += 1
        half_a_frame = self._client is not None and len(self._client.ctx.recv_buffer)
        if half_a_frame or self._silences >= _SILENCES:
            self.close()  # what is left of a frame would be read as the start of the next one
        if self._stray:
            return DeviceMisanswered(f"{what}: {self._stray}")
        if half_a_frame:
            return DeviceMisanswered(
                f"{what}: expected a whole frame, saw {half_a_frame} bytes within {self._endpoint.timeout_s} s"
            )
        return DeviceUnreachable(f"{what}: no answer within {self._endpoint.timeout_s} s")

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """Sees the bytes of each frame, to name an answer with a foreign header: pymodbus skips it without a word.

        Frames of a foreign unit or transaction are passed on to be skipped; at one of a foreign function or protocol, which would
        end the connection in an unhandled exception, the bytes are withheld: the time-out then finds them in the buffer.
        """
        if sending:
            self._transaction = int.from_bytes(data[:2], "big")
            return data
        at = 0
        while len(data) >= at + 8:
            transaction, protocol, length = (int.from_bytes(data[at + 2 * i : at + 2 * i + 2], "big") for i in range(3))
            unit, function = data[at + 6], data[at + 7]
            if protocol or function & 0x7F != self._function:
                self._stray = f"expected protocol 0 and function {self._function}, saw {protocol} and {function}"
                return data[:at]
            if transaction == self._transaction and unit == self._unit:
                return data
            self._stray = (
                f"expected transaction {self._transaction} of unit {self._unit}, saw {transaction} of unit {unit}"
            )
            at += 6 + length
        return data

    def _pdu(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending:
            self.at_ms = self._clock()
        return pdu

    def _connected(self, connected: bool) -> None:
        if connected or self._client is None:
            return
        waiting = self._client.ctx.response_future
        if not waiting.done():
            waiting.set_exception(ConnectionException("closed by the other side"))


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


class ModbusTcp:
    """A `Driver` for one host and port."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], int]) -> None:
        self._connection = _Connection(endpoint, clock)
        self._planned: dict[str, _Planned] = {}

    def requests(self, device: DevicePlan) -> tuple[Request, ...]:
        """The requests as last planned; before the first read of a SunSpec device, whose addresses only its chain tells, none."""
        planned = self._planned.get(device.name)
        if planned is not None:
            return tuple(planned.requests)
        return () if _in_models(device) else coalesce.plan(device.fields, device.limits, TCP_COST)

    async def read(self, device: DevicePlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. A request that is refused for its addresses is split, at once and for the reads to come."""
        loop = asyncio.get_running_loop()
        planned = self._planned.get(device.name)
        if planned is None or not planned.requests or loop.time() - planned.made_at_s > _REPLAN_S:
            planned = self._planned[device.name] = _Planned(await self._plan(device), loop.time())
        queue, answer, silent = planned.turn(counters_only), Answer(), list[Request]()
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
                if isinstance(fault, BusUnreachable) or self._connection.was_silence(loop.time() - begun_s):
                    silent.append(request)
                if silent and (not answer.blocks or len(silent) > 1):
                    break  # each further silence would cost the other devices of the bus a time-out
        self._heed(device, planned, silent, answer)
        if answer.faults and not answer.blocks:
            raise answer.faults[0]
        return answer

    async def close(self) -> None:
        """Closes the connection; the next read opens it again."""
        self._connection.close()

    async def _one(self, device: DevicePlan, request: Request, answer: Answer) -> None:
        connection = self._connection
        words = await connection.registers(device.name, device.unit, request.table, request.start, request.count)
        try:
            answer.blocks.append(request.decoder.decode(device.name, words, connection.at_ms))
        except Mismatch as mismatch:
            self._planned.pop(device.name, None)  # its models have moved: walk the chain again
            raise DeviceMisanswered(f"{device.name}: {mismatch}") from mismatch

    async def _plan(self, device: DevicePlan) -> tuple[Request, ...]:
        fields = device.fields
        if _in_models(device):
            table = fields[0].table

            async def read(address: int, count: int) -> bytes:
                return await self._connection.registers(device.name, device.unit, table, address, count)

            fields, missing = sunspec.placed(fields, await sunspec.walk(read, device.name))
            if missing:
                log.warning("sunspec_models_missing device=%s models=%s", device.name, sorted(missing))
        requests = coalesce.plan(fields, device.limits, TCP_COST)
        return tuple(request for request in requests if request.decoder.quantities)

    @staticmethod
    def _heed(device: DevicePlan, planned: _Planned, silent: list[Request], answer: Answer) -> None:
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


def open_driver(endpoint: Endpoint, clock: Callable[[], int]) -> ModbusTcp:
    """A driver that connects at its first read."""
    return ModbusTcp(endpoint, clock)


def _in_models(device: DevicePlan) -> bool:
    return any(field.model_block is not None for field in device.fields)

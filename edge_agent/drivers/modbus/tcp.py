"""Modbus TCP: one connection per bus, one request at a time, answers checked before they are believed. Not which registers mean what.

pymodbus does framing and transport; its own retries and reconnections are switched off, because both hide what happened. What is
used of it beyond its client's public methods (the context's response future and receive buffer) stands in `_Connection` alone.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from pymodbus.client.tcp import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from edge_agent.drivers.driver import (
    BusUnreachable,
    DeviceMisanswered,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from edge_agent.drivers.modbus.coalesce import TCP_COST
from edge_agent.drivers.modbus.declared import TcpBus
from edge_agent.drivers.modbus.reader import RegisterReader, refused

log = logging.getLogger(__name__)
# pymodbus logs each failed answer as an error; a dead device must give one line when it is lost, which the collection writes.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_FUNCTION: Final = {"holding": 3, "input": 4}
_BEHIND_GATEWAY: Final = frozenset(
    {10, 11}
)  # no path, or the target did not answer: the gateway speaks for a silent device
_SILENCES: Final = (
    3  # so many time-outs in a row, over all devices: the connection itself is suspected (a black hole) and renewed
)
_BUFFER_BYTES: Final = (
    2048  # pymodbus drops its buffer above 264 bytes, less than a late answer and the right one together
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the devices are and how patient to be. Times in real seconds and milliseconds: the network knows no accelerated clock."""

    host: str
    port: int
    timeout_s: float = 1.0
    connect_pause_ms: float = 0.0


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

    def __init__(self, endpoint: Endpoint, gateway: Gateway) -> None:
        self._endpoint = endpoint
        self._clock = gateway.now_ms
        self._frame = gateway.frame
        self._device = ""
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
        begin_s = asyncio.get_running_loop().time()
        if not await client.connect():
            self.close()
            why = f"within {endpoint.timeout_s:g} s"
            if not self.was_silence(asyncio.get_running_loop().time() - begin_s):
                why = "(it was refused, or the host is not known or not reachable)"
            raise BusUnreachable(f"{endpoint.host}:{endpoint.port}: no connection {why}")
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
        what = f"{device}: unit {unit}, {count} {table} registers from {start}"
        request = (ReadHoldingRegistersRequest if table == "holding" else ReadInputRegistersRequest)(
            dev_id=unit, address=start, count=count
        )
        answer = await self._ask(what, device, request, _FUNCTION[table])
        assert isinstance(answer, _Words)
        if len(answer.words) != 2 * count:
            raise DeviceMisanswered(f"{what}: expected {2 * count} bytes, saw {len(answer.words)}")
        return answer.words

    async def write(self, device: str, unit: int, start: int, words: bytes, *, many: bool = False) -> None:
        """See `Link.write`."""
        numbers = [int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2)]
        count, what = len(numbers), f"{device}: unit {unit}, {len(numbers)} registers from {start} to be written"
        if count == 1 and not many:
            one = WriteSingleRegisterRequest(dev_id=unit, address=start, registers=numbers)
            answer = await self._ask(what, device, one, 6)
            wanted, seen = (start, numbers), (answer.address, list(answer.registers))
        else:
            several = WriteMultipleRegistersRequest(dev_id=unit, address=start, count=count, registers=numbers)
            answer = await self._ask(what, device, several, 16)
            wanted, seen = (start, [count]), (answer.address, [answer.count])
        if seen != wanted:
            raise DeviceMisanswered(f"{what}: expected {wanted} to be said back, saw {seen}")

    async def _ask(self, what: str, device: str, request: ModbusPDU, function: int) -> ModbusPDU:
        """The answer to `request`, which is no exception. Raises DriverError."""
        await self.connect()
        client = self._client
        assert client is not None
        self._unit, self._function, self._stray, self._device = request.dev_id, function, "", device
        try:
            answer = await client.ctx.execute(False, request)
        except ConnectionException as error:
            self.close()
            raise DeviceUnreachable(f"{what}: the connection was closed before the answer") from error
        except ModbusException as error:
            raise self._silence(what) from error
        self._silences = 0
        if (
            answer.transaction_id != self._transaction or answer.dev_id != request.dev_id
        ):  # pymodbus lets transaction 0 and unit 0 pass
            raise DeviceMisanswered(f"{what}: {self._stray}")
        if answer.isError():
            if answer.exception_code in _BEHIND_GATEWAY:
                raise DeviceUnreachable(f"{what}: the gateway answered for it with exception {answer.exception_code}")
            raise refused(what, answer.exception_code)
        return answer

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

        Frames of a foreign unit or transaction are passed on to be skipped, with our function in them; at one of our own transaction with
        a foreign function or protocol the bytes are withheld: the time-out then finds them in the buffer. pymodbus would end the
        connection in an unhandled exception at a function that it does not await.
        """
        self._frame(self._device, sending, data)
        if sending:
            self._transaction = int.from_bytes(data[:2], "big")
            return data
        at = 0
        while len(data) >= at + 8:
            transaction, protocol, length = (int.from_bytes(data[at + 2 * i : at + 2 * i + 2], "big") for i in range(3))
            unit, function = data[at + 6], data[at + 7]
            ours, fits = transaction == self._transaction and unit == self._unit, function & 0x7F == self._function
            if protocol or (ours and not fits):
                self._stray = f"expected protocol 0 and function {self._function}, saw {protocol} and {function}"
                return data[:at]
            if ours:
                return data
            self._stray = (
                f"expected transaction {self._transaction} of unit {self._unit}, saw {transaction} of unit {unit}"
            )
            if not fits:
                data = data[: at + 7] + bytes((self._function,)) + data[at + 8 :]
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


class ModbusTcp(RegisterReader):
    """A `Driver` for one host and port."""

    def __init__(self, endpoint: Endpoint, gateway: Gateway) -> None:
        super().__init__(_Connection(endpoint, gateway), TCP_COST)


def open_driver(bus: TcpBus, gateway: Gateway) -> ModbusTcp:
    """A driver that connects at its first read."""
    return ModbusTcp(Endpoint(bus.host, bus.port, bus.timeout_s, bus.connect_pause_ms), gateway)

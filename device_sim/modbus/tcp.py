"""A Modbus TCP server for several unit ids on one port: framing, order, silence and lateness. What an answer says is the device's matter.

Frames as in "MODBUS Messaging on TCP/IP Implementation Guide V1.0b", section 3.1: transaction id, protocol id 0, length, unit id, PDU.
"""

import asyncio
import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.modbus.reply import Replies

log = logging.getLogger(__name__)

GATEWAY_TARGET_SILENT: Final = 0x0B
_HEADER: Final = struct.Struct(">HHHB")
_LONGEST_PDU: Final = 253
_WAITING_REQUESTS: Final = 16
_MAX_CONNECTIONS: Final = 64
_IDLE_S: Final = 600.0
_SEND_S: Final = 10.0
OPTIONS: Final = frozenset({"port"})


@dataclass(frozen=True, slots=True)
class _Request:
    transaction: int
    unit: int
    function: int
    content: bytes


class _Connection:
    """One client: a task reads requests into a short queue, another answers them in order."""

    def __init__(self, server: "ModbusTcpServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._requests: asyncio.Queue[_Request | None] = asyncio.Queue(_WAITING_REQUESTS)
        self._ended = False

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            while not (self._ended and self._requests.empty()):
                request = await self._requests.get()
                if request is not None:
                    await self._answer(request)
        except (ConnectionError, TimeoutError):
            pass  # the client has gone or does not take its answers: nothing is owed to it
        finally:
            reading.cancel()
            self._writer.close()

    async def _read(self) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    transaction, protocol, length, unit = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
                    if protocol != 0 or not 2 <= length <= _LONGEST_PDU + 1:
                        return
                    pdu = await self._reader.readexactly(length - 1)
                await self._requests.put(_Request(transaction, unit, pdu[0], pdu[1:]))
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._ended = True
            if not self._requests.full():
                self._requests.put_nowait(None)  # wakes the answering task, which then sees the end

    async def _answer(self, request: _Request) -> None:
        device = self._server.units.get(request.unit)
        if device is None:
            await self._send(request.transaction, request.unit, bytes((request.function | 0x80, GATEWAY_TARGET_SILENT)))
            return
        reply = await self._server.replies.of(
            device,
            request.function,
            request.content,
            given_up=lambda: not self._requests.empty(),
            gone=lambda: self._ended or self._writer.is_closing(),
        )
        if reply is not None:
            self._hand_over(request.transaction, reply.answer.unit, reply.answer.pdu, half=reply.half)
            self._server.replies.note(device, reply)
            await self._drain()

    async def _send(self, transaction: int, unit: int, pdu: bytes) -> None:
        self._hand_over(transaction, unit, pdu)
        await self._drain()

    def _hand_over(self, transaction: int, unit: int, pdu: bytes, *, half: bool = False) -> None:
        frame = _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu
        self._writer.write(frame[: len(frame) // 2] if half else frame)

    async def _drain(self) -> None:
        async with asyncio.timeout(_SEND_S):
            await self._writer.drain()


class ModbusTcpServer:
    """Serves devices by unit id on one port (0: the system chooses). `async with` starts and stops it; `port` is the actual one."""

    def __init__(
        self,
        units: Mapping[int, Device],
        clock: Callable[[], int],
        answer_log: AnswerLog,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.units = units
        self.replies = Replies(clock, answer_log)
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "ModbusTcpServer":
        self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MAX_CONNECTIONS:
            log.warning("modbus connection refused port=%d open=%d", self.port, len(self._connections))
            writer.close()
            return
        if self._connections and self.replies.one_connection(self.units.values()):
            writer.close()
            return
        task = asyncio.create_task(_Connection(self, reader, writer).run(), name=f"modbus-{self.port}")
        self._connections.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # such as a log on a full disk
            log.error("modbus connection failed port=%d", self.port, exc_info=error)

    @property
    def place(self) -> dict[str, Any]:
        """See `Bus.place`."""
        return {"host": self.host, "port": self.port}

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Knows no requests."""
        raise ValueError(f"request: expected nothing for a bus of Modbus devices, got {sorted(request)}")


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> ModbusTcpServer:
    """Serves `members` by their unit ids. See `device_sim.bus`."""
    return ModbusTcpServer({device.unit: device for device in members}, clock, log, host, int(options.get("port", 0)))

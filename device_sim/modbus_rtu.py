"""A Modbus RTU server for several units on one line: a pseudo-terminal, or a TCP port like that of a transparent serial server. Not the devices.

Frames as in "MODBUS over Serial Line V1.02", 2.5.1: unit, function, content, CRC-16 low byte first. Units that are not there are silent.
"""

import asyncio
import logging
import os
import tty
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.modbus_reply import Replies

log = logging.getLogger(__name__)

_WAITING_REQUESTS: Final = 16
_MAX_CONNECTIONS: Final = 16
_LONGEST_FRAME: Final = 256
_IDLE_S: Final = 600.0
_GAP_S: Final = 0.05  # what is no frame after so long a silence is dropped
OPTIONS: Final = frozenset({"port", "serial", "turnaround_ms"})
_FIXED: Final = 8  # requests of functions 1 to 6
_BLOCKS: Final = (15, 16)  # requests that say their length


def crc(data: bytes) -> bytes:
    """The two checksum bytes behind `data`."""
    remainder = 0xFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0xA001 if remainder & 1 else 0)
    return remainder.to_bytes(2, "little")


def requests_in(received: bytearray) -> list[bytes]:
    """Takes the whole requests out of what was received; the start of another one stays. Noise in front of a request is dropped."""
    found = []
    at = 0
    while len(received) - at >= _FIXED:
        function = received[at + 1]
        length = 9 + received[at + 6] if function in _BLOCKS else _FIXED
        if len(received) - at < length:
            break
        frame = bytes(received[at : at + length])
        if crc(frame[:-2]) == frame[-2:]:
            found.append(frame)
            at += length
        else:
            at += 1
    del received[:at]
    return found


class _Listener:
    """One client's side of the line: takes requests apart and lets each unit answer its own in order."""

    def __init__(self, server: "ModbusRtuServer", send: Callable[[bytes], bool], gone: Callable[[], bool]) -> None:
        self._server = server
        self._send = send
        self._gone = gone
        self._received = bytearray()
        self._gap: asyncio.TimerHandle | None = None
        self._queues: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        self._received += data
        for frame in requests_in(self._received):
            self._take(frame)
        if self._gap is not None:
            self._gap.cancel()
        self._gap = asyncio.get_running_loop().call_later(_GAP_S, self._silence)

    def _silence(self) -> None:
        """A frame has ended, whatever it says of its length: that is how functions of unknown length are told apart."""
        frame, self._received = bytes(self._received), bytearray()
        if 4 <= len(frame) <= _LONGEST_FRAME and crc(frame[:-2]) == frame[-2:]:
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        if frame[0] not in self._server.units:
            return
        queue = self._queues.get(frame[0])
        if queue is None:
            queue = self._queues[frame[0]] = asyncio.Queue(_WAITING_REQUESTS)
            self._tasks.append(asyncio.create_task(self._unit(self._server.units[frame[0]], queue)))
        if not queue.full():
            queue.put_nowait(frame)

    async def _unit(self, device: Device, queue: asyncio.Queue[bytes]) -> None:
        while not self._gone():
            request = await queue.get()
            if self._server.turnaround_s:
                await asyncio.sleep(self._server.turnaround_s)
            reply = await self._server.replies.of(
                device, request[1], request[2:-2], given_up=lambda: not queue.empty(), gone=self._gone
            )
            if reply is None:
                continue
            body = bytes((reply.answer.unit,)) + reply.answer.pdu
            check = crc(body)
            frame = body + (bytes(byte ^ 0xFF for byte in check) if reply.spoiled else check)
            if self._send(frame[: len(frame) // 2] if reply.half else frame):
                self._server.replies.note(device, reply)

    async def end(self) -> None:
        """Stops answering."""
        if self._gap is not None:
            self._gap.cancel()
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):  # such as a log on a full disk
                log.error("modbus unit failed", exc_info=result)


class ModbusRtuServer:
    """Serves devices by unit id. `async with` starts and stops it; `place` then says where: {"serial"} or {"host", "port"}.

    serial: a pseudo-terminal, whose slave side is opened like a serial port, instead of a TCP port (0: the system chooses).
    turnaround_s: how long each unit takes before it answers.
    """

    def __init__(
        self,
        units: Mapping[int, Device],
        clock: Callable[[], int],
        answer_log: AnswerLog,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        serial: bool = False,
        turnaround_s: float = 0.0,
    ) -> None:
        self.units = units
        self.replies = Replies(clock, answer_log)
        self.turnaround_s = turnaround_s
        self.place: dict[str, Any] = {}
        self._host, self._port, self._serial = host, port, serial
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._terminal: tuple[int, int] | None = None
        self._line: _Listener | None = None

    async def __aenter__(self) -> "ModbusRtuServer":
        if self._serial:
            self._open_terminal()
        else:
            self._server = await asyncio.start_server(self._connected, self._host, self._port)
            self.place = {"host": self._host, "port": self._server.sockets[0].getsockname()[1]}
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        if self._terminal is not None:
            asyncio.get_running_loop().remove_reader(self._terminal[0])
        if self._line is not None:
            await self._line.end()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._terminal is not None:
            for end in self._terminal:
                os.close(end)

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Knows no requests."""
        raise ValueError(f"request: expected nothing for a bus of Modbus devices, got {sorted(request)}")

    def _open_terminal(self) -> None:
        """Our own hold on the slave side keeps the terminal alive while clients come and go."""
        master, slave = self._terminal = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.place = {"serial": os.ttyname(slave)}
        line = self._line = _Listener(self, self._write, lambda: False)
        asyncio.get_running_loop().add_reader(master, lambda: line.feed(os.read(master, 4096)))

    def _write(self, frame: bytes) -> bool:
        assert self._terminal is not None
        try:
            return os.write(self._terminal[0], frame) == len(frame)
        except BlockingIOError:
            return False  # nobody takes the answers

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MAX_CONNECTIONS or (
            self._connections and self.replies.one_connection(self.units.values())
        ):
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer), name=f"modbus-rtu-{self.place['port']}")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(frame: bytes) -> bool:
            if writer.is_closing():
                return False
            writer.write(frame)
            return True

        client = _Listener(self, send, lambda: writer.is_closing() or reader.at_eof())
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    data = await reader.read(4096)
                    if not data:
                        return
                    client.feed(data)
                    await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()
            await client.end()


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> ModbusRtuServer:
    """Serves `members` by their unit ids. See `device_sim.bus`."""
    return ModbusRtuServer(
        {device.unit: device for device in members},
        clock,
        log,
        host,
        int(options.get("port", 0)),
        serial=bool(options.get("serial", False)),
        turnaround_s=float(options.get("turnaround_ms", 0.0)) / 1000,
    )

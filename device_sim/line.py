"""The devices' end of a serial line: a pseudo-terminal, or a TCP port such as a transparent serial server has. Not what is said on it.

Every device hears every request; the protocol says which one answers, and with what. Half a frame, a wrong checksum, an old answer, silence and
lateness are the same for all protocols on such a line and happen here.
"""

import asyncio
import logging
import os
import tty
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind

log = logging.getLogger(__name__)

OPTIONS: Final = frozenset({"serial", "port", "turnaround_ms"})
_LONGEST_BUFFER: Final = 4096
_WAITING_REQUESTS: Final = 16
_MAX_CONNECTIONS: Final = 64
_SEND_S: Final = 10.0
_MUTE: Final = frozenset({FaultKind.SILENCE, FaultKind.REBOOT})


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: who gives it, its bytes, whether it carries the device's answer serial, which fault shows in it, and what the log says of it."""

    device: Device
    frame: bytes
    carried: bool = False
    fault: FaultKind | None = None
    about: Mapping[str, Any] | None = None


class Spoken(Protocol):
    """A protocol on the line. `checksum_at`: the index of a byte of the checksum in a frame, counted from its end."""

    @property
    def checksum_at(self) -> int: ...
    def split(self, received: bytes) -> tuple[bytes | None, int]:
        """The first whole request in what has come in, if there is one, and how many bytes are done with."""
        ...

    def answer(self, request: bytes, now_ms: int) -> Said | None:
        """What is answered, and None where nobody is meant; called once for each request that the devices hear."""
        ...

    def addressed(self, request: bytes) -> Device | None:
        """Whose request this is; nothing is answered yet."""
        ...


class Line:
    """Serves devices on one line. `async with` starts and stops it; `place` then says where it is.

    options: `serial` = true for a pseudo-terminal, else `port` (0: the system chooses); `turnaround_ms` before each answer.
    """

    def __init__(
        self,
        members: Sequence[Device],
        spoken: Spoken,
        clock: Callable[[], int],
        answer_log: AnswerLog,
        host: str,
        options: Mapping[str, Any],
    ) -> None:
        self._members = members
        self._spoken = spoken
        self._clock = clock
        self._log = answer_log
        self._host = host
        self._port = int(options.get("port", 0))
        self._on_pty = bool(options.get("serial", False))
        self._turnaround_s = float(options.get("turnaround_ms", 0)) / 1000
        self._last: dict[str, bytes] = {}  # per device, the answer that a stale one repeats
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._pty: _Pty | None = None

    @property
    def place(self) -> dict[str, Any]:
        """See `device_sim.bus.Bus`."""
        return {"serial": self._pty.path} if self._pty is not None else {"host": self._host, "port": self._port}

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Knows no requests."""
        raise ValueError(f"request: expected nothing for a bus on a serial line, got {sorted(request)}")

    async def __aenter__(self) -> Self:
        if self._on_pty:
            self._pty = _Pty()
            reader = asyncio.StreamReader()
            self._pty.open(reader)
            self._start(reader, self._pty)
        else:
            self._server = await asyncio.start_server(self._connected, self._host, self._port)
            self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = self._clock()
        alone = any(FaultKind.ONE_CONNECTION in device.faults.active(now) for device in self._members)
        if len(self._tasks) >= (1 if alone else _MAX_CONNECTIONS):
            writer.close()
            return
        self._start(reader, writer)

    def _start(self, reader: asyncio.StreamReader, port: "asyncio.StreamWriter | _Pty") -> None:
        task = asyncio.create_task(_Talk(self, reader, port).run(), name="line")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # such as a log on a full disk
            log.error("line failed place=%s", self.place, exc_info=error)

    def split(self, received: bytes) -> tuple[bytes | None, int]:
        """See `Spoken.split`."""
        return self._spoken.split(received)

    def addressee(self, request: bytes) -> str:
        """The name of the device that a request is for; empty where it is for none, or for all."""
        device = self._spoken.addressed(request)
        return "" if device is None else device.name

    async def answer(self, request: bytes, given_up: Callable[[], bool], send: Callable[[bytes], bool]) -> None:
        """Lets the devices hear one request and sends what they say. `given_up`: a newer request has come in meanwhile."""
        device = self._spoken.addressed(request)
        late: Fault | None = None
        if device is not None:
            late = device.faults.active(self._clock()).get(FaultKind.DELAY)
        await asyncio.sleep((late.delay_s if late is not None else 0.0) + self._turnaround_s)
        now = self._clock()
        active = device.faults.active(now) if device is not None else {}
        if _MUTE & active.keys():
            return
        said = self._spoken.answer(request, now)
        if said is None:
            return
        frame, fault, carried = said.frame, said.fault, said.carried and not (late is not None and given_up())
        if FaultKind.STALE in active and said.device.name in self._last:
            frame, fault, carried = self._last[said.device.name], FaultKind.STALE, False
        else:
            self._last[said.device.name] = frame
        if FaultKind.WRONG_CHECKSUM in active:
            at = len(frame) - self._spoken.checksum_at
            frame = frame[:at] + bytes((frame[at] ^ 0xFF,)) + frame[at + 1 :]
            fault, carried = FaultKind.WRONG_CHECKSUM, False
        if FaultKind.HALF_FRAME in active:
            frame, fault, carried = frame[: len(frame) // 2], FaultKind.HALF_FRAME, False
        if late is not None and fault is None:
            fault = FaultKind.DELAY
        # Logged after the bytes were handed to the operating system and before anything else can run.
        if not send(frame):
            return  # nobody there: no line in the log
        self._log.write(
            said.device.plant.name,
            said.device.name,
            said.device.serial,
            now,
            carried=carried,
            fault=None if fault is None else fault.value,
            **(said.about or {}),
        )


class _Talk:
    """One client: what comes in is cut into requests, and each device answers its own in order. A slow one holds up no other."""

    def __init__(self, line: Line, reader: asyncio.StreamReader, port: "asyncio.StreamWriter | _Pty") -> None:
        self._line = line
        self._reader = reader
        self._port = port
        self._waiting: dict[str, asyncio.Queue[bytes]] = {}

    async def run(self) -> None:
        buffer = bytearray()
        try:
            async with asyncio.TaskGroup() as answering:
                while data := await self._reader.read(_LONGEST_BUFFER):
                    buffer += data
                    while True:
                        request, used = self._line.split(bytes(buffer))
                        del buffer[:used]
                        if request is None:
                            break
                        self._hear(request, answering)
                    del buffer[:-_LONGEST_BUFFER]
                    async with asyncio.timeout(_SEND_S):
                        await self._port.drain()
                raise ConnectionResetError
        except* (OSError, TimeoutError):
            pass  # the client has gone or does not take its answers: nothing is owed to it
        finally:
            self._port.close()

    def _hear(self, request: bytes, answering: asyncio.TaskGroup) -> None:
        name = self._line.addressee(request)
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = asyncio.Queue(_WAITING_REQUESTS)
            answering.create_task(self._answer(waiting))
        if not waiting.full():
            waiting.put_nowait(request)

    async def _answer(self, waiting: asyncio.Queue[bytes]) -> None:
        while True:
            await self._line.answer(await waiting.get(), lambda: not waiting.empty(), self._send)

    def _send(self, frame: bytes) -> bool:
        if self._port.is_closing():
            return False
        self._port.write(frame)
        return True


class _Pty:
    """A pseudo-terminal whose far end clients open as a serial port."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)  # our own slave end stays open, so that clients may come and go

    def open(self, reader: asyncio.StreamReader) -> None:
        """Feeds what clients send to `reader`."""
        asyncio.get_running_loop().add_reader(self._master, self._readable, reader)

    def _readable(self, reader: asyncio.StreamReader) -> None:
        try:
            reader.feed_data(os.read(self._master, _LONGEST_BUFFER))
        except OSError:
            reader.feed_eof()

    def write(self, data: bytes) -> None:
        """An answer is shorter than the terminal's buffer; what does not fit because nobody reads is lost, as on a line."""
        try:
            os.write(self._master, data)
        except BlockingIOError:
            log.debug("nobody reads path=%s", self.path)

    def is_closing(self) -> bool:
        """It lasts as long as the line."""
        return False

    async def drain(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """Takes the terminal away."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

"""The network side of a simulated OPC UA server: passes bytes on, or not, or late, or damaged. It knows chunks of messages, not what they say.

A chunk begins with three letters, one letter and its length in four bytes, low byte first (OPC 10000-6, 7.1.2.2).
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from device_sim.faults import Fault, FaultKind

_HEADER = 8
_LARGEST = 64 << 20
_LOOK_S = 0.02  # how often a held connection looks whether it may go on
_MAX_CONNECTIONS = 64

Active = Callable[[], Mapping[FaultKind, Fault]]


class Front:
    """Listens for clients and connects each to the server behind, at `target`; while that is None, clients are turned away."""

    def __init__(self, host: str, port: int, active: Active) -> None:
        self._host = host
        self.port = port
        self._active = active
        self.target: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    async def start(self) -> None:
        """Begins to listen. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the port and all connections."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Closes all connections; new ones are accepted again at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        single = FaultKind.ONE_CONNECTION in self._active()
        try:
            if self.target is None or self._connections >= (1 if single else _MAX_CONNECTIONS):
                return
            self._connections += 1
            try:
                await self._join(reader, writer, self.target)
            finally:
                self._connections -= 1
        except asyncio.CancelledError:
            pass  # cut off on purpose
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int]) -> None:
        try:
            behind_reader, behind_writer = await asyncio.open_connection(*target)
        except OSError:
            return
        try:
            ways = {
                asyncio.create_task(self._asked(reader, behind_writer)),
                asyncio.create_task(self._answered(behind_reader, writer)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            behind_writer.close()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := await reader.read(65_536):
                await self._held()
                writer.write(data)
                await writer.drain()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                header = await reader.readexactly(_HEADER)
                size = int.from_bytes(header[4:8], "little")
                if not _HEADER <= size <= _LARGEST:
                    return
                chunk = header + await reader.readexactly(size - _HEADER)
                await self._held()
                active = self._active()
                if FaultKind.DELAY in active:
                    await asyncio.sleep(active[FaultKind.DELAY].delay_s)
                    await self._held()
                if FaultKind.HALF_FRAME in active:
                    writer.write(chunk[: size // 2])
                    await writer.drain()
                    while FaultKind.HALF_FRAME in self._active():  # noqa: ASYNC110 faults tell no event
                        await asyncio.sleep(_LOOK_S)
                    return  # what is left of a message can never be completed
                if FaultKind.WRONG_CHECKSUM in active:
                    chunk = chunk[:-1] + bytes((chunk[-1] ^ 0xFF,))
                writer.write(chunk)
                await writer.drain()

    async def _held(self) -> None:
        """A silent server keeps its connections and says nothing; what it was about to say comes when it is well again."""
        while FaultKind.SILENCE in self._active():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

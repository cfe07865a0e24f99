"""The far end of a serial line that does as it is told, on a pseudo-terminal or as a transparent serial server. It knows no protocol."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Parts = Iterable[tuple[float, bytes]]


@dataclass
class FarEnd:
    """`react(received)` gives what is sent back: (seconds to wait before it, bytes). `asked` is all that has come, chunk by chunk."""

    react: Callable[[bytes], Parts]
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    path: str = ""
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _master: int = -1

    def hang_up(self) -> None:
        """Closes every connection of the server."""
        for writer in list(self._writers):
            writer.close()

    def say(self, data: bytes) -> None:
        """Bytes that nobody has asked for."""
        if self._master >= 0:
            os.write(self._master, data)
        for writer in self._writers:
            writer.write(data)

    def take(self, data: bytes) -> None:
        self.asked.append(data)
        task = asyncio.create_task(self._send(list(self.react(data))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, parts: list[tuple[float, bytes]]) -> None:
        for wait_s, data in parts:
            if wait_s:
                await asyncio.sleep(wait_s)
            if data == b"close":
                self.hang_up()
            else:
                self.say(data)

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.hang_up()


@asynccontextmanager
async def on_pty(react: Callable[[bytes], Parts]) -> AsyncIterator[FarEnd]:
    """A far end whose `path` is opened like a serial port."""
    master, slave = os.openpty()
    tty.setraw(master)
    end = FarEnd(react, path=os.ttyname(slave))
    end._master = master
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: end.take(os.read(master, 4096)))
    try:
        yield end
    finally:
        loop.remove_reader(master)
        await end.end()
        os.close(slave)
        os.close(master)


@asynccontextmanager
async def on_tcp(react: Callable[[bytes], Parts]) -> AsyncIterator[FarEnd]:
    """A far end on `port` of 127.0.0.1."""
    end = FarEnd(react)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end.connections += 1
        end._writers.add(writer)
        try:
            while data := await reader.read(4096):
                end.take(data)
        except ConnectionError:
            pass
        finally:
            end._writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    end.port = server.sockets[0].getsockname()[1]
    try:
        yield end
    finally:
        server.close()
        await end.end()
        await asyncio.sleep(0)

"""Serves a flight recorder's dump again: each recorded request gets its recorded answer, byte by byte and in order. It simulates nothing.

A request that was recorded several times is answered in the order of the record; after the last, the last one is repeated (`repeat`) or there is
silence. Silence that was recorded is silence. A Modbus read that was not recorded is put together from the registers that were.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Self

from device_sim.dump import Dump, DumpFault
from device_sim.replay_matching import (
    MATCHING,
    Matching,
    registers_answered,
    registers_read,
    registers_said,
)

log = logging.getLogger(__name__)

_LONGEST_BUFFER: Final = 4096
_MAX_CONNECTIONS: Final = 16
_IDLE_S: Final = 600.0
_SEND_S: Final = 10.0


class Record:
    """The answers of one dump, and which of them were given. Raises DumpFault for a protocol without byte frames, or where nothing was asked."""

    def __init__(self, dump: Dump, *, repeat: bool = True) -> None:
        matching = MATCHING.get(dump.protocol)
        if matching is None:
            raise DumpFault(f"protocol: expected one of {', '.join(MATCHING)}, saw {dump.protocol!r}")
        self.matching: Matching = matching
        self.protocol = dump.protocol
        self._repeat = repeat
        self._answers: dict[bytes, list[tuple[bytes, bytes]]] = {}  # by key: (request, answer), oldest first
        self._given: dict[bytes, int] = {}
        self._registers: dict[tuple[int, int], dict[int, bytes]] = {}
        for exchange in dump.exchanges:
            request, _ = matching.split(exchange.request)
            if request is None:
                continue
            self._answers.setdefault(matching.key(request), []).append((request, exchange.answer))
            self._note_registers(request, exchange.answer)
        if not self._answers:
            raise DumpFault("expected at least one whole request, saw none")

    @property
    def asked(self) -> int:
        """How many different requests there are."""
        return len(self._answers)

    def listed(self) -> dict[str, Any]:
        """The keys of an edge file's device that was asked."""
        found: dict[str, Any] = {}
        for pairs in self._answers.values():
            found = {**self.matching.listed(pairs[0][0]), **found}
        return found

    def answer(self, request: bytes) -> bytes | None:
        """What is said to a whole request; None for silence."""
        key = self.matching.key(request)
        pairs = self._answers.get(key)
        if pairs is None:
            return self._made_up(request)
        turn = self._given.get(key, 0)
        if turn >= len(pairs) and not self._repeat:
            return None
        self._given[key] = turn + 1
        recorded, answer = pairs[min(turn, len(pairs) - 1)]
        return self.matching.fitted(answer, recorded, request, max(0, turn - len(pairs) + 1)) or None

    def _made_up(self, request: bytes) -> bytes | None:
        wanted = registers_read(self.protocol, request)
        if wanted is not None:
            unit, function, start, count = wanted
            held = self._registers.get((unit, function), {})
            words = [held.get(address) for address in range(start, start + count)]
            known = [word for word in words if word is not None]
            if known and len(known) == count:
                return registers_said(self.protocol, request, b"".join(known))
        said = self.matching.unknown(request)
        if said is None:
            log.warning("not in the dump: %s", request.hex(" "))
        return said

    def _note_registers(self, request: bytes, answer: bytes) -> None:
        wanted, words = registers_read(self.protocol, request), registers_answered(self.protocol, answer)
        if wanted is None or words is None or len(words) != 2 * wanted[3]:
            return
        held = self._registers.setdefault(wanted[:2], {})
        for number in range(wanted[3]):
            held[wanted[2] + number] = words[2 * number : 2 * number + 2]


class Replay:
    """Serves a record on a TCP port (0: the system chooses): Modbus TCP as it is, lines as behind a transparent serial server. `async with`."""

    def __init__(
        self,
        record: Record,
        host: str = "127.0.0.1",
        port: int = 0,
        heard: Callable[[bytes, bytes | None], None] | None = None,
    ) -> None:
        self._record = record
        self._heard = heard
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def place(self) -> dict[str, Any]:
        """Host and port."""
        return {"host": self._host, "port": self._port}

    async def __aenter__(self) -> Self:
        """Raises OSError where the port cannot be had."""
        self._server = await asyncio.start_server(self._connected, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _MAX_CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._talk(reader, writer), name="replay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    data = await reader.read(_LONGEST_BUFFER)
                if not data:
                    return
                buffer = (buffer + data)[-_LONGEST_BUFFER:]
                while True:
                    request, used = self._record.matching.split(buffer)
                    buffer = buffer[used:]
                    if request is None:
                        break
                    await self._answer(request, writer)
        except (OSError, TimeoutError):
            pass  # the client has gone, or says nothing any more
        finally:
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        said = self._record.answer(request)
        if self._heard is not None:
            self._heard(request, said)
        if said is not None:
            writer.write(said)
            async with asyncio.timeout(_SEND_S):
                await writer.drain()

"""A Modbus TCP device made of plain sockets and structs, which answers right or wrong as told. It shares no code with the driver."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest

Fault = Callable[[int, int, int, int, int], bytes | None]


class Peer:
    """Answers register reads from `words`; what is not there is exception 2.

    `units` answer, others stay silent. `fault(transaction, unit, function, address, count)` may give other bytes instead, or None to
    stay silent; it is asked only where it is set. `asked` lists (unit, function, address, count).
    """

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.units = {1}
        self.fault: Fault | None = None
        self.asked: list[tuple[int, int, int, int]] = []
        self.max_registers = 125
        self.connections = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def put(self, address: int, *words: int) -> None:
        self.words.update(enumerate(words, address))

    def put_bytes(self, address: int, data: bytes) -> None:
        self.put(address, *struct.unpack(f">{len(data) // 2}H", data))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                transaction, _, _, unit, function, address, count = struct.unpack(
                    ">HHHBBHH", await reader.readexactly(12)
                )
                self.asked.append((unit, function, address, count))
                if self.fault is not None:
                    answer = self.fault(transaction, unit, function, address, count)
                elif unit not in self.units:
                    answer = None
                else:
                    answer = self.answer(transaction, unit, function, address, count)
                if answer == b"close":
                    break
                if answer is not None:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
        wanted = range(address, address + count)
        if count > self.max_registers:
            return refusal(transaction, unit, function, 3)
        if not all(at in self.words for at in wanted):
            return refusal(transaction, unit, function, 2)
        data = struct.pack(f">{count}H", *(self.words[at] for at in wanted))
        return frame(transaction, unit, bytes([function, len(data)]) + data)

    def hang_up(self) -> None:
        for writer in list(self._writers):
            writer.close()


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def refusal(transaction: int, unit: int, function: int, code: int) -> bytes:
    return frame(transaction, unit, bytes([function | 0x80, code]))


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    device = Peer()
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    device.port = server.sockets[0].getsockname()[1]
    yield device
    device.hang_up()
    server.close()
    await asyncio.sleep(0)

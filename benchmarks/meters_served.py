"""Many Modbus TCP meters that cost next to nothing, in a process of their own. Not the simulator: no plant, no faults, no serials.

    python -m benchmarks.meters_served --count 34 --delay-ms 20

Each meter has a port of its own (chosen by the system, printed as one JSON line) and answers any register read, after a delay, with what
a Schneider PM5560 would say: plausible floats that move a little from answer to answer, and counters that rise. The simulator draws its
answers from a plant's physics, which takes about as much processor time as the agent that reads them; beside the agent on two cores it
would be part of the result.
"""

import argparse
import asyncio
import json
import random
import struct
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import edge_agent

MODEL: Final = "schneider_pm5560"
IMAGES: Final = 16  # so many different answers in turn
# Six more rows bring the model's 28 quantities to 34: averages and serial numbers within its blocks, demand in a third block.
EXTRA_ROWS: Final = (
    ("current_a", 3009, "float32"),
    ("voltage_v", 3035, "float32"),
    ("answer_serial_1", 3111, "uint32"),
    ("answer_serial_2", 3243, "uint32"),
    ("demand_kw", 3765, "float32"),
    ("demand_max_kw", 3769, "float32"),
)
_NEAR: Final = {"v": 230.0, "a": 40.0, "kw": 9.0, "kvar": 2.0, "kva": 9.4, "hz": 50.0}
_HEADER: Final = struct.Struct(">HHHB")
_READ: Final = struct.Struct(">BHH")


def _rows() -> list[tuple[str, int, str]]:
    model = Path(edge_agent.__file__).parent / "meters" / f"{MODEL}.toml"
    rows = tomllib.loads(model.read_text("utf-8"))["row"]
    return [*((row["quantity"], row["address"], row["type"]) for row in rows), *EXTRA_ROWS]


def images(seed: int) -> list[bytes]:
    """The whole register space of one meter, 65,536 big-endian words, at `IMAGES` moments in turn."""
    source = random.Random(seed)
    rows = _rows()
    made = []
    for moment in range(IMAGES):
        image = bytearray(0x20000)
        for quantity, address, kind in rows:
            at = 2 * address
            if kind == "float32":
                near = _NEAR.get(quantity.rsplit("_", 1)[1], 1.0)
                struct.pack_into(">f", image, at, round(near * (1 + source.gauss(0, 0.01)), 3))
            elif kind == "int64":
                struct.pack_into(">q", image, at, 10**9 + seed * 10**6 + 3 * moment)
            else:
                struct.pack_into(">I", image, at, moment)
        made.append(bytes(image))
    return made


class _Meter(asyncio.Protocol):
    """One connection to one meter; several frames may come in one packet."""

    def __init__(self, images: Sequence[bytes], delay_s: float) -> None:
        self._images, self._delay_s = images, delay_s
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        while len(received) >= _HEADER.size:
            transaction, _, length, unit = _HEADER.unpack_from(received)
            if len(received) < 6 + length:
                break
            function, start, count = _READ.unpack_from(received, _HEADER.size)
            received = received[6 + length :]
            self._answers += 1
            registers = self._images[self._answers % IMAGES][2 * start : 2 * (start + count)]
            answer = (
                _HEADER.pack(transaction, 0, 3 + len(registers), unit) + bytes((function, len(registers))) + registers
            )
            self._loop.call_later(self._delay_s, self._send, answer)
        self._received = received

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(count: int, delay_s: float) -> None:
    """Listen on `count` ports, print them, and answer until cancelled."""
    loop = asyncio.get_running_loop()
    servers = []
    for number in range(count):
        own = images(number)
        servers.append(await loop.create_server(lambda own=own: _Meter(own, delay_s), "127.0.0.1", 0))  # type: ignore[misc]
    print(json.dumps({"ports": [server.sockets[0].getsockname()[1] for server in servers]}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=34)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    options = parser.parse_args()
    asyncio.run(serve(options.count, options.delay_ms / 1000))


if __name__ == "__main__":
    main()

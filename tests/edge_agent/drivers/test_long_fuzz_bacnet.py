"""Random and damaged datagrams at the driver and at the simulator: neither crashes, hangs, grows without bound nor forgets its work."""

import asyncio
import contextlib
import random
import resource
import socket
from pathlib import Path

import pytest
from building import building

from edge_agent.drivers.driver import DriverError

SHORT_S = 2.5
LONG_S = 30.0


def datagram(source: random.Random, seen: list[bytes]) -> bytes:
    """Noise, a frame with noise inside, or a true frame with a few bytes changed, lost or doubled."""
    kind = source.randrange(4)
    if kind == 0 or not seen:
        return source.randbytes(source.randrange(1500))
    if kind == 1:  # a sound BVLC and NPDU header before noise
        content = b"\x01" + bytes([source.choice((0, 4, 0x20, 0x28, 0x80))]) + source.randbytes(source.randrange(200))
        return b"\x81" + bytes([source.choice((0x0A, 0x0B, 4, source.randrange(13))), 0, len(content) + 4]) + content
    frame = bytearray(source.choice(seen))
    for _ in range(source.randrange(1, 5)):
        at = source.randrange(len(frame))
        match source.randrange(3):
            case 0:
                frame[at] = source.randrange(256)
            case 1:
                del frame[at:]
                break
            case _:
                frame[at:at] = source.randbytes(source.randrange(4))
    if len(frame) >= 4 and source.randrange(2):
        frame[2:4] = min(len(frame), 65_535).to_bytes(2, "big")
    return bytes(frame) or b"\x81"


async def bombard(directory: Path, duration_s: float, seed: int) -> None:
    source = random.Random(seed)
    loop = asyncio.get_running_loop()
    unhandled: list[str] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(str(context)))
    async with building(directory) as tower:
        seen: list[bytes] = []
        tower.driver._gateway = type(tower.driver._gateway)(tower.now_ms, None, lambda _d, _s, raw: seen.append(raw))
        await tower.read("meter")
        await tower.read("ahu")
        stack = tower.driver._stack
        assert stack is not None
        targets = [stack.place, ("127.0.0.1", tower.port("meter")), ("127.0.0.1", tower.port("ahu"))]
        begin_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        frames = list(seen)
        end, sent = loop.time() + duration_s, 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gun:
            gun.setblocking(False)
            while loop.time() < end:
                for _ in range(20):
                    gun.sendto(datagram(source, frames)[:60_000], source.choice(targets))
                    sent += 1
                await asyncio.sleep(0)
                if sent % 2000 == 0:
                    with contextlib.suppress(DriverError):  # what the noise told the device may silence it for a moment
                        await tower.read("meter")
                    seen.clear()
        deadline = loop.time() + 15
        for name in ("meter", "ahu"):
            while True:
                try:
                    answer = await tower.read(name)
                    assert answer.blocks
                    break
                except DriverError:
                    assert loop.time() < deadline, f"{name} does not come back after {sent} datagrams"
        assert sent > 500
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin_kib < 64 * 1024
    assert unhandled == []


async def test_noise_on_the_network_harms_neither_side(tmp_path: Path) -> None:
    await bombard(tmp_path, 2 * SHORT_S, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
async def test_a_minute_of_noise_harms_neither_side(tmp_path: Path, seed: int) -> None:
    await bombard(tmp_path, LONG_S, seed)

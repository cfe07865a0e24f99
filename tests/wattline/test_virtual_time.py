"""A loop whose clock jumps: nothing is skipped that could still happen, and what waits costs no real time."""

import asyncio
import time

import pytest

from wattline.trial import virtual_time
from wattline.trial.virtual_time import VirtualClock

BEGIN_MS = 1_623_654_000_000
DAY_S = 86_400


def test_a_day_of_seconds_passes_at_once_and_each_is_counted() -> None:
    async def day(clock: VirtualClock) -> tuple[int, float, int]:
        loop, seconds = asyncio.get_running_loop(), 0
        while loop.time() < DAY_S:
            await asyncio.sleep(1)
            seconds += 1
        return seconds, loop.time(), clock()

    begin_s = time.monotonic()
    seconds, at_s, at_ms = virtual_time.run(day, BEGIN_MS)
    assert seconds == DAY_S
    assert at_s == pytest.approx(DAY_S)
    assert at_ms == BEGIN_MS + 1000 * DAY_S
    assert time.monotonic() - begin_s < 600  # not a real day


def test_two_peers_that_answer_each_other_never_time_out() -> None:
    """A megabyte there and back, more than a socket holds, within a time-out that virtual time reaches at once if it does not stand still."""
    pattern = bytes(range(256)) * 4096

    async def peers(_clock: VirtualClock) -> tuple[bytes, float]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while content := await reader.read(5000):
                writer.write(content)
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            ticking = asyncio.create_task(_tick(0.001))
            async with asyncio.timeout(1.0):
                writer.write(pattern)
                came = await reader.readexactly(len(pattern))
            took_s = asyncio.get_running_loop().time()
            ticking.cancel()
            for _ in range(200):
                async with asyncio.timeout(0.01):
                    writer.write(b"again")
                    assert await reader.readexactly(5) == b"again"
                await asyncio.sleep(1)
            writer.close()
            await writer.wait_closed()
            return came, took_s

    came, took_s = virtual_time.run(peers, BEGIN_MS)
    assert came == pattern
    assert took_s < 1.0


async def _tick(period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)


def test_a_silent_peer_costs_its_time_out_and_no_real_one() -> None:
    async def wait(_clock: VirtualClock) -> float:
        kept: list[asyncio.StreamWriter] = []
        async with await asyncio.start_server(lambda _r, w: kept.append(w), "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")  # nobody ever reads it
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3600):
                    await reader.read(1)
            for one in (writer, *kept):
                one.close()
                await one.wait_closed()
            return asyncio.get_running_loop().time()

    begin_s = time.monotonic()
    assert virtual_time.run(wait, BEGIN_MS) == pytest.approx(3600)
    assert time.monotonic() - begin_s < 60


def test_the_clock_stands_while_a_thread_works() -> None:
    async def work(_clock: VirtualClock) -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(_tick(1))
        before_s = loop.time()
        await asyncio.to_thread(time.sleep, 0.05)
        after_s = loop.time()
        ticking.cancel()
        return before_s, after_s

    before_s, after_s = virtual_time.run(work, BEGIN_MS)
    assert before_s == after_s


def test_timers_come_in_their_order_and_none_is_early() -> None:
    async def work(clock: VirtualClock) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        loop = asyncio.get_running_loop()

        def note(name: str) -> None:
            seen.append((name, clock() - BEGIN_MS))

        for name, delay_s in (("b", 0.3), ("a", 0.1), ("d", 86_400.5), ("c", 0.3000001)):
            loop.call_later(delay_s, note, name)
        await asyncio.sleep(86_401)
        return seen

    assert virtual_time.run(work, BEGIN_MS) == [("a", 100), ("b", 300), ("c", 300), ("d", 86_400_500)]


def test_where_nothing_can_ever_happen_it_says_so() -> None:
    async def forever(_clock: VirtualClock) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="expected a timer, a socket or a job to wait for, saw none"):
        virtual_time.run(forever, BEGIN_MS)

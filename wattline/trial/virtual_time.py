"""An event loop whose clock jumps to the next timer as soon as nothing else can happen. Everything that it runs must live in this one process.

```
callbacks ready? -> run them           bytes between two of our sockets, or a job in a thread? -> wait for them, the clock stands
nothing of that  -> the clock is the next timer's instant
```
Sockets are real (loopback); only the time between two of their events is not. What comes from outside of the process, or from threads that
are not jobs of the loop, is not waited for.
"""

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from wire.clock import Clock

_T = TypeVar("_T")
_LOOK_AGAIN_S: Final = 0.001  # real; the shortest wait that epoll knows
_LOST_AFTER: Final = 100  # such waits: then bytes that nobody reads are given up (their reader has closed)
_JOB_S: Final = 1.0  # real; a job in a thread wakes the loop by itself


class _Counted(socket.socket):
    """A connected socket that knows how many bytes have gone into it and come out of it."""

    traffic: "_Traffic"

    def send(self, *arguments: Any) -> int:
        count = super().send(*arguments)
        self.traffic.under_way += count
        return count

    def recv(self, *arguments: Any) -> bytes:
        content = super().recv(*arguments)
        self.traffic.under_way -= len(content)
        return content

    def recv_into(self, *arguments: Any) -> int:
        count = super().recv_into(*arguments)
        self.traffic.under_way -= count
        return count


class _Traffic:
    """How many bytes are between two sockets of this process."""

    def __init__(self) -> None:
        self.under_way = 0


class _Selector(selectors.DefaultSelector):
    """Asks the sockets, and moves the loop's clock where they have nothing."""

    def __init__(self, traffic: _Traffic) -> None:
        super().__init__()
        self._traffic = traffic
        self._registered = 0
        self.jobs = 0
        self.jump: Callable[[], bool] = lambda: False

    def select(self, timeout: Any = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        ready = super().select(0)
        if ready:
            return ready
        if self.jobs:
            return super().select(_JOB_S)
        if self._traffic.under_way or self._registered != len(self.get_map()):
            self._registered = len(self.get_map())
            ready = self._wait_for_bytes()
            if ready:
                return ready
        if not self.jump():
            raise RuntimeError(
                "virtual time: expected a timer, a socket or a job to wait for, saw none: all tasks wait for ever"
            )
        return []

    def _wait_for_bytes(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Bytes of a connection may need a moment of real time, and so may a new connection."""
        for _ in range(_LOST_AFTER):
            ready = super().select(_LOOK_AGAIN_S)
            if ready or not self._traffic.under_way:
                return ready
        self._traffic.under_way = 0
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and jumps from timer to timer. `jumps`: how often it did."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self.jumps = 0
        self._traffic = _Traffic()
        self._own_selector = _Selector(self._traffic)
        super().__init__(self._own_selector)
        self._own_selector.jump = self._jump

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now_s

    def _jump(self) -> bool:
        scheduled = self._scheduled  # type: ignore[attr-defined]
        if not scheduled:
            return False
        self._now_s = max(self._now_s, scheduled[0].when())
        self.jumps += 1
        return True

    def _make_socket_transport(
        self, sock: socket.socket, protocol: asyncio.BaseProtocol, *arguments: Any, **options: Any
    ) -> asyncio.Transport:
        counted = _Counted(sock.family, sock.type, sock.proto, fileno=sock.detach())
        counted.setblocking(False)
        counted.traffic = self._traffic
        make = super()._make_socket_transport  # type: ignore[misc]
        transport: asyncio.Transport = make(counted, protocol, *arguments, **options)
        return transport

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As ever; the clock stands until the job is done."""
        future = super().run_in_executor(executor, func, *args)
        self._own_selector.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: asyncio.Future[Any]) -> None:
        self._own_selector.jobs -= 1

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        """As ever; it waits for a thread, too."""
        self._own_selector.jobs += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._own_selector.jobs -= 1


class VirtualClock(Clock):
    """UTC ms on a virtual loop's time."""

    __slots__ = ("_begin_ms", "_loop")

    def __init__(self, loop: VirtualLoop, begin_ms: int) -> None:
        super().__init__(begin_ms)
        self._loop = loop
        self._begin_ms = begin_ms

    def now_ms(self) -> int:
        """The present instant, UTC ms."""
        return self._begin_ms + int(self._loop.time() * 1000 + 1e-4)

    __call__ = now_ms


def run(work: Callable[[VirtualClock], Coroutine[Any, Any, _T]], begin_ms: int) -> _T:
    """What `work(clock)` gives, run in virtual time that begins at `begin_ms` (UTC ms)."""
    loops: list[VirtualLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        loops.append(VirtualLoop())
        return loops[0]

    with asyncio.Runner(loop_factory=make) as runner:
        runner.get_loop()
        return runner.run(work(VirtualClock(loops[0], begin_ms)))


__all__ = ["VirtualClock", "VirtualLoop", "run"]

"""A pile's line to its central system: connecting, one call at a time, the queue that survives an outage, and faults of frames. Not what is said.

Waiting and back-off are in real seconds, also where the plant's clock runs faster.
"""

import asyncio
import base64
import contextlib
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from device_sim.faults import Fault, FaultKind
from device_sim.ocpp import framing

log = logging.getLogger(__name__)

_MOST_KEPT: Final = 20_000
_MOST_PASSING: Final = 200
_OPEN_S: Final = 10.0
_CLOSE_S: Final = 1.0
_POLL_S: Final = 0.05
_IDLE_S: Final = 30.0  # a call that is put wakes the line at once
SUBPROTOCOLS: Final = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}

Payload = Mapping[str, Any]


class Refused(Exception):
    """A call from the central system that is answered with an error."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


@dataclass(slots=True)
class Outgoing:
    """A call that waits for its turn. `payload` may be found only when it is sent. `kept`: survives an outage and is sent again until answered."""

    action: str
    payload: Payload | Callable[[], Payload]
    kept: bool = False
    meter: bool = False
    answered: Callable[[Payload | None], None] | None = None
    sent: Callable[[str], None] | None = None
    attempts: int = 0


class Ends(Protocol):
    """What stands behind the line: the pile."""

    @property
    def attempts(self) -> int: ...
    @property
    def retry_s(self) -> float: ...
    @property
    def ping_s(self) -> float: ...
    @property
    def password(self) -> str: ...
    def faults(self) -> Mapping[FaultKind, Fault]: ...
    def boot(self) -> Outgoing: ...
    def booted(self, answer: Payload) -> float:
        """Takes the answer to the boot message; 0: accepted, else after how many seconds to ask again."""

    def disconnected(self) -> None: ...
    def carry_out(self, action: str, payload: dict[str, Any]) -> Payload:
        """Answers a call of the central system. Raises Refused."""

    def violation(self, action: str, payload: Payload, response: bool) -> tuple[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How the line behaves. Security profile 1 is a password over ws://, 2 the same over wss://, 3 a client certificate over wss://."""

    version: str
    identity: str
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    call_timeout_s: float = 30.0
    reconnect_s: tuple[float, float] = (0.2, 30.0)


@dataclass
class Link:
    """One pile's line. `run` lasts until it is cancelled; `point_at` gives it an address, before or while it runs."""

    options: LinkOptions
    ends: Ends
    url: str | None = None
    seed: int = 0
    accepted: bool = False
    connections: int = 0
    calls_sent: int = 0
    calls_lost: int = 0
    _queue: deque[Outgoing] = field(default_factory=deque)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: ClientConnection | None = None
    _waiting: tuple[str, asyncio.Future[framing.Frame]] | None = None
    _held: bool = False
    _next_id: int = 0
    _last_answer: str | None = None
    _last_meter: Payload | None = None
    _second: asyncio.Task[None] | None = None
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""
        return self._socket is not None

    @property
    def backlog(self) -> int:
        """Calls that wait."""
        return len(self._queue)

    def point_at(self, url: str | None) -> None:
        """The address of the central system, without the identity; None: nowhere."""
        self.url = url
        self.drop()

    def put(self, outgoing: Outgoing) -> None:
        """Queues a call. One that is not kept is dropped while the pile is not accepted or the queue is long."""
        if not outgoing.kept and (not self.accepted or len(self._queue) >= _MOST_PASSING):
            return
        if len(self._queue) >= _MOST_KEPT:
            self.calls_lost += 1
            self._queue.popleft()
        self._queue.append(outgoing)
        self._changed.set()

    def afterwards(self, deed: Callable[[], None]) -> None:
        """Does something once the answer to the call that is being carried out has gone."""
        self._afterwards.append(deed)

    def hold(self, held: bool) -> None:
        """A pile that reboots has no line; afterwards it connects anew."""
        self._held = held
        if held:
            self.drop()
        self._changed.set()

    def drop(self) -> None:
        """Ends the present connection without a farewell."""
        if self._socket is not None:
            self._socket.transport.abort()
        self._changed.set()

    async def run(self) -> None:
        """Connects, and again after every loss, until cancelled."""
        shortest, longest = self.options.reconnect_s
        chance = random.Random(f"{self.seed}:{self.options.identity}")
        pause = shortest
        try:
            while True:
                if self.url is None or self._held:
                    await self._change(0.5)
                    continue
                url = self.url
                try:
                    socket = await self._connect(url)
                    async with socket:
                        if socket.subprotocol != SUBPROTOCOLS[self.options.version]:
                            raise ConnectionError(f"subprotocol {socket.subprotocol!r}")
                        self._socket = socket
                        self.connections += 1
                        if await self._serve(socket):
                            pause = shortest
                except (OSError, TimeoutError, EOFError, WebSocketException, ConnectionError) as error:
                    log.debug("pile without central system identity=%s reason=%s", self.options.identity, error)
                finally:
                    self._lost()
                if url == self.url:  # a new address is tried at once
                    await self._change(pause * chance.uniform(0.75, 1.25), only_address=True)
                    pause = min(longest, 2 * pause)
        finally:
            if self._second is not None:
                self._second.cancel()

    async def _connect(self, url: str) -> ClientConnection:
        headers = {}
        if self.ends.password:
            token = base64.b64encode(f"{self.options.identity}:{self.ends.password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        return await connect(
            f"{url.rstrip('/')}/{quote(self.options.identity, safe='')}",
            subprotocols=[Subprotocol(SUBPROTOCOLS[self.options.version])],
            additional_headers=headers,
            ssl=self._tls() if url.startswith("wss:") else None,
            open_timeout=_OPEN_S,
            close_timeout=_CLOSE_S,
            ping_interval=self.ends.ping_s or None,
            ping_timeout=max(5.0, self.ends.ping_s),
            max_size=framing.LONGEST_FRAME,
            max_queue=16,
            compression=None,
            proxy=None,
        )

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.options.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.options.certificate_file is not None:
            context.load_cert_chain(self.options.certificate_file, self.options.key_file)
        return context

    def _lost(self) -> None:
        self._socket = None
        self.accepted = False
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].cancel()
        self._waiting = None
        self.ends.disconnected()

    async def _change(self, timeout_s: float, only_address: bool = False) -> None:
        url, end = self.url, asyncio.get_running_loop().time() + timeout_s
        while (left := end - asyncio.get_running_loop().time()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
            if not only_address or self.url != url:
                return

    async def _serve(self, socket: ClientConnection) -> bool:
        """Whether the pile was accepted on this connection."""
        sending = asyncio.create_task(self._send_all(socket), name=f"pile-{self.options.identity}")
        try:
            async for text in socket:
                await self._received(socket, text)
        finally:
            accepted = self.accepted
            sending.cancel()
            (ended,) = await asyncio.gather(sending, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, OSError | WebSocketException):
            raise ended
        return accepted

    async def _send_all(self, socket: ClientConnection) -> None:
        try:
            await self._send_in_order(socket)
        except Exception:
            socket.transport.abort()  # a pile that can no longer send has no use for its line
            raise

    async def _send_in_order(self, socket: ClientConnection) -> None:
        wait_s = await self._ask_to_boot(socket)
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = await self._ask_to_boot(socket)
        self.accepted = True
        self._changed.set()
        while True:
            if not self._queue:
                await self._change(_IDLE_S)
                continue
            outgoing = self._queue[0]
            frame = await self._call(socket, outgoing)
            if frame is None and outgoing.kept:
                outgoing.attempts += 1
                if outgoing.attempts < self.ends.attempts:
                    await asyncio.sleep(self.ends.retry_s * outgoing.attempts)
                    continue
                self.calls_lost += 1
            if self._queue and self._queue[0] is outgoing:
                self._queue.popleft()
            if outgoing.answered is not None:
                outgoing.answered(None if frame is None else frame.payload)

    async def _ask_to_boot(self, socket: ClientConnection) -> float:
        frame = await self._call(socket, self.ends.boot())
        return self.ends.booted({} if frame is None else frame.payload)

    async def _call(self, socket: ClientConnection, outgoing: Outgoing) -> framing.Frame | None:
        """Sends one call and waits for its result; None: an error, or no answer in time."""
        payload = outgoing.payload() if callable(outgoing.payload) else outgoing.payload
        wrong = self.ends.violation(outgoing.action, payload, False)
        if wrong is not None:
            raise AssertionError(f"{outgoing.action}: {wrong}: {payload}")
        if outgoing.meter:
            if FaultKind.STALE in self.ends.faults() and self._last_meter is not None:
                payload = self._last_meter
            self._last_meter = payload
        self._next_id += 1
        message_id = f"{self.connections}.{self._next_id}.{random.getrandbits(48):012x}"
        answer: asyncio.Future[framing.Frame] = asyncio.get_running_loop().create_future()
        self._waiting = (message_id, answer)
        whole = await self._send(socket, framing.call(message_id, outgoing.action, payload), call=True)
        self.calls_sent += 1
        if whole and outgoing.sent is not None:
            outgoing.sent(message_id)
        try:
            async with asyncio.timeout(self.options.call_timeout_s):
                frame = await answer
        except TimeoutError:
            return None
        finally:
            self._waiting = None
        if frame.kind == framing.ERROR or self.ends.violation(outgoing.action, frame.payload, True) is not None:
            return None
        return frame

    async def _send(self, socket: ClientConnection, text: str, *, call: bool = False) -> bool:
        """Puts one text on the line as the faults in force have it; whether all of it."""
        active = self.ends.faults()
        if FaultKind.DELAY in active:
            await asyncio.sleep(active[FaultKind.DELAY].delay_s)
            active = self.ends.faults()
        if FaultKind.SILENCE in active and not call:
            return False  # an answer that is never given
        await self._while_in_force(FaultKind.SILENCE)
        active = self.ends.faults()
        self._open_second(active)
        whole = FaultKind.HALF_FRAME not in active
        await socket.send(text if whole else text[: len(text) // 2])
        return whole

    def _open_second(self, active: Mapping[FaultKind, Fault]) -> None:
        """The fault of a pile that comes twice: a second connection with the same identity while it lasts."""
        if FaultKind.ONE_CONNECTION in active and self._second is None and self.url is not None:
            self._second = asyncio.create_task(self._second_connection(self.url))

    async def _second_connection(self, url: str) -> None:
        with contextlib.suppress(OSError, TimeoutError, EOFError, WebSocketException):
            async with await self._connect(url):
                await self._while_in_force(FaultKind.ONE_CONNECTION)
        await self._while_in_force(FaultKind.ONE_CONNECTION)
        self._second = None

    async def _while_in_force(self, kind: FaultKind) -> None:
        active = self.ends.faults()
        while kind in active:
            await asyncio.sleep(_POLL_S)
            active = self.ends.faults()

    async def _received(self, socket: ClientConnection, text: str | bytes) -> None:
        try:
            frame = framing.parse(text)
        except framing.FrameFault as fault:
            if self.options.version != "1.6":  # 1.6 has no answer to a text that is no frame
                await self._send(socket, framing.error(fault.id, fault.code, fault.text))
            return
        if frame.kind != framing.CALL:
            if self._waiting is not None and self._waiting[0] == frame.id and not self._waiting[1].done():
                self._waiting[1].set_result(frame)
            return
        answer = self._answer(frame)
        active = self.ends.faults()
        if FaultKind.STALE in active and self._last_answer is not None:
            answer = self._last_answer
        elif FaultKind.WRONG_UNIT in active:
            answer = answer.replace(frame.id, frame.id[::-1] + "x" if len(frame.id) < 36 else "x" + frame.id[1:], 1)
        self._last_answer = answer
        await self._send(socket, answer)
        deeds, self._afterwards = self._afterwards, []
        for deed in deeds:
            deed()

    def _answer(self, frame: framing.Frame) -> str:
        if FaultKind.EXCEPTION in self.ends.faults():
            return framing.error(frame.id, "InternalError", "a fault is in force")
        try:
            wrong = self.ends.violation(frame.action, frame.payload, False)
            if wrong is not None:
                raise Refused(*wrong)
            payload = self.ends.carry_out(frame.action, frame.payload)
            if (own := self.ends.violation(frame.action, payload, True)) is not None:
                raise AssertionError(f"{frame.action} answer: {own}: {payload}")
        except Refused as refused:
            return framing.error(frame.id, refused.code, refused.text)
        return framing.result(frame.id, payload)

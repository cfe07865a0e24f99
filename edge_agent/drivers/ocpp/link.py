"""One WebSocket between two OCPP parties: our calls one at a time, theirs in their order, each wait with an end. Not what is said.

receive --+-- result or error of our call --> whoever waits for it
          +-- any other answer ------------> `on_answer` (a relay passes it on)
          +-- call, send ------------------> bounded queue --> `on_call`, one after the other
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from websockets.exceptions import ConnectionClosed

from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable
from edge_agent.drivers.ocpp import frames, schemas
from edge_agent.drivers.ocpp.frames import Frame, FrameUnreadable, Kind, Payload

log = logging.getLogger(__name__)

_QUEUE: Final = 16  # calls of the other side that may wait; by the standard it has one under way
_UNREADABLE: Final = 50  # so many unreadable messages in a row, and the connection is given up
_OUR_ID: Final = "wl"


class Connection(Protocol):
    """What a link uses of a WebSocket of the package `websockets`."""

    async def recv(self, decode: bool | None = None) -> bytes | str: ...

    async def send(self, message: bytes, text: bool | None = None) -> None: ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


class Link:
    """A connection with a name for messages.

    `on_call(frame)` answers by `send`. `on_answer(frame)` gets answers to calls that are not ours. `record(sent, raw)` sees each message.
    """

    def __init__(
        self,
        name: str,
        version: str,
        connection: Connection,
        timeout_s: float,
        on_call: Callable[[Frame], Awaitable[None]],
        on_answer: Callable[[Frame], Awaitable[None]] | None = None,
        record: Callable[[bool, bytes], None] = lambda _sent, _raw: None,
    ) -> None:
        self.name = name
        self.version = version
        self.timeout_s = timeout_s
        self.unreadable = 0
        self.late = 0
        self._connection = connection
        self._on_call = on_call
        self._on_answer = on_answer
        self._record = record
        self._prefix = f"{_OUR_ID}{secrets.token_hex(6)}-"
        self._number = 0
        self._turn = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._calls: asyncio.Queue[Frame] = asyncio.Queue(_QUEUE)
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed.is_set()

    def ours(self, call_id: str) -> bool:
        """Whether a message id was made by this link."""
        return call_id.startswith(self._prefix)

    async def run(self) -> None:
        """Receives until the connection is closed by either side."""
        worker = asyncio.create_task(self._work(), name=f"calls of {self.name}")
        try:
            await self._receive()
        except ConnectionClosed:
            pass
        finally:
            self._closed.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(
                        DeviceUnreachable(f"{self.name}: the connection was closed before the answer")
                    )
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker

    async def _receive(self) -> None:
        in_a_row = 0
        while True:
            raw = await self._connection.recv(decode=False)
            if isinstance(raw, str):
                raw = raw.encode("utf-8")
            self._record(False, raw)
            try:
                frame = frames.parse(raw)
            except FrameUnreadable as fault:
                in_a_row += 1
                await self._refuse(fault)
                if in_a_row >= _UNREADABLE:
                    await self.close(1007, "unreadable messages")
                    return
                continue
            in_a_row = 0
            if frame.kind in (Kind.CALL, Kind.SEND):
                await self._calls.put(frame)  # full: nothing more is taken from the connection until one is answered
            else:
                await self._answered(frame)

    async def _refuse(self, fault: FrameUnreadable) -> None:
        self.unreadable += 1
        if self.unreadable == 1:
            log.warning("message_unreadable pile=%s reason=%s", self.name, fault)
        # A list that is no call has no id to answer to: 2.x answers to "-1", 1.6 not at all (OCPP 2.0.1 Part 4, section 4.2.3).
        if fault.id or self.version != "ocpp1.6":
            await self.send(frames.error(fault.id or "-1", fault.code, str(fault)))

    async def _answered(self, frame: Frame) -> None:
        waiting = self._waiting.get(frame.id)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(frame)
        elif self.ours(frame.id) or self._on_answer is None:
            self.late += 1  # an answer after its time-out, or to nothing: it belongs to no question any more
        else:
            await self._on_answer(frame)

    async def _work(self) -> None:
        while True:
            frame = await self._calls.get()
            try:
                await self._on_call(frame)
            except ConnectionClosed:
                return
            except Exception:  # keeps the pile's connection alive whatever it sends
                log.exception("call_failed pile=%s action=%s", self.name, frame.action)
                if frame.kind is Kind.CALL:
                    await self.send(frames.error(frame.id, "InternalError", "this call could not be handled"))
            await asyncio.sleep(0)  # a pile that sends a day's queue at once does not keep the others waiting

    async def send(self, raw: bytes) -> None:
        """Sends a message as it is; nothing happens where the connection is gone."""
        self._record(True, raw)
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._connection.send(raw, text=True)
        except TimeoutError:
            await self.close(1011, "not taking messages")
        except ConnectionClosed:
            self._closed.set()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One call of ours at a time; a relay takes the turn for a call that it passes on. Raises DeviceUnreachable."""
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise DeviceUnreachable(f"{self.name}: an earlier call has no answer within {self.timeout_s} s") from error
        try:
            yield
        finally:
            self._turn.release()

    async def call(self, action: str, payload: Payload) -> Payload:
        """The payload of the result. Raises DeviceUnreachable, DeviceRefused (an error came back), DeviceMisanswered."""
        what = f"{self.name}: {action}"
        fault = schemas.fault(self.version, action, payload, is_call=True)
        if fault:
            raise DeviceRefused(what, "FormatViolation", f"not sent, it would break the schema: {fault}")
        async with self.turn():
            self._number += 1
            call_id = f"{self._prefix}{self._number}"
            answer = await self.exchange(what, call_id, frames.call(call_id, action, payload))
        if answer.kind is not Kind.RESULT:
            raise DeviceRefused(what, answer.code, answer.description or "no reason given")
        try:
            fault = schemas.fault(self.version, action, answer.payload, is_call=False)
        except schemas.SchemaMissing:
            fault = ""
        if fault and not answer.payload.get("status"):
            log.debug("result_unfit pile=%s action=%s reason=%s", self.name, action, fault)
        return answer.payload

    async def exchange(self, what: str, call_id: str, raw: bytes) -> Frame:
        """Sends a call's bytes and waits for the answer to `id`; within a `turn`. Raises DeviceUnreachable."""
        if self.closed:
            raise DeviceUnreachable(f"{what}: not connected")
        waiting: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiting
        try:
            await self.send(raw)
            async with asyncio.timeout(self.timeout_s):
                return await waiting
        except TimeoutError as error:
            raise DeviceUnreachable(f"{what}: no answer within {self.timeout_s} s") from error
        finally:
            del self._waiting[call_id]
            if waiting.done() and not waiting.cancelled():
                waiting.exception()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection; `run` then ends."""
        self._closed.set()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self.timeout_s):
                await self._connection.close(code, reason)


def misanswered(what: str, payload: Payload) -> DeviceMisanswered:
    """For a result that lacks what it must have."""
    return DeviceMisanswered(f"{what}: expected the result that the standard describes, saw {str(dict(payload))[:120]}")

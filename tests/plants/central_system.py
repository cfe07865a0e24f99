"""A central system for tests: it notes every text that comes, answers as it is told, and can say anything, right or wrong. Checks nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

NOW = "2018-03-04T15:00:00Z"
SPOKEN = [Subprotocol(name) for name in ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")]


class CentralSystem:
    """What came, by identity; `verdicts` and `mute` change how it answers."""

    def __init__(self) -> None:
        self.came: dict[str, list[Any]] = {}
        self.raw: dict[str, list[str]] = {}
        self.sockets: dict[str, list[ServerConnection]] = {}
        self.overrides: dict[str, dict[str, Any] | None] = {}
        self.transactions = 0
        self._answers: dict[str, asyncio.Future[list[Any]]] = {}
        self._asked = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}/ocpp"

    def calls(self, identity: str, *actions: str) -> list[dict[str, Any]]:
        """The payloads of a pile's calls, in their order."""
        return [frame[3] for frame in self.came.get(identity, []) if frame[0] == 2 and frame[2] in actions]

    def _answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        if action in self.overrides:
            return self.overrides[action]
        if action == "StartTransaction":
            self.transactions += 1
            return {"transactionId": self.transactions, "idTagInfo": {"status": "Accepted"}}
        verdict = {"status": "Accepted"}
        answers: dict[str, dict[str, Any]] = {
            "BootNotification": {"status": "Accepted", "interval": 3600, "currentTime": NOW},
            "Heartbeat": {"currentTime": NOW},
            "Authorize": {"idTagInfo": verdict} if "idTag" in payload else {"idTokenInfo": verdict},
            "NotifyEVChargingNeeds": {"status": "Accepted"},
            "PullDynamicScheduleUpdate": {"status": "Rejected"},
        }
        return answers.get(action, {})

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        identity = socket.request.path.rsplit("/", 1)[-1]
        self.sockets.setdefault(identity, []).append(socket)
        try:
            async for text in socket:
                self.raw.setdefault(identity, []).append(str(text))
                try:
                    frame = json.loads(text)
                except ValueError:
                    continue
                self.came.setdefault(identity, []).append(frame)
                if frame[0] == 2:
                    answer = self._answer(frame[2], frame[3])
                    if answer is not None:
                        self._send(socket, json.dumps([3, frame[1], answer]))
                elif frame[1] in self._answers and not self._answers[frame[1]].done():
                    self._answers[frame[1]].set_result(frame)
        except ConnectionClosed:
            pass

    def _send(self, socket: ServerConnection, text: str) -> None:
        """Sends without waiting: two that both wait to be read before they read on would wait for ever."""
        task = asyncio.create_task(self._sent(socket, text))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    @staticmethod
    async def _sent(socket: ServerConnection, text: str) -> None:
        with suppress(ConnectionClosed):
            await socket.send(text)

    async def call(self, identity: str, action: str, payload: dict[str, Any], timeout_s: float = 10) -> list[Any]:
        """Calls a pile; its answer as it came: [3, id, payload] or [4, id, code, text, details]."""
        self._asked += 1
        message_id = f"cs-{self._asked}"
        future = self._answers[message_id] = asyncio.get_running_loop().create_future()
        await self.say(identity, json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(timeout_s):
            return await future

    async def say(self, identity: str, text: str | bytes) -> None:
        """Sends any text."""
        await self.sockets[identity][-1].send(text)

    async def hang_up(self, identity: str) -> None:
        for socket in self.sockets[identity]:
            socket.transport.abort()

    async def until(self, found: Callable[[], Any], timeout_s: float = 15) -> Any:
        """Waits until something is found."""
        async with asyncio.timeout(timeout_s):
            while not (value := found()):
                await asyncio.sleep(0.01)
        return value


@asynccontextmanager
async def central_system() -> AsyncIterator[CentralSystem]:
    """Listens on a port that the system chooses."""
    system = CentralSystem()
    async with serve(system._serve, "127.0.0.1", 0, subprotocols=SPOKEN, ping_interval=None) as server:
        system._server = server
        yield system
    await asyncio.gather(*system._sending, return_exceptions=True)

"""An operator's central system made of plain websockets: it sees each byte, answers as told, goes away and comes back. It shares no code with the driver."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

from ocpp_station import T0_MS, stamp
from websockets.asyncio.server import Server, ServerConnection, serve


class BackEnd:
    """`seen` are the raw messages of piles in their order; `answers` may hold an answer, or a function of the payload, by action."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, Any] = {}
        self.refuse: HTTPStatus | None = None
        self.silent = False
        self.pile: ServerConnection | None = None
        self.port = 0
        self.bills: dict[int, tuple[int, int]] = {}
        self._transactions = 4000
        self._server: Server | None = None
        self._waiting: dict[str, asyncio.Future[list[Any]]] = {}

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    async def start(self) -> None:
        self._server = await serve(
            self._talk,
            "127.0.0.1",
            self.port,
            subprotocols=["ocpp2.1", "ocpp2.0.1", "ocpp1.6"],
            process_request=self._judge,
            close_timeout=1,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Goes away with all connections."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
            self.pile = None

    def _judge(self, connection: ServerConnection, request: Any) -> Any:
        self.headers.append(dict(request.headers.raw_items()))
        return None if self.refuse is None else connection.respond(self.refuse, "no\n")

    async def _talk(self, connection: ServerConnection) -> None:
        self.pile = connection
        async for message in connection:
            assert isinstance(message, str)
            self.seen.append(message)
            tree = json.loads(message)
            if tree[0] == 2 and not self.silent:
                await connection.send(self._answer(tree))
            elif tree[0] in (3, 4) and tree[1] in self._waiting:
                self._waiting.pop(tree[1]).set_result(tree)

    def _answer(self, tree: list[Any]) -> str:
        _, call_id, action, payload = tree
        answer = self.answers.get(action)
        if callable(answer):
            answer = answer(payload)
        if isinstance(answer, str):
            return f'[4, "{call_id}", "{answer}", "", {{}}]'
        if answer is None:
            answer = self._plain(action, payload)
        return f'[3,  "{call_id}", {json.dumps(answer)} ]'  # spaces of its own: a relay has no business with them

    def _plain(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        now = stamp(T0_MS)
        if action == "BootNotification":
            return {"status": "Accepted", "currentTime": now, "interval": 77}
        if action == "Heartbeat":
            return {"currentTime": now}
        if action == "Authorize":
            return (
                {"idTagInfo": {"status": "Accepted"}} if "idTag" in payload else {"idTokenInfo": {"status": "Accepted"}}
            )
        if action == "StartTransaction":
            self._transactions += 1
            self.bills[self._transactions] = (payload["meterStart"], payload["meterStart"])
            return {"transactionId": self._transactions, "idTagInfo": {"status": "Accepted"}}
        if action == "StopTransaction":
            number = payload["transactionId"]
            self.bills[number] = (self.bills[number][0], payload["meterStop"])
            return {"idTagInfo": {"status": "Accepted"}}
        return {}

    def said(self, action: str) -> list[dict[str, Any]]:
        """The payloads of a call, in their order."""
        trees = [json.loads(message) for message in self.seen]
        return [tree[3] for tree in trees if tree[0] == 2 and tree[2] == action]

    async def command(self, action: str, payload: dict[str, Any], call_id: str = "op-1") -> list[Any]:
        """The answer of the pile to a command, whole."""
        assert self.pile is not None
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = answer
        await self.pile.send(json.dumps([2, call_id, action, payload]))
        return await asyncio.wait_for(answer, 10)

    async def until(self, holds: Callable[[], Any], timeout_s: float = 10) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := holds()):
                    await asyncio.sleep(0.01)
                return found
        except TimeoutError:
            raise AssertionError(f"the back end did not see it: {self.seen[-8:]}") from None


@contextlib.asynccontextmanager
async def back_end() -> AsyncIterator[BackEnd]:
    """A started back end."""
    made = BackEnd()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()

"""The npm package `ocpp-rpc` as a central system that we did not write, driven from a test. Skips with its name where it cannot be had."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from npm_package import SCRIPTS, environment, installed


class Csms:
    """A running central system: what it told so far, and orders to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[dict[str, Any]] = []
        self.port = 0
        self._ref = 0

    async def listen(self) -> None:
        """Collects events until the process ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.events.append(json.loads(line))

    def of(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The events of one kind with these fields."""
        return [
            told
            for told in self.events
            if told["event"] == event and all(told.get(key) == value for key, value in fields.items())
        ]

    def calls(self, identity: str, action: str | None = None) -> list[list[Any]]:
        """The calls of a pile as they came: [2, id, action, payload]."""
        came = [told["payload"] for told in self.of("call", identity=identity)]
        return [payload for payload in came if action in (None, payload[2])]

    async def until(self, found: Callable[[], Any], timeout_s: float = 20) -> Any:
        """Waits until something is found among the events."""
        async with asyncio.timeout(timeout_s):
            while not (value := found()):
                await asyncio.sleep(0.02)
        return value

    def order(self, **order: Any) -> None:
        """Sends an order without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def call(self, identity: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Calls a pile and gives its answer: {"result": ...} or {"error": ..., "code": ...}."""
        self._ref += 1
        ref = self._ref
        self.order(ref=ref, identity=identity, method=method, params=params)
        (answer,) = await self.until(lambda: self.of("answer", ref=ref))
        return dict(answer)


@asynccontextmanager
async def ocpp_rpc_csms(*arguments: str) -> AsyncIterator[Csms]:
    """A central system on a port of 127.0.0.1 that the system chooses."""
    place = await asyncio.to_thread(installed, "ocpp-rpc")
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPTS / "ocpp_rpc_csms.js"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
        env=environment(place),
    )
    csms = Csms(process)
    listening = asyncio.create_task(csms.listen())
    try:
        (told,) = await csms.until(lambda: csms.of("listening"))
        csms.port = told["port"]
        yield csms
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await asyncio.gather(listening)

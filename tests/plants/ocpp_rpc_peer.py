"""The npm package `ocpp-rpc` as a central system that we did not write, driven from a test. Skips with its name where it cannot be had."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

VERSION = "2.2.1"
SCRIPT = Path(__file__).parent.parent / "peers" / "ocpp_rpc_csms.js"
_INSTALL_S = 120


def installed() -> Path:
    """The folder whose node_modules holds the package; installed once per machine. Skips where node, npm or the registry is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("ocpp-rpc (npm): node or npm is missing")
    place = Path(tempfile.gettempdir()) / f"ocpp-rpc-{VERSION}-{os.getuid()}"
    if not (place / "node_modules" / "ocpp-rpc" / "package.json").exists():
        with tempfile.TemporaryDirectory() as fresh:
            (Path(fresh) / "package.json").write_text('{"private": true}')
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"ocpp-rpc@{VERSION}"]
            try:
                done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_S)
            except subprocess.TimeoutExpired:
                pytest.skip(f"ocpp-rpc (npm): not installed within {_INSTALL_S} s")
            if done.returncode:
                pytest.skip(f"ocpp-rpc (npm): {done.stderr.strip().splitlines()[-1:]}")
            staged = place.with_name(f"{place.name}.{os.getpid()}")
            shutil.copytree(fresh, staged)
            try:
                staged.rename(place)
            except OSError:  # another run was faster
                shutil.rmtree(staged)
    return place


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
    place = await asyncio.to_thread(installed)
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
        env={**os.environ, "NODE_PATH": str(place / "node_modules")},
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

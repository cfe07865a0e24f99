"""The npm packages `node-opcua-server` and `node-opcua-client` as OPC UA peers that we did not write. Skips with their name where they cannot be had."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from npm_package import SCRIPTS, environment, installed

_ANSWER_S = 20.0


class Peer:
    """A running script: its events, and orders to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ref = 0

    async def event(self) -> dict[str, Any]:
        """The next event."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_S)
        assert line, "the peer has ended"
        told: dict[str, Any] = json.loads(line)
        return told

    async def ask(self, **order: Any) -> dict[str, Any]:
        """Carries out one order and gives the answer."""
        assert self._process.stdin is not None
        self._ref += 1
        self._process.stdin.write(json.dumps({"ref": self._ref, **order}).encode() + b"\n")
        while (told := await self.event()).get("ref") != self._ref:
            pass
        return told


@asynccontextmanager
async def running(script: str, *arguments: str) -> AsyncIterator[Peer]:
    """`async with running("node_opcua_server.js") as peer`."""
    place = await asyncio.to_thread(installed, "node-opcua")
    # Scripts are found beside the packages; certificates that the library makes for itself stay in its own folder.
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPTS / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=place,
        env={**environment(place), "HOME": str(place)},
    )
    try:
        yield Peer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 3)
        if process.returncode is None:
            process.kill()
            await process.wait()

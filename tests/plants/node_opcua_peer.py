"""The npm packages `node-opcua-server` and `node-opcua-client` as OPC UA peers that we did not write. Skips with their name where they cannot be had."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

VERSION = "2.186.4"
PEERS = Path(__file__).parent.parent / "peers"
_INSTALL_S = 120
_ANSWER_S = 20.0


def installed() -> Path:
    """The folder whose node_modules holds both packages; installed once per machine."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node-opcua (npm): node or npm is missing")
    place = Path(tempfile.gettempdir()) / f"node-opcua-{VERSION}-{os.getuid()}"
    if not (place / "node_modules" / "node-opcua-server" / "package.json").exists():
        with tempfile.TemporaryDirectory() as fresh:
            (Path(fresh) / "package.json").write_text('{"private": true}')
            packages = [f"node-opcua-{side}@{VERSION}" for side in ("server", "client")]
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
            try:
                done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_S)
            except subprocess.TimeoutExpired:
                pytest.skip(f"node-opcua (npm): not installed within {_INSTALL_S} s")
            if done.returncode:
                pytest.skip(f"node-opcua (npm): {done.stderr.strip().splitlines()[-1:]}")
            staged = place.with_name(f"{place.name}.{os.getpid()}")
            shutil.copytree(fresh, staged)
            try:
                staged.rename(place)
            except OSError:  # another run was faster
                shutil.rmtree(staged)
    return place


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
    place = installed()
    # Scripts are found beside the packages; certificates that the library makes for itself stay in its own folder.
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PEERS / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=place,
        env={**os.environ, "NODE_PATH": str(place / "node_modules"), "HOME": str(place)},
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

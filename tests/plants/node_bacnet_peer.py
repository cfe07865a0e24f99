"""The npm package `node-bacnet` as a BACnet client and device that we did not write. Skips with its name where it cannot be had."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from npm_package import SCRIPTS, environment, installed

_ANSWER_S = 20


@asynccontextmanager
async def node(script: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of our scripts in tests/peers, run by node with the package at hand; ended with the block."""
    place = await asyncio.to_thread(installed, "node-bacnet")
    process = await asyncio.create_subprocess_exec(
        str(shutil.which("node")),
        str(SCRIPTS / script),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(place),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """The next line of its output, JSON."""
    assert process.stdout is not None
    said = await asyncio.wait_for(process.stdout.readline(), _ANSWER_S)
    if not said:
        assert process.stderr is not None
        raise AssertionError((await process.stderr.read()).decode())
    found: dict[str, Any] = json.loads(said)
    return found

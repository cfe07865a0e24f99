"""The npm package `node-bacnet` as a BACnet client and device that we did not write. Skips with its name where it cannot be had."""

import asyncio
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

VERSION = "0.2.4"
SCRIPTS = Path(__file__).parent.parent / "peers"
_INSTALL_S = 120
_ANSWER_S = 20


def installed() -> Path:
    """The folder whose node_modules holds the package; installed once per machine. Skips where node, npm or the registry is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node-bacnet (npm): node or npm is missing")
    place = Path(tempfile.gettempdir()) / f"node-bacnet-{VERSION}-{os.getuid()}"
    if not (place / "node_modules" / "node-bacnet" / "package.json").exists():
        with tempfile.TemporaryDirectory() as fresh:
            (Path(fresh) / "package.json").write_text('{"private": true}')
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"node-bacnet@{VERSION}"]
            try:
                done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_S)
            except subprocess.TimeoutExpired:
                pytest.skip(f"node-bacnet (npm): not installed within {_INSTALL_S} s")
            if done.returncode:
                pytest.skip(f"node-bacnet (npm): {done.stderr.strip().splitlines()[-1:]}")
            staged = place.with_name(f"{place.name}.{os.getpid()}")
            shutil.copytree(fresh, staged)
            try:
                staged.rename(place)
            except OSError:  # another run was faster
                shutil.rmtree(staged)
    return place


@asynccontextmanager
async def node(script: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of our scripts in tests/peers, run by node with the package at hand; ended with the block."""
    place = installed()
    process = await asyncio.create_subprocess_exec(
        str(shutil.which("node")),
        str(SCRIPTS / script),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(place / "node_modules")},
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

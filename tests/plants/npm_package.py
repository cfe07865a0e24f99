"""Packages of npm as peers that we did not write, installed once per machine, and our scripts in tests/peers run with them. Not a protocol."""

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

SCRIPTS = Path(__file__).parent.parent / "peers"
_INSTALL_S = 120
_ANSWER_S = 20


def installed(package: str, version: str) -> Path:
    """The folder whose node_modules holds the package. Skips with its name where node, npm or the registry is missing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"{package} (npm): node or npm is missing")
    place = Path(tempfile.gettempdir()) / f"{package}-{version}-{os.getuid()}"
    if not (place / "node_modules" / package / "package.json").exists():
        with tempfile.TemporaryDirectory() as fresh:
            (Path(fresh) / "package.json").write_text('{"private": true}')
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional"]
            try:
                done = subprocess.run(
                    [*command, f"{package}@{version}"], cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_S
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"{package} (npm): not installed within {_INSTALL_S} s")
            if done.returncode:
                pytest.skip(f"{package} (npm): {done.stderr.strip().splitlines()[-1:]}")
            staged = place.with_name(f"{place.name}.{os.getpid()}")
            shutil.copytree(fresh, staged)
            try:
                staged.rename(place)
            except OSError:  # another run was faster
                shutil.rmtree(staged)
    return place


@asynccontextmanager
async def script(name: str, package: str, version: str, *arguments: object) -> AsyncIterator[dict[str, Any]]:
    """Runs tests/peers/`name` until the block ends; gives the JSON of its first line. Fails with what it says where it does not start."""
    place = installed(package, version)
    process = await asyncio.create_subprocess_exec(
        str(shutil.which("node")),
        str(SCRIPTS / name),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "NODE_PATH": str(place / "node_modules")},
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _ANSWER_S)
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            raise AssertionError(f"{name}: expected a line of JSON, saw {line!r}") from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

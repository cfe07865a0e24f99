"""Packages of npm as peers that we did not write, installed once per machine, and our scripts in tests/peers run with them. Not a protocol.

`python tests/plants/npm_package.py` installs them all beforehand; otherwise the first test that needs one does.
"""

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

SCRIPTS = Path(__file__).parent.parent / "peers"
# What stands together in one folder: package -> version.
PACKAGES: dict[str, dict[str, str]] = {
    "modbus-serial": {"modbus-serial": "8.0.25"},
    "node-bacnet": {"node-bacnet": "0.2.4"},
    "node-opcua": {"node-opcua-server": "2.186.4", "node-opcua-client": "2.186.4"},
    "ocpp-rpc": {"ocpp-rpc": "2.2.1"},
}
_INSTALL_S = 100  # less than a test may take
_ANSWER_S = 20


def installed(name: str) -> Path:
    """The folder whose node_modules holds the packages. Skips with their name where node, npm or the registry is missing."""
    npm, packages = shutil.which("npm"), PACKAGES[name]
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"{name} (npm): node or npm is missing")
    (version,) = set(packages.values())
    place = Path(tempfile.gettempdir()) / f"{name}-{version}-{os.getuid()}"
    if not all((place / "node_modules" / package / "package.json").exists() for package in packages):
        with tempfile.TemporaryDirectory() as fresh:
            (Path(fresh) / "package.json").write_text('{"private": true}')
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional"]
            command += [f"{package}@{number}" for package, number in packages.items()]
            try:
                done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_S)
            except subprocess.TimeoutExpired:
                pytest.skip(f"{name} (npm): not installed within {_INSTALL_S} s")
            if done.returncode:
                pytest.skip(f"{name} (npm): {done.stderr.strip().splitlines()[-1:]}")
            staged = place.with_name(f"{place.name}.{os.getpid()}")
            shutil.copytree(fresh, staged)
            try:
                staged.rename(place)
            except OSError:  # another run was faster
                shutil.rmtree(staged)
    return place


def environment(place: Path) -> dict[str, str]:
    """The variables with which node finds the packages of a folder."""
    return {**os.environ, "NODE_PATH": str(place / "node_modules")}


@asynccontextmanager
async def script(name: str, package: str, *arguments: object) -> AsyncIterator[dict[str, Any]]:
    """Runs tests/peers/`name` until the block ends; gives the JSON of its first line. Fails with what it says where it does not start."""
    place = await asyncio.to_thread(installed, package)
    process = await asyncio.create_subprocess_exec(
        str(shutil.which("node")),
        str(SCRIPTS / name),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(place),
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


if __name__ == "__main__":
    for every in PACKAGES:
        with contextlib.suppress(pytest.skip.Exception):  # the test that needs it says so
            installed(every)

"""Packages of PyPI as peers that we did not write and that would burden the development environment, installed once per machine in a folder. Not a test.

`python tests/plants/pip_package.py` installs them all beforehand; otherwise the first test that needs one does.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent.parent / "peers"
ROOT = Path(__file__).parents[2]
# What stands together in one folder: name -> requirements, without what they ask for themselves (acnportal wants matplotlib and more to be imported only
# by what is not used here). acnportal reads its version with pkg_resources, which setuptools 81 gave up.
PACKAGES: dict[str, tuple[str, ...]] = {
    "acnportal-0.3.3": (
        "acnportal==0.3.3", "pandas>=2.2,<4", "python-dateutil", "six", "pytz", "tzdata", "requests", "urllib3", "certifi", "idna",
        "charset-normalizer", "typing_extensions", "setuptools<81",
    )
}  # fmt: skip
_INSTALL_S = 100  # less than a test may take


def installed(name: str) -> Path:
    """The folder to put on the path. Skips with the name where pip or the registry is missing."""
    place = Path(tempfile.gettempdir()) / f"{name}-py{sys.version_info.major}{sys.version_info.minor}-{os.getuid()}"
    if place.exists():
        return place
    if importlib.util.find_spec("pip") is None:
        pytest.skip(f"{name} (pip): pip is missing")
    with tempfile.TemporaryDirectory() as fresh:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--target", fresh, *PACKAGES[name]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{name} (pip): not installed within {_INSTALL_S} s")
        if done.returncode:
            pytest.skip(f"{name} (pip): {done.stderr.strip().splitlines()[-1:]}")
        staged = place.with_name(f"{place.name}.{os.getpid()}")
        shutil.copytree(fresh, staged)
        try:
            staged.rename(place)
        except OSError:  # another run was faster
            shutil.rmtree(staged)
    return place


def answers(script: str, package: str, *arguments: object, timeout_s: float) -> list[dict[str, Any]]:
    """Runs tests/peers/`script` with the package on its path; gives the JSON of each line. Fails with what it says where it does not end well."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", ""), str(installed(package))]).replace("::", ":")
    command = [sys.executable, "-W", "ignore", str(SCRIPTS / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=environment)
    assert done.returncode == 0, f"{script}: {done.stderr[-2000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    for every in PACKAGES:
        with contextlib.suppress(pytest.skip.Exception):  # the test that needs it says so
            installed(every)

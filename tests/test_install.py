"""What an install brings: `pip install .[edge]` into a clean environment, as on a gateway."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_ON_A_GATEWAY = {
    "duckdb",
    "fastapi",
    "highspy",
    "influxdb-client",
    "numpy",
    "pandas",
    "pydantic",
    "scipy",
    "starlette",
    "uvicorn",
}
MEBIBYTE = 1 << 20


def run(*command: str | Path) -> str:
    """Standard output of a command that must succeed, away from the repository so that only what is installed is found."""
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "WATTLINE", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, cwd="/", env=clean
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a clean environment with wattline[edge]."""
    environment = tmp_path_factory.mktemp("gateway") / "venv"
    run(sys.executable, "-m", "venv", environment)
    done = subprocess.run(
        [environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", f"{ROOT}[edge]"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode and any(
        word in done.stderr
        for word in ("Temporary failure in name resolution", "Network is unreachable", "Could not find a version")
    ):
        pytest.skip(f"no package registry: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return environment / "bin"


@pytest.mark.timeout(600)
def test_the_edge_extra_brings_nothing_heavy(gateway: Path) -> None:
    rows = json.loads(run(gateway / "pip", "--disable-pip-version-check", "list", "--format", "json"))
    names = {row["name"].lower().replace("_", "-") for row in rows}
    assert names & NOT_ON_A_GATEWAY == set()
    assert "wattline" in names


@pytest.mark.timeout(600)
def test_the_edge_extra_is_small(gateway: Path) -> None:
    """pip itself aside. 42 MiB when this was written: zstandard 24, cryptography 16."""
    site = next((gateway.parent / "lib").glob("python*/site-packages"))
    brought = [
        path
        for path in site.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and path.relative_to(site).parts[0].split("-")[0] not in ("pip", "setuptools", "pkg_resources")
    ]
    assert sum(path.stat().st_size for path in brought) < 60 * MEBIBYTE


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "words",
    [
        "edge --help",
        "edge run --help",
        "edge check --help",
        "edge commission --help",
        "edge spool --help",
        "certs --help",
        "--version",
    ],
)
def test_its_commands_work_there(gateway: Path, words: str) -> None:
    assert "wattline" in run(gateway / "wattline", *words.split())


@pytest.mark.timeout(600)
def test_the_agent_loads_there_with_every_driver_and_meter(gateway: Path) -> None:
    loaded = run(
        gateway / "python",
        "-c",
        "import edge_agent.agent, edge_agent.check, edge_agent.meter as m, pathlib; print(len(list((pathlib.Path(m.__file__).parent / 'meters').glob('*.toml'))))",
    )
    assert int(loaded) == len(list((ROOT / "edge_agent" / "meters").glob("*.toml"))) >= 10


def test_the_extras_named_in_the_pages_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    protocols = {"edge", "bacnet", "opcua", "ocpp", "protocols"}
    assert {*protocols, "aggregator", "influx", "sim", "demo", "forecast", "all", "dev"} == set(extras)

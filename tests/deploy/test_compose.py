"""The compose file, read as YAML: no engine runs here. The broker's part of it is run for real in test_mosquitto."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"
MADE_BY_THE_READER = {COMPOSE / "broker", COMPOSE / "aggregator"}  # what `wattline certs` made goes there; never in git


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))["services"])


def named_volumes() -> set[str]:
    return set(yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))["volumes"])


def test_there_are_a_broker_a_store_and_an_aggregator(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {"mosquitto", "influxdb", "aggregator"}


def test_images_are_pinned_to_a_full_version(services: dict[str, dict[str, Any]]) -> None:
    froms = re.findall(r"^FROM (\S+)", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    foreign = [service["image"] for service in services.values() if "build" not in service] + froms
    assert foreign
    assert [image for image in foreign if not re.fullmatch(r"[a-z-]+:\d+\.\d+\.\d+(-[a-z-]+)?", image)] == []


def test_every_mounted_file_exists_and_is_read_only(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                path = (COMPOSE / source).resolve()
                assert path.exists() or path in MADE_BY_THE_READER, f"{name}: {source} is not there"
                assert mode == ["ro"], f"{name}: {source} is not read-only"
            else:
                assert source in named_volumes()


def test_what_the_reader_makes_is_kept_out_of_git() -> None:
    for path in (*MADE_BY_THE_READER, COMPOSE / ".env", ROOT / "certs"):
        done = subprocess.run(
            ["git", "check-ignore", "--quiet", f"{path}/ca.key" if path.name != ".env" else str(path)],
            cwd=ROOT,
            timeout=20,
        )
        if done.returncode == 128:
            pytest.skip("not a git work tree")
        assert done.returncode == 0, f"{path} would be committed"


def test_no_service_has_rights_it_does_not_need(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(service), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "docker.sock" not in str(service)
    assert set(services["influxdb"]["cap_add"]) == {
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "SETGID",
        "SETUID",
    }  # its entry point changes user
    assert not any("cap_add" in services[name] for name in ("mosquitto", "aggregator"))


def test_every_service_is_watched_bounded_and_restarted(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"]), name
        assert service["restart"] == "unless-stopped"
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert {wait["condition"] for wait in services["aggregator"]["depends_on"].values()} == {"service_healthy"}


def test_secrets_have_no_default(services: dict[str, dict[str, Any]]) -> None:
    secret = {
        f"{name}.{key}": value
        for name, service in services.items()
        for key, value in service.get("environment", {}).items()
        if re.search("PASSWORD|TOKEN|USERNAME", key)
    }
    assert len(secret) == 5
    assert [key for key, value in secret.items() if not re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value)] == []


def test_the_example_of_env_names_every_variable_and_gives_no_value(services: dict[str, dict[str, Any]]) -> None:
    lines = [line for line in (COMPOSE / "env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.endswith("=") for line in lines)
    assert {line[:-1] for line in lines} == set(re.findall(r"\$\{([A-Z_]+)", str(services)))


def test_only_the_broker_listens_to_the_network(services: dict[str, dict[str, Any]]) -> None:
    assert services["mosquitto"]["ports"] == ["8883:8883"]
    assert services["aggregator"]["ports"] == ["127.0.0.1:8080:8080"]
    assert "ports" not in services["influxdb"]


def test_the_aggregators_file_fits_the_services(services: dict[str, dict[str, Any]]) -> None:
    settings = tomllib.loads((COMPOSE / "aggregator.toml").read_text(encoding="utf-8"))
    influx = services["influxdb"]["environment"]
    assert settings["mqtt"]["host"] in services
    assert settings["store"]["url"] == "http://influxdb:8086"
    assert settings["store"]["database"] == influx["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert settings["store"]["org"] == influx["DOCKER_INFLUXDB_INIT_ORG"]
    mounted = [volume.split(":")[1] for volume in services["aggregator"]["volumes"]]
    assert settings["aggregator"]["data_directory"] in mounted
    assert str(Path(services["aggregator"]["command"][2]).parent) in mounted


def test_influxql_is_let_in_when_the_store_is_first_set_up(services: dict[str, dict[str, Any]]) -> None:
    script = COMPOSE / "influxdb" / "dbrp.sh"
    assert "./influxdb:/docker-entrypoint-initdb.d:ro" in services["influxdb"]["volumes"]
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=20)
    assert "influx v1 dbrp create" in script.read_text()


def test_the_image_is_built_from_files_that_exist_and_runs_without_root(services: dict[str, dict[str, Any]]) -> None:
    build = services["aggregator"]["build"]
    assert (COMPOSE / build["context"]).resolve() == ROOT
    dockerfile = (ROOT / build["dockerfile"]).read_text()
    assert re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE) == ["10001:10001"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(build["args"]["EXTRAS"].split(",")) <= set(extras)
    let_in = re.findall(r"^!(\S+)", (COMPOSE / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert [name for name in let_in if not (ROOT / name).exists()] == []
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert set(wheel) <= set(let_in)

"""The example facility, read by the programs that would run it, with certificates of `wattline certs` beside it; and the commands of the pages."""

import argparse
import re
import shlex
import shutil
from pathlib import Path

import pytest

from aggregator import settings
from edge_agent import edge_file
from wattline import certs, certs_options
from wire.keys import SigningKey

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGES = [DEPLOY / "README.md", ROOT / "docs" / "install.md", ROOT / "docs" / "security.md"]
TOKEN = {settings.TOKEN_VARIABLE: "t" * 32}


def certs_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wattline certs")
    certs_options.add_arguments(parser)
    return parser


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("issued") / "certs"
    for words in ("init", "broker --host mqtt.example", "aggregator", "edge works gw-01"):
        assert certs.run(certs_parser().parse_args([*words.split(), "--directory", str(directory)])) == 0
    return directory


def test_the_agent_takes_the_example_beside_the_files_of_its_folder(issued: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(issued / "edges" / "works.gw-01", tmp_path / "wattline-edge"))
    shutil.copy(DEPLOY / "example" / "edge.toml", folder)
    edge = edge_file.load(folder / "edge.toml")
    assert (edge.facility, edge.edge) == ("works", "gw-01")
    assert edge.spool.directory == "/var/lib/wattline-edge/spool"  # below the unit's StateDirectory
    assert edge.signing
    assert SigningKey.load(Path(edge.signing.key)).public.to_text() == (folder / "gw-01.sign.pub").read_text().strip()
    assert [device.name for bus in edge.bus for device in bus.device] == ["incomer", "press-shop", "pv"]


@pytest.mark.parametrize(
    ("file", "store"), [("example/aggregator.toml", "duckdb"), ("compose/aggregator.toml", "influxdb")]
)
def test_the_aggregator_takes_the_example_beside_the_files_of_its_folder(
    issued: Path, tmp_path: Path, file: str, store: str
) -> None:
    folder = Path(shutil.copytree(issued / "aggregator", tmp_path / "wattline-aggregator"))
    shutil.copy(DEPLOY / file, folder / "aggregator.toml")
    loaded = settings.load(folder / "aggregator.toml", TOKEN)
    assert loaded.store.kind == store
    assert loaded.data_directory == Path("/var/lib/wattline-aggregator")
    assert [facility.id for facility in loaded.facilities] == ["works"]
    assert loaded.mqtt is not None
    assert loaded.mqtt.tls is not None


def test_both_examples_speak_of_the_same_devices(issued: Path, tmp_path: Path) -> None:
    gateway = Path(shutil.copytree(issued / "edges" / "works.gw-01", tmp_path / "edge"))
    cloud = Path(shutil.copytree(issued / "aggregator", tmp_path / "aggregator"))
    edge = edge_file.load(shutil.copy(DEPLOY / "example" / "edge.toml", gateway))
    facility = settings.load(Path(shutil.copy(DEPLOY / "example" / "aggregator.toml", cloud)), {}).facilities[0]
    assert {device.name for bus in edge.bus for device in bus.device} == {meter.device for meter in facility.meters}
    assert {meter.edge for meter in facility.meters} == {edge.edge}
    rated = {device.name: device.rated_power_kw for bus in edge.bus for device in bus.device}
    assert {meter.device: float(meter.rated_power_kw) for meter in facility.meters} == rated


def test_the_compose_example_needs_its_token(issued: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(issued / "aggregator", tmp_path / "wattline-aggregator"))
    shutil.copy(DEPLOY / "compose" / "aggregator.toml", folder / "aggregator.toml")
    with pytest.raises(settings.SettingsFaults, match="WATTLINE_TOKEN"):
        settings.load(folder / "aggregator.toml", {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_certs_command_of_the_page_is_one(page: Path) -> None:
    commands = re.findall(
        r"^(?:sudo )?(?:\S*/)?wattline certs (.+?)(?:\s+#.*)?$", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    commands += re.findall(r"`wattline certs ([a-z][^`]*)`", page.read_text(encoding="utf-8"))
    assert commands
    for command in commands:
        certs_parser().parse_args(shlex.split(command))


def test_every_file_of_deploy_that_the_page_names_exists() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bdeploy/[\w./-]*[\w-]", text))
    assert len(named) > 5
    made = {"deploy/compose/.env", "deploy/compose/broker", "deploy/compose/aggregator"}
    assert [
        name for name in sorted(named) if not (ROOT / name).exists() and not any(name.startswith(m) for m in made)
    ] == []

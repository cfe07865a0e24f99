"""Tens of thousands of spoiled edge files: each is loaded, or its faults are told; nothing else is ever raised."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import spoiled_toml

from edge_agent.edge_file import EdgeFileFaults, load

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "edge.toml"


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=spoiled_toml("\n".join(line for line in EXAMPLE.read_text().splitlines() if not line.startswith("#"))))
def test_a_spoiled_edge_file_is_loaded_or_its_faults_are_told(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "edge.toml"
    for name in ("ca.pem", "gw-01.pem", "gw-01.key", "gw-01.sign"):
        path.with_name(name).touch()
    path.write_bytes(text)
    try:
        edge = load(path)
    except EdgeFileFaults as error:
        told = str(error)
    else:
        told = ""
        assert edge.bus
    assert not told or told.startswith(f"{path}: ")
    assert all(len(line) < 600 for line in told.splitlines())

"""Every shipped model has golden frames. Not what they mean: the tests of its protocol read them (`drivers/test_*_golden.py`, `test_mqtt_devices.py`, `test_host.py`)."""

import fnmatch
import json
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from edge_agent import meter

FRAMES: Final = Path(__file__).parents[1] / "frames"
SHIPPED: Final = meter.shipped()
PATTERN: Final = (
    "a pattern to be copied: its object names are the simulator's own, against which the driver is run from end to end"
)
WITHOUT: Final = {
    "bacnet_ahu": PATTERN,
    "bacnet_chiller": PATTERN,
    "bacnet_hvac": PATTERN,
    "bacnet_lighting": PATTERN,
    "bacnet_meter": PATTERN,
}
ESSENTIAL: Final = ("active_power*_kw", "voltage_l?_v", "current_l?_a", "energy_import_kwh")


def golden(name: str) -> list[dict[str, Any]]:
    """All that stands in a model's folder."""
    found = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted((FRAMES / name).glob("*.toml"))]
    return found + [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FRAMES / name).glob("*.json"))]


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - WITHOUT.keys()))
def test_a_model_has_golden_frames_that_say_where_they_are_from(name: str) -> None:
    found = golden(name)
    assert found, f"expected golden frames in tests/frames/{name}/ (a manual's example, a recording), saw none"
    assert all(isinstance(one.get("source"), str) and len(one["source"]) > 10 for one in found)


def test_only_patterns_that_no_product_claims_are_without_frames() -> None:
    assert [name for name in WITHOUT if meter.load(name).maker != "any"] == []
    assert [name for name in WITHOUT if golden(name)] == []


def test_no_frames_are_left_of_a_model_that_is_gone() -> None:
    assert {path.name for path in FRAMES.iterdir() if path.is_dir()} <= set(SHIPPED)


def test_more_than_thirty_models_of_makers_have_frames() -> None:
    makers = [name for name in SHIPPED if meter.load(name).maker not in ("any", "SunSpec", "OPC Foundation")]
    assert len([name for name in makers if golden(name)]) >= 30


@pytest.mark.parametrize("name", [name for name in SHIPPED if meter.load(name).protocol in ("modbus", "ocpp", "opcua")])
def test_frames_show_power_voltage_current_and_energy_as_far_as_the_model_has_them(name: str) -> None:
    has = {row.quantity for row in meter.load(name).row}
    shown = {quantity for one in golden(name) for quantity in one["values"]}
    missing = [kind for kind in ESSENTIAL if fnmatch.filter(has, kind) and not fnmatch.filter(shown, kind)]
    assert missing == []

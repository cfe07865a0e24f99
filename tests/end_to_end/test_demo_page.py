"""What `make demo` shows: the page in Chromium beside the simulators' own truth, over real Modbus, MQTT and store."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from device_sim.site import SITES
from wattline.system import System, Wanted
from wire.clock import Clock

# Jiangsu 2023, Announcement No. 47 of 2025 of the Ministry of Ecology and Environment and the National Bureau of Statistics.
JIANGSU_KG_PER_KWH = 0.5827


def told(system: System, **request: Any) -> dict[str, Any]:
    """The simulators' answer to one request on their control port."""
    with socket.create_connection(("127.0.0.1", system.control_port), timeout=10) as connection:
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
    assert answer["ok"], answer
    return answer


@pytest.mark.timeout(150)
def test_the_page_of_the_demo_shows_the_plant_as_it_is(make_system: Any, system_directory: Path, page: Any) -> None:
    system = make_system(Wanted(system_directory, SITES / "demo.toml", Clock()))
    told(system, set={"plant": "works", "load_kw": 300, "for_s": 600})  # more than the sun at noon
    page.open(system.url, facility="works")
    page.until_live()
    load_kw = told(system, show="plants")["plants"]["works"]["active_power_kw"]["ev"] + 300
    page.until(lambda: page.value("site_load_kw") == pytest.approx(load_kw, abs=0.5), "the forced load is shown", 30)

    truth = told(system, show="plants")["plants"]["works"]["active_power_kw"]
    assert page.value("grid_kw") == pytest.approx(truth["grid"], abs=1)
    assert page.value("storage_kw") == pytest.approx(truth["battery"], abs=1)
    assert page.value("solar_kw") == pytest.approx(truth["pv"], abs=1)
    assert page.value("ev_kw") == pytest.approx(truth["ev"], abs=1)
    now_kg_per_h = page.value("emissions_now_kg_per_h")
    assert now_kg_per_h == pytest.approx(max(0, truth["grid"]) * JIANGSU_KG_PER_KWH, rel=0.03)
    assert "0.5827" in page.text("body")
    assert "2023" in page.text("body")
    page.until(lambda: (page.value("emissions_today_kg") or 0) > 0, "emissions of today grow", 30)
    page.until(
        lambda: len(page.all('[data-device][data-state="online"]')) == 6, "five devices and the gateway are online", 30
    )

    told(system, plant="works", device="pv", fault="silence", for_s=120)
    page.until(
        lambda: page.all('[data-device="gw-works/pv"]:not([data-state="online"])'),
        "the silent inverter is not shown as live",
        60,
    )
    assert not page.faults()

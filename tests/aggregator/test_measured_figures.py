"""The figures of a measured day, each worked out by hand from its interval energies; over HTTP and on the command line."""

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from live_plant import LivePlant, Server

from aggregator.facility import Cell, Facility, MeterSpec, Role
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow, Ledger
from aggregator.measured_figures import EXPORT, IMPORT, measured_figures
from wattline.command import main
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
MIDNIGHT = 1_780_272_000_000  # 2026-06-01 UTC


def meter(device: str, show: str, role: Role = Role.SUB, parent: str = "") -> MeterSpec:
    return MeterSpec(device, rated_power_kw=D(1000), edge="gw-01", role=role, show=show, parent=parent)


WORKS = Facility(
    "works", "UTC",
    meters=(
        meter("incomer", "grid", Role.MAIN), meter("roof", "pv"), meter("string-1", "pv", parent="roof"), meter("bess", "storage"),
        meter("piles", "ev"),
    ),
    cells=(("bess", Cell(D("0.95"), D("0.5"), D(10))),),
)  # fmt: skip


SETTINGS = (
    """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "UTC"
"""
    + "".join(
        f"""[[facility.meter]]
device = "{one.device}"
edge = "gw-01"
role = "{one.role.value}"
show = "{one.show}"
rated_power_kw = 1000
"""
        + (f'parent = "{one.parent}"\n' if one.parent else "")
        for one in WORKS.meters
    )
    + """[[facility.storage]]
meter = "bess"
charge_efficiency_ratio = "0.95"
discharge_efficiency_ratio = "0.5"
capacity_kwh = "10"
[[edge]]
facility = "works"
edge = "gw-01"
accept_unsigned = true
"""
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite")) as opened:
        yield opened


def put(ledger: Ledger, device: str, quantity: str, *energies: str, quality: Quality = Quality.GOOD) -> None:
    """Consecutive quarter hours from midnight on; "" is one that is lacking."""
    ledger.put_intervals(
        [
            IntervalRow(
                "works", device, quantity, start, start + QUARTER_MS, D(energy), Grade(quality), True, "measured"
            )
            for start, energy in ((MIDNIGHT + at * QUARTER_MS, energy) for at, energy in enumerate(energies))
            if energy
        ],
        MIDNIGHT,
    )


def test_each_figure_is_the_one_worked_out_by_hand(ledger: Ledger) -> None:
    put(ledger, "incomer", IMPORT, "10", "4", "0", "0", "", "6")
    put(ledger, "incomer", EXPORT, "0", "0", "5", "0", "", "0")
    put(ledger, "roof", EXPORT, "0", "1", "20", "20", "9", "0")
    put(ledger, "string-1", EXPORT, "0", "1", "10", "10", "9", "0")  # part of the roof: not counted twice
    put(ledger, "bess", EXPORT, "1", "0", "0", "0", "0", "0")
    put(ledger, "piles", IMPORT, "3", "2", "4", "1", "7", "0")
    found = measured_figures(ledger, WORKS, MIDNIGHT, MIDNIGHT + 8 * QUARTER_MS)
    assert (found.covered_h, found.expected_h) == (1.25, 2.0)
    assert found.peak_kw == 40.0
    assert found.largest_step_kw == 36.0  # 16 to -20; what lies beyond the gap is no step
    assert found.zero_carbon_h == 0.5
    assert found.pv_kwh == 41.0  # without the interval whose import nobody knows
    assert found.pv_self_use_percent == pytest.approx(100 * 36 / 41)
    assert found.vehicle_kwh == 17.0
    # sun of at least 2 kWh: in the third and fourth quarter 4 and 1 of the 10 kWh
    assert found.pv_hours_percent == pytest.approx(50.0)
    # 1 kWh AC at 0.5 are 2 of 10 kWh, in 6 quarter hours
    assert found.cycles_per_day == pytest.approx(0.2 * 16)
    assert found.life_years == pytest.approx(12_000 / 3.2 / 365.25)


def test_a_figure_without_ground_is_none_and_what_was_measured_badly_is_not_known(ledger: Ledger) -> None:
    put(ledger, "incomer", IMPORT, "10", quality=Quality.BAD)
    found = measured_figures(ledger, WORKS, MIDNIGHT, MIDNIGHT + QUARTER_MS)
    assert found.covered_h == 0
    for name in (
        "peak_kw",
        "largest_step_kw",
        "zero_carbon_h",
        "pv_self_use_percent",
        "pv_hours_percent",
        "cycles_per_day",
    ):
        assert getattr(found, name) is None, name


def test_programs_and_people_read_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATTLINE_CLOCK", raising=False)
    (tmp_path / "aggregator.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "data").mkdir()
    live = LivePlant(tmp_path / "data", facility=WORKS)
    try:
        put(live.ledger, "incomer", IMPORT, "10", "0", "2", "2")
        put(live.ledger, "roof", EXPORT, "0", "8", "2", "0")
        put(live.ledger, "bess", EXPORT, "0", "0", "1", "0")
        path = "/api/v1/facilities/works/measures"
        span = {"from": "2026-06-01T00:00Z", "to": "2026-06-01T01:00Z"}
        with Server(live.services) as server, httpx.Client(base_url=server.url) as client:
            told = client.get(path, params=span).json()
            assert (told["peak_kw"], told["zero_carbon_h"], told["pv_self_use_percent"]) == (40.0, 0.25, 100.0)
            assert client.get(path, params=span | {"to": "2026-06-01T00:00Z"}).status_code == 422
    finally:
        live.close()
    command = ["measures", "--config", str(tmp_path / "aggregator.toml"), "--from", "2026-06-01"]
    assert main([*command, "--to", "2026-06-01T01:00+00:00", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert main([*command, "--to", "2026-06-02"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("works: 1 of 24 h")
    assert "10.0 kWh, 100.0 % of it used on site" in shown
    # 2 of 10 kWh in an hour
    assert "4.80 cycles a day, 6.8 years at that rate" in shown
    assert "allow 1.64 a day: it will not last that long" in shown
    assert main([*command, "--to", "2026-05-02"]) == 2
    assert "--to: expected later than --from" in capsys.readouterr().err

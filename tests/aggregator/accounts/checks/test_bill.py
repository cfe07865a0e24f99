"""Bills against the ledger: what each cause comes to by hand, and that the causes are the difference exactly whatever the bill says.

By hand: transformers of 40; a load of 400 kW is 100 kWh a quarter hour, 2.5 on the display.
"""

import random
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from live_plant import LivePlant

from aggregator.accounts.checks.bill import Bill, TariffPeriod, read_bills, tariff_period
from aggregator.accounts.checks.bill_check import CAUSES, Checked, check
from aggregator.emissions.csv_table import TableRefused
from aggregator.facility import Facility, FactorOverride, MeterSpec, Multiplier, Role
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow
from aggregator.settings import Http
from aggregator.stores.store import Rows, SeriesKey
from wattline.command import main
from wire.reading import Quality

D = Decimal
T = 1_777_564_800_000  # 2026-05-01 at midnight in Shanghai
QUARTER_MS = 900_000
METER = MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D("0.4"), multipliers=(Multiplier(D(40)),))
FACILITY = Facility(
    "works", "Asia/Shanghai", place="CN", meters=(METER,), overrides=(FactorOverride(D("0.5"), "test"),)
)
SERIES = SeriesKey("works", "gw", "incomer", "energy_import_kwh")
HEAD = (
    "meter,from,to,kwh,opening,closing,multiplier,read_from,read_to,demand_kw,demand_window_min,demand_kind,kwh_peak\n"
)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path, facility=FACILITY, http=Http(port=0))
    made.now_ms = T + 40 * 86_400_000
    yield made
    made.close()


def bill(text: str) -> Bill:
    """One row of the columns of HEAD; what lacks at its end is empty."""
    cells = text.split(",")
    return read_bills([HEAD, ",".join([*cells, *[""] * (13 - len(cells))])], "bill.csv", FACILITY.zone)[0]


def checked(plant: LivePlant, text: str, *periods: TariffPeriod) -> Checked:
    found = check(bill(text), FACILITY, plant.settler, periods)
    assert sum(cause.kwh for cause in found.causes) == found.difference_kwh
    assert tuple(cause.name for cause in found.causes) == CAUSES
    return found


def causes(found: Checked) -> dict[str, Fraction]:
    return {cause.name: cause.kwh for cause in found.causes if cause.kwh}


def test_a_bill_that_agrees_has_no_cause(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 96)
    found = checked(plant, "incomer,2026-05-01,2026-05-02,9600,1000,1240,40")
    assert (found.difference_kwh, causes(found)) == (0, {})


def test_another_multiplier_is_named(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 96)
    assert causes(checked(plant, "incomer,2026-05-01,2026-05-02,12000,1000,1240,50")) == {"multiplier": 2400}


@pytest.mark.parametrize("source", ["import", "manual"])
def test_energy_that_was_imported_or_entered_has_no_display_and_is_not_multiplied(
    plant: LivePlant, source: str
) -> None:
    rows = [
        IntervalRow("works", "incomer", "energy_import_kwh", at_ms, at_ms + QUARTER_MS, D(100), Grade(Quality.GOOD, "imported"), final=True, source=source)
        for at_ms in range(T, T + 48 * QUARTER_MS, QUARTER_MS)
    ]  # fmt: skip
    plant.ledger.put_intervals(rows, plant.now_ms)
    found = checked(plant, "incomer,2026-05-01,2026-05-01T12:00,4890,100,104.89,1000,,,480,15,block")
    assert causes(found) == {"remainder": 90}  # 48 quarter hours are 4800
    assert found.demand is not None
    assert (found.demand.ledger_kw, found.demand.multiplier_kw, found.demand.remainder_kw) == (400, 0, 80)
    plant.book(T + 48 * QUARTER_MS, *["100"] * 48)
    half = checked(plant, "incomer,2026-05-01,2026-05-02,10800,,,50")
    assert causes(half) == {"multiplier": 1200}  # of the half that our meter counted


def test_displays_that_were_read_later_are_another_clock(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 96, *["40"] * 8)
    late = "incomer,2026-05-01,2026-05-02,9480,1000,1237,40,2026-05-01T00:30,2026-05-02T00:30"
    assert causes(checked(plant, late)) == {"clock": -2 * 100 + 2 * 40}
    within = "incomer,2026-05-01,2026-05-02,9580,1000,1239.5,40,2026-05-01T00:05,2026-05-02T00:05"
    assert causes(checked(plant, within)) == {
        "clock": Fraction(-100, 3) + Fraction(40, 3)
    }  # a third of an interval each


def test_missing_and_estimated_intervals_are_a_gap_up_to_what_the_meter_can_carry(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 40)
    plant.book(T + 48 * QUARTER_MS, *["100"] * 48)
    found = checked(plant, "incomer,2026-05-01,2026-05-02,9600,1000,1240,40")
    assert (causes(found), found.missing_ms) == ({"gap": 800}, 8 * QUARTER_MS)
    # 8 quarter hours carry 1.2 x 1000 kW x 2 h = 2400 kWh at most; the rest is not explained by them
    assert causes(checked(plant, "incomer,2026-05-01,2026-05-02,12000,1000,1300,40")) == {"gap": 2400, "remainder": 800}
    rows = [
        IntervalRow("works", "incomer", "energy_import_kwh", at_ms, at_ms + QUARTER_MS, D(30), Grade(Quality.SUBSTITUTED, "estimated"),
                    final=True, source="estimate")
        for at_ms in range(T + 40 * QUARTER_MS, T + 48 * QUARTER_MS, QUARTER_MS)
    ]  # fmt: skip
    plant.ledger.put_intervals(rows, plant.now_ms)
    found = checked(plant, "incomer,2026-05-01,2026-05-02,9600,1000,1240,40")
    assert (causes(found), found.estimated, found.missing_ms) == ({"gap": 800 - 240}, 8, 0)


def test_a_misread_display_is_told_from_a_gap_where_the_meter_was_read_at_the_same_time(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 96)
    at_ms = np.array([T - 60_000, T, T + 86_400_000, T + 86_460_000], np.int64)
    ids, n = plant.store.ids([SERIES]), len(at_ms)
    value = np.array([1000.0, 1000.0, 1240.0, 1240.0])
    plant.store.commit(Rows(np.repeat(ids, n), at_ms, value, np.zeros(n, np.uint8), np.zeros(n, np.uint8)), [])
    assert causes(checked(plant, "incomer,2026-05-01,2026-05-02,9640,1000,1241,40")) == {"display": 40}


def test_a_bill_that_does_not_follow_from_its_own_displays_says_so(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 96)
    assert causes(checked(plant, "incomer,2026-05-01,2026-05-02,9700,1000,1240,40")) == {"arithmetic": 100}
    assert causes(checked(plant, "incomer,2026-05-01,2026-05-02,9700")) == {"remainder": 100}


def test_the_window_of_the_maximum_is_named(plant: LivePlant) -> None:
    """Domain rule 28: 600 kW for 10 minutes across a boundary, else 200: 333 kW in blocks of 15 minutes, 467 sliding by 5."""
    facility = Facility("works", "Asia/Shanghai", interval_s=300, meters=(METER,))
    loads_kw = [200, 200, 600, 600, 200, 200]
    rows = [
        IntervalRow("works", "incomer", "energy_import_kwh", T + at * 300_000, T + (at + 1) * 300_000, D(kw) / 12, Grade(), final=True,
                    source="measured")
        for at, kw in enumerate(loads_kw)
    ]  # fmt: skip
    plant.ledger.put_intervals(rows, plant.now_ms)
    head = "incomer,2026-05-01T00:00,2026-05-01T00:30,166.666666666667,,,40,,,"
    for kind, kw in (("block", 1000 / 3), ("sliding", 1400 / 3)):
        found = check(bill(f"{head}{kw},15,{kind}"), facility, plant.settler).demand
        assert found is not None
        assert float(found.ledger_kw) == pytest.approx(600)  # the highest 5 minutes
        assert float(found.window_kw) == pytest.approx(kw - 600)
        assert float(found.remainder_kw) == pytest.approx(0, abs=1e-9)


def test_tariff_periods_are_compared_each(plant: LivePlant) -> None:
    plant.book(T, *["100"] * 96)
    peak = tariff_period("peak=08:00-11:00,18:00-24:00")
    found = checked(plant, "incomer,2026-05-01,2026-05-02,9600,1000,1240,40,,,,,,3500", peak)
    assert found.periods == (("peak", D(3500), Fraction(3600)),)  # 9 h of 400 kWh
    for wrong in ("peak", "peak=8", "=08:00-09:00", "peak=11:00-08:00"):
        with pytest.raises(ValueError, match="expected a name and its hours"):
            tariff_period(wrong)


def test_the_causes_are_the_difference_exactly_whatever_the_bill_says(plant: LivePlant) -> None:
    rng = random.Random(11)
    for at in range(120):
        if rng.random() < 0.8:
            plant.book(T + at * QUARTER_MS, f"{rng.uniform(0, 250):.7f}")
    for _ in range(100):
        opening = rng.randrange(2000)
        cells = [
            "incomer", "2026-05-01", "2026-05-02", f"{rng.uniform(0, 30_000):.3f}", str(opening), f"{opening + rng.uniform(0, 300):.3f}",
            rng.choice(("", "30", "40", "7.3")), f"2026-05-01T0{rng.randrange(5)}:{rng.randrange(10, 60)}", "2026-05-02T03:07",
        ]  # fmt: skip
        checked(plant, ",".join(cells))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("incomer,2026-05-02,2026-05-01,1\n", "to: expected a time after"),
        ("incomer,2026-05-01,2026-05-02,many\n", "kwh: expected"),
        ("incomer,2026-05-01,2026-05-02,-0.1\n", r"bill\.csv:2: kwh: expected 0 or above, got '-0.1'"),
        ("incomer,2026-05-01,2026-05-02,1,5\n", "expected 4 columns"),
    ],
)
def test_what_is_no_bill_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(TableRefused, match=says):
        read_bills(["meter,from,to,kwh\n", text], "bill.csv", FACILITY.zone)


SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
[[facility.meter]]
device = "incomer"
edge = "gw"
rated_power_kw = 1000
role = "main"
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def test_the_command_explains_and_says_by_its_status_whether_all_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, energies, file = tmp_path / "aggregator.toml", tmp_path / "energy.csv", tmp_path / "bill.csv"
    config.write_text(SETTINGS)
    rows = [f"2026-05-01T{at // 4:02d}:{at % 4 * 15:02d},100" for at in range(96) if at not in (40, 41)]
    energies.write_text("time,energy_kwh\n" + "\n".join(rows) + "\n")
    assert main(["import", str(energies), "--config", str(config), "--facility", "works", "--device", "incomer"]) == 0
    file.write_text(
        "number,meter,from,to,opening,closing,multiplier,kwh\n2026/05,incomer,2026-05-01,2026-05-02,0,9600,1,9600\n"
    )
    capsys.readouterr()
    assert main(["bill", "check", str(file), "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert "bill 2026/05 incomer: 9600 kWh; ledger 9400 kWh; difference 200 kWh" in told
    assert "gap                       200 kWh  30 min without a figure" in told
    file.write_text("meter,from,to,kwh\nincomer,2026-05-01,2026-05-02,99999\n")
    assert main(["bill", "check", str(file), "--config", str(config), "--json"]) == 1
    assert '"cause": "remainder"' in capsys.readouterr().out
    file.write_text("meter,from,to,kwh\nboiler,2026-05-01,2026-05-02,1\n")
    assert main(["bill", "check", str(file), "--config", str(config)]) == 2

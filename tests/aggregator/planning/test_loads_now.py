"""A whole aggregator plans a pump that can wait and a chiller with a comfort band: from settings, meters and thermometers to schedule, record and command.

Expected numbers by hand: the grid shows 100 kW, of which the pump had 8 kW and the chiller 4 kW; dear hours are 16:00 to 20:00.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from planned_aggregator import CIRCUIT, QUARTER_MS, SETTINGS, Works, at_ms

from aggregator.flexibility.record import decode_record, replay
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow
from wattline.command import main
from wire.reading import Quality

LOADS = "".join(
    f"""
[[asset]]
name = "{name}"
kind = "load"
branch = "transformer"
edge = "gw-01"
device = "{name}"
point = "active_power_limit_percent"
charge_kw = {kw}
"""
    for name, kw in (("pump", 10), ("chiller", 20))
)
METERS = "".join(
    f'[[facility.meter]]\ndevice = "{name}"\nedge = "gw-01"\nrated_power_kw = 30\n' for name in ("pump", "chiller")
)
SAID = """
[[facility.shiftable]]
asset = "pump"
kwh = 20
window = "10:00-22:00"
least_kw = 5
[[facility.comfort]]
asset = "chiller"
task = "cooling"
low_degc = 22
high_degc = 26
kwh_per_k = 5
loss_kw_per_k = 0.5
gains_kw = 2
"""
TEXT = SETTINGS.replace("[facility.tariff]", METERS + SAID + "[facility.tariff]")


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    made = Works(tmp_path, CIRCUIT + LOADS, TEXT)
    made.past(3, "25")
    made.past(3, "2", "pump")
    made.past(3, "1", "chiller")
    yield made
    made.aggregator._close()


def of_plan(works: Works) -> dict[str, dict[str, object]]:
    planned = works.planning.current("works")
    assert planned is not None
    told = works.planning.book.summary(works.planning.rounds.lines["works"].plan)
    return {one["name"]: one for one in told["loads"]}


def test_what_a_load_has_had_is_from_its_meter_and_it_is_no_part_of_what_nobody_steers(
    works: Works, capsys: pytest.CaptureFixture[str]
) -> None:
    works.read("chiller", "room_temperature_degc", 25.0)
    works.read("chiller", "outdoor_temperature_degc", 30.0)
    works.read("battery", "state_of_charge_percent", 50.0)
    assert works.look()
    state = works.planning.rounds.lines["works"].gathered.state(works.now_ms)
    assert state.outlook.load_kw[:4] == pytest.approx([88.0] * 4)
    (today, tomorrow) = state.windows
    # The window began at 10:00, two hours ago: 8 quarters of 2 kWh.
    assert (today.name, today.kwh, today.done_kwh, today.least_kw) == ("pump 11-20 10:00", 20.0, 16.0, 5.0)
    assert (tomorrow.name, tomorrow.done_kwh) == ("pump 11-21 10:00", 0.0)
    (building,) = state.tempered
    assert (building.kwh, building.band_kwh, building.drain_kw[0]) == (5.0, 20.0, 4.0)
    assert any("no outdoor temperature of a whole day yet" in note for note in state.notes)
    rows = of_plan(works)
    assert set(rows) == {"pump 11-20 10:00", "pump 11-21 10:00", "chiller"}
    assert rows["pump 11-20 10:00"]["planned_kwh"] == pytest.approx(4.0, abs=1.25)  # 5 kW or nothing: whole steps
    (schedule,) = works.schedules()
    pump = [wish for wish in schedule.wishes if wish.asset == "pump"]
    assert all(wish.cap for wish in pump)
    assert all(wish.kw == 0 or 5 <= wish.kw <= 10 for wish in pump)
    assert not [wish for wish in pump if wish.kw > 0 and at_ms(4) <= wish.from_ms < at_ms(8)]
    chiller = [wish for wish in schedule.wishes if wish.asset == "chiller"]
    assert chiller[-1].until_ms == pump[-1].until_ms
    again = replay(decode_record(works.planning.book.record(1)))
    assert (again.differences, again.exact) == ((), True)
    config = str(works.aggregator.settings.file)
    assert main(["plan", "show", "plan-1", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "load        pump 11-20 10:00 (20 kWh): 16.0 kWh had" in said
    assert "load        chiller: 25.0 degC, 5.0 of 20.0 kWh held" in said


def test_the_newest_minutes_count_at_what_is_drawn_and_what_nobody_knows_is_said(works: Works) -> None:
    works.now_ms = at_ms(10 / 60)
    works.read("pump", "active_power_kw", 9.0)  # ten minutes at 9 kW: 1.5 kWh more
    gathered = works.planning.rounds.lines["works"].gathered
    assert gathered.state(works.now_ms).windows[0].done_kwh == pytest.approx(17.5)
    works.now_ms = at_ms(2)
    found = gathered.state(works.now_ms)
    assert found.windows[0].done_kwh == 16.0
    assert "pump: what it has had in 120 min since 10:00 is not known, taken as 0 kWh" in found.notes


def test_a_load_that_has_had_all_rests_until_its_next_window_and_one_that_will_lack_is_an_alarm(works: Works) -> None:
    rows = [
        IntervalRow("works", "pump", "energy_import_kwh", start_ms, start_ms + QUARTER_MS, Decimal("2.5"), Grade(Quality.GOOD), True, "measured")
        for start_ms in range(at_ms(), at_ms(0.5), QUARTER_MS)
    ]  # fmt: skip
    works.aggregator.ledger.put_intervals(rows, at_ms(0.5))
    works.now_ms = at_ms(0.5)
    works.look()
    first = next(wish for wish in works.schedules()[-1].wishes if wish.asset == "pump")
    assert (first.kw, first.until_ms >= at_ms(22)) == (0.0, True)
    assert works.alarms() == []
    works.now_ms = at_ms(33.75)  # 21:45 tomorrow: 10 kW for a quarter are 2.5 kWh
    works.look()
    assert "load_short" in works.alarms()


def test_a_building_without_a_thermometer_is_left_out_and_outdoors_follow_yesterday(works: Works) -> None:
    gathered = works.planning.rounds.lines["works"].gathered
    found = gathered.state(works.now_ms)
    assert (found.tempered, "chiller" in found.silent) == ([], True)
    for hour in range(-24, 1):
        works.now_ms = at_ms(hour)
        works.read("chiller", "outdoor_temperature_degc", 20.0 + hour % 24 / 2)  # 20 degC at noon, 31.5 at 11
    works.now_ms = at_ms()
    works.read("chiller", "outdoor_temperature_degc", 23.0)  # 3 K warmer than yesterday
    works.read("chiller", "room_temperature_degc", 24.0)
    (building,) = gathered.state(works.now_ms).tempered
    outdoors = 23.0 + np.repeat(np.arange(3), 4) / 2  # noon, one, two o'clock
    assert building.drain_kw[:12] == pytest.approx(np.maximum(2 + 0.5 * (outdoors - 26.0), 0))
    assert building.drain_kw[92] == pytest.approx(2 + 0.5 * (31.5 + 3 - 26))  # 11 o'clock tomorrow

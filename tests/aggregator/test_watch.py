"""What raises alarms: silence, imbalance, a missing factor, trouble with delivery; and what clears them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from live_plant import START_MS, LivePlant, works

from aggregator.numbering import EdgeNumbers


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path)
    yield made
    made.close()


def codes(plant: LivePlant) -> set[tuple[str, str, str]]:
    return {(alarm.code, alarm.source, alarm.state.value) for alarm in plant.alarms.open("works")}


def look_for(plant: LivePlant, seconds: int) -> None:
    """Run the plant and look once a second."""
    for _ in range(seconds):
        plant.run_to(plant.now_ms + 1000)
        plant.watch.look()


def test_a_healthy_plant_raises_nothing(plant: LivePlant) -> None:
    look_for(plant, 90)
    assert codes(plant) == set()


def test_a_device_that_falls_silent_is_an_alarm_and_clears_when_it_is_back(plant: LivePlant) -> None:
    look_for(plant, 3)
    plant.silent = {"offices"}
    look_for(plant, 62)
    assert codes(plant) == {("device_offline", "offices", "unack")}
    plant.silent = set()
    look_for(plant, 2)
    assert codes(plant) == {("device_offline", "offices", "rtn")}


def test_nothing_is_called_silent_in_the_first_minute(plant: LivePlant) -> None:
    plant.silent = {"offices"}
    look_for(plant, 55)
    assert codes(plant) == set()
    look_for(plant, 10)
    assert codes(plant) == {("device_offline", "offices", "unack")}


def test_a_lost_edge_is_one_alarm_not_one_per_device(plant: LivePlant) -> None:
    look_for(plant, 3)
    plant.edges["gw-02"] = replace(plant.edges["gw-02"], online=False)
    look_for(plant, 70)
    assert codes(plant) == {("edge_offline", "gw-02", "unack")}


def test_an_edge_that_is_back_before_its_devices_values_raises_nothing_for_them(plant: LivePlant) -> None:
    look_for(plant, 62)
    plant.silent = {"roof", "battery", "charger"}
    plant.edges["gw-02"] = replace(plant.edges["gw-02"], online=False)
    look_for(plant, 70)
    plant.edges["gw-02"] = replace(plant.edges["gw-02"], online=True)
    look_for(plant, 2)
    assert codes(plant) == {("edge_offline", "gw-02", "rtn")}
    plant.silent = {"roof"}
    look_for(plant, 35)
    assert codes(plant) == {("edge_offline", "gw-02", "rtn"), ("device_offline", "roof", "unack")}


def test_a_device_that_was_taken_out_is_no_device_and_its_alarm_clears(plant: LivePlant) -> None:
    plant.alarms.raise_alarm("works", "device_offline", "old-meter", "gw-01")
    plant.alarms.raise_alarm("works", "edge_offline", "gw-old")
    plant.put("old-meter", 5.0, edge="gw-01")  # as found in the store at the start
    plant.announce()
    look_for(plant, 65)
    assert codes(plant) == {("device_offline", "old-meter", "rtn"), ("edge_offline", "gw-old", "rtn")}


def test_imported_counter_readings_are_no_device(plant: LivePlant) -> None:
    plant.put("incomer", 5.0, edge="import")
    look_for(plant, 65)
    assert codes(plant) == set()
    assert ("import", "incomer") not in plant.live.device_states("works")


def test_an_edge_that_never_said_it_is_there_is_judged_by_its_devices(plant: LivePlant) -> None:
    plant.edges.clear()
    plant.silent = {"roof", "battery", "charger"}
    look_for(plant, 65)
    assert codes(plant) == {("edge_offline", "gw-02", "unack")}


def test_meters_that_do_not_add_up_for_half_a_minute_are_an_alarm(plant: LivePlant) -> None:
    look_for(plant, 3)
    plant.silent = {"workshop"}
    for _ in range(29):
        plant.run_to(plant.now_ms + 1000)
        plant.put("workshop", 200.0)
        plant.watch.look()
    assert codes(plant) == set()
    for _ in range(3):
        plant.run_to(plant.now_ms + 1000)
        plant.put("workshop", 200.0)
        plant.watch.look()
    assert codes(plant) == {("residual", "works", "unack")}
    plant.silent = set()
    look_for(plant, 2)
    assert codes(plant) == {("residual", "works", "rtn")}


def test_a_facility_without_a_factor_has_an_alarm_that_says_why(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, facility=works(place=""))
    plant.watch.look()
    (alarm,) = plant.alarms.open("works")
    assert (alarm.code, alarm.priority) == ("factor_missing", 1)
    assert alarm.arguments[0]
    plant.close()


@pytest.mark.parametrize(("field", "code"), [("gaps", "gap"), ("conflicts", "conflict"), ("refused", "batch_refused")])
def test_what_went_wrong_with_delivery_waits_to_be_acknowledged(plant: LivePlant, field: str, code: str) -> None:
    look_for(plant, 2)
    plant.edges["gw-01"] = replace(plant.edges["gw-01"], **{field: 2})
    look_for(plant, 2)
    assert codes(plant) == {(code, "gw-01", "rtn")}


def test_gaps_from_before_the_start_are_no_news(plant: LivePlant) -> None:
    plant.edges["gw-01"] = replace(plant.edges["gw-01"], gaps=5)
    look_for(plant, 3)
    assert codes(plant) == set()


def test_a_key_that_nobody_accepted_is_an_alarm_with_its_fingerprint(plant: LivePlant) -> None:
    plant.edges["gw-01"] = replace(plant.edges["gw-01"], unknown_key="ed25519:00ff")
    plant.watch.look()
    (alarm,) = plant.alarms.open("works")
    assert (alarm.code, alarm.arguments) == ("key_unknown", ("ed25519:00ff",))
    plant.edges["gw-01"] = replace(plant.edges["gw-01"], unknown_key="")
    plant.watch.look()
    assert codes(plant) == {("key_unknown", "gw-01", "rtn")}


@pytest.mark.parametrize(
    ("clock", "said"),
    [
        ({"clock_skew_ms": -10_001}, "+10.0"),  # its batches come before they were sealed: it is ahead
        ({"clock_skew_ms": 3_600_000}, "-3600.0"),
        ({"clock_offset_ms": 12_500, "clock_skew_ms": 40}, "-12.5"),
        ({"clock_error_ms": 16_000}, "+16.0"),
    ],
)
def test_a_clock_that_is_off_is_an_alarm_that_says_by_how_much(
    plant: LivePlant, clock: dict[str, int], said: str
) -> None:
    right = replace(plant.edges["gw-01"], clock_synced=True, clock_offset_ms=-3, clock_error_ms=9, clock_skew_ms=900)
    plant.edges["gw-01"] = replace(right, **clock)
    plant.watch.look()
    (alarm,) = plant.alarms.open("works")
    assert (alarm.code, alarm.source, alarm.arguments) == ("clock_off", "gw-01", (said,))
    plant.edges["gw-01"] = right
    plant.watch.look()
    assert codes(plant) == {("clock_off", "gw-01", "rtn")}


@pytest.mark.parametrize(("synced", "raised"), [(False, {("clock_unsynced", "gw-01", "unack")}), (None, set())])
def test_a_clock_that_is_not_synchronised_is_an_alarm_and_one_that_cannot_tell_is_none(
    plant: LivePlant, synced: bool | None, raised: set[tuple[str, str, str]]
) -> None:
    plant.edges["gw-01"] = replace(plant.edges["gw-01"], clock_synced=synced)
    plant.watch.look()
    assert codes(plant) == raised


def test_the_start_of_the_watch_is_the_injected_clocks(plant: LivePlant) -> None:
    assert plant.watch._started_at_ms == START_MS


def test_the_first_spool_of_an_edge_is_no_gap_and_a_second_one_is() -> None:
    edge = EdgeNumbers("works", "gw-01")
    edge.gap("e1", {"kind": "new_spool", "reason": "no spool here", "epoch": "unknown"})
    assert edge.figures().gaps == 0
    edge.gap("e2", {"kind": "new_spool", "reason": "no spool here", "epoch": "unknown"})
    assert edge.figures().gaps == 1


def test_a_spool_that_names_the_one_before_it_is_a_gap() -> None:
    edge = EdgeNumbers("works", "gw-01")
    edge.gap("e2", {"kind": "new_spool", "reason": "another machine", "epoch": "e1", "last_seq": 7})
    assert edge.figures().gaps == 1

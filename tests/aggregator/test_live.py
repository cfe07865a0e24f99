"""The live state: powers that balance, emissions by hand, devices that fall silent, nothing shown that is not known."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from live_plant import METERS, START_MS, LivePlant, powers_kw, works

from aggregator.edge_control import EdgeControl, control_of
from aggregator.facility import FactorOverride, MeterSpec, Multiplier, Role
from aggregator.import_meter import ImportMeter
from aggregator.live import AboutDevice
from aggregator.rhythm import Rhythm

QUARTER_MS = 900_000


def own_factor(kg_per_kwh: str = "0.5", **more: Any) -> FactorOverride:
    return FactorOverride(Decimal(kg_per_kwh), "by hand", **more)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LivePlant]:
    made = LivePlant(tmp_path, facility=works(overrides=(own_factor(),)))
    yield made
    made.close()


def frame(plant: LivePlant) -> dict[str, Any]:
    return plant.live.frame("works")


def test_the_parts_of_the_flow_are_the_meters_and_add_up(plant: LivePlant) -> None:
    plant.run_to(START_MS + 10_000)
    powers = powers_kw(START_MS / 1000 + 10)
    flow = frame(plant)["flow"]
    assert flow["grid"] == powers["incomer"]
    assert flow["load"] == pytest.approx(powers["workshop"] + powers["offices"], abs=1e-3)
    assert (flow["pv"], flow["sto"], flow["ev"]) == (powers["roof"], powers["battery"], powers["charger"])
    assert flow["resid"] == pytest.approx(0, abs=1e-3)
    assert frame(plant)["fq"] == dict.fromkeys(("grid", "load", "pv", "sto", "ev"), "g")


def test_load_without_a_meter_is_the_balance_and_says_so(tmp_path: Path) -> None:
    meters = tuple(meter for meter in works().meters if meter.show != "load")
    plant = LivePlant(tmp_path, facility=works(meters=meters))
    for device, power in (("incomer", 100.0), ("roof", -40.0), ("battery", 25.0), ("charger", 15.0)):
        plant.put(device, power)
    found = frame(plant)
    assert found["flow"]["load"] == 100 + 40 - 25 - 15
    assert found["fq"]["load"] == "s"
    assert "resid" not in found["flow"]
    plant.close()


def test_what_the_meters_do_not_account_for_is_shown(plant: LivePlant) -> None:
    for device, power in (
        ("incomer", 110.0),
        ("workshop", 60.0),
        ("offices", 30.0),
        ("roof", -20.0),
        ("battery", 10.0),
        ("charger", 20.0),
    ):
        plant.put(device, power)
    assert frame(plant)["flow"]["resid"] == 110 + 20 - 10 - 20 - 90
    assert plant.live.balance_kw("works") == (10.0, 120.0)


def test_a_part_with_a_silent_meter_has_no_value_rather_than_a_smaller_one(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.silent = {"offices"}
    plant.run_to(START_MS + 60_000)
    found = frame(plant)
    assert "load" not in found["flow"]
    assert found["fq"]["load"] == "b"
    assert "resid" not in found["flow"]
    assert found["flow"]["grid"] == powers_kw(START_MS / 1000 + 60)["incomer"]


def test_a_device_goes_from_online_to_late_to_offline(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.silent = {"offices"}
    seen = []
    for second in (1, 5, 6, 30, 31):
        plant.run_to(START_MS + 5_000 + second * 1000)
        seen.append(frame(plant)["d"]["gw-01/offices"]["st"])
    assert seen == ["online", "online", "late", "late", "offline"]
    assert frame(plant)["d"]["gw-01/offices"]["ts"] == START_MS + 5_000


def test_a_late_meter_makes_its_part_uncertain(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.silent = {"roof"}
    plant.run_to(START_MS + 12_000)
    assert frame(plant)["fq"]["pv"] == "u"


def test_a_meter_that_answers_without_a_value_gives_none(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.put("roof", float("nan"), at_ms=START_MS + 5_500)
    assert "pv" not in frame(plant)["flow"]
    assert frame(plant)["d"]["gw-02/roof"]["q"] == "b"
    assert "p" not in frame(plant)["d"]["gw-02/roof"]


def test_devices_behind_an_edge_that_left_are_offline_at_once(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.live.delivery([replace(plant.edges["gw-02"], online=False)])
    states = plant.live.device_states("works")
    assert states["gw-02", "roof"] == "offline"
    assert states["gw-01", "incomer"] == "online"


def test_an_edge_that_says_nothing_any_more_is_offline_whatever_it_said_last(plant: LivePlant) -> None:
    plant.live.delivery([replace(plant.edges["gw-02"], online=True, said_at_ms=START_MS)])
    plant.run_to(START_MS + 24_000)
    assert frame(plant)["edges"]["gw-02"]["st"] == "online"
    plant.run_to(START_MS + 26_000)
    assert frame(plant)["edges"]["gw-02"]["st"] == "offline"
    assert plant.live.device_states("works")["gw-02", "roof"] == "offline"


def test_a_device_that_never_answered_is_offline_without_an_age(plant: LivePlant) -> None:
    assert frame(plant)["d"]["gw-01/incomer"] == {"st": "offline"}


def test_a_device_that_no_meter_names_is_shown_too(plant: LivePlant) -> None:
    plant.put("weather", 12.5, "outdoor_temperature_degc", edge="gw-02")
    assert frame(plant)["d"]["gw-02/weather"] == {"st": "online", "ts": START_MS, "q": "g"}
    assert frame(plant)["meta"]["devices"]["gw-02/weather"] == {"edge": "gw-02", "device": "weather"}


def test_protocol_and_model_come_from_the_edge(plant: LivePlant) -> None:
    plant.announce()
    about = frame(plant)["meta"]["devices"]["gw-01/incomer"]
    assert (about["protocol"], about["model"], about["role"], about["show"]) == (
        "Modbus TCP",
        "schneider_pm5560",
        "main",
        "grid",
    )


def test_state_of_charge_is_what_the_battery_says(plant: LivePlant) -> None:
    assert "soc" not in frame(plant)
    plant.put("battery", 63.25, "state_of_charge_percent")
    assert frame(plant)["soc"] == 63.2


def test_a_multiplier_turns_the_display_into_the_line(tmp_path: Path) -> None:
    meter = MeterSpec(
        "incomer", "gw-01", Decimal(1000), Role.MAIN, show="grid", multipliers=(Multiplier(Decimal(120)),)
    )
    plant = LivePlant(tmp_path, facility=works(meters=(meter,)))
    plant.put("incomer", 2.5)
    assert frame(plant)["flow"]["grid"] == 300.0
    assert frame(plant)["d"]["gw-01/incomer"]["p"] == 300.0
    plant.close()


def test_emissions_now_are_import_times_factor(plant: LivePlant) -> None:
    plant.announce()
    plant.put("incomer", 91.5)
    found = frame(plant)["em"]
    assert found["kgph"] == 45.75
    assert (found["f"], found["f_id"], found["f_q"]) == ("0.5", "override.works", "g")


def test_emissions_by_a_factor_with_marks_are_estimated_in_the_letter_that_the_page_shows(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, facility=works(place="CN-JS", overrides=()))
    plant.announce()
    plant.put("incomer", 91.5)
    found = frame(plant)["em"]
    assert found["f_marks"]
    assert found["f_q"] == "e"
    plant.close()


def test_export_emits_nothing_and_is_not_deducted_from_another_connection(tmp_path: Path) -> None:
    second = MeterSpec("second", "gw-01", Decimal(1000), Role.MAIN, show="grid")
    plant = LivePlant(tmp_path, facility=works(meters=(works().meters[0], second), overrides=(own_factor(),)))
    plant.announce()
    plant.put("incomer", -80.0)
    plant.put("second", 100.0, edge="gw-01")
    found = frame(plant)
    assert found["flow"]["grid"] == 20.0
    assert found["em"]["kgph"] == 50.0
    plant.close()


def test_without_a_factor_there_is_no_figure_and_the_reason_is_given(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, facility=works(place=""))
    plant.announce()
    plant.run_to(START_MS + 5_000)
    found = frame(plant)["em"]
    assert found["f_q"] == "none"
    assert found["f_why"]
    assert not {"kgph", "kg_today", "f"} & set(found)
    plant.close()


def test_the_published_factor_is_marked_as_the_latest_known(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path)
    plant.announce()
    plant.put("incomer", 100.0)
    found = frame(plant)["em"]
    assert (found["f"], found["f_year"], found["f_region"]) == ("0.5827", 2023, "CN-JS")
    assert {"provisional", "fallback_latest"} <= set(found["f_marks"])
    assert found["kgph"] == 58.27
    plant.close()


def test_emissions_today_are_what_is_booked_and_what_the_counter_ran_since(plant: LivePlant) -> None:
    day_ms = START_MS - 16 * 3_600_000
    plant.book(day_ms, *["10.00"] * 64)  # from midnight to 16:00, 640 kWh
    plant.put("incomer", 50_000.0, "energy_import_kwh")
    frame(plant)
    plant.announce()
    plant.now_ms += 60_000
    plant.put("incomer", 50_004.0, "energy_import_kwh")
    found = frame(plant)["em"]
    assert found["kg_booked"] == 320.0
    assert found["kg_today"] == 322.0
    assert (found["until"], found["missing"]) == (START_MS, 0)


def test_intervals_of_today_without_a_figure_are_counted(plant: LivePlant) -> None:
    day_ms = START_MS - 16 * 3_600_000
    plant.book(day_ms + 4 * QUARTER_MS, *["10.00"] * 60)
    plant.announce()
    assert frame(plant)["em"]["missing"] == 4


def test_a_new_day_starts_from_nothing(plant: LivePlant) -> None:
    plant.book(START_MS - QUARTER_MS, "10.00")
    plant.announce()
    plant.put("incomer", 50_000.0, "energy_import_kwh")
    assert frame(plant)["em"]["kg_today"] == 5.0
    plant.now_ms = START_MS + 8 * 3_600_000 + 1  # one millisecond into the next local day
    assert frame(plant)["em"]["kg_booked"] == 0.0


def test_a_restart_shows_what_the_store_knows_with_its_age(tmp_path: Path, plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.newest.__init__(plant.store.keys)  # type: ignore[misc]
    assert frame(plant)["d"]["gw-01/incomer"] == {"st": "offline"}
    plant.newest.prime(plant.store)
    assert frame(plant)["d"]["gw-01/incomer"]["ts"] == START_MS + 5_000


def test_edges_are_shown_with_their_delivery(plant: LivePlant) -> None:
    assert frame(plant)["edges"]["gw-01"]["st"] == "unknown"
    plant.announce()
    assert frame(plant)["edges"]["gw-01"] == {
        "st": "online", "gaps": 0, "held": 0, "refused": 0, "conflicts": 0, "watermark": 4711, "backlog": 2, "ts": START_MS,
    }  # fmt: skip


def test_figures_of_a_stranger_are_ignored(plant: LivePlant) -> None:
    plant.live.delivery([replace(plant.edges["gw-01"], facility="elsewhere")])
    plant.live.about("elsewhere", "gw-01", {})
    assert set(frame(plant)["edges"]) == {"gw-01", "gw-02"}


def test_only_what_is_metered_is_a_part(tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, facility=works(meters=works().meters[:1]))
    assert frame(plant)["meta"]["parts"] == ["grid", "load"]
    plant.close()


def test_no_number_of_a_frame_is_without_a_unit_or_not_finite(plant: LivePlant) -> None:
    plant.announce()
    plant.run_to(START_MS + 5_000)
    found = frame(plant)
    assert set(found["meta"]["units"]) >= {"flow", "p", "soc", "kgph", "kg_today", "f", "t", "ts"}
    assert len(found["d"]) == len(METERS)


def test_a_learnt_period_makes_a_slow_device_late_later() -> None:
    rhythm = Rhythm(0)
    for minute in range(1, 6):
        rhythm.heard(minute * 60_000)
    assert rhythm.state(300_000 + 179_000, 1.0) == "online"
    assert rhythm.state(300_000 + 181_000, 1.0) == "late"
    assert rhythm.state(300_000 + 601_000, 1.0) == "offline"


def test_what_an_edge_says_of_the_limits_that_it_keeps_is_shown(plant: LivePlant) -> None:
    amiss = {"branch garage": "safe", "asset pile-1": "lost", "asset pile-2": "what nobody knows"}
    control = control_of({"control": "local", "control_reason": "there is no schedule", "control_amiss": amiss})
    plant.announce()
    plant.live.delivery([replace(plant.edges["gw-01"], control=control)])
    assert frame(plant)["edges"]["gw-01"]["control"] == {
        "st": "local",
        "why": "there is no schedule",
        "amiss": {"asset pile-1": "lost", "branch garage": "safe"},
    }
    assert control_of({"control": "?"}) is None
    assert control_of({"control": "plan", "control_amiss": []}) == EdgeControl("plan")


def test_a_device_that_was_heard_once_keeps_the_period_that_its_edge_told() -> None:
    rhythm = Rhythm(0)
    assert rhythm.state(2_600_000, 1.0, 900_000) == "online"
    assert rhythm.state(2_800_000, 1.0, 900_000) == "late"
    rhythm.heard(1000)
    assert rhythm.state(1000 + 6_000, 1.0, 900_000) == "late", "what was heard says more than what was told"


def test_a_device_that_speaks_when_it_has_something_to_say_is_as_its_edge_hears_it(plant: LivePlant) -> None:
    plant.run_to(START_MS + 5_000)
    plant.silent = {"roof"}
    now_ms = START_MS + 5_000
    for heard, state in (("online", "online"), ("lost", "offline"), ("unknown", "offline")):
        plant.live.about("works", "gw-02", {"roof": AboutDevice("ocpp", "pile", 1000, heard)})
        plant.run_to(now_ms := now_ms + 60_000)
        assert plant.live.device_states("works")["gw-02", "roof"] == state


def test_one_outage_does_not_teach_a_long_period() -> None:
    rhythm = Rhythm(0)
    for second in range(1, 20):
        rhythm.heard(second * 1000)
    rhythm.heard(3_600_000)
    assert rhythm.period_ms < 2000


def test_delivery_takes_real_time_so_an_accelerated_clock_waits_longer() -> None:
    assert Rhythm(0).state(200_000, 60.0) == "online"
    assert Rhythm(0).state(400_000, 60.0) == "late"
    assert Rhythm(0).state(1_900_000, 60.0) == "offline"


def test_energy_since_an_instant_is_interpolated_between_counter_values() -> None:
    meter = ImportMeter()
    assert meter.since(0) is None
    meter.seen(10_000, 100.0)
    assert meter.since(10_000) == 0.0
    meter.seen(20_000, 110.0)
    meter.seen(30_000, 130.0)
    assert meter.since(15_000) == 25.0
    assert meter.since(30_000) == 0.0


def test_energy_before_the_first_value_is_not_invented() -> None:
    meter = ImportMeter()
    meter.seen(10_000, 100.0)
    meter.seen(20_000, 104.0)
    assert meter.since(0) == 4.0


def test_a_counter_that_began_anew_is_never_negative_energy() -> None:
    meter = ImportMeter()
    meter.seen(10_000, 100.0)
    meter.seen(20_000, 2.0)
    meter.seen(30_000, 3.0)
    assert meter.since(0) == 1.0


def test_values_closer_than_five_seconds_are_not_all_kept_but_the_newest_counts() -> None:
    meter = ImportMeter()
    for second in range(100_000):
        meter.seen(second * 1000, second * 0.1)
    assert len(meter._kept) <= 4096
    assert meter.since(99_990_000) == pytest.approx(0.9, abs=1e-6)

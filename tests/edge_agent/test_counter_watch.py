"""Counter forensics: what a counter did is told once, with the raw readings on both sides."""

from decimal import Decimal

from event_bodies import faults
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.counter_watch import CounterWatch, Limits
from wire.block import Block, Shape
from wire.reading import Event

ENERGY = Shape(("energy_import_kwh",), (-2,))
# 10 kW for 10 s are 0.0278 kWh; with a fifth above and two counts of 0.01 kWh a reading may gain 0.053 kWh
LIMITS = Limits(Decimal(10), Decimal(1_000_000))


class Meter:
    """One counter, read every ten seconds."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.suspicions: list[str] = []
        self.watch = CounterWatch({"incomer": limits}, lambda device, why: self.suspicions.append(f"{device}: {why}"))
        self.at_ms = 0

    def read(self, *counts: int, every_s: int = 10) -> list[Event]:
        events: list[Event] = []
        for count in counts:
            self.at_ms += every_s * 1000
            events += self.watch.look(Block("incomer", ENERGY, (self.at_ms,), ((count,),)))
        assert [fault for event in events for fault in faults(event.kind, event.body)] == []
        return events


def changes(events: list[Event]) -> list[tuple[object, object, object]]:
    return [(e.body["change"], e.body["before"]["raw"], e.body["after"]["raw"]) for e in events]  # type: ignore[index, call-overload]


def test_a_counter_that_counts_has_nothing_to_tell() -> None:
    meter = Meter()
    assert meter.read(100, 100, 102, 105, 107) == []
    assert meter.suspicions == []


def test_a_counter_that_reaches_its_modulus_rolls_over() -> None:
    meter = Meter()
    assert changes(meter.read(99_999_999, 1)) == [("rollover", "999999.99", "0.01")]
    assert meter.read(3, 5) == []


def test_a_step_back_far_from_the_modulus_is_no_rollover() -> None:
    """From 500 kWh to 0: a rollover would have been 999,500 kWh in ten seconds."""
    meter = Meter()
    events = meter.read(50_000, 0, 1, 2, 4)
    assert changes(events) == [("reset", "500.00", "0.00")]
    assert meter.suspicions == ["incomer: energy_import_kwh went from 500.00 to 0.00"]


def test_a_single_zero_is_a_glitch_and_the_counter_goes_on() -> None:
    meter = Meter()
    assert changes(meter.read(50_000, 0, 50_003, 50_005, 50_008)) == [("glitch", "500.00", "0.00")]
    assert meter.read(50_010) == []


def test_a_leap_beyond_what_the_line_carries_is_a_jump_once_it_is_confirmed() -> None:
    meter = Meter()
    assert meter.read(100, 90_000, 90_001) == []
    assert changes(meter.read(90_003, 90_005)) == [("jump", "1.00", "900.00")]


def test_after_a_long_silence_a_large_step_is_what_the_line_can_have_carried() -> None:
    """An hour at 10 kW is 10 kWh: 1,000 counts."""
    meter = Meter()
    meter.read(100)
    assert meter.read(1_050, every_s=3600) == []
    assert meter.suspicions == []


def test_confirmation_takes_thirty_seconds_however_fast_a_meter_is_read() -> None:
    meter = Meter()
    assert meter.read(50_000, 0) == []
    assert meter.read(*([0] * 29), every_s=1) == []
    assert changes(meter.read(0, every_s=1)) == [("reset", "500.00", "0.00")]


def test_both_readings_carry_their_instants() -> None:
    (event,) = Meter().read(99_999_999, 1)
    assert (event.kind, event.device, event.at_ms) == ("counter", "incomer", 20_000)
    assert event.body["before"] == {"at_ms": 10_000, "raw": "999999.99"}
    assert event.body["after"] == {"at_ms": 20_000, "raw": "0.01"}


def test_without_a_rated_power_only_a_step_back_is_suspicious() -> None:
    meter = Meter(Limits())
    assert meter.read(100, 9_999_999) == []
    assert changes(meter.read(5, 6, 7, 8)) == [("reset", "99999.99", "0.05")]


def test_a_bad_or_missing_value_is_not_judged() -> None:
    watch = CounterWatch({}, lambda device, why: None)
    watch.look(Block("incomer", ENERGY, (1_000,), ((500,),)))
    assert watch.look(Block("incomer", ENERGY, (2_000,), ((None,),), ((2, 3),))) == []
    assert watch.look(Block("incomer", ENERGY, (3_000,), ((0,),), ((2, 2),))) == []
    assert watch.look(Block("incomer", ENERGY, (4_000,), ((501,),))) == []


def test_volumes_are_watched_without_a_modulus() -> None:
    water = Shape(("water_volume_m3",), (-3,))
    watch = CounterWatch({"cellar": LIMITS}, lambda device, why: None)
    told = [
        event
        for n, litres in enumerate((900, 950, 3, 4, 5, 6))
        for event in watch.look(Block("cellar", water, (n * 20_000,), ((litres,),)))
    ]
    assert changes(told) == [("reset", "0.950", "0.003")]


@given(st.lists(st.integers(0, 10**8 - 1), min_size=1, max_size=40))
def test_whatever_a_counter_shows_each_event_quotes_two_readings_that_were_read(counts: list[int]) -> None:
    meter = Meter()
    shown = {f"{Decimal(count).scaleb(-2):f}" for count in counts}
    for change, before, after in changes(meter.read(*counts)):
        assert change in {"rollover", "glitch", "reset", "jump"}
        assert {before, after} <= shown

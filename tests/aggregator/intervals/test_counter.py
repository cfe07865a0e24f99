"""What a counter's readings mean. Bounds by hand: 100 kW over 60 s is 1.6667 kWh, x 1.2 = 2 kWh, + 2 counts of 0.1 = 2.2 kWh."""

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest

from aggregator.intervals.counter import (
    MAX_HELD,
    Accepted,
    CounterChange,
    CounterEvent,
    CounterLine,
    CounterReading,
    no_power,
)
from aggregator.intervals.meter import MeterSpec, Multiplier
from wire.reading import Quality

D = Decimal
METER = MeterSpec("incomer", "gw", rated_power_kw=D(100), modulus_kwh=D(1000), quantum_kwh=D("0.1"))


def run(line: CounterLine, *readings: tuple[float, str]) -> tuple[list[Accepted], list[CounterEvent]]:
    """Offers (seconds, displayed kWh) in order."""
    accepted: list[Accepted] = []
    events: list[CounterEvent] = []
    for at_s, value in readings:
        more, happened = line.offer(CounterReading(int(at_s * 1000), D(value)))
        accepted += more
        events += happened
    return accepted, events


def minutes(first: int, *values: str) -> Sequence[tuple[float, str]]:
    return [((first + n) * 60, value) for n, value in enumerate(values)]


def changes(events: list[CounterEvent]) -> list[str]:
    return [event.change.value for event in events]


def test_normal_readings_are_accepted_and_the_line_is_the_display() -> None:
    accepted, events = run(CounterLine(METER), *minutes(0, "10.0", "11.5", "11.5", "13.7"))
    assert [a.line for a in accepted] == [D("10.0"), D("11.5"), D("11.5"), D("13.7")]
    assert events == []


@pytest.mark.parametrize(("value", "taken"), [("12.2", True), ("12.3", False)])
def test_the_bound_is_a_fifth_above_the_rating_plus_two_counts(value: str, taken: bool) -> None:
    accepted, events = run(CounterLine(METER), *minutes(0, "10.0", value))
    assert (len(accepted) == 2) is taken
    assert changes(events) == ([] if taken else ["held"])


def test_the_bound_grows_with_the_whole_silence() -> None:
    accepted, _ = run(CounterLine(METER), (0, "10.0"), (3600, "130.2"))  # 1.2 x 100 kWh + 0.2 kWh
    assert accepted[-1].line == D("130.2")
    _, events = run(CounterLine(METER), (0, "10.0"), (3600, "130.3"))
    assert changes(events) == ["held"]


def test_a_rollover_adds_what_was_left_to_the_modulus_and_names_both_readings() -> None:
    accepted, events = run(CounterLine(METER), *minutes(0, "999.0", "0.5", "1.5"))
    assert [a.line for a in accepted] == [D("999.0"), D("1000.5"), D("1001.5")]
    assert [a.raw for a in accepted] == [D("999.0"), D("0.5"), D("1.5")]
    assert [(e.change, e.before, e.after) for e in events] == [(CounterChange.ROLLOVER, D("999.0"), D("0.5"))]


def test_two_rollovers_add_two_moduli() -> None:
    line = CounterLine(METER)
    accepted, _ = run(line, (0, "990"), (3600, "50"), (7200, "150"), (11 * 3600, "900"), (12 * 3600, "10"))
    assert accepted[-1].line == 2010


def test_without_a_modulus_no_backward_step_is_a_rollover() -> None:
    meter = MeterSpec("incomer", "gw", rated_power_kw=D(100), quantum_kwh=D("0.1"))
    assert changes(run(CounterLine(meter), *minutes(0, "999.0", "0.5"))[1]) == ["held"]


def test_a_silence_in_which_the_counter_could_turn_round_is_no_rollover() -> None:
    # 100 kW over 11 h is 1,100 kWh, more than the modulus: how often it turned cannot be known.
    assert changes(run(CounterLine(METER), (0, "900"), (11 * 3600, "100"))[1]) == ["held"]


def test_a_glitch_is_dropped_and_the_readings_after_it_are_taken() -> None:
    line = CounterLine(METER)
    accepted, events = run(line, *minutes(0, "10", "500", "11", "11.5", "12"))
    assert [a.raw for a in accepted] == [D(10), D(11), D("11.5"), D(12)]
    assert [(e.change, e.before, e.after) for e in events] == [
        (CounterChange.HELD, D(10), D(500)),
        (CounterChange.GLITCH, D(10), D(500)),
    ]
    assert accepted[-1].line == 12


def test_a_glitch_to_zero_is_no_reset() -> None:
    accepted, events = run(CounterLine(METER), *minutes(0, "10", "0", "11", "11.5", "12"))
    assert changes(events) == ["held", "glitch"]
    assert accepted[-1].line == 12


def test_nothing_is_booked_while_a_reading_is_held() -> None:
    line = CounterLine(METER)
    accepted, _ = run(line, *minutes(0, "500", "0", "0.5", "1"))
    assert [a.raw for a in accepted] == [D(500)]
    assert line.holding


def test_a_reset_is_known_after_three_further_readings_and_books_neither_the_new_value_nor_the_old() -> None:
    accepted, events = run(CounterLine(METER), *minutes(0, "500", "0", "0.5", "1", "1.5"))
    assert changes(events) == ["held", "reset"]
    assert [a.line for a in accepted] == [D(500), D(500), D("500.5"), D(501), D("501.5")]
    assert (accepted[1].quality, accepted[1].reason) == (Quality.SUBSTITUTED, "reset")
    assert events[-1] == CounterEvent(CounterChange.RESET, 60_000, 0, D(500), D(0), None)


def test_three_further_readings_within_a_second_do_not_decide() -> None:
    line = CounterLine(METER)
    fast = [(60 + n * 0.25, "0.1") for n in range(20)]
    _, events = run(line, (0, "500"), *fast)
    assert changes(events) == ["held"]
    _, events = run(line, (89.9, "0.3"))  # 29.9 s after the first held reading
    assert events == []
    _, events = run(line, (90.1, "0.3"))
    assert changes(events) == ["reset"]


def test_across_a_reset_the_power_integral_is_booked_as_substituted() -> None:
    line = CounterLine(METER, power=lambda from_ms, to_ms: D(to_ms - from_ms) * 60 / 3_600_000)  # 60 kW: 1 kWh a minute
    accepted, events = run(line, *minutes(0, "500", "0", "1", "2", "3"))
    assert accepted[1].line == 501
    assert accepted[-1].line == 504
    assert events[-1].substituted_kwh == 1


def test_a_new_serial_number_is_an_exchange() -> None:
    line = CounterLine(METER)
    events: list[CounterEvent] = []
    for n, (value, serial) in enumerate([("500", "A"), ("3", "B"), ("4", "B"), ("5", "B"), ("6", "B")]):
        events += line.offer(CounterReading(n * 60_000, D(value), serial=serial))[1]
    assert changes(events) == ["held", "exchange"]


def test_a_new_serial_number_is_an_exchange_even_where_the_value_would_fit() -> None:
    line = CounterLine(METER)
    accepted: list[Accepted] = []
    for n, (value, serial) in enumerate([("500", "A"), ("501", "B"), ("502", "B"), ("503", "B"), ("504", "B")]):
        accepted += line.offer(CounterReading(n * 60_000, D(value), serial=serial))[0]
    assert [a.line for a in accepted] == [D(500), D(500), D(501), D(502), D(503)]


def test_a_forward_jump_is_held_the_same_way_and_never_booked() -> None:
    accepted, events = run(CounterLine(METER), *minutes(0, "10", "700", "701", "702", "703"))
    assert changes(events) == ["held", "jump"]
    assert accepted[-1].line == 13


def test_a_third_value_starts_the_waiting_anew() -> None:
    line = CounterLine(METER)
    accepted, events = run(line, *minutes(0, "10", "700", "300", "301", "302"))
    assert changes(events) == ["held", "glitch"]
    assert [a.raw for a in accepted] == [D(10)]
    accepted, events = run(line, (300, "303"))
    assert changes(events) == ["jump"]
    assert accepted[-1].line == 13


def test_a_counter_that_flaps_is_never_decided_and_never_grows_without_bound() -> None:
    line = CounterLine(METER)
    values = [(n, "10" if n % 2 == 0 else "700") for n in range(MAX_HELD + 100)]
    accepted, events = run(line, *values)
    assert len(accepted) == 1
    assert changes(events).count("glitch") >= 98
    assert len(json.dumps(line.to_json())) < 200_000


def test_bad_readings_repeated_readings_and_negative_values_change_nothing() -> None:
    line = CounterLine(METER)
    run(line, *minutes(0, "10", "11"))
    assert line.offer(CounterReading(120_000, D(12), Quality.BAD, "out-of-range")) == ([], [])
    assert line.offer(CounterReading(60_000, D(12))) == ([], [])
    assert line.offer(CounterReading(180_000, D(-1))) == ([], [])
    assert line.offer(CounterReading(180_000, D("NaN"))) == ([], [])
    assert line.last is not None
    assert line.last.raw == 11


def test_secondary_values_are_bounded_by_the_rating_behind_the_transformers() -> None:
    meter = MeterSpec("incomer", "gw", D(12_000), quantum_kwh=D(120), multipliers=(Multiplier(D(12_000)),))
    line = CounterLine(meter)
    assert line.count_at(0) == D("0.01")  # 0.01 kWh on the display at 600/5 and 100:1 is 120 kWh
    # 12,000 kW over an hour is 1 kWh on the display: x 1.2 + 2 counts of 0.01 = 1.22
    assert changes(run(line, (0, "5.00"), (3600, "6.22"))[1]) == []
    assert changes(run(line, (7200, "7.45"))[1]) == ["held"]


def test_the_last_digit_is_learnt_where_it_is_not_stated() -> None:
    line = CounterLine(MeterSpec("incomer", "gw", rated_power_kw=D(100)))
    run(line, *minutes(0, "10.5", "10.75"))
    assert line.count_at(0) == D("0.01")


def test_the_state_survives_a_restart_in_the_middle_of_a_hold() -> None:
    line = CounterLine(METER)
    run(line, *minutes(0, "500", "0", "0.5"))
    again = CounterLine.from_json(METER, no_power, json.loads(json.dumps(line.to_json())))
    expected = run(line, *minutes(3, "1", "1.5", "2"))
    assert run(again, *minutes(3, "1", "1.5", "2")) == expected
    assert changes(expected[1]) == ["reset"]

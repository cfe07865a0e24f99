"""The energy of a charging session: the baseline rule, case by case. Every expected number is a subtraction of the case's own readings."""

from decimal import Decimal

import pytest

from edge_agent.drivers.ocpp import energy
from edge_agent.drivers.ocpp.energy import Limits, Mark, Register, Settled, note, settle

T0 = 1_790_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
AC = Limits(Decimal(22))


def kwh(text: str) -> Decimal:
    return Decimal(text)


def session(
    start: str | None = None,
    samples: list[tuple[int, str]] | None = None,
    stop: str | None = None,
    end_ms: int | None = None,
    idle: tuple[int, str] | None = None,
    start_ms: int | None = 0,
    limits: Limits = AC,
    relative: bool = False,
) -> Settled:
    """A session from readings at times (ms) after T0."""
    register = Register(
        start=None if start is None else kwh(start),
        start_at_ms=None if start_ms is None else T0 + start_ms,
        idle=None if idle is None else Mark(T0 + idle[0], kwh(idle[1])),
    )
    for at_ms, value in samples or []:
        note(register, Mark(T0 + at_ms, kwh(value)), limits, always_relative=relative)
    register.stop = None if stop is None else kwh(stop)
    return settle(register, limits, None if end_ms is None else T0 + end_ms)


def test_start_and_stop_are_enough() -> None:
    settled = session("7900.000", [], "7910.750", HOUR)
    assert (settled.kwh, settled.baseline, settled.quality) == (kwh("10.750"), "meter_start", "good")
    assert settled.missing_kwh == 0


def test_samples_between_them_change_nothing() -> None:
    samples = [(MINUTE, "7900.180"), (30 * MINUTE, "7905.400")]
    assert session("7900.000", samples, "7910.750", HOUR).kwh == kwh("10.750")


def test_before_the_end_the_last_sample_counts() -> None:
    assert session("7900.000", [(30 * MINUTE, "7905.400")]).kwh == kwh("5.400")


def test_a_start_of_zero_on_a_meter_that_stands_at_thousands_is_not_believed() -> None:
    """evcc issue 29374: 7,783.903 kWh were booked for a session."""
    settled = session("0", [(MINUTE, "7783.903")], "7788.903", HOUR, idle=(-20_000, "7783.800"))
    assert (settled.kwh, settled.baseline, settled.quality) == (kwh("5.103"), "idle_reading", "good")


def test_without_an_idle_reading_the_first_sample_counts_and_what_is_missing_has_a_bound() -> None:
    settled = session("0", [(6 * MINUTE, "7783.903")], "7788.903", HOUR)
    assert (settled.kwh, settled.baseline, settled.quality) == (kwh("5.000"), "first_sample", "uncertain")
    assert settled.missing_kwh == kwh("2.200"), "22 kW for 6 minutes"


def test_an_idle_reading_that_a_transaction_contradicts_is_not_taken() -> None:
    settled = session("7900.000", [(MINUTE, "7900.100")], "7901.000", HOUR, idle=(-30_000, "12.3"))
    assert (settled.kwh, settled.baseline) == (kwh("1.000"), "meter_start")


def test_a_start_that_is_missing_is_taken_from_the_idle_reading() -> None:
    settled = session(None, [(MINUTE, "500.2")], "505.0", HOUR, idle=(-50_000, "500.0"))
    assert (settled.kwh, settled.baseline, settled.quality) == (kwh("5.0"), "idle_reading", "good")


def test_a_first_sample_below_the_start_counts_from_the_sessions_own_zero() -> None:
    """ABB Terra AC: 7,900 kWh at the start, then 0.183 kWh."""
    settled = session("7900.000", [(MINUTE, "0.183"), (HOUR, "10.500")])
    assert (settled.kwh, settled.baseline, settled.quality) == (kwh("10.500"), "meter_start", "good")


@pytest.mark.parametrize("stop", ["7910.750", "10.750"])
def test_its_stop_may_count_either_way(stop: str) -> None:
    assert session("7900.000", [(MINUTE, "0.183"), (50 * MINUTE, "9.500")], stop, HOUR).kwh == kwh("10.750")


def test_a_pile_that_has_no_counter_but_the_sessions_own_is_right_as_well() -> None:
    assert session("0", [(MINUTE, "0.183")], "10.750", HOUR).kwh == kwh("10.750")


def test_a_session_that_we_join_in_the_middle_of_such_a_pile_is_whole() -> None:
    settled = session(None, [(0, "4.000")], "10.750", HOUR, start_ms=None, relative=True)
    assert (settled.kwh, settled.baseline) == (kwh("10.750"), "meter_start")


def test_more_than_the_pile_can_carry_is_no_energy() -> None:
    settled = session("0", [], "7788.903", HOUR)
    assert (settled.kwh, settled.quality) == (None, "bad")
    assert "7788.903 kWh in 3600 s is more than 22 kW can carry" in settled.why


def test_a_stop_below_the_start_falls_back_to_the_last_sample() -> None:
    settled = session("7900.000", [(30 * MINUTE, "7905.400")], "12.000", HOUR)
    assert (settled.kwh, settled.quality) == (kwh("5.400"), "uncertain")
    assert "below the begin" in settled.why


def test_a_session_without_any_reading_has_none() -> None:
    settled = session(None, [], None, HOUR)
    assert (settled.kwh, settled.quality, settled.baseline) == (None, "bad", "")


def test_a_session_that_never_stopped_ends_with_its_last_sample_and_says_so() -> None:
    settled = session("7900.000", [(30 * MINUTE, "7905.400")], None, HOUR)
    assert (settled.kwh, settled.quality) == (kwh("5.400"), "uncertain")
    assert "no stop value" in settled.why


def test_one_glitch_is_dropped() -> None:
    samples = [(MINUTE, "7900.300"), (2 * MINUTE, "0"), (3 * MINUTE, "7900.900")]
    assert session("7900.000", samples, "7902.000", 10 * MINUTE).kwh == kwh("2.000")


def test_a_jump_ahead_is_no_energy_either() -> None:
    samples = [(MINUTE, "7900.300"), (2 * MINUTE, "54321.0"), (3 * MINUTE, "7900.900")]
    assert session("7900.000", samples).kwh == kwh("0.900")


def test_a_meter_that_begins_anew_in_the_session_adds_its_stretches_and_says_what_may_be_missing() -> None:
    samples = [
        (10 * MINUTE, "7903.000"),
        (11 * MINUTE, "0.000"),
        (12 * MINUTE, "0.300"),
        (13 * MINUTE, "0.600"),
        (20 * MINUTE, "2.600"),
    ]
    settled = session("7900.000", samples, "3.000", 22 * MINUTE)
    assert (settled.kwh, settled.quality) == (kwh("6.000"), "uncertain"), (
        "3.000 until the last reading before, 3.000 since"
    )
    assert settled.missing_kwh == kwh("0.367"), "22 kW for the minute between"


def test_a_counter_that_rolls_over_goes_on() -> None:
    nine_digits = Limits(Decimal(22), Decimal(1_000_000))
    samples = [(5 * MINUTE, "999999.500"), (10 * MINUTE, "0.700"), (15 * MINUTE, "1.900")]
    settled = session("999999.000", samples, "3.000", 20 * MINUTE, limits=nine_digits)
    assert (settled.kwh, settled.quality) == (kwh("4.000"), "good"), "1.000 to the end of the line, 3.000 behind it"


@pytest.mark.parametrize("samples", [[], [(10 * MINUTE, "0.700")]])
def test_a_counter_that_rolls_over_before_the_first_sample_goes_on(samples: list[tuple[int, str]]) -> None:
    nine_digits = Limits(Decimal(22), Decimal(1_000_000))
    settled = session("999999.500", samples, "1.500", 20 * MINUTE, limits=nine_digits)
    assert (settled.kwh, settled.baseline, settled.quality) == (kwh("2.000"), "meter_start", "good")


def test_a_reading_that_comes_late_does_not_turn_the_line_back() -> None:
    samples = [(20 * MINUTE, "7905.000"), (10 * MINUTE, "7902.000"), (30 * MINUTE, "7907.000")]
    assert session("7900.000", samples).kwh == kwh("7.000")


def test_the_bound_is_a_fifth_above_the_rating_and_two_counts_more() -> None:
    assert Limits(Decimal(22)).bound(HOUR) == kwh("26.4") + 2 * kwh("0.001")
    assert Limits(Decimal(22)).bound(0, kwh("1")) == 2


def test_an_idle_reading_counts_for_a_minute() -> None:
    assert energy.IDLE_MS == 60_000

"""Where the counter stood at a boundary, and that intervals add up to the counter. Numbers by hand beside each case."""

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.intervals.boundaries import Boundary
from aggregator.intervals.counter import CounterReading, no_power
from aggregator.intervals.meter import MeterSpec, Multiplier
from aggregator.intervals.series import CounterIntervals, Settled, displayed
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
T = 1_700_000_100_000 - 1_700_000_100_000 % QUARTER_MS  # a quarter hour
METER = MeterSpec("incomer", "gw", rated_power_kw=D(1000), quantum_kwh=D("0.001"))


def readings(*pairs: tuple[float, str]) -> list[CounterReading]:
    """(seconds after T, displayed kWh)."""
    return [CounterReading(T + int(at_s * 1000), D(value)) for at_s, value in pairs]


def polled(every_s: int, until_s: int, power_kw: Callable[[float], float], start_s: int = 0) -> list[CounterReading]:
    """A counter under a load given in kW, read on a grid that need not meet the quarter hour; its truth summed by seconds."""
    energy, found, at_s = 0.0, [], 0
    while at_s <= until_s:
        if at_s >= start_s and (at_s - start_s) % every_s == 0:
            found.append(CounterReading(T + at_s * 1000, D(repr(round(energy, 3)))))
        energy += power_kw(at_s) / 3600
        at_s += 1
    return found


def energies(settled: Settled) -> list[Decimal]:
    return [interval.energy_kwh for interval in settled.intervals]


def test_a_reading_within_a_second_is_the_boundary() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    settled = line.offer(
        readings((0.4, "100"), (600, "160"), (899.2, "189.9"), (900.7, "190.1"), (1799, "290"), (1860, "296"))
    )
    assert [(b.value, b.how) for b in settled.boundaries] == [
        (D(100), "reading"),
        (D("190.1"), "reading"),
        (D(290), "reading"),
    ]
    assert energies(settled) == [D("90.1"), D("99.9")]
    assert {interval.grade.quality for interval in settled.intervals} == {Quality.GOOD}


def test_a_first_reading_after_the_first_second_starts_at_the_next_boundary() -> None:
    settled = CounterIntervals(METER, QUARTER_MS).offer(readings((1.5, "100"), (900, "190"), (1800, "290")))
    assert [interval.start_ms for interval in settled.intervals] == [T + QUARTER_MS]


def test_without_power_a_boundary_between_two_polls_is_interpolated_in_time() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    settled = line.offer(readings((0, "100"), (870, "187"), (930, "193")))
    assert settled.boundaries[-1] == Boundary(T + QUARTER_MS, D("190.000000"), settled.boundaries[-1].grade, "linear")
    assert line.boundaries.guessed == [(T + 870_000, T + 930_000)]


def test_a_step_of_power_between_two_polls_moves_the_boundary_by_what_power_says() -> None:
    # 100 kW until 900 s, 500 kW after, polled at 870 and 930 s: 0.8333 kWh of the 5 kWh before the boundary.
    def power(from_ms: int, to_ms: int) -> Decimal:
        edge = T + QUARTER_MS
        low, high = min(to_ms, edge) - min(from_ms, edge), max(to_ms, edge) - max(from_ms, edge)
        return D(low * 100 + high * 500) / 3_600_000

    settled = CounterIntervals(METER, QUARTER_MS, power).offer(readings((0, "100"), (870, "124.167"), (930, "129.167")))
    assert settled.boundaries[-1].how == "power"
    assert settled.boundaries[-1].value == D("125.000333")  # 124.167 + 5 / 6
    assert abs(energies(settled)[0] - 25) < D("0.001")  # without power: 26.667 kWh, 6.7 % too much


def test_a_boundary_in_a_long_silence_is_substituted_and_the_total_stands() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    settled = line.offer(readings((0, "100"), (60, "101"), (120, "102"), (2760, "278"), (2820, "280")))
    assert [(i.grade.quality, i.grade.reason) for i in settled.intervals] == [(Quality.SUBSTITUTED, "counter-diff")] * 3
    assert sum(energies(settled)) == settled.boundaries[-1].value - 100


@pytest.mark.parametrize(("silence_s", "reason"), [(300, ""), (590, ""), (610, "counter-diff")])
def test_up_to_two_slow_polls_are_no_silence(silence_s: int, reason: str) -> None:
    polls = [30 + 300 * n for n in range(12)]  # the last at 3330 s, the next boundary at 3600 s
    after = polls[-1] + silence_s
    readings_in_time = readings(*((at_s, str(100 + at_s / 60)) for at_s in [*polls, after]))
    settled = CounterIntervals(METER, QUARTER_MS).offer(readings_in_time)
    assert [i.grade.reason for i in settled.intervals] == ["", "", reason]


def test_an_interval_is_provisional_until_a_reading_after_its_end() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    settled = line.offer(readings((0, "100"), (450, "145"), (899.5, "190")))
    assert settled.intervals == []
    assert [(i.start_ms, i.end_ms, i.energy_kwh, i.final) for i in line.provisional()] == [
        (T, T + QUARTER_MS, D(90), False)
    ]
    assert [i.final for i in line.offer(readings((905, "190.5"))).intervals] == [True]
    assert [(i.start_ms, i.energy_kwh) for i in line.provisional()] == [(T + QUARTER_MS, D("0.5"))]


def test_an_interval_whose_end_is_held_stays_provisional() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    assert line.offer(readings((0, "100"), (890, "189"), (910, "0"), (930, "2"))).intervals == []
    assert len(line.provisional()) == 1


def minutes_with_a_break(begins_again: Callable[[int], str], last: int = 46) -> list[CounterReading]:
    """A reading a minute of a meter that counts 1 kWh in each, and from minute 20 on what is given."""
    return readings(*((60 * n, str(100 + n) if n < 20 else begins_again(n)) for n in range(last)))


@pytest.mark.parametrize(
    ("change", "again"), [("reset", lambda n: str(n - 20)), ("jump", lambda n: str(9000 + n))], ids=["reset", "jump"]
)
def test_an_interval_in_which_the_counter_began_anew_has_no_figure(change: str, again: Callable[[int], str]) -> None:
    # Nobody knows what was drawn in the minute before the 20th: neither 14 kWh nor 15 is the energy of the second quarter.
    line = CounterIntervals(METER, QUARTER_MS)
    settled = line.offer(minutes_with_a_break(again))
    assert [event.change for event in settled.events] == ["held", change]
    assert [(i.start_ms - T, i.energy_kwh, i.grade.reason) for i in settled.intervals] == [
        (0, D(15), ""),
        (2 * QUARTER_MS, D(15), ""),
    ]
    assert settled.unknown == [(T + QUARTER_MS, T + 2 * QUARTER_MS)]
    assert line.boundaries.guessed == [(T + 19 * 60_000, T + 20 * 60_000)]  # power that comes later gives it a figure
    assert line.provisional() == []


@pytest.mark.parametrize("drawn_kwh", [D(0), D("0.9")])
def test_where_power_was_known_an_interval_with_a_reset_inside_is_substituted(drawn_kwh: Decimal) -> None:
    # 5 + 9 whole minutes of 1 kWh, and in the one across the reset what power says.
    settled = CounterIntervals(METER, QUARTER_MS, lambda _from, _to: drawn_kwh).offer(
        minutes_with_a_break(lambda n: str(n - 20))
    )
    assert energies(settled) == [D(15), D(14) + drawn_kwh, D(15)]
    assert [i.grade.reason for i in settled.intervals] == ["", "reset", ""]
    assert settled.unknown == []


@pytest.mark.parametrize(
    ("again_s", "null"),
    [
        (2 * 86_400, (900, 2 * 86_400)),  # at a boundary: its interval is counted by the new line
        (2 * 86_400 + 60, (900, 2 * 86_400 + 900)),
        (900.8, (900, 900)),  # both within a second of one boundary: each line has it
        (900.8 + 899, (900, 1800)),  # within a second before the next boundary: it is the new line's
    ],
)
def test_days_of_silence_that_end_in_a_reset_have_no_figure(again_s: float, null: tuple[int, int]) -> None:
    # The last display of the old line, 115, 0.4 s past the first quarter hour: its interval has 15 kWh.
    before = [*((60 * n, str(100 + n)) for n in range(15)), (899.6, "115")]
    settled = CounterIntervals(METER, QUARTER_MS).offer(
        readings(*before, *((again_s + 60 * n, str(n)) for n in range(61)))
    )
    assert energies(settled)[0] == D(15)
    assert settled.unknown == [(T + null[0] * 1000, T + null[1] * 1000)][: null[1] - null[0]]
    assert [i.start_ms for i in settled.intervals[:2]] == [T, T + null[1] * 1000]
    assert {i.grade.quality for i in settled.intervals} == {Quality.GOOD}
    assert len({b.at_ms for b in settled.boundaries}) == len(settled.boundaries)


def test_days_of_silence_across_a_rollover_or_a_glitch_keep_their_figure() -> None:
    # 1,000,000 kWh to run through would take 1,000 h at 1,000 kW: 990 -> 30 within a day is 40 kWh, and so is 100 -> 140.
    meter = MeterSpec("incomer", "gw", D(1000), modulus_kwh=D(1_000_000), quantum_kwh=D("0.001"))
    rolled = CounterIntervals(meter, QUARTER_MS).offer(readings((0, "999990"), (86_400, "30"), (86_460, "31")))
    glitched = CounterIntervals(METER, QUARTER_MS).offer(
        readings((0, "100"), (43_200, "0"), *((86_400 + 60 * n, str(140 + n)) for n in range(5)))
    )
    for settled in (rolled, glitched):
        assert (len(settled.intervals), sum(energies(settled)), settled.unknown) == (96, D(40), [])


def test_a_rollover_inside_an_interval_costs_nothing() -> None:
    meter = MeterSpec("incomer", "gw", D(1000), modulus_kwh=D(1000), quantum_kwh=D("0.001"))
    settled = CounterIntervals(meter, QUARTER_MS).offer(readings((0, "950"), (300, "990"), (600, "30"), (900, "70")))
    assert energies(settled) == [D(120)]
    assert settled.intervals[0].grade.quality is Quality.GOOD


def test_an_uncertain_reading_makes_its_interval_uncertain_and_no_other() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    given = readings((0, "100"), (300, "130"), (900, "190"), (1200, "220"), (1800, "280"))
    given[1] = CounterReading(given[1].at_ms, given[1].value, Quality.UNCERTAIN, "clock")
    settled = line.offer(given)
    assert [i.grade.reason for i in settled.intervals] == ["clock", ""]


def test_a_multiplier_scales_the_interval_and_not_the_stored_boundary() -> None:
    meter = MeterSpec("incomer", "gw", D(2000), quantum_kwh=D("0.001"), multipliers=(Multiplier(D(120)),))
    settled = CounterIntervals(meter, QUARTER_MS).offer(readings((0, "10.0"), (900, "11.5"), (1800, "12.5")))
    assert [b.value for b in settled.boundaries] == [D("10.0"), D("11.5"), D("12.5")]
    assert energies(settled) == [D(180), D(120)]


def test_a_multiplier_that_changes_within_an_interval_splits_it() -> None:
    multipliers = (Multiplier(D(100)), Multiplier(D(120), valid_from_ms=T + 300_000))
    meter = MeterSpec("incomer", "gw", D(2000), quantum_kwh=D("0.001"), multipliers=multipliers)
    settled = CounterIntervals(meter, QUARTER_MS).offer(readings((0, "10"), (300, "11"), (900, "13"), (1800, "14")))
    assert energies(settled) == [D(100 * 1 + 120 * 2), D(120)]
    assert [b.at_ms - T for b in settled.boundaries] == [0, 300_000, 900_000, 1_800_000]


def test_an_interval_of_few_counts_is_shaped_by_power_between_the_steps() -> None:
    # Count 1 kWh; 2 kW throughout: 0.5 kWh a quarter, the display steps every half hour.
    meter = MeterSpec("incomer", "gw", D(100), quantum_kwh=D(1))
    line = CounterIntervals(meter, QUARTER_MS, lambda a, b: D(2) * (b - a) / 3_600_000)
    settled = line.offer(readings(*((60 * n, str(100 + n // 30)) for n in range(121))))
    assert [b.value for b in settled.boundaries[1:]] == [
        D("100.500000"),
        D(101),
        D("101.500000"),
        D(102),
        D("102.500000"),
        D(103),
        D("103.500000"),
        D(104),
    ]
    assert energies(settled) == [D("0.5")] * 8
    assert {(i.grade.quality, i.grade.reason) for i in settled.intervals} == {(Quality.UNCERTAIN, "quantum")}


def test_while_the_step_is_awaited_the_interval_is_provisional() -> None:
    meter = MeterSpec("incomer", "gw", D(100), quantum_kwh=D(1))
    line = CounterIntervals(meter, QUARTER_MS, lambda a, b: D(2) * (b - a) / 3_600_000)
    assert line.offer(readings(*((60 * n, "100") for n in range(25)))).intervals == []
    assert [(i.start_ms - T, i.final) for i in line.provisional()] == [(0, False), (QUARTER_MS, False)]
    assert len(line.offer(readings((1800, "101"), (1860, "101"))).intervals) == 2


def test_a_counter_at_rest_closes_its_intervals_at_once_with_nothing() -> None:
    meter = MeterSpec("pv", "gw", D(100), quantum_kwh=D("0.1"))
    settled = CounterIntervals(meter, QUARTER_MS, lambda a, b: D(0)).offer(
        readings(*((60 * n, "7.5") for n in range(46)))
    )
    assert energies(settled) == [D(0)] * 3
    assert {i.grade.reason for i in settled.intervals} == {"quantum"}


def test_a_step_is_not_awaited_for_more_than_a_day() -> None:
    meter = MeterSpec("incomer", "gw", D(100), quantum_kwh=D(1))
    line = CounterIntervals(meter, QUARTER_MS)
    settled = line.offer(readings(*((300 * n, "100") for n in range(26 * 12))))
    assert len(settled.intervals) >= 96
    assert set(energies(settled)) == {D(0)}


def test_after_more_than_a_year_of_silence_nothing_is_interpolated() -> None:
    line = CounterIntervals(METER, QUARTER_MS)
    settled = line.offer(readings((0, "100"), (400 * 86_400, "200"), (400 * 86_400 + 900, "300")))
    assert energies(settled) == [D(100)]


@pytest.mark.parametrize(("every_s", "start_s"), [(7, 3), (60, 17), (60, 59)])
def test_polls_off_the_quarter_hour_meet_the_truth_within_two_percent(every_s: int, start_s: int) -> None:
    def load(at_s: float) -> float:
        return 100 if int(at_s // QUARTER_MS * 1000) % 2 == 0 and at_s % 1800 < 900 else 500

    def power(from_ms: int, to_ms: int) -> Decimal:
        return D(sum(int(load((at - T) / 1000)) for at in range(from_ms, to_ms, 1000))) / 3600

    settled = CounterIntervals(METER, QUARTER_MS, power).offer(polled(every_s, 5500, load, start_s))
    # Whole quarters alternate between 100 kW and 500 kW: 125, 25, 125, 25 kWh after the first one.
    assert [round(float(energy)) for energy in energies(settled)] == [125, 25, 125, 25, 125][: len(settled.intervals)]
    for energy, truth in zip(energies(settled), [125, 25, 125, 25, 125], strict=False):
        assert abs(float(energy) - truth) <= 0.02 * truth


def test_digits_of_the_display_survive_the_float() -> None:
    assert displayed(123456.78) == D("123456.78")
    assert displayed(0.1) + displayed(0.2) == D("0.3")


steps = st.lists(
    st.tuples(st.integers(1, 400), st.integers(0, 40_000), st.sampled_from(["", "glitch", "reset"])),
    min_size=2,
    max_size=80,
)


def series(moves: Sequence[tuple[int, int, str]]) -> list[CounterReading]:
    at_ms, value, found = T + 500, 5_000_000, []
    for wait_s, energy, fault in moves:
        at_ms += wait_s * 1000
        value = energy if fault == "reset" else value + min(energy, wait_s * 250)
        shown = value + 900_000 if fault == "glitch" else value
        found.append(CounterReading(at_ms, D(shown).scaleb(-3)))
    return found


@settings(max_examples=150, deadline=None)
@given(steps, st.booleans())
def test_intervals_always_add_up_to_the_difference_of_their_boundaries(
    moves: list[tuple[int, int, str]], powered: bool
) -> None:
    power = (lambda a, b: D(b - a) * 90 / 3_600_000) if powered else no_power
    line = CounterIntervals(METER, 60_000, power)
    settled = line.offer(series(moves))
    values = {boundary.at_ms: boundary.value for boundary in settled.boundaries}
    assert len(values) == len(settled.boundaries)
    assert list(values.values()) == sorted(values.values())
    if powered:
        assert settled.unknown == []
    # Intervals and unknown spans follow each other without a hole, and each run of intervals adds up to its boundaries.
    pieces = sorted(
        [
            *((i.start_ms, i.end_ms, i.energy_kwh) for i in settled.intervals),
            *((a, b, None) for a, b in settled.unknown),
        ],
        key=lambda piece: piece[0],
    )
    if settled.intervals:
        first, last = settled.intervals[0].start_ms, settled.intervals[-1].end_ms
        inside = [piece for piece in pieces if first <= piece[0] < last]
        assert all(one[1] == other[0] for one, other in pairwise(inside))
    for counted, run in groupby(pieces, key=lambda piece: piece[2] is not None):
        if counted:
            run_of = list(run)
            assert sum(piece[2] or 0 for piece in run_of) == values[run_of[-1][1]] - values[run_of[0][0]]


@settings(max_examples=100, deadline=None)
@given(steps, st.lists(st.integers(0, 80), max_size=5))
def test_a_restart_at_any_reading_changes_no_figure(moves: list[tuple[int, int, str]], cuts: list[int]) -> None:
    given_readings = series(moves)
    whole = CounterIntervals(METER, 60_000, no_power)
    expected = whole.offer(given_readings)
    parts = Settled()
    line = CounterIntervals(METER, 60_000, no_power)
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(given_readings)], strict=True):
        some = line.offer(given_readings[first:last])
        parts.boundaries += some.boundaries
        parts.intervals += some.intervals
        parts.events += some.events
        parts.unknown += some.unknown
        line = CounterIntervals.from_json(METER, 60_000, no_power, json.loads(json.dumps(line.to_json())))
    assert parts == expected
    assert line.provisional() == whole.provisional()


def test_every_boundary_between_two_readings_is_settled_once() -> None:
    settled = CounterIntervals(METER, 60_000).offer(readings((0, "100"), (3600, "200")))
    at = [boundary.at_ms for boundary in settled.boundaries]
    assert at == [T + 60_000 * n for n in range(61)]
    assert bisect_right(at, T + 3_600_000) == 61

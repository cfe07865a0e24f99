"""Kept counter values against intervals and sealed readings, by hand: readings, interpolated values, a rollover, lies."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from aggregator.audit.brackets import nearest
from aggregator.intervals.meter import MeterSpec, Multiplier, Role
from aggregator.reports.backing import IMPORT, Interval
from aggregator.reports.bundle import KeptBoundary
from aggregator.reports.tracing import Traced, traced
from wire.reading import Quality

D = Decimal
QUARTER = 900_000
NAME = ("gw", "incomer", IMPORT)
METER = MeterSpec("incomer", "gw", D(100), Role.MAIN, multipliers=(Multiplier(D(2)), Multiplier(D(3), 2 * QUARTER)))


def boundary(at: int, value: str, how: str = "reading") -> KeptBoundary:
    return KeptBoundary(at * QUARTER, "incomer", "gw", how, 0, IMPORT, "", D(value))


def interval(at: int, kwh: str, quality: Quality = Quality.GOOD, source: str = "measured") -> Interval:
    return Interval("incomer", (at + 1) * QUARTER, D(kwh), True, quality, IMPORT, "", source, at * QUARTER, 1)


def found(rows: Sequence[Interval], kept: Sequence[KeptBoundary], readings: Mapping[int, str] | None = None) -> Traced:
    return traced(rows, kept, [METER], {NAME: {at_ms: D(value) for at_ms, value in (readings or {}).items()}})


def test_an_interval_is_its_difference_times_the_multiplier_of_its_time() -> None:
    """10 kWh on the display are 20 before the second multiplier and 30 behind it."""
    kept = [boundary(1, "100"), boundary(2, "110"), boundary(3, "120")]
    seen = found([interval(1, "20"), interval(2, "30")], kept)
    assert (seen.from_counters, seen.boundaries, seen.sealed, seen.differences) == (2, 3, 0, [])
    (wrong,) = found([interval(1, "20"), interval(2, "20")], kept).differences
    assert wrong[:3] == ("intervals", "30 kWh, the difference of the kept values 110 and 120", "20 kWh")


def test_what_nobody_measured_need_not_be_a_difference() -> None:
    kept = [boundary(1, "100"), boundary(2, "110")]
    for row in (interval(1, "5", Quality.SUBSTITUTED), interval(1, "5", source="import")):
        assert (found([row], kept).from_counters, found([row], kept).differences) == (0, [])


def test_values_move_as_the_readings_do_also_ahead_of_a_display_that_has_rolled_over() -> None:
    """The display began again at 0 before the span: what is kept is 1000 ahead of it."""
    kept = [boundary(1, "1100"), boundary(2, "1110"), boundary(3, "1117", "linear"), boundary(4, "1130")]
    rows = [interval(1, "20"), interval(2, "21"), interval(3, "39")]
    readings = {
        QUARTER + 400: "100",
        2 * QUARTER - 300: "110",
        3 * QUARTER - 60_000: "116",
        3 * QUARTER + 60_000: "118",
        4 * QUARTER: "130",
    }
    seen = found(rows, kept, readings)
    assert (seen.from_counters, seen.sealed, seen.between, seen.differences) == (3, 3, 1, [])
    readings[3 * QUARTER + 60_000] = "116.5"
    (wrong,) = found(rows, kept, readings).differences
    assert wrong[:3] == (
        "boundaries",
        "a value from 1116 to 1116.5, as the sealed readings of evidence.zip around it",
        "1117",
    )
    readings |= {3 * QUARTER + 60_000: "118", 4 * QUARTER: "131"}
    (wrong,) = found(rows, kept, readings).differences
    assert wrong[:3] == ("boundaries", "1131, as the sealed readings of evidence.zip have moved", "1130")


def test_a_fall_of_the_counter_begins_a_new_count() -> None:
    """From 9990 over 10000 to 5: 15 kWh on the display; behind the fall the kept values are 10,000 ahead."""
    kept = [boundary(1, "9980"), boundary(2, "9990"), boundary(3, "10005"), boundary(4, "10010")]
    rows = [interval(1, "20"), interval(2, "45"), interval(3, "15")]
    readings = {QUARTER: "9980", 2 * QUARTER: "9990", 3 * QUARTER: "5", 4 * QUARTER: "10"}
    seen = found(rows, kept, readings)
    assert (seen.from_counters, seen.sealed, seen.differences) == (3, 4, [])


def test_the_reading_of_a_boundary_is_the_nearest_within_a_second_the_earlier_of_two() -> None:
    assert nearest([0, 999, 1001, 3000], 1000) == 1
    assert nearest([0, 3000], 1500) is None
    assert nearest([500, 1400], 1000) == 1
    assert nearest([], 0) is None

"""Which intervals stand behind which lines: by hand, for electricity under several factors, for gas and heat, and where something lacks."""

from decimal import Decimal
from fractions import Fraction

from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.intervals.meter import MeterSpec, Role
from aggregator.reports.backing import (
    IMPORT,
    Interval,
    backed,
    counted,
    energy_of,
    interval_kg,
    least_expected,
    unclaimed,
)
from wire.reading import Quality

D = Decimal
QUARTER = 900_000
HOUR = 4 * QUARTER
METERS = [
    MeterSpec("incomer", "gw", D(100), Role.MAIN), MeterSpec("second", "gw", D(100), Role.MAIN),
    MeterSpec("boiler", "gw", D(100), Role.MAIN, "gas"), MeterSpec("heat", "gw", D(100), Role.MAIN, "heat"),
]  # fmt: skip
CARRIERS = {meter.device: meter.carrier for meter in METERS}


def interval(
    number: int, kwh: str, device: str = "incomer", quantity: str = IMPORT, quality: Quality = Quality.GOOD
) -> Interval:
    return Interval(
        device, (number + 1) * QUARTER, D(kwh), True, quality, quantity, "", "measured", number * QUARTER, 1
    )


def line(source: str, start: int, end: int, amount: str, intervals: int, factor: str = "0.5", **other: object) -> Line:
    applied = Applied("f", 1, D(factor))
    said: dict[str, object] = {"counts": Counts.SCOPE_2, "carrier": "electricity", "unit": "kWh"} | other
    return Line(
        source=source, activity="indirect", start_ms=start * QUARTER, end_ms=end * QUARTER, quantity=D(amount), factor=applied,
        kg=D(amount) * D(factor), intervals=intervals, **said,  # type: ignore[arg-type]
    )  # fmt: skip


def statement(*lines: Line) -> Statement:
    return Statement("works", "GHGP-LB", 0, HOUR, HOUR, lines)


def test_lines_apart_in_time_have_their_own_intervals_and_kg() -> None:
    said = statement(line("meter:incomer", 0, 2, "3", 2, "0.5"), line("meter:incomer", 2, 4, "7", 2, "0.6"))
    rows = [interval(at, str(at + 1)) for at in range(4)]
    (found,) = backed(said, METERS, rows)
    assert found.apart
    assert [[row.energy_kwh for row in own] for _, _, own in found.each()] == [[1, 2], [3, 4]]
    assert interval_kg(said, METERS, rows) == [
        (0, QUARTER, 1, D("0.5")), (QUARTER, 2 * QUARTER, 2, 1), (2 * QUARTER, 3 * QUARTER, 3, D("1.8")), (3 * QUARTER, HOUR, 4, D("2.4")),
    ]  # fmt: skip


def test_hours_that_change_factors_to_and_fro_are_known_together_only() -> None:
    """The first and third quarter have one factor, the second and fourth another: their lines overlap in time."""
    said = statement(line("meter:incomer", 0, 3, "4", 2, "0.5"), line("meter:incomer", 1, 4, "6", 2, "0.6"))
    rows = [interval(at, str(at + 1)) for at in range(4)]
    (found,) = backed(said, METERS, rows)
    assert not found.apart
    assert energy_of(found.rows) == 10
    assert interval_kg(said, METERS, rows) is None


def test_grades_are_lines_of_their_own_and_the_market_method_takes_all_mains() -> None:
    said = statement(line("meters:main", 0, 4, "5", 2), line("meters:main", 0, 4, "9", 1, quality="substituted"))
    rows = [interval(0, "2"), interval(0, "3", "second"), interval(1, "9", quality=Quality.SUBSTITUTED)]
    assert [(each.group.quality, energy_of(each.rows)) for each in backed(said, METERS, rows)] == [
        ("good", 5),
        ("substituted", 9),
    ]
    assert unclaimed(said, METERS, rows) == []


def test_an_interval_of_a_main_meter_that_no_line_counts_is_left_over() -> None:
    said = statement(line("meter:incomer", 0, 4, "1", 1))
    assert unclaimed(said, METERS, [interval(0, "1"), interval(1, "2", quality=Quality.UNCERTAIN), interval(0, "3", "second")]) == [
        ("incomer", 1), ("second", 1),
    ]  # fmt: skip


def test_gas_and_heat_are_counted_in_their_own_units() -> None:
    """1000 kWh of heat are 3.6 GJ."""
    gas = line("meter:boiler", 0, 4, "12", 1, counts=Counts.SCOPE_1, carrier="natural_gas", unit="Nm3")
    heat = line("meter:heat", 0, 4, "3.6", 1, carrier="heat", unit="GJ")
    assert counted(gas, CARRIERS) == ("gas_volume_normal_m3", 1)
    assert counted(heat, CARRIERS) == ("heat_energy_kwh", D("0.0036"))
    rows = [interval(0, "12", "boiler", "gas_volume_normal_m3"), interval(0, "1000", "heat", "heat_energy_kwh")]
    assert [energy_of(each.rows) * each.per_counted for each in backed(statement(gas, heat), METERS, rows)] == [
        12,
        D("3.6"),
    ]


def test_what_is_not_metered_has_no_intervals_to_be_found() -> None:
    assert counted(line("activity:diesel", 0, 4, "1", 0), CARRIERS) is None
    assert counted(line("part:press", 0, 4, "1", 4, counts=Counts.ALLOCATED), CARRIERS) is None
    assert counted(line("meter:incomer", 0, 4, "1", 4, counts=Counts.EXPORTED), CARRIERS) is None


def test_what_lines_say_to_cover_gives_the_facility_s_interval_and_how_many_there_must_be() -> None:
    """Four rows of a quarter hour are an hour: one interval of 60 minutes, twelve of 5; of the two grid connections each has as many in the hour."""
    rows = [interval(at, "1") for at in range(4)]
    for covered, length_ms, least in ((None, QUARTER, 8), (Fraction(1), HOUR, 2), (Fraction(12), 300_000, 24)):
        said = statement(line("meter:incomer", 0, 4, "4", 4, covered=covered))
        (found,) = backed(said, METERS, rows)
        assert found.interval_ms(said.to_ms) == length_ms
        assert least_expected(said, METERS, found.interval_ms(said.to_ms)) == least

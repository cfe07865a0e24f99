"""Power over time: rows of a CSV to the last digit, local time, what a bad file says."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from device_sim.profile import (
    UJ_PER_KWH,
    AfterEnd,
    CsvLoad,
    IntervalEnergies,
    ProfileFaults,
    Segment,
    SyntheticLoad,
    read_intervals,
)
from device_sim.site import PROFILES
from device_sim.sun import Sun, sun_height_sine
from device_sim.vehicles import Pattern, Vehicles

QUARTER_MS = 900_000
HOUR_MS = 3_600_000
SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def energy_uj(source: Segment, from_ms: int, to_ms: int) -> int:
    """The integral, in steps that the source itself names."""
    total, now = 0, from_ms
    while now < to_ms:
        power_mw, until = source.power(now)
        assert until > now
        step = min(until, to_ms) - now
        total += power_mw * step
        now += step
    return total


def rows_of(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("interval_start_local,energy_kwh", *lines)) + "\n", encoding="utf-8")
    return path


def test_the_shipped_week_is_complete_and_sums_to_the_data_sets_total() -> None:
    rows = read_intervals(PROFILES / "steel_plant_week.csv")
    assert len(rows.energies_uj) == 7 * 96
    assert rows.length_ms == QUARTER_MS
    assert sum(rows.energies_uj) * 100 == 1_933_613 * UJ_PER_KWH  # 19,336.13 kWh, summed from the data set by hand
    assert "CC BY 4.0" in (PROFILES / "steel_plant_week.csv").read_text(encoding="utf-8")


def test_each_interval_carries_its_rows_energy_exactly() -> None:
    rows = read_intervals(PROFILES / "steel_plant_week.csv")
    monday = at("2018-03-05T00:00+09:00")
    load = CsvLoad(rows, SEOUL, AfterEnd.REPEAT, monday)
    for index in (0, 1, 35, 671):
        start = monday + index * QUARTER_MS
        assert energy_uj(load, start, start + QUARTER_MS) == rows.energies_uj[index]


def test_an_energy_that_is_no_whole_power_is_kept_to_the_last_microjoule(tmp_path: Path) -> None:
    path = rows_of(tmp_path / "seven.csv", "2024-01-01T00:00:00,0.1", "2024-01-01T00:00:07,0.12345")
    load = CsvLoad(read_intervals(path), ZoneInfo("UTC"), AfterEnd.HOLD, 0)
    start = at("2024-01-01T00:00+00:00")
    # 0.1 kWh in 7 s is 360,000,000,000 uJ / 7,000 ms = 51,428,571.43 mW: no integer, yet nothing may be lost.
    assert energy_uj(load, start, start + 7000) == 360_000_000_000
    assert energy_uj(load, start + 7000, start + 14_000) == 444_420_000_000


def test_a_week_repeats_with_the_same_weekday() -> None:
    rows = read_intervals(PROFILES / "steel_plant_week.csv")
    load = CsvLoad(rows, SEOUL, AfterEnd.REPEAT, 0)
    # 2026-11-18 is a Wednesday, as is 2018-03-07.
    assert load.power(at("2026-11-18T10:05+09:00"))[0] == load.power(at("2018-03-07T10:05+09:00"))[0] > 0
    assert load.power(at("2010-03-10T10:05+09:00"))[0] == load.power(at("2018-03-07T10:05+09:00"))[0]


def test_a_held_profile_keeps_its_first_and_last_row(tmp_path: Path) -> None:
    rows = read_intervals(rows_of(tmp_path / "two.csv", "2024-01-01T00:00,1", "2024-01-01T01:00,2"))
    load = CsvLoad(rows, ZoneInfo("UTC"), AfterEnd.HOLD, 0)
    assert load.power(at("2023-06-01T00:00+00:00"))[0] == 1_000_000
    assert load.power(at("2024-01-01T01:30+00:00"))[0] == 2_000_000
    assert load.power(at("2030-01-01T00:00+00:00"))[0] == 2_000_000


def test_a_chosen_start_moves_the_rows_by_whole_intervals() -> None:
    rows = read_intervals(PROFILES / "steel_plant_week.csv")
    origin = at("2026-01-01T10:07:30+09:00")
    moved = CsvLoad(rows, SEOUL, AfterEnd.REPEAT, origin, datetime(2018, 3, 7, 9, 0))  # noqa: DTZ001
    _, until = moved.power(origin)
    assert until == at("2026-01-01T10:15+09:00")
    power = rows.energies_uj[2 * 96 + 36] // QUARTER_MS  # Wednesday 09:00
    assert moved.power(at("2026-01-01T10:00+09:00"))[0] == power


def test_a_start_that_the_clock_has_just_passed_moves_nothing() -> None:
    rows = read_intervals(PROFILES / "steel_plant_week.csv")
    monday = at("2018-03-05T00:00+09:00")
    late = CsvLoad(rows, SEOUL, AfterEnd.REPEAT, monday + 45_000, datetime(2018, 3, 5))  # noqa: DTZ001
    assert energy_uj(late, monday, monday + QUARTER_MS) == rows.energies_uj[0]


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_local_rows_follow_the_wall_clock_through_a_change_of_summer_time(day: str, hours: int) -> None:
    start = datetime.fromisoformat(day)
    rows = IntervalEnergies("day", at(f"{day}T00:00+00:00"), HOUR_MS, tuple((hour + 1) * HOUR_MS for hour in range(24)))
    load = CsvLoad(rows, BERLIN, AfterEnd.REPEAT, 0)
    first = round(start.replace(tzinfo=BERLIN).timestamp() * 1000)
    seen = [load.power(first + hour * HOUR_MS + 1)[0] for hour in range(hours)]
    wall = list(range(1, 25))
    # 02:00 to 03:00 is left out in March (row 3) and comes twice in October.
    assert seen == (wall[:2] + wall[3:] if hours == 23 else wall[:3] + wall[2:])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ("2024-01-01T00:00,1", "2024-01-01T00:15,-1"),
            "p.csv:3: energy_kwh: expected kWh >= 0 with at most 12 decimals, got '-1'",
        ),
        (("2024-01-01T00:00,1", "2024-01-01T00:15,nan"), "p.csv:3: energy_kwh: expected kWh >= 0"),
        (("2024-01-01T00:00,1", "2024-01-01T00:15,"), "p.csv:3: energy_kwh: expected kWh >= 0"),
        (("2024-01-01T00:00,1", "2024-01-01T00:15"), "p.csv:3: energy_kwh: expected kWh >= 0"),
        (
            ("yesterday,1", "2024-01-01T00:15,1"),
            "p.csv:2: interval_start_local: expected an ISO local time without zone, got 'yesterday'",
        ),
        (
            ("2024-01-01T00:00Z,1", "2024-01-01T00:15Z,1"),
            "p.csv:2: interval_start_local: expected an ISO local time without zone",
        ),
        (
            ("2024-01-01T00:00,1", "2024-01-01T00:15,1", "2024-01-01T00:45,1"),
            "p.csv:4: interval_start_local: expected 900 s after the row before",
        ),
        (
            ("2024-01-01T00:15,1", "2024-01-01T00:00,1"),
            "p.csv:3: interval_start_local: expected a later time than the row before",
        ),
        (("2024-01-01T00:00,1",), "p.csv: expected at least two rows to know the interval's length, got 1"),
        ((), "p.csv: expected at least two rows to know the interval's length, got 0"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path: Path, lines: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ProfileFaults) as raised:
        read_intervals(rows_of(tmp_path / "p.csv", *lines))
    assert expected in str(raised.value)


def test_all_bad_rows_are_named_at_once_up_to_a_bound(tmp_path: Path) -> None:
    lines = [f"2024-01-01T00:{minute:02d},x" for minute in range(30)]
    with pytest.raises(ProfileFaults) as raised:
        read_intervals(rows_of(tmp_path / "p.csv", *lines))
    assert len(raised.value.faults) == 20


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "expected a column"), (b"a,b\n1,2\n", "expected a column 'energy_kwh'"), (b"\xff\xfe", "UTF-8")],
)
def test_a_file_without_the_columns_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content)
    with pytest.raises(ProfileFaults, match=expected):
        read_intervals(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ProfileFaults, match=r"none\.csv: expected a readable"):
        read_intervals(tmp_path / "none.csv")


def test_a_preamble_does_not_shift_the_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "# one\n# two\ninterval_start_local,energy_kwh\n2024-01-01T00:00,1\n2024-01-01T00:15,bad\n", encoding="utf-8"
    )
    with pytest.raises(ProfileFaults, match=r"p\.csv:5: energy_kwh"):
        read_intervals(path)


def test_a_synthetic_load_works_by_day_and_rests_at_night() -> None:
    load = SyntheticLoad(10, 100, 0, 1, SEOUL)
    assert load.power(at("2024-05-15T03:00+09:00"))[0] == 10_000_000  # a Wednesday
    assert load.power(at("2024-05-15T10:00+09:00"))[0] == 100_000_000
    assert load.power(at("2024-05-15T07:30+09:00"))[0] == 55_000_000  # half the ramp: 10 + 0.5 x 90
    assert load.power(at("2024-05-18T10:00+09:00"))[0] == 32_500_000  # a Saturday: 10 + 0.25 x 90


def test_the_same_seed_gives_the_same_load_in_any_order() -> None:
    one, two = (SyntheticLoad(10, 100, 0.1, 5, SEOUL) for _ in range(2))
    instants = [at("2024-05-15T10:00+09:00") + minute * 60_000 for minute in range(50)]
    forwards = [one.power(instant)[0] for instant in instants]
    assert [two.power(instant)[0] for instant in reversed(instants)] == forwards[::-1]
    assert len(set(forwards)) > 40
    assert all(90_000_000 <= power <= 110_000_000 for power in forwards)
    assert [SyntheticLoad(10, 100, 0.1, 6, SEOUL).power(instant)[0] for instant in instants] != forwards


def test_the_sun_stands_where_astronomy_has_it() -> None:
    # At noon of the summer solstice it stands 90 - latitude + 23.44 degrees high: sin(78.44 deg) = 0.980 at 35 N.
    assert abs(sun_height_sine(at("2024-06-20T12:00+00:00"), 35, 0) - 0.980) < 0.003
    # 90 - 35 - 23.44 = 31.56 degrees in winter: 0.523.
    assert abs(sun_height_sine(at("2024-12-21T12:00+00:00"), 35, 0) - 0.523) < 0.005
    assert sun_height_sine(at("2024-06-20T00:00+00:00"), 35, 0) < 0
    # 90 degrees further east noon comes six hours earlier.
    assert abs(sun_height_sine(at("2024-06-20T06:00+00:00"), 35, 90) - 0.980) < 0.003


def test_pv_gives_nothing_at_night_and_never_more_than_its_peak() -> None:
    sun = Sun(100, 35, 0, 4)
    noon = at("2024-06-20T12:00+00:00")
    day = [sun.power(noon + minute * 60_000)[0] for minute in range(-720, 720)]
    assert max(day) <= 100_000_000
    assert max(day) > 30_000_000
    assert set(day[:240]) == {0}
    winter = sum(sun.power(at("2024-12-21T00:00+00:00") + minute * 60_000)[0] for minute in range(1440))
    assert winter < sum(day)


@pytest.mark.parametrize("pattern", list(Pattern))
def test_vehicles_draw_what_they_need_within_their_stay(pattern: Pattern) -> None:
    vehicles = Vehicles(5, 11, 20, pattern, 9, SEOUL)
    day = 19_800
    midnight = day * 86_400_000 - 9 * HOUR_MS
    stays = vehicles.stays(day)
    wanted = sum(stay.power_mw * (stay.full_wall_ms - stay.arrival_wall_ms) for stay in stays)
    before = sum(
        stay.power_mw * max(0, stay.full_wall_ms - max(stay.arrival_wall_ms, day * 86_400_000))
        for stay in vehicles.stays(day - 1)
    )
    after = sum(stay.power_mw * max(0, stay.full_wall_ms - (day + 1) * 86_400_000) for stay in stays)
    assert energy_uj(vehicles, midnight, midnight + 86_400_000) == wanted + before - after
    for stay in stays:
        assert stay.arrival_wall_ms < stay.full_wall_ms <= stay.departure_wall_ms
        drawn = stay.power_mw * (stay.full_wall_ms - stay.arrival_wall_ms)
        assert drawn <= stay.need_uj
        if stay.full_wall_ms < stay.departure_wall_ms:
            assert stay.need_uj - drawn < stay.power_mw  # less than one ms of charging is missing


def test_a_charging_point_never_serves_two_vehicles_at_once() -> None:
    vehicles = Vehicles(3, 11, 20, Pattern.DEPOT, 2, ZoneInfo("UTC"))
    for day in range(100):
        for today, tomorrow in zip(vehicles.stays(day), vehicles.stays(day + 1), strict=True):
            assert today.departure_wall_ms <= tomorrow.arrival_wall_ms

"""The newest readings: order of arrival does not matter, growth costs nothing, a restart knows what the store knew."""

import numpy as np
import pytest

from aggregator.newest import NewestReadings, worst
from aggregator.stores.store import SeriesKey
from wire.reading import Quality

KEYS = [
    SeriesKey("works", "gw-01", f"d{number // 2}", ("active_power_kw", "voltage_v")[number % 2])
    for number in range(5000)
]


@pytest.fixture
def newest() -> NewestReadings:
    return NewestReadings(lambda ids: [KEYS[number] for number in ids])


def put(newest: NewestReadings, *rows: tuple[int, int, float, int]) -> None:
    series, at_ms, value, quality = zip(*rows, strict=True)
    newest.update(
        np.array(series, np.int32), np.array(at_ms, np.int64), np.array(value, float), np.array(quality, np.uint8)
    )


def test_a_series_without_a_reading_has_none(newest: NewestReadings) -> None:
    assert newest.of(KEYS[0]) is None
    assert newest.of_device("works", "gw-01", "d0") is None


def test_the_newest_of_one_commit_wins_whatever_its_order(newest: NewestReadings) -> None:
    put(newest, (0, 3000, 3.0, 0), (0, 1000, 1.0, 0), (0, 2000, 2.0, 0))
    found = newest.of(KEYS[0])
    assert found is not None
    assert (found.at_ms, found.value) == (3000, 3.0)


def test_a_late_reading_changes_nothing(newest: NewestReadings) -> None:
    put(newest, (0, 3000, 3.0, 0))
    put(newest, (0, 2000, 2.0, 2), (1, 500, 230.0, 0))
    found = newest.of(KEYS[0])
    assert found is not None
    assert (found.at_ms, found.value, found.quality) == (3000, 3.0, Quality.GOOD)
    assert newest.of(KEYS[1]) is not None


def test_a_null_is_a_contact_without_a_value(newest: NewestReadings) -> None:
    put(newest, (0, 1000, float("nan"), 2))
    found = newest.of(KEYS[0])
    assert found is not None
    assert (found.at_ms, found.value, found.quality) == (1000, None, Quality.BAD)


def test_a_value_that_a_device_does_not_have_says_nothing_of_those_that_it_has(newest: NewestReadings) -> None:
    put(newest, (0, 1000, 1.0, 0), (1, 1000, float("nan"), 2))
    contact = newest.of_device("works", "gw-01", "d0")
    assert contact is not None
    assert contact.quality is Quality.GOOD
    put(newest, (0, 2000, float("nan"), 2), (1, 2000, float("nan"), 2))
    contact = newest.of_device("works", "gw-01", "d0")
    assert contact is not None
    assert contact.quality is Quality.BAD


def test_a_devices_contact_is_its_newest_instant_with_the_worst_quality_of_it(newest: NewestReadings) -> None:
    put(newest, (0, 1000, 1.0, 2), (0, 2000, 1.0, 0), (1, 2000, 230.0, 1))
    contact = newest.of_device("works", "gw-01", "d0")
    assert contact is not None
    assert (contact.at_ms, contact.quality) == (2000, Quality.UNCERTAIN)


def test_ids_beyond_the_table_make_it_grow(newest: NewestReadings) -> None:
    put(newest, (4999, 1000, 7.0, 0), (0, 1000, 1.0, 0))
    found = newest.of(KEYS[4999])
    assert found is not None
    assert found.value == 7.0
    assert newest.devices("works") == [("gw-01", "d0"), ("gw-01", "d2499")]
    assert newest.devices("elsewhere") == []


def test_all_series_of_a_facility_can_be_listed(newest: NewestReadings) -> None:
    put(newest, (0, 1000, 1.0, 0), (1, 1000, 230.0, 0))
    assert {key.quantity: point.value for key, point in newest.facility("works").items()} == {
        "active_power_kw": 1.0,
        "voltage_v": 230.0,
    }


def test_an_empty_commit_is_no_commit(newest: NewestReadings) -> None:
    newest.update(np.array([], np.int32), np.array([], np.int64), np.array([]), np.array([], np.uint8))
    assert newest.devices("works") == []


def test_qualities_are_ordered_from_good_to_bad() -> None:
    assert worst([]) is Quality.GOOD
    assert worst([Quality.SUBSTITUTED, Quality.GOOD]) is Quality.SUBSTITUTED
    assert worst([Quality.SUBSTITUTED, Quality.UNCERTAIN]) is Quality.UNCERTAIN
    assert worst([Quality.BAD, Quality.UNCERTAIN]) is Quality.BAD

"""From committed readings to figures, on the real DuckDB store and a real ledger."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from aggregator.accounts.gaps.doubtful import doubtful
from aggregator.accounts.gaps.gaps import gaps
from aggregator.alarms import Alarms
from aggregator.books import Books
from aggregator.facility import Facility, FactorOverride, MeterSpec, Multiplier, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger
from aggregator.measured_readings import MeasuredReadings
from aggregator.series_line import DAY_MS
from aggregator.settle import LATE_QUIET_MS, PROVISIONAL_EVERY_MS, Changed, Settler
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.influx_http import Server
from aggregator.stores.influx_store import InfluxStore
from aggregator.stores.store import Columns, Rows, SeriesKey
from wire.reading import Quality

D = Decimal
QUARTER_MS = 900_000
T = 1_777_593_600_000  # 2026-05-01T00:00Z
COUNTER = SeriesKey("works", "gw", "incomer", "energy_import_kwh")
POWER = COUNTER._replace(quantity="active_power_kw")
FACILITY = Facility(
    "works",
    "Asia/Shanghai",
    place="CN",
    meters=(
        MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D("0.001")),
        MeterSpec("press", "gw", D(400), Role.SUB, quantum_kwh=D("0.001")),
        MeterSpec("clamp", "gw", D(100), Role.SUB, counted=False),
    ),
    overrides=(FactorOverride(D("0.5"), "test", marks=("test data",)),),
)


class CountingStore(DuckDBStore):
    """The real store; remembers how many readings were asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read = 0

    def history(self, key: SeriesKey, from_ms: int, to_ms: int) -> Columns:
        columns = super().history(key, from_ms, to_ms)
        self.read += len(columns)
        return columns


@dataclass
class Plant:
    """Store, ledger and settler with a clock set by hand."""

    path: Path
    facility: Facility = FACILITY
    now_ms: int = T
    store: CountingStore = field(init=False)
    ledger: Ledger = field(init=False)
    settler: Settler = field(init=False)
    alarms: Alarms = field(init=False)

    def __post_init__(self) -> None:
        self.store = CountingStore(self.path / "store.duckdb")
        self.ledger = Ledger(self.path / "ledger.sqlite")
        self.restart()

    def restart(self) -> None:
        """A new process on the same files."""
        self.alarms = Alarms(self.ledger, lambda: self.now_ms)
        self.settler = Settler(self.store, self.ledger, [self.facility], lambda: self.now_ms, self.alarms)

    def commit(
        self,
        key: SeriesKey,
        readings: Sequence[tuple[float, float]],
        *,
        note: bool = True,
        quality: Quality = Quality.GOOD,
    ) -> None:
        """(seconds after T, value)."""
        at_ms = np.array([T + round(at_s * 1000) for at_s, _ in readings], dtype=np.int64)
        n = len(readings)
        ids = np.repeat(self.store.ids([key]), n)
        value = np.array([value for _, value in readings], dtype=np.float64)
        self.store.commit(Rows(ids, at_ms, value, np.full(n, int(quality), np.uint8), np.zeros(n, np.uint8)), [])
        if note:
            self.settler.note(key, int(at_ms[0]), int(at_ms[-1]))
        self.now_ms = max(self.now_ms, int(at_ms[-1]))

    def intervals(self, device: str = "incomer", quantity: str = "energy_import_kwh") -> list[IntervalRow]:
        return self.ledger.intervals("works", device, quantity, 0, 2**60)

    def finals(self, device: str = "incomer") -> list[Decimal]:
        return [row.energy_kwh for row in self.intervals(device) if row.final]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.store.close()
    made.ledger.close()


def steady(from_s: int, to_s: int, every_s: int, kw: float, start_kwh: float = 1000.0) -> list[tuple[float, float]]:
    """A counter under a steady load, counted from second 0."""
    return [(at_s, round(start_kwh + kw * at_s / 3600, 3)) for at_s in range(from_s, to_s, every_s)]


def test_committed_readings_become_intervals_boundaries_and_emissions(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 2000, 10, 360))
    changed = plant.settler.settle()
    assert plant.finals() == [D(90), D(90)]  # 360 kW for a quarter hour
    assert [row.boundary.value for row in plant.ledger.boundaries(COUNTER, 0, 2**60)] == [D(1000), D(1090), D(1180)]
    total = plant.settler.books.total("works", T, T + 2 * QUARTER_MS)
    assert (total.kg, total.covered, total.expected) == (D(90), 2, 2)
    assert changed.facilities == {"works"}
    assert [row.final for row in changed.intervals] == [True, True, False]
    assert [row.energy_kwh for row in changed.intervals][-1] == D(19)  # 190 s of 360 kW so far


def test_nothing_noted_is_nothing_changed(plant: Plant) -> None:
    plant.settler.settle()
    assert not plant.settler.settle()
    assert not plant.settler.pending()


def test_each_reading_is_read_once_however_often_is_settled(plant: Plant) -> None:
    for n in range(200):
        plant.commit(COUNTER, steady(n * 60, (n + 1) * 60, 10, 360))
        plant.settler.settle()
    assert plant.store.read == 1200
    assert plant.finals() == [D(90)] * 13


def test_between_boundaries_a_series_has_its_turn_every_quarter_minute(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 100, 2, 360))
    assert plant.settler.settle().series == 1
    plant.commit(COUNTER, steady(100, 104, 2, 360))
    assert plant.settler.settle().series == 0
    assert plant.settler.pending()
    plant.now_ms += PROVISIONAL_EVERY_MS
    assert plant.settler.settle().readings == 2
    plant.commit(COUNTER, steady(104, 902, 2, 360))
    plant.settler.settle()
    plant.commit(COUNTER, [(902, 1090.2)])  # no boundary, not yet its turn
    assert plant.settler.settle().series == 0
    assert plant.settler.settle(patient=False).readings == 1
    plant.commit(COUNTER, steady(904, 1802, 2, 360))
    plant.settler.settle()  # a boundary was passed
    assert plant.finals() == [D(90), D(90)]


def test_figures_do_not_depend_on_the_pieces_in_which_readings_come(tmp_path: Path) -> None:
    found: list[list[IntervalRow]] = []
    for pieces, folder in ((1, "whole"), (37, "pieces")):
        (tmp_path / folder).mkdir()
        plant = Plant(tmp_path / folder)
        with closing(plant.store), closing(plant.ledger):
            readings = steady(3, 7200, 7, 250)
            size = -(-len(readings) // pieces)
            for first in range(0, len(readings), size):
                plant.commit(COUNTER, readings[first : first + size])
                plant.settler.settle()
            found.append([row for row in plant.intervals() if row.final])
    assert found[0] == found[1]
    assert len(found[0]) == 6  # 900 s to 6300 s; the end at 7200 s was not passed


def test_a_restart_goes_on_from_the_checkpoint(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 4000, 10, 360))
    plant.settler.settle()
    plant.restart()
    before = plant.store.read
    plant.commit(COUNTER, steady(4000, 6000, 10, 360))
    plant.settler.settle()
    assert plant.finals() == [D(90)] * 6
    assert {row.version for row in plant.intervals()} == {1}
    assert plant.store.read - before <= 200 + 1  # the checkpoint holds everything up to the last reading settled


def test_readings_that_were_committed_and_never_noted_are_settled_after_a_restart(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 1000, 10, 360))
    plant.settler.settle()
    plant.commit(COUNTER, steady(1000, 2000, 10, 360), note=False)
    plant.restart()
    plant.settler.settle()
    assert plant.finals() == [D(90), D(90)]


def test_a_crash_before_the_first_settlement_loses_nothing(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 2000, 10, 360), note=False)
    plant.restart()
    plant.settler.settle()
    assert plant.finals() == [D(90), D(90)]


def test_late_readings_that_were_stored_and_never_settled_are_found_after_a_restart(plant: Plant) -> None:
    whole = steady(0, 3 * 86_400, 300, 360)
    plant.commit(COUNTER, [reading for reading in whole if not 90_000 <= reading[0] < 100_000])
    plant.settler.settle()
    plant.commit(COUNTER, [reading for reading in whole if 90_000 <= reading[0] < 100_000], note=False)
    plant.restart()
    assert plant.settler.settle(patient=False).readings > 0
    assert {row.grade.quality for row in plant.intervals() if row.final} == {Quality.GOOD}
    assert set(plant.finals()) == {D(90)}
    plant.restart()
    assert plant.settler.settle(patient=False).readings == 0


def test_late_readings_supersede_what_was_estimated_across_the_gap(plant: Plant) -> None:
    # 360 kW, then an outage of an hour in which the load was 720 kW for its second half.
    def value(at_s: int) -> float:
        return round(
            1000 + (360 * min(at_s, 5400) + 720 * max(min(at_s, 7200) - 5400, 0) + 360 * max(at_s - 7200, 0)) / 3600, 3
        )

    plant.commit(COUNTER, [(at_s, value(at_s)) for at_s in range(0, 3600, 10)])
    plant.commit(COUNTER, [(at_s, value(at_s)) for at_s in range(7200, 9100, 10)])
    plant.settler.settle()
    rows = [row for row in plant.intervals() if row.final]
    assert [row.grade.reason for row in rows[4:8]] == ["counter-diff"] * 4
    total = sum(plant.finals())
    plant.commit(COUNTER, [(at_s, value(at_s)) for at_s in range(3600, 7200, 10)])
    plant.settler.settle(patient=False)
    rows = [row for row in plant.intervals() if row.final]
    assert [row.energy_kwh for row in rows[4:8]] == [D(90), D(90), D(180), D(180)]
    assert [row.version for row in rows] == [
        1,
        1,
        1,
        2,
        2,
        2,
        2,
        2,
        1,
        1,
    ]  # the boundary at 3600 s had been estimated too
    assert sum(plant.finals()) == total
    kg = plant.settler.books.total("works", T, T + 10 * QUARTER_MS).kg
    assert kg == total * D("0.5")


def test_a_backlog_in_many_pieces_is_computed_a_few_times_and_not_once_a_piece(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 3600, 10, 360))
    plant.settler.settle()
    plant.commit(COUNTER, steady(36_000, 37_000, 10, 360))
    plant.settler.settle()
    before = plant.store.read
    for first in range(3600, 36_000, 60):  # 540 pieces of 6 readings behind the newest
        plant.commit(COUNTER, steady(first, first + 60, 10, 360))
        plant.settler.settle()
    plant.now_ms += LATE_QUIET_MS
    plant.settler.settle()
    assert plant.store.read - before < 3 * 3700
    assert plant.finals() == [D(90)] * 41
    assert {row.grade.quality for row in plant.intervals() if row.final} == {Quality.GOOD}


def test_late_readings_older_than_a_day_go_back_to_that_days_checkpoint(plant: Plant) -> None:
    day_s = DAY_MS // 1000
    holes = range(day_s + 3600, day_s + 7200)
    plant.commit(COUNTER, [reading for reading in steady(0, 4 * day_s, 300, 360) if int(reading[0]) not in holes])
    plant.settler.settle()
    plant.commit(COUNTER, [reading for reading in steady(0, 4 * day_s, 300, 360) if int(reading[0]) in holes])
    before = plant.store.read
    plant.settler.settle(patient=False)
    assert plant.store.read - before <= 4 * 288 + 12
    assert set(plant.finals()) == {D(90)}
    assert {row.grade.quality for row in plant.intervals() if row.final} == {Quality.GOOD}


def test_power_between_slow_polls_shapes_the_boundary(plant: Plant) -> None:
    def value(at_s: float) -> float:
        return round(1000 + (100 * min(at_s, 900) + 500 * max(at_s - 900, 0)) / 3600, 3)

    polls = list(range(30, 1900, 60))
    plant.commit(POWER, [(at_s, 100.0 if at_s < 900 else 500.0) for at_s in range(1900)])
    plant.commit(COUNTER, [(0.5, 1000.0), *((at_s, value(at_s)) for at_s in polls)])
    plant.settler.settle()
    first, second = plant.finals()
    assert abs(first - 25) < D("0.1")  # 26.67 without power
    assert abs(second - 125) < D("0.6")


def test_power_that_arrives_after_its_counter_corrects_the_guess(plant: Plant) -> None:
    def value(at_s: float) -> float:
        return round(1000 + (100 * min(at_s, 900) + 500 * max(at_s - 900, 0)) / 3600, 3)

    plant.commit(COUNTER, [(0.5, 1000.0), *((at_s, value(at_s)) for at_s in range(30, 1000, 60))])
    plant.settler.settle()
    assert plant.finals() == [D("26.667000")]
    plant.commit(POWER, [(at_s, 100.0 if at_s < 900 else 500.0) for at_s in range(1900)])
    plant.settler.settle(patient=False)
    (row,) = (row for row in plant.intervals() if row.final)
    assert abs(row.energy_kwh - 25) < D("0.1")
    assert row.version == 2


def test_a_reset_raises_an_alarm_names_both_readings_and_books_power_instead(plant: Plant) -> None:
    plant.commit(POWER, [(at_s, 360.0) for at_s in range(0, 1900, 10)])
    plant.commit(
        COUNTER, [*steady(0, 400, 10, 360), *((at_s, round((at_s - 400) * 0.1, 3)) for at_s in range(400, 1900, 10))]
    )
    changed = plant.settler.settle()
    assert [(event.change.value, event.before, event.after) for _, event in changed.events] == [
        ("held", D("1039.0"), D("0.0")),
        ("reset", D("1039.0"), D("0.0")),
    ]
    assert plant.finals()[0] == D(90)
    assert plant.intervals()[0].grade.reason == "reset"
    assert [alarm.code for alarm in plant.alarms.open("works")] == ["counter_reset"]
    assert plant.ledger.events("works", T, T + DAY_MS)[1][1].substituted_kwh == D("1.000000")


def test_what_a_counter_that_began_anew_did_not_count_is_no_figure_but_a_gap(plant: Plant) -> None:
    # Displays each quarter hour: 5000, 5010, 5020; a day of silence; then from 3 on again, at 1,000 kW at most 300 kWh each.
    plant.commit(COUNTER, [(0, 5000.0), (900, 5010.0), (1800, 5020.0), (1860, 5021.0)])
    plant.settler.settle()
    assert [(row.energy_kwh, row.final) for row in plant.intervals()] == [(D(10), True), (D(10), True), (D(1), False)]
    again_s = 86_400 + 900
    plant.commit(COUNTER, [(again_s + 900 * n, 3.0 + 10 * n) for n in range(5)])
    plant.settler.settle()
    # What the display said so far of the third interval is withdrawn; the day until 00:15 is null, not 0.
    first, last = T + 1_800_000, T + again_s * 1000
    assert [(row.start_ms, row.energy_kwh, row.final) for row in plant.intervals()] == [
        (T, D(10), True),
        (T + 900_000, D(10), True),
        *((last + 900_000 * n, D(10), True) for n in range(4)),
    ]
    assert plant.settler.books.total("works", T, last).covered == 2
    (gap,) = gaps(plant.ledger, FACILITY, T, last, last + 2 * DAY_MS)
    assert (gap.from_ms, gap.to_ms, gap.energy) == (first, last, None)
    # Power that arrives late says what was drawn: 2.4 kW x 23.75 h = 57 kWh, besides the 1 kWh that was counted before.
    plant.commit(POWER, [(at_s, 2.4) for at_s in range(1800, again_s + 60, 60)])
    plant.settler.settle(patient=False)
    between = [row for row in plant.intervals() if first <= row.start_ms < last]
    drawn = D("2.4") * (again_s - 1860) / 3600
    assert abs(sum(row.energy_kwh for row in between) - 1 - drawn) < D("0.00001")
    assert (len(between), {row.grade.quality for row in between}) == (95, {Quality.SUBSTITUTED})
    assert list(gaps(plant.ledger, FACILITY, T, last, last + 2 * DAY_MS)) == []


def test_a_held_counter_raises_an_alarm_until_it_is_decided(plant: Plant) -> None:
    plant.commit(COUNTER, [*steady(0, 400, 10, 360), (400, 5.0)])
    assert plant.settler.settle().held == {COUNTER}
    assert [alarm.code for alarm in plant.alarms.open("works")] == ["counter_held"]
    plant.commit(COUNTER, steady(410, 500, 10, 360))
    assert plant.settler.settle().held == set()
    assert [alarm.state.value for alarm in plant.alarms.open("works")] == ["rtn"]


def test_without_a_factor_energy_is_kept_and_an_alarm_says_so(tmp_path: Path) -> None:
    plant = Plant(tmp_path, Facility("works", "Asia/Shanghai", meters=FACILITY.meters))
    with closing(plant.store), closing(plant.ledger):
        plant.commit(COUNTER, steady(0, 1000, 10, 360))
        changed = plant.settler.settle()
        assert changed.without_factor == {"works": "no place is configured"}
        assert plant.finals() == [D(90)]
        assert plant.settler.books.total("works", T, T + QUARTER_MS).kg is None
        assert [(alarm.code, alarm.source) for alarm in plant.alarms.open("works")] == [("factor_missing", "incomer")]


def test_a_meter_without_a_counter_is_integrated_and_not_booked(plant: Plant) -> None:
    key = POWER._replace(device="clamp")
    plant.commit(key, [(at_s, 36.0) for at_s in range(0, 1000, 10)])
    changed = plant.settler.settle()
    (row,) = (row for row in plant.intervals("clamp") if row.final)
    assert (row.energy_kwh, row.grade.quality, row.grade.reason) == (D(9), Quality.UNCERTAIN, "integrated")
    assert changed.emissions == []
    plant.restart()
    plant.commit(key, [(at_s, 36.0) for at_s in range(1000, 1900, 10)])
    plant.settler.settle()
    assert plant.finals("clamp") == [D(9), D(9)]


def test_what_is_not_a_counter_of_a_known_meter_is_ignored(plant: Plant) -> None:
    for key in (
        COUNTER._replace(facility="elsewhere"),
        COUNTER._replace(device="unknown"),
        COUNTER._replace(edge="gw-of-somebody-else"),
        COUNTER._replace(quantity="voltage_v"),
        COUNTER._replace(quantity="answer_serial_1"),
    ):
        plant.settler.note(key, T, T + 1)
    assert not plant.settler.pending()


def test_nulls_and_bad_readings_count_nothing(plant: Plant) -> None:
    plant.commit(COUNTER, steady(0, 450, 10, 360))
    plant.commit(COUNTER, [(455, float("nan"))])
    plant.commit(COUNTER, [(456, 9999.0)], quality=Quality.BAD)
    plant.commit(COUNTER, steady(460, 1000, 10, 360))
    assert plant.settler.settle().events == []
    assert plant.finals() == [D(90)]


def test_what_could_not_be_settled_stays_dirty(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.settler.settle()
    plant.commit(COUNTER, steady(0, 1000, 10, 360))
    plant.commit(COUNTER._replace(device="press"), steady(0, 1000, 10, 36))
    plant.store.close()
    with pytest.raises(Exception, match=r".+"):
        plant.settler.settle()
    assert plant.settler.pending()
    plant.store = plant.settler.store = CountingStore(plant.path / "store.duckdb")
    plant.settler.measured = MeasuredReadings(plant.store)
    plant.settler.settle(patient=False)
    assert (plant.finals(), plant.finals("press")) == ([D(90)], [D(9)])


def test_a_multiplier_of_the_settings_that_was_corrected_multiplies_what_was_settled(plant: Plant) -> None:
    # 90 kWh on the display each quarter hour; 10 kWh in the line for each of them, and from 03:00 on 12 (rule 4).
    def multiplied(*entries: Multiplier) -> Facility:
        return replace(FACILITY, meters=(replace(FACILITY.meters[0], rated_power_kw=D(10_000), multipliers=entries),))

    plant.facility = multiplied(Multiplier(D(10)))
    plant.restart()
    plant.commit(COUNTER, steady(0, 21_601, 60, 360))
    plant.settler.settle(patient=False)
    assert plant.finals() == [D(900)] * 24
    plant.facility = multiplied(
        Multiplier(D(10)), Multiplier(D(12), T + 3 * 3_600_000, "transformers exchanged", "sheet 4")
    )
    plant.restart()
    plant.settler.settle(patient=False)
    assert plant.finals() == [D(900)] * 12 + [D(1080)] * 12
    assert [row.version for row in plant.intervals() if row.final] == [1] * 12 + [2] * 12
    plant.facility = multiplied(Multiplier(D(11)))
    plant.restart()
    plant.settler.settle(patient=False)
    assert plant.finals() == [D(990)] * 24
    plant.restart()
    assert not plant.settler.settle(patient=False)


def test_an_instant_counts_once_where_an_hour_was_imported_and_a_counter_read(plant: Plant) -> None:
    """The counter says 90 kWh each quarter hour. Silent from 01:20 to 01:40 it only estimates two of them, and the imported hour stands."""
    hour = IntervalRow("works", "incomer", COUNTER.quantity, T + 3_600_000, T + 7_200_000, D(50), GOOD, True, "import")
    plant.settler.books.enter([hour])
    read = steady(0, 10_801, 60, 360)
    silent = [each for each in read if 4800 < each[0] < 6000]
    plant.commit(COUNTER, [each for each in read if each not in silent])
    plant.settler.settle(patient=False)
    rows = [row for row in plant.intervals() if row.final]
    assert [(row.start_ms - T, row.energy_kwh) for row in rows if row.source == "import"] == [(3_600_000, D(50))]
    assert sum(row.end_ms - row.start_ms for row in rows) == 10_800_000
    assert sum(row.energy_kwh for row in rows) == 8 * 90 + 50
    # The counter says 360 kWh for that hour, to two counts of 0.001: the contradiction is told.
    (told,) = doubtful(plant.ledger, FACILITY, T, T + 10_800_000)
    assert (told.row.energy_kwh, told.least, told.most, told.counted) == (50, D("359.998"), D("360.002"), True)
    plant.commit(COUNTER, silent)  # late: now it is measured, and the import stands no longer
    plant.settler.settle(patient=False)
    assert plant.finals() == [D(90)] * 12
    (told,) = doubtful(plant.ledger, FACILITY, T, T + 10_800_000)
    assert (told.row.energy_kwh, told.least, told.most, told.counted) == (50, D("359.998"), D("360.002"), True)
    assert plant.settler.books.total("works", T, T + 10_800_000).kg == 540  # 1,080 kWh x 0.5


def test_figures_are_the_same_from_influxdb(request: pytest.FixtureRequest, plant: Plant) -> None:
    server = Server(request.getfixturevalue("influxd").url, request.getfixturevalue("database"))
    with closing(InfluxStore(server, plant.path / "batches.sqlite")) as store:
        other = Ledger(plant.path / "other.sqlite")
        settler = Settler(store, other, [FACILITY], lambda: plant.now_ms)
        readings = [(at_s, value) for at_s, value in steady(3, 5400, 7, 123.4) if not 2000 < at_s < 3000]
        plant.commit(COUNTER, readings)
        plant.settler.settle()
        at_ms = np.array([T + round(at_s * 1000) for at_s, _ in readings], dtype=np.int64)
        n = len(readings)
        value = np.array([value for _, value in readings])
        store.commit(
            Rows(np.repeat(store.ids([COUNTER]), n), at_ms, value, np.zeros(n, np.uint8), np.zeros(n, np.uint8)), []
        )
        settler.settle()  # found at its start, not noted
        assert other.intervals("works", "incomer", "energy_import_kwh", 0, 2**60) == plant.intervals()
        assert len(plant.finals()) == 4
        other.close()


def at_speed(plant: Plant, step_s: int, until_s: int, kw: Callable[[int], float]) -> Changed:
    """As a day at 600 times the speed comes in: some minutes of polls between two settlements."""
    changed, energy, at_s = Changed(), 1000.0, 0
    while at_s < until_s:
        piece = []
        for _ in range(10):
            piece.append((float(at_s), round(energy, 3)))
            energy += kw(at_s) * step_s / 3600
            at_s += step_s
        plant.commit(COUNTER, piece)
        changed = plant.settler.settle()
    return changed


def test_two_days_at_great_speed_add_up_to_the_counter(plant: Plant) -> None:
    at_speed(plant, 60, 2 * 86_400, lambda at_s: 50 + at_s % 3600 / 10)
    finals = plant.finals()
    boundaries = plant.ledger.boundaries(COUNTER, 0, 2**60)
    assert len(finals) == 191
    assert sum(finals) == boundaries[-1].boundary.value - boundaries[0].boundary.value
    booked = plant.settler.books.emissions("works", T, T + 2 * DAY_MS)
    assert sum(row.emission.kg or 0 for row in booked if row.emission.final) == sum(finals) * D("0.5")
    assert isinstance(plant.settler.books, Books)

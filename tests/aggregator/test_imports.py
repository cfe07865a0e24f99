"""Imports: every digit kept, nothing twice, each bad row named, clock changes by hand."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.books import Books
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.imports import FileUnusable, ImportOptions, ImportResult, Kind, import_csv, import_of
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger
from aggregator.settle import Settler
from aggregator.stores.duckdb_store import DuckDBStore

D = Decimal
ROOT = Path(__file__).parents[2]
NINE_MONTHS = ROOT.parent / "shared" / "data" / "steel_plant_15min_2018_jan_sep.csv"
WEEK = ROOT / "device_sim" / "profiles" / "steel_plant_week.csv"
CASES = sorted((ROOT / "tests" / "cases" / "import").glob("*.csv"))
QUARTER_MS = 900_000
NOW_MS = 1_777_593_600_000
OPTIONS = ImportOptions("works", "incomer", time_zone="Asia/Seoul")
STEEL = replace(OPTIONS, time_column="interval_start_local")
FACILITY = Facility(
    "works",
    "Asia/Seoul",
    meters=(MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D("0.01")),),
    overrides=(FactorOverride(D("0.5306"), "test", marks=("test data",)),),
)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@dataclass
class Desk:
    path: Path
    books: Books
    store: DuckDBStore

    def put(self, *lines: str, options: ImportOptions = OPTIONS, header: str = "start,energy_kwh") -> ImportResult:
        file = self.path / "meter.csv"
        file.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        return import_csv(file, options, self.books, self.store)

    def intervals(self) -> list[IntervalRow]:
        return self.books.ledger.intervals("works", "incomer", "energy_import_kwh", 0, 2**60)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    ledger, store = Ledger(tmp_path / "ledger.sqlite"), DuckDBStore(tmp_path / "store.duckdb")
    yield Desk(tmp_path, Books(ledger, [FACILITY], lambda: NOW_MS), store)
    store.close()
    ledger.close()


@pytest.mark.skipif(not NINE_MONTHS.exists(), reason=f"{NINE_MONTHS.name} (nine months of the steel plant) is not here")
def test_nine_months_in_seconds_to_the_last_digit_and_a_second_time_nothing(desk: Desk) -> None:
    started_s = time.perf_counter()
    result = import_csv(NINE_MONTHS, STEEL, desk.books)
    assert time.perf_counter() - started_s < 10
    assert (result.rows, result.new, result.bad, result.total_kwh) == (26_208, 26_208, 0, D("729316.67"))
    assert (result.booked, result.without_factor, result.exit_status) == (26_208, 0, 0)
    span = (ms("2017-12-31T15:00"), ms("2018-09-30T15:00"))
    assert (result.from_ms, result.to_ms) == span
    total = desk.books.total("works", *span)
    assert (total.kg, total.energy_kwh, total.coverage_ratio) == (D("386975.425102"), D("729316.67"), 1)
    again = import_csv(NINE_MONTHS, STEEL, desk.books)
    assert (again.rows, again.new, again.bad, again.booked, again.total_kwh) == (26_208, 0, 0, 0, D("729316.67"))
    assert desk.books.total("works", *span) == total


def test_the_shipped_week_is_imported_whole_and_only_once(desk: Desk) -> None:
    result = import_csv(WEEK, STEEL, desk.books)
    text_total = sum(
        D(line.split(",")[1]) for line in WEEK.read_text(encoding="utf-8").splitlines() if line.startswith("2018")
    )
    assert (result.rows, result.new, result.bad, result.total_kwh) == (672, 672, 0, text_total)
    assert desk.books.day("works", date(2018, 3, 5)).coverage_ratio == 1
    assert import_csv(WEEK, STEEL, desk.books).new == 0
    assert [row[0] for row in desk.books.ledger.rows("SELECT rows_new FROM import_run ORDER BY id")] == [672, 0]


def test_another_value_for_an_interval_is_named_and_not_written(desk: Desk) -> None:
    desk.put("2026-03-05T00:00,1.5", "2026-03-05T00:15,2")
    result = desk.put("2026-03-05T00:00,1.5", "2026-03-05T00:15,2.5", "2026-03-05T00:30,3")
    assert (result.rows, result.new, result.bad, result.exit_status) == (2, 1, 1, 1)
    assert str(result.faults[0]) == (
        "meter.csv:3: energy_kwh: expected 2 kWh, which stands for 2026-03-04T15:15:00Z (import), got 2.5 kWh"
    )
    assert [row.energy_kwh for row in desk.intervals()] == [D("1.5"), D(2), D(3)]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_bad_row_is_named_and_stops_nothing_else(desk: Desk, case: Path) -> None:
    """Each file of tests/cases/import has two good rows and a bad one between them."""
    expected = case.read_text(encoding="utf-8").splitlines()[0].removeprefix("# expect: ")
    result = import_csv(case, OPTIONS, desk.books, desk.store)
    assert [str(fault) for fault in result.faults] == [f"{case.name}:{expected}"]
    assert (result.rows, result.bad, result.exit_status) == (2, 1, 1)
    assert [row.energy_kwh for row in desk.intervals()] == [D(1), D(3)]


def test_an_energy_that_the_line_cannot_carry_is_named_and_not_written(desk: Desk) -> None:
    """Rule 1: 1.2 x 1000 kW x 0.25 h = 300 kWh and two counts of 0.01 kWh."""
    result = desk.put("2026-03-05T00:00,300.02", "2026-03-05T00:15,300.03", "2026-03-05T00:30,999999999999")
    assert [str(fault) for fault in result.faults] == [
        "meter.csv:3: energy_kwh: expected at most 300.02 kWh, incomer carries 1000 kW, got 300.03 kWh",
        "meter.csv:4: energy_kwh: expected at most 300.02 kWh, incomer carries 1000 kW, got 999999999999 kWh",
    ]
    assert [row.energy_kwh for row in desk.intervals()] == [D("300.02")]


def test_an_import_with_a_reason_corrects_imported_figures_and_both_stay(desk: Desk) -> None:
    desk.put("2026-03-05T00:00,30", "2026-03-05T00:15,2")
    (row, _) = desk.intervals()
    why = replace(OPTIONS, reason="the point was lost", by="Li Na")
    result = desk.put("2026-03-05T00:00,3", "2026-03-05T00:15,2", options=why)
    assert (result.rows, result.new, result.bad, result.booked, result.total_kwh) == (2, 1, 0, 1, 5)
    assert [(row.energy_kwh, row.version) for row in desk.intervals()] == [(3, 2), (2, 1)]
    assert [each.row.energy_kwh for each in desk.books.ledger.interval_versions(row)] == [30, 3]
    assert desk.books.total("works", row.start_ms, row.end_ms).kg == D("1.5918")  # 3 kWh x 0.5306
    assert desk.put("2026-03-05T00:00,30").bad == 1  # the old file does not bring it back
    runs = desk.books.ledger.rows("SELECT reason, by FROM import_run ORDER BY id")
    assert runs == [("", ""), ("the point was lost", "Li Na"), ("", "")]
    brought = import_of(desk.books.ledger, row, NOW_MS)
    assert brought is not None
    assert (brought.file, brought.reason) == ("meter.csv", "")


def test_an_import_of_what_a_counter_has_is_on_record_and_does_not_stand(desk: Desk) -> None:
    start_ms = ms("2026-03-04T15:00")
    row = IntervalRow(
        "works", "incomer", "energy_import_kwh", start_ms, start_ms + QUARTER_MS, D(30), GOOD, True, "measured"
    )
    desk.books.enter([row])
    result = desk.put("2026-03-05T00:00,3")
    assert (result.new, result.aside, result.bad, result.booked) == (1, 1, 0, 0)
    assert [(row.energy_kwh, row.version) for row in desk.intervals()] == [(30, 1)]
    assert desk.put("2026-03-05T00:00,3").new == 0
    assert str(desk.put("2026-03-05T00:00,4").faults[0]).endswith("3 kWh, which stands for 2026-03-04T15:00:00Z (import), got 4 kWh")  # fmt: skip
    result = desk.put("2026-03-05T00:00,4", options=replace(OPTIONS, reason="misread", by="Li Na"))
    assert (result.new, result.aside, result.bad) == (1, 1, 0)
    assert [row.energy_kwh for row in desk.books.ledger.filed(*row_of(row))] == [4]


def row_of(row: IntervalRow) -> tuple[str, str, str, int, int]:
    return row.facility, row.device, row.quantity, row.start_ms, row.end_ms


def test_an_import_beside_imported_counter_readings_does_not_stand(desk: Desk) -> None:
    file = desk.path / "counter.csv"
    file.write_text("start,energy_kwh\n2026-03-05T00:00,100\n2026-03-05T00:15,102\n2026-03-05T00:30,104\n")
    settler = Settler(desk.store, desk.books.ledger, [FACILITY], lambda: NOW_MS, books=desk.books)
    import_csv(file, replace(OPTIONS, kind=Kind.COUNTER), desk.books, desk.store, note=settler.note)
    settler.settle(patient=False)
    result = desk.put("2026-03-05T00:00,3", "2026-03-05T00:15,3")
    assert (result.new, result.aside, result.bad) == (2, 2, 0)
    assert [row.energy_kwh for row in desk.intervals() if row.final] == [2, 2]


def test_an_interval_that_has_not_ended_is_named_and_not_written(desk: Desk) -> None:
    """It is 2026-05-01T00:00Z, 09:00 at the plant."""
    result = desk.put("2026-05-01T08:45,1", "2026-05-01T09:00,2", "2030-01-01T00:00,5")
    assert [str(fault) for fault in result.faults] == [
        "meter.csv:3: start: expected an interval that has ended by now (2026-05-01T00:00:00Z), got one until 2026-05-01T00:15:00Z",
        "meter.csv:4: start: expected an interval that has ended by now (2026-05-01T00:00:00Z), got one until 2029-12-31T15:15:00Z",
    ]
    assert (result.rows, result.new, result.bad, result.booked, result.total_kwh) == (1, 1, 2, 1, 1)
    assert [row.energy_kwh for row in desk.intervals()] == [D(1)]


def test_a_display_of_the_future_is_named_and_not_stored(desk: Desk) -> None:
    counter = replace(OPTIONS, kind=Kind.COUNTER)
    result = desk.put("2026-05-01T09:00,100", "2026-05-01T09:00:01,101", options=counter)
    assert [str(fault) for fault in result.faults] == [
        "meter.csv:3: start: expected an instant that has passed (now 2026-05-01T00:00:00Z), got 2026-05-01T00:00:01Z"
    ]
    assert (result.rows, result.new, result.bad) == (1, 1, 1)


def test_comments_and_empty_lines_count_as_lines(desk: Desk) -> None:
    result = desk.put("# from the utility", "", "2026-03-05T00:00,x")
    assert [fault.line for fault in result.faults] == [4]


def test_hours_do_not_go_over_quarter_hours_that_stand(desk: Desk) -> None:
    desk.put("2026-03-05T00:15,1")
    hourly = replace(OPTIONS, interval_s=3600)
    result = desk.put("2026-03-05T00:00,4", "2026-03-05T01:00,5", options=hourly)
    assert (result.new, result.bad) == (1, 1)
    assert "expected no overlap with what stands from 2026-03-04T15:15:00Z to 2026-03-04T15:30:00Z" in str(
        result.faults[0]
    )


@pytest.mark.parametrize(
    ("unit", "text", "kwh"),
    [("MWh", "0.00317", "3.17"), ("Wh", "3170", "3.17"), ("kWh", "3.170", "3.170"), ("GWh", "1e-6", "1")],
)
def test_units_become_kwh_without_losing_a_digit(desk: Desk, unit: str, text: str, kwh: str) -> None:
    desk.put(f"2026-03-05T00:00,{text}", options=replace(OPTIONS, unit=unit))
    assert desk.intervals()[0].energy_kwh == D(kwh)


def test_columns_formats_and_delimiters_are_options(desk: Desk) -> None:
    options = replace(
        OPTIONS, time_column="Datum", value_column="Menge", time_format="%d.%m.%Y %H:%M", delimiter=";", decimal_comma=True,
        time_zone="Europe/Berlin",
    )  # fmt: skip
    result = desk.put("x;05.03.2026 00:00;1,25", options=options, header="Zähler;Datum;Menge")
    assert result.total_kwh == D("1.25")
    assert desk.intervals()[0].start_ms == ms("2026-03-04T23:00")


def test_a_time_with_an_offset_needs_no_zone(desk: Desk) -> None:
    desk.put("2026-03-05T00:00:00+08:00,1", "2026-03-04T16:15:00Z,2")
    assert [row.start_ms for row in desk.intervals()] == [ms("2026-03-04T16:00"), ms("2026-03-04T16:15")]


@pytest.mark.parametrize(("form", "text"), [("epoch_s", "1772640000"), ("epoch_ms", "1772640000000")])
def test_times_may_count_from_1970(desk: Desk, form: str, text: str) -> None:
    result = desk.put(f"{text},1", "NaN,1", "noon,1", options=replace(OPTIONS, time_format=form))
    assert [row.start_ms for row in desk.intervals()] == [ms("2026-03-04T16:00")]
    assert [fault.line for fault in result.faults] == [3, 4]
    assert "since 1970, got 'noon'" in str(result.faults[1])


def test_a_count_that_is_no_time_of_these_centuries_is_named(desk: Desk) -> None:
    result = desk.put("1772640000,1", "1e300,1", "-1,1", options=replace(OPTIONS, time_format="epoch_s"))
    assert [fault.line for fault in result.faults] == [3, 4]
    assert str(result.faults[0]).endswith("start: expected a time of the years 1971 to 2099, got '1e300'")
    assert len(desk.intervals()) == 1


def quarters(first_hour: int, last_hour: int, day: str) -> list[str]:
    return [f"{day}T{hour:02d}:{minute:02d},1" for hour in range(first_hour, last_hour) for minute in (0, 15, 30, 45)]


def test_the_hour_that_comes_twice_goes_by_the_order_in_the_file(desk: Desk) -> None:
    day = "2025-10-26"
    lines = [*quarters(0, 3, day), *quarters(2, 24, day)]
    result = desk.put(*lines, options=replace(OPTIONS, time_zone="Europe/Berlin"))
    assert (result.new, result.bad, result.total_kwh) == (100, 0, 100)
    assert [row.start_ms for row in desk.intervals()] == [ms("2025-10-25T22:00") + n * QUARTER_MS for n in range(100)]


def test_the_hour_that_is_skipped_is_no_time(desk: Desk) -> None:
    result = desk.put(*quarters(0, 24, "2026-03-29"), options=replace(OPTIONS, time_zone="Europe/Berlin"))
    assert (result.new, result.bad) == (92, 4)
    assert (
        str(result.faults[0])
        == "meter.csv:10: start: expected a time that exists in Europe/Berlin, got '2026-03-29T02:00'"
    )


def test_half_an_hour_that_comes_twice_at_lord_howe(desk: Desk) -> None:
    twice = ["2026-04-05T01:30,1", "2026-04-05T01:45,1"]
    result = desk.put(
        *quarters(0, 2, "2026-04-05"),
        *twice,
        "2026-04-05T02:00,1",
        options=replace(OPTIONS, time_zone="Australia/Lord_Howe"),
    )
    assert (result.new, result.bad) == (11, 0)
    assert [row.start_ms for row in desk.intervals()] == [ms("2026-04-04T13:00") + n * QUARTER_MS for n in range(11)]


def test_without_a_factor_intervals_are_kept_and_the_lack_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    books = Books(ledger, [replace(FACILITY, overrides=())], lambda: NOW_MS)
    result = import_csv(WEEK, STEEL, books)
    assert (result.new, result.booked, result.without_factor) == (672, 672, 672)
    assert books.day("works", date(2018, 3, 5)).kg is None
    ledger.close()


def test_counter_readings_go_through_the_store_and_are_settled_like_any_other(desk: Desk) -> None:
    settler = Settler(desk.store, desk.books.ledger, [FACILITY], lambda: NOW_MS, books=desk.books)
    file = desk.path / "counter.csv"
    lines = [f"2026-03-05T{n // 12:02d}:{n % 12 * 5:02d},{1000 + D(n) / 4}" for n in range(60)]
    file.write_text("start,display\n" + "\n".join(lines), encoding="utf-8")
    options = replace(OPTIONS, kind=Kind.COUNTER, value_column="display")
    result = import_csv(file, options, desk.books, desk.store, note=settler.note)
    assert (result.rows, result.new, result.bad) == (60, 60, 0)
    settler.settle()
    finals = [row for row in desk.intervals() if row.final]
    assert {(row.energy_kwh, row.source) for row in finals} == {(D("0.75"), "measured")}
    assert len(finals) == 19
    again = import_csv(file, options, desk.books, desk.store, note=settler.note)
    assert (again.rows, again.new) == (60, 0)
    assert not settler.pending()


def test_an_interval_that_begins_between_two_boundaries_is_a_fault(desk: Desk) -> None:
    result = desk.put("2026-03-05T00:00,1", "2026-03-05T00:22,2", "2026-03-05T00:45,3")
    assert (result.rows, result.bad, result.total_kwh) == (2, 1, D(4))
    assert "a start at a multiple of 900 s of the local day" in str(result.faults[0])


def test_hours_and_days_begin_by_the_local_clock(desk: Desk) -> None:
    hours = replace(OPTIONS, time_zone="Asia/Kolkata", interval_s=3600)  # UTC+5:30: its hours begin at half past of UTC
    assert desk.put("2026-03-05T00:00,1", "2026-03-05T01:00,1", options=hours).bad == 0
    days = replace(OPTIONS, interval_s=86_400)
    assert desk.put("2026-03-07T00:00,1", "2026-03-08T00:00,1", options=days).bad == 0


def test_counter_readings_replace_an_imported_energy_and_it_stays_on_record(desk: Desk) -> None:
    desk.put("2026-03-05T00:15,10.5")
    settler = Settler(desk.store, desk.books.ledger, [FACILITY], lambda: NOW_MS, books=desk.books)
    file = desk.path / "counter.csv"
    lines = [f"2026-03-05T{n // 12:02d}:{n % 12 * 5:02d},{1000 + D(n) / 4}" for n in range(60)]
    file.write_text("start,energy_kwh\n" + "\n".join(lines), encoding="utf-8")
    import_csv(file, replace(OPTIONS, kind=Kind.COUNTER), desk.books, desk.store, note=settler.note)
    settler.settle()
    finals = {row.start_ms: (row.energy_kwh, row.source) for row in desk.intervals() if row.final}
    assert set(finals.values()) == {(D("0.75"), "measured")}
    (filed,) = desk.books.ledger.filed("works", "incomer", "energy_import_kwh", 0, NOW_MS)
    assert (filed.start_ms, filed.energy_kwh, filed.source) == (ms("2026-03-04T15:15"), D("10.5"), "import")


def test_another_display_for_the_same_instant_is_named_and_not_written(desk: Desk) -> None:
    options = replace(OPTIONS, kind=Kind.COUNTER)
    desk.put("2026-03-05T00:00,10", "2026-03-05T00:15,11", options=options)
    result = desk.put("2026-03-05T00:15,12", "2026-03-05T00:30,13", "2026-03-05T00:30,14", options=options)
    assert (result.rows, result.new, result.bad) == (1, 1, 2)
    assert (
        str(result.faults[0])
        == "meter.csv:2: energy_kwh: expected 11.0 kWh, which stands for 2026-03-04T15:15:00Z, got 12 kWh"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a column 'start', got an empty file"),
        ("time,energy_kwh\n", "expected a column 'start', got 'time', 'energy_kwh'"),
        ("start,kwh\n", "expected a column 'energy_kwh', got 'start', 'kwh'"),
        ("start,energy_kwh\n", "expected at least one row, got a header alone"),
        ("# of May\nstart,energy_kwh\n# none yet\n\n", "expected at least one row, got a header alone"),
        (
            'start,energy_kwh\n"2026-03-05T00:00,1\n',
            "expected a readable CSV file in utf-8-sig, got unexpected end of data",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(desk: Desk, text: str, said: str) -> None:
    file = desk.path / "odd.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FileUnusable) as error:
        import_csv(file, OPTIONS, desk.books)
    assert str(error.value) == f"odd.csv: {said}"


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("carrier", "quantity", "counts"),
    [
        ("gas", "energy_import_kwh", "gas_volume_m3, gas_volume_normal_m3"),
        ("electricity", "gas_volume_m3", "energy_import_kwh, energy_export_kwh"),
        ("flue_gas", "energy_import_kwh", "flue_gas_co2_kg"),
        ("steam", "cooling_energy_kwh", "heat_energy_kwh"),
    ],
)
def test_a_quantity_that_the_meter_does_not_count_is_refused_before_anything_is_read(
    desk: Desk, kind: Kind, carrier: str, quantity: str, counts: str
) -> None:
    meter = MeterSpec("m1", "gw", D(1000), Role.MAIN, carrier=carrier)
    books = Books(desk.books.ledger, [replace(FACILITY, meters=(meter,))], lambda: NOW_MS)
    unit = "m3" if quantity == "gas_volume_m3" else "kWh"
    options = ImportOptions("works", "m1", quantity=quantity, kind=kind, unit=unit)
    file = desk.path / "meter.csv"
    file.write_text("start,energy_kwh\n2026-03-05T00:00,1\n")
    with pytest.raises(FileUnusable) as error:
        import_csv(file, options, books, desk.store)
    assert (
        str(error.value)
        == f"quantity: expected one that m1, a meter for {carrier}, counts ({counts}), got '{quantity}'"
    )
    assert books.ledger.rows("SELECT 1 FROM import_run") == []


@pytest.mark.parametrize(
    ("carrier", "quantity", "unit", "most", "rated"),
    [
        ("gas", "gas_volume_normal_m3", "Nm3", "300.2 Nm3", "1000 Nm3/h"),
        ("flue_gas", "flue_gas_co2_kg", "kg", "300.2 kg", "1000 kg/h"),
        ("electricity", "energy_export_kwh", "kWh", "300.2 kWh", "1000 kW"),
    ],
)
def test_a_row_is_refused_in_the_units_of_its_meter(
    desk: Desk, carrier: str, quantity: str, unit: str, most: str, rated: str
) -> None:
    # 1.2 x 1,000 an hour x 0.25 h, and two counts of the 0.1 that is written.
    books = Books(
        desk.books.ledger,
        [replace(FACILITY, meters=(MeterSpec("m1", "gw", D(1000), carrier=carrier),))],
        lambda: NOW_MS,
    )
    file = desk.path / "meter.csv"
    options = ImportOptions("works", "m1", quantity=quantity, unit=unit)
    file.write_text("start,energy_kwh\n2026-03-05T00:00,300.3\n2026-03-05T00:15,5\n2026-03-05T00:15,6\n")
    found = import_csv(file, options, books)
    assert [(fault.expected, fault.seen) for fault in found.faults] == [
        (f"5 {unit} as in line 3 for the same interval", f"6 {unit}"),
        (f"at most {most}, m1 carries {rated}", f"300.3 {unit}"),
    ]
    file.write_text("start,energy_kwh\n2026-03-05T00:15,7\n")
    (fault,) = import_csv(file, options, books).faults
    assert (fault.expected, fault.seen) == (f"5 {unit}, which stands for 2026-03-05T00:15:00Z (import)", f"7 {unit}")


def test_a_missing_file_an_unknown_meter_and_a_missing_store_are_named(desk: Desk) -> None:
    with pytest.raises(FileUnusable, match=r"none\.csv: expected a readable CSV file"):
        import_csv(desk.path / "none.csv", OPTIONS, desk.books)
    with pytest.raises(FileUnusable, match=r"device: expected a meter of works \(incomer\), got 'press'"):
        import_csv(WEEK, replace(STEEL, device="press"), desk.books)
    with pytest.raises(FileUnusable, match=r"facility: expected a configured one \(works\), got 'plant'"):
        import_csv(WEEK, replace(STEEL, facility="plant"), desk.books)
    with pytest.raises(FileUnusable, match="a counter file needs the store"):
        import_csv(WEEK, replace(STEEL, kind=Kind.COUNTER), desk.books)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"unit": "kcal"}, "unit must be one of Wh, kWh, MWh, GWh, is 'kcal'"),
        ({"interval_s": 7}, "must divide a day, is 7 s"),
        ({"delimiter": ""}, "delimiter must be one character such as ';', is ''"),
        ({"delimiter": "\\t"}, "delimiter must be one character"),
        ({"decimal_comma": True}, "the delimiter must be another one"),
        ({"quantity": "voltage_v"}, "quantity must be one of energy_import_kwh"),
        ({"time_zone": "Mars/Olympus"}, "time zone must be an IANA zone"),
    ],
)
def test_a_faulty_option_is_refused(fault: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImportOptions(**({"facility": "works", "device": "incomer"} | fault))  # type: ignore[arg-type]


def test_progress_ends_at_the_size_of_the_file(desk: Desk) -> None:
    heard: list[tuple[int, int]] = []
    import_csv(WEEK, STEEL, desk.books, progress=lambda done, whole: heard.append((done, whole)))
    assert heard[-1] == (WEEK.stat().st_size,) * 2

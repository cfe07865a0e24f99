"""Activities on record: versions with a reason, a second person's approval, and what was on record when."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from aggregator.accounts.activities import laboratory
from aggregator.accounts.activities.activity import Activity, faults
from aggregator.accounts.activities.record import Activities, read_activities
from aggregator.accounts.record_file import RecordsRefused
from aggregator.emissions.parameter import Asked, resolve_parameter
from aggregator.emissions.registry import Registry

D = Decimal
NOW = 1_780_272_000_000  # 2026-06-01
ZONE = ZoneInfo("Asia/Shanghai")
HEAD = "source,kind,subject,class,from,to,unit,quantity,opening,purchases,closing,resale,variant,parameters,evidence,reason\n"
COAL = "kiln-1,fuel,anthracite,固定,2026-01-01,2026-02-01,t,,120,500,110,10,kiln,,scale tickets 1-31,\n"
CLINKER = 'kiln-1,process,clinker,process,2026-01-01,2026-02-01,t,1000,,,,,,"cao_ratio=64.5%; mgo_ratio=0.015; cao_not_from_carbonate_ratio=0; mgo_not_from_carbonate_ratio=0",daily log,\n'
SAMPLE = "LAB-7,laboratory,anthracite.ncv,stationary,2026-01-01,2026-02-01,GJ/t,23.1,,,,,,,certificate 7,\n"


def rows(*lines: str, head: str = HEAD) -> list[Activity]:
    return read_activities("".join([head, *lines]).encode(), "january.csv", "works")


@pytest.fixture
def activities() -> Iterator[Activities]:
    with Activities(":memory:") as opened:
        yield opened


def test_consumption_is_opening_and_purchases_less_closing_and_resale(activities: Activities) -> None:
    """Domain rule 23; 120 + 500 - 110 - 10 = 500, by hand."""
    (coal,) = rows(COAL)
    assert (coal.amount, coal.activity_class, coal.from_day) == (D(500), "stationary", date(2026, 1, 1))
    activities.add([coal], "ann", NOW)
    (kept,) = activities.in_force("works")
    assert kept.activity.amount == 500
    assert not kept.approved


def test_a_correction_is_a_version_with_a_reason_and_counts_once_a_second_person_has_approved_it(
    activities: Activities,
) -> None:
    activities.add(rows(COAL), "ann", NOW)
    assert activities.add(rows(COAL), "ann", NOW + 1).unchanged == 1
    activities.decide("works", [1], "approved", "bo", NOW + 2)
    corrected = COAL.replace(",500,", ",510,")
    with pytest.raises(
        RecordsRefused,
        match=r"kiln-1 fuel anthracite \(kiln\) 2026-01-01: on record with other content: a correction needs a reason",
    ):
        activities.add(rows(corrected), "ann", NOW + 3)
    assert activities.add(rows(corrected.replace("1-31,", "1-31,ticket 12 was missing")), "ann", NOW + 4).corrected == 1
    (kept,) = activities.in_force("works")
    assert (kept.activity.amount, kept.waiting) == (D(500), True)
    with pytest.raises(RecordsRefused, match="expected a second person, ann recorded it"):
        activities.decide("works", [2], "approved", " Ann ", NOW + 5)
    activities.decide("works", [2], "approved", "bo", NOW + 6)
    assert [one.activity.amount for one in activities.in_force("works")] == [510]
    assert [one.activity.amount for one in activities.in_force("works", NOW + 5)] == [500]
    assert activities.in_force("works", NOW - 1) == []


def test_a_withdrawn_version_lets_the_one_before_count_again(activities: Activities) -> None:
    activities.add(rows(COAL), "ann", NOW)
    activities.add(rows(COAL.replace(",500,", ",510,").replace("1-31,", "1-31,typo")), "ann", NOW)
    activities.decide("works", [1, 2], "approved", "bo", NOW)
    with pytest.raises(RecordsRefused, match="expected the reason of the withdrawal"):
        activities.decide("works", [2], "withdrawn", "bo", NOW)
    activities.decide("works", [2], "withdrawn", "bo", NOW, "no such ticket")
    assert [one.activity.amount for one in activities.in_force("works")] == [500]
    assert [standing.state for standing in activities.standings("works")] == ["approved", "withdrawn"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (COAL.replace("固定", "somewhere"), "class: expected stationary or mobile or process for fuel burnt, got 'somewhere'"),
        (COAL.replace(",t,,", ",kWh,,"), "unit: expected one like t or Nm3 or m3, got 'kWh'"),
        (COAL.replace(",120,500,", ",120,,"), "expected all of opening, purchases, closing, resale"),
        (COAL.replace(",t,,", ",t,500,"), "quantity: expected it, or all of .*; got both"),
        (COAL.replace(",120,500,", ",0,1,"), r"expected 0 t or more \(opening \+ purchases - closing - resale\), got -119"),
        (COAL.replace("2026-02-01", "2026-01-01"), "expected `to` after `from`"),
        (COAL.replace("2026-02-01", "soon"), "january.csv:2: to: expected a local day such as 2026-01-01, got 'soon'"),
        (COAL.replace("scale tickets 1-31", ""), "expected evidence, got none"),
        (COAL.replace(",fuel,", ",feeling,"), "kind: expected one of fuel, electricity, heat, .*, got 'feeling'"),
        (COAL.replace(",fuel,anthracite,", ",heat,ice,"), "subject: expected one of heat, steam, hot_water for the kind heat, got 'ice'"),
        (CLINKER.replace("mgo_ratio=0.015; ", ""), "expected mgo_ratio for clinker made, it is missing; there is no default"),
        (CLINKER.replace("64.5%", "64.5"), "cao_ratio: expected 0 to 1, got 64.5"),
        (CLINKER.replace("cao_ratio=64.5%", "cao=1"), "expected .* for clinker made, got cao"),
        (CLINKER.replace("=64.5%", ""), "parameters: expected name=value; name=value, each name once, got 'cao_ratio'"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_refused_with_all_of_its_file(activities: Activities, line: str, said: str) -> None:
    with pytest.raises(RecordsRefused, match=said):
        activities.add(rows(line, SAMPLE), "ann", NOW)
    assert activities.standings("works") == []


def test_two_records_of_one_source_do_not_overlap(activities: Activities) -> None:
    with pytest.raises(RecordsRefused, match="overlaps 2026-01-01 to 2026-02-01 of kiln-1, it would count twice"):
        activities.add(rows(COAL, COAL.replace("2026-01-01,2026-02-01", "2026-01-31,2026-03-01")), "ann", NOW)


def test_a_decade_of_days_is_recorded_and_one_more_of_any_of_them_is_not(activities: Activities) -> None:
    days = [date(2016, 1, 1) + timedelta(days=n) for n in range(3653)]
    made = [replace(rows(COAL)[0], from_day=day, to_day=day + timedelta(days=1)) for day in days]
    Random(1).shuffle(made)
    assert activities.add(made, "ann", NOW).new == 3653
    for day in (days[0], days[1800], days[-1]):
        twice = replace(made[0], from_day=day - timedelta(days=1), to_day=day + timedelta(days=1), reason="again")
        with pytest.raises(RecordsRefused, match=f"overlaps {day} to"):
            activities.add([twice], "ann", NOW)
    assert activities.standings("mill") == []


def test_a_record_is_never_edited_or_deleted(activities: Activities) -> None:
    activities.add(rows(COAL), "ann", NOW)
    for statement in ("UPDATE activity SET unit = 'kg'", "DELETE FROM activity"):
        with pytest.raises(Exception, match="an activity is never"), activities._file.transaction() as db:
            db.execute(statement)


def workbook(*rows: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("notes").append(["not read"])
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def test_a_workbooks_first_sheet_is_read_as_the_same_records() -> None:
    head = HEAD.strip().split(",")
    coal = [
        "kiln-1",
        "fuel",
        "anthracite",
        "固定",
        date(2026, 1, 1),
        "2026-02-01",
        "t",
        None,
        120.0,
        500.25,
        110,
        10.1,
        "kiln",
        None,
        "scale tickets 1-31",
    ]
    (read,) = read_activities(workbook(head, coal), "january.xlsx", "works")
    (same,) = rows(COAL.replace("120,500,110,10,", "120,500.25,110,10.1,"))
    assert read == same
    assert read.amount == D("500.15")  # 120 + 500.25 - 110 - 10.1


@pytest.mark.parametrize(
    ("raw", "name", "said"),
    [
        (b"PK\x03\x04 and then nothing", "a.xlsx", "a.xlsx: expected a workbook with a sheet"),
        (workbook(), "a.xlsx", "a.xlsx: expected the columns"),
        (b"\xd0\xcf\x11\xe0", "a.xls", "a.xls: expected CSV in UTF-8 or a workbook of the form .xlsx, got xls"),
        (b"source,kind\xff", "a.csv", "a.csv: expected CSV in UTF-8, got byte 0xff at 11"),
    ],
)
def test_a_file_that_is_neither_is_refused_by_its_name(raw: bytes, name: str, said: str) -> None:
    with pytest.raises(RecordsRefused) as refused:
        read_activities(raw, name, "works")
    assert said in str(refused.value)


def test_a_laboratory_value_takes_the_place_of_the_default_while_it_is_valid_and_once_it_is_approved(
    activities: Activities,
) -> None:
    """The default net calorific value of anthracite is 22.867 GJ/t (emissions.md 2.5); the sample said 23.1."""
    asked = Asked("fuel.anthracite.ncv", 1_768_000_000_000, NOW + 9, "CN-JS", "works")  # 2026-01-09
    with Registry(":memory:") as registry:
        activities.add(rows(SAMPLE), "ann", NOW, lambda fresh: laboratory.draft(registry, fresh, NOW, ZONE))
        assert resolve_parameter(registry.entries(), asked).value == D("22.867")
        activities.decide(
            "works",
            [1],
            "approved",
            "bo",
            NOW + 1,
            "",
            lambda found: laboratory.approve(registry, found, "bo", NOW + 1, ZONE),
        )
        found = resolve_parameter(registry.entries(), asked)
        assert (found.value, found.tier) == (D("23.1"), "facility")
        assert found.entry is not None
        assert (found.entry.evidence, found.entry.entered_by, found.entry.approved_by) == ("certificate 7", "ann", "bo")
        march = Asked("fuel.anthracite.ncv", 1_772_500_000_000, NOW + 9, "CN-JS", "works")
        assert resolve_parameter(registry.entries(), march).value == D("22.867")
        before = Asked("fuel.anthracite.ncv", 1_768_000_000_000, NOW, "CN-JS", "works")
        assert resolve_parameter(registry.entries(NOW), before).value == D("22.867")


def test_a_laboratory_value_out_of_range_is_refused_and_nothing_is_kept(activities: Activities) -> None:
    with (
        Registry(":memory:") as registry,
        pytest.raises(RecordsRefused, match="expected 17 to 33 GJ/t, got 23100; it looks 1,000 times too large"),
    ):
        activities.add(
            rows(SAMPLE.replace("23.1", "23100")),
            "ann",
            NOW,
            lambda fresh: laboratory.draft(registry, fresh, NOW, ZONE),
        )
    assert activities.standings("works") == []


def test_a_laboratory_value_is_corrected_by_another_person_with_a_reason(activities: Activities) -> None:
    misread = SAMPLE.replace("23.1", "23.2").replace("certificate 7,", "certificate 7,misread")
    with Registry(":memory:") as registry:

        def put(number: int, by: str, line: str) -> None:
            at_ms = NOW + number
            activities.add(rows(line), by, at_ms, lambda fresh: laboratory.draft(registry, fresh, at_ms, ZONE))
            activities.decide(
                "works",
                [number],
                "approved",
                "bo",
                at_ms,
                "",
                lambda found: laboratory.approve(registry, found, "bo", at_ms, ZONE),
            )

        put(1, "ann", SAMPLE)
        put(2, "cy", misread)
        asked = Asked("fuel.anthracite.ncv", 1_768_000_000_000, NOW + 9, "CN-JS", "works")
        entry = resolve_parameter(registry.entries(), asked).entry
        assert entry is not None
        assert (entry.value, entry.version, entry.reason) == (D("23.2"), 2, "misread")
        activities.decide(
            "works",
            [2],
            "withdrawn",
            "bo",
            NOW + 8,
            "no",
            lambda gone: laboratory.withdraw(registry, gone, "bo", "no", NOW + 8, ZONE),
        )
        assert resolve_parameter(registry.entries(), asked).value == D("23.1")


@pytest.mark.parametrize("seed", range(3))
def test_a_spoilt_file_is_refused_or_taken_and_never_breaks_the_reader(activities: Activities, seed: int) -> None:
    """Seeded mutations of good rows, half a second each."""
    random, ends_s = Random(seed), time.monotonic() + 0.5
    good = (HEAD + COAL + CLINKER + SAMPLE).encode()
    taken = refused = 0
    while time.monotonic() < ends_s:
        spoilt = bytearray(good)
        for _ in range(random.randint(1, 6)):
            place = random.randrange(len(HEAD), len(spoilt))
            spoilt[place : place + random.randint(0, 3)] = random.choice(
                (b"9", b"-", b".", b"", b",", b'"', b"e9", b"\n", b"=", b";", b"\xff", b"\x00", b"%", b"9999")
            )
        try:
            records = read_activities(bytes(spoilt), "f.csv", "works")
            for record in records:
                if not list(faults(record)):
                    assert record.counted()[0] >= 0
            taken += 1
        except RecordsRefused:
            refused += 1
    assert refused > 0

"""Booked emissions in the ledger: what counts, what is superseded, totals and coverage."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.books import Books
from aggregator.emissions.factors import FactorVersion, Pack, shipped
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger, LedgerUnusable

D = Decimal
QUARTER_MS = 900_000
OWN = FactorOverride(D("0.45848"), "implied by the data set", marks=("test data",))


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-06-01T00:00")
JUNE_2023 = ms("2023-06-01T00:00")


def works(**changes: object) -> Facility:
    meters = (
        MeterSpec("incomer", "gw", D(1000), Role.MAIN),
        MeterSpec("press", "gw", D(400), Role.SUB),
        MeterSpec("second", "gw", D(1000), Role.CHECK),
        MeterSpec("boiler", "gw", D(1000), Role.MAIN, carrier="heat"),
    )
    return replace(Facility("works", "Asia/Shanghai", place="CN", meters=meters), **changes)  # type: ignore[arg-type]


_OPENED: list[Ledger] = []


@pytest.fixture(autouse=True)
def _closes_every_ledger() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


class Desk:
    """Books on a fresh ledger, with a clock set by hand."""

    def __init__(self, path: Path, facility: Facility, pack: Pack | None = None) -> None:
        self.now_ms = NOW
        self.ledger = Ledger(path)
        _OPENED.append(self.ledger)
        self.books = Books(self.ledger, [facility], lambda: self.now_ms, pack)

    def enter(
        self, at_ms: int, *kwh: str, device: str = "incomer", quantity: str = "energy_import_kwh", final: bool = True
    ) -> int:
        rows = [
            IntervalRow(
                "works",
                device,
                quantity,
                at_ms + n * QUARTER_MS,
                at_ms + (n + 1) * QUARTER_MS,
                D(x),
                GOOD,
                final,
                "measured",
            )
            for n, x in enumerate(kwh)
        ]
        return len(self.books.enter(rows).emissions)


def desk(tmp_path: Path, facility: Facility | None = None, pack: Pack | None = None) -> Desk:
    return Desk(tmp_path / "ledger.sqlite", facility or works(), pack)


def test_the_import_of_a_main_meter_is_booked_exactly(tmp_path: Path) -> None:
    d = desk(tmp_path)
    assert d.enter(JUNE_2023, "25.3", "0.1") == 2
    rows = d.books.emissions("works", JUNE_2023, JUNE_2023 + 2 * QUARTER_MS)
    assert [row.emission.kg for row in rows] == [D("13.42418"), D("0.05306")]
    resolution = rows[0].emission.resolution
    assert (resolution.factor_id, resolution.version, resolution.data_year, resolution.tier) == (
        "elec.cn.grid.avg",
        1,
        2023,
        "national",
    )
    assert "2025年 第47号" in resolution.source


@pytest.mark.parametrize(
    ("device", "quantity"),
    [
        ("press", "energy_import_kwh"),
        ("second", "energy_import_kwh"),
        ("incomer", "energy_export_kwh"),
        ("boiler", "heat_energy_kwh"),
    ],
)
def test_nothing_else_is_booked(tmp_path: Path, device: str, quantity: str) -> None:
    d = desk(tmp_path)
    assert d.enter(JUNE_2023, "25.3", device=device, quantity=quantity) == 0
    assert len(d.ledger.intervals("works", device, quantity, 0, NOW)) == 1


def test_a_corrected_interval_supersedes_its_emission_and_both_stay(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.enter(JUNE_2023, "10")
    d.now_ms += 1000
    d.enter(JUNE_2023, "20")
    span = (JUNE_2023, JUNE_2023 + QUARTER_MS)
    assert d.books.total("works", *span).kg == D("10.612")
    assert d.books.total("works", *span, as_of_ms=NOW).kg == D("5.306")
    assert [row.version for row in d.books.emissions("works", *span)] == [2]


def test_a_provisional_emission_is_replaced_and_counted_as_such(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.enter(JUNE_2023, "10", final=False)
    d.enter(JUNE_2023, "12", final=False)
    total = d.books.total("works", JUNE_2023, JUNE_2023 + QUARTER_MS)
    assert (total.kg, total.provisional, total.energy_kwh) == (D("6.3672"), 1, D(12))
    d.enter(JUNE_2023, "14")
    assert d.books.total("works", JUNE_2023, JUNE_2023 + QUARTER_MS).provisional == 0
    assert len(d.ledger.rows("SELECT * FROM emission")) == 1


def test_a_day_says_how_much_of_it_is_covered(tmp_path: Path) -> None:
    d = desk(tmp_path, works(meters=(MeterSpec("incomer", "gw", D(1000), Role.MAIN),)))
    d.enter(ms("2023-05-31T16:00"), *["1"] * 24)
    total = d.books.day("works", date(2023, 6, 1))
    assert (total.kg, total.covered, total.expected, total.coverage_ratio) == (D("12.7344"), 24, 96, D("0.25"))
    empty = d.books.day("works", date(2023, 6, 2))
    assert (empty.kg, empty.energy_kwh, empty.coverage_ratio, empty.until_ms) == (None, None, D(0), None)


@pytest.mark.parametrize(
    ("day", "intervals"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 6, 1), 96)]
)
def test_a_day_with_a_clock_change_expects_its_own_number_of_intervals(
    tmp_path: Path, day: date, intervals: int
) -> None:
    meters = (MeterSpec("incomer", "gw", D(1000), Role.MAIN),)
    assert desk(tmp_path, works(time_zone="Europe/Berlin", meters=meters)).books.day("works", day).expected == intervals


def test_without_a_factor_the_total_is_missing_and_not_zero(tmp_path: Path) -> None:
    d = desk(tmp_path)
    at_ms = ms("2018-03-05T00:00")
    d.enter(at_ms, "10", "20")
    total = d.books.total("works", at_ms, at_ms + 2 * QUARTER_MS)
    assert (total.kg, total.energy_kwh, total.covered_kwh, total.covered) == (None, D(30), D(0), 0)
    (row, _) = d.books.emissions("works", at_ms, at_ms + 2 * QUARTER_MS)
    assert [skipped.candidate for skipped in row.emission.resolution.skipped] == ["national CN"]


def test_a_part_without_a_factor_is_left_out_of_the_total_and_named_by_the_coverage(tmp_path: Path) -> None:
    turn = ms("2020-12-31T16:00")  # the local new year of 2021, the first year with a factor
    d = desk(tmp_path, works(meters=(MeterSpec("incomer", "gw", D(1000), Role.MAIN),)))
    d.enter(turn - QUARTER_MS, "10", "20")
    total = d.books.total("works", turn - QUARTER_MS, turn + QUARTER_MS)
    assert (total.kg, total.covered_kwh, total.energy_kwh, total.coverage_ratio) == (
        D("11.136"),
        D(20),
        D(30),
        D("0.5"),
    )


def test_figures_say_that_a_later_factor_will_move_them(tmp_path: Path) -> None:
    d = desk(tmp_path)
    at_ms = ms("2026-05-01T00:00")
    d.enter(at_ms, "10")
    assert d.books.total("works", at_ms, at_ms + QUARTER_MS).marks == ("fallback_latest", "provisional")
    assert d.books.factor_now("works").marks == ("provisional", "fallback_latest")


def test_a_factor_that_comes_later_gives_what_lacked_one_a_figure(tmp_path: Path) -> None:
    at_ms = ms("2018-03-05T00:00")
    desk(tmp_path).enter(at_ms, "10")
    later = desk(tmp_path, works(overrides=(OWN,)))
    assert [emission.kg for emission in later.books.book_what_lacks_a_factor()] == [D("4.5848")]
    total = later.books.total("works", at_ms, at_ms + QUARTER_MS)
    assert (total.kg, total.marks) == (D("4.5848"), ("test data",))
    assert later.books.book_what_lacks_a_factor() == []


def test_a_changed_override_gets_a_version_of_its_own_and_the_old_one_stays(tmp_path: Path) -> None:
    first = desk(tmp_path, works(overrides=(OWN,)))
    second = desk(tmp_path, works(overrides=(replace(OWN, kg_per_kwh=D("0.5")),)))
    third = desk(tmp_path, works(overrides=(OWN,)))
    assert [d.books.factor_now("works").version for d in (first, second, third)] == [1, 2, 1]
    own = [row for row in third.books.factors() if row["facility"] == "works"]
    assert [(row["version"], row["value"]) for row in own] == [(1, "0.45848"), (2, "0.5")]


def test_every_shipped_factor_is_on_record_with_its_document(tmp_path: Path) -> None:
    d = desk(tmp_path)
    desk(tmp_path)
    factors = d.books.factors()
    assert len(factors) == 120
    assert {row["source_doc"] for row in factors} == {"cn-mee-2024-12", "cn-mee-2024-33", "cn-mee-2025-47"}


def test_a_shipped_value_that_was_changed_without_a_new_version_is_refused(tmp_path: Path) -> None:
    desk(tmp_path)
    pack = shipped()
    forged: tuple[FactorVersion, ...] = (replace(pack.versions[0], kg_per_kwh=D("0.5")), *pack.versions[1:])
    with pytest.raises(
        LedgerUnusable, match=r"recorded as 0\.5568, the program ships 0\.5; a correction needs a higher version"
    ):
        desk(tmp_path, pack=Pack(forged, pack.grid_of))


def test_the_rate_of_this_moment_uses_the_factor_of_this_moment(tmp_path: Path) -> None:
    d = desk(tmp_path)
    assert d.books.rate_now("works", {"incomer": 100.0}).kg_per_h == D("53.06")
    assert d.books.rate_now("works", {"incomer": None}).kg_per_h is None

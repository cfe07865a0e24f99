"""Hourly grid intensity: vintages that are only added, and a tier that only some profiles take."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.emissions.amounts import AverageKg, MarginalKg
from aggregator.emissions.factors import FactorTable, shipped
from aggregator.emissions.intensity import GridIntensities, HourlyFactor, IntensityRefused, read_intensities
from aggregator.emissions.place import FactorOverride, Place
from aggregator.emissions.profiles import profile
from aggregator.emissions.resolution import Resolution, resolve

D = Decimal
HOUR = 3_600_000
TABLE = FactorTable.from_pack(shipped())
WORKS = Place("works", "CN-JS", "Asia/Shanghai", grid_zone="CN-EAST")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


START, NOW = ms("2023-06-01T00:00"), ms("2026-06-01T00:00")


def hour(n: int, kg_per_kwh: str, published_ms: int = START, **changed: str) -> HourlyFactor:
    begins = START + n * HOUR
    made = HourlyFactor("CN-EAST", "average", begins, begins + HOUR, D(kg_per_kwh), "grid operator", published_ms)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.fixture
def series() -> Iterator[GridIntensities]:
    with GridIntensities(":memory:") as opened:
        opened.add([hour(0, "0.4"), hour(1, "0.2"), hour(2, "0.6")], "ann", NOW - 10)
        yield opened


def at(series: GridIntensities, n: float, name: str = "OPS", place: Place = WORKS, as_of_ms: int = NOW) -> Resolution:
    return resolve(TABLE, place, START + round(n * HOUR), as_of_ms, profile(name), series.at)


def test_each_hour_takes_its_own_intensity(series: GridIntensities) -> None:
    """Worked example 7: 100, 300, 50 kWh at 400, 200, 600 g. Total times mean intensity would give 180 kg."""
    total = AverageKg(D(0))
    for n, kwh in enumerate((100, 300, 50)):
        part = at(series, n + 0.5).amount(D(kwh))
        assert isinstance(part, AverageKg)
        total += part
    assert total == AverageKg(D("130.0"))


def test_the_hour_is_the_span_of_what_is_resolved_and_names_its_vintage(series: GridIntensities) -> None:
    found = at(series, 1.25)
    assert (found.tier, found.region, found.from_ms, found.to_ms) == ("zone", "CN-EAST", START + HOUR, START + 2 * HOUR)
    assert found.source == "grid operator, published 2023-06-01T00:00+00:00"


def test_an_hour_without_a_value_falls_back_for_that_hour_only(series: GridIntensities) -> None:
    found = at(series, 3.5)
    assert (found.tier, str(found.kg_per_kwh)) == ("province", "0.5827")
    assert (found.from_ms, found.to_ms) == (START + 3 * HOUR, START + 4 * HOUR)
    assert [(s.candidate, s.reason) for s in found.skipped] == [
        ("zone CN-EAST", "no average value of this hour was on record on 2026-06-01")
    ]


def test_a_profile_without_hours_says_so(series: GridIntensities) -> None:
    found = at(series, 0.5, "GHGP-LB")
    assert (found.tier, found.skipped[0].reason) == ("province", "GHGP-LB takes no hourly series")


def test_a_marginal_hour_is_a_marginal_amount_and_an_average_never_stands_in(series: GridIntensities) -> None:
    assert at(series, 0, "MARGINAL").kg_per_kwh is None
    series.add([hour(0, "0.8", signal="marginal")], "ann", NOW - 5)
    assert at(series, 0, "MARGINAL").amount(D("9.2")) == MarginalKg(D("7.36"))
    assert str(at(series, 0).kg_per_kwh) == "0.4"


def test_a_facilitys_own_factor_goes_before_the_hours(series: GridIntensities) -> None:
    own = replace(WORKS, overrides=(FactorOverride(D("0.1"), "contract"),))
    assert at(series, 0, place=own).tier == "override"


def test_a_later_vintage_counts_from_when_it_was_on_record(series: GridIntensities) -> None:
    series.add([replace(hour(0, "0.45", START + HOUR), estimated=True)], "ann", NOW)
    found = at(series, 0)
    assert (str(found.kg_per_kwh), found.marks) == ("0.45", ("estimated",))
    assert str(at(series, 0, as_of_ms=NOW - 1).kg_per_kwh) == "0.4"
    assert at(series, 0, as_of_ms=NOW - 11).tier == "province"


def test_the_same_rows_again_change_nothing_and_others_are_refused(series: GridIntensities) -> None:
    assert series.add([hour(0, "0.4"), hour(3, "0.5")], "ann", NOW) == 1
    with pytest.raises(
        IntensityRefused, match=r"on record 400.0 g/kWh, the file says 410.00 under the same publication"
    ):
        series.add([hour(4, "0.5"), hour(0, "0.41")], "ann", NOW)
    assert at(series, 4).tier == "province"  # all or nothing


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (hour(9, "400"), "expected 0 to 2000 g/kWh, got 400000"),
        (hour(9, "0.4", zone=""), "expected zone and provider"),
        (hour(9, "0.4", signal="mean"), "expected the signal to be one of"),
        (replace(hour(9, "0.4"), end_ms=START + 11 * HOUR), "within an hour"),
    ],
)
def test_a_row_that_cannot_be_is_refused(series: GridIntensities, row: HourlyFactor, said: str) -> None:
    with pytest.raises(IntensityRefused, match=said):
        series.add([row], "ann", NOW)


def test_a_series_is_read_from_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "hours.csv"
    head = "zone,signal,start,end,g_per_kwh,provider,published,estimated\n"
    good = "CN-EAST,average,2023-06-01T08:00+08:00,2023-06-01T09:00+08:00,400,grid operator,2023-06-01T00:00Z,no\n"
    path.write_text(head + good, encoding="utf-8")
    assert read_intensities(path) == [hour(0, "0.400")]
    for bad, said in ((good.replace("400", "many"), "hours.csv:2: g_per_kwh: expected a decimal number such as 42.652, got 'many'"),
                      (good.replace("08:00+08:00", "08:00"), "start: expected a time with its offset"),
                      (good.replace(",no", ",perhaps"), "estimated: expected yes or no")):  # fmt: skip
        path.write_text(head + bad, encoding="utf-8")
        with pytest.raises(IntensityRefused) as refused:
            read_intensities(path)
        assert said in refused.value.faults[0]
    path.write_text("zone\n", encoding="utf-8")
    with pytest.raises(IntensityRefused, match="signal, start"):
        read_intensities(path)

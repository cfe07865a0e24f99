"""PV, storage, charging and export in a statement. Figures: worked examples 8, 24 to 26 of the emissions page; else by hand, and conservation."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pool_plant import METERS, NOW, QUARTER, START, G, Plant, line

from aggregator.accounts.line import Counts
from aggregator.accounts.notices import Notice, Notices
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.statement import Statement
from aggregator.emissions.packfile import parse
from aggregator.emissions.place import FactorOverride
from aggregator.emissions.registry import Registry
from aggregator.facility import Cell, MeterSpec
from aggregator.intervals.boundaries import Grade
from wire.reading import Quality

D = Decimal


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.ledger.close()


def conserves(made: Statement) -> bool:
    return made.kg(Counts.SCOPE_2) == made.kg(Counts.ALLOCATED, Counts.EXPORTED)


def test_example_26_in_a_statement_scope_2_is_the_grids_and_the_session_a_part_of_it(plant: Plant) -> None:
    plant.measured("incomer", "20 8 0", "0 0 10")
    plant.measured("roof", exported="0 12 30")
    plant.measured("charger", "5 5 5")
    plant.grid("500 450 400")
    made = plant.statement()
    assert made.kg(Counts.SCOPE_2) == D("13.6")  # 20 x 500 + 8 x 450 g
    charged = line(made, "ev:charger", Counts.ALLOCATED)
    assert (charged.quantity, charged.kg) == (D(15), D("3.4"))
    assert (line(made, "export:pv", Counts.EXPORTED).quantity, line(made, "export:pv", Counts.EXPORTED).kg) == (
        D(10),
        D(0),
    )
    assert (line(made, "pv:own use", Counts.ALLOCATED).quantity, line(made, "loads:rest", Counts.ALLOCATED).kg) == (
        D(32),
        D("10.2"),
    )
    assert conserves(made)
    avoided = line(made, "avoided:pv", Counts.AVOIDED)
    assert (avoided.quantity, avoided.kg, avoided.why) == (D(10), None, "no marginal factor")


def test_example_8_a_surplus_of_pv_is_shown_and_netted_only_where_the_years_notice_says_so(plant: Plant) -> None:
    plant.measured("incomer", "0", "40")
    plant.measured("roof", exported="140")
    for rules in ("GHGP-LB", "CBAM"):
        made = plant.statement(rules)
        assert (made.kg(Counts.SCOPE_2), line(made, "export:pv", Counts.EXPORTED).quantity) == (D(0), D(40))
    for deducts, kg in ((False, D(0)), (True, D("-21.224"))):
        notice = Notice(
            "CN-GBT",
            2023,
            "national",
            "data_year",
            date(2024, 3, 31),
            "by hand",
            deducts_exports=deducts,
            reason="test",
        )
        with Notices(plant.directory / ACCOUNTS_NAME) as notices:
            notices.approve(notices.add(replace(notice, restate_on_new_factor=True), "Li", NOW - 9).no, "Wang", NOW - 1)
        made = plant.statement("CN-GBT")
        assert (made.kg(Counts.SCOPE_2), line(made, "export:pv", Counts.EXPORTED).quantity) == (kg, D(40))


def test_rule_17_a_battery_takes_from_scope_2_what_it_gives_back_later(plant: Plant) -> None:
    plant.measured("incomer", "100 50 0")
    plant.measured("battery", "100 50 0", "0 0 67.5")
    plant.grid("600 200 999")
    made = plant.statement()
    assert made.kg(Counts.SCOPE_2) == 70
    pool = line(made, "pool:battery", Counts.ALLOCATED)
    figures: Mapping[str, Decimal] = dict(pool.figures)
    assert figures["charged_kg"] == 70
    assert abs(figures["delivered_kg"] - 35) < D("1e-8")
    assert abs(figures["closing_kg"] - 35) < D("1e-8")
    assert pool.kg == figures["closing_kg"]
    assert line(made, "loads:rest", Counts.ALLOCATED).kg == figures["delivered_kg"]
    assert conserves(made)


def test_a_later_day_opens_with_what_the_day_before_left(plant: Plant) -> None:
    plant.measured("incomer", "100 50")
    plant.measured("battery", "100 50", "0 0")
    plant.grid("600 200")
    after = START + 96 * QUARTER
    plant.measured("incomer", "0", start_ms=after)
    plant.measured("battery", "0", "67.5", start_ms=after)
    plant.grid("400", start_ms=after)
    made = plant.statement(from_ms=after, to_ms=after + 96 * QUARTER)
    pool = line(made, "pool:battery", Counts.ALLOCATED)
    assert dict(pool.figures)["opening_kg"] == 70
    assert pool.kg is not None
    assert abs(pool.kg + 35) < D("1e-8")  # it gives 35 of its 70 kg
    assert made.kg(Counts.SCOPE_2) == 0
    assert conserves(made)
    both = plant.statement(to_ms=after + 96 * QUARTER)
    assert [one for one in both.lines if one.start_ms >= after] == list(made.lines)


def test_export_avoids_what_is_marginal_and_an_average_never_stands_in(plant: Plant) -> None:
    plant.facility = replace(plant.facility, cells=(("battery", Cell(D("0.92"), D("0.92"))),))
    plant.measured("incomer", "40 0", "0 9.2")
    plant.measured("battery", "40 0", "0 9.2")
    plant.grid("300 300")
    assert line(plant.statement(), "avoided:battery", Counts.AVOIDED).kg is None
    plant.grid("400 800", signal="marginal")
    made = plant.statement()
    avoided = line(made, "avoided:battery", Counts.AVOIDED)
    # Example 25b: 9.2 x 800 - 40 x 10 / 36.8 x 400 g
    assert avoided.kg is not None
    assert abs(avoided.kg / G - D("3012.173913")) < D("1e-6")
    assert dict(avoided.figures)["displaced_kg"] == D("7.36")
    exported = line(made, "export:battery", Counts.EXPORTED)
    assert exported.kg is not None
    assert abs(exported.kg / G - D("3260.869565")) < D("1e-6")
    assert conserves(made)
    marginal = plant.statement("MARGINAL")
    assert list(marginal.of(Counts.ALLOCATED, Counts.EXPORTED)) == []
    assert line(marginal, "avoided:battery", Counts.AVOIDED).kg == avoided.kg


def test_pv_that_is_stored_is_not_exported_and_costs_what_the_margin_was(plant: Plant) -> None:
    plant.facility = replace(plant.facility, cells=(("battery", Cell(D("0.8"), D(1))),))
    plant.measured("incomer", "0 0")
    plant.measured("roof", exported="10 0")
    plant.measured("battery", "10 0", "0 8")
    plant.grid("300 300")
    plant.grid("500 900", signal="marginal")
    made = plant.statement()
    assert line(made, "loads:rest", Counts.ALLOCATED).kg == 0  # by average nothing but PV
    assert line(made, "avoided:battery", Counts.AVOIDED).kg == D("2.2")  # 8 x 900 - 10 x 500 g


def test_an_interval_in_which_a_counter_is_silent_is_not_divided(plant: Plant) -> None:
    plant.measured("incomer", "10 10 10")
    plant.measured("roof", exported="5 - 5")
    plant.measured("charger", "3 3 3")
    plant.grid("600 600 600")
    made = plant.statement()
    charged = line(made, "ev:charger", Counts.ALLOCATED)
    assert (charged.quantity, charged.kg, dict(charged.figures)["uncovered_kwh"]) == (D(9), D("2.4"), D(3))
    assert line(made, "loads:unsolved", Counts.ALLOCATED).kg == 6
    assert conserves(made)


def test_a_line_is_as_good_as_the_worst_energy_of_its_day(plant: Plant) -> None:
    plant.measured("incomer", "10 10")
    plant.measured("charger", "3")
    plant.measured(
        "charger", "3", start_ms=START + QUARTER, grade=Grade(Quality.SUBSTITUTED, "counter-diff"), final=False
    )
    plant.grid("600 600")
    charged = line(plant.statement(), "ev:charger", Counts.ALLOCATED)
    assert (charged.quality, charged.reason, charged.provisional, charged.intervals) == (
        "substituted",
        "counter-diff",
        1,
        2,
    )


def test_meters_inside_take_what_reaches_the_loads_in_proportion_to_what_they_consumed(plant: Plant) -> None:
    press, saw = (
        MeterSpec(name, "gw", D(1000), parent=parent) for name, parent in (("press", "incomer"), ("saw", "press"))
    )
    plant.facility = replace(plant.facility, meters=(*METERS, press, saw))
    plant.measured("incomer", "20")
    plant.measured("roof", exported="20")
    plant.measured("charger", "8")
    plant.measured("press", "16")
    plant.measured("saw", "4")
    plant.grid("500")
    made = plant.statement()
    found = {one.source: [one.quantity, one.kg] for one in made.of(Counts.ALLOCATED)}
    # 250 g/kWh: the charger 8 kWh, the press 12 of its own, the saw 4, and 16 that nobody measured
    assert found == {
        "pv:own use": [D(20), D(0)], "ev:charger": [D(8), D(2)], "part:press": [D(12), D(3)], "part:saw": [D(4), D(1)], "loads:rest": [D(16), D(4)],
    }  # fmt: skip
    assert conserves(made)


def test_a_facility_with_the_grid_alone_has_none_of_these_lines(plant: Plant) -> None:
    plant.facility = replace(plant.facility, meters=METERS[:1], cells=())
    plant.measured("incomer", "10")
    plant.grid("600")
    assert list(plant.statement().of(Counts.ALLOCATED, Counts.EXPORTED, Counts.AVOIDED)) == []


def test_storage_without_stated_efficiencies_says_so(plant: Plant) -> None:
    plant.facility = replace(plant.facility, cells=())
    plant.measured("incomer", "10 0")
    plant.measured("battery", "10 0", "0 5")
    plant.grid("600 600")
    pool = line(plant.statement(), "pool:battery", Counts.ALLOCATED)
    assert (pool.kg, pool.marks) == (D(3), ("efficiency_not_stated",))


def test_own_pv_whose_certificates_are_sold_counts_under_the_market_method(plant: Plant) -> None:
    plant.measured("incomer", "0", "40")
    plant.measured("roof", exported="140")
    assert plant.statement("GHGP-MB").kg(Counts.SCOPE_2) == 0
    plant.facility = replace(plant.facility, pv_certificates_sold=True)
    made = plant.statement("GHGP-MB")
    counted = line(made, "pv:own use", Counts.SCOPE_2)
    # China 2023 without traded non-fossil energy: 0.6096 kg/kWh (emissions page, 2.4)
    assert (counted.quantity, counted.kg, counted.marks[-1]) == (D(100), D("60.96"), "pv_certificates_sold")
    assert plant.statement("GHGP-LB").kg(Counts.SCOPE_2) == 0


@pytest.mark.parametrize("place", ["", "CN"])
def test_scope_2_and_its_pools_take_the_same_factor_under_the_market_method(plant: Plant, place: str) -> None:
    """A factor of the facility's own where there is no residual mix, the residual mix where there is one (China 2023: 0.6096)."""
    plant.facility = replace(plant.facility, place=place, overrides=(FactorOverride(D("0.5"), "contract 12"),))
    plant.measured("incomer", "12 8")
    made = plant.statement("GHGP-MB")
    assert made.kg(Counts.SCOPE_2) == made.kg(Counts.ALLOCATED) == (D(10) if place == "" else D("12.192"))


def test_what_making_pv_has_caused_stands_apart_where_a_factor_is_on_record(plant: Plant) -> None:
    plant.measured("incomer", "0", "40")
    plant.measured("roof", exported="140")
    plant.measured("battery", "0", "5")
    plant.grid("600")
    assert plant.statement().kg(Counts.LIFE_CYCLE) is None
    content: dict[str, Any] = {
        "region": "CN",
        "source": {"epd": {"title": "Declaration", "issuer": "Maker", "number": "12", "published": "2022"}},
        "table": [{
            "kind": "process", "source": "epd", "table": "3", "columns": ["id", "value", "unit", "mark", "boundary"],
            "rows": [["pv.life_cycle", "0.045", "kg/kWh", "B", "life-cycle"], ["storage.wear", "0.06", "kg/kWh", "B", "life-cycle"]],
        }],
    }  # fmt: skip
    content["reviewed"] = dict(parse("mine", content).tables)
    with Registry(plant.directory / "factors.sqlite") as registry:
        registry.add(parse("mine", content), "Li", NOW - 3)
        for name in ("pv.life_cycle", "storage.wear"):
            registry.decide(name, "approved", "Wang", "checked", NOW - 2)
    made = plant.statement()
    # of the export 40 x 140 / 145 is PV, the rest is used on site; the battery has given back 5 kWh
    used = line(made, "pv:own use", Counts.LIFE_CYCLE)
    assert used.kg is not None
    assert abs(used.kg - D("0.045") * (140 - D(5600) / 145)) < D("1e-12")
    assert line(made, "pool:battery", Counts.LIFE_CYCLE).kg == D("0.3")
    assert made.kg() == 0


KWH = st.lists(st.integers(0, 40).map(str), min_size=24, max_size=24).map(" ".join)
HOLES = st.lists(st.sampled_from(["-", "7", "0", "31.4159265", "12.5"]), min_size=24, max_size=24).map(" ".join)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(KWH, KWH, HOLES, KWH, HOLES, KWH, HOLES)
def test_scope_2_is_what_is_allocated_and_exported_whatever_was_measured(
    tmp_path_factory: pytest.TempPathFactory, one: str, two: str, three: str, four: str, five: str, six: str, factors: str
) -> None:  # fmt: skip
    plant = Plant(tmp_path_factory.mktemp("plant"))
    plant.measured("incomer", one, two)
    plant.measured("roof", exported=three)
    plant.measured("battery", four, five)
    plant.measured("charger", six)
    plant.grid(factors)
    made = plant.statement()
    assert made.kg(Counts.SCOPE_2) == made.kg(Counts.ALLOCATED, Counts.EXPORTED) or not factors.strip("- ")
    plant.ledger.close()

"""What is known of a facility for its next plan: from meters, limit sources, the month and the sun. Expected numbers by hand."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from planned_aggregator import CIRCUIT, HOUR_MS, QUARTER_MS, SETTINGS, Works, at_ms

from aggregator.accounts.compile import REGISTRY_NAME
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.flexibility.operation.state import LegalLimit, State
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow
from wire.reading import Quality

SOURCE = """
[[limit_source]]
branch = "transformer"
edge = "gw-01"
device = "box"
direction = "import"
quantity = "charge_limit_kw"
fail_safe_kw = 60
heartbeat_s = 60
[[branch]]
name = "hall"
within = "transformer"
limit_kva = 200
edge = "gw-01"
meter = "hall"
uncontrolled_max_kva = 50
"""
FACTOR = 'factor = { kg_per_kwh = "0.5", source = "contract" }'
METERS = """
[[facility.meter]]
device = "roof"
edge = "gw-01"
rated_power_kw = 100
show = "pv"
[[facility.meter]]
device = "hall"
edge = "gw-01"
rated_power_kw = 100
[[facility.meter]]
device = "pile"
edge = "gw-01"
rated_power_kw = 22
show = "ev"
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Works]]:
    made: list[Works] = []

    def works(circuit: str = CIRCUIT, settings: str = SETTINGS) -> Works:
        made.append(Works(tmp_path, circuit, settings))
        return made[-1]

    yield works
    for one in made:
        one.aggregator._close()


def state(works: Works) -> State:
    return works.planning.rounds.lines["works"].gathered.state(works.now_ms)


def test_the_load_is_the_grid_less_vehicles_plus_sun_and_the_sun_is_its_own(make: Callable[..., Works]) -> None:
    works = make(settings=SETTINGS.replace("[facility.tariff]", METERS + "[facility.tariff]"))
    works.past(9, "25")  # 100 kW from the grid
    works.past(9, "10", "roof", "energy_export_kwh")  # 40 kW of sun
    works.past(9, "5", "pile")  # 20 kW into vehicles
    works.past(9, "1", "hall")  # a meter within, which is part of the grid already
    found = state(works).outlook
    assert found.load_kw[:4] == pytest.approx([120.0] * 4)
    assert found.sun_kw[:4] == pytest.approx([40.0] * 4)


def test_a_branch_with_a_past_is_expected_as_it_was_and_one_without_keeps_its_most_free(
    make: Callable[..., Works],
) -> None:
    works = make(CIRCUIT + SOURCE, SETTINGS.replace("[facility.tariff]", METERS + "[facility.tariff]"))
    works.past(9, "25")
    found = state(works)
    assert found.background["hall"].kva is not None
    assert found.background["hall"].kva.tolist() == [50.0] * found.steps
    assert "branch hall: its meter has no past; 50 kVA are kept for what nobody steers" in found.notes
    works.past(9, "2", "hall")
    works.now_ms = at_ms(24)
    works.read("hall", "reactive_power_kvar", 3.0)
    hall = state(works).background["hall"]
    assert hall.kw is not None
    assert hall.kvar is not None
    assert hall.kw[0] == pytest.approx(8.0)
    assert hall.kvar[0] == 3.0


def test_a_limit_source_holds_by_its_word_and_by_its_fail_safe_value_when_it_is_silent(
    make: Callable[..., Works],
) -> None:
    works = make(CIRCUIT + SOURCE)
    works.past(2)
    assert state(works).limits == [LegalLimit("transformer", "import", 60.0, "box")]
    works.read("box", "charge_limit_kw", 80.0)
    assert state(works).limits == [LegalLimit("transformer", "import", 80.0, "box")]
    works.now_ms += 121_000
    found = state(works)
    assert found.limits == [LegalLimit("transformer", "import", 60.0, "box")]
    assert "limit of transformer (import): box is silent, 60 kW hold" in found.notes


def test_the_peak_so_far_is_the_months_highest_window_or_the_meters_own_register(make: Callable[..., Works]) -> None:
    works = make()
    works.past(9, "25")
    begin_ms = at_ms(-48)
    high = IntervalRow("works", "incomer", "energy_import_kwh", begin_ms, begin_ms + QUARTER_MS, Decimal("62.5"), Grade(Quality.GOOD), True, "measured")  # fmt: skip
    works.aggregator.ledger.put_intervals([high], works.now_ms)
    assert state(works).peaks_kw == {"month": 250.0}
    works.read("incomer", "demand_max_kw", 275.0)
    found = state(works)
    assert found.peaks_kw == {"month": 275.0}
    assert "peak so far: 275 kW, from incomer's own maximum-demand register" in found.notes


def test_without_any_past_what_is_drawn_now_stands_and_is_said(make: Callable[..., Works]) -> None:
    works = make()
    works.read("incomer", "active_power_kw", 70.0)
    found = state(works)
    assert found.outlook.load_kw.tolist() == [70.0] * found.steps
    assert "load: no past to forecast from; what is drawn now, throughout" in found.notes
    assert "peak so far: nothing of this month is settled, taken as 0 kW" in found.notes


def test_the_last_settled_quarter_moves_the_next_hours(make: Callable[..., Works]) -> None:
    works = make()
    works.past(9, "25")
    works.now_ms = at_ms(0.25)
    row = IntervalRow(
        "works",
        "incomer",
        "energy_import_kwh",
        at_ms(),
        at_ms(0.25),
        Decimal("35"),
        Grade(Quality.GOOD),
        False,
        "measured",
    )
    works.aggregator.ledger.put_intervals([row], works.now_ms)  # 140 kW
    found = state(works)
    assert found.outlook.load_kw[0] == pytest.approx(140.0)
    later_h = (found.edges_ms[8] - works.now_ms) / HOUR_MS
    assert found.outlook.load_kw[8] == pytest.approx(100 + 40 * np.exp(-later_h / 2))


def test_a_zone_with_hours_gives_both_signals_and_a_plan_tells_kg_under_each(make: Callable[..., Works]) -> None:
    works = make(settings=SETTINGS.replace('id = "works"', 'id = "works"\ngrid_zone = "EAST"').replace(FACTOR, ""))
    works.past(2)
    published_ms = at_ms(-14)
    rows = [
        HourlyFactor(
            "EAST",
            signal,
            at_ms(hour),
            at_ms(hour + 1),
            Decimal(kg) + Decimal(hour % 24) / 100,
            "provider",
            published_ms,
        )
        for signal, kg in (("average", "0.4"), ("marginal", "0.7"))
        for hour in range(-12, 60)
    ]
    with GridIntensities(works.aggregator.settings.data_directory / REGISTRY_NAME) as hours:
        hours.add(rows, "anna", at_ms(-13))
    accounting, marginal = state(works).signals
    assert (accounting.name, marginal.name) == ("accounting", "marginal")
    assert accounting.kg_per_kwh[:5] == pytest.approx([0.40] * 4 + [0.41])
    assert marginal.kg_per_kwh[:5] == pytest.approx([0.70] * 4 + [0.71])
    assert not accounting.constant
    assert accounting.source.startswith("profile OPS, provider: provider, published 2026-11-")
    assert works.look()
    assert set(works.planning.book.summary(1)["kg"]) == {"accounting", "marginal"}

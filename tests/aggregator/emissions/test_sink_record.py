"""Sinks on record: uptake less baseline less leakage, once for each period, with what was known when."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.emissions.sink_record import COLUMNS, Sink, Sinks, SinksRefused, net, read_sinks

D = Decimal
NOW = 1_780_272_000_000  # 2026-06-01


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


FOREST = Sink("A", "forest-management", ms("2025-01-01"), ms("2026-01-01"), D(12000), D(3000), D(600), 2025, "report 1")
BAMBOO = replace(
    FOREST, project="B", methodology="bamboo-afforestation", project_t=D(5000), baseline_t=D(1200), leakage_t=D(0)
)


@pytest.fixture
def sinks() -> Iterator[Sinks]:
    with Sinks(":memory:") as opened:
        opened.add([FOREST, BAMBOO], "ann", NOW)
        yield opened


def test_what_is_left_of_the_projects_is_the_worked_example(sinks: Sinks) -> None:
    """Worked example 17: A 12,000 - 3,000 - 600, B 5,000 - 1,200 - 0."""
    worked = net(sinks.standing())
    assert [figure.value for figure in worked.figures] == [8_400, 3_800, 12_200]


def test_a_correction_is_a_version_with_a_reason_and_the_old_one_is_still_told(sinks: Sinks) -> None:
    assert sinks.add([FOREST], "ann", NOW + 1) == 0
    with pytest.raises(SinksRefused, match="A 2025-01-01: on record with other figures: a correction needs a reason"):
        sinks.add([replace(FOREST, leakage_t=D(700))], "ann", NOW + 1)
    assert sinks.add([replace(FOREST, leakage_t=D(700), reason="audit")], "ann", NOW + 1) == 1
    assert net(sinks.standing())["sink_t"] == 12_100
    assert net(sinks.standing(NOW))["sink_t"] == 12_200
    assert [one.version for one in sinks.standing()] == [2, 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"from_ms": ms("2025-06-01")}, "overlaps that of 2025-01-01, it would count twice"),
        ({"project": "C", "methodology": "hope"}, "expected the methodology to be one of"),
        ({"project": "C", "evidence": ""}, "expected project and evidence"),
        ({"project": "C", "to_ms": ms("2025-01-01")}, "expected `to` after `from`"),
        ({"project": "C", "leakage_t": D(-1)}, "expected baseline and leakage of 0 t or above"),
    ],
)
def test_a_sink_that_cannot_be_is_refused_with_all_of_its_file(
    sinks: Sinks, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(SinksRefused, match=said):
        sinks.add([replace(FOREST, project="fine"), replace(FOREST, **changed)], "ann", NOW)  # type: ignore[arg-type]
    assert len(sinks.standing()) == 2


def test_sinks_are_read_from_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "sinks.csv"
    row = "A,forest-management,2025-01-01,2026-01-01,12000,3000,600,2025,report 1,\n"
    path.write_text(",".join(COLUMNS) + "\n" + row, encoding="utf-8")
    assert read_sinks(path) == [FOREST]
    for bad, said in ((row.replace("12000", "many"), "project_t: expected a decimal number such as 42.652, got 'many'"), (row.replace(",2025,", ",25,"), "vintage: expected a year"),
                      (row.replace("12000", "1e99"), "got '1e99'"), (row.replace("2026-01-01", "soon"), "to: expected a day or a time")):  # fmt: skip
        path.write_text(",".join(COLUMNS) + "\n" + bad, encoding="utf-8")
        with pytest.raises(SinksRefused, match=f"sinks.csv:2: .*{said}|sinks.csv:2: {said}"):
            read_sinks(path)

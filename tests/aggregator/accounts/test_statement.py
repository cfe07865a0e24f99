"""A statement's sums and its canonical bytes. Expected figures by hand."""

import json
from decimal import Decimal
from typing import Any

from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.statement import Statement, line_order

FACTOR = Applied("elec.cn.grid.avg", 1, Decimal("0.5306"), "CN", 2023, "national")


def line(counts: Counts, quantity: str | None, kg: str | None, **said: Any) -> Line:
    known = {
        "source": "meter:incomer",
        "activity": "indirect",
        "carrier": "electricity",
        "start_ms": 0,
        "end_ms": 86_400_000,
        "unit": "kWh",
    }
    return Line(
        counts=counts, quantity=None if quantity is None else Decimal(quantity), factor=None if kg is None else FACTOR,
        kg=None if kg is None else Decimal(kg), **{**known, **said},
    )  # fmt: skip


def statement(*lines: Line, expected: int = 0) -> Statement:
    return Statement("works", "GHGP-LB", 0, 86_400_000, 1, tuple(sorted(lines, key=line_order)), expected)


def test_only_scopes_add_up_and_the_rest_is_shown_apart() -> None:
    made = statement(
        line(Counts.SCOPE_1, "10", "20"), line(Counts.SCOPE_2, "100", "53.06"), line(Counts.ALLOCATED, "40", "21.224"),
        line(Counts.BIOGENIC, "1", "7"),
    )  # fmt: skip
    assert (made.kg(), made.kg(Counts.SCOPE_2), made.kg(Counts.ALLOCATED)) == (
        Decimal("73.06"),
        Decimal("53.06"),
        Decimal("21.224"),
    )
    assert made.kg(Counts.SCOPE_3) is None  # null is not 0


def test_energy_without_a_factor_is_not_counted_as_clean_and_leaves_the_statement_incomplete() -> None:
    made = statement(
        line(Counts.SCOPE_2, "60", "31.836", intervals=60), line(Counts.SCOPE_2, "40", None, intervals=40, why="no factor of 2020"),
        expected=100,
    )  # fmt: skip
    assert (made.kg(), made.coverage.percent, made.complete) == (Decimal("31.836"), 60, False)


def test_the_same_lines_give_the_same_bytes_whatever_their_order_and_decimals_are_text() -> None:
    one, two = line(Counts.SCOPE_2, "1E+2", "53.06"), line(Counts.SCOPE_1, "1", "2")
    assert statement(one, two).encoded() == statement(two, one).encoded()
    _, _, last = statement(one, two).encoded().splitlines()
    assert (json.loads(last)["quantity"], json.loads(last)["factor"]["kg_per_unit"]) == ("100", "0.5306")


def test_a_factor_without_region_and_year_is_named_with_single_spaces() -> None:
    assert str(Applied("override.berlin", 1, Decimal("0.4"))) == "override.berlin v1"
    assert str(FACTOR) == "elec.cn.grid.avg CN 2023 v1"

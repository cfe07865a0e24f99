"""Average and marginal amounts never add, before the program runs and while it does; and coverage counts what has no factor."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aggregator.emissions.amounts import AverageKg, MarginalKg, covered

D = Decimal
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("one", "other"), [(AverageKg(D(1)), MarginalKg(D(2))), (MarginalKg(D(2)), AverageKg(D(1))), (AverageKg(D(1)), 1)]
)
def test_adding_one_kind_to_the_other_is_an_error(one: Any, other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        one + other
    with pytest.raises(TypeError, match="unsupported operand"):
        one - other
    with pytest.raises(TypeError, match="unsupported operand"):
        sum([one, other], start=one)


def test_adding_one_kind_to_the_other_is_a_type_error_before_the_program_runs(tmp_path: Path) -> None:
    code = "from decimal import Decimal\nfrom aggregator.emissions.amounts import AverageKg, MarginalKg\n"
    code += "AverageKg(Decimal(1)) + AverageKg(Decimal(2))\nAverageKg(Decimal(1)) + MarginalKg(Decimal(2))\n"
    (tmp_path / "mixed.py").write_text(code, encoding="utf-8")
    said = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(tmp_path / "mixed.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    ).stdout  # fmt: skip
    assert 'mixed.py:4: error: Unsupported operand types for + ("AverageKg" and "MarginalKg")' in said
    assert "mixed.py:3" not in said


def test_each_kind_adds_with_itself_exactly() -> None:
    assert AverageKg(D("0.1")) + AverageKg(D("0.2")) - AverageKg(D("0.3")) == AverageKg(D("0.0"))
    assert MarginalKg(D("7.36")) - MarginalKg(D("0.01")) + MarginalKg(D(0)) == MarginalKg(D("7.35"))


def test_energy_without_a_factor_is_uncovered_not_clean() -> None:
    """Worked example 39: 10 kWh at 300 g, then 10 kWh with no rate."""
    total = covered([(D(10), AverageKg(D("3.000"))), (D(10), None)])
    assert total.amount == AverageKg(D("3.000"))
    assert (total.covered_kwh, total.whole_kwh, total.coverage_percent) == (10, 20, 50)
    assert total.kg_per_kwh == D("0.3")  # never 0.15


def test_nothing_covered_is_no_figure() -> None:
    nothing = covered([(D(10), None)])
    assert (nothing.amount, nothing.kg_per_kwh, nothing.coverage_percent) == (None, None, 0)
    assert covered([]).coverage_percent == 0

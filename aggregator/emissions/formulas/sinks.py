"""Sinks: what a project takes up beyond its baseline, less what leaks elsewhere. Not emissions, and never hidden in them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, not_negative, same_length
from aggregator.emissions.formulas.worked import Figure, Worked, shown

# The first four are those of the data-bank paper; ocean, grass and farm sinks are named by the digital-friendly city.
METHODOLOGIES: Final = (
    "bamboo-afforestation",
    "carbon-afforestation",
    "forest-management",
    "bamboo-forest-management",
    "ocean",
    "grassland",
    "agriculture",
)


def sink(
    methodology: Sequence[str],
    project_t: Sequence[Fraction],
    baseline_t: Sequence[Fraction],
    leakage_t: Sequence[Fraction],
) -> Worked:
    """C = sum over projects of (C1 - C2 - C3), t CO2 (data-bank paper, formula (2)). Raises Impossible.

    C1: the project's uptake, C2: its baseline, C3: its leakage. A project may come out negative: that is shown, not cut off.
    """
    return _net("project_t", methodology, project_t, baseline_t, leakage_t)


def sink_forecast(
    year: Fraction,
    methodology: Sequence[str],
    simulated_t: Sequence[Fraction],
    baseline_t: Sequence[Fraction],
    leakage_t: Sequence[Fraction],
) -> Worked:
    """C_f = sum over projects of (simulated - C2 - C3), t CO2 in the scenario's year (data-bank paper, formula (4)). Raises Impossible."""
    if year.denominator != 1 or not 2000 <= year <= 2200:
        raise Impossible(f"year: expected a year of the scenario from 2000 to 2200, saw {shown(year)}")
    worked = _net("simulated_t", methodology, simulated_t, baseline_t, leakage_t)
    return worked.with_more((), notes=(f"forecast for {shown(year)}: simulated, not measured",))


def _net(
    first: str,
    methodology: Sequence[str],
    taken_t: Sequence[Fraction],
    baseline_t: Sequence[Fraction],
    leakage_t: Sequence[Fraction],
) -> Worked:
    same_length(**{"methodology": methodology, first: taken_t, "baseline_t": baseline_t, "leakage_t": leakage_t})
    figures, notes = [], []
    total_t = Fraction(0)
    for number, (method, taken, baseline, leakage) in enumerate(
        zip(methodology, taken_t, baseline_t, leakage_t, strict=True), start=1
    ):
        if method not in METHODOLOGIES:
            raise Impossible(f"methodology: expected one of {', '.join(METHODOLOGIES)}, saw {method!r}")
        not_negative("baseline_t", baseline)
        not_negative("leakage_t", leakage)
        net = taken - baseline - leakage
        total_t += net
        made_of = f"{shown(taken)} - {shown(baseline)} - {shown(leakage)} ({method})"
        figures.append(Figure(f"project_{number}_t", net, "t CO2", made_of))
        if net < 0:
            notes.append(f"project {number} is below its baseline: {shown(net)} t")
    figures.append(Figure("sink_t", total_t, "t CO2", "sum over projects"))
    return Worked(
        tuple(figures), ("sink_t",), ("removals stand on a line of their own, never inside emissions", *notes)
    )

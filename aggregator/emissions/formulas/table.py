"""The table of formulas by name. Their inputs and sources stand in the rows' files."""

from typing import Final

from aggregator.emissions.formulas.emission_rows import BURNING, PROCESSES, SINKS
from aggregator.emissions.formulas.figure_rows import CHANGES, ENERGY, RATIOS, UNCERTAINTY
from aggregator.emissions.formulas.pool_rows import POOLS
from aggregator.emissions.formulas.scenario_rows import SCENARIO_FORMULAS

FORMULAS: Final = {
    formula.name: formula
    for formula in (
        *BURNING,
        *PROCESSES,
        *SINKS,
        *SCENARIO_FORMULAS,
        *RATIOS,
        *ENERGY,
        *POOLS,
        *CHANGES,
        *UNCERTAINTY,
    )
}

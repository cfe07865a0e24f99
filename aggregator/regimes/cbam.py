"""CBAM: embedded emissions of goods, direct and indirect, MWh per tonne, and what the electricity's factor is based on. Not the declaration itself.

Heat that is bought counts as direct, electricity as indirect (Implementing Regulation (EU) 2023/1773, annex III). Goods are reckoned in tonnes.
"""

from fractions import Fraction
from typing import Final

from aggregator.accounts.activities.products import Divided, Footprint
from aggregator.accounts.line import Counts
from aggregator.accounts.statement import Statement
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.units import converted
from aggregator.facility import Facility
from aggregator.regimes.form import Export, head_of, reasons, text, tonnes

PROFILE: Final = "CBAM"
PART: Final = (Counts.SCOPE_1, Counts.SCOPE_2)
COLUMNS: Final = (
    "product", "output_t", "direct_t", "indirect_t", "specific_direct_t_per_t", "specific_indirect_t_per_t", "electricity_mwh", "mwh_per_t",
    "factor_t_per_mwh", "factor_basis", "factor_source", "why",
)  # fmt: skip
_BASIS: Final = {
    "override": "auto-producer or contract", "zone": "other public", "province": "other public", "grid": "other public", "national": "other public",
    "ppa": "PPA", "direct_line": "auto-producer",
}  # fmt: skip
UNDIVIDED: Final = "(not divided)"


def cbam(shared: Divided, facility: Facility) -> Export:
    """A row for each product; what could not be divided has a row of its own, so that the rows add up to the statement."""
    statement = shared.statement
    basis, source = _basis(statement)
    rows = [_row(footprint, basis, source) for footprint in shared.footprints]
    for name, (amounts, why) in shared.undivided.items():
        electricity = amounts.electricity_kg()
        row = dict.fromkeys(COLUMNS) | {
            "product": f"{UNDIVIDED} {name}",
            "direct_t": tonnes(amounts.total(*PART) - electricity),
            "indirect_t": tonnes(electricity),
            "electricity_mwh": text(amounts.kwh / 1000),
            "why": why,
        }
        rows.append(row)
    missing = reasons(statement, PART)
    head = head_of(statement, facility) | {
        "total_t": None if missing else tonnes(statement.kg(*PART)),
        "covered_t": tonnes(statement.kg(*PART)),
        "why": missing,
        "gwp": "AR5",
    }
    return Export(PROFILE, head, COLUMNS, rows)


def _row(one: Footprint, basis: str | None, source: str | None) -> dict[str, str | None]:
    indirect = one.amounts.electricity_kg()
    direct = one.amounts.total(*PART) - indirect
    output_t, why = _output_t(one)
    mwh = one.amounts.kwh / 1000

    def per_t(value: Fraction) -> str | None:
        return None if why or not output_t else text(value / output_t)

    return {
        "product": one.product,
        "output_t": text(output_t),
        "direct_t": tonnes(direct),
        "indirect_t": tonnes(indirect),
        "specific_direct_t_per_t": per_t(direct / 1000),
        "specific_indirect_t_per_t": per_t(indirect / 1000),
        "electricity_mwh": text(mwh),
        "mwh_per_t": per_t(mwh),
        "factor_t_per_mwh": text(indirect / 1000 / mwh) if mwh else None,
        "factor_basis": basis if mwh else None,
        "factor_source": source if mwh else None,
        "why": why or None,
    }


def _output_t(one: Footprint) -> tuple[Fraction | None, str]:
    if one.output is None:
        return None, one.why
    try:
        return converted(one.output, one.unit, "t"), one.why
    except Impossible as error:
        return None, str(error)


def _basis(statement: Statement) -> tuple[str | None, str | None]:
    used = [
        line.factor
        for line in statement.of(Counts.SCOPE_2)
        if line.carrier == "electricity" and line.factor is not None
    ]
    bases = dict.fromkeys(_BASIS.get(factor.tier, factor.tier) for factor in used)
    sources = dict.fromkeys(f"{factor}: {factor.source}" for factor in used)
    return "; ".join(bases) or None, "; ".join(sources) or None

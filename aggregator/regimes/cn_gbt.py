"""GB/T 32150 in its table form: burning, processes, purchased energy less exported, biomass apart. Not its factors (the year's notice names whose)."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from aggregator.accounts.activities.kinds import IN_CHINESE
from aggregator.accounts.activities.lines import carrier_of
from aggregator.accounts.activities.record import InForce
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.statement import Statement, total_kg
from aggregator.emissions.amounts import EXACT
from aggregator.facility import Facility
from aggregator.regimes.form import Export, head_of, reasons, text, tonnes

PROFILE: Final = "CN-GBT"
PART: Final = (Counts.SCOPE_1, Counts.SCOPE_2)  # the standard has no scope 3
COLUMNS: Final = (
    "category", "class", "sub_class", "source", "carrier", "gas", "quantity", "unit", "ncv", "carbon_t_per_gj", "oxidation_ratio", "kg_per_unit", "factor", "version",
    "factor_source", "emissions_t", "note",
)  # fmt: skip
COMBUSTION: Final = "化石燃料燃烧 fossil fuel combustion"
PROCESS: Final = "工业生产过程 industrial processes"
FUGITIVE: Final = "逸散 fugitive"
BOUGHT_ELECTRICITY: Final = "购入电力 purchased electricity"
SOLD_ELECTRICITY: Final = "输出电力 exported electricity, deducted"
BOUGHT_HEAT: Final = "购入热力 purchased heat"
BIOMASS: Final = "生物质燃烧 biomass, reported apart"
SHOWN_ONLY: Final = "输出 exported, not deducted"
_ORDER: Final = (COMBUSTION, PROCESS, FUGITIVE, BOUGHT_ELECTRICITY, BOUGHT_HEAT, SOLD_ELECTRICITY, BIOMASS, SHOWN_ONLY)


def cn_gbt(statement: Statement, facility: Facility, records: Sequence[InForce] = ()) -> Export:
    """A row for each source, gas and factor, with the class (固定、移动、制程、间接、逸散) and the sub-class of its record. The total is null while a line that counts has no figure: `why` says which, `covered_t` how much has."""
    groups: defaultdict[tuple[object, ...], list[Line]] = defaultdict(list)
    for line in statement.lines:
        category = category_of(line)
        if category is not None:
            factor = line.factor
            key = (
                _ORDER.index(category),
                line.source,
                line.carrier,
                line.gas,
                line.unit,
                "" if factor is None else f"{factor.kg_per_unit} {factor}",
                line.why,
            )
            groups[key].append(line)
    rows = [
        _row(_ORDER[int(str(key[0]))], lines)
        for key, lines in sorted(groups.items(), key=lambda item: tuple(map(str, item[0])))
    ]
    sub_classes = {
        (f"activity:{one.activity.source}", carrier_of(one.activity)): one.activity.sub_class for one in records
    }
    for row in rows:
        row["sub_class"] = sub_classes.get((str(row["source"]), str(row["carrier"]))) or None
    why = reasons(statement, PART)
    covered = statement.kg(*PART)
    by_category = {
        category: tonnes(total_kg(line for line in statement.lines if category_of(line) == category))
        for category in _ORDER
        if any(category_of(line) == category for line in statement.lines)
    }
    by_class = {
        f"{chinese} {name}": tonnes(total_kg(line for line in statement.of(*PART) if line.activity == name))
        for chinese, name in IN_CHINESE.items()
        if any(line.activity == name for line in statement.of(*PART))
    }
    head = head_of(statement, facility) | {
        "total_t": None if why else tonnes(covered),
        "covered_t": tonnes(covered),
        "complete": not why and statement.complete,
        "by_category_t": by_category,
        "by_class_t": by_class,
        "why": why,
        "standard": "GB/T 32150",
    }
    return Export(PROFILE, head, COLUMNS, rows)


def category_of(line: Line) -> str | None:
    """None for what the standard does not report."""
    if line.counts is Counts.BIOGENIC:
        return BIOMASS
    if line.counts is Counts.EXPORTED:
        return SHOWN_ONLY
    if line.counts is Counts.SCOPE_2:
        if line.carrier != "electricity":
            return BOUGHT_HEAT
        return SOLD_ELECTRICITY if "export_deducted" in line.marks else BOUGHT_ELECTRICITY
    if line.counts is Counts.SCOPE_1:
        return {"process": PROCESS, "fugitive": FUGITIVE}.get(line.activity, COMBUSTION)
    return None


def _row(category: str, lines: list[Line]) -> dict[str, str | None]:
    first = lines[0]
    figures = dict(first.figures)
    quantity: Decimal | None = Decimal(0)
    for line in lines:
        quantity = None if quantity is None or line.quantity is None else EXACT.add(quantity, line.quantity)
    factor = first.factor
    return {
        "category": category,
        "class": first.activity,
        "sub_class": None,
        "source": first.source,
        "carrier": first.carrier,
        "gas": first.gas,
        "quantity": text(quantity),
        "unit": first.unit,
        "ncv": text(figures.get("ncv_gj_per_t", figures.get("ncv_gj_per_10k_nm3"))),
        "carbon_t_per_gj": text(figures.get("carbon_t_per_gj")),
        "oxidation_ratio": text(figures.get("oxidation_ratio")),
        "kg_per_unit": None if factor is None else f"{factor.kg_per_unit:f}",
        "factor": None if factor is None else f"{factor.id} {factor.region} {factor.data_year or ''}".strip(),
        "version": None if factor is None else str(factor.version),
        "factor_source": None if factor is None else factor.source,
        "emissions_t": tonnes(total_kg(lines)),
        "note": "; ".join(
            dict.fromkeys([*(mark for line in lines for mark in line.marks), *filter(None, (first.why,))])
        )
        or None,
    }

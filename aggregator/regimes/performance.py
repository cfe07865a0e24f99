"""Emissions and electricity per product and per floor area of a span. Not a regime's form: the figures a plant steers by.

Ratios are made from sums. No output gives no figure, neither infinity nor 0.
"""

from fractions import Fraction
from typing import Final

from aggregator.accounts.activities.products import Divided, Footprint
from aggregator.accounts.line import Counts
from aggregator.emissions.formulas.intensity import area_intensity, product_intensity
from aggregator.facility import Facility
from aggregator.regimes.form import Export, head_of, text, tonnes

GJ_PER_TCE: Final = Fraction("29.3076")  # 7,000 kcal (International Table) a kg (GB/T 2589)
COLUMNS: Final = (
    "product", "output", "unit", "scope1_t", "scope2_t", "scope3_t", "biogenic_t", "total_t", "t_per_unit", "electricity_kwh", "kwh_per_unit",
    "fuel_gj", "fuel_kgce_per_unit",
    "primary_data_percent", "by_process_t", "why",
)  # fmt: skip


def performance(shared: Divided, facility: Facility) -> Export:
    """A row for each product, and one for each process that could not be divided."""
    statement, rows = shared.statement, [_row(one) for one in shared.footprints]
    for name, (amounts, why) in shared.undivided.items():
        row = dict.fromkeys(COLUMNS) | {
            "product": f"(not divided) {name}",
            "total_t": tonnes(amounts.total()),
            "electricity_kwh": text(amounts.kwh),
            "why": why,
        }
        rows.append(row)
    kg = statement.kg()
    head = head_of(statement, facility) | {
        "total_t": tonnes(kg),
        "complete": statement.complete,
        "area_m2": text(shared.area_m2),
        "kg_per_m2": _per_area(shared, None if kg is None else Fraction(kg)),
    }
    return Export("products", head, COLUMNS, rows)


def _per_area(shared: Divided, kg: Fraction | None) -> str | None:
    if kg is None or not shared.area_m2 or not shared.statement.complete:
        return None
    return text(area_intensity(kg, shared.area_m2)["intensity_kg_per_m2"])


def _row(one: Footprint) -> dict[str, str | None]:
    amounts = one.amounts
    t_per_unit = kwh_per_unit = kgce_per_unit = None
    if not one.why and one.output is not None:
        worked = product_intensity(
            amounts.total() / 1000, one.output, one.unit, max(amounts.kwh, Fraction(0)), amounts.fuel_gj / GJ_PER_TCE
        )
        t_per_unit, kwh_per_unit, kgce_per_unit = (worked.figure(name).value for name in worked.results)
    return {
        "product": one.product,
        "output": text(one.output),
        "unit": one.unit,
        "scope1_t": tonnes(amounts.total(Counts.SCOPE_1)),
        "scope2_t": tonnes(amounts.total(Counts.SCOPE_2)),
        "scope3_t": tonnes(amounts.total(Counts.SCOPE_3)),
        "biogenic_t": tonnes(amounts.total(Counts.BIOGENIC)),
        "total_t": tonnes(amounts.total()),
        "t_per_unit": text(t_per_unit),
        "electricity_kwh": text(amounts.kwh),
        "kwh_per_unit": text(kwh_per_unit),
        "fuel_gj": text(amounts.fuel_gj),
        "fuel_kgce_per_unit": text(kgce_per_unit),
        "primary_data_percent": text(amounts.primary_percent()),
        "by_process_t": "; ".join(f"{name} {tonnes(kg)}" for name, kg in sorted(one.by_process.items())),
        "why": one.why or None,
    }

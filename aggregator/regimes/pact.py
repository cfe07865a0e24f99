"""PACT v3: a ProductFootprint for each product, decimals as text, with the one it takes the place of. Not the exchange between companies.

Field names and patterns: PACT Technical Specifications 3.0 (wbcsd, ProductFootprint, CarbonFootprint). kg CO2e per kg, or per unit where the
product is not weighed; methods of GHG Protocol and AR6.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from aggregator.accounts.activities.products import Divided, Footprint
from aggregator.accounts.line import Counts
from aggregator.accounts.statement import Statement
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.units import converted
from aggregator.emissions.formulas.worked import shown
from aggregator.facility import Facility
from aggregator.regimes.form import CannotExport, Export, head_of, tonnes

SPEC_VERSION: Final = "3.0.3"
DECIMALS: Final = 12
COLUMNS: Final = ("product", "id", "status", "kg_per_unit", "unit", "primary_data_percent", "emissions_t", "why")
_UNITS: Final = {"kg": "kilogram", "l": "liter", "m3": "cubic meter", "kWh": "kilowatt hour", "MJ": "megajoule", "m2": "square meter", "h": "hour"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Company:
    """Who issues the footprints; `id` is a URN."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out earlier, and the causes of what has changed since, in one line (`accounts.bridge`)."""

    shared: Divided
    causes: str


def pact(shared: Divided, facility: Facility, company: Company, sent: Sent | None = None) -> Export:
    """One Active footprint for each product that has a figure. Of products whose figure is another than what was `sent`, the earlier
    footprint goes out too, as Deprecated with what has changed. Raises CannotExport."""
    if not company.name.strip() or not company.id.lower().startswith("urn:"):
        raise CannotExport(
            f"company: expected its name and a URN such as urn:pact:company:customcode:buyer-assigned:4711, got {company.name!r} and {company.id!r}"
        )
    earlier = {} if sent is None else {one.product: one for one in sent.shared.footprints}
    documents: list[dict[str, Any]] = []
    rows: list[dict[str, str | None]] = []
    for one in shared.footprints:
        why = _why_none(one)
        if why:
            rows.append(
                dict.fromkeys(COLUMNS)
                | {"product": one.product, "emissions_t": tonnes(one.amounts.total()), "why": why}
            )
            continue
        made = _document(one, shared, facility, company)
        old = earlier.get(one.product)
        if old is not None and sent is not None and not _why_none(old):
            gone = _document(old, sent.shared, facility, company)
            if gone["pcf"] != made["pcf"]:
                gone |= {"status": "Deprecated", "statusComment": _changed(gone, made, sent, shared.statement)}
                made["precedingPfIds"] = [gone["id"]]
                documents.append(gone)
                rows.append(_row(old, gone))
        documents.append(made)
        rows.append(_row(one, made))
    head = head_of(shared.statement, facility) | {
        "total_t": tonnes(shared.total_kg()),
        "undivided_t": tonnes(sum((amounts.total() for amounts, _ in shared.undivided.values()), Fraction(0))),
    }
    return Export("PACT", head, COLUMNS, rows, documents)


def _why_none(one: Footprint) -> str:
    if one.why:
        return one.why
    if one.fossil_carbon_ratio is None:
        return "expected fossil_carbon_ratio with its production (PACT: fossilCarbonContent), it is missing; there is no default"
    return ""


def _unit(one: Footprint) -> tuple[str, Fraction]:
    """(the unit of PACT, how many of it are one of the product's)."""
    for unit, word in _UNITS.items():
        try:
            return word, converted(Fraction(1), one.unit, unit)
        except Impossible:
            continue
    return "piece", Fraction(1)


def _document(one: Footprint, shared: Divided, facility: Facility, company: Company) -> dict[str, Any]:
    statement = shared.statement
    word, size = _unit(one)
    per_unit = one.per_unit(one.amounts.total())
    assert per_unit is not None
    assert one.fossil_carbon_ratio is not None
    kg = _decimal(per_unit / size)
    primary = one.amounts.primary_percent()
    country, _, subdivision = facility.place.partition("-")
    geography = {"geographyCountrySubdivision": facility.place} if 0 < len(subdivision) <= 3 else {"geographyCountry": country} if len(country) == 2 else {}  # fmt: skip
    scope_3 = any(statement.of(Counts.SCOPE_3))
    pcf = {
        "declaredUnitOfMeasurement": word,
        "declaredUnitAmount": "1",
        "productMassPerDeclaredUnit": "1" if word == "kilogram" else "0",
        "referencePeriodStart": _utc(statement.from_ms),
        "referencePeriodEnd": _utc(statement.to_ms),
        **geography,
        "pcfExcludingBiogenicUptake": kg,
        "pcfIncludingBiogenicUptake": kg,
        "fossilGhgEmissions": kg,
        "fossilCarbonContent": _decimal(one.fossil_carbon_ratio),
        "ipccCharacterizationFactors": ["AR6"],
        "crossSectoralStandards": ["GHGP-Product", "PACT-3.0"],
        "exemptedEmissionsPercent": "0",
        "boundaryProcessesDescription": "scopes 1 and 2 of the facility" + (" and recorded purchases" if scope_3 else "; purchases are not recorded"),
        "primaryDataShare": _decimal(primary or Fraction(0)),
        "secondaryEmissionFactorSources": _sources(statement),
    }  # fmt: skip
    content = json.dumps([company.id, facility.id, one.product, statement.profile, pcf], sort_keys=True)
    return {
        "id": str(uuid5(NAMESPACE_URL, content)),  # the same figures have the same id, whenever they are asked for
        "specVersion": SPEC_VERSION,
        "created": _utc(statement.as_of_ms),
        "status": "Active",
        "companyName": company.name,
        "companyIds": [company.id],
        "productDescription": f"{one.product}, made at {facility.name or facility.id}",
        "productIds": [f"urn:pact:product:customcode:vendor-assigned:{facility.id}:{one.product}"],
        "productNameCompany": one.product,
        "pcf": pcf,
        "comment": f"statement {statement.profile} sha256 {statement.sha256}",
    }


def _sources(statement: Statement) -> list[dict[str, str]]:
    used = {
        line.factor.source: line.factor.version
        for line in statement.lines
        if line.kg is not None and line.factor is not None and line.factor.tier != "formula"
    }
    return [{"name": source, "version": str(version)} for source, version in sorted(used.items())]


def _changed(gone: Mapping[str, Any], made: Mapping[str, Any], sent: Sent, after: Statement) -> str:
    """What moved the figure: the facility's causes, and its lines, the largest first."""
    old, new = (_by_line(statement) for statement in (sent.shared.statement, after))
    moved = sorted(
        (
            (new.get(key, Decimal(0)) - old.get(key, Decimal(0)), key)
            for key in old.keys() | new.keys()
            if old.get(key) != new.get(key)
        ),
        key=lambda pair: (-abs(pair[0]), pair[1]),
    )
    named = ", ".join(f"{source} {carrier} {kg:+f} kg" for kg, (source, carrier) in moved[:5])
    figures = [document["pcf"]["pcfExcludingBiogenicUptake"] for document in (gone, made)]
    return f"{figures[0]} -> {figures[1]} kg CO2e per unit. Facility: {sent.causes}. Lines: {named or 'none; the output or its division'}"


def _by_line(statement: Statement) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = {}
    for line in statement.of(Counts.SCOPE_1, Counts.SCOPE_2, Counts.SCOPE_3):
        key = (line.source, line.carrier)
        found[key] = found.get(key, Decimal(0)) + (line.kg or 0)
    return found


def _row(one: Footprint, document: Mapping[str, Any]) -> dict[str, str | None]:
    pcf = document["pcf"]
    return {
        "product": one.product, "id": document["id"], "status": document["status"], "kg_per_unit": pcf["pcfExcludingBiogenicUptake"],
        "unit": pcf["declaredUnitOfMeasurement"], "primary_data_percent": pcf["primaryDataShare"],
        "emissions_t": tonnes(one.amounts.total()), "why": None,
    }  # fmt: skip


def _decimal(value: Fraction) -> str:
    return shown(value, DECIMALS)


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

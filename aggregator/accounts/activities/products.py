"""What a statement's emissions come to per product: each process's own, divided among its products. Not the statement, and not the forms (see `regimes`).

line -> process (its record's, its meter's, else the rest) -> products (alone, or by mass, energy or value)
What cannot be divided stays undivided, with the reason, and its products have no footprint: the parts always add up to the statement.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from aggregator.accounts.activities.activity import Activity
from aggregator.accounts.activities.lines import carrier_of
from aggregator.accounts.activities.record import InForce
from aggregator.accounts.line import SCOPES, Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.units import CO2_PER_CARBON, converted
from aggregator.facility import Facility
from aggregator.process import REST, Process

ZERO: Final = Fraction(0)
_WEIGHTS: Final = ("gj_per_unit", "cny_per_unit", "fossil_carbon_ratio")
COUNTED: Final = (*SCOPES, Counts.BIOGENIC)


class Bucket(NamedTuple):
    """What is kept apart on the way to a product. `primary`: measured or recorded here, with a factor of here."""

    counts: Counts
    electricity: bool
    primary: bool


@dataclass(slots=True)
class Amounts:
    """kg CO2e by bucket, the electricity in kWh, the heat of fuel in GJ (net). `missing`: reasons why some of it has no figure."""

    kg: defaultdict[Bucket, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    kwh: Fraction = ZERO
    fuel_gj: Fraction = ZERO
    missing: list[str] = field(default_factory=list)

    def add(self, other: "Amounts", share: Fraction = Fraction(1)) -> None:
        for bucket, kg in other.kg.items():
            self.kg[bucket] += kg * share
        self.kwh += other.kwh * share
        self.fuel_gj += other.fuel_gj * share
        self.missing += [why for why in other.missing if why not in self.missing]

    def total(self, *counts: Counts) -> Fraction:
        return sum((kg for bucket, kg in self.kg.items() if bucket.counts in (counts or SCOPES)), ZERO)

    def electricity_kg(self) -> Fraction:
        return sum((kg for bucket, kg in self.kg.items() if bucket.counts in SCOPES and bucket.electricity), ZERO)

    def primary_percent(self) -> Fraction | None:
        """Share of the scopes' kg; None of nothing."""
        whole = self.total()
        primary = sum((kg for bucket, kg in self.kg.items() if bucket.counts in SCOPES and bucket.primary), ZERO)
        return primary / whole * 100 if whole else None


@dataclass(frozen=True, slots=True)
class Footprint:
    """One product: `output` in `unit` (None: not known), its amounts, and which process gave how much. `why`: why there is no figure per unit."""

    product: str
    output: Fraction | None
    unit: str
    amounts: Amounts
    by_process: Mapping[str, Fraction]
    fossil_carbon_ratio: Fraction | None = None
    why: str = ""

    def per_unit(self, amount: Fraction) -> Fraction | None:
        """None where there is no output or not all of it has a figure: neither infinity nor 0."""
        return None if self.why or not self.output else amount / self.output


@dataclass(frozen=True, slots=True)
class Divided:
    """A statement divided among products. `undivided`: process -> (kg, why)."""

    statement: Statement
    footprints: tuple[Footprint, ...]
    undivided: Mapping[str, tuple[Amounts, str]]
    area_m2: Fraction | None = None

    def total_kg(self) -> Fraction:
        """Of all products and what is undivided: the statement's."""
        return sum((f.amounts.total() for f in self.footprints), ZERO) + sum(
            (a.total() for a, _ in self.undivided.values()), ZERO
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made of a product in the span; `why` where that is not known."""

    amount: Fraction
    unit: str
    gj: Fraction | None
    cny: Fraction | None
    fossil_carbon_ratio: Fraction | None  # by output, of its records
    why: str = ""


def divided(
    statement: Statement, facility: Facility, records: Sequence[InForce], located: Statement | None = None
) -> Divided:
    """The statement's scopes and biogenic carbon per product, with the production records of its span.

    The market method has no parts of the mains: there each process takes as much of the kg as its meters took of the kWh in `located`, the
    location-based statement of the span.
    """
    made = {
        product: _made([one for one in records if _makes(one, product)], statement, facility)
        for product in _products(statement, facility, records)
    }
    named = {process.name: process for process in facility.processes}
    rest = named.get(REST, Process(REST))
    by_process = _by_process(statement, facility, records, named, located)
    amounts: dict[str, Amounts] = {product: Amounts() for product in made}
    parts: dict[str, dict[str, Fraction]] = {product: {} for product in made}
    undivided: dict[str, tuple[Amounts, str]] = {}
    faults: dict[str, str] = {}
    for name, found in by_process.items():
        process = named.get(name, Process(name, products=rest.products, share=rest.share))
        products = process.products or tuple(made)
        shares, why = _shares(process, products, made)
        if why:
            undivided[name] = (found, why)
            faults |= dict.fromkeys(products, why)
            continue
        for product, share in shares.items():
            amounts[product].add(found, share)
            parts[product][name] = found.total() * share
    footprints = tuple(
        Footprint(
            product, None if one.why else one.amount, one.unit, amounts[product], parts[product], one.fossil_carbon_ratio,
            one.why or faults.get(product, "") or "; ".join(amounts[product].missing) or ("" if one.amount else "no output, so no figure per unit"),
        )
        for product, one in made.items()
    )  # fmt: skip
    return Divided(statement, footprints, undivided, _area(statement, facility, records))


def _products(statement: Statement, facility: Facility, records: Sequence[InForce]) -> list[str]:
    recorded = {
        one.activity.subject
        for one in records
        if one.activity.kind == "production" and _within(one.activity, statement, facility)
    }
    return sorted(recorded | {product for process in facility.processes for product in process.products})


def _makes(one: InForce, product: str) -> bool:
    return one.activity.kind == "production" and one.activity.subject == product


def _within(record: Activity, statement: Statement, facility: Facility) -> Fraction:
    """Share of the record's time that lies in the span."""
    from_ms, to_ms = record.span_ms(facility.zone)
    inside_ms = min(to_ms, statement.to_ms) - max(from_ms, statement.from_ms)
    return Fraction(max(inside_ms, 0), to_ms - from_ms)


def _made(found: Sequence[InForce], statement: Statement, facility: Facility) -> _Made:
    amount = ZERO
    units: set[str] = set()
    whys: list[str] = []
    sums = dict.fromkeys(_WEIGHTS, ZERO)
    known = dict.fromkeys(_WEIGHTS, True)
    for one in found:
        share = _within(one.activity, statement, facility)
        if not share:
            continue
        value, unit = one.activity.counted()
        part = Fraction(value) * share
        for name in _WEIGHTS:
            values = one.activity.numbers(name)
            sums[name] += part * sum(values)
            known[name] = known[name] and bool(values)
        amount += part
        units.add(unit)
        if not one.approved:
            whys.append(f"production record {one.activity.no} waits for a second person's approval")
    if not units:
        whys.append("no production is on record in the span")
    if len(units) > 1:
        whys.append(f"expected one unit of production, got {', '.join(sorted(units))}")
    weights = {name: value if units and known[name] else None for name, value in sums.items()}
    carbon = weights["fossil_carbon_ratio"]
    return _Made(
        amount, min(units, default=""), weights["gj_per_unit"], weights["cny_per_unit"],
        carbon / amount if carbon is not None and amount else None, "; ".join(whys),
    )  # fmt: skip


def _by_process(
    statement: Statement,
    facility: Facility,
    records: Sequence[InForce],
    named: Mapping[str, Process],
    located: Statement | None,
) -> dict[str, Amounts]:
    """Amounts of each process; what no process claims is the rest's. Electricity of a process's meters is taken out of the mains' lines."""
    of_record = {
        (f"activity:{one.activity.source}", carrier_of(one.activity)): one.activity.process
        for one in records
        if one.activity.process
    }
    of_meter = _meters(facility, named)
    found: defaultdict[str, Amounts] = defaultdict(Amounts)
    mains = Amounts()
    for line in statement.of(*COUNTED):
        process = of_record.get((line.source, line.carrier)) or of_meter.get(line.source, REST)
        _put(found[process], line, Fraction(1))
        if line.counts is Counts.SCOPE_2 and line.carrier == "electricity" and line.source.startswith("meter"):
            _put(mains, line, Fraction(1))
    for line in (located or statement).of(Counts.ALLOCATED):
        process = of_meter.get(line.source, REST)
        if line.carrier != "electricity" or process == REST or line.kg is None:
            continue
        part = Amounts()
        if located is None:
            _put(part, line, Fraction(1), Counts.SCOPE_2)
        elif mains.kwh and line.quantity is not None:
            part.add(mains, Fraction(line.quantity) / mains.kwh)
        found[process].add(part)
        found[REST].add(part, Fraction(-1))
    return {name: amounts for name, amounts in sorted(found.items()) if amounts.kg or amounts.kwh or amounts.missing}


def _put(amounts: Amounts, line: Line, sign: Fraction, counts: Counts | None = None) -> None:
    electricity = line.carrier == "electricity"
    if line.kg is None:
        amounts.missing.append(f"{line.source}: {line.why or 'no figure'}")
        return
    amounts.kg[Bucket(counts or line.counts, electricity, _primary(line))] += Fraction(line.kg) * sign
    if electricity and line.quantity is not None:
        amounts.kwh += Fraction(line.quantity) * sign
    amounts.fuel_gj += _fuel_gj(line) * sign


def _fuel_gj(line: Line) -> Fraction:
    """The net heat of a line's fuel. Of what is partly biogenic each of its two lines has its share of the kg, and so of the heat."""
    figures = dict(line.figures)
    if line.kg is None or line.gas != "CO2" or not {"carbon_t_per_gj", "oxidation_ratio"} <= figures.keys():
        return ZERO
    kg_per_gj = Fraction(figures["carbon_t_per_gj"]) * Fraction(figures["oxidation_ratio"]) * CO2_PER_CARBON * 1000
    return Fraction(line.kg) / kg_per_gj if kg_per_gj else ZERO


def _primary(line: Line) -> bool:
    """Measured or recorded, not substituted; bought energy and goods only with a factor of the facility's or supplier's own."""
    if line.quality in ("substituted", "bad"):
        return False
    own = line.factor is not None and line.factor.tier in (
        "facility",
        "override",
        "gc_hourly",
        "gec",
        "rec",
        "go",
        "ppa",
        "direct_line",
        "supplier_mix",
    )
    return line.counts in (Counts.SCOPE_1, Counts.BIOGENIC) or own


def _meters(facility: Facility, named: Mapping[str, Process]) -> dict[str, str]:
    """meter:device, and part:device for its own part of the mains -> process, of the meters it names and those behind them."""
    direct = {device: name for name, process in named.items() for device in process.meters}
    parents = {meter.device: meter.parent for meter in facility.meters}
    found: dict[str, str] = {}
    for device in parents:
        at, seen = device, {""}
        while at not in direct and at not in seen:
            seen.add(at)
            at = parents.get(at, "")
        if at in direct:
            found |= dict.fromkeys((f"meter:{device}", f"part:{device}"), direct[at])
    return found


def _shares(process: Process, products: Sequence[str], made: Mapping[str, _Made]) -> tuple[dict[str, Fraction], str]:
    """product -> share, summing to 1; or why there are none."""
    if not products:
        return {}, "no product is on record in the span"
    if len(products) == 1:
        return {products[0]: Fraction(1)}, ""
    weights: dict[str, Fraction] = {}
    for product in products:
        one = made[product]
        if one.why:
            return {}, f"{product}: {one.why}"
        weight = _weight(process, one)
        if weight is None:
            needed = {
                "mass": f"a mass, it is in {one.unit}",
                "energy": "gj_per_unit with its production",
                "economic": "cny_per_unit with its production",
            }
            return {}, f"{product}: expected {needed[process.share]}, to be divided by {process.share}"
        weights[product] = weight
    whole = sum(weights.values(), ZERO)
    if not whole:
        return {}, f"{process.name}: nothing was made that it could be divided by"
    return {product: weight / whole for product, weight in weights.items()}, ""


def _weight(process: Process, one: _Made) -> Fraction | None:
    if process.share == "energy":
        return one.gj
    if process.share == "economic":
        return one.cny
    try:
        return converted(one.amount, one.unit, "t")
    except Impossible:
        return None


def _area(statement: Statement, facility: Facility, records: Sequence[InForce]) -> Fraction | None:
    """Floor area in m2, the mean over the span; None where the records do not cover all of it."""
    sources: defaultdict[str, Fraction] = defaultdict(Fraction)
    area = ZERO
    length_ms = statement.to_ms - statement.from_ms
    for one in records:
        if one.activity.kind != "area" or not one.approved:
            continue
        from_ms, to_ms = one.activity.span_ms(facility.zone)
        share = _within(one.activity, statement, facility) * Fraction(to_ms - from_ms, length_ms)
        area += Fraction(one.activity.counted()[0]) * share
        sources[f"{one.activity.source} {one.activity.subject}"] += share
    return (
        area if sources and all(share == 1 for share in sources.values() if share) and any(sources.values()) else None
    )

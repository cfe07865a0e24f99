"""What one unit of a recorded activity emits, from the registry's parameters and the formulas. Not how much there was (see `activity_lines`).

A parameter that does not resolve gives no rate, with the reason; there is no default.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from aggregator.accounts.activities.activity import Activity, exact_or_rounded
from aggregator.accounts.line import Applied, Counts
from aggregator.emissions.entry import Entry, published_text
from aggregator.emissions.formulas.combustion import combustion, gas_combustion, normal_volume
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.heat import hot_water, steam
from aggregator.emissions.formulas.process import (
    carbon_balance,
    carbon_burnt,
    carbonate,
    clinker,
    flare,
    leaked_gas,
    vented_gas,
)
from aggregator.emissions.formulas.uncertainty import uncertainty_of_product
from aggregator.emissions.formulas.worked import Worked
from aggregator.emissions.parameter import Asked, Resolved, resolve_parameter
from aggregator.emissions.profiles import Profile

# kg per unit is kept to this; 10^9 units are then right to a microgram
PER_UNIT: Final = Decimal("1e-18")
ONE: Final = Fraction(1)
_NOW_KNOWN_MS: Final = 2**62  # what was not known yet is not among the entries


class Ask:
    """What the registry has for a facility at an instant."""

    def __init__(self, entries: Sequence[Entry], facility: str, region: str, at_ms: int) -> None:
        """`entries`: what was on record when it was known."""
        self._entries = entries
        self._asked = Asked("", at_ms, _NOW_KNOWN_MS, region, facility)

    def __call__(self, id_: str, gas: str = "", variant: str = "") -> Resolved:
        named = [entry for entry in self._entries if entry.id == id_]
        return resolve_parameter(named, replace(self._asked, id=id_, gas=gas, variant=variant))

    def gases(self, id_: str) -> list[str]:
        """The gases that an id has a value of."""
        return sorted({entry.gas for entry in self._entries if entry.id == id_})


@dataclass(frozen=True, slots=True)
class Rate:
    """kg CO2e per unit of the quantity, of one gas, and where it counts. `factor` None: there is no figure, and `why` says why."""

    counts: Counts
    gas: str
    factor: Applied | None
    figures: tuple[tuple[str, Decimal], ...] = ()
    marks: tuple[str, ...] = ()
    why: str = ""


class _Missing(Exception):
    """A parameter that has no value."""


@dataclass(slots=True)
class _Used:
    """The parameters asked for so far, and where they were found."""

    ask: Ask
    entries: list[Entry]
    tiers: list[str]

    def __call__(self, id_: str, gas: str = "", *variants: str) -> Fraction:
        """The value under the first variant that has one. Raises _Missing."""
        said: list[str] = []
        for variant in variants or ("",):
            found = self.ask(id_, gas, variant)
            if found.entry is not None:
                self.entries.append(found.entry)
                self.tiers.append(found.tier)
                return Fraction(found.entry.value)
            said.append(found.reason)
        raise _Missing(f"no {id_}{gas and f' of {gas}'}: {said[0]}")

    def applied(self, name: str, kg_per_unit: Fraction) -> Applied:
        """One factor made of all that was used; its version is the highest among them."""
        document = "; ".join(
            f"{entry.key} version {entry.version}, {published_text(entry.source)}, {entry.table_ref}"
            for entry in self.entries
        )
        own = "facility" if "facility" in self.tiers else (self.tiers[0] if self.tiers else "formula")
        version = max((entry.version for entry in self.entries), default=1)
        region = self.entries[0].region if self.entries and own != "facility" else ""
        return Applied(
            name, version, exact_or_rounded(kg_per_unit, PER_UNIT), region, tier=own, source=document or "stoichiometry",
            u95_percent=self._u95_percent(),
        )  # fmt: skip

    def _u95_percent(self) -> Decimal | None:
        """Of the product of independent parameters; None where one of them states none."""
        stated = [Fraction(entry.u95_percent) for entry in self.entries if entry.u95_percent is not None]
        if not stated or len(stated) < len(self.entries):
            return None
        return exact_or_rounded(uncertainty_of_product(stated)["uncertainty_percent"])


@dataclass(frozen=True, slots=True)
class _Case:
    """One record's rates under one profile, for a quantity in `unit`."""

    record: Activity
    unit: str
    ask: Ask
    rules: Profile

    @property
    def counts(self) -> Counts:
        return {"heat": Counts.SCOPE_2, "bought": Counts.SCOPE_3}.get(self.record.kind, Counts.SCOPE_1)


def rates(record: Activity, unit: str, ask: Ask, rules: Profile) -> list[Rate]:
    """The rates of every gas under a profile, for a quantity in `unit`."""
    case = _Case(record, unit, ask, rules)
    try:
        return list(_BY_KIND[record.kind](case))
    except (_Missing, Impossible) as error:
        return [Rate(case.counts, _gas(record), None, why=str(error))]


def _gas(record: Activity) -> str:
    return "CO2e" if record.kind in ("gas", "bought") else "CO2"


def _fuel(case: _Case) -> Iterator[Rate]:
    used = _Used(case.ask, [], [])
    name, variants = f"fuel.{case.record.subject}", (case.record.variant, "") if case.record.variant else ("",)
    ncv = used(f"{name}.ncv", "", *variants)
    by_volume = case.unit != "t"
    wanted = "GJ/10^4 Nm3" if by_volume else "GJ/t"
    if used.entries[0].unit != wanted:
        raise _Missing(
            f"{name}.ncv: expected it in {wanted} for a quantity in {case.unit}, it is in {used.entries[0].unit}"
        )
    carbon = used(f"{name}.carbon_content", "", *variants)
    oxidation = used(f"{name}.oxidation", "", *variants)
    stored = case.record.numbers("stored_ratio")
    to_normal = ONE
    if case.unit == "m3":
        to_normal = normal_volume(ONE, case.record.numbers("measured_at_degc")[0])["volume_ratio"]
    if by_volume:
        co2_t = gas_combustion(to_normal, ncv, carbon, oxidation)["emissions_t"]
    else:
        co2_t = combustion(ONE, ncv, carbon, oxidation, stored[0] if stored else None)["emissions_t"]
    figures = _figures(
        ("ncv_gj_per_10k_nm3" if by_volume else "ncv_gj_per_t", ncv),
        ("carbon_t_per_gj", carbon),
        ("oxidation_ratio", oxidation),
    )
    biogenic = (case.record.numbers("biogenic_ratio") or [Fraction(0)])[0]
    others = list(_other_gases(case, ncv * to_normal / (10_000 if by_volume else 1)))
    marks = () if others or case.rules.combustion_gases == ("CO2",) else ("co2_only",)
    label = name + (f" ({case.record.variant})" if case.record.variant else "")
    for where, share in ((case.counts, 1 - biogenic), (Counts.BIOGENIC, biogenic)):
        if share:
            yield Rate(where, "CO2", used.applied(label, co2_t * 1000 * share), figures, marks)
    yield from others


def _other_gases(case: _Case, ncv_gj: Fraction) -> Iterator[Rate]:
    """CH4 and N2O per heat (IPCC), where the profile takes them and the registry has them."""
    for gas in case.rules.combustion_gases:
        id_ = f"fuel.{case.record.subject}.combustion"
        if gas == "CO2" or case.ask(id_, gas, "").entry is None:
            continue
        used = _Used(case.ask, [], [])
        per_tj = used(id_, gas)
        potential = used(f"gwp.{case.rules.gwp}", gas, "", "fossil")
        figures = _figures((f"{gas.lower()}_kg_per_tj", per_tj), (f"gwp_{case.rules.gwp}", potential))
        yield Rate(case.counts, gas, used.applied(id_, ncv_gj / 1000 * per_tj * potential), figures)


def _heat(case: _Case) -> Iterator[Rate]:
    used = _Used(case.ask, [], [])
    per_gj = used("heat.purchased", "CO2")
    if case.record.subject == "steam":
        worked: Worked | None = steam(ONE, case.record.numbers("enthalpy_kj_per_kg")[0], per_gj)
    elif case.record.subject == "hot_water":
        worked = hot_water(ONE, case.record.numbers("water_degc")[0], per_gj)
    else:
        worked = None
    heat_gj = ONE if worked is None else worked["heat_gj"]
    yield Rate(
        case.counts,
        "CO2",
        used.applied("heat.purchased", heat_gj * per_gj * 1000),
        _figures((f"heat_gj_per_{case.unit.lower()}", heat_gj), ("factor_t_per_gj", per_gj)),
    )


def _material(case: _Case) -> Iterator[Rate]:
    used = _Used(case.ask, [], [])
    factor = used(f"process.{case.record.subject}", "CO2")
    purity, calcined = case.record.numbers("purity_ratio")[0], case.record.numbers("calcined_ratio")[0]
    co2_t = carbonate(ONE, purity, calcined, factor)["emissions_t"]
    figures = _figures(("factor_t_per_t", factor), ("purity_ratio", purity), ("calcined_ratio", calcined))
    yield Rate(case.counts, "CO2", used.applied(f"process.{case.record.subject}", co2_t * 1000), figures)


def _process(case: _Case) -> Iterator[Rate]:
    given = {name: case.record.numbers(name) for name in case.record.of_kind.needs}
    one = {name: values[0] for name, values in given.items() if len(values) == 1}
    if case.record.subject == "carbon_balance":
        amount = Fraction(case.record.counted()[0])
        if not amount:
            raise Impossible("carbon balance: expected some material in, saw 0")
        whole = carbon_balance(
            [amount],
            given["input_carbon_ratio"],
            given["product_t"],
            given["product_carbon_ratio"],
            given["residue_t"],
            given["residue_carbon_ratio"],
        )
        co2_t, figures = whole["emissions_t"] / amount, _figures(("input_carbon_ratio", one["input_carbon_ratio"]))
    else:
        co2_t, figures = _PROCESSES[case.record.subject](ONE, **one)["emissions_t"], _figures(*one.items())
    yield Rate(
        case.counts, "CO2", _Used(case.ask, [], []).applied(f"process.{case.record.subject}", co2_t * 1000), figures
    )


def _lost(case: _Case) -> Iterator[Rate]:
    used = _Used(case.ask, [], [])
    id_ = f"gwp.{case.rules.gwp}"
    members = case.ask.gases(f"blend.{case.record.subject}")
    if members:
        shares = [used(f"blend.{case.record.subject}", gas) for gas in members]
        potentials = [used(id_, gas, "", "fossil") for gas in members]
        gas = "CO2e"
    else:
        shares, potentials = [ONE], [used(id_, case.record.subject, "", "fossil")]
        gas = case.record.subject
    worked = leaked_gas(ONE, shares, potentials, case.rules.gwp.upper())
    yield Rate(
        case.counts,
        gas,
        used.applied(f"{id_} {case.record.subject}", worked["emissions_t"] * 1000),
        _figures((f"gwp_{case.rules.gwp}", worked["gwp"])),
    )


def _bought(case: _Case) -> Iterator[Rate]:
    used = _Used(case.ask, [], [])
    per_unit = used(f"upstream.{case.record.subject}", "CO2e")
    if used.entries[0].unit != f"kg/{case.unit}":
        raise _Missing(
            f"upstream.{case.record.subject}: expected it in kg/{case.unit}, it is in {used.entries[0].unit}"
        )
    yield Rate(case.counts, "CO2e", used.applied(f"upstream.{case.record.subject}", per_unit))


def _figures(*pairs: tuple[str, Fraction]) -> tuple[tuple[str, Decimal], ...]:
    return tuple((name, exact_or_rounded(value)) for name, value in pairs)


_PROCESSES: Final[dict[str, Callable[..., Worked]]] = {
    "clinker": clinker, "carbon": carbon_burnt, "flare": flare, "vent": vented_gas,
}  # fmt: skip
_BY_KIND: Final[dict[str, Callable[[_Case], Iterator[Rate]]]] = {
    "fuel": _fuel, "heat": _heat, "material": _material, "process": _process, "gas": _lost, "bought": _bought,
}  # fmt: skip

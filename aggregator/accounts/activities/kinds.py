"""Kinds of activity that may be recorded: what each is measured in, which parameters it needs, which classes it may have. Not what it emits.

The five classes are those of the white paper's petrochemical example (固定、移动、制程、间接、逸散).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aggregator.accounts.line import CLASSES

IN_CHINESE: Final = dict(zip(("固定", "移动", "制程", "间接", "逸散"), CLASSES, strict=True))


@dataclass(frozen=True, slots=True)
class Kind:
    """`units`: the quantity is converted to the first of them that measures the same thing; () takes any unit. `needs`, `may`: parameters with
    their units ("1": a share; "t,": several by comma). `signed`: may be below 0. `emits`: False for what is only counted."""

    text: str
    classes: tuple[str, ...]
    units: tuple[str, ...]
    needs: Mapping[str, str] = field(default_factory=dict)
    may: Mapping[str, str] = field(default_factory=dict)
    emits: bool = True


_FUEL: Final = {"stored_ratio": "1", "biogenic_ratio": "1", "measured_at_degc": "degC"}
_OXIDES: Final = {
    "cao_ratio": "1",
    "mgo_ratio": "1",
    "cao_not_from_carbonate_ratio": "1",
    "mgo_not_from_carbonate_ratio": "1",
}
_BALANCE: Final = {
    "input_carbon_ratio": "1",
    "product_t": "t,",
    "product_carbon_ratio": "1,",
    "residue_t": "t,",
    "residue_carbon_ratio": "1,",
}
_FLARE: Final = {
    "carbon_t_per_10k_nm3": "tC/10^4Nm3",
    "oxidation_ratio": "1",
    "co2_ratio": "1",
    "co2_t_per_10k_nm3": "t/10^4Nm3",
}
_PRODUCT: Final = {"gj_per_unit": "", "cny_per_unit": "", "fossil_carbon_ratio": "1"}
_PROCESS: Final = ("process", "stationary", "fugitive")

# kind, or kind/subject where the subject decides what is needed
KINDS: Final[Mapping[str, Kind]] = {
    "fuel": Kind("fuel burnt", ("stationary", "mobile", "process"), ("t", "Nm3", "m3"), may=_FUEL),
    "electricity": Kind("electricity of a bill", ("indirect",), ("kWh",)),
    "heat/heat": Kind("heat bought, as billed in GJ", ("indirect",), ("GJ",)),
    "heat/steam": Kind("steam bought", ("indirect",), ("t",), {"enthalpy_kj_per_kg": "kJ/kg"}),
    "heat/hot_water": Kind("hot water bought", ("indirect",), ("t",), {"water_degc": "degC"}),
    "material": Kind("carbonate calcined", ("process",), ("t",), {"purity_ratio": "1", "calcined_ratio": "1"}),
    "process/clinker": Kind("clinker made", ("process",), ("t",), _OXIDES),
    "process/carbon_balance": Kind("carbon in, less products and residues", _PROCESS, ("t",), _BALANCE),
    "process/carbon": Kind("carbon burnt off, e.g. coke on a catalyst", _PROCESS, ("t",), {"carbon_ratio": "1", "oxidation_ratio": "1"}),
    "process/flare": Kind("gas flared", _PROCESS, ("Nm3",), _FLARE),
    "process/vent": Kind("gas with CO2 let off, e.g. acid gas", _PROCESS, ("Nm3",), {"co2_ratio": "1", "co2_t_per_10k_nm3": "t/10^4Nm3"}),
    "gas": Kind("greenhouse gas or refrigerant lost", ("fugitive", "process"), ("kg",)),
    "bought": Kind("goods and services of others (scope 3)", ("indirect",), ()),
    "production": Kind("product made", CLASSES, (), {}, _PRODUCT, emits=False),
    "area": Kind("floor area", CLASSES, ("m2",), emits=False),
    "saving": Kind("emissions saved against a baseline, as claimed", ("indirect",), ("kg",), emits=False),
    "laboratory": Kind("value of a fuel parameter, valid in the period", CLASSES, (), emits=False),
}  # fmt: skip

HOLDING: Final = (
    "laboratory",
    "area",
)  # kinds of values that hold in their period; all others count what has happened in it


def kind_of(kind: str, subject: str) -> Kind:
    """Raises ValueError."""
    found = KINDS.get(kind) or KINDS.get(f"{kind}/{subject}")
    if found is not None:
        return found
    subjects = [name.partition("/")[2] for name in KINDS if name.startswith(f"{kind}/")]
    if subjects:
        raise ValueError(f"subject: expected one of {', '.join(subjects)} for the kind {kind}, got {subject!r}")
    names = dict.fromkeys(name.partition("/")[0] for name in KINDS)
    raise ValueError(f"kind: expected one of {', '.join(names)}, got {kind!r}")

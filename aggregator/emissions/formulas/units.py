"""Units and their exact conversion at the edges. Inside there is one unit per quantity: kWh, GJ, kg or t, Nm3.

What only looks alike has a dimension of its own: m3 and Nm3, t of carbon and t of CO2, kWh and kgce.
"""

from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.worked import Figure, Worked, shown

Dimension = tuple[tuple[str, int], ...]
CO2_PER_CARBON: Final = Fraction(44, 12)  # molar masses as the sector guides (GB/T 32151) write them
_POUND_KG: Final = Fraction("0.45359237")  # international avoirdupois pound, exact by definition (1959)

# unit -> (dimension, its size in the dimension's own unit: J, kg, kg of CO2, l, normal l, s, m2, kgce, pieces)
UNITS: Final[dict[str, tuple[str, Fraction]]] = {
    "J": ("energy", Fraction(1)),
    "kJ": ("energy", Fraction(10**3)),
    "MJ": ("energy", Fraction(10**6)),
    "GJ": ("energy", Fraction(10**9)),
    "TJ": ("energy", Fraction(10**12)),
    "Wh": ("energy", Fraction(3600)),
    "kWh": ("energy", Fraction(3600 * 10**3)),
    "MWh": ("energy", Fraction(3600 * 10**6)),
    "GWh": ("energy", Fraction(3600 * 10**9)),
    "TWh": ("energy", Fraction(3600 * 10**12)),
    "kcal": ("energy", Fraction("4186.8")),  # International Table calorie (ISO 31-4)
    "W": ("power", Fraction(1)),
    "kW": ("power", Fraction(10**3)),
    "MW": ("power", Fraction(10**6)),
    "mg": ("mass", Fraction(1, 10**6)),
    "g": ("mass", Fraction(1, 10**3)),
    "kg": ("mass", Fraction(1)),
    "t": ("mass", Fraction(10**3)),
    "kt": ("mass", Fraction(10**6)),
    "Mt": ("mass", Fraction(10**9)),
    "lb": ("mass", _POUND_KG),
    "kgCO2": ("mass of CO2", Fraction(1)),
    "tCO2": ("mass of CO2", Fraction(10**3)),
    "kgC": ("mass of CO2", CO2_PER_CARBON),
    "tC": ("mass of CO2", CO2_PER_CARBON * 10**3),
    "l": ("volume", Fraction(1)),
    "L": ("volume", Fraction(1)),
    "m3": ("volume", Fraction(10**3)),
    "Nm3": ("normal volume", Fraction(10**3)),
    "10^4Nm3": ("normal volume", Fraction(10**7)),
    "10^4 Nm3": ("normal volume", Fraction(10**7)),
    "s": ("time", Fraction(1)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "d": ("time", Fraction(86_400)),
    "m2": ("area", Fraction(1)),
    "ha": ("area", Fraction(10**4)),
    "mu": ("area", Fraction(10**4, 15)),  # 15 mu are a hectare
    "kgce": ("coal equivalent", Fraction(1)),
    "tce": ("coal equivalent", Fraction(10**3)),
    "%": ("number", Fraction(1, 100)),
    "1": ("number", Fraction(1)),
}


def size(unit: str) -> tuple[Dimension, Fraction]:
    """Dimension and size of `t`, `kg/kWh`, `GJ/10^4Nm3`. Raises Impossible."""
    dimensions: dict[str, int] = {}
    scale = Fraction(1)
    for place, part in enumerate(unit.split("/")):
        if part not in UNITS:
            raise Impossible(f"unit {unit!r}: expected one of {', '.join(UNITS)}, or a quotient of two, saw {part!r}")
        dimension, one = UNITS[part]
        sign = 1 if place == 0 else -1
        scale *= one**sign
        if dimension != "number":
            dimensions[dimension] = dimensions.get(dimension, 0) + sign
    return tuple(sorted((name, n) for name, n in dimensions.items() if n)), scale


def converted(value: Fraction, unit: str, to_unit: str) -> Fraction:
    """Raises Impossible where the units do not measure the same thing."""
    have, scale = size(unit)
    want, to_scale = size(to_unit)
    if have != want:
        raise Impossible(
            f"expected a unit like {to_unit} ({_said(want)}), saw {unit} ({_said(have)}){_hint(have, want)}"
        )
    return value * scale / to_scale


def convert(value: Fraction, unit: str, to_unit: str) -> Worked:
    """A value in another unit of the same dimension. Raises Impossible."""
    outcome = converted(value, unit, to_unit)
    made_of = f"{shown(value)} {unit} x {shown(converted(Fraction(1), unit, to_unit))} {to_unit} per {unit}"
    return Worked((Figure("value", outcome, to_unit, made_of),), ("value",))


def _said(dimension: Dimension) -> str:
    above = " x ".join(name for name, n in dimension for _ in range(n)) or "number"
    below = " x ".join(name for name, n in dimension for _ in range(-n))
    return f"{above} per {below}" if below else above


def _hint(have: Dimension, want: Dimension) -> str:
    names = {name for name, _ in have} ^ {name for name, _ in want}
    if names == {"volume", "normal volume"}:
        return ": use the formula normal-volume"
    if "coal equivalent" in names:
        return ": use the formula coal-equivalent"
    return ""

"""A calculation with its steps: what every formula gives. Not the formulas."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final

_TWELVE: Final = Context(prec=12, rounding=ROUND_HALF_EVEN)
DECIMALS: Final = 12  # of a tonne: a microgram. Figures are exact until they are shown.


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a calculation: its name (ends in the unit), how it was made, its value. None: there is no figure."""

    name: str
    value: Fraction | None
    unit: str
    made_of: str


@dataclass(frozen=True, slots=True)
class Worked:
    """The figures of a calculation in the order in which they were made; `results` names those that were asked for.

    `notes` are what a reader must know beside the figure: a broken limit, a missing band, a share left out.
    """

    figures: tuple[Figure, ...]
    results: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Fraction:
        """The value of a figure. Raises KeyError where it is missing or has no value."""
        value = self.figure(name).value
        if value is None:
            raise KeyError(name)
        return value

    def figure(self, name: str) -> Figure:
        """Raises KeyError."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def with_more(self, figures: Iterable[Figure], results: Iterable[str] = (), notes: Iterable[str] = ()) -> "Worked":
        """The same calculation carried on."""
        return Worked((*self.figures, *figures), (*self.results, *results), (*self.notes, *notes))


def shown(value: Fraction, decimals: int = DECIMALS) -> str:
    """A value as a person reads it: plain decimal, rounded once, half-even; small values keep 12 significant digits."""
    if value and abs(value) < Fraction(1, 10**6):
        small = _TWELVE.divide(Decimal(value.numerator), Decimal(value.denominator))
        return f"{small.normalize(_TWELVE):f}"
    scaled = round(value * 10**decimals)
    whole, rest = divmod(abs(scaled), 10**decimals)
    fraction = f"{rest:0{decimals}d}".rstrip("0")
    return f"{'-' if scaled < 0 else ''}{whole}{'.' + fraction if fraction else ''}"


def listed(values: Iterable[Fraction | None]) -> str:
    """Values in a line, `-` where one is missing."""
    return ", ".join("-" if value is None else shown(value) for value in values)

"""What makes an input impossible, said with what was expected and what was seen. Not the reading of text."""

from collections.abc import Sequence
from fractions import Fraction

from aggregator.emissions.formulas.worked import shown


class Impossible(ValueError):
    """An input that no plant can have, or inputs that contradict each other; the message names them."""


def positive(name: str, value: Fraction) -> None:
    """Raises Impossible."""
    if value <= 0:
        raise Impossible(f"{name}: expected more than 0, saw {shown(value)}")


def not_negative(name: str, value: Fraction) -> None:
    """Raises Impossible."""
    if value < 0:
        raise Impossible(f"{name}: expected 0 or more, saw {shown(value)}")


def ratio(name: str, value: Fraction) -> None:
    """A share of 0 to 1. Raises Impossible; what looks like a percentage is said so."""
    if not 0 <= value <= 1:
        hint = f" ({shown(value)} % is {shown(value / 100)})" if 1 < value <= 100 else ""
        raise Impossible(f"{name}: expected 0 to 1, saw {shown(value)}{hint}")


def between(name: str, value: Fraction, low: str, high: str, hint: str = "") -> None:
    """Outside [low, high] lies a slip of unit or digit. Raises Impossible."""
    if not Fraction(low) <= value <= Fraction(high):
        raise Impossible(f"{name}: expected {low} to {high}, saw {shown(value)}{'; ' + hint if hint else ''}")


def same_length(**columns: Sequence[object]) -> int:
    """How many values every column has. Raises Impossible where they differ or there are none."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        seen = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise Impossible(f"expected as many values in each of {', '.join(columns)}, saw {seen}")
    return lengths.pop()

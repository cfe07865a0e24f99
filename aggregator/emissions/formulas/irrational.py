"""Roots, logarithms and powers of exact numbers to 50 digits. Nothing that fractions can do exactly."""

from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

DIGITS: Final = 50
_FIFTY: Final = Context(prec=DIGITS)


def _decimal(value: Fraction) -> Decimal:
    return _FIFTY.divide(Decimal(value.numerator), Decimal(value.denominator))


def root(value: Fraction) -> Fraction:
    """The square root of a value of 0 or above."""
    return Fraction(_FIFTY.sqrt(_decimal(value)))


def logarithm(value: Fraction) -> Fraction:
    """The natural logarithm of a value above 0."""
    return Fraction(_FIFTY.ln(_decimal(value)))


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """A base above 0 to any exponent; exact where the exponent is whole."""
    if exponent.denominator == 1:
        return Fraction(base) ** int(exponent)
    return Fraction(_FIFTY.exp(_FIFTY.multiply(_decimal(exponent), _FIFTY.ln(_decimal(base)))))

"""Numbers on the command line: finite ones, at or above 0, above 0. Not what they count: the option's name says that."""

import argparse
import math


def not_negative(text: str) -> float:
    """A finite number, 0 or above."""
    found = _number(text)
    if 0 <= found < math.inf:
        return found
    raise argparse.ArgumentTypeError(f"expected a number, 0 or above, got {text!r}")


def above_zero(text: str) -> float:
    """A finite number above 0."""
    found = _number(text)
    if 0 < found < math.inf:
        return found
    raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")


def _number(text: str) -> float:
    """NaN, which fits no bound, where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan

"""What may flow on a branch as bounds on its channels, and by how much an asset must give way until one holds. Pure geometry; chooses nobody.

```
norm       |I| <= bound            a phase, the neutral (A), or P + jQ (kVA)
import     P <= bound              kW
export     -P <= bound             kW
unbalance  |I_p| - |I_q| <= bound  A
```
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edge_agent.limits.network import L1, L2, L3, NEUTRAL, POWER
from wire.circuit import Branch

TINY: Final = 1e-9
_PAIRS: Final = tuple((first, second) for first in (L1, L2, L3) for second in (L1, L2, L3) if first != second)


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound, in the unit of its channel. `other` is the second phase of an unbalance. `money`: it saves money and breaks no promise."""

    kind: Literal["norm", "import", "export", "unbalance"]
    channel: int
    bound: float
    other: int = 0
    money: bool = False


def bounds_of(branch: Branch) -> tuple[Bound, ...]:
    """What a branch's own description bounds."""
    found = []
    if branch.limit_kva is not None:
        found.append(Bound("norm", POWER, branch.limit_kva))
    if branch.limit_a is not None:
        found += [Bound("norm", phase, branch.limit_a) for phase in (L1, L2, L3)]
    if branch.neutral_limit_a is not None:
        found.append(Bound("norm", NEUTRAL, branch.neutral_limit_a))
    if branch.unbalance_limit_a is not None:
        found += [Bound("unbalance", first, branch.unbalance_limit_a, second) for first, second in _PAIRS]
    if branch.export_limit_kw is not None:
        found.append(Bound("export", POWER, branch.export_limit_kw))
    return tuple(found)


def excess(bound: Bound, channels: Sequence[complex], bound_ratio: float) -> float:
    """How far the channels lie above `bound_ratio` of a bound, in its unit; not positive: it holds."""
    value = channels[bound.channel]
    if bound.kind == "norm":
        return abs(value) - bound.bound * bound_ratio
    if bound.kind == "import":
        return value.real - bound.bound * bound_ratio
    if bound.kind == "export":
        return -value.real - bound.bound * bound_ratio
    return abs(value) - abs(channels[bound.other]) - bound.bound * bound_ratio


def step_kw(
    bound: Bound, channels: Sequence[complex], per_kw: Sequence[complex], towards: int, bound_ratio: float
) -> float:
    """By how many kW an asset must go down (`towards` -1) or up (+1) until the bound holds; inf where that does not help."""
    over = excess(bound, channels, bound_ratio)
    if over <= 0:
        return 0.0
    value, change = channels[bound.channel], per_kw[bound.channel] * towards
    if bound.kind == "import":
        return -over / change.real if change.real < -TINY else math.inf
    if bound.kind == "export":
        return over / change.real if change.real > TINY else math.inf
    along = _along(value, change)
    if bound.kind == "unbalance":
        slope = along - _along(channels[bound.other], per_kw[bound.other] * towards)
        return -over / slope if slope < -TINY else math.inf
    if along >= -TINY:
        return math.inf
    # |value + d change| = most: a quadratic in d; where it has no root, d of the smallest norm
    most = bound.bound * bound_ratio
    square, half = abs(change) ** 2, -along * abs(value)
    inside = half * half - square * (abs(value) ** 2 - most * most)
    return (half - math.sqrt(inside)) / square if inside > 0 else half / square


def _along(value: complex, change: complex) -> float:
    """How fast |value| grows with a change; where there is no value, as fast as the change is."""
    size = abs(value)
    return abs(change) if size < TINY else (value.real * change.real + value.imag * change.imag) / size

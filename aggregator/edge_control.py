"""What an edge says of the limits that it keeps, for the page: which rules hold and what is lost. Steers nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

STATES: Final = ("plan", "local", "safe")
AMISS: Final = ("safe", "fail_safe", "lost")
_MOST: Final = 64  # things that are amiss


@dataclass(frozen=True, slots=True)
class EdgeControl:
    """`state`: plan, local or safe; `amiss`: what is not as it should be ("branch garage") and its state (safe, fail_safe, lost)."""

    state: str
    reason: str = ""
    amiss: tuple[tuple[str, str], ...] = ()


def control_of(figures: Mapping[str, Any]) -> EdgeControl | None:
    """What the figures of a status say; None where the edge keeps no limits, or says what nobody knows."""
    state, reason, amiss = figures.get("control"), figures.get("control_reason"), figures.get("control_amiss")
    if state not in STATES:
        return None
    named = amiss.items() if isinstance(amiss, Mapping) else ()
    known = [(str(name)[:100], what) for name, what in named if what in AMISS]
    return EdgeControl(state, reason[:300] if isinstance(reason, str) else "", tuple(sorted(known)[:_MOST]))

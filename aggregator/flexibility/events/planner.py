"""What events ask of plans, and get back from them; an aggregator without a planner gives nothing. Not the planning (`aggregator.planning`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aggregator.flexibility.events.event import DemandResponse, Firm
from aggregator.flexibility.events.trace import Sent
from wire.circuit import Circuit


@dataclass(frozen=True, slots=True)
class Planner:
    """What a plan gives back: firm kW of an event, kW in each of its intervals as planned, when a schedule with it was sent, the circuit; the newest plan and
    offers for people; and the word that something is asked anew."""

    firm: Callable[[DemandResponse], Firm | None] = lambda _event: None
    planned_kw: Callable[[DemandResponse], Sequence[float] | None] = lambda _event: None
    sent_at_ms: Callable[[DemandResponse], int | None] = lambda _event: None
    circuit: Callable[[str], Circuit | None] = lambda _facility: None
    asked_anew: Callable[[str], None] = lambda _facility: None
    plan: Callable[[str], dict[str, Any] | None] = lambda _facility: None
    offers: Callable[[str], dict[str, Any] | None] = lambda _facility: None
    sent: Callable[[DemandResponse], Sequence[Sent]] = lambda _event: ()

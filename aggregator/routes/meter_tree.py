"""The meter tree with its energies over HTTP: own parts, unmetered remainder, checks, at every roll-up. Not the division (`aggregator.accounts.tree.tree`)."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from aggregator.accounts.tree.slots import FLOWS
from aggregator.accounts.tree.tree import CheckSum, Metered, NodeSum, TreeSums
from aggregator.emissions.amounts import EXACT
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, Span

router = APIRouter(prefix="/api/v1/facilities/{facility}/tree", tags=["meter tree"], dependencies=[Reader])

METER_INTERVALS_MAX: Final = 4_000_000  # about 10 s of work
SPANS_MAX: Final = 3000  # a month of quarter-hours


class TreeParameters(Span):
    """Half-open [from, to). `as_of`: as it was said then."""

    roll_up: Literal["total", "month", "day", "interval"] = "total"
    carrier: Annotated[str, Query(max_length=32)] = "electricity"
    as_of: Instant | None = None


class NodeAnswer(Answer):
    """A meter; decimals are text, null where there is no figure. `own`: what no meter inside it has measured, over `divided` intervals;
    `too_small`: the meters inside measure more, by more than accuracies explain (`allowed`)."""

    device: str
    role: str
    parent: str
    energy: str | None
    exported: str
    own: str | None
    allowed: str
    too_small: bool
    intervals: int
    divided: int
    substituted: int
    provisional: int


class CheckAnswer(Answer):
    """A check meter beside the one it checks, over the intervals that both have. `too_far`: beyond both classes together."""

    device: str
    checks: str
    energy: str | None
    checked: str | None
    apart_percent: str | None
    limit_percent: str
    too_far: bool
    intervals: int


class TreeSumsAnswer(Answer):
    """total = own parts of all that is not main + unmetered + undivided, exactly. `expected`: intervals in the span."""

    from_ms: int
    to_ms: int
    expected: int
    total: str | None
    unmetered: str | None
    undivided: str
    nodes: list[NodeAnswer]
    apart: list[NodeAnswer]
    checks: list[CheckAnswer]


class TreeAnswer(Answer):
    """The tree of a carrier over each span of the roll-up."""

    facility: str
    carrier: str
    unit: str
    spans: list[TreeSumsAnswer]


def text(value: Decimal | None) -> str | None:
    """A decimal as text, without an exponent and without zeros behind it."""
    return None if value is None else _plain(value)


def _plain(value: Decimal) -> str:
    return f"{value.normalize(EXACT):f}"


def _node(line: NodeSum) -> NodeAnswer:
    return NodeAnswer(
        device=line.node.device,
        role=line.node.role.value,
        parent=line.node.parent,
        energy=text(line.energy),
        exported=_plain(line.exported),
        own=text(line.own),
        allowed=_plain(line.allowed),
        too_small=line.too_small,
        intervals=line.intervals,
        divided=line.divided,
        substituted=line.substituted,
        provisional=line.provisional,
    )


def _check(line: CheckSum) -> CheckAnswer:
    apart = line.apart_percent
    return CheckAnswer(
        device=line.device,
        checks=line.checks,
        energy=text(line.energy),
        checked=text(line.checked),
        apart_percent=None if apart is None else f"{apart:.6f}",
        limit_percent=_plain(line.limit_percent),
        too_far=line.too_far,
        intervals=line.intervals,
    )


def as_answer(found: TreeSums) -> TreeSumsAnswer:
    """One span of the tree."""
    return TreeSumsAnswer(
        from_ms=found.from_ms,
        to_ms=found.to_ms,
        expected=found.expected,
        total=text(found.total),
        unmetered=text(found.unmetered),
        undivided=_plain(found.undivided),
        nodes=[_node(line) for line in found.nodes.values()],
        apart=[_node(line) for line in found.apart.values()],
        checks=[_check(line) for line in found.checks],
    )


@router.get("")
def tree(given: Given, named: Named, wanted: Annotated[TreeParameters, Query()]) -> TreeAnswer:
    """What each meter has measured, its own part, and what nobody measured further. Only mains make the total."""
    span = wanted.checked()
    if wanted.carrier not in FLOWS:
        raise Problem(422, "bad query", "carrier", f"one of {', '.join(FLOWS)}", wanted.carrier)
    meters = [meter for meter in named.meters if meter.carrier == wanted.carrier]
    intervals = (span.to_ms - span.from_ms) // named.interval_ms
    if intervals * max(len(meters), 1) > METER_INTERVALS_MAX:
        expected = f"at most {METER_INTERVALS_MAX} intervals of all {len(meters)} meters together"
        raise Problem(422, "span too long", "to", expected, intervals * len(meters))
    if wanted.roll_up == "interval" and intervals > SPANS_MAX:
        raise Problem(422, "span too long", "to", f"at most {SPANS_MAX} intervals", intervals)
    metered = Metered(
        named,
        wanted.carrier,
        lambda device, quantity: given.books.ledger.intervals(
            named.id, device, quantity, span.from_ms, span.to_ms, wanted.as_of
        ),
        span.from_ms,
        span.to_ms,
    )
    return TreeAnswer(
        facility=named.id,
        carrier=wanted.carrier,
        unit=metered.unit,
        spans=[as_answer(found) for found in metered.roll_up(wanted.roll_up)],
    )

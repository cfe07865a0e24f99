"""What is published of a span and what is known now, both visible, with the change and its causes. Computes no statement of its own (see `compile`).

published: what stands, or stood at `as_of_ms`; latest: as known now; as_of: as known at `as_of_ms`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.compile import Accounts, CannotCompile, Span
from aggregator.accounts.runs.bridge import Bridge
from aggregator.accounts.runs.calculation import rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import again, bridge_of, compiled
from aggregator.accounts.runs.run import Publication

VIEWS: Final = ("published", "latest", "as_of")


@dataclass(frozen=True, slots=True)
class Seen:
    """A published span within the one that was asked for: what was published, what is known (now, or at the time asked for; under a profile that later factors do not restate, with the factors of then), and the change."""

    publication: Publication
    known_kg: Decimal | None
    bridge: Bridge


@dataclass(frozen=True, slots=True)
class View:
    """`kg` is the figure under the view: None also where the span is not published as such. `series`: every publication within, by time."""

    view: str
    as_of_ms: int
    kg: Decimal | None
    published: Publication | None
    known_kg: Decimal | None
    series: tuple[Seen, ...]


def viewed(
    accounts: Accounts, runs: Runs, facility: str, profile: str, span: tuple[int, int], view: str, as_of_ms: int | None
) -> View:
    """Raises CannotCompile and as `calculated`."""
    if view not in VIEWS:
        raise CannotCompile(f"view: expected one of {', '.join(VIEWS)}, got {view!r}")
    if view == "as_of" and as_of_ms is None:
        raise CannotCompile("as_of: expected a time, because the view is as_of, got nothing")
    at_ms = accounts.clock() if as_of_ms is None else as_of_ms
    rules = rules_now(accounts, facility, profile)
    known = compiled(accounts, rules, Span(*span, at_ms)).kg()
    published = runs.standing(facility, profile, *span, at_ms)
    stood = {(each.from_ms, each.to_ms): each for each in runs.publications(facility, profile) if each.at_ms <= at_ms}
    series = []
    for (from_ms, to_ms), publication in sorted(stood.items()):
        if span[0] <= from_ms and to_ms <= span[1]:
            asked = again(accounts, runs, publication, at_ms)
            made = compiled(accounts, *asked)
            series.append(Seen(publication, made.kg(), bridge_of(accounts, runs, publication, asked, made)))
    total_kg = known if view != "published" else None if published is None else published.kg
    return View(view, at_ms, total_kg, published, known, tuple(series))

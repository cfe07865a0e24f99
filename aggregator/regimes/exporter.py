"""An export by the name of its regime: which statements it needs, and its bytes. Not the forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.accounts.activities.products import Divided, divided
from aggregator.accounts.activities.record import InForce, activities_in_force
from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.runs.restatement import bridge_between
from aggregator.regimes.cbam import cbam
from aggregator.regimes.cn_gbt import cn_gbt
from aggregator.regimes.form import CannotExport, Export, as_csv, as_json
from aggregator.regimes.ghgp import LOCATION, MARKET, ghgp
from aggregator.regimes.pact import Company, Sent, pact
from aggregator.regimes.performance import performance

REGIMES: Final = ("CN-GBT", "CBAM", "PACT", "GHGP")
FORMATS: Final = {"csv": ("text/csv; charset=utf-8", as_csv), "json": ("application/json", as_json)}

NOBODY: Final = Company("", "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported. `before_ms`: the knowledge time of what was sent earlier (PACT). `profile`: whose factors products take, where the
    regime leaves it open (PACT, products)."""

    facility: str
    from_ms: int
    to_ms: int
    as_of_ms: int | None = None
    profile: str = LOCATION
    company: Company = NOBODY
    before_ms: int | None = None


def export(accounts: Accounts, regime: str, wanted: Wanted) -> Export:
    """Raises CannotExport, and what a statement raises."""
    facility = accounts.facility(wanted.facility)
    as_of_ms = accounts.clock() if wanted.as_of_ms is None else wanted.as_of_ms
    span = (wanted.from_ms, wanted.to_ms, as_of_ms)
    if regime == "CN-GBT":
        return cn_gbt(
            accounts.statement(facility.id, regime, *span), facility, _records(accounts, facility.id, as_of_ms)
        )
    if regime == "GHGP":
        location, market = (accounts.statement(facility.id, profile, *span) for profile in (LOCATION, MARKET))
        return ghgp(location, market, facility)
    if regime == "CBAM":
        return cbam(_divided(accounts, wanted, "CBAM", as_of_ms), facility)
    if regime == "PACT":
        made = _divided(accounts, wanted, wanted.profile, as_of_ms)
        return pact(made, facility, wanted.company, _sent(accounts, wanted, made))
    raise CannotExport(f"regime: expected one of {', '.join(REGIMES)}, got {regime!r}")


def products(accounts: Accounts, wanted: Wanted) -> Export:
    """Per product and per area, under any profile. Raises what a statement raises."""
    as_of_ms = accounts.clock() if wanted.as_of_ms is None else wanted.as_of_ms
    return performance(_divided(accounts, wanted, wanted.profile, as_of_ms), accounts.facility(wanted.facility))


def _sent(accounts: Accounts, wanted: Wanted, made: Divided) -> Sent | None:
    if wanted.before_ms is None:
        return None
    earlier = _divided(accounts, wanted, wanted.profile, wanted.before_ms)
    rules = Rules(accounts.facility(wanted.facility), accounts.profile(wanted.profile))
    old, new = (
        (rules, Span(wanted.from_ms, wanted.to_ms, one.statement.as_of_ms), one.statement.kg())
        for one in (earlier, made)
    )
    return Sent(earlier, bridge_between(accounts, old, new).text())


def _divided(accounts: Accounts, wanted: Wanted, profile: str, as_of_ms: int) -> Divided:
    span = (wanted.from_ms, wanted.to_ms, as_of_ms)
    made = accounts.statement(wanted.facility, profile, *span)
    facility = accounts.facility(wanted.facility)
    located = None
    if accounts.profile(profile).method == "market" and any(process.meters for process in facility.processes):
        located = accounts.statement(facility.id, LOCATION, *span)
    return divided(made, facility, _records(accounts, facility.id, as_of_ms), located)


def _records(accounts: Accounts, facility: str, as_of_ms: int) -> Sequence[InForce]:
    return activities_in_force(accounts.data_directory, facility, as_of_ms)

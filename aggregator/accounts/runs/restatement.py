"""What a corrected factor, reading or boundary does to what is published: the impact list first, then a run that restates. Not its approval (see `runs`).

Late data and corrected factors move open spans by themselves. A published span keeps its figure until a restatement of it is approved by a second
person and published.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from aggregator.accounts.compile import Accounts, CannotCompile, Span, compile_statement
from aggregator.accounts.notices import notices_in_force
from aggregator.accounts.record_file import RecordsRefused
from aggregator.accounts.runs.bridge import Bridge, bridge
from aggregator.accounts.runs.calculation import calculated, code_version, rules_now, span_of
from aggregator.accounts.runs.causes import FUEL_PARAMETER, GWP_SET, causes_between, inputs_of, mixed
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.runs.record import THRESHOLD_PERCENT, Runs
from aggregator.accounts.runs.run import Publication, Run
from aggregator.accounts.statement import Statement
from aggregator.intervals.local_time import local_year

Known = tuple[Rules, Span, Decimal | None]  # what was asked, and the total


@dataclass(frozen=True, slots=True)
class Impact:
    """What a publication would become. `bridge`: from its total to the new one; `reissue`: whether that is enough to publish it again.

    `lines`: how many lines differ. `unknown` says why it cannot be told, then there is no bridge.
    """

    publication: Publication
    bridge: Bridge | None
    reissue: bool
    lines: int
    unknown: str = ""


def impact(
    accounts: Accounts,
    runs: Runs,
    now_ms: int,
    facility: str | None = None,
    threshold_percent: Decimal = THRESHOLD_PERCENT,
    *,
    drafts: bool = False,
) -> Iterator[Impact]:
    """The publications that would change if they were calculated now, in their order; those that would not are left out.

    `drafts`: as if the drafts of factors and activities were approved. Raises what `calculated` raises.
    """
    for publication in runs.publications(facility):
        if publication.standing:
            found = impact_on(accounts, runs, publication, now_ms, threshold_percent, drafts=drafts)
            if found is not None:
                yield found


def impact_on(
    accounts: Accounts,
    runs: Runs,
    publication: Publication,
    now_ms: int,
    threshold_percent: Decimal = THRESHOLD_PERCENT,
    *,
    drafts: bool = False,
) -> Impact | None:
    """What one publication would become; None: it would not change. Raises what `calculated` raises."""
    try:
        rules, span = again(accounts, runs, publication, now_ms, drafts=drafts)
        made = compiled(accounts, rules, span)
        lines = changed_lines(runs.statement(publication.run), made)
        if not lines:
            return None
        found = bridge_of(accounts, runs, publication, (rules, span), made)
    except CannotCompile as error:
        return Impact(publication, None, False, 0, str(error))
    return Impact(publication, found, found.reaches(threshold_percent), lines)


def restated(
    accounts: Accounts,
    runs: Runs,
    no: int,
    operator: str,
    reason: str,
    now_ms: int,
    threshold_percent: Decimal = THRESHOLD_PERCENT,
) -> Run:
    """A run that is to take the place of a publication, with its causes. Raises RecordsRefused where nothing has changed."""
    publication = runs.publication(no)
    if not publication.standing:
        raise RecordsRefused([f"publication {no}: expected one that stands, another has taken its place"])
    rules, span = again(accounts, runs, publication, now_ms)
    made = calculated(accounts, rules, span)
    if not changed_lines(runs.statement(publication.run), made.statement):
        raise RecordsRefused([f"publication {no}: expected a change, what is known now gives the same lines"])
    found = bridge_of(accounts, runs, publication, (rules, span), made.statement)
    return runs.add(made, operator, reason, now_ms, publication, found, threshold_percent)


def again(
    accounts: Accounts, runs: Runs, publication: Publication, now_ms: int, *, drafts: bool = False
) -> tuple[Rules, Span]:
    """How the publication's span is asked for now: under a profile that later factors do not restate, with the factors of then."""
    rules = rules_now(accounts, publication.facility, publication.profile)
    moved = moved_by_factors(accounts, rules, publication, now_ms)
    factors_ms = None if moved else runs.run(publication.run).factors_as_of_ms
    return rules, Span(publication.from_ms, publication.to_ms, now_ms, factors_ms, drafts and moved, drafts)


def compiled(accounts: Accounts, rules: Rules, span: Span) -> Statement:
    """The statement alone. Raises what `Accounts.opened` raises."""
    with accounts.opened(rules.facility, rules.profile, span) as (period, makers):
        return compile_statement(period, makers)


def moved_by_factors(accounts: Accounts, rules: Rules, publication: Publication, now_ms: int) -> bool:
    """Whether a factor that was corrected or appeared later restates the publication: as the profile says, or the notices of its years."""
    if not rules.profile.needs_notice:
        return rules.profile.restated_by_factors
    zone = rules.facility.zone
    years = range(local_year(publication.from_ms, zone), local_year(publication.to_ms - 1, zone) + 1)
    notices = notices_in_force(accounts.data_directory, publication.profile, publication.facility, now_ms)
    return all(year in notices and notices[year].restate_on_new_factor for year in years)


def bridge_of(
    accounts: Accounts, runs: Runs, publication: Publication, asked: tuple[Rules, Span], made: Statement
) -> Bridge:
    """From the publication's total to that of the statement that was `made` when its span was asked for again."""
    run = runs.run(publication.run)
    lines = (*runs.statement(run.no).lines, *made.lines)
    return bridge_between(
        accounts,
        (runs.rules(run.no), span_of(run), run.kg),
        (*asked, made.kg()),
        same_code=run.code_version == code_version(),
        electricity=all(line.carrier == "electricity" for line in lines),
    )


def bridge_of_runs(accounts: Accounts, runs: Runs, first: int, second: int) -> Bridge:
    """From one run's total to another's, of one facility, profile and span. Raises RecordsRefused."""
    one, other = runs.run(first), runs.run(second)
    if (one.facility, one.profile, one.from_ms, one.to_ms) != (
        other.facility,
        other.profile,
        other.from_ms,
        other.to_ms,
    ):
        raise RecordsRefused([f"runs {first} and {second}: expected one facility, profile and span, they have others"])
    pairs = [(runs.rules(run.no), span_of(run), run.kg) for run in (one, other)]
    return bridge_between(accounts, pairs[0], pairs[1])


def bridge_between(
    accounts: Accounts, old: Known, new: Known, *, same_code: bool = False, electricity: bool = False
) -> Bridge:
    """The split by what the total is when some inputs are new and the others old; all under the old profile, method and code come last.

    In those totals what has no figure adds nothing, as in a statement's sum. `same_code`: the old total is that of this program.
    `electricity`: neither side has lines of anything else, so that no fuel parameter and no potential has an effect.
    """
    (old_rules, old_span, before_kg), (new_rules, new_span, after_kg) = old, new
    one, other = inputs_of(accounts, old_rules, old_span), inputs_of(accounts, new_rules, new_span)
    causes = [
        cause for cause in causes_between(one, other) if not electricity or cause not in (FUEL_PARAMETER, GWP_SET)
    ]

    def total_kg(fresh: frozenset[str]) -> Fraction:
        if not fresh and same_code:
            kg = before_kg
        elif fresh == frozenset(causes) and one.rules.profile == other.rules.profile:
            kg = after_kg
        else:
            kg = mixed(accounts, one, other, fresh).kg()
        return Fraction(0 if kg is None else kg)

    return bridge(before_kg, after_kg, causes, total_kg)


def changed_lines(old: Statement, new: Statement) -> int:
    """How many lines are in one statement only."""
    if old.expected != new.expected and old.lines == new.lines:
        return 1
    return len(set(old.lines) ^ set(new.lines))

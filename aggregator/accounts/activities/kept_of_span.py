"""The activity records that a statement reads, as a run keeps them. Not their form (see `kept`)."""

from pathlib import Path

from aggregator.accounts.activities.kept import Kept
from aggregator.accounts.activities.record import activities_in_force
from aggregator.emissions.factors import AVERAGE
from aggregator.emissions.profiles import Profile
from aggregator.facility import Facility


def kept_of_span(
    directory: Path,
    facility: Facility,
    rules: Profile,
    from_ms: int,
    to_ms: int,
    as_of_ms: int,
    *,
    drafts: bool = False,
) -> list[Kept]:
    """What was in force of the span when it was known, in the order of the records; none under a marginal profile, which has no activities.

    Raises RecordsUnusable, RecordsBusy.
    """
    if rules.signal != AVERAGE:
        return []
    found = []
    for one in activities_in_force(directory, facility.id, as_of_ms, drafts=drafts):
        begin_ms, end_ms = one.activity.span_ms(facility.zone)
        if begin_ms < to_ms and end_ms > from_ms:
            found.append(Kept(one.activity, one.approved_by, begin_ms, end_ms, one.waiting))
    return found

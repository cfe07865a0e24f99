"""Savings that were claimed against a baseline and approved by a second person. Not a statement's avoided lines, which follow from meters."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

from aggregator.accounts.activities.activity import exact_or_rounded
from aggregator.accounts.activities.record import activities_in_force
from aggregator.facility import Facility
from aggregator.intervals.local_time import start_of_day_ms

SAVING: Final = "saving"  # the kind of activity


def claimed_kg(directory: Path, facility: Facility, from_ms: int, to_ms: int) -> Decimal | None:
    """kg CO2e claimed as saved in [from_ms, to_ms): of a claim that reaches beyond, the share of its local days that begin within. None: no claim.

    Raises RecordsUnusable, RecordsBusy.
    """
    total = Fraction(0)
    found = False
    for each in activities_in_force(directory, facility.id):
        claim = each.activity
        if claim.kind != SAVING or not each.approved:
            continue
        days = [claim.from_day + timedelta(days=number) for number in range((claim.to_day - claim.from_day).days)]
        within = sum(from_ms <= start_of_day_ms(day, facility.zone) < to_ms for day in days)
        if within:
            total += Fraction(claim.counted()[0]) * within / len(days)
            found = True
    return exact_or_rounded(total) if found else None

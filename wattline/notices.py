"""`wattline factors notice`: what a reporting year's notice fixes for a regime, entered by one person and approved by another. Not the factors."""

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path

from aggregator.accounts.notices import Notice, Notices, told


def decide_notices(options: argparse.Namespace, path: Path, clock: Callable[[], int]) -> int:
    """Exit status 0. `path`: the file of records. Raises RecordsRefused, RecordsUnusable, RecordsBusy, ValueError."""
    with Notices(path) as notices:
        if options.deed == "show":
            for line in told(notices.all()):
                print(line)
            return 0
        if options.deed == "approve":
            print(told([notices.approve(options.number, options.by, clock())])[0])
            return 0
        try:
            submitted_by = date.fromisoformat(options.submitted_by)
        except ValueError as error:
            raise ValueError(
                f"--submitted-by: expected a day such as 2026-03-31, got {options.submitted_by!r}"
            ) from error
        notice = Notice(
            regime=options.profile, year=options.year, place_level=options.place_level, factor_year_rule=options.factor_year,
            submitted_by=submitted_by, document=options.document, restate_on_new_factor=options.restate_on_new_factor,
            deducts_exports=options.deduct_exports, facility=options.facility, reason=options.reason,
        )  # fmt: skip
        kept = notices.add(notice, options.by, clock())
    print(told([kept])[0])
    print(f"It is a draft: wattline factors notice approve {kept.no} --by ANOTHER lets it count.")
    return 0

"""Lines of exported electricity that a regime takes off its total. Not the export itself, which is shown apart wherever it is metered.

GB/T 32150 deducts exports; domain rule: only where the sector part that the year's notice names says so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from aggregator.accounts.line import Counts, Line
from aggregator.accounts.metered import lines_of, mains
from aggregator.accounts.notices import Notice
from aggregator.accounts.period import Period
from aggregator.accounts.sealing.columns import pieces_of_rows
from aggregator.intervals.local_time import local_year

EXPORT: Final = "energy_export_kwh"


def deduction_maker(notices: Mapping[int, Notice]) -> Callable[[Period], Iterator[Line]]:
    """A maker for the years whose notice deducts exports: export of main meters x factor, below 0."""

    def lines(period: Period) -> Iterator[Line]:
        zone = period.facility.zone
        deducting = {year for year, notice in notices.items() if notice.deducts_exports}
        for meter in mains(period) if deducting else ():
            rows = [
                row for row in period.intervals(meter.device, EXPORT) if local_year(row.start_ms, zone) in deducting
            ]
            for line in lines_of(period, meter, pieces_of_rows(rows, period.resolve), Counts.SCOPE_2):
                yield replace(
                    line,
                    quantity=_negative(line.quantity),
                    kg=_negative(line.kg),
                    intervals=0,
                    marks=(*line.marks, "export_deducted"),
                )

    return lines


def _negative(value: Decimal | None) -> Decimal | None:
    return None if value is None else -value

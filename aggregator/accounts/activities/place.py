"""Where the lines of an activity record count, by its kind and by what the facility's main meters count already. Not what they come to (see `lines`)."""

from collections.abc import Iterable

from aggregator.accounts.activities.activity import Activity
from aggregator.accounts.line import Counts
from aggregator.intervals.meter import MeterSpec


def counted_as(record: Activity) -> Counts:
    """The scope of a record by itself."""
    if record.kind in ("electricity", "heat"):
        return Counts.SCOPE_2
    return Counts.SCOPE_3 if record.kind == "bought" else Counts.SCOPE_1


def metered(record: Activity, mains: Iterable[MeterSpec]) -> bool:
    """Whether a main meter of the facility counts what the record is of: then the record is shown inside the meter's lines, not beside them."""
    carriers = {"electricity": ("electricity",), "heat": ("heat", "steam")}.get(record.kind, ())
    burnt = record.subject if record.kind == "fuel" else None
    return any(meter.carrier in carriers or meter.use.fuel == burnt for meter in mains)

"""A load's kW per local day from the ledger's interval energies, for baselines. Not the baselines."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from aggregator.facility import Facility
from aggregator.flexibility.baseline import Series, by_day
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import Ledger
from wire.reading import Quality

IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"
HOUR_MS: Final = 3_600_000


def days_of(
    ledger: Ledger, facility: Facility, devices: Sequence[str], from_ms: int, to_ms: int, as_of_ms: int | None = None
) -> dict[date, Series]:
    """Net import of the devices together: import less export, kW by clock time of the facility. An interval that one of them was not measured well
    (or, of a device with both, lacks) is NaN."""
    interval_ms = facility.interval_ms
    sums: dict[int, list[float]] = {}
    for device in devices:
        net: dict[int, float] = {}
        for quantity, sign in ((IMPORT, 1.0), (EXPORT, -1.0)):
            for row in ledger.intervals(facility.id, device, quantity, from_ms, to_ms, as_of_ms):
                kwh = float(row.energy_kwh) if row.grade.quality is Quality.GOOD else np.nan
                net[row.start_ms] = net.get(row.start_ms, 0.0) + sign * kwh
        for start_ms, kwh in net.items():
            sums.setdefault(start_ms, []).append(kwh)
    rows = [
        (*place(start_ms, facility), sum(parts) * HOUR_MS / interval_ms)
        for start_ms, parts in sums.items()
        if len(parts) == len(devices)
    ]
    return by_day(rows, 24 * HOUR_MS // interval_ms)


def place(at_ms: int, facility: Facility) -> tuple[date, int]:
    """The local day and the number of the interval in it by the clock: on a day of 23 hours an hour is missing, of 25 one comes twice."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(facility.zone)
    return local.date(), (local.hour * 3600 + local.minute * 60 + local.second) // facility.interval_s


def start_ms(day: date, facility: Facility) -> int:
    """The first instant of a local day."""
    return start_of_day_ms(day, facility.zone)

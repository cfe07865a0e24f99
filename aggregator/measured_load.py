"""A load's kW per local day from the ledger's interval energies, for baselines, and the same intervals as lines that can be hashed. Not the baselines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.facility import Facility
from aggregator.flexibility.baseline import Series, by_day
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import Ledger
from wire.reading import Quality

IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"
HOUR_MS: Final = 3_600_000
QUANTUM: Final = "quantum"  # a reason of wire.reading.REASONS


@dataclass(frozen=True, slots=True)
class Measured:
    """The energy of one interval of one counter as a baseline takes it; `good`: it was measured well, be it in few counts: then it is off by a count at most."""

    device: str
    quantity: str
    start_ms: int
    energy_kwh: Decimal
    good: bool

    def line(self) -> str:
        """Its one spelling."""
        return (
            f"{self.device} {self.quantity} {self.start_ms} {self.energy_kwh:f} {'good' if self.good else 'not_good'}"
        )

    @classmethod
    def of_line(cls, line: str) -> "Measured":
        """Raises ValueError."""
        device, quantity, start, energy, good = line.split(" ")
        if good not in {"good", "not_good"} or not start.isdecimal() or len(energy) > 40:
            raise ValueError(f"expected device, quantity, start, kWh and good or not_good, got {line[:200]!r}")
        try:
            kwh = Decimal(energy)
        except ArithmeticError as error:
            raise ValueError(f"expected kWh, got {energy!r}") from error
        return cls(device, quantity, int(start), kwh, good == "good")


def measured_of(
    ledger: Ledger, facility: Facility, devices: Sequence[str], from_ms: int, to_ms: int, as_of_ms: int | None = None
) -> list[Measured]:
    """The intervals of both directions that start in [from_ms, to_ms), as they stand or stood; by device, direction and start."""
    return [
        Measured(
            device,
            quantity,
            row.start_ms,
            row.energy_kwh,
            row.grade.quality is Quality.GOOD or row.grade.reason == QUANTUM,
        )
        for device in devices
        for quantity in (IMPORT, EXPORT)
        for row in ledger.intervals(facility.id, device, quantity, from_ms, to_ms, as_of_ms)
    ]


def days_in(rows: Iterable[Measured], devices: Sequence[str], zone: ZoneInfo, interval_ms: int) -> dict[date, Series]:
    """Net import of the devices together: import less export, kW by clock time of the zone. An interval that one of them was not measured well
    (or, of a device with both, lacks) is NaN."""
    net: dict[str, dict[int, float]] = {device: {} for device in devices}
    for row in rows:
        of_device = net[row.device]
        kwh = float(row.energy_kwh) if row.good else np.nan
        of_device[row.start_ms] = of_device.get(row.start_ms, 0.0) + (kwh if row.quantity == IMPORT else -kwh)
    sums: dict[int, list[float]] = {}
    for of_device in net.values():
        for start_ms, kwh in of_device.items():
            sums.setdefault(start_ms, []).append(kwh)
    placed_rows = [
        (*placed(start_ms, zone, interval_ms), sum(parts) * HOUR_MS / interval_ms)
        for start_ms, parts in sums.items()
        if len(parts) == len(devices)
    ]
    return by_day(placed_rows, 24 * HOUR_MS // interval_ms)


def days_of(
    ledger: Ledger, facility: Facility, devices: Sequence[str], from_ms: int, to_ms: int, as_of_ms: int | None = None
) -> dict[date, Series]:
    """`days_in` of the ledger's intervals."""
    rows = measured_of(ledger, facility, devices, from_ms, to_ms, as_of_ms)
    return days_in(rows, devices, facility.zone, facility.interval_ms)


def place(at_ms: int, facility: Facility) -> tuple[date, int]:
    """`placed` at the facility."""
    return placed(at_ms, facility.zone, facility.interval_ms)


def placed(at_ms: int, zone: ZoneInfo, interval_ms: int) -> tuple[date, int]:
    """The local day and the number of the interval in it by the clock: on a day of 23 hours an hour is missing, of 25 one comes twice."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return local.date(), (local.hour * 3600 + local.minute * 60 + local.second) * 1000 // interval_ms


def start_ms(day: date, facility: Facility) -> int:
    """The first instant of a local day."""
    return start_of_day_ms(day, facility.zone)

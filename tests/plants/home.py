"""A measured home with PV, a simulated battery and the grid's measured intensity, laid into a ledger hour by hour.

Load, PV and intensity are data (CityLearn challenge 2022, MIT: homes in Fontana, California), the battery's dispatch is this file's: surplus in, deficit out.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from pool_plant import new_registry

from aggregator.accounts.compile import Accounts
from aggregator.emissions.intensity import GridIntensities, HourlyFactor
from aggregator.facility import Cell, Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger

DATA = Path(os.environ.get("WATTLINE_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
ZONE = "Etc/GMT+8"  # the data know no daylight saving
START = round(datetime(2021, 8, 1, tzinfo=ZoneInfo(ZONE)).timestamp() * 1000)
HOUR = 3_600_000
PV_KWP = Decimal(5)
CAPACITY_KWH = Decimal("6.4")
POWER_KW = Decimal("3.3")
RATIO = Decimal("0.95")  # each way
_CUT = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour, kWh; what the battery takes and gives is AC."""

    load: Decimal
    pv: Decimal
    charged: Decimal
    discharged: Decimal
    kg_per_kwh: Decimal

    @property
    def net(self) -> Decimal:
        return self.load + self.charged - self.pv - self.discharged


def hours(home: int, count: int, first: int = 0) -> list[Hour]:
    """`count` hours of a home from hour `first` on, with an empty battery at the first."""
    with (DATA / f"home_{home:02}_hourly.csv").open() as file, (DATA / "grid_hourly.csv").open() as grid:
        rows = list(zip(csv.DictReader(file), csv.DictReader(grid), strict=True))[first : first + count]
    found: list[Hour] = []
    content = Decimal(0)
    for row, intensity in rows:
        load, pv = Decimal(row["load_kwh"]).quantize(_CUT), (Decimal(row["pv_kwh_per_kwp"]) * PV_KWP).quantize(_CUT)
        charged = max(Decimal(0), min(pv - load, POWER_KW, ((CAPACITY_KWH - content) / RATIO).quantize(_CUT)))
        # Every fifth night hour it charges from the grid, so that its content is a mixture.
        if not pv and len(found) % 5 == 0:
            charged = max(Decimal(0), min(Decimal(1), ((CAPACITY_KWH - content) / RATIO).quantize(_CUT) - _CUT))
        discharged = (
            Decimal(0)
            if charged
            else max(Decimal(0), min(load - pv, POWER_KW, (content * RATIO).quantize(_CUT) - _CUT))
        )
        content += charged * RATIO - discharged / RATIO
        found.append(Hour(load, pv, charged, discharged, Decimal(intensity["carbon_kg_per_kwh"])))
    return found


def accounts_of(directory: Path, given: list[Hour]) -> tuple[Accounts, Ledger]:
    """The home in a ledger of its own; the ledger is the caller's to close."""
    (directory / "factors.sqlite").write_bytes(new_registry())
    now_ms = START + len(given) * HOUR
    with GridIntensities(directory / "factors.sqlite") as kept:
        kept.add(
            [
                HourlyFactor("HOME", "average", START + n * HOUR, START + (n + 1) * HOUR, hour.kg_per_kwh, "CityLearn 2022", now_ms)
                for n, hour in enumerate(given)
            ],
            "tester", now_ms,
        )  # fmt: skip
    ledger = Ledger(directory / "ledger.sqlite")
    for device, quantity, energies in _series(given):
        ledger.put_intervals(
            [
                IntervalRow("home", device, quantity, START + n * HOUR, START + (n + 1) * HOUR, kwh, GOOD, True, "import")
                for n, kwh in enumerate(energies)
            ],
            now_ms,
        )  # fmt: skip
    meters = (
        MeterSpec("grid", "gw", Decimal(100), Role.MAIN), MeterSpec("roof", "gw", Decimal(100), show="pv"),
        MeterSpec("battery", "gw", Decimal(100), show="storage"),
    )  # fmt: skip
    facility = Facility("home", ZONE, grid_zone="HOME", meters=meters, cells=(("battery", Cell(RATIO, RATIO)),))
    return Accounts(ledger, [facility], directory, lambda: now_ms + 1), ledger


def _series(given: list[Hour]) -> Iterator[tuple[str, str, list[Decimal]]]:
    none = Decimal(0)
    yield "grid", "energy_import_kwh", [max(hour.net, none) for hour in given]
    yield "grid", "energy_export_kwh", [max(-hour.net, none) for hour in given]
    yield "roof", "energy_export_kwh", [hour.pv for hour in given]
    yield "battery", "energy_import_kwh", [hour.charged for hour in given]
    yield "battery", "energy_export_kwh", [hour.discharged for hour in given]

"""How fast closed months settle: a statement of 1,000 main meters out of sealed columns, beside the same rows one by one out of the ledger.

Each meter has an energy per quarter hour (0 to 50 kWh in watt-hours, one in a hundred substituted) of January 2026, China Standard Time;
`WATTLINE_SETTLING_MONTHS=12` makes it the year, 35,040,000 rows, a statement per month. A process of its own, with one thread, opens the files,
checks their hashes, reads, sums, multiplies by the factors that hold and makes the lines of the statement with its canonical bytes' hash; its
processor time and peak memory are the figures. Of each statement the kWh and the kg are compared with Python's integers; a digit that differs
ends the benchmark. `by_rows`: ledger to statement, the same code without a seal, for one meter and one month. `seal`: ledger to sealed file.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from aggregator.accounts.compile import Accounts
from aggregator.accounts.sealed import Seals
from aggregator.accounts.sealed_file import SealedRow
from aggregator.accounts.statement import Statement
from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import IntervalRow, Ledger
from benchmarks.figure import Bound, Effort, Figure, yardstick_ns
from wire.reading import Quality

METERS: Final = 1000
QUARTER_MS: Final = 900_000
QUANTITY: Final = "energy_import_kwh"
NOW_MS: Final = 1_800_000_000_000  # 2027-01-15
SUBSTITUTED: Final = Grade(Quality.SUBSTITUTED, "counter-diff")
FACTOR: Final = Decimal("0.5306")  # kg/kWh
MONTHS: Final = "WATTLINE_SETTLING_MONTHS"


@dataclass(frozen=True, slots=True)
class Plant:
    """How much is settled."""

    meters: int
    months: int

    @property
    def facility(self) -> Facility:
        names = [f"meter-{number:04d}" for number in range(self.meters)]
        meters = tuple(MeterSpec(name, "gw", Decimal(200), Role.MAIN) for name in names)
        return Facility("works", "Asia/Shanghai", meters=meters, overrides=(FactorOverride(FACTOR, "benchmark"),))

    def spans(self) -> list[tuple[int, int]]:
        """[from_ms, to_ms) of each month."""
        zone = self.facility.zone
        first = [start_of_day_ms(date(2026 + month // 12, month % 12 + 1, 1), zone) for month in range(self.months + 1)]
        return list(pairwise(first))

    def rows(self, month: int, span: tuple[int, int]) -> Iterator[list[SealedRow]]:
        """One meter's rows after the other's; the same for the same month."""
        draw = random.Random(month)
        starts = range(*span, QUARTER_MS)
        for meter in self.facility.meters:
            rows = []
            for start_ms in starts:
                watt_hours = draw.getrandbits(16) % 50_000
                quality, reason = (2, "counter-diff") if watt_hours % 100 == 7 else (0, "")
                kwh = f"{watt_hours // 1000}.{watt_hours % 1000:03d}"
                rows.append(
                    SealedRow(
                        meter.device,
                        QUANTITY,
                        start_ms,
                        start_ms + QUARTER_MS,
                        kwh,
                        quality,
                        reason,
                        "final",
                        "measured",
                        1,
                    )
                )
            yield rows


def figures(effort: Effort) -> Iterator[Figure]:
    """`settling.*`."""
    small = effort.seconds is not None
    plant = Plant(METERS if not small else max(2, int(effort.seconds_or(1) * 10)), int(os.environ.get(MONTHS, "1")))
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        directory = Path(name)
        watt_hours = [_laid_down(plant, directory, month, span) for month, span in enumerate(plant.spans())]
        rate, cpu_ns, peak, yardstick = [], [], [], []
        for _ in range(effort.repeats_or(3)):
            yardstick.append(yardstick_ns())
            seen = _in_its_own_process(plant, directory, watt_hours)
            rate.append(seen["rows"] / seen["cpu_s"])
            cpu_ns.append(seen["cpu_s"] / seen["rows"] * 1e9)
            peak.append(seen["peak_mib"])
        by_rows, seal = zip(
            *(_by_rows(plant, directory / f"rows-{n}") for n in range(effort.repeats_or(3))), strict=True
        )
    yield Figure("settling.rows", "1/s", rate, bound=Bound(at_least=1_000_000), beside={"by_rows": by_rows})
    yield Figure("settling.cpu_per_row", "ns", cpu_ns, yardstick_ns=yardstick)
    yield Figure("settling.rss_peak", "MiB", peak)
    yield Figure("settling.seal", "1/s", seal)


def _laid_down(plant: Plant, directory: Path, month: int, span: tuple[int, int]) -> int:
    """Seals a month as the ledger would be sealed; gives its watt-hours."""
    total = 0

    def noted() -> Iterator[list[SealedRow]]:
        nonlocal total
        for rows in plant.rows(month, span):
            total += sum(int(row.energy_kwh.replace(".", "")) for row in rows)
            yield rows

    with Seals(directory) as seals:
        seals.keep("works", span, 1, NOW_MS, "benchmark", noted())
    return total


def _in_its_own_process(plant: Plant, directory: Path, watt_hours: Sequence[int]) -> dict[str, Any]:
    """Settles everything once: {rows, cpu_s, peak_mib}."""
    command = [sys.executable, "-m", "benchmarks.settling", str(directory), str(plant.meters), str(plant.months)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, timeout=3600)
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["watt_hours"] == list(watt_hours), f"kWh: expected {watt_hours}, got {seen['watt_hours']}"
    return seen


def _settle(plant: Plant, directory: Path) -> dict[str, object]:
    """What the process does."""
    ledger = Ledger(directory / "ledger.sqlite")
    accounts = Accounts(ledger, [plant.facility], directory, lambda: NOW_MS + 1)
    watt_hours, rows = [], 0
    cpu_s = time.process_time()
    for span in plant.spans():
        statement = accounts.statement("works", "OPS", *span)
        watt_hours.append(_checked(statement))
        rows += statement.coverage.covered
        assert len(statement.sha256) == 64
    cpu_s = time.process_time() - cpu_s
    ledger.close()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "cpu_s": cpu_s, "peak_mib": peak_mib, "watt_hours": watt_hours}


def _checked(statement: Statement) -> int:
    """Its watt-hours, after its kg has been compared with them."""
    watt_hours = sum(int(line.quantity.scaleb(3)) for line in statement.lines if line.quantity is not None)
    kg, hundred_mg = statement.kg(), watt_hours * int(FACTOR.scaleb(4))
    assert statement.complete, "expected a figure for every interval"
    assert kg == Decimal(hundred_mg).scaleb(-7), f"kg: expected {hundred_mg} of 10^-7, got {kg}"
    return watt_hours


def _by_rows(plant: Plant, directory: Path) -> tuple[float, float]:
    """Rows a second of processor time: (statement out of the ledger's rows, sealing)."""
    small = Plant(min(plant.meters, 10), 1)
    (span,) = small.spans()
    ledger = Ledger(directory / "ledger.sqlite")
    count = 0
    for rows in small.rows(0, span):
        energies = [
            IntervalRow(
                "works", row.device, QUANTITY, row.start_ms, row.end_ms, Decimal(row.energy_kwh),
                SUBSTITUTED if row.reason else GOOD, True, "measured",
            )
            for row in rows
        ]  # fmt: skip
        ledger.put_intervals(energies, NOW_MS - 1)
        count += len(rows)
    accounts = Accounts(ledger, [small.facility], directory, lambda: NOW_MS + 1)
    begun_s = time.process_time()
    unsealed = accounts.statement("works", "OPS", *span)
    _checked(unsealed)
    rows_s = time.process_time() - begun_s
    begun_s = time.process_time()
    with Seals(directory) as seals:
        seals.seal(ledger, "works", *span, NOW_MS, "benchmark")
    seal_s = time.process_time() - begun_s
    assert accounts.statement("works", "OPS", *span).encoded() == unsealed.encoded()
    ledger.close()
    return count / rows_s, count / seal_s


if __name__ == "__main__":
    print(json.dumps(_settle(Plant(int(sys.argv[2]), int(sys.argv[3])), Path(sys.argv[1]))))

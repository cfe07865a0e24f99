"""How fast closed months settle: a statement of 1,000 main meters out of sealed columns, beside the same rows one by one out of the ledger.

`settling.site` has one of them as its grid connection and the others inside, and shares its kg out among them. Each meter has an energy per quarter hour (0 to 50 kWh in watt-hours, one in a hundred substituted) of January 2026, China Standard Time;
`WATTLINE_SETTLING_MONTHS=12` makes it the year, 35,040,000 rows, a statement per month. A process of its own, with one thread, opens the files,
checks their hashes, reads, sums, multiplies by the factors that hold and makes the lines of the statement with its canonical bytes' hash; its
processor time and peak memory are the figures; `sums` is the same without lines and statement. Of each statement the kWh and the kg are compared with Python's integers; a digit that differs
ends the benchmark. `by_rows`: ledger to statement, the same code without a seal, for one meter and one month. `seal`: ledger to sealed file.
"""

import json
import os
import random
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
from aggregator.accounts.line import Counts
from aggregator.accounts.sealing.file import SealedRow
from aggregator.accounts.sealing.pieces import SealedPieces
from aggregator.accounts.sealing.seals import Seals
from aggregator.accounts.statement import Statement
from aggregator.emissions.resolution import Resolution
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
INCOMER: Final = "works-incomer"  # after all others in the order of sealed files
FACTOR: Final = Decimal("0.5306")  # kg/kWh
MONTHS: Final = "WATTLINE_SETTLING_MONTHS"


@dataclass(frozen=True, slots=True)
class Plant:
    """How much is settled: `meters` grid connections, or `inside` one of them the others. 0 months: one day."""

    meters: int
    months: int
    inside: bool = False

    @property
    def facility(self) -> Facility:
        names = [f"meter-{number:04d}" for number in range(self.meters)]
        if self.inside:
            names[-1] = INCOMER
        meters = tuple(
            MeterSpec(name, "gw", Decimal(200_000), Role.SUB if self.inside and name != INCOMER else Role.MAIN)
            for name in names
        )
        return Facility("works", "Asia/Shanghai", meters=meters, overrides=(FactorOverride(FACTOR, "benchmark"),))

    def spans(self) -> list[tuple[int, int]]:
        """[from_ms, to_ms) of each month."""
        zone = self.facility.zone
        if not self.months:
            return [(start_of_day_ms(date(2026, 1, 1), zone), start_of_day_ms(date(2026, 1, 2), zone))]
        first = [start_of_day_ms(date(2026 + month // 12, month % 12 + 1, 1), zone) for month in range(self.months + 1)]
        return list(pairwise(first))

    def rows(self, month: int, span: tuple[int, int]) -> Iterator[list[SealedRow]]:
        """One meter's rows after the other's; the same for the same month."""
        draw = random.Random(month)
        starts = range(*span, QUARTER_MS)
        whole = [0] * len(starts)
        for meter in self.facility.meters:
            rows = []
            for place, start_ms in enumerate(starts):
                watt_hours = draw.getrandbits(16) % 50_000
                quality, reason = (3, "counter-diff") if watt_hours % 100 == 7 else (0, "")
                if meter.device == INCOMER:
                    watt_hours += whole[place]
                whole[place] += watt_hours
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
    meters = METERS if effort.seconds is None else max(2, int(effort.seconds * 10))
    months = 0 if effort.seconds is not None else int(os.environ.get(MONTHS, "1"))
    repeats = effort.repeats_or(3)
    yield from _of_plant("settling", Plant(meters, months), repeats)
    yield from _of_plant("settling.site", Plant(meters, months, inside=True), repeats)
    small = Plant(min(meters, 10), min(months, 1))
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        seal = [_by_rows(small, Path(name) / f"seal-{n}")[1] for n in range(repeats)]
    yield Figure("settling.seal", "1/s", seal)


def _of_plant(name: str, plant: Plant, repeats: int) -> Iterator[Figure]:
    small = Plant(min(plant.meters, 10), min(plant.months, 1), plant.inside)
    rate, sums, cpu_ns, peak, yardstick = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as place:
        directory = Path(place)
        watt_hours = [_laid_down(plant, directory, month, span) for month, span in enumerate(plant.spans())]
        for _ in range(repeats):
            yardstick.append(yardstick_ns())
            seen = _in_its_own_process(plant, directory, watt_hours)
            rate.append(seen["rows"] / seen["cpu_s"])
            sums.append(seen["rows"] / seen["sums_s"])
            cpu_ns.append(seen["cpu_s"] / seen["rows"] * 1e9)
            peak.append(seen["peak_mib"])
        by_rows = [_by_rows(small, directory / f"rows-{n}")[0] for n in range(repeats)]
    yield Figure(f"{name}.rows", "1/s", rate, bound=Bound(at_least=1_000_000), beside={"by_rows": by_rows})
    if not plant.inside:
        yield Figure(f"{name}.sums", "1/s", sums)
    yield Figure(f"{name}.cpu_per_row", "ns", cpu_ns, yardstick_ns=yardstick)
    yield Figure(f"{name}.rss_peak", "MiB", peak)


def _laid_down(plant: Plant, directory: Path, month: int, span: tuple[int, int]) -> int:
    """Seals a month as the ledger would be sealed; gives its watt-hours."""
    total = 0

    def noted() -> Iterator[list[SealedRow]]:
        nonlocal total
        for rows in plant.rows(month, span):
            if not plant.inside or rows[0].device == INCOMER:
                total += sum(int(row.energy_kwh.replace(".", "")) for row in rows)
            yield rows

    with Seals(directory) as seals:
        seals.keep("works", span, 1, NOW_MS, "benchmark", noted())
    return total


def _in_its_own_process(plant: Plant, directory: Path, watt_hours: Sequence[int]) -> dict[str, Any]:
    """Settles everything once: {rows, cpu_s, peak_mib}."""
    command = [sys.executable, "-m", "benchmarks.settling", str(directory), str(plant.meters), str(plant.months)]
    command += ["inside"] * plant.inside
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
        rows += plant.meters * ((span[1] - span[0]) // QUARTER_MS)
        assert len(statement.sha256) == 64
        del statement
    cpu_s = time.process_time() - cpu_s
    sums_s = time.process_time()
    assert _summed(plant, directory, ledger) == watt_hours
    sums_s = time.process_time() - sums_s
    ledger.close()
    peak_mib = _peak_mib()
    return {"rows": rows, "cpu_s": cpu_s, "sums_s": sums_s, "peak_mib": peak_mib, "watt_hours": watt_hours}


def _peak_mib() -> float:
    """The most that was resident since the program began; `getrusage` would count what its parent held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _summed(plant: Plant, directory: Path, ledger: Ledger) -> list[int]:
    """The watt-hours of each month from the pieces alone, without lines and statement."""
    found = []
    facility = plant.facility
    with Seals(directory) as seals:
        for span in plant.spans():
            standing = seals.standing(ledger, "works", *span, NOW_MS + 1)
            factor = Resolution("works", "override", FACTOR, "own", 1, "", None, "benchmark", (), (), *span)

            def resolved(_at_ms: int, found: Resolution = factor) -> Resolution:
                return found

            pieces = SealedPieces(seals, standing, lambda *_: (), span, facility.zone, resolved)
            devices = [meter.device for meter in facility.main_meters()]
            found.append(sum(int(each.kwh.scaleb(3)) for _, of in pieces(devices, QUANTITY) for each in of))
    return found


def _checked(statement: Statement) -> int:
    """Its watt-hours, after its kg has been compared with them; what was shared out is all of it."""
    total = list(statement.of(Counts.SCOPE_2))
    watt_hours = sum(int(line.quantity.scaleb(3)) for line in total if line.quantity is not None)
    shared_out = statement.kg(Counts.ALLOCATED)
    assert shared_out in (None, statement.kg()), f"shared out: expected {statement.kg()} kg, got {shared_out}"
    kg, hundred_mg = statement.kg(), watt_hours * int(FACTOR.scaleb(4))
    assert statement.complete, "expected a figure for every interval"
    assert kg == Decimal(hundred_mg).scaleb(-7), f"kg: expected {hundred_mg} of 10^-7, got {kg}"
    return watt_hours


def _by_rows(plant: Plant, directory: Path) -> tuple[float, float]:
    """Rows a second of processor time: (statement out of the ledger's rows, sealing)."""
    (span,) = plant.spans()
    ledger = Ledger(directory / "ledger.sqlite")
    count = 0
    for rows in plant.rows(0, span):
        energies = [
            IntervalRow(
                "works", row.device, QUANTITY, row.start_ms, row.end_ms, Decimal(row.energy_kwh),
                SUBSTITUTED if row.reason else GOOD, True, "measured",
            )
            for row in rows
        ]  # fmt: skip
        ledger.put_intervals(energies, NOW_MS - 1)
        count += len(rows)
    accounts = Accounts(ledger, [plant.facility], directory, lambda: NOW_MS + 1)
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
    print(json.dumps(_settle(Plant(int(sys.argv[2]), int(sys.argv[3]), len(sys.argv) > 4), Path(sys.argv[1]))))

"""Measures what the aggregator itself uses: processor time, bytes received, readings, bytes stored; and takes down what its gateways count of themselves.

Not what that emits (see `own_footprint`).
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from aggregator.accounts.record_file import RecordFile, RecordsBusy
from aggregator.footprint.own_jobs import OwnJob
from aggregator.footprint.own_machine import OwnMachine
from aggregator.newest import NewestReadings
from wire.clock import Clock

log = logging.getLogger(__name__)

PERIOD_S: Final = 900.0  # of the injected clock
SHORTEST_S: Final = 10.0  # real
_COUNTER: Final = "energy_import_kwh"
_ONLY_GATEWAYS_HAVE: Final = "host_cpu_percent"  # the quantity by which the `host` driver's devices are known


class GatewayCount(NamedTuple):
    """What a gateway counts of its own energy (edge_agent's driver `host`)."""

    facility: str
    edge: str
    device: str
    at_ms: int
    kwh: Decimal


@dataclass(frozen=True, slots=True)
class OwnSpan:
    """What was used in [from_ms, to_ms) of the injected clock, `real_s` seconds of real time. `machine`: as `OwnMachine.encoded`."""

    from_ms: int
    to_ms: int
    real_s: Decimal
    cpu_s: Decimal
    store_bytes: int
    machine: str
    readings: dict[str, int]  # by facility
    received_bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class GatewaySpan:
    """What a gateway has counted in [from_ms, to_ms); `energy_kwh` None: its count began anew."""

    facility: str
    edge: str
    device: str
    from_ms: int
    to_ms: int
    energy_kwh: Decimal | None


class OwnRecords:
    """The spans on record. Any thread may call."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "footprint.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def add(self, span: OwnSpan) -> None:
        """Raises RecordsBusy."""
        with self._file.transaction() as db:
            (no,) = db.execute(
                "INSERT INTO own_span (from_ms, to_ms, real_s, cpu_s, store_bytes, machine) VALUES (?,?,?,?,?,?) RETURNING no",
                (span.from_ms, span.to_ms, str(span.real_s), str(span.cpu_s), span.store_bytes, span.machine),
            ).fetchone()
            for facility in sorted(span.readings.keys() | span.received_bytes.keys()):
                row = (no, facility, span.readings.get(facility, 0), span.received_bytes.get(facility, 0))
                db.execute("INSERT INTO own_share VALUES (?,?,?,?)", row)

    def add_job(self, job: OwnJob) -> None:
        """Raises RecordsBusy."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO own_job (work, due_ms, begun_ms, cpu_s, machine) VALUES (?,?,?,?,?)",
                (job.work, job.due_ms, job.begun_ms, str(job.cpu_s), job.machine),
            )

    def jobs(self, from_ms: int, to_ms: int) -> list[OwnJob]:
        """Those that were begun in [from_ms, to_ms), in order. Raises RecordsBusy."""
        rows = self._file.rows(
            "SELECT work, due_ms, begun_ms, cpu_s, machine FROM own_job WHERE begun_ms >= ? AND begun_ms < ? ORDER BY no",
            (from_ms, to_ms),
        )
        return [
            OwnJob(work, due_ms, begun_ms, Decimal(cpu_s), machine) for work, due_ms, begun_ms, cpu_s, machine in rows
        ]

    def count(self, counts: Iterable[GatewayCount]) -> None:
        """Takes down gateways' counts; the first of each only as where the next one begins. Raises RecordsBusy."""
        with self._file.transaction() as db:
            for each in counts:
                last = db.execute(
                    "SELECT to_ms, counter_kwh FROM gateway_span WHERE facility = ? AND edge = ? AND device = ? ORDER BY no DESC LIMIT 1",
                    each[:3],
                ).fetchone()
                if last is not None and last[0] >= each.at_ms:
                    continue
                delta = None if last is None else each.kwh - Decimal(last[1])
                used = None if delta is None or delta < 0 else str(delta)
                from_ms = each.at_ms if last is None else last[0]
                db.execute(
                    "INSERT INTO gateway_span (facility, edge, device, from_ms, to_ms, counter_kwh, energy_kwh) VALUES (?,?,?,?,?,?,?)",
                    (*each[:3], from_ms, each.at_ms, str(each.kwh), used),
                )

    def spans(self, from_ms: int, to_ms: int) -> list[OwnSpan]:
        """Those that began in [from_ms, to_ms), in order. Raises RecordsBusy."""
        shares: dict[int, list[tuple[str, int, int]]] = {}
        for no, *share in self._file.rows(
            "SELECT span, facility, readings, received_bytes FROM own_share WHERE span IN"
            " (SELECT no FROM own_span WHERE from_ms >= ? AND from_ms < ?)",
            (from_ms, to_ms),
        ):
            shares.setdefault(no, []).append((share[0], share[1], share[2]))
        rows = self._file.rows(
            "SELECT no, from_ms, to_ms, real_s, cpu_s, store_bytes, machine FROM own_span WHERE from_ms >= ? AND from_ms < ? ORDER BY no",
            (from_ms, to_ms),
        )
        return [
            OwnSpan(
                begun, ended, Decimal(real_s), Decimal(cpu_s), stored, machine,
                {facility: readings for facility, readings, _ in shares.get(no, ())},
                {facility: received for facility, _, received in shares.get(no, ())},
            )
            for no, begun, ended, real_s, cpu_s, stored, machine in rows
        ]  # fmt: skip

    def gateways(self, from_ms: int, to_ms: int) -> list[GatewaySpan]:
        """Those that began in [from_ms, to_ms) and have a length, in order. Raises RecordsBusy."""
        rows = self._file.rows(
            "SELECT facility, edge, device, from_ms, to_ms, energy_kwh FROM gateway_span"
            " WHERE from_ms >= ? AND from_ms < ? AND to_ms > from_ms ORDER BY no",
            (from_ms, to_ms),
        )
        return [
            GatewaySpan(facility, edge, device, begun, ended, None if kwh is None else Decimal(kwh))
            for facility, edge, device, begun, ended, kwh in rows
        ]


def gateway_counts(newest: NewestReadings, facilities: Iterable[str]) -> list[GatewayCount]:
    """What each gateway that reads itself has last counted of its own energy."""
    found = []
    for facility in facilities:
        readings = newest.facility(facility)
        gateways = {(key.edge, key.device) for key in readings if key.quantity == _ONLY_GATEWAYS_HAVE}
        for key, last in sorted(readings.items()):
            if key.quantity == _COUNTER and (key.edge, key.device) in gateways and last.value is not None:
                kwh = Decimal(repr(last.value))
                found.append(GatewayCount(facility, key.edge, key.device, last.at_ms, kwh))
    return found


class OwnUse:
    """Counts what comes in, and puts a span on record every quarter of an hour and at the end."""

    def __init__(
        self,
        records: OwnRecords,
        machine: OwnMachine | None,
        clock: Clock,
        stored_bytes: Callable[[], int],
        gateways: Callable[[], list[GatewayCount]],
    ) -> None:
        self.records = records
        self._machine = "" if machine is None else machine.encoded()
        self._clock = clock
        self._stored_bytes, self._gateways = stored_bytes, gateways
        self._lock = threading.Lock()
        self._readings: Counter[str] = Counter()
        self._received_bytes: Counter[str] = Counter()
        self._from_ms, self._begun_ns, self._cpu_ns = clock(), time.monotonic_ns(), time.process_time_ns()

    def received(self, facility: str, length_bytes: int) -> None:
        """A message has come in, whatever becomes of it."""
        with self._lock:
            self._received_bytes[facility] += length_bytes

    def stored(self, readings: Iterable[tuple[str, int]]) -> None:
        """(facility, readings) of batches that have become durable."""
        with self._lock:
            for facility, count in readings:
                self._readings[facility] += count

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            await asyncio.sleep(max(self._clock.real_s(PERIOD_S), SHORTEST_S))
            await asyncio.to_thread(self.record)

    def record(self) -> None:
        """Puts what was used since the last time on record. Where that cannot be, it is part of the next span."""
        with self._lock:
            readings, received = self._readings, self._received_bytes
            self._readings, self._received_bytes = Counter(), Counter()
        now_ms, now_ns, cpu_ns = self._clock(), time.monotonic_ns(), time.process_time_ns()
        span = OwnSpan(
            self._from_ms, max(now_ms, self._from_ms), _seconds(now_ns - self._begun_ns), _seconds(cpu_ns - self._cpu_ns),
            self._stored_bytes(), self._machine, dict(readings), dict(received),
        )  # fmt: skip
        try:
            self.records.add(span)
        except RecordsBusy as error:
            log.warning("own use not recorded reason=%s", error)
            with self._lock:
                self._readings.update(readings)
                self._received_bytes.update(received)
        else:
            self._from_ms, self._begun_ns, self._cpu_ns = span.to_ms, now_ns, cpu_ns
        try:
            self.records.count(self._gateways())
        except RecordsBusy as error:
            log.warning("gateways' own use not recorded reason=%s", error)


def _seconds(spent_ns: int) -> Decimal:
    return Decimal(spent_ns).scaleb(-9).quantize(Decimal("0.001"))


def bytes_below(directory: Path) -> int:
    """Of all files in a directory and below; what goes away meanwhile counts nothing."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total

"""Heavy work of the aggregator that can wait runs in the cleanest hour before its deadline, and is counted. Not what the work is, nor its sum (`own_jobs`).

The hours are those of the grid that the aggregator's own machine stands in (`[footprint]`), as forecast: the provider's, else the median of the
same hours of the last four weeks. Where nothing is known, or one factor holds all day, nothing waits.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Final

from aggregator.accounts.compile import REGISTRY_NAME
from aggregator.accounts.record_file import RecordsBusy
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.profiles import profile
from aggregator.emissions.recorded import electricity_pack
from aggregator.emissions.registry import Registry, RegistryRefused
from aggregator.emissions.resolution import Resolution, resolve
from aggregator.footprint.own_jobs import OwnJob
from aggregator.footprint.own_machine import OwnMachine
from aggregator.footprint.own_use import OwnRecords
from aggregator.forecasts.hours import HOUR_MS
from aggregator.forecasts.intensity import ZONE, Known

log = logging.getLogger(__name__)

LONGEST_MS: Final = 48 * HOUR_MS  # forecasts do not reach further
AS_CLEAN: Final = 1.01  # of the cleanest hour: what is that close does not wait
WEEK_MS: Final = 168 * HOUR_MS
WEEKS: Final = 4
DIGITS: Final = Decimal("0.001")


class CleanHours:
    """Says when, and counts what it took. Any thread may call."""

    def __init__(
        self, machine: OwnMachine | None, data_directory: Path, records: OwnRecords, clock: Callable[[], int]
    ) -> None:
        self._machine = machine
        self._registry = data_directory / REGISTRY_NAME
        self._records = records
        self._clock = clock
        self._lock = threading.Lock()
        self._hours: tuple[int, Mapping[int, float]] = (
            -1,
            {},
        )  # the hour in which they were asked for, start -> kg per kWh

    def now(self, due_ms: int, patient_ms: int) -> bool:
        """Whether work that is due since `due_ms` should run now: no hour that begins within its patience (at most 48 h) is cleaner, or that is over."""
        now_ms, deadline_ms = self._clock(), due_ms + min(patient_ms, LONGEST_MS)
        if now_ms >= deadline_ms:
            return True
        hours = self._ahead(now_ms)
        this = [kg for start_ms, kg in hours.items() if start_ms <= now_ms < start_ms + HOUR_MS]
        later = [kg for start_ms, kg in hours.items() if now_ms < start_ms < deadline_ms]
        return not this or this[0] <= AS_CLEAN * min(later, default=this[0])

    @contextmanager
    def counted(self, work: str, due_ms: int, patient_ms: int) -> Iterator[None]:
        """Takes down the processor time of this thread within, for the hour in which it was due and the one in which it ran.

        What ran long after its patience was over did not wait for an hour (nobody was there to run it): it was due when it ran.
        """
        begun_ms, begun_ns = self._clock(), time.thread_time_ns()
        try:
            yield
        finally:
            cpu_s = Decimal(time.thread_time_ns() - begun_ns).scaleb(-9).quantize(DIGITS)
            machine = "" if self._machine is None else self._machine.encoded()
            waited = 0 <= begun_ms - due_ms < min(patient_ms, LONGEST_MS) + HOUR_MS
            done = OwnJob(work, due_ms if waited else begun_ms, begun_ms, cpu_s, machine)
            self._say(done)
            try:
                self._records.add_job(done)
            except RecordsBusy as error:
                log.warning("own work not recorded work=%s reason=%s", work, error)

    def _say(self, done: OwnJob) -> None:
        if self._machine is None:
            return
        kwh = self._machine.busy_kwh(done.cpu_s)
        try:
            with self._resolving() as known:
                at_due, at_run = (known(at_ms, self._clock()).kg_per_kwh for at_ms in (done.due_ms, done.begun_ms))
        except (RegistryRefused, sqlite3.Error, OSError) as error:
            log.warning("the grid's hours cannot be read reason=%s", error)
            return
        if at_due is not None and at_run is not None:
            log.info(
                "own work done work=%s waited_h=%.1f cpu_s=%s g_when_due=%.6f g=%.6f",
                done.work, (done.begun_ms - done.due_ms) / HOUR_MS, done.cpu_s, kwh * at_due * 1000, kwh * at_run * 1000,
            )  # fmt: skip

    def _ahead(self, now_ms: int) -> Mapping[int, float]:
        """Of the hours from now on, kg per kWh; asked for once an hour. Empty where nothing is known, or nothing differs from hour to hour."""
        machine = self._machine
        if machine is None or not machine.grid_zone or machine.kg_per_kwh is not None:
            return {}
        with self._lock:
            if self._hours[0] != now_ms // HOUR_MS:
                try:
                    self._hours = now_ms // HOUR_MS, self._forecast(now_ms)
                except (RegistryRefused, sqlite3.Error, OSError) as error:
                    log.warning("the grid's hours cannot be read, nothing waits reason=%s", error)
                    return {}
            return self._hours[1]

    def _forecast(self, now_ms: int) -> dict[int, float]:
        """Hour by hour what the provider says, else the median of the same hour of the last weeks; hours of which neither is known are left out."""
        found: dict[int, float] = {}
        with self._resolving() as known:
            for start_ms in range(now_ms // HOUR_MS * HOUR_MS, now_ms + LONGEST_MS, HOUR_MS):
                said = _own_kg(known(start_ms, now_ms))
                before = [_own_kg(known(start_ms - week * WEEK_MS, now_ms)) for week in range(1, WEEKS + 1)]
                past = [kg for kg in before if kg is not None]
                if said is not None or past:
                    found[start_ms] = said if said is not None else median(past)
        return found

    @contextmanager
    def _resolving(self) -> Iterator[Known]:
        assert self._machine is not None
        place = self._machine.factor_place()
        path: Path | str = self._registry if self._registry.exists() else ":memory:"
        with Registry(path) as registry, GridIntensities(path) as hours:
            table = FactorTable.from_pack(electricity_pack(registry.entries(self._clock())))

            def known(at_ms: int, known_ms: int) -> Resolution:
                return resolve(table, place, at_ms, known_ms, profile("OPS"), hours.at)

            yield known


def _own_kg(found: Resolution) -> float | None:
    """kg per kWh where the grid's zone has a value of its own for the hour."""
    return float(found.kg_per_kwh) if found.tier == ZONE and found.kg_per_kwh is not None else None

"""Seals months by itself: those that have been over for three days, and again a day after a late change. Not what a seal is (`accounts.sealed`)."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.accounts.sealing.seals import Seal, Seals
from aggregator.facility import Facility
from aggregator.footprint.clean_hours import CleanHours
from aggregator.intervals.local_time import local_day, start_of_day_ms
from aggregator.ledger import Ledger, LedgerError

log = logging.getLogger(__name__)

EVERY_S: Final = 600.0  # real
BY: Final = "aggregator"
DAY_MS: Final = 86_400_000
OVER_MS: Final = 3 * DAY_MS  # an edge that was away over a month's end delivers within hours of its return
PATIENT_MS: Final = DAY_MS  # of which it may wait for a cleaner hour
WORK: Final = "sealing"
QUIET_MS: Final = DAY_MS  # late readings and entries by hand come in bursts


class SealRounds:
    """`clock` is UTC ms. A round seals one month of each facility at most."""

    def __init__(
        self,
        ledger: Ledger,
        facilities: Iterable[Facility],
        data_directory: Path,
        clock: Callable[[], int],
        clean: CleanHours | None = None,
    ) -> None:
        self._ledger = ledger
        self._facilities = tuple(facilities)
        self._directory = data_directory
        self._clock = clock
        self._clean = clean
        self._refused: dict[tuple[str, int], int] = {}  # when a month that could not be sealed was last changed

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(EVERY_S)

    def look(self) -> list[Seal]:
        """One round; gives the new seals. What cannot be sealed is logged and tried again."""
        made: list[Seal] = []
        for facility in self._facilities:
            try:
                made += islice(self._sealed(facility), 1)
            except (LedgerError, OSError, RecordsBusy, RecordsUnusable) as error:
                log.warning("month not sealed facility=%s reason=%s", facility.id, error)
        for seal in made:
            log.info(
                "month sealed facility=%s from_ms=%d version=%d rows=%d",
                seal.facility,
                seal.from_ms,
                seal.version,
                seal.rows,
            )
        return made

    def _sealed(self, facility: Facility) -> Iterator[Seal]:
        for from_ms, to_ms, changed_ms in self._due(facility):
            due_ms = max(to_ms + OVER_MS, changed_ms + QUIET_MS)
            if self._clean is not None and not self._clean.now(due_ms, PATIENT_MS):
                continue
            try:
                with self._counted(due_ms), Seals(self._directory) as seals:
                    seal = seals.seal(self._ledger, facility.id, from_ms, to_ms, self._clock(), BY)
            except (
                RecordsRefused
            ) as error:  # nothing begins in it: the first and last days of UTC are a neighbour's too
                log.info("month not sealed facility=%s reason=%s", facility.id, error)
                self._refused[facility.id, from_ms] = changed_ms
                continue
            yield seal

    def _counted(self, due_ms: int) -> AbstractContextManager[None]:
        return nullcontext() if self._clean is None else self._clean.counted(WORK, due_ms, PATIENT_MS)

    def _due(self, facility: Facility) -> Iterator[tuple[int, int, int]]:
        """The months to seal, the oldest first, and when each was last changed."""
        now_ms = self._clock()
        spans = [(from_ms, to_ms) for from_ms, to_ms in self._months(facility, now_ms) if to_ms + OVER_MS <= now_ms]
        if not spans:
            return
        with Seals(self._directory) as seals:
            sealed = seals.all(facility.id)
        for from_ms, to_ms in spans:
            changed_ms = self._ledger.intervals_changed_ms(facility.id, from_ms, to_ms)
            over = [seal for seal in sealed if seal.from_ms < to_ms and from_ms < seal.to_ms]
            foreign = any((seal.from_ms, seal.to_ms) != (from_ms, to_ms) for seal in over)
            if not changed_ms or foreign or changed_ms + QUIET_MS > now_ms:
                continue
            if self._refused.get((facility.id, from_ms)) == changed_ms:
                continue
            if not over or over[-1].given_up or over[-1].first_change_ms(self._ledger) is not None:
                yield from_ms, to_ms, changed_ms

    def _months(self, facility: Facility, now_ms: int) -> Iterator[tuple[int, int]]:
        """[from_ms, to_ms) of the local months since the first interval."""
        found = self._ledger.rows("SELECT min(day) FROM interval_touched WHERE facility = ?", (facility.id,))
        if found[0][0] is None:
            return
        first = local_day(found[0][0] * DAY_MS, facility.zone).replace(day=1)
        while start_of_day_ms(first, facility.zone) < now_ms:
            following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
            yield start_of_day_ms(first, facility.zone), start_of_day_ms(following, facility.zone)
            first = following

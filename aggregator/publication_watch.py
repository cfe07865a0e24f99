"""Looks once a day at what is published: totals that what is known now would change enough to be published again. Restates nothing (see `accounts.restatement`).

A change below the threshold raises no alarm: `wattline runs impact` lists it.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import impact_on
from aggregator.accounts.runs.run import Publication
from aggregator.alarms import Alarms
from aggregator.emissions.formulas.worked import shown
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError

log = logging.getLogger(__name__)

EVERY_S: Final = 600.0  # real; a publication is looked at when a day (UTC) has begun since
# A month of 100 meters takes seconds of processor time, which readings need too: of this thread's time at most one part in so many.
PAUSE_RATIO: Final = 30.0
MOVED: Final = "published_moved"
_DAY_MS: Final = 86_400_000


class PublicationWatch:
    """`clock` is UTC ms."""

    def __init__(
        self, accounts: Accounts, runs: Runs, alarms: Alarms, clock: Callable[[], int], threshold_percent: Decimal
    ) -> None:
        self._accounts = accounts
        self._runs = runs
        self._alarms = alarms
        self._clock = clock
        self._threshold_percent = threshold_percent
        self._seen: dict[int, int] = {}

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            for publication in await asyncio.to_thread(self.due):
                began_s = time.monotonic()
                await asyncio.to_thread(self.look, publication)
                await asyncio.sleep(PAUSE_RATIO * (time.monotonic() - began_s))
            await asyncio.sleep(EVERY_S)

    def due(self) -> list[Publication]:
        """The publications that were not looked at today, of facilities that the settings have."""
        today = self._clock() // _DAY_MS
        try:
            issued = self._runs.publications()
        except RecordsBusy as error:
            log.error("publications not read reason=%s", error)
            return []
        return [
            each for each in issued if self._seen.get(each.no) != today and each.facility in self._accounts.facilities
        ]

    def look(self, publication: Publication) -> None:
        """At one, now. What cannot answer is logged and asked again next time."""
        now_ms = self._clock()
        try:
            found = None
            if publication.standing:
                found = impact_on(self._accounts, self._runs, publication, now_ms, self._threshold_percent)
        except (LedgerError, RecordsBusy, RecordsRefused, RecordsUnusable, RegistryRefused, sqlite3.Error) as error:
            log.error("publication not looked at publication=%d reason=%s", publication.no, error)
            return
        self._seen[publication.no] = now_ms // _DAY_MS
        source = f"publication {publication.no}"
        if found is None or found.bridge is None or not found.reissue:
            self._alarms.clear(publication.facility, MOVED, source)
            return
        percent = found.bridge.delta_percent
        said = "" if percent is None else shown(percent, 2)
        self._alarms.raise_alarm(publication.facility, MOVED, source, publication.profile, said)

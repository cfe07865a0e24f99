"""Looks once a day at what is published: totals that what is known now would change enough to be published again. Restates nothing (see `accounts.restatement`).

A change below the threshold raises no alarm: `wattline runs impact` lists it.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.accounts.restatement import impact
from aggregator.accounts.runs import Runs
from aggregator.alarms import Alarms
from aggregator.emissions.formulas.worked import shown
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError

log = logging.getLogger(__name__)

EVERY_S: Final = 600.0  # real; a facility is looked at when a day (UTC) has begun since
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
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Once, now. What cannot answer is logged and asked again next time."""
        now_ms = self._clock()
        for facility in self._accounts.facilities:
            if self._seen.get(facility) == now_ms // _DAY_MS:
                continue
            try:
                self._look_at(facility, now_ms)
            except (
                CannotCompile, LedgerError, RecordsBusy, RecordsRefused, RecordsUnusable, RegistryRefused, sqlite3.Error,
            ) as error:  # fmt: skip
                log.error("publications not looked at facility=%s reason=%s", facility, error)
                continue
            self._seen[facility] = now_ms // _DAY_MS

    def _look_at(self, facility: str, now_ms: int) -> None:
        moved = {
            found.publication.no: found.bridge
            for found in impact(self._accounts, self._runs, now_ms, facility, self._threshold_percent)
            if found.reissue and found.bridge is not None
        }
        for publication in self._runs.publications(facility):
            bridge = moved.get(publication.no)
            source = f"publication {publication.no}"
            if bridge is None:
                self._alarms.clear(facility, MOVED, source)
            else:
                percent = bridge.delta_percent
                self._alarms.raise_alarm(
                    facility, MOVED, source, publication.profile, "" if percent is None else shown(percent, 2)
                )

"""Looks after events while the aggregator runs: often while one is near, seldom otherwise. Not what is done with them (see `conduct`)."""

import asyncio
import logging
import sqlite3
from typing import Final

from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.audit.log import AuditLog
from aggregator.flexibility.events.conduct import Conduct
from aggregator.flexibility.events.logged import take_up_events
from wire.clock import Clock

log = logging.getLogger(__name__)

PERIOD_S: Final = 5.0  # of the injected clock
SHORTEST_S: Final = 1.0  # real; an accelerated clock shall not turn this into a busy loop


class EventRounds:
    """One round at a time, in a thread."""

    def __init__(self, conduct: Conduct, audit: AuditLog, clock: Clock) -> None:
        self._conduct = conduct
        self._audit = audit
        self._clock = clock

    async def run(self) -> None:
        """For ever; cancel to stop."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(max(self._clock.real_s(PERIOD_S), SHORTEST_S))

    def look(self) -> None:
        """One round. What the record refuses is logged and tried again."""
        try:
            self._conduct.look()
            take_up_events(self._conduct.record, self._audit)
        except (RecordsBusy, RecordsRefused, sqlite3.Error) as error:
            log.warning("events not looked at reason=%s", error)

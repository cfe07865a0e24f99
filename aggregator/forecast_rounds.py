"""Issues every facility's forecasts once a local day, while the aggregator runs. Not how one is made (see `forecasting`)."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import date
from typing import Final

from aggregator.facility import Facility
from aggregator.forecasting import Forecasting
from aggregator.forecasts.day_ahead import CannotForecast
from aggregator.forecasts.issued import ForecastsUnusable
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import LedgerError
from wire.clock import Clock

log = logging.getLogger(__name__)

PERIOD_S: Final = 300.0  # of the injected clock
SHORTEST_S: Final = 5.0  # real; an accelerated clock shall not turn this into a busy loop
AFTER_MIDNIGHT_MS: Final = 600_000  # until then the last intervals of the day before may still come
PAUSE_S: Final = 0.05  # real, between meters: settling goes first


class ForecastRounds:
    """All main meters of a facility together, then each electricity meter that it has."""

    def __init__(self, forecasting: Forecasting, clock: Clock) -> None:
        self._forecasting = forecasting
        self._clock = clock
        self._done: dict[tuple[str, str], date] = {}

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            for facility, device, day in list(self.due()):
                await asyncio.to_thread(self.issue, facility, device, day)
                await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(max(self._clock.real_s(PERIOD_S), SHORTEST_S))

    def due(self) -> Iterator[tuple[Facility, str, date]]:
        """What has not been tried yet on this local day."""
        now_ms = self._clock()
        for facility in self._forecasting.facilities.values():
            today = local_day(now_ms, facility.zone)
            if now_ms < day_span_ms(today, facility.zone)[0] + AFTER_MIDNIGHT_MS:
                continue
            meters = [meter.device for meter in facility.meters if meter.carrier == "electricity"]
            for device in ("", *meters):
                if self._done.get((facility.id, device)) != today:
                    yield facility, device, today

    def issue(self, facility: Facility, device: str, day: date) -> None:
        """Once; a meter of which too little is known has to wait for the next day. What cannot be read or written is tried again."""
        try:
            self._forecasting.issue(facility.id, device)
        except CannotForecast as error:
            log.debug("no forecast facility=%s device=%s reason=%s", facility.id, device, error)
        except (LedgerError, ForecastsUnusable, ValueError) as error:
            log.warning("no forecast facility=%s device=%s reason=%s", facility.id, device, error)
            return
        self._done[facility.id, device] = day

"""Issues every facility's forecasts once a local day, while the aggregator runs, and warns of loads above the connection. Not how one is made (see `forecasting`)."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Final

from aggregator.alarms import Alarms
from aggregator.facility import Facility
from aggregator.footprint.clean_hours import CleanHours
from aggregator.forecasting import Forecasting
from aggregator.forecasts.day_ahead import CannotForecast
from aggregator.forecasts.hours import HOUR_MS
from aggregator.forecasts.issued import ForecastsUnusable, Hour, Issued
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import LedgerError
from wire.clock import Clock

log = logging.getLogger(__name__)

PERIOD_S: Final = 300.0  # of the injected clock
SHORTEST_S: Final = 5.0  # real; an accelerated clock shall not turn this into a busy loop
ALARM: Final = "overload_expected"
AFTER_MIDNIGHT_MS: Final = 600_000  # until then the last intervals of the day before may still come
PATIENT_MS: Final = 6 * HOUR_MS  # of which single meters may wait for a cleaner hour: until people come to work
WORK: Final = "forecasts"
PAUSE_S: Final = 0.05  # real, between meters: settling goes first


class ForecastRounds:
    """All main meters of a facility together, then each electricity meter that it has."""

    def __init__(self, forecasting: Forecasting, clock: Clock, alarms: Alarms, clean: CleanHours | None = None) -> None:
        self._forecasting = forecasting
        self._clock = clock
        self._alarms = alarms
        self._clean = clean
        self._done: dict[tuple[str, str], date] = {}

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            for facility, device, day in await asyncio.to_thread(lambda: list(self.due())):
                await asyncio.to_thread(self.issue, facility, device, day)
                await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(max(self._clock.real_s(PERIOD_S), SHORTEST_S))

    def due(self) -> Iterator[tuple[Facility, str, date]]:
        """What has not been tried yet on this local day."""
        now_ms = self._clock()
        for facility in self._forecasting.facilities.values():
            today = local_day(now_ms, facility.zone)
            if now_ms < _due_ms(facility, today):
                continue
            meters = [meter.device for meter in facility.meters if meter.carrier == "electricity"]
            for device in ("", *meters):
                if self._done.get((facility.id, device)) != today and (not device or self._may_run(facility, today)):
                    yield facility, device, today

    def _may_run(self, facility: Facility, today: date) -> bool:
        """Single meters can wait: nothing is planned on them."""
        return self._clean is None or self._clean.now(_due_ms(facility, today), PATIENT_MS)

    def _counted(self, facility: Facility, device: str, day: date) -> AbstractContextManager[None]:
        if self._clean is None or not device:
            return nullcontext()
        return self._clean.counted(WORK, _due_ms(facility, day), PATIENT_MS)

    def issue(self, facility: Facility, device: str, day: date) -> None:
        """Once; a meter of which too little is known has to wait for the next day. What cannot be read or written is tried again."""
        try:
            with self._counted(facility, device, day):
                made = self._forecasting.issue(facility.id, device)
            if not device:
                self._warn(facility, made)
        except CannotForecast as error:
            log.debug("no forecast facility=%s device=%s reason=%s", facility.id, device, error)
        except (LedgerError, ForecastsUnusable, ValueError) as error:
            log.warning("no forecast facility=%s device=%s reason=%s", facility.id, device, error)
            return
        self._done[facility.id, device] = day

    def _warn(self, facility: Facility, made: Sequence[Issued]) -> None:
        """Whether the upper edge of the band of some hour that is still to come lies above the connection; the hour where it first does."""
        if facility.connection_kw is None:
            return
        limit_kw, now_ms = float(facility.connection_kw), self._clock()
        over = [(hour.start_ms, kw) for hour, kw in _highest_kw(made) if hour.end_ms > now_ms and kw > limit_kw]
        if not over:
            self._alarms.clear(facility.id, ALARM, facility.id)
            return
        at_ms, _ = over[0]
        begin = datetime.fromtimestamp(at_ms / 1000, facility.zone).isoformat(timespec="minutes")
        highest_kw = max(kw for _, kw in over)
        self._alarms.raise_alarm(facility.id, ALARM, facility.id, begin, f"{highest_kw:.0f}", f"{limit_kw:.0f}")


def _due_ms(facility: Facility, day: date) -> int:
    return day_span_ms(day, facility.zone)[0] + AFTER_MIDNIGHT_MS


def _highest_kw(made: Sequence[Issued]) -> Iterator[tuple[Hour, float]]:
    """Each hour with the upper edge of its band, in order; hours without a band are left out."""
    for entry in made:
        for hour in entry.hours:
            if hour.high_kwh is not None:
                yield hour, hour.high_kwh * HOUR_MS / (hour.end_ms - hour.start_ms)

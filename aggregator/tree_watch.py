"""Looks at the meter trees of the last whole day: meters inside that measure more than the one around them, checks that disagree. Not the trees.

Where a day has no figure, an alarm stays as it is. Only facilities whose settings say where meters lie have alarms of parts; a check
meter has one as soon as it names the meter that it checks.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

from aggregator.accounts.tree.slots import FLOWS
from aggregator.accounts.tree.tree import Metered, TreeSums
from aggregator.alarms import Alarms
from aggregator.facility import Facility, MeterSpec, VirtualMeter
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import Ledger, LedgerError
from aggregator.meter_tree import carriers

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0  # real; a facility is looked at when one of its intervals has ended since
PART: Final = "part_negative"
CHECK: Final = "check_apart"


class TreeWatch:
    """`clock` is UTC ms."""

    def __init__(
        self, ledger: Ledger, alarms: Alarms, facilities: Iterable[Facility], clock: Callable[[], int]
    ) -> None:
        self._ledger = ledger
        self._alarms = alarms
        self._facilities = list(facilities)
        self._clock = clock
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """For ever, in a thread; cancel to stop."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Once, now. A ledger that cannot answer is logged and asked again next time."""
        for facility in self._facilities:
            interval = self._clock() // facility.interval_ms
            if self._seen.get(facility.id) == interval:
                continue
            try:
                self._forget(facility)
                for carrier in carriers(facility) if _stated(facility) else ():
                    if carrier in FLOWS:
                        self._look_at(facility, carrier)
            except LedgerError as error:
                log.error("meter tree not looked at facility=%s reason=%s", facility.id, error)
                continue
            self._seen[facility.id] = interval

    def _forget(self, facility: Facility) -> None:
        """Ends alarms of meters whose place is no longer stated: nothing would ever clear them."""
        about = {
            PART: {meter.parent for meter in _stated(facility)},
            CHECK: {meter.device for meter in _stated(facility)},
        }
        for alarm in self._alarms.open(facility.id):
            if alarm.source not in about.get(alarm.code, {alarm.source}):
                self._alarms.clear(facility.id, alarm.code, alarm.source)

    def _look_at(self, facility: Facility, carrier: str) -> None:
        today_ms, _ = day_span_ms(local_day(self._clock(), facility.zone), facility.zone)
        from_ms, to_ms = day_span_ms(local_day(today_ms - 1, facility.zone), facility.zone)
        metered = Metered(
            facility,
            carrier,
            lambda device, quantity: self._ledger.intervals(facility.id, device, quantity, from_ms, to_ms),
            from_ms,
            to_ms,
        )
        for found in metered.roll_up("total"):
            self._judge(facility, metered, found)

    def _judge(self, facility: Facility, metered: Metered, found: TreeSums) -> None:
        day = local_day(found.from_ms, facility.zone).isoformat()
        for device, line in found.nodes.items():
            if line.own is not None and any(found.nodes[child].node.stated for child in line.node.children):
                said = (_short(line.own), metered.unit, _short(line.allowed), day)
                self._alarms.set(line.too_small, facility.id, PART, device, *said)
        for check in found.checks:
            apart = check.apart_percent
            if apart is not None and check.checks:
                said = (check.checks, f"{apart:+.2f}", f"{check.limit_percent.normalize():f}", day)
                self._alarms.set(check.too_far, facility.id, CHECK, check.device, *said)


def _stated(facility: Facility) -> list[MeterSpec | VirtualMeter]:
    """The meters whose place the settings state."""
    meters: list[MeterSpec | VirtualMeter] = [*facility.meters, *facility.virtual_meters]
    return [meter for meter in meters if meter.parent]


def _short(value: Decimal) -> str:
    return f"{value:.1f}"

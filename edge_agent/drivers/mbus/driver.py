"""Reads M-Bus meters on one line: as many telegrams of each as its rows need. Not the bytes of a frame, nor what records mean.

It writes nothing but what the standard needs for reading: SND_NKE and selections, which change nothing in a meter.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from edge_agent.drivers.device_clock import DeviceClocks, nearest
from edge_agent.drivers.driver import Answer, DriverError, Gateway
from edge_agent.drivers.mbus.declared import MOST_TELEGRAMS, Bus, MbusPlan, line
from edge_agent.drivers.mbus.link import Link
from edge_agent.drivers.mbus.rows import STATUS, Wanted, block, found, qualifiers
from edge_agent.drivers.mbus.search import Found, search
from edge_agent.drivers.mbus.secondary import Secondary
from edge_agent.drivers.mbus.telegram import Record
from edge_agent.drivers.mbus.values import MeterTime
from edge_agent.drivers.serial_line import Line, Wiring
from wire.reading import Event, Json

log = logging.getLogger(__name__)


class Mbus:
    """A `Driver` for one line."""

    listens = False

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._line = Line(Wiring.of(bus), echo=bus.echo)
        self._link = Link(self._line, bus.timeout_s, gateway)
        self._senders: dict[str, Secondary] = {}
        self._clocks = DeviceClocks(gateway)
        self._zone = None if bus.time_zone is None else ZoneInfo(bus.time_zone)

    async def read(self, device: MbusPlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. A meter's further telegrams are read only as long as rows are missing; each gives a block of its own."""
        loop = asyncio.get_running_loop()
        answer = Answer()
        missing = [row for row in device.rows if row.counter or not counters_only]
        records: list[Record] = []
        before = self._link.exchanges
        try:
            if not self._link.is_ready(device):
                await self._link.begin(device)
            for turn in range(MOST_TELEGRAMS):
                if turn and deadline_s is not None and loop.time() >= deadline_s:
                    answer.left_out = 1
                    break
                told = await self._link.telegram(device)
                records += told.records
                self._note_sender(device, told.sender, answer)
                self._note_clock(device, told.records, answer)
                if turn or told.more:
                    self._link.lose(device)  # the next reading begins with the first telegram again
                here, missing = _sorted_out(missing, records, last=not told.more)
                if here:
                    answer.blocks.append(block(device.name, here, told.status, self._link.at_ms))
                if not missing or not told.more:
                    break
        except DriverError as fault:
            self._link.lose(device)
            if not answer.blocks:
                raise
            answer.faults.append(fault)
        finally:
            answer.requests = self._link.exchanges - before
        return answer

    def requests(self, device: MbusPlan) -> tuple[str, ...]:
        """The request, in one line."""
        return (line(device),)

    async def search(self) -> Found:
        """The meters on the line, for commissioning; takes minutes where there are many. Raises BusUnreachable."""
        try:
            return await search(Link(self._line, self._link.timeout_s, self._link.gateway))
        finally:
            await self._link.deselect()

    async def close(self) -> None:
        """Closes the port; the next read opens it again."""
        await self._line.close()

    def _note_sender(self, device: MbusPlan, sender: Secondary, answer: Answer) -> None:
        """Another meter at a known address is worth an event: its counters go on from somewhere else."""
        before, self._senders[device.name] = self._senders.get(device.name), sender
        if before is None or before == sender:
            return
        log.warning("meter_exchanged device=%s before=%s now=%s", device.name, before, sender)
        answer.events.append(
            Event(
                f"device_identity-{device.name}-{self._link.at_ms}",
                self._link.at_ms,
                device.name,
                "device_identity",
                {**_identity(sender), "before": _identity(before)},
            )
        )

    def _note_clock(self, device: MbusPlan, records: Sequence[Record], answer: Answer) -> None:
        """The date and time record of a telegram (VIF 6D), where the edge file names the meters' zone. It shows whole minutes, or seconds."""
        if self._zone is None:
            return
        for record in records:
            shown = record.value
            if record.meaning.what != "date_time" or qualifiers(record.vif) or not isinstance(shown, MeterTime):
                continue
            if (record.storage, record.tariff, record.subunit, record.function) != (0, 0, 0, "instantaneous"):
                continue
            if not shown.has_time:
                continue
            at_ms = self._link.at_ms
            coarse = timedelta(0) if shown.local.second else timedelta(minutes=1)
            away_ms = nearest(shown.local, self._zone, at_ms, coarse=coarse)
            event = self._clocks.seen(device.name, away_ms, at_ms)
            answer.events += [event] if event is not None else []
            return


def _identity(sender: Secondary) -> dict[str, Json]:
    return {
        "maker": sender.manufacturer or "",
        "version": "" if sender.version is None else str(sender.version),
        "serial": sender.identification,
        "medium": sender.medium,
    }


def _sorted_out(
    missing: Sequence[Wanted], records: Sequence[Record], *, last: bool
) -> tuple[list[tuple[Wanted, Record | None]], list[Wanted]]:
    """The rows that are there now, each with its record, and those that are still to come; after the last telegram nothing is."""
    here: list[tuple[Wanted, Record | None]] = []
    later: list[Wanted] = []
    for row in missing:
        record = None if row.what == STATUS else found(row, records)
        if record is not None or last or row.what == STATUS:
            here.append((row, record))
        else:
            later.append(row)
    return here, later


def open_driver(bus: Bus, gateway: Gateway) -> Mbus:
    """The driver of one bus; it opens its port at the first read."""
    return Mbus(bus, gateway)

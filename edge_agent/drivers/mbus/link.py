"""Asks one M-Bus meter at a time over a serial line and believes only its own answer. Not what a meter is asked for, nor what its records mean.

    primary     SND_NKE -> E5        REQ_UD2 -> telegram, REQ_UD2 with the other FCB -> the next one or a fresh one
    secondary   selection -> E5      REQ_UD2 to FD -> telegram of whoever is selected; the selection lasts until another meter is selected

The frame count bit (FCB) says whether the last answer arrived: the same bit again asks for the same telegram again. After a fault nobody knows
where the meter stands, so the next reading begins with SND_NKE or a selection, which start anew.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.mbus import frame, telegram
from edge_agent.drivers.mbus.declared import MbusPlan
from edge_agent.drivers.mbus.frame import Frame, FrameFault
from edge_agent.drivers.mbus.meanings import medium_name
from edge_agent.drivers.mbus.telegram import Telegram, TelegramFault
from edge_agent.drivers.serial_line import Line

_BUSY_CODE: Final = 8


@dataclass(slots=True)
class _Standing:
    """Where one meter stands: the FCB of the next new request (once it is `ready`), and what its last telegram was."""

    ready: bool = False
    fcb: int = frame.FCB
    access_number: int | None = None
    counts: bool = False  # whether its access number has been seen to move
    last: bytes = b""


class _Awaited:
    """Says where in the received bytes the awaited answer ends, and remembers what else came."""

    def __init__(self, meter: MbusPlan, *, acknowledgement: bool) -> None:
        self._meter = meter
        self._acknowledgement = acknowledgement
        self.frame: Frame | None = None
        self.stray = ""

    def complete(self, received: bytes) -> int | None:
        at, self.stray = 0, ""
        while at < len(received):
            try:
                found = frame.find_answer(received[at:], acknowledgement=self._acknowledgement)
            except FrameFault as fault:
                self.stray = str(fault)
                raise DeviceMisanswered(self.stray) from fault
            if found is None:
                return None
            start, end = at + found[0], at + found[1]
            seen = frame.parse(received[start:end])
            if self._acknowledgement or self._fits(seen):
                self.frame = seen
                return end
            at = end
        return None

    def _fits(self, seen: Frame) -> bool:
        if not seen.is_answer:
            return False  # our own selection, handed back by the adapter
        wanted, sender = self._meter.secondary, telegram.sender(seen.ci, seen.data)
        if self._meter.primary is not None and seen.address != self._meter.primary:
            self.stray = f"expected an answer of primary {self._meter.primary}, saw one of {seen.address}"
            return False
        if wanted is not None and sender is not None and not wanted.covers(sender):
            self.stray = f"expected an answer of {wanted}, saw one of {sender}"
            return False
        return True


@dataclass(slots=True)
class Link:
    """The meters of one line."""

    line: Line
    timeout_s: float
    gateway: Gateway
    exchanges: int = 0
    at_ms: int = 0  # when the last telegram had come, UTC ms
    _standing: dict[str, _Standing] = field(default_factory=dict)
    _selected: str = ""

    def is_ready(self, meter: MbusPlan) -> bool:
        """Whether a fresh telegram can be asked for without SND_NKE or a selection."""
        standing = self._standing.get(meter.name)
        return standing is not None and standing.ready and (meter.primary is not None or self._selected == meter.name)

    async def begin(self, meter: MbusPlan) -> None:
        """Starts the meter anew, at its first telegram. Raises DriverError."""
        if meter.primary is not None:
            await self._acknowledged(meter, frame.short(frame.SND_NKE, meter.primary), "SND_NKE")
        else:
            assert meter.secondary is not None
            self._selected = ""
            wanted = meter.secondary.to_bytes()
            request = frame.long(frame.SND_UD, frame.SELECTED, frame.CI_SELECT, wanted)
            await self._acknowledged(meter, request, "selection")
            self._selected = meter.name
        standing = self._standing.setdefault(meter.name, _Standing())
        standing.ready, standing.fcb = True, frame.FCB

    async def deselect(self) -> None:
        """Leaves no meter selected. Raises DriverError."""
        self._selected = ""
        request = frame.short(frame.SND_NKE, frame.SELECTED)
        await self.line.send(request, self.timeout_s, seen=lambda sent, raw: self.gateway.frame("", sent, raw))

    def lose(self, meter: MbusPlan) -> None:
        """Nobody knows any more where the meter stands, or it is in the middle of several telegrams."""
        if meter.name in self._standing:
            self._standing[meter.name].ready = False

    async def telegram(self, meter: MbusPlan) -> Telegram:
        """The meter's next telegram, asked for once more where it came spoiled. Raises DriverError."""
        standing, loop = self._standing[meter.name], asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            seen = await self._user_data(meter, standing.fcb)
        except DeviceMisanswered:
            if loop.time() - begun_s > self.timeout_s / 2 + meter.frame_bytes * self.line.char_s:
                raise  # a time-out has been spent on it already
            seen = await self._user_data(meter, standing.fcb)  # the same bit: the same telegram again
        standing.fcb ^= frame.FCB
        self.at_ms = self.gateway.now_ms()
        what = f"{meter.name}: {meter.address}"
        assert seen.ci is not None
        if seen.ci == telegram.CI_ERROR:
            code = seen.data[0] if seen.data else 0
            meaning = telegram.ERRORS.get(code, "reserved")
            raise DeviceRefused(what, f"application error {code}", meaning, retry=code == _BUSY_CODE)
        try:
            told = telegram.parse(seen.ci, seen.data)
        except TelegramFault as fault:
            raise DeviceMisanswered(f"{what}: {fault}") from fault
        self._check_sender(meter, told)
        self._check_access(meter, standing, told, seen.data)
        return told

    def _check_sender(self, meter: MbusPlan, told: Telegram) -> None:
        """A meter of another kind behind this address is another meter."""
        wanted, sender = meter.manufacturer, told.sender
        if wanted is not None and sender.manufacturer not in (None, wanted):
            raise DeviceMisanswered(f"{meter.name}: expected a meter of {wanted}, saw {sender}")
        if meter.media and sender.medium not in meter.media:
            names = " or ".join(medium_name(number) for number in sorted(meter.media))
            seen = medium_name(sender.medium or 0)
            raise DeviceMisanswered(f"{meter.name}: expected a meter of {names}, saw one of {seen} ({sender})")

    @staticmethod
    def _check_access(meter: MbusPlan, standing: _Standing, told: Telegram, data: bytes) -> None:
        """An access number that has always moved and now stands still belongs to an old telegram."""
        before, standing.access_number = standing.access_number, told.access_number
        same, standing.last = data == standing.last, data
        if before is None:
            return
        if before != told.access_number:
            standing.counts = True
        elif standing.counts and meter.counts_access and same:
            raise DeviceMisanswered(
                f"{meter.name}: expected a new telegram, saw the one with access number {told.access_number} again"
            )

    async def _acknowledged(self, meter: MbusPlan, request: bytes, what: str) -> None:
        await self._exchange(meter, request, _Awaited(meter, acknowledgement=True), what, 1)

    async def _user_data(self, meter: MbusPlan, fcb: int) -> Frame:
        address = frame.SELECTED if meter.primary is None else meter.primary
        request = frame.short(frame.REQ_UD2 | fcb, address)
        awaited = _Awaited(meter, acknowledgement=False)
        await self._exchange(meter, request, awaited, "user data", meter.frame_bytes)
        assert awaited.frame is not None
        return awaited.frame

    async def _exchange(self, meter: MbusPlan, request: bytes, awaited: _Awaited, what: str, chars: int) -> None:
        """Sends and waits. What came instead of the answer is named in the error."""
        self.exchanges += 1
        where = f"{meter.name}: {meter.address}, {what}"
        try:
            await self.line.exchange(
                request,
                awaited.complete,
                self.timeout_s,
                addressee=meter.address,
                answer_chars=chars,
                seen=lambda sent, raw: self.gateway.frame(meter.name, sent, raw),
            )
        except DeviceMisanswered as fault:
            raise DeviceMisanswered(f"{where}: {awaited.stray or fault}") from fault
        except DeviceUnreachable as fault:
            if awaited.stray:
                raise DeviceMisanswered(f"{where}: {awaited.stray}") from fault
            raise type(fault)(f"{where}: {fault}") from fault
        except DriverError as fault:
            raise DeviceMisanswered(f"{where}: {fault}") from fault

"""Reads DL/T 645 meters on one serial line, each by the questions of its plan, and learns what a meter refuses. Not the bytes of a frame.

It writes nothing: relays, clearing and passwords are not even built. The one exception is the time, told to all meters of the line once a day
where the edge file asks for it.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.device_clock import DeviceClocks, nearest
from edge_agent.drivers.dlt645 import frame, midnights
from edge_agent.drivers.dlt645.declared import Bus, Dlt645Plan, line
from edge_agent.drivers.dlt645.link import Link
from edge_agent.drivers.dlt645.midnights import Memory, NotThatMidnight
from edge_agent.drivers.dlt645.questions import Mismatch, Question
from edge_agent.drivers.driver import (
    Answer,
    DeviceMisanswered,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Gateway,
)
from edge_agent.drivers.serial_line import Line, Wiring

log = logging.getLogger(__name__)

_LESSONS: Final = 3  # so many reads in which one question alone goes unanswered, and it is taken for a refusal
_REPLAN_S: Final = 3600.0  # what a meter refused is tried again after an hour: it may have been starting up
# 2017: before it this machine's own clock is not set, and tells nobody the time.
_PLAUSIBLE_MS: Final = 1_483_228_800_000


class _Asked:
    """The questions of one meter as they stand now: what it refuses, or never answers, changes them."""

    __slots__ = ("answered", "first", "made_at_s", "questions", "refusals", "silences")

    def __init__(self, questions: tuple[Question, ...], made_at_s: float) -> None:
        self.questions = list(questions)
        self.made_at_s = made_at_s
        self.first = 0  # where the next read begins: behind what a deadline or a silence has stopped at
        self.answered: set[str] = set()
        self.refusals: dict[str, int] = {}  # since the last answer
        self.silences: dict[str, int] = {}  # reads in which only this question went unanswered

    def turn(self, counters_only: bool) -> deque[Question]:
        """The questions of one read in their order."""
        turn = (*self.questions[self.first :], *self.questions[: self.first])
        return deque(question for question in turn if not counters_only or question.has_counters)

    def note_answer(self, question: Question) -> None:
        """The meter has this."""
        self.answered.add(question.identifier)
        self.refusals.pop(question.identifier, None)
        self.silences.pop(question.identifier, None)

    def refused(self, question: Question) -> bool:
        """Whether a refusal is to be believed: at once where it was never answered, else the third in a row."""
        count = self.refusals[question.identifier] = self.refusals.get(question.identifier, 0) + 1
        return count >= _LESSONS or question.identifier not in self.answered

    def replace(self, question: Question) -> tuple[Question, ...]:
        """Puts the single questions in the place of a block and gives them; a single question is left out."""
        parts = question.singles() if question.block else ()
        at = self.questions.index(question)
        self.questions[at : at + 1] = parts
        self.first = 0
        return parts


class Dlt645:
    """A `Driver` for one line."""

    listens = False

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._timeout_s = bus.timeout_s
        self._zone = ZoneInfo(bus.time_zone) if bus.time_zone is not None else None
        self._broadcasts = bus.broadcast_time
        self._told: date | None = None
        self._gateway = gateway
        self._line = Line(Wiring.of(bus), echo=bus.echo)
        self._link = Link(self._line, bus.timeout_s, gateway)
        self._asked: dict[str, _Asked] = {}
        self._memories: dict[str, Memory] = {}
        self._clocks = DeviceClocks(gateway)

    async def read(self, device: Dlt645Plan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. A data block that is refused is asked for value by value, at once and in the reads to come."""
        loop = asyncio.get_running_loop()
        await self._tell_the_time()
        asked = self._asked.get(device.name)
        if asked is None or not asked.questions or loop.time() - asked.made_at_s > _REPLAN_S:
            asked = self._asked[device.name] = _Asked(device.questions, loop.time())
        queue, answer, silent = asked.turn(counters_only), Answer(), list[Question]()
        while queue:
            if deadline_s is not None and answer.requests and loop.time() >= deadline_s:
                answer.left_out = len(queue)
                asked.first = asked.questions.index(queue[0])
                break
            question, begun_s = queue.popleft(), loop.time()
            try:
                await self._one(device, question, answer)
                asked.note_answer(question)
            except DeviceRefused as refusal:
                if not asked.refused(question):
                    answer.faults.append(refusal)
                elif parts := asked.replace(question):
                    queue.extendleft(reversed(parts))
                else:
                    answer.faults.append(refusal)
                    log.warning("identifier_refused device=%s reason=%s", device.name, refusal)
            except DriverError as fault:
                answer.faults.append(fault)
                if isinstance(fault, DeviceUnreachable) or loop.time() - begun_s >= 0.5 * self._timeout_s:
                    silent.append(question)
                if silent and (not answer.blocks or len(silent) > 1):
                    break  # each further silence would cost the other meters of the line a time-out
        self._heed(device, asked, silent, answer)
        if answer.faults and not answer.blocks:
            raise answer.faults[0]
        if answer.blocks and not silent and device.frozen:
            await self._remember(device, answer, deadline_s)
        if answer.blocks and not silent and not counters_only:
            await self._look_at_the_clock(device, answer, deadline_s)
        return answer

    def requests(self, device: Dlt645Plan) -> tuple[str, ...]:
        """The questions as last planned, one line each."""
        asked = self._asked.get(device.name)
        return tuple(map(line, device.questions if asked is None else asked.questions))

    async def only_address(self) -> str:
        """The address of the only meter on the line, for commissioning. Raises DriverError."""
        return await self._link.address()

    async def close(self) -> None:
        """Closes the port; the next read opens it again."""
        await self._line.close()

    async def _one(self, device: Dlt645Plan, question: Question, answer: Answer) -> None:
        before = self._link.exchanges
        try:
            data = await self._link.data(device, question.identifier, question.answer_size)
            answer.blocks.append(question.decode(device.name, data, self._link.at_ms))
        except Mismatch as mismatch:
            raise DeviceMisanswered(f"{device.name}: {mismatch}") from mismatch
        finally:
            answer.requests += self._link.exchanges - before

    async def _remember(self, device: Dlt645Plan, answer: Answer, deadline_s: float | None) -> None:
        """After an outage reads what the meter kept at the midnights in it, one midnight a read."""
        assert self._zone is not None
        memory = self._memories.setdefault(device.name, Memory(self._zone, device.frozen_days))
        now_ms = self._gateway.now_ms()
        memory.note(now_ms)
        wanted = memory.next(now_ms)
        if wanted is None or (deadline_s is not None and asyncio.get_running_loop().time() >= deadline_s):
            return
        day, back = wanted
        before = self._link.exchanges

        async def ask(identifier: str, size: int) -> bytes:
            return await self._link.data(device, identifier, size)

        try:
            today = await ask(midnights.DATE, midnights.DATE_BYTES)
            memory.check_clock(today, await ask(midnights.CLOCK, midnights.CLOCK_BYTES), self._gateway.now_ms())
            at_ms = memory.instant_ms(day, await ask(midnights.time_identifier(back), midnights.TIME_BYTES))
            kept = [await ask(midnights.value_identifier(item, back), item.size) for item in device.frozen]
            answer.past.append(midnights.block(device.name, device.frozen, kept, at_ms))
            memory.done(day)
        except DeviceRefused:
            memory.done(day)
            if back == 1:
                memory.give_up()
        except NotThatMidnight as fault:
            memory.done(day)
            answer.faults.append(DeviceMisanswered(f"{device.name}: {fault}"))
        except DriverError as fault:
            answer.faults.append(fault)  # asked again with the next read
        finally:
            answer.requests += self._link.exchanges - before

    async def _look_at_the_clock(self, device: Dlt645Plan, answer: Answer, deadline_s: float | None) -> None:
        """Once an hour asks for date and time, where the edge file names the meters' zone (2007 edition, table A.5)."""
        if self._zone is None or device.edition != "2007" or not self._clocks.due(device.name):
            return
        if deadline_s is not None and asyncio.get_running_loop().time() >= deadline_s:
            return
        before = self._link.exchanges
        try:
            when = await self._link.data(device, midnights.DATE, midnights.DATE_BYTES)
            clock = await self._link.data(device, midnights.CLOCK, midnights.CLOCK_BYTES)
            shown, at_ms = midnights.local_time(when, clock), self._link.at_ms
            if (shown.hour, shown.minute) == (0, 0):
                return  # the date may be that of the minute before: with the next read
            event = self._clocks.seen(device.name, nearest(shown, self._zone, at_ms), at_ms)
            answer.events += [event] if event is not None else []
        except DeviceRefused:
            self._clocks.give_up(device.name)
        except NotThatMidnight as fault:
            self._clocks.give_up(device.name)
            answer.faults.append(DeviceMisanswered(f"{device.name}: {fault}"))
        except DriverError as fault:
            self._clocks.put_off(device.name)
            answer.faults.append(fault)
        finally:
            answer.requests += self._link.exchanges - before

    async def _tell_the_time(self) -> None:
        """Once a day, away from midnight, where meters do not take it: DL/T 645-2007 clause 7.1.5."""
        now_ms = self._gateway.now_ms()
        if not self._broadcasts or self._zone is None or now_ms < _PLAUSIBLE_MS:
            return
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._zone)
        if local.date() == self._told or local.hour in {0, 23}:
            return
        told = f"{local:%S%M%H%d%m%y}"  # low byte first: ss mm hh DD MM YY
        await self._link.tell_all(frame.BROADCAST_TIME, bytes.fromhex(told))
        self._told = local.date()
        log.info("time_broadcast line=%s local=%s", self._line.wiring.place, local.isoformat(timespec="seconds"))

    @staticmethod
    def _heed(device: Dlt645Plan, asked: _Asked, silent: list[Question], answer: Answer) -> None:
        """Draws the lesson from silences: the next read begins elsewhere, and what alone is never answered is split like a refusal."""
        if not silent:
            return
        question = silent[0]
        if question in asked.questions:
            asked.first = (asked.questions.index(question) + 1) % len(asked.questions)
        if not answer.blocks or question.identifier in asked.answered:
            return  # the whole meter is silent, or this question is answered at other times
        count = asked.silences[question.identifier] = asked.silences.get(question.identifier, 0) + 1
        if count >= _LESSONS and question in asked.questions:
            parts = asked.replace(question)
            log.warning(
                "question_never_answered device=%s identifier=%s split_in=%d",
                device.name,
                question.identifier,
                len(parts),
            )


def open_driver(bus: Bus, gateway: Gateway) -> Dlt645:
    """A driver that opens its port at its first read."""
    return Dlt645(bus, gateway)

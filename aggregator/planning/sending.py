"""Schedules on their way to the edges: numbered, kept, signed, sent, sent again until they are answered. Not what is in them.

A schedule that an edge has not answered within ANSWER_MS is `unanswered`, which is an alarm; it goes out again each minute and whenever the
connection comes back. A refusal is an alarm with its reason.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Final

from aggregator.alarms import Alarms
from aggregator.commands import Session
from aggregator.flexibility.operation.schedules import Draft
from aggregator.planning.plan_book import OPEN, PlanBook
from wire.command import Result
from wire.keys import SigningKey
from wire.mqtt import MqttError, NotConnected, PublishRefused
from wire.schedule import Schedule, ScheduleUnreadable, seal
from wire.topics import edge_topic

log = logging.getLogger(__name__)

SEND_TIMEOUT_S: Final = 5.0
ANSWER_MS: Final = 60_000
REFUSED: Final = "schedule_refused"
UNANSWERED: Final = "schedule_unanswered"


class Sending:
    """All schedules of one aggregator. `session` gives the connection of the moment, None where there is none."""

    def __init__(
        self,
        book: PlanBook,
        key: SigningKey,
        issuer: str,
        edges: Mapping[str, Collection[str]],
        alarms: Alarms,
        clock: Callable[[], int],
        session: Callable[[], Session | None],
    ) -> None:
        self._book = book
        self._key = key
        self._issuer = issuer
        self._edges = {facility: tuple(sorted(names)) for facility, names in edges.items()}
        self._alarms = alarms
        self._clock = clock
        self._session = session

    async def issue(
        self, plan: int, facility: str, drafts: Mapping[str, Draft], until_ms: int, circuit_sha256: str
    ) -> None:
        """A schedule for each edge. Raises RecordsBusy."""
        for edge, draft in drafts.items():
            now_ms = self._clock()
            number = await asyncio.to_thread(self._book.next_number, now_ms)
            schedule = draft.schedule(
                f"sched-{secrets.token_hex(8)}", self._issuer, number, now_ms, until_ms, circuit_sha256
            )
            await asyncio.to_thread(self._book.keep_schedule, plan, facility, edge, schedule)
            await self._send(facility, edge, schedule)

    async def again(self) -> None:
        """Sends what has no answer yet: the connection is back. Raises RecordsBusy."""
        for facility, edges in self._edges.items():
            for edge in edges:
                found = await asyncio.to_thread(self._book.newest_schedule, facility, edge)
                if found is not None and found[0].state in OPEN and found[0].valid_until_ms > self._clock():
                    await self._send(facility, edge, found[1])

    async def watch(self) -> None:
        """Each minute: who has not answered, and to whom it goes once more. Raises RecordsBusy."""
        for facility, edges in self._edges.items():
            for edge in edges:
                found = await asyncio.to_thread(self._book.newest_schedule, facility, edge)
                if found is None or found[0].state not in OPEN:
                    continue
                row, schedule = found
                if self._clock() - row.issued_at_ms < ANSWER_MS:
                    continue
                await asyncio.to_thread(self._book.schedule_is, row.id, "unanswered", row.reason, self._clock())
                self._alarms.raise_alarm(facility, UNANSWERED, edge, row.id)
                await self._send(facility, edge, schedule)

    async def _send(self, facility: str, edge: str, schedule: Schedule) -> None:
        topic = edge_topic(facility, edge, "schedule")
        session = self._session()
        try:
            if session is None:
                raise NotConnected("there is no broker")
            await session.publish(topic, seal(schedule, topic, self._key), timeout_s=SEND_TIMEOUT_S)
        except ScheduleUnreadable as error:  # a plan that no edge would take is a fault of ours
            log.error("schedule not sendable id=%s edge=%s reason=%s", schedule.id, edge, error)
            await asyncio.to_thread(self._book.schedule_is, schedule.id, "refused", str(error)[:300], self._clock())
            self._alarms.raise_alarm(facility, REFUSED, edge, str(error)[:300])
        except (NotConnected, PublishRefused) as error:
            await asyncio.to_thread(self._book.schedule_is, schedule.id, "not_sent", str(error)[:300], self._clock())
        except MqttError as error:  # it may have left: the edge's answer, or its silence, will tell
            log.warning("schedule without PUBACK id=%s edge=%s reason=%s", schedule.id, edge, error)

    def answered(self, facility: str, edge: str, result: Result) -> bool:
        """Whether this result is the answer to a schedule; called in a thread. Raises RecordsBusy."""
        if not self._book.answered(facility, edge, result.id, result.counter, result.reason, self._clock()):
            return False
        newest = self._book.newest_schedule(facility, edge)
        if newest is not None and newest[0].id == result.id:
            self._alarms.clear(facility, UNANSWERED, edge)
            self._alarms.set(bool(result.reason), facility, REFUSED, edge, result.reason)
        return True

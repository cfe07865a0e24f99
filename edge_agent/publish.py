"""Delivers the spool: newest first, at most 64 unanswered, again until committed. Not what a batch holds.

What waits is what the spool says; the publisher keeps only which batches are in flight. After an outage live batches go at once and the
backlog follows behind them, newest first, at a bounded rate and in all but a few places of the window. A batch is in flight from sending
until its answer comes, or none has come in time, or the connection is lost.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edge_agent.epoch import Epoch
from edge_agent.spool import Spool, SpoolForeign
from wire import topics
from wire.messages import Ack, MessageUnreadable, decode_ack, decode_aggregator_status
from wire.mqtt import MqttError, MqttSession, PublishRefused

log = logging.getLogger(__name__)

WINDOW: Final = 64  # batches without an answer
FRESH: Final = 8  # so many of the newest batches are live, not backlog; so many places of the window are theirs
ANSWER_TIMEOUT_S: Final = 15.0
BACKLOG_PER_S: Final = 200.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long nothing, or no backlog, is sent (real seconds)."""

    have_s: float = 5.0  # the backlog waits so long to be told what the store has already
    held_min_s: float = 5.0  # after `held`, doubled each time until something is committed
    held_max_s: float = 300.0
    refused_s: float = 30.0  # after the broker refused a batch


class Publisher:
    """Sends from the spool through a session while the pinned aggregator is online."""

    def __init__(
        self,
        spool: Spool,
        *,
        backlog_per_s: float = BACKLOG_PER_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        pauses: Pauses | None = None,
    ) -> None:
        self._spool = spool
        self._backlog_per_s = backlog_per_s
        self._answer_timeout_s = answer_timeout_s
        self._pauses = pauses or Pauses()
        self._synced = {epoch_id: epoch.last_seq for epoch_id, epoch in spool.epochs.items()}
        self._in_flight: dict[tuple[str, int], float] = {}
        self._publishing: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._session: MqttSession | None = None
        self._online = False
        self._online_since = 0.0
        self._told = False
        self._allowance = backlog_per_s
        self._paused_until = 0.0
        self._held_s = self._pauses.held_min_s
        self._foreign_epoch = ""
        self.held_total = 0
        self.sent_total = 0
        self.sent_bytes = 0
        self.resent_total = 0
        self.foreign_store = ""
        self.on_change: Callable[[], None] = lambda: None

    def subscriptions(self) -> list[str]:
        """What the session must subscribe: the aggregator's state, and answers for each identity that the spool holds."""
        names = {(epoch.identity.facility, epoch.identity.edge) for epoch in self._spool.epochs.values()}
        return [topics.AGGREGATOR_STATUS, *sorted(topics.edge_topic(facility, edge, "ack") for facility, edge in names)]

    def sealed(self, made: Iterable[tuple[str, int]]) -> None:
        """New batches are in the spool, synced."""
        for epoch_id, seq in made:
            self._synced[epoch_id] = max(seq, self._synced.get(epoch_id, 0))
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether every batch of the spool has been answered."""
        return not any(epoch.waiting for epoch in self._spool.epochs.values())

    @property
    def online(self) -> bool:
        """Whether the aggregator that we obey is there."""
        return self._online

    def lost_connection(self, _reason: str) -> None:
        """Nothing is in flight any more; the aggregator's state is unknown until it comes again."""
        self._online = False
        self._in_flight.clear()

    def message(self, topic: str, payload: bytes) -> None:
        """An answer or the aggregator's state has come. Anything else is logged and forgotten."""
        try:
            if topic == topics.AGGREGATOR_STATUS:
                self._aggregator_state(payload)
            else:
                self._answer(decode_ack(payload))
        except MessageUnreadable as error:
            log.warning("message unreadable topic=%s reason=%s", topic, error)
        self._wake.set()

    def _aggregator_state(self, payload: bytes) -> None:
        status = decode_aggregator_status(payload)
        if not self._obeys(status.store):
            return
        was_online, self._online = self._online, status.state == "online"
        if self._online and not was_online:
            self._online_since, self._told = time.monotonic(), False
        if was_online and not self._online:
            self._in_flight.clear()
        if was_online is not self._online:
            log.info("aggregator %s store=%s", status.state, status.store)
            self.on_change()

    def _obeys(self, store: str) -> bool:
        if not self._spool.store and store:
            self._spool.pin_store(store)
            log.warning("store pinned store=%s", store)
        if store and store == self._spool.store:
            self.foreign_store = ""
            return True
        if store != self.foreign_store:
            log.error("another store answers: expected %s, got %s; nothing is sent to it", self._spool.store, store)
            self.foreign_store = store
            self.on_change()
        return False

    def _answer(self, ack: Ack) -> None:
        epoch = self._spool.epochs.get(ack.epoch)
        if not self._obeys(ack.store) or epoch is None:
            return
        try:
            self._spool.acknowledge(ack)
        except SpoolForeign as error:
            self._foreign(ack.epoch, error)
            return
        self._told = self._told or ack.have
        for held in ack.held:
            self._held(ack.epoch, held.seq, held.reason)
        for key in [key for key in self._in_flight if key[0] == ack.epoch and epoch.settled(key[1])]:
            del self._in_flight[key]
        if ack.committed and not ack.have:
            self._held_s = self._pauses.held_min_s

    def _foreign(self, epoch_id: str, error: SpoolForeign) -> None:
        """A former epoch's batches are sent on: the store keeps both, and shows the conflict."""
        if epoch_id != self._foreign_epoch:
            log.error("answer names a batch that this spool never wrote: %s", error)
            self._foreign_epoch = epoch_id
        if epoch_id == self._spool.current.identity.epoch:
            self._spool.begin_epoch("the aggregator has a batch that this spool never wrote")
            self.on_change()

    def _held(self, epoch_id: str, seq: int, reason: str) -> None:
        if self._in_flight.pop((epoch_id, seq), None) is None:
            return
        self.held_total += 1
        now_s = time.monotonic()
        if now_s >= self._paused_until:
            log.warning("aggregator holds batches reason=%s pause_s=%.0f", reason, self._held_s)
            self._paused_until = now_s + self._held_s * random.uniform(0.8, 1.2)
            self._held_s = min(self._pauses.held_max_s, self._held_s * 2)

    async def run(self, session: MqttSession) -> None:
        """Send for ever; cancel to stop."""
        self._session = session
        last = time.monotonic()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):  # wait_for of Python 3.11 can swallow a cancellation
                        await self._wake.wait()
                self._wake.clear()
                now_s = time.monotonic()
                self._allowance = min(self._backlog_per_s, self._allowance + (now_s - last) * self._backlog_per_s)
                last = now_s
                self._return_late(now_s)
                self._send_some(now_s)
        finally:
            for task in self._publishing:
                task.cancel()

    def _return_late(self, now_s: float) -> None:
        for (epoch_id, seq), sent_s in list(self._in_flight.items()):
            if now_s - sent_s > self._answer_timeout_s:
                del self._in_flight[epoch_id, seq]
                self.resent_total += 1

    def _send_some(self, now_s: float) -> None:
        if self._session is None or not self._session.connected or not self._online or now_s < self._paused_until:
            return
        current = self._spool.current
        former = [epoch for epoch in self._spool.epochs.values() if epoch is not current]
        for epoch in (current, *reversed(former)):
            for seq in self._next(epoch, epoch is current, now_s):
                self._send(epoch, seq, now_s)

    def _next(self, epoch: Epoch, is_current: bool, now_s: float) -> list[int]:
        """What of an epoch may be sent now, newest first."""
        epoch_id = epoch.identity.epoch
        synced = self._synced.get(epoch_id, 0)
        chosen: list[int] = []
        for seq in epoch.waiting_downwards(synced):
            if (epoch_id, seq) in self._in_flight:
                continue
            live = is_current and seq > synced - FRESH
            if len(self._in_flight) + len(chosen) >= (WINDOW if live else WINDOW - FRESH):
                break
            if not live and not self._may_send_backlog(now_s):
                break
            chosen.append(seq)
        return chosen

    def _may_send_backlog(self, now_s: float) -> bool:
        if not self._told and now_s - self._online_since < self._pauses.have_s:
            return False
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _send(self, epoch: Epoch, seq: int, now_s: float) -> None:
        frame = self._spool.read(epoch.identity.epoch, seq)
        if frame is None:
            return
        key = (epoch.identity.epoch, seq)
        topic = topics.edge_topic(epoch.identity.facility, epoch.identity.edge, "batch")
        self._in_flight[key] = now_s
        self.sent_total += 1
        self.sent_bytes += len(frame)
        task = asyncio.get_running_loop().create_task(self._publish(topic, frame, key, now_s))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def _publish(self, topic: str, frame: bytes, key: tuple[str, int], sent_s: float) -> None:
        assert self._session is not None
        try:
            await self._session.publish(topic, frame, timeout_s=self._answer_timeout_s)
        except PublishRefused as error:
            log.error("broker refuses batches: %s", error)
            self._paused_until = time.monotonic() + self._pauses.refused_s
            self._come_back(key, sent_s)
        except MqttError:
            self._come_back(key, sent_s)

    def _come_back(self, key: tuple[str, int], sent_s: float) -> None:
        if self._in_flight.get(key) == sent_s:
            del self._in_flight[key]

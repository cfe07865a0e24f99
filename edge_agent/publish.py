"""Delivers the spool: newest first, at most 64 unanswered, again until committed. Not what a batch holds.

What waits is a stack per epoch, newest on top: after an outage live batches go at once and the backlog follows behind them, at a
bounded rate. A batch leaves the stack when it is sent, returns when no answer came in time, and is done when its answer came.
"""

import asyncio
import contextlib
import logging
import random
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Final

from edge_agent.spool import Spool, SpoolForeign
from wire import topics
from wire.messages import Ack, MessageUnreadable, decode_ack, decode_aggregator_status
from wire.mqtt import MqttError, MqttSession, PublishRefused

log = logging.getLogger(__name__)

WINDOW: Final = 64  # batches without an answer
ANSWER_TIMEOUT_S: Final = 15.0
HAVE_TIMEOUT_S: Final = 5.0  # how long the backlog waits to be told what the store has already
BACKLOG_PER_S: Final = 200.0
FRESH: Final = 8  # so many of the newest batches are live, not backlog
HELD_MIN_S: Final = 5.0
HELD_MAX_S: Final = 300.0
REFUSED_PAUSE_S: Final = 30.0


class Publisher:
    """Sends from the spool through a session while the pinned aggregator is online."""

    def __init__(
        self, spool: Spool, *, backlog_per_s: float = BACKLOG_PER_S, answer_timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        self._spool = spool
        self._backlog_per_s = backlog_per_s
        self._answer_timeout_s = answer_timeout_s
        self._stacks: dict[str, array[int]] = {}
        self._in_flight: dict[tuple[str, int], float] = {}
        self._publishing: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._session: MqttSession | None = None
        self._online = False
        self._online_since = 0.0
        self._told = False
        self._allowance = backlog_per_s
        self._paused_until = 0.0
        self._held_s = HELD_MIN_S
        self.held_total = 0
        self.sent_total = 0
        self.sent_bytes = 0
        self.resent_total = 0
        self.foreign_store = ""
        self.on_change: Callable[[], None] = lambda: None
        for epoch_id, epoch in spool.epochs.items():
            self._stacks[epoch_id] = array("Q", epoch.unsettled())

    def subscriptions(self) -> list[str]:
        """What the session must subscribe: the aggregator's state, and answers for each identity that the spool holds."""
        names = {(epoch.identity.facility, epoch.identity.edge) for epoch in self._spool.epochs.values()}
        return [topics.AGGREGATOR_STATUS, *sorted(topics.edge_topic(facility, edge, "ack") for facility, edge in names)]

    def sealed(self, made: Iterable[tuple[str, int]]) -> None:
        """New batches are in the spool, synced."""
        for epoch_id, seq in made:
            self._stack(epoch_id).append(seq)
        self._wake.set()

    def _stack(self, epoch_id: str) -> "array[int]":
        return self._stacks.setdefault(epoch_id, array("Q"))

    @property
    def idle(self) -> bool:
        """Whether every batch of the spool has been answered."""
        return not self._in_flight and not any(
            not self._spool.epochs[epoch_id].settled(seq) for epoch_id, stack in self._stacks.items() for seq in stack
        )

    @property
    def online(self) -> bool:
        """Whether the aggregator that we obey is there."""
        return self._online

    def lost_connection(self, _reason: str) -> None:
        """All that has no answer goes back on the stack."""
        self._online = False
        self._return_all()

    def _return_all(self) -> None:
        for epoch_id, seq in sorted(self._in_flight):
            self._stack(epoch_id).append(seq)
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
            self._return_all()
        if was_online is not self._online:
            log.info("aggregator %s store=%s", status.state, status.store)
            self.on_change()

    def _obeys(self, store: str) -> bool:
        if not self._spool.store and store:
            self._spool.pin_store(store)
            log.warning("store pinned store=%s", store)
        if store == self._spool.store:
            self.foreign_store = ""
            return True
        if store != self.foreign_store:
            log.error("another store answers: expected %s, got %s; nothing is sent to it", self._spool.store, store)
            self.foreign_store = store
            self.on_change()
        return False

    def _answer(self, ack: Ack) -> None:
        if not self._obeys(ack.store):
            return
        try:
            again = self._spool.acknowledge(ack)
        except SpoolForeign as error:
            log.error("answer names a batch that this spool never wrote: %s", error)
            if ack.epoch == self._spool.current.identity.epoch:
                self._spool.begin_epoch("the aggregator has a batch that this spool never wrote")
                self.on_change()
            return
        if ack.have:
            self._told = True
            self._stack(ack.epoch).extend(array("Q", again))
        for held in ack.held:
            self._held(ack.epoch, held.seq, held.reason)
        epoch = self._spool.epochs.get(ack.epoch)
        if epoch is not None:
            for key in [key for key in self._in_flight if key[0] == ack.epoch and epoch.settled(key[1])]:
                del self._in_flight[key]
            if ack.committed:
                self._held_s = HELD_MIN_S

    def _held(self, epoch_id: str, seq: int, reason: str) -> None:
        if self._in_flight.pop((epoch_id, seq), None) is None:
            return
        self._stack(epoch_id).append(seq)
        self.held_total += 1
        now = time.monotonic()
        if now >= self._paused_until:
            log.warning("aggregator holds batches reason=%s pause_s=%.0f", reason, self._held_s)
            self._paused_until = now + self._held_s * random.uniform(0.8, 1.2)
            self._held_s = min(HELD_MAX_S, self._held_s * 2)

    async def run(self, session: MqttSession) -> None:
        """Send for ever; cancel to stop."""
        self._session = session
        last = time.monotonic()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), 0.2)
                self._wake.clear()
                now = time.monotonic()
                self._allowance = min(self._backlog_per_s, self._allowance + (now - last) * self._backlog_per_s)
                last = now
                self._return_late(now)
                self._send_some(now)
        finally:
            for task in self._publishing:
                task.cancel()

    def _return_late(self, now: float) -> None:
        for (epoch_id, seq), sent in list(self._in_flight.items()):
            if now - sent > self._answer_timeout_s:
                del self._in_flight[epoch_id, seq]
                self._stack(epoch_id).append(seq)
                self.resent_total += 1

    def _send_some(self, now: float) -> None:
        if self._session is None or not self._session.connected or not self._online or now < self._paused_until:
            return
        current = self._spool.current.identity.epoch
        order = [current, *(epoch_id for epoch_id in self._stacks if epoch_id != current)]
        for epoch_id in order:
            stack, epoch = self._stacks.get(epoch_id), self._spool.epochs.get(epoch_id)
            if stack is None or epoch is None:
                continue
            while stack and len(self._in_flight) < WINDOW:
                seq = stack[-1]
                if epoch.settled(seq) or (epoch_id, seq) in self._in_flight:
                    stack.pop()
                    continue
                if not (epoch_id == current and seq > epoch.last_seq - FRESH) and not self._may_send_backlog(now):
                    break
                stack.pop()
                self._send(epoch_id, seq, now)

    def _may_send_backlog(self, now: float) -> bool:
        if not self._told and now - self._online_since < HAVE_TIMEOUT_S:
            return False
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _send(self, epoch_id: str, seq: int, now: float) -> None:
        frame = self._spool.read(epoch_id, seq)
        if frame is None:
            return
        identity = self._spool.epochs[epoch_id].identity
        topic = topics.edge_topic(identity.facility, identity.edge, "batch")
        self._in_flight[epoch_id, seq] = now
        self.sent_total += 1
        self.sent_bytes += len(frame)
        task = asyncio.get_running_loop().create_task(self._publish(topic, frame, (epoch_id, seq)))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def _publish(self, topic: str, frame: bytes, key: tuple[str, int]) -> None:
        assert self._session is not None
        try:
            await self._session.publish(topic, frame, timeout_s=self._answer_timeout_s)
        except PublishRefused as error:
            log.error("broker refuses batches: %s", error)
            self._paused_until = time.monotonic() + REFUSED_PAUSE_S
            self._come_back(key)
        except MqttError:
            self._come_back(key)

    def _come_back(self, key: tuple[str, int]) -> None:
        if self._in_flight.pop(key, None) is not None:
            self._stack(key[0]).append(key[1])

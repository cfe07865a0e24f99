"""The agent as a whole: reads, seals, spools, delivers, tells its state. Not how any of these is done."""

import asyncio
import contextlib
import fcntl
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from edge_agent import allow, meter
from edge_agent.collect import Collection
from edge_agent.control import Control
from edge_agent.dead_band import DeadBands
from edge_agent.drivers.driver import Gateway
from edge_agent.edge_file import EdgeFile, Mqtt, reached
from edge_agent.forensics import Forensics
from edge_agent.publish import Publisher
from edge_agent.result_post import ResultPost
from edge_agent.seal import Batcher, boot_id
from edge_agent.spool import Limits, Spool
from edge_agent.status import status_messages
from edge_agent.timekeeping import Timekeeper, kernel_sync
from wire.block import Block
from wire.clock import Clock
from wire.keys import PublicKey, SigningKey
from wire.messages import EdgeStatus, encode
from wire.mqtt import Broker, Message, MqttError, MqttSession, Tls
from wire.reading import Event, Json
from wire.topics import edge_topic

if TYPE_CHECKING:
    from edge_agent.carbon import Carbon
    from edge_agent.limits.loop import LimitLoop
    from edge_agent.limits.network import Network
    from wire.drill import Sheet

log = logging.getLogger(__name__)

SHORTEST_FLUSH_S: Final = 0.02  # real; an accelerated clock shall not turn the flush into a busy loop
STATUS_PERIOD_S: Final = 10.0  # real
TIDY_PERIOD_S: Final = 5.0  # real
RELEASE_S: Final = 10.0  # real; how long a stopping agent tries to bring points back to their safe state
DRAIN_S: Final = 20.0  # real; how long a stopping agent tries to deliver what it has


class Agent:
    """One gateway's agent. `run` returns when `stop` is set and what was read lies in the spool, delivered if that was possible."""

    def __init__(self, edge: EdgeFile, clock: Clock, version: str, password: str | None = None) -> None:
        """Raises OSError (the spool's directory, TLS files), KeyUnusable, ExtraMissing."""
        self._edge = edge
        self._clock = clock
        self._version = version
        self._key = None if edge.signing is None else SigningKey.load(Path(edge.signing.key))
        self._broker = _broker(edge.mqtt, password)
        self._lock = _locked(Path(edge.spool.directory))
        self._spool = Spool(
            Path(edge.spool.directory),
            edge.facility,
            edge.edge,
            Limits(max_bytes=edge.spool.max_bytes, max_age_ms=int(edge.spool.max_age_days * 86_400_000)),
        )
        if edge.aggregator.store_id and edge.aggregator.store_id != self._spool.store:
            self._spool.pin_store(edge.aggregator.store_id)
        if clock.is_simulated or edge.clock.kept_by:
            log.info("clock_believed kept_by=%s", edge.clock.kept_by or "a simulation")
            self._keeper = Timekeeper(clock, lambda: None, clock, boot_id())
        else:
            self._keeper = Timekeeper(clock, kernel_sync, boot=boot_id())
        self._batcher = Batcher(self._spool, edge.facility, edge.edge, self._key, clock, self._keeper)
        self._dead_bands = DeadBands(edge.dead_bands(), int(edge.report_by_exception.longest_s * 1000))
        self._publisher = Publisher(self._spool)
        state = Path(edge.spool.directory) / "state"
        state.mkdir(exist_ok=True)
        self._forensics = Forensics(edge, state / "frames", clock, self._take_event)
        gateway = Gateway(clock.now_ms, state, self._forensics.frame, self._figures, lambda: self._keeper.synced)
        self._collection = Collection(
            edge, clock, self._take_block, self._take_event, gateway=gateway, rejected=self._forensics.rejected
        )
        self._command_topic = edge_topic(edge.facility, edge.edge, "command")
        self._schedule_topic = edge_topic(edge.facility, edge.edge, "schedule")
        self._state = state
        self._network = _network(edge, state)
        self._limits: LimitLoop | None = None
        self._watch: Callable[[Block], None] | None = None  # a drill looks on
        self._post = ResultPost(edge_topic(edge.facility, edge.edge, "result"))
        self._commanded = bool(edge.aggregator.command_key)
        self._control = Control(
            [
                entry
                for bus in edge.bus
                for device in bus.device
                if device.allow
                for entry in allow.allowed(device, meter.load(device.model))
            ],
            PublicKey.from_text(edge.aggregator.command_key, light=True) if self._commanded else None,
            self._command_topic,
            clock,
            self._collection.write,
            self._take_event,
            self._post.put,
            state,
            edge.aggregator.link_lost_s,
            local=self._steered_here(),
        )
        self._limits = self._limits_of(edge, state)
        self._factors_topic = edge_topic(edge.facility, edge.edge, "factors")
        self._carbon = self._carbon_of(edge, state) if self._commanded else None
        self._changed = asyncio.Event()
        self._publisher.on_change = self._changed.set
        self._unsynced: list[tuple[str, int]] = []

    def _steered_here(self) -> set[tuple[str, str]]:
        lines = () if self._network is None else self._network.lines
        return {(line.asset.device, line.asset.point) for line in lines}

    def _limits_of(self, edge: EdgeFile, state: Path) -> "LimitLoop | None":
        if self._network is None:
            return None
        from edge_agent.limits.loop import LimitLoop  # an agent without a circuit does without

        key = PublicKey.from_text(edge.aggregator.command_key, light=True) if self._commanded else None
        loop = LimitLoop(
            self._network, self._clock, self._control.follow, self._take_event, self._post.put, state, key, self._schedule_topic
        )  # fmt: skip
        loop.link(False)
        return loop

    def _carbon_of(self, edge: EdgeFile, state: Path) -> "Carbon":
        from edge_agent.carbon import Carbon  # an agent that takes no packs does without

        key = PublicKey.from_text(edge.aggregator.command_key, light=True)
        return Carbon(state, key, self._factors_topic, self._take_event, lambda: self._keeper.synced is not False)

    def _figures(self) -> Mapping[str, float]:
        """The agent's own figures, for the driver that reads the gateway itself."""
        depth, oldest_ms = self._spool.depth(), self._spool.oldest_waiting_ms()
        return {
            "spool_batches": depth.batches,
            "spool_bytes": depth.bytes,
            "spool_oldest_s": 0 if oldest_ms is None else max(0, self._clock.now_ms() - oldest_ms) / 1000,
            "sent_bytes": self._publisher.sent_bytes,
            "sealed_readings": self._batcher.sealed_readings,
        }

    async def drill(
        self, stop: asyncio.Event, by: str, leave_out: frozenset[str], say: Callable[[str], None]
    ) -> "Sheet":
        """A safe-state drill while the agent runs: a signed sheet, also told as an event. Raises ValueError without a circuit or a signing key."""
        if self._limits is None or self._key is None:
            raise ValueError("drill: expected [control] circuit and [signing] key in the edge file, one is missing")
        from edge_agent.limits.drill import FILE, Drill
        from wire.drill import encoded, signed

        sees_s = {
            device.name: getattr(bus, "sample_s", device.period_s) for bus in self._edge.bus for device in bus.device
        }
        timer_s = {name: max((a.hold_s for a in r.allowed), default=60.0) for name, r in reached(self._edge).items()}
        drill = Drill(self._limits, self._clock, self._control.mute, sees_s, timer_s, say)
        self._watch = drill.look
        holding = asyncio.create_task(drill.run(by, leave_out), name="drill")
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({holding, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not holding.done():
            holding.cancel()
        sheet = signed(await holding, self._key)
        (self._state / FILE).write_bytes(encoded(sheet))
        body: dict[str, Json] = {**msgspec.to_builtins(sheet), "drilled": sorted(sheet.drilled)}
        self._take_event(Event(sheet.id, sheet.ended_at_ms, "", "drill", body))
        return sheet

    def _take_block(self, block: Block) -> None:
        self._forensics.look(block)
        if self._carbon is not None:
            self._carbon.look(block)
        if self._limits is not None:
            self._limits.look(block)
        if self._watch is not None:
            self._watch(block)
        worth = self._dead_bands.worth_telling(block)
        if worth is not None:
            self._batcher.add_block(worth)

    def _take_event(self, event: Event) -> None:
        self._batcher.add_event(event)
        if self._limits is not None:
            self._limits.heard(event)
        self._changed.set()

    async def run(self, stop: asyncio.Event, drain_s: float = DRAIN_S) -> None:
        """Work until `stop` is set, then stop polling, seal, deliver for at most `drain_s`, and say goodbye."""
        loop = asyncio.get_running_loop()
        edge, devices = self._edge, sum(len(bus.device) for bus in self._edge.bus)
        log.info(
            "agent starts facility=%s edge=%s buses=%d devices=%d version=%s",
            edge.facility, edge.edge, len(edge.bus), devices, self._version,
        )  # fmt: skip

        def message(topic: str, payload: bytes, retained: bool) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the network thread
                loop.call_soon_threadsafe(self._message, topic, payload, retained)

        session = MqttSession(
            self._broker,
            f"wattline-{self._edge.facility}-{self._edge.edge}",
            subscriptions=[
                *self._publisher.subscriptions(),
                *([self._command_topic, self._factors_topic] if self._commanded else []),
                *([self._schedule_topic] if self._commanded and self._limits is not None else []),
            ],
            will=self._will(),
            on_message=message,
            on_connected=self._changed.set,
            on_lost=self._lost,
        )
        try:
            async with session, asyncio.TaskGroup() as tasks:
                collecting = tasks.create_task(self._collection.run(), name="collection")
                ended = asyncio.Event()
                flushing = tasks.create_task(self._flush_until(ended), name="flush")
                background = [
                    tasks.create_task(self._publisher.run(session), name="publisher"),
                    tasks.create_task(self._tell_for_ever(session), name="status"),
                    tasks.create_task(self._control.run(), name="control"),
                    tasks.create_task(self._post.run(session), name="answers to commands"),
                ]
                limits = None
                if self._limits is not None:
                    limits = tasks.create_task(self._limits.run(), name="limits")
                await stop.wait()
                if limits is not None:
                    limits.cancel()
                await self._control.close(RELEASE_S)
                self._collection.stop()
                deadline_s = loop.time() + drain_s
                await asyncio.wait([collecting], timeout=drain_s)
                self._batcher.release()
                await self._drain(deadline_s)
                for task in background:
                    task.cancel()
                collecting.cancel()
                ended.set()
                await flushing
                await self._tell(session, "offline", "stopped")
        finally:
            self._spool.close()
            self._lock.close()
            log.info("agent stopped facility=%s edge=%s", edge.facility, edge.edge)

    def _message(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic == self._command_topic:
            self._control.message(payload, retained=retained)
            return
        if topic == self._factors_topic and self._carbon is not None:
            self._carbon.message(payload)
            return
        if topic == self._schedule_topic and self._limits is not None:
            if not retained:
                self._limits.schedule(payload)
            return
        self._publisher.message(topic, payload)
        self._linked(self._publisher.online)

    def _lost(self, reason: str) -> None:
        self._publisher.lost_connection(reason)
        self._linked(False)

    def _linked(self, up: bool) -> None:
        self._control.link(up)
        if self._limits is not None:
            self._limits.link(up)

    async def _flush_until(self, ended: asyncio.Event) -> None:
        """Seals and syncs once a period, and once more at the end. Not cancelled: a sync may be under way in its thread."""
        period_s = max(self._clock.real_s(self._edge.flush.period_s), SHORTEST_FLUSH_S)
        tidied = time.monotonic()
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await ended.wait()
            await self._flush()
            if time.monotonic() - tidied > TIDY_PERIOD_S:
                tidied = time.monotonic()
                self._spool.tidy(self._keeper.age_ms())

    def _look_at_the_clock(self) -> None:
        step = self._keeper.look()
        if step is None:
            return
        body = {"step_ms": step.step_ms, "synced": step.synced}
        self._batcher.release()
        self._take_event(Event(f"clock-{step.at_ms}", step.at_ms, "", "clock", body))

    async def _flush(self) -> None:
        self._look_at_the_clock()
        if self._batcher.waiting:
            self._unsynced += self._batcher.seal()
        if not self._unsynced:
            return
        try:
            await asyncio.to_thread(self._spool.sync)
        except OSError as error:  # not sent before it is synced; the next flush tries again
            log.error("spool cannot be synced: %s", error)
            return
        self._publisher.sealed(self._unsynced)
        self._unsynced = []

    @property
    def _all_gone(self) -> bool:
        return not self._batcher.waiting and not self._unsynced and self._publisher.idle and self._post.idle

    async def _drain(self, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < deadline_s and not self._all_gone:  # noqa: ASYNC110 the spool tells no event
            await asyncio.sleep(0.05)

    async def _tell_for_ever(self, session: MqttSession) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_PERIOD_S):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._changed.wait()
            self._changed.clear()
            await self._tell(session, "online", "")
            await asyncio.sleep(0.2)

    async def _tell(self, session: MqttSession, state: str, reason: str) -> None:
        if not session.connected:
            return
        depth = self._spool.depth()
        head = EdgeStatus(
            "online" if state == "online" else "offline",
            reason,
            self._version,
            self._clock(),
            self._spool.current.identity.epoch,
            depth.oldest_seq,
            depth.next_seq,
            depth.batches,
            depth.bytes,
            "" if self._key is None else self._key.public.to_text(),
            self._spool.store,
            self._spool.gaps_total,
            self._spool.refused_total,
            self._publisher.held_total,
            {
                "sealed_readings": self._batcher.sealed_readings,
                "sealed_bytes": self._batcher.sealed_bytes,
                "waiting_readings": self._batcher.waiting_readings,
                "untold_readings": self._dead_bands.untold,
                "sent_batches": self._publisher.sent_total,
                "resent_batches": self._publisher.resent_total,
                "foreign_store": self._publisher.foreign_store,
                **self._control.figures(),
                **({} if self._carbon is None else self._carbon.figures()),
                **({} if self._limits is None else self._limits.figures()),
            },
        )
        facility, edge = self._edge.facility, self._edge.edge
        for page, payload in enumerate(status_messages(head, self._edge, self._collection.states()), start=1):
            try:
                await session.publish(edge_topic(facility, edge, "status", page), payload, retain=True)
            except MqttError as error:
                log.warning("status not published reason=%s", error)
                return

    def _will(self) -> Message:
        topic = edge_topic(self._edge.facility, self._edge.edge, "status")
        current = self._spool.current
        gone = EdgeStatus(
            "offline",
            "lost",
            self._version,
            epoch=current.identity.epoch,
            next_seq=current.last_seq + 1,
            store=self._spool.store,
        )
        return Message(topic, encode(gone), retain=True)


def _network(edge: EdgeFile, state: Path) -> "Network | None":
    """The part of the circuit that this edge keeps, with the response times of the last drill; None where its file names none."""
    if not edge.control.circuit:
        return None
    from edge_agent.limits.drill import FILE, kept_responses_s
    from edge_agent.limits.network import network_of
    from wire.circuit import load as load_circuit

    circuit = load_circuit(Path(edge.control.circuit))
    return network_of(circuit, edge.edge, kept_responses_s(state / FILE, network_of(circuit, edge.edge)))


def _locked(directory: Path) -> IO[bytes]:
    """Holds the spool for this process until it is closed or the process ends. Raises OSError where another agent has it, or it cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("ab")
    except OSError as error:
        raise OSError(f"spool {directory}: expected a directory that can be written, saw {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise OSError(f"spool {directory}: expected to be alone, another agent uses it ({error})") from error
    return file


def _broker(mqtt: Mqtt, password: str | None) -> Broker:
    tls = None
    if mqtt.tls is not None:
        cert, key = mqtt.tls.cert, mqtt.tls.key
        tls = Tls(Path(mqtt.tls.ca), None if cert is None else Path(cert), None if key is None else Path(key))
        tls.context()  # so that unusable files are said at start
    return Broker(mqtt.host, mqtt.port, tls, mqtt.username, password)

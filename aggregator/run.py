"""Builds the aggregator from its settings and runs it until it is told to stop. Not any of its parts."""

import asyncio
import contextlib
import gc
import logging
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from aggregator.accounts.by_hand.entering import Entering
from aggregator.accounts.by_hand.readings import HandReadings
from aggregator.accounts.checks.bindings import Bindings
from aggregator.accounts.checks.challenges import Challenges
from aggregator.accounts.checks.lineage import Lineage
from aggregator.accounts.checks.samples import Samples
from aggregator.accounts.compile import Accounts
from aggregator.accounts.pools.watch import PoolWatch
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsUnusable
from aggregator.accounts.runs.late import closed_by
from aggregator.accounts.runs.logged import take_up, take_up_bindings
from aggregator.accounts.runs.record import Runs
from aggregator.alarms import Alarm, Alarms
from aggregator.app import serve
from aggregator.audit.export import Exporter
from aggregator.audit.log import AuditLog, LogUnusable
from aggregator.command_book import CommandBook
from aggregator.commands import Commands, command_key
from aggregator.edge_carbon import EdgeCarbon
from aggregator.factor_packs import FactorPacks
from aggregator.feed import Feed
from aggregator.flexibility.events.conduct import Conduct
from aggregator.flexibility.events.logged import take_up_events
from aggregator.flexibility.events.record import FILE_NAME as EVENTS_NAME
from aggregator.flexibility.events.record import EventRecord
from aggregator.flexibility.events.rounds import EventRounds
from aggregator.footprint.clean_hours import CleanHours
from aggregator.footprint.own_use import OwnRecords, OwnUse, bytes_below, gateway_counts
from aggregator.forecast_rounds import ForecastRounds
from aggregator.forecasting import Forecasting
from aggregator.forecasts.issued import ForecastsUnusable
from aggregator.ingest import Committed, Ingest
from aggregator.ledger import Ledger, LedgerError
from aggregator.live import AboutDevice, LiveState
from aggregator.newest import NewestReadings
from aggregator.open_books import RegistryWatch, open_books
from aggregator.overruling import Overruling
from aggregator.planning.logged import take_up_plans
from aggregator.planning.planning import Planning
from aggregator.publication_watch import PublicationWatch
from aggregator.sealing import SealRounds
from aggregator.services import Services
from aggregator.settings import Settings, SettingsFaults, load
from aggregator.settle import Settler
from aggregator.settled_otherwise import settled_otherwise
from aggregator.settling import Noting, Settling
from aggregator.stores.open import open_store
from aggregator.stores.store import Store, StoreError
from aggregator.tree_watch import TreeWatch
from aggregator.trust import Trust, TrustedEdge
from aggregator.watch import Watch
from wire import topics
from wire.clock import Clock
from wire.keys import KeyUnusable
from wire.messages import Ack, AggregatorStatus, EdgeStatus, MessageUnreadable, decode_edge_status, encode
from wire.mqtt import Broker, Message, MqttError, MqttSession

log = logging.getLogger(__name__)

STATUS_TIMEOUT_S: Final = 5.0
SIGN_PERIOD_S: Final = 60.0  # real: how long a committed batch waits for a checkpoint at most
# Contents of batches hold no cycles, but their lists made Python look for some all the time: without that the stages of the ingest,
# one by one, take a fifth less processor time (benchmarks/stages.py).
COLLECT_AFTER: Final = 50_000
LEAST_FREE_BYTES: Final = 64 << 20  # a commit and its checkpoint need a few MiB


class CannotStart(Exception):
    """Settings, store or address cannot be used; the message names each fault."""


class Aggregator:
    """All parts of one aggregator, wired. Objects are built here and nowhere else."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises CannotStart."""
        self.settings = settings
        self.clock = clock
        try:
            settings.data_directory.mkdir(parents=True, exist_ok=True)
            self.store_id = settings.store_id or kept_store_id(settings.data_directory)
            self.store: Store = store_of(settings)
            self.ledger = Ledger(settings.data_directory / "ledger.sqlite")
            self.books = open_books(settings, self.ledger, clock)
            self.books.book_what_lacks_a_factor()  # the settings, or this version's factors, may name one now
            self.runs = Runs(settings.data_directory / ACCOUNTS_NAME)
            self.hand = HandReadings(settings.data_directory / ACCOUNTS_NAME)
            self.samples = Samples(settings.data_directory / ACCOUNTS_NAME)
            self.challenges = Challenges(settings.data_directory / ACCOUNTS_NAME)
            self.bindings = Bindings(settings.data_directory / ACCOUNTS_NAME)
            self.bindings.keep(settings.catalogue.bindings(settings.facilities), clock())
            self.forecasting = Forecasting(
                self.ledger, settings.facilities, settings.data_directory, clock, boosting=settings.boosting
            )
            self.own_records = OwnRecords(settings.data_directory / ACCOUNTS_NAME)
            self.event_record = EventRecord(settings.data_directory / EVENTS_NAME)
            self.newest = NewestReadings(self.store.keys)
            self.newest.prime(self.store)
            key = command_key(settings.command_key, settings.data_directory)
            self.audit = AuditLog(
                settings.data_directory, self.store, self.store_id, clock, frame_bytes_max=settings.archive_bytes
            )
        except (
            OSError,
            StoreError,
            LedgerError,
            KeyUnusable,
            LogUnusable,
            RecordsBusy,
            RecordsUnusable,
            ForecastsUnusable,
        ) as error:
            raise CannotStart(str(error)) from error
        self.alarms = Alarms(self.ledger, clock)
        self.live = LiveState(
            settings.facilities,
            self.newest,
            clock,
            speed=clock.speed,
            alarms=self.alarms.open_as_json,
        )
        self.conduct = Conduct(
            self.event_record,
            Accounts(self.ledger, settings.facilities, settings.data_directory, clock),
            self.store,
            self.alarms,
            clock,
        )
        self.feed = Feed(self.live.frame, viewers_max=settings.http.viewers_max)
        self.trust = trust_of(settings)
        self.settler = Settler(self.store, self.ledger, settings.facilities, clock, self.alarms, self.books, self.hand)
        self.settling = Settling(self.settler, clock)
        self._noting = Noting(self.store, self.settler, settings.facilities)
        self.ingest = Ingest(
            self.store, self.store_id, self.trust, clock, self._answer, self._committed, self.audit.append
        )
        self.watch = Watch(
            self.live, self.alarms, self.books, clock, speed=clock.speed, edges=lambda: self.ingest.figures().edges
        )
        self.pool_watch = PoolWatch(self.store, settings.facilities, settings.data_directory / ACCOUNTS_NAME, clock)
        self.publication_watch = PublicationWatch(
            Accounts(self.ledger, settings.facilities, settings.data_directory, clock),
            self.runs,
            self.alarms,
            clock,
            settings.significance_percent,
        )
        self.clean = CleanHours(settings.machine, settings.data_directory, self.own_records, clock)
        self.sealing = SealRounds(self.ledger, settings.facilities, settings.data_directory, clock, self.clean)
        self.tree_watch = TreeWatch(self.ledger, self.alarms, settings.facilities, clock)
        self.own_use = OwnUse(
            self.own_records,
            settings.machine,
            clock,
            lambda: bytes_below(settings.data_directory),
            lambda: gateway_counts(self.newest, [facility.id for facility in settings.facilities]),
        )
        self.edge_carbon = EdgeCarbon(self.store, self.books, self.alarms, clock)
        self.session: MqttSession | None = None
        self.factor_packs = FactorPacks(self.ledger, self.books, key, self.trust.edges(), clock, lambda: self.session)
        self.commands = Commands(
            CommandBook(self.ledger, self.store_id), key, self.trust.edges(), clock, lambda: self.session
        )
        try:
            self.planning = Planning(
                settings, store=self.store, ledger=self.ledger, newest=self.newest, forecasting=self.forecasting, flow=self.live.flow_kw,
                asks=self.conduct, alarms=self.alarms, key=key, store_id=self.store_id, clock=clock, session=lambda: self.session,
            )  # fmt: skip
        except RecordsUnusable as error:
            raise CannotStart(str(error)) from error
        self.commands.others = self.planning.sending.answered
        self.conduct.planner = self.planning.planner()

    def services(self) -> Services:
        """What the routes are given."""
        return Services(
            http=self.settings.http,
            facilities={facility.id: facility for facility in self.settings.facilities},
            store=self.store,
            books=self.books,
            newest=self.newest,
            live=self.live,
            feed=self.feed,
            alarms=self.alarms,
            clock=self.clock,
            note=self.settler.note,
            ready=self._ready,
            figures=self.ingest.figures,
            commands=self.commands,
            edge_carbon=self.edge_carbon,
            overruling=Overruling(self.settler),
            entering=None
            if self.settler.hand is None
            else Entering(self.settler, self.settler.hand, closed_by(self.runs)),
            audit=self.audit,
            evidence=Exporter(self.audit, self.store, self.trust),
            persons=self.settings.persons,
            accounts=(
                accounts := Accounts(self.ledger, self.settings.facilities, self.settings.data_directory, self.clock)
            ),
            runs=self.runs,
            significance_percent=self.settings.significance_percent,
            lineage=Lineage(accounts, self.settler, self.audit),
            samples=self.samples,
            challenges=self.challenges,
            catalogue=self.settings.catalogue,
            forecasting=self.forecasting,
            own_records=self.own_records,
            planning=self.planning,
            conduct=self.conduct,
        )

    # Called from the committer's thread.

    def _answer(self, facility: str, edge: str, ack: Ack) -> None:
        if self.session is not None:
            self.session.post(topics.edge_topic(facility, edge, "ack"), encode(ack))

    def _committed(self, committed: Committed) -> None:
        rows = committed.rows
        self.newest.update(rows.series, rows.at_ms, rows.value, rows.quality)
        self._noting.note(rows)
        for batch in committed.batches:
            self.edge_carbon.note(batch.facility, batch.edge, batch.events)
            self.planning.heard(batch.facility, batch.events)
        self.own_use.stored((batch.facility, batch.readings) for batch in committed.batches)

    # Called from the event loop.

    def edge_status(self, facility: str, edge: str, payload: bytes) -> None:
        """An edge tells its state; what cannot be read is logged and forgotten."""
        try:
            status = decode_edge_status(payload)
        except MessageUnreadable as error:
            log.warning("status unreadable facility=%s edge=%s reason=%s", facility, edge, error)
            return
        self.ingest.edge_status(facility, edge, status)
        self.live.about(facility, edge, _about(status))

    def _ready(self) -> dict[str, str | None]:
        """Why each part cannot work now, None where it can. May block: not for the event loop."""
        mqtt = None if self.session is not None and self.session.connected else "not connected to the broker"
        return {"store": self._store_reason(), "mqtt": mqtt}

    def _store_reason(self) -> str | None:
        try:
            free_bytes = shutil.disk_usage(self.settings.data_directory).free
            self.ledger.rows("SELECT 1")  # takes the lock that a write needs
        except (OSError, LedgerError, sqlite3.Error) as error:
            return f"{self.settings.data_directory}: expected to be writable, got {error}"
        if free_bytes < LEAST_FREE_BYTES:
            return f"{self.settings.data_directory}: expected at least {LEAST_FREE_BYTES} bytes free, got {free_bytes}"
        return None

    async def run(self, stop: asyncio.Event, ready: Callable[[dict[str, Any]], None]) -> None:
        """Work until `stop` is set; `ready` is told {"url"} once the pages are served. Raises CannotStart."""
        loop = asyncio.get_running_loop()

        def told(alarm: Alarm) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.feed.alarm, alarm.facility, alarm.as_json())

        self.alarms.told = told
        try:
            await asyncio.to_thread(self._settle_as_set)
            with self.ingest:
                async with contextlib.AsyncExitStack() as stack:
                    if self.settings.mqtt is not None:
                        self.session = await stack.enter_async_context(self._mqtt(loop))
                    background = [
                        asyncio.create_task(self.watch.run(), name="watch"),
                        asyncio.create_task(self.settling.run(), name="settling"),
                        asyncio.create_task(self.tree_watch.run(), name="tree watch"),
                        asyncio.create_task(self.pool_watch.run(), name="pools"),
                        asyncio.create_task(self._sign_for_ever(), name="audit"),
                        asyncio.create_task(self.publication_watch.run(), name="publication watch"),
                        asyncio.create_task(self.factor_packs.run(), name="factor packs"),
                        asyncio.create_task(self.edge_carbon.run(), name="edge carbon"),
                        asyncio.create_task(self.sealing.run(), name="sealing"),
                        asyncio.create_task(RegistryWatch(self.settings, self.books).run(), name="registry"),
                        asyncio.create_task(self.own_use.run(), name="own-use"),
                        asyncio.create_task(self.planning.rounds.run(), name="plans"),
                        asyncio.create_task(
                            EventRounds(self.conduct, self.audit, self.clock).run(), name="demand response"
                        ),
                        asyncio.create_task(
                            ForecastRounds(self.forecasting, self.clock, self.alarms, self.clean).run(),
                            name="forecasts",
                        ),
                    ]
                    try:
                        await serve(self.services(), lambda url: ready({"url": url}), stop)
                    except OSError as error:
                        raise CannotStart(str(error)) from error
                    finally:
                        for task in background:
                            task.cancel()
                        await asyncio.gather(*background, return_exceptions=True)
                        await self._say("offline")
        finally:
            await asyncio.to_thread(self._close)

    def _settle_as_set(self) -> None:
        """Before anything is served: energies that stand by other multipliers than the settings'. Where that fails, accounts refuse until it is done."""
        try:
            found = settled_otherwise(self.ledger, self.settings.facilities)
        except LedgerError as error:
            log.error("multipliers not compared reason=%s", error)
            return
        for each in found:
            log.warning("settled anew before start: %s", each)
        if found:
            self.settling.settle()

    async def _sign_for_ever(self) -> None:
        while True:
            await asyncio.to_thread(take_up, self.runs, self.audit)
            await asyncio.to_thread(take_up_bindings, self.bindings, self.audit)
            await asyncio.to_thread(take_up_plans, self.planning.book, self.audit)
            await asyncio.to_thread(self.audit.keep_up)
            await asyncio.sleep(SIGN_PERIOD_S)

    def _close(self) -> None:
        take_up_events(self.event_record, self.audit)
        take_up(self.runs, self.audit)
        take_up_bindings(self.bindings, self.audit)
        take_up_plans(self.planning.book, self.audit)
        self.planning.close()
        self.audit.close()
        self.runs.close()
        self.settling.settle(patient=False)
        self.forecasting.close()
        self.own_use.record()
        self.own_records.close()
        self.event_record.close()
        self.store.close()
        self.ledger.close()
        self.hand.close()
        self.samples.close()
        self.challenges.close()
        self.bindings.close()

    def _mqtt(self, loop: asyncio.AbstractEventLoop) -> MqttSession:
        wanted = self.settings.mqtt
        assert wanted is not None

        def message(topic: str, payload: bytes, _retained: bool) -> None:  # in the network thread
            name = topics.parse(topic)
            if name is None:
                return
            if name.kind == "batch":
                self.own_use.received(name.facility, len(payload))
                self.ingest.offer(topic, payload)
            elif name.kind == "status":
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self.edge_status, name.facility, name.edge, payload)
            elif name.kind == "result":
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self.commands.result, name.facility, name.edge, payload)

        def connected() -> None:
            self._saying = loop.create_task(self._come_online())

        gone = AggregatorStatus(self.store_id, "offline")
        return MqttSession(
            Broker(wanted.host, wanted.port, wanted.tls, wanted.username, wanted.password),
            f"wattline-aggregator-{self.store_id}",
            subscriptions=[*map(topics.all_edges, ("batch", "status", "result")), f"{topics.all_edges('status')}/+"],
            will=Message(topics.AGGREGATOR_STATUS, encode(gone), retain=True),
            on_message=message,
            on_connected=connected,
        )

    async def _come_online(self) -> None:
        await self._say("online")
        self.ingest.announce()
        self.factor_packs.forget_sent()
        await self.factor_packs.issue()
        await self.planning.sending.again()

    async def _say(self, state: str) -> None:
        if self.session is None or not self.session.connected:
            return
        status = AggregatorStatus(self.store_id, "online" if state == "online" else "offline", self.clock())
        try:
            await self.session.publish(
                topics.AGGREGATOR_STATUS, encode(status), retain=True, timeout_s=STATUS_TIMEOUT_S
            )
        except MqttError as error:
            log.error("aggregator status not published state=%s reason=%s", state, error)


async def run(
    file: Path,
    clock: Clock,
    stop: asyncio.Event,
    environment: Mapping[str, str],
    ready: Callable[[dict[str, Any]], None],
) -> None:
    """`wattline aggregator run`, in a process of its own: it sets the interpreter up for batches. Raises CannotStart."""
    gc.set_threshold(COLLECT_AFTER, 20, 50)
    try:
        settings = load(file, environment)
    except SettingsFaults as error:
        raise CannotStart(str(error)) from error
    await Aggregator(settings, clock).run(stop, ready)


def store_of(settings: Settings) -> Store:
    """The store that the settings name. Raises StoreUnavailable, StoreRefused."""
    store = settings.store
    return open_store(
        store.kind,
        settings.data_directory,
        url=store.url,
        database=store.database,
        dialect=store.dialect,
        org=store.org,
        user=store.username,
        token=store.token or "",
    )


def trust_of(settings: Settings) -> Trust:
    """Whose batches are taken, as the settings say."""
    return Trust(
        TrustedEdge(
            edge.facility,
            edge.edge,
            () if edge.public_key is None else (edge.public_key,),
            accept_unsigned=edge.accept_unsigned,
        )
        for edge in settings.edges
    )


def _about(status: EdgeStatus) -> dict[str, AboutDevice]:
    return {
        device.name: AboutDevice(
            device.protocol, device.model, max(0.0, device.period_s) * 1000, device.state if device.listens else ""
        )
        for device in status.devices
    }


def kept_store_id(directory: Path) -> str:
    """The store's id, made up once and kept beside the data: edges obey one store."""
    path = directory / "store_id"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    store_id = f"store-{secrets.token_hex(6)}"
    path.write_text(store_id + "\n")
    return store_id

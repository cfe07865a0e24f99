"""One pile, whatever connection it has at the moment: answers its calls and knows what it can do. What it tells is `observed`'s.

    call --> dialect.answer --> dialect.note --> blocks, events, transactions --> journal synced --> the answer goes out

Not the words of a version (`dialect`), nor who may connect (`server`), nor an operator's back end (`relay`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edge_agent.drivers.device_clock import DeviceClocks
from edge_agent.drivers.driver import DeviceRefused, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.ocpp import charging, frames, operator_limits, schemas, v16, v21, v201
from edge_agent.drivers.ocpp.charging import Budget, Profile
from edge_agent.drivers.ocpp.declared import Bus, PilePlan
from edge_agent.drivers.ocpp.dialect import CallFault, Capabilities, Dialect
from edge_agent.drivers.ocpp.frames import Frame, Kind, Payload
from edge_agent.drivers.ocpp.journal import Journal
from edge_agent.drivers.ocpp.link import Link
from edge_agent.drivers.ocpp.observed import FUTURE_MS, Observed
from edge_agent.drivers.ocpp.steering import Steering
from edge_agent.drivers.ocpp.transactions import Book
from wire.block import Shape

log = logging.getLogger(__name__)

DIALECTS: Final[Mapping[str, Dialect]] = {"ocpp1.6": v16, "ocpp2.0.1": v201, "ocpp2.1": v21}
_ASK_AGAIN_S: Final = 2  # until its devices have been read once; 0 would leave the choice to the pile
_WRITES: Final = Shape(("profile_writes",), (0,))


class Pile:
    """One identity. `expected` are its connectors with their devices' names; until their plans are known the pile is told to wait."""

    def __init__(
        self, identity: str, bus: Bus, gateway: Gateway, book: Book, journal: Journal, expected: Mapping[int, str]
    ) -> None:
        self.identity = identity
        self.book = book
        self.now_ms = gateway.now_ms
        self.told = Observed(identity, book, gateway.now_ms, expected)
        self.told.clocks = DeviceClocks(gateway, FUTURE_MS)
        self.told.began = self._began
        self.told.ended = self._ended
        self.told.booted_again = self._forget
        self.heartbeat_s = bus.heartbeat_s
        self.relayed = bus.role == "local_controller"
        self.changes_configuration = not self.relayed
        self.connectors = sum(1 for number in expected if number > 0)
        self.link: Link | None = None
        self.dialect: Dialect | None = None
        self.capabilities = Capabilities()
        self.reads_back = True
        self.heard_s = 0.0  # loop time of the last message
        self.faults: dict[str, int] = {}  # calls that broke their schema, by action
        self.steerings: dict[int, Steering] = {}
        self.booted = asyncio.Event()
        self.all_known = asyncio.Event()  # all plans are
        self.began: set[int] = set()  # connectors whose transaction has begun and which were not steered since
        self.wake = asyncio.Event()  # there is something to do for the one who steers
        self.budget = Budget(journal, identity, 100)
        self.white_list = [] if bus.accept == "all" else sorted(bus.id_tags)
        self.may_charge: Callable[[str], bool] = lambda id_tag: bus.accept == "all" or id_tag in bus.id_tags
        self.busy = asyncio.Lock()  # one order at a time
        self._frame = gateway.frame
        self._recorded_as = expected[min(expected)]
        self._journal = journal
        self._number = 0

    # ---- connectors and the connection

    @property
    def ready(self) -> bool:
        """Whether all its connectors' plans are known."""
        return self.told.ready

    async def known_within(self, limit_s: float) -> None:
        """Waits until all connectors' plans are known, but not for longer: what is told before is not understood."""
        if not self.ready:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await self.all_known.wait()

    def plan(self, plan: PilePlan) -> None:
        """Makes a connector known."""
        if plan.connector in self.steerings:
            return
        self.told.plan(plan)
        steering = self.steerings[plan.connector] = Steering(self, plan)
        kept = self._journal.get(f"operator/{self.identity}/{plan.connector}", list[str])
        steering.operator = operator_limits.restored(kept or [])
        self.budget.per_day = min(known.writes_per_day for known in self.told.plans())
        self.wake.set()
        if self.ready:
            self.all_known.set()

    def _began(self, number: int) -> None:
        self.began.add(number)
        self.wake.set()

    def _ended(self, number: int) -> None:
        if number in self.steerings:
            self.steerings[number].transaction_ended()

    def _forget(self) -> None:
        self.booted.set()
        for steering in self.steerings.values():
            steering.forget()

    @property
    def connected(self) -> bool:
        """Whether it can be asked now."""
        return self.link is not None and not self.link.closed

    @property
    def version(self) -> str:
        """The subprotocol of its connection, "" without one."""
        return "" if self.link is None else self.link.version

    def attach(self, link: Link) -> None:
        """A new connection; an old one is to be closed by the caller."""
        if self.version != link.version:
            self.capabilities = Capabilities()
        self.link = link
        self.booted.clear()
        self.dialect = DIALECTS[link.version]
        self.reads_back = True
        self.heard_s = asyncio.get_running_loop().time()

    def record(self, sent: bool, raw: bytes) -> None:
        """A message for the flight recorder."""
        if not sent:
            self.heard_s = asyncio.get_running_loop().time()
        self._frame(self._recorded_as, sent, raw)

    async def call(self, action: str, payload: Payload) -> Payload:
        """See `Link.call`."""
        if self.link is None or self.link.closed:
            raise DeviceUnreachable(f"{self.identity}: not connected")
        return await self.link.call(action, payload)

    async def set_up(self) -> None:
        """Finds out what the pile can do, sets it up, and asks how it is. Raises DriverError."""
        assert self.dialect is not None
        able = self.capabilities = Capabilities()
        await self.dialect.configure(self)
        able.known = True
        self.report_writes()
        for number, steering in self.steerings.items():
            try:
                async with self.busy:
                    await steering.install_safe()
            except DeviceRefused as error:
                self.refused(f"safe profile of {number}", str(error))
        if able.trigger:
            await self._ask_how_it_is()
        with contextlib.suppress(OSError):
            await self._journal.sync()
        body = {
            "protocol_version": self.version,
            "accepted": able.accepted,
            "refused": able.refused,
            "rate_units": list(able.rate_units),
        }
        log.info("pile_set_up pile=%s refused=%s", self.identity, ",".join(able.refused) or "nothing")
        self.told.notice("pile_configured", {**body, "smart_charging": able.smart_charging, **self.told.boot})
        self.wake.set()

    async def _ask_how_it_is(self) -> None:
        """A pile that connects without booting has no reason to tell its state."""
        assert self.dialect is not None
        try:
            for number in sorted(self.steerings):
                if number:
                    await self.call(*self.dialect.trigger("StatusNotification", number))
        except DeviceRefused as error:
            self.refused("TriggerMessage", str(error))

    async def steer(self) -> None:
        """What is due at its connectors. Raises DriverError of the first one that fails; the others are steered all the same."""
        failed: DriverError | None = None
        for number, steering in self.steerings.items():
            try:
                async with self.busy:
                    if number in self.began:
                        self.began.discard(number)
                        await steering.transaction_began()
                    await steering.tick()
            except DriverError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    # ---- what configuration asks

    @property
    def measurands(self) -> Sequence[str]:
        """What its model asks for."""
        return next((plan.quirks.measurands for plan in self.told.plans() if plan.quirks.measurands), ())

    @property
    def sample_s(self) -> int:
        """How often it is to send within a transaction."""
        return max((plan.sample_s for plan in self.told.plans()), default=60)

    @property
    def boot_interval_s(self) -> int:
        """What the answer to a boot says: how often to send heartbeats, or, where that is "pending", how soon to ask again."""
        return self.heartbeat_s if self.ready else _ASK_AGAIN_S

    def refused(self, key: str, why: str) -> None:
        """Something that the pile would not take."""
        self.capabilities.refused[key] = why[:200]

    def authorize(self, id_tag: str) -> str:
        """The standard's word for whether a tag may charge."""
        return "Accepted" if self.may_charge(id_tag) else "Invalid"

    def energy_transfer(self) -> list[str]:
        """The ways energy may flow (2.1), empty where nothing but charging is meant."""
        found = next((plan for plan in self.told.plans() if plan.quirks.bidirectional), None)
        if found is None:
            return []
        return ["DC", "DC_BPT"] if found.quirks.current == "dc" else ["AC_three_phase", "AC_single_phase", "AC_BPT"]

    def dynamic_update(self, identifier: int | None) -> dict[str, Any]:
        """The answer to PullDynamicScheduleUpdate: the rates as they are wanted now."""
        for steering in self.steerings.values():
            placed = steering.placed
            if placed is not None and placed.dynamic and placed.id == identifier:
                return {"status": "Accepted", "scheduleUpdate": charging.rates(placed)}
        return {"status": "Rejected"}

    # ---- calls of the pile

    async def answered(self, frame: Frame) -> bytes | None:
        """The answer of a central system to a call, after what it tells is in the journal; None where none is due."""
        assert self.link is not None
        assert self.dialect is not None
        version = self.link.version
        self._check(version, frame)
        try:
            if not self.ready and frame.action not in ("BootNotification", "Heartbeat"):
                raise CallFault("InternalError", "not ready yet, try again")
            response = self.dialect.answer(self, frame.action, frame.payload)
            self.dialect.note(self.told, frame.action, frame.payload, response)
            await self._journal.sync()
        except CallFault as fault:
            return frames.error(frame.id, fault.code, str(fault)) if frame.kind is Kind.CALL else None
        except OSError as error:
            log.error("journal_not_written pile=%s reason=%s", self.identity, error)
            return frames.error(frame.id, "InternalError", "could not be kept, try again")
        return frames.result(frame.id, response) if frame.kind is Kind.CALL else None

    async def overheard(self, action: str, request: Payload, response: Payload) -> None:
        """The same of a call that another one has answered. Whatever is wrong with it is that one's business."""
        if not self.ready or self.dialect is None:
            return
        try:
            self.dialect.note(self.told, action, request, response)
            await self._journal.sync()
        except CallFault as fault:
            self.faults[action] = self.faults.get(action, 0) + 1
            log.debug("call_unreadable pile=%s action=%s reason=%s", self.identity, action, fault)
        except OSError as error:
            log.error("journal_not_written pile=%s reason=%s", self.identity, error)

    def _check(self, version: str, frame: Frame) -> None:
        """Counts what breaks its schema, and says it once per action."""
        with contextlib.suppress(schemas.SchemaMissing):
            fault = schemas.fault(version, frame.action, frame.payload, is_call=True)
            if fault:
                self.faults[frame.action] = self.faults.get(frame.action, 0) + 1
                if self.faults[frame.action] == 1:
                    log.warning("call_unfit pile=%s action=%s reason=%s", self.identity, frame.action, fault)

    # ---- profiles in the pile

    def profile_written(self, *, free: bool) -> None:
        """A profile was set or cleared; `free`: it wears nothing."""
        if not free:
            self.budget.spend(self.now_ms())
            self.report_writes()

    def report_writes(self) -> None:
        """The count of writes as a reading."""
        self.told.whole(_WRITES, self.budget.ever)

    def alarm(self, code: str, body: Mapping[str, Any]) -> None:
        """Something that a person should see."""
        log.warning("pile_alarm pile=%s code=%s", self.identity, code)
        self.told.notice("alarm", {"code": code, **body})

    def next_number(self) -> int:
        """A number for a request of 2.x."""
        self._number += 1
        return self._number

    def has_safe(self, number: int, profile: Profile) -> bool:
        """Whether this permanent profile was put into this very pile before."""
        return bool(self._journal.get(f"safe/{self.identity}/{number}", str) == self._safe_mark(profile))

    def note_safe(self, number: int, profile: Profile) -> None:
        """It is in the pile now."""
        self._journal.put(f"safe/{self.identity}/{number}", self._safe_mark(profile))

    def _safe_mark(self, profile: Profile) -> str:
        rate = profile.periods[0][1]
        return f"{profile.purpose} {rate} {profile.unit} {profile.phases} {self.told.boot.get('serial', '')} {self.version}"

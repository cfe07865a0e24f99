"""What a pile has told, whatever its version and whoever answered it: blocks, events, transactions. Nothing is asked or sent here.

A pile's instants are its own where its clock can be right; what it tells twice is kept once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from edge_agent.drivers.device_clock import DeviceClocks
from edge_agent.drivers.ocpp import energy, meter_values, transactions
from edge_agent.drivers.ocpp.declared import PilePlan
from edge_agent.drivers.ocpp.dialect import STATES
from edge_agent.drivers.ocpp.energy import Limits, Mark
from edge_agent.drivers.ocpp.frames import Payload
from edge_agent.drivers.ocpp.meter_values import Columns, Entry
from edge_agent.drivers.ocpp.transactions import SUPERSEDED, Book, Transaction
from wire.block import Block, Shape
from wire.reading import Event, Json

log = logging.getLogger(__name__)

_BLOCKS: Final = 2_000  # of one connector, until they are read: half an hour of a sample a second
_EVENTS: Final = 1_000
FUTURE_MS: Final = 60_000  # a clock that is further ahead is wrong
_OLDEST_MS: Final = 35 * 86_400_000  # a pile's queue is not older than that; a clock that is further behind is wrong
_BACK_MS: Final = 60_000  # so far behind an earlier value with a higher count: the clock was set back
_UPDATE_MS: Final = 900_000  # a transaction is told of at least so often
_TELL_AGAIN_MS: Final = 60_000  # the spool syncs every second or two; an event handed over so long ago is safe
_RECENT: Final = 512
_MOST_BODY: Final = 8_000  # characters of what is told of a pile; a call that is passed on has at most half of it
_MOST_VARIABLES: Final = 5_000
_STATE: Final = Shape(("operating_state",), (0,))
_NO_ID: Final = ("", "0", "-1")  # what piles send that never learnt their transaction's id


@dataclass(slots=True)
class Connector:
    """What is kept of one connector: its plan, what waits to be read, its last idle readings."""

    plan: PilePlan
    columns: Columns
    blocks: deque[Block] = field(default_factory=lambda: deque(maxlen=_BLOCKS))
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=_EVENTS))
    idle: dict[str, Mark] = field(default_factory=dict)
    state: str = ""
    dropped: int = 0

    @property
    def limits(self) -> Limits:
        """What it can carry."""
        modulus = self.plan.quirks.modulus_kwh
        return Limits(
            Decimal(str(self.plan.rated_power_kw or energy.UNRATED_KW)),
            None if modulus is None else Decimal(str(modulus)),
        )


@dataclass(slots=True)
class Report:
    """The parts of a report (2.x) that have come; `whole` when the last one has."""

    variables: list[Any] = field(default_factory=list)
    whole: asyncio.Event = field(default_factory=asyncio.Event)


class Observed:
    """What one pile has told. `expected` are its connectors and their devices' names; `plan` makes each known.

    `began` and `ended` are told the connector of a transaction, `booted_again` that the pile may have lost what it had.
    """

    def __init__(self, identity: str, book: Book, now_ms: Callable[[], int], expected: Mapping[int, str]) -> None:
        self.identity = identity
        self.book = book
        self.now_ms = now_ms
        self.boot: dict[str, str] = {}
        self.reports: dict[int, Report] = {}
        self.began: Callable[[int], None] = lambda _number: None
        self.ended: Callable[[int], None] = lambda _number: None
        self.booted_again: Callable[[], None] = lambda: None
        self.clocks: DeviceClocks | None = None  # None: its clock is nobody's business
        self._expected = dict(expected)
        self._by_number: dict[int, Connector] = {}
        self._newest: dict[int, Mark] = {}  # by connector: the counter at the latest instant of the pile's own clock
        self._recent: dict[tuple[object, ...], tuple[object, ...]] = {}
        self._updated_ms: dict[str, int] = {}
        self._given: deque[tuple[int, Transaction, str]] = deque(maxlen=_EVENTS)
        self._notices = 0

    # ---- connectors

    @property
    def ready(self) -> bool:
        """Whether all its connectors' plans are known."""
        return len(self._by_number) == len(self._expected)

    def plan(self, plan: PilePlan) -> Connector:
        """The connector of `plan`; the first time it is made of it, and told what it may not have told before a restart."""
        known = self._by_number.get(plan.connector)
        if known is None:
            known = Connector(plan, Columns(plan))
            self._by_number[plan.connector] = known
            for transaction, phase in self.book.untold():
                if transaction.identity == self.identity and self._where(transaction.connector) is known:
                    self.tell(transaction, phase)
        return known

    def plans(self) -> list[PilePlan]:
        """Of its connectors, as far as they are known."""
        return [connector.plan for connector in self._by_number.values()]

    @property
    def energy_unit(self) -> str:
        """What its energies without a unit are in."""
        return next((plan.quirks.energy_unit for plan in self.plans()), "Wh")

    def only_connector(self) -> int:
        """Where something happens that names no connector: the lowest one above 0."""
        return min((number for number in self._expected if number > 0), default=1)

    def _where(self, number: int) -> Connector | None:
        """A connector, or the pile as a whole where that one is no device of ours."""
        return self._by_number.get(number) or self._by_number.get(0)

    def _any(self) -> Connector | None:
        return self._by_number.get(0) or next((self._by_number[n] for n in sorted(self._by_number)), None)

    # ---- what calls tell

    def booted(self, vendor: str, model: str, serial: str, firmware: str, reason: str, accepted: bool) -> None:
        """A BootNotification."""
        self.boot = {"maker": vendor, "model": model, "version": firmware, "serial": serial}
        self.booted_again()
        self.notice("pile_booted", {**self.boot, "reason": reason, "accepted": accepted})

    def status(self, number: int, state: str, at_ms: int | None, error: str = "", detail: str = "") -> None:
        """A StatusNotification."""
        where = self._where(number)
        if where is None or (number == 0 and 0 not in self._by_number):
            return
        at_ms, _ = self._instant(at_ms)
        open_now = self.book.open_on(self.identity, number)
        if state == "Occupied" and open_now and open_now[-1].state:
            state = open_now[-1].state  # 2.x: the transaction says more
        self._set_state(where, state, at_ms)
        for known in open_now:
            if number and state in ("Charging", "SuspendedEV", "SuspendedEVSE") and known.state != state:
                known.state = state
                self.tell(known, "updated", at_ms)
        if error not in ("", "NoError"):
            body = {"code": error, "detail": detail, "state": state, "connector": number}
            self.notice("alarm", body, connector=number)

    def charging_state(self, known: Transaction, state: str, at_ms: int | None) -> None:
        """A transaction's own state (2.x)."""
        where = self._where(known.connector)
        at_ms, _ = self._instant(at_ms)
        if where is not None:
            self._set_state(where, state, at_ms)
        if known.state != state:
            known.state = state
            self.tell(known, "updated", at_ms)

    def _set_state(self, where: Connector, state: str, at_ms: int) -> None:
        code = STATES.get(state)
        where.state = state
        if code is not None and "operating_state" in where.plan.quantities:
            self.put(where, Block(where.plan.name, _STATE, (at_ms,), ((code,),)))

    def measured(self, number: int, entries: list[Entry], transaction_id: str | None) -> None:
        """Meter values, of a transaction or of an idle connector."""
        known = (
            None
            if transaction_id is None or transaction_id in _NO_ID
            else self.book.get(self.identity, str(transaction_id))
        )
        if known is None and transaction_id is not None and transaction_id not in _NO_ID:
            known = self.started(str(transaction_id), number, None, "", None)
        if known is None and (transaction_id is not None or number):
            open_now = self.book.open_on(self.identity, number)
            known = open_now[-1] if transaction_id is not None and len(open_now) == 1 else None
        where = self._where(number or self.only_connector() if known is not None else number)
        if where is None:
            return
        for entry in entries:
            self._take(where, entry, known)
        if known is not None and known.open:
            self._update(known)

    def _take(self, where: Connector, entry: Entry, known: Transaction | None) -> None:
        at_ms, doubt = self._instant(entry.at_ms)
        if self._set_back(where.plan.connector, at_ms, entry):
            at_ms, doubt = self.now_ms(), meter_values.DOUBTFUL_CLOCK
        self._judge_clock(where, entry.at_ms, wrong=doubt == meter_values.DOUBTFUL_CLOCK)
        lift = Decimal(0)
        if known is not None:
            known.always_relative = where.plan.quirks.session_relative
            self.book.sample(known, entry, at_ms, where.limits)
            lift = _lift(known, entry)
        elif not self.book.open_on(self.identity, where.plan.connector):
            for measurand in (meter_values.IMPORT, meter_values.EXPORT):
                value = entry.energy(measurand)
                if value is not None:
                    where.idle[measurand] = Mark(at_ms, value)
        self._sign(where, entry, at_ms, known)
        block = where.columns.block(entry, at_ms, lift, doubt)
        if block is not None:
            self.put(where, block)

    def _instant(self, at_ms: int | None) -> tuple[int, tuple[int, int]]:
        """The instant that is believed, and how far: the pile's own, unless its clock cannot be right."""
        now_ms = self.now_ms()
        if at_ms is None or at_ms > now_ms + FUTURE_MS or at_ms < now_ms - _OLDEST_MS:
            return now_ms, meter_values.DOUBTFUL_CLOCK
        return at_ms, (0, 0)

    def _judge_clock(self, where: Connector, told_ms: int | None, *, wrong: bool) -> None:
        """Tells when the pile's clock is found wrong, and when it is right again. What it kept while it was offline is old without being wrong."""
        if told_ms is None or self.clocks is None:
            return
        now_ms = self.now_ms()
        event = self.clocks.seen(where.plan.name, told_ms - now_ms, now_ms, wrong=wrong)
        if event is not None:
            where.events.append(event)

    def _set_back(self, number: int, at_ms: int, entry: Entry) -> bool:
        """Whether the pile's clock was set back: a counter that says more at an earlier instant was not read then.

        What a pile has kept for long and tells late says less than what it told before, and is believed.
        """
        value = entry.energy(meter_values.IMPORT)
        if value is None:
            return False
        newest = self._newest.get(number)
        if newest is None or at_ms >= newest.at_ms:
            self._newest[number] = Mark(at_ms, value)
            return False
        return at_ms < newest.at_ms - _BACK_MS and value > newest.kwh

    def put(self, where: Connector, block: Block) -> None:
        """Keeps a block until it is read; what was told before is not told again, unless the pile's clock stands still."""
        key = (where.plan.connector, block.shape.quantities, block.at_ms)
        if key in self._recent:
            if self._recent[key] == block.columns:
                return
            at_ms = max(self.now_ms(), block.at_ms[0] + 1)
            marks = (meter_values.DOUBTFUL_CLOCK,) * len(block.columns)
            block = Block(block.device, block.shape, (at_ms,), block.columns, marks)
            key = (where.plan.connector, block.shape.quantities, block.at_ms)
        self._recent[key] = block.columns
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        where.dropped += len(where.blocks) == _BLOCKS
        where.blocks.append(block)

    def _sign(self, where: Connector, entry: Entry, at_ms: int, known: Transaction | None) -> None:
        """Signed meter values as events, their text untouched."""
        for number, signed in enumerate(entry.signed):
            name = f"signed-{where.plan.name}-{at_ms}-{signed.context}-{number}"
            body: dict[str, Json] = {
                "identity": self.identity,
                "connector": where.plan.connector,
                "context": signed.context,
                "text": signed.text,
                **signed.facts,
            }
            if known is not None:
                body["transaction_id"] = known.id
                if name not in known.signed:
                    known.signed = [*known.signed, name][-64:]
            where.events.append(Event(name, at_ms, where.plan.name, "signed_meter_value", body))

    # ---- transactions

    def started(
        self,
        transaction_id: str,
        number: int,
        at_ms: int | None,
        id_tag: str,
        meter_start: Decimal | None,
        *,
        start_key: str = "",
        accepted: bool = True,
    ) -> Transaction:
        """A transaction's start; without `at_ms` it began before we knew it."""
        where = self._where(number)
        known = self.book.get(self.identity, transaction_id)
        if known is not None and start_key and known.start_key == start_key:
            return known
        if known is None or (start_key and known.start_key != start_key):
            for other in self.book.open_on(self.identity, number):
                self._close(other, self.now_ms() if at_ms is None else at_ms, None, SUPERSEDED)
        if at_ms is not None:
            at_ms, _ = self._instant(at_ms)
        fresh = Transaction(
            self.identity,
            transaction_id,
            number,
            at_ms,
            self.book.tag(id_tag),
            start_key,
            "" if accepted else "Refused",
        )
        known = self.book.start(fresh, meter_start, {} if where is None else where.idle)
        self.tell(known, "started")
        self.began(number)
        return known

    def stopped(
        self, transaction_id: str, at_ms: int | None, meter_stop: Decimal | None, reason: str, entries: list[Entry]
    ) -> None:
        """A transaction's end, with the samples that came with it."""
        known = self.book.get(self.identity, transaction_id)
        open_now = self.book.open_on(self.identity)
        if known is None and len(open_now) == 1 and transaction_id in _NO_ID:
            known = open_now[0]  # begun while the pile had no answer: it never learnt the id
        at_ms, _ = self._instant(at_ms)
        if known is None:
            known = self.started(transaction_id, self.only_connector(), None, "", None)
        where = self._where(known.connector)
        if where is not None and known.open:
            for entry in sorted(entries, key=lambda entry: entry.at_ms or 0):
                self._take(where, entry, known)
        self._close(known, at_ms, meter_stop, reason)

    def _close(self, known: Transaction, at_ms: int, meter_stop: Decimal | None, reason: str) -> None:
        where = self._where(known.connector)
        if meter_stop is None:
            meter_stop = known.import_.stop
        if self.book.end(known, at_ms, meter_stop, reason):
            self.tell(known, "ended")
        self._updated_ms.pop(known.key, None)
        if where is not None:
            where.idle = {}
        self.ended(known.connector)

    def _update(self, known: Transaction) -> None:
        """Tells of a transaction now and then."""
        now_ms = self.now_ms()
        if now_ms - self._updated_ms.setdefault(known.key, now_ms) >= _UPDATE_MS:
            self._updated_ms[known.key] = now_ms
            self.tell(known, "updated", now_ms)

    def tell(self, known: Transaction, phase: str, at_ms: int | None = None) -> None:
        """An event of a transaction."""
        where = self._where(known.connector)
        if where is None:
            return
        happened_ms = self.now_ms() if at_ms is None else at_ms
        where.events.append(transactions.event(known, phase, where.plan.name, happened_ms, where.limits))
        if phase != "updated":
            self.book.save(known)
            self._given.append((self.now_ms(), known, transactions.phase_mark(known, phase)))

    # ---- other events

    def notice(self, kind: str, body: Mapping[str, Any], connector: int | None = None) -> None:
        """Something about the pile, as an event of a kind of its own."""
        where = self._where(connector) if connector is not None else self._any()
        if where is None:
            return
        at_ms = self.now_ms()
        self._notices = (self._notices + 1) % 1_000_000
        identifier = f"{kind}-{where.plan.name}-{at_ms}-{self._notices}"
        whole = {"identity": self.identity, **meter_values.json_text(body, _MOST_BODY)}
        where.events.append(Event(identifier, at_ms, where.plan.name, kind, whole))

    def passed_on(self, action: str, request: Payload, kind: str = "", connector: int | None = None) -> None:
        """A call that only tells something, as an event in OCPP's own words."""
        body: dict[str, Any] = {"action": action, "request": meter_values.json_text(request)}
        if connector is not None:
            body["connector"] = connector
        self.notice(kind or f"pile_{_snake(action)}", body, connector)

    def reported(self, request: Payload) -> None:
        """A part of a report that was asked for (2.x)."""
        number, data = request.get("requestId"), request.get("reportData")
        report = self.reports.get(number) if isinstance(number, int) else None
        if report is not None and isinstance(data, list):
            report.variables += data[: max(0, _MOST_VARIABLES - len(report.variables))]
            if request.get("tbc") is not True:
                report.whole.set()

    def whole(self, shape: Shape, value: int) -> None:
        """A reading of the pile as a whole, where its model has it."""
        where = self._any()
        if where is not None and shape.quantities[0] in where.plan.quantities:
            self.put(where, Block(where.plan.name, shape, (self.now_ms(),), ((value,),)))

    # ---- handing over

    def take(self, plan: PilePlan) -> tuple[list[Block], list[Event]]:
        """What has come for a connector since the last time."""
        connector = self.plan(plan)
        blocks, events = list(connector.blocks), list(connector.events)
        connector.blocks.clear()
        connector.events.clear()
        now_ms = self.now_ms()
        while self._given and now_ms - self._given[0][0] >= _TELL_AGAIN_MS:
            _, known, mark = self._given.popleft()
            self.book.told(known, mark)
        return blocks, events


def _lift(known: Transaction, entry: Entry) -> Decimal:
    """What must be added to a session's own count to be on the meter's line: nothing where the value is on that line already."""
    register = known.import_
    value = entry.energy(meter_values.IMPORT)
    if not register.relative or register.start is None or value is None:
        return Decimal(0)
    counted = (
        register.last is not None and register.last.kwh == value
    )  # taken for the session's own, however long that is by now
    return register.start if counted or value < register.start else Decimal(0)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")

"""The transactions of all piles of a listener, kept in the journal through restarts of agent and pile. Not how a version words them.

started --> updated ... --> ended        told twice: the same transaction; told late: closed again with a revision
unknown id: taken on from its first sample, as begun before we knew it
another start on the connector: the open one is closed with its last sample ("superseded")
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from edge_agent.drivers.ocpp import energy
from edge_agent.drivers.ocpp.energy import Limits, Mark, Register, Settled
from edge_agent.drivers.ocpp.journal import Journal
from edge_agent.drivers.ocpp.meter_values import BEGIN, END, EXPORT, IMPORT, PERIODIC, Entry
from wire.reading import Event, Json

log = logging.getLogger(__name__)

KEPT: Final = 5_000  # ended transactions that are remembered, to know a repetition: ten days of 50 busy piles
LOCAL_FROM: Final = (
    2_000_000_000  # ids given while an operator's back end is away: no back end counts so far, and it is below 2^31
)
_SEEN: Final = 64  # sequence numbers that are remembered of a transaction
_SAVE_MS: Final = 300_000  # samples are put into the journal this often: the spool has them all, flash wears
_IDS_FROM_S: Final = (
    1_577_836_800  # 2020-01-01: ids count the seconds since then at least, so that a lost journal repeats none
)
_SAMPLES: Final = (PERIODIC, "Trigger", "Other", "Interruption.Begin", "Interruption.End")
_MAX_TAG: Final = 255


class Transaction(msgspec.Struct, omit_defaults=True, rename={"import_": "import"}):
    """One transaction. `started_at_ms` None: begun before we knew it. `start_key` tells a start that is sent again."""

    identity: str
    id: str
    connector: int
    started_at_ms: int | None = None
    id_tag: str = ""
    start_key: str = ""
    state: str = ""
    import_: Register = msgspec.field(default_factory=Register)
    export: Register = msgspec.field(default_factory=Register)
    ended_at_ms: int | None = None
    reason: str = ""
    revision: int = 0
    told: str = ""
    seen: list[int] = []
    signed: list[str] = []
    always_relative: bool = False
    born: int = 0  # what its events' ids carry beside its id, which an operator may give again
    alias: str = ""  # the operator's id of a transaction that began while its back end was away

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.ended_at_ms is None

    @property
    def key(self) -> str:
        """Its key in the journal."""
        return f"tx/{self.identity}/{self.id}"


class Book:
    """All transactions, by pile and id."""

    def __init__(self, journal: Journal, hide_id_tags: bool = False) -> None:
        self._journal = journal
        self._hide = hide_id_tags
        self._by_pile: dict[str, dict[str, Transaction]] = {}
        self._saved_ms: dict[str, int] = {}
        for key in list(journal.keys("tx/")):
            known = journal.get(key, Transaction)
            if known is not None:
                self._by_pile.setdefault(known.identity, {})[known.id] = known
        self._salt = journal.get("salt", str) or secrets.token_hex(16)
        journal.put("salt", self._salt)

    def new_id(self, now_ms: int) -> int:
        """An id for a transaction of 1.6, never given before."""
        last = self._journal.get("last_id", int) or 0
        number = max(last + 1, now_ms // 1000 - _IDS_FROM_S, 1) % LOCAL_FROM
        self._journal.put("last_id", number)
        return int(number)

    def new_local_id(self) -> int:
        """An id for a transaction that begins while the operator's back end is away."""
        number = (self._journal.get("last_local_id", int) or LOCAL_FROM) + 1
        self._journal.put("last_local_id", number)
        return int(number)

    def tag(self, id_tag: object) -> str:
        """An id tag as events carry it: as it is, or a keyed hash that tells two vehicles apart and names none."""
        if not isinstance(id_tag, str) or not id_tag:
            return ""
        if not self._hide:
            return id_tag[:_MAX_TAG]
        return f"h:{self.keyed(id_tag)}"

    def keyed(self, id_tag: str) -> str:
        """A hash that only this journal can make."""
        return hmac.new(self._salt.encode(), id_tag.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:24]

    def get(self, identity: str, transaction_id: str) -> Transaction | None:
        """A transaction by its id."""
        return self._by_pile.get(identity, {}).get(transaction_id)

    def of(self, identity: str) -> list[Transaction]:
        """The transactions of a pile."""
        return list(self._by_pile.get(identity, {}).values())

    def open_on(self, identity: str, connector: int | None = None) -> list[Transaction]:
        """The open transactions of a connector, or of a whole pile."""
        return [t for t in self.of(identity) if t.open and connector in (None, t.connector)]

    def same_start(self, identity: str, start_key: str) -> Transaction | None:
        """The transaction whose start was told with this key."""
        return next((known for known in self.of(identity) if start_key and known.start_key == start_key), None)

    def start(self, fresh: Transaction, meter_start: Decimal | None, idle: dict[str, Mark]) -> Transaction:
        """Opens a transaction, or gives the one that is known by this id. `meter_start` in kWh; `idle` last readings by measurand."""
        known = self.get(fresh.identity, fresh.id)
        if known is not None and not known.open and fresh.start_key and known.start_key != fresh.start_key:
            known = None  # another one, whose id has been given before
        if known is None:
            known = fresh
            known.born = fresh.started_at_ms or 0
            self._by_pile.setdefault(fresh.identity, {})[fresh.id] = fresh
        elif known.started_at_ms is None or known.started_at_ms > (fresh.started_at_ms or 0) > 0:
            known.started_at_ms = fresh.started_at_ms  # its start is told after its samples
        known.id_tag = known.id_tag or fresh.id_tag
        known.start_key = known.start_key or fresh.start_key
        self._began(known, known.import_, meter_start, idle.get(IMPORT))
        self._began(known, known.export, None, idle.get(EXPORT))
        self._save(known)
        return known

    @staticmethod
    def _began(known: Transaction, register: Register, start: Decimal | None, idle: Mark | None) -> None:
        register.start_at_ms = known.started_at_ms if register.start_at_ms is None else register.start_at_ms
        register.start = start if register.start is None else register.start
        began_ms = known.started_at_ms
        if idle is not None and began_ms is not None and 0 <= began_ms - idle.at_ms <= energy.IDLE_MS:
            register.idle = register.idle or idle

    def sample(self, known: Transaction, entry: Entry, at_ms: int, limits: Limits) -> None:
        """Takes the readings of one instant of a transaction; the first one is saved at once, later ones now and then."""
        first = known.import_.first is None
        for measurand, register in ((IMPORT, known.import_), (EXPORT, known.export)):
            begin = entry.energy(measurand, (BEGIN,))
            early = register.first is None or at_ms <= register.first.at_ms  # it may be told after the first sample
            if begin is not None and register.start is None and early:
                register.start = begin
                register.start_at_ms = at_ms if known.started_at_ms is None else known.started_at_ms
            value = entry.energy(measurand, _SAMPLES)
            if value is not None:
                energy.note(register, Mark(at_ms, value), limits, always_relative=known.always_relative)
            stop = entry.energy(measurand, (END,))
            if stop is not None:
                register.stop = stop
        if first or at_ms - self._saved_ms.get(known.key, 0) >= _SAVE_MS:
            self._save(known)
            self._saved_ms[known.key] = at_ms

    def end(self, known: Transaction, at_ms: int, meter_stop: Decimal | None, reason: str) -> bool:
        """Closes a transaction (`meter_stop` in kWh); False where that was told before. A later stop with another value is a revision."""
        register = known.import_
        if not known.open:
            if known.reason != SUPERSEDED and meter_stop in (None, register.stop):
                return False
            known.revision += 1
        known.ended_at_ms = at_ms
        known.reason = reason[:64]
        register.stop = meter_stop if meter_stop is not None else register.stop
        self._save(known)
        self._forget_old()
        return True

    def seen(self, known: Transaction, number: int) -> bool:
        """Whether a sequence number (2.x) was told before; it is remembered now."""
        if number in known.seen:
            return True
        known.seen = [*known.seen, number][-_SEEN:]
        return False

    def save(self, known: Transaction) -> None:
        """Into the journal with the next sync."""
        self._save(known)

    def _save(self, known: Transaction) -> None:
        self._journal.put(known.key, known)

    def _forget_old(self) -> None:
        ended = [known for known in self._all() if not known.open]
        if len(ended) <= KEPT:
            return
        ended.sort(key=lambda known: known.ended_at_ms or 0)
        for known in ended[: len(ended) - KEPT]:
            del self._by_pile[known.identity][known.id]
            self._saved_ms.pop(known.key, None)
            self._journal.put(known.key, None)

    def _all(self) -> Iterator[Transaction]:
        return (known for pile in self._by_pile.values() for known in pile.values())

    def untold(self) -> Iterator[tuple[Transaction, str]]:
        """Transactions whose last phase may not have reached the spool before a restart, with that phase."""
        for known in list(self._all()):
            phase = "started" if known.open else "ended"
            if known.told != phase_mark(known, phase):
                yield known, phase

    def told(self, known: Transaction, mark: str) -> None:
        """The event of a phase (see `phase_mark`) is surely in the spool."""
        if self.get(known.identity, known.id) is known:
            known.told = mark
            self._journal.put(known.key, known)  # with the next sync: told again at worst


SUPERSEDED: Final = "Superseded"


def phase_mark(known: Transaction, phase: str) -> str:
    """What `Transaction.told` is once this phase has been told."""
    return f"{phase}-{known.revision}"


def event(known: Transaction, phase: str, device: str, now_ms: int, limits: Limits) -> Event:
    """What is told of a transaction; its id is the same whenever the same is told."""
    bought = energy.settle(known.import_, limits, known.ended_at_ms)
    body: dict[str, Json] = {
        "phase": phase,
        "transaction_id": known.id,
        "identity": known.identity,
        "connector": known.connector,
        "id_tag": known.id_tag,
        "state": known.state,
        "started_at_ms": known.started_at_ms,
        "meter_start_wh": _wh(known.import_.start),
        "baseline": bought.baseline,
        "energy_kwh": _text(bought.kwh),
        "quality": bought.quality,
        "missing_bound_kwh": _text(bought.missing_kwh),
    }
    if bought.why:
        body["why"] = bought.why
    if known.export.first is not None or known.export.start is not None:
        body |= _exported(energy.settle(known.export, limits, known.ended_at_ms))
    at_ms = known.started_at_ms if phase == "started" and known.started_at_ms is not None else now_ms
    if known.alias:
        body["operator_transaction_id"] = known.alias
    name = f"transaction-{device}-{known.id}-{known.born}-{phase}"
    if phase == "ended":
        assert known.ended_at_ms is not None
        at_ms = known.ended_at_ms
        body |= {
            "ended_at_ms": at_ms,
            "meter_stop_wh": _wh(known.import_.stop),
            "reason": known.reason,
            "signed": known.signed,
        }
        if known.started_at_ms is not None:
            body["duration_s"] = (at_ms - known.started_at_ms) / 1000
        if known.revision:
            body["revision"] = known.revision
            name += f"-{known.revision}"
    elif phase == "updated":
        name += f"-{now_ms}"
    return Event(name, at_ms, device, "transaction", body)


def _exported(sold: Settled) -> dict[str, Json]:
    return {"export_kwh": _text(sold.kwh), "export_baseline": sold.baseline, "export_quality": sold.quality}


def _wh(kwh: Decimal | None) -> Json:
    if kwh is None:
        return None
    wh = kwh * 1000
    return int(wh) if wh == wh.to_integral_value() else _text(wh)


def _text(number: Decimal | None) -> str | None:
    return None if number is None else format(number.normalize(), "f") if number else "0"

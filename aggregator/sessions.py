"""Charging sessions, folded from what edges told of transactions. Pure: reads no store, keeps nothing, and bills nobody.

A session is everything that was told under one transaction id of one device, until that id is given again. Events may come late, twice and in
any order: the same events give the same sessions. Energies are the edge's own, found by its baseline rule (docs/drivers/ocpp.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from aggregator.stores.store import StoredEvent
from wire.reading import Event, Json

TRANSACTION: Final = "transaction"
SIGNED: Final = "signed_meter_value"
_PHASES: Final = ("started", "updated", "ended")
_HIDDEN: Final = "h:"  # how an edge begins what it has hashed itself
_SHOWN: Final = 2  # characters of an id token that stay readable, of at least four times as many
_MAX_TEXT: Final = 255
_QUALITIES: Final[dict[str, Literal["good", "uncertain", "bad"]]] = {"good": "good", "uncertain": "uncertain"}
_LARGEST_KWH: Final = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Session:
    """One charging session. `started_at_ms` None: it began before anybody listened. Energies in Wh, exact; None where nothing can be said.

    state: `running`, `ended`, or `broken`: its end was never told, and another one has begun on the connector since. `doing` is what the pile
    said last (Charging, SuspendedEV, ...). The energy is that of `told_at_ms`; `register_wh` is the counter at that instant, as far as it is known.
    `quality` is None where nothing has been counted yet. `gaps` are what is missing or doubtful, in words; `missing_bound_wh` bounds what the baseline missed.
    """

    edge: str
    device: str
    identity: str
    connector: int
    transaction_id: str
    operator_transaction_id: str
    id_token: str
    state: Literal["running", "ended", "broken"]
    doing: str
    started_at_ms: int | None
    ended_at_ms: int | None
    first_told_ms: int
    told_at_ms: int
    energy_wh: Decimal | None
    export_wh: Decimal | None
    meter_start_wh: Decimal | None
    register_wh: Decimal | None
    meter_stop_wh: Decimal | None
    baseline: str
    quality: Literal["good", "uncertain", "bad"] | None
    missing_bound_wh: Decimal | None
    reason: str
    revision: int
    signed_values: int
    gaps: tuple[str, ...]

    @property
    def first_ms(self) -> int:
        """When it began, or, where nobody knows, when it was first told of."""
        return self.first_told_ms if self.started_at_ms is None else self.started_at_ms


@dataclass(frozen=True, slots=True)
class _Told:
    """One event of a transaction as far as it can be read."""

    event: Event
    phase: str
    transaction_id: str
    started_at_ms: int | None
    ended_at_ms: int | None
    revision: int

    @property
    def order(self) -> tuple[int, int, int, str]:
        """The later, the more it says: revision, instant, phase."""
        return self.revision, self.event.at_ms, _PHASES.index(self.phase), self.event.id


@dataclass(slots=True)
class _Cluster:
    """The events of one session."""

    told: list[_Told] = field(default_factory=list)
    start_ms: int | None = None

    def end_ms(self) -> int | None:
        """When it ended, as told last."""
        ends = [told for told in self.told if told.ended_at_ms is not None]
        return max(ends, key=lambda told: told.order).ended_at_ms if ends else None


def sessions(events: Iterable[StoredEvent]) -> list[Session]:
    """All sessions that these events of one facility tell of, by their begin. Events of other kinds, and unreadable ones, are left out."""
    spoken: defaultdict[tuple[str, str, str], list[_Told]] = defaultdict(list)
    signed: defaultdict[tuple[str, str, str], list[Event]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for stored in events:
        event = stored.event
        if (stored.edge, event.id) in seen:
            continue
        seen.add((stored.edge, event.id))
        if event.kind == TRANSACTION and (told := _read(event)) is not None:
            spoken[stored.edge, event.device, told.transaction_id].append(told)
        elif event.kind == SIGNED and (number := _text(_body(event), "transaction_id")):
            signed[stored.edge, event.device, number].append(event)
    found = [
        _session(key[0], cluster, signed[key])
        for key, told_events in sorted(spoken.items())
        for cluster in _clusters(told_events)
    ]
    return sorted(_broken(found), key=lambda session: (session.first_ms, session.device, session.transaction_id))


def with_register(session: Session, at_ms: int, kwh: float) -> Session:
    """A running session with a newer reading of its counter. It stays as it is where the reading cannot be one of it: older, or below the begin."""
    begin = session.meter_start_wh
    wh = Decimal(str(kwh)) * 1000
    if session.state != "running" or session.started_at_ms is None or at_ms <= session.told_at_ms:
        return session
    if session.baseline != "meter_start" or begin is None or wh < begin + (session.energy_wh or 0):
        return session
    quality = "good" if session.energy_wh is None else session.quality
    return replace(session, told_at_ms=at_ms, register_wh=wh, energy_wh=wh - begin, quality=quality)


def masked(id_token: str) -> str:
    """An id token as it may be shown: what an edge has hashed stays, of any other at most the last two characters do."""
    if id_token.startswith(_HIDDEN) or not id_token:
        return id_token
    return "…" + (id_token[-_SHOWN:] if len(id_token) >= 4 * _SHOWN else "")


def _clusters(told_events: Sequence[_Told]) -> list[_Cluster]:
    """What was told under one id, parted where the id was given again: a start at or after an end that was told of an earlier start."""
    found: list[_Cluster] = []
    known = [told for told in told_events if told.started_at_ms is not None]
    for told in sorted(known, key=lambda told: (told.started_at_ms or 0, told.order)):
        assert told.started_at_ms is not None
        last = found[-1] if found else None
        end_ms = None if last is None else last.end_ms()
        if last is None or (
            last.start_ms != told.started_at_ms and end_ms is not None and end_ms <= told.started_at_ms
        ):
            last = _Cluster(start_ms=told.started_at_ms)
            found.append(last)
        last.told.append(told)
    nameless = _Cluster()
    for told in (told for told in told_events if told.started_at_ms is None):
        home = next((c for c in reversed(found) if c.start_ms is not None and c.start_ms <= told.event.at_ms), None)
        end_ms = None if home is None else home.end_ms()
        (nameless if home is None or (end_ms is not None and end_ms < told.event.at_ms) else home).told.append(told)
    return ([nameless] if nameless.told else []) + found


def _session(edge: str, cluster: _Cluster, signed: Sequence[Event]) -> Session:
    ends = [told for told in cluster.told if told.phase == "ended"]
    last = max(ends or cluster.told, key=lambda told: told.order)
    newest = max(cluster.told, key=lambda told: told.order)
    body = _body(last.event)
    first_ms = min(told.event.at_ms for told in cluster.told) if cluster.start_ms is None else cluster.start_ms
    mine = {
        event.id for event in signed if first_ms <= event.at_ms and (not ends or event.at_ms <= (last.ended_at_ms or 0))
    }
    named = {name for name in _list(body, "signed") if isinstance(name, str)}
    bound = _decimal(body, "missing_bound_kwh")
    stop = _decimal(body, "meter_stop_wh") if ends else None
    energy = _wh(_decimal(body, "energy_kwh"))
    return Session(
        edge=edge,
        device=last.event.device,
        identity=_text(body, "identity"),
        connector=_whole(body, "connector") or 0,
        transaction_id=last.transaction_id,
        operator_transaction_id=_first(cluster, "operator_transaction_id"),
        id_token=_first(cluster, "id_tag"),
        state="ended" if ends else "running",
        doing="" if ends else _text(_body(newest.event), "state"),
        started_at_ms=cluster.start_ms,
        ended_at_ms=last.ended_at_ms if ends else None,
        first_told_ms=min(told.event.at_ms for told in cluster.told),
        told_at_ms=last.event.at_ms,
        energy_wh=energy,
        export_wh=_wh(_decimal(body, "export_kwh")),
        meter_start_wh=_decimal(body, "meter_start_wh"),
        register_wh=stop,
        meter_stop_wh=stop,
        baseline=_text(body, "baseline"),
        quality=_QUALITIES.get(_text(body, "quality"), "bad") if ends or energy is not None else None,
        missing_bound_wh=_wh(bound) or None,
        reason=_text(body, "reason") if ends else "",
        revision=last.revision,
        signed_values=len(mine | (named & {event.id for event in signed})),
        gaps=tuple(
            _gaps(cluster, body, named - {event.id for event in signed}, counted=bool(ends) or energy is not None)
        ),
    )


def _gaps(cluster: _Cluster, body: Mapping[str, Json], unsigned: set[str], *, counted: bool) -> Iterable[str]:
    if cluster.start_ms is None:
        yield "begun before anybody listened"
    elif all(told.phase != "started" for told in cluster.told):
        yield "its start has not arrived"
    if counted and (why := _text(body, "why")):
        yield why
    if unsigned:
        yield f"{len(unsigned)} signed values have not arrived"


def _broken(found: list[Session]) -> list[Session]:
    """The same sessions; of one connector a running one is broken where a later one has begun."""
    latest: dict[tuple[str, str, int], int] = {}
    for session in found:
        place = (session.edge, session.device, session.connector)
        latest[place] = max(latest.get(place, session.first_ms), session.first_ms)
    return [
        _without_end(session)
        if session.state == "running" and session.first_ms < latest[session.edge, session.device, session.connector]
        else session
        for session in found
    ]


def _without_end(session: Session) -> Session:
    return replace(session, state="broken", gaps=(*session.gaps, "its end has not arrived, and another has begun"))


def _read(event: Event) -> _Told | None:
    body = _body(event)
    phase, number = _text(body, "phase"), _text(body, "transaction_id")
    if phase not in _PHASES or not number:
        return None
    ended_ms = _whole(body, "ended_at_ms")
    if phase == "ended" and ended_ms is None:
        ended_ms = event.at_ms
    revision = _whole(body, "revision") or 0
    return _Told(event, phase, number, _whole(body, "started_at_ms"), ended_ms if phase == "ended" else None, revision)


def _first(cluster: _Cluster, key: str) -> str:
    """A text that is told now and then: the newest one that says anything."""
    for told in sorted(cluster.told, key=lambda told: told.order, reverse=True):
        if text := _text(_body(told.event), key):
            return text
    return ""


def _body(event: Event) -> Mapping[str, Json]:
    return event.body if isinstance(event.body, Mapping) else {}


def _text(body: Mapping[str, Json], key: str) -> str:
    value = body.get(key)
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _list(body: Mapping[str, Json], key: str) -> Sequence[Json]:
    value = body.get(key)
    return value if isinstance(value, (list, tuple)) else ()


def _whole(body: Mapping[str, Json], key: str) -> int | None:
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53 else None


def _decimal(body: Mapping[str, Json], key: str) -> Decimal | None:
    """A number, or one written as text to keep its digits."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value)[:60])
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) <= _LARGEST_KWH * 1000 else None


def _wh(kwh: Decimal | None) -> Decimal | None:
    return None if kwh is None else kwh * 1000

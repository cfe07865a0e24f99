"""Charging sessions over HTTP. Not how they are made of events (`aggregator.sessions`), and no bill."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from aggregator import sessions as folding
from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.pools.session_kg import SessionKg, session_kgs
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Span
from aggregator.services import Services
from aggregator.sessions import SIGNED, TRANSACTION, Session
from aggregator.stores.store import SeriesKey

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["sessions"], dependencies=[Reader])
SESSIONS_MAX: Final = 10_000
_SIX: Final = Decimal("0.000001")
_DAY_MS: Final = 86_400_000
_LONGEST_MS: Final = 100 * _DAY_MS
_BEFORE_MS: Final = 2 * _DAY_MS  # for sessions whose begin nobody knows: told of first before the span?
_AFTER_MS: Final = 31 * _DAY_MS  # a session that lasts longer than a month is shown as it stood then


class SessionParameters(Span):
    """Sessions that began in [from, to), of all piles or of one device."""

    device: Annotated[str | None, Field(max_length=64)] = None
    profile: Annotated[str, Field(max_length=32)] = "OPS"
    limit: Annotated[int, Field(ge=1, le=SESSIONS_MAX)] = SESSIONS_MAX


class SessionAnswer(Answer):
    """One session. Energies are Wh as text; `energy_wh` is that of `told_at_ms`, None where nothing can be said.

    `kg` of what was charged less what was given back, under the answer's profile; `g_per_kwh` of the `covered_percent` of its energy that has a
    figure; None: no figure. `shape`: when it flowed, by the meter's intervals (`metered`) or by time alone (`even`). `avoided_kg` is marginal.

    `id_token` is a hash of the edge's, or the token with all but its last two characters left out: never the token itself.
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
    told_at_ms: int
    energy_wh: str | None
    export_wh: str | None
    meter_start_wh: str | None
    register_wh: str | None
    meter_stop_wh: str | None
    baseline: str
    quality: Literal["good", "uncertain", "bad"] | None
    missing_bound_wh: str | None
    reason: str
    revision: int
    signed_values: int
    gaps: list[str]
    kg: str | None
    g_per_kwh: str | None
    covered_percent: str | None
    shape: Literal["metered", "even"] | None
    given_back_kwh: str | None
    given_back_kg: str | None
    avoided_kg: str | None


class SessionsAnswer(Answer):
    """Charging sessions of a facility, ordered by their begin."""

    facility: str
    from_ms: int
    to_ms: int
    profile: str
    sessions: list[SessionAnswer]


@router.get("/sessions")
def sessions(given: Given, named: Named, wanted: Annotated[SessionParameters, Query()]) -> SessionsAnswer:
    """Sessions that began in [from, to), running ones with the newest reading of their counter, and what each carries."""
    wanted.checked(_LONGEST_MS)
    since, until = max(0, wanted.from_ms - _BEFORE_MS), min(wanted.to_ms + _AFTER_MS, given.clock() + _DAY_MS)
    events = [stored for kind in (TRANSACTION, SIGNED) for stored in given.store.events(named.id, since, until, kind)]
    if wanted.device is not None:
        known = {stored.event.device for stored in events} | {
            device for _, device in given.live.device_states(named.id)
        }
        if wanted.device not in known:
            raise unknown("device", wanted.device, sorted(known))
        events = [stored for stored in events if stored.event.device == wanted.device]
    everything = folding.sessions(events)
    found = [session for session in everything if wanted.from_ms <= session.first_ms < wanted.to_ms]
    if len(found) > wanted.limit:
        raise Problem(422, "too many sessions", "limit", f"at most {wanted.limit}: a shorter span", len(found))
    running = Counter((session.edge, session.device) for session in found if session.state == "running")
    shown = [
        _up_to_now(given, named.id, session) if running[session.edge, session.device] == 1 else session
        for session in found
    ]
    carbon = _carbon(given, named.id, wanted.profile, shown, everything)
    return SessionsAnswer(
        facility=named.id,
        from_ms=wanted.from_ms,
        to_ms=wanted.to_ms,
        profile=wanted.profile,
        sessions=[_answer(session, carbon.get(session)) for session in shown],
    )


def _carbon(
    given: Services, facility: str, profile: str, shown: list[Session], everything: list[Session]
) -> Mapping[Session, SessionKg]:
    """What each session that is shown carries; sessions that began earlier and share a meter with one of them are reckoned with. Raises Problem."""
    if given.accounts is None or not shown:
        return {}
    first_ms, names = min(one.first_ms for one in shown), {one.device for one in shown}
    known = {_named(one) for one in shown}
    others = [
        one for one in everything if one.device in names and _named(one) not in known and one.ended_at_ms is not None
    ]
    try:
        return session_kgs(
            given.accounts, facility, profile, [*shown, *(one for one in others if (one.ended_at_ms or 0) > first_ms)]
        )
    except CannotCompile as error:
        thing, _, said = str(error).partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "no such figures", thing, expected, seen) from error
    except (LedgerBusy, RecordsBusy, RecordsUnusable, RegistryRefused, sqlite3.Error) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error


def _named(session: Session) -> tuple[str, str, str, int]:
    return session.edge, session.device, session.transaction_id, session.first_ms


def _up_to_now(given: Given, facility: str, session: Session) -> Session:
    """The same with the newest reading of its device's counter, where the device carries this session alone."""
    if session.state != "running":
        return session
    newest = given.newest.facility(facility).get(SeriesKey(facility, session.edge, session.device, "energy_import_kwh"))
    if newest is None or newest.value is None:
        return session
    return folding.with_register(session, newest.at_ms, newest.value)


def _answer(session: Session, carbon: SessionKg | None) -> SessionAnswer:
    return SessionAnswer(
        edge=session.edge,
        device=session.device,
        identity=session.identity,
        connector=session.connector,
        transaction_id=session.transaction_id,
        operator_transaction_id=session.operator_transaction_id,
        id_token=folding.masked(session.id_token),
        state=session.state,
        doing=session.doing,
        started_at_ms=session.started_at_ms,
        ended_at_ms=session.ended_at_ms,
        told_at_ms=session.told_at_ms,
        energy_wh=_text(session.energy_wh),
        export_wh=_text(session.export_wh),
        meter_start_wh=_text(session.meter_start_wh),
        register_wh=_text(session.register_wh),
        meter_stop_wh=_text(session.meter_stop_wh),
        baseline=session.baseline,
        quality=session.quality,
        missing_bound_wh=_text(session.missing_bound_wh),
        reason=session.reason,
        revision=session.revision,
        signed_values=session.signed_values,
        gaps=list(session.gaps),
        kg=None if carbon is None else _text(carbon.kg),
        g_per_kwh=None if carbon is None else _rounded(carbon.g_per_kwh),
        covered_percent=None if carbon is None else _rounded(carbon.covered_percent),
        shape=None if carbon is None else carbon.shape,
        given_back_kwh=None if carbon is None else _text(carbon.given_back_kwh),
        given_back_kg=None if carbon is None else _text(carbon.given_back_kg),
        avoided_kg=None if carbon is None else _text(carbon.avoided_kg),
    )


def _rounded(ratio: Decimal | None) -> str | None:
    """A ratio that has no end, to six decimals."""
    return None if ratio is None else _text(ratio.quantize(_SIX, ROUND_HALF_EVEN))


def _text(amount: Decimal | None) -> str | None:
    """Without zeros at the end: 12345, 0.5."""
    if amount is None:
        return None
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""An operator's charging profiles beside ours: what they allow at each time, and the least of both. Pure; nothing is sent here.

The pile combines purposes by itself (the least of ChargingStationMaxProfile and of the transaction's profile), but of one purpose it
takes the highest stack level alone: a transaction profile of ours must therefore carry the operator's limits within it.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from edge_agent.drivers.ocpp import charging, frames
from edge_agent.drivers.ocpp.charging import Unit
from edge_agent.drivers.ocpp.declared import PilePlan
from edge_agent.drivers.ocpp.dialect import inner, text, whole
from edge_agent.drivers.ocpp.frames import Payload

MOST_PERIODS: Final = 24  # of a profile of ours: piles hold at least a few dozen
KEPT: Final = 50  # profiles of an operator that are remembered of one pile
_WEEK_S: Final = 7 * 86_400
_DAY_S: Final = 86_400


def identifier(profile: Payload) -> int | None:
    """A profile's id, 1.6 or 2.x."""
    found = whole(profile, "chargingProfileId")
    return whole(profile, "id") if found is None else found


def level(profile: Payload) -> int:
    """Its stack level."""
    return whole(profile, "stackLevel") or 0


def purpose(profile: Payload) -> str:
    """Its purpose, in the words of 2.x."""
    return charging.WHOLE if (found := text(profile, "chargingProfilePurpose")) == charging.WHOLE_16 else found


def least(
    profiles: Sequence[Payload],
    purposes: Sequence[str],
    limit: Decimal,
    unit: Unit,
    plan: PilePlan,
    now_ms: int,
    life_s: int,
) -> tuple[tuple[int, Decimal], ...]:
    """(seconds from `now_ms`, rate in `unit`): the least of `limit` and what the operator's profiles allow, for `life_s`."""
    changes = {0}
    for profile in profiles:
        changes |= {second for second in _changes(profile, now_ms) if 0 < second < life_s}
    periods: list[tuple[int, Decimal]] = []
    for second in sorted(changes):
        allowed = allowed_at(profiles, purposes, now_ms + 1000 * second, unit, plan)
        rate = limit if allowed is None else charging.rounded_down(min(limit, allowed))
        if not periods or periods[-1][1] != rate:
            periods.append((second, rate))
    if len(periods) > MOST_PERIODS:  # what does not fit is replaced by the least that comes later
        tail = min(rate for _, rate in periods[MOST_PERIODS - 1 :])
        periods = [*periods[: MOST_PERIODS - 1], (periods[MOST_PERIODS - 1][0], tail)]
    return tuple(periods)


def allowed_at(
    profiles: Sequence[Payload], purposes: Sequence[str], at_ms: int, unit: Unit, plan: PilePlan
) -> Decimal | None:
    """What an operator's profiles allow at an instant, in `unit`: that of the highest level which says anything; None where none does.

    `purposes` in the order in which they go before each other.
    """
    for wanted in purposes:
        named = [profile for profile in profiles if purpose(profile) == wanted]
        for profile in sorted(named, key=level, reverse=True):
            rate = _rate(profile, at_ms, unit, plan)
            if rate is not None:
                return rate
    return None


def _schedule(profile: Payload) -> Payload:
    schedule: Any = profile.get("chargingSchedule")
    if isinstance(
        schedule, list
    ):  # 2.x: up to three, alternatives for the vehicle to choose from; the first is ours to read
        schedule = schedule[0] if schedule else None
    return schedule if isinstance(schedule, dict) else {}


def _start(profile: Payload, schedule: Payload, at_ms: int) -> int:
    """Where the schedule's second 0 lies. A relative one is taken to have begun when it was set (`noted_at_ms`)."""
    start = frames.instant(schedule.get("startSchedule"))
    kind = text(profile, "chargingProfileKind")
    if kind == "Recurring" and start is not None:
        turn_s = _WEEK_S if text(profile, "recurrencyKind") == "Weekly" else _DAY_S
        return at_ms - (at_ms - start) % (1000 * turn_s)
    if start is not None and kind != "Relative":
        return start
    return whole(profile, "noted_at_ms") or at_ms


def _valid(profile: Payload, at_ms: int) -> bool:
    begin, end = frames.instant(profile.get("validFrom")), frames.instant(profile.get("validTo"))
    return (begin is None or begin <= at_ms) and (end is None or at_ms < end)


def _periods(schedule: Payload) -> list[tuple[int, Decimal]]:
    listed = schedule.get("chargingSchedulePeriod")
    found = []
    for period in listed[:1000] if isinstance(listed, list) else ():
        start, limit = (whole(period, "startPeriod"), period.get("limit")) if isinstance(period, dict) else (None, None)
        if start is not None and isinstance(limit, (int, Decimal)) and not isinstance(limit, bool):
            found.append((start, Decimal(limit)))
    return sorted(found)


def _rate(profile: Payload, at_ms: int, unit: Unit, plan: PilePlan) -> Decimal | None:
    schedule = _schedule(profile)
    second = (at_ms - _start(profile, schedule, at_ms)) // 1000
    duration = whole(schedule, "duration")
    if not _valid(profile, at_ms) or second < 0 or (duration is not None and second >= duration):
        return None
    current = [limit for start, limit in _periods(schedule) if start <= second]
    if not current:
        return None
    held = text(schedule, "chargingRateUnit")
    return current[-1] if held == unit else charging.in_unit(charging.kilowatts(current[-1], held, plan), unit, plan)


def _changes(profile: Payload, now_ms: int) -> list[int]:
    """Seconds from now at which the profile may allow something else."""
    schedule = _schedule(profile)
    start_ms = _start(profile, schedule, now_ms)
    turn_s = {"Daily": _DAY_S, "Weekly": _WEEK_S}.get(text(profile, "recurrencyKind"), 0)
    seconds = [start for start, _ in _periods(schedule)]
    if (duration := whole(schedule, "duration")) is not None:
        seconds.append(duration)
    moments = [start_ms + 1000 * second for second in seconds]
    moments += [moment + 1000 * turn_s for moment in moments] if turn_s else []
    moments += [edge for key in ("validFrom", "validTo") if (edge := frames.instant(profile.get(key))) is not None]
    return [-((now_ms - moment) // 1000) for moment in moments]


def cleared(profiles: Sequence[Payload], request: Payload) -> list[Payload]:
    """What is left of an operator's profiles after its ClearChargingProfile (1.6 or 2.x): every condition that is given must fit."""
    criteria = inner(request, "chargingProfileCriteria")
    wanted_id = whole(request, "id") if "id" in request else whole(request, "chargingProfileId")
    wanted_purpose = purpose(request) or purpose(criteria)
    wanted_level = whole(request, "stackLevel") if "stackLevel" in request else whole(criteria, "stackLevel")

    def fits(profile: Payload) -> bool:
        if wanted_id is not None:
            return identifier(profile) == wanted_id
        return (not wanted_purpose or purpose(profile) == wanted_purpose) and (
            wanted_level is None or level(profile) == wanted_level
        )

    return [profile for profile in profiles if not fits(profile)]


def restored(texts: Sequence[str]) -> list[Payload]:
    """Profiles that were kept as JSON texts."""
    return [json.loads(text, parse_float=Decimal) for text in texts]

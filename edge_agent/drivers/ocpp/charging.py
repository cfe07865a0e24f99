"""Limits as charging profiles: units, rounding, the two wire forms, what may still be written today. Pure; nothing is sent here.

    kW -> W or A (per phase, at the nominal voltage) -> down in magnitude to 0.1, the step that OCPP allows

Our profiles in a pile, by id: what it does without us (permanent, stack level 0) and what we ask for now (short-lived, above it).
Sources: OCPP 1.6 edition 2, sections 3.13, 5.16 and 7.8; OCPP 2.0.1 Part 2, chapter K; OCPP 2.1 Part 2, chapters K and Q.
"""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final, Literal

from edge_agent.drivers.ocpp import frames
from edge_agent.drivers.ocpp.declared import PilePlan
from edge_agent.drivers.ocpp.journal import Journal

Unit = Literal["W", "A"]

_STEP: Final = Decimal("0.1")
_DAY_MS: Final = 86_400_000
_IDS_FROM: Final = 1_900_000_000  # operators' back ends count from 1; below 2^31
_RESERVE: Final = 10  # the last tenth of a day's writes is for those that lower or release

WHOLE: Final = "ChargingStationMaxProfile"  # of a pile as a whole
WHOLE_16: Final = "ChargePointMaxProfile"  # the same in OCPP 1.6
SAFE: Final = 1
NOW: Final = 2


def profile_id(connector: int, which: int) -> int:
    """The id of our profile `which` (SAFE, NOW) for a connector."""
    return _IDS_FROM + 10 * connector + which


def ours(identifier: object) -> bool:
    """Whether a profile's id is one of ours."""
    return isinstance(identifier, int) and _IDS_FROM <= identifier < _IDS_FROM + 1000


def rounded_down(number: Decimal) -> Decimal:
    """Towards 0 to the next 0.1."""
    return number.quantize(_STEP, ROUND_DOWN)


def in_unit(kw: Decimal, unit: Unit, plan: PilePlan) -> Decimal:
    """A power as a charging rate: W, or A in each phase."""
    watts = kw * 1000
    return rounded_down(watts if unit == "W" else watts / (plan.phases * Decimal(str(plan.quirks.nominal_voltage_v))))


def from_amperes(amperes: Decimal, unit: Unit, plan: PilePlan) -> Decimal:
    """A current in each phase as a charging rate."""
    per_ampere = plan.phases * Decimal(str(plan.quirks.nominal_voltage_v))
    return rounded_down(amperes if unit == "A" else amperes * per_ampere)


def kilowatts(rate: Decimal, unit: str, plan: PilePlan) -> Decimal:
    """A charging rate as a power."""
    return (rate if unit == "W" else rate * plan.phases * Decimal(str(plan.quirks.nominal_voltage_v))) / 1000


@dataclass(frozen=True, slots=True)
class Profile:
    """One charging profile. `periods`: (seconds after its start, limit), in `unit`; `duration_s` None: for good.

    `setpoint` and `discharge` (2.1, W, load sign) make it a profile for both directions.
    """

    id: int
    purpose: str
    stack_level: int
    kind: str
    unit: Unit
    periods: tuple[tuple[int, Decimal], ...]
    starts_ms: int
    duration_s: int | None = None
    transaction_id: str | None = None
    phases: int | None = None
    setpoint: Decimal | None = None
    discharge: Decimal | None = None
    dynamic: bool = False


def wire_16(profile: Profile) -> dict[str, Any]:
    """The csChargingProfiles of OCPP 1.6."""
    periods = []
    for start, limit in profile.periods:
        period: dict[str, Any] = {"startPeriod": start, "limit": limit}
        if profile.phases is not None:
            period["numberPhases"] = profile.phases
        periods.append(period)
    schedule: dict[str, Any] = {"chargingRateUnit": profile.unit, "chargingSchedulePeriod": periods}
    tree: dict[str, Any] = {
        "chargingProfileId": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": WHOLE_16 if profile.purpose == WHOLE else profile.purpose,
        "chargingProfileKind": profile.kind,
        "chargingSchedule": schedule,
    }
    _times(profile, tree, schedule)
    if profile.transaction_id is not None and profile.transaction_id.isdecimal():
        tree["transactionId"] = int(profile.transaction_id)
    return tree


def _times(profile: Profile, tree: dict[str, Any], schedule: dict[str, Any]) -> None:
    """An absolute schedule begins at its start; a relative one with the transaction, so that only its validity can end it."""
    if profile.kind == "Absolute":
        schedule["startSchedule"] = frames.stamp(profile.starts_ms)
        if profile.duration_s is not None:
            schedule["duration"] = profile.duration_s
    if profile.kind == "Relative" and profile.duration_s is not None:
        tree["validFrom"] = frames.stamp(profile.starts_ms)
        tree["validTo"] = frames.stamp(profile.starts_ms + 1000 * profile.duration_s)


def wire_2(profile: Profile) -> dict[str, Any]:
    """The chargingProfile of OCPP 2.0.1 and 2.1."""
    periods = []
    for start, limit in profile.periods:
        period: dict[str, Any] = {"startPeriod": start}
        if profile.setpoint is None:
            period["limit"] = limit
            if profile.phases is not None:
                period["numberPhases"] = profile.phases
        else:
            period |= {"operationMode": "CentralSetpoint", **rates(profile)}
        periods.append(period)
    schedule: dict[str, Any] = {
        "id": profile.id,
        "chargingRateUnit": profile.unit,
        "chargingSchedulePeriod": periods,
    }
    tree: dict[str, Any] = {
        "id": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": profile.purpose,
        "chargingProfileKind": "Dynamic" if profile.dynamic else profile.kind,
        "chargingSchedule": [schedule],
    }
    if profile.dynamic:
        # A dynamic profile has one period and no start of its own; it ends with its validity, or when the link has been lost for a minute.
        tree["maxOfflineDuration"] = min(profile.duration_s or 60, 60)
        tree["invalidAfterOfflineDuration"] = True
        tree["validTo"] = frames.stamp(profile.starts_ms + 1000 * (profile.duration_s or _DAY_MS // 1000))
    else:
        _times(profile, tree, schedule)
    if profile.transaction_id is not None:
        tree["transactionId"] = profile.transaction_id
    return tree


def rates(profile: Profile) -> dict[str, Any]:
    """What a dynamic schedule's update says (2.1): limits and set-point of its one period."""
    tree: dict[str, Any] = {"limit": profile.periods[0][1]}
    if profile.setpoint is not None:
        tree["setpoint"] = profile.setpoint
    if profile.discharge is not None:
        tree["dischargeLimit"] = profile.discharge
    return tree


class Budget:
    """How often a pile's profiles were written: today (UTC) against its bound, and ever. Kept in the journal."""

    def __init__(self, journal: Journal, identity: str, per_day: int) -> None:
        self._journal = journal
        self._key = f"writes/{identity}"
        self.per_day = per_day
        day, today, ever = journal.get(self._key, tuple[int, int, int]) or (0, 0, 0)
        self._day: int = day
        self.today: int = today
        self.ever: int = ever
        self.warned_day = 0

    def left(self, now_ms: int, *, lowering: bool) -> int:
        """How many writes are left today; those that lower a limit or release it may use the reserve too."""
        if now_ms // _DAY_MS > self._day:
            self._day, self.today = now_ms // _DAY_MS, 0
        reserve = 0 if lowering else self.per_day // _RESERVE
        return self.per_day - reserve - self.today

    def spend(self, now_ms: int) -> None:
        """One write more."""
        self.left(now_ms, lowering=True)
        self.today += 1
        self.ever += 1
        self._journal.put(self._key, (self._day, self.today, self.ever))

    def first_refusal(self) -> bool:
        """Whether today's budget is refused for the first time."""
        first = self.warned_day != self._day
        self.warned_day = self._day
        return first


@dataclass(slots=True)
class Pauses:
    """A session's pauses: an off-time is never shorter than `MINIMUM_OFF_MS`, and after `MOST` the vehicle is not woken again.

    Vehicles fall asleep, or report a fault, after a few interruptions; contactors wear. A session that begins with nothing offered has not been interrupted.
    """

    count: int = 0
    since_ms: int | None = None
    offered: bool = True  # something, in this session

    MINIMUM_OFF_MS = 300_000
    MOST = 6

    def held_off(self, now_ms: int) -> str:
        """Why charging may not go on yet, empty where it may."""
        if self.since_ms is None:
            return ""
        if self.count > self.MOST:
            return f"{self.MOST} pauses of this session are used up"
        left_ms = self.since_ms + self.MINIMUM_OFF_MS - now_ms
        return f"paused, for {-(-left_ms // 1000)} s more" if left_ms > 0 else ""

    def note(self, now_ms: int, *, off: bool) -> None:
        """What the pile was told."""
        if not off:
            self.since_ms, self.offered = None, True
        elif self.since_ms is None and self.offered:
            self.count += 1
            self.since_ms = now_ms

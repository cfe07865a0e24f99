"""Charging profiles as a pile holds them: which one counts now, for how long, and what that comes to. Not how they arrive (`v16`, `v20`).

OCPP 1.6 section 3.13 and OCPP 2.0.1 part 2, chapter K: per purpose the highest stack level that is valid now; a TxProfile in place of the
TxDefaultProfile; of what remains, of the station's own maximum and of external constraints the least.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from device_sim.charging_points import PHASE_MV, Steering

STATION_MAX: Final = "ChargingStationMaxProfile"
EXTERNAL: Final = "ChargingStationExternalConstraints"
TX_DEFAULT: Final = "TxDefaultProfile"
TX: Final = "TxProfile"
_STATION_WIDE: Final = (STATION_MAX, EXTERNAL)
_SECONDS: Final = {"Daily": 86_400, "Weekly": 7 * 86_400}
_FOR_EVER_MS: Final = 2**62
# Modes of OCPP 2.1 (OperationModeEnumType) in which a set-point is a power to be held rather than a limit to stay below.
_SET_POINT_MODES: Final = ("CentralSetpoint", "ExternalSetpoint")


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_s` of the schedule on. Numbers are in the schedule's unit; `limit` None: no limit."""

    start_s: int
    limit: Decimal | None = None
    phases: int | None = None
    discharge_limit: Decimal | None = None
    set_point: Decimal | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile with its one schedule. `connector` 0: the whole station. `start_ms` None: from the transaction's begin, or its arrival here.

    `offline_s`: so long it counts without a central system; `ends_offline`: after that never again (OCPP 2.1, ChargingProfileType).
    """

    id: int
    stack_level: int
    purpose: str
    kind: str
    unit: str
    periods: tuple[Period, ...]
    connector: int = 1
    recurrency: str | None = None
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None
    transaction: str | None = None
    start_ms: int | None = None
    duration_s: int | None = None
    arrived_ms: int = 0
    update_interval_s: int | None = None
    offline_s: int | None = None
    ends_offline: bool = False

    def now(self, now_ms: int, session_ms: int | None) -> tuple[Period | None, int]:
        """The period in force (None: none) and until when that holds. `session_ms`: begin of the running transaction."""
        until = _FOR_EVER_MS
        if self.valid_to_ms is not None:
            if now_ms >= self.valid_to_ms:
                return None, _FOR_EVER_MS
            until = self.valid_to_ms
        if self.valid_from_ms is not None and now_ms < self.valid_from_ms:
            return None, self.valid_from_ms
        start = session_ms if self.kind == "Relative" else self.start_ms
        if start is None and self.kind != "Relative":
            start = session_ms if session_ms is not None and self.purpose not in _STATION_WIDE else self.arrived_ms
        if start is None:
            return None, until
        if now_ms < start:
            return None, min(until, start)
        if self.recurrency is not None:
            cycle_ms = 1000 * _SECONDS[self.recurrency]
            start += (now_ms - start) // cycle_ms * cycle_ms
            until = min(until, start + cycle_ms)
        if self.duration_s is not None:
            end = start + 1000 * self.duration_s
            if now_ms >= end:
                return None, until
            until = min(until, end)
        found = None
        for period in self.periods:
            begins = start + 1000 * period.start_s
            if begins > now_ms:
                until = min(until, begins)
                break
            found = period
        return found, until


class Profiles:
    """All profiles of a pile. They outlive a reboot, as in real piles; `flash_writes` counts what that costs (errata 3.37 of 1.6, K01.FR.27 of 2.0.1)."""

    def __init__(self, most: int, in_ram: bool = False) -> None:
        self.most = most
        self.in_ram = in_ram
        self.flash_writes = 0
        self._profiles: dict[int, Profile] = {}
        self._offline_since_ms: int | None = None

    def offline(self, now_ms: int) -> None:
        """There is no central system from now on, if there was one."""
        if self._offline_since_ms is None:
            self._offline_since_ms = now_ms

    def online(self, now_ms: int) -> None:
        """There is one again: profiles that were to end without one are gone, if it was away for long enough."""
        self._profiles = {
            one.id: one
            for one in self._profiles.values()
            if not (one.ends_offline and now_ms >= self._alone_until_ms(one))
        }
        self._offline_since_ms = None

    def _alone_until_ms(self, profile: Profile) -> int:
        """Until when a profile counts if nobody comes."""
        if self._offline_since_ms is None or profile.offline_s is None:
            return _FOR_EVER_MS
        return self._offline_since_ms + 1000 * profile.offline_s

    def all(self) -> tuple[Profile, ...]:
        """In the order of their arrival."""
        return tuple(self._profiles.values())

    def install(self, profile: Profile) -> bool:
        """Takes a profile in place of one with its id, or with its purpose, level and connector. False: no room."""
        replaced = {
            one.id
            for one in self._profiles.values()
            if one.id == profile.id
            or (
                (one.purpose, one.stack_level, one.connector, one.transaction)
                == (profile.purpose, profile.stack_level, profile.connector, profile.transaction)
            )
        }
        if len(self._profiles) - len(replaced) >= self.most:
            return False
        for gone in replaced:
            del self._profiles[gone]
        self._profiles[profile.id] = profile
        self._written()
        return True

    def clear(
        self,
        profile_id: int | None = None,
        purpose: str | None = None,
        level: int | None = None,
        connector: int | None = None,
    ) -> int:
        """Removes the profiles that fit all that is given; how many."""
        gone = [
            one.id
            for one in self._profiles.values()
            if (profile_id is None or one.id == profile_id)
            and (
                profile_id is not None
                or (
                    (purpose is None or one.purpose == purpose)
                    and (level is None or one.stack_level == level)
                    and (connector is None or one.connector == connector)
                )
            )
        ]
        for one in gone:
            del self._profiles[one]
        if gone:
            self._written()
        return len(gone)

    def end_transaction(self) -> None:
        """A TxProfile ends with its transaction."""
        self._profiles = {one.id: one for one in self._profiles.values() if one.purpose != TX}

    def reboot(self) -> None:
        """What is only in RAM is gone."""
        if self.in_ram:
            self._profiles.clear()

    def update(self, profile_id: int, change: Mapping[str, Decimal]) -> bool:
        """New values for the one period of a dynamic profile, without a write to flash; False: there is no such profile."""
        profile = self._profiles.get(profile_id)
        if profile is None or profile.kind != "Dynamic":
            return False
        self._profiles[profile_id] = replace(profile, periods=(replace(profile.periods[0], **change),))  # type: ignore[arg-type]
        return True

    def _written(self) -> None:
        self.flash_writes += 0 if self.in_ram else 1

    def in_force(
        self, now_ms: int, session_ms: int | None, transaction: str | None
    ) -> tuple[list[tuple[Profile, Period]], int]:
        """Of each purpose the period that counts now, and until when nothing of it changes."""
        until = _FOR_EVER_MS
        best: dict[str, tuple[tuple[int, int], Profile, Period]] = {}
        for profile in self._profiles.values():
            if profile.purpose == TX and (session_ms is None or profile.transaction not in (None, transaction)):
                continue
            alone_until_ms = self._alone_until_ms(profile)
            if now_ms >= alone_until_ms:
                continue
            period, holds = profile.now(now_ms, session_ms)
            until = min(until, holds, alone_until_ms)
            if period is None:
                continue
            rank = (min(profile.connector, 1), profile.stack_level)  # a connector's own profile before the station's
            if profile.purpose not in best or rank > best[profile.purpose][0]:
                best[profile.purpose] = (rank, profile, period)
        if TX in best:
            best.pop(TX_DEFAULT, None)
        return [(profile, period) for _, profile, period in best.values()], until


def steering(in_force: Iterable[tuple[Profile, Period]], phases: int) -> Steering:
    """What the profiles in force come to for a vehicle on so many phases."""
    charge: int | None = None
    discharge: int | None = None
    set_point: int | None = None
    may_discharge, used = False, phases
    in_force = tuple(in_force)
    for _, period in in_force:
        if period.phases is not None:
            used = min(used, max(1, period.phases))
    for profile, period in in_force:
        limit = None if period.limit is None else milliwatts(period.limit, profile.unit, used)
        if period.mode == "Idle":
            limit = 0
        if limit is not None:
            charge = limit if charge is None else min(charge, limit)
        down = None if period.discharge_limit is None else -milliwatts(period.discharge_limit, profile.unit, used)
        if down is not None:
            discharge = down if discharge is None else min(discharge, down)
        if profile.purpose in _STATION_WIDE or period.mode == "Idle":
            continue
        if period.mode in _SET_POINT_MODES and period.set_point is not None:
            set_point = milliwatts(period.set_point, profile.unit, used)
        may_discharge = period.mode not in (None, "ChargingOnly")
    if not may_discharge:
        discharge = 0
    elif discharge is None:
        discharge = max(0, -(set_point or 0))
    return Steering(charge, max(0, discharge), set_point, used)


def milliwatts(value: Decimal, unit: str, phases: int) -> int:
    """A limit in W, or in A per phase, as mW."""
    return int(value * 1000) if unit == "W" else int(value * phases * PHASE_MV)


def composite(
    profiles: Profiles,
    now_ms: int,
    duration_s: int,
    session_ms: int | None,
    transaction: str | None,
    own_mw: int,
    phases: int,
) -> list[tuple[int, int, int]]:
    """The composite schedule: (start_s, limit in mW, phases), without repetitions, at most 200 periods."""
    found: list[tuple[int, int, int]] = []
    at, end = now_ms, now_ms + 1000 * duration_s
    while at < end and len(found) < 200:
        in_force, until = profiles.in_force(at, session_ms, transaction)
        result = steering(in_force, phases)
        limit = own_mw if result.charge_mw is None else min(own_mw, result.charge_mw)
        if result.set_point_mw is not None:
            limit = min(limit, result.set_point_mw)
        if not found or found[-1][1:] != (limit, result.phases):
            found.append(((at - now_ms) // 1000, limit, result.phases))
        at = until
    return found

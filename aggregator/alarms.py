"""Alarms with the states of ISA-18.2: raised, acknowledged, cleared. Not what is watched for (`aggregator.watch`).

             acknowledge
    unack ----------------> ack
      |                      |
clear |                      | clear
      v     acknowledge      v
     rtn -----------------> normal        an alarm leaves the list only when it is both cleared and acknowledged
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from wire.reading import Json


class AlarmState(StrEnum):
    """Where an alarm stands."""

    UNACK = "unack"  # active, nobody has taken it
    ACK = "ack"  # active, taken
    RTN = "rtn"  # returned to normal, nobody has taken it
    NORMAL = "normal"  # over


# Priority of each code: 1 critical, 2 high, 3 medium, 4 low. Figures that would be wrong or missing come before links that
# are down, because a link's backlog is delivered later and a wrong figure is not noticed.
PRIORITIES: Final[dict[str, int]] = {
    "factor_missing": 1,  # no emission factor: emissions have no figure
    "conflict": 1,  # one batch number with two contents
    "edge_offline": 2,
    "device_offline": 2,
    "key_unknown": 2,  # its batches are held: nothing of them is counted until somebody accepts the key
    "counter_held": 2,  # a counter jumped; its energy waits for confirmation
    "clock_off": 2,  # readings may stand in the wrong interval
    "clock_unsynced": 3,
    "gap": 2,  # readings that the edge had to give up
    "residual": 3,  # the meters do not add up
    "part_negative": 2,  # over a day: the meters inside one measure more than it, beyond their accuracy
    "check_apart": 2,  # over a day: a check meter and its meter disagree beyond both classes
    "published_moved": 3,  # a published total would change enough to be published again
    "counter_reset": 3,
    "overload_expected": 2,  # the upper edge of the load's forecast lies above the connection
    "response_short": 2,  # a demand-response event is expected to deliver more than 10 % less than asked
    "departure_short": 2,  # a vehicle will not have what it needs when it leaves
    "load_short": 2,  # a load will not have its energy in its window, or a building leaves its comfort band
    "plan_over_limit": 2,  # even the plan cannot keep a branch or the connection
    "plan_stale": 2,  # no new plan was found; the last one goes on
    "schedule_refused": 2,  # an edge does not follow the plan
    "schedule_unanswered": 2,
    "edge_carbon": 2,  # the gateway worked out other kg from the same readings
    "batch_refused": 3,
    "store_unavailable": 1,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One occurrence. `source` is the device, edge or facility it is about; the text is `code` and `arguments`, worded by the page."""

    id: str
    facility: str
    code: str
    source: str
    priority: int
    state: AlarmState
    raised_at_ms: int
    cleared_at_ms: int | None = None
    acknowledged_at_ms: int | None = None
    acknowledged_by: str = ""
    note: str = ""
    arguments: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The alarm by the contract of the live feed."""
        entry: dict[str, Json] = {
            "id": self.id,
            "pr": self.priority,
            "st": self.state.value,
            "t": self.raised_at_ms,
            "src": self.source,
            "code": self.code,
            "args": list(self.arguments),
        }
        if self.acknowledged_by:
            entry["by"] = self.acknowledged_by
        if self.note:
            entry["note"] = self.note
        return entry


class AlarmBook(Protocol):
    """Where alarms outlive the process."""

    def save_alarm(self, alarm: Alarm) -> None:
        """Keep this alarm in place of an earlier state of it."""

    def alarms(self, facility: str | None, from_ms: int, open_only: bool, limit: int) -> Sequence[Alarm]:
        """Alarms raised since `from_ms`, newest first."""


class UnknownAlarm(Exception):
    """No open alarm has this id."""


class AlreadyAcknowledged(Exception):
    """Somebody was first."""


class Alarms:
    """The open alarms of all facilities, one per (facility, code, source). May be used from any thread.

    `told` hears each change at once, on the thread that made it.
    """

    def __init__(
        self, book: AlarmBook, clock: Callable[[], int], told: Callable[[Alarm], None] = lambda _: None
    ) -> None:
        self._book = book
        self._clock = clock
        self._lock = threading.RLock()
        self.told = told
        self._open: dict[tuple[str, str, str], Alarm] = {
            (alarm.facility, alarm.code, alarm.source): alarm
            for alarm in reversed(book.alarms(None, 0, open_only=True, limit=10_000))
        }
        self._by_id = {alarm.id: alarm for alarm in self._open.values()}
        # Names go on from the latest ones; an earlier clock (a replay) must not give an old name again.
        latest = book.alarms(None, 0, open_only=False, limit=1000)
        self._last = max((int(alarm.id.removeprefix("A-")) for alarm in latest), default=0)

    def raise_alarm(self, facility: str, code: str, source: str, *arguments: str) -> Alarm:
        """The alarm is active. Raising it again changes nothing, unless it had returned to normal: then it counts from now."""
        key = (facility, code, source)
        with self._lock:
            alarm = self._open.get(key)
            if alarm is not None and alarm.state is not AlarmState.RTN:
                return alarm
            if alarm is None:
                at_ms = self._clock()
                self._last = max(at_ms, self._last + 1)  # several in one millisecond get numbers of their own
                alarm = Alarm(
                    f"A-{self._last}",
                    facility,
                    code,
                    source,
                    PRIORITIES[code],
                    AlarmState.UNACK,
                    at_ms,
                    arguments=arguments,
                )
            else:
                alarm = replace(
                    alarm,
                    state=AlarmState.UNACK,
                    raised_at_ms=self._clock(),
                    cleared_at_ms=None,
                    arguments=arguments,
                )
            return self._keep(alarm)

    def clear(self, facility: str, code: str, source: str) -> None:
        """The alarm's cause is gone. Nothing happens where it is not active."""
        with self._lock:
            alarm = self._open.get((facility, code, source))
            if alarm is None or alarm.state is AlarmState.RTN:
                return
            state = AlarmState.RTN if alarm.state is AlarmState.UNACK else AlarmState.NORMAL
            self._keep(replace(alarm, state=state, cleared_at_ms=self._clock()))

    def set(self, active: bool, facility: str, code: str, source: str, *arguments: str) -> None:
        """Raise or clear, as `active` says."""
        if active:
            self.raise_alarm(facility, code, source, *arguments)
        else:
            self.clear(facility, code, source)

    def acknowledge(self, alarm_id: str, by: str, note: str = "") -> Alarm:
        """Somebody has taken the alarm. Raises UnknownAlarm, AlreadyAcknowledged."""
        with self._lock:
            alarm = self._by_id.get(alarm_id)
            if alarm is None:
                raise UnknownAlarm(alarm_id)
            if alarm.state is AlarmState.ACK:
                raise AlreadyAcknowledged(f"{alarm.acknowledged_by or 'somebody'} at {alarm.acknowledged_at_ms}")
            state = AlarmState.ACK if alarm.state is AlarmState.UNACK else AlarmState.NORMAL
            return self._keep(
                replace(alarm, state=state, acknowledged_at_ms=self._clock(), acknowledged_by=by, note=note)
            )

    def open(self, facility: str) -> list[Alarm]:
        """Open alarms of a facility: the most urgent first, then the newest."""
        # No lock: a change puts a new table in place, and the feed must not wait for the book.
        return sorted((alarm for alarm in self._by_id.values() if alarm.facility == facility), key=_urgency)

    def history(self, facility: str, from_ms: int, limit: int) -> Sequence[Alarm]:
        """Alarms raised since `from_ms`, open or over, newest first."""
        return self._book.alarms(facility, from_ms, open_only=False, limit=limit)

    def open_as_json(self, facility: str) -> list[Json]:
        """The open alarms by the contract of the live feed."""
        return [alarm.as_json() for alarm in self.open(facility)]

    def _keep(self, alarm: Alarm) -> Alarm:
        key = (alarm.facility, alarm.code, alarm.source)
        self._book.save_alarm(alarm)
        by_id = {name: other for name, other in self._by_id.items() if name != alarm.id}
        if alarm.state is AlarmState.NORMAL:
            self._open.pop(key, None)
        else:
            self._open[key] = by_id[alarm.id] = alarm
        self._by_id = by_id
        self.told(alarm)
        return alarm


def _urgency(alarm: Alarm) -> tuple[bool, int, int]:
    return alarm.state is AlarmState.ACK, alarm.priority, -alarm.raised_at_ms

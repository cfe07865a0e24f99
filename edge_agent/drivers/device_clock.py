"""Whether devices' own clocks are right: their offset from the gateway's, told as an event when it leaves its bound, jumps, or comes back.

Nothing is corrected, and no reading gets another instant by it. Measured only while the gateway's own clock is not known to be wrong.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.driver import Gateway
from wire.reading import Event, Json

BOUND_MS: Final = 30_000  # a meter of IEC 62054-21 loses 0.5 s a day: half a year without being set
EVERY_MS: Final = 3_600_000  # where asking for the time is a question of its own


@dataclass(slots=True)
class _Known:
    measured_ms: int | None = None  # when
    offset_ms: int = 0  # as it was told last
    wrong: bool = False
    mute: bool = False  # it has no clock that it would tell


@dataclass(slots=True)
class DeviceClocks:
    """The clocks of the devices of one bus."""

    gateway: Gateway
    bound_ms: int = BOUND_MS
    _known: dict[str, _Known] = field(default_factory=dict)

    def due(self, device: str) -> bool:
        """Whether it is worth a question: not asked within the last hour, and the answer could be believed."""
        known = self._known.get(device)
        if self.gateway.synced() is False:
            return False
        if known is None or known.measured_ms is None:
            return known is None or not known.mute
        return not known.mute and not 0 <= self.gateway.now_ms() - known.measured_ms < EVERY_MS

    def give_up(self, device: str) -> None:
        """It does not tell its time."""
        self._known.setdefault(device, _Known()).mute = True

    def put_off(self, device: str) -> None:
        """It did not answer this time: it is asked again in an hour."""
        self._known.setdefault(device, _Known()).measured_ms = self.gateway.now_ms()

    def seen(self, device: str, offset_ms: int, at_ms: int, wrong: bool | None = None) -> Event | None:
        """Takes a measured offset (the device's clock minus ours) at an instant of ours. Gives the event if there is something to say.

        `wrong`: the caller's own judgement in place of the bound, where the offset says little by itself; then only changes of it are told.
        """
        if self.gateway.synced() is False:
            return None
        known = self._known.setdefault(device, _Known())
        first, known.measured_ms = known.measured_ms is None, at_ms
        moved_ms = offset_ms - known.offset_ms if wrong is None else 0
        wrong = abs(offset_ms) > self.bound_ms if wrong is None else wrong
        if wrong == known.wrong and (not wrong or abs(moved_ms) <= self.bound_ms):
            if not wrong:
                known.offset_ms = offset_ms
            return None
        before_s = None if first else known.offset_ms / 1000
        known.offset_ms, known.wrong = offset_ms, wrong
        state = "right" if not wrong else "ahead" if offset_ms > 0 else "behind"
        body: dict[str, Json] = {
            "state": state,
            "offset_s": offset_ms / 1000,
            "before_s": before_s,
            "bound_s": self.bound_ms / 1000,
        }
        return Event(f"device_clock-{device}-{at_ms}", at_ms, device, "device_clock", body)


def offset_ms(shown: datetime, now_ms: int, *, coarse: timedelta = timedelta(0)) -> int:
    """How far a clock that shows `shown` (with its zone) is ahead of `now_ms`. `coarse`: what it shows stands for so long, e.g. a minute."""
    early_ms = round(shown.timestamp() * 1000) - now_ms
    late_ms = early_ms + round(coarse.total_seconds() * 1000)
    return 0 if early_ms <= 0 <= late_ms else late_ms if late_ms < 0 else early_ms


def nearest(local: datetime, zone: ZoneInfo, now_ms: int, *, coarse: timedelta = timedelta(0)) -> int:
    """The smallest offset of a local time without a zone, of all that the zone's own rules allow at this instant.

    A meter may follow daylight saving or keep standard time all year, and does not say which: an hour that the zone explains is no fault.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    shift = now.utcoffset() or timedelta(0)
    choices = {shift, shift - (now.dst() or timedelta(0))}
    instants = [(local - choice).replace(tzinfo=UTC) for choice in choices]
    return min((offset_ms(instant, now_ms, coarse=coarse) for instant in instants), key=abs)

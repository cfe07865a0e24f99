"""What time a BACnet device believes it is: local date and time of its device object, with its own offset from UTC or the edge file's zone."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge_agent.drivers.bacnet.ask import Asker
from edge_agent.drivers.bacnet.objects import DEVICE
from edge_agent.drivers.device_clock import nearest, offset_ms
from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused

# ANSI/ASHRAE 135, clause 12.11 and property identifiers of clause 21
_DAYLIGHT_SAVINGS, _LOCAL_DATE, _LOCAL_TIME, _UTC_OFFSET = 24, 56, 57, 119


async def measured_ms(asker: Asker, zone: ZoneInfo | None, now_ms: Callable[[], int]) -> int | None:
    """How far the device's clock is ahead of ours in ms; None just after its midnight, when date and time may be of two days.

    Raises DriverError: DeviceRefused where it has no such properties, or says neither its offset from UTC nor does the edge file.
    """
    date = await _first(asker, _LOCAL_DATE)
    time = await _first(asker, _LOCAL_TIME)
    at_ms = now_ms()
    if not isinstance(date, tuple) or not isinstance(time, tuple) or len(date) != 4 or len(time) != 4:
        raise DeviceMisanswered(f"{asker.name}: expected a date and a time, saw {date} {time}")
    try:
        local = datetime(1900 + date[0], date[1], date[2], *time[:3])  # noqa: DTZ001
    except ValueError as error:  # FF stands for "any"
        raise DeviceRefused(
            f"{asker.name}: device {asker.instance}", "local-date", f"no clock is set: {date} {time}"
        ) from error
    if (local.hour, local.minute) == (0, 0):
        return None
    if zone is not None:
        return nearest(local, zone, at_ms)
    # West of Greenwich is positive; the offset is standard time's.
    west, summer = await _first(asker, _UTC_OFFSET), False
    if not isinstance(west, int):
        raise DeviceMisanswered(f"{asker.name}: expected an offset from UTC, saw {west!r}")
    with contextlib.suppress(DeviceRefused):
        summer = bool(await _first(asker, _DAYLIGHT_SAVINGS))
    shown = (local + timedelta(minutes=west) - timedelta(hours=summer)).replace(tzinfo=UTC)
    return offset_ms(shown, at_ms)


async def _first(asker: Asker, prop: int) -> object:
    found = await asker.values((DEVICE, asker.instance), prop)
    return found[0].value if found else None

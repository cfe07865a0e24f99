"""Which meters are on an M-Bus line, found by selections with wildcards. For commissioning; not part of reading.

A selection of "1FFFFFFF" makes all meters whose number begins with 1 answer. One telegram that comes whole is one meter; silence is none; a
spoiled one is several at once, and the next digit parts them.
"""

from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DeviceRefused, DeviceUnreachable
from edge_agent.drivers.mbus.declared import MbusPlan
from edge_agent.drivers.mbus.link import Link
from edge_agent.drivers.mbus.secondary import Secondary

_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Found:
    """The meters of a line by their secondary addresses, and the numbers under which several answer at once to the last digit."""

    meters: tuple[Secondary, ...]
    doubled: tuple[str, ...] = ()


async def search(link: Link) -> Found:
    """Looks for every meter, and leaves the last one that was found selected. Takes a time-out for each digit that no meter has: minutes on a line with many. Raises BusUnreachable."""
    meters: list[Secondary] = []
    doubled: list[str] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        seen = await _answerer(link, prefix)
        if isinstance(seen, Secondary):
            meters.append(seen)
        elif seen and len(prefix) < _DIGITS:
            waiting += [prefix + digit for digit in "9876543210"]
        elif seen:
            doubled.append(prefix)
    return Found(tuple(meters), tuple(doubled))


async def _answerer(link: Link, prefix: str) -> Secondary | bool:
    """The only meter whose number begins with `prefix`; else whether there are several."""
    wanted = prefix.ljust(_DIGITS, "F")
    plan = MbusPlan(f"search {wanted}", None, Secondary(wanted), ())
    try:
        await link.begin(plan)
        return (await link.telegram(plan)).sender
    except (DeviceMisanswered, DeviceRefused):
        return True
    except BusUnreachable:
        raise
    except DeviceUnreachable:
        return False

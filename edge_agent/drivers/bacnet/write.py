"""Prioritised writes and what became of them. Not who may write, nor for how long: that is decided before.

Clause 19.2: sixteen slots, the lowest number wins, NULL gives a slot back, without any the relinquish-default holds.

    write at 12 -> read the priority-array and present-value -> slot 1..11 in use?  yes: somebody of the site holds it: not delivered
                                                             -> ours as written?    no: not delivered, with what stands there
"""

import struct
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.bacnet import services
from edge_agent.drivers.bacnet.ask import Asker
from edge_agent.drivers.bacnet.learn import Target
from edge_agent.drivers.bacnet.objects import BINARY_OUTPUT, BINARY_VALUE, PRESENT_VALUE, PRIORITY_ARRAY, object_text
from edge_agent.drivers.driver import DeviceMisanswered, NotWritable, Written

_SLOTS: Final = 16


@dataclass(frozen=True, slots=True)
class _Slots:
    """The priority array by number from 1; None: not in use."""

    values: tuple[services.Value | None, ...]

    def above(self, priority: int) -> int | None:
        """The number of the slot in force above ours."""
        return next((slot + 1 for slot in range(priority - 1) if self.values[slot] is not None), None)


async def write(asker: Asker, target: Target, value: float | None) -> Written:
    """Writes a value in the point's unit, or gives the slot back; reads both values back. Raises DriverError."""
    if value is None:
        return await _release(asker, target)
    what = f"{asker.name}: point {target.point.name}"
    encoded = _encoded(what, target, value)
    before = await _present(asker, target)
    if not target.has_priorities:
        await asker.write(target.object, PRESENT_VALUE, encoded, None)
        after = await _present(asker, target)
        return Written(
            _same(after, _ours(target, encoded)), before, after, "no priority array: stays until it is written again"
        )
    priority = target.point.priority
    await asker.write(target.object, PRESENT_VALUE, encoded, priority)
    slots = await _slots(asker, target)
    after = await _present(asker, target)
    higher = slots.above(priority)
    if higher is not None:
        return Written(False, before, after, f"overridden by site at priority {higher}")
    held = slots.values[priority - 1]
    wanted = services.values(encoded)[0]
    if held is None or held.value != wanted.value:
        return Written(False, before, after, f"expected {value:g} at priority {priority}, saw {_shown(held)}")
    note = "" if _same(after, _ours(target, encoded)) else "the slot is ours, the present value does not follow yet"
    return Written(True, before, after, note)


async def _release(asker: Asker, target: Target) -> Written:
    before = await _present(asker, target)
    if not target.has_priorities:
        if target.point.safe is None:
            return Written(False, before, before, "no priority array: nothing to give back, the last value stays")
        safe = await write(asker, target, target.point.safe)
        return Written(
            safe.delivered, before, safe.after, f"no priority array: safe value {target.point.safe:g} written"
        )
    await asker.write(target.object, PRESENT_VALUE, services.encoded(services.NULL, None), target.point.priority)
    slots = await _slots(asker, target)
    after = await _present(asker, target)
    held = slots.values[target.point.priority - 1]
    if held is not None:
        return Written(
            False, before, after, f"expected nothing at priority {target.point.priority}, saw {_shown(held)}"
        )
    return Written(True, before, after)


def _encoded(what: str, target: Target, value: float) -> bytes:
    theirs = target.conversion.back(value)
    try:
        if target.object[0] in (BINARY_OUTPUT, BINARY_VALUE) and theirs not in (0, 1):
            raise ValueError("0 or 1")
        if target.tag not in (services.REAL, services.DOUBLE):
            if theirs != round(theirs) or (target.tag != services.INTEGER and theirs < 0):
                raise ValueError("a whole number")
            return services.encoded(target.tag, round(theirs))
        return services.encoded(target.tag, theirs)
    except (ValueError, OverflowError, struct.error) as error:
        raise NotWritable(f"{what}: expected {error} for {object_text(target.object)}, saw {value:g}") from error


async def _present(asker: Asker, target: Target) -> float | None:
    found = await asker.values(target.object, PRESENT_VALUE)
    value = found[0].value if found else None
    return target.conversion.forth(value) if isinstance(value, int | float) else None


def _ours(target: Target, encoded: bytes) -> float | None:
    """What the device will show of an encoded value, in our unit."""
    value = services.values(encoded)[0].value
    return target.conversion.forth(value) if isinstance(value, int | float) else None


def _same(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= 1e-6 * max(1.0, abs(other))


async def _slots(asker: Asker, target: Target) -> _Slots:
    found = await asker.values(target.object, PRIORITY_ARRAY)
    if len(found) != _SLOTS:
        raise DeviceMisanswered(
            f"{asker.name}: priority array of {object_text(target.object)}: expected {_SLOTS} slots, saw {len(found)}"
        )
    return _Slots(tuple(None if value.tag == services.NULL else value for value in found))


def _shown(value: services.Value | None) -> str:
    return "nothing" if value is None else str(value.value)

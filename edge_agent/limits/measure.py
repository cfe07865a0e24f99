"""The newest of what meters and assets have said, as the channels of a branch and the power of an asset. Not what follows from it.

A phase's current is the meter's own where it shows one, turned by P and Q of the phase, else of the whole; where it shows none, what P and Q come to at the
nominal voltage; where it shows only the whole, a third of it in each. A current of which no direction is known counts as drawn.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from edge_agent.limits.network import Coefficients
from edge_agent.limits.state import LONG_AGO_MS
from wire.block import Block, scaled
from wire.circuit import PHASES, Branch
from wire.reading import Quality

METER: Final = frozenset(
    name
    for phase in ("", "l1_", "l2_", "l3_")
    for name in (
        f"active_power_{phase}kw",
        f"reactive_power_{phase}kvar",
        f"apparent_power_{phase}kva",
        f"current_{phase}a",
        f"voltage_{phase}v",
    )
)
ASSET: Final = frozenset({"active_power_kw", "state_of_charge_percent", "operating_state"})
# operating_state of a charger, as OCPP's connector states are numbered: Available, SuspendedEV, Finishing, Reserved, Unavailable, Faulted.
NO_VEHICLE: Final = frozenset({1, 6, 7, 8, 9})
FULL: Final = 5
_TURN: Final = tuple(complex(math.cos(angle), math.sin(angle)) for angle in (0.0, -2 * math.pi / 3, 2 * math.pi / 3))
_POWER: Final = ("active_power_kw", "apparent_power_kva", "current_a", *(f"current_{p.lower()}_a" for p in PHASES))


class Newest:
    """The newest good value of each wanted quantity of each device, and when it was read (UTC ms)."""

    def __init__(self, wanted: Mapping[str, Iterable[str]]) -> None:
        self._wanted = {device: frozenset(names) for device, names in wanted.items()}
        self._values: dict[str, dict[str, tuple[float, int]]] = {device: {} for device in wanted}
        self._columns: dict[tuple[str, tuple[str, ...]], tuple[tuple[int, str], ...]] = {}

    def look(self, block: Block, now_ms: int) -> bool:
        """Takes a block; whether it held anything that is wanted. A bad or missing value takes the place of the good one before it."""
        wanted = self._wanted.get(block.device)
        if wanted is None:
            return False
        key = (block.device, block.shape.quantities)
        columns = self._columns.get(key)
        if columns is None:
            columns = tuple((place, name) for place, name in enumerate(block.shape.quantities) if name in wanted)
            self._columns[key] = columns
        values, exponents = self._values[block.device], block.shape.exponents
        at_ms = min(block.at_ms[-1], now_ms)
        for place, name in columns:
            value = block.columns[place][-1]
            if value is None or (block.quality and block.quality[place][0] == Quality.BAD):
                values.pop(name, None)
                continue
            before = values.get(name)
            if before is None or before[1] <= at_ms or before[1] > now_ms:
                number = scaled(value, exponents[place])
                assert number is not None
                values[name] = (number, at_ms)
        return bool(columns)

    def gone(self, device: str, at_ms: int) -> None:
        """Whatever a device drew, it draws no more: its vehicle has left, and it may say nothing until another comes."""
        if "active_power_kw" in self._wanted.get(device, ()):
            self._values[device]["active_power_kw"] = (0.0, at_ms)

    def value(self, device: str, quantity: str) -> float | None:
        """The newest value, None where there is none."""
        found = self._values[device].get(quantity)
        return None if found is None else found[0]

    def at_ms(self, device: str, quantity: str) -> int:
        """When it was read."""
        found = self._values[device].get(quantity)
        return LONG_AGO_MS if found is None else found[1]

    def has(self, device: str) -> bool:
        """Whether it has said anything yet."""
        return bool(self._values[device])

    def meter_ms(self, device: str, now_ms: int) -> int:
        """When a meter last said what flows; a reading that a step of the clock has put ahead counts as read now."""
        values = self._values[device]
        for name, (value, at_ms) in values.items():
            if at_ms > now_ms:
                values[name] = (value, now_ms)
        return max((values[name][1] for name in _POWER if name in values), default=LONG_AGO_MS)

    def channels(self, branch: Branch) -> Coefficients | None:
        """What flows on a branch by its meter; None where it does not say. Its age is not asked."""
        values = {name: value for name, (value, _) in self._values[branch.meter].items()}
        return channels_of(values, branch.nominal_v)


def channels_of(values: Mapping[str, float], nominal_v: float) -> Coefficients | None:
    """The channels of what a meter shows, by quantity; None where that is neither power nor current."""
    whole = _power(values, "")
    parts = [_power(values, f"{phase.lower()}_") for phase in PHASES]
    if whole is None and all(part is not None for part in parts):
        whole = sum((part for part in parts if part is not None), 0j)
    currents = []
    for phase, part, turn in zip(PHASES, parts, _TURN, strict=True):
        name = phase.lower()
        size_a = values.get(f"current_{name}_a", values.get("current_a") if whole is None else None)
        towards = part if part is not None else whole
        if size_a is not None:
            back = towards is not None and abs(towards) > 1e-9
            along = towards.conjugate() / abs(towards) if towards is not None and back else 1 + 0j
            currents.append(turn * along * abs(size_a))
        elif towards is not None:
            volts = values.get(f"voltage_{name}_v", 0.0)
            volts = volts if volts > 1.0 else nominal_v / math.sqrt(3)
            share = towards if part is not None else towards / 3
            currents.append(turn * share.conjugate() * 1000 / volts)
        else:
            return None
    if whole is None:  # currents alone
        whole = complex(sum(abs(current) for current in currents) * nominal_v / math.sqrt(3) / 1000)
    first, second, third = currents
    return first, second, third, first + second + third, whole


def _power(values: Mapping[str, float], phase: str) -> complex | None:
    """P + jQ of a phase (of the whole: ""), None where the meter does not show it."""
    active, reactive = values.get(f"active_power_{phase}kw"), values.get(f"reactive_power_{phase}kvar")
    apparent = values.get(f"apparent_power_{phase}kva")
    if active is None:
        return None if apparent is None else complex(abs(apparent))
    if reactive is None and apparent is not None and abs(apparent) > abs(active):
        reactive = math.sqrt(apparent * apparent - active * active)
    return complex(active, reactive or 0.0)

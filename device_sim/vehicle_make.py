"""What the vehicles of a plant can do, beside when they come and what they need: power, phases, taper, discharging. Not who comes (`visits`)."""

import random
from dataclasses import dataclass, replace
from typing import Final

from device_sim.visits import Visit, Visits


@dataclass(frozen=True, slots=True)
class Make:
    """Drawn for each visit from what it is, so that the same visit always brings the same vehicle.

    `power_mw`: on all phases; 0: as the visit says, and never less than that. Ratios: how many vehicles charge on one phase, from which charge of
    its battery on a vehicle takes less and less (constant voltage), and how many can discharge, with `max_discharge_mw`.
    """

    power_mw: int = 0
    single_phase_ratio: float = 0.0
    taper_ratio: float = 1.0
    bidirectional_ratio: float = 0.0
    max_discharge_mw: int = 0


NO_MAKE: Final = Make()


class MadeVisits:
    """The visits of another source, each with a vehicle of this make."""

    def __init__(self, visits: Visits, make: Make) -> None:
        self._visits = visits
        self._make = make

    def next(self, point: int, after_ms: int) -> Visit | None:
        visit = self._visits.next(point, after_ms)
        return None if visit is None else self._made(visit, point)

    def _made(self, visit: Visit, point: int) -> Visit:
        make = self._make
        chance = random.Random(f"make:{point}:{visit.arrives_ms}:{visit.need_uj}")
        one_phase = chance.random() < make.single_phase_ratio
        discharges = chance.random() < make.bidirectional_ratio
        phases = 1 if one_phase else visit.phases
        power_mw = make.power_mw * phases // 3
        return replace(
            visit,
            phases=phases,
            max_mw=max(visit.max_mw, power_mw) if make.power_mw else visit.max_mw,
            taper_uj=round(visit.capacity_uj * make.taper_ratio) if make.taper_ratio < 1 else 0,
            max_discharge_mw=make.max_discharge_mw if discharges else visit.max_discharge_mw,
        )

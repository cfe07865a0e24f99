"""The machine that the aggregator runs on: what it draws, where it stands, what making it emitted. Not what was used of it (see `own_use`)."""

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from aggregator.emissions.amounts import EXACT
from aggregator.emissions.place import FactorOverride, Place

_NUMBERS: Final = (
    "idle_w",
    "core_w",
    "share_percent",
    "store_w_per_tb",
    "pue_ratio",
    "kg_per_kwh",
    "embodied_kg",
    "life_years",
)
_SECONDS_PER_H: Final = 3600
# Of an energy that is worked out by division; a microjoule is 3 in the thirteenth place.
KEPT_KWH: Final = Decimal("1e-15")


@dataclass(frozen=True, slots=True)
class OwnMachine:
    """`idle_w` x `share_percent` is drawn all the time, `core_w` by each busy core, `store_w_per_tb` by what is stored (0 where `idle_w` has it). `pue_ratio`: the room's energy
    over the machine's, with cooling, power distribution and lighting; 1 where the machine stands in a cabinet.

    `power_source` and `embodied_source` say where the numbers come from. `kg_per_kwh` with `factor_source`: the electricity's own factor, else
    the one of `place`. `embodied_kg` None: what making the machine emitted is not known.
    """

    hardware: str
    idle_w: Decimal
    core_w: Decimal
    power_source: str
    share_percent: Decimal = Decimal(100)
    store_w_per_tb: Decimal = Decimal(0)
    pue_ratio: Decimal = Decimal(1)
    place: str = ""
    grid_zone: str = ""
    time_zone: str = "UTC"
    kg_per_kwh: Decimal | None = None
    factor_source: str = ""
    embodied_kg: Decimal | None = None
    life_years: Decimal | None = None
    embodied_source: str = ""

    def energy_kwh(self, real_s: Decimal, cpu_s: Decimal, store_bytes: int) -> Decimal:
        """What `real_s` seconds with `cpu_s` seconds of busy cores and so much in the store have drawn."""
        watts = EXACT.add(
            EXACT.multiply(self.idle_w, EXACT.multiply(self.share_percent, Decimal("0.01"))),
            EXACT.multiply(self.store_w_per_tb, Decimal(store_bytes).scaleb(-12)),
        )
        joules = EXACT.add(EXACT.multiply(watts, real_s), EXACT.multiply(self.core_w, cpu_s))
        return (EXACT.multiply(joules, self.pue_ratio) / (_SECONDS_PER_H * 1000)).quantize(KEPT_KWH)

    def busy_kwh(self, cpu_s: Decimal) -> Decimal:
        """What `cpu_s` seconds of busy cores draw beyond the machine at rest."""
        return (EXACT.multiply(EXACT.multiply(self.core_w, cpu_s), self.pue_ratio) / (_SECONDS_PER_H * 1000)).quantize(
            KEPT_KWH
        )

    def factor_place(self) -> Place:
        """Where its electricity comes from, as the factor registry asks for it."""
        own = () if self.kg_per_kwh is None else (FactorOverride(self.kg_per_kwh, self.factor_source),)
        return Place("", self.place, self.time_zone, own, self.grid_zone)

    def encoded(self) -> str:
        """As it is kept beside what was used."""
        return json.dumps(
            {key: _text(value) for key, value in asdict(self).items()}, sort_keys=True, ensure_ascii=False
        )


def decoded(text: str) -> OwnMachine | None:
    """What `encoded` wrote; None for ""."""
    if not text:
        return None
    said: dict[str, Any] = json.loads(text)
    for key in _NUMBERS:
        if said.get(key) is not None:
            said[key] = Decimal(said[key])
    return OwnMachine(**said)


def _text(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value

"""A building's direct-current bus: PV, storage and loads on it, one converter to the alternating current, and the voltage that shows how they stand. Not its registers.

```
voltage    what flows by itself (droop), as a share of its rating
+5 %       PV is curtailed
+2..+5 %   converter exports          \\  around its set-point, where it has one
-2..+2 %   storage charges, discharges |  the storage goes first, so that what the roof gives stays in the house
-5..-2 %   converter imports          /
-5 %       loads are shed
```
"""

from dataclasses import dataclass, field
from typing import Final

from device_sim.battery import Battery
from device_sim.cells import PPM
from device_sim.profile import Segment

NOMINAL_MV: Final = 750_000
_STORAGE_MV: Final = NOMINAL_MV * 2 // 100
_CONVERTER_MV: Final = NOMINAL_MV * 5 // 100


@dataclass(slots=True)
class DcBus:
    """One bus. Powers in mW on its own side; `converter` positive into the bus, `stored` positive into the storage. Energies since the begin, uJ.

    `set_point_mw`: what the converter shall carry (into the bus) while storage and loads let it; None: only what lacks or is too much.
    """

    sun: Segment
    load: Segment
    storage: Battery | None
    converter_mw: int
    efficiency_ppm: int
    set_point_mw: int | None = None
    reverts_at_ms: int | None = None
    voltage_mv: int = NOMINAL_MV
    carried_mw: int = 0
    stored_mw: int = 0
    given_mw: int = 0
    used_mw: int = 0
    curtailed_mw: int = 0
    shed_mw: int = 0
    given_uj: int = 0
    used_uj: int = 0
    curtailed_uj: int = 0
    shed_uj: int = 0
    _ends: list[int] = field(default_factory=list)

    def power(self, now_ms: int) -> tuple[int, int]:
        """The power at the converter's alternating-current side from now on, mW (import positive), and until when it holds."""
        if self.reverts_at_ms is not None and now_ms >= self.reverts_at_ms:
            self.set_point_mw = self.reverts_at_ms = None
        sun_mw, sun_ends = self.sun.power(now_ms)
        load_mw, load_ends = self.load.power(now_ms)
        ends = [sun_ends, load_ends]
        if self.reverts_at_ms is not None:
            ends.append(self.reverts_at_ms)
        wanted = self.set_point_mw or 0
        base = min(max(wanted, -self.converter_mw), self.converter_mw)
        surplus = sun_mw - load_mw + base
        self.stored_mw, share = self._storage(surplus)
        surplus -= self.stored_mw
        moved = min(max(-surplus, -self.converter_mw - base), self.converter_mw - base)
        self.carried_mw = base + moved
        surplus += moved
        self.curtailed_mw, self.shed_mw = max(surplus, 0), max(-surplus, 0)
        self.given_mw, self.used_mw = sun_mw - self.curtailed_mw, load_mw - self.shed_mw
        self.voltage_mv = NOMINAL_MV + self._deviation_mv(share, moved, surplus)
        if self.storage is not None:
            holds = self.storage.holds_ms(self.stored_mw)
            if holds is not None:
                ends.append(now_ms + max(1, holds))
        return self.alternating_mw(), min(ends)

    def alternating_mw(self) -> int:
        """What the converter takes from the alternating current (negative: gives), its losses counted."""
        if self.carried_mw > 0:
            return self.carried_mw * PPM // self.efficiency_ppm
        return -(-self.carried_mw * self.efficiency_ppm // PPM)

    def book(self, duration_ms: int) -> None:
        """Books a time of constant powers."""
        if self.storage is not None:
            self.storage.store(self.stored_mw * duration_ms, duration_ms)
        self.given_uj += self.given_mw * duration_ms
        self.used_uj += self.used_mw * duration_ms
        self.curtailed_uj += self.curtailed_mw * duration_ms
        self.shed_uj += self.shed_mw * duration_ms

    def _storage(self, surplus_mw: int) -> tuple[int, int]:
        """What the storage takes of a surplus, and the share of its ability that this is, in millionths (negative: it gives)."""
        if self.storage is None:
            return 0, PPM if surplus_mw > 0 else -PPM
        charge, discharge = self.storage.able_mw()
        taken = min(max(surplus_mw, -discharge), charge)
        if taken and self.storage.lasts_ms(taken) == 0:
            taken = 0
        able = charge if surplus_mw > 0 else discharge
        full = taken == 0 and surplus_mw != 0
        share = PPM if full else (abs(taken) * PPM // able if able else PPM)
        return taken, share if surplus_mw > 0 else -share

    def _deviation_mv(self, share: int, moved_mw: int, left_mw: int) -> int:
        """How far the voltage is off; what is moved beyond the set-point against the converter's rating."""
        if left_mw:
            return _CONVERTER_MV if left_mw > 0 else -_CONVERTER_MV
        if moved_mw:
            beyond = (
                _STORAGE_MV + (_CONVERTER_MV - _STORAGE_MV) * min(abs(moved_mw), self.converter_mw) // self.converter_mw
            )
            return -beyond if moved_mw > 0 else beyond
        return _STORAGE_MV * share // PPM

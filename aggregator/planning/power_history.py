"""What nobody steers in a facility, from the ledger's intervals: the load without storage, vehicles and sun, and the sun. Not what is made of it."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from aggregator.facility import Facility
from aggregator.intervals.meter import MeterSpec
from aggregator.ledger import Ledger
from wire.reading import Quality

IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"
Energies = list[tuple[int, int, float]]


class PowerHistory:
    """Of one facility. `planned`: devices of loads that plans move, which are no part of the load either. Raises LedgerError."""

    def __init__(self, ledger: Ledger, facility: Facility, planned: Collection[str] = ()) -> None:
        self._planned = planned
        self._ledger = ledger
        self._facility = facility

    def load(self, from_ms: int, to_ms: int) -> Energies:
        """Net import of the grid connections, less storage, vehicles and planned loads, plus the sun: intervals of which all is known, ordered."""
        facility = self._facility
        mains = [meter for meter in facility.main_meters() if meter.carrier == "electricity"]
        parts = [(meter, 1.0) for meter in mains]
        apart = [meter for part in ("storage", "ev", "pv") for meter in facility.shown_as(part)]
        apart += [meter for meter in facility.meters if meter.device in self._planned and meter not in apart]
        parts += [(meter, -1.0) for meter in self._outer(apart)]
        return self._sum(parts, from_ms, to_ms)

    def sun(self, from_ms: int, to_ms: int) -> Energies:
        """What the sun has given, positive; empty where no meter is shown as pv."""
        return self._sum([(meter, -1.0) for meter in self._outer(self._facility.shown_as("pv"))], from_ms, to_ms)

    def grid(self, from_ms: int, to_ms: int) -> Energies:
        """Net import of all grid connections."""
        mains = [(meter, 1.0) for meter in self._facility.main_meters() if meter.carrier == "electricity"]
        return self._sum(mains, from_ms, to_ms)

    def of(self, device: str, from_ms: int, to_ms: int) -> Energies:
        """What a meter has counted; empty where the device is none."""
        meter = self._facility.meter(device)
        return [] if meter is None else self._sum([(meter, 1.0)], from_ms, to_ms)

    def below(self, device: str, steered: Sequence[str], from_ms: int, to_ms: int) -> Energies:
        """What a branch's meter has measured, less the meters of what is steered below it. Empty where the device is no meter."""
        meter = self._facility.meter(device)
        if meter is None:
            return []
        parts = [(meter, 1.0)]
        parts += [(one, -1.0) for one in self._facility.meters if one.device in steered and one.device != device]
        return self._sum(parts, from_ms, to_ms)

    @staticmethod
    def _outer(meters: Iterable[MeterSpec]) -> list[MeterSpec]:
        """Meters that are inside none of the others."""
        found = list(meters)
        names = {meter.device for meter in found}
        return [meter for meter in found if meter.parent not in names]

    def _sum(self, parts: Sequence[tuple[MeterSpec, float]], from_ms: int, to_ms: int) -> Energies:
        if not parts:
            return []
        total: dict[tuple[int, int], float] = {}
        known: dict[tuple[int, int], set[str]] = {}  # a meter may count one direction alone
        for meter, sign in parts:
            for quantity, way in ((IMPORT, sign), (EXPORT, -sign)):
                for row in self._ledger.intervals(self._facility.id, meter.device, quantity, from_ms, to_ms):
                    if row.grade.quality is not Quality.BAD:
                        key = row.start_ms, row.end_ms
                        total[key] = total.get(key, 0.0) + way * float(row.energy_kwh)
                        known.setdefault(key, set()).add(meter.device)
        return sorted((*key, kwh) for key, kwh in total.items() if len(known[key]) == len(parts))

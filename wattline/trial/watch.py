"""The judge of a trial: limits second by second, quarters, money and kg, from the plant's own truth. Not what was planned or read."""

from dataclasses import dataclass, field
from typing import Final

from aggregator.flexibility.problem import Currency, Norm
from device_sim.electrical import measure, phases_of
from device_sim.plant import Flow, Node, Plant
from device_sim.profile import UJ_PER_KWH
from wattline.trial.grid import Grid
from wire.circuit import Circuit

QUARTER_MS: Final = 900_000
PHASE_V: Final = 230.0  # nominal


@dataclass(slots=True)
class Above:
    """A limit (A or kVA) and what was above it: seconds, the longest stretch of them, kWh, the highest value over the limit, and the longest stretch above 110 %."""

    name: str
    limit: Norm
    kw_per_unit: Norm
    seconds: int = 0
    longest_s: int = 0
    kwh: float = 0.0
    highest_ratio: float = 0.0
    far_longest_s: int = 0
    _running_s: int = 0
    _far_s: int = 0

    def see(self, value: Norm) -> None:
        """One second."""
        ratio = value / self.limit
        self.highest_ratio = max(self.highest_ratio, ratio)
        if ratio <= 1.0:
            self._running_s = self._far_s = 0
            return
        self.seconds += 1
        self._running_s += 1
        self.longest_s = max(self.longest_s, self._running_s)
        self.kwh += (value - self.limit) * self.kw_per_unit / 3600
        self._far_s = self._far_s + 1 if ratio > 1.1 else 0
        self.far_longest_s = max(self.far_longest_s, self._far_s)


@dataclass(slots=True)
class Watch:
    """Looks at the connection each second. `price_per_kw`: of the highest quarter."""

    plant: Plant
    circuit: Circuit
    grid: Grid
    price_per_kw: Currency
    limits: list[Above] = field(default_factory=list)
    quarters_kw: list[float] = field(default_factory=list)
    money: Currency = 0.0
    kg: float = 0.0
    imported_kwh: float = 0.0
    exported_kwh: float = 0.0
    _counted: tuple[int, int] = (0, 0)
    _flow: Flow | None = None
    _values: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        branch = self.circuit.connection
        if branch.limit_a is not None:
            self.limits += [
                Above(f"{branch.name} {phase}", branch.limit_a, PHASE_V / 1000) for phase in ("L1", "L2", "L3")
            ]
        if branch.limit_kva is not None:
            self.limits.append(Above(branch.name, branch.limit_kva, 1.0))

    def begin(self) -> None:
        """From now on it counts."""
        self._counted = self._tallies()

    def second(self) -> None:
        """The plant stands at the second to be judged; what has not changed since the last one is not found anew."""
        flow = self.plant.flow(Node.GRID)
        if flow is not self._flow:
            self._flow = flow
            self._values = self._found(flow)
        for above, value in zip(self.limits, self._values, strict=True):
            above.see(value)

    def _found(self, flow: Flow) -> list[float]:
        """The currents of the phases at the nominal voltage, A, and the apparent power, kVA, as far as they are limited."""
        branch = self.circuit.connection
        found = []
        if branch.limit_a is not None:
            seen = measure(flow, 0, phases_of(self.plant, Node.GRID, flow))
            found += [apparent_va / PHASE_V for apparent_va in seen.apparent_va]
        if branch.limit_kva is not None:
            found.append(flow.apparent_mva / 1e6)
        return found

    def quarter(self, begin_ms: int) -> None:
        """A quarter that began at `begin_ms` is over."""
        bought, sold = self._tallies()
        imported, exported = (bought - self._counted[0]) / UJ_PER_KWH, (sold - self._counted[1]) / UJ_PER_KWH
        self._counted = bought, sold
        self.quarters_kw.append(4 * (imported - exported))
        self.imported_kwh += imported
        self.exported_kwh += exported
        self.money += imported * self.grid.price(begin_ms)
        self.kg += imported * self.grid.kg(begin_ms)

    def _tallies(self) -> tuple[int, int]:
        tally = self.plant.tallies[Node.GRID]
        return tally.import_uj, tally.export_uj

    @property
    def peak_kw(self) -> float:
        """The highest mean of a quarter."""
        return max(self.quarters_kw, default=0.0)

    @property
    def demand_money(self) -> Currency:
        """What it costs."""
        return self.peak_kw * self.price_per_kw

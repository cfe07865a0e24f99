"""What is known of a facility at one instant, as far as a plan needs it. Not how it is found out, nor what is made of it (see `posed`).

Load sign: import and charging positive. What is not known is said in `notes`; nothing is guessed without a word.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from aggregator.flexibility.asked import Asked, Overridden
from aggregator.flexibility.operation.network import Background
from aggregator.flexibility.operation.tariff import ToldPrices
from aggregator.flexibility.problem import Series

QUARTER_MS: Final = 900_000
HOUR_MS: Final = 3_600_000
LEAVING_MOST: Final = 8
SHORTEST_MS: Final = 60_000  # a first step shorter than this is left out: nothing can be done in it

Basis = Literal["vehicle", "declared", "assumed"]
Charging = Literal["uncontrolled", "one_way", "two_way"]  # vehicles as they like, in order, or giving back too


def edges_from(now_ms: int, quarters: int = 96, hours: int = 12, cuts: Iterable[int] = ()) -> tuple[int, ...]:
    """The steps' edges: from now to the next quarter, quarters, then hours; cut where something begins or ends, as far as no step becomes too short."""
    first_ms = (now_ms // QUARTER_MS + 1) * QUARTER_MS
    begin_ms = now_ms if first_ms - now_ms >= SHORTEST_MS else first_ms
    found = [begin_ms] if begin_ms < first_ms else []
    found += [first_ms + number * QUARTER_MS for number in range(quarters)]
    last_ms = found[-1]
    found += [last_ms + number * HOUR_MS for number in range(1, hours + 1)]
    for cut_ms in sorted(set(cuts)):
        at = bisect_left(found, cut_ms)
        if 0 < at < len(found) and min(cut_ms - found[at - 1], found[at] - cut_ms) >= SHORTEST_MS:
            found.insert(at, cut_ms)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Held:
    """What a battery holds, kWh (DC), as it was told at `told_ms`. `spread_kwh`: how far it may be off, the more the older."""

    asset: str
    kwh: float
    told_ms: int
    spread_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle that is plugged in. Energies are the battery's: `held_kwh` now, `need_kwh` wished at departure.

    Where nobody knows what it came with, 0 counts as what it held at plug-in: then only what was charged here may go back. `basis`: who says when it
    leaves and what it needs. `gives_back`: its owner has agreed for this session, and nothing is known against it.
    """

    session: str
    asset: str
    arrived_ms: int
    departs_ms: int
    held_kwh: float
    need_kwh: float
    capacity_kwh: float
    basis: Basis = "vehicle"
    gives_back: bool = False
    reserve_kwh: float = 0.0
    likely_need_kwh: float | None = None  # the 90th percentile, where the need is assumed
    promised: bool = False  # a plan before has said what it will have


@dataclass(frozen=True, slots=True)
class Window:
    """A load that can wait, in one window, by the name of which plans know it: it takes `kwh` in [from_ms, until_ms), of which it has `done_kwh`; at `most_kw`, at least at `least_kw` or not at all."""

    asset: str
    name: str
    from_ms: int
    until_ms: int
    kwh: float
    done_kwh: float
    most_kw: float
    least_kw: float = 0.0


@dataclass(frozen=True, slots=True)
class Tempered:
    """What a building holds of cold or warmth, electric kWh: 0 at the end of its comfort band to which it drifts, below it outside, `band_kwh` at the other.

    It loses `loss_per_h_ratio` of it and `drain_kw` in each step. `degc`: its temperature, as it was told at `told_ms`.
    """

    asset: str
    kwh: float
    band_kwh: float
    loss_per_h_ratio: float
    drain_kw: Series
    most_kw: float
    least_kw: float
    told_ms: int
    degc: float


def leaving(stays: Iterable[Stay], now_ms: int) -> list[int]:
    """When the next vehicles leave within the hour, at which steps are to be cut: of a longer step the plan would count all or nothing."""
    soon = sorted({stay.departs_ms for stay in stays if now_ms < stay.departs_ms < now_ms + HOUR_MS})
    return soon[:LEAVING_MOST]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What nobody steers, per step, kW: the middle, and the cautious end (90th percentile of load, 10th of sun)."""

    load_kw: Series
    high_load_kw: Series
    sun_kw: Series
    low_sun_kw: Series
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """The grid's intensity per step, kg CO2e per kWh, as the accounting has it (`accounting`) or `marginal`, and where it comes from."""

    name: str
    kg_per_kwh: Series
    source: str

    @property
    def constant(self) -> bool:
        return bool((self.kg_per_kwh == self.kg_per_kwh[0]).all())


@dataclass(frozen=True, slots=True)
class LegalLimit:
    """What a branch may take or give by law or by the grid operator's word, kW, from now on; `source` for people."""

    branch: str
    direction: Literal["import", "export"]
    kw: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Everything of one instant. `background`: of branches below the connection; the connection's is the outlook's. `peaks_kw`: by demand rule, so far.

    `silent`: assets of which nothing is known, which the plan leaves out. `waiting`: loads that run in their windows alone; `windows`: those that touch the
    horizon. `charging`: what the settings let vehicles do.
    """

    facility: str
    now_ms: int
    edges_ms: tuple[int, ...]
    outlook: Outlook
    held: Sequence[Held] = ()
    stays: Sequence[Stay] = ()
    background: Mapping[str, Background] = field(default_factory=dict)
    peaks_kw: Mapping[str, float] = field(default_factory=dict)
    told_prices: ToldPrices | None = None
    signals: Sequence[Signal] = ()
    limits: Sequence[LegalLimit] = ()
    asked: Sequence[Asked] = ()
    overridden: Sequence[Overridden] = ()
    silent: Sequence[str] = ()
    notes: Sequence[str] = ()
    waiting: Sequence[str] = ()
    windows: Sequence[Window] = ()
    tempered: Sequence[Tempered] = ()
    charging: Charging = "two_way"

    @property
    def steps(self) -> int:
        return len(self.edges_ms) - 1

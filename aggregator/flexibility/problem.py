"""What is to be planned: a site, its prices, storage, vehicles and promises over a horizon. Not how it is solved (see `dispatch`).

Units: kW, kWh, h, money of one currency, kg CO2e. Series have one value per step; steps may differ in length. Load sign: import and charging positive.
Every service promise (departure, demand response, contract) is soft with a price of its own; every physical limit is hard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]
Phasors = npt.NDArray[np.complex128]
Norm: TypeAlias = float  # of a phasor: A of a phase, or kVA
Currency: TypeAlias = float  # money of the problem's one currency


class ProblemFault(ValueError):
    """The problem contradicts itself; the message names the thing, what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class DemandCharge:
    """Money per kW of the highest mean import (or export: `of`) of a step among `steps` (true where they count), beyond `so_far_kw` of the period."""

    name: str
    price_per_kw: float
    steps: npt.NDArray[np.bool_]
    so_far_kw: float = 0.0
    of: Literal["import", "export"] = "import"


@dataclass(frozen=True, slots=True)
class Carbon:
    """Intensity of the grid with its signal, and what a kg costs. Export earns `export_credit_ratio` of it: 0 unless the accounting says so."""

    kg_per_kwh: Series
    price_per_kg: float
    signal: str = "accounting"
    export_credit_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What a storage is to hold at the end of a step; what lacks costs its price."""

    step: int
    kwh: float
    price_per_kwh: float = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Charging at no less than `charge_kw` in each step (0: as it likes) until it is full; what lacks costs `price` of the step, per kWh.

    The step in which it becomes full may take less, also less than the storage's least power.
    """

    charge_kw: Series
    price: Series


@dataclass(frozen=True, slots=True)
class Storage:
    """A battery. Energies at its DC side, powers at the AC side. `loss_per_h_ratio`: standing loss. `wear_per_kwh`: money per kWh discharged (AC).

    At the end it holds at least `end_kwh`, or `shortfall_price_per_kwh` per kWh is paid; what it holds is worth `end_value_per_kwh`.
    `taper`: (kWh, kW) points from which on charging is limited linearly, for the constant-voltage phase. `least_kw`: the smallest charging power but 0.
    Without `from_grid` it charges only while the site imports nothing; without `to_grid` it discharges only while the site exports nothing.
    `use_price`: money per kWh charged and per kWh discharged in each step, a fee or, below 0, a preference.
    `drain_kw`: what leaves it in each step, whatever is planned: the heat or cold that a building takes, as electric power. What of it is not there lacks, for
    `shortfall_price_per_kwh`.
    """

    name: str
    capacity_kwh: float
    start_kwh: float
    charge_kw: float
    discharge_kw: float
    charge_ratio: float = 0.95
    discharge_ratio: float = 0.95
    least_kwh: float = 0.0
    loss_per_h_ratio: float = 0.0
    wear_per_kwh: float = 0.0
    end_kwh: float | None = None
    end_value_per_kwh: float = 0.0
    shortfall_price_per_kwh: float = 5.0
    taper: tuple[tuple[float, float], ...] = ()
    least_kw: float = 0.0
    from_grid: bool = True
    to_grid: bool = True
    goals: tuple[Goal, ...] = ()
    wanted: Wanted | None = None
    use_price: Series | None = None
    drain_kw: Series | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A vehicle at its charger in the steps [arrival, departure), with `need_kwh` in its battery wished at departure.

    Without consent `discharge_kw` is 0. `reserve_kwh` is never discharged below. `least_kw`: the charger's smallest power other than 0 (6 A).
    `from_grid`, `to_grid`: as a storage's. `ahead_kwh`: what it would hold after each step of the horizon if all came out badly, so that being behind it may be
    missed at departure: the most that it is behind at any of its steps costs `ahead_price_per_kwh`. That is a weight, no promise.
    """

    name: str
    arrival: int
    departure: int
    start_kwh: float
    need_kwh: float
    capacity_kwh: float
    charge_kw: float
    discharge_kw: float = 0.0
    charge_ratio: float = 0.93
    discharge_ratio: float = 0.93
    reserve_kwh: float = 0.0
    least_kw: float = 0.0
    wear_per_kwh: float = 0.0
    shortfall_price_per_kwh: float = 5.0
    from_grid: bool = True
    to_grid: bool = True
    ahead_kwh: Series | None = None
    ahead_price_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class Shiftable:
    """A load that takes `energy_kwh` within [first, last), at most `power_kw` at a time, or `shortfall_price_per_kwh` per kWh that it lacks.

    `least_kw`: its smallest power other than 0; the last step at it may take more than is left.
    """

    name: str
    first: int
    last: int
    energy_kwh: float
    power_kw: float
    shortfall_price_per_kwh: float = 5.0
    least_kw: float = 0.0


@dataclass(frozen=True, slots=True)
class Response:
    """A demand-response event: in `steps` net import is `target_kw` below `baseline_kw` (with `up` above it), for `pay_per_kwh`; what lacks costs its price.

    Import on the other side of the baseline is a response below 0: it costs its pay as well.
    """

    name: str
    steps: npt.NDArray[np.bool_]
    baseline_kw: Series
    target_kw: Series
    pay_per_kwh: float = 0.0
    shortfall_price_per_kwh: float = 5.0
    up: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Storage, a vehicle or a load that can wait, which somebody holds at `kw` (charging positive) in the steps [first, last), as far as it can; what differs costs its price."""

    name: str
    first: int
    last: int
    kw: float
    price_per_kwh: float = 50.0


@dataclass(frozen=True, slots=True)
class Contract:
    """Net import stays at or below `limit_kw`; what is above costs `price_per_kwh`."""

    name: str
    limit_kw: Series
    price_per_kwh: float = 20.0


@dataclass(frozen=True, slots=True)
class Branch:
    """A conductor or transformer: |background + sum of member x kW| <= limit at every step.

    In amperes per phase, members are A per kW with their angle; in kVA they are 1 and the background is P + jQ. `members` maps the names of
    storage, sessions and shiftable loads; charging positive. `scalar`: background of which nobody knows the angle, and what is kept free: off the limit.
    """

    name: str
    limit: Norm
    members: dict[str, complex]
    background: Phasors | None = None
    scalar: Series | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A site over a horizon. `load_kw` cannot be moved; `pv_kw` is what the sun gives, curtailed only where `curtailable`, at `curtailment_price`
    per kWh (0 without); with `curtailed_at_limit` only while the export is at its limit, as an inverter's own feed-in limit does.

    `exact_least`: least powers by branch and bound, proved, for a handful of chargers; else by a dive, for hundreds.
    `few_short_ratio`: how much dearer a kWh is that a vehicle lacks which lacks little (at most 5 kWh; less for those that lack more): where there is not
    enough for all, a few vehicles leave short rather than most of them. `wind_kw`: what the grid's wind gives, for the measures alone (vehicle energy in windy hours); it is in no balance.
    """

    step_h: Series
    load_kw: Series
    pv_kw: Series
    import_price: Series
    export_price: Series
    import_limit_kw: float
    export_limit_kw: float
    storage: Sequence[Storage] = ()
    sessions: Sequence[Session] = ()
    shiftable: Sequence[Shiftable] = ()
    demand: Sequence[DemandCharge] = ()
    responses: Sequence[Response] = ()
    contracts: Sequence[Contract] = ()
    branches: Sequence[Branch] = ()
    held: Sequence[Held] = ()
    carbon: Carbon | None = None
    curtailable: bool = True
    wind_kw: Series | None = None
    few_short_ratio: float = 0.0
    ramp_price_per_kw: float = 0.0
    emergency_price_per_kwh: float = (
        1000.0  # per kWh beyond the connection, where even that cannot be kept: it is named, never silent
    )
    exact_least: bool = False
    curtailment_price: Series | None = None
    curtailed_at_limit: bool = False

    @property
    def steps(self) -> int:
        return len(self.step_h)

    def checked(self) -> "Problem":
        """The same problem. Raises ProblemFault with the first contradiction."""
        steps = self.steps
        if steps == 0 or not bool((self.step_h > 0).all()):
            raise ProblemFault(
                f"step_h: expected at least one step, each longer than 0 h, got {self.step_h[:5].tolist()}"
            )
        series = {
            "load_kw": self.load_kw, "pv_kw": self.pv_kw, "import_price": self.import_price, "export_price": self.export_price,
            **({"carbon.kg_per_kwh": self.carbon.kg_per_kwh} if self.carbon else {}),
            **({} if self.wind_kw is None else {"wind_kw": self.wind_kw}),
            **{f"responses.{one.name}.baseline_kw": one.baseline_kw for one in self.responses},
            **{f"responses.{one.name}.target_kw": one.target_kw for one in self.responses},
            **{f"contracts.{one.name}.limit_kw": one.limit_kw for one in self.contracts},
            **({} if self.curtailment_price is None else {"curtailment_price": self.curtailment_price}),
            **{f"{one.name}.use_price": one.use_price for one in self.storage if one.use_price is not None},
            **{f"{one.name}.drain_kw": one.drain_kw for one in self.storage if one.drain_kw is not None},
            **{f"{one.name}.ahead_kwh": one.ahead_kwh for one in self.sessions if one.ahead_kwh is not None},
            **{f"{one.name}.wanted.charge_kw": one.wanted.charge_kw for one in self.storage if one.wanted is not None},
            **{f"{one.name}.wanted.price": one.wanted.price for one in self.storage if one.wanted is not None},
        }  # fmt: skip
        for name, values in series.items():
            if len(values) != steps or not bool(np.isfinite(values).all()):
                missing = int((~np.isfinite(values)).sum())
                which = f", {missing} of them not finite" if missing else ""
                raise ProblemFault(f"{name}: expected {steps} finite values, got {len(values)}{which}")
        if bool((self.pv_kw < 0).any()):
            raise ProblemFault(f"pv_kw: expected 0 or above, got {float(self.pv_kw.min())}")
        for name, value in (("import_limit_kw", self.import_limit_kw), ("export_limit_kw", self.export_limit_kw)):
            if not 0 <= value < 1e6:
                raise ProblemFault(f"{name}: expected a limit from 0 to 1e6 kW (a connection has one), got {value}")
        for one in self.storage:
            _storage(one, steps)
        for session in self.sessions:
            _session(session, steps)
        for load in self.shiftable:
            _shiftable(load, steps)
        names = [
            *(one.name for one in self.storage),
            *(one.name for one in self.sessions),
            *(one.name for one in self.shiftable),
        ]
        known = set(names)
        if len(known) < len(names):
            raise ProblemFault("names: expected each asset to have its own, got one twice")
        for branch in self.branches:
            if unknown := set(branch.members) - known:
                raise ProblemFault(
                    f"branch {branch.name}: expected members among the assets, got {', '.join(sorted(unknown))}"
                )
        _held(self)
        return self


def _held(problem: Problem) -> None:
    flows = {one.name for one in problem.storage} | {one.name for one in problem.sessions}
    flows |= {one.name for one in problem.shiftable}
    for one in problem.held:
        if one.name not in flows or not 0 <= one.first < one.last <= problem.steps:
            raise ProblemFault(
                f"held {one.name}: expected a storage, session or shiftable load and steps within 0 to {problem.steps}, got {one.first} to {one.last}"
            )


def _storage(one: Storage, steps: int) -> None:
    if not (0 < one.charge_ratio <= 1 and 0 < one.discharge_ratio <= 1):
        raise ProblemFault(
            f"{one.name}: expected efficiencies above 0 and at most 1, got {one.charge_ratio} and {one.discharge_ratio}"
        )
    if not (0 <= one.least_kwh <= one.capacity_kwh and 0 <= one.start_kwh <= one.capacity_kwh * 1.001):
        raise ProblemFault(
            f"{one.name}: expected 0 <= start_kwh <= capacity_kwh, got {one.start_kwh} of {one.capacity_kwh}"
        )
    if one.charge_kw < 0 or one.discharge_kw < 0:
        raise ProblemFault(f"{one.name}: expected powers of 0 kW or above, got {one.charge_kw} and {one.discharge_kw}")
    if not 0 <= one.least_kw <= one.charge_kw:
        raise ProblemFault(f"{one.name}: expected 0 <= least_kw <= charge_kw, got {one.least_kw} and {one.charge_kw}")
    if one.drain_kw is not None and bool((one.drain_kw < 0).any()):
        raise ProblemFault(f"{one.name}.drain_kw: expected 0 or above, got {float(one.drain_kw.min())}")
    for goal in one.goals:
        if not 0 <= goal.step < steps:
            raise ProblemFault(f"{one.name}: expected a goal's step from 0 to {steps - 1}, got {goal.step}")


def _shiftable(one: Shiftable, steps: int) -> None:
    if not 0 <= one.first < one.last <= steps:
        raise ProblemFault(f"{one.name}: expected its window within 0 to {steps}, got {one.first} to {one.last}")
    if not 0 <= one.least_kw <= one.power_kw:
        raise ProblemFault(f"{one.name}: expected 0 <= least_kw <= power_kw, got {one.least_kw} and {one.power_kw}")


def _session(one: Session, steps: int) -> None:
    if not 0 <= one.arrival < one.departure <= steps:
        raise ProblemFault(
            f"{one.name}: expected 0 <= arrival < departure <= {steps}, got {one.arrival} and {one.departure}"
        )
    if not (0 < one.charge_ratio <= 1 and 0 < one.discharge_ratio <= 1):
        raise ProblemFault(
            f"{one.name}: expected efficiencies above 0 and at most 1, got {one.charge_ratio} and {one.discharge_ratio}"
        )
    if not 0 <= one.start_kwh <= one.capacity_kwh or one.need_kwh < 0:
        raise ProblemFault(
            f"{one.name}: expected 0 <= start_kwh <= capacity_kwh, got {one.start_kwh} of {one.capacity_kwh}"
        )
    if not 0 <= one.least_kw <= one.charge_kw or one.discharge_kw < 0:
        raise ProblemFault(f"{one.name}: expected 0 <= least_kw <= charge_kw, got {one.least_kw} and {one.charge_kw}")

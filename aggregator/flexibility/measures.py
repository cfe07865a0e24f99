"""What a day came to in the figures that people compare: peak, largest step, cycles, sun and wind hours, promises. Not money and kg, which the plan has.

A figure that the problem gives no ground for is None, never 0.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from aggregator.flexibility.plan import Plan
from aggregator.flexibility.problem import Problem, Series

Cycles: TypeAlias = float  # full cycles of a battery, of a day where the name says so

LIFE_CYCLES: Final = 12_000  # of the storage stations that the white paper names
LIFE_YEARS: Final = 20
DAYS_PER_YEAR: Final = 365.25
SUNNY: Final = 0.1  # of the horizon's highest PV power: from there on a step is a PV hour
NOTHING: Final = 1e-6  # kW
LIMITS: Final = ("connection", "branch", "contract")


@dataclass(frozen=True, slots=True)
class Measures:
    """`largest_step_kw`: of net import, between neighbouring steps. `delivered_kwh`: into vehicles, AC, less what they gave back.

    `shortfall_kwh`: lacking in vehicles at departure; `stays_short`: of how many. `limit_h`: hours beyond a connection, branch or contract.
    `pv_hours_percent`, `wind_hours_percent`, `either_percent`: of the vehicles' charge, what fell in hours with PV (at least a tenth of its highest
    power), with more wind than the horizon's mean, or with one of them. `pv_self_use_percent`: of what the sun gave, what was not exported or curtailed.
    `zero_carbon_h`: hours without import. `cycles_per_day`: full cycles by discharged DC energy, of all batteries by capacity.
    """

    peak_kw: float
    largest_step_kw: float
    delivered_kwh: float
    shortfall_kwh: float
    stays_short: int
    limit_h: float
    zero_carbon_h: float
    pv_hours_percent: float | None
    wind_hours_percent: float | None
    either_percent: float | None
    pv_self_use_percent: float | None
    cycles_per_day: Cycles | None
    life_years: float | None


def measures(problem: Problem, found: Plan) -> Measures:
    """The figures of a plan, or of a course that was judged as one."""
    step_h = problem.step_h
    net_kw = found.import_kw - found.export_kw
    vehicles = [found.assets[one.name] for one in problem.sessions if one.name in found.assets]
    charge_kwh = sum((one.charge_kw for one in vehicles), np.zeros(problem.steps)) * step_h
    back_kwh = sum((one.discharge_kw for one in vehicles), np.zeros(problem.steps)) * step_h
    short = [one for one in found.broken if one.kind == "departure"]
    over = sorted({one.step for one in found.broken if one.kind in LIMITS})
    in_sun, in_wind = sunny(problem.pv_kw), _windy(problem)
    either = _or(in_sun, in_wind)
    cycles = cycles_per_day(problem, found)
    return Measures(
        peak_kw=float(max(found.import_kw.max(), 0.0)),
        largest_step_kw=float(np.abs(np.diff(net_kw)).max()) if problem.steps > 1 else 0.0,
        delivered_kwh=float((charge_kwh - back_kwh).sum()),
        shortfall_kwh=sum((one.amount for one in short), 0.0),
        stays_short=len(short),
        limit_h=float(step_h[over].sum()),
        zero_carbon_h=float(step_h[found.import_kw <= NOTHING].sum()),
        pv_hours_percent=within_percent(charge_kwh, in_sun),
        wind_hours_percent=within_percent(charge_kwh, in_wind),
        either_percent=within_percent(charge_kwh, either),
        pv_self_use_percent=self_use_percent(problem.pv_kw * step_h, (found.export_kw + found.curtailed_kw) * step_h),
        cycles_per_day=cycles,
        life_years=None if not cycles else life_years(cycles),
    )


def cycles_per_day(problem: Problem, found: Plan) -> Cycles | None:
    """Full cycles a day of the site's batteries: DC energy discharged over capacity. None without a battery."""
    capacity_kwh = sum((one.capacity_kwh for one in problem.storage), 0.0)
    if not capacity_kwh:
        return None
    drawn_kwh = sum(
        (float((found.assets[one.name].discharge_kw * problem.step_h).sum()) / one.discharge_ratio for one in problem.storage), 0.0
    )  # fmt: skip
    return drawn_kwh / capacity_kwh / (float(problem.step_h.sum()) / 24)


def life_years(per_day: Cycles, cycles: Cycles = LIFE_CYCLES) -> float:
    """Years that so many cycles last at so many a day."""
    return cycles / (per_day * DAYS_PER_YEAR)


def cycles_allowed(years: float = LIFE_YEARS, cycles: Cycles = LIFE_CYCLES) -> Cycles:
    """Cycles a day with which a battery of so many cycles lasts so many years."""
    return cycles / (years * DAYS_PER_YEAR)


def sunny(pv: Series) -> npt.NDArray[np.bool_] | None:
    """The steps in which PV gives at least a tenth of its highest (steps of one length). None without sun."""
    highest = pv.max()
    return None if highest <= 0 else np.asarray(pv >= SUNNY * highest)


def within_percent(energy_kwh: Series, hours: npt.NDArray[np.bool_] | None) -> float | None:
    """Of an energy, what fell in the steps that are true. None where there is none of either."""
    whole = float(energy_kwh.sum())
    return None if hours is None or whole <= NOTHING else 100 * float(energy_kwh[hours].sum()) / whole


def self_use_percent(given_kwh: Series, lost_kwh: Series) -> float | None:
    """Of what the sun gave per step; what was lost (exported, curtailed) counts as the sun's as far as there is sun in the step."""
    whole_kwh = float(given_kwh.sum())
    return None if whole_kwh <= 0 else 100 * (1 - float(np.minimum(lost_kwh, given_kwh).sum()) / whole_kwh)


def _windy(problem: Problem) -> npt.NDArray[np.bool_] | None:
    wind_kw = problem.wind_kw
    return None if wind_kw is None or not wind_kw.any() else wind_kw > float(wind_kw.mean())


def _or(one: npt.NDArray[np.bool_] | None, other: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_] | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other

"""The peak that a demand charge bills: the highest mean of a window, and what of it a plan can still change. Not the prices (see `tariff`)."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.flexibility.operation.tariff import DemandRule, Tariff, Window, counted
from aggregator.flexibility.problem import DemandCharge


def highest_window(kw: Sequence[float], step_min: int, window_min: int, window: Window) -> float:
    """The highest mean of a window over powers of `step_min` each, the first at the begin of a window; sliding by one step. 0 where there is none.

    Powers that are not known (NaN) make no window. Raises ValueError where the window is no whole number of steps.
    """
    if window_min % step_min:
        raise ValueError(f"window: expected a whole number of {step_min} min, got {window_min} min")
    size = window_min // step_min
    values = np.asarray(kw, dtype=np.float64)
    if len(values) < size:
        return 0.0
    means = np.convolve(values, np.ones(size) / size, mode="valid")[:: 1 if window == "sliding" else size]
    known = means[~np.isnan(means)]
    return max(float(known.max()), 0.0) if len(known) else 0.0


def charges(
    tariff: Tariff, so_far_kw: dict[str, float], edges_ms: Sequence[int], zone: ZoneInfo
) -> tuple[list[DemandCharge], list[str]]:
    """Each rule as the planner takes it, one for each calendar month that the horizon touches, and what is to be said about it.

    A plan holds its power through a step, so that no window within it, block or sliding, lies above the highest step that it touches.
    """
    found: list[DemandCharge] = []
    said: list[str] = []
    months = [
        (local.year, local.month) for local in (datetime.fromtimestamp(at_ms / 1000, zone) for at_ms in edges_ms[:-1])
    ]
    for rule in tariff.demand:
        if rule.mode == "capacity":
            said.append(f"demand {rule.name}: paid by the transformer's size, no plan changes it")
            continue
        inside = np.array(counted(rule.when, tariff, edges_ms, zone), dtype=np.bool_)
        for month in sorted(set(months)):
            steps = inside & np.array([one == month for one in months], dtype=np.bool_)
            if not steps.any():
                continue
            this = month == months[0]
            peak_kw = so_far_kw.get(rule.name, 0.0) if this else 0.0
            name = rule.name if this else f"{rule.name} {month[0]}-{month[1]:02d}"
            found.append(DemandCharge(name, *_priced(rule, steps, peak_kw)))
    return found, said


def _priced(rule: DemandRule, steps: np.ndarray, peak_kw: float) -> tuple[float, np.ndarray, float]:
    price = rule.price_per_kw / rule.kw_per_unit
    if rule.mode == "contract":
        free_kw = rule.contract_kw * rule.allowed_ratio * rule.kw_per_unit
        return price * rule.excess_factor, steps, max(peak_kw, free_kw)
    return price, steps, max(peak_kw, rule.floor_kw * rule.kw_per_unit)

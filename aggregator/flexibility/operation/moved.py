"""What a plan does with loads that it may move, in figures and words for people: when they run, what that costs, what lacks. Not the plan itself."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from aggregator.flexibility.operation.rolling import Planned
from aggregator.flexibility.operation.state import Tempered, Window
from aggregator.flexibility.problem import Series, Shiftable

SMALL_KW: Final = 0.01
RUNS_SHOWN: Final = 48


def windows_kw(planned: Planned) -> dict[str, dict[str, Any]]:
    """By asset the power per step of a load that can wait, in all its windows, with what somebody makes it draw; and what that has come to, kWh."""
    found: dict[str, dict[str, Any]] = {}
    for asset in planned.made_of.waiting:
        if asset not in planned.posed.left_out:
            kw = _kw(planned, asset)
            kwh = np.cumsum(kw * planned.posed.problem.step_h)
            found[asset] = {"asset": asset, "kw": _rounded(kw), "kwh": _rounded(kwh)}
    return found


def loads(planned: Planned) -> list[dict[str, Any]]:
    """Each window, and each building, with its reason in words."""
    left_out = planned.posed.left_out
    pieces = {one.name: one for one in planned.posed.problem.shiftable}
    rows = [_window(planned, one, pieces.get(one.name)) for one in planned.made_of.windows if one.asset not in left_out]
    return rows + [_building(planned, one) for one in planned.made_of.tempered if one.asset not in left_out]


def _kw(planned: Planned, asset: str) -> Series:
    posed = planned.posed
    nothing = np.zeros(posed.problem.steps)
    kw = sum((one for name, one in planned.plan.shifted_kw.items() if posed.asset_of[name] == asset), nothing)
    return np.maximum(kw, posed.forced_kw.get(asset, nothing))


def _window(planned: Planned, window: Window, piece: Shiftable | None) -> dict[str, Any]:
    problem, name = planned.posed.problem, window.name
    kw = planned.plan.shifted_kw.get(name, np.zeros(problem.steps))
    kwh = kw * problem.step_h
    lacking_kwh = _lacking(planned, "shift", name)
    words = f"{name} ({window.kwh:g} kWh): {window.done_kwh:.1f} kWh had, {kwh.sum():.1f} kWh planned"
    if piece is not None and kwh.sum() > 0:
        inside = slice(piece.first, piece.last)
        paid, mean = (
            _price(planned, kwh),
            float(np.average(problem.import_price[inside], weights=problem.step_h[inside])),
        )
        words += f" at {paid:.3f} a kWh; what is left of its window costs {mean:.3f} in the mean"
    if lacking_kwh:
        words += f"; {lacking_kwh:.1f} kWh will lack"
    return {
        "asset": window.asset, "name": name, "kind": "window", "from_ms": window.from_ms, "until_ms": window.until_ms, "kwh": window.kwh,
        "had_kwh": round(window.done_kwh, 4), "planned_kwh": round(float(kwh.sum()), 4), "lacking_kwh": lacking_kwh,
        "runs": _runs(kw, planned.made_of.edges_ms), "words": words,
    }  # fmt: skip


def _building(planned: Planned, one: Tempered) -> dict[str, Any]:
    problem, course = planned.posed.problem, planned.plan.assets.get(one.asset)
    kw = np.zeros(problem.steps) if course is None else course.charge_kw
    kwh = kw * problem.step_h
    lacking_kwh = _lacking(planned, "comfort", one.asset)
    words = (
        f"{one.asset}: {one.degc:.1f} degC, {one.kwh:.1f} of {one.band_kwh:.1f} kWh held; {kwh.sum():.1f} kWh planned"
    )
    if kwh.sum() > 0:
        mean = float(np.average(problem.import_price, weights=problem.step_h))
        words += f" at {_price(planned, kwh):.3f} a kWh; all hours cost {mean:.3f} in the mean"
    if lacking_kwh:
        words += f"; {lacking_kwh:.1f} kWh will lack, so that it leaves its band"
    return {
        "asset": one.asset, "name": one.asset, "kind": "comfort", "from_ms": planned.made_of.edges_ms[0], "until_ms": planned.made_of.edges_ms[-1],
        "kwh": round(one.band_kwh, 4), "had_kwh": round(one.kwh, 4), "planned_kwh": round(float(kwh.sum()), 4), "lacking_kwh": lacking_kwh,
        "degc": round(one.degc, 2), "runs": _runs(kw, planned.made_of.edges_ms), "words": words,
    }  # fmt: skip


def _price(planned: Planned, kwh: Series) -> float:
    return float((planned.posed.problem.import_price * kwh).sum() / kwh.sum())


def _lacking(planned: Planned, kind: str, name: str) -> float:
    """kWh; a promise in kW lacks for its step."""
    step_h = planned.posed.problem.step_h
    broken = [one for one in planned.plan.broken if (one.kind, one.name) == (kind, name)]
    return round(sum(one.amount * (1.0 if one.unit == "kWh" else float(step_h[one.step])) for one in broken), 4)


def _runs(kw: Series, edges_ms: Sequence[int]) -> list[tuple[int, int, float]]:
    """Begin, end and power of each span in which it draws the same."""
    found: list[tuple[int, int, float]] = []
    for (begin_ms, end_ms), power in zip(pairwise(edges_ms), kw.tolist(), strict=True):
        if power <= SMALL_KW:
            continue
        if found and found[-1][1] == begin_ms and abs(found[-1][2] - power) < SMALL_KW:
            found[-1] = found[-1][0], end_ms, found[-1][2]
        else:
            found.append((begin_ms, end_ms, round(power, 3)))
    return found[:RUNS_SHOWN]


def _rounded(values: Series) -> list[float]:
    return [float(one) for one in np.round(values, 4) + 0.0]

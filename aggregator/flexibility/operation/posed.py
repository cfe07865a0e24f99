"""The planner's problem of a facility's state: pure. Not the state itself (see `state`), nor the solving."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from aggregator.flexibility.asked import Asked, Overridden
from aggregator.flexibility.operation import state as state_of
from aggregator.flexibility.operation.demand import charges
from aggregator.flexibility.operation.loads import shiftable, thermal
from aggregator.flexibility.operation.network import Background, branches
from aggregator.flexibility.operation.state import HOUR_MS, State, Stay
from aggregator.flexibility.operation.tariff import Tariff, prices
from aggregator.flexibility.problem import (
    Branch,
    Carbon,
    Contract,
    Currency,
    Held,
    Problem,
    Response,
    Series,
    Session,
    Shiftable,
    Storage,
)
from wire.circuit import Asset, Circuit

LEGAL_PRICE_PER_KWH: Final = 1000.0  # of what is above a legal limit: it is said, and an alarm
FEW_SHORT_RATIO: Final = 0.5  # a fifth more demands met with the same energy (docs/flexibility.md)
PROMISED_RATIO: Final = 1 + FEW_SHORT_RATIO  # of what one costs that comes later, however little that lacks
PROMISED_MOST_PER_KWH: Final = 660.0  # with the same ratio again still below what is beyond the connection
HELD_PRICE_PER_KWH: Final = (
    50.0  # of what an operator holds; a day of it is eight spans, the first at 400: still below a legal limit
)
FREE_KW: Final = 1e6  # a contract's limit at times when it does not hold


@dataclass(frozen=True, slots=True)
class Posed:
    """A problem, what it stands for, and what is to be said about it. `cautious`: the same with more load and less sun, to try departures on.

    `asset_of`: the circuit's asset of each storage, session and load. `left_out`: assets that get no wish. `forced_kw`: what is drawn per step, whatever is
    planned, by vehicles that are not planned and by loads that somebody runs beside their windows.
    """

    problem: Problem
    cautious: Problem
    asset_of: Mapping[str, str]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    forced_kw: Mapping[str, Series] = field(default_factory=dict)


def problem_of(circuit: Circuit, tariff: Tariff, state: State, zone: ZoneInfo) -> Posed:
    """What the planner is asked. Raises ProblemFault where the state contradicts itself."""
    edges_ms, outlook = state.edges_ms, state.outlook
    step_h = np.diff(np.array(edges_ms, dtype=np.float64)) / HOUR_MS
    bought, sold = prices(tariff, state.told_prices, edges_ms, zone)
    left_out = sorted({*state.silent, *_left_out(circuit, state)})
    notes = list(state.notes)
    assets = {asset.name: asset for asset in circuit.asset}
    mean_price = float(np.average(bought, weights=step_h))
    storage = [_storage(assets[one.asset], one, mean_price) for one in state.held if one.asset not in left_out]
    storage += [
        thermal(one, step_h, tariff.lack_per_kwh, mean_price) for one in state.tempered if one.asset not in left_out
    ]
    there = [one for one in state.stays if one.asset not in left_out and one.departs_ms > edges_ms[0]]
    stays = there if state.charging != "uncontrolled" else []
    sessions = [_session(assets[one.asset], circuit, one, state, tariff) for one in stays]
    demand, said = charges(tariff, dict(state.peaks_kw), edges_ms, zone)
    notes += said
    carbon, said = _carbon(tariff, state)
    notes += said
    imported_kw, exported_kw = _connection(circuit, state)
    names = {one.name: one.name for one in storage} | {one.session: one.asset for one in stays}
    forced_kw = _forced(state, left_out)
    loads: dict[str, Shiftable] = {}
    for window in state.windows:
        load = shiftable(window, edges_ms, tariff.lack_per_kwh)
        if load is not None and window.asset not in left_out:
            loads[load.name], names[load.name] = _less(load, forced_kw.get(window.asset), step_h), window.asset
    if state.charging == "uncontrolled":
        unplanned = [_session(assets[one.asset], circuit, one, state, tariff) for one in there]
        forced_kw |= _as_they_like(unplanned, {one.session: one.asset for one in there}, step_h)
    members: dict[str, list[str]] = {}
    for name, asset in names.items():
        members.setdefault(asset, []).append(name)
    root = circuit.connection.name
    load_kw = outlook.load_kw + sum(forced_kw.values(), np.zeros(state.steps))
    background = {root: Background(load_kw - outlook.sun_kw), **_spared(circuit, state, forced_kw)}
    if root in state.background:
        background[root] = replace(background[root], kvar=state.background[root].kvar, spare_kva=state.background[root].spare_kva)  # fmt: skip
    problem = Problem(
        step_h=step_h, load_kw=load_kw, pv_kw=outlook.sun_kw, import_price=np.array(bought), export_price=np.array(sold),
        import_limit_kw=imported_kw, export_limit_kw=exported_kw, storage=tuple(storage), sessions=tuple(sessions), demand=tuple(demand),
        shiftable=tuple(loads.values()),
        responses=tuple(_response(one, state) for one in state.asked if _steps(state, one.from_ms, one.until_ms).any()),
        contracts=(*_contracts(tariff, state, zone), *_legal(circuit, state)),
        branches=(*branches(circuit, background, members, state.steps), *_legal_below(circuit, state, background, members)),
        held=tuple(_held(state, names, sessions, loads)), carbon=carbon, ramp_price_per_kw=tariff.ramp_per_kw,
        curtailable=any(asset.kind == "pv" for asset in circuit.asset), few_short_ratio=FEW_SHORT_RATIO,
    ).checked()  # fmt: skip
    cautious = _cautious(problem, state, stays, load_kw - outlook.load_kw)
    return Posed(problem, cautious, names, tuple(left_out), tuple(notes), forced_kw)


def _forced(state: State, left_out: Sequence[str]) -> dict[str, Series]:
    """What operators make loads draw that can wait, by asset: their windows do not bind an operator."""
    found: dict[str, Series] = {}
    for one in state.overridden:
        for asset in state.waiting:
            if one.kw is not None and one.asset in ("", asset) and asset not in left_out:
                steps = _steps(state, one.from_ms, one.until_ms)
                found[asset] = np.where(steps, max(one.kw, 0.0), found.get(asset, np.zeros(state.steps)))
    return found


def _less(load: Shiftable, forced_kw: Series | None, step_h: Series) -> Shiftable:
    """A window without what it gets from an operator."""
    if forced_kw is None:
        return load
    inside = slice(load.first, load.last)
    return replace(load, energy_kwh=max(load.energy_kwh - float((forced_kw * step_h)[inside].sum()), 0.0))


def _as_they_like(sessions: Sequence[Session], names: Mapping[str, str], step_h: Series) -> dict[str, Series]:
    """Vehicles that nobody plans: at full power until they hold what they need, by asset."""
    found = {}
    for one in sessions:
        kw, lacking_kwh = np.zeros(len(step_h)), max(one.need_kwh - one.start_kwh, 0.0) / one.charge_ratio
        for step in range(one.departure):
            kw[step] = min(one.charge_kw, lacking_kwh / float(step_h[step]))
            lacking_kwh -= kw[step] * float(step_h[step])
        found[names[one.name]] = kw
    return found


def _left_out(circuit: Circuit, state: State) -> set[str]:
    """Assets that an operator has taken out of the plan by now."""
    out = [one.asset for one in state.overridden if one.kw is None and one.from_ms <= state.now_ms]
    return {asset.name for asset in circuit.asset if asset.name in out or "" in out}


def _storage(asset: Asset, told: state_of.Held, price_per_kwh: Currency) -> Storage:
    """It shall end with what it begins with, and what it holds then is worth what it saves at a mean price: else a battery that has given would have no
    reason to charge again, plan after plan. What is not known of it stays away from both ends.
    """
    assert asset.capacity_kwh is not None
    held_kwh = min(max(told.kwh, 0.0), asset.capacity_kwh)
    least_kwh = min(asset.capacity_kwh * asset.least_percent / 100 + told.spread_kwh, asset.capacity_kwh / 2)
    capacity_kwh = max(asset.capacity_kwh - told.spread_kwh, held_kwh, least_kwh)
    return Storage(
        asset.name, capacity_kwh, held_kwh, asset.charge_kw, asset.discharge_kw, asset.charge_ratio, asset.discharge_ratio,
        least_kwh, wear_per_kwh=asset.wear_per_kwh, end_kwh=max(held_kwh, least_kwh),
        end_value_per_kwh=max(0.0, (price_per_kwh - asset.wear_per_kwh) * asset.discharge_ratio),
    )  # fmt: skip


def _session(asset: Asset, circuit: Circuit, stay: Stay, state: State, tariff: Tariff) -> Session:
    departure = int(np.searchsorted(np.array(state.edges_ms[1:-1]), stay.departs_ms, side="right"))
    # A departure within a step is met at the step's begin, so that the vehicle is never waited for; in the first step it has what is left of it.
    departure = max(departure, 1) if stay.departs_ms < state.edges_ms[-1] else state.steps
    gives_kw = asset.discharge_kw if stay.gives_back and state.charging == "two_way" else 0.0
    capacity_kwh = max(stay.capacity_kwh, stay.held_kwh)
    return Session(
        stay.session, 0, departure, stay.held_kwh, min(stay.need_kwh, capacity_kwh), capacity_kwh, asset.charge_kw, gives_kw,
        asset.charge_ratio, asset.discharge_ratio, stay.reserve_kwh, min(least_kw(asset, circuit.named(asset.branch).nominal_v), asset.charge_kw), asset.wear_per_kwh,
        min(tariff.lack_per_kwh * PROMISED_RATIO, PROMISED_MOST_PER_KWH) if stay.promised else tariff.lack_per_kwh,
    )  # fmt: skip


def least_kw(asset: Asset, nominal_v: float) -> float:
    """The power of a charger's smallest current other than 0."""
    lines = len(asset.phases) // 2
    volts = nominal_v if lines == 2 else nominal_v / math.sqrt(3) * lines
    return asset.least_a * volts / 1000 if asset.kind == "charger" else 0.0


def _connection(circuit: Circuit, state: State) -> tuple[float, float]:
    """The most that may be imported and exported, kW; a legal limit of export holds through the whole horizon."""
    branch = circuit.connection
    most_kw = branch.limit_kva
    if most_kw is None:
        assert branch.limit_a is not None
        most_kw = branch.limit_a * branch.nominal_v * math.sqrt(3) / 1000
    exported_kw = most_kw if branch.export_limit_kw is None else branch.export_limit_kw
    told = [one.kw for one in state.limits if one.branch == branch.name and one.direction == "export"]
    return most_kw, min([exported_kw, *told])


def _carbon(tariff: Tariff, state: State) -> tuple[Carbon | None, list[str]]:
    signal = next((one for one in state.signals if one.name == tariff.carbon_signal), None)
    if signal is None:
        known = ", ".join(one.name for one in state.signals) or "none"
        return None, [f"carbon: no {tariff.carbon_signal} intensity is known ({known}); the plan goes by money alone"]
    said = []
    if signal.constant and tariff.carbon_price_per_kg:
        said = [
            f"carbon: the {signal.name} intensity is {signal.kg_per_kwh[0]:g} kg/kWh throughout: its price cannot move load"
        ]
    return Carbon(signal.kg_per_kwh, tariff.carbon_price_per_kg, f"{signal.name} ({signal.source})"), said


def _steps(state: State, from_ms: int, until_ms: int) -> npt.NDArray[np.bool_]:
    """Steps that lie in [from_ms, until_ms) for the better half."""
    begins, ends = np.array(state.edges_ms[:-1]), np.array(state.edges_ms[1:])
    inside = np.minimum(ends, until_ms) - np.maximum(begins, from_ms)
    return np.asarray(2 * inside >= ends - begins)


def _response(event: Asked, state: State) -> Response:
    steps = _steps(state, event.from_ms, event.until_ms)
    baseline = np.array([event.baseline_at(at_ms) for at_ms in state.edges_ms[:-1]])
    return Response(
        event.event_id, steps, baseline, np.full(state.steps, event.target_kw), event.pay_per_kwh,
        event.shortfall_price_per_kwh, up=event.direction == "up",
    )  # fmt: skip


def _contracts(tariff: Tariff, state: State, zone: ZoneInfo) -> list[Contract]:
    found = []
    for one in tariff.limits:
        holds = [
            one.when.fits(datetime.fromtimestamp(at_ms / 1000, zone), tariff.holidays) for at_ms in state.edges_ms[:-1]
        ]
        found.append(Contract(one.name, np.where(holds, one.limit_kw, FREE_KW), one.price_per_kwh))
    return found


def _legal(circuit: Circuit, state: State) -> list[Contract]:
    return [
        Contract(f"legal limit of {one.branch}", np.full(state.steps, one.kw), LEGAL_PRICE_PER_KWH)
        for one in state.limits
        if one.branch == circuit.connection.name and one.direction == "import"
    ]


def _legal_below(
    circuit: Circuit, state: State, background: Mapping[str, Background], members: Mapping[str, Sequence[str]]
) -> list[Branch]:
    """Legal limits of branches below the connection bound the power itself, in the other direction as well: a planner's branch knows no direction."""
    found = []
    for one in state.limits:
        if one.branch != circuit.connection.name:
            below = {name: 1 + 0j for asset in circuit.below(one.branch) for name in members.get(asset.name, ())}
            kw = background.get(one.branch, Background()).kw
            found.append(
                Branch(
                    f"legal limit of {one.branch}",
                    max(one.kw, 1e-3),
                    below,
                    None if kw is None else kw.astype(np.complex128),
                )
            )
    return found


def _spared(circuit: Circuit, state: State, forced_kw: Mapping[str, Series]) -> dict[str, Background]:
    """What nobody steers on branches below the connection, with what is drawn whatever is planned."""
    root = circuit.connection.name
    found = {name: one for name, one in state.background.items() if name != root}
    for asset in circuit.asset:
        for branch in circuit.path(asset.branch)[:-1] if asset.name in forced_kw else ():
            before = found.get(branch.name, Background())
            kw = forced_kw[asset.name] if before.kw is None else before.kw + forced_kw[asset.name]
            found[branch.name] = replace(before, kw=kw)
    return found


def _held(
    state: State, names: Mapping[str, str], sessions: Sequence[Session], loads: Mapping[str, Shiftable]
) -> list[Held]:
    """What an operator holds, of a whole facility each asset at an equal part. What is left out later on does nothing by then."""
    until = {one.name: one.departure for one in sessions}
    found = []
    for one in state.overridden:
        steps = np.flatnonzero(_steps(state, one.from_ms, one.until_ms))
        if not len(steps) or (one.kw is None and one.from_ms <= state.now_ms):
            continue
        for name, asset in names.items():
            if one.asset in ("", asset):
                last = min(int(steps[-1]) + 1, until.get(name, state.steps))
                if name in loads:  # what it gets then is counted already
                    first, last = max(int(steps[0]), loads[name].first), min(last, loads[name].last)
                    found += [Held(name, first, last, 0.0, HELD_PRICE_PER_KWH)] if first < last else []
                elif steps[0] < last:
                    found += _sooner_first(name, int(steps[0]), last, _share_kw(one, names))
    return found


def _sooner_first(name: str, first: int, last: int, kw: float) -> list[Held]:
    """What cannot be held throughout (a battery that gets full) is held as long as it can be from now on: the sooner, the dearer, in spans that double."""
    edges = [first]
    while edges[-1] < last:
        edges.append(min(first + max(2 * (edges[-1] - first), 1), last))
    spans = list(pairwise(edges))
    return [
        Held(name, begin, end, kw, HELD_PRICE_PER_KWH * (len(spans) - number))
        for number, (begin, end) in enumerate(spans)
    ]


def _share_kw(one: Overridden, names: Mapping[str, str]) -> float:
    if one.kw is None:
        return 0.0
    return one.kw if one.asset else one.kw / max(len(set(names.values())), 1)


def _cautious(problem: Problem, state: State, stays: Sequence[Stay], forced_kw: Series) -> Problem:
    """The 90th percentile of load and of assumed needs, the 10th of sun."""
    likely = {one.session: one.likely_need_kwh for one in stays if one.likely_need_kwh is not None}
    sessions = tuple(
        replace(
            one,
            need_kwh=max(likely.get(one.name, 0.0), one.need_kwh),
            capacity_kwh=max(one.capacity_kwh, likely.get(one.name, 0.0)),
        )
        for one in problem.sessions
    )
    return replace(
        problem, load_kw=state.outlook.high_load_kw + forced_kw, pv_kw=state.outlook.low_sun_kw, sessions=sessions
    )

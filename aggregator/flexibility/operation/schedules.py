"""A plan as what each edge shall do: wishes, limits and stays, ahead of time. Not numbered, signed or sent here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aggregator.flexibility.operation.posed import Posed
from aggregator.flexibility.operation.state import State
from aggregator.flexibility.operation.tariff import Tariff
from aggregator.flexibility.plan import Asset as Course
from aggregator.flexibility.plan import Plan
from wire import circuit as network
from wire.circuit import Circuit
from wire.schedule import Authority, BranchLimit, Schedule, Stay, Wish

SMALL_KW: Final = 0.01
ANSWER_S: Final = 300  # over which the mean of an answered event is kept
AFTER_MS: Final = 900_000  # a schedule is good for so long after its last step: then the edge goes by its own rules


@dataclass(slots=True)
class Draft:
    """What one edge is told."""

    wishes: list[Wish] = field(default_factory=list)
    limits: list[BranchLimit] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)

    def schedule(
        self, schedule_id: str, issuer: str, number: int, now_ms: int, until_ms: int, circuit: str
    ) -> Schedule:
        """The schedule on its way."""
        return Schedule(schedule_id, issuer, number, now_ms, until_ms + AFTER_MS, circuit, self.wishes, self.limits, self.stays)  # fmt: skip


def drafts(circuit: Circuit, tariff: Tariff, posed: Posed, planned: Plan, made_of: State, now: State) -> dict[str, Draft]:  # fmt: skip
    """What each edge of the circuit is told. `made_of`: the state of the plan; `now`: the newest, from which stays and legal limits are taken."""
    found = {edge: Draft() for edge in _edges(circuit)}
    assets = {asset.name: asset for asset in circuit.asset}
    for name, course in planned.assets.items():
        asset = assets[posed.asset_of[name]]
        found[asset.edge].wishes += _wishes(asset, course, _authorities([name], posed, planned), made_of, now)
    for name in made_of.waiting:
        if name not in posed.left_out:
            course, authorities = _loads(name, posed, planned)
            found[assets[name].edge].wishes += _wishes(assets[name], course, authorities, made_of, now)
    for asset in circuit.asset:
        if asset.kind in ("charger", "load") and asset.name not in {*posed.asset_of.values(), *made_of.waiting}:
            found[asset.edge].wishes += _overrides(asset, now)
    for asset in circuit.asset:
        if asset.kind == "pv" and asset.name not in posed.left_out:
            found[asset.edge].wishes += _curtailed(asset, circuit, planned, made_of)
    for branch, limit in _limits(circuit, tariff, posed, planned, made_of, now):
        if branch.edge:
            found[branch.edge].limits.append(limit)
    for stay in now.stays:
        asset = assets[stay.asset]
        lacking_kwh = max(stay.need_kwh - stay.held_kwh, 0.0) / asset.charge_ratio
        gives_back = stay.gives_back and stay.held_kwh > stay.reserve_kwh and now.charging == "two_way"
        found[asset.edge].stays.append(
            Stay(stay.asset, stay.departs_ms, round(lacking_kwh, 3), _word(stay.session), gives_back)
        )
    return found


def _edges(circuit: Circuit) -> list[str]:
    names = {asset.edge for asset in circuit.asset} | {branch.edge for branch in circuit.branch if branch.edge}
    return sorted(names)


def _word(session: str) -> str:
    return session[:64]


def _loads(name: str, posed: Posed, planned: Plan) -> tuple[Course, list[Authority]]:
    """What a load that can wait draws in all its windows, and nothing beside them but what an operator makes it draw; and who decides."""
    problem = posed.problem
    pieces = [piece for piece in planned.shifted_kw if posed.asset_of[piece] == name]
    nothing = np.zeros(problem.steps)
    kw = sum((planned.shifted_kw[piece] for piece in pieces), nothing)
    authorities = _authorities(pieces, posed, planned)
    forced_kw = posed.forced_kw.get(name)
    if forced_kw is not None:
        kw = np.where(forced_kw > 0, forced_kw, kw)
        authorities = ["override" if on else one for on, one in zip(forced_kw > 0, authorities, strict=True)]
    return Course(kw, nothing, nothing), authorities


def _overrides(asset: network.Asset, now: State) -> Iterator[Wish]:
    """What an operator has said of an asset that no plan moves."""
    for one in now.overridden:
        if (
            one.kw is not None
            and one.until_ms > now.now_ms
            and (one.asset == asset.name or (not one.asset and one.kw == 0))
        ):
            from_ms = max(one.from_ms, now.now_ms)
            yield Wish(asset.name, one.kw, from_ms, one.until_ms, "override", one.kw >= 0, _reason(asset, from_ms, now))


def _authorities(names: Sequence[str], posed: Posed, planned: Plan) -> list[Authority]:
    """Who decides over an asset in each step: an operator who holds it, an event that is answered, or the plan."""
    problem = posed.problem
    found: list[Authority] = ["plan"] * problem.steps
    for event in problem.responses:
        for step in np.flatnonzero(event.steps).tolist():
            if planned.responses_kw[event.name][step] > SMALL_KW:
                found[step] = "event"
    for one in problem.held:
        if one.name in names:
            found[one.first : one.last] = ["override"] * (one.last - one.first)
    return found


def _wishes(
    asset: network.Asset, course: Course, authorities: list[Authority], made_of: State, now: State
) -> Iterator[Wish]:
    """Steps of the same word are told as one."""
    there = _present(asset, made_of)
    last: Wish | None = None
    for step in range(there):
        from_ms, until_ms = made_of.edges_ms[step], made_of.edges_ms[step + 1]
        if until_ms <= now.now_ms or _out_of_plan(asset, from_ms, until_ms, now):
            continue
        kw = round(float(course.charge_kw[step] - course.discharge_kw[step]), 3) + 0.0
        reason = _reason(asset, from_ms, now) if authorities[step] == "override" else ""
        wish = Wish(
            asset.name, kw, from_ms, until_ms, authorities[step], asset.kind in ("charger", "load") and kw >= 0, reason
        )
        if last is not None and last.until_ms == from_ms and _same(last, wish):
            last = Wish(last.asset, last.kw, last.from_ms, until_ms, last.authority, last.cap, last.reason)
            continue
        if last is not None:
            yield last
        last = wish
    if last is not None:
        yield last


def _same(one: Wish, other: Wish) -> bool:
    return abs(one.kw - other.kw) < SMALL_KW and (one.authority, one.cap, one.reason) == (
        other.authority,
        other.cap,
        other.reason,
    )


def _present(asset: network.Asset, made_of: State) -> int:
    """How many steps the asset is there: a vehicle until it leaves."""
    for stay in made_of.stays:
        if stay.asset == asset.name:
            inside = int(np.searchsorted(np.array(made_of.edges_ms[1:-1]), stay.departs_ms, side="right"))
            return max(inside, 1) if stay.departs_ms < made_of.edges_ms[-1] else made_of.steps
    return made_of.steps


def _out_of_plan(asset: network.Asset, from_ms: int, until_ms: int, now: State) -> bool:
    return any(
        one.kw is None and one.asset in ("", asset.name) and one.from_ms < until_ms and from_ms < one.until_ms
        for one in now.overridden
    )


def _reason(asset: network.Asset, from_ms: int, now: State) -> str:
    for one in now.overridden:
        if one.asset in ("", asset.name) and one.from_ms <= from_ms < one.until_ms:
            return f"{one.reason} ({one.by})"[:300]
    return ""


def _curtailed(asset: network.Asset, circuit: Circuit, planned: Plan, made_of: State) -> Iterator[Wish]:
    """Where the plan throws sun away, each plant keeps its part by its size."""
    whole_kw = sum(one.discharge_kw for one in circuit.asset if one.kind == "pv")
    for step in np.flatnonzero(planned.curtailed_kw > SMALL_KW).tolist():
        kept_kw = float(made_of.outlook.sun_kw[step] - planned.curtailed_kw[step]) * asset.discharge_kw / whole_kw
        yield Wish(
            asset.name, -round(max(kept_kw, 0.0), 3), made_of.edges_ms[step], made_of.edges_ms[step + 1], cap=True
        )


def _limits(
    circuit: Circuit, tariff: Tariff, posed: Posed, planned: Plan, made_of: State, now: State
) -> Iterable[tuple[network.Branch, BranchLimit]]:
    """Legal limits from now on, and the peaks that the plan pays for, as means over their windows.

    A peak has room for what load and sun may be off: the edge holds a mean against everything, and no vehicle shall go without for a cloud.
    """
    until_ms = made_of.edges_ms[-1]
    named: Mapping[str, network.Branch] = {branch.name: branch for branch in circuit.branch}
    for one in now.limits:
        imported = one.kw if one.direction == "import" else None
        exported = one.kw if one.direction == "export" else None
        yield named[one.branch], BranchLimit(one.branch, now.now_ms, until_ms, imported, exported, "legal")
    yield from _answers(circuit, posed, planned, made_of)
    rules = {rule.name: rule for rule in tariff.demand}
    for charge in posed.problem.demand:
        rule = rules[charge.name.split(" ")[0]] if charge.name not in rules else rules[charge.name]
        steps = np.flatnonzero(charge.steps)
        outlook = made_of.outlook
        off_kw = (outlook.high_load_kw - outlook.load_kw + outlook.sun_kw - outlook.low_sun_kw)[steps]
        peak_kw = max(charge.so_far_kw, float((planned.import_kw[steps] + np.maximum(off_kw, 0.0)).max()))
        begin_ms, end_ms = made_of.edges_ms[int(steps[0])], made_of.edges_ms[int(steps[-1]) + 1]
        yield (
            circuit.connection,
            BranchLimit(
                circuit.connection.name, begin_ms, end_ms, round(peak_kw, 3), authority="plan", window_s=rule.window_min * 60
            ),
        )  # fmt: skip


def _answers(
    circuit: Circuit, posed: Posed, planned: Plan, made_of: State
) -> Iterator[tuple[network.Branch, BranchLimit]]:
    """What the plan delivers of an event downwards, as the mean that the connection keeps: the load is never as it was expected to be."""
    for event in posed.problem.responses:
        if event.up:
            continue
        for step in np.flatnonzero(event.steps).tolist():
            given_kw = float(planned.responses_kw[event.name][step])
            imported_kw = float(event.baseline_kw[step]) - given_kw
            if given_kw > SMALL_KW and imported_kw >= 0:
                begin_ms, end_ms = made_of.edges_ms[step], made_of.edges_ms[step + 1]
                limit = BranchLimit(
                    circuit.connection.name,
                    begin_ms,
                    end_ms,
                    round(imported_kw, 3),
                    authority="event",
                    window_s=ANSWER_S,
                )
                yield circuit.connection, limit

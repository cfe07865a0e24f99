"""What is known of a facility now, for its next plan: gathered from readings, sessions, the ledger, the registry and what people said. Plans nothing.

What is old is used with a word, what is unknown is left out with a word; nothing is taken for granted silently.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np

from aggregator.facility import Facility
from aggregator.flexibility.asked import Asks
from aggregator.flexibility.operation.demand import highest_window
from aggregator.flexibility.operation.network import Background
from aggregator.flexibility.operation.outlook import Expected, expected, moved, over_steps
from aggregator.flexibility.operation.state import Held, LegalLimit, Outlook, Signal, State, Stay, edges_from, leaving
from aggregator.flexibility.operation.tariff import ToldPrices
from aggregator.forecasting import Forecasting
from aggregator.forecasts.day_ahead import USED_DAYS
from aggregator.forecasts.intensity import intensity_ahead
from aggregator.forecasts.issued import ForecastsUnusable
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import Ledger
from aggregator.newest import Newest, NewestReadings
from aggregator.planning.loads_now import LoadsNow, planned_loads
from aggregator.planning.power_history import Energies, PowerHistory
from aggregator.planning.stays import Declared, needs_of, stay_of, usual
from aggregator.sessions import TRANSACTION, sessions, with_register
from aggregator.steered import Steered
from aggregator.stores.store import SeriesKey, Store
from wire.circuit import Branch
from wire.reading import Quality

MINUTE_MS: Final = 60_000
FRESH_MS: Final = 15 * MINUTE_MS  # a battery's state of charge is as good as new
OLDEST_MS: Final = 6 * 60 * MINUTE_MS  # older than that, the battery is left out
LATE_MS: Final = 20 * MINUTE_MS  # a settled interval that ended before that says nothing of now
PAST_DAYS: Final = 60  # of sessions that say what is usual
SIGNALS: Final = {"accounting": ("average", "OPS"), "marginal": ("marginal", "MARGINAL")}
SPARE_MOST_RATIO: Final = 0.25  # of a branch's limit, that is kept free for what nobody foresees
DRILL_MS: Final = 400 * 24 * 60 * MINUTE_MS  # an older drill says nothing of today
KEEP_MS: Final = 15 * MINUTE_MS  # what changes slowly is looked up so often


class ToldBook(Protocol):
    """What people and other programs have said: prices and stays."""

    def prices(self, facility: str, from_ms: int, until_ms: int) -> ToldPrices | None: ...

    def declared(self, facility: str, since_ms: int) -> Mapping[str, Sequence[Declared]]: ...


@dataclass(slots=True)
class _Kept:
    """What is looked up now and then: when, and what."""

    at_ms: int
    what: Any


class Gathered:
    """The states of one steered facility. For one thread at a time. Raises LedgerError, StoreError, ForecastsUnusable, RecordsBusy."""

    def __init__(
        self, facility: Facility, steered: Steered, *, store: Store, ledger: Ledger, newest: NewestReadings, forecasting: Forecasting,
        flow: Callable[[str], Mapping[str, Any]], asks: Asks, told: ToldBook,
    ) -> None:  # fmt: skip
        self._facility = facility
        self._steered = steered
        self._store = store
        self._newest = newest
        self._forecasting = forecasting
        self._flow = flow
        self._asks = asks
        self._told = told
        self._history = PowerHistory(ledger, facility, planned_loads(steered))
        self._loads = LoadsNow(facility, steered, store=store, newest=newest, history=self._history)
        self._kept: dict[str, _Kept] = {}
        self._seen: dict[str, list[tuple[int, float]]] = {}

    def state(self, now_ms: int) -> State:
        """What is known at `now_ms`."""
        asked, overridden = self._asks.of(self._facility.id, now_ms, edges_from(now_ms)[-1])
        cuts = [at_ms for event in asked for at_ms in (event.from_ms, event.until_ms)]
        cuts += [at_ms for word in overridden for at_ms in (word.from_ms, word.until_ms)]
        notes: list[str] = []
        stays = self._stays(now_ms, notes)
        edges_ms = edges_from(now_ms, cuts=[*cuts, *leaving(stays, now_ms)])
        outlook, background = self._outlook(now_ms, edges_ms, notes)
        held, silent = self._batteries(now_ms, notes)
        windows, tempered, unread = self._loads.at(now_ms, edges_ms, notes)
        return State(
            self._facility.id, now_ms, edges_ms, outlook, held, stays, background, self._peaks(now_ms, notes),
            self._told.prices(self._facility.id, now_ms, edges_ms[-1]), self._signals(now_ms, edges_ms, notes), self._limits(now_ms, notes),
            asked, overridden, (*silent, *unread), notes, [one.asset for one in self._steered.waiting], windows, tempered,
            self._steered.charging,
        )  # fmt: skip

    def drilled(self, now_ms: int) -> frozenset[str] | None:
        """Assets that passed the newest safe-state drill of their edge with this circuit; None where no edge has held one."""
        events = self._lately(
            "drills",
            now_ms,
            lambda: self._store.events(self._facility.id, now_ms - DRILL_MS, now_ms + MINUTE_MS, "drill"),
        )
        newest: dict[str, frozenset[str]] = {}
        for stored in sorted(events, key=lambda one: one.event.at_ms):
            body = stored.event.body
            passed = body.get("drilled")
            if body.get("circuit") == self._steered.circuit.sha256 and isinstance(passed, (list, tuple)):
                newest[stored.edge] = frozenset(name for name in passed if isinstance(name, str))
        return frozenset().union(*newest.values()) if newest else None

    # --- what nobody steers

    def _outlook(self, now_ms: int, edges_ms: Sequence[int], notes: list[str]) -> tuple[Outlook, dict[str, Background]]:
        zone, today = self._facility.zone, local_day(now_ms, self._facility.zone)
        flow = self._flow(self._facility.id)
        load = self._expected("load", today, self._history.load)
        sun = self._expected("sun", today, self._history.sun)
        load_now, sun_now = flow.get("load"), -flow["pv"] if "pv" in flow else None
        if load_now is not None:
            load_now -= self._loads.drawn_kw(now_ms)
        steps = len(edges_ms) - 1
        if load is None:
            lately = self._measured(self._history.load, now_ms, load_now)
            value = 0.0 if lately is None else lately[1]
            known = "what is drawn now, throughout" if lately is not None else "nothing is known, taken as 0 kW"
            notes.append(f"load: no past to forecast from; {known}")
            middle = high = np.full(steps, value)
            basis = known
        else:
            _low, middle, high = over_steps(load, edges_ms, zone)
            shift = self._error(self._history.load, load, now_ms, load_now)
            if shift is not None:
                middle, high = (
                    moved(one, edges_ms, now_ms, *shift, by_ratio=False) for one in (middle, np.maximum(high, middle))
                )
            basis = load.basis
            if "naive" in basis or "without" in basis:
                notes.append(f"load: {basis}")
        sun_low, sun_middle = np.zeros(steps), np.zeros(steps)
        if sun is not None:
            sun_low, sun_middle, _ = over_steps(sun, edges_ms, zone)
            shift = self._error(self._history.sun, sun, now_ms, sun_now)
            if shift is not None:
                sun_low, sun_middle = (
                    moved(one, edges_ms, now_ms, *shift, by_ratio=True) for one in (sun_low, sun_middle)
                )
        elif sun_now:
            notes.append("sun: no past to forecast from, taken as 0 kW")
        sun_middle = np.maximum(sun_middle, 0.0)
        outlook = Outlook(middle, np.maximum(high, middle), sun_middle, np.clip(sun_low, 0.0, sun_middle), basis)
        return outlook, self._backgrounds(load, today, edges_ms, notes)

    def _expected(self, name: str, today: date, history: Callable[[int, int], Energies]) -> Expected | None:
        """Once a local day, from all that is known of the days before it."""
        kept = self._kept.get(f"{name} {today}")
        if kept is None:
            self._kept = {key: one for key, one in self._kept.items() if not key.startswith(f"{name} ")}
            zone = self._facility.zone
            from_ms, to_ms = day_span_ms(today - timedelta(days=USED_DAYS), zone)[0], day_span_ms(today, zone)[0]
            energies = history(from_ms, to_ms)
            self._kept[f"{name} {today}"] = kept = _Kept(0, expected(energies, zone, today) if energies else None)
        found: Expected | None = kept.what
        return found

    def _error(
        self, history: Callable[[int, int], Energies], known: Expected, now_ms: int, measured_kw: float | None
    ) -> tuple[float, float] | None:
        """(foreseen, measured) kW of the last quarter of an hour that is settled, else of the last minutes by their readings."""
        found = self._measured(history, now_ms, measured_kw)
        return None if found is None else (known.at(found[0], self._facility.zone)[1], found[1])

    def _measured(
        self, history: Callable[[int, int], Energies], now_ms: int, measured_kw: float | None
    ) -> tuple[int, float] | None:
        """When and what: the mean of the newest intervals, else of what was read at the looks of the last quarter of an hour. One reading is noise:
        meters and batteries are not read at one instant."""
        seen = self._seen.setdefault(history.__name__, [])
        seen[:] = [one for one in seen if now_ms - KEEP_MS < one[0] <= now_ms]
        if measured_kw is not None:
            seen.append((now_ms, float(measured_kw)))
        rows = [row for row in history(now_ms - LATE_MS - KEEP_MS, now_ms) if row[1] > now_ms - LATE_MS]
        if rows:
            rows = [row for row in rows if row[0] >= rows[-1][1] - KEEP_MS]
            whole_ms = sum(end_ms - start_ms for start_ms, end_ms, _ in rows)
            return (rows[0][0] + rows[-1][1]) // 2, sum(kwh for *_, kwh in rows) * 3_600_000 / whole_ms
        return (now_ms, sum(kw for _, kw in seen) / len(seen)) if seen else None

    def _backgrounds(
        self, load: Expected | None, today: date, edges_ms: Sequence[int], notes: list[str]
    ) -> dict[str, Background]:
        circuit, found = self._steered.circuit, {}
        steps = len(edges_ms) - 1
        for branch in circuit.branch:
            root = branch.name == circuit.connection.name
            known = load if root else self._below(branch, today)
            spare = 0.0 if known is None else min(known.spare_kw, _limit_kva(branch) * SPARE_MOST_RATIO)
            kvar = self._reactive(branch)
            if root:
                found[branch.name] = Background(kvar=None if kvar is None else np.full(steps, kvar), spare_kva=spare)
            elif known is not None:
                _, middle, _ = over_steps(known, edges_ms, self._facility.zone)
                found[branch.name] = Background(middle, None if kvar is None else np.full(steps, kvar), spare_kva=spare)
            elif branch.uncontrolled_max_kva is not None:
                found[branch.name] = Background(kva=np.full(steps, branch.uncontrolled_max_kva))
                notes.append(
                    f"branch {branch.name}: its meter has no past; {branch.uncontrolled_max_kva:g} kVA are kept for what nobody steers"
                )
        return found

    def _below(self, branch: Branch, today: date) -> Expected | None:
        if not branch.meter:
            return None
        steered = [asset.device for asset in self._steered.circuit.below(branch.name)]
        return self._expected(
            f"below-{branch.name}", today, lambda begin, end: self._history.below(branch.meter, steered, begin, end)
        )

    def _reactive(self, branch: Branch) -> float | None:
        newest = self._reading(branch.edge, branch.meter, "reactive_power_kvar") if branch.meter else None
        return None if newest is None else newest.value

    # --- batteries, vehicles

    def _reading(self, edge: str, device: str, quantity: str) -> Newest | None:
        newest = self._newest.of(SeriesKey(self._facility.id, edge, device, quantity))
        return None if newest is None or newest.value is None or newest.quality is Quality.BAD else newest

    def _batteries(self, now_ms: int, notes: list[str]) -> tuple[list[Held], list[str]]:
        held, silent = [], []
        for asset in self._steered.circuit.asset:
            if asset.kind != "battery":
                continue
            assert asset.capacity_kwh is not None
            newest = self._reading(asset.edge, asset.device, "state_of_charge_percent")
            age_ms = OLDEST_MS + 1 if newest is None else now_ms - newest.at_ms
            if newest is None or newest.value is None or age_ms > OLDEST_MS:
                silent.append(asset.name)
                notes.append(
                    f"{asset.name}: no state of charge for {OLDEST_MS // 3_600_000} h, it is left out of the plan"
                )
                continue
            kwh = asset.capacity_kwh * newest.value / 100
            spread_kwh = 0.0
            if age_ms > FRESH_MS:
                spread_kwh = min(
                    max(asset.charge_kw, asset.discharge_kw) * age_ms / 3_600_000, asset.capacity_kwh * 0.25
                )
                notes.append(
                    f"{asset.name}: its state of charge is {age_ms // MINUTE_MS} min old; {spread_kwh:.1f} kWh are kept away from both ends"
                )
            held.append(Held(asset.name, kwh, newest.at_ms, spread_kwh))
        return held, silent

    def _stays(self, now_ms: int, notes: list[str]) -> list[Stay]:
        chargers = {
            (asset.edge, asset.device): asset for asset in self._steered.circuit.asset if asset.kind == "charger"
        }
        if not chargers:
            return []
        since_ms = now_ms - PAST_DAYS * 24 * 60 * MINUTE_MS
        past = self._lately(
            "sessions", now_ms, lambda: sessions(self._store.events(self._facility.id, since_ms, now_ms, TRANSACTION))
        )
        recent_ms = now_ms - 3 * 24 * 60 * MINUTE_MS
        running = [
            one
            for one in sessions(self._store.events(self._facility.id, recent_ms, now_ms + MINUTE_MS, TRANSACTION))
            if one.state == "running" and (one.edge, one.device) in chargers
        ]
        if not running:
            return []
        needs = needs_of(
            list(self._store.events(self._facility.id, recent_ms, now_ms + MINUTE_MS, "ev_charging_needs"))
        )
        declared = self._told.declared(self._facility.id, recent_ms)
        found: dict[str, Stay] = {}
        for session in sorted(running, key=lambda one: one.first_ms):
            asset = chargers[session.edge, session.device]
            counter = self._reading(session.edge, session.device, "energy_import_kwh")
            if counter is not None and counter.value is not None:
                session = with_register(session, counter.at_ms, counter.value)
            told = needs.get((session.edge, session.device), [])
            usually = usual(past, session.first_ms, self._facility.zone)
            stay, note = stay_of(asset, session, told, declared.get(asset.name, ()), usually, now_ms)
            if asset.name in found:
                notes.append(f"{asset.name}: several vehicles are said to be there, the last to come is planned")
            if stay.gives_back and self._steered.charging != "two_way":
                note = f"{asset.name}: its owner agreed to give back, but the facility's charging mode is {self._steered.charging}"
            found[asset.name] = stay
            notes += [note] if note else []
        return list(found.values())

    # --- what it pays and emits

    def _peaks(self, now_ms: int, notes: list[str]) -> dict[str, float]:
        rules = [rule for rule in self._steered.tariff.demand if rule.mode != "capacity"]
        if not rules:
            return {}
        zone = self._facility.zone
        local = datetime.fromtimestamp(now_ms / 1000, zone)
        begun_ms = day_span_ms(date(local.year, local.month, 1), zone)[0]
        mains = [meter for meter in self._facility.main_meters() if meter.carrier == "electricity"]
        if len(mains) == 1:
            newest = self._reading(mains[0].edge, mains[0].device, "demand_max_kw")
            if newest is not None and newest.value is not None and newest.at_ms >= begun_ms:
                kw = newest.value * float(mains[0].multiplier_at(newest.at_ms))
                notes.append(f"peak so far: {kw:g} kW, from {mains[0].device}'s own maximum-demand register")
                return {rule.name: kw for rule in rules}
        rows = self._lately("month", now_ms, lambda: self._history.grid(begun_ms, now_ms))
        return {rule.name: self._peak(rule.window_min, rule.window, rule.when, rows, notes) for rule in rules}

    def _peak(self, window_min: int, window: Any, when: Any, rows: Energies, notes: list[str]) -> float:
        """The ledger's highest window of the month, at times that count."""
        if not rows:
            notes.append("peak so far: nothing of this month is settled, taken as 0 kW")
            return 0.0
        zone, holidays = self._facility.zone, self._steered.tariff.holidays
        step_ms = min(end - start for start, end, _ in rows)
        if window_min * MINUTE_MS % step_ms:
            notes.append(
                f"peak so far: windows of {window_min} min by intervals of {step_ms // MINUTE_MS} min, as blocks"
            )
            window_min = step_ms // MINUTE_MS
        first_ms = rows[0][0] // (window_min * MINUTE_MS) * window_min * MINUTE_MS
        kw = np.full((rows[-1][1] - first_ms) // step_ms, math.nan)
        for start_ms, end_ms, kwh in rows:
            if when.fits(datetime.fromtimestamp(start_ms / 1000, zone), holidays):
                kw[(start_ms - first_ms) // step_ms] = kwh * 3_600_000 / (end_ms - start_ms)
        return highest_window(kw.tolist(), step_ms // MINUTE_MS, window_min, window)

    def _signals(self, now_ms: int, edges_ms: Sequence[int], notes: list[str]) -> list[Signal]:
        zone = self._facility.zone
        today = local_day(now_ms, zone)
        days = self._lately(f"intensity-{today}", now_ms, lambda: self._intensities(now_ms, today))
        found = []
        for name, tables in days.items():
            values = []
            for begin_ms, end_ms in itertools.pairwise(edges_ms):
                local = datetime.fromtimestamp((begin_ms + end_ms) / 2000, zone)
                values.append(tables[min((local.date() - today).days, len(tables) - 1)].kg_per_kwh[local.hour])
            first = tables[0]
            found.append(Signal(name, np.array(values), f"profile {SIGNALS[name][1]}, {first.basis}: {first.source}"))
        if not found:
            notes.append("intensity: no factor is known for this place; kg are not planned")
        return found

    def _intensities(self, now_ms: int, today: date) -> dict[str, list[Any]]:
        """By signal the intensities of today and the two days after it; a signal of which a day is not known is left out."""
        facility, found = self._facility, {}
        hourly = bool(facility.grid_zone)
        try:
            with self._forecasting.resolving(facility, now_ms) as known:
                for name, (signal, _) in SIGNALS.items():
                    if signal == "marginal" and not hourly:
                        continue
                    tables = [
                        intensity_ahead(known(signal), facility.zone, today + timedelta(days=day), now_ms, signal, hourly=hourly)
                        for day in range(3)
                    ]  # fmt: skip
                    if all(one is not None for one in tables):
                        found[name] = tables
        except ForecastsUnusable:
            return {}
        return found

    def _limits(self, now_ms: int, notes: list[str]) -> list[LegalLimit]:
        """What limit sources on site say; one that is silent counts as its fail-safe value, and never as none."""
        found = []
        for source in self._steered.circuit.limit_source:
            newest = self._reading(source.edge, source.device, source.quantity)
            # A reading comes up through the spool: it may be as late as two heartbeats before its source counts as lost here.
            lost = newest is None or newest.value is None or now_ms - newest.at_ms > 2000 * source.heartbeat_s
            kw = source.fail_safe_kw if lost or newest is None or newest.value is None else max(newest.value, 0.0)
            if lost:
                notes.append(
                    f"limit of {source.branch} ({source.direction}): {source.device} is silent, {kw:g} kW hold"
                )
            found.append(LegalLimit(source.branch, source.direction, kw, source.device))
        return found

    def _lately(self, name: str, now_ms: int, look: Callable[[], Any]) -> Any:
        kept = self._kept.get(name)
        if kept is None or not 0 <= now_ms - kept.at_ms < KEEP_MS:
            self._kept[name] = kept = _Kept(now_ms, look())
        return kept.what


def _limit_kva(branch: Branch) -> float:
    if branch.limit_kva is not None:
        return branch.limit_kva
    assert branch.limit_a is not None
    return branch.limit_a * branch.nominal_v * math.sqrt(3) / 1000

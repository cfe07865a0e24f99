"""The physical truth of one facility: powers that balance by construction and their exact integrals. Not a meter, not a protocol.

    grid = load + ev + battery + pv + wind + hvac + dc bus     import, consumption and charging positive, generation and discharging negative (load sign)

Between two changes (a row of the profile, a minute of sun, a vehicle that leaves, a full battery, a revert timer) every power is constant, so
energies are sums of integers (mW x ms = uJ) and nothing drifts. Time moves only when somebody asks: `advance(to_ms)`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import isqrt
from typing import Final, Protocol

from device_sim.battery import FULL_RATE, Battery
from device_sim.carriers import Carrier, Stream
from device_sim.dc_bus import DcBus
from device_sim.hvac import Hvac
from device_sim.profile import DAY_MS, NoPower, Segment
from device_sim.wind import Wind

_MAX_SEGMENTS: Final = 20_000_000
_NEVER: Final = 2**62


class Watcher(Protocol):
    """Somebody in the plant who acts at instants of its own, such as a charging pile that reads its meter."""

    def due_ms(self) -> int:
        """The next such instant (UTC ms)."""

    def act(self, now_ms: int) -> None:
        """Called when the plant stands at such an instant, or later where it came late."""


class Node(StrEnum):
    """Where an electricity meter can sit."""

    GRID = "grid"
    LOAD = "load"
    EV = "ev"
    PV = "pv"
    BATTERY = "battery"
    WIND = "wind"
    HVAC = "hvac"
    DC_BUS = "dc_bus"


@dataclass(frozen=True, slots=True)
class Flow:
    """Power at one node, load sign: mW and mvar (lagging positive)."""

    active_mw: int = 0
    reactive_mvar: int = 0

    @property
    def apparent_mva(self) -> int:
        """Apparent power, mVA, rounded down."""
        return isqrt(self.active_mw * self.active_mw + self.reactive_mvar * self.reactive_mvar)


@dataclass(slots=True)
class Tally:
    """What flowed through a node since the plant began: uJ (uvars, uVAs) in each direction, never negative, never reset."""

    import_uj: int = 0
    export_uj: int = 0
    reactive_import_uvars: int = 0
    reactive_export_uvars: int = 0
    apparent_uvas: int = 0

    def count(self, flow: Flow, duration_ms: int) -> None:
        """Adds a constant flow."""
        if flow.active_mw >= 0:
            self.import_uj += flow.active_mw * duration_ms
        else:
            self.export_uj -= flow.active_mw * duration_ms
        if flow.reactive_mvar >= 0:
            self.reactive_import_uvars += flow.reactive_mvar * duration_ms
        else:
            self.reactive_export_uvars -= flow.reactive_mvar * duration_ms
        self.apparent_uvas += flow.apparent_mva * duration_ms


@dataclass(slots=True)
class Curtailment:
    """The written limit of the PV plant (SunSpec 123): hundredths of a percent of its peak, and the connection switch."""

    limit: int = FULL_RATE
    limited: bool = False
    connected: bool = True
    limit_reverts_at_ms: int | None = None
    connection_reverts_at_ms: int | None = None

    def bound_mw(self, peak_mw: int) -> int:
        """The most that may be generated, mW."""
        if not self.connected:
            return 0
        return peak_mw * self.limit // FULL_RATE if self.limited else peak_mw


@dataclass(slots=True)
class Plant:
    """One facility. `*_tan_per_mille`: reactive over active power of the load and the charging points, in thousandths.

    `streams` are its other carriers; they move with it and have nothing to do with the electric balance.
    """

    name: str
    now_ms: int
    load: Segment
    sun: Segment
    vehicles: Segment
    pv_peak_mw: int = 0
    battery: Battery | None = None
    load_tan_per_mille: int = 329  # cos phi 0.95
    ev_tan_per_mille: int = 100
    curtailment: Curtailment = field(default_factory=Curtailment)
    tallies: dict[Node, Tally] = field(default_factory=lambda: {node: Tally() for node in Node})
    wind: Wind | NoPower = field(default_factory=NoPower)
    hvac: Hvac | None = None
    dc_bus: DcBus | None = None
    streams: dict[Carrier, Stream] = field(default_factory=dict)
    watchers: list[Watcher] = field(default_factory=list)
    started_ms: int = field(init=False)
    _override: tuple[int, int | None] | None = None
    _flows: dict[Node, Flow] = field(default_factory=dict)
    _until_ms: int = 0

    def __post_init__(self) -> None:
        self.started_ms = self.now_ms
        self._until_ms = self.now_ms

    def advance(self, to_ms: int) -> None:
        """Moves the plant to `to_ms` (UTC ms). An instant that is not later changes nothing: a clock that steps back finds a waiting plant.

        On the way it stands still at each instant that a watcher waits for.
        """
        for stream in self.streams.values():
            stream.advance(to_ms)
        for _ in range(_MAX_SEGMENTS):
            if to_ms <= self.now_ms:
                return
            self._settle()
            step_ms = min(to_ms, self._watched_ms()) - self.now_ms
            self._settle()
            step_ms = min(step_ms, self._until_ms - self.now_ms)
            for node, flow in self._flows.items():
                self.tallies[node].count(flow, step_ms)
            if self.battery is not None:
                self.battery.store(self._flows[Node.BATTERY].active_mw * step_ms, step_ms)
            if self.dc_bus is not None:
                self.dc_bus.book(step_ms)
            if self.hvac is not None:
                self.hvac.use(self._flows[Node.HVAC].active_mw * step_ms)
            self.now_ms += step_ms
        raise RuntimeError(
            f"plant {self.name}: expected at most {_MAX_SEGMENTS} changes of power up to {to_ms}, got more"
        )

    def _watched_ms(self) -> int:
        """Lets the watchers act that are due now, and tells when the next one is."""
        due = _NEVER
        for watcher in self.watchers:
            if watcher.due_ms() <= self.now_ms:
                watcher.act(self.now_ms)
            due = min(due, watcher.due_ms())
        return max(due, self.now_ms + 1)

    def flow(self, node: Node) -> Flow:
        """The flow at a node at the present instant."""
        self._settle()
        return self._flows[node]

    def disturb(self) -> None:
        """To be called after a set-point was written: powers are found anew from the present instant on."""
        self._until_ms = self.now_ms

    def override_load(self, load_kw: float | None, until_ms: int | None) -> None:
        """Replaces the load's profile by a constant until an instant (None: until taken back with `load_kw` None)."""
        self._override = None if load_kw is None else (round(load_kw * 1e6), until_ms)
        self.disturb()

    def lose_set_points(self, node: Node) -> None:
        """What a reboot of the device at this node forgets."""
        if node is Node.PV:
            self.curtailment = Curtailment()
        elif node is Node.BATTERY and self.battery is not None:
            self.battery.forget_set_point()
        elif node is Node.DC_BUS and self.dc_bus is not None:
            self.dc_bus.set_point_mw = self.dc_bus.reverts_at_ms = None
        self.disturb()

    def _settle(self) -> None:
        """Finds the powers of the present instant and how long they hold, when the last ones have ended."""
        now = self.now_ms
        if self._flows and now < self._until_ms:
            return
        until = [now + DAY_MS]
        self._revert(now, until)
        load_mw, ends = self._load(now)
        until.append(ends)
        ev_mw, ends = self.vehicles.power(now)
        until.append(ends)
        available_mw, ends = self.sun.power(now)
        until.append(ends)
        pv_mw = -min(available_mw, self.curtailment.bound_mw(self.pv_peak_mw))
        blown_mw, ends = self.wind.power(now)
        until.append(ends)
        wind_mw, battery_mw, hvac_mw, dc_mw = -blown_mw, 0, 0, 0
        if self.dc_bus is not None:
            dc_mw, ends = self.dc_bus.power(now)
            until.append(ends)
        if self.hvac is not None:
            hvac_mw, ends = self.hvac.power(now)
            until.append(ends)
        if self.battery is not None:
            warmth_ms = self.battery.settle(now)
            if warmth_ms is not None:
                until.append(warmth_ms)
            battery_mw = self.battery.power_mw(-(load_mw + ev_mw + pv_mw + wind_mw + hvac_mw + dc_mw))
            lasts_ms = self.battery.holds_ms(battery_mw)
            if lasts_ms is not None:
                until.append(now + lasts_ms)
        load = Flow(load_mw, load_mw * self.load_tan_per_mille // 1000)
        ev = Flow(ev_mw, ev_mw * self.ev_tan_per_mille // 1000)
        pv, battery, wind, hvac, dc_bus = Flow(pv_mw), Flow(battery_mw), Flow(wind_mw), Flow(hvac_mw), Flow(dc_mw)
        parts = (load, ev, pv, battery, wind, hvac, dc_bus)
        grid = Flow(sum(part.active_mw for part in parts), sum(part.reactive_mvar for part in parts))
        self._flows = {
            Node.GRID: grid,
            Node.LOAD: load,
            Node.EV: ev,
            Node.PV: pv,
            Node.BATTERY: battery,
            Node.WIND: wind,
            Node.HVAC: hvac,
            Node.DC_BUS: dc_bus,
        }
        self._until_ms = min(until)

    def _load(self, now: int) -> tuple[int, int]:
        if self._override is not None:
            power_mw, ends = self._override
            if ends is None or now < ends:
                return power_mw, now + DAY_MS if ends is None else ends
            self._override = None
        return self.load.power(now)

    def _revert(self, now: int, until: list[int]) -> None:
        """Ends what a revert timer has ended and notes the timers that still run."""
        curtailment = self.curtailment
        if curtailment.limit_reverts_at_ms is not None and now >= curtailment.limit_reverts_at_ms:
            curtailment.limited, curtailment.limit_reverts_at_ms = False, None
        if curtailment.connection_reverts_at_ms is not None and now >= curtailment.connection_reverts_at_ms:
            curtailment.connected, curtailment.connection_reverts_at_ms = True, None
        window = self.battery.window if self.battery is not None else None
        if (
            self.battery is not None
            and window is not None
            and window.reverts_at_ms is not None
            and now >= window.reverts_at_ms
        ):
            window.charge_limited = window.discharge_limited = False
            window.reverts_at_ms = None
        timers = (
            curtailment.limit_reverts_at_ms,
            curtailment.connection_reverts_at_ms,
            window.reverts_at_ms if window else None,
        )
        until.extend(timer for timer in timers if timer is not None)

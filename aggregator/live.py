"""What is true at a facility now: power flow, state of charge, emissions, devices with their age. Not how it travels (`aggregator.feed`).

Load sign everywhere: import and charging positive, generation and discharging negative. With the meters' powers,

    grid = main meters      load = its own meters, or the balance grid - pv - sto - ev where it has none
    resid = grid - pv - sto - ev - load     only where load is measured: what the meters do not account for
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.feed import Frame
from aggregator.import_meter import ImportMeter
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.measured_readings import IMPORT_EDGE
from aggregator.newest import Newest, NewestReadings, worst
from aggregator.numbering import EdgeFigures
from aggregator.rhythm import Rhythm
from aggregator.stores.store import SeriesKey
from wire.reading import Json, Quality

LETTER: Final[dict[Quality, Literal["g", "u", "b", "s"]]] = {
    Quality.GOOD: "g",
    Quality.UNCERTAIN: "u",
    Quality.BAD: "b",
    Quality.SUBSTITUTED: "s",
}
UNITS: Final[Frame] = {
    "flow": "kW",
    "p": "kW",
    "soc": "%",
    "kgph": "kg CO2e/h",
    "kg_today": "kg CO2e",
    "f": "kg CO2e/kWh",
    "t": "ms UTC",
    "ts": "ms UTC",
}
PARTS: Final = {"pv": "pv", "storage": "sto", "load": "load", "ev": "ev"}  # a meter's `show` -> its key in the flow
SILENT_MS: Final = 25_000  # an edge says every 10 s how it is; before its devices are called silent, after 30 s
_POWERS: Final = ("active_power_kw", "dc_power_kw")


@dataclass(frozen=True, slots=True)
class Booked:
    """What is booked of the local day that starts at `day_from_ms`, up to `until_ms`; `missing` intervals of it have no figure."""

    day_from_ms: int
    until_ms: int
    kg: float
    missing: int


@dataclass(frozen=True, slots=True)
class AboutDevice:
    """What an edge says of a device that it polls."""

    protocol: str
    model: str
    period_ms: float = 0.0  # how often it is asked; 0: nobody says
    listening: str = (
        ""  # of one that speaks when it has something to say, whether the edge can hear it: online, lost or unknown
    )


@dataclass(slots=True)
class _Plant:
    """One facility and what is known of it beside readings."""

    facility: Facility
    factor: Resolution | None = None  # None: nobody has said yet
    booked: Booked | None = None
    imported: ImportMeter = field(default_factory=ImportMeter)
    rhythms: dict[tuple[str, str], Rhythm] = field(default_factory=dict)
    about: dict[tuple[str, str], AboutDevice] = field(default_factory=dict)
    edges: dict[str, EdgeFigures] = field(default_factory=dict)

    def meter(self, name: tuple[str, str]) -> MeterSpec | None:
        return next((meter for meter in self.facility.meters if (meter.edge, meter.device) == name), None)


class LiveState:
    """The present of all facilities; may be used from any thread. `clock` is UTC ms, `speed` how fast it runs.

    `alarms` gives a facility's open alarms for the frame.
    """

    def __init__(
        self,
        facilities: Iterable[Facility],
        newest: NewestReadings,
        clock: Callable[[], int],
        *,
        speed: float = 1.0,
        alarms: Callable[[str], Sequence[Json]] = lambda _: [],
    ) -> None:
        self.newest = newest
        self._clock = clock
        self._speed = speed
        self._alarms = alarms
        self._lock = threading.RLock()
        self._plants = {facility.id: _Plant(facility) for facility in facilities}

    # --- what others tell

    def factor(self, facility: str, factor: Resolution) -> None:
        """The factor that applies now, or why there is none: then emissions have no figure."""
        self._plants[facility].factor = factor

    def booked(self, facility: str, booked: Booked) -> None:
        """What the books hold of the local day."""
        self._plants[facility].booked = booked

    def about(self, facility: str, edge: str, devices: Mapping[str, AboutDevice]) -> None:
        """What an edge's status says of its devices; strangers' facilities are ignored."""
        with self._lock:
            if facility in self._plants:
                self._plants[facility].about.update({(edge, device): about for device, about in devices.items()})

    def delivery(self, figures: Iterable[EdgeFigures]) -> None:
        """The figures of edges; strangers' facilities are ignored."""
        with self._lock:
            for edge in figures:
                if edge.facility in self._plants:
                    self._plants[edge.facility].edges[edge.edge] = edge

    # --- what is true now

    def edges(self, facility: str) -> dict[str, EdgeFigures]:
        """The edges of a facility: those that its meters name, and those that were heard."""
        with self._lock:
            plant = self._plants[facility]
            names = sorted({*plant.edges, *(meter.edge for meter in plant.facility.meters)})
            return {edge: self._edge(plant, edge) for edge in names}

    def device_states(self, facility: str) -> dict[tuple[str, str], str]:
        """online, late or offline for each (edge, device) of a facility."""
        with self._lock:
            plant, now_ms = self._plants[facility], self._clock()
            return {name: self._state(plant, name, now_ms) for name in self._names(plant)}

    def about_device(self, facility: str, edge: str, device: str) -> AboutDevice | None:
        """What the edge said of this device, if it did."""
        return self._plants[facility].about.get((edge, device))

    def factor_now(self, facility: str) -> Resolution | None:
        """The factor that applies now, as it was told; None before that."""
        return self._plants[facility].factor

    def balance_kw(self, facility: str) -> tuple[float, float] | None:
        """(residual, throughput) of a facility whose load is measured; None where the balance cannot be struck."""
        with self._lock:
            flow, _ = self._flow(self._plants[facility], self._clock())
        residual_kw = flow.pop("resid", None)
        if not isinstance(residual_kw, float):
            return None
        taken_kw = sum(value for key, value in flow.items() if key != "grid" and isinstance(value, float) and value > 0)
        return residual_kw, taken_kw

    def flow_kw(self, facility: str) -> dict[str, float]:
        """The power of each part of a facility (grid, pv, sto, load, ev), as far as it is known."""
        with self._lock:
            flow, _ = self._flow(self._plants[facility], self._clock())
        return {part: value for part, value in flow.items() if isinstance(value, float) and part != "resid"}

    def frame(self, facility: str) -> Frame:
        """Everything that the page shows, by the contract of the live feed; what is unknown is absent."""
        with self._lock:
            plant, now_ms = self._plants[facility], self._clock()
            flow, trust = self._flow(plant, now_ms)
            names = self._names(plant)
            frame: Frame = {
                "v": 1,
                "t": now_ms,
                "tz": plant.facility.time_zone,
                "flow": flow,
                "fq": trust,
                "em": self._emissions(plant, now_ms),
                "d": {"/".join(name): self._device(plant, name, now_ms) for name in names},
                "edges": {edge: _edge(figures) for edge, figures in self.edges(facility).items()},
                "alarms": self._alarms(facility),
                "meta": {
                    "name": plant.facility.name or facility,
                    "units": UNITS,
                    "parts": _parts(plant.facility),
                    "devices": {"/".join(name): _about(plant, name) for name in names},
                    "speed": self._speed,
                },
            }
            charge = self._state_of_charge(plant, names)
            if charge is not None:
                frame["soc"] = charge
            return frame

    # --- parts of the frame

    def _flow(self, plant: _Plant, now_ms: int) -> tuple[Frame, Frame]:
        sums: dict[str, float | None] = {}
        qualities: dict[str, Quality] = {}
        for part, meters in members(plant.facility).items():
            powers = [self._power(plant, meter, now_ms) for meter in meters]
            known = [value for value, _ in powers if value is not None]
            sums[part] = sum(known) if len(known) == len(powers) else None
            qualities[part] = worst(quality for _, quality in powers)
        flow: Frame = {}
        grid_kw = sums.get("grid")
        others = [sums[part] for part in ("pv", "sto", "ev") if part in sums]
        if grid_kw is not None and None not in others:
            balance_kw = grid_kw - sum(value for value in others if value is not None)
            load_kw = sums.setdefault("load", balance_kw)
            if "load" not in qualities:
                qualities["load"] = Quality.SUBSTITUTED
            elif load_kw is not None:
                flow["resid"] = round(balance_kw - load_kw, 3)
        flow.update({part: round(value, 3) for part, value in sums.items() if value is not None})
        trust: Frame = {part: LETTER[Quality.BAD if sums[part] is None else qualities[part]] for part in sums}
        return flow, trust

    def _power(self, plant: _Plant, meter: MeterSpec, now_ms: int) -> tuple[float | None, Quality]:
        """The meter's power, kW on the primary side; None where it is offline or has none."""
        name = (meter.edge, meter.device)
        state = self._state(plant, name, now_ms)
        newest = self._newest_power(plant, name)
        if newest is None or newest.value is None or newest.quality is Quality.BAD or state == "offline":
            return None, Quality.BAD
        quality = worst((newest.quality, Quality.UNCERTAIN)) if state == "late" else newest.quality
        return newest.value * float(meter.multiplier_at(now_ms)), quality

    def _newest_power(self, plant: _Plant, name: tuple[str, str]) -> Newest | None:
        found = (self.newest.of(SeriesKey(plant.facility.id, *name, quantity)) for quantity in _POWERS)
        return next((newest for newest in found if newest is not None), None)

    def _state_of_charge(self, plant: _Plant, names: Sequence[tuple[str, str]]) -> float | None:
        """Mean state of charge, percent, of the devices that say one."""
        found = (self.newest.of(SeriesKey(plant.facility.id, *name, "state_of_charge_percent")) for name in names)
        charges = [
            newest.value
            for newest in found
            if newest and newest.value is not None and newest.quality is not Quality.BAD
        ]
        return round(sum(charges) / len(charges), 1) if charges else None

    def _names(self, plant: _Plant) -> list[tuple[str, str]]:
        """(edge, device): first the meters in their order, then what their edges poll besides.

        What only has old readings is not there any more: an edge that says what it polls does not name it, and imports poll nothing.
        """
        meters = [(meter.edge, meter.device) for meter in plant.facility.meters]
        told = {IMPORT_EDGE, *(edge for edge, _ in plant.about)}
        untold = {name for name in self.newest.devices(plant.facility.id) if name[0] not in told}
        return list(dict.fromkeys([*meters, *sorted({*untold, *plant.about})]))

    def _state(self, plant: _Plant, name: tuple[str, str], now_ms: int) -> str:
        newest, about = self.newest.of_device(plant.facility.id, *name), plant.about.get(name)
        if newest is None:
            return "online" if about is not None and about.listening == "online" else "offline"
        rhythm = plant.rhythms.setdefault(name, Rhythm(newest.at_ms))
        rhythm.heard(newest.at_ms)
        if self._edge(plant, name[0]).online is False:
            return "offline"
        if about is not None and about.listening:
            return "online" if about.listening == "online" else "offline"
        return rhythm.state(now_ms, self._speed, 0.0 if about is None else about.period_ms)

    def _edge(self, plant: _Plant, edge: str) -> EdgeFigures:
        """What is known of an edge: where the broker is gone or refuses it, nobody tells its last will."""
        figures = plant.edges.get(edge) or EdgeFigures(plant.facility.id, edge)
        if figures.online and figures.said_at_ms is not None:
            silent = self._clock() - figures.said_at_ms > SILENT_MS * self._speed
            return replace(figures, online=False) if silent else figures
        return figures

    def _device(self, plant: _Plant, name: tuple[str, str], now_ms: int) -> Frame:
        entry: Frame = {"st": self._state(plant, name, now_ms)}
        contact = self.newest.of_device(plant.facility.id, *name)
        if contact is None:
            return entry
        entry["ts"], entry["q"] = contact.at_ms, LETTER[contact.quality]
        meter, power = plant.meter(name), self._newest_power(plant, name)
        if power is not None:
            entry["q"] = LETTER[power.quality if power.value is not None else Quality.BAD]
            if power.value is not None:
                entry["p"] = round(power.value * (float(meter.multiplier_at(now_ms)) if meter else 1.0), 3)
        return entry

    def _emissions(self, plant: _Plant, now_ms: int) -> Frame:
        imported_kwh = self._imported(plant, now_ms)
        factor = plant.factor
        if factor is None or factor.kg_per_kwh is None:
            return {"f_q": "none"} if factor is None else {"f_q": "none", "f_why": factor.reason}
        kg_per_kwh = float(factor.kg_per_kwh)
        booked = plant.booked
        day_from_ms = day_span_ms(local_day(now_ms, plant.facility.zone), plant.facility.zone)[0]
        if booked is None or booked.day_from_ms != day_from_ms:
            booked = Booked(day_from_ms, day_from_ms, 0.0, 0)
        entry: Frame = {
            "f": str(factor.kg_per_kwh),
            "f_id": factor.factor_id,
            "f_ver": str(factor.version),
            "f_region": factor.region,
            "f_src": factor.source,
            "f_marks": list(factor.marks),
            "f_q": "e" if factor.marks else "g",
            "kg_booked": round(booked.kg, 3),
            "until": booked.until_ms,
            "missing": booked.missing,
        }
        if factor.data_year is not None:
            entry["f_year"] = factor.data_year
        # Connections do not net out: what one exports is not taken from what another imports.
        powers_kw = [self._power(plant, meter, now_ms)[0] for meter in members(plant.facility).get("grid", [])]
        if powers_kw and None not in powers_kw:
            entry["kgph"] = round(sum(max(0.0, power) for power in powers_kw if power is not None) * kg_per_kwh, 3)
        open_kwh = imported_kwh.since(booked.until_ms)
        if booked.until_ms > booked.day_from_ms or open_kwh is not None:
            entry["kg_today"] = round(booked.kg + (open_kwh or 0.0) * kg_per_kwh, 3)
        return entry

    def _imported(self, plant: _Plant, now_ms: int) -> ImportMeter:
        meters = members(plant.facility).get("grid", [])
        points = [
            self.newest.of(SeriesKey(plant.facility.id, meter.edge, meter.device, "energy_import_kwh"))
            for meter in meters
        ]
        known = [
            (point.at_ms, point.value * float(meter.multiplier_at(now_ms)))
            for meter, point in zip(meters, points, strict=True)
            if point is not None and point.value is not None
        ]
        if meters and len(known) == len(meters):
            plant.imported.seen(min(at_ms for at_ms, _ in known), sum(kwh for _, kwh in known))
        return plant.imported


def members(facility: Facility) -> dict[str, list[MeterSpec]]:
    """The meters behind each part of the flow (grid, pv, sto, load, ev); check meters count nowhere."""
    found: dict[str, list[MeterSpec]] = {}
    for meter in facility.meters:
        if meter.carrier != "electricity" or meter.role is Role.CHECK:
            continue
        part = "grid" if meter.role is Role.MAIN else PARTS.get(meter.show)
        if part is not None:
            found.setdefault(part, []).append(meter)
    return found


def state_word(figures: EdgeFigures) -> str:
    """online, offline, or unknown where an edge was never heard."""
    return "unknown" if figures.online is None else "online" if figures.online else "offline"


def _parts(facility: Facility) -> list[Json]:
    known = {*members(facility), "grid", "load"}
    return [part for part in ("grid", "pv", "sto", "load", "ev") if part in known]


def _about(plant: _Plant, name: tuple[str, str]) -> Frame:
    entry: Frame = {"edge": name[0], "device": name[1]}
    meter, about = plant.meter(name), plant.about.get(name)
    if meter is not None:
        entry["role"] = meter.role.value
        if meter.show:
            entry["show"] = meter.show
    if about is not None:
        entry["protocol"], entry["model"] = about.protocol, about.model
    return entry


def _edge(figures: EdgeFigures) -> Frame:
    entry: Frame = {
        "st": state_word(figures),
        "gaps": figures.gaps,
        "held": figures.held,
        "refused": figures.refused,
        "conflicts": figures.conflicts,
    }
    if figures.last_batch_at_ms is not None:
        entry["ts"], entry["watermark"] = figures.last_batch_at_ms, figures.watermark
    if figures.backlog is not None:
        entry["backlog"] = figures.backlog
    if figures.complete_until_ms is not None:
        entry["complete"] = figures.complete_until_ms
    if (control := figures.control) is not None:
        amiss: Frame = dict(control.amiss)
        entry["control"] = {"st": control.state, "why": control.reason, "amiss": amiss}
    return entry

"""What is true at a facility now: power flow, state of charge, emissions, devices with their age. Not how it travels (`aggregator.feed`).

Load sign everywhere: import and charging positive, generation and discharging negative. With the meters' powers,

    grid = main meters      load = its own meters, or the balance grid - pv - sto - ev where it has none
    resid = grid - pv - sto - ev - load     only where load is measured: what the meters do not account for
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.facility import Facility, MeterSpec
from aggregator.feed import Frame
from aggregator.newest import Newest, NewestReadings, worst
from aggregator.stores.store import SeriesKey
from wire.reading import Json, Quality

LETTER: Final = {Quality.GOOD: "g", Quality.UNCERTAIN: "u", Quality.BAD: "b", Quality.SUBSTITUTED: "s"}
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
_LATE_PERIODS: Final = 3
_OFFLINE_PERIODS: Final = 10
_LATE_MS: Final = 5_000  # a flush, a commit and a tick take up to 3 s
_OFFLINE_MS: Final = 30_000
_COUNTER_STEP_MS: Final = (
    5_000  # spacing of the counter values that are kept for the energy since the last booked interval
)
_COUNTERS_KEPT: Final = 4_096


@dataclass(frozen=True, slots=True)
class FactorInForce:
    """The emission factor that applies now. `kg_per_kwh` is exact text; `marks` such as provisional, fallback_latest."""

    id: str
    version: str
    kg_per_kwh: str
    data_year: int | None
    marks: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Booked:
    """What is booked of the local day that starts at `day_from_ms`: energy and emissions up to `until_ms`.

    `missing` counts intervals of the day before `until_ms` without energy or without a factor.
    """

    day_from_ms: int
    until_ms: int
    kg: float
    kwh: float
    intervals: int
    missing: int


@dataclass(frozen=True, slots=True)
class AboutDevice:
    """What an edge says of a device that it polls."""

    protocol: str
    model: str
    period_s: float | None


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What the page shows of an edge: whether it is there, and its delivery in counts of batches."""

    online: bool | None  # None: it has never been heard of
    contact_at_ms: int | None = None
    watermark: int | None = None
    backlog: int | None = None
    gaps: int = 0
    held: int = 0
    refused: int = 0
    conflicts: int = 0


@dataclass(slots=True)
class _Contact:
    """The rhythm in which a device has been heard, learnt from its readings."""

    last_ms: int
    period_ms: float | None = None

    def heard(self, at_ms: int) -> None:
        if at_ms <= self.last_ms:
            return
        step = float(at_ms - self.last_ms)
        # One outage must not teach a long period: a step counts for at most four times what is known.
        self.period_ms = step if self.period_ms is None else 0.8 * self.period_ms + 0.2 * min(step, 4 * self.period_ms)
        self.last_ms = at_ms


@dataclass(slots=True)
class _Plant:
    """One facility and what is known of it beside readings."""

    facility: Facility
    zone: ZoneInfo
    factor: FactorInForce | None = None
    factor_known: bool = False
    booked: Booked | None = None
    imported_kwh: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_COUNTERS_KEPT))
    contacts: dict[tuple[str, str], _Contact] = field(default_factory=dict)
    about: dict[tuple[str, str], AboutDevice] = field(default_factory=dict)
    edges: dict[str, EdgeState] = field(default_factory=dict)


class LiveState:
    """The present of all facilities. `clock` is UTC ms, `speed` how fast it runs; `alarms` gives a facility's open alarms."""

    def __init__(
        self,
        facilities: Sequence[Facility],
        newest: NewestReadings,
        clock: Callable[[], int],
        *,
        speed: float = 1.0,
        alarms: Callable[[str], list[Json]] = lambda _: [],
    ) -> None:
        self.newest = newest
        self._clock = clock
        self._speed = speed
        self._alarms = alarms
        self._plants = {facility.id: _Plant(facility, facility.zone) for facility in facilities}

    def factor(self, facility: str, factor: FactorInForce | None) -> None:
        """The factor that applies now; None where none does, which leaves emissions without a figure."""
        plant = self._plants[facility]
        plant.factor, plant.factor_known = factor, True

    def lacks_factor(self, facility: str) -> bool:
        """Whether it is known that no factor applies now; False until somebody has said either."""
        plant = self._plants[facility]
        return plant.factor_known and plant.factor is None

    def booked(self, facility: str, booked: Booked) -> None:
        """The settler's figures of the local day."""
        self._plants[facility].booked = booked

    def about(self, facility: str, edge: str, devices: Mapping[str, AboutDevice]) -> None:
        """What an edge's status says of its devices; strangers' facilities are ignored."""
        if facility in self._plants:
            self._plants[facility].about.update({(edge, device): about for device, about in devices.items()})

    def edge(self, facility: str, edge: str, state: EdgeState) -> None:
        """The state of an edge; strangers' facilities are ignored."""
        if facility in self._plants:
            self._plants[facility].edges[edge] = state

    def day_from_ms(self, facility: str) -> int:
        """The instant at which the facility's present local day began."""
        zone = self._plants[facility].zone
        now = datetime.fromtimestamp(self._clock() / 1000, zone)
        return int(datetime(now.year, now.month, now.day, tzinfo=zone).timestamp() * 1000)

    def device_states(self, facility: str) -> dict[tuple[str, str], str]:
        """online, late or offline for each (edge, device) of a facility."""
        plant = self._plants[facility]
        now_ms = self._clock()
        return {name: self._state(plant, name, now_ms)[0] for name in self._names(plant)}

    def about_device(self, facility: str, edge: str, device: str) -> AboutDevice | None:
        """What the edge said of this device, if it did."""
        return self._plants[facility].about.get((edge, device))

    def edges(self, facility: str) -> dict[str, EdgeState]:
        """The edges of a facility: those that meters name, and those that were heard."""
        plant = self._plants[facility]
        return {
            edge: plant.edges.get(edge, EdgeState(None))
            for edge in sorted({*plant.edges, *(meter.edge for meter in plant.facility.meters)})
        }

    def frame(self, facility: str) -> Frame:
        """Everything that the page shows, by the contract of the live feed; what is unknown is absent."""
        plant = self._plants[facility]
        now_ms = self._clock()
        flow, trust = self._flow(plant, now_ms)
        devices: Frame = {}
        about: Frame = {}
        for name in self._names(plant):
            devices["/".join(name)] = self._device(plant, name, now_ms)
            about["/".join(name)] = self._about(plant, name)
        frame: Frame = {
            "v": 1,
            "t": now_ms,
            "tz": plant.facility.time_zone,
            "flow": flow,
            "fq": trust,
            "em": self._emissions(plant, flow.get("grid"), now_ms),
            "d": devices,
            "edges": {edge: _edge(state) for edge, state in self.edges(facility).items()},
            "alarms": self._alarms(facility),
            "meta": {
                "name": plant.facility.name,
                "units": UNITS,
                "parts": self._parts(plant),
                "devices": about,
                "speed": self._speed,
            },
        }
        charge = self._state_of_charge(plant)
        if charge is not None:
            frame["soc"] = charge
        return frame

    def balance(self, facility: str) -> tuple[float, float] | None:
        """(residual kW, throughput kW) of a facility whose load is measured; None where the balance cannot be struck."""
        flow, _ = self._flow(self._plants[facility], self._clock())
        residual = flow.get("resid")
        if not isinstance(residual, float):
            return None
        return residual, sum(
            value for key, value in flow.items() if key != "resid" and isinstance(value, float) and value > 0
        )

    # --- parts of the frame

    def _parts(self, plant: _Plant) -> list[Json]:
        shown = {PARTS[meter.show] for meter in plant.facility.meters if meter.show in PARTS}
        return [part for part in ("grid", "pv", "sto", "load", "ev") if part in shown or part in {"grid", "load"}]

    def _flow(self, plant: _Plant, now_ms: int) -> tuple[Frame, Frame]:
        flow: Frame = {}
        trust: Frame = {}
        sums: dict[str, float | None] = {}
        qualities: dict[str, Quality] = {}
        for part, meters in members(plant.facility).items():
            powers = [self._power(plant, meter, now_ms) for meter in meters]
            values = [value for value, _ in powers]
            sums[part] = None if None in values else sum(value for value in values if value is not None)
            qualities[part] = worst(quality for _, quality in powers)
        others = [sums.get(part, 0.0) for part in ("pv", "sto", "ev")]
        grid = sums.get("grid")
        if grid is not None and None not in others:
            balance = grid - sum(value for value in others if value is not None)
            if "load" not in sums:
                sums["load"] = balance
                qualities["load"] = Quality.SUBSTITUTED
            elif sums["load"] is not None:
                flow["resid"] = round(balance - sums["load"], 3)
        for part, value in sums.items():
            if value is None:
                trust[part] = LETTER[Quality.BAD]
            else:
                flow[part] = round(value, 3)
                trust[part] = LETTER[qualities[part]]
        return flow, trust

    def _power(self, plant: _Plant, meter: MeterSpec, now_ms: int) -> tuple[float | None, Quality]:
        """The meter's power in kW on the primary side; None where it is offline or has none."""
        state, _ = self._state(plant, (meter.edge, meter.device), now_ms)
        newest = self._newest_power(plant.facility.id, meter.edge, meter.device)
        if newest is None or newest.value is None or newest.quality is Quality.BAD or state == "offline":
            return None, Quality.BAD
        quality = worst((newest.quality, Quality.UNCERTAIN)) if state == "late" else newest.quality
        return newest.value * float(meter.multiplier_at(now_ms)), quality

    def _newest_power(self, facility: str, edge: str, device: str) -> Newest | None:
        for quantity in ("active_power_kw", "dc_power_kw"):
            newest = self.newest.of(SeriesKey(facility, edge, device, quantity))
            if newest is not None:
                return newest
        return None

    def _state_of_charge(self, plant: _Plant) -> float | None:
        """Mean state of charge, percent, of the storage that says one."""
        charges = [
            newest.value
            for edge, device in self._names(plant)
            if (newest := self.newest.of(SeriesKey(plant.facility.id, edge, device, "state_of_charge_percent")))
            is not None
            and newest.value is not None
            and newest.quality is not Quality.BAD
        ]
        return round(sum(charges) / len(charges), 1) if charges else None

    def _names(self, plant: _Plant) -> list[tuple[str, str]]:
        meters = [(meter.edge, meter.device) for meter in plant.facility.meters]
        return list(dict.fromkeys([*meters, *sorted({*self.newest.devices(plant.facility.id), *plant.about})]))

    def _state(self, plant: _Plant, name: tuple[str, str], now_ms: int) -> tuple[str, Newest | None]:
        newest = self.newest.of_device(plant.facility.id, *name)
        edge = plant.edges.get(name[0])
        if newest is None:
            return "offline", None
        contact = plant.contacts.setdefault(name, _Contact(newest.at_ms))
        contact.heard(newest.at_ms)
        about = plant.about.get(name)
        period_ms = about.period_s * 1000 if about is not None and about.period_s else contact.period_ms or 0
        age_ms = now_ms - newest.at_ms
        if age_ms > max(_OFFLINE_PERIODS * period_ms, _OFFLINE_MS * self._speed) or (
            edge is not None and edge.online is False
        ):
            return "offline", newest
        return ("late" if age_ms > max(_LATE_PERIODS * period_ms, _LATE_MS * self._speed) else "online"), newest

    def _device(self, plant: _Plant, name: tuple[str, str], now_ms: int) -> Frame:
        state, contact = self._state(plant, name, now_ms)
        entry: Frame = {"st": state}
        if contact is None:
            return entry
        entry["ts"] = contact.at_ms
        entry["q"] = LETTER[contact.quality]
        meter = next((meter for meter in plant.facility.meters if (meter.edge, meter.device) == name), None)
        power = self._newest_power(plant.facility.id, *name)
        if power is not None:
            entry["q"] = LETTER[power.quality if power.value is not None else Quality.BAD]
            if power.value is not None:
                entry["p"] = round(power.value * (float(meter.multiplier_at(now_ms)) if meter else 1.0), 3)
        return entry

    def _about(self, plant: _Plant, name: tuple[str, str]) -> Frame:
        meter = next((meter for meter in plant.facility.meters if (meter.edge, meter.device) == name), None)
        about = plant.about.get(name)
        entry: Frame = {"edge": name[0], "device": name[1]}
        if meter is not None:
            entry["role"] = str(meter.role)
            if meter.show:
                entry["show"] = str(meter.show)
        if about is not None:
            entry["protocol"], entry["model"] = about.protocol, about.model
        return entry

    def _emissions(self, plant: _Plant, grid_kw: Json, now_ms: int) -> Frame:
        day_from_ms = self.day_from_ms(plant.facility.id)
        booked = plant.booked
        if booked is None or booked.day_from_ms != day_from_ms:
            booked = Booked(day_from_ms, day_from_ms, 0.0, 0.0, 0, 0)
        open_kwh = self._imported_since(plant, booked.until_ms, now_ms)
        factor = plant.factor
        if factor is None:
            return {"f_q": "none"}
        kg_per_kwh = float(factor.kg_per_kwh)
        out: Frame = {
            "f": factor.kg_per_kwh,
            "f_id": factor.id,
            "f_ver": factor.version,
            "f_src": factor.source,
            "f_marks": list(factor.marks),
            "f_q": "estimated" if factor.marks else "good",
            "kg_booked": round(booked.kg, 3),
            "until": booked.until_ms,
            "missing": booked.missing,
        }
        if factor.data_year is not None:
            out["f_year"] = factor.data_year
        if isinstance(grid_kw, float):
            out["kgph"] = round(max(0.0, grid_kw) * kg_per_kwh, 3)
        if booked.intervals or open_kwh is not None:
            out["kg_today"] = round(booked.kg + (open_kwh or 0.0) * kg_per_kwh, 3)
        return out

    def _imported_since(self, plant: _Plant, from_ms: int, now_ms: int) -> float | None:
        """kWh imported since `from_ms` by the main meters' counters, seen by this process; None while they are unknown."""
        meters = members(plant.facility).get("grid", [])
        points = [
            (meter, self.newest.of(SeriesKey(plant.facility.id, meter.edge, meter.device, "energy_import_kwh")))
            for meter in meters
        ]
        known = [
            (point.at_ms, point.value * float(meter.multiplier_at(now_ms)))
            for meter, point in points
            if point is not None and point.value is not None
        ]
        if not meters or len(known) < len(meters):
            return None
        at_ms, total_kwh = min(at for at, _ in known), sum(kwh for _, kwh in known)
        kept = plant.imported_kwh
        if kept and total_kwh < kept[-1][1]:
            kept.clear()  # a counter began anew: the ledger will say what happened, this estimate starts over
        if not kept or at_ms >= kept[-1][0] + _COUNTER_STEP_MS:
            kept.append((at_ms, total_kwh))
        while len(kept) > 1 and kept[1][0] <= from_ms:
            kept.popleft()
        start_ms, start_kwh = kept[0]
        if start_ms < from_ms and len(kept) > 1:
            start_kwh += (kept[1][1] - start_kwh) * (from_ms - start_ms) / (kept[1][0] - start_ms)
        elif start_ms < from_ms:
            start_kwh = total_kwh
        return max(0.0, total_kwh - start_kwh)


def members(facility: Facility) -> dict[str, list[MeterSpec]]:
    """The meters behind each part of the flow (grid, pv, sto, load, ev); check meters count nowhere."""
    found: dict[str, list[MeterSpec]] = {}
    for meter in facility.meters:
        if meter.carrier != "electricity" or meter.role == "check":
            continue
        part = "grid" if meter.role == "main" else PARTS.get(meter.show or "")
        if part is not None:
            found.setdefault(part, []).append(meter)
    return found


def _edge(state: EdgeState) -> Frame:
    entry: Frame = {"st": "unknown" if state.online is None else "online" if state.online else "offline"}
    for key, value in (("ts", state.contact_at_ms), ("watermark", state.watermark), ("backlog", state.backlog)):
        if value is not None:
            entry[key] = value
    entry.update(gaps=state.gaps, held=state.held, refused=state.refused, conflicts=state.conflicts)
    return entry


def next_day_ms(day_from_ms: int, zone: ZoneInfo) -> int:
    """The start of the local day after the one that starts at `day_from_ms`: 23, 24 or 25 hours later."""
    day = datetime.fromtimestamp(day_from_ms / 1000, zone).date() + timedelta(days=1)
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)

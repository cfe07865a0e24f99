"""What a dead-band saves, and what it costs in truth: measured loads through the agent's dead-bands into sealed batches.

20 meters on one gateway, each at another week of the measured load, read once a second and sealed once a second, counters and gauges in
batches of their own, as the agent does. Per second every meter has active and reactive power (steel plant alone), current and the
import counter, which is exempt. The days' sampled stretches are counted up to a whole day.

**The data** are energies of quarter hours (a steel plant) and hours (four homes less 5 kWp of PV), from the folder that WATTLINE_DATA
names; without it the steel plant's week that the simulator brings. What a load does within an interval nobody measured: here it goes
straight from middle to middle, and wanders around that by 1 % of itself (one standard deviation, 30 s of memory). That wandering decides
what a narrow band saves; `as_measured` leaves it out, and looks at the interval means alone, one reading each.

**The wire**: frame, MQTT 5 PUBLISH, TLS 1.3 records (22 bytes each) and TCP/IP (52 bytes a segment of 1,448), and the PUBACK that comes back.
**Energy saved** is an estimate: 0.06 kWh per GB of fixed-line network in 2015 (Aslan, Mayers, Koomey, France, J. Industrial Ecology 22(4),
2018, doi 10.1111/jiec.12630), which they found to halve every two years: the figure is the upper end.
**Errors**: what the receiver holds (the last value told) against what the meter showed; the integral of a meter's power over the stretches of a
day likewise, held, and beside it as straight lines between the values told.
"""

import csv
import math
import os
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.figure import Effort, Figure
from benchmarks.processes import NotThere
from device_sim.profile import UJ_PER_KWH, read_intervals
from edge_agent.dead_band import DeadBands
from wire.batch import Sealer
from wire.block import Block, Shape, scaled
from wire.content import ClockJson, Content, batch_class, pack, split_by_class
from wire.keys import SigningKey
from wire.topics import edge_topic

DATA: Final = "WATTLINE_DATA"
STEEL: Final = "steel_plant_15min_2018_jan_sep.csv"
SHIPPED: Final = Path(__file__).parents[1] / "device_sim" / "profiles" / "steel_plant_week.csv"
HOMES: Final = ("home_01_hourly.csv", "home_02_hourly.csv", "home_04_hourly.csv", "home_05_hourly.csv")  # 03 is empty
PV_KWP: Final = 5.0
METERS: Final = 20
STRETCH_S: Final = 600.0
SELDOM_S: Final = 10
STRETCHES: Final = 6  # spread over a day
WANDER: Final = 0.01
MEMORY_S: Final = 30.0
NOMINAL_KV: Final = {"steel": 0.4, "homes": 0.23}
J_PER_BYTE: Final = 0.06 * 3.6e6 / 1e9
DAY_S: Final = 86_400
T0: Final = 1_760_000_000_000
TOPIC: Final = edge_topic("works", "gw-01", "batch")
LONGEST_ALLOWED_S: Final = 3600
_COUNTER: Final = "energy_import_kwh"


@dataclass(frozen=True, slots=True)
class Level:
    """How wide: half-widths as a share of what the meter shows at most, and after how long a value is told anyway."""

    name: str
    share: float
    longest_s: int


LEVELS: Final = (Level("narrow", 0.002, 30), Level("medium", 0.01, 30), Level("wide", 0.05, 300))


@dataclass(frozen=True, slots=True)
class Load:
    """A measured load: mean power (kW) and reactive power (kvar, empty where nobody measured it) of each interval."""

    name: str
    length_s: int
    kw: Sequence[float]
    kvar: Sequence[float] = ()

    @property
    def most_kw(self) -> float:
        """What bands are a share of."""
        return max(map(abs, self.kw))


def loads() -> list[Load]:
    """What there is to be read: the folder's, else the excerpt that comes with the simulator."""
    folder = os.environ.get(DATA)
    if not folder:
        week = read_intervals(SHIPPED)
        hours = week.length_ms / 3_600_000
        return [Load("steel", week.length_ms // 1000, [uj / UJ_PER_KWH / hours for uj in week.energies_uj])]
    found = []
    try:
        rows = _rows(Path(folder) / STEEL)
        kvar = [4 * (float(row["lagging_kvarh"]) - float(row["leading_kvarh"])) for row in rows]
        found.append(Load("steel", 900, [4 * float(row["energy_kwh"]) for row in rows], kvar))
        home_kw: list[float] = []
        for name in HOMES:
            home_kw += [float(r["load_kwh"]) - PV_KWP * float(r["pv_kwh_per_kwp"]) for r in _rows(Path(folder) / name)]
        found.append(Load("homes", 3600, home_kw))
    except (OSError, KeyError, ValueError) as error:
        raise NotThere(f"{DATA}={folder}: expected {STEEL} and {', '.join(HOMES)}: {error}") from error
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class _Meter:
    """One meter at its own place in the data: what it shows each second."""

    def __init__(self, name: str, load: Load, start_s: float, seed: int) -> None:
        self.name = name
        self._load = load
        self._start_s = start_s
        self._random = random.Random(seed)
        self._wander = 0.0
        self._energy_kwh = 1000.0 + 7.0 * seed
        reactive = ("reactive_power_kvar",) if load.kvar else ()
        self.shape = Shape(("active_power_kw", *reactive, "current_a", _COUNTER), (-3, *(-3 for _ in reactive), -2, -2))

    def block(self, second: int) -> Block:
        """What it shows `second` seconds after its start."""
        keep = math.exp(-1 / MEMORY_S)
        self._wander = keep * self._wander + WANDER * math.sqrt(1 - keep**2) * self._random.gauss(0, 1)
        kw = (1 + self._wander) * self._between(self._load.kw, second)
        values = [kw]
        if self._load.kvar:
            values.append((1 + self._wander) * self._between(self._load.kvar, second))
        values.append(math.hypot(*values) / (math.sqrt(3) * NOMINAL_KV[self._load.name]))
        self._energy_kwh += max(0.0, kw) / 3600
        values.append(self._energy_kwh)
        counts = (round(value * 10 ** -(e or 0)) for value, e in zip(values, self.shape.exponents, strict=True))
        return Block(self.name, self.shape, (T0 + 1000 * second,), tuple((count,) for count in counts))

    def _between(self, means: Sequence[float], second: int) -> float:
        at = (self._start_s + second) / self._load.length_s - 0.5
        low = math.floor(at)
        before, after = means[low % len(means)], means[(low + 1) % len(means)]
        return before + (after - before) * (at - low)


@dataclass(slots=True)
class Outcome:
    """Sums over meters and stretches. Errors are of active power."""

    read: int = 0
    told: int = 0
    gauges_read: int = 0
    gauges_told: int = 0
    frame_bytes: int = 0
    wire_bytes: int = 0
    seldom_wire_bytes: int = 0  # sealed every SELDOM_S
    error_max_kw: float = 0.0
    error_sum_kw: float = 0.0
    samples: int = 0
    held_percent: list[float] = field(default_factory=list)
    straight_percent: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Sums:
    """Integrals of one meter's power over all stretches of a day, kW s."""

    true: float = 0.0
    held: float = 0.0
    straight: float = 0.0
    through: float = 0.0

    def errors_percent(self) -> tuple[float, float]:
        """How far the two integrals are off, held and straight, in % of the energy that went through in either direction."""
        through = self.through or 1.0
        return 100 * abs(self.held - self.true) / through, 100 * abs(self.straight - self.true) / through


class _Receiver:
    """What somebody knows who hears only what is told of one meter's power."""

    def __init__(self, sums: _Sums) -> None:
        self._sums = sums
        self._told: tuple[int, float] | None = None
        self._held_kw = 0.0

    def second(self, at_s: int, shown_kw: float, told_kw: float | None) -> float:
        """Goes on by a second; the error of what is held."""
        sums = self._sums
        if told_kw is not None:
            if self._told is not None:
                before_s, before_kw = self._told
                sums.straight += (at_s - before_s) * (before_kw + told_kw) / 2
            self._told, self._held_kw = (at_s, told_kw), told_kw
        sums.true += shown_kw
        sums.through += abs(shown_kw)
        sums.held += self._held_kw
        return abs(self._held_kw - shown_kw)

    def end(self, at_s: int) -> None:
        """From the last value told to the end."""
        if self._told is not None:
            self._sums.straight += (at_s - self._told[0]) * self._told[1]


def wire_bytes(frame: int) -> int:
    """Bytes on the wire for a batch of `frame` bytes, both ways."""
    remaining = 2 + len(TOPIC) + 2 + 1 + frame  # topic, packet id, no properties
    publish = 1 + (1 if remaining < 128 else 2 if remaining < 16_384 else 3) + remaining
    sealed = publish + 22 * math.ceil(publish / 16_384)
    return sealed + 52 * math.ceil(sealed / 1448) + (4 + 22 + 52)


def bands(load: Load, level: Level | None) -> dict[str, float]:
    """The half-widths of a meter of this load, by quantity."""
    if level is None:
        return {}
    kw = level.share * load.most_kw
    current_a = kw / (math.sqrt(3) * NOMINAL_KV[load.name])
    return {"active_power_kw": kw, "current_a": current_a, **({"reactive_power_kvar": kw} if load.kvar else {})}


def run(load: Load, level: Level | None, day: int, stretch_s: int, meters: int) -> Outcome:
    """One day, sampled. Without a level everything is told."""
    outcome = Outcome()
    sums = [_Sums() for _ in range(meters)]
    for stretch in range(STRETCHES):
        start_s = day * DAY_S + stretch * DAY_S / STRETCHES
        every = len(load.kw) * load.length_s / meters  # meters lie spread over all of the data
        shown = [_Meter(f"m{n}", load, start_s + n * every, 1000 * stretch + n) for n in range(meters)]
        half = bands(load, level)
        told = DeadBands({meter.name: half for meter in shown}, 1000 * (level.longest_s if level else 1))
        known = [_Receiver(each) for each in sums]
        often, seldom = _Sealing(), _Sealing()
        for second in range(stretch_s):
            for block in _second(outcome, shown, known, told, second):
                often.add(block)
                seldom.add(block)
            often.seal(second)
            if second % SELDOM_S == SELDOM_S - 1 or second == stretch_s - 1:
                seldom.seal(second)
        for receiver in known:
            receiver.end(stretch_s)
        outcome.frame_bytes += often.frame_bytes
        outcome.wire_bytes += often.wire_bytes
        outcome.seldom_wire_bytes += seldom.wire_bytes
    for each in sums:
        held, straight = each.errors_percent()
        outcome.held_percent.append(held)
        outcome.straight_percent.append(straight)
    return outcome


class _Sealing:
    """Batches of what was told, counters and gauges apart."""

    def __init__(self) -> None:
        self._sealer = Sealer(TOPIC, SigningKey.generate())
        self._waiting: dict[str, list[Block]] = {"counter": [], "gauge": []}
        self.frame_bytes = 0
        self.wire_bytes = 0

    def add(self, block: Block) -> None:
        for part in split_by_class(block):
            self._waiting[batch_class(part.shape)].append(part)

    def seal(self, second: int) -> None:
        for blocks in self._waiting.values():
            if blocks:
                frame = len(self._sealer.seal(_content(blocks, second))[0])
                self.frame_bytes += frame
                self.wire_bytes += wire_bytes(frame)
                blocks.clear()


def _second(
    outcome: Outcome, shown: list[_Meter], known: list[_Receiver], told: DeadBands, second: int
) -> Iterator[Block]:
    """What is worth telling of each meter."""
    for meter, receiver in zip(shown, known, strict=True):
        block = meter.block(second)
        outcome.read += len(block.columns)
        outcome.gauges_read += len(block.columns) - 1
        worth = told.worth_telling(block)
        told_kw = None
        if worth is not None:
            outcome.told += len(worth.columns)
            outcome.gauges_told += len(worth.columns) - 1
            told_kw = _power_kw(worth)
            yield worth
        error_kw = receiver.second(second, _power_kw(block) or 0.0, told_kw)
        outcome.error_max_kw = max(outcome.error_max_kw, error_kw)
        outcome.error_sum_kw += error_kw
        outcome.samples += 1


def _power_kw(block: Block) -> float | None:
    if "active_power_kw" not in block.shape.quantities:
        return None
    index = block.shape.quantities.index("active_power_kw")
    return scaled(block.columns[index][0], block.shape.exponents[index])


def _content(blocks: list[Block], second: int) -> Content:
    shapes, packed = pack(blocks)
    prev = f"{random.Random(second).getrandbits(256):064x}"  # as hard to compress as a digest
    clock = ClockJson(synced=True, boot="5f0c2d9e-8f2c-4d6b-9f0a-0c2e3a9b7d11")
    return Content(
        "works",
        "gw-01",
        "0123456789abcdef",
        1 + 2 * second,
        prev,
        blocks[-1].at_ms[-1] + 900,
        batch_class(blocks[0].shape),
        clock,
        shapes=shapes,
        blocks=packed,
    )


def as_measured(load: Load, level: Level) -> tuple[float, float, float]:
    """The interval means alone, one reading each: kept, mean error and error of the sum, all in % (the errors of what the meter shows at most,
    and of the true sum)."""
    shape = Shape(("active_power_kw",), (-3,))
    bands_of = DeadBands({"m": bands(load, level)}, 1000 * LONGEST_ALLOWED_S)
    kept, held, off, total, true = 0, 0.0, 0.0, 0.0, 0.0
    for index, kw in enumerate(load.kw):
        block = Block("m", shape, (T0 + 1000 * load.length_s * index,), ((round(1000 * kw),),))
        if bands_of.worth_telling(block) is not None:
            kept, held = kept + 1, kw
        off += abs(held - kw)
        total += held
        true += kw
    count = len(load.kw)
    return 100 * kept / count, 100 * off / count / load.most_kw, 100 * abs(total - true) / (abs(true) or 1.0)


def figures(effort: Effort, meters: int = METERS) -> Iterator[Figure]:
    """`report_by_exception.*`, one repeat a day of the data."""
    stretch_s = max(3, round(effort.seconds_or(STRETCH_S)))
    days = range(effort.repeats_or(3))
    scale = DAY_S / (STRETCHES * stretch_s)
    for load in loads():
        everything = [run(load, None, day, stretch_s, meters) for day in days]
        whole = [each.wire_bytes * scale / 1e6 for each in everything]
        whole_seldom = [each.seldom_wire_bytes * scale / 1e6 for each in everything]
        for level in LEVELS:
            name = f"report_by_exception.{load.name}.{level.name}"
            found = [run(load, level, day, stretch_s, meters) for day in days]
            yield Figure(f"{name}.band", "kW", [bands(load, level)["active_power_kw"]])
            yield Figure(f"{name}.kept", "%", [100 * each.told / each.read for each in found])
            gauges = [100 * each.gauges_told / each.gauges_read for each in found]
            yield Figure(f"{name}.kept_of_gauges", "%", gauges)
            on_wire = [each.wire_bytes * scale / 1e6 for each in found]
            sealed = [each.frame_bytes * scale / 1e6 for each in found]
            yield Figure(f"{name}.wire", "MB/day", on_wire, beside={"everything": whole, "frames_alone": sealed})
            seldom = [each.seldom_wire_bytes * scale / 1e6 for each in found]
            yield Figure(f"{name}.wire_sealed_each_10_s", "MB/day", seldom, beside={"everything": whole_seldom})
            saved = [1e6 * J_PER_BYTE * (a - b) / 3600 for a, b in zip(whole, on_wire, strict=True)]
            yield Figure(f"{name}.energy_saved_estimate", "Wh/day", saved)
            yield Figure(f"{name}.error_max", "kW", [each.error_max_kw for each in found])
            yield Figure(f"{name}.error_mean", "kW", [each.error_sum_kw / each.samples for each in found])
            held = [max(each.held_percent) for each in found]
            straight = [max(each.straight_percent) for each in found]
            yield Figure(f"{name}.integral_error_max", "%", held, beside={"straight_lines": straight})
            mean = [statistics.fmean(each.held_percent) for each in found]
            yield Figure(f"{name}.integral_error_mean", "%", mean)
            if load.length_s < LONGEST_ALLOWED_S:
                kept, off, total = as_measured(load, level)
                yield Figure(f"{name}.as_measured.kept", "%", [kept])
                yield Figure(f"{name}.as_measured.error_mean", "% of the highest", [off])
                yield Figure(f"{name}.as_measured.sum_error", "%", [total])

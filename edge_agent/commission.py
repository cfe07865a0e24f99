"""The dry run on site: reads every row of every device live and says what looks wrong. Nothing is stored, written or sent.

It finds what plant engineers look for by hand: a transformer turned round, phases that do not fit their currents, a wrong ratio, rows
that never move, and a bus too slow for its periods.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TextIO

from edge_agent import meter
from edge_agent.drivers.declared import Bus, Device
from edge_agent.drivers.driver import Answer, Driver, DriverError, Gateway
from edge_agent.drivers.table import declared, open_driver
from edge_agent.edge_file import EdgeFileFaults, load
from wire.block import Block, scaled
from wire.clock import Clock
from wire.quantities import QUANTITIES, Kind
from wire.reading import REASONS

READS: Final = 3  # enough to see what stands still; the first also makes the plan and is not timed
PAUSE_S: Final = 1.0
_PHASES: Final = ("l1", "l2", "l3")
_POWER_TOLERANCE: Final = 0.10  # V, I, pf and P are not measured in the same instant
_POWER_FLOOR_KW: Final = 0.05

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class RowSeen:
    """The last value of one row. `remark` is empty where nothing is wrong with the row alone."""

    quantity: str
    value: float | None
    unit: str
    remark: str


@dataclass(slots=True)
class DeviceSeen:
    """What one device showed. `error` where it did not answer; `remarks` on how its values fit together."""

    device: str
    bus: str
    model: str
    period_s: float
    error: str = ""
    rows: list[RowSeen] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # table, first register, registers, holes
    read_ms: float = 0.0
    busy_percent: float = 0.0


async def run_commission(path: str | Path, as_json: bool, out: TextIO, clock: Clock) -> int:
    """Reads all devices of the edge file at `path` and prints what it finds.

    Gives the exit status: 0 all devices answered and fit into their periods, 1 some did not, 2 the file has faults.
    """
    try:
        edge = load(path)
    except EdgeFileFaults as faults:
        out.write(f"{faults}\n")
        return 2
    seen: list[DeviceSeen] = []
    for bus in edge.bus:
        found = await commission_bus(bus, clock)
        seen += found
        if not as_json:
            for device in found:
                _print_device(device, out)
            busy = sum(device.busy_percent for device in found)
            out.write(f"bus {bus.name}: {busy:.1f} % busy{'' if busy <= 100 else ': the periods cannot be kept'}\n")
    if as_json:
        out.write(json.dumps({"devices": [asdict(device) for device in seen]}) + "\n")
    overloaded = any(sum(device.busy_percent for device in seen if device.bus == bus.name) > 100 for bus in edge.bus)
    return 1 if overloaded or any(device.error for device in seen) else 0


async def commission_bus(bus: Bus, clock: Clock, pause_s: float = PAUSE_S) -> list[DeviceSeen]:
    """What every device of one bus shows, read one after the other."""
    driver = open_driver(bus, Gateway(clock.now_ms))
    try:
        return [await _commission(driver, bus, device, clock, pause_s) for device in bus.device]
    finally:
        await driver.close()


async def _commission(driver: Driver[Any], bus: Bus, device: Device, clock: Clock, pause_s: float) -> DeviceSeen:
    model = meter.load(device.model)
    plan = declared(bus.protocol).plan(bus, device, model)
    seen = DeviceSeen(device.name, bus.name, device.model, device.period_s)
    answers: list[Answer] = []
    timed_ms: list[float] = []
    for number in range(READS):
        if number:
            await clock.sleep(pause_s)
        begin = time.perf_counter()
        try:
            answers.append(await driver.read(plan))
        except DriverError as fault:
            seen.error = str(fault)
            return seen
        if number:
            timed_ms.append((time.perf_counter() - begin) * 1000)
    seen.faults = sorted({str(fault) for answer in answers for fault in answer.faults})
    seen.requests = list(driver.requests(plan))
    seen.read_ms = round(max(timed_ms), 1)
    seen.busy_percent = round(seen.read_ms / (10 * device.period_s), 2)
    values, reasons = _columns(answers)
    seen.rows = [
        _row(quantity, values.get(quantity, ()), reasons.get(quantity, "no answer")) for quantity in plan.quantities
    ]
    seen.remarks = [*remarks(values), *_against_rating(values, device.rated_power_kw)]
    return seen


def remarks(values: Values) -> list[str]:
    """What does not fit together in a device's values (per quantity its readings in order of time, in its unit)."""
    return [*_powers(values), *_sum_of_phases(values), *_signs(values), *_counters(values)]


def _powers(values: Values) -> Iterator[str]:
    """V x I x pf against P, phase by phase; without a power factor V x I as the bound of P."""
    for phase in _PHASES:
        voltage, current, power = (
            _last(values, f"{name}_{phase}_{unit}")
            for name, unit in (("voltage", "v"), ("current", "a"), ("active_power", "kw"))
        )
        if voltage is None or current is None or power is None:
            continue
        apparent_kva = voltage * abs(current) / 1000
        factor = _last(values, f"power_factor_{phase}_ratio")
        if factor is not None:
            expected_kw = apparent_kva * abs(factor)
            if abs(abs(power) - expected_kw) > max(_POWER_FLOOR_KW, _POWER_TOLERANCE * expected_kw):
                yield f"{phase}: V x I x pf = {expected_kw:.3f} kW, P = {power:.3f} kW: phases swapped or a wrong ratio"
        elif abs(power) > apparent_kva * (1 + _POWER_TOLERANCE) + _POWER_FLOOR_KW:
            yield f"{phase}: P = {power:.3f} kW is more than V x I = {apparent_kva:.3f} kVA: phases swapped or a wrong ratio"


def _sum_of_phases(values: Values) -> Iterator[str]:
    total = _last(values, "active_power_kw")
    phases = [_last(values, f"active_power_{phase}_kw") for phase in _PHASES]
    parts = [phase for phase in phases if phase is not None]
    if total is None or len(parts) < len(_PHASES):
        return
    if abs(total - sum(parts)) > max(_POWER_FLOOR_KW, _POWER_TOLERANCE * abs(total)):
        yield f"P = {total:.3f} kW, sum of its phases = {sum(parts):.3f} kW"


def _signs(values: Values) -> Iterator[str]:
    """One phase against the others: a transformer turned round, or a single-phase source behind the meter."""
    powers = {phase: _last(values, f"active_power_{phase}_kw") for phase in _PHASES}
    signs = {phase: power > 0 for phase, power in powers.items() if power is not None and abs(power) > _POWER_FLOOR_KW}
    if len(signs) == len(_PHASES) and len(set(signs.values())) == 2:
        odd = min(signs, key=lambda phase: list(signs.values()).count(signs[phase]))
        yield f"{odd}: power has the other sign than the two other phases: a transformer turned round, or a source on one phase"


def _counters(values: Values) -> Iterator[str]:
    """A counter that goes back, or the wrong one that runs."""
    for quantity, readings in values.items():
        if QUANTITIES[quantity].kind is Kind.COUNTER and any(b < a for a, b in pairwise(readings)):
            yield f"{quantity}: went back from {max(readings):g} to {readings[-1]:g}"
    power = values.get("active_power_kw", ())
    if len(power) < 2:
        return
    runs = {
        name: readings[-1] > readings[0]
        for name, readings in values.items()
        if name in {"energy_import_kwh", "energy_export_kwh"}
    }
    if min(power) > 0 and runs.get("energy_export_kwh"):
        yield "export counter runs although power is positive: the direction is turned round"
    if max(power) < 0 and runs.get("energy_import_kwh"):
        yield "import counter runs although power is negative: the direction is turned round"


def _against_rating(values: Values, rated_kw: float | None) -> Iterator[str]:
    power = _last(values, "active_power_kw")
    if rated_kw is not None and power is not None and abs(power) > 1.2 * rated_kw:
        yield f"P = {power:.3f} kW is above 1.2 x rated power ({rated_kw:g} kW): a wrong ratio, or the rating is wrong"


def _columns(answers: Sequence[Answer]) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Per quantity its usable readings in order, and the reason of the last one where it has none ('' is good)."""
    values: dict[str, list[float]] = {}
    reasons: dict[str, str] = {}
    for answer in answers:
        for block in answer.blocks:
            for quantity, value, reason in _block(block):
                reasons[quantity] = reason
                if value is not None:
                    values.setdefault(quantity, []).append(value)
    return values, reasons


def _block(block: Block) -> Iterator[tuple[str, float | None, str]]:
    for index, (quantity, exponent) in enumerate(zip(block.shape.quantities, block.shape.exponents, strict=True)):
        yield (
            quantity,
            scaled(block.columns[index][0], exponent),
            REASONS[block.quality[index][1]] if block.quality else "",
        )


def _row(quantity: str, readings: Sequence[float], reason: str) -> RowSeen:
    unit = QUANTITIES[quantity].unit
    if reason or not readings:
        return RowSeen(quantity, None, unit, reason or "no value")
    remark = "always 0" if not any(readings) and QUANTITIES[quantity].kind is not Kind.STATE else ""
    return RowSeen(quantity, readings[-1], unit, remark)


def _last(values: Values, quantity: str) -> float | None:
    readings = values.get(quantity)
    return readings[-1] if readings else None


def _line(row: RowSeen) -> str:
    """A counter with all its digits, to be held beside the meter's display; anything else with six. No unit where it is a ratio."""
    digits = 10 if QUANTITIES[row.quantity].kind is Kind.COUNTER else 6
    value = "-" if row.value is None else f"{row.value:.{digits}g}"
    unit = "" if row.unit == "1" else row.unit
    return f"  {row.quantity:32} {value:>14} {unit:6} {row.remark}".rstrip() + "\n"


def _print_device(seen: DeviceSeen, out: TextIO) -> None:
    out.write(f"{seen.device} ({seen.model} on {seen.bus})\n")
    if seen.error:
        out.write(f"  no answer: {seen.error}\n")
        return
    for row in seen.rows:
        out.write(_line(row))
    for remark in (*seen.faults, *seen.remarks):
        out.write(f"  ! {remark}\n")
    out.writelines(f"  request: {line}\n" for line in seen.requests)
    out.write(f"  read in {seen.read_ms:g} ms every {seen.period_s:g} s: {seen.busy_percent:g} % of the bus\n")

"""One commissioning run: every device of an edge file read several times, all buses at once, and what its values say. Nothing is stored or written."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from edge_agent import meter
from edge_agent.commission import ways
from edge_agent.commission.counting import counting
from edge_agent.commission.electrical import electrical
from edge_agent.commission.finding import columns
from edge_agent.commission.report import DeviceSeen, Outcome, print_outcome, rows
from edge_agent.commission.still import patterns, standing_still
from edge_agent.commission.together import against_incomers, balances
from edge_agent.drivers.declared import Bus, Device
from edge_agent.drivers.driver import Answer, DevicePlan, DeviceRefused, DeviceUnreachable, Driver, DriverError, Gateway
from edge_agent.drivers.table import ExtraMissing, declared, open_driver
from edge_agent.edge_file import EdgeFile, EdgeFileFaults, load
from wire.clock import Clock

log = logging.getLogger(__name__)

READS: Final = 3  # enough to see what stands still; the first also makes the plan and is not timed
PAUSE_S: Final = 1.0
LISTEN_S: Final = 20.0  # real; for devices that send by themselves
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Watching:
    """How long to look: `reads` polls of each device, `pause_s` between two rounds. `address`: ask DL/T 645 lines for their only meter's address."""

    reads: int = READS
    pause_s: float = PAUSE_S
    listen_s: float = LISTEN_S
    address: bool = False


async def run_commission(
    path: str | Path, as_json: bool, out: TextIO, clock: Clock, watching: Watching | None = None
) -> int:
    """Reads all devices of the edge file at `path` and prints what it finds.

    Gives the exit status: 0 nothing looks wrong, 1 a device is silent, a value looks wrong or a bus is too slow, 2 the file has faults.
    """
    try:
        edge = load(path)
    except EdgeFileFaults as faults:
        out.write(f"{faults}\n")
        return 2
    try:
        outcome = await commission(edge, clock, watching or Watching())
    except ExtraMissing as missing:
        out.write(f"{missing}\n")
        return 2
    if as_json:
        out.write(json.dumps(outcome.to_json()) + "\n")
    else:
        print_outcome(outcome, out)
    return outcome.status


async def commission(edge: EdgeFile, clock: Clock, watching: Watching) -> Outcome:
    """What every device of the file shows; buses are read side by side, so that an incomer and its sub-meters are seen in the same time."""
    drivers = [open_driver(bus, Gateway(clock.now_ms)) for bus in edge.bus]
    found = await asyncio.gather(
        *(_bus(bus, driver, clock, watching) for bus, driver in zip(edge.bus, drivers, strict=True))
    )
    seen = [device for devices in found for device in devices]
    values = {device.device: device.values for device in seen}
    all_devices = [device for bus in edge.bus for device in bus.device]
    by_name = {device.device: device for device in seen}
    for finding in against_incomers(all_devices, values):
        by_name[finding.device].findings.append(finding)
    return Outcome(tuple(seen), tuple(balances(all_devices, values)))


@dataclass(slots=True)
class _Watched:
    """One device while it is observed."""

    device: Device
    plan: DevicePlan
    seen: DeviceSeen
    answers: list[Answer] = field(default_factory=list)
    faults: list[DriverError] = field(default_factory=list)
    timed_ms: list[float] = field(default_factory=list)


async def _bus(bus: Bus, driver: Driver[Any], clock: Clock, watching: Watching) -> list[DeviceSeen]:
    """What the devices of one bus show. The driver is closed."""
    spoken = declared(bus.protocol)
    watched = [
        _Watched(
            device,
            spoken.plan(bus, device, meter.load(device.model)),
            DeviceSeen(device.name, bus.name, device.model, device.period_s),
        )
        for device in bus.device
    ]
    until_s = time.perf_counter() + watching.listen_s  # for all devices of the bus together
    try:
        for number in range(max(1, watching.reads)):
            if number:
                await clock.sleep(watching.pause_s)
            log.info("reading bus=%s poll=%d of=%d devices=%d", bus.name, number + 1, watching.reads, len(watched))
            for one in watched:
                if not one.seen.error:
                    await _read(driver, one, timed=number > 0, until_s=until_s if number == 0 else 0.0)
        for one in watched:
            if not one.answers and not one.seen.error:
                one.seen.error = str(one.faults[-1]) if one.faults else "nothing came"
            if not one.seen.error:
                await _judge(bus, driver, one)
        silent = all(one.seen.error for one in watched)
        if watching.address or (silent and len(watched) == 1):
            note, finding = await ways.only_address(bus, driver)
            _add(watched[0].seen, note, finding)
    finally:
        await driver.close()
    if silent:
        _add(watched[0].seen, "", await ways.framing(bus))
    return [one.seen for one in watched]


def _add(seen: DeviceSeen, note: str, finding: Any) -> None:
    if note:
        seen.notes.append(note)
    if finding is not None:
        seen.findings.append(finding)


async def _read(driver: Driver[Any], one: _Watched, timed: bool, until_s: float) -> None:
    """One poll; of a device that sends by itself, what it has sent, or else what it sends up to `until_s` (of time.perf_counter)."""
    begin = time.perf_counter()
    while True:
        try:
            answer, fault = await driver.read(one.plan), None
        except DriverError as error:
            answer, fault = None, error
        if not driver.listens or (answer is not None and answer.blocks) or time.perf_counter() >= until_s:
            break
        await asyncio.sleep(_LOOK_S)
    if fault is not None:
        if not one.answers and isinstance(fault, DeviceUnreachable):
            one.seen.error = str(fault)
        elif not driver.listens:
            one.faults.append(fault)
        return
    assert answer is not None
    one.answers.append(answer)
    if timed and not driver.listens:
        one.timed_ms.append((time.perf_counter() - begin) * 1000)


async def _judge(bus: Bus, driver: Driver[Any], one: _Watched) -> None:
    seen, plan, device = one.seen, one.plan, one.device
    seen.polls = len(one.answers)
    faults = [*one.faults, *(fault for answer in one.answers for fault in answer.faults)]
    seen.faults = sorted({str(fault) for fault in faults if not isinstance(fault, DeviceRefused)})
    seen.refusals = sorted({str(fault) for fault in faults if isinstance(fault, DeviceRefused)})
    seen.requests = list(driver.requests(plan))
    seen.read_ms = round(max(one.timed_ms, default=0.0), 1)
    seen.busy_percent = round(seen.read_ms / (10 * device.period_s), 2)
    values, reasons = columns(one.answers)
    seen.values = values
    seen.rows = rows(plan.quantities, values, reasons)
    bare: dict[str, str] = {}
    if bus.protocol in ("modbus_tcp", "modbus_rtu"):
        note, finding = await ways.word_order(plan, driver.read)
        _add(seen, note, finding)
        bare = await ways.bare(plan, _rejected(reasons), driver)
    seen.findings += electrical(device.name, values, device.rated_power_kw)
    seen.findings += counting(device.name, values, device.rated_power_kw)
    seen.findings += patterns(device.name, values, reasons, bare)
    seen.findings += standing_still(device.name, values)


def _rejected(reasons: dict[str, str]) -> Sequence[str]:
    return [quantity for quantity, reason in reasons.items() if reason in ("out-of-range", "not-implemented")]

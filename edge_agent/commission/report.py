"""How the outcome of commissioning is told: for people device by device, for programs as one JSON object. It judges nothing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from edge_agent.commission.finding import Finding, Values
from edge_agent.commission.together import Balance
from wire.quantities import QUANTITIES, Kind


@dataclass(frozen=True, slots=True)
class RowSeen:
    """The last value of one row. `remark` is empty where nothing is wrong with the row alone."""

    quantity: str
    value: float | None
    unit: str
    remark: str


@dataclass(slots=True)
class DeviceSeen:
    """What one device showed. `error` where it did not answer; `notes` say what was found out besides its values."""

    device: str
    bus: str
    model: str
    period_s: float
    error: str = ""
    polls: int = 0
    rows: list[RowSeen] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(
        default_factory=list
    )  # wrong: what its driver did not believe, or an answer that did not come
    refusals: list[str] = field(default_factory=list)  # worth a look: what it answered that it will not tell
    requests: list[str] = field(default_factory=list)  # table, first register, registers, holes
    read_ms: float = 0.0
    busy_percent: float = 0.0
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was seen. `status` is the exit status: 0 nothing wrong, 1 something is."""

    devices: tuple[DeviceSeen, ...]
    balances: tuple[Balance, ...]

    @property
    def findings(self) -> list[Finding]:
        """All of them, device by device."""
        return [finding for device in self.devices for finding in device.findings]

    @property
    def busy_percent(self) -> dict[str, float]:
        """By bus."""
        busy: dict[str, float] = {}
        for device in self.devices:
            busy[device.bus] = busy.get(device.bus, 0.0) + device.busy_percent
        return busy

    @property
    def status(self) -> int:
        """See the class."""
        overloaded = any(busy > 100 for busy in self.busy_percent.values())
        return int(
            overloaded
            or any(device.error or device.faults for device in self.devices)
            or any(found.wrong for found in self.findings)
        )

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        devices = []
        for device in self.devices:
            told = asdict(device)
            del told["values"], told["findings"]
            devices.append(told)
        return {
            "devices": devices,
            "findings": [asdict(finding) for finding in self.findings],
            "balances": [asdict(balance) for balance in self.balances],
            "buses": [{"bus": bus, "busy_percent": round(busy, 2)} for bus, busy in self.busy_percent.items()],
            "status": self.status,
        }


def rows(quantities: Sequence[str], values: Values, reasons: dict[str, str]) -> list[RowSeen]:
    """One row for each quantity of a plan."""
    return [_row(quantity, values, reasons.get(quantity, "no answer")) for quantity in quantities]


def _row(quantity: str, values: Values, reason: str) -> RowSeen:
    unit, samples = QUANTITIES[quantity].unit, values.get(quantity, ())
    if reason or not samples:
        return RowSeen(quantity, None, unit, reason or "no value")
    zero = not any(sample.value for sample in samples) and QUANTITIES[quantity].kind is not Kind.STATE
    return RowSeen(quantity, samples[-1].value, unit, "always 0" if zero else "")


def line(row: RowSeen) -> str:
    """A counter with all its digits, to be held beside the meter's display; anything else with six. No unit where it is a ratio."""
    digits = 10 if QUANTITIES[row.quantity].kind is Kind.COUNTER else 6
    value = "-" if row.value is None else f"{row.value:.{digits}g}"
    unit = "" if row.unit == "1" else row.unit
    return f"  {row.quantity:32} {value:>14} {unit:6} {row.remark}".rstrip() + "\n"


def print_outcome(outcome: Outcome, out: TextIO) -> None:
    """For people. `!` is wrong, `?` is worth a look."""
    for device in outcome.devices:
        _print_device(device, out)
    for balance in outcome.balances:
        out.write(
            f"{balance.incomer}: {balance.incomer_kw:.3f} kW, behind it {balance.subs_kw:.3f} kW in {len(balance.subs)} meters, "
            f"not measured {balance.rest_kw:.3f} kW\n"
        )
    for bus, busy in outcome.busy_percent.items():
        out.write(f"bus {bus}: {busy:.1f} % busy{'' if busy <= 100 else ': the periods cannot be kept'}\n")
    judged_wrong = sum(finding.wrong for finding in outcome.findings)
    wrong = judged_wrong + sum(len(device.faults) for device in outcome.devices)
    looks = len(outcome.findings) - judged_wrong + sum(len(device.refusals) for device in outcome.devices)
    silent = sum(bool(device.error) for device in outcome.devices)
    out.write(f"{len(outcome.devices)} devices, {silent} without an answer, {wrong} findings, {looks} to look at\n")


def _print_device(seen: DeviceSeen, out: TextIO) -> None:
    out.write(f"{seen.device} ({seen.model} on {seen.bus})\n")
    if seen.error:
        out.write(f"  no answer: {seen.error}\n")
    else:
        for row in seen.rows:
            out.write(line(row))
    for fault in seen.faults:
        out.write(f"  ! {fault}\n")
    for refusal in seen.refusals:
        out.write(f"  ? {refusal}\n")
    for finding in seen.findings:
        out.write(f"  {'!' if finding.wrong else '?'} {finding}\n")
    for note in seen.notes:
        out.write(f"  {note}\n")
    if seen.error:
        return
    out.writelines(f"  request: {request}\n" for request in seen.requests)
    out.write(f"  read in {seen.read_ms:g} ms every {seen.period_s:g} s: {seen.busy_percent:g} % of the bus\n")

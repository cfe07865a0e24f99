"""`wattline tree`: what each meter of a facility measured, its own part and what nobody measured further. Not the division (`aggregator.accounts.tree.tree`)."""

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.tree.slots import FLOWS
from aggregator.accounts.tree.tree import CheckSum, Metered, NodeSum, TreeSums
from aggregator.facility import Facility
from aggregator.ledger import LedgerError
from aggregator.settings import SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wattline.statement import chosen, instant_ms

_SHOWN: Final = Decimal("0.001")


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (a part is negative beyond accuracy, a check is too far off, or the ledger cannot answer), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        if options.carrier not in FLOWS:
            raise CannotCompile(f"--carrier: expected one of {', '.join(FLOWS)}, got {options.carrier!r}")
        from_ms = instant_ms("--from", options.begin, facility.zone)
        to_ms = instant_ms("--to", options.end, facility.zone)
        as_of_ms = None if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone)
        if to_ms <= from_ms:
            raise CannotCompile(f"--to: expected a time after {options.begin}, got {options.end}")
        with ledger_as_set(settings) as ledger:
            metered = Metered(
                facility,
                options.carrier,
                lambda device, quantity: ledger.intervals(facility.id, device, quantity, from_ms, to_ms, as_of_ms),
                from_ms,
                to_ms,
            )
            found = list(metered.roll_up(options.roll_up))
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline tree: {error}", file=sys.stderr)
        return 2
    except (LedgerError, OSError) as error:
        print(f"wattline tree: {error}", file=sys.stderr)
        return 1
    if options.json:
        from aggregator.routes.meter_tree import TreeAnswer, as_answer

        spans = [as_answer(one) for one in found]
        print(
            TreeAnswer(facility=facility.id, carrier=options.carrier, unit=metered.unit, spans=spans).model_dump_json()
        )
    else:
        for one in found:
            print("\n".join(_told(one, facility, metered.unit)))
    return int(any(one.faulty for one in found))


def _told(found: TreeSums, facility: Facility, unit: str) -> Iterator[str]:
    yield f"{facility.id}, {_time(found.from_ms, facility)} to {_time(found.to_ms, facility)}, {unit} of {found.expected} intervals"
    yield f"  {'':<34} {'measured':>16} {'own part':>16}  intervals"
    for line in found.nodes.values():
        yield _node(line)
    for line in found.apart.values():
        yield f"{_node(line)}, part of nothing"
    yield f"  {'total (mains)':<34} {_text(found.total):>16}"
    yield f"  {'unmetered':<34} {'':>16} {_text(found.unmetered):>16}"
    if found.undivided:
        yield f"  {'undivided (a meter has no figure)':<34} {'':>16} {_text(found.undivided):>16}"
    for check in found.checks:
        yield _check(check)


def _node(line: NodeSum) -> str:
    name = f"{'  ' * line.depth}{line.node.device} ({line.node.role})"
    told = f"  {name:<34} {_text(line.energy):>16} {_text(line.own):>16}  {line.intervals}"
    if line.exported:
        told += f", {_text(line.exported)} flowed back out"
    if line.substituted:
        told += f", {line.substituted} substituted"
    if line.provisional:
        told += f", {line.provisional} provisional"
    if line.too_small:
        told += f"  BELOW 0: the meters inside measure more, accuracy explains {_text(line.allowed)}"
    return told


def _check(check: CheckSum) -> str:
    if not check.checks:
        return f"  {check.device} (check) {_text(check.energy)}, the settings name no meter that it checks"
    apart = check.apart_percent
    said = (
        "nothing to compare"
        if apart is None
        else f"{apart:+.3f} %, both classes allow {check.limit_percent.normalize():f} %"
    )
    far = "  TOO FAR APART" if check.too_far else ""
    return f"  {check.device} (check of {check.checks}) {_text(check.energy)} beside {_text(check.checked)}: {said}, {check.intervals} intervals{far}"


def _text(value: Decimal | None) -> str:
    return "no figure" if value is None else f"{value.quantize(_SHOWN, ROUND_HALF_EVEN):f}"


def _time(at_ms: int, facility: Facility) -> str:
    return datetime.fromtimestamp(at_ms / 1000, facility.zone).isoformat(timespec="minutes")

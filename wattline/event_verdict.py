"""What `wattline verify` says of an event's bundle. The checking is `aggregator.flexibility.events.checking`."""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from typing import Final

from aggregator.flexibility.events.checking import EventVerdict
from wattline.plurals import counted

_SHOWN: Final = 20  # faults


def told(verdict: EventVerdict, options: argparse.Namespace, *, pinned: bool) -> int:
    """Prints the verdict; 0 where everything holds, 1 where something was changed."""
    if options.json:
        print(json.dumps({"holds": verdict.holds, **dataclasses.asdict(verdict)}))
    else:
        print("\n".join(_lines(verdict, pinned)))
    return 0 if verdict.holds else 1


def _lines(verdict: EventVerdict, pinned: bool) -> Iterator[str]:
    if verdict.origin:
        yield f"event {verdict.event} of facility {verdict.facility}, log {verdict.origin} at {verdict.size} leaves"
    for name, fingerprint in verdict.keys.items():
        yield f"  key {name}: {fingerprint}{'' if pinned else '  (from the bundle: compare it with what you noted)'}"
    if verdict.before_begin_s is not None:
        firm = "no firm offer" if verdict.firm_kw is None else f"firm offer {verdict.firm_kw:g} kW"
        yield f"  fixed {verdict.before_begin_s / 3600:.2f} h before its begin: {counted(verdict.inputs, 'interval')} of the days before, {firm}"
        yield f"  baseline of {', '.join(verdict.days) or 'the time before the event'}"
    if not verdict.same_method:
        yield "  the method was another version of this program: what differs below may be its"
    if verdict.delivered_kwh is not None:
        yield f"  delivered {verdict.delivered_kwh:.3f} kWh, {verdict.money:.2f} {verdict.currency}, worked out again"
    else:
        yield "  not settled yet"
    for fault in verdict.faults[:_SHOWN]:
        yield f"CHANGED {fault}"
    if len(verdict.faults) > _SHOWN:
        yield f"... and {len(verdict.faults) - _SHOWN} more"
    yield (
        "everything holds"
        if verdict.holds
        else f"{counted(len(verdict.faults), 'fault')}: this is not what was fixed and settled"
    )

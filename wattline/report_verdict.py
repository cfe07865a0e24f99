"""What `wattline verify` says of a report: each number on the way from the total down to the meters' counters. The checking is `aggregator.reports.checking`."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from aggregator.audit.evidence import BundleUnreadable
from aggregator.reports.verdict import ReportVerdict, StatementSeen
from aggregator.reports.walk import NoSuchLine, walk
from wattline.plurals import are, counted
from wire.batch import BatchUnreadable

_SHOWN: Final = 20  # faults


def told(verdict: ReportVerdict, options: argparse.Namespace, pinned: tuple[bool, bool]) -> int:
    """Prints the verdict; 0 where everything holds, 1 where something was changed."""
    if options.json:
        print(json.dumps({"holds": verdict.holds, **dataclasses.asdict(verdict)}))
    else:
        print("\n".join(_lines(verdict, pinned)), file=sys.stdout)
    return 0 if verdict.holds else 1


def traced(raw: bytes, wanted: str) -> int:
    """Prints the way down from one line; 0, or 2 where there is no such line, or nothing that can be read."""
    try:
        print("\n".join(["", *walk(raw, wanted)]))
    except (BundleUnreadable, BatchUnreadable, NoSuchLine) as error:
        print(f"wattline verify: {error}", file=sys.stderr)
        return 2
    return 0


def _lines(verdict: ReportVerdict, pinned: tuple[bool, bool]) -> Iterator[str]:
    if verdict.origin:
        yield f"report of facility {verdict.facility}, log {verdict.origin} at {verdict.size} leaves"
    if verdict.since is not None:
        yield f"  the log begins with the {verdict.since} leaves of the noted checkpoint"
    for name, fingerprint in verdict.keys.items():
        given = pinned[0] if name.startswith("log ") else pinned[1]
        yield f"  key {name}: {fingerprint}{'' if given else '  (from the bundle: compare it with what you noted)'}"
    for seen in verdict.statements:
        yield from _statement(seen)
    if verdict.documents:
        yield "factors"
        yield from (f"  {document}" for document in verdict.documents)
    if verdict.evidence is not None:
        batches, linked, unsigned = verdict.evidence.batches, verdict.evidence.linked, verdict.evidence.unsigned
        yield f"evidence: {batches} sealed batches in the log, {linked} linked to the one before" + (
            f", {unsigned} unsigned: not proven" if unsigned else ""
        )
        for counter in verdict.evidence.counters:
            yield f"  {counter.edge}/{counter.device} {counter.quantity}: {counter.from_text} to {counter.to_text}, {counted(counter.readings, 'reading')}"
    else:
        yield "evidence: none in this bundle; intervals end at the kept counter values"
    for fault in verdict.faults[:_SHOWN]:
        yield f"CHANGED {fault}"
    if len(verdict.faults) > _SHOWN:
        yield f"... and {len(verdict.faults) - _SHOWN} more"
    yield (
        "everything holds"
        if verdict.holds
        else f"{counted(len(verdict.faults), 'fault')}: this is not what was reported"
    )


def _statement(seen: StatementSeen) -> Iterator[str]:
    total = f"{Decimal(seen.kg).scaleb(-3):f} t CO2e" if seen.kg else "no figure"
    yield f"{seen.profile}: {total}, computed again from {counted(seen.lines, 'line')}"
    if seen.run is not None:
        published = "" if seen.publication is None else f", published as {seen.publication}"
        yield f"  run {seen.run} is leaf {seen.leaf} of the log{published}"
    yield (
        f"  {counted(seen.multiplied, 'line')} {are(seen.multiplied)} quantity x factor, {seen.without_figure} without a figure,"
        f" {seen.stated} as stated"
    )
    yield (
        f"  {counted(seen.summed, 'line')} {are(seen.summed)} summed from {counted(seen.intervals, 'interval')}; {seen.covered} of {seen.expected} expected"
        f" with a figure, {seen.substituted} not measured well, {seen.provisional} not final"
    )
    if seen.recorded:
        yield f"  {counted(seen.recorded, 'line')} {are(seen.recorded)} amounts of {counted(seen.records, 'activity record')}"
    if seen.traced.from_counters:
        found = seen.traced
        yield (
            f"  {found.from_counters} intervals are differences of {found.boundaries} kept counter values; {found.sealed} of these are readings in"
            f" sealed batches, {found.between} lie between two"
        )

"""`wattline verify`: the verdict on an evidence bundle, a report or a demand-response event, for people and for programs. The checking is `aggregator.audit.verification` and `aggregator.reports.checking`."""

import argparse
import dataclasses
import json
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from aggregator.audit.note import Verifier
from aggregator.audit.verification import Verdict, verify
from aggregator.reports.checking import check, is_report
from wattline import report_verdict
from wattline.file_errors import told
from wattline.plurals import counted
from wire.keys import KeyUnusable, PublicKey

_SHOWN: Final = 20  # faults
_EVENT_MARKS: Final = (b"wattline event bundle 1\n", b"commitment.json")  # one is there whichever byte was changed


def run(options: argparse.Namespace) -> int:
    """0 where everything holds, 1 where something was changed, 2 where file or keys cannot be used."""
    try:
        log_key = None if options.log_key is None else Verifier.from_text(options.log_key)
        edge_keys = [PublicKey.from_text(text) for text in options.edge_key]
        raw = options.file.read_bytes()
        noted = None if options.noted is None else options.noted.read_bytes()
    except (KeyUnusable, OSError) as error:
        print(f"wattline verify: {told(error)}", file=sys.stderr)
        return 2
    if any(mark in raw for mark in _EVENT_MARKS):
        from aggregator.flexibility.events.checking import check as check_event  # what works baselines out is an extra
        from wattline import event_verdict

        return event_verdict.told(check_event(raw, log_key), options, pinned=log_key is not None)
    if is_report(raw):
        pinned = (log_key is not None, bool(edge_keys))
        status = report_verdict.told(check(raw, log_key, edge_keys, noted), options, pinned)
        return status if options.trace is None else report_verdict.traced(raw, options.trace) or status
    if options.trace is not None:
        print("wattline verify: expected a report for --trace, got an evidence bundle", file=sys.stderr)
        return 2
    verdict = verify(raw, log_key, edge_keys, noted)
    if options.json:
        print(json.dumps({"holds": verdict.holds, **dataclasses.asdict(verdict)}), file=sys.stdout)
    else:
        _print(verdict, pinned=(log_key is not None, bool(edge_keys)), out=sys.stdout)
    return 0 if verdict.holds else 1


def _print(verdict: Verdict, pinned: tuple[bool, bool], out: TextIO) -> None:
    def say(line: str) -> None:
        print(line, file=out)

    if verdict.origin:
        say(f"facility {verdict.facility}, log {verdict.origin} at {verdict.size} leaves")
    for name, fingerprint in verdict.keys.items():
        given = pinned[0] if name.startswith("log ") else pinned[1]
        say(f"  key {name}: {fingerprint}{'' if given else '  (from the bundle: compare it with what you noted)'}")
    say(
        f"  {verdict.batches} sealed batches, {verdict.linked} linked to the one before, {verdict.unlinked} behind a gap"
    )
    if verdict.since is not None:
        say(f"  the log begins with the {verdict.since} leaves of the noted checkpoint")
    if verdict.unsigned:
        say(f"  not proven: {verdict.unsigned} of them are unsigned")
    for counter in verdict.counters:
        falls = f", falls {counter.falls} times" if counter.falls else ""
        say(
            f"  {counter.edge}/{counter.device} {counter.quantity}: {counter.from_text} at {_utc(counter.from_ms)}"
            f" to {counter.to_text} at {_utc(counter.to_ms)}, {counter.readings} readings{falls}"
        )
    for fault in verdict.faults[:_SHOWN]:
        say(f"CHANGED {fault}")
    if len(verdict.faults) > _SHOWN:
        say(f"... and {len(verdict.faults) - _SHOWN} more")
    say(
        "everything holds"
        if verdict.holds
        else f"{counted(len(verdict.faults), 'fault')}: this is not what was sealed and logged"
    )


def _utc(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # a clock beyond all calendars
        return f"{at_ms} ms"

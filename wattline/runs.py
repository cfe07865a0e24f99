"""`wattline runs`: freeze, approve, publish, restate, verify and compare what a span comes to. Not how any of it is done (`aggregator.accounts`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.accounts.compile import Accounts, CannotCompile, Span
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.accounts.runs.bridge import Bridge
from aggregator.accounts.runs.calculation import calculated, differences, proof_of_interval, proof_of_record, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import bridge_of_runs, impact, restated
from aggregator.accounts.runs.run import Publication, Run
from aggregator.accounts.runs.told import bridge_json, impact_json, publication_json, run_json, view_json
from aggregator.accounts.runs.views import viewed
from aggregator.audit.leaves import LogUnusable
from aggregator.audit.record_proof import LogReader, record_proof
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError
from aggregator.settings import Settings, SettingsFaults, load
from wattline.statement import chosen, instant_ms, opened
from wire.keys import KeyUnusable

_GRAM: Final = Decimal("0.001")


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (refused, or not as it was frozen), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        with ExitStack() as stack:
            accounts = stack.enter_context(opened(settings))
            runs = stack.enter_context(Runs(settings.data_directory / ACCOUNTS_NAME))
            return Words(options, settings, accounts, runs).word()
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline runs: {error}", file=sys.stderr)
        return 2
    except (RecordsRefused, RegistryRefused) as error:
        for fault in error.faults:
            print(f"wattline runs: {fault}", file=sys.stderr)
        return 1
    except (RecordsBusy, RecordsUnusable, LedgerError, LogUnusable, KeyUnusable, LookupError, sqlite3.Error, OSError) as error:  # fmt: skip
        print(f"wattline runs: {error}", file=sys.stderr)
        return 1


class Words:
    """The words, over the records of one data directory."""

    def __init__(self, options: argparse.Namespace, settings: Settings, accounts: Accounts, runs: Runs) -> None:
        self.options, self.settings, self.accounts, self.runs = options, settings, accounts, runs
        self.now_ms = accounts.clock()

    def word(self) -> int:
        """The exit status of the word that the options name."""
        words: dict[str, Callable[[], int]] = {
            "new": self.new, "list": self.listed, "show": self.show, "approve": self.approve, "publish": self.publish,
            "impact": self.impact, "restate": self.restate, "verify": self.verify, "compare": self.compare, "prove": self.prove,
            "view": self.view,
        }  # fmt: skip
        return words[self.options.verb]()

    def new(self) -> int:
        """Freeze a span."""
        facility, span = self._span()
        made = calculated(self.accounts, rules_now(self.accounts, facility, self.options.profile), span)
        found = self.runs.add(made, self.options.by, self.options.reason, self.now_ms)
        return self._print(self._run_lines(found))

    def listed(self) -> int:
        """All runs and publications."""
        named = (self.options.facility, self.options.profile)
        runs, publications = self.runs.runs(*named), self.runs.publications(*named)
        if self.options.json:
            return self._json({"runs": [*map(run_json, runs)], "publications": [*map(publication_json, publications)]})
        lines = [self._line(each) for each in runs]
        lines += [self._issued(each) for each in publications]
        return self._print(lines or ["no run yet: wattline runs new"])

    def show(self) -> int:
        """One run."""
        found = self.runs.run(self.options.number)
        if self.options.statement:
            sys.stdout.write(self.runs.encoded(found.no).decode())
            return 0
        if self.options.json:
            return self._json(run_json(found))
        return self._print(self._run_lines(found))

    def approve(self) -> int:
        """By a second person."""
        found = self.runs.approve(self.options.number, self.options.by, self.now_ms, self.options.note)
        return self._print([self._line(found)])

    def publish(self) -> int:
        """What was approved."""
        found = self.runs.publish(self.options.number, self.options.by, self.now_ms, self.options.note)
        return self._print([self._issued(found)])

    def impact(self) -> int:
        """Publications that would change; exit status 0 also where there are some."""
        found = impact(
            self.accounts, self.runs, self.now_ms, self.options.facility, self.settings.significance_percent, drafts=self.options.drafts
        )  # fmt: skip
        if self.options.json:
            return self._json([impact_json(each) for each in found])
        lines = []
        for each in found:
            what = "to be reissued" if each.reissue else "below the threshold: on record, told with the next issue"
            lines.append(self._issued(each.publication))
            lines.append(f"  {each.bridge.text()}" if each.bridge else f"  cannot be told: {each.unknown}")
            lines.append(f"  {each.lines} lines differ; {what}")
        return self._print(lines or ["no publication would change"])

    def restate(self) -> int:
        """A run for a publication."""
        found = restated(
            self.accounts, self.runs, self.options.publication, self.options.by, self.options.reason, self.now_ms,
            self.settings.significance_percent,
        )  # fmt: skip
        return self._print(self._run_lines(found))

    def verify(self) -> int:
        """Calculate again."""
        found = differences(self.accounts, self.runs, self.options.number)
        run = self.runs.run(self.options.number)
        for each in found:
            print(f"run {run.no}: {each}")
        if not found:
            print(f"run {run.no}: calculated again, the same bytes: sha256 {run.statement_sha256}")
        return 1 if found else 0

    def compare(self) -> int:
        """Two runs of a span."""
        found = bridge_of_runs(self.accounts, self.runs, self.options.first, self.options.second)
        if self.options.json:
            return self._json(bridge_json(found))
        runs = [self._line(self.runs.run(no)) for no in (self.options.first, self.options.second)]
        return self._print([*runs, *_bridge_lines(found)])

    def prove(self) -> int:
        """Of a record in the log, or of an interval or an activity record under a run; JSON."""
        options = self.options
        if options.record is not None:
            if options.number is None or options.device is not None or options.at is not None:
                raise CannotCompile("prove: expected --record with --run alone, got it with others or without --run")
            of_record = proof_of_record(self.accounts, self.runs, options.number, options.record)
            steps = asdict(of_record)
            return self._json({"record": steps["interval"], "series": steps["series"], "input_root": of_record.root()})
        if options.device is None and options.at is None:
            kind, number = (
                ("run", options.number) if options.number is not None else ("publication", options.publication)
            )
            with LogReader(self.settings.data_directory) as log:
                proof = record_proof(log, kind, number)
                proof.check(log.verifier)
            known = self.runs.run(number) if kind == "run" else self.runs.publication(number)
            if proof.leaf.encode() != known.leaf():
                raise RecordsRefused(
                    [f"{kind} {number}: expected the record that is in the log, got another under its number"]
                )
            return self._json(asdict(proof))
        if options.device is None or options.at is None or options.number is None:
            raise CannotCompile("prove: expected --run, --device and --at together, got only some of them")
        zone = self._zone(self.runs.run(options.number).facility)
        start_ms = instant_ms("--at", options.at, zone)
        found = proof_of_interval(self.accounts, self.runs, options.number, options.device, options.quantity, start_ms)
        return self._json(asdict(found) | {"input_root": found.root()})

    def view(self) -> int:
        """Published and latest."""
        options = self.options
        facility, span = self._span()
        as_of_ms = None if options.as_of is None else span.as_of_ms
        found = viewed(
            self.accounts, self.runs, facility, options.profile, (span.from_ms, span.to_ms), options.view, as_of_ms
        )
        if options.json:
            return self._json(view_json(found))
        issued = "not published" if found.published is None else self._issued(found.published)
        lines = [
            f"{found.view}: {_kg(found.kg)}",
            f"  {issued}",
            f"  known {self._time(found.as_of_ms, facility)}: {_kg(found.known_kg)}",
        ]
        for seen in found.series:
            lines.append(self._issued(seen.publication))
            lines += _bridge_lines(seen.bridge)
        return self._print(lines)

    # -- what is printed ------------------------------------------------------------------------------------------

    def _span(self) -> tuple[str, Span]:
        options = self.options
        facility = chosen(options.facility, self.settings)
        from_ms, to_ms = (
            instant_ms(name, text, facility.zone) for name, text in (("--from", options.begin), ("--to", options.end))
        )
        as_of_ms = self.now_ms if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone)
        return facility.id, Span(from_ms, to_ms, as_of_ms)

    def _line(self, found: Run) -> str:
        span = f"{self._time(found.from_ms, found.facility)} to {self._time(found.to_ms, found.facility)}"
        restates = "" if found.restates is None else f", restates publication {found.restates}"
        waits = ", waits for the factor of its year" if found.waits else ""
        return f"run {found.no}: {found.facility}, {found.profile}, {span}: {_kg(found.kg)}, {found.state}{restates}{waits}"

    def _issued(self, found: Publication) -> str:
        span = f"{self._time(found.from_ms, found.facility)} to {self._time(found.to_ms, found.facility)}"
        state = "published" if found.standing else "restated"
        carries = f", tells of runs {', '.join(map(str, found.carries))}" if found.carries else ""
        return (
            f"publication {found.no}: run {found.run}, {found.facility}, {found.profile}, {span}: {_kg(found.kg)}, {state}"
            f" {self._time(found.at_ms, found.facility)} by {found.by}, approved by {found.approver}{carries}"
        )

    def _run_lines(self, found: Run) -> Iterator[str]:
        yield self._line(found)
        yield f"  as known     {self._time(found.as_of_ms, found.facility)}, by {found.operator}" + (
            f": {found.reason}" if found.reason else ""
        )
        if found.watermark_ms is not None:
            yield f"  final up to  {self._time(found.watermark_ms, found.facility)}"
        yield f"  statement    sha256 {found.statement_sha256}"
        yield f"  factor set   sha256 {found.factor_set_sha256}"
        intervals = sum(each.intervals for each in found.series)
        yield f"  input root   {found.input_root} of {intervals} intervals in {len(found.series)} series"
        yield f"  code         {found.code_version}"
        if found.bridge is not None:
            yield from _bridge_lines(found.bridge)
        for state, by, note, at_ms in self.runs.states(found.no):
            yield f"  {state:<12} {self._time(at_ms, found.facility)} by {by}" + (f": {note}" if note else "")

    def _zone(self, facility: str) -> ZoneInfo:
        found = self.settings.facility(facility)
        return ZoneInfo("UTC") if found is None else found.zone

    def _time(self, at_ms: int, facility: str) -> str:
        return datetime.fromtimestamp(at_ms / 1000, self._zone(facility)).isoformat(timespec="minutes")

    def _print(self, lines: Iterable[str]) -> int:
        for line in lines:
            print(line)
        return 0

    def _json(self, said: object) -> int:
        print(json.dumps(said, ensure_ascii=False))
        return 0


def _bridge_lines(found: Bridge) -> Iterator[str]:
    yield f"  {found.text()}"


def _kg(kg: Decimal | None) -> str:
    return "no figure" if kg is None else f"{kg.quantize(_GRAM, ROUND_HALF_EVEN):f} kg"

"""Calculates a span for a run: its statement, and what it was made of. The same rules and times give the same bytes. Not how it is kept (see `runs`)."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from itertools import zip_longest
from typing import Final

from aggregator.accounts.activities.kept import RECORDS
from aggregator.accounts.activities.kept_of_span import kept_of_span
from aggregator.accounts.compile import Accounts, Span, compile_statement
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.runs.inputs import InputList, InputProof, input_proof, record_input_proof, series_of_records
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.run import Calculation, Run
from aggregator.emissions.entry import Entry, as_json
from aggregator.ledger import IntervalRow

_SOURCES: Final = ("aggregator.accounts", "aggregator.emissions", "aggregator.intervals")  # what decides a figure


def calculated(accounts: Accounts, rules: Rules, span: Span) -> Calculation:
    """What the span comes to under these rules. Raises what `Accounts.statement` raises."""
    asked = InputList()

    def read(device: str, quantity: str) -> Sequence[IntervalRow]:
        return accounts.ledger.intervals(rules.facility.id, device, quantity, span.from_ms, span.to_ms, span.as_of_ms)

    with accounts.opened(rules.facility, rules.profile, span) as (period, makers):
        statement = compile_statement(asked.watched(period), makers)
        factors = factor_set_sha256(period.entries)
        series = asked.series(read)  # again, one series at a time, so that they are not all in memory
    records = kept_of_span(
        accounts.data_directory, rules.facility, rules.profile, span.from_ms, span.to_ms, span.as_of_ms,
        drafts=span.draft_activities,
    )  # fmt: skip
    if records:
        series = (*series, series_of_records(records, span.to_ms))
    return Calculation(statement, rules, span.factors_ms, factors, series, code_version())


def rules_now(accounts: Accounts, facility: str, profile: str) -> Rules:
    """As settings and profile say now. Raises CannotCompile."""
    return Rules(accounts.facility(facility), accounts.profile(profile))


def span_of(run: Run) -> Span:
    """The span and the times of a run."""
    return Span(run.from_ms, run.to_ms, run.as_of_ms, run.factors_as_of_ms)


def differences(accounts: Accounts, runs: Runs, no: int) -> list[str]:
    """Calculates a run again and says what is not as it was frozen, one line each; none: the same bytes. Raises RecordsRefused and as `calculated`."""
    run = runs.run(no)
    frozen = runs.encoded(no)
    again = calculated(accounts, runs.rules(no), span_of(run))
    found: list[str] = []
    if again.factor_set_sha256 != run.factor_set_sha256:
        found.append(f"factors: expected the set {run.factor_set_sha256}, got {again.factor_set_sha256}")
    was, now = ({each.name: each for each in series} for series in (run.series, again.series))
    if RECORDS not in was:  # a run of a program that did not list them
        now.pop(RECORDS, None)
    others = [name for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name)]
    found += [f"inputs: expected the {_named(name)} that the run read, got others" for name in others]
    made = again.statement.encoded()
    if made != frozen:
        old, new = frozen.split(b"\n"), made.split(b"\n")
        pairs = enumerate(zip_longest(old, new, fillvalue=b"no such line"), start=1)
        at, one, other = next((at, one, other) for at, (one, other) in pairs if one != other)
        found.append(f"statement, line {at}: expected {_short(one)}, got {_short(other)}")
    return found


def _named(name: tuple[str, str]) -> str:
    return "activity records" if name == RECORDS else f"intervals of {' '.join(name)}"


def proof_of_interval(accounts: Accounts, runs: Runs, no: int, device: str, quantity: str, start_ms: int) -> InputProof:
    """That a run has read the interval that starts then. Raises LookupError, RecordsRefused, LedgerError."""
    run = runs.run(no)
    rows = accounts.ledger.intervals(run.facility, device, quantity, run.from_ms, run.to_ms, run.as_of_ms)
    return input_proof(run.series, rows, start_ms)


def proof_of_record(accounts: Accounts, runs: Runs, no: int, record: int) -> InputProof:
    """That a run has read the activity record of that number. Raises LookupError, RecordsRefused, RecordsUnusable, RecordsBusy."""
    run, rules = runs.run(no), runs.rules(no)
    span = (run.from_ms, run.to_ms, run.as_of_ms)
    return record_input_proof(
        run.series, kept_of_span(accounts.data_directory, rules.facility, rules.profile, *span), record
    )


def factor_set_sha256(entries: Sequence[Entry]) -> str:
    """Of every approved factor and parameter, in canonical JSON, one line each."""
    lines = (
        json.dumps(as_json(entry), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        for entry in entries
        if entry.status == "approved"
    )
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


@cache
def code_version() -> str:
    """The program's version, and the first 12 hex digits of the hash over the source that decides a figure."""
    digest = hashlib.sha256()
    for package in _SOURCES:
        for name, file in sorted(_files(resources.files(package), package)):
            digest.update(f"{name}\n".encode() + file.read_bytes())
    return f"{metadata.version('wattline')}+{digest.hexdigest()[:12]}"


def _files(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _files(each, f"{name}/{each.name}")
        elif each.name.endswith((".py", ".sql", ".toml", ".csv")):
            yield f"{name}/{each.name}", each


def _short(line: bytes) -> str:
    return line[:300].decode(errors="replace")

"""The report bundle: a zip file from a report's numbers down to the meters' counters, in one exact form. Not where it is made (`bundling`) nor checked (`checking`).

```
contents.txt               a signed note: SHA-256 and name of every other file
checkpoint.txt             the log's checkpoint that the proofs lead to
report.json                what the report says in all: totals by profile, hashes, factors with their documents
report.en.html             the page for people
statements/GHGP-LB.jsonl   a statement's canonical lines: a head, then a line each
intervals/GHGP-LB.jsonl    the interval energies behind the lines; each line is a leaf of a run's input list
boundaries/GHGP-LB.jsonl   the counters' values at the instants where intervals meet
activities/GHGP-LB.jsonl   the activity records of the span; each line is a leaf of a run's list of them; where there are any
meters/GHGP-LB.jsonl       the facility's meters: roles, multipliers
runs/GHGP-LB.jsonl         the run, and its publication, with their proofs; where the statement is a run's
evidence.zip               the sealed batches with the counter readings (docs/audit.md); where the archive has them
since.json                 the proof that the log goes on from a checkpoint of so many leaves; where it was asked for
```
Nothing is compressed and no time of making is in it, so the same report is the same bytes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from aggregator.accounts.activities.kept import Kept
from aggregator.accounts.statement import plain
from aggregator.audit import tree
from aggregator.audit.evidence import CHECKPOINT, CONTENTS, BundleUnreadable
from aggregator.emissions.amounts import EXACT
from aggregator.reports.backing import Interval

FORMAT: Final = "wattline report bundle 1"
REPORT: Final = "report.json"
STATEMENTS: Final = "statements"
INTERVALS: Final = "intervals"
BOUNDARIES: Final = "boundaries"
RUNS: Final = "runs"
METERS: Final = "meters"
ACTIVITIES: Final = "activities"
EVIDENCE: Final = "evidence.zip"
SINCE: Final = "since.json"
MOST_INTERVALS: Final = 500_000
_DIGITS: Final = EXACT.prec
NAMES: Final = re.compile(
    rf"{re.escape(CONTENTS)}|{re.escape(CHECKPOINT)}|report\.json|report\.(en|zh)\.html"
    r"|(statements|intervals|boundaries|activities|meters|runs)/[A-Za-z0-9-]{1,64}\.jsonl|evidence\.zip|since\.json"
)


class KeptBoundary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counter's value at an instant, in displayed kWh counted on over rollovers, as the ledger has it."""

    at_ms: int
    device: str
    edge: str
    how: str
    quality: int
    quantity: str
    reason: str
    value: Decimal


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof of a run or publication: its leaf as text, its place, the path to the root (hex, from the leaf up)."""

    kind: str
    number: int
    index: int
    size: int
    leaf: str
    path: list[str]


class Since(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A consistency proof from the first `size` leaves to the checkpoint, hashes in hex."""

    proof: list[str]
    size: int


class RunFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement's run, the (device, quantity) of the intervals that it has read, and its publication."""

    run: Record
    series: list[tuple[str, str]]
    publication: Record


def of_profile(folder: str, profile: str) -> str:
    """The name of a statement's file in a folder."""
    return f"{folder}/{profile}.jsonl"


def lines_of(rows: Iterable[msgspec.Struct]) -> bytes:
    """Canonical JSON lines: the same rows give the same bytes, and of an interval exactly its leaf in an input list."""
    return b"".join(canonical({name: getattr(row, name) for name in row.__struct_fields__}) + b"\n" for row in rows)


def canonical(value: dict[str, Any]) -> bytes:
    """JSON in its one spelling."""
    return json.dumps(
        {name: plain(each) for name, each in value.items()}, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()


def bounded(values: Iterable[object]) -> None:
    """Raises BundleUnreadable where a decimal among the values is no amount that can be added and written: NaN, 1E+999999999."""
    for value in values:
        if isinstance(value, Decimal) and not (
            value.is_finite() and abs(value.adjusted()) + len(value.as_tuple().digits) <= _DIGITS
        ):
            raise BundleUnreadable(f"expected amounts of at most {_DIGITS} digits, got {str(value)[:40]}")


def rows_of(raw: bytes, kind: type[Any]) -> list[Any]:
    """The rows of `lines_of`. Raises BundleUnreadable naming the line."""
    found = []
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            found.append(decoder.decode(line))
            bounded(decimals_of(found[-1]))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
            raise BundleUnreadable(f"line {number}: {error}") from error
    return found


def decimals_of(row: Any) -> Iterator[object]:
    """The values of a row, and of the rows within it."""
    names: tuple[str, ...] = getattr(row, "__struct_fields__", ()) or tuple(getattr(row, "__dataclass_fields__", ()))
    for name in names:
        value = getattr(row, name)
        for each in value if isinstance(value, tuple) else (value,):
            yield each
            yield from decimals_of(each)


def input_root(series: Iterable[tuple[tuple[str, str], Sequence[Interval | Kept]]]) -> str:
    """The root over all series of intervals (device, quantity) and of records, in hex, as a run's input list has it (aggregator/accounts/runs/inputs.py)."""
    leaves = []
    for (device, quantity), rows in series:
        root = _root([_leaf(row) for row in rows])
        leaves.append(canonical({"device": device, "intervals": len(rows), "quantity": quantity, "root": root}))
    return _root(leaves)


def _leaf(row: Interval | Kept) -> bytes:
    return (
        row.leaf() if isinstance(row, Kept) else canonical({name: getattr(row, name) for name in row.__struct_fields__})
    )


def _root(leaves: Sequence[bytes]) -> str:
    hashes = [tree.leaf_hash(leaf) for leaf in leaves]
    return tree.root(len(hashes), lambda level, at: tree.folded(hashes[at << level : (at + 1) << level])).hex()

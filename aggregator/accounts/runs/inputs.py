"""The interval energies and activity records that a run has read, as one hash that any single one can be proven under. Not the run (see `runs`).

input root
├── series incomer energy_import_kwh, 2976 intervals, root ...
│   ├── [00:00, 00:15) 12.5 kWh ...        a leaf: the interval's canonical JSON
│   └── ...
├── series ...                              a leaf: the series' canonical JSON
└── series * activity_record, 9 records ...  a leaf for each record, where there are any (see `activities.kept`)

Both levels are trees of RFC 6962 (aggregator/audit/tree.py) over leaves in the order of device, quantity and time. A proof therefore needs the
intervals of one series and the list of series, not every interval of a facility.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from aggregator.accounts.activities.kept import RECORDS, Kept
from aggregator.accounts.period import Intervals, Period
from aggregator.audit import tree
from aggregator.intervals.written_time import written
from aggregator.ledger import IntervalRow


@dataclass(frozen=True, slots=True)
class Series:
    """The intervals of one device and quantity that a run read: how many, up to where all are final, and their root (hex). Under `RECORDS` its activity records."""

    device: str
    quantity: str
    intervals: int
    final_to_ms: int | None
    root: str

    @property
    def name(self) -> tuple[str, str]:
        return self.device, self.quantity

    def leaf(self) -> bytes:
        """Canonical JSON."""
        return _canonical(
            {"device": self.device, "intervals": self.intervals, "quantity": self.quantity, "root": self.root}
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A leaf and its path (hashes in hex, from the leaf up) to the root of `size` leaves."""

    index: int
    size: int
    leaf: str
    path: tuple[str, ...]

    def root(self) -> str:
        """Where the path leads. Raises ProofBroken."""
        path = [bytes.fromhex(each) for each in self.path]
        return tree.root_of_inclusion(self.index, self.size, tree.leaf_hash(self.leaf.encode()), path).hex()


@dataclass(frozen=True, slots=True)
class InputProof:
    """An interval (or an activity record) under its series' root, and the series under the input root."""

    interval: Step
    series: Step

    def root(self) -> str:
        """The input root that it leads to. Raises ProofBroken where the series is not the interval's."""
        said = json.loads(self.series.leaf)
        if said["root"] != self.interval.root() or said["intervals"] != self.interval.size:
            raise tree.ProofBroken(
                f"input proof: expected a series with root {self.interval.root()}, got {said['root']}"
            )
        return self.series.root()


def interval_leaf(row: IntervalRow) -> bytes:
    """Canonical JSON of an interval energy: keys in their order, no blanks. Put together here because there are millions of them in a run."""
    final = "true" if row.final else "false"
    return (
        f'{{"device":{_quoted(row.device)},"end_ms":{row.end_ms},"energy_kwh":"{row.energy_kwh:f}","final":{final},'
        f'"quality":{row.grade.quality:d},"quantity":{_quoted(row.quantity)},"reason":{_quoted(row.grade.reason)},'
        f'"source":{_quoted(row.source)},"start_ms":{row.start_ms},"version":{row.version}}}'
    ).encode()


class InputList:
    """Notes which interval energies of a period are asked for, by row or by column. One thread."""

    def __init__(self) -> None:
        self._asked: set[tuple[str, str]] = set()

    def watched(self, period: Period) -> Period:
        """The same period; what is read of it is noted."""
        intervals, rows, columns = period.intervals, period.rows, period.columns

        def of_span(device: str, quantity: str) -> Sequence[IntervalRow]:
            self._note(device, quantity)
            return intervals(device, quantity)

        def of_part(device: str, quantity: str, from_ms: int, to_ms: int) -> Sequence[IntervalRow]:
            assert rows is not None
            self._note(device, quantity)
            return rows(device, quantity, from_ms, to_ms)

        return replace(
            period,
            intervals=of_span,
            rows=None if rows is None else of_part,
            columns=None if columns is None else columns.noting(self._note),
        )

    def _note(self, device: str, quantity: str) -> None:
        self._asked.add((device, quantity))

    def series(self, read: Intervals) -> tuple[Series, ...]:
        """What was asked for and there, in order; `read` gives the rows of one series at a time."""
        found = (series_of(device, quantity, read(device, quantity)) for device, quantity in sorted(self._asked))
        return tuple(each for each in found if each.intervals)


def series_of(device: str, quantity: str, rows: Sequence[IntervalRow]) -> Series:
    """What a run keeps of these intervals."""
    ordered = sorted(rows, key=_time)
    open_ms = next((row.start_ms for row in ordered if not row.final), None)
    final_to_ms = ordered[-1].end_ms if ordered and open_ms is None else open_ms
    return Series(device, quantity, len(ordered), final_to_ms, _root(map(interval_leaf, ordered)))


def series_of_records(records: Sequence[Kept], to_ms: int) -> Series:
    """What a run keeps of the activity records that it read for a span up to `to_ms`: final up to the first that nobody has approved."""
    open_ms = min((record.from_ms for record in records if not record.approved), default=to_ms)
    return Series(*RECORDS, len(records), open_ms, _root(record.leaf() for record in records))


def input_root(series: Sequence[Series]) -> str:
    """The root over the leaves of all series, in hex."""
    return _root(each.leaf() for each in series)


def input_proof(series: Sequence[Series], rows: Sequence[IntervalRow], start_ms: int) -> InputProof:
    """That the interval of `rows` (one device and quantity) that starts at `start_ms` was read by the run with these series. Raises LookupError."""
    ordered = sorted(rows, key=_time)
    at = next((at for at, row in enumerate(ordered) if row.start_ms == start_ms), None)
    if at is None:
        raise LookupError(f"expected the start of an interval, none starts at {written(start_ms)}")
    name = (ordered[at].device, ordered[at].quantity)
    of = next((of for of, each in enumerate(series) if each.name == name), None)
    if of is None:
        raise LookupError(f"expected a series that the run has read, {' '.join(name)} is none")
    proof = InputProof(_step(at, [interval_leaf(row) for row in ordered]), _step(of, [each.leaf() for each in series]))
    if proof.interval.root() != series[of].root:
        raise LookupError(f"{' '.join(name)}: expected the intervals that the run has read, the ledger has others now")
    return proof


def record_input_proof(series: Sequence[Series], records: Sequence[Kept], no: int) -> InputProof:
    """That activity record `no` of `records` was read by the run with these series. Raises LookupError."""
    at = next((at for at, record in enumerate(records) if record.activity.no == no), None)
    of = next((of for of, each in enumerate(series) if each.name == RECORDS), None)
    if at is None or of is None:
        known = ", ".join(str(record.activity.no) for record in records) if of is not None else ""
        raise LookupError(f"expected an activity record that the run has read ({known or 'none'}), got {no}")
    leaves = [record.leaf() for record in records]
    proof = InputProof(_step(at, leaves), _step(of, [each.leaf() for each in series]))
    if proof.interval.root() != series[of].root:
        raise LookupError("expected the activity records that the run has read, others are on record now")
    return proof


def _step(index: int, leaves: Sequence[bytes]) -> Step:
    levels = [[tree.leaf_hash(leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([tree.node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    path = tree.inclusion_proof(index, len(leaves), lambda level, at: levels[level][at])
    return Step(index, len(leaves), leaves[index].decode(), tuple(each.hex() for each in path))


def _root(leaves: Iterable[bytes]) -> str:
    """Of any number of leaves, with as many hashes in memory as the tree is high."""
    peaks: list[bytes] = []  # of complete subtrees, the largest first: one for each bit of the number of leaves
    for count, leaf in enumerate(leaves):
        found = tree.leaf_hash(leaf)
        while count & 1:
            count, found = count >> 1, tree.node_hash(peaks.pop(), found)
        peaks.append(found)
    if not peaks:
        return tree.EMPTY_ROOT.hex()
    found = peaks.pop()
    while peaks:
        found = tree.node_hash(peaks.pop(), found)
    return found.hex()


@lru_cache(4096)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _time(row: IntervalRow) -> tuple[int, int]:
    return row.start_ms, row.end_ms


def _canonical(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

"""Gap records that wait for a batch to carry them: neighbours are joined, so that they stay few. Not when something becomes a gap."""

from collections.abc import Iterable
from typing import Final

import msgspec

from wire.content import Gap

MAX_PENDING: Final = 2_000
MAX_NUMBERS: Final = 500  # that one gap names one by one; then another gap begins
MAX_PER_BATCH: Final = 200
MAX_BYTES_PER_BATCH: Final = 128 << 10  # an eighth of what a reader unpacks


class PendingGaps:
    """`waiting` have no batch yet; `carried` are in a batch that is not synced yet. `total` counts all that were ever added."""

    def __init__(self, gaps: Iterable[Gap] = ()) -> None:
        self.waiting = list(gaps)
        self.carried: list[Gap] = []
        self.total = 0
        self.changed = False  # since they were last written down

    def add(self, gap: Gap) -> None:
        """The next batch carries it. A `new_spool` goes before all others: it belongs into its epoch's first batch."""
        self.total += 1
        self.changed = True
        if gap.kind == "new_spool":
            self.waiting.insert(0, gap)
            return
        full = len(self.waiting) >= MAX_PENDING
        if self.waiting and not full:
            joined = _joined(self.waiting[-1], gap)
            if joined is not None:
                self.waiting[-1] = joined
                return
        if full or gap.kind == "unsealed":
            for at in range(len(self.waiting) - 1, -1, -1):
                if _alike(self.waiting[at], gap) and (full or self.waiting[at].reason == gap.reason):
                    self.waiting[at] = _widened(self.waiting[at], gap)
                    return
        self.waiting.append(gap)

    def take(self) -> list[Gap]:
        """As many as one batch carries; `put_back` when it was not written, `written` when it was synced."""
        size, count = 0, 0
        for gap in self.waiting[:MAX_PER_BATCH]:
            size += len(msgspec.json.encode(gap))
            if count and size > MAX_BYTES_PER_BATCH:
                break
            count += 1
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        self.carried.extend(taken)
        self.changed = self.changed or bool(taken)
        return taken

    def put_back(self, taken: list[Gap]) -> None:
        """The batch that was to carry the last ones taken was not written."""
        if taken:
            self.carried = self.carried[: -len(taken)]
            self.waiting = taken + self.waiting

    def written(self, count: int) -> None:
        """The batches with the first `count` of those carried survive a power cut."""
        if count:
            self.carried = self.carried[count:]
            self.changed = True

    def all(self) -> list[Gap]:
        """What must be written down."""
        return self.carried + self.waiting


def _alike(a: Gap, b: Gap) -> bool:
    return (a.kind, a.epoch, a.cls) == (b.kind, b.epoch, b.cls) and a.kind not in {"new_spool", "restart"}


def _joined(earlier: Gap, later: Gap) -> Gap | None:
    """Both as one where that says the same; None where it would not."""
    if not _alike(earlier, later) or earlier.reason != later.reason:
        return None
    if earlier.first_seq is None or earlier.last_seq is None or later.first_seq is None or later.last_seq is None:
        return None
    if later.first_seq <= earlier.last_seq:
        return None
    if later.first_seq == earlier.last_seq + 1 and not earlier.seqs and not later.seqs:
        return _widened(earlier, later)
    if earlier.cls == "":
        return None  # only a class leaves holes as a rule: each batch of another class lies between
    if len(earlier.seqs) + later.last_seq - later.first_seq >= MAX_NUMBERS:
        return None
    own, next_ = _named(earlier), _named(later)
    if len(own) + len(next_) > MAX_NUMBERS:
        return None
    return msgspec.structs.replace(_widened(earlier, later), seqs=[*own, next_[0] - earlier.last_seq, *next_[1:]])


def _named(gap: Gap) -> list[int]:
    """The gap's numbers one by one: the first, then differences."""
    if gap.seqs:
        return gap.seqs
    assert gap.first_seq is not None
    assert gap.last_seq is not None
    return [gap.first_seq, *[1] * min(MAX_NUMBERS, gap.last_seq - gap.first_seq)]


def _widened(earlier: Gap, later: Gap) -> Gap:
    """One gap over both. Its numbers are all from the first to the last: exact for neighbours, else more than was lost."""
    known = [readings for readings in (earlier.readings, later.readings) if readings is not None]
    ends_last = later if (later.last_seq or 0) >= (earlier.last_seq or 0) else earlier
    return msgspec.structs.replace(
        earlier,
        first_seq=_lowest(earlier.first_seq, later.first_seq),
        last_seq=_highest(earlier.last_seq, later.last_seq),
        seqs=[],
        last_sha256=ends_last.last_sha256,
        from_ms=_lowest(earlier.from_ms, later.from_ms),
        to_ms=_highest(earlier.to_ms, later.to_ms),
        devices=sorted({*earlier.devices, *later.devices}),
        readings=sum(known) if known else None,
    )


def _lowest(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _highest(*numbers: int | None) -> int | None:
    return max((number for number in numbers if number is not None), default=None)

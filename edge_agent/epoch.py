"""The batches of one spool life (an epoch): segments by class, what is acknowledged, what is gone. Not which epoch is current.

Every number from 1 to `last_seq` is settled (`committed` or `gone`) or lies in a segment and waits. Nothing here looks at every batch but
`open`: sums are kept, and numbers are looked up by bisection.
"""

import bisect
import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from edge_agent import checked_file
from edge_agent.checked_file import Mark
from edge_agent.segment import Record, Segment, scan
from edge_agent.spans import Spans, joined
from wire import batch as wire_batch
from wire.content import CLASSES, BatchClass, Gap
from wire.topics import valid_id

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 1 << 20
DROP_ORDER: Final[tuple[BatchClass, ...]] = ("gauge", "event", "counter")
_NO_DIGEST: Final = bytes(32)


class Identity(msgspec.Struct, frozen=True):
    """Whose batches these are (the topic is part of every digest), and the how many-th epoch of its spool this is."""

    epoch: str
    facility: str
    edge: str
    number: int = 0


class EpochUnreadable(ValueError):
    """A directory that does not tell whose batches it holds, also not by any batch."""


class _Answered(msgspec.Struct):
    committed: list[tuple[int, int]] = []
    gone: list[tuple[int, int]] = []


class Epoch:
    """A directory `<spool>/<epoch>` with `epoch.json`, `answered.json`, `mark` and segments `<class>-<first number>.seg`."""

    def __init__(self, directory: Path, identity: Identity, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self.identity = identity
        self.committed = Spans()  # the aggregator has them
        self.gone = Spans()  # dropped, refused or unreadable: a gap record names them
        self._settled = Spans()  # both
        self.last_seq = 0
        self.last_digest = ""
        self.ended = ""  # why it takes no more batches
        self.durable_to_ms = 0  # every answer up to this instant (UTC ms) was in a batch on disk; 0 where nothing was
        self.found_gaps: list[Gap] = []  # holes seen when it was opened
        self.size_bytes = 0
        self.answered_bytes = 0  # of the segments in which nothing waits
        self._segment_bytes = segment_bytes
        self._segments: dict[BatchClass, list[Segment]] = {cls: [] for cls in CLASSES}
        self._files: dict[BatchClass, int] = {}
        self._unsynced: set[BatchClass] = set()
        self._mark: int | None = None
        self._answers_changed = False

    def create(self) -> None:
        """Make the directory of a new, empty epoch. Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        checked_file.write(self.directory / "epoch.json", self.identity)
        self._open_mark()
        checked_file.sync_directory(self.directory)
        checked_file.sync_directory(self.directory.parent)

    @classmethod
    def open(cls, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> "Epoch":
        """An epoch as it lies on disk; what is damaged is read around and named in `found_gaps`. Raises EpochUnreadable, OSError."""
        segments: dict[BatchClass, list[Segment]] = {
            batch_class: [scan(path) for path in sorted(directory.glob(f"{batch_class}-*.seg"))]
            for batch_class in CLASSES
        }
        epoch = cls(directory, _identity(directory, segments), segment_bytes)
        mark = Mark.read(directory / "mark")
        try:
            answered = checked_file.read(directory / "answered.json", _Answered)
            epoch.committed, epoch.gone = Spans(answered.committed), Spans(answered.gone)
        except (OSError, ValueError) as error:
            epoch._answers_changed = True
            if not isinstance(error, FileNotFoundError):
                log.error("spool answers unreadable, their batches are sent again reason=%s", error)
        for batch_class, found in segments.items():
            sound = [segment for segment in found if segment.seqs]
            epoch._segments[batch_class] = sorted(sound, key=lambda segment: segment.first_seq)
            for segment in found:
                if segment.torn:
                    epoch.ended = "the last record was torn"
                    epoch.last_seq = max(epoch.last_seq, _first_by_name(segment.path))
        epoch._count_up(mark)
        return epoch

    def _count_up(self, mark: Mark | None) -> None:
        self._settled = Spans([*self.committed, *self.gone])
        on_disk = joined(seq for segment in self._all() for seq in segment.seqs)
        last = max((segment for segment in self._all()), key=lambda segment: segment.seqs[-1], default=None)
        if last is not None and last.seqs[-1] > self.last_seq:
            self.last_seq = last.seqs[-1]
            with contextlib.suppress(OSError):
                self.last_digest = last.read(len(last.seqs) - 1)[0].digest.hex()
        if mark is None:
            self.ended = self.ended or "its mark was lost"
        elif mark.seq > self.last_seq and mark.seq not in self._settled:
            self.ended = self.ended or "its last batches were lost"
        if mark is not None and mark.seq > self.last_seq:
            self.last_seq, self.last_digest = mark.seq, "" if mark.digest == _NO_DIGEST else mark.digest.hex()
        if self._settled.last > self.last_seq:
            self.ended = self.ended or "its last batches were lost"
            self.last_seq, self.last_digest = self._settled.last, ""
        self.durable_to_ms = self._last_instant() if mark is None else mark.to_ms
        self._name_holes(on_disk)
        for segment in self._all():
            segment.waiting = sum(seq not in self._settled for seq in segment.seqs)
            self.size_bytes += segment.size
            self.answered_bytes += 0 if segment.waiting else segment.size

    def _last_instant(self) -> int:
        """The class that is behind decides."""
        lasts = [max(segment.last_ms for segment in found) for found in self._segments.values() if found]
        return min(lasts, default=0)

    def _name_holes(self, on_disk: Spans) -> None:
        accounted = Spans([*on_disk, *self._settled])
        for first, last in list(accounted.missing(1, self.last_seq)):
            why = "not in the spool when it was opened"
            self.found_gaps.append(Gap("unreadable", why, self.identity.epoch, first_seq=first, last_seq=last))
            self.gone.add(first, last)
            self._settled.add(first, last)
            self._answers_changed = True
        if self.found_gaps:
            lost = ",".join(f"{gap.first_seq}-{gap.last_seq}" for gap in self.found_gaps[:20])
            log.error("spool batches lost epoch=%s numbers=%s", self.identity.epoch, lost)

    def resume(self) -> None:
        """Before new batches follow those found on disk: make these survive a power cut, and write the mark. Raises OSError."""
        for segments in self._segments.values():
            for segment in segments[-1:]:
                with segment.path.open("rb") as file:
                    os.fdatasync(file.fileno())
        self._open_mark()

    def _open_mark(self) -> None:
        if self._mark is None:
            self._mark = os.open(self.directory / "mark", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._write_mark(Mark(self.last_seq, self._digest(), self.durable_to_ms))
        os.fdatasync(self._mark)

    def _digest(self) -> bytes:
        return bytes.fromhex(self.last_digest) or _NO_DIGEST

    def _write_mark(self, mark: Mark) -> None:
        if self._mark is not None:
            mark.write(self._mark)
        self.durable_to_ms = mark.to_ms

    def append(self, batch_class: BatchClass, record: Record, payload: bytes) -> None:
        """Write one batch; `sync` makes it durable. Raises OSError with nothing written."""
        segments = self._segments[batch_class]
        if batch_class not in self._files or segments[-1].size >= self._segment_bytes:
            self.roll(batch_class, record.seq)
        segment = segments[-1]
        before = segment.size
        was_answered = bool(segment.seqs) and not segment.waiting
        segment.append(self._files[batch_class], record, payload)
        self.size_bytes += segment.size - before
        if was_answered:
            self.answered_bytes -= before
        self._unsynced.add(batch_class)
        self.last_seq, self.last_digest = record.seq, record.digest.hex()

    def roll(self, batch_class: BatchClass, first_seq: int) -> None:
        """Go on in a new file. Raises OSError."""
        path = self.directory / f"{batch_class}-{first_seq:020d}.seg"
        segments = self._segments[batch_class]
        old = self._files.get(batch_class)
        if old is not None and not segments[-1].seqs:
            return
        if old is not None and batch_class in self._unsynced:
            os.fdatasync(old)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        self._files[batch_class] = file
        segments.append(Segment(path))
        if old is not None:
            os.close(old)
        checked_file.sync_directory(self.directory)

    def sync(self, to_ms: int = 0) -> None:
        """Make all that was appended survive a power cut; every answer up to `to_ms` is in it. Raises OSError."""
        mark = Mark(self.last_seq, self._digest(), max(to_ms, self.durable_to_ms))
        unsynced = list(self._unsynced)
        for batch_class in unsynced:
            self._unsynced.discard(batch_class)
            try:
                os.fdatasync(self._files[batch_class])
            except OSError:
                self._unsynced.update(unsynced)
                raise
        if unsynced:
            self._write_mark(mark)

    def settled(self, seq: int) -> bool:
        """Whether nobody waits for this batch any more."""
        return seq in self._settled

    @property
    def waiting(self) -> int:
        """How many batches are still to be delivered."""
        return self.last_seq - self._settled.count

    @property
    def oldest_waiting(self) -> int:
        """The lowest number still to be delivered; the next number where none is."""
        return self._settled.first_missing

    def waiting_downwards(self, last: int) -> Iterator[int]:
        """The numbers still to be delivered, from `last` down. Must not outlive a change."""
        return self._settled.missing_downwards(min(last, self.last_seq))

    def read(self, seq: int) -> tuple[Record, bytes] | None:
        """The facts and the frame of a batch, None where it is not in the spool. Raises RecordUnreadable, OSError."""
        place = self._find(seq)
        return None if place is None else place[0].read(place[1])

    def _find(self, seq: int) -> tuple[Segment, int] | None:
        for segments in self._segments.values():
            at = bisect.bisect_right(segments, seq, key=_first_seq) - 1
            if at >= 0:
                index = bisect.bisect_left(segments[at].seqs, seq)
                if index < len(segments[at].seqs) and segments[at].seqs[index] == seq:
                    return segments[at], index
        return None

    def on_disk(self, first: int, last: int) -> Spans:
        """Which numbers of a range are on disk."""
        return joined(
            seq
            for segment in self._all()
            for seq in segment.seqs[bisect.bisect_left(segment.seqs, first) : bisect.bisect_right(segment.seqs, last)]
        )

    def commit(self, first: int, last: int) -> None:
        """The aggregator has `first` to `last`."""
        self.committed.add(first, last)
        self._settle(first, last)

    def give_up(self, first: int, last: int) -> None:
        """Nobody will have `first` to `last`: a gap record names them."""
        self.gone.add(first, last)
        self._settle(first, last)

    def _settle(self, first: int, last: int) -> None:
        for low, high in list(self._settled.missing(first, last)):
            self._count(low, high, -1)
        self._settled.add(first, last)
        self._answers_changed = True

    def uncommit(self, first: int, last: int) -> None:
        """The aggregator has lost `first` to `last` again; none of them is gone."""
        self.committed.discard(first, last)
        self._settled.discard(first, last)
        self._count(first, last, 1)
        self._answers_changed = True

    def _count(self, first: int, last: int, sign: int) -> None:
        for segments in self._segments.values():
            at = max(0, bisect.bisect_right(segments, first, key=_first_seq) - 1)
            while at < len(segments) and segments[at].first_seq <= last:
                segment = segments[at]
                was_answered = not segment.waiting
                segment.waiting += sign * _within(segment, first, last)
                if was_answered is not (not segment.waiting):
                    self.answered_bytes += -segment.size if was_answered else segment.size
                at += 1

    def save_answers(self) -> None:
        """Write down what is acknowledged and what is gone. Raises OSError."""
        if self._answers_changed:
            value = _Answered(list(self.committed), list(self.gone))
            checked_file.write(self.directory / "answered.json", value)
            self._answers_changed = False

    def _all(self) -> Iterator[Segment]:
        for segments in self._segments.values():
            yield from segments

    def delete_oldest_answered(self, *, keep_last: bool) -> int:
        """Delete the oldest segment in which nothing waits; its bytes, 0 where there is none.

        With `keep_last` the segment of the last number stays. What is acknowledged is written down first, or it would be missed.
        """
        found = [
            (segment.seqs[0], batch_class, segment)
            for batch_class, segments in self._segments.items()
            for segment in segments
            if segment.seqs and not segment.waiting and not (keep_last and segment.seqs[-1] == self.last_seq)
        ]
        if not found:
            return 0
        with contextlib.suppress(OSError):
            self.save_answers()
        _, batch_class, segment = min(found, key=lambda triple: triple[0])
        return self.delete(batch_class, segment)

    def delete_last_answered(self) -> int:
        """Delete the segment of the last number where nothing in it waits; its bytes, 0 where there is none. Raises OSError.

        From then on the mark alone tells the last number, so it is made to survive a power cut first.
        """
        for batch_class, segments in self._segments.items():
            for segment in segments[-1:]:
                if segment.seqs and not segment.waiting:
                    with contextlib.suppress(OSError):
                        self.save_answers()
                    self._open_mark()
                    return self.delete(batch_class, segment)
        return 0

    def oldest_waiting_segment(self, batch_class: BatchClass) -> Segment | None:
        """The oldest segment of a class that holds something still wanted."""
        return next((segment for segment in self._segments[batch_class] if segment.waiting), None)

    def lost_with(self, batch_class: BatchClass, segment: Segment, reason: str) -> list[tuple[Gap, bytes]]:
        """For each batch that would be lost with a segment its gap and its frame (gap records inside it are to be carried on)."""
        return [
            (_dropped(self.identity.epoch, batch_class, reason, seq, record), frame)
            for seq, record, frame in segment.records()
            if seq not in self._settled
        ]

    def delete(self, batch_class: BatchClass, segment: Segment) -> int:
        """Delete a segment of which nothing is wanted any more; its bytes. Raises OSError."""
        segments = self._segments[batch_class]
        segment.path.unlink(missing_ok=True)
        if segments[-1] is segment and batch_class in self._files:
            os.close(self._files.pop(batch_class))
            self._unsynced.discard(batch_class)
        segments.remove(segment)
        self.size_bytes -= segment.size
        self.answered_bytes -= segment.size
        return max(segment.size, 1)

    @property
    def batches(self) -> int:
        """How many batches are on disk."""
        return sum(len(segment.seqs) for segment in self._all())

    def remove(self) -> None:
        """Delete the whole directory. Raises OSError."""
        self._close_files()
        shutil.rmtree(self.directory)

    def close(self) -> None:
        """Sync and close. Raises OSError."""
        try:
            self.sync()
            self.save_answers()
        finally:
            self._close_files()

    def _close_files(self) -> None:
        for file in (*self._files.values(), *(() if self._mark is None else (self._mark,))):
            os.close(file)
        self._files.clear()
        self._mark = None


def _identity(directory: Path, segments: dict[BatchClass, list[Segment]]) -> Identity:
    """What `epoch.json` says, else what the first readable batch says of itself."""
    try:
        identity = checked_file.read(directory / "epoch.json", Identity)
        if identity.epoch == directory.name and valid_id(identity.facility) and valid_id(identity.edge):
            return identity
        reason = (
            f"{directory / 'epoch.json'}: expected epoch {directory.name} of a facility and an edge, got {identity}"
        )
    except (OSError, ValueError) as error:
        reason = str(error)
    log.error("spool epoch does not tell whose it is, its batches are asked reason=%s", reason)
    for segment in (segment for found in segments.values() for segment in found):
        for index in range(len(segment.seqs)):
            with contextlib.suppress(OSError, wire_batch.BatchUnreadable):
                content = wire_batch.peek(segment.read(index)[1])
                if content.epoch == directory.name:
                    return Identity(content.epoch, content.facility, content.edge)
    raise EpochUnreadable(f"{directory}: neither epoch.json nor any batch tells whose batches these are")


def _dropped(epoch: str, batch_class: BatchClass, reason: str, seq: int, record: Record | None) -> Gap:
    if record is None:
        return Gap("dropped", reason, epoch, batch_class, seq, seq)
    at = record.first_ms, record.last_ms
    return Gap("dropped", reason, epoch, batch_class, seq, seq, record.digest.hex(), *at, readings=record.readings)


def _first_by_name(path: Path) -> int:
    """The number that a segment was begun with, also where none of its records can be read; 0 for another's file."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) == 20 and number < "1" else 0


def _first_seq(segment: Segment) -> int:
    return segment.first_seq


def _within(segment: Segment, first: int, last: int) -> int:
    return bisect.bisect_right(segment.seqs, last) - bisect.bisect_left(segment.seqs, first)

"""The batches of one spool life (an epoch): segments by class, what is acknowledged, what is gone. Not which epoch is current."""

import bisect
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.segment import Record, RecordUnreadable, Segment, scan
from edge_agent.spans import Spans
from wire.content import CLASSES, BatchClass, Gap

SEGMENT_BYTES: Final = 1 << 20
DROP_ORDER: Final[tuple[BatchClass, ...]] = ("gauge", "event", "counter")


class Identity(msgspec.Struct, frozen=True):
    """Whose batches these are; the topic is part of every digest."""

    epoch: str
    facility: str
    edge: str


class _Answered(msgspec.Struct):
    committed: list[tuple[int, int]] = []
    gone: list[tuple[int, int]] = []


class Epoch:
    """A directory `<spool>/<epoch>` with `epoch.json`, `answered.json` and segments `<class>-<first number>.seg`."""

    def __init__(self, directory: Path, identity: Identity) -> None:
        self.directory = directory
        self.identity = identity
        self.committed = Spans()  # the aggregator has them
        self.gone = Spans()  # dropped, refused or unreadable: a gap record names them
        self.last_seq = 0
        self.last_digest = ""
        self.torn = False
        self.found_gaps: list[Gap] = []  # holes seen when it was opened
        self._segments: dict[BatchClass, list[Segment]] = {cls: [] for cls in CLASSES}
        self._files: dict[BatchClass, int] = {}
        self._unsynced: set[BatchClass] = set()
        self._answers_changed = False

    @classmethod
    def create(cls, spool: Path, identity: Identity) -> "Epoch":
        """A new, empty epoch on disk. Raises OSError."""
        directory = spool / identity.epoch
        directory.mkdir(parents=True)
        _write_whole(directory / "epoch.json", msgspec.json.encode(identity))
        return cls(directory, identity)

    @classmethod
    def open(cls, directory: Path) -> "Epoch":
        """An epoch as it lies on disk, repaired where it can be. Raises OSError, ValueError."""
        identity = msgspec.json.decode((directory / "epoch.json").read_bytes(), type=Identity)
        epoch = cls(directory, identity)
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            answered = msgspec.json.decode((directory / "answered.json").read_bytes(), type=_Answered)
            epoch.committed, epoch.gone = Spans(answered.committed), Spans(answered.gone)
        present = Spans()
        for batch_class in CLASSES:
            for path in sorted(directory.glob(f"{batch_class}-*.seg")):
                segment = scan(path)
                epoch.torn |= segment.torn
                if not segment.seqs:
                    path.unlink()
                    continue
                epoch._segments[batch_class].append(segment)
                for seq in segment.seqs:
                    present.add(seq, seq)
                if segment.seqs[-1] > epoch.last_seq:
                    epoch.last_seq = segment.seqs[-1]
                    epoch.last_digest = segment.record(len(segment.seqs) - 1).digest.hex()
        highest = max(epoch.committed.last, epoch.gone.last)
        if highest > epoch.last_seq:
            epoch.last_seq, epoch.last_digest = highest, ""
        epoch._name_holes(present)
        return epoch

    def _name_holes(self, present: Spans) -> None:
        accounted = Spans([*present, *self.committed, *self.gone])
        for first, last in list(accounted.missing(1, self.last_seq)):
            gap = Gap(
                "unreadable", "not in the spool when it was opened", self.identity.epoch, first_seq=first, last_seq=last
            )
            self.found_gaps.append(gap)
            self.gone.add(first, last)
            self._answers_changed = True

    def append(self, batch_class: BatchClass, record: Record, payload: bytes) -> None:
        """Write one batch; `sync` makes it durable. Raises OSError with nothing written."""
        segments = self._segments[batch_class]
        if not segments or segments[-1].size >= SEGMENT_BYTES or batch_class not in self._files:
            self._roll(batch_class, record.seq)
        segments[-1].append(self._files[batch_class], record, payload)
        self._unsynced.add(batch_class)
        self.last_seq, self.last_digest = record.seq, record.digest.hex()

    def _roll(self, batch_class: BatchClass, first_seq: int) -> None:
        path = self.directory / f"{batch_class}-{first_seq:020d}.seg"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        old = self._files.pop(batch_class, None)
        if old is not None:
            if batch_class in self._unsynced:
                os.fdatasync(old)
            os.close(old)
        self._files[batch_class] = file
        self._segments[batch_class].append(Segment(path))
        _sync_directory(self.directory)

    def sync(self) -> None:
        """Make all that was appended survive a power cut. Raises OSError."""
        for batch_class in list(self._unsynced):
            os.fdatasync(self._files[batch_class])
            self._unsynced.discard(batch_class)

    def settled(self, seq: int) -> bool:
        """Whether nobody waits for this batch any more."""
        return seq in self.committed or seq in self.gone

    def unsettled(self) -> list[int]:
        """The numbers still to be delivered, lowest first."""
        found = [
            seq
            for segments in self._segments.values()
            for segment in segments
            for seq in segment.seqs
            if not self.settled(seq)
        ]
        return sorted(found)

    def read(self, seq: int) -> bytes | None:
        """The frame of a batch, None where it is not in the spool. Raises RecordUnreadable, OSError."""
        place = self._find(seq)
        return None if place is None else place[0].read(place[1])[1]

    def record(self, seq: int) -> Record | None:
        """The facts of a batch, None where it is not in the spool. Raises OSError."""
        place = self._find(seq)
        return None if place is None else place[0].record(place[1])

    def _find(self, seq: int) -> tuple[Segment, int] | None:
        for segments in self._segments.values():
            for segment in reversed(segments):
                if segment.seqs and segment.seqs[0] <= seq <= segment.seqs[-1]:
                    index = _index(segment, seq)
                    if index is not None:
                        return segment, index
        return None

    def commit(self, first: int, last: int) -> None:
        """The aggregator has `first` to `last`."""
        self.committed.add(first, last)
        self._answers_changed = True

    def uncommit(self, seq: int) -> None:
        """The aggregator has lost it again."""
        self.committed.remove(seq)
        self._answers_changed = True

    def give_up(self, seq: int) -> None:
        """A gap record names it from now on."""
        self.gone.add(seq, seq)
        self._answers_changed = True

    def present(self) -> Iterator[int]:
        """All numbers that are on disk."""
        for segments in self._segments.values():
            for segment in segments:
                yield from segment.seqs

    def save_answers(self, *, durable: bool = False) -> None:
        """Write down what is acknowledged. Losing it costs a second delivery, which the store absorbs. Raises OSError."""
        if self._answers_changed:
            raw = msgspec.json.encode(_Answered(list(self.committed), list(self.gone)))
            _write_whole(self.directory / "answered.json", raw, durable=durable)
            self._answers_changed = False

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segments in self._segments.values() for segment in segments)

    @property
    def answered_bytes(self) -> int:
        """Bytes of the segments of which nothing is wanted any more."""
        return sum(segment.size for _, segment in self._answered())

    def _answered(self) -> list[tuple[BatchClass, Segment]]:
        return [
            (batch_class, segment)
            for batch_class, segments in self._segments.items()
            for segment in segments
            if segment.seqs and all(self.settled(seq) for seq in segment.seqs) and self.last_seq not in segment.seqs
        ]

    def delete_oldest_answered(self) -> int:
        """Delete the oldest wholly answered segment; its bytes, 0 where there is none."""
        answered = self._answered()
        if not answered:
            return 0
        batch_class, segment = min(answered, key=lambda pair: pair[1].seqs[0])
        return self._delete(batch_class, segment)

    def oldest_unanswered(self, batch_class: BatchClass) -> int | None:
        """The last instant (UTC ms) in the oldest segment of a class that holds something still wanted."""
        for segment in self._segments[batch_class]:
            if segment.seqs and not all(self.settled(seq) for seq in segment.seqs):
                return segment.last_ms
        return None

    def drop_oldest(self, batch_class: BatchClass, reason: str) -> tuple[int, list[tuple[Gap, bytes]]]:
        """Delete the oldest segment of a class with what is wanted in it.

        Gives the bytes freed, and for each lost batch its gap and its frame (so that gap records inside it can be carried on).
        """
        for segment in self._segments[batch_class]:
            lost = [(index, seq) for index, seq in enumerate(segment.seqs) if not self.settled(seq)]
            if not lost:
                continue
            gaps = []
            for index, seq in lost:
                try:
                    record, frame = segment.read(index)
                except (RecordUnreadable, OSError):
                    record, frame = segment.record(index), b""
                gaps.append(
                    (
                        Gap(
                            "dropped",
                            reason,
                            self.identity.epoch,
                            batch_class,
                            seq,
                            seq,
                            record.digest.hex(),
                            record.first_ms,
                            record.last_ms,
                            readings=record.readings,
                        ),
                        frame,
                    )
                )
                self.give_up(seq)
            return self._delete(batch_class, segment), gaps
        return 0, []

    def _delete(self, batch_class: BatchClass, segment: Segment) -> int:
        segments = self._segments[batch_class]
        if segments and segments[-1] is segment and batch_class in self._files:
            os.close(self._files.pop(batch_class))
            self._unsynced.discard(batch_class)
        segments.remove(segment)
        segment.path.unlink(missing_ok=True)
        return max(segment.size, 1)

    @property
    def durable_to_ms(self) -> int:
        """Every answer up to this instant (UTC ms) was in a batch on disk; 0 where nothing was. The class that is behind decides."""
        lasts = [
            max(segment.last_ms for segment in self._segments[cls])
            for cls in ("counter", "gauge")
            if self._segments[cls]
        ]
        return min(lasts, default=0)

    def counts(self) -> tuple[int, int]:
        """How many batches wait, and the lowest number among them (0 where none does)."""
        waiting = self.unsettled()
        return len(waiting), waiting[0] if waiting else 0

    def close(self) -> None:
        """Sync and close. Raises OSError."""
        try:
            self.sync()
            self.save_answers()
        finally:
            for file in self._files.values():
                os.close(file)
            self._files.clear()


def _index(segment: Segment, seq: int) -> int | None:
    index = bisect.bisect_left(segment.seqs, seq)
    return index if index < len(segment.seqs) and segment.seqs[index] == seq else None


def _write_whole(path: Path, raw: bytes, *, durable: bool = True) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(raw)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if durable:
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

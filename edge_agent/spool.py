"""Keeps every sealed batch until the aggregator has it, bounded in bytes and age. Not how batches are sealed or sent.

```
<directory>/spool.json             current epoch, machine id, pinned store, gaps that no synced batch carries yet
<directory>/<epoch>/epoch.json     facility and edge of its batches
                   /mark           how far it was synced
                   /answered.json  what is acknowledged, what is gone (losing it costs a second delivery)
                   /<class>-<first number>.seg
<directory>/refused/, /unreadable/ what is kept for people to look at
```
What is acknowledged stays until its space is needed and goes first; then gauges, events and counters, oldest first, each with a gap.
"""

import contextlib
import errno
import logging
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge_agent import answers, aside, checked_file
from edge_agent.answers import SpoolForeign as SpoolForeign
from edge_agent.epoch import DROP_ORDER, SEGMENT_BYTES, Epoch, EpochUnreadable, Identity
from edge_agent.pending_gaps import PendingGaps
from edge_agent.segment import HEADER_BYTES, Record, Segment
from wire.content import BatchClass, Gap
from wire.messages import Ack

log = logging.getLogger(__name__)

_MACHINE_ID: Final = Path("/etc/machine-id")
_EPOCH_NAME: Final = re.compile(r"[0-9a-f]{16}")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class SpoolFull(OSError):
    """A batch could not be written, also after everything that may be dropped was dropped."""


class _Head(msgspec.Struct):
    epoch: str = ""
    machine_id: str = ""
    store: str = ""
    gaps: list[Gap] = []


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` for all segments, `max_age_ms` for what waits, `keep_answered_bytes` for what is acknowledged already."""

    max_bytes: int = 512 << 20
    max_age_ms: int = 90 * 86_400_000
    keep_answered_bytes: int = 64 << 20

    @property
    def segment_bytes(self) -> int:
        """A segment is what is dropped at once: a small part of the whole."""
        return max(1, min(SEGMENT_BYTES, self.max_bytes // 32))


@dataclass(slots=True)
class Depth:
    """What waits: batches, bytes on disk, lowest and next number of the current epoch."""

    batches: int
    bytes: int
    oldest_seq: int
    next_seq: int


def machine_id() -> str:
    """This machine's id, or nothing where it has none."""
    try:
        return _MACHINE_ID.read_text().strip()
    except (OSError, ValueError):
        return ""


class Spool:
    """The batches of all epochs in one directory. One owner; `sync` may run in a thread beside all but `append`, `tidy` and `close`."""

    def __init__(
        self, directory: Path, facility: str, edge: str, limits: Limits | None = None, machine: str | None = None
    ) -> None:
        """Open or begin. Never refuses because of what lies there. Raises OSError where the directory cannot be used at all."""
        self.directory = directory
        self.limits = limits or Limits()
        self.refused_total = 0
        self.sealed_to_ms = 0  # every answer up to this instant (UTC ms) was appended; the next sync notes it
        self._facility, self._edge = facility, edge
        self._machine = machine_id() if machine is None else machine
        self._writing = threading.Lock()
        self._unsaved = False  # the current epoch has no directory yet, because there was no room for one
        directory.mkdir(parents=True, exist_ok=True)
        self.epochs: dict[str, Epoch] = {}
        head = self._read_head()
        self._head = head or _Head()
        self._gaps = PendingGaps(self._head.gaps)
        self._open_all(report_gone=head is None)
        reason = self._why_new()
        if not reason:
            reason = self._resumed()
        if reason:
            self.begin_epoch(reason)
        self._forget_empty()
        for epoch in self.epochs.values():
            self._save(epoch)

    def _read_head(self) -> _Head | None:
        try:
            return checked_file.read(self.directory / "spool.json", _Head)
        except (OSError, ValueError) as error:
            if not isinstance(error, FileNotFoundError):
                log.error("spool head unreadable reason=%s", error)
            if isinstance(error, IsADirectoryError):  # in whose place no head could be written
                aside.keep_directory(self.directory / "spool.json", self.directory / "unreadable")
            return None

    def _open_all(self, *, report_gone: bool) -> None:
        found = []
        for directory in sorted(self.directory.iterdir()):
            if not (_EPOCH_NAME.fullmatch(directory.name) and directory.is_dir()):
                continue
            if not any(directory.iterdir()):
                with contextlib.suppress(OSError):
                    directory.rmdir()
                continue
            try:
                found.append(Epoch.open(directory, self.limits.segment_bytes))
            except (OSError, EpochUnreadable) as error:
                log.error("spool epoch set aside directory=%s reason=%s", directory, error)
                aside.keep_directory(directory, self.directory / "unreadable")
                self.add_gap(Gap("unreadable", f"epoch directory: {error}"[:200], epoch=directory.name))
        for epoch in sorted(found, key=lambda epoch: epoch.identity.number):
            self.epochs[epoch.identity.epoch] = epoch
            for gap in epoch.found_gaps:
                self.add_gap(gap)
            if report_gone:
                self._report_again(epoch)

    def _report_again(self, epoch: Epoch) -> None:
        """The gaps that waited were lost with the head: name everything that is gone once more."""
        for first, last in epoch.gone:
            why = "given up before, and its gap record was lost"
            self.add_gap(Gap("unreadable", why, epoch.identity.epoch, first_seq=first, last_seq=last))

    def _why_new(self) -> str:
        current = self.epochs.get(self._head.epoch)
        if current is None:
            return "the spool had lost its head" if self.epochs else "the spool was empty"
        if self._head.machine_id != self._machine:
            return "the spool came from another machine"
        if (current.identity.facility, current.identity.edge) != (self._facility, self._edge):
            return f"renamed from {current.identity.facility}/{current.identity.edge}"
        return current.ended

    def _resumed(self) -> str:
        """Go on with the epoch that was current; if that fails, why."""
        try:
            self.current.resume()
        except OSError as error:
            return f"it could not be written again: {error}"[:200]
        return ""

    def begin_epoch(self, reason: str) -> None:
        """Number batches from 1 again under a new epoch; the next batch says so. Where there is no room yet, `append` tries again."""
        previous = self.epochs.get(self._head.epoch)
        newest = previous or max(self.epochs.values(), key=lambda epoch: epoch.durable_to_ms, default=None)
        number = 1 + max((epoch.identity.number for epoch in self.epochs.values()), default=0)
        identity = Identity(secrets.token_hex(8), self._facility, self._edge, number)
        epoch = Epoch(self.directory / identity.epoch, identity, self.limits.segment_bytes)
        epoch.durable_to_ms = self.durable_to_ms
        self.epochs[identity.epoch] = epoch
        self._head.epoch, self._head.machine_id = identity.epoch, self._machine
        if newest is None:
            self.add_gap(Gap("new_spool", reason, epoch="unknown"))
        else:
            self.add_gap(Gap("new_spool", reason, epoch=newest.identity.epoch, last_seq=newest.last_seq))
        log.warning("spool begins a new epoch epoch=%s reason=%s", identity.epoch, reason)
        self._unsaved = True
        with contextlib.suppress(OSError):
            self._save_epoch()

    def _save_epoch(self) -> None:
        """The directory first, then the head that names it."""
        self.current.create()
        self._write_head()
        self._unsaved = False

    def _write_head(self) -> None:
        with self._writing:
            self._gaps.changed = False
            self._head.gaps = self._gaps.all()
            try:
                checked_file.write(self.directory / "spool.json", self._head)
            except OSError:
                self._gaps.changed = True
                raise

    def _save_head(self) -> None:
        """Write down the gaps if there are others than before. Where that fails it is tried again at the next sync."""
        if self._gaps.changed and not self._unsaved:
            try:
                self._write_head()
            except OSError as error:
                log.debug("spool head not written reason=%s", error)

    @property
    def current(self) -> Epoch:
        """The epoch that new batches belong to."""
        return self.epochs[self._head.epoch]

    @property
    def store(self) -> str:
        """The store id that this spool obeys; empty until one is pinned."""
        return self._head.store

    def pin_store(self, store: str) -> None:
        """Obey this store from now on."""
        self._head.store = store
        self._gaps.changed = True
        self._save_head()

    @property
    def gaps(self) -> list[Gap]:
        """To be carried by the next batches."""
        return self._gaps.waiting

    @property
    def gaps_total(self) -> int:
        """How many gaps there were since the spool was opened."""
        return self._gaps.total

    @property
    def durable_to_ms(self) -> int:
        """Every answer up to this instant (UTC ms) was in a batch on disk; 0 where nothing was."""
        return max((epoch.durable_to_ms for epoch in self.epochs.values()), default=0)

    def add_gap(self, gap: Gap) -> None:
        """The next batch carries it. Gaps of neighbouring batches become one."""
        self._gaps.add(gap)

    def take_gaps(self) -> list[Gap]:
        """The gaps for one batch; `put_back_gaps` when it could not be written."""
        return self._gaps.take()

    def put_back_gaps(self, taken: list[Gap]) -> None:
        """The batch that was to carry the last ones taken was not written."""
        self._gaps.put_back(taken)

    def append(self, batch_class: BatchClass, record: Record, frame: bytes) -> None:
        """Write a sealed batch; drop older ones where that makes room. Raises SpoolFull with nothing written."""
        rolled = False
        while True:
            try:
                more = len(frame) + HEADER_BYTES
                if more > self.limits.max_bytes:
                    raise OSError(errno.EMSGSIZE, f"more than the {self.limits.max_bytes} bytes allowed")
                while self.size_bytes + more > self.limits.max_bytes and self._make_room():
                    pass
                if self._unsaved:
                    self._save_epoch()
                self.current.append(batch_class, record, frame)
            except OSError as error:
                if error.errno == errno.EFBIG and not rolled:
                    rolled = True
                    with contextlib.suppress(OSError):
                        self.current.roll(batch_class, record.seq)
                        continue
                if error.errno in _NO_ROOM and self._made_room():
                    continue
                what = f"spool {self.directory}: batch {record.seq} of {len(frame)} bytes: {error}"
                raise SpoolFull(error.errno, what) from error
            return

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(epoch.size_bytes for epoch in self.epochs.values())

    def _made_room(self) -> bool:
        with contextlib.suppress(OSError):
            return self._make_room()
        return False

    def _make_room(self) -> bool:
        """Delete one segment by the order of the promise; False where there is none to delete. Raises OSError."""
        for epoch in self._old_to_new():
            if epoch.delete_oldest_answered(keep_last=epoch is self.current):
                self._save(epoch)
                return True
        if self.current.delete_last_answered():
            self._save(self.current)
            return True
        for batch_class in DROP_ORDER:
            for epoch in self._old_to_new():
                segment = epoch.oldest_waiting_segment(batch_class)
                if segment is not None:
                    self._drop(epoch, batch_class, segment, "the spool was full")
                    return True
        return False

    def _drop(self, epoch: Epoch, batch_class: BatchClass, segment: Segment, reason: str) -> None:
        """The gaps and what is gone are written down before the batches are deleted, and again after where there was no room."""
        lost = epoch.lost_with(batch_class, segment, reason)
        for gap, frame in lost:
            content = answers.content_of(frame)
            self.add_gap(msgspec.structs.replace(gap, devices=answers.devices_of(content)))
            for inner in content.gaps if content else ():
                self.add_gap(inner)
            assert gap.first_seq is not None
            epoch.give_up(gap.first_seq, gap.first_seq)
        log.warning("spool dropped batches epoch=%s count=%s reason=%s", epoch.identity.epoch, len(lost), reason)
        self._save(epoch)
        epoch.delete(batch_class, segment)
        self._save(epoch)

    def _save(self, epoch: Epoch) -> None:
        """Gaps first: what is gone must not be forgotten."""
        self._save_head()
        if not self._gaps.changed:
            with contextlib.suppress(OSError):
                epoch.save_answers()

    def _old_to_new(self) -> list[Epoch]:
        current = self.current
        return [*(epoch for epoch in self.epochs.values() if epoch is not current), current]

    def sync(self) -> None:
        """Make all that was appended survive a power cut. Raises OSError."""
        carried = len(self._gaps.carried)
        self.current.sync(self.sealed_to_ms)
        self._gaps.written(carried)
        self._save_head()

    def tidy(self, now_ms: int) -> None:
        """Save answers, delete what is too old or acknowledged beyond its allowance, and epochs that are done."""
        answered = sum(epoch.answered_bytes for epoch in self.epochs.values())
        for epoch in self._old_to_new():
            with contextlib.suppress(OSError):
                while answered > self.limits.keep_answered_bytes:
                    freed = epoch.delete_oldest_answered(keep_last=epoch is self.current)
                    if not freed:
                        break
                    answered -= freed
                for batch_class in DROP_ORDER:
                    self._drop_aged(epoch, batch_class, now_ms - self.limits.max_age_ms)
            self._save(epoch)
        self._forget_empty()

    def _drop_aged(self, epoch: Epoch, batch_class: BatchClass, before_ms: int) -> None:
        while (segment := epoch.oldest_waiting_segment(batch_class)) is not None and segment.last_ms < before_ms:
            self._drop(epoch, batch_class, segment, "older than the spool keeps")

    def _forget_empty(self) -> None:
        """Remove former epochs of which nothing is left on disk, once their gaps are written down."""
        for name, epoch in list(self.epochs.items()):
            if epoch is not self.current and not epoch.batches and not self._gaps.changed:
                with contextlib.suppress(OSError):
                    epoch.remove()
                    del self.epochs[name]

    def acknowledge(self, ack: Ack) -> list[int]:
        """Take an answer of the pinned store; the numbers of `ack.epoch` that must be sent again, because a `have` lacks them.

        Raises SpoolForeign, with nothing obeyed, where the answer names a batch of ours that we never wrote.
        """
        epoch = self.epochs.get(ack.epoch)
        if epoch is None:
            return []
        again = answers.take(self, epoch, ack)
        if ack.have:
            self._save(epoch)  # a kill must not bring back what the store has lost as acknowledged
        return again

    def read(self, epoch_id: str, seq: int) -> bytes | None:
        """The frame of a batch still in the spool; None where it is not, or is damaged (then a gap names it)."""
        epoch = self.epochs.get(epoch_id)
        if epoch is None:
            return None
        try:
            found = epoch.read(seq)
        except OSError as error:
            log.error("spool record unreadable epoch=%s seq=%s reason=%s", epoch_id, seq, error)
            self.add_gap(Gap("unreadable", "damaged in the spool", epoch_id, first_seq=seq, last_seq=seq))
            epoch.give_up(seq, seq)
            return None
        return None if found is None else found[1]

    def depth(self) -> Depth:
        """What waits now."""
        waiting = sum(epoch.waiting for epoch in self.epochs.values())
        current = self.current
        return Depth(waiting, self.size_bytes, current.oldest_waiting, current.last_seq + 1)

    def oldest_waiting_ms(self) -> int | None:
        """The first instant of the oldest batch that nobody has confirmed; None where none waits or it cannot be read."""
        oldest: list[int] = []
        for epoch in self.epochs.values():
            with contextlib.suppress(OSError):
                found = epoch.read(epoch.oldest_waiting) if epoch.waiting else None
                if found is not None:
                    oldest.append(found[0].first_ms)
        return min(oldest, default=None)

    def close(self) -> None:
        """Sync and close all files."""
        with contextlib.suppress(OSError):
            self.sync()
        for epoch in self.epochs.values():
            self._save(epoch)
            with contextlib.suppress(OSError):
                epoch.close()

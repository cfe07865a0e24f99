"""Keeps every sealed batch until the aggregator has it, bounded in bytes and age. Not how batches are sealed or sent.

```
<directory>/spool.json           current epoch, machine id, pinned store
<directory>/<epoch>/epoch.json   facility and edge of its batches
                   /answered.json  what is acknowledged, what is gone (not synced: losing it costs a second delivery)
                   /<class>-<first number>.seg
<directory>/refused/             batches that the aggregator will never take
```
What is acknowledged stays until its space is needed and goes first; then gauges, events and counters, oldest first, each with a gap.
"""

import contextlib
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.epoch import DROP_ORDER, Epoch, Identity
from edge_agent.segment import Record, RecordUnreadable
from edge_agent.spans import Spans
from wire import batch as wire_batch
from wire import content as wire_content
from wire.content import BatchClass, Gap
from wire.messages import Ack

log = logging.getLogger(__name__)

MAX_PENDING_GAPS: Final = 2_000
_MACHINE_ID: Final = Path("/etc/machine-id")


class SpoolFull(OSError):
    """There is no room, also after everything that may be dropped was dropped."""


class SpoolForeign(Exception):
    """An acknowledgement names a batch that this spool never wrote."""


class _Head(msgspec.Struct):
    epoch: str
    machine_id: str = ""
    store: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` for all segments, `max_age_ms` for what waits, `keep_answered_bytes` for what is acknowledged already."""

    max_bytes: int = 512 << 20
    max_age_ms: int = 90 * 86_400_000
    keep_answered_bytes: int = 64 << 20


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
    except OSError:
        return ""


class Spool:
    """The batches of all epochs in one directory. One owner, one thread at a time."""

    def __init__(
        self, directory: Path, facility: str, edge: str, limits: Limits | None = None, machine: str | None = None
    ) -> None:
        """Open or begin. Never refuses because of what lies there. Raises OSError where the directory cannot be used at all."""
        self.directory = directory
        self.limits = limits or Limits()
        self.gaps: list[Gap] = []  # to be carried by the next batch
        self.gaps_total = 0
        self.refused_total = 0
        self._facility, self._edge = facility, edge
        self._machine = machine_id() if machine is None else machine
        directory.mkdir(parents=True, exist_ok=True)
        self.epochs: dict[str, Epoch] = {}
        self._open_all()
        self._head = self._read_head()
        current = self.epochs.get(self._head.epoch)
        reason = self._why_new(current)
        if current is None or reason:
            self.begin_epoch(reason or "the spool was empty")
        for epoch in self.epochs.values():
            for gap in epoch.found_gaps:
                self.add_gap(gap)

    def _open_all(self) -> None:
        for directory in sorted(path.parent for path in self.directory.glob("*/epoch.json")):
            try:
                epoch = Epoch.open(directory)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                aside = directory.with_name(f"{directory.name}.unreadable-{secrets.token_hex(4)}")
                log.error("spool epoch set aside directory=%s reason=%s", aside, error)
                with contextlib.suppress(OSError):
                    directory.rename(aside)
                self.add_gap(Gap("unreadable", f"epoch directory: {error}"[:200], epoch=directory.name[:64]))
                continue
            self.epochs[epoch.identity.epoch] = epoch

    def _read_head(self) -> _Head:
        try:
            return msgspec.json.decode((self.directory / "spool.json").read_bytes(), type=_Head)
        except (OSError, msgspec.DecodeError):
            return _Head(epoch="")

    def _why_new(self, current: Epoch | None) -> str:
        if current is None:
            return "the spool was empty" if not self.epochs else "the spool had lost its head"
        if self._head.machine_id != self._machine:
            return "the spool came from another machine"
        if current.torn:
            return "the last record was torn"
        if (current.identity.facility, current.identity.edge) != (self._facility, self._edge):
            return f"renamed from {current.identity.facility}/{current.identity.edge}"
        return ""

    def begin_epoch(self, reason: str) -> None:
        """Number batches from 1 again under a new epoch; the next batch says so. Raises OSError."""
        previous = self.epochs.get(self._head.epoch)
        identity = Identity(secrets.token_hex(8), self._facility, self._edge)
        self.epochs[identity.epoch] = Epoch.create(self.directory, identity)
        self._head = _Head(identity.epoch, self._machine, self._head.store)
        self._write_head()
        if previous is None:
            self.add_gap(Gap("new_spool", reason, epoch="unknown"))
        else:
            self.add_gap(Gap("new_spool", reason, epoch=previous.identity.epoch, last_seq=previous.last_seq))
        log.warning("spool begins a new epoch epoch=%s reason=%s", identity.epoch, reason)

    def _write_head(self) -> None:
        fresh = self.directory / "spool.json.new"
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(self._head))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.directory / "spool.json")

    @property
    def current(self) -> Epoch:
        """The epoch that new batches belong to."""
        return self.epochs[self._head.epoch]

    @property
    def store(self) -> str:
        """The store id that this spool obeys; empty until one is pinned."""
        return self._head.store

    def pin_store(self, store: str) -> None:
        """Obey this store from now on. Raises OSError."""
        self._head.store = store
        self._write_head()

    def add_gap(self, gap: Gap) -> None:
        """The next batch carries it. Gaps of neighbouring batches become one."""
        self.gaps_total += 1
        if self.gaps:
            joined = _joined(self.gaps[-1], gap)
            if joined is not None:
                self.gaps[-1] = joined
                return
        if len(self.gaps) >= MAX_PENDING_GAPS:
            self.gaps[-1] = _widened(self.gaps[-1], gap)
            return
        self.gaps.append(gap)

    def append(self, batch_class: BatchClass, record: Record, frame: bytes) -> None:
        """Write a sealed batch; drop older ones where that makes room. Raises SpoolFull with nothing written."""
        while True:
            if self._over(len(frame)):
                self._make_room()
            try:
                self.current.append(batch_class, record, frame)
            except OSError as error:
                if self._make_room():
                    continue
                raise SpoolFull(
                    error.errno, f"spool {self.directory}: batch {record.seq} of {len(frame)} bytes: {error}"
                ) from error
            return

    def _over(self, more: int) -> bool:
        return self.size_bytes + more > self.limits.max_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(epoch.size_bytes for epoch in self.epochs.values())

    def _make_room(self) -> bool:
        """Delete one segment by the order of the promise; False where there is none to delete."""
        for epoch in self._old_to_new():
            if epoch.delete_oldest_answered():
                return True
        for batch_class in DROP_ORDER:
            for epoch in self._old_to_new():
                freed, lost = epoch.drop_oldest(batch_class, "the spool was full")
                if freed:
                    self._report_dropped(epoch, lost)
                    return True
        return False

    def _report_dropped(self, epoch: Epoch, lost: list[tuple[Gap, bytes]]) -> None:
        for gap, frame in lost:
            content = _content_of(frame)
            devices = sorted({block.device for block in content.blocks}) if content else []
            self.add_gap(msgspec.structs.replace(gap, devices=devices))
            for inner in content.gaps if content else []:
                self.add_gap(inner)
        with contextlib.suppress(OSError):
            epoch.save_answers(durable=True)
        log.warning("spool dropped batches epoch=%s count=%s reason=full", epoch.identity.epoch, len(lost))

    def _old_to_new(self) -> list[Epoch]:
        current = self.current
        return [*(epoch for epoch in self.epochs.values() if epoch is not current), current]

    def sync(self) -> None:
        """Make the current epoch survive a power cut. Raises OSError."""
        self.current.sync()

    def tidy(self, now_ms: int) -> None:
        """Save answers, delete what is too old or acknowledged beyond its allowance, and epochs that are done."""
        answered = sum(epoch.answered_bytes for epoch in self.epochs.values())
        for epoch in self._old_to_new():
            while answered > self.limits.keep_answered_bytes and (freed := epoch.delete_oldest_answered()):
                answered -= freed
            for batch_class in DROP_ORDER:
                oldest = epoch.oldest_unanswered(batch_class)
                if oldest is not None and now_ms - oldest > self.limits.max_age_ms:
                    self._report_dropped(epoch, epoch.drop_oldest(batch_class, "older than the spool keeps")[1])
            with contextlib.suppress(OSError):
                epoch.save_answers()

    def acknowledge(self, ack: Ack) -> list[int]:
        """Take an answer of the pinned store; the numbers of `ack.epoch` that must be sent again, because a `have` lacks them.

        Raises SpoolForeign where the answer names a batch of ours that we never wrote.
        """
        epoch = self.epochs.get(ack.epoch)
        if epoch is None:
            return []
        for first, last, sha256 in ack.committed:
            if last > epoch.last_seq:
                raise SpoolForeign(
                    f"store {ack.store}: expected batches up to {epoch.last_seq} of {ack.epoch}, it has {last}"
                )
            record = epoch.record(last)
            if record is not None and record.digest.hex() != sha256:
                raise SpoolForeign(
                    f"store {ack.store}: batch {last} of {ack.epoch} is {record.digest.hex()[:12]} here, {sha256[:12]} there"
                )
            if record is not None or last in epoch.committed:
                epoch.commit(first, last)
        for refused in ack.refused:
            self._set_aside(epoch, refused.seq, refused.sha256, refused.reason)
        return self._lacking(epoch, ack) if ack.have else []

    def _lacking(self, epoch: Epoch, ack: Ack) -> list[int]:
        has = Spans((first, last) for first, last, _ in ack.committed)
        on_disk = Spans()
        for seq in epoch.present():
            on_disk.add(seq, seq)
        again = []
        for first, last in [pair for low, high in list(epoch.committed) for pair in has.missing(low, high)]:
            for seq in range(first, last + 1):
                if seq in epoch.gone:
                    continue
                epoch.uncommit(seq)
                if seq in on_disk:
                    again.append(seq)
                else:
                    self.add_gap(
                        Gap(
                            "aggregator_restored",
                            "acknowledged once, on neither side now",
                            epoch.identity.epoch,
                            first_seq=seq,
                            last_seq=seq,
                        )
                    )
                    epoch.give_up(seq)
        return again

    def _set_aside(self, epoch: Epoch, seq: int, sha256: str, reason: str) -> None:
        record = epoch.record(seq)
        if record is None or record.digest.hex() != sha256 or epoch.settled(seq):
            return
        frame = epoch.read(seq)
        aside = self.directory / "refused"
        try:
            aside.mkdir(exist_ok=True)
            (aside / f"{epoch.identity.epoch}-{seq}.batch").write_bytes(frame or b"")
        except OSError as error:
            log.error("refused batch could not be kept seq=%s reason=%s", seq, error)
        epoch.give_up(seq)
        self.refused_total += 1
        log.error("aggregator refused batch seq=%s reason=%s", seq, reason)
        self.add_gap(
            Gap(
                "refused",
                reason[:200],
                epoch.identity.epoch,
                "",
                seq,
                seq,
                sha256,
                record.first_ms,
                record.last_ms,
                readings=record.readings,
            )
        )

    def read(self, epoch_id: str, seq: int) -> bytes | None:
        """The frame of a batch still in the spool; None where it is not, or is damaged (then a gap names it)."""
        epoch = self.epochs[epoch_id]
        try:
            return epoch.read(seq)
        except (RecordUnreadable, OSError) as error:
            log.error("spool record unreadable epoch=%s seq=%s reason=%s", epoch_id, seq, error)
            epoch.give_up(seq)
            self.add_gap(Gap("unreadable", str(error)[:200], epoch_id, first_seq=seq, last_seq=seq))
            return None

    def depth(self) -> Depth:
        """What waits now."""
        waiting, oldest = 0, 0
        for epoch in self.epochs.values():
            count, low = epoch.counts()
            waiting += count
            if epoch is self.current:
                oldest = low
        next_seq = self.current.last_seq + 1
        return Depth(waiting, self.size_bytes, oldest or next_seq, next_seq)

    def close(self) -> None:
        """Sync and close all files."""
        for epoch in self.epochs.values():
            with contextlib.suppress(OSError):
                epoch.close()


def _content_of(frame: bytes) -> wire_content.Content | None:
    if not frame:
        return None
    try:
        return wire_batch.peek(frame)
    except wire_batch.BatchUnreadable:
        return None


def _joined(earlier: Gap, later: Gap) -> Gap | None:
    same = (earlier.kind, earlier.reason, earlier.epoch, earlier.cls) == (
        later.kind,
        later.reason,
        later.epoch,
        later.cls,
    )
    if not same or earlier.last_seq is None or later.first_seq is None or earlier.kind in {"new_spool", "restart"}:
        return None
    if later.first_seq <= earlier.last_seq:
        return None
    if earlier.cls == "" and later.first_seq != earlier.last_seq + 1:
        return None
    return _widened(earlier, later)


def _widened(earlier: Gap, later: Gap) -> Gap:
    readings = (
        None if earlier.readings is None and later.readings is None else (earlier.readings or 0) + (later.readings or 0)
    )
    return msgspec.structs.replace(
        earlier,
        first_seq=_lower(earlier.first_seq, later.first_seq),
        last_seq=_higher(earlier.last_seq, later.last_seq),
        last_sha256=later.last_sha256 or earlier.last_sha256,
        from_ms=_lower(earlier.from_ms, later.from_ms),
        to_ms=_higher(earlier.to_ms, later.to_ms),
        devices=sorted({*earlier.devices, *later.devices}),
        readings=readings,
    )


def _lower(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _higher(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)

"""What the aggregator's answers do to the spool: commit, set aside, send again. Not when batches are sent (see `edge_agent.publish`)."""

import logging
from typing import TYPE_CHECKING, Final

from edge_agent import aside
from edge_agent.epoch import Epoch
from edge_agent.segment import Record
from edge_agent.spans import Spans
from wire import batch as wire_batch
from wire.content import Content, Gap
from wire.messages import Ack, Refused

if TYPE_CHECKING:
    from edge_agent.spool import Spool

log = logging.getLogger(__name__)

REFUSED_BYTES: Final = 16 << 20


class SpoolForeign(Exception):
    """An acknowledgement names a batch that this spool never wrote."""


def take(spool: "Spool", epoch: Epoch, ack: Ack) -> list[int]:
    """Obey an answer about `epoch`: the numbers to be sent again, because a `have` lacks them.

    Raises SpoolForeign, with nothing obeyed, where it names a batch that was never written.
    """
    ranges = [(first, last, sha256) for first, last, sha256 in ack.committed if 1 <= first <= last]
    for _, last, sha256 in ranges:
        _check_ours(epoch, ack.store, last, sha256)
    for first, last, _ in ranges:
        epoch.commit(first, last)
    for refused in ack.refused:
        _refuse(spool, epoch, refused)
    return _lacking(spool, epoch, Spans((first, last) for first, last, _ in ranges)) if ack.have else []


def _check_ours(epoch: Epoch, store: str, seq: int, sha256: str) -> None:
    if seq > epoch.last_seq:
        raise SpoolForeign(
            f"store {store}: expected batches up to {epoch.last_seq} of {epoch.identity.epoch}, it has {seq}"
        )
    found = _sound(epoch, seq)
    if found is not None and found[0].digest.hex() != sha256:
        ours, theirs = found[0].digest.hex()[:12], sha256[:12]
        raise SpoolForeign(f"store {store}: batch {seq} of {epoch.identity.epoch} is {ours} here, {theirs} there")


def _sound(epoch: Epoch, seq: int) -> tuple[Record, bytes] | None:
    """A batch and its facts, None where nothing sound is on disk any more (then its digest proves nothing)."""
    try:
        return epoch.read(seq)
    except OSError:
        return None


def _refuse(spool: "Spool", epoch: Epoch, refused: Refused) -> None:
    """Only the very batch: not one that this spool has under the number with another digest."""
    found = _sound(epoch, refused.seq)
    if found is None or found[0].digest.hex() != refused.sha256 or epoch.settled(refused.seq):
        return
    record, frame = found
    name = f"{epoch.identity.epoch}-{refused.seq}.batch"
    aside.keep_file(spool.directory / "refused", name, frame, min(REFUSED_BYTES, spool.limits.max_bytes // 8))
    spool.refused_total += 1
    log.error("aggregator refused batch seq=%s reason=%s", refused.seq, refused.reason)
    content = content_of(frame)
    spool.add_gap(
        Gap(
            "refused",
            refused.reason[:200],
            epoch.identity.epoch,
            "" if content is None else content.cls,
            refused.seq,
            refused.seq,
            refused.sha256,
            record.first_ms,
            record.last_ms,
            devices_of(content),
            record.readings,
        )
    )
    for inner in content.gaps if content else ():
        spool.add_gap(inner)
    epoch.give_up(refused.seq, refused.seq)


def _lacking(spool: "Spool", epoch: Epoch, has: Spans) -> list[int]:
    lost = [pair for low, high in list(epoch.committed) for pair in has.missing(low, high)]
    again: list[int] = []
    for first, last in [pair for low, high in lost for pair in epoch.gone.missing(low, high)]:
        epoch.uncommit(first, last)
        on_disk = epoch.on_disk(first, last)
        for low, high in on_disk.missing(first, last):
            why = "acknowledged once, on neither side now"
            spool.add_gap(Gap("aggregator_restored", why, epoch.identity.epoch, first_seq=low, last_seq=high))
            epoch.give_up(low, high)
        again.extend(seq for low, high in on_disk for seq in range(low, high + 1))
    return again


def content_of(frame: bytes) -> Content | None:
    """What is in a frame of one's own; None where it cannot be read."""
    try:
        return wire_batch.peek(frame)
    except wire_batch.BatchUnreadable:
        return None


def devices_of(content: Content | None) -> list[str]:
    """The devices whose readings and events are in a batch."""
    if content is None:
        return []
    named = {block.device for block in content.blocks} | {event.device for event in content.events}
    return sorted(named - {""})

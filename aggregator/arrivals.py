"""Verifies and decodes batches as they come, and answers those that go no further. Knows no store and no thread."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aggregator.numbering import EdgeNumbers
from aggregator.stores.store import Spool
from aggregator.trust import Trust
from wire.batch import Batch, BatchUnreadable, KeyUnknown, Numbered, SignatureForged, frame_digest, numbered, unseal
from wire.content import GAP_KINDS
from wire.messages import Ack, Held, Refused
from wire.topics import parse, valid_id

_INT64: Final = 2**63
_SAID_MOST: Final = 1_000  # of what later versions say: beyond it nothing more is said, all is counted

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that may be stored."""

    batch: Batch
    spool: Spool
    frame: bytes  # as it came

    @property
    def identity(self) -> tuple[Spool, int, str]:
        """What makes it this batch and no other."""
        return self.spool, self.batch.content.seq, self.batch.sha256


class Reader:
    """Used by several threads. `edge` gives the counts of an edge, `tell` sends an answer to it."""

    def __init__(
        self,
        store_id: str,
        trust: Trust,
        edge: Callable[[str, str], EdgeNumbers],
        tell: Callable[[str, str, Ack], None],
    ) -> None:
        self._store_id = store_id
        self._trust = trust
        self._edge = edge
        self._tell = tell
        self._said: set[tuple[str, str, str]] = set()

    def read(self, topic: str, payload: bytes) -> Arrival | None:
        """The batch of a message; None where there is nothing to store, which is counted and, if it may be, answered."""
        name = parse(topic)
        if name is None or name.kind != "batch":
            _log.warning("batch on a topic that is none topic=%r", topic[:200])
            return None
        facility, edge = name.facility, name.edge
        known = self._edge(facility, edge)
        try:
            batch = unseal(
                payload,
                topic,
                lambda key_id: self._trust.key(facility, edge, key_id),
                accept_unsigned=self._trust.accepts_unsigned(facility, edge),
            )
        except SignatureForged as error:
            known.forged += 1
            _log.error("forged batch facility=%s edge=%s reason=%s", facility, edge, error)
            return None
        except KeyUnknown as error:
            name_of_key = f"ed25519:{error.key_id.hex()}" if any(error.key_id) else "unsigned"
            if name_of_key != known.unknown_key:  # said once: an edge sends for ever what is held
                _log.warning("batches are held facility=%s edge=%s reason=%s", facility, edge, error)
            known.unknown_key = name_of_key
            self._hold_stranger(known, payload, str(error))
            return None
        except BatchUnreadable as error:
            self._refuse_unreadable(known, topic, payload, str(error))
            return None
        except Exception:  # noqa: BLE001 - one message must not end the worker; whatever it was, the edge keeps its batch
            known.unreadable += 1
            _log.exception("batch broke the reader facility=%s edge=%s bytes=%d", facility, edge, len(payload))
            return None
        content = batch.content
        if (content.facility, content.edge) != (facility, edge) or not -_INT64 <= content.sealed_at_ms < _INT64:
            reason = f"expected facility {facility}, edge {edge} and a time, got {content.facility}, {content.edge}, {content.sealed_at_ms}"
            self.refuse(known, content.epoch, Refused(content.seq, batch.sha256, reason[:200]))
            return None
        if batch.unknown_keys or content.gaps:
            self._say_what_is_new(known, batch)
        return Arrival(batch, Spool(facility, edge, content.epoch), payload)

    def _say_what_is_new(self, known: EdgeNumbers, batch: Batch) -> None:
        """An edge that is newer than we are: its keys are passed over, its gaps are kept as they are. Each is named once."""
        kinds = (f"gap kind {gap.kind[:64]}" for gap in batch.content.gaps if gap.kind not in GAP_KINDS)
        for what in (*(f"key {name}" for name in batch.unknown_keys), *kinds):
            said = (known.facility, known.edge, what)
            if said not in self._said and len(self._said) < _SAID_MOST:
                self._said.add(said)
                _log.warning("edge says more than is known here facility=%s edge=%s what=%s", *said)

    def _hold_stranger(self, known: EdgeNumbers, payload: bytes, reason: str) -> None:
        named = _named(known, payload)
        known.held += 1
        if named is not None:
            self._tell(
                known.facility, known.edge, Ack(self._store_id, named.epoch, held=[Held(named.seq, reason[:200])])
            )

    def _refuse_unreadable(self, known: EdgeNumbers, topic: str, payload: bytes, reason: str) -> None:
        known.unreadable += 1
        named = _named(known, payload)
        if named is None:
            _log.error("unreadable batch facility=%s edge=%s reason=%s", known.facility, known.edge, reason)
        else:
            self.refuse(known, named.epoch, Refused(named.seq, frame_digest(payload, topic).hex(), reason[:200]))

    def refuse(self, known: EdgeNumbers, epoch: str, refused: Refused) -> None:
        """Answer that a batch will never be taken."""
        known.refused += 1
        _log.error(
            "refused batch facility=%s edge=%s seq=%d reason=%s",
            known.facility,
            known.edge,
            refused.seq,
            refused.reason,
        )
        self._tell(known.facility, known.edge, Ack(self._store_id, epoch, refused=[refused]))


def _named(known: EdgeNumbers, payload: bytes) -> Numbered | None:
    """What a batch that cannot be read or trusted says it is, where that fits the topic it came on."""
    try:
        named = numbered(payload)
    except BatchUnreadable:
        return None
    fits = (
        (named.facility, named.edge) == (known.facility, known.edge) and valid_id(named.epoch) and 0 < named.seq < 2**64
    )
    return named if fits else None

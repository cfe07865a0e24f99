"""The log of batches, runs and publications over HTTP: its newest checkpoint and proofs under it. Not what the leaves stand for."""

import base64
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from aggregator.audit.leaves import BATCH, RECORDS, Entry, NotInLog
from aggregator.audit.log import AuditLog
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Parameters, no_parameters
from aggregator.stores.store import Spool
from wire.topics import valid_id

router = APIRouter(prefix="/api/v1/log", tags=["log"], dependencies=[Reader])

Index = Annotated[int | None, Field(ge=0, lt=1 << 62)]
Size = Annotated[int, Field(ge=0, lt=1 << 62)]


class InclusionParameters(Parameters):
    """A leaf by its index, a batch by its four names, a run or publication by its number; `size` is that of the newest checkpoint unless it is given."""

    index: Index = None
    facility: Annotated[str | None, Field(max_length=64)] = None
    edge: Annotated[str | None, Field(max_length=64)] = None
    epoch: Annotated[str | None, Field(max_length=64)] = None
    seq: Annotated[int | None, Field(ge=0, lt=1 << 64)] = None
    run: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None
    publication: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None
    binding: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None
    commitment: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None
    settlement: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None
    plan: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None
    size: Annotated[int | None, Field(ge=1, lt=1 << 62)] = None


class ConsistencyParameters(Parameters):
    """Two sizes of the log."""

    first: Size
    second: Size


class InclusionAnswer(Answer):
    """What the leaf is and how it leads to the root: root and proof are base64.

    `kind` batch: which one, and its digest (hex), which is the leaf. `kind` run or publication: its number, and the leaf as text.
    """

    index: int
    size: int
    kind: str
    facility: str | None
    edge: str | None
    epoch: str | None
    seq: int | None
    sha256: str | None
    number: int | None
    leaf: str | None
    root: str
    proof: list[str]


class ConsistencyAnswer(Answer):
    """How the tree of `first` leaves became that of `second`: roots and proof in base64."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: list[str]


def log_of(given: Given) -> AuditLog:
    """The log. 404 where none is kept."""
    if given.audit is None:
        raise Problem(404, "no log", "log", "an aggregator that ingests", "one that keeps no log")
    return given.audit


Kept = Annotated[AuditLog, Depends(log_of)]


@router.get("/checkpoint", dependencies=[Depends(no_parameters)], response_class=Response)
def checkpoint(kept: Kept) -> Response:
    """The newest signed checkpoint, a C2SP note: origin, number of leaves, root, signature. At most a minute old where something has come."""
    note = kept.checkpoint()
    if note is None:
        raise Problem(503, "not signed yet", "checkpoint", "one, a few seconds after the start", "none", 5)
    return Response(note, media_type="text/plain; charset=utf-8")


@router.get("/key", dependencies=[Depends(no_parameters)], response_class=Response)
def key(kept: Kept) -> Response:
    """The public key of the checkpoints, `name+hash+key`, to be pinned by who verifies."""
    return Response(kept.verifier.to_text() + "\n", media_type="text/plain; charset=utf-8")


@router.get("/proof/inclusion")
def inclusion(kept: Kept, wanted: Annotated[InclusionParameters, Query()]) -> InclusionAnswer:
    """That a batch is in the log."""
    try:
        entry = _entry(kept, wanted)
    except NotInLog as error:
        raise Problem(404, "unknown leaf", "log", "a batch that is committed", str(error)) from error
    size = kept.signed_size if wanted.size is None else wanted.size
    if entry.index >= kept.signed_size:
        raise Problem(
            409, "not signed yet", "index", f"below {kept.signed_size}, a checkpoint comes each minute", entry.index, 60
        )
    try:
        proof = kept.inclusion(entry.index, size)
    except NotInLog as error:
        raise Problem(422, "bad query", "size", f"a size from {entry.index + 1} to {kept.signed_size}", size) from error
    batch = entry.kind == BATCH
    return InclusionAnswer(
        index=entry.index,
        size=size,
        kind=entry.kind,
        facility=entry.spool.facility if batch else None,
        edge=entry.spool.edge if batch else None,
        epoch=entry.spool.epoch if batch else None,
        seq=entry.seq if batch else None,
        sha256=entry.leaf.hex() if batch else None,
        number=None if batch else entry.seq,
        leaf=None if batch else entry.leaf.decode(),
        root=_text(kept.root(size)),
        proof=_texts(proof),
    )


def _entry(kept: AuditLog, wanted: InclusionParameters) -> Entry:
    names = (wanted.facility, wanted.edge, wanted.epoch)
    batch = any(name is not None for name in (*names, wanted.seq))
    single = [name for name in ("index", *RECORDS) if getattr(wanted, name) is not None]
    if single and (batch or len(single) > 1):
        expected = "index, run, publication, binding, commitment or settlement alone, or facility, edge, epoch and seq"
        raise Problem(422, "bad query", single[0], expected, getattr(wanted, single[0]))
    if wanted.index is not None:
        return kept.entry(wanted.index)
    if single:
        return kept.record(single[0], getattr(wanted, single[0]))
    if wanted.seq is None or any(name is None or not valid_id(name) for name in names):
        raise Problem(
            422, "bad query", "index", "index, run, publication, binding, or facility, edge, epoch and seq", "neither"
        )
    return kept.entry_of(Spool(str(wanted.facility), str(wanted.edge), str(wanted.epoch)), wanted.seq)


@router.get("/proof/consistency")
def consistency(kept: Kept, wanted: Annotated[ConsistencyParameters, Query()]) -> ConsistencyAnswer:
    """That nothing of the first `first` leaves was changed when the log had grown to `second`."""
    try:
        proof = kept.consistency(wanted.first, wanted.second)
        roots = kept.root(wanted.first), kept.root(wanted.second)
    except NotInLog as error:
        raise Problem(
            422, "bad query", "second", f"first <= second <= {kept.signed_size}", f"{wanted.first} and {wanted.second}"
        ) from error
    return ConsistencyAnswer(
        first=wanted.first,
        second=wanted.second,
        first_root=_text(roots[0]),
        second_root=_text(roots[1]),
        proof=_texts(proof),
    )


def _text(hashed: bytes) -> str:
    return base64.b64encode(hashed).decode()


def _texts(hashes: Sequence[bytes]) -> list[str]:
    return [_text(hashed) for hashed in hashes]

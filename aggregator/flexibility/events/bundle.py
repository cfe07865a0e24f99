"""The bundle of an event: everything that its settlement was made of, with proofs that it was fixed before, in one exact form. Not how it is checked (see `checking`).

```
contents.txt       a signed note: SHA-256 and name of every other file
checkpoint.txt     the log's checkpoint that the proofs lead to
event.json         Told: what was asked, its steps, and where its leaves stand
commitment.json    the leaf of the notice: hashes of what was asked, of the days before and of the method; the baseline's days; the firm offer
inputs.txt         the intervals of the days before, a line each, as they were known at the notice
settlement.json    the result; once there is one
settled.json       its leaf
metered.txt        the intervals of the day itself
```
"""

import json
import re
from dataclasses import asdict
from typing import Any, Final

import msgspec

from aggregator.audit.evidence import CHECKPOINT, CONTENTS, contents_text, zipped
from aggregator.audit.leaves import NotInLog
from aggregator.audit.log import AuditLog
from aggregator.audit.note import Checkpoint, opened
from aggregator.flexibility.events.event import DemandResponse, Said
from aggregator.flexibility.events.record import EventRecord

FORMAT: Final = "wattline event bundle 1"
EVENT: Final = "event.json"
COMMITMENT: Final = "commitment.json"
INPUTS: Final = "inputs.txt"
SETTLEMENT: Final = "settlement.json"
SETTLED: Final = "settled.json"
METERED: Final = "metered.txt"
NAMES: Final = re.compile(
    r"contents\.txt|checkpoint\.txt|event\.json|commitment\.json|inputs\.txt|settlement\.json|settled\.json|metered\.txt"
)


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a leaf stands, and its path to the root (hex, from the leaf up)."""

    index: int
    path: list[str]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as the bundle has it. `steps` is for people; what is proven stands in the leaves."""

    format: str
    event: str
    version: int
    said: Said
    log_key: str
    steps: list[dict[str, Any]]
    commitment: Proof
    settlement: Proof | None


class NotProvenYet(LookupError):
    """The event's commitment or settlement is under no checkpoint yet: one comes each minute."""


def bundle(record: EventRecord, log: AuditLog, event: DemandResponse) -> bytes:
    """The bundle of an event, of its last settlement where there is one. Raises NotProvenYet, RecordsBusy."""
    log.keep_up()
    note, commitment = log.checkpoint(), record.commitment(event.no, event.version)
    if note is None or commitment is None:
        raise NotProvenYet(f"{event.id}: expected a commitment under a checkpoint, there is none yet")
    size = Checkpoint.from_text(opened(note.encode(), log.verifier)).size
    settled = next((each for each in reversed(record.settlements(event.no)) if each.version == event.version), None)
    told = Told(
        FORMAT, event.id, event.version, event.said, log.verifier.to_text(), [asdict(step) for step in event.steps],
        _proof(log, "commitment", commitment.no, size), None if settled is None else _proof(log, "settlement", settled.no, size),
    )  # fmt: skip
    files = {
        CHECKPOINT: note.encode(),
        EVENT: msgspec.json.format(msgspec.json.encode(told, order="deterministic"), indent=1) + b"\n",
        COMMITMENT: commitment.leaf.encode(),
        INPUTS: record.inputs(commitment.no),
    }
    if settled is not None:
        files |= {SETTLEMENT: settled.result.encode(), SETTLED: settled.leaf.encode(), METERED: settled.metered}
    return zipped(files | {CONTENTS: log.signed(contents_text(files, FORMAT)).encode()})


def _proof(log: AuditLog, kind: str, number: int, size: int) -> Proof:
    try:
        index = log.record(kind, number).index
        if index >= size:
            raise NotInLog(f"leaf {index} of {size}")
        return Proof(index, [each.hex() for each in log.inclusion(index, size)])
    except NotInLog as error:
        raise NotProvenYet(f"{kind} {number}: expected it under a checkpoint, {error}") from error


def decoded(raw: bytes) -> Told:
    """Raises msgspec.DecodeError, ValueError where it is of another form."""
    told = msgspec.json.decode(raw, type=Told)
    if told.format != FORMAT:
        raise ValueError(f"expected {FORMAT!r}, got {told.format[:64]!r}")
    return told


def parsed(raw: bytes) -> dict[str, Any]:
    """A leaf or a result. Raises ValueError."""
    found = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError("expected an object of JSON")
    return found

"""Checks an evidence bundle from its bytes alone: signatures, proofs, chain and counters. Asks no aggregator, no store and no clock.

What is trusted is the log's key and the edges' keys. Where they are not given they are taken from the bundle, which then only proves that it
fits together: who verifies compares the fingerprints with what was noted elsewhere.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aggregator.audit import tree
from aggregator.audit.counters import CounterName, counter_runs
from aggregator.audit.evidence import (
    CHECKPOINT,
    CONTENTS,
    EVIDENCE,
    FORMAT,
    MOST_CONTENTS_BYTES,
    BatchEvidence,
    BundleUnreadable,
    Evidence,
    contents_text,
    frame_name,
    unzipped,
    zipped,
)
from aggregator.audit.note import Checkpoint, NoteUnproven, Verifier, opened
from wire.batch import BatchUnreadable, KeyUnknown, SignatureForged, frame_digest, unseal
from wire.content import Content
from wire.keys import UNSIGNED, KeyUnusable, PublicKey
from wire.topics import edge_topic


@dataclass(frozen=True, slots=True)
class Fault:
    """What is not as it was: in which file, of which batch ("" where it is no batch's), what was expected and what was seen."""

    file: str
    batch: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.file}: {f'{self.batch}: ' if self.batch else ''}expected {self.expected}, got {self.seen}"


@dataclass(frozen=True, slots=True)
class CounterSeen:
    """A counter as the sealed batches have it; values in its unit."""

    edge: str
    device: str
    quantity: str
    from_ms: int
    from_text: str
    to_ms: int
    to_text: str
    readings: int
    falls: int


@dataclass(slots=True)
class Verdict:
    """All that was found. It holds where there is no fault."""

    faults: list[Fault] = field(default_factory=list)
    facility: str = ""
    origin: str = ""
    size: int = 0
    batches: int = 0
    unsigned: int = 0
    linked: int = 0  # whose predecessor in the chain is in the bundle and fits
    since: int | None = None  # leaves of the noted checkpoint that this log goes on from
    unlinked: int = 0  # whose predecessor is not in the log: a named gap of the edge, or it was lost
    keys: dict[str, str] = field(default_factory=dict)  # fingerprint by name
    counters: list[CounterSeen] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.faults

    def fault(self, file: str, expected: str, seen: str, batch: str = "") -> None:
        self.faults.append(Fault(file, batch, expected, seen))


def verify(
    raw: bytes,
    log_key: Verifier | None = None,
    edge_keys: Iterable[PublicKey] = (),
    noted: bytes | None = None,
) -> Verdict:
    """The verdict on a bundle. `log_key` and `edge_keys` are what the caller trusts; without them the bundle's own are taken.

    `noted` is an older checkpoint of the same log, which the bundle's must go on from.
    """
    verdict = Verdict()
    try:
        files = unzipped(raw)
    except BundleUnreadable as error:
        verdict.fault("(the zip file)", *error.parts())
        return verdict
    evidence = _evidence(files, verdict)
    verifier = log_key or _own_key(evidence, verdict)
    checkpoint = None
    if verifier is not None:
        verdict.keys[f"log {verifier.name}"] = verifier.key.fingerprint
        _check_contents(files, verifier, evidence, verdict)
        checkpoint = _checkpoint(files, verifier, verdict)
    if verifier is not None and checkpoint is not None and noted is not None:
        _check_since(noted, verifier, evidence, checkpoint, verdict)
    if evidence is not None:
        _check_batches(files, evidence, checkpoint, tuple(edge_keys), verdict)
    if verdict.holds and (at := first_difference(raw, zipped(files))) is not None:
        verdict.fault(
            "(the zip file)", "nothing but the files' contents and their names", f"another byte at {at}, in a header"
        )
    return verdict


def _evidence(files: Mapping[str, bytes], verdict: Verdict) -> Evidence | None:
    raw = files.get(EVIDENCE)
    if raw is None:
        verdict.fault(EVIDENCE, "the file", "nothing")
        return None
    try:
        evidence = Evidence.decoded(raw)
    except BundleUnreadable as error:
        verdict.fault(EVIDENCE, "evidence that can be read", str(error))
        return None
    verdict.facility = evidence.facility
    return evidence


def _own_key(evidence: Evidence | None, verdict: Verdict) -> Verifier | None:
    if evidence is None:
        return None
    try:
        return Verifier.from_text(evidence.log_key)
    except KeyUnusable as error:
        verdict.fault(EVIDENCE, "the log's key", str(error))
        return None


def _check_contents(
    files: Mapping[str, bytes], verifier: Verifier, evidence: Evidence | None, verdict: Verdict
) -> None:
    """Each file against the signed list; a frame by the batch that it is said to be."""
    try:
        text = opened(files.get(CONTENTS, b""), verifier, MOST_CONTENTS_BYTES)
    except NoteUnproven as error:
        verdict.fault(CONTENTS, "a list signed with the log's key", str(error))
        return
    others = {name: content for name, content in files.items() if name != CONTENTS}
    if text == contents_text(others):
        return
    first, *lines = text.splitlines()
    if first != FORMAT:
        verdict.fault(CONTENTS, FORMAT, first)
        return
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    named = {frame_name(batch.index): _named(batch) for batch in evidence.batches} if evidence is not None else {}
    for name in sorted(listed.keys() | others.keys()):
        seen = hashlib.sha256(others[name]).hexdigest() if name in others else "no such file"
        expected = listed.get(name, "no such file")
        if seen != expected:
            verdict.fault(name, f"SHA-256 {expected}", seen, named.get(name, ""))


def _checkpoint(files: Mapping[str, bytes], verifier: Verifier, verdict: Verdict) -> Checkpoint | None:
    try:
        found = Checkpoint.from_text(opened(files.get(CHECKPOINT, b""), verifier))
    except NoteUnproven as error:
        verdict.fault(CHECKPOINT, "a checkpoint signed with the log's key", str(error))
        return None
    if found.origin != verifier.name:
        verdict.fault(CHECKPOINT, f"origin {verifier.name}", found.origin)
        return None
    verdict.origin, verdict.size = found.origin, found.size
    return found


def _check_since(
    noted: bytes, verifier: Verifier, evidence: Evidence | None, checkpoint: Checkpoint, verdict: Verdict
) -> None:
    """Whether the log that somebody noted before is the beginning of this one."""
    try:
        before = Checkpoint.from_text(opened(noted, verifier))
    except NoteUnproven as error:
        verdict.fault("(the noted checkpoint)", "a checkpoint signed with the log's key", str(error))
        return
    since = None if evidence is None else evidence.since
    if before.size not in {0, checkpoint.size} and (since is None or since.size != before.size):
        seen = "no proof" if since is None else f"one from {since.size} leaves"
        verdict.fault(EVIDENCE, f"a proof from the noted {before.size} leaves on (made with since={before.size})", seen)
        return
    proof = [_unbase64(text) for text in since.proof] if since is not None and since.size == before.size else []
    try:
        tree.check_consistency(before.size, checkpoint.size, before.root, checkpoint.root, proof)
    except tree.ProofBroken as error:
        verdict.fault(CHECKPOINT, "a log that begins as the noted one", str(error))
    else:
        verdict.since = before.size


def _check_batches(
    files: Mapping[str, bytes],
    evidence: Evidence,
    checkpoint: Checkpoint | None,
    trusted: tuple[PublicKey, ...],
    verdict: Verdict,
) -> None:
    keys = _edge_keys(evidence, trusted, verdict)
    hashes = [_unbase64(text) for text in evidence.hashes]
    digests = {(batch.edge, batch.epoch, batch.seq): batch.sha256 for batch in evidence.batches}
    contents: list[Content] = []
    for batch in evidence.batches:
        _check_inclusion(batch, hashes, checkpoint, verdict)
        if batch.framed:
            content = _check_frame(files, evidence, batch, keys, verdict)
            if content is not None:
                contents.append(content)
                _check_link(batch, content, digests, verdict)
    framed = {frame_name(batch.index) for batch in evidence.batches if batch.framed}
    for name in sorted(name for name in files if name.startswith("frames/") and name not in framed):
        verdict.fault(name, "frames of the batches in evidence.json only", "one more")
    verdict.batches = len(contents)
    _check_counters(evidence, contents, verdict)


def _edge_keys(
    evidence: Evidence, trusted: tuple[PublicKey, ...], verdict: Verdict
) -> dict[tuple[str, bytes], PublicKey]:
    found: dict[tuple[str, bytes], PublicKey] = {}
    for entry in evidence.keys:
        try:
            key = PublicKey.from_text(entry.public_key)
        except KeyUnusable as error:
            verdict.fault(EVIDENCE, f"the key of edge {entry.edge}", str(error))
            continue
        if trusted and key not in trusted:
            verdict.fault(EVIDENCE, f"a trusted key for edge {entry.edge}", key.fingerprint)
            continue
        found[entry.edge, key.key_id] = key
        verdict.keys[f"edge {entry.edge}"] = key.fingerprint
    return found


def _check_inclusion(
    batch: BatchEvidence, hashes: list[bytes], checkpoint: Checkpoint | None, verdict: Verdict
) -> None:
    if checkpoint is None:
        return
    try:
        leaf = tree.leaf_hash(bytes.fromhex(batch.sha256))
        if not all(0 <= at < len(hashes) for at in batch.proof):
            raise tree.ProofBroken(f"inclusion proof: expected places below {len(hashes)}, got {max(batch.proof)}")
        proof = [hashes[at] for at in batch.proof]
        tree.check_inclusion(batch.index, checkpoint.size, leaf, proof, checkpoint.root)
    except ValueError as error:
        verdict.fault(EVIDENCE, "a proof that the batch is in the log", str(error), _named(batch))


def _check_frame(
    files: Mapping[str, bytes],
    evidence: Evidence,
    batch: BatchEvidence,
    keys: Mapping[tuple[str, bytes], PublicKey],
    verdict: Verdict,
) -> Content | None:
    """The content of a sealed batch that is what it is said to be, else nothing."""
    name, named = frame_name(batch.index), _named(batch)
    frame = files.get(name)
    try:
        topic = edge_topic(evidence.facility, batch.edge, "batch")
    except ValueError as error:
        verdict.fault(EVIDENCE, "ids of a facility and an edge", str(error), named)
        return None
    if frame is None:
        verdict.fault(name, "the sealed batch", "no such file", named)
        return None
    digest = frame_digest(frame, topic).hex()
    if digest != batch.sha256:
        verdict.fault(name, f"digest {batch.sha256}", digest, named)
    try:
        found = unseal(frame, topic, lambda key_id: keys.get((batch.edge, key_id)), accept_unsigned=True)
    except (BatchUnreadable, KeyUnknown, SignatureForged) as error:
        verdict.fault(name, "a batch signed with the edge's key", str(error), named)
        return None
    verdict.unsigned += frame[6:14] == UNSIGNED
    content = found.content
    said = (content.facility, content.edge, content.epoch, content.seq)
    if said != (evidence.facility, batch.edge, batch.epoch, batch.seq):
        verdict.fault(name, "the batch that evidence.json names", "/".join(map(str, said)), named)
        return None
    if not evidence.from_ms <= content.sealed_at_ms < evidence.to_ms:
        verdict.fault(name, f"sealed in [{evidence.from_ms}, {evidence.to_ms})", str(content.sealed_at_ms), named)
    return content if digest == batch.sha256 else None


def _check_link(
    batch: BatchEvidence, content: Content, digests: Mapping[tuple[str, str, int], str], verdict: Verdict
) -> None:
    before = digests.get((batch.edge, batch.epoch, batch.seq - 1))
    if before is None:
        verdict.unlinked += bool(content.prev)
    elif before == content.prev:
        verdict.linked += 1
    else:
        expected = f"prev {before}, the digest of batch {batch.seq - 1}"
        verdict.fault(frame_name(batch.index), expected, content.prev or "nothing", _named(batch))


def _check_counters(evidence: Evidence, contents: list[Content], verdict: Verdict) -> None:
    """What the store says of the counters against the sealed readings."""
    stored = {(entry.edge, entry.device, entry.quantity): entry for entry in evidence.counters}
    runs = counter_runs(contents)
    for name in sorted(stored.keys() - runs.keys()):
        if verdict.holds:
            verdict.fault(EVIDENCE, f"counter {_counter(name)} in the sealed batches", "no reading of it")
    for name, run in runs.items():
        verdict.counters.append(
            CounterSeen(
                *name, run.from_ms, repr(run.values[run.from_ms]), run.to_ms, repr(run.values[run.to_ms]),
                len(run.values), run.falls,
            )
        )  # fmt: skip
        entry = stored.get(name)
        if entry is None:
            verdict.fault(EVIDENCE, f"what the store has of counter {_counter(name)}", "nothing")
            continue
        for at_ms, value in (entry.first, entry.last):
            sealed = run.values.get(at_ms)
            if sealed != value:
                expected = f"counter {_counter(name)} at {at_ms} to be {sealed!r} as it was sealed"
                verdict.fault(EVIDENCE, expected, f"{value!r} from the store")


def _counter(name: CounterName) -> str:
    return "/".join(name)


def _named(batch: BatchEvidence) -> str:
    return f"leaf {batch.index}, batch {batch.seq} of {batch.edge}/{batch.epoch}"


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""  # no hash: a proof with it proves nothing


def first_difference(one: bytes, other: bytes) -> int | None:
    """Where two byte strings begin to differ; None where they do not."""
    if one == other:
        return None
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)

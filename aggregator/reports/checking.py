"""Checks a report bundle from its bytes alone and computes its figures again: signatures, proofs, products, sums, counters. Asks no aggregator.

What is trusted is the log's key and the edges' keys, as for evidence (aggregator.audit.verification). Whoever holds the log's key could sign other
totals; that is why lines, sums and counter differences are computed again, down to readings that only the edges could sign.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from aggregator.audit import tree
from aggregator.audit.evidence import (
    CHECKPOINT,
    CONTENTS,
    MOST_CONTENTS_BYTES,
    BundleUnreadable,
    contents_text,
    unzipped,
    zipped,
)
from aggregator.audit.note import Checkpoint, NoteUnproven, Verifier, opened
from aggregator.audit.verification import Fault, first_difference, verify
from aggregator.reports.bundle import (
    EVIDENCE,
    FORMAT,
    NAMES,
    REPORT,
    SINCE,
    STATEMENTS,
    Since,
)  # fmt: skip
from aggregator.reports.figures import check_figures
from aggregator.reports.verdict import ReportVerdict
from wire.keys import KeyUnusable, PublicKey


def is_report(raw: bytes) -> bool:
    """Whether these are the bytes of a report bundle rather than of evidence."""
    return f"{STATEMENTS}/".encode() in raw


def check(
    raw: bytes, log_key: Verifier | None = None, edge_keys: Iterable[PublicKey] = (), noted: bytes | None = None
) -> ReportVerdict:
    """The verdict on a report bundle. Without keys the bundle's own are taken, which only shows that it fits together.

    `noted` is an older checkpoint of the same log, which the bundle's must go on from.
    """
    verdict = ReportVerdict()
    try:
        files = unzipped(raw, NAMES)
    except BundleUnreadable as error:
        verdict.fault("(the zip file)", *error.parts())
        return verdict
    said = _report(files, verdict)
    verifier = log_key or _own_key(said, verdict)
    checkpoint = None
    if verifier is not None:
        verdict.keys[f"log {verifier.name}"] = verifier.key.fingerprint
        checkpoint = _checkpoint(files, verifier, verdict)
        _check_contents(files, verifier, verdict)
        if noted is not None and checkpoint is not None:
            _check_since(files, noted, verifier, checkpoint, verdict)
    if said is not None:
        check_figures(files, said, checkpoint, verdict)
    _check_evidence(files, verifier, tuple(edge_keys), verdict)
    if verdict.holds and (at := first_difference(raw, zipped(files))) is not None:
        verdict.fault(
            "(the zip file)", "nothing but the files' contents and their names", f"another byte at {at}, in a header"
        )
    return verdict


# -- what is signed -------------------------------------------------------------------------------------------------------


def _report(files: Mapping[str, bytes], verdict: ReportVerdict) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(files.get(REPORT, b""), type=dict[str, Any])
        if found.get("bundle") != FORMAT:
            raise ValueError(f"expected {FORMAT!r}, got {str(found.get('bundle'))[:64]!r}")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        verdict.fault(REPORT, "a report that can be read", error if REPORT in files else "no such file")
        return None
    verdict.facility = str(found.get("facility"))
    return found


def _own_key(said: Mapping[str, Any] | None, verdict: ReportVerdict) -> Verifier | None:
    try:
        return None if said is None else Verifier.from_text(str(said.get("log_key")))
    except KeyUnusable as error:
        verdict.fault(REPORT, "the log's key", error)
        return None


def _checkpoint(files: Mapping[str, bytes], verifier: Verifier, verdict: ReportVerdict) -> Checkpoint | None:
    try:
        found = Checkpoint.from_text(opened(files.get(CHECKPOINT, b""), verifier))
    except NoteUnproven as error:
        verdict.fault(CHECKPOINT, "a checkpoint signed with the log's key", error)
        return None
    if found.origin != verifier.name:
        verdict.fault(CHECKPOINT, f"origin {verifier.name}", found.origin)
        return None
    verdict.origin, verdict.size = found.origin, found.size
    return found


def _check_contents(files: Mapping[str, bytes], verifier: Verifier, verdict: ReportVerdict) -> None:
    try:
        text = opened(files.get(CONTENTS, b""), verifier, MOST_CONTENTS_BYTES)
    except NoteUnproven as error:
        verdict.fault(CONTENTS, "a list signed with the log's key", error)
        return
    others = {name: content for name, content in files.items() if name != CONTENTS}
    if text == contents_text(others, FORMAT):
        return
    first, *lines = text.splitlines()
    if first != FORMAT:
        verdict.fault(CONTENTS, FORMAT, first)
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted(listed.keys() | others.keys()):
        seen = hashlib.sha256(others[name]).hexdigest() if name in others else "no such file"
        if seen != listed.get(name, "no such file"):
            verdict.fault(name, f"SHA-256 {listed.get(name, 'of no such file')}", seen)


def _check_since(
    files: Mapping[str, bytes], noted: bytes, verifier: Verifier, checkpoint: Checkpoint, verdict: ReportVerdict
) -> None:
    """Whether the log that somebody noted before is the beginning of this one."""
    try:
        before = Checkpoint.from_text(opened(noted, verifier))
    except NoteUnproven as error:
        verdict.fault("(the noted checkpoint)", "a checkpoint signed with the log's key", error)
        return
    try:
        found = msgspec.json.decode(files[SINCE], type=Since) if SINCE in files else Since([], before.size)
        if found.size != before.size or (SINCE not in files and before.size not in {0, checkpoint.size}):
            raise tree.ProofBroken(f"one from {found.size} leaves" if SINCE in files else "no proof")
        path = [bytes.fromhex(each) for each in found.proof]
        tree.check_consistency(before.size, checkpoint.size, before.root, checkpoint.root, path)
    except (ValueError, msgspec.DecodeError) as error:
        verdict.fault(SINCE, f"a proof from the noted {before.size} leaves on (made with since={before.size})", error)
    else:
        verdict.since = before.size


def _check_evidence(
    files: Mapping[str, bytes], verifier: Verifier | None, edge_keys: tuple[PublicKey, ...], verdict: ReportVerdict
) -> None:
    raw = files.get(EVIDENCE)
    if raw is None:
        return
    found = verdict.evidence = verify(raw, verifier, edge_keys)
    verdict.keys |= found.keys
    verdict.faults += [
        Fault(f"{EVIDENCE}/{fault.file}", fault.batch, fault.expected, fault.seen or "nothing")
        for fault in found.faults
    ]
    with contextlib.suppress(BundleUnreadable):
        if unzipped(raw).get(CHECKPOINT) != files.get(CHECKPOINT):
            verdict.fault(EVIDENCE, f"the checkpoint of {CHECKPOINT}", "another one")
    if found.facility != verdict.facility:
        verdict.fault(EVIDENCE, f"evidence of {verdict.facility}", found.facility)

"""Checks an event's bundle from its bytes alone: signatures, proofs, hashes, then baseline and settlement worked out again. Asks no aggregator and no clock.

What is trusted is the log's key. Where it is not given it is taken from the bundle, which then only proves that it fits together.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

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
from aggregator.audit.verification import Fault, first_difference
from aggregator.flexibility.baseline import NoBaseline
from aggregator.flexibility.events.bundle import (
    COMMITMENT,
    EVENT,
    FORMAT,
    INPUTS,
    METERED,
    NAMES,
    SETTLED,
    SETTLEMENT,
    Proof,
    Told,
    decoded,
    parsed,
)
from aggregator.flexibility.events.commitment import (
    days_before,
    like_days,
    loads_of,
    method_sha256,
    result,
    rows_of,
    settled_outcome,
    sha256,
)
from aggregator.flexibility.events.saved_kg import weighed
from aggregator.flexibility.problem import Currency
from wire.keys import KeyUnusable

TOLERANCE_RATIO: Final = 1e-9  # another machine may round the last digit of a mean otherwise
_MOST_SHOWN: Final = 200


@dataclass(slots=True)
class EventVerdict:
    """All that was found. It holds where there is no fault. `before_begin_s`: how long before its begin it was fixed, by the aggregator's clock."""

    faults: list[Fault] = field(default_factory=list)
    event: str = ""
    facility: str = ""
    origin: str = ""
    size: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    inputs: int = 0
    days: list[str] = field(default_factory=list)
    firm_kw: float | None = None
    before_begin_s: float | None = None
    delivered_kwh: float | None = None
    money: Currency | None = None
    currency: str = ""
    same_method: bool = True

    @property
    def holds(self) -> bool:
        return not self.faults

    def fault(self, file: str, expected: str, seen: object, of: str = "") -> None:
        self.faults.append(Fault(file, of, expected, str(seen)[:_MOST_SHOWN] or "nothing"))


def check(raw: bytes, log_key: Verifier | None = None) -> EventVerdict:
    """The verdict on an event's bundle."""
    verdict = EventVerdict()
    try:
        files = unzipped(raw, NAMES)
    except BundleUnreadable as error:
        verdict.fault("(the zip file)", *error.parts())
        return verdict
    told = _told(files, verdict)
    verifier = log_key or _own_key(told, verdict)
    if verifier is not None:
        verdict.keys[f"log {verifier.name}"] = verifier.key.fingerprint
        _check_contents(files, verifier, verdict)
    if told is not None:
        checkpoint = None if verifier is None else _checkpoint(files, verifier, verdict)
        _check_leaf(files, COMMITMENT, told.commitment, checkpoint, verdict)
        if told.settlement is not None:
            _check_leaf(files, SETTLED, told.settlement, checkpoint, verdict)
        try:
            _check_figures(files, told, verdict)
        except (ValueError, KeyError, TypeError, ArithmeticError, UnicodeDecodeError, RecursionError) as error:
            verdict.fault(COMMITMENT, "files that can be read and worked out again", f"{type(error).__name__}: {error}")
    if verdict.holds and (at := first_difference(raw, zipped(files))) is not None:
        verdict.fault(
            "(the zip file)", "nothing but the files' contents and their names", f"another byte at {at}, in a header"
        )
    return verdict


def _told(files: Mapping[str, bytes], verdict: EventVerdict) -> Told | None:
    try:
        told = decoded(files.get(EVENT, b""))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        verdict.fault(EVENT, "an event that can be read", error if EVENT in files else "no such file")
        return None
    verdict.event, verdict.facility = told.event, told.said.facility
    return told


def _own_key(told: Told | None, verdict: EventVerdict) -> Verifier | None:
    try:
        return None if told is None else Verifier.from_text(told.log_key)
    except KeyUnusable as error:
        verdict.fault(EVENT, "the log's key", error)
        return None


def _check_contents(files: Mapping[str, bytes], verifier: Verifier, verdict: EventVerdict) -> None:
    try:
        text = opened(files.get(CONTENTS, b""), verifier, MOST_CONTENTS_BYTES)
    except NoteUnproven as error:
        verdict.fault(CONTENTS, "a list signed with the log's key", error)
        return
    others = {name: content for name, content in files.items() if name != CONTENTS}
    if text == contents_text(others, FORMAT):
        return
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines()[1:])}
    for name in sorted(listed.keys() | others.keys()):
        seen = hashlib.sha256(others[name]).hexdigest() if name in others else "no such file"
        if seen != listed.get(name, "no such file"):
            verdict.fault(name, f"SHA-256 {listed.get(name, 'of no such file')}", seen)


def _checkpoint(files: Mapping[str, bytes], verifier: Verifier, verdict: EventVerdict) -> Checkpoint | None:
    try:
        found = Checkpoint.from_text(opened(files.get(CHECKPOINT, b""), verifier))
    except NoteUnproven as error:
        verdict.fault(CHECKPOINT, "a checkpoint signed with the log's key", error)
        return None
    verdict.origin, verdict.size = found.origin, found.size
    return found


def _check_leaf(
    files: Mapping[str, bytes], name: str, proof: Proof, checkpoint: Checkpoint | None, verdict: EventVerdict
) -> None:
    """That a leaf is under the checkpoint."""
    if checkpoint is None:
        return
    try:
        path = [bytes.fromhex(each) for each in proof.path]
        leaf = tree.leaf_hash(files.get(name, b""))
        tree.check_inclusion(proof.index, checkpoint.size, leaf, path, checkpoint.root)
    except (tree.ProofBroken, ValueError) as error:
        verdict.fault(name, f"leaf {proof.index} of the log", error)


def _check_figures(files: Mapping[str, bytes], told: Told, verdict: EventVerdict) -> None:
    """What was asked and the intervals against the leaves' hashes; days, baseline, settlement and kg worked out again."""
    said, leaf, inputs_raw = told.said, parsed(files.get(COMMITMENT, b"")), files.get(INPUTS, b"")
    _same(verdict, EVENT, "said", leaf["said_sha256"], said.sha256)
    _same(verdict, EVENT, "event and version", [leaf["event"], leaf["version"]], [told.event, told.version])
    _same(verdict, INPUTS, "SHA-256", leaf["inputs_sha256"], sha256(inputs_raw))
    inputs = rows_of(inputs_raw)
    verdict.inputs, verdict.days = len(inputs), list(leaf["days"])
    verdict.firm_kw = None if leaf["firm"] is None else leaf["firm"]["kw"]
    verdict.same_method = leaf["method_sha256"] == method_sha256()
    verdict.before_begin_s = (said.from_ms - leaf["at_ms"]) / 1000
    if verdict.before_begin_s < 0:
        verdict.fault(COMMITMENT, "a time before the event's begin", f"{-verdict.before_begin_s:g} s after it", "at_ms")
    days, baseline_kw, _ = like_days(said, inputs, leaf["event_days"], leaf["at_ms"])
    _same(verdict, COMMITMENT, "days", days, leaf["days"])
    _same(verdict, COMMITMENT, "baseline_kw", baseline_kw, leaf["baseline_kw"])
    if SETTLEMENT not in files:
        return
    settled, found, metered_raw = parsed(files.get(SETTLED, b"")), parsed(files[SETTLEMENT]), files.get(METERED, b"")
    for file, key, raw in ((SETTLEMENT, "result_sha256", files[SETTLEMENT]), (METERED, "metered_sha256", metered_raw), (COMMITMENT, "commitment_sha256", files[COMMITMENT])):  # fmt: skip
        _same(verdict, file, "SHA-256", settled[key], sha256(raw))
    try:
        again = settled_outcome(
            said,
            days_before(said, inputs),
            loads_of(said, rows_of(metered_raw)),
            leaf["event_days"],
            leaf["at_ms"],
            moved=found["moved"],
        )
    except (NoBaseline, ValueError) as error:
        verdict.fault(SETTLEMENT, "a settlement that follows from the intervals", error)
        return
    for key, value in result(again, said, [], moved=found["moved"]).items():
        if key != "saved_kg":
            _same(verdict, SETTLEMENT, key, value, found.get(key))
    delivered = again.settled.delivered_kwh.tolist()
    for each in found["saved_kg"]:
        factors = [None if factor is None else Decimal(factor) for factor in each["kg_per_kwh"]]
        kg = weighed(delivered, factors)
        _same(verdict, SETTLEMENT, f"saved_kg {each['profile']}", None if kg is None else float(kg), None if each["kg"] is None else float(each["kg"]))  # fmt: skip
    verdict.delivered_kwh, verdict.money, verdict.currency = sum(delivered), again.settled.money, said.currency


def _same(verdict: EventVerdict, file: str, what: str, expected: Any, seen: Any) -> None:
    if not _alike(expected, seen):
        verdict.fault(file, f"{what} {expected}", seen, "")


def _alike(one: Any, other: Any) -> bool:
    """Equal, numbers up to their last digits."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=TOLERANCE_RATIO, abs_tol=TOLERANCE_RATIO)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    return bool(one == other)

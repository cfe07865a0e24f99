"""A plan on record: the problem and the plan as exact JSON with the hash of each, and the solving again that gives the same numbers. Not where it is kept.

Numbers are written so that they read back to the last bit; keys are sorted. Outside the hashes stands only how long the solver took.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import highspy
import numpy as np

from aggregator.flexibility.certificate import proven
from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.plan import Plan, plan
from aggregator.flexibility.problem import Currency, Problem, ProblemFault
from aggregator.flexibility.problem_file import LARGEST, read_problem
from aggregator.flexibility.stale import followed

VERSION: Final = 1
SAME: Final = 1e-9  # relative: another machine's sums may differ in the last bits
MODULES: Final = ("problem", "sparse_model", "dispatch", "solver", "dive", "rules", "ties", "solve", "plan", "stale")
NOT_NUMBERS: Final = ("made_by",)


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that was read, its hashes as they should be. `plan`: its numbers as `encode_plan` wrote them."""

    problem: Problem
    plan: Mapping[str, Any]
    problem_sha256: str
    plan_sha256: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """`differences`: what the plan that is solved again has otherwise, none where all numbers are the same to 1e-9.

    `exact`: to the last bit. `versions`: what made the plan then and makes it otherwise now. `proven`: the money below which the kept duals prove that no plan is.
    """

    differences: tuple[str, ...]
    exact: bool
    versions: tuple[str, ...]
    proven: Currency


def encode_problem(problem: Problem) -> bytes:
    """Every field, defaults as well. Raises ProblemFault for a problem that contradicts itself."""
    return _canonical(_plain(problem.checked()))


def decode_problem(raw: bytes) -> Problem:
    """Raises ProblemFault with the path to what is wrong."""
    return read_problem(raw)


def encode_plan(found: Plan, budget_s: float = 5.0) -> bytes:
    """All of a plan but the time it took, with the versions of code and solver that made it. Duals of rows are written where they are not 0."""
    written = {
        field.name: _plain(getattr(found, field.name))
        for field in fields(found)
        if field.name not in ("solve_s", "duals")
    }
    at = np.flatnonzero(found.duals)
    written["duals"] = {"rows": len(found.duals), "at": at.tolist(), "value": found.duals[at].tolist()}
    return _canonical(written | {"made_by": _made_by() | {"budget_s": float(budget_s)}})


def digest(raw: bytes) -> str:
    """The sha256 of canonical JSON, in hexadecimal digits."""
    return hashlib.sha256(raw).hexdigest()


def encode_record(problem: Problem, found: Plan, budget_s: float = 5.0) -> bytes:
    """Problem and plan in one file. Raises ProblemFault."""
    asked, answered = encode_problem(problem), encode_plan(found, budget_s)
    rest = _canonical(
        {
            "plan_sha256": digest(answered), "problem_sha256": digest(asked), "record": VERSION,
            "solve_s": round(found.solve_s, 6),
        }
    )  # fmt: skip
    return b'{"plan":' + answered + b',"problem":' + asked + b"," + rest[1:]


def decode_record(raw: bytes) -> Kept:
    """Raises ProblemFault: no record, of another version, or changed since it was written."""
    if len(raw) > 2 * LARGEST:
        raise ProblemFault(f"record: expected at most {2 * LARGEST} bytes, got {len(raw)}")
    try:
        content = json.loads(raw)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ProblemFault(f"record: expected JSON, got {error}") from error
    if not isinstance(content, dict) or content.get("record") != VERSION:
        seen = content.get("record") if isinstance(content, dict) else content
        raise ProblemFault(f"record: expected a record of version {VERSION}, got {str(seen)[:80]!r}")
    for part in ("problem", "plan"):
        if not isinstance(content.get(part), dict):
            raise ProblemFault(f"record.{part}: expected an object, got {str(content.get(part))[:80]!r}")
        seen, said = digest(_canonical(content[part])), content.get(f"{part}_sha256")
        if seen != said:
            raise ProblemFault(
                f"record.{part}: expected sha256 {str(said)[:64]}, got {seen}: it was changed since it was written"
            )
    problem = decode_problem(_canonical(content["problem"]))
    _fits(content["plan"], problem.steps)
    return Kept(problem, content["plan"], content["problem_sha256"], content["plan_sha256"])


def _fits(written: Mapping[str, Any], steps: int) -> None:
    """That a plan has what is read of it here, whoever wrote it. Raises ProblemFault."""
    made_by, duals = written.get("made_by"), written.get("duals")
    _expect(_number(written.get("objective")), "objective", "a number", written.get("objective"))
    _expect(isinstance(made_by, dict), "made_by", "an object", made_by)
    budget_s = made_by.get("budget_s") if isinstance(made_by, dict) else None
    _expect(_number(budget_s), "made_by.budget_s", "a number", budget_s)
    said: dict[str, Any] = duals if isinstance(duals, dict) else {}
    rows, at, value = said.get("rows"), said.get("at"), said.get("value")
    kept = False
    if isinstance(rows, int) and isinstance(at, list) and _numbers_in(value, len(at)):
        kept = all(isinstance(one, int) and 0 <= one < rows for one in at)
    _expect(kept, "duals", "rows, places within them and as many values", duals)
    series = {f"shifted_kw.{name}": power for name, power in _named(written, "shifted_kw").items()}
    for name, one in _named(written, "assets").items():
        for side in ("charge_kw", "discharge_kw"):
            series[f"assets.{name}.{side}"] = one.get(side) if isinstance(one, dict) else None
    for path, values in series.items():
        _expect(_numbers_in(values, steps), path, f"{steps} numbers", values)


def _named(written: Mapping[str, Any], part: str) -> dict[str, Any]:
    found = written.get(part)
    _expect(isinstance(found, dict), part, "an object", found)
    return dict(found or {})


def _numbers_in(values: Any, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(_number(one) for one in values)


def _expect(holds: bool, path: str, expected: str, given: Any) -> None:
    if not holds:
        raise ProblemFault(f"record.plan.{path}: expected {expected}, got {str(given)[:80]!r}")


def replay(kept: Kept) -> Replayed:
    """Solves the problem again (follows a stale plan's powers again) and compares every number. Raises ProblemFault, Unsolved."""
    then = kept.plan
    made_by = then.get("made_by", {})
    again = json.loads(encode_plan(_again(kept, float(made_by.get("budget_s", 5.0)))))
    differences = tuple(_differences(_numbers(then), _numbers(again), ""))
    now = _made_by()
    versions = tuple(
        f"{name} {made_by.get(name)}, now {value}" for name, value in now.items() if made_by.get(name) != value
    )
    return Replayed(differences, _numbers(then) == _numbers(again), versions, _proven(kept))


def _again(kept: Kept, budget_s: float) -> Plan:
    """A stale plan is not solved again: its powers are followed once more."""
    return plan_of(kept) if kept.plan.get("status") == "stale" else plan(kept.problem, budget_s)


def plan_of(kept: Kept) -> Plan:
    """The plan of a record from its powers alone, held against its problem; stale. Raises ProblemFault."""
    assets, loads = kept.plan.get("assets", {}), kept.plan.get("shifted_kw", {})
    powers = {name: (np.array(one["charge_kw"]), np.array(one["discharge_kw"])) for name, one in assets.items()}
    return followed(kept.problem, powers, {name: np.array(power) for name, power in loads.items()})


def _proven(kept: Kept) -> Currency:
    made, said = dispatch(kept.problem), kept.plan.get("duals", {})
    if said.get("rows") != made.model.rows:
        return -math.inf  # of another model: they prove nothing of this one
    duals = np.zeros(made.model.rows)
    duals[said["at"]] = said["value"]
    return proven(made, duals)


def _numbers(written: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in written.items() if name not in NOT_NUMBERS}


def _differences(then: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted(then.keys() | now.keys()):
            yield from _differences(then.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for at, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from _differences(one, other, f"{path}[{at}]")
    elif _number(then) and _number(now):
        if abs(then - now) > SAME * max(1.0, abs(then), abs(now)):
            yield f"{path}: {then!r} then, {now!r} now"
    elif then != now:
        yield f"{path}: {str(then)[:60]} then, {str(now)[:60]} now"


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@cache
def _made_by() -> dict[str, Any]:
    """The solver's version and a hash of the planner's own source: equal where the same code runs."""
    here, source = Path(__file__).parent, hashlib.sha256()
    for name in MODULES:
        source.update((here / f"{name}.py").read_bytes())
    return {"solver": f"HiGHS {highspy.Highs().version()}", "planner": source.hexdigest()[:16]}  # type: ignore[no-untyped-call]


def _canonical(value: Any) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise ProblemFault(f"record: expected finite numbers, got {error}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()] if np.iscomplexobj(value) else value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, (np.bool_, np.integer)):
        return value.item()
    return float(value) if isinstance(value, float) else value

"""A planning problem as a JSON file, and a plan as JSON. Not the problem's own checks (`problem.Problem.checked`).

Keys are the fields of `problem`; series are lists of numbers, one per step; complex members of a branch are [real, imaginary].
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import numpy as np

from aggregator.flexibility.plan import Plan
from aggregator.flexibility.problem import Problem, ProblemFault

LARGEST: Final = 64 << 20  # bytes


def read_problem(raw: bytes) -> Problem:
    """Raises ProblemFault with the path to what is wrong."""
    if len(raw) > LARGEST:
        raise ProblemFault(f"problem: expected at most {LARGEST} bytes, got {len(raw)}")
    try:
        content = json.loads(raw)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ProblemFault(f"problem: expected JSON, got {error}") from error
    made = _made(Problem, content, "problem")
    assert isinstance(made, Problem)
    return made.checked()


def _made(kind: Any, given: Any, path: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record(kind, given, path)
    if origin is Literal:
        _expect(given in arguments, path, " or ".join(map(repr, arguments)), given)
        return given
    if type(None) in arguments:
        (inner,) = (one for one in arguments if one is not type(None))
        return None if given is None else _made(inner, given, path)
    if origin is np.ndarray:
        return _series(arguments, given, path)
    if origin is dict:
        _expect(isinstance(given, dict), path, "an object", given)
        return {name: _made(arguments[1], value, f"{path}.{name}") for name, value in given.items()}
    if origin is tuple and len(arguments) == 2 and arguments[1] is not ...:
        _expect(isinstance(given, list) and len(given) == 2, path, "two numbers", given)
        return tuple(_made(one, value, path) for one, value in zip(arguments, given, strict=True))
    if origin is not None:  # Sequence[...], tuple[..., ...]
        _expect(isinstance(given, list), path, "a list", given)
        return tuple(_made(arguments[0], value, f"{path}[{at}]") for at, value in enumerate(given))
    if kind is complex:
        _expect(
            isinstance(given, (int, float)) or (isinstance(given, list) and len(given) == 2),
            path,
            "[real, imaginary]",
            given,
        )
        return complex(*given) if isinstance(given, list) else complex(given)
    if kind is float:
        _expect(isinstance(given, (int, float)) and not isinstance(given, bool), path, "a number", given)
        return float(given)
    _expect(isinstance(given, kind) and (kind is bool or not isinstance(given, bool)), path, f"{kind.__name__}", given)
    return given


def _record(kind: Any, given: Any, path: str) -> Any:
    _expect(isinstance(given, dict), path, "an object", given)
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for name in given:
        _expect(name in known, f"{path}.{name}", f"one of {', '.join(known)}", name)
    for name, field in known.items():
        if field.default is MISSING and field.default_factory is MISSING:
            _expect(name in given, f"{path}.{name}", "a value", "nothing")
    return kind(**{name: _made(hints[name], value, f"{path}.{name}") for name, value in given.items()})


def _series(arguments: Any, given: Any, path: str) -> Any:
    (dtype,) = get_args(arguments[1])
    _expect(isinstance(given, list), path, "a list of numbers", given)
    if dtype is np.complex128:
        return np.array([_made(complex, value, f"{path}[{at}]") for at, value in enumerate(given)])
    one: Any = bool if dtype is np.bool_ else float
    return np.array([_made(one, value, f"{path}[{at}]") for at, value in enumerate(given)], dtype=dtype)


def _expect(holds: bool, path: str, expected: str, given: Any) -> None:
    if not holds:
        raise ProblemFault(f"{path}: expected {expected}, got {str(given)[:80]!r}")


def plan_json(found: Plan) -> dict[str, Any]:
    """A plan for programs: series as lists, rounded to a milliwatt; without the duals of the model's rows, which a record keeps (see `record`)."""
    plain = _plain(found)
    assert isinstance(plain, dict)
    del plain["duals"]
    return plain | {"money_total": round(found.money.total, 9)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return [round(float(one), 6) + 0.0 for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return round(value, 9) + 0.0 if isinstance(value, float) else value

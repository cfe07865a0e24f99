"""Reading what was given for a formula: exact numbers with or without a unit, lists, words. Every fault is told at once; nothing is filled in."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from aggregator.emissions.formulas.declared import Formula, Input
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.units import converted

MAX_DIGITS: Final = 60
MAX_EXPONENT: Final = 40  # a number of more digits than this is a slip, and would be carried exactly
MAX_VALUES: Final = 100_000
MAX_BYTES: Final = 10_000_000
HOLE: Final = "-"
_NUMBER: Final = re.compile(
    r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE]([-+]?\d{1,4}))?)(?:\s*([A-Za-z%].*)|\s+(10\^4.*))?", re.ASCII
)

Value = (
    Fraction | str | None | list[Fraction] | list[Fraction | None] | list[list[Fraction]] | list[str] | list[str | None]
)


def read(formula: Formula, texts: Mapping[str, str]) -> dict[str, Value]:
    """The inputs of a formula by name. Raises Impossible with every fault, one a line."""
    faults: list[str] = []
    names = {one.name: one for one in formula.inputs}
    for name in texts:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(f"{name}: expected one of {', '.join(names)}, saw {name}{hint}")
    values: dict[str, Value] = {}
    for one in formula.inputs:
        if one.name not in texts:
            if not one.optional:
                faults.append(f"{one.name}: expected {said(one)}, it is missing; there is no default")
            continue
        try:
            values[one.name] = _value(one, texts[one.name].strip())
        except Impossible as error:
            faults.append(f"{one.name}: {error}")
    if faults:
        raise Impossible("\n".join(faults))
    return values


def said(one: Input) -> str:
    """What an input is, in a few words: `net calorific value (GJ/t)`."""
    unit = {"": "", "1": " (0 to 1)"}.get(one.unit, f" ({one.unit})")
    several = {
        "number": "",
        "word": "",
        "numbers": ", several by comma",
        "words": ", several by comma",
        "table": ", rows by semicolon, values by comma",
        "numbers with holes": ", several by comma, - where one is missing",
        "words with holes": ", several by comma, - where there is none",
    }
    return f"{one.text}{unit}{several[one.kind]}"


def _value(one: Input, text: str) -> Value:
    if not text:
        raise Impossible(f"expected {said(one)}, saw nothing")
    match one.kind:
        case "word":
            return text
        case "words":
            return [_word(part) for part in _parts(text, ",")]
        case "words with holes":
            return [None if part == HOLE else _word(part) for part in _parts(text, ",")]
        case "number":
            return number(text, one.unit)
        case "numbers":
            return [number(part, one.unit) for part in _parts(text, ",")]
        case "numbers with holes":
            return [None if part == HOLE else number(part, one.unit) for part in _parts(text, ",")]
        case "table":
            return [[number(part, one.unit) for part in _parts(row, ",")] for row in _parts(text, ";")]


def _parts(text: str, separator: str) -> list[str]:
    parts = [part.strip() for part in text.split(separator)]
    if len(parts) > MAX_VALUES:
        raise Impossible(f"expected at most {MAX_VALUES} values, saw {len(parts)}")
    return parts


def _word(text: str) -> str:
    if not text:
        raise Impossible("expected a word, saw nothing")
    return text


def number(text: str, unit: str) -> Fraction:
    """An exact number in `unit`; one with a unit of its own (`250 MWh`, `98 %`) is converted exactly. Raises Impossible."""
    matched = _NUMBER.fullmatch(text) if len(text) <= MAX_DIGITS else None
    if matched is None:
        raise Impossible(
            f"expected a number such as 20.908{f' in {unit}' if unit not in ('', '1') else ''}, saw {text[:80]!r}"
        )
    digits, exponent, *own = matched.groups()
    own_unit = own[0] or own[1]
    if exponent is not None and abs(int(exponent)) > MAX_EXPONENT:
        raise Impossible(f"expected an exponent of at most {MAX_EXPONENT}, saw {text!r}")
    value = Fraction(Decimal(digits))
    if not own_unit or own_unit == unit:
        return value
    if not unit:
        raise Impossible(f"expected a number without a unit, saw {text!r}")
    return converted(value, own_unit, unit)


def from_file(path: Path) -> dict[str, str]:
    """Inputs from a TOML file as if they had been typed; a table's keys follow its name after a point. Raises Impossible, OSError."""
    content = path.read_bytes()
    if len(content) > MAX_BYTES:
        raise Impossible(f"{path}: expected at most {MAX_BYTES} bytes, saw {len(content)}")
    try:
        table = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:  # of TOML, UTF-8, or a number beyond reason
        raise Impossible(f"{path}: expected TOML, {error}") from error
    return dict(_flat("", table, path))


def _flat(prefix: str, table: Mapping[str, Any], path: Path) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            flat += _flat(f"{prefix}{name}.", value, path)
        elif isinstance(value, list) and value and all(isinstance(row, list) for row in value):
            flat.append((prefix + name, ";".join(",".join(_text(v, path) for v in row) for row in value)))
        elif isinstance(value, list):
            flat.append((prefix + name, ",".join(_text(v, path) for v in value)))
        else:
            flat.append((prefix + name, _text(value, path)))
    return flat


def _text(value: object, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise Impossible(f"{path}: expected numbers, texts and lists of them, saw {value!r}")
    return str(value)

"""`wattline formula`: one formula of carbon accounting with its steps, for a person or a program. Not the formulas (see `aggregator.emissions.formulas`)."""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from aggregator.emissions.formulas.carbon_price import priced
from aggregator.emissions.formulas.declared import Formula
from aggregator.emissions.formulas.given import from_file, number, read, said
from aggregator.emissions.formulas.guards import Impossible
from aggregator.emissions.formulas.table import FORMULAS
from aggregator.emissions.formulas.worked import Figure, Worked, shown

BAD_USE: Final = 2


def run(options: argparse.Namespace) -> int:
    """List the formulas, describe one, or work it out; the exit status: 0, 2 (unknown, missing or impossible input)."""
    if options.name is None:
        _print([_description(one) for one in FORMULAS.values()] if options.json else _list(), as_json=options.json)
        return 0
    formula = FORMULAS.get(options.name)
    if formula is None:
        near = difflib.get_close_matches(options.name, FORMULAS, 1)
        hint = f"; did you mean {near[0]}?" if near else "; `wattline formula` lists them"
        print(f"formula: expected the name of a formula, saw {options.name!r}{hint}", file=sys.stderr)
        return BAD_USE
    if not options.values and options.file is None:
        _print(_description(formula) if options.json else _needs(formula), as_json=options.json)
        return 0
    try:
        texts = {**({} if options.file is None else from_file(options.file)), **_pairs(options.values)}
        numbers, factors = _with_factors(texts, options)
        worked = formula.work(**read(formula, numbers))
        if options.price is not None:
            worked = _priced(worked, options)
    except (Impossible, OSError) as error:
        for line in str(error).splitlines():
            print(f"formula {formula.name}: {line}", file=sys.stderr)
        return BAD_USE
    answer = _answer(formula, texts, factors, worked) if options.json else _told(formula, factors, worked)
    _print(answer, as_json=options.json)
    return 0


def _with_factors(texts: Mapping[str, str], options: argparse.Namespace) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The inputs with every factor on record that they name, and what stands behind each."""
    if not any(re.search(r"(?:^|[,;])\s*@", text) for text in texts.values()):
        return texts, ()
    from wattline.formula_factors import looked_up  # what a plain calculation need not have installed

    found = looked_up(texts, options)
    return found.texts, found.factors


def _pairs(words: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise Impossible(f"expected KEY=VALUE, saw {word!r}")
        if name in pairs:
            raise Impossible(f"{name}: expected once, saw it twice")
        pairs[name] = text
    return pairs


def _priced(worked: Worked, options: argparse.Namespace) -> Worked:
    if options.currency is None or options.price_source is None:
        raise Impossible(
            "--price: expected --currency and --price-source beside it, one is missing; there is no default"
        )
    try:
        price_per_t: Fraction = number(options.price, "")
    except Impossible as error:
        raise Impossible(f"--price: {error}") from error
    return priced(worked, price_per_t, options.currency, options.price_source)


def _list() -> list[str]:
    width = max(len(name) for name in FORMULAS)
    return [f"{one.name:{width}}  {one.title}" for one in FORMULAS.values()]


def _needs(formula: Formula) -> list[str]:
    width = max(len(one.name) for one in formula.inputs)
    needed = [f"  {one.name:{width}}  {said(one)}" for one in formula.inputs if not one.optional]
    also = [f"  {one.name:{width}}  {said(one)}" for one in formula.inputs if one.optional]
    return [
        f"{formula.name}: {formula.title}",
        f"  {formula.expression}",
        f"source: {formula.source}",
        "needs:",
        *needed,
        *(["takes as well:", *also] if also else []),
    ]


def _told(formula: Formula, factors: Sequence[str], worked: Worked) -> list[str]:
    return [
        *(f"factor {factor}" for factor in factors),
        *(f"{figure.name} = {figure.made_of} {_value(figure)}" for figure in worked.figures),
        *(f"note: {note}" for note in worked.notes),
        f"source: {formula.source}",
    ]


def _value(figure: Figure) -> str:
    if figure.value is None:
        return "= no figure"
    text = shown(figure.value)
    equals = "=" if Fraction(text) == figure.value else "~"
    return f"{equals} {text}{' ' + figure.unit if figure.unit else ''}"


def _description(formula: Formula) -> dict[str, Any]:
    return {
        "formula": formula.name,
        "title": formula.title,
        "expression": formula.expression,
        "source": formula.source,
        "inputs": [
            {"name": one.name, "unit": one.unit, "text": one.text, "kind": one.kind, "optional": one.optional}
            for one in formula.inputs
        ],
    }


def _answer(formula: Formula, texts: dict[str, str], factors: Sequence[str], worked: Worked) -> dict[str, Any]:
    figures = [
        {
            "name": figure.name,
            "value": None if figure.value is None else shown(figure.value),
            "exact": figure.value is not None and Fraction(shown(figure.value)) == figure.value,
            "unit": figure.unit,
            "calculation": figure.made_of,
        }
        for figure in worked.figures
    ]
    return {
        "formula": formula.name,
        "expression": formula.expression,
        "source": formula.source,
        "inputs": texts,
        "factors": factors,
        "figures": figures,
        "results": list(worked.results),
        "notes": list(worked.notes),
    }


def _print(content: Any, *, as_json: bool) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2) if as_json else "\n".join(content))

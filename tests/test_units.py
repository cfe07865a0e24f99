"""A float's name ends in its unit: dataclass and struct fields, arguments, and functions that give a float are read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("wire", "device_sim", "edge_agent", "aggregator", "wattline")

UNIT = (
    "kw|w|kwp|kwh|wh|mw|mwh|var|kvar|kvarh|va|kva|v|mv|a|ma|ah|hz|degc|k|pa|kpa|bar|percent|ratio|factor|s|ms|us|ns|min|h|hours|days|kg|g|t|m|m2|m3|l|kj|mj|gj"
    "|cny|eur|usd|lux|ppm|deg|m_per_s|mib|bytes|baud|hz|years"
)
ENDS_IN_UNIT = re.compile(rf"(^|_)({UNIT})(_per_({UNIT}))?$")

# A float without a unit, and why. A name stands here for the whole tree, so it must mean the same everywhere.
WITHOUT_UNIT = {
    "value": "of a quantity that stands beside it: its unit is the quantity's (wire.quantities)",
    "low": "of a quantity's range: its unit is the quantity's",
    "high": "of a quantity's range: its unit is the quantity's",
    "before": "of a point that may be written: its unit is the point's",
    "after": "of a point that may be written: its unit is the point's",
    "safe": "of a point that may be written: its unit is the point's",
    "dead_band": "of a point that may be written: its unit is the point's",
    "default": "of a key that a file lacks: its unit stands in the key's name",
    "largest": "of a SunSpec point: its unit is the point's",
    "cov_increment": "of a BACnet object: its unit is the object's own",
    "rest": "what a simulated BACnet object holds when nobody commands it: its unit is the object's own",
    "band": "of a quantity that stands beside it: its unit is the quantity's",
    "told": "of a quantity that stands beside it: its unit is the quantity's",
    "raw": "as a device has sent it, before its unit is known",
    "number": "of a quantity, a point or a file's key that stands beside it",
    "one": "of a quantity that stands beside it, compared with `other`",
    "other": "of a quantity that stands beside it, compared with `one`",
    "ours": "of a quantity that stands beside it, compared with `theirs`",
    "theirs": "of a quantity that stands beside it, compared with `ours`",
    "target": "of a point that may be written: its unit is the point's",
    "divisor": "of a count, to its unit",
    "peak": "of a carrier's stream: kW or m3/h, as its docstring says",
    "hour": "of a local day",
    "start_cycles": "a battery's equivalent full cycles",
    "left": "of a drawing: its unit is the drawing's own",
    "wide": "of a drawing: its unit is the drawing's own",
    "height": "of a drawing: its unit is the drawing's own",
    "tick": "of a chart's axis: its unit is the axis's",
    "speed": "simulated seconds per real second",
    "bound": "of a channel of a branch: A, kVA or kW, as the channel is counted",
    "amount": "of a promise that is not kept: its unit stands beside it",
}


def is_float(annotation: ast.expr | None) -> bool:
    """float itself or float beside None or int; not a container of floats."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return is_float(annotation.left) or is_float(annotation.right)
    return isinstance(annotation, ast.Name) and annotation.id == "float"


def float_names(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and is_float(field.annotation)
                ):
                    yield field.lineno, field.target.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                if is_float(argument.annotation):
                    yield argument.lineno, argument.arg


def names_without_unit(root: Path) -> list[str]:
    faults = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for line, name in float_names(path.read_text(encoding="utf-8")):
                if name not in WITHOUT_UNIT and not ENDS_IN_UNIT.search(name):
                    faults.append(f"{path.relative_to(root)}:{line}: float {name} has no unit in its name")
    return faults


def test_every_float_ends_in_its_unit() -> None:
    assert names_without_unit(ROOT) == []


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    limit: float",
        "class A:\n    limit: float | None = None",
        "def f(power: float) -> None: ...",
        "async def f(*, wait: float = 1.0): ...",
    ],
)
def test_a_float_without_unit_is_found(tmp_path: Path, source: str) -> None:
    (tmp_path / "wire").mkdir()
    (tmp_path / "wire" / "a.py").write_text(source, encoding="utf-8")
    assert len(names_without_unit(tmp_path)) == 1


@pytest.mark.parametrize(
    "name",
    ["limit_kw", "price_cny_per_kwh", "timeout_s", "efficiency_ratio", "voltage_l1_v", "kg_per_kwh", "ambient_degc"],
)
def test_a_unit_at_the_end_passes(name: str) -> None:
    assert ENDS_IN_UNIT.search(name)


@pytest.mark.parametrize("name", ["limit", "flow", "kwlimit", "s_limit", "gas"])
def test_a_word_that_merely_ends_in_a_letter_of_a_unit_does_not_pass(name: str) -> None:
    assert not ENDS_IN_UNIT.search(name)

"""Holds the import table of docs/architecture.md and the rule on names. Reads the source, imports nothing of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("wire", "device_sim", "edge_agent", "aggregator", "wattline")

# who -> whom it may import, besides itself. The longest name that fits a module decides.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "wire": (),
    "device_sim": (),
    "edge_agent.drivers": ("wire",),
    "edge_agent": ("wire", "edge_agent.drivers"),
    "aggregator.stores": ("wire",),
    "aggregator.intervals": ("wire",),
    "aggregator.emissions": ("wire", "aggregator.stores", "aggregator.intervals"),
    "aggregator.forecasts": ("wire", "aggregator.stores", "aggregator.intervals", "aggregator.emissions"),
    "aggregator.flexibility": (
        "wire",
        "aggregator.stores",
        "aggregator.intervals",
        "aggregator.emissions",
        "aggregator.forecasts",
    ),
    "aggregator.flexibility.events": (
        "wire",
        "aggregator",
        "aggregator.stores",
        "aggregator.intervals",
        "aggregator.emissions",
        "aggregator.flexibility",
    ),
    "aggregator.reports": ("wire", "aggregator", "aggregator.intervals", "aggregator.emissions"),
    "aggregator": ("wire", "aggregator"),
    "wattline": PACKAGES,
}
# What a gateway has neither room nor wheels for; the simulator and the wire are kept as light.
TOO_HEAVY = (
    "aiomqtt",
    "duckdb",
    "fastapi",
    "highspy",
    "influxdb_client",
    "numpy",
    "pandas",
    "pydantic",
    "scipy",
    "uvicorn",
)
LIGHT = ("wire", "device_sim", "edge_agent")
SAYS_NOTHING = {"util", "utils", "helper", "helpers", "common", "base", "core", "manager", "managers"}


def owner(module: str) -> str:
    """The row of the table that a module falls under, "" for what is not ours."""
    rows = [row for row in MAY_IMPORT if module == row or module.startswith(row + ".")]
    return max(rows, key=len, default="")


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(source: str, known: set[str]) -> Iterator[tuple[int, str]]:
    """Line and full module name of each import, also those within functions and by importlib."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in known else str(node.module)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def forbidden_imports(root: Path) -> list[str]:
    found = list(modules(root))
    known = {name for name, _ in found}
    faults = []
    for name, path in found:
        here = owner(name)
        for line, target in imported(path.read_text(encoding="utf-8"), known):
            there = owner(target)
            if there and there != here and there not in MAY_IMPORT[here] and not in_own_parent(here, there):
                faults.append(f"{path.relative_to(root)}:{line}: {here} may not import {target}")
            if name.split(".")[0] in LIGHT and target.split(".")[0] in TOO_HEAVY:
                faults.append(
                    f"{path.relative_to(root)}:{line}: {name} may not import {target}: too heavy for a gateway"
                )
    return faults


def in_own_parent(here: str, there: str) -> bool:
    """`aggregator` may import all of itself, and `wattline` everything, also what has a row of its own."""
    return any(there.startswith(row + ".") for row in MAY_IMPORT[here] if row == here or here == "wattline")


def empty_names(root: Path) -> list[str]:
    """Files, folders and classes whose name holds a word that says nothing."""
    faults = []
    for package in PACKAGES:
        paths = [path for path in sorted((root / package).rglob("*")) if "__pycache__" not in path.parts]
        empty = [path for path in paths if SAYS_NOTHING & set(re.split(r"[^a-z]+", path.stem.lower()))]
        faults += [f"{path.relative_to(root)}: name it after the thing in it" for path in empty]
    for _, path in modules(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                words = {word.lower() for word in re.findall(r"[A-Z][a-z0-9]*|[a-z0-9]+", node.name)}
                if SAYS_NOTHING & words:
                    faults.append(
                        f"{path.relative_to(root)}:{node.lineno}: class {node.name}: name it after the thing it is"
                    )
    return faults


def test_every_package_keeps_to_the_import_table() -> None:
    assert forbidden_imports(ROOT) == []


def test_no_file_or_class_has_a_name_that_says_nothing() -> None:
    assert empty_names(ROOT) == []


def test_every_source_file_is_under_a_row_of_the_table() -> None:
    found = list(modules(ROOT))
    assert len(found) > 5
    assert [name for name, _ in found if not owner(name)] == []


# ---- the checker itself, on trees that are wrong on purpose


def tree(root: Path, **files: str) -> Path:
    for name, source in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("wire__batch", "import edge_agent.spool"),
        ("wire__batch", "from wattline import command"),
        ("device_sim__plant", "from wire.quantities import QUANTITIES"),
        ("edge_agent__drivers__modbus_tcp", "from edge_agent import spool"),
        ("edge_agent__drivers__modbus_tcp", "from edge_agent.spool import Spool"),
        ("edge_agent__agent", "def late():\n    import aggregator.ingest"),
        ("edge_agent__agent", "import importlib\nimportlib.import_module('device_sim.plant')"),
        ("edge_agent__agent", "import numpy as np"),
        ("wire__batch", "from fastapi import FastAPI"),
        ("aggregator__stores__duckdb", "from aggregator.live import feed"),
        ("aggregator__stores__duckdb", "from aggregator import intervals"),
        ("aggregator__intervals", "from aggregator.stores.store import Store"),
        ("aggregator__emissions__book", "from aggregator import settings"),
        ("aggregator__flexibility__plan", "from aggregator.openadr import ven"),
        ("aggregator__ingest", "from edge_agent.spool import Spool"),
        ("aggregator__ingest", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import wattline.command"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, file: str, source: str) -> None:
    around = {"edge_agent__spool": "", "aggregator__intervals": "", "aggregator__settings": ""}
    tree(tmp_path, **around | {file: source})
    assert len(forbidden_imports(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("edge_agent__drivers__modbus_tcp", "from edge_agent.drivers.driver import Driver\nimport wire.block"),
        ("edge_agent__collect", "from edge_agent.drivers import modbus_tcp"),
        ("aggregator__ingest", "from aggregator.stores.store import Store\nfrom aggregator import intervals"),
        ("aggregator__emissions__book", "from aggregator.stores.store import Store"),
        (
            "wattline__demo",
            "import device_sim.site\nfrom edge_agent.drivers import driver\nimport aggregator.emissions.book",
        ),
        ("aggregator__ingest", "import numpy, duckdb"),
    ],
)
def test_what_the_table_allows_passes(tmp_path: Path, file: str, source: str) -> None:
    tree(tmp_path, aggregator__intervals="", **{file: source})
    assert forbidden_imports(tmp_path) == []


@pytest.mark.parametrize(
    "file", ["wire__utils", "edge_agent__drivers__modbus_common", "aggregator__core__plan", "wattline__http_helpers"]
)
def test_a_file_whose_name_says_nothing_is_found(tmp_path: Path, file: str) -> None:
    assert empty_names(tree(tmp_path, **{file: ""}))


def test_a_class_whose_name_says_nothing_is_found_and_a_baseline_is_not(tmp_path: Path) -> None:
    tree(
        tmp_path,
        wire__a="class SpoolManager: ...",
        wire__b="class BaseDriver: ...",
        wire__baseline="class Baseline: ...",
    )
    assert [fault.split(":")[0] for fault in empty_names(tmp_path)] == ["wire/a.py", "wire/b.py"]

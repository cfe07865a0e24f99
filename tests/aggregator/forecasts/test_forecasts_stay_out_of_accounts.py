"""A forecast never becomes part of an inventory: what accounts reads no forecast."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "aggregator"


def test_nothing_that_accounts_imports_a_forecast() -> None:
    found = []
    for part in ("accounts", "emissions", "intervals", "audit"):
        for path in (PACKAGE / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                found += [f"{path.name}: {name}" for name in named if "forecast" in name]
    assert found == []

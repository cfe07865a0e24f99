"""Checkpoint and proofs judged by golang.org/x/mod/sumdb (note, tlog). Needs the Go tool, and the module from its proxy or its cache."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aggregator.audit.log import AuditLog, Sealed
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import Spool

MODULE = "golang.org/x/mod@v0.20.0"
SIZE = 777


@pytest.fixture
def judge(tmp_path: Path) -> list[str]:
    """The command that runs the judge; skips with the reason where it cannot be built."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("peer go is missing")
    (tmp_path / "go.mod").write_text("module judge\n\ngo 1.21\n")
    shutil.copy(Path(__file__).parent / "judge.go", tmp_path)
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    for words in (["get", MODULE], ["build", "-o", "judge", "judge.go"]):
        try:
            subprocess.run([go, *words], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"go {words[0]} {MODULE} failed: {str(getattr(error, 'stderr', error))[-300:]}")
    return [str(tmp_path / "judge")]


@pytest.mark.long  # building the judge takes 8 s
def test_gos_own_verifier_accepts_checkpoint_and_proofs_and_no_changed_ones(judge: list[str], tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb", memory_limit="256MB")
    log = AuditLog(tmp_path, store, "store-1", lambda: 0)
    log.append([Sealed(Spool("works", "gw", "e"), seq, seq.to_bytes(32, "big")) for seq in range(SIZE)])
    log.sign_if_changed()
    given: dict[str, Any] = {
        "Key": log.verifier.to_text(),
        "Note": log.checkpoint(),
        "Inclusion": [inclusion(log, index, size) for size in (1, 256, 300, SIZE) for index in range(0, size, 7)],
        "Consistency": [consistency(log, first, SIZE) for first in range(1, SIZE, 11)],
    }
    log.close()
    store.close()
    assert said(judge, given) == [f"judged wattline/store-1 {SIZE} {len(given['Inclusion'])} 71"]

    for list_of, word in (("Inclusion", "inclusion"), ("Consistency", "consistency")):
        hashes = given[list_of][-1]["Proof"]
        hashes[0] = text(bytes([base64.b64decode(hashes[0])[0] ^ 1]) + base64.b64decode(hashes[0])[1:])
        assert any(line.startswith(word) for line in said(judge, given))
    given["Note"] = given["Note"].replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")
    assert said(judge, given)[0].startswith("note:")


def said(judge: list[str], given: object) -> list[str]:
    return subprocess.run(
        judge, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()


def inclusion(log: AuditLog, index: int, size: int) -> dict[str, object]:
    return {
        "Index": index,
        "Size": size,
        "Leaf": text(log.entry(index).leaf),
        "Root": text(log.root(size)),
        "Proof": [text(found) for found in log.inclusion(index, size)],
    }


def consistency(log: AuditLog, first: int, second: int) -> dict[str, object]:
    return {
        "First": first,
        "Second": second,
        "FirstRoot": text(log.root(first)),
        "Root": text(log.root(second)),
        "Proof": [text(found) for found in log.consistency(first, second)],
    }


def text(hashed: bytes) -> str:
    return base64.b64encode(hashed).decode()

"""Any interval is proven under the input root of its run. Peer: the tree of RFC 6962 over all leaves."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from aggregator.accounts.runs.inputs import input_proof, input_root, interval_leaf, series_of
from aggregator.audit import tree
from aggregator.intervals.boundaries import Grade
from aggregator.ledger import IntervalRow
from wire.reading import Quality


def rows(device: str, count: int) -> list[IntervalRow]:
    good = Grade(Quality.GOOD, "")
    return [
        IntervalRow(
            "works",
            device,
            "energy_import_kwh",
            at * 900_000,
            (at + 1) * 900_000,
            Decimal(at) / 4,
            good,
            True,
            "measured",
        )
        for at in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 96])
def test_every_interval_leads_to_the_input_root(count: int) -> None:
    made = tuple(series_of(device, "energy_import_kwh", rows(device, count)) for device in ("a", "b", "c"))
    for at in range(count):
        proof = input_proof(made, rows("b", count), at * 900_000)
        assert proof.interval.leaf == interval_leaf(rows("b", count)[at]).decode()
        assert proof.root() == input_root(made)


def test_the_root_of_a_series_is_that_of_the_log_s_tree() -> None:
    hashes = [tree.leaf_hash(interval_leaf(row)) for row in rows("a", 4)]
    root = tree.node_hash(tree.node_hash(*hashes[:2]), tree.node_hash(*hashes[2:]))
    assert series_of("a", "energy_import_kwh", rows("a", 4)[::-1]).root == root.hex()


def test_an_interval_that_was_changed_is_not_proven() -> None:
    made = (series_of("a", "energy_import_kwh", rows("a", 5)),)
    others = rows("a", 5)
    others[2] = replace(others[2], energy_kwh=Decimal("0.51"))
    with pytest.raises(LookupError, match="the ledger has others now"):
        input_proof(made, others, 0)
    proof = input_proof(made, rows("a", 5), 0)
    forged = replace(
        proof,
        interval=replace(proof.interval, leaf=proof.interval.leaf.replace('"energy_kwh":"0"', '"energy_kwh":"9"')),
    )
    with pytest.raises(tree.ProofBroken):
        forged.root()


def test_what_the_run_has_not_read_is_not_proven() -> None:
    made = (series_of("a", "energy_import_kwh", rows("a", 5)),)
    with pytest.raises(LookupError, match="b energy_import_kwh is none"):
        input_proof(made, rows("b", 5), 0)
    with pytest.raises(LookupError, match=r"none starts at 1970-01-01T00:00:00\.017Z"):
        input_proof(made, rows("a", 5), 17)


def test_final_up_to_the_first_interval_that_is_not() -> None:
    some = rows("a", 5)
    some[3] = replace(some[3], final=False)
    assert series_of("a", "energy_import_kwh", some).final_to_ms == 3 * 900_000
    assert series_of("a", "energy_import_kwh", rows("a", 5)).final_to_ms == 5 * 900_000


def test_a_leaf_is_the_canonical_json_of_its_interval_whatever_its_words() -> None:
    """Peer: the standard library's JSON."""
    row = IntervalRow(
        "works",
        'a "b" \\ 表',
        "q",
        1,
        2,
        Decimal("1E+3"),
        Grade(Quality.SUBSTITUTED, "counter-diff\u2028"),
        False,
        "import",
        7,
    )
    said = {
        "device": row.device, "end_ms": 2, "energy_kwh": "1000", "final": False, "quality": int(Quality.SUBSTITUTED), "quantity": "q",
        "reason": "counter-diff\u2028", "source": "import", "start_ms": 1, "version": 7,
    }  # fmt: skip
    assert interval_leaf(row) == json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("count", range(1, 34))
def test_the_root_that_is_made_leaf_by_leaf_is_the_one_that_a_proof_leads_to(count: int) -> None:
    made = series_of("a", "energy_import_kwh", rows("a", count))
    assert input_proof((made,), rows("a", count), 0).interval.root() == made.root

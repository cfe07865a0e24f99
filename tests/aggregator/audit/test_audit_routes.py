"""From sealed batches through ingest to checkpoint and proofs over HTTP, over an aggregator as it is assembled."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from audit_chain import COUNT, FRAMES, TOPIC, started
from live_plant import Server

from aggregator.audit import tree
from aggregator.audit.note import Checkpoint, Verifier, opened
from aggregator.run import Aggregator


@pytest.fixture(scope="module")
def aggregator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aggregator]:
    made = started(tmp_path_factory.mktemp("aggregator"))
    with made.ingest:
        for frame, _ in FRAMES:
            assert made.ingest.offer(TOPIC, frame)
        assert made.ingest.drain(20)
        made.audit.keep_up()
        yield made
    made._close()


@pytest.fixture(scope="module")
def client(aggregator: Aggregator) -> Iterator[httpx.Client]:
    with Server(aggregator.services()) as server, httpx.Client(base_url=server.url, timeout=10) as made:
        yield made


def given(client: httpx.Client, path: str, **parameters: Any) -> Any:
    response = client.get(f"/api/v1/log/{path}", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def pinned(client: httpx.Client) -> Checkpoint:
    verifier = Verifier.from_text(client.get("/api/v1/log/key").text)
    response = client.get("/api/v1/log/checkpoint")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    return Checkpoint.from_text(opened(response.content, verifier))


def test_each_committed_batch_is_proven_under_the_checkpoint_by_its_digest(client: httpx.Client) -> None:
    found = pinned(client)
    assert (found.origin, found.size) == ("wattline/store-1", COUNT)
    for seq in (1, 7, 16, COUNT):
        sha256 = FRAMES[seq - 1][1]
        answer = given(client, "proof/inclusion", facility="steel", edge="gw", epoch="e1", seq=seq)
        assert (answer["sha256"], answer["seq"], answer["size"]) == (sha256, seq, COUNT)
        proof = [base64.b64decode(text) for text in answer["proof"]]
        leaf = tree.leaf_hash(bytes.fromhex(sha256))
        tree.check_inclusion(answer["index"], COUNT, leaf, proof, found.root)
        assert given(client, "proof/inclusion", index=answer["index"]) == answer


def test_the_log_of_before_is_proven_to_be_the_beginning_of_this_one(client: httpx.Client) -> None:
    answer = given(client, "proof/consistency", first=7, second=COUNT)
    first, second, *proof = (
        base64.b64decode(text) for text in (answer["first_root"], answer["second_root"], *answer["proof"])
    )
    assert second == pinned(client).root
    tree.check_consistency(7, COUNT, first, second, proof)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("proof/inclusion", 422),
        ("proof/inclusion?index=3&seq=1", 422),
        ("proof/inclusion?index=-1", 422),
        (f"proof/inclusion?index={COUNT}", 404),
        (f"proof/inclusion?index=3&size={COUNT + 1}", 422),
        ("proof/inclusion?index=3&size=3", 422),
        ("proof/inclusion?facility=steel&edge=gw&epoch=e1", 422),
        ("proof/inclusion?facility=steel&edge=gw&epoch=e1&seq=99", 404),
        ("proof/inclusion?facility=steel&edge=gw%00&epoch=e1&seq=9", 422),
        ("proof/consistency?first=3", 422),
        ("proof/consistency?first=4&second=3", 422),
        (f"proof/consistency?first=4&second={COUNT + 1}", 422),
        ("checkpoint?size=3", 422),
    ],
)
def test_what_cannot_be_proven_is_refused_in_the_one_shape_of_errors(
    client: httpx.Client, path: str, status: int
) -> None:
    response = client.get(f"/api/v1/log/{path}")
    assert (response.status_code, set(response.json())) == (status, {"error", "thing", "expected", "seen"})


def test_the_metrics_show_how_much_is_logged_and_signed(client: httpx.Client) -> None:
    lines = client.get("/metrics").text.splitlines()
    assert {f"wattline_log_leaves {COUNT}.0", f"wattline_log_leaves_signed {COUNT}.0"} <= set(lines)


def test_a_batch_that_comes_again_is_no_second_leaf(aggregator: Aggregator) -> None:
    aggregator.ingest.offer(TOPIC, FRAMES[3][0])
    assert aggregator.ingest.drain(20)
    assert aggregator.audit.figures().size == COUNT


def test_a_log_that_is_lost_is_made_again_from_the_stores_ledger(tmp_path: Path) -> None:
    before = started(tmp_path)
    with before.ingest:
        for frame, _ in FRAMES:
            before.ingest.offer(TOPIC, frame)
        assert before.ingest.drain(20)
    before._close()
    for name in ("audit.sqlite", "audit.sqlite-wal", "audit.sqlite-shm"):
        (tmp_path / "data" / name).unlink(missing_ok=True)

    after = started(tmp_path)
    after.audit.keep_up()
    assert [after.audit.entry(index).leaf.hex() for index in range(COUNT)] == [sha256 for _, sha256 in FRAMES]
    after._close()


def test_a_run_and_a_publication_are_proven_by_their_numbers(tmp_path: Path) -> None:
    made = started(tmp_path)
    leaves = {kind: b'{"kind":"%s","no":1,"of":"a statement"}' % kind.encode() for kind in ("run", "publication")}
    for kind, leaf in leaves.items():
        made.audit.append_records(kind, [(1, leaf)])
    made.audit.keep_up()
    with Server(made.services()) as server, httpx.Client(base_url=server.url, timeout=10) as client:
        found = pinned(client)
        for kind, leaf in leaves.items():
            answer = given(client, "proof/inclusion", **{kind: 1})
            assert (answer["kind"], answer["number"], answer["leaf"], answer["sha256"]) == (
                kind,
                1,
                leaf.decode(),
                None,
            )
            proof = [base64.b64decode(text) for text in answer["proof"]]
            tree.check_inclusion(answer["index"], found.size, tree.leaf_hash(leaf), proof, found.root)
        for path, status in (("run=2", 404), ("run=1&index=0", 422), ("run=1&publication=1", 422), ("run=0", 422)):
            assert (path, client.get(f"/api/v1/log/proof/inclusion?{path}").status_code) == (path, status)
    made._close()

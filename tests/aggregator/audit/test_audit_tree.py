"""The Merkle tree against published vectors and against RFC 6962's definitions, written down a second time as they stand there.

Vectors: certificate-transparency's test data as transparency-dev/merkle has it (proof/verify_test.go, testonly/constants.go; Apache-2.0).
"""

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.audit.tree import (
    EMPTY_ROOT,
    ProofBroken,
    check_consistency,
    check_inclusion,
    consistency_proof,
    folded,
    inclusion_proof,
    leaf_hash,
    root,
)

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = {  # (index, size)
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {  # (first, second)
    (1, 1): (),
    (1, 8): INCLUSION[0, 8],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (6, 7): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}


def subtree_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return lambda level, index: folded(hashes[index << level : (index + 1) << level])


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_the_published_ones(size: int) -> None:
    assert root(size, subtree_of(LEAVES)) == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int) -> None:
    proof = inclusion_proof(index, size, subtree_of(LEAVES))
    assert [found.hex() for found in proof] == list(INCLUSION[index, size])
    check_inclusion(index, size, leaf_hash(LEAVES[index]), proof, ROOTS[size])


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(first: int, second: int) -> None:
    proof = consistency_proof(first, second, subtree_of(LEAVES))
    assert [found.hex() for found in proof] == list(CONSISTENCY[first, second])
    check_consistency(first, second, ROOTS[first], ROOTS[second], proof)


# ---- RFC 6962, 2.1, 2.1.1 and 2.1.2, word by word and without a thought for speed


def k_of(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = k_of(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = k_of(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = k_of(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=70), st.data())
def test_roots_and_proofs_are_what_the_definitions_give(leaves: list[bytes], data: st.DataObject) -> None:
    subtree, size = subtree_of(leaves), len(leaves)
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    assert root(size, subtree) == mth(leaves)
    assert inclusion_proof(index, size, subtree) == path(index, leaves)
    assert consistency_proof(first, size, subtree) == subproof(first, leaves)
    check_inclusion(index, size, leaf_hash(leaves[index]), path(index, leaves), mth(leaves))
    check_consistency(first, size, mth(leaves[:first]), mth(leaves), subproof(first, leaves))


@given(st.integers(2, 70), st.data())
def test_a_proof_with_one_bit_changed_one_hash_more_or_one_less_proves_nothing(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    inclusion, consistency = path(index, leaves), subproof(first, leaves)
    for broken in broken_proofs(inclusion, data):
        with pytest.raises(ProofBroken):
            check_inclusion(index, size, leaf_hash(leaves[index]), broken, mth(leaves))
    for broken in broken_proofs(consistency, data):
        with pytest.raises(ProofBroken):
            check_consistency(first, size, mth(leaves[:first]), mth(leaves), broken)
    with pytest.raises(ProofBroken):
        check_inclusion((index + 1) % size, size, leaf_hash(leaves[index]), inclusion, mth(leaves))
    with pytest.raises(ProofBroken):
        check_inclusion(index, size, leaf_hash(leaves[index] + b"x"), inclusion, mth(leaves))
    with pytest.raises(ProofBroken):
        check_consistency(first, size, mth(leaves), mth(leaves[:first]), consistency)


def broken_proofs(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    at, byte, bit = data.draw(
        st.tuples(st.integers(0, len(proof) - 1), st.integers(0, 31), st.integers(0, 7)), label="bit"
    )
    flipped = bytearray(proof[at])
    flipped[byte] ^= 1 << bit
    return [
        [*proof[:at], bytes(flipped), *proof[at + 1 :]],
        proof[:-1],
        [*proof, proof[-1]],
        [proof[0], *proof],
        [proof[0][:31], *proof[1:]],
    ]


def test_nothing_is_in_the_empty_tree_and_every_tree_grows_from_it() -> None:
    with pytest.raises(ProofBroken):
        check_inclusion(0, 0, leaf_hash(b""), [], EMPTY_ROOT)
    check_consistency(0, 8, EMPTY_ROOT, ROOTS[8], [])
    for first_root, proof in ((ROOTS[1], []), (EMPTY_ROOT, [ROOTS[1]])):
        with pytest.raises(ProofBroken):
            check_consistency(0, 8, first_root, ROOTS[8], proof)
    with pytest.raises(ProofBroken):
        check_consistency(9, 8, ROOTS[8], ROOTS[8], [])

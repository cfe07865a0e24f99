"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion and consistency proofs, and their verification. Keeps nothing and signs nothing.

A tree of n leaves is known by a function `subtree(level, index)` that gives the hash over the 2^level leaves from index * 2^level on. Hashes
are 32 bytes, indices count from 0.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
Subtree: TypeAlias = Callable[[int, int], bytes]


class ProofBroken(ValueError):
    """A proof that proves nothing; the message says what was expected and what was seen."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf: its bytes behind 0x00."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: both children behind 0x01."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def folded(hashes: Sequence[bytes]) -> bytes:
    """The hash over 2^k hashes of one level, side by side."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def root(size: int, subtree: Subtree) -> bytes:
    """The hash of the tree of the first `size` leaves."""
    return EMPTY_ROOT if size == 0 else _span(0, size, subtree)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """PATH(index, D[size]) of section 2.1.1, from the leaf up. Raises ValueError where there is no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"inclusion proof: expected an index from 0 to {size - 1}, got {index}")
    first, end = 0, size
    path: list[bytes] = []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(_span(middle, end, subtree))
            end = middle
        else:
            path.append(_span(first, middle, subtree))
            first = middle
    return path[::-1]


def consistency_proof(first: int, second: int, subtree: Subtree) -> list[bytes]:
    """PROOF(first, D[second]) of section 2.1.2; nothing where both are one tree or the first is empty. Raises ValueError."""
    if not 0 <= first <= second:
        raise ValueError(f"consistency proof: expected sizes that do not fall, got {first} and {second}")
    if first in {0, second}:
        return []
    start, end, whole = 0, second, True  # whole: the subtree of the first tree is known to who holds its root
    path: list[bytes] = []
    while first < end:
        middle = start + _split(end - start)
        if first <= middle:
            path.append(_span(middle, end, subtree))
            end = middle
        else:
            path.append(_span(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(_span(start, end, subtree))
    return path[::-1]


def root_of_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to from the leaf hash `leaf` (RFC 9162, 2.1.3.2). Raises ProofBroken."""
    if not 0 <= index < size:
        raise ProofBroken(f"inclusion proof: expected an index from 0 to {size - 1}, got {index}")
    _all_hashes((leaf, *proof))
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofBroken(f"inclusion proof of leaf {index} of {size}: too long, {len(proof)} hashes")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofBroken(f"inclusion proof of leaf {index} of {size}: too short, {len(proof)} hashes")
    return found


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Raises ProofBroken where `leaf` (a leaf hash) is not at `index` of the tree of `size` leaves with this root."""
    found = root_of_inclusion(index, size, leaf, proof)
    if found != expected_root:
        raise ProofBroken(
            f"inclusion proof of leaf {index} of {size}: expected root {expected_root.hex()}, it leads to {found.hex()}"
        )


def check_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises ProofBroken where the tree of `second` leaves is not the tree of `first` leaves and more (RFC 9162, 2.1.4.2)."""
    what = f"consistency proof from {first} to {second} leaves"
    if not 0 <= first <= second:
        raise ProofBroken(f"{what}: expected sizes that do not fall")
    _all_hashes((first_root, second_root, *proof))
    if first in {0, second}:
        known = EMPTY_ROOT if first == 0 else second_root
        if proof or first_root != known or (second == 0 and second_root != EMPTY_ROOT):
            raise ProofBroken(
                f"{what}: expected no hash and first root {known.hex()}, got {len(proof)} and {first_root.hex()}"
            )
        return
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        raise ProofBroken(f"{what}: expected hashes, got none")
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofBroken(f"{what}: too long, {len(proof)} hashes")
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofBroken(f"{what}: too short, {len(proof)} hashes")
    for name, found, expected in (("first", old, first_root), ("second", new, second_root)):
        if found != expected:
            raise ProofBroken(f"{what}: expected {name} root {expected.hex()}, it leads to {found.hex()}")


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _span(first: int, end: int, subtree: Subtree) -> bytes:
    """The hash over leaves [first, end), which starts where the tree splits."""
    *whole, found = _pieces(first, end, subtree)
    for left in reversed(whole):
        found = node_hash(left, found)
    return found


def _pieces(first: int, end: int, subtree: Subtree) -> Iterator[bytes]:
    """Complete subtrees of [first, end), the largest first."""
    while first < end:
        level = (end - first).bit_length() - 1
        yield subtree(level, first >> level)
        first += 1 << level


def _all_hashes(hashes: Sequence[bytes]) -> None:
    for found in hashes:
        if len(found) != HASH_BYTES:
            raise ProofBroken(f"proof: expected hashes of {HASH_BYTES} bytes, got one of {len(found)}")

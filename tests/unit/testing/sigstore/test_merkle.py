"""The tree agrees with the definition of RFC 6962, and grows without hashing everything anew."""

from __future__ import annotations

import hashlib

import pytest

from lamslsa.testing.sigstore import merkle
from lamslsa.testing.sigstore.merkle import MerkleTree


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def root(leaves: list[bytes]) -> bytes:
    """Section 2.1, word for word."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + root(leaves[:split]) + root(leaves[split:]))


def climbed(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2: the root that a proof leads to."""
    first, second, found = index, size - 1, sha256(b"\0" + leaf)
    for node in path:
        assert second
        if first % 2 or first == second:
            found = sha256(b"\1" + node + found)
            while first and not first % 2:
                first, second = first >> 1, second >> 1
        else:
            found = sha256(b"\1" + found + node)
        first, second = first >> 1, second >> 1
    assert not second
    return found


def test_roots_and_proofs() -> None:
    tree, leaves = MerkleTree(), list[bytes]()
    assert tree.root() == root([])
    for size in range(1, 70):
        leaves.append(b"leaf %d" % size)
        assert tree.append(leaves[-1]) == size - 1
        assert tree.root() == root(leaves)
        for index in range(size):
            assert climbed(index, size, leaves[index], tree.path(index)) == tree.root()


@pytest.mark.parametrize("index", [-1, 3])
def test_no_such_leaf(index: int) -> None:
    tree = MerkleTree()
    for leaf in (b"a", b"b", b"c"):
        tree.append(leaf)
    with pytest.raises(IndexError):
        tree.path(index)


def test_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = 0
    real = merkle._node_hash

    def counted(left: bytes, right: bytes) -> bytes:
        nonlocal hashed
        hashed += 1
        return real(left, right)

    monkeypatch.setattr(merkle, "_node_hash", counted)
    tree = MerkleTree()
    for number in range(4097):
        tree.append(b"%d" % number)
    assert hashed < 4097
    hashed = 0
    tree.path(tree.append(b"last"))
    tree.root()
    assert hashed < 13 * 13

"""Merkle trees of RFC 9162 against published roots, the recursive definition, and every wrong path."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa import _merkle
from lamslsa._merkle import MAX_LEAVES, Tree, leaf_hash, root_of
from lamslsa.errors import FormatError

# Inputs and roots of the reference implementation of certificate transparency.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_published_roots(size: int, root: str) -> None:
    assert Tree([leaf_hash(leaf) for leaf in INPUTS[:size]]).root.hex() == root


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=40))
def test_every_leaf_is_proved_by_its_path_and_by_no_other(leaves: list[bytes]) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    tree = Tree(hashes)
    assert tree.root == by_definition(leaves)
    for index, leaf in enumerate(hashes):
        path = tree.path(index)
        assert root_of(leaf, index=index, size=len(leaves), path=path) == tree.root
        other = leaf_hash(b"no such leaf")
        assert root_of(other, index=index, size=len(leaves), path=path) != tree.root


def test_a_leaf_elsewhere_is_not_proved() -> None:
    tree = Tree([leaf_hash(leaf) for leaf in INPUTS])
    path = tree.path(2)
    for index in range(8):
        assert (root_of(leaf_hash(INPUTS[2]), index=index, size=8, path=path) == tree.root) == (index == 2)


@pytest.mark.parametrize(
    ("index", "size", "change"),
    [
        (8, 8, lambda path: path),
        (-1, 8, lambda path: path),
        (0, 0, lambda path: path),
        (0, MAX_LEAVES + 1, lambda path: path),
        (3, 8, lambda path: path[:-1]),
        (3, 8, lambda path: [*path, path[0]]),
        (3, 8, lambda path: [path[0][:-1], *path[1:]]),
        (3, 5, lambda path: [*path, path[0]]),
        (0, 1, lambda path: path),
    ],
)
def test_malformed_paths_are_refused(index: int, size: int, change: object) -> None:
    assert callable(change)
    path = Tree([leaf_hash(leaf) for leaf in INPUTS]).path(3)
    with pytest.raises(FormatError) as caught:
        root_of(leaf_hash(INPUTS[3]), index=index, size=size, path=change(path))
    assert caught.value.reason == "merkle-path"


def test_an_inner_node_is_no_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != Tree([left, right]).root


def test_a_tree_has_leaves() -> None:
    with pytest.raises(ValueError, match="leaves"):
        Tree([])


def test_the_most_leaves_are_taken_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_merkle, "MAX_LEAVES", 4)
    hashes = [leaf_hash(leaf) for leaf in INPUTS]
    tree = Tree(hashes[:4])
    assert root_of(hashes[1], index=1, size=4, path=tree.path(1)) == tree.root
    with pytest.raises(ValueError, match="expected 1 to 4 leaves, got 5"):
        Tree(hashes[:5])
    with pytest.raises(FormatError):
        root_of(hashes[1], index=1, size=5, path=tree.path(1))

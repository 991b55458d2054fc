"""Merkle trees of RFC 9162, section 2.1, with SHA-256: roots, inclusion paths, and what a path proves.

    leaf hash  = SHA-256(0x00 ‖ leaf)
    node hash  = SHA-256(0x01 ‖ left ‖ right)

>>> leaves = [leaf_hash(bytes([number])) for number in range(5)]
>>> tree = Tree(leaves)
>>> root_of(leaves[3], index=3, size=5, path=tree.path(3)) == tree.root
True
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from lamslsa.errors import FormatError

__all__ = ["MAX_LEAVES", "Tree", "leaf_hash", "root_of"]

MAX_LEAVES: Final = 2**24
_HASH_BYTES: Final = 32


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf; it can never be that of a node."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree over leaf hashes, at least one.

    A level that is not full hands its last node up as it is, which gives the tree of the recursive definition: its
    left part has the largest power of two of leaves that is smaller than their number.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not 1 <= len(leaves) <= MAX_LEAVES:
            raise ValueError(f"expected 1 to {MAX_LEAVES} leaves, got {len(leaves)}")
        self._levels: list[list[bytes]] = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            pairs = [_node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
            self._levels.append(pairs + below[len(pairs) * 2 :])

    @property
    def root(self) -> bytes:
        """The hash of the whole tree."""
        return self._levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """The inclusion path of a leaf, from the bottom up (section 2.1.3.1)."""
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index >>= 1
        return path


def root_of(leaf: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf hash at an index of a tree of this size leads to along a path (section 2.1.3.2).

    Raises:
        FormatError: the index lies outside the tree, or the path has another length than such a leaf's.
    """
    if not 0 <= index < size <= MAX_LEAVES or any(len(item) != _HASH_BYTES for item in path):
        raise FormatError(
            f"expected a leaf of a tree of 1 to {MAX_LEAVES} leaves, and hashes of 32 bytes, got others",
            reason="merkle-path",
        )
    node, last, found = index, size - 1, leaf
    rest = list(reversed(path))
    while last > 0:
        if node % 2 == 1 or node < last:
            if not rest:
                raise FormatError("expected a longer inclusion path, got its end", reason="merkle-path")
            sibling = rest.pop()
            found = _node_hash(sibling, found) if node % 2 == 1 else _node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if rest:
        raise FormatError("expected a shorter inclusion path, got more hashes", reason="merkle-path")
    return found

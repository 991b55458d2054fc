"""A Merkle tree (RFC 6962 section 2.1) that grows: appending costs one hash on average, a proof about log² n.

>>> tree = MerkleTree()
>>> tree.root().hex()[:16]
'e3b0c44298fc1c14'
>>> for leaf in (b"a", b"b", b"c"):
...     tree.append(leaf)
0
1
2
>>> [len(tree.path(index)) for index in range(3)]
[2, 2, 1]
"""

from __future__ import annotations

import hashlib
import itertools

__all__ = ["MerkleTree", "leaf_hash"]


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """Keeps the hash of every full subtree: ``_levels[k][i]`` is that of the leaves from i · 2ᵏ, 2ᵏ of them."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, data: bytes) -> int:
        """Add a leaf; returns its index."""
        node = leaf_hash(data)
        for level in itertools.count():
            if level == len(self._levels):
                self._levels.append([])
            nodes = self._levels[level]
            nodes.append(node)
            if len(nodes) % 2:
                break
            node = _node_hash(nodes[-2], nodes[-1])
        return len(self) - 1

    def root(self) -> bytes:
        """The root hash."""
        return self._hash(0, len(self)) if len(self) else hashlib.sha256().digest()

    def path(self, index: int) -> list[bytes]:
        """The inclusion proof of a leaf in the tree as it is now, the lowest hash first.

        Raises:
            IndexError: there is no such leaf.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"expected a leaf below {len(self)}, got {index}")
        start, end, path = 0, len(self), list[bytes]()
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return path[::-1]

    def _hash(self, start: int, end: int) -> bytes:
        size = end - start
        level = size.bit_length() - 1
        if size == 1 << level and start % size == 0:
            return self._levels[level][start >> level]
        middle = start + _split(size)
        return _node_hash(self._hash(start, middle), self._hash(middle, end))


def _split(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)

"""What both versions of Rekor share: an append-only log, its key, its checkpoints."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from lamslsa.testing.sigstore._pki import SigningKey, b64, sign
from lamslsa.testing.sigstore.faults import Faults
from lamslsa.testing.sigstore.merkle import MerkleTree

__all__ = ["AppendOnlyLog", "Inclusion"]

_KEY_HINT_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Proof that an entry is in the log, and the checkpoint that it leads to."""

    index: int
    size: int
    root: bytes
    path: tuple[bytes, ...]
    checkpoint: str


class AppendOnlyLog:
    """Entries in a Merkle tree; safe to use from every thread.

    Args:
        host: the log's name, which signs its checkpoints.
        origin: the first line of its checkpoints.
        key: signs checkpoints.
        foreign: a key that nobody trusts.
        log_id: how the log's key is called.
        faults: what goes wrong.
    """

    def __init__(
        self, *, host: str, origin: str, key: SigningKey, foreign: SigningKey, log_id: bytes, faults: Faults
    ) -> None:
        self.log_id = log_id
        self._host = host
        self._origin = origin
        self._key = key
        self._foreign = foreign
        self._faults = faults
        self._lock = threading.Lock()
        self._tree = MerkleTree()
        self._entries: list[bytes] = []

    def append(self, entry: bytes) -> Inclusion:
        """Add an entry."""
        with self._lock:
            self._entries.append(entry)
            return self._inclusion(self._tree.append(entry))

    def head(self) -> tuple[int, bytes, str]:
        """Size and root hash of the log as it is now, and its checkpoint."""
        with self._lock:
            size, root = len(self._tree), self._tree.root()
            return size, root, self._checkpoint(size, root)

    def entry(self, index: int) -> tuple[bytes, Inclusion]:
        """An entry, and that it is in the log as it is now.

        Raises:
            IndexError: there is no such entry.
        """
        with self._lock:
            inclusion = self._inclusion(index)
            return self._entries[index], inclusion

    def sign(self, data: bytes, *, foreign: bool = False) -> bytes:
        """The log's signature, or one of a key that nobody trusts."""
        return sign(self._foreign if foreign else self._key, data)

    def _inclusion(self, index: int) -> Inclusion:
        path, root, size = self._tree.path(index), self._tree.root(), len(self._tree)
        if self._faults.lies("proof-wrong"):
            path = [*path[:-1], bytes(32)] if path else [bytes(32)]
        return Inclusion(
            index=index,
            size=size,
            root=root,
            path=tuple(path),
            checkpoint=self._checkpoint(size, root),
        )

    def _checkpoint(self, size: int, root: bytes) -> str:
        text = f"{self._origin}\n{size}\n{b64(root)}\n"
        signature = self.sign(text.encode(), foreign=self._faults.lies("checkpoint-foreign"))
        return f"{text}\n\u2014 {self._host} {b64(self.log_id[:_KEY_HINT_BYTES] + signature)}\n"

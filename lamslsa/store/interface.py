"""The plug point of storing: a store keeps bundles beside a model and never decides about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Store", "StoredBundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """The untrusted bytes of one bundle and where they were found, for messages."""

    source: str
    data: bytes


class Store(Protocol):
    """Keeps bundles."""

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle, unfiltered, in a stable order.

        Raises:
            UnavailableError: the store cannot be read.
            FormatError: more bundles or larger ones than the limits allow.
        """
        ...

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle and say where; atomic, and nothing happens when the same bytes are there already."""
        ...

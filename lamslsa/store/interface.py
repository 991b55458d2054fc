"""The plug point of storing: a store keeps bundles beside a model and never decides about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lamslsa.errors import LamslsaError

__all__ = ["Store", "StoredBundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """The untrusted bytes of one bundle file and where they were found, for messages.

    Attributes:
        data: the bytes, or why they could not be read: one bad file never hides the others.
    """

    source: str
    data: bytes | LamslsaError


class Store(Protocol):
    """Keeps bundles."""

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle, unfiltered, in a stable order.

        Raises:
            UnavailableError: the store cannot be listed.
            FormatError: more bundles, or more bytes of them, than the limits allow.
        """
        ...

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle and say where; atomic, and nothing happens when the same bytes are there already."""
        ...

"""Keeping many bundles at once, and telling which of them were there already.

A store that has `KeepsMany.put_all` looks at what it holds once; of others the listing is read first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lamslsa import _codec
from lamslsa.errors import LamslsaError
from lamslsa.store.contents import each
from lamslsa.store.detached import detached
from lamslsa.store.interface import Store

__all__ = ["KeepsMany", "Kept", "NamedBundle", "digests", "put_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBundle:
    """A bundle to keep, and a name for people."""

    data: bytes
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A bundle that a store holds.

    Attributes:
        place: where; empty where it was there before, in whatever file.
        new: whether it was not there before.
    """

    place: str
    new: bool


@runtime_checkable
class KeepsMany(Protocol):
    """A store that keeps many bundles without looking at all it holds for each of them."""

    def put_all(self, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
        """What became of each bundle, in their order; it may lag behind what was taken from ``bundles``.

        Raises:
            FormatError: there is no artifact to keep bundles beside.
            UnavailableError: the store cannot be listed.
        """
        ...


def put_all(store: Store, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
    """Keep bundles in a store, and say what became of each, in their order.

    Raises:
        FormatError: there is no artifact to keep bundles beside.
        UnavailableError: the store cannot be listed.
    """
    return store.put_all(bundles) if isinstance(store, KeepsMany) else _one_by_one(store, bundles)


def _one_by_one(store: Store, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
    held = digests(store)
    for bundle in bundles:
        digest = _codec.sha256_hex(bundle.data)
        if digest in held:
            yield Kept(place="", new=False)
            continue
        try:
            place = store.put(bundle.data, name=bundle.name)
        except LamslsaError as err:
            yield detached(err)
        else:
            held.add(digest)
            yield Kept(place=place, new=True)


def digests(store: Store) -> set[str]:
    """SHA-256 of every bundle in a store, each line of a file of lines for itself.

    Raises:
        FormatError: there is no artifact.
        UnavailableError: the store cannot be listed.
    """
    items = (item.data for found in store.bundles() for item in each(found))
    return {_codec.sha256_hex(data) for data in items if isinstance(data, bytes)}

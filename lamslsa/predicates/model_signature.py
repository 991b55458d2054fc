"""Predicate ``https://model_signing/signature/v1.0``: the signature of a model by OpenSSF model signing (OMS).

The format is not ours: https://github.com/ossf/model-signing-spec, and model_signing (PyPI) writes it. Here it is read
strictly, whatever serialization it says; which of them can be compared with an artifact is for
`lamslsa.model_signature`. The one subject's digest is a root over the resources, which names no file.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from lamslsa.predicates._common import Name, WireModel

__all__ = ["PREDICATE_TYPE", "ModelSignature", "Resource", "Serialization"]

PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"

_HexDigest = Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{64}|[0-9a-f]{128})\Z")]


class Resource(WireModel, frozen=True, kw_only=True):
    """One file, or a shard of one, by the algorithm that is named beside its digest."""

    name: str
    digest: _HexDigest
    algorithm: Name


class Serialization(WireModel, frozen=True, kw_only=True, rename=None):
    """How the model became resources; the names on the wire are with underscores.

    Attributes:
        method: ``files``, or ``shards``, whose size is not read.
        ignore_paths: what the signer left out; informative, since a verifier has to see every file that a loader sees.
    """

    method: Name
    hash_type: Name
    allow_symlinks: bool
    ignore_paths: tuple[str, ...] = ()


class ModelSignature(WireModel, frozen=True, kw_only=True):
    """What is signed of a model."""

    serialization: Serialization
    resources: tuple[Resource, ...]

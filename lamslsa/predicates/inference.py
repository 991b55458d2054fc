"""Predicate ``https://lamslsa.dev/inference/v1``: what a model answered, one inference or many.

Normative text: predicates/inference/v1/README.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from lamslsa import _codec
from lamslsa._merkle import MAX_LEAVES, leaf_hash
from lamslsa.predicates._common import (
    Count,
    DatasetReference,
    Digest,
    Environment,
    HexDigest,
    Measurer,
    WireModel,
)
from lamslsa.predicates.evaluation import ModelDescription

__all__ = ["PREDICATE_TYPE", "RECEIPT_TYPE", "Inference", "Record", "Side", "Tree", "commitment", "record_leaf"]

PREDICATE_TYPE: Final = "https://lamslsa.dev/inference/v1"
RECEIPT_TYPE: Final = "https://lamslsa.dev/inference-receipt/v1"


class Side(WireModel, frozen=True, kw_only=True):
    """The input or the output of an inference: its value, or a salted hash of it, and never both.

    Attributes:
        commitment: SHA-256(salt ‖ RFC 8785 form of the value), with a salt of 32 bytes.
        value: what was disclosed.
    """

    commitment: HexDigest | None = None
    value: Any = None

    def __post_init__(self) -> None:
        """Refuse a side that says both or nothing; msgspec turns the refusal into a validation error."""
        if (self.commitment is None) == (self.value is None):
            raise ValueError("expected either a commitment or a value")


class Record(WireModel, frozen=True, kw_only=True):
    """One inference: a leaf of the tree is the RFC 8785 form of this object."""

    index: Count
    input: Side
    output: Side


class Tree(WireModel, frozen=True, kw_only=True):
    """The Merkle tree over the records (RFC 9162, section 2.1), in the order of the dataset."""

    algorithm: Literal["rfc9162-sha256"]
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_LEAVES)]
    root: Digest


class Inference(WireModel, frozen=True, kw_only=True):
    """What the subject (a model) answered.

    Attributes:
        dataset: where the inputs came from, and how they were read.
        configuration: every parameter: what is disclosed, how inputs were batched, and the seed, null where nothing is
            drawn.
        record: the one record, where there is one only.
    """

    kind: Literal["model"]
    measurer: Measurer
    model: ModelDescription
    dataset: DatasetReference
    configuration: dict[str, Any]
    configuration_digest: Digest
    records: Tree
    environment: Environment
    record: Record | None = None

    def __post_init__(self) -> None:
        """A single record stands in the statement, and is the root of the tree."""
        if (self.record is None) == (self.records.size == 1):
            raise ValueError("expected a record where there is one, and only there")
        if self.record is not None and leaf_hash(record_leaf(self.record)).hex() != self.records.root.sha256:
            raise ValueError("expected the root of the tree to be the hash of its one record")


def record_leaf(record: Record) -> bytes:
    """The bytes of a leaf.

    Raises:
        FormatError: a value that has no RFC 8785 form.
    """
    return _codec.canonical_with_fractions(msgspec.to_builtins(record))


def commitment(salt: bytes, value: Any) -> str:
    """SHA-256(salt ‖ RFC 8785 form of the value), lower-case hexadecimal.

    Raises:
        FormatError: a value that has no RFC 8785 form.
    """
    return _codec.sha256_hex(salt + _codec.canonical_with_fractions(value))

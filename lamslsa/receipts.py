"""Receipts: what one inference was, proved by a statement over many (RFC 9162, section 2.1.3.2).

A receipt is one JSON object: the record, its path to the root of the tree, and what opens the sides of the record that
the statement only commits to. It proves that the inference is in the statement that it names; whether that statement is
authentic is another question, which verification answers (`lamslsa.verification`).

Normative text: predicates/inference/v1/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from lamslsa import _codec, predicates
from lamslsa._merkle import MAX_LEAVES, leaf_hash, root_of
from lamslsa.errors import FormatError, VerificationError
from lamslsa.predicates._common import Digest, HexDigest, WireModel, convert
from lamslsa.predicates.inference import Inference, Record, Side, commitment, record_leaf
from lamslsa.statement import Statement

__all__ = ["MAX_RECEIPT_BYTES", "Opening", "Proved", "Receipt", "parse_receipt", "verify_receipt"]

MAX_RECEIPT_BYTES: Final = 16 * 1024 * 1024
_SALT_BYTES: Final = 32


class Opening(WireModel, frozen=True, kw_only=True):
    """What opens a commitment; ``salt`` is base64 of 32 bytes."""

    salt: str
    value: Any


class Openings(WireModel, frozen=True, kw_only=True):
    """What opens the sides of a record that are commitments; a side may stay closed."""

    input: Opening | None = None
    output: Opening | None = None


class Receipt(WireModel, frozen=True, kw_only=True):
    """A receipt as it is on the wire.

    Attributes:
        statement: SHA-256 of the statement's payload.
        path: hashes from the leaf's sibling up.
    """

    type: Literal["https://lamslsa.dev/inference-receipt/v1"]
    statement: Digest
    tree_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_LEAVES)]
    record: Record
    path: Annotated[tuple[HexDigest, ...], msgspec.Meta(max_length=64)]
    openings: Openings


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a receipt proves of the statement that it was held against.

    Attributes:
        model: manifest digest of the model that answered.
        index: position of the inference.
        input: what the model was told; None where the receipt keeps it closed.
        output: the same of its answer.
    """

    statement: str
    model_name: str
    model: str
    index: int
    size: int
    input: Any
    output: Any


def parse_receipt(data: bytes) -> Receipt:
    """Parse untrusted bytes.

    Raises:
        FormatError: not strict JSON, or not a receipt.
    """
    return convert(_codec.loads(data, max_bytes=MAX_RECEIPT_BYTES), Receipt, what="receipt")


def verify_receipt(receipt: Receipt, statement: Statement) -> Proved:
    """Hold a receipt against a statement.

    Raises:
        FormatError: the statement is none about inferences, or a path is malformed.
        VerificationError: the receipt names another statement, its record is not in the tree, or an opening does not
            open what the record commits to.
    """
    predicate = predicates.parse(statement)
    if not isinstance(predicate, Inference):
        raise FormatError("expected a statement about inferences, got another", reason="receipt-statement")
    if receipt.statement.sha256 != statement.sha256:
        raise VerificationError(
            f"expected a receipt of the statement sha256:{statement.sha256}, got one of "
            f"sha256:{receipt.statement.sha256}",
            reason="receipt-other-statement",
            hint="take the statement that the receipt names",
        )
    if receipt.tree_size != predicate.records.size:
        raise VerificationError(
            f"expected a receipt out of {predicate.records.size} inferences, got one out of {receipt.tree_size}",
            reason="receipt-not-included",
        )
    root = root_of(
        leaf_hash(record_leaf(receipt.record)),
        index=receipt.record.index,
        size=receipt.tree_size,
        path=[bytes.fromhex(item) for item in receipt.path],
    )
    if root.hex() != predicate.records.root.sha256:
        raise VerificationError("expected a record of the statement's tree, got another", reason="receipt-not-included")
    (subject,) = statement.subjects
    return Proved(
        statement=statement.sha256,
        model_name=subject.name,
        model=subject.sha256,
        index=receipt.record.index,
        size=receipt.tree_size,
        input=_opened("input", receipt.record.input, receipt.openings.input),
        output=_opened("output", receipt.record.output, receipt.openings.output),
    )


def _opened(name: str, side: Side, opening: Opening | None) -> Any:
    if side.commitment is None:
        if opening is not None:
            raise VerificationError(f"expected no opening of the disclosed {name}, got one", reason="receipt-opening")
        return side.value
    if opening is None:
        return None
    salt = _codec.decode_base64(opening.salt, what="salt", max_bytes=_SALT_BYTES)
    if len(salt) != _SALT_BYTES or commitment(salt, opening.value) != side.commitment:
        raise VerificationError(
            f"expected an opening of the {name} that the record commits to, got another", reason="receipt-opening"
        )
    return opening.value

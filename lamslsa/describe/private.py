"""Private files of a measurement: receipts of inferences, openings of withheld values.

Neither a salt nor a value is part of a description: whoever has both can prove the value to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lamslsa import _codec
from lamslsa.describe.model import Description
from lamslsa.errors import FormatError
from lamslsa.predicates.commitments import MAX_OPENINGS_BYTES, parse_openings
from lamslsa.predicates.inference import RECEIPT_TYPE, Side
from lamslsa.receipts import MAX_RECEIPT_BYTES, Opening, Receipt, parse_receipt

__all__ = ["describe_private"]

_OPENINGS_KEYS: Final = frozenset({"dataset", "openings"})
_STATEMENTS: Final = 5
_RECEIPT_WORDS: Final = "that the inference is one of those that the statement is about (lamslsa verify-receipt)"
_RECEIPTS_WORDS: Final = "that the inferences are among those that the statement is about (lamslsa verify-receipt)"
_OPENINGS_WORDS: Final = "that these are the values that a datasheet commits to (lamslsa verify-opening)"
_NOT_SHOWN: Final = "private: salts and values are not shown here, and who has both can prove a value to anybody"


def describe_private(data: bytes) -> Description | None:
    """A receipt, receipts one a line, or a file of openings; None for anything else.

    Raises:
        FormatError: one of them, but malformed.
    """
    lines = [line for line in data.split(b"\n") if line.strip()]
    first = _object(lines[0]) if lines else {}
    if first.get("type") == RECEIPT_TYPE and len(lines) > 1:
        return _receipts(lines)
    whole = first if len(lines) == 1 else _object(data)
    if whole.get("type") == RECEIPT_TYPE:
        return _receipt(parse_receipt(data))
    return _openings(data) if whole.keys() == _OPENINGS_KEYS else None


def _object(data: bytes) -> dict[str, Any]:
    if not data.lstrip().startswith(b"{"):
        return {}
    try:
        value = _codec.loads(data, max_bytes=max(MAX_RECEIPT_BYTES, MAX_OPENINGS_BYTES))
    except FormatError:
        return {}
    return value if isinstance(value, dict) else {}


def _receipt(receipt: Receipt) -> Description:
    return Description(
        kind="receipt of an inference",
        facts={
            "statement": f"sha256:{receipt.statement.sha256}",
            "index": receipt.record.index,
            "size": receipt.tree_size,
            "input": _side(receipt.record.input, receipt.openings.input),
            "output": _side(receipt.record.output, receipt.openings.output),
        },
        unverified=(_RECEIPT_WORDS, _NOT_SHOWN),
    )


def _side(side: Side, opening: Opening | None) -> str:
    if side.commitment is None:
        return "disclosed"
    return "a commitment, kept closed" if opening is None else "a commitment, with what opens it"


def _receipts(lines: Sequence[bytes]) -> Description:
    found: list[Receipt] = []
    broken: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(parse_receipt(line))
        except FormatError as err:
            broken.append(f"line {number}: {err}")
    statements = sorted({receipt.statement.sha256 for receipt in found})
    indexes = [receipt.record.index for receipt in found]
    sizes = {receipt.tree_size for receipt in found}
    return Description(
        kind=f"{len(found)} receipts of inferences, one a line",
        facts={
            "statements": [f"sha256:{sha256}" for sha256 in statements[:_STATEMENTS]],
            "moreStatements": max(0, len(statements) - _STATEMENTS),
            "lowestIndex": min(indexes, default=None),
            "highestIndex": max(indexes, default=None),
            "size": sizes.pop() if len(sizes) == 1 else None,
        },
        unverified=(
            *(f"what is no receipt: {words}" for words in broken[:_STATEMENTS]),
            *([f"{len(broken) - _STATEMENTS} more lines that are no receipt"] if len(broken) > _STATEMENTS else []),
            _RECEIPTS_WORDS,
            _NOT_SHOWN,
        ),
    )


def _openings(data: bytes) -> Description:
    given = parse_openings(data)
    return Description(
        kind="openings of withheld values",
        facts={
            "dataset": given.dataset.name,
            "datasetDigest": f"sha256:{given.dataset.digest.sha256}",
            "openings": len(given.openings),
            "pointers": [item.pointer for item in given.openings],
        },
        unverified=(_OPENINGS_WORDS, _NOT_SHOWN),
    )

"""Receipts by themselves: statement and records are written by hand, and nothing was measured."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, predicates, receipts, statement
from lamslsa._merkle import MAX_LEAVES
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.predicates.inference import PREDICATE_TYPE, Inference, commitment
from lamslsa.receipts import MAX_RECEIPT_BYTES, Proved, parse_receipt, verify_receipt
from lamslsa.statement import Statement, Subject

EXAMPLES = Path(__file__).parents[2] / "predicates"
MODEL = "11" * 32
SALT = bytes(range(32))
TOLD = {"age": 41, "rate": 0.5, "name": "ü"}
ANSWER = {"probability": 0.25}
CLOSED = hashlib.sha256(SALT + '{"age":41,"name":"ü","rate":0.5}'.encode()).hexdigest()


def jcs(value: Any) -> bytes:
    """RFC 8785 for the values of this file."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def leaf(record: Any) -> bytes:
    return hashlib.sha256(b"\0" + jcs(record)).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


RECORDS: list[dict[str, Any]] = [
    {"index": 0, "input": {"commitment": CLOSED}, "output": {"value": ANSWER}},
    {"index": 1, "input": {"value": TOLD}, "output": {"commitment": CLOSED}},
    {"index": 2, "input": {"value": TOLD}, "output": {"value": ANSWER}},
]
LEAVES = [leaf(record) for record in RECORDS]
ROOT = node(node(LEAVES[0], LEAVES[1]), LEAVES[2])
PATHS = [[LEAVES[1], LEAVES[2]], [LEAVES[0], LEAVES[2]], [node(LEAVES[0], LEAVES[1])]]
OPENING = {"salt": _codec.encode_base64(SALT), "value": TOLD}
OPENINGS: list[dict[str, Any]] = [{"input": OPENING}, {"output": OPENING}, {}]


def predicate(size: int, root: bytes, **more: Any) -> dict[str, Any]:
    digest = {"sha256": "22" * 32}
    return {
        "kind": "model",
        "measurer": {"name": "inference", "version": "1"},
        "model": {"architecture": "tabular-mlp/1", "files": []},
        "dataset": {"name": "people", "digest": digest, "schemaDigest": digest},
        "configuration": {},
        "configurationDigest": digest,
        "records": {"algorithm": "rfc9162-sha256", "size": size, "root": {"sha256": root.hex()}},
        "environment": {"python": "CPython 3.11.7", "machine": {}, "variables": {}, "packages": []},
        **more,
    }


def made(value: dict[str, Any], *, kind: str = PREDICATE_TYPE) -> Statement:
    return statement.parse(statement.make([Subject(name="m", sha256=MODEL)], kind, value))


STATEMENT = made(predicate(3, ROOT))


def document(index: int) -> dict[str, Any]:
    return copy.deepcopy(
        {
            "type": "https://lamslsa.dev/inference-receipt/v1",
            "statement": {"sha256": STATEMENT.sha256},
            "treeSize": 3,
            "record": RECORDS[index],
            "path": [item.hex() for item in PATHS[index]],
            "openings": OPENINGS[index],
        }
    )


def verified(value: dict[str, Any], against: Statement = STATEMENT) -> Proved:
    return verify_receipt(parse_receipt(jcs(value)), against)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_what_is_proved(index: int) -> None:
    assert verified(document(index)) == Proved(
        statement=STATEMENT.sha256,
        model_name="m",
        model=MODEL,
        index=index,
        size=3,
        input=TOLD,
        output=ANSWER if index != 1 else TOLD,
    )


def test_a_side_that_stays_closed_is_none() -> None:
    found = verified(document(0) | {"openings": {}})
    assert (found.input, found.output) == (None, ANSWER)
    found = verified(document(1) | {"openings": {}})
    assert (found.input, found.output) == (TOLD, None)


def test_unknown_fields_are_ignored_and_prove_nothing() -> None:
    value = document(0) | {"more": 1}
    value["record"]["more"] = 1
    assert verified(value) == verified(document(0))


def _put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(receipt: dict[str, Any]) -> None:
        for step in path[:-1]:
            receipt = receipt[step]
        receipt[path[-1]] = value

    return change


def _salt(data: bytes) -> Any:
    return _put("openings", "input", "salt", value=_codec.encode_base64(data))


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (_put("statement", "sha256", value="0" * 64), VerificationError, "receipt-other-statement"),
        (_put("treeSize", value=2), VerificationError, "receipt-not-included"),
        (_put("treeSize", value=4), VerificationError, "receipt-not-included"),
        (_put("record", "index", value=1), VerificationError, "receipt-not-included"),
        (_put("record", "index", value=3), FormatError, "merkle-path"),
        (_put("record", "output", "value", value={"probability": 0.26}), VerificationError, "receipt-not-included"),
        (_put("record", "output", value={"commitment": CLOSED}), VerificationError, "receipt-not-included"),
        (_put("record", "input", "commitment", value="0" * 64), VerificationError, "receipt-not-included"),
        (_put("path", 0, value="0" * 64), VerificationError, "receipt-not-included"),
        (_put("path", value=[]), FormatError, "merkle-path"),
        (_put("path", value=[LEAVES[1].hex()]), FormatError, "merkle-path"),
        (_put("path", value=["0" * 64] * 65), FormatError, "predicate-schema"),
        (_put("path", 0, value="0" * 63), FormatError, "predicate-schema"),
        (_put("treeSize", value=0), FormatError, "predicate-schema"),
        (_put("treeSize", value=MAX_LEAVES + 1), FormatError, "predicate-schema"),
        (_put("record", "index", value=-1), FormatError, "predicate-schema"),
        (_put("record", "input", value={}), FormatError, "predicate-schema"),
        (_put("record", "input", value={"value": 1, "commitment": CLOSED}), FormatError, "predicate-schema"),
        (_put("type", value="https://lamslsa.dev/inference-receipt/v2"), FormatError, "predicate-schema"),
        (_put("openings", "input", "value", value={**TOLD, "age": 42}), VerificationError, "receipt-opening"),
        (_put("openings", "output", value=OPENING), VerificationError, "receipt-opening"),
        (_salt(bytes(32)), VerificationError, "receipt-opening"),
        (_salt(SALT[:31]), VerificationError, "receipt-opening"),
        (_salt(SALT + b"x"), FormatError, "base64-size"),
        (_put("openings", "input", "salt", value="?"), FormatError, "base64"),
    ],
)
def test_every_lie_has_its_name(change: Any, kind: type[LamslsaError], reason: str) -> None:
    value = document(0)
    change(value)
    with pytest.raises(kind) as caught:
        verified(value)
    assert caught.value.reason == reason


def test_a_short_salt_opens_nothing_even_where_its_hash_would_fit() -> None:
    """Salt and value must not run into each other: the first bytes of the value could be the last of the salt."""
    short = b"s" * 31
    record = {"index": 0, "input": {"commitment": commitment(short, TOLD)}, "output": {"value": ANSWER}}
    alone = made(predicate(1, leaf(record), record=record))
    value = document(0) | {"statement": {"sha256": alone.sha256}, "treeSize": 1, "path": [], "record": record}
    value["openings"] = {"input": {"salt": _codec.encode_base64(short), "value": TOLD}}
    with pytest.raises(VerificationError) as caught:
        verified(value, alone)
    assert caught.value.reason == "receipt-opening"
    assert verified(value | {"openings": {}}, alone).size == 1


def test_another_statement_proves_nothing() -> None:
    other = statement.parse((EXAMPLES / "model/v1/examples/model.json").read_bytes())
    with pytest.raises(FormatError) as caught:
        verified(document(0), other)
    assert caught.value.reason == "receipt-statement"


def test_size_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jcs(document(0))
    monkeypatch.setattr(receipts, "MAX_RECEIPT_BYTES", len(data))
    parse_receipt(data)
    with pytest.raises(FormatError) as caught:
        parse_receipt(data + b" ")
    assert caught.value.reason == "json-size"
    assert MAX_RECEIPT_BYTES == 16 * 1024 * 1024


class TestStatement:
    def test_what_it_says(self) -> None:
        found = predicates.parse(STATEMENT)
        assert isinstance(found, Inference)
        assert (found.records.size, found.records.root.sha256) == (3, ROOT.hex())
        assert json.loads(_codec.dumps(predicates.to_wire(found))) == predicate(3, ROOT)

    def test_a_single_record_stands_in_it(self) -> None:
        record = {"index": 0, "input": {"value": TOLD}, "output": {"value": ANSWER}}
        found = predicates.parse(made(predicate(1, leaf(record), record=record)))
        assert isinstance(found, Inference)
        assert found.record is not None
        assert found.record.output.value == ANSWER

    @pytest.mark.parametrize(
        "value",
        [
            predicate(1, LEAVES[2]),
            predicate(3, ROOT, record=RECORDS[0]),
            predicate(2, ROOT, record=RECORDS[0]),
            predicate(1, LEAVES[0], record=RECORDS[1]),
            predicate(0, ROOT),
            predicate(MAX_LEAVES + 1, ROOT),
            predicate(3, ROOT) | {"kind": "dataset"},
            predicate(3, ROOT) | {"records": {"algorithm": "sha256", "size": 3, "root": {"sha256": ROOT.hex()}}},
        ],
    )
    def test_others_are_refused(self, value: dict[str, Any]) -> None:
        with pytest.raises(FormatError) as caught:
            predicates.parse(made(value))
        assert caught.value.reason == "predicate-schema"

"""Withheld values: what opens a commitment, and what does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.predicates import Dataset, commitments
from lamslsa.predicates.commitments import Opening, commit, open_commitment, parse_openings

EXAMPLE = Path(__file__).parents[3] / "predicates/dataset/v1/examples/dataset.json"
SALT = bytes(range(32))
VALUE = {"rows": 5, "rate": 1e-7, "name": "ü"}
JCS = '{"name":"ü","rate":1e-7,"rows":5}'.encode()
HASH = hashlib.sha256(SALT + JCS).hexdigest()
DATASET = {"name": "people", "digest": {"sha256": "33" * 32}}


def sheet(*withheld: dict[str, Any]) -> Dataset:
    """The example, with values kept back."""
    document = json.loads(EXAMPLE.read_bytes())
    document["predicate"]["withheld"] = list(withheld)
    found = predicates.parse(statement.parse(_codec.dumps(document)))
    assert isinstance(found, Dataset)
    return found


def kept_back(pointer: str = "/a", sha256: str = HASH) -> dict[str, Any]:
    return {"pointer": pointer, "commitment": {"sha256": sha256}}


def opening(pointer: str = "/a", salt: bytes = SALT, value: Any = VALUE) -> Opening:
    return Opening(pointer=pointer, salt=_codec.encode_base64(salt), value=value)


def test_a_commitment_is_a_salted_hash() -> None:
    assert commit(VALUE, SALT).sha256 == HASH
    assert open_commitment(sheet(kept_back(), kept_back("/b", "0" * 64)), opening()) == VALUE


@pytest.mark.parametrize("salt", [SALT[:31], SALT + b"\0", b""])
def test_salts_have_one_length(salt: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        commit(VALUE, salt)
    assert caught.value.reason == "commitment-salt"


@pytest.mark.parametrize(
    ("withheld", "shown", "kind", "reason"),
    [
        ([kept_back()], opening(value={**VALUE, "rows": 6}), VerificationError, "commitment-value"),
        ([kept_back()], opening(salt=SALT[::-1]), VerificationError, "commitment-value"),
        ([kept_back()], opening(salt=SALT[:31]), FormatError, "commitment-salt"),
        ([kept_back()], opening(salt=SALT + b"\0"), FormatError, "base64-size"),
        ([kept_back()], opening(pointer="/b"), FormatError, "commitment-pointer"),
        ([kept_back("/b"), kept_back("/c")], opening(), FormatError, "commitment-pointer"),
        ([kept_back(), kept_back()], opening(), FormatError, "commitment-pointer"),
        ([{"pointer": "/a"}], opening(), FormatError, "commitment-pointer"),
        ([], opening(), FormatError, "commitment-pointer"),
    ],
)
def test_what_opens_nothing(
    withheld: list[dict[str, Any]], shown: Opening, kind: type[LamslsaError], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        open_commitment(sheet(*withheld), shown)
    assert caught.value.reason == reason


def test_a_file_of_openings(monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"pointer": "/a", "salt": _codec.encode_base64(SALT), "value": VALUE}
    data = _codec.dumps({"dataset": DATASET, "openings": [item]})
    found = parse_openings(data)
    assert (found.dataset.name, found.openings) == ("people", (opening(),))
    monkeypatch.setattr(commitments, "MAX_OPENINGS_BYTES", len(data))
    assert parse_openings(data) == found
    for other, reason in ((data + b" ", "json-size"), (b"[]", "predicate-schema"), (data[:-1], "json-syntax")):
        with pytest.raises(FormatError) as caught:
            parse_openings(other)
        assert caught.value.reason == reason

"""``lamslsa inspect`` of private files: what they are is said, and no salt and no value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec
from lamslsa._cli.main import main
from lamslsa.predicates import inference as wire
from tests.cli.conftest import Cli

SALT = _codec.encode_base64(bytes(range(32)))
STATEMENT = "11" * 32


def receipt(index: int, *, statement: str = STATEMENT, opened: bool = True) -> dict[str, Any]:
    return {
        "type": wire.RECEIPT_TYPE,
        "statement": {"sha256": statement},
        "treeSize": 8,
        "record": {"index": index, "input": {"value": "quince"}, "output": {"commitment": "22" * 32}},
        "path": ["33" * 32] * 3,
        "openings": {"output": {"salt": SALT, "value": "medlar"}} if opened else {},
    }


def openings() -> dict[str, Any]:
    items = [{"pointer": pointer, "salt": SALT, "value": "medlar"} for pointer in ("/duplicates", "/columns/0/missing")]
    return {"dataset": {"name": "people\u202e", "digest": {"sha256": "44" * 32}}, "openings": items}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "private"


@pytest.mark.parametrize(
    ("indent", "opened", "words"),
    [(None, True, "a commitment, with what opens it"), (2, False, "a commitment, kept closed")],
)
def test_a_receipt(file: Path, cli: Cli, indent: int | None, opened: bool, words: str) -> None:
    file.write_text(json.dumps(receipt(3, opened=opened), indent=indent))
    code, document, said = cli("inspect", file)
    assert (code, document["kind"], document["verified"]) == (0, "receipt of an inference", []), said
    assert document["facts"] == {
        "statement": f"sha256:{STATEMENT}",
        "index": 3,
        "size": 8,
        "input": "disclosed",
        "output": words,
    }
    assert "verify-receipt" in document["unverified"][0]


def test_receipts(file: Path, cli: Cli) -> None:
    lines = [receipt(5), receipt(2), receipt(7, statement="99" * 32)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{}\n")
    code, document, _ = cli("inspect", file)
    assert (code, document["kind"]) == (0, "3 receipts of inferences, one a line")
    assert document["facts"] == {
        "statements": [f"sha256:{STATEMENT}", f"sha256:{'99' * 32}"],
        "moreStatements": 0,
        "lowestIndex": 2,
        "highestIndex": 7,
        "size": 8,
    }
    assert document["unverified"][0].startswith("what is no receipt: line 4: expected a receipt")


def test_openings(file: Path, cli: Cli) -> None:
    file.write_text(json.dumps(openings()))
    code, document, _ = cli("inspect", file)
    assert (code, document["kind"], document["verified"]) == (0, "openings of withheld values", [])
    assert document["facts"] == {
        "dataset": "people\u202e",
        "datasetDigest": f"sha256:{'44' * 32}",
        "openings": 2,
        "pointers": ["/duplicates", "/columns/0/missing"],
    }
    assert "verify-opening" in document["unverified"][0]


@pytest.mark.parametrize("value", [receipt(3), openings()])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_salt_and_no_value_is_shown(
    file: Path, value: dict[str, Any], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1), f"{json.dumps(value)}\n{json.dumps(value)}\n"):
        file.write_text(text)
        main(["inspect", str(file), "--format", form])
        done = capsys.readouterr()
        for secret in (SALT, "medlar", "quince", "\u202e"):
            assert secret not in done.out + done.err
    file.write_text(json.dumps(value))
    assert main(["inspect", str(file), "--format", form]) == 0
    assert "salts and values are not shown here" in capsys.readouterr().out


@pytest.mark.parametrize("value", [{**receipt(3), "treeSize": 0}, {**openings(), "openings": [{}]}])
def test_malformed_ones_are_refused(file: Path, cli: Cli, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value))
    code, document, _ = cli("inspect", file)
    assert (code, document["error"]["reason"]) == (3, "predicate-schema")

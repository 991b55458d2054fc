"""``lamslsa verify-receipt``: an inference out of many, from a statement or a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lamslsa import _codec, predicates, statement
from lamslsa._cli.main import cli, main
from lamslsa._merkle import Tree, leaf_hash
from lamslsa.predicates import inference as wire
from lamslsa.sign import KeySigner, generate
from lamslsa.testing import chain


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, bytes]:
    """Receipts and the statement that they are of, without a model."""
    records = [
        wire.Record(
            index=index,
            input=wire.Side(value={"word": f"w{index}\u202e"}),
            output=wire.Side(commitment=wire.commitment(bytes(32), {"probability": 0.25})),
        )
        for index in range(3)
    ]
    tree = Tree([leaf_hash(wire.record_leaf(record)) for record in records])
    predicate = statement.parse(chain.evaluated(chain.model())).predicate
    payload = statement.make(
        [statement.Subject(name="m", sha256="a" * 64)],
        wire.PREDICATE_TYPE,
        {
            **{key: predicate[key] for key in ("kind", "model", "dataset", "environment", "configuration")},
            "configurationDigest": predicate["configurationDigest"],
            "measurer": {"name": "inference", "version": "1"},
            "records": {"algorithm": "rfc9162-sha256", "size": 3, "root": {"sha256": tree.root.hex()}},
        },
    )
    lines = [
        _codec.dumps(
            {
                "type": wire.RECEIPT_TYPE,
                "statement": {"sha256": _codec.sha256_hex(payload)},
                "treeSize": 3,
                "record": predicates.to_wire(record),
                "path": [item.hex() for item in tree.path(record.index)],
                "openings": {},
            }
        )
        for record in records
    ]
    (tmp_path / "receipts.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "01-inference.json").write_bytes(payload)
    return tmp_path / "receipts.jsonl", tmp_path / "01-inference.json", payload


def test_an_inference_is_proved(files: tuple[Path, Path, bytes], tmp_path: Path) -> None:
    receipts, plain, payload = files
    signer = KeySigner.load(generate(None), None)
    bundle = tmp_path / "inference.sigstore.json"
    bundle.write_bytes(signer.sign(payload))
    several = tmp_path / "all.intoto.jsonl"
    several.write_bytes(signer.sign(chain.evaluated(chain.model())) + b"\n" + bundle.read_bytes() + b"\n")
    for where in (plain, bundle, several):
        command = ["verify-receipt", str(receipts), str(where), "--line", "2", "--format", "json"]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        document = json.loads(result.output)
        assert (document["index"], document["size"], document["output"]) == (1, 3, None)
        assert document["input"] == {"word": "w1\u202e"}
    text = CliRunner().invoke(cli, ["verify-receipt", str(receipts), str(plain), "--line", "2"]).output
    assert "whose own authenticity is not judged here" in text
    assert "kept closed by this receipt" in text
    assert "\u202e" not in text


def test_refusals(files: tuple[Path, Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipts, plain, _ = files
    other = tmp_path / "other.json"
    other.write_bytes(chain.evaluated(chain.model()))
    assert main(["verify-receipt", str(receipts), str(plain)]) == 2
    assert main(["verify-receipt", str(receipts), str(plain), "--line", "4"]) == 2
    assert main(["verify-receipt", str(receipts), str(other), "--line", "1"]) == 4
    assert "receipt-other-statement" in capsys.readouterr().err
    changed = tmp_path / "changed.json"
    changed.write_text(receipts.read_text().splitlines()[0].replace("w0", "w9"))
    assert main(["verify-receipt", str(changed), str(plain)]) == 4
    assert "receipt-not-included" in capsys.readouterr().err
    assert main(["verify-receipt", str(plain), str(plain)]) == 3

"""``lamslsa verify-opening``: withheld values of a datasheet, opened one by one."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, predicates
from lamslsa._cli.main import main
from lamslsa.predicates.commitments import commit
from lamslsa.sign import KeySigner, generate
from lamslsa.testing import chain
from tests.cli.conftest import Cli

EXAMPLE = Path(__file__).parents[2] / "predicates/dataset/v1/examples/dataset.json"
VALUES: dict[str, Any] = {"/columns/0/missing": 3, "/duplicates": {"rows": 0.5}, "/labelBalance": ["w\u202e"]}


def salt(pointer: str) -> bytes:
    return pointer.encode().ljust(32, b"\0")[:32]


def datasheet(sha256: str = "33" * 32, salted: bytes = b"") -> bytes:
    """The example about another dataset, with values kept back."""
    document = json.loads(EXAMPLE.read_bytes())
    document["subject"] = [{"name": "people\u202e", "digest": {"sha256": sha256}}]
    commitments = {pointer: commit(value, salt(salted.decode() + pointer)) for pointer, value in VALUES.items()}
    document["predicate"]["withheld"] = [
        {"pointer": pointer, "commitment": predicates.to_wire(found)} for pointer, found in commitments.items()
    ]
    return _codec.dumps(document)


def openings(values: dict[str, Any], sha256: str = "33" * 32) -> bytes:
    items = [
        {"pointer": pointer, "salt": _codec.encode_base64(salt(pointer)), "value": value}
        for pointer, value in values.items()
    ]
    return _codec.dumps({"dataset": {"name": "people", "digest": {"sha256": sha256}}, "openings": items})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "01-dataset.json").write_bytes(datasheet())
    (tmp_path / "openings.json").write_bytes(openings(VALUES))
    return tmp_path / "01-dataset.json", tmp_path / "openings.json"


def test_every_value_is_opened(files: tuple[Path, Path], tmp_path: Path, cli: Cli) -> None:
    plain, held = files
    signer = KeySigner.load(generate(None), None)
    bundle = tmp_path / "dataset.sigstore.json"
    bundle.write_bytes(signer.sign(plain.read_bytes()))
    several = tmp_path / "all.intoto.jsonl"
    others = (chain.evaluated(chain.model()), datasheet("44" * 32))
    lines = [signer.sign(payload) for payload in others] + [bundle.read_bytes(), bundle.read_bytes(), b"noise"]
    several.write_bytes(b"\n".join(lines) + b"\n")
    for where in (plain, bundle, several):
        code, document, said = cli("verify-opening", where, held)
        assert code == 0, said
        assert document["dataset"] == {"name": "people\u202e", "digest": f"sha256:{'33' * 32}"}
        assert document["statement"] == f"sha256:{_codec.sha256_hex(plain.read_bytes())}"
        assert {item["pointer"]: item["value"] for item in document["opened"]} == VALUES
        assert (document["refused"], document["out"]) == ([], None)


def test_what_people_read(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-opening", *map(str, files), "--pointer", "/labelBalance"]) == 0
    said = capsys.readouterr().out
    assert '/labelBalance → ["w\\u202e"]' in said
    assert "whose own authenticity is not judged here" in said
    assert "\u202e" not in said
    assert "/duplicates" not in said
    assert main(["verify-opening", *map(str, files)]) == 0
    said = capsys.readouterr().out
    assert "/columns/0/missing → 3\n" in said
    assert not any(_codec.encode_base64(salt(pointer)) in said for pointer in VALUES)


def test_one_opening_is_handed_out_without_the_others(files: tuple[Path, Path], tmp_path: Path, cli: Cli) -> None:
    shown = tmp_path / "shown.json"
    code, document, said = cli("verify-opening", *files, "--pointer", "/duplicates", "--out", shown)
    assert (code, document["out"]) == (0, str(shown)), said
    assert stat.S_IMODE(shown.stat().st_mode) == 0o600
    assert shown.read_bytes() == openings({"/duplicates": VALUES["/duplicates"]})
    code, document, _ = cli("verify-opening", files[0], shown)
    assert (code, document["opened"]) == (0, [{"pointer": "/duplicates", "value": {"rows": 0.5}}])
    code, document, _ = cli("verify-opening", files[0], shown, "--pointer", "/labelBalance")
    assert (code, document["error"]["reason"]) == (3, "opening-pointer")
    assert "/duplicates" in document["error"]["hint"]


def test_nothing_is_handed_out_by_oversight(files: tuple[Path, Path], tmp_path: Path, cli: Cli) -> None:
    shown = tmp_path / "shown.json"
    assert cli("verify-opening", *files, "--out", shown)[0] == 2
    files[1].write_bytes(openings({**VALUES, "/duplicates": {"rows": 1}}))
    code, document, _ = cli("verify-opening", *files, "--pointer", "/duplicates", "--out", shown)
    assert (code, document["out"], document["opened"]) == (4, None, [])
    assert not shown.exists()
    shown.write_bytes(b"")
    code, document, _ = cli("verify-opening", *files, "--pointer", "/labelBalance", "--out", shown)
    assert (code, document["error"]["reason"]) == (3, "output-exists")


@pytest.mark.parametrize(
    ("pointer", "value", "reason"),
    [
        ("/duplicates", {"rows": 0.25}, "commitment-value"),
        ("/duplicates", None, "commitment-value"),
        ("/rows", 5, "commitment-pointer"),
    ],
)
def test_another_value_is_refused_and_not_shown(
    files: tuple[Path, Path], cli: Cli, capsys: pytest.CaptureFixture[str], pointer: str, value: Any, reason: str
) -> None:
    given = {key: item for key, item in VALUES.items() if key != "/duplicates"} | {pointer: value}
    files[1].write_bytes(openings(given))
    code, document, _ = cli("verify-opening", *files)
    assert (code, len(document["opened"])) == (4, 2)
    assert [(item["pointer"], item["reason"]) for item in document["refused"]] == [(pointer, reason)]
    assert main(["verify-opening", *map(str, files)]) == 4
    said = capsys.readouterr().out
    assert f"{pointer}   NOT opened" in said
    assert "1 of 3 openings are not what the statement commits to" in said
    assert "/columns/0/missing → 3" in said


def test_another_dataset_is_refused(files: tuple[Path, Path], cli: Cli) -> None:
    files[1].write_bytes(openings(VALUES, "44" * 32))
    code, document, _ = cli("verify-opening", *files)
    assert (code, document["error"]["reason"]) == (4, "opening-other-dataset")


def test_a_datasheet_made_again_has_other_commitments(files: tuple[Path, Path], cli: Cli) -> None:
    plain, held = files
    plain.write_bytes(datasheet(salted=b"again"))
    code, document, _ = cli("verify-opening", plain, held)
    assert (code, document["opened"], len(document["refused"])) == (4, [], 3)


def test_no_datasheet_and_two_of_them(files: tuple[Path, Path], tmp_path: Path, cli: Cli) -> None:
    signer = KeySigner.load(generate(None), None)
    other = tmp_path / "other.intoto.jsonl"
    for payloads in ([chain.evaluated(chain.model())], [datasheet(), datasheet(salted=b"again")]):
        other.write_bytes(b"\n".join(map(signer.sign, payloads)) + b"\n")
        code, document, _ = cli("verify-opening", other, files[1])
        assert (code, document["error"]["reason"]) == (3, "opening-statement")
    files[1].write_bytes(openings({}))
    code, document, _ = cli("verify-opening", *files)
    assert (code, document["error"]["reason"]) == (3, "opening-pointer"), "nothing to open is no success"

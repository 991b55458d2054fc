"""``lamslsa sign-model`` and ``lamslsa verify-model``: what they print, and how they refuse."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa._cli.main import main
from lamslsa.sign import KeySigner, generate
from tests.cli.world import World

SIGNATURE = "model/.attestations/model.sigstore.json"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model; the working folder holds the key that signs it and another one."""
    monkeypatch.chdir(tmp_path)
    for name in ("maker", "other"):
        pem = generate(None)
        (tmp_path / f"{name}.key").write_bytes(pem)
        (tmp_path / f"{name}.pub").write_bytes(KeySigner.load(pem, None).public_pem)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    return folder


def sign(*words: str) -> int:
    return main(["sign-model", "model", "--key", "maker.key", *words])


def verify(*words: str) -> int:
    return main(["verify-model", "model", *(words or ("--key", "maker.pub"))])


def reason(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.rpartition("error[")[2].partition("]")[0]


def test_there_and_back(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = KeySigner.load(Path("maker.key").read_bytes(), None)
    assert sign("--quiet") == 0
    assert capsys.readouterr() == (f"{SIGNATURE}\n2 files signed by key {key.key_id}\n", "")
    assert verify("--key", "maker.pub", "--quiet") == 0
    assert capsys.readouterr() == (f"2 files signed by key {key.key_id}\n", "")


def test_as_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key_id = KeySigner.load(Path("maker.key").read_bytes(), None).key_id
    assert sign("--format", "json") == 0
    signed = json.loads(capsys.readouterr().out)
    assert verify("--key", "maker.pub", "--format", "json") == 0
    verified = json.loads(capsys.readouterr().out)
    assert signed.keys() == {"signature", "signer", "keyId", "model", "files"}
    assert (signed["signature"], signed["files"], signed["keyId"]) == (SIGNATURE, 2, key_id)
    common = {"signer": f"key {key_id}", "keyId": key_id, "files": 2}
    assert verified == {**common, "model": verified["model"], "times": [], "logged": False}
    assert signed["model"] == verified["model"]  # the signature is no part of the model


def test_one_file(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "config.json").unlink()
    assert sign("--quiet") == 0
    assert verify("--key", "maker.pub", "--quiet") == 0
    assert capsys.readouterr().out.count("1 file signed by") == 2


def test_a_signature_inside_is_a_file_of_the_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign("--signature", "model/model.sig", "--format", "json") == 0
    done = capsys.readouterr()
    assert "model.sig becomes a file of the model and changes its identity" in done.err
    assert verify("--signature", "model/model.sig", "--key", "maker.pub", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["model"] != json.loads(done.out)["model"]


@pytest.mark.parametrize("signature", [SIGNATURE, "model/.attestations/other.sigstore.json", "maker.sig"])
def test_a_signature_elsewhere_is_none(model: Path, capsys: pytest.CaptureFixture[str], signature: str) -> None:
    assert sign("--signature", signature) == 0
    assert "becomes a file" not in capsys.readouterr().err


@pytest.mark.parametrize("is_link", [True, False])
def test_a_folder_of_attestations_that_is_none(
    model: Path, capsys: pytest.CaptureFixture[str], *, is_link: bool
) -> None:
    Path("elsewhere").mkdir()
    if is_link:
        (model / ".attestations").symlink_to("../elsewhere")
    else:
        (model / ".attestations").touch()
    assert sign() == 3
    assert reason(capsys) == "model-signature-link"
    assert not list(Path("elsewhere").iterdir())


def test_a_signature_beside_the_model(model: Path) -> None:
    assert sign("--signature", "maker.sig") == 0
    assert verify("--signature", "maker.sig", "--key", "maker.pub") == 0
    shutil.copy("maker.sig", model / "model.sig")
    assert verify("--signature", "model/model.sig", "--key", "maker.pub") == 0
    (model / ".attestations").mkdir()
    shutil.move(model / "model.sig", SIGNATURE)
    assert verify() == 0


def test_a_signature_among_the_attestations(model: Path) -> None:
    assert sign("--signature", "model/.attestations/maker.sigstore.json") == 0
    assert verify("--signature", "model/.attestations/maker.sigstore.json", "--key", "maker.pub") == 0


def test_a_model_behind_a_link(model: Path) -> None:
    Path("link").symlink_to(model)
    assert main(["sign-model", "link", "--key", "maker.key", "--signature", "model/model.sig"]) == 0
    assert verify("--signature", "model/model.sig", "--key", "maker.pub") == 0
    assert json.loads(_payload(model / "model.sig"))["subject"][0]["name"] == "model"


def _payload(signature: Path) -> bytes:
    from lamslsa.sign import parse_bundle

    return parse_bundle(signature.read_bytes()).payload


def test_a_signature_under_a_name_of_its_own(model: Path) -> None:
    assert sign("--signature", "model/signed-by-maker") == 0
    assert verify("--signature", "model/signed-by-maker", "--key", "maker.pub") == 0
    (model / "signed-by-maker").rename(model / "generation_config.json")
    assert verify("--signature", "model/generation_config.json", "--key", "maker.pub") == 4


def test_where_it_lies_a_policy_finds_it(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "world").mkdir()
    world = World.of(tmp_path / "world")
    shutil.copy("maker.pub", world.folder)
    policy = world.policy()
    text = policy.read_text().replace("  identities:\n", "  identities:\n    maker: {key: maker.pub}\n")
    policy.write_text(text.replace("\ntraining:", "\nmodel: {signature: {signedBy: maker}}\ntraining:"))

    def outcome() -> tuple[str, str | None]:
        capsys.readouterr()
        assert main(["verify", "model", "--policy", str(policy), "--format", "json"]) == 4
        rules = json.loads(capsys.readouterr().out)["rules"]
        return next((rule["outcome"], rule["reason"]) for rule in rules if rule["name"] == "model signature")

    assert outcome() == ("refused", "model-signature-missing")
    assert sign() == 0
    assert outcome() == ("satisfied", None)
    (model / "config.json").write_text("[]")
    assert outcome() == ("refused", "model-signature-other")


def test_nothing_is_overwritten(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(SIGNATURE).parent.mkdir()
    Path(SIGNATURE).write_text("mine")
    assert sign() == 3
    assert reason(capsys) == "output-exists"
    assert Path(SIGNATURE).read_text() == "mine"


def test_a_second_signer_signs_the_first_signature_too(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign() == 0
    assert main(["sign-model", "model", "--key", "other.key", "--signature", "model/other.sig"]) == 0
    assert verify("--signature", "model/other.sig", "--key", "other.pub") == 0
    assert verify() == 4
    assert reason(capsys) == "model-signature-files"


@pytest.mark.parametrize("at", ["model/model.safetensors", "no-such-model"])
def test_what_is_no_folder(model: Path, capsys: pytest.CaptureFixture[str], at: str) -> None:
    assert main(["sign-model", at, "--key", "maker.key", "--signature", "maker.sig"]) == 3
    assert reason(capsys) == ("artifact-missing" if at == "no-such-model" else "model-signature-folder")
    assert not Path("maker.sig").exists()


def test_a_name_that_no_artifact_can_have(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign("--signature", "model/a\\b.sig") == 3
    assert reason(capsys) == "path-character"


def test_a_folder_that_does_not_exist(model: Path) -> None:
    assert sign("--signature", "nowhere/maker.sig") == 2


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param(
            lambda model: (model / "config.json").write_text("[]"), "'config.json' with SHA-256", id="changed"
        ),
        pytest.param(lambda model: (model / "evil.py").write_text(""), "got 'evil.py'", id="added"),
        pytest.param(lambda model: (model / "config.json").unlink(), "none named 'config.json'", id="removed"),
        pytest.param(
            lambda model: (model / "config.json").rename(model / "config.jsonl"), "got 'config.jsonl'", id="renamed"
        ),
    ],
)
def test_tampering(
    model: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], object], word: str
) -> None:
    assert sign() == 0
    change(model)
    capsys.readouterr()
    assert verify("--key", "maker.pub", "--format", "json") == 4
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["reason"] == "model-signature-files"
    assert word in error["message"]
    assert error["hint"]


def test_the_signature_of_somebody_else(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign() == 0
    assert verify("--key", "other.pub") == 4
    assert reason(capsys) == "signature-key"


def test_no_signature(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify() == 3
    assert reason(capsys) == "file-unreadable"


def test_a_signature_that_is_a_pipe(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(SIGNATURE).parent.mkdir()
    os.mkfifo(SIGNATURE)
    assert verify() == 3
    assert reason(capsys) == "input-kind"


def test_an_attestation_is_no_signature_of_files(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lamslsa.statement import Subject, make

    payload = make([Subject(name="m", sha256="0" * 64)], "https://lamslsa.dev/evaluation/v1", {"a": 1})
    Path(SIGNATURE).parent.mkdir()
    Path(SIGNATURE).write_bytes(KeySigner.load(Path("maker.key").read_bytes(), None).sign(payload))
    assert verify() == 3
    assert reason(capsys) == "model-signature-predicate"


@pytest.mark.parametrize(
    "words",
    [
        ("--quiet",),
        ("--key", "maker.pub", "--certificate-chain", "ca.pem"),
        ("--key", "maker.pub", "--identity", "a@b.test", "--identity-provider", "https://b.test"),
        ("--key", "maker.pub", "--identity-provider", "https://b.test"),
        ("--identity", "a@b.test"),
        ("--identity-provider", "https://b.test"),
        ("--certificate-chain", "ca.pem", "--trusted-root", "root.json"),
        ("--key", "maker.pub", "--at", "2026-01-01T00:00:00Z"),
    ],
)
def test_usage(model: Path, words: tuple[str, ...]) -> None:
    assert sign() == 0
    assert verify(*words) == 2

"""A secret where a file is expected: refused where its looks tell, and never repeated."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from lamslsa._cli.inputs import looks_secret
from lamslsa._cli.main import main
from lamslsa.sign import generate

PEM = generate(None).decode()
HEADER, CLAIMS = ('{"alg":"RS256","typ":"JWT"}', '{"iss":"https://accounts.example.com","sub":"me","aud":"sigstore"}')
TOKEN = ".".join(
    base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (HEADER, CLAIMS, "signature" * 20)
)
ENCODED = base64.b64encode(PEM.encode()).decode()
FORMS = pytest.mark.parametrize("form", ["text", "json"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, and a signature of nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_text("weights")
    (tmp_path / "bundle").write_text("{}")
    (tmp_path / "good.key").write_text(PEM)
    return tmp_path


def pieces(secret: str) -> list[str]:
    """What must not be seen: every word of it that tells something."""
    return [word for word in secret.replace(".", "\n").split() if len(word) > 8 and "---" not in word]


def refused(capsys: pytest.CaptureFixture[str], words: list[str], form: str, *secrets: str) -> tuple[int, str]:
    """Exit code and reason of a refusal, in which nothing of the secrets is to be seen."""
    code = main([*words, "--format", form])
    done = capsys.readouterr()
    for secret in secrets:
        for piece in pieces(secret):
            assert piece not in done.out + done.err
    if form == "json":
        return code, str(json.loads(done.out)["error"]["reason"])
    return code, done.err.rpartition("error[")[2].partition("]")[0]


@FORMS
@pytest.mark.parametrize(
    "secret", [PEM, PEM.replace("\n", " "), "first-line\nsecond-line", TOKEN, ENCODED, f"env://{PEM}"]
)
@pytest.mark.parametrize(
    "words",
    [
        ["sign-model", "model", "--key"],
        ["publish", "model", "--to", "store", "--key"],
        [
            *("enclave", "measurement", "--tee", "simulated", "--release", "1", "--build", "measure"),
            *("--out", "x.sigstore.json", "--key"),
        ],
        ["verify-model", "model", "--key"],
        ["inspect", "bundle", "--key"],
    ],
    ids=lambda words: words[0],
)
def test_a_key_in_place_of_its_file(
    capsys: pytest.CaptureFixture[str], words: list[str], secret: str, form: str
) -> None:
    assert refused(capsys, [*words, secret], form, secret) == (3, "input-secret")


@FORMS
@pytest.mark.parametrize("secret", [TOKEN, ENCODED])
def test_a_secret_to_look_at(capsys: pytest.CaptureFixture[str], secret: str, form: str) -> None:
    assert refused(capsys, ["inspect", secret], form, secret) == (3, "input-secret")


@FORMS
@pytest.mark.parametrize("words", [[TOKEN], PEM.split(), [PEM], ["x", PEM]])
def test_a_secret_where_nothing_is_expected(capsys: pytest.CaptureFixture[str], words: list[str], form: str) -> None:
    code, _ = refused(capsys, ["sign-model", "model", "--key", "good.key", *words], form, *words)
    assert code == 2


@FORMS
@pytest.mark.parametrize("token", [f"@{TOKEN}", f"@./{TOKEN}", f"@{TOKEN}\n"])
def test_a_token_in_place_of_its_file(capsys: pytest.CaptureFixture[str], token: str, form: str) -> None:
    from lamslsa.testing.sigstore import LocalSigstore

    with LocalSigstore() as sigstore:
        Path("trust.json").write_text(sigstore.trust_config_json(1))
        words = ["sign-model", "model", "--keyless", "--yes", "--trust-config", "trust.json", "--identity-token", token]
        assert refused(capsys, words, form, TOKEN) == (3, "input-secret")


@FORMS
@pytest.mark.parametrize(
    "words", [["keygen", "made"], ["sign-model", "model", "--key", "good.key"]], ids=lambda words: words[0]
)
@pytest.mark.parametrize(
    "passphrase", ["correct-horse-battery", "correct-horse-battery\nstaple", "battery-horse" * 100]
)
def test_a_passphrase_in_place_of_its_file(
    capsys: pytest.CaptureFixture[str], words: list[str], passphrase: str, form: str
) -> None:
    found = refused(capsys, [*words, "--passphrase-file", passphrase], form, passphrase)
    assert found == (3, "passphrase-file")


@FORMS
@pytest.mark.parametrize("name", [TOKEN, PEM, "long-name/" * 200])
def test_no_error_of_the_system_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", name)

    monkeypatch.setattr("lamslsa._cli.keygen.refuse_existing", fail)
    assert refused(capsys, ["keygen", "made"], form, name) == (3, "file-unreadable")


def test_a_file_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sign-model", "model", "--key", "keys/nowhere.key"]) == 3
    assert "keys/nowhere.key" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "keys/auditor.key",
        "eyebrow-detector.checkpoint-01.sig.json",
        "census-mlp.v1.0.safetensors",
        "keys/a key with spaces.pem",
        "Schlüssel.pem",
        "x" * 1024,
    ],
)
def test_names_of_files_look_like_none(name: str) -> None:
    assert not looks_secret(name)

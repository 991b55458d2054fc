"""What every command that signs has in common: what is refused first, and what is said before something is public."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamslsa._cli.main import main
from lamslsa.sign import generate
from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore
from lamslsa.testing.sigstore import LocalSigstore, Rekor

__all__ = ["faulty_sigstore", "local_sigstore"]

CI = ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME", "SIGSTORE_ID_TOKEN")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and a key; no CI is around."""
    monkeypatch.chdir(tmp_path)
    for name in CI:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_text("weights")
    (tmp_path / "maker.key").write_bytes(generate(None))
    (tmp_path / "locked.key").write_bytes(generate(b"battery"))
    return tmp_path


@pytest.fixture
def keyless(local_sigstore: LocalSigstore, folder: Path) -> list[str]:
    """Options that sign as an identity, but for the token."""
    (folder / "trust.json").write_text(local_sigstore.trust_config_json(1))
    (folder / "token").write_text(local_sigstore.token(email="me@example.test"))
    return ["--keyless", "--trust-config", "trust.json"]


def sign(*words: str) -> int:
    return main(["sign-model", "model", *words])


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the model."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the model was read")

    monkeypatch.setattr("lamslsa._cli.sign_model.hash_artifact", fail)


# before anything else


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["--key", "nowhere.key"], 3, "file-unreadable"),
        (["--key", "env://NOT_SET"], 6, "key-environment"),
        (["--key", "awskms:///alias/release"], 3, "key-reference"),
        (["--key", "locked.key"], 3, "key-passphrase"),
        (["--key", "maker.key", "--require-timestamp", "--trust-config", "maker.key"], 3, "json-syntax"),
        (["--key", "maker.key", "--require-log"], 2, None),
    ],
)
def test_a_key_is_opened_before_the_model_is_read(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, reason: str | None
) -> None:
    assert sign(*words, "--format", "json") == code
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == reason


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["--identity-token", "@token"], 2, None),
        (["--yes"], 6, "token-missing"),
        (["--yes", "--identity-token", "not-a-token"], 3, "token-format"),
        (["--yes", "--identity-token", "@nowhere"], 3, "file-unreadable"),
    ],
)
def test_consent_and_token_come_before_the_model_is_read(
    capsys: pytest.CaptureFixture[str], keyless: list[str], words: list[str], code: int, reason: str | None
) -> None:
    assert sign(*keyless, *words, "--format", "json") == code
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == reason


@pytest.mark.parametrize(("skip", "read"), [(0, False), (1, True)])
def test_a_ci_is_asked_at_once_and_again_when_the_model_has_been_read(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    faulty_sigstore: LocalSigstore,
    folder: Path,
    *,
    skip: int,
    read: bool,
) -> None:
    """A token lasts minutes, which reading a large model may take."""
    (folder / "trust.json").write_text(faulty_sigstore.trust_config_json(1))
    for name, value in faulty_sigstore.github_environment().items():
        monkeypatch.setenv(name, value)
    faulty_sigstore.faults.fail("github-token", 403, skip=skip)
    assert sign("--keyless", "--trust-config", "trust.json", "--yes") == 6
    done = capsys.readouterr()
    assert "error[token-ambient]" in done.err
    assert ("hashing" in done.err) is read


# before something is public

SENT = "the statements themselves are sent to the log's operator"


@pytest.mark.parametrize(("rekor", "sent"), [(1, True), (2, False)])
@pytest.mark.parametrize("who", ["identity", "key"])
def test_what_a_log_of_version_1_is_sent_is_said(
    capsys: pytest.CaptureFixture[str],
    local_sigstore: LocalSigstore,
    keyless: list[str],
    who: str,
    rekor: Rekor,
    *,
    sent: bool,
) -> None:
    Path("trust.json").write_text(local_sigstore.trust_config_json(rekor))
    by_key = ["--key", "maker.key", "--require-log", "--require-timestamp", "--trust-config", "trust.json"]
    by_identity = [*keyless, "--identity-token", "@token"]
    assert sign(*(by_key if who == "key" else by_identity), "--yes") == 0
    said = capsys.readouterr().err
    assert "cannot be taken back" in said
    assert (SENT in said) is sent


def test_a_timestamp_that_was_missed_is_told_even_quietly(
    capsys: pytest.CaptureFixture[str], faulty_sigstore: LocalSigstore, folder: Path
) -> None:
    (folder / "trust.json").write_text(faulty_sigstore.trust_config_json(1))
    (folder / "token").write_text(faulty_sigstore.token(email="me@example.test"))
    faulty_sigstore.faults.fail("tsa", 503)
    words = ["--keyless", "--trust-config", "trust.json", "--identity-token", "@token", "--yes"]
    assert sign(*words, "--quiet") == 0
    said = capsys.readouterr().err
    assert said.startswith("no timestamp: ")
    assert said.count("\n") == 1

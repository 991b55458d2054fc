"""``lamslsa publish`` with an identity, and with a key that is witnessed: options, notices, exit codes."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, write_run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.testing import chain as made
from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore
from lamslsa.testing.sigstore import LocalSigstore, github_claims
from lamslsa.testing.simulated import SimulatedVendor

__all__ = ["faulty_sigstore", "local_sigstore"]

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
AMBIENT = dict.fromkeys(
    ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME", "SIGSTORE_ID_TOKEN"), ""
)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vendor, payload, nonce = SimulatedVendor(NOW), made.census()["evaluation"], Nonce(value=bytes(32))
    quote = vendor.quote(binding.report_data(nonce.value, statements=[_codec.sha256_hex(payload)]))
    folder = tmp_path_factory.mktemp("run") / "evaluation"
    run = Run(
        statements=(NamedPayload(name="01-evaluation", payload=payload),),
        nonce=nonce,
        evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=vendor.collateral()),
        quoted_at="2026-11-22T00:00:00Z",
    )
    write_run(run, folder)
    return folder


@pytest.fixture
def words(local_sigstore: LocalSigstore, run_folder: Path, tmp_path: Path) -> list[str | Path]:
    (tmp_path / "trust.json").write_text(local_sigstore.trust_config_json(1))
    (tmp_path / "token").write_text(local_sigstore.token(claims=github_claims("acme/model")) + "\n")
    (tmp_path / "key").write_bytes(generate(None))
    return ["publish", run_folder, "--to", tmp_path / "store", "--trust-config", tmp_path / "trust.json"]


def keyless(tmp_path: Path) -> list[str | Path]:
    return ["--keyless", "--identity-token", f"@{tmp_path / 'token'}"]


def stored(tmp_path: Path) -> list[Any]:
    return [parse_bundle(path.read_bytes()) for path in sorted((tmp_path / "store").iterdir())]


def test_an_identity_publishes_a_run_and_says_what_becomes_public(
    lamslsa: Any, words: list[str | Path], tmp_path: Path
) -> None:
    done = lamslsa(*words, *keyless(tmp_path), "--require-timestamp", "--yes", "--format", "json", **AMBIENT)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == {"signer", "keyId", "statements"}
    assert document["keyId"] is None
    assert document["signer"].startswith("https://github.com/acme/model/.github/workflows/train.yml@refs/heads/main (")
    assert [item["name"] for item in document["statements"]] == ["tee-evidence", "01-evaluation"]
    for word in ("acme/model", "cannot be taken back", "PPID", "sha256:", "127.0.0.1"):
        assert word in done.stderr
    bundles = stored(tmp_path)
    assert len({bundle.material.certificates for bundle in bundles}) == 1
    assert all(bundle.material.timestamps and bundle.material.log_entries for bundle in bundles)
    token = (tmp_path / "token").read_text().strip()
    assert token not in done.stdout + done.stderr
    assert all(token.encode() not in bundle.raw for bundle in bundles)


def test_publishing_again_asks_and_signs_nothing(
    lamslsa: Any, faulty_sigstore: LocalSigstore, words: list[str | Path], tmp_path: Path
) -> None:
    """The token of a person says whom the certificate would name, so that none has to be asked for."""
    options = [*words, *keyless(tmp_path), "--yes", "--format", "json"]
    (tmp_path / "token").write_text(faulty_sigstore.token(email="me@example.com"))
    assert lamslsa(*options, **AMBIENT).returncode == 0
    faulty_sigstore.faults.fail("fulcio", 500)
    done = lamslsa(*options, **AMBIENT)
    assert done.returncode == 0, done.stderr
    assert [item["location"] for item in json.loads(done.stdout)["statements"]] == [None, None]
    assert done.stderr == ""


def test_what_failed_halfway_is_resumed(
    lamslsa: Any, faulty_sigstore: LocalSigstore, words: list[str | Path], tmp_path: Path
) -> None:
    options = [*words, *keyless(tmp_path), "--yes", "--format", "json"]
    faulty_sigstore.faults.fail("rekor1", 503, skip=1)
    done = lamslsa(*options, **AMBIENT)
    assert done.returncode == 6
    assert json.loads(done.stdout)["error"]["reason"] == "rekor-unavailable"
    assert len(stored(tmp_path)) == 1
    faulty_sigstore.faults.clear()
    done = lamslsa(*options, **AMBIENT)
    assert [item["location"] is None for item in json.loads(done.stdout)["statements"]] == [True, False]
    assert len(stored(tmp_path)) == 2


@pytest.mark.parametrize(
    ("environment", "token", "code", "reason"),
    [
        ({}, [], 6, "token-missing"),
        ({"GITHUB_ACTIONS": "true"}, [], 6, "token-ambient"),
        ({"SIGSTORE_ID_TOKEN": "not-a-token"}, [], 3, "token-format"),
        ({}, ["--identity-token", "not-a-token"], 3, "token-format"),
        ({}, ["--identity-token", "-"], 3, "token-format"),
        ({}, ["--identity-token", "@/nowhere"], 3, "file-unreadable"),
    ],
)
def test_without_a_token_there_is_no_other_mode(
    lamslsa: Any,
    words: list[str | Path],
    tmp_path: Path,
    environment: dict[str, str],
    token: list[str],
    code: int,
    reason: str,
) -> None:
    done = lamslsa(*words, "--keyless", *token, "--yes", "--format", "json", **AMBIENT | environment)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["error"]["reason"] == reason
    assert not (tmp_path / "store").exists()


def test_a_token_comes_from_the_environment_too(
    lamslsa: Any, local_sigstore: LocalSigstore, words: list[str | Path], tmp_path: Path
) -> None:
    variables = {"SIGSTORE_ID_TOKEN": local_sigstore.token(email="me@example.test")}
    done = lamslsa(*words, "--keyless", "--yes", "--quiet", "--format", "json", **AMBIENT | variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signer"] == f"me@example.test ({local_sigstore.issuer})"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected one of --key and --keyless"),
        (["--key", "KEY", "--keyless"], "expected one of --key and --keyless"),
        (["--keyless", "--passphrase-file", "KEY"], "--passphrase-file with --key"),
        (["--key", "KEY", "--identity-token", "x"], "--identity-token with --keyless"),
        (["--key", "KEY"], "a key alone asks no Sigstore"),
        (["--keyless", "--staging"], "at most one of"),
        (["--keyless", "--tuf-url", "https://tuf.example.com"], "at most one of"),
        (["--keyless", "--tuf-root", "KEY"], "--tuf-root with --tuf-url"),
        (["--keyless"], "expected --yes"),
        (["--key", "KEY", "--require-log"], "expected --yes"),
    ],
)
def test_options_that_contradict_each_other_or_lack_consent(
    lamslsa: Any, words: list[str | Path], tmp_path: Path, options: list[str], message: str
) -> None:
    given = [str(tmp_path / "key") if option == "KEY" else option for option in options]
    done = lamslsa(*words, *given, **AMBIENT)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "store").exists()


def test_a_key_with_its_witnesses(
    lamslsa: Any, local_sigstore: LocalSigstore, words: list[str | Path], tmp_path: Path
) -> None:
    key = KeySigner.load((tmp_path / "key").read_bytes(), None)
    done = lamslsa(
        *(*words, "--key", tmp_path / "key", "--require-timestamp", "--require-log", "--yes", "--format", "json"),
        **AMBIENT,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["keyId"] == key.key_id
    assert json.loads(done.stdout)["signer"] == f"key {key.key_id}"
    assert key.key_id in done.stderr
    assert all(bundle.material.timestamps and bundle.material.log_entries for bundle in stored(tmp_path))


def test_a_timestamp_alone_asks_nobody(lamslsa: Any, words: list[str | Path], tmp_path: Path) -> None:
    done = lamslsa(*words, "--key", tmp_path / "key", "--require-timestamp", **AMBIENT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert all(bundle.material.timestamps and not bundle.material.log_entries for bundle in stored(tmp_path))


def test_a_key_in_the_environment(lamslsa: Any, run_folder: Path, tmp_path: Path) -> None:
    pem = generate(None).decode()
    done = lamslsa(
        *("publish", run_folder, "--key", "env://SIGNING_KEY", "--to", tmp_path / "store", "--format", "json"),
        SIGNING_KEY=pem,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["keyId"] == KeySigner.load(pem.encode(), None).key_id


def test_a_repository_of_trust(
    lamslsa: Any, local_sigstore: LocalSigstore, words: list[str | Path], run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "root.json").write_bytes(local_sigstore.make_tuf(2))
    folders = {name: str(tmp_path / name) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")}
    done = lamslsa(
        *("publish", run_folder, "--to", tmp_path / "store", *keyless(tmp_path), "--yes"),
        *("--tuf-url", local_sigstore.tuf_url, "--tuf-root", tmp_path / "root.json"),
        **AMBIENT | folders,
    )
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path)) == 2


@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 2), ("n\n", 130, 0)])
def test_on_a_terminal_the_user_is_asked_once(
    words: list[str | Path], tmp_path: Path, answer: str, code: int, count: int
) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "HOME": str(tmp_path), "NO_COLOR": "1", **AMBIENT}
    command = [sys.executable, "-m", "lamslsa", *map(str, words), *map(str, keyless(tmp_path)), "--quiet"]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    answered = False
    try:
        while True:
            select.select([ours], [], [], 60)
            try:
                data = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            seen += data
            if not answered and b"Make this public?" in seen:
                os.write(ours, answer.encode())
                answered = True
        assert process.wait(timeout=60) == code, seen
    finally:
        os.close(ours)
        assert process.stdout is not None
        process.stdout.close()
    assert seen.count(b"Make this public?") == 1
    assert b"cannot be taken back" in seen
    assert (len(stored(tmp_path)) if (tmp_path / "store").exists() else 0) == count

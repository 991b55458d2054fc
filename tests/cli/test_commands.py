"""Each command as a user meets it: text and JSON, quiet, without colour."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import hash_artifact

Run = Any


def _words(chain: Any, tmp_path: Path) -> dict[str, list[str | Path]]:
    platform = ["--simulated-platform", chain.platform]
    judged = [chain.model, "--policy", chain.policy]
    dataset = ["attest", "dataset", chain.train, "--name", "census-train", "--config", chain.job, "--tee", "simulated"]
    evaluation = ["attest", "evaluation", chain.model, "--dataset", chain.test, "--config", chain.job]
    return {
        "digest": ["digest", chain.model],
        "keygen": ["keygen", tmp_path / "key"],
        "attest dataset": [*dataset, *platform, "--out", tmp_path / "dataset"],
        "attest evaluation": [*evaluation, "--tee", "simulated", *platform, "--out", tmp_path / "evaluation"],
        "publish": [
            *("publish", chain.runs / "evaluation", "--key", chain.folder / "auditor.key"),
            *("--to", tmp_path / "store"),
        ],
        "verify": ["verify", *judged],
        "card": ["card", *judged, "--html", tmp_path / "card.html"],
        "enclave measurement": ["enclave", "measurement", "--tee", "simulated", *platform],
        "completion": ["completion", "bash"],
        "inspect": ["inspect", chain.runs / "evaluation"],
        "evidence inspect": [
            *("evidence", "inspect", chain.runs / "evaluation" / "quote.bin"),
            *("--collateral", chain.runs / "evaluation" / "collateral.json"),
        ],
        "tee": ["tee"],
        "challenge": ["challenge", tmp_path / "challenge.json"],
    }


COMMANDS = [
    "attest dataset",
    "attest evaluation",
    "card",
    "challenge",
    "completion",
    "digest",
    "enclave measurement",
    "evidence inspect",
    "inspect",
    "keygen",
    "publish",
    "tee",
    "verify",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_quiet_json_and_nothing_else(chain: Any, lamslsa: Run, tmp_path: Path, name: str) -> None:
    done = lamslsa(*_words(chain, tmp_path)[name], "--format", "json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_text_has_no_escapes_without_a_terminal(chain: Any, lamslsa: Run, tmp_path: Path, name: str) -> None:
    done = lamslsa(*_words(chain, tmp_path)[name])
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def _on_a_terminal(words: list[str | Path], **variables: str) -> str:
    """What a command prints when its stdout is a terminal."""
    leader, follower = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
    command = [sys.executable, "-m", "lamslsa", *map(str, words), "--quiet"]
    subprocess.run(command, stdout=follower, env={**environment, "TERM": "xterm"} | variables, check=True)
    os.close(follower)
    printed = b""
    try:
        while part := os.read(leader, 65536):
            printed += part
    except OSError:  # Linux reports the end of a terminal this way
        pass
    os.close(leader)
    return printed.decode()


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_on_a_terminal_unless_unwanted(chain: Any, tmp_path: Path, variables: dict[str, str]) -> None:
    words = _words(chain, tmp_path)["verify"]
    assert "\x1b[" in _on_a_terminal(words)
    assert "\x1b[" not in _on_a_terminal(words, **variables)


def test_digest_is_the_identity_and_the_manifest_its_bytes(chain: Any, lamslsa: Run) -> None:
    manifest = hash_artifact(chain.model, "model")
    assert lamslsa("digest", chain.model, "--quiet").stdout == f"sha256:{manifest.sha256}\n"
    assert lamslsa("digest", chain.model, "--manifest").stdout.encode() == manifest.canonical
    assert lamslsa("digest", chain.model, "--manifest", "--format", "json").returncode == 2


def test_digest_materializes_links_that_leave_the_root(lamslsa: Run, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"weights")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to("../blob")
    refused = lamslsa("digest", tmp_path / "snapshot")
    assert refused.returncode == 3
    assert "--materialize" in refused.stderr
    done = lamslsa("digest", tmp_path / "snapshot", "--materialize", tmp_path / "copy", "--quiet")
    assert done.stdout == f"sha256:{hash_artifact(tmp_path / 'copy', 'model').sha256}\n"
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == b"weights"


def test_keygen_protects_the_private_key(lamslsa: Run, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse\nbattery")
    done = lamslsa("keygen", tmp_path / "auditor", "--passphrase-file", tmp_path / "passphrase")
    assert done.returncode == 0, done.stderr
    private = tmp_path / "auditor.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in private.read_bytes()
    again = lamslsa("keygen", tmp_path / "auditor")
    assert (again.returncode, "error[output-exists]" in again.stderr) == (3, True)


def test_publish_with_an_encrypted_key(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse\n")
    lamslsa("keygen", tmp_path / "key", "--passphrase-file", tmp_path / "passphrase")
    words = ["publish", chain.runs / "evaluation", "--key", tmp_path / "key.key", "--to", tmp_path / "store"]
    missing = lamslsa(*words)
    assert (missing.returncode, "error[key-passphrase]" in missing.stderr) == (3, True)
    assert lamslsa(*words, "--passphrase-file", tmp_path / "passphrase").returncode == 0


def test_collateral_that_the_verifier_holds(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    held = chain.platform / "collateral.json"
    verify = ["verify", chain.model, "--policy", chain.policy, "--collateral"]
    assert lamslsa(*verify, held).returncode == 0
    (tmp_path / "other").write_text("{}")
    refused = lamslsa(*verify, tmp_path / "other")
    assert refused.returncode == 3
    assert "error[collateral-shape]" in refused.stderr


def test_attest_refuses_collateral_before_it_measures(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}")
    training = ["attest", "training", "--dataset", f"train={chain.train}", "--config", chain.job, "--tee", "simulated"]
    outputs = ["--model-out", tmp_path / "model", "--out", tmp_path / "run"]
    done = lamslsa(*training, *outputs, "--collateral", tmp_path / "other")
    assert done.returncode == 3
    assert "reading" not in done.stderr
    assert not (tmp_path / "model").exists()
    for inside in (tmp_path / "run", tmp_path / "run" / "model"):
        assert lamslsa(*training, "--model-out", inside, "--out", tmp_path / "run").returncode == 2


def test_a_model_of_one_file_has_its_attestations_beside_it(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes((chain.model / "model.safetensors").read_bytes())
    done = lamslsa("verify", weights, "--policy", chain.policy)
    assert (done.returncode, "0 of 13 rules" in done.stdout) == (4, True)


def test_a_card_is_written_for_a_refused_model_too(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    hardware = chain.folder / "policy-hardware.yaml"
    done = lamslsa("card", chain.model, "--policy", hardware, "--html", tmp_path / "card.html")
    assert done.returncode == 5
    assert "Refused" in (tmp_path / "card.html").read_text(encoding="utf-8")


def test_names_cannot_steer_the_terminal(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    model = tmp_path / "census\x1b[2Jmlp\u202e"
    subprocess.run(["cp", "-r", chain.model, model], check=True)
    done = lamslsa("verify", model, "--policy", chain.policy)
    assert done.returncode == 0, "a folder's name is no part of a model"
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout

"""``lamslsa policy init`` over the chain of the demo: its policy accepts the model, and refuses the seven attacks."""

from __future__ import annotations

import fcntl
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_attacks import TITLES

Run = Any
Cli = Any
HARDWARE = "simulated where hardware is asked for"


def _words(chain: Any, out: Path) -> list[str]:
    roles = ("data-owner", "trainer", "auditor", "enclave-release")
    return [
        *("policy", "init", str(chain.model), "--platform", "simulated"),
        *(word for role in roles for word in ("--identity", f"{role}={chain.folder / role}.pub")),
        *("--root", str(chain.folder / "simulated-root.pem")),
        *("--reference-values", f"{chain.folder / 'enclave.sigstore.json'}@enclave-release", "--out", str(out)),
    ]


@pytest.fixture(scope="session")
def drafted(chain: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy, and one like it that asks for hardware as its comments say; written once by all workers."""
    from lamslsa._cli.main import main

    folder: Path = chain.folder.parent / "drafted"
    folder.mkdir(exist_ok=True)
    out = folder / "policy.yaml"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            assert main([*_words(chain, out), "--quiet"]) == 0
            text = out.read_text()
            hardware, simulated = re.subn(r"      simulated: true\n      roots: .*\n", "      tcb: [UpToDate]\n", text)
            assert simulated == 1
            (folder / "hardware.yaml").write_text(hardware)
    return folder


def test_the_policy_accepts_the_model(lamslsa: Run, chain: Any, drafted: Path) -> None:
    done = lamslsa("verify", chain.model, "--policy", drafted / "policy.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("title", TITLES)
def test_the_policy_refuses_the_attacks(lamslsa: Run, chain: Any, drafted: Path, tmp_path: Path, title: str) -> None:
    (attack,) = (item for item in chain.attacks() if item.title == title)
    victim = chain.victim(attack, tmp_path)
    policy = drafted / ("hardware.yaml" if title == HARDWARE else "policy.yaml")
    done = lamslsa("verify", victim, "--policy", policy, "--format", "json")
    assert done.returncode == attack.exit_code, done.stdout + done.stderr
    assert attack.reason in {
        rule["reason"] for rule in json.loads(done.stdout)["rules"] if rule["outcome"] == "refused"
    }


def test_the_policy_lints(cli: Cli, drafted: Path) -> None:
    code, _, err = cli("policy", "lint", drafted / "policy.yaml")
    assert code == 0, err


def test_it_says_what_each_number_is_from(chain: Any, drafted: Path) -> None:
    text = (drafted / "policy.yaml").read_text()
    assert "% interval" in text
    assert "# signed here: datasheet (2)" in text
    assert "# signs reference values, and so nothing else" in text
    assert len(re.findall(r"^  # .*attested.*statement sha256:.*\n  - name:", text, re.MULTILINE)) == text.count(
        "\n  - name:"
    )


def test_nothing_is_overwritten(cli: Cli, chain: Any, tmp_path: Path) -> None:
    out = tmp_path / "policy.yaml"
    out.write_text("mine")
    code, error, _ = cli(*_words(chain, out))
    assert (code, error["error"]["reason"]) == (3, "output-exists")
    assert out.read_text() == "mine"


def test_nothing_is_written_where_nothing_verifies(cli: Cli, chain: Any, tmp_path: Path) -> None:
    out = tmp_path / "policy.yaml"
    words = _words(chain, out)
    words[words.index(f"trainer={chain.folder / 'trainer'}.pub")] = f"trainer={tmp_path / 'other'}.pub"
    assert cli("keygen", tmp_path / "other")[0] == 0
    code, error, _ = cli(*words)
    assert (code, error["error"]["reason"]) == (4, "policy-init-nothing")
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--platform", "simulated", "--measurement", "ab" * 32],
        ["--platform", "sgx", "--root", "r.pem", "--measurement", "ab" * 32],
        ["--platform", "sgx", "--tcb", "UpToDate"],
        ["--platform", "sgx", "--reference-values", "no-name"],
        ["--platform", "snp", "--min-svn", "milan=3", "--reference-values", "f@a"],
        ["--platform", "sgx", "--identity", "a=b.pub", "--reference-values", "f@a"],
        ["--platform", "sgx", "--identity", "two words=b.pub", "--reference-values", "f@a"],
        ["--platform", "sgx", "--keyless", "a", "https://issuer", "me", "--reference-values", "f@a"],
    ],
)
def test_options_that_do_not_go_together(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    out = tmp_path / "policy.yaml"
    code, _, _ = cli("policy", "init", tmp_path, "--identity", "a=a.pub", *words, "--out", out)
    assert code == 2
    assert not out.exists()


def test_somebody_has_to_be_named(cli: Cli, tmp_path: Path) -> None:
    words = ["--platform", "simulated", "--root", "r.pem", "--measurement", "ab" * 32]
    assert cli("policy", "init", tmp_path, *words, "--out", tmp_path / "p.yaml")[0] == 2

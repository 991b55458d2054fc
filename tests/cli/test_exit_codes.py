"""Every class of error at the command line: its exit code, its reason, and what to do about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Run = Any


def test_0_accepted(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("verify", chain.model, "--policy", chain.policy)
    assert done.returncode == 0, done.stderr
    assert "ACCEPTED under census-income" in done.stdout
    assert "SIMULATED TEE: no hardware vouches for these values" in done.stdout


def test_2_usage_verify_without_policy(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("verify", chain.model)
    assert done.returncode == 2
    assert "Missing option '--policy'" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("no-such-command",),
        ("verify",),
        ("digest",),
        ("attest", "dataset"),
        ("keygen", "--no-such-option"),
        ("publish", "x"),
        ("verify", "m", "--policy", "p", "--at", "yesterday"),
        ("verify", "m", "--policy", "p", "--at", "2026-01-01T00:00:00"),
        ("verify", "m", "--policy", "p", "--at", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_2_usage(lamslsa: Run, words: tuple[str, ...]) -> None:
    assert lamslsa(*words).returncode == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "yaml-empty"),
        ("a: 1\na: 2\n", "yaml-duplicate-key"),
        ("apiVersion: [", "yaml-syntax"),
        ("apiVersion: &a x\nkind: *a\n", "yaml-anchor"),
    ],
)
def test_3_policy_that_cannot_be_read(chain: Any, lamslsa: Run, tmp_path: Path, text: str, reason: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(text, encoding="utf-8")
    done = lamslsa("verify", chain.model, "--policy", policy)
    assert done.returncode == 3
    assert f"error[{reason}]" in done.stderr
    assert done.stdout == ""


def test_3_unknown_key_with_line_column_and_the_nearest(chain: Any, lamslsa: Run) -> None:
    text = chain.policy.read_text(encoding="utf-8")
    policy = chain.folder / "policy-typo.yaml"
    policy.write_text(text.replace("training: {signedBy:", "training: {signedby:"), encoding="utf-8")
    done = lamslsa("verify", chain.model, "--policy", policy)
    assert done.returncode == 3
    line = 1 + text[: text.index("training: {")].count("\n")
    assert f"policy-typo.yaml:{line}:" in done.stderr
    assert "signedBy" in done.stderr


def test_3_missing_policy_and_missing_model(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    for model, policy, reason in (
        (chain.model, tmp_path / "none", "file-unreadable"),
        (tmp_path / "none", chain.policy, "artifact-missing"),
    ):
        done = lamslsa("verify", model, "--policy", policy)
        assert (done.returncode, f"error[{reason}]" in done.stderr) == (3, True), done.stderr


def test_4_no_attestation_at_all(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    done = lamslsa("verify", chain.model, "--policy", chain.policy, "--attestations", tmp_path)
    assert done.returncode == 4
    assert "REFUSED under census-income: 0 of" in done.stdout
    assert "refused: training [training-missing]" in done.stdout


def test_4_a_store_that_is_not_there_is_named(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    done = lamslsa("verify", chain.model, "--policy", chain.policy, "--attestations", tmp_path / "none")
    assert done.returncode == 4
    assert f"no attestations: {tmp_path / 'none'} does not exist" in done.stderr


def test_5_expired_policy(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("verify", chain.model, "--policy", chain.policy, "--at", "2099-07-01T00:00:00Z")
    assert done.returncode == 5
    assert "error[policy-expired]" in done.stderr


def test_5_looking_back_brings_no_policy_back_into_force(chain: Any, lamslsa: Run) -> None:
    text = chain.policy.read_text(encoding="utf-8")
    start = text.index("expires: ") + len("expires: ")
    policy = chain.folder / "policy-old.yaml"
    policy.write_text(text[:start] + "2020-01-01T00:00:00Z" + text[text.index("}", start) :], encoding="utf-8")
    done = lamslsa("verify", chain.model, "--policy", policy, "--at", "2019-12-31T00:00:00Z")
    assert (done.returncode, "error[policy-expired]" in done.stderr) == (5, True)


def test_looking_back_says_what_is_judged_now(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("verify", chain.model, "--policy", chain.policy, "--at", "2026-01-01T00:00:00Z")
    assert done.returncode in (0, 4)
    assert "revocation, advisories and age as of now" in done.stderr


def test_names_that_are_not_unicode_stop_nothing(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    model = tmp_path / "census-mlp"
    subprocess.run(["cp", "-r", chain.model, model], check=True)
    (model / ".attestations" / os.fsdecode(b"\xff.sigstore.json")).write_text("{}")
    for form in ("text", "json"):
        done = lamslsa("verify", model, "--policy", chain.policy, "--format", form, PYTHONIOENCODING="utf-8:strict")
        assert done.returncode == 0, done.stderr


def test_6_attest_without_tee_names_the_simulation(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    done = lamslsa(
        "attest", "dataset", chain.train, "--name", "census-train", "--config", chain.job, "--out", tmp_path / "run"
    )
    assert done.returncode == 6
    assert "error[tee-missing]" in done.stderr
    assert "--tee simulated" in done.stderr
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / ".local").exists(), "no simulated platform may be made without being asked for"


@pytest.mark.parametrize(("missing", "code"), [("duckdb", 6), ("lamslsa.attest", 1)])
def test_6_an_extra_is_missing_and_1_a_part_of_ours(chain: Any, tmp_path: Path, missing: str, code: int) -> None:
    words = ["attest", "dataset", str(chain.train), "--name", "census-train", "--config", str(chain.job)]
    words += ["--tee", "simulated", "--simulated-platform", str(chain.platform), "--out", str(tmp_path / "run")]
    script = (
        "import sys; from lamslsa._cli.main import main;"
        f"sys.modules[{missing!r}] = None;"  # how Python is told that there is no such module
        f"sys.exit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("error[extra-missing]" in done.stderr) == (code == 6)


def test_130_interrupt(chain: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "passphrase"
    os.mkfifo(pipe)
    words = ["publish", chain.runs / "evaluation", "--key", chain.folder / "auditor.key", "--to", tmp_path / "store"]
    command = [sys.executable, "-m", "lamslsa", *map(str, words), "--passphrase-file", str(pipe)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb"):  # opens once the other side reads: the command is waiting for its passphrase
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("verify", "/none", "--policy", "/none", "--format", "json"), 3, "FormatError"),
        (
            ("attest", "dataset", "/none", "--name", "x", "--config", "/none", "--out", "/none/x", "--format=json"),
            3,
            "FormatError",
        ),
    ],
)
def test_errors_as_json(lamslsa: Run, words: tuple[str, ...], code: int, kind: str) -> None:
    done = lamslsa(*words)
    document = json.loads(done.stdout)
    assert done.returncode == document["exitCode"] == code, document
    assert document["error"]["class"] == kind
    assert document["error"]["message"]


def test_verify_imports_nothing_heavy(chain: Any) -> None:
    code = (
        "import sys; from lamslsa._cli.main import main;"
        f"code = main(['verify', {str(chain.model)!r}, '--policy', {str(chain.policy)!r}, '--quiet']);"
        "heavy = {'torch', 'sigstore', 'duckdb', 'pandas', 'numpy', 'sklearn'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_141_nobody_reads_stdout(chain: Any) -> None:
    command = f"{sys.executable} -m lamslsa digest --manifest {chain.model} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr


def test_1_a_bug_is_a_traceback_and_no_verdict() -> None:
    code = (
        "import sys; from lamslsa._cli import main, verify;"
        "verify.command.callback = lambda **_: 1 / 0;"
        "sys.exit(main.main(['verify', 'm', '--policy', 'p']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr

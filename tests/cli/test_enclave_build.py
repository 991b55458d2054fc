"""``lamslsa enclave build | sign | run`` as a user meets them; the programs on PATH are doubles."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lamslsa.testing.table import JOB, ROWS
from tests.cli.conftest import Cli

Run = Any
DOUBLES = Path(__file__).resolve().parents[1] / "unit" / "enclave"
FAKE = DOUBLES / "fake_gramine.py"
INSTALL: Callable[..., Path] = runpy.run_path(str(DOUBLES / "installed.py"))["install"]
# An enclave that fails with what it was given, so that nothing needs to be measured here.
ECHO = (
    "import json; job = json.load(open('job/job.json')); "
    "error = {'class': 'FormatError', 'reason': 'echo', 'hint': job['nonce']}; "
    "error['message'] = job['kind'] + ' ' + job['tee']; "
    "open('out/error.json', 'w').write(json.dumps(error)); print('\\x1b[2Jworking'); raise SystemExit(3)"
)


@pytest.fixture
def gramine(tmp_path: Path) -> dict[str, str]:
    """Variables that put doubles of Gramine's programs on PATH."""
    folder = tmp_path / "gramine"
    (folder / "bin").mkdir(parents=True)
    (folder / "runtime").mkdir()
    (folder / "libsysdb.so").write_bytes(b"library OS")
    (folder / "runtime" / "libc.so.6").write_bytes(b"C library")
    for name in ("gramine-manifest", "gramine-sgx-sign", "gramine-direct", "gramine-sgx"):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$0" "$@"\n', encoding="ascii")
        script.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "FAKE_GRAMINE": str(folder), "FAKE_GRAMINE_RUN": ECHO}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text("1,2\n", encoding="ascii")
    (tmp_path / "people.yaml").write_text("config", encoding="ascii")
    path = tmp_path / "job.json"
    document = {"kind": "dataset", "config": "people.yaml", "inputs": {"dataset": "people.csv"}, "name": "people"}
    path.write_text(json.dumps(document), encoding="ascii")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Enough of a build for gramine-direct."""
    path = tmp_path / "build"
    path.mkdir()
    (path / "measure.manifest").write_text("", encoding="ascii")
    return path


def failed(done: subprocess.CompletedProcess[str], exit_code: int, reason: str) -> dict[str, Any]:
    assert done.returncode == exit_code, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["exitCode"] == exit_code
    assert document["error"]["reason"] == reason
    return document


@pytest.mark.slow
def test_build_and_sign(lamslsa: Run, gramine: dict[str, str], tmp_path: Path) -> None:
    private = rsa.generate_private_key(public_exponent=3, key_size=3072).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(private)
    build, packages = tmp_path / "build", INSTALL(tmp_path / "packages", others="none")
    words = ["enclave", "build", "measure", "--out", build, "--packages", packages, "--edmm", "--svn", "3"]
    done = lamslsa(*words, "--format", "json", **gramine)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["complete"] is True
    assert document["trustedFiles"] > 500
    done = lamslsa("enclave", "sign", build, "--key", tmp_path / "key.pem", "--format", "json", **gramine)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["build"], document["isvSvn"]) == ("measure", 3)
    assert Path(document["signature"]).stat().st_size == 1808
    assert b"edmm_enable = true" in Path(document["manifest"]).read_bytes()


def test_without_gramine(lamslsa: Run, tmp_path: Path, job: Path, folder: Path) -> None:
    words = ["enclave", "build", "measure", "--out", tmp_path / "new", "--format", "json"]
    failed(lamslsa(*words, PATH="/usr/bin:/bin"), 6, "enclave-program")
    assert not (tmp_path / "new").exists()
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path / "out"]
    document = failed(lamslsa(*words, "--format", "json", PATH="/usr/bin:/bin"), 6, "enclave-program")
    assert "enclave/README.md" in document["error"]["hint"]


def test_a_job_reaches_the_enclave_and_its_error_the_user(
    lamslsa: Run, gramine: dict[str, str], tmp_path: Path, job: Path, folder: Path
) -> None:
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path / "out"]
    done = lamslsa(*words, "--nonce", "00" * 16, "--format", "json", **gramine)
    document = failed(done, 3, "echo")
    assert document["error"]["message"] == "dataset simulated"
    assert document["error"]["hint"] == "AAAAAAAAAAAAAAAAAAAAAA=="
    assert "\\x1b[2Jworking" in done.stderr, "what the enclave says is escaped"
    quiet = lamslsa(*words, "--quiet", **gramine)
    assert "working" not in quiet.stderr
    assert not (tmp_path / "out").exists()


def test_memory_and_spool_reach_the_enclave(
    lamslsa: Run, gramine: dict[str, str], tmp_path: Path, job: Path, folder: Path
) -> None:
    script = (
        "import json, os, sys\n"
        "job = json.load(open('job/job.json'))\n"
        "said = f\"{job['memoryLimit']} {job['spool']} {os.path.realpath('out/spool')}\"\n"
        "error = {'class': 'FormatError', 'reason': 'echo', 'message': said, 'hint': None}\n"
        "json.dump(error, open('out/error.json', 'w')); sys.exit(3)\n"
    )
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path / "out"]
    words += ["--memory-limit", "512M", "--spool", tmp_path / "disk", "--format", "json"]
    failed(lamslsa(*words, **gramine), 6, "spool-disk")
    (tmp_path / "disk").mkdir()
    document = failed(lamslsa(*words, **gramine | {"FAKE_GRAMINE_RUN": script}), 3, "echo")
    assert document["error"]["message"] == f"{512 * 2**20} True {tmp_path / 'disk'}"


def test_the_plan_of_an_evaluation_reaches_the_enclave(
    cli: Cli, gramine: dict[str, str], tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import json, sys; error = {'class': 'FormatError', 'reason': 'echo', 'hint': None}\n"
        "error['message'] = json.load(open('job/job.json'))['plan']\n"
        "json.dump(error, open('out/error.json', 'w')); sys.exit(3)"
    )
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "people.yaml").write_text(JOB)
    (tmp_path / "model").mkdir()
    for name, value in (gramine | {"FAKE_GRAMINE_RUN": script, "HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    common = ["--config", tmp_path / "people.yaml", "--quiet"]
    code, planned, said = cli("plan", tmp_path / "people.csv", *common, "--out", tmp_path / "plan.json")
    assert code == 0, said
    words = ["attest", "evaluation", tmp_path / "model", "--dataset", f"train={tmp_path / 'people.csv'}", *common]
    words += ["--plan", tmp_path / "plan.json", "--enclave", folder, "--tee", "gramine-direct"]
    code, document, _ = cli(*words, "--out", tmp_path / "out")
    assert (code, document["error"]["reason"], document["error"]["message"]) == (3, "echo", planned["plan"])


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"kind": "other", "config": "people.yaml", "inputs": {}}',
        '{"kind": "dataset", "config": 1, "inputs": {}}',
        '{"kind": "dataset", "config": "people.yaml", "inputs": []}',
        '{"kind": "dataset", "config": "people.yaml", "inputs": {"dataset": 1}}',
        '{"kind": "dataset", "config": "people.yaml", "inputs": {"dataset": ""}}',
        '{"kind": "dataset", "config": "people.yaml", "inputs": {}, "name": 1}',
        '{"kind": "dataset", "config": "people.yaml", "inputs": {}, "arguments": "x"}',
        '{"kind": "dataset", "config": "people.yaml", "inputs": {}, "more": 1}',
        '{"kind": ["dataset"], "config": "people.yaml", "inputs": {}}',
    ],
)
def test_another_job_file_is_refused(
    lamslsa: Run, gramine: dict[str, str], tmp_path: Path, job: Path, folder: Path, text: str
) -> None:
    job.write_text(text, encoding="ascii")
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path / "out"]
    failed(lamslsa(*words, "--format", "json", **gramine), 3, "enclave-request")


@pytest.mark.parametrize(
    "more",
    [
        ["--model-out", "model"],
        ["--nonce", "00" * 16, "--beacon", "people.csv"],
        ["--nonce", "no hex"],
        ["--timeout", "0"],
    ],
)
def test_usage_of_run(lamslsa: Run, tmp_path: Path, job: Path, folder: Path, more: list[str]) -> None:
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path / "out"]
    assert lamslsa(*words, *more).returncode == 2


def test_a_training_needs_a_place_for_its_model(lamslsa: Run, tmp_path: Path, job: Path, folder: Path) -> None:
    job.write_text(
        '{"kind": "training", "config": "people.yaml", "inputs": {"dataset": "people.csv"}}', encoding="ascii"
    )
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path / "out"]
    assert lamslsa(*words).returncode == 2


@pytest.mark.parametrize("words", [["measure", "--code", "x"], ["train-own"], ["other"]])
def test_usage_of_build(lamslsa: Run, tmp_path: Path, words: list[str]) -> None:
    assert lamslsa("enclave", "build", *words, "--out", tmp_path / "new").returncode == 2


def test_outputs_are_refused_before_anything_runs(
    lamslsa: Run, gramine: dict[str, str], tmp_path: Path, job: Path, folder: Path
) -> None:
    words = ["enclave", "run", job, "--enclave", folder, "--tee", "gramine-direct", "--out", tmp_path]
    failed(lamslsa(*words, "--format", "json", **gramine), 3, "output-exists")


def test_a_key_that_is_not_there(lamslsa: Run, tmp_path: Path, folder: Path) -> None:
    done = lamslsa("enclave", "sign", folder, "--key", tmp_path / "none.pem", "--format", "json")
    failed(done, 3, "file-unreadable")

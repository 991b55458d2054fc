"""``lamslsa inspect`` and ``lamslsa evidence inspect``: what is verified is said, and what is not."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa import archive
from lamslsa._cli.inputs import read_trusted_root
from lamslsa.artifact import hash_artifact
from lamslsa.errors import FormatError
from tests.cli.conftest import Cli

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_bundle_with_and_without_the_key(chain: Any, lamslsa: Run) -> None:
    bundle = next(path for path in (chain.model / ".attestations").iterdir() if "01-evaluation" in path.name)
    without = lamslsa("inspect", bundle)
    assert without.returncode == 0, without.stderr
    assert "NOT verified  its signature: no key at hand (--key)" in without.stdout
    done = lamslsa("inspect", bundle, "--key", chain.folder / "auditor.pub", "--format", "json")
    document = json.loads(done.stdout)
    assert document["verified"] == [f"signed with {chain.folder / 'auditor.pub'}"]
    assert document["parts"][0]["facts"]["predicateType"] == "https://lamslsa.dev/evaluation/v1"
    wrong = lamslsa("inspect", bundle, "--key", chain.folder / "trainer.pub", "--format", "json")
    assert json.loads(wrong.stdout)["verified"] == []


def test_an_evidence_bundle_says_what_it_covers_and_that_it_is_simulated(chain: Any, lamslsa: Run) -> None:
    bundle = next(path for path in (chain.model / ".attestations").iterdir() if "tee-evidence" in path.name)
    done = lamslsa("inspect", bundle)
    assert "covers exactly these 1 statements" in done.stdout
    assert "no vendor's: SIMULATED" in done.stdout


def test_a_quote_with_and_without_its_endorsements(chain: Any, lamslsa: Run) -> None:
    run = chain.runs / "training"
    bare = json.loads(lamslsa("evidence", "inspect", run / "quote.bin", "--format", "json").stdout)
    assert bare["verified"] == []
    words = ("evidence", "inspect", run / "quote.bin", "--collateral", run / "collateral.json", "--format", "json")
    verified = json.loads(lamslsa(*words).stdout)
    assert len(verified["verified"]) == 2
    assert "SIMULATED" in verified["verified"][0]
    later = json.loads(lamslsa(*words, "--at", "2036-01-01T00:00:00Z").stdout)
    assert later["verified"] == []


def test_a_run_that_was_edited(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for path in (chain.runs / "evaluation").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert json.loads(lamslsa("inspect", copy, "--format", "json").stdout)["verified"] != []
    statement = copy / "01-evaluation.json"
    statement.write_bytes(statement.read_bytes().replace(b"0.8", b"0.9", 1))
    edited = json.loads(lamslsa("inspect", copy, "--format", "json").stdout)
    assert edited["verified"] == []
    assert edited["unverified"][0].startswith("NOT so")


def test_other_files(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"noise")
    assert lamslsa("inspect", tmp_path / "noise").returncode == 3
    assert lamslsa("evidence", "inspect", tmp_path / "absent").returncode == 3
    statement = chain.runs / "evaluation" / "01-evaluation.json"
    refused = lamslsa("evidence", "inspect", statement)
    assert refused.returncode == 3
    assert "lamslsa inspect takes statements" in refused.stderr


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """An archive of nothing that would verify."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_text("weights")
    at = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    data = archive.write(
        archive.Archive(
            now=at,
            at=at,
            model_name="census-mlp",
            manifest=hash_artifact(tmp_path / "model", "model"),
            bundles={"a.sigstore.json": b"{}", "b.sigstore.json": b"{}"},
            policy=b"no policy",
            policy_files={"auditor.pub": b"no key"},
            trusted_root=None,
            collateral=(),
        )
    )
    path = tmp_path / "audit.zip"
    path.write_bytes(data)
    return path


def test_an_audit_archive(cli: Cli, audit: Path, lamslsa: Run) -> None:
    code, document, _ = cli("inspect", audit)
    assert (code, document["kind"], document["verified"]) == (0, "audit archive", [])
    facts = document["facts"]
    assert facts["model"] == "census-mlp"
    assert facts["modelDigest"] == f"sha256:{hash_artifact(audit.parent / 'model', 'model').sha256}"
    assert facts["policyDigest"] == f"sha256:{hashlib.sha256(b'no policy').hexdigest()}"
    assert (facts["bundles"], facts["policyFiles"], facts["collateral"], facts["trustedRoot"]) == (2, 1, 0, None)
    assert "NOT verified  anything in it" in lamslsa("inspect", audit).stdout


def test_an_audit_archive_may_be_large(cli: Cli, audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = archive.read(audit.read_bytes())
    nine = bytes(9 * 1024 * 1024)
    large = {"a.sigstore.json": nine, "b.sigstore.json": nine}
    audit.write_bytes(archive.write(dataclasses.replace(opened, bundles=large)))
    assert cli("inspect", audit)[0] == 0, "other files may have 16 MiB"
    monkeypatch.setattr("lamslsa.archive.MAX_ARCHIVE_BYTES", 10)
    code, document, _ = cli("inspect", audit)
    assert (code, document["error"]["reason"]) == (3, "input-size")


def test_an_audit_archive_that_was_cut_off(cli: Cli, audit: Path) -> None:
    audit.write_bytes(audit.read_bytes()[:-1])
    code, document, _ = cli("inspect", audit)
    assert (code, document["error"]["class"]) == (3, "FormatError")


def test_a_trusted_root_has_its_own_limit(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    path.write_bytes(b"x" * 1024 * 1024)
    assert len(read_trusted_root(path)) == 1024 * 1024
    path.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(FormatError) as caught:
        read_trusted_root(path)
    assert caught.value.reason == "input-size"

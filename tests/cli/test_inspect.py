"""``lamslsa inspect`` and ``lamslsa evidence inspect``: what is verified is said, and what is not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

"""``lamslsa graph`` over the demo's chain: four forms, with and without a policy."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
Run = Any


def _normalise(text: str) -> str:
    text = re.sub(r"[0-9a-f]{12,64}", "<hex>", text)
    text = re.sub(r"key [A-Za-z0-9+/]{43}=", "key <key id>", text)
    return re.sub(r"─+", "─", re.sub(r"  +", "  ", text))


@pytest.mark.parametrize("form", ["tree", "dot", "mermaid"])
def test_golden(chain: Any, lamslsa: Run, form: str, request: pytest.FixtureRequest) -> None:
    done = lamslsa("graph", chain.model, "--policy", chain.policy, "--as", form)
    assert done.returncode == 0, done.stderr
    text = _normalise(done.stdout)
    golden = GOLDEN / f"graph-{form}.txt"
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_without_a_policy_nothing_is_verified(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("graph", chain.model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("claimed, not verified") == 4
    assert "SIMULATED" not in done.stdout, "which is not known before a quote is verified"
    assert "NOT VERIFIED: this is what the bundles say of themselves" in done.stdout
    assert {"qualifying", "authentic"} & set(done.stdout.split()) == set()


def test_json_by_either_word(chain: Any, lamslsa: Run) -> None:
    by_format = lamslsa("graph", chain.model, "--policy", chain.policy, "--format", "json")
    by_form = lamslsa("graph", chain.model, "--policy", chain.policy, "--as", "json")
    assert by_format.stdout == by_form.stdout
    found = json.loads(by_format.stdout)
    assert [item["standing"] for item in found["attestations"]] == ["qualifying"] * 4
    assert found["policy"]["accepted"] is True
    assert found["simulated"] is True
    assert {edge["relation"] for edge in found["edges"]} == {"trained-on", "evaluated-on", "overlaps-with"}


def test_a_refused_model_is_drawn_and_what_is_not_authentic_is_marked(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    """Under a policy whose auditor is somebody else the evaluation is nobody's; the exit code is that of verify."""
    for path in chain.folder.iterdir():
        if path.suffix in {".pub", ".pem"} or path.name == "enclave.sigstore.json":
            shutil.copy(path, tmp_path)
    assert lamslsa("keygen", tmp_path / "stranger").returncode == 0
    (tmp_path / "stranger.pub").replace(tmp_path / "auditor.pub")
    shutil.copy(chain.policy, tmp_path / "policy.yaml")
    words = (chain.model, "--policy", tmp_path / "policy.yaml")
    done = lamslsa("graph", *words)
    assert done.returncode == lamslsa("verify", *words).returncode == 4
    assert "REFUSED (exit code 4)" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if "evaluation tabular-evaluation/1" in line)
    assert re.search(r"key \S+ \(no trusted time\)  sgx, not verified  NOT authentic \[signature-key\]$", line)
    assert "qualifying" in done.stdout


def test_limits(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("graph", chain.model, "--depth", "0", "--limit", "1")
    assert done.returncode == 0, done.stderr
    assert "training tabular-mlp/1" in done.stdout
    assert "… 1 more: 1 claimed, not verified" in done.stdout
    assert "not shown: 3 attestations, 2 artifacts" in done.stdout


def test_attestations_from_elsewhere(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    done = lamslsa("graph", chain.model, "--attestations", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("claimed") == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--as", "dot", "--format", "json"),
        ("--as", "svg"),
        ("--depth", "101"),
        ("--limit", "0"),
        ("--at", "2026-01-01T00:00:00Z"),
        ("--collateral", "x.json"),
        ("--challenge", "x.json"),
        ("--trusted-root", "x.json"),
        ("--tuf-url", "https://tuf.example"),
        ("--as-exported",),
    ],
)
def test_2_usage(chain: Any, lamslsa: Run, words: tuple[str, ...]) -> None:
    done = lamslsa("graph", chain.model, *words)
    assert done.returncode == 2, done.stdout
    assert json.loads(done.stdout)["exitCode"] == 2 if "json" in words else done.stdout == ""


def test_an_archive_brings_its_policy(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    audit = tmp_path / "audit.zip"
    done = lamslsa("export", chain.model, "--policy", chain.policy, "--to", audit)
    assert done.returncode == 0, done.stderr
    drawn = lamslsa("graph", audit)
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.count("  qualifying") == 4
    assert "warning: policy, keys and roots are those of the archive, chosen by whoever made it" in drawn.stdout

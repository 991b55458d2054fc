"""``verify --explain RULE``: ten refusals against golden files, JSON, and what is told of what a rule did not weigh.

`pytest tests/cli/test_explain.py --update-golden` writes the files anew: read the difference before it is committed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden" / "explain"
Run = Any
Cli = Any


@dataclass(frozen=True)
class Refusal:
    """A refusal of the demo's model.

    Attributes:
        rule: what is asked about.
        edits: of the policy's text, as regular expressions.
        spoil: what happens to the copy of the model.
    """

    rule: str
    exit_code: int
    edits: tuple[tuple[str, str], ...] = ()
    spoil: Callable[[Path], object] = lambda model: model


def _flip(model: Path) -> None:
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def _without_quotes(model: Path) -> None:
    for path in (model / ".attestations").glob("tee-evidence-*"):
        path.unlink()


_ACCURATE = r"(- name: accurate\n(?:    .*\n)*?)"
_OTHER = "sha256:" + "0" * 64
REFUSALS = {
    "wrong-signer": Refusal("accurate", 5, ((_ACCURATE + r"    signedBy: auditor", r"\1    signedBy: trainer"),)),
    "simulated-platform": Refusal("accurate", 5, ((r"platform: rehearsal", "platform: production"),)),
    "other-dataset": Refusal("accurate", 4, ((r"(name: census-test, digest: )sha256:[0-9a-f]{64}", rf"\1{_OTHER}"),)),
    "threshold-missed": Refusal("accurate", 5, ((r"min: 0\.84", "min: 0.99"),)),
    "samples-too-few": Refusal("accurate", 5, ((r"samples: \{min: 10000\}", "samples: {min: 20000}"),)),
    "schema-other": Refusal(
        "ingredient: census-train",
        5,
        ((r"(    - name: census-train\n)", rf"\1      schema: {_OTHER}\n"),),
    ),
    "unlisted-ingredient": Refusal(
        "lineage",
        5,
        (
            (r"(    - name: )census-train(\n      digest: )sha256:[0-9a-f]{64}", rf"\1census-others\2{_OTHER}"),
            (r"  - name: no leakage\n(?:    .*\n?)*", ""),
        ),
    ),
    "overlap-columns": Refusal(
        "no leakage", 5, ((r"    overlap: census-train\n", "    overlap: census-train\n    columns: [age]\n"),)
    ),
    "evidence-missing": Refusal("training", 4, spoil=_without_quotes),
    "model-other": Refusal("accurate", 4, spoil=_flip),
}


@pytest.fixture
def refused(chain: Any, tmp_path: Path) -> Callable[[Refusal], tuple[Path, Path]]:
    """The policy and the model of a refusal, in a folder of their own."""

    def make(refusal: Refusal) -> tuple[Path, Path]:
        for path in chain.folder.iterdir():
            if path.suffix in {".pub", ".pem"} or path.name == "enclave.sigstore.json":
                shutil.copy(path, tmp_path)
        text = chain.policy.read_text(encoding="utf-8")
        for pattern, new in refusal.edits:
            text, count = re.subn(pattern, new, text)
            assert count, f"{pattern} is not in the demo's policy"
        policy = tmp_path / "policy.yaml"
        policy.write_text(text, encoding="utf-8")
        model = tmp_path / "census-mlp"
        shutil.copytree(chain.model, model)
        refusal.spoil(model)
        return policy, model

    return make


def _normalise(text: str, folder: Path) -> str:
    """Digests, paths and measured numbers differ from run to run; words, rules and reasons do not."""
    text = text.replace(str(folder), "<demo>")
    text = re.sub(r"[0-9a-f]{12,64}", "<hex>", text)
    text = re.sub(r"[A-Za-z0-9+/]{43}=", "<key id>", text)
    return re.sub(r"\d+\.\d+", "<n>", text)


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_explained(
    name: str,
    refused: Callable[[Refusal], tuple[Path, Path]],
    lamslsa: Run,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    refusal = REFUSALS[name]
    policy, model = refused(refusal)
    done = lamslsa("verify", model, "--policy", policy, "--explain", refusal.rule)
    assert done.returncode == refusal.exit_code, done.stdout + done.stderr
    text = _normalise(done.stdout, tmp_path)
    golden = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_the_ten_end_for_ten_reasons() -> None:
    reasons = {
        name: re.findall(r"^rule .*: refused \[([a-z-]+)\]$", (GOLDEN / f"{name}.txt").read_text(), re.MULTILINE)
        for name in REFUSALS
    }
    assert reasons == {
        "wrong-signer": ["signer-other"],
        "simulated-platform": ["platform-simulated"],
        "other-dataset": ["datasheet-missing"],
        "threshold-missed": ["threshold-missed"],
        "samples-too-few": ["samples-too-few"],
        "schema-other": ["schema-other"],
        "unlisted-ingredient": ["ingredient-not-listed"],
        "overlap-columns": ["overlap-columns"],
        "evidence-missing": ["evidence-missing"],
        "model-other": ["model-other"],
    }


def test_json_has_every_candidate_and_what_it_lacks(refused: Callable[[Refusal], tuple[Path, Path]], cli: Cli) -> None:
    policy, model = refused(REFUSALS["threshold-missed"])
    code, told, _ = cli("verify", model, "--policy", policy, "--explain", "accurate", "--explain", "training")
    assert (code, told["kind"], told["exitCode"], told["accepted"]) == (5, "Explanation", 5, False)
    accurate, training = told["rules"]
    (item,) = accurate["considered"]
    assert (accurate["outcome"], accurate["reason"], item["counted"]) == ("refused", "threshold-missed", False)
    assert [lack["reason"] for lack in item["lacks"]] == ["threshold-missed"]
    assert (item["kind"], item["tee"], item["platform"]) == ("evaluation", "sgx, SIMULATED", "rehearsal")
    assert item["signatures"] == [{"identity": "auditor", "trustedTimes": []}]
    assert accurate["others"] == {"datasheet": 2, "training of this model": 1}
    assert [(item["counted"], item["lacks"]) for item in training["considered"]] == [(True, [])]


def test_what_is_not_authentic_is_told(refused: Callable[[Refusal], tuple[Path, Path]], cli: Cli, lamslsa: Run) -> None:
    policy, model = refused(Refusal("accurate", 0))
    (model / ".attestations" / "zz.sigstore.json").write_text("{}")
    done = lamslsa("verify", model, "--policy", policy, "--explain", "accurate")
    assert "1 not authentic, and so considered by no rule:\n" in done.stdout
    assert "zz.sigstore.json [" in done.stdout
    assert done.stdout.index("COUNTED") < done.stdout.index("zz.sigstore.json")
    code, told, _ = cli("verify", model, "--policy", policy, "--explain", "accurate")
    assert code == 0
    assert [Path(item["source"]).name for item in told["setAside"]] == ["zz.sigstore.json"]


def test_an_unknown_rule_lists_those_there_are_the_nearest_first(chain: Any, lamslsa: Run) -> None:
    done = lamslsa("verify", chain.model, "--policy", chain.policy, "--explain", "acurate")
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected a rule to explain, got 'acurate'; the nearest first: accurate, " in done.stderr
    for name in ("training", "lineage", "ingredient: census-train", "no leakage"):
        assert name in done.stderr


def test_an_unknown_rule_leaves_no_output_behind(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    out = tmp_path / "verify.json"
    done = lamslsa("verify", chain.model, "--policy", chain.policy, "--explain", "x", "--output", f"json={out}")
    assert done.returncode == 2
    assert not out.exists()


def test_outputs_are_written_beside_an_explanation(chain: Any, lamslsa: Run, tmp_path: Path) -> None:
    out = tmp_path / "verify.json"
    words = ("verify", chain.model, "--policy", chain.policy, "--explain", "accurate")
    done = lamslsa(*words, "--output", f"json={out}")
    assert (done.returncode, "rule accurate: satisfied" in done.stdout) == (0, True)
    assert '"kind": "Appraisal"' in out.read_text()
    assert lamslsa(*words, "--output", "json=-").returncode == 2

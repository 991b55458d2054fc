"""``lamslsa policy lint``: findings, exit codes, and the policies of this repository."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lamslsa._cli.main import main
from lamslsa.sign import KeySigner, generate
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
BASE = ROOT / "tests" / "vectors" / "policy" / "base" / "policy.yaml"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the base policy with its files, to be changed."""
    for file in BASE.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "policy.yaml"


def test_findings(cli: Cli) -> None:
    code, document, err = cli("policy", "lint", BASE)
    assert (code, document["exitCode"], document["reason"], err) == (0, 0, None, "")
    (policy,) = document["policies"]
    assert policy["sha256"] != policy["closure"]
    assert policy["files"] == ["auditor.pub", "data-owner.pub", "simulated-root.pem", "trainer.pub"]
    found = {finding["rule"]: finding for finding in policy["findings"]}
    assert (found["platform-simulated"]["line"], found["platform-simulated"]["column"]) == (11, 40)
    assert found["platform-simulated"]["where"] == "trust.platforms.rehearsal.simulated"


def test_warnings_fail_where_they_should(cli: Cli) -> None:
    code, document, _ = cli("policy", "lint", BASE, "--strict")
    assert (code, document["exitCode"], document["reason"]) == (5, 5, "policy-lint")


def test_an_error_fails(cli: Cli, changed: Path) -> None:
    changed.write_text(changed.read_text().replace("min: 0.84", "min: 84"))
    code, document, _ = cli("policy", "lint", changed)
    assert (code, document["reason"]) == (5, "policy-lint")


def test_notes_do_not_fail(cli: Cli, changed: Path) -> None:
    """A policy with nothing but notes passes under --strict."""
    text = changed.read_text()
    for old, new in {
        ".pub}": ".pub, validUntil: 2027-01-01T00:00:00Z}",
        "platform: rehearsal": "platform: production",
        "    max: 0.20\n": "    max: 0.20\n    samples: {min: 100}\n    maxAge: 90d\n",
        "    min: 0.80\n    use: value\n": "    min: 0.80\n    use: lowerBound\n    samples: {min: 100}\n",
    }.items():
        text = text.replace(old, new)
    lines = [line for line in text.splitlines() if not line.startswith("    rehearsal:")]
    changed.write_text("\n".join(lines))
    code, document, _ = cli("policy", "lint", changed, "--strict")
    assert {finding["severity"] for finding in document["policies"][0]["findings"]} == {"info"}
    assert code == 0


def test_what_cannot_be_read(cli: Cli, changed: Path) -> None:
    changed.write_text(changed.read_text().replace("metric: accuracy", "metrik: accuracy", 1))
    code, document, _ = cli("policy", "lint", changed)
    assert (code, document["error"]["reason"]) == (3, "policy-rule")
    assert "policy.yaml:21:5" in document["error"]["message"]
    assert document["error"]["hint"] == "did you mean 'metric' where 'metrik' stands?"
    code, document, err = cli("policy", "lint", BASE, changed, "--strict")
    assert (code, document["exitCode"]) == (3, 3)
    assert "findings" in document["policies"][0]
    assert document["policies"][1]["error"]["reason"] == "policy-rule"
    assert "error[policy-rule]" in err


def test_a_typo_in_an_expression_is_pointed_at(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expression = "attestations.exists(a, a.evaluation.metrcs.size() > 0)"
    rule = f"  - {{name: c, cel: '{expression}', signedBy: auditor, platform: rehearsal}}\n"
    changed.write_text(changed.read_text() + rule)
    assert main(["policy", "lint", str(changed)]) == 3
    _, *hint = capsys.readouterr().err.splitlines()
    assert hint == ["  hint: metrics comes nearest", f"        {expression}", f"        {'^':>36}"]


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "lint", str(BASE)]) == 0
    out = capsys.readouterr().out
    assert "  11:40  warning  platform-simulated\n" in out
    assert "      → name a platform of hardware in the rules" in out
    assert out.endswith("  9 warnings, 6 notes\n")


def test_the_policy_of_the_demo(cli: Cli, tmp_path: Path) -> None:
    """With something filled in: no errors."""
    place = _filled_in(ROOT / "policies" / "census-income" / "policy.yaml.in", tmp_path)
    code, document, err = cli("policy", "lint", place)
    assert (code, err) == (0, ""), json.dumps(document)


def test_a_policy_that_says_everything(cli: Cli, tmp_path: Path) -> None:
    for file in BASE.parent.iterdir():
        (tmp_path / file.name.replace("policy.yaml", "base.yaml")).write_bytes(file.read_bytes())
    (tmp_path / "policy.yaml").write_bytes((ROOT / "tests" / "cli" / "policies" / "rich.yaml").read_bytes())
    code, document, _ = cli("policy", "lint", tmp_path / "policy.yaml")
    assert code == 0
    denied = [item["where"] for item in document["policies"][0]["findings"] if item["rule"] == "deny-contradicts"]
    assert denied == ["ingredients.models[0]", "ingredients.code[0]"]


def _filled_in(template: Path, folder: Path) -> Path:
    values = {
        "@EXPIRES@": "2999-01-01T00:00:00Z",
        "@TRAIN@": f"sha256:{'1' * 64}",
        "@TEST@": f"sha256:{'2' * 64}",
        "@PLATFORM@": "rehearsal",
        "referenceValues: {file: enclave.sigstore.json, signedBy: enclave-release}": "unsafeAnyMeasurement: true",
    }
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    text = re.sub(r"@[A-Z]+@", f"sha256:{'3' * 64}", text)
    for file in BASE.parent.glob("*.p*"):
        (folder / file.name).write_bytes(file.read_bytes())
    for name in re.findall(r"key: ([a-z-]+\.pub)", text):
        if not (folder / name).exists():
            (folder / name).write_bytes(KeySigner.load(generate(None), None).public_pem)
    place = folder / "policy.yaml"
    place.write_text(text)
    return place

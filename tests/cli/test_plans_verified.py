"""A plan from before the evaluation to the verdict: signed and dated, named, kept beside the model, asked for."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.main import main
from lamslsa.artifact import hash_artifact
from lamslsa.sign import KeySigner, generate
from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore
from lamslsa.testing.registry import Registry
from lamslsa.testing.sigstore import LocalSigstore
from lamslsa.testing.table import JOB, ROWS
from tests.cli.conftest import Cli

__all__ = ["faulty_sigstore", "local_sigstore"]

NOW = dt.datetime.now(dt.UTC)
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
# trained on some rows, evaluated on others
PLANNED = JOB.replace(
    "overlap: []}\n", "overlap: []}\n  test: {schema: people, skipLines: 0, groups: [], overlap: []}\n"
).replace(
    "evaluation: {measurer: tabular-evaluation/1, dataset: train",
    "evaluation: {measurer: tabular-evaluation/1, dataset: test",
)
OTHER = PLANNED.replace("threshold: 0.5", "threshold: 0.4")
PLAN_TYPE = "https://lamslsa.dev/evaluation-plan/v1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """A model with its bundles but for the plan's, and the plan signed twice: before the evaluation, and after it."""

    folder: Path
    model: Path
    plan: str

    @property
    def early(self) -> Path:
        return self.folder / "early.sigstore.json"

    @property
    def late(self) -> Path:
        return self.folder / "late.sigstore.json"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.yaml"

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.model, folder / "people-mlp"))

    def verify(self, cli: Cli, model: str | Path, *words: str | Path) -> tuple[int, Any, str]:
        return cli("verify", model, "--policy", self.policy, *words)


def policy(folder: Path) -> str:
    def digest(name: str) -> str:
        return f"sha256:{hash_artifact(folder / f'{name}.csv', 'dataset').sha256}"

    return f"""
apiVersion: lamslsa.dev/policy/v1
kind: IngredientsPolicy
metadata: {{name: planned}}
trust:
  trustedRoot: trusted-root.json
  identities:
    owner: {{key: owner.pub}}
    auditor: {{key: auditor.pub, validFrom: {NOW - 24 * HOUR:%Y-%m-%dT%H:%M:%SZ}}}
  platforms: {{rehearsal: {{tee: [sgx], simulated: true, roots: [root.pem], unsafeAnyMeasurement: true}}}}
ingredients:
  datasets: [{{name: train, digest: "{digest("train")}", datasheet: {{signedBy: owner, platform: rehearsal}}}}]
training: {{signedBy: owner, platform: rehearsal}}
require:
  - name: planned
    metric: accuracy
    dataset: {{name: test, digest: "{digest("test")}", datasheet: {{signedBy: owner, platform: rehearsal}}}}
    measurer: tabular-evaluation/1
    configuration: sha256:CONFIGURATION
    min: 0
    use: value
    signedBy: auditor
    platform: rehearsal
    plan: {{signedBy: auditor}}
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, local_sigstore: LocalSigstore) -> Iterator[Chain]:
    """Planned an hour ago, evaluated and signed two minutes ago, planned once more now."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "train.csv").write_text(ROWS)
    (folder / "test.csv").write_text("".join(ROWS.splitlines(keepends=True)[:40]))
    (folder / "job.yaml").write_text(PLANNED)
    (folder / "trust.json").write_text(local_sigstore.trust_config_json(1))
    (folder / "trusted-root.json").write_text(local_sigstore.trusted_root_json())
    for role in ("owner", "auditor"):
        key = generate(None)
        (folder / f"{role}.key").write_bytes(key)
        (folder / f"{role}.key").chmod(0o600)
        (folder / f"{role}.pub").write_bytes(KeySigner.load(key, None).public_pem)

    def run(*words: str | Path) -> None:
        assert main([*map(str, words), "--quiet"]) == 0, words

    model, runs = folder / "people-mlp", folder / "runs"
    train, test = folder / "train.csv", folder / "test.csv"
    job = ("--config", folder / "job.yaml")
    signed = ("--key", folder / "auditor.key", "--require-timestamp", "--trust-config", folder / "trust.json")
    measured = (*job, "--tee", "simulated", "--out")
    to = ("--to", model / ".attestations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(folder / "platform"))
        try:
            run("plan", test, *job, *signed, "--out", folder / "late.sigstore.json")
            local_sigstore.tsa.clock.offset = -HOUR
            run("plan", test, *job, *signed, "--out", folder / "early.sigstore.json")
            run("enclave", "measurement", "--tee", "simulated", "--root", folder / "root.pem")
            run("attest", "dataset", train, "--name", "train", *measured, runs / "train")
            run("attest", "dataset", test, "--name", "test", *measured, runs / "test")
            run("attest", "training", "--dataset", f"train={train}", "--model-out", model, *measured, runs / "training")
            made = ("attest", "evaluation", model, "--dataset", f"test={test}", *measured, runs / "evaluation")
            run(*made, "--plan", folder / "early.sigstore.json")
            run("publish", runs / "train", runs / "test", runs / "training", "--key", folder / "owner.key", *to)
            local_sigstore.tsa.clock.offset = -2 * MINUTE
            run("publish", runs / "evaluation", *signed, *to)
        finally:
            local_sigstore.reset()
        evaluation = json.loads((runs / "evaluation" / "01-evaluation.json").read_bytes())["predicate"]
        configuration = evaluation["configurationDigest"]["sha256"]
        (folder / "policy.yaml").write_text(policy(folder).replace("CONFIGURATION", configuration))
        yield Chain(folder=folder, model=model, plan=evaluation["plan"]["digest"]["sha256"])


def reason(document: Any) -> tuple[str, str]:
    (rule,) = (rule for rule in document["rules"] if rule["name"] == "planned")
    return rule["outcome"], rule["reason"]


def test_as_planned(cli: Cli, chain: Chain, tmp_path: Path) -> None:
    model = chain.copy(tmp_path)
    code, document, _ = chain.verify(cli, model)
    assert (code, reason(document)) == (4, ("refused", "plan-missing")), "the plan is not beside the model"

    code, document, _ = cli("attach", model, chain.early)
    assert (code, len(document["copied"])) == (0, 1)
    code, document, _ = chain.verify(cli, model, "--output", f"vsa={tmp_path / 'vsa.json'}")
    assert (code, document["accepted"]) == (0, True), document["rules"]
    summary = json.loads((tmp_path / "vsa.json").read_bytes())["predicate"]
    assert {"digest": {"sha256": chain.plan}} in summary["inputAttestations"], "the verdict rests on it"
    code, _, _ = cli("card", model, "--policy", chain.policy, "--markdown", tmp_path / "card.md")
    assert code == 0
    card = (tmp_path / "card.md").read_text()
    assert re.search(rf"as planned on \d{{4}}-\d\d-\d\d, plan sha256:{chain.plan}", card)


def test_planned_after_the_evaluation(cli: Cli, chain: Chain, tmp_path: Path) -> None:
    model = chain.copy(tmp_path)
    assert cli("attach", model, chain.late)[0] == 0
    code, document, _ = chain.verify(cli, model)
    assert (code, reason(document)) == (5, ("refused", "plan-late"))
    assert cli("attach", model, chain.early)[0] == 0
    assert chain.verify(cli, model)[0] == 0, "the same plan was known before, too"


def test_a_signature_that_nothing_dates(cli: Cli, chain: Chain, tmp_path: Path) -> None:
    words = ("plan", chain.folder / "test.csv", "--config", chain.folder / "job.yaml", "--out", tmp_path / "p.json")
    code, document, _ = cli(*words, "--key", chain.folder / "auditor.key")
    assert (code, document["plan"]) == (0, chain.plan)
    (tmp_path / "p.json").rename(tmp_path / "plan.sigstore.json")
    model = chain.copy(tmp_path)
    assert cli("attach", model, tmp_path / "plan.sigstore.json")[0] == 0
    code, document, _ = chain.verify(cli, model)
    assert (code, reason(document)) == (5, ("refused", "signer-undated"))


def test_another_configuration_than_planned(
    cli: Cli, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(chain.folder / "platform"))
    (tmp_path / "job.yaml").write_text(OTHER)
    data = f"test={chain.folder / 'test.csv'}"
    words = ("attest", "evaluation", chain.model, "--dataset", data, "--config", tmp_path / "job.yaml")
    code, document, _ = cli(*words, "--tee", "simulated", "--plan", chain.early, "--out", tmp_path / "run")
    assert (code, document["error"]["reason"]) == (3, "plan-job")
    assert not (tmp_path / "run").exists()


def test_a_plan_goes_wherever_the_model_goes(cli: Cli, chain: Chain, tmp_path: Path) -> None:
    model = chain.copy(tmp_path)
    assert cli("attach", model, chain.early)[0] == 0
    layout, pulled = f"oci-layout:{tmp_path / 'layout'}:v1", tmp_path / "pulled"
    with Registry(tmp_path / "registry") as registry:
        target = f"oci://{registry.host}/acme/people-mlp:v1"
        code, document, _ = cli("push", model, target, "--plain-http")
        assert (code, document["attestations"]["failed"]) == (0, [])
        code, document, _ = chain.verify(cli, document["reference"], "--plain-http")
        assert (code, document["accepted"]) == (0, True)
        assert cli("copy", target, layout, "--plain-http")[0] == 0
        assert cli("pull", layout, pulled)[0] == 0
        for place in (target, layout, pulled):
            code, document, _ = cli("list", place, "--plain-http")
            (listed,) = (item for item in document["bundles"] if item["predicateType"] == PLAN_TYPE)
            assert (code, listed["subject"]["name"]) == (0, "test")
    assert chain.verify(cli, pulled)[0] == 0
    assert cli("export", pulled, "--policy", chain.policy, "--to", tmp_path / "audit.zip")[0] == 0
    assert chain.verify(cli, tmp_path / "audit.zip")[0] == 0
    archived = cli("export", chain.copy(tmp_path / "bare"), "--policy", chain.policy, "--to", tmp_path / "bare.zip")
    assert archived[0] == 4, "without the plan"


def test_what_is_said_of_a_plan(cli: Cli, chain: Chain) -> None:
    code, document, _ = cli("inspect", chain.early)
    assert (code, chain.plan in json.dumps(document)) == (0, True)
    assert "plan of an evaluation" in json.dumps(document)
    code, document, _ = cli("inspect", chain.folder / "runs" / "evaluation" / "01-evaluation.json")
    assert code == 0
    assert any(f"carries out plan sha256:{chain.plan}" in words for words in document["unverified"])

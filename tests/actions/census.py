"""The Census model, attested by a workflow of GitHub, and the policy that asks for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lamslsa.testing.sigstore import LocalSigstore, github_claims
from tests.actions import composite

REPOSITORY, WORKFLOW, REF = "acme/census", ".github/workflows/train.yml", "refs/heads/main"


class Census:
    """The Census model, attested by a workflow where the demo's auditor signs with a key.

    Attributes:
        model: without the auditor's attestations but for those of the workflow.
        policy: the demo's, with that workflow in the auditor's place.
        attested: what the action left.
    """

    def __init__(self, chain: Any, sigstore: LocalSigstore, folder: Path) -> None:
        self.chain, self.sigstore, self.folder = chain, sigstore, folder
        self.model, self.policy = folder / "census-mlp", folder / "policy.yaml"
        self.trust = folder / "trust-config.json"
        self.without_evaluation(self.model)
        for path in (
            *chain.folder.glob("*.pub"),
            *chain.folder.glob("*.sigstore.json"),
            chain.folder / "simulated-root.pem",
        ):
            shutil.copy(path, folder)
        (folder / "trusted-root.json").write_text(sigstore.trusted_root_json(), encoding="utf-8")
        self.trust.write_text(sigstore.trust_config_json(rekor=2), encoding="utf-8")
        terms = {"issuer": sigstore.issuer, "repository": REPOSITORY, "workflow": WORKFLOW, "ref": REF}
        text = chain.policy.read_text(encoding="utf-8")
        asked = f"auditor: {{keyless: {json.dumps(terms)}, requireTimestamp: true, requireLog: true}}"
        text = text.replace("auditor: {key: auditor.pub}", asked, 1)
        text = text.replace("trust:\n", "trust:\n  trustedRoot: trusted-root.json\n", 1)
        self.policy.write_text(text, encoding="utf-8")
        self.attested = self.attest({}, "attest")

    def without_evaluation(self, folder: Path) -> Path:
        """A copy of the demo's model in ``folder``, without what the auditor says of it."""
        shutil.copytree(self.chain.model, folder)
        self.chain._without_evaluation(folder)
        return folder

    def job(self, ref: str = REF) -> dict[str, str]:
        """The environment of a job with ``id-token: write``."""
        return self.sigstore.oidc.job(github_claims(REPOSITORY, workflow=WORKFLOW, ref=ref))

    def attest(self, inputs: dict[str, str], place: str, **machine: str) -> composite.Done:
        """Run the action ``attest`` on the evaluation."""
        asked = {
            "stage": "evaluation",
            "subject": str(self.model),
            "job": str(self.chain.job),
            "datasets": f"{self.chain.test}\n",
            "tee": "simulated",
            "simulated-platform": str(self.chain.platform),
            "to": str(self.model / ".attestations"),
            "trust-config": str(self.trust),
        }
        return composite.run("attest", asked | inputs, self.folder / place, **self.job() | machine)

    def verify(self, inputs: dict[str, str], place: Path) -> composite.Done:
        """Run the action ``verify`` on the model."""
        asked = {"model": str(self.model), "policy": str(self.policy)}
        return composite.run("verify", asked | inputs, place, **self.job())

"""The Census chain signed by three identities without keys, kept in a registry, and audited without either.

    python examples/census/demo_keyless.py build/demo-keyless

A whole Sigstore and a registry run on this machine (`lamslsa.testing`), so nothing becomes public and nothing is needed
but loopback. The data owner and the auditor are people, the trainer is a workflow. Afterwards both services are shut
down, and an archive is verified with what it holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import HERE, Demo
from walk import ACCEPTED, NOT_AUTHENTIC, REFUSED, clear, payload, say, step
from walk import payload_digest as digest_of

from lamslsa.testing.registry import Registry
from lamslsa.testing.sigstore import LocalSigstore, github_claims

REPOSITORY, WORKFLOW, REF = "acme/census", ".github/workflows/train.yml", "refs/heads/main"
PEOPLE = {"data-owner": "data-owner@acme.example", "auditor": "audit@lab.example"}
SIGNERS = ("data-owner", "trainer", "auditor")


@dataclass(frozen=True, slots=True)
class Fraud:
    """What somebody who holds the registry's content does, and the exit code and reason that must come of it."""

    title: str
    exit_code: int
    reason: str
    change: Callable[[Path], None]


class KeylessDemo(Demo):
    """The demonstration, with identities in place of keys and a registry in place of a folder."""

    def __init__(self, folder: Path, *, job: Path, data: Path, sigstore: LocalSigstore, registry: Registry) -> None:
        super().__init__(folder, job=job, data=data)
        self.sigstore = sigstore
        self.registry = registry
        self.config = folder / "trust-config.json"
        self.reference = ""

    def prepare(self) -> None:
        """Everything that the other demo prepares, and three identities in place of three keys."""
        super().prepare()
        self.identify()

    def identify(self) -> None:
        """Put identities in the place of the keys in the policy, and forget the private ones."""
        self.config.write_text(self.sigstore.trust_config_json(rekor=2), encoding="utf-8")
        (self.folder / "trusted-root.json").write_text(self.sigstore.trusted_root_json(), encoding="utf-8")
        text = self.policy.read_text(encoding="utf-8")
        for role in SIGNERS:
            line = f"{role}: {{key: {role}.pub}}"
            if line not in text:
                sys.exit(f"expected {line!r} in the policy")
            terms = json.dumps(self.terms(role))
            text = text.replace(line, f"{role}: {{keyless: {terms}, requireTimestamp: true, requireLog: true}}")
            (self.folder / f"{role}.key").unlink()
        text = text.replace("trust:\n", "trust:\n  trustedRoot: trusted-root.json\n", 1)
        self.policy.write_text(text, encoding="utf-8")

    def terms(self, role: str) -> dict[str, str]:
        """What the policy asks of a role's certificates."""
        if role in PEOPLE:
            return {"issuer": self.sigstore.issuer, "identity": PEOPLE[role]}
        return {"issuer": self.sigstore.issuer, "repository": REPOSITORY, "workflow": WORKFLOW, "ref": REF}

    def token(self, role: str, *, ref: str = REF) -> Path:
        """A fresh identity token of a role, in a file."""
        claims = github_claims(REPOSITORY, workflow=WORKFLOW, ref=ref)
        token = (
            self.sigstore.token(email=PEOPLE[role])
            if role in PEOPLE
            else self.sigstore.token(str(claims["sub"]), claims=claims)
        )
        path = self.folder / f"{role}.token"
        path.touch(mode=0o600)
        path.write_text(token, encoding="utf-8")
        return path

    def push(self) -> None:
        """The model into the registry; what names it from now on is its digest."""
        target = f"oci://{self.registry.host}/acme/census-mlp:v1"
        self.reference = self.document("push", self.model, target, "--plain-http")["reference"]
        say(f"  {self.reference}")

    def publish(self, run: str, role: str, *, store: Path | None = None, show: bool = True) -> None:
        """Sign a run as a role and attach it to the model in the registry."""
        self.publish_together([run], role, store=store, show=show)

    def publish_together(
        self, runs: Sequence[str], role: str, *, store: Path | None = None, ref: str = REF, show: bool = True
    ) -> None:
        """Sign several runs under one certificate."""
        token = f"@{self.token(role, ref=ref)}"
        signed: list[str | Path] = ["--keyless", "--trust-config", self.config, "--identity-token", token, "--yes"]
        witnessed = ["--require-timestamp", "--require-log"]
        folders = [self.runs / run for run in runs]
        place: list[str | Path] = ["--to", store or self.reference, "--plain-http"]
        self.run("publish", *folders, *signed, *witnessed, *place, "--quiet", show=show)

    def verify(self, model: str | Path, *, expect: int = ACCEPTED) -> dict[str, Any]:
        """The verdict as JSON."""
        return self.document("verify", model, "--policy", self.policy, "--plain-http", expect=expect)

    # --- frauds -------------------------------------------------------------------------------------------------------

    def frauds(self) -> list[Fraud]:
        """What somebody could do with the bundles, each with what must come of it."""
        return [
            Fraud("trained on another branch", NOT_AUTHENTIC, "signature-identity", self._other_branch),
            Fraud("timestamps stripped", NOT_AUTHENTIC, "signature-time", lambda at: edit(at, strip_timestamps)),
            Fraud("log entries stripped", NOT_AUTHENTIC, "bundle-log-entries", lambda at: edit(at, strip_log)),
            Fraud("log entry of another bundle", NOT_AUTHENTIC, "signature-log", swap_log_entries),
            Fraud("signed by the trainer in the auditor's place", REFUSED, "signer-other", self._other_signer),
        ]

    def refuse_fraud(self, fraud: Fraud) -> None:
        """See the fraud refused: a rule or a bundle that was set aside says why."""
        victim = self.folder / "frauds" / fraud.title.replace(" ", "-")
        shutil.copytree(self.folder / "pulled", victim)
        fraud.change(victim / ".attestations")
        verdict = self.verify(victim, expect=fraud.exit_code)
        said = [(item["reason"], item["message"]) for item in (*verdict["rules"], *verdict["setAside"])]
        message = next((message for reason, message in said if reason == fraud.reason), None)
        if message is None:
            sys.exit(f"expected {fraud.title} to be refused for {fraud.reason}, got {said}")
        say(f"  refused ({fraud.exit_code}) {fraud.title}")
        say(f"      [{fraud.reason}]: {message}")

    def _replace(self, store: Path, run: str, role: str, *, ref: str = REF, evidence: bool = True) -> None:
        """Take a run out of the victim's attestations, its evidence too or not, and publish it as somebody else."""
        statements = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.runs / run).glob("0*.json")}
        for bundle in store.iterdir():
            named = {subject["digest"]["sha256"] for subject in payload(bundle)["subject"]}
            if statements & {digest_of(bundle), *(named if evidence else ())}:
                bundle.unlink()
        self.publish_together([run], role, store=store, ref=ref, show=False)

    def _other_branch(self, store: Path) -> None:
        self._replace(store, "training", "trainer", ref="refs/heads/attack")

    def _other_signer(self, store: Path) -> None:
        self._replace(store, "evaluation", "trainer", evidence=False)


def edit(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every bundle of a store."""
    for path in store.iterdir():
        bundle = json.loads(path.read_bytes())
        change(bundle["verificationMaterial"])
        path.write_text(json.dumps(bundle), encoding="utf-8")


def strip_timestamps(material: dict[str, Any]) -> None:
    """Take the timestamps out of a bundle."""
    material.pop("timestampVerificationData")


def strip_log(material: dict[str, Any]) -> None:
    """Take the log entry out of a bundle."""
    material["tlogEntries"] = []


def swap_log_entries(store: Path) -> None:
    """Give every bundle the log entry of another one."""
    paths = sorted(store.iterdir())
    bundles = [json.loads(path.read_bytes()) for path in paths]
    entries = [bundle["verificationMaterial"]["tlogEntries"] for bundle in bundles]
    for path, bundle, foreign in zip(paths, bundles, [*entries[1:], entries[0]], strict=True):
        bundle["verificationMaterial"]["tlogEntries"] = foreign
        path.write_text(json.dumps(bundle), encoding="utf-8")


def measure(demo: KeylessDemo) -> None:
    """Runs and a model, measured and not yet signed."""
    with step("Identities, a simulated platform, a policy"):
        demo.prepare()
    with step("1. Datasheets, training, evaluation"):
        demo.attest_dataset("census-train", demo.train)
        demo.attest_dataset("census-test", demo.test, f"census-train={demo.train}")
        demo.train_twice()
        demo.evaluate("evaluation", demo.test)


def share(demo: KeylessDemo) -> None:
    """Pushed, and signed by three identities."""
    with step("2. Push the model; its digest there is its identity"):
        demo.push()
    with step("3. Publish: three identities, a certificate each, beside the model"):
        demo.publish_together(["census-train", "census-test"], "data-owner")
        demo.publish("training", "trainer")
        demo.publish("evaluation", "auditor")


def judge(demo: KeylessDemo) -> Path:
    """Verified from a few kilobytes, frauds refused, exported: the archive."""
    with step("4. Verify in the registry: no byte of the model is read"):
        demo.registry.forget_requests()
        say(demo.run("verify", demo.reference, "--policy", demo.policy, "--plain-http"))
        say(f"  {sum(request.sent for request in demo.registry.requests):,} bytes came out of the registry")
    with step("5. Pull it, and try five frauds"):
        demo.run("pull", demo.reference, demo.folder / "pulled", "--plain-http", "--quiet")
        for fraud in demo.frauds():
            demo.refuse_fraud(fraud)
    archive = demo.folder / "audit.zip"
    with step("6. Export for an auditor"):
        demo.run("export", demo.reference, "--policy", demo.policy, "--plain-http", "--to", archive, "--quiet")
    return archive


def audit(demo: KeylessDemo, archive: Path) -> None:
    """Verified with nothing but the archive."""
    with step("7. The auditor, without registry and Sigstore"):
        say(demo.run("verify", archive))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration; the exit code is 0 only when everything came out as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--job", type=Path, default=HERE / "census.yaml")
    parser.add_argument("--data", type=Path, help="folder with adult.data and adult.test; default FOLDER/data")
    chosen = parser.parse_args(arguments)
    folder: Path = chosen.folder
    clear(folder)
    began = time.monotonic()
    with LocalSigstore() as sigstore, Registry(folder / "registry") as registry:
        demo = KeylessDemo(
            folder, job=chosen.job, data=chosen.data or folder / "data", sigstore=sigstore, registry=registry
        )
        measure(demo)
        share(demo)
        archive = judge(demo)
    audit(demo, archive)
    say(f"\nEverything came out as it must, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()

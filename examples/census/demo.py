"""The whole path on UCI Adult: from two files to an accepted deployment, a model card, and seven refused attacks.

    python examples/census/demo.py build/demo

Everything is made below the folder given: keys, the simulated platform with its root, runs, model, policy, card. Each
step is a `lamslsa` command as a user would type it; the attacks are what a malicious model provider could do with the
files that he holds.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
POLICY = HERE.parent.parent / "policies" / "census-income" / "policy.yaml.in"
ROLES = ("data-owner", "trainer", "auditor", "enclave-release")
MARKER = ".lamslsa-demo"
ACCEPTED, NOT_AUTHENTIC, REFUSED = 0, 4, 5


@dataclass(frozen=True, slots=True)
class Attack:
    """What a malicious model provider does, and the exit code and reason that must come of it."""

    title: str
    exit_code: int
    reason: str
    change: Callable[[Path], None]
    policy: str = "policy.yaml"


class Demo:
    """One demonstration in its own folder."""

    def __init__(self, folder: Path, *, job: Path, data: Path) -> None:
        self.folder = folder
        self.job = job
        self.train, self.test = data / "adult.data", data / "adult.test"
        self.model = folder / "census-mlp"
        self.store = self.model / ".attestations"
        self.runs = folder / "runs"
        self.policy = folder / "policy.yaml"
        self.platform = folder / "simulated-platform"
        self._command = [str(Path(sys.executable).parent / "lamslsa")]

    # --- commands -----------------------------------------------------------------------------------------------------

    def start(self, *arguments: str | Path, show: bool = True) -> subprocess.Popen[str]:
        """Start a lamslsa command; what it says on stderr passes through."""
        words = [str(argument) for argument in arguments]
        if show:
            say("  $ lamslsa " + " ".join(_short(word) for word in words))
        environment = {**os.environ, "LAMSLSA_SIMULATED_PLATFORM": str(self.platform)}
        return subprocess.Popen(self._command + words, stdout=subprocess.PIPE, text=True, env=environment)

    def run(self, *arguments: str | Path, expect: int = ACCEPTED, show: bool = True) -> str:
        """Run a lamslsa command to its end and return its stdout; any other exit code than expected ends the demo."""
        return finish(self.start(*arguments, show=show), expect=expect)

    def document(self, *arguments: str | Path, expect: int = ACCEPTED) -> dict[str, Any]:
        """Like `run`, quietly, with the JSON result."""
        result = json.loads(self.run(*arguments, "--format", "json", "--quiet", expect=expect, show=False))
        if not isinstance(result, dict):
            sys.exit("expected a JSON object from lamslsa")
        return result

    # --- the path -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Keys for four roles, the simulated platform, and the signed reference value that the policy goes by."""
        for role in ROLES:
            self.run("keygen", self.folder / role, "--quiet")
        release: list[str | Path] = [
            "--release",
            self.release(),
            "--build",
            "measure",
            "--key",
            self.folder / "enclave-release.key",
        ]
        root, signed = self.folder / "simulated-root.pem", self.folder / "enclave.sigstore.json"
        measured = self.document(
            "enclave", "measurement", "--tee", "simulated", "--root", root, *release, "--out", signed
        )
        say(f"  measurement of this installation: {measured['digest']}")
        digests = {
            name: self.document("digest", path, "--kind", "dataset")["digest"]
            for name, path in (("census-train", self.train), ("census-test", self.test))
        }
        self.policy.write_text(policy_text(digests, platform="rehearsal"), encoding="utf-8")
        hardware = policy_text(digests, platform="production")
        (self.folder / "policy-hardware.yaml").write_text(hardware, encoding="utf-8")

    def release(self) -> str:
        """The release that is installed."""
        return self.run("--version", show=False).split()[-1]

    def attest_dataset(self, name: str, path: Path, *others: str) -> None:
        """A datasheet."""
        related = [word for other in others for word in ("--dataset", other)]
        out = self.runs / name
        self.run("attest", "dataset", path, "--name", name, *related, *self._measured(), "--out", out)

    def train_twice(self) -> None:
        """The same training in two processes at once: bit-identical models."""
        twin = self.folder / "census-mlp-again"
        common: list[str | Path] = ["attest", "training", "--dataset", f"train={self.train}", *self._measured()]
        first = self.start(*common, "--model-out", self.model, "--out", self.runs / "training")
        second = self.start(*common, "--model-out", twin, "--out", self.runs / "training-again", "--quiet", show=False)
        finish(first)
        finish(second)
        digests = [self.document("digest", folder)["digest"] for folder in (self.model, twin)]
        if digests[0] != digests[1]:
            sys.exit(f"expected equal models from two processes, got {digests}")
        say(f"  two processes, one model: {digests[0]}")

    def evaluate(self, name: str, path: Path, *, job: Path | None = None, show: bool = True) -> None:
        """Metrics of the model on a dataset."""
        measured = self._measured(job)
        out = self.runs / name
        self.run("attest", "evaluation", self.model, "--dataset", path, *measured, "--out", out, show=show)

    def publish(self, run: str, role: str, *, store: Path | None = None, show: bool = True) -> None:
        """Sign a run with a role's key and store it beside the model."""
        key = self.folder / f"{role}.key"
        self.run("publish", self.runs / run, "--key", key, "--to", store or self.store, "--quiet", show=show)

    def _measured(self, job: Path | None = None) -> list[str | Path]:
        return ["--config", job or self.job, "--tee", "simulated"]

    def walk(self) -> None:
        """Steps 1 to 4: measured, signed and stored."""
        with step("Keys, a simulated platform, a policy"):
            self.prepare()
        with step("1. Datasheets: what is in the training and the test data"):
            self.attest_dataset("census-train", self.train)
            self.attest_dataset("census-test", self.test, f"census-train={self.train}")
        with step("2. Training, attested, twice"):
            self.train_twice()
        with step("3. Evaluation"):
            self.evaluate("evaluation", self.test)
        with step("4. Publish: the data owner, the trainer and the auditor sign"):
            self.publish("census-train", "data-owner")
            self.publish("census-test", "data-owner")
            self.publish("training", "trainer")
            self.publish("evaluation", "auditor")

    # --- the attacks --------------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """What two of the attacks need: an honest evaluation of the model on its own training set."""
        job = self.folder / "evaluate-on-training-set.yaml"
        text = self.job.read_text(encoding="utf-8")
        evaluation = text.index("evaluation:\n")
        on_training_set = text[evaluation:].replace("dataset: census-test", "dataset: census-train")
        job.write_text(text[:evaluation] + on_training_set, encoding="utf-8")
        self.evaluate("evaluation-on-training-set", self.train, job=job, show=False)

    def attacks(self) -> list[Attack]:
        """The seven, each with the exit code that it must end in."""
        return [
            Attack("one weight byte flipped", NOT_AUTHENTIC, "model-other", flip_weight),
            Attack("a file renamed", NOT_AUTHENTIC, "model-other", lambda at: rename(at / "model.json", "config.json")),
            Attack("accuracy edited and signed again", NOT_AUTHENTIC, "evidence-missing", self._edit_accuracy),
            Attack("evidence of another run", NOT_AUTHENTIC, "evidence-missing", self._swap_evidence),
            Attack(
                "evaluation signed by the trainer",
                REFUSED,
                "signer-other",
                lambda at: self._resign(at, "evaluation", "trainer"),
            ),
            Attack(
                "evaluated on the training set",
                REFUSED,
                "evaluated-on-training-data",
                lambda at: self._resign(at, "evaluation-on-training-set", "auditor"),
            ),
            Attack(
                "simulated where hardware is asked for",
                REFUSED,
                "platform-simulated",
                unchanged,
                policy="policy-hardware.yaml",
            ),
        ]

    def victim(self, attack: Attack, folder: Path) -> Path:
        """A copy of the model with its attestations in ``folder``, changed by the attacker."""
        victim = folder / attack.title.replace(" ", "-") / self.model.name
        shutil.copytree(self.model, victim)
        attack.change(victim)
        return victim

    def refuse(self, attack: Attack) -> None:
        """See the attack refused, with its exit code and reason."""
        policy = self.folder / attack.policy
        result = self.document(
            "verify", self.victim(attack, self.folder / "attacks"), "--policy", policy, expect=attack.exit_code
        )
        refused = [rule for rule in result["rules"] if rule["outcome"] == "refused"]
        decisive = next((rule for rule in refused if rule["reason"] == attack.reason), None)
        if decisive is None:
            sys.exit(f"expected {attack.title} to be refused for {attack.reason}, got {refused}")
        say(f"  refused ({attack.exit_code}) {attack.title}")
        say(f"      {decisive['name']} [{decisive['reason']}]: {decisive['message']}")

    def _without_evaluation(self, victim: Path) -> Path:
        """Take the evaluation and its evidence out of the victim's attestations."""
        store = victim / ".attestations"
        payload_of = payload_digest(self.runs / "evaluation")
        for bundle in store.iterdir():
            statement = payload(bundle)
            named = {subject["digest"]["sha256"] for subject in statement["subject"]}
            if statement["predicateType"].endswith("/evaluation/v1") or payload_of in named:
                bundle.unlink()
        return store

    def _edit_accuracy(self, victim: Path) -> None:
        from lamslsa.sign import KeySigner
        from lamslsa.store import open_store

        store = victim / ".attestations"
        for bundle in store.iterdir():
            if payload(bundle)["predicateType"].endswith("/evaluation/v1"):
                bundle.unlink()
        statement = json.loads((self.runs / "evaluation" / "01-evaluation.json").read_bytes())
        for metric in statement["predicate"]["metrics"]:
            if metric["name"] == "accuracy" and "slice" not in metric:
                metric["value"], metric["interval"]["lower"], metric["interval"]["upper"] = 0.99, 0.98, 0.995
        auditor = KeySigner.load((self.folder / "auditor.key").read_bytes(), None)
        open_store(str(store)).put(auditor.sign(json.dumps(statement).encode()), name="01-evaluation")

    def _swap_evidence(self, victim: Path) -> None:
        store = self._without_evaluation(victim)
        for run in ("evaluation", "evaluation-on-training-set"):
            self.publish(run, "auditor", store=store, show=False)
        genuine = payload_digest(self.runs / "evaluation")
        other = payload_digest(self.runs / "evaluation-on-training-set")
        for bundle in store.iterdir():
            statement = payload(bundle)
            is_genuine_evidence = statement["subject"][0]["digest"]["sha256"] == genuine
            is_other_evaluation = digest_of(bundle) == other
            if is_genuine_evidence or is_other_evaluation:
                bundle.unlink()

    def _resign(self, victim: Path, run: str, role: str) -> None:
        self.publish(run, role, store=self._without_evaluation(victim), show=False)


def policy_text(digests: dict[str, str], *, platform: str) -> str:
    """The demo's policy, every rule on one platform: ``rehearsal`` is simulated, ``production`` is hardware."""
    template = POLICY.read_text(encoding="utf-8")
    values = {
        "TRAIN": digests["census-train"],
        "TEST": digests["census-test"],
        "PLATFORM": platform,
        "EXPIRES": f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}",
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def payload(bundle: Path) -> dict[str, Any]:
    """The statement in a bundle, unverified: an attacker reads what he likes."""
    envelope = json.loads(bundle.read_bytes())["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    if not isinstance(statement, dict):
        sys.exit(f"expected a statement in {bundle}")
    return statement


def digest_of(bundle: Path) -> str:
    """SHA-256 of the payload in a bundle."""
    return hashlib.sha256(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"])).hexdigest()


def payload_digest(run: Path) -> str:
    """SHA-256 of the evaluation statement that a run left."""
    return hashlib.sha256((run / "01-evaluation.json").read_bytes()).hexdigest()


def flip_weight(victim: Path) -> None:
    """Change the last byte of the weights."""
    weights = victim / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def rename(path: Path, name: str) -> None:
    """Give a file another name, its bytes unchanged."""
    path.rename(path.with_name(name))


def unchanged(victim: Path) -> None:
    """Leave the victim as it is: the policy is what differs."""


def finish(process: subprocess.Popen[str], *, expect: int = ACCEPTED) -> str:
    """Wait for a command; any other exit code than expected ends the demo."""
    output, _ = process.communicate()
    if process.returncode != expect:
        sys.exit(f"{output}\nexpected exit code {expect}, got {process.returncode}: {process.args!r}")
    return output


def say(text: str) -> None:
    """Print at once, so that steps and the commands' own progress keep their order."""
    print(text, flush=True)


def _short(word: str) -> str:
    path = Path(word)
    return os.path.relpath(path) if path.is_absolute() else word


def clear(folder: Path) -> None:
    """Empty the folder of an earlier demo, but for its data; any other folder is left alone."""
    marker = folder / MARKER
    if any(old.name != "data" for old in folder.glob("*")) and not marker.exists():
        sys.exit(f"expected an empty folder or that of an earlier demo, got {folder}")
    for old in folder.glob("*"):
        if old.name != "data":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()


@contextmanager
def step(title: str) -> Iterator[None]:
    """A titled step and its wall-clock time."""
    say(f"\n{title}")
    began = time.monotonic()
    yield
    say(f"  [{time.monotonic() - began:.1f} s]")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration; the exit code is 0 only when everything came out as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--job", type=Path, default=HERE / "census.yaml")
    parser.add_argument("--data", type=Path, help="folder with adult.data and adult.test; default FOLDER/data")
    chosen = parser.parse_args(arguments)
    folder: Path = chosen.folder
    clear(folder)
    demo = Demo(folder, job=chosen.job, data=chosen.data or folder / "data")
    began = time.monotonic()

    demo.walk()
    with step("5. Verify"):
        say(demo.run("verify", demo.model, "--policy", demo.policy))
    with step("6. Seven attacks"):
        demo.arm()
        for attack in demo.attacks():
            demo.refuse(attack)
    with step("7. The model card"):
        card = folder / "card.html"
        say(demo.run("card", demo.model, "--policy", demo.policy, "--html", card, "--markdown", folder / "CARD.md"))
    say(f"\nEverything came out as it must, in {time.monotonic() - began:.0f} s. Open {_short(str(card.resolve()))}")


if __name__ == "__main__":
    main()

"""The whole path on UCI Adult: from two files to an accepted deployment, a model card, and seven refused attacks.

    python examples/census/demo.py build/demo

Everything is made below the folder given: keys, the simulated platform with its root, runs, model, policy, card. Each
step is a `lamslsa` command as a user would type it; the attacks are what a malicious model provider could do with the
files that he holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from walk import (  # noqa: E402 - an example is run as a script, and what they share lies beside its folder
    NOT_AUTHENTIC,
    REFUSED,
    Case,
    Walk,
    clear,
    filled,
    finish,
    flip_last_byte,
    payload,
    say,
    short,
    step,
    unchanged,
)
from walk import payload_digest as digest_of  # noqa: E402

POLICY = HERE.parent.parent / "policies" / "census-income" / "policy.yaml.in"
Attack = Case


class Demo(Walk):
    """One demonstration in its own folder."""

    def __init__(self, folder: Path, *, job: Path, data: Path) -> None:
        super().__init__(folder, job=job, model="census-mlp")
        self.train, self.test = data / "adult.data", data / "adult.test"

    # --- the path -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Keys for four roles, the simulated platform, the signed reference value, and two policies."""
        super().prepare()
        digests = {
            name: self.digest(path, "dataset")
            for name, path in (("census-train", self.train), ("census-test", self.test))
        }
        self.policy.write_text(policy_text(digests, platform="rehearsal"), encoding="utf-8")
        hardware = policy_text(digests, platform="production")
        (self.folder / "policy-hardware.yaml").write_text(hardware, encoding="utf-8")

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

    def _without_evaluation(self, victim: Path) -> Path:
        """Take the evaluation and its evidence out of the victim's attestations."""
        store = victim / ".attestations"
        payload_of = statement_digest(self.runs / "evaluation")
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
        genuine = statement_digest(self.runs / "evaluation")
        other = statement_digest(self.runs / "evaluation-on-training-set")
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
    values = {"TRAIN": digests["census-train"], "TEST": digests["census-test"], "PLATFORM": platform}
    return filled(POLICY, values)


def statement_digest(run: Path) -> str:
    """SHA-256 of the evaluation statement that a run left."""
    return hashlib.sha256((run / "01-evaluation.json").read_bytes()).hexdigest()


def flip_weight(victim: Path) -> None:
    """Change the last byte of the weights."""
    flip_last_byte(victim / "model.safetensors")


def rename(path: Path, name: str) -> None:
    """Give a file another name, its bytes unchanged."""
    path.rename(path.with_name(name))


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
    say(f"\nEverything came out as it must, in {time.monotonic() - began:.0f} s. Open {short(str(card.resolve()))}")


if __name__ == "__main__":
    main()

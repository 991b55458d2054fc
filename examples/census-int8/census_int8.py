"""A census model made smaller: quantised to int8, and judged by the evaluation of the child alone.

    python examples/census-int8/census_int8.py build/examples/census-int8

`examples/data.py` fetches the data; everything else is made below the folder given.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from walk import NOT_AUTHENTIC, REFUSED, Case, Walk, payload, run, step, unchanged  # noqa: E402 - an example is run as a script, and what they share lies beside its folder


class Example(Walk):
    """One run in its own folder."""

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__(folder, job=HERE / "job.yaml", model="census-mlp-int8")
        self.parent = folder / "census-mlp"
        self.train, self.test = data / "adult.data", data / "adult.test"

    def walk(self) -> None:
        """Everything measured, signed and stored, and the policies written."""
        with step("Keys, a simulated platform, two policies"):
            self.prepare()
            values = {"TRAIN": self.digest(self.train, "dataset"), "TEST": self.digest(self.test, "dataset")}
            self.write_policy(HERE / "policy.yaml.in", values)
            allowed = self.policy.read_text(encoding="utf-8")
            without = allowed.replace("allow: [quantize-int8/1]", "allow: [prune/1]")
            (self.folder / "policy-pruning.yaml").write_text(without, encoding="utf-8")
        with step("1. Datasheets"):
            compared = ["--dataset", f"census-train={self.train}"]
            self.attest("dataset", "census-train", self.train, "--name", "census-train")
            self.attest("dataset", "census-test", self.test, "--name", "census-test", *compared)
        with step("2. Training of the parent"):
            self.attest("training", "training", "--dataset", f"train={self.train}", "--model-out", self.parent)
        with step("3. The child: int8, and how far its answers are from the parent's"):
            given = ["--model", f"parent={self.parent}", "--dataset", f"census-train={self.train}"]
            self.attest("transform", "int8", "--transform", "int8", *given, "--model-out", self.model)
        with step("4. Evaluation of the child, and of the parent"):
            self.attest("evaluation", "evaluation", self.model, "--dataset", self.test)
            self.attest("evaluation", "evaluation-of-parent", self.parent, "--dataset", self.test, show=False)
        with step("5. Publish, all of it beside the child"):
            self.publish("census-train", "data-owner")
            self.publish("census-test", "data-owner")
            self.publish("training", "trainer")
            self.publish("int8", "trainer")
            self.publish("evaluation", "auditor")

    def cases(self) -> list[Case]:
        """What must be refused."""
        return [
            Case("evaluation of the parent passed off", NOT_AUTHENTIC, "model-other", self._of_parent),
            Case("training of the parent withheld", NOT_AUTHENTIC, "parent-unknown", self._without_training),
            Case("another transform allowed", REFUSED, "transform-other", unchanged, policy="policy-pruning.yaml"),
        ]

    def _of_parent(self, victim: Path) -> None:
        self.resigned(victim, "evaluation-of-parent", "auditor")

    def _without_training(self, victim: Path) -> None:
        for bundle in (victim / ".attestations").iterdir():
            predicate = payload(bundle)["predicate"]
            if predicate.get("buildDefinition", {}).get("buildType", "").endswith("/training/v1"):
                bundle.unlink()


if __name__ == "__main__":
    run(Example, Path(sys.argv[1]))

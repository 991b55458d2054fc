"""German credit: an attested split, logistic regression as ONNX, judged overall and by sex.

    python examples/german-credit/german_credit.py build/examples/german-credit

`examples/data.py` fetches the data; everything else is made below the folder given.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from walk import NOT_AUTHENTIC, REFUSED, Case, Walk, flip_last_byte, run, step  # noqa: E402 - an example is run as a script, and what they share lies beside its folder


class Example(Walk):
    """One run in its own folder."""

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__(folder, job=HERE / "job.yaml", model="german-credit")
        self.raw = data / "german.csv"
        self.train, self.test = folder / "german-train", folder / "german-test"

    def walk(self) -> None:
        """Everything measured, signed and stored, and the policy written."""
        with step("Keys, a simulated platform"):
            self.prepare()
        with step("1. Preprocessing: a column for sex, a split by seed"):
            outputs = ["--output", f"german-train={self.train}", "--output", f"german-test={self.test}"]
            self.attest("transform", "prepare", "--transform", "prepare", "--dataset", self.raw, *outputs)
            values = {"TRAIN": self.digest(self.train, "dataset"), "TEST": self.digest(self.test, "dataset")}
            self.write_policy(HERE / "policy.yaml.in", values)
        with step("2. Datasheets"):
            compared = ["--dataset", f"german-train={self.train}"]
            self.attest("dataset", "german-train", self.train, "--name", "german-train")
            self.attest("dataset", "german-test", self.test, "--name", "german-test", *compared)
        with step("3. Training and evaluation"):
            self.attest("training", "training", "--dataset", f"train={self.train}", "--model-out", self.model)
            self.attest("evaluation", "evaluation", self.model, "--dataset", self.test)
        with step("4. Publish"):
            self.publish("german-train", "data-owner")
            self.publish("german-test", "data-owner")
            self.publish("training", "trainer")
            self.publish("evaluation", "auditor")

    def cases(self) -> list[Case]:
        """What must be refused."""
        return [
            Case("a node of the graph changed", NOT_AUTHENTIC, "model-other", _other_graph),
            Case("evaluation signed by the trainer", REFUSED, "signer-other", self._by_trainer),
        ]

    def _by_trainer(self, victim: Path) -> None:
        self.resigned(victim, "evaluation", "trainer")


def _other_graph(victim: Path) -> None:
    flip_last_byte(victim / "model.onnx")


if __name__ == "__main__":
    run(Example, Path(sys.argv[1]))

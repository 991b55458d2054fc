"""Digits: a small VGG11 over folders of images, what it is made of, and receipts for its answers.

    python examples/digits/digits.py build/examples/digits

`examples/data.py` fetches the data; everything else is made below the folder given.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from walk import NOT_AUTHENTIC, REFUSED, Case, Walk, flip_last_byte, run, say, step  # noqa: E402 - an example is run as a script, and what they share lies beside its folder


class Example(Walk):
    """One run in its own folder."""

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__(folder, job=HERE / "job.yaml", model="digits-vgg11")
        self.train, self.test = data / "train", data / "test"

    def walk(self) -> None:
        """Everything measured, signed and stored, and the policy written."""
        with step("Keys, a simulated platform, a policy"):
            self.prepare()
            values = {"TRAIN": self.digest(self.train, "dataset"), "TEST": self.digest(self.test, "dataset")}
            self.write_policy(HERE / "policy.yaml.in", values)
        with step("1. Datasheets"):
            compared = ["--dataset", f"digits-train={self.train}"]
            self.attest("dataset", "digits-train", self.train, "--name", "digits-train")
            self.attest("dataset", "digits-test", self.test, "--name", "digits-test", *compared)
        with step("2. Training, evaluation, properties of the model"):
            self.attest("training", "training", "--dataset", f"train={self.train}", "--model-out", self.model)
            self.attest("evaluation", "evaluation", self.model, "--dataset", self.test)
            self.attest("model", "model", self.model)
        with step("3. A thousand answers, each with a receipt"):
            private = self.folder / "receipts"
            self.attest("inference", "inference", self.model, "--dataset", self.test, "--private", private)
            statement = self.runs / "inference" / "01-inference.json"
            say(self.run("verify-receipt", private / "receipts.jsonl", statement, "--line", "17"))
        with step("4. Publish"):
            self.publish("digits-train", "data-owner")
            self.publish("digits-test", "data-owner")
            self.publish("training", "trainer")
            self.publish("evaluation", "auditor")
            self.publish("model", "auditor")
            self.publish("inference", "trainer")

    def cases(self) -> list[Case]:
        """What must be refused."""
        return [
            Case("one weight byte flipped", NOT_AUTHENTIC, "model-other", _other_weight),
            Case("evaluation signed by the trainer", REFUSED, "signer-other", self._by_trainer),
        ]

    def _by_trainer(self, victim: Path) -> None:
        self.resigned(victim, "evaluation", "trainer")


def _other_weight(victim: Path) -> None:
    flip_last_byte(victim / "model.safetensors")


if __name__ == "__main__":
    run(Example, Path(sys.argv[1]))

"""Snippets of reviews: ratings to classes, a split that keeps equal texts together, an LSTM.

    python examples/movie-snippets/movie_snippets.py build/examples/movie-snippets

`examples/data.py` fetches the data; everything else is made below the folder given.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from walk import NOT_AUTHENTIC, Case, Walk, run, step  # noqa: E402 - an example is run as a script, and what they share lies beside its folder


class Example(Walk):
    """One run in its own folder."""

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__(folder, job=HERE / "job.yaml", model="movie-lstm")
        self.raw = data / "snippets.tsv"
        self.train, self.test = folder / "snippets-train", folder / "snippets-test"

    def walk(self) -> None:
        """Everything measured, signed and stored, and the policy written."""
        with step("Keys, a simulated platform"):
            self.prepare()
        with step("1. Preprocessing: ratings to classes, a split by seed"):
            outputs = ["--output", f"snippets-train={self.train}", "--output", f"snippets-test={self.test}"]
            self.attest("transform", "prepare", "--transform", "prepare", "--dataset", self.raw, *outputs)
            values = {"TRAIN": self.digest(self.train, "dataset"), "TEST": self.digest(self.test, "dataset")}
            self.write_policy(HERE / "policy.yaml.in", values)
        with step("2. Datasheets"):
            compared = ["--dataset", f"snippets-train={self.train}"]
            self.attest("dataset", "snippets-train", self.train, "--name", "snippets-train")
            self.attest("dataset", "snippets-test", self.test, "--name", "snippets-test", *compared)
        with step("3. Training and evaluation"):
            self.attest("training", "training", "--dataset", f"train={self.train}", "--model-out", self.model)
            self.attest("evaluation", "evaluation", self.model, "--dataset", self.test)
        with step("4. Publish"):
            self.publish("snippets-train", "data-owner")
            self.publish("snippets-test", "data-owner")
            self.publish("training", "trainer")
            self.publish("evaluation", "auditor")

    def cases(self) -> list[Case]:
        """What must be refused."""
        return [
            Case("a word of the vocabulary changed", NOT_AUTHENTIC, "model-other", _other_word),
            Case("a tokenizer added", NOT_AUTHENTIC, "model-other", _tokenizer),
        ]


def _other_word(victim: Path) -> None:
    description = victim / "model.json"
    description.write_bytes(description.read_bytes().replace(b'"good"', b'"fine"', 1))


def _tokenizer(victim: Path) -> None:
    (victim / "tokenizer.py").write_text("print('run by whoever loads the folder')\n", encoding="utf-8")


if __name__ == "__main__":
    run(Example, Path(sys.argv[1]))

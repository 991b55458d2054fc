"""The trainer's own loop: the base model's network, a few more epochs on the bank's rows.

The network has one hidden layer and one output, the log-odds of a loan that fails. What it reads of a row, and how, the
base model's description says, and stays the same.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from lamslsa import own

base, settings = own.inputs()["base"].files, own.configuration()
document = Path(base["model.json"]).read_bytes()
description = json.loads(document)
with Path(own.inputs()["train"].path).open(encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))


def encoded(row: Mapping[str, str]) -> Iterator[float]:
    """Numbers are standardised, categories get an input each."""
    for feature in description["features"]:
        value = row[feature["name"]]
        if feature["type"] == "number":
            yield (float(value) - feature["mean"]) / feature["deviation"]
        else:
            yield from (float(value == category) for category in feature["categories"])


inputs = np.array([list(encoded(row)) for row in rows])
failed = np.array([[float(row[description["label"]] == "2")] for row in rows])
weights = {name: value.astype(float) for name, value in load_file(base["model.safetensors"]).items()}
draws = np.random.default_rng(settings["seed"])
for epoch in range(settings["epochs"]):
    for chosen in np.array_split(draws.permutation(len(rows)), len(rows) // settings["batchSize"]):
        seen, wanted = inputs[chosen], failed[chosen]
        own.batch(seen.tobytes())
        hidden = np.maximum(seen @ weights["0.weight"].T + weights["0.bias"], 0)
        answers = 1 / (1 + np.exp(-(hidden @ weights["2.weight"].T + weights["2.bias"])))
        error = (answers - wanted) / len(chosen)  # the gradient of the log loss in the log-odds
        below = (error @ weights["2.weight"]) * (hidden > 0)
        steps = {
            "2.weight": error.T @ hidden,
            "2.bias": error.sum(0),
            "0.weight": below.T @ seen,
            "0.bias": below.sum(0),
        }
        for name, gradient in steps.items():
            weights[name] -= settings["learningRate"] * gradient
    own.progress(epoch + 1, settings["epochs"])

(own.model_dir() / "model.json").write_bytes(document)
save_file({name: value.astype(np.float32) for name, value in weights.items()}, own.model_dir() / "model.safetensors")

"""Real data for tests: a job on it, the model that the job trains, and the same answers computed by hand.

The answers of a model are computed anew from the bytes of the data and of the weights; `Found` checks every Wilson
interval of an evaluation against the textbook formula.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from scipy.stats import norm

from lamslsa import predicates, statement
from lamslsa.artifact.manifest import Kind
from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.measure import Context, Given, Job, load_job
from lamslsa.predicates import Evaluation
from lamslsa.predicates.evaluation import Metric
from lamslsa.testing.measuring import run_plan

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]

EXAMPLES = Path(__file__).resolve().parents[3] / "build" / "examples"
TRAIN, TEST, FEW = 4000, 2500, 300
BINS = 15
RATES = (0.01, 0.1)
LOW = (0.001, 0.01)
COLUMNS = re.findall(
    r"[a-z-]+",
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain"
    " capital-loss hours-per-week native-country income",
)
NUMBERS = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
SEEN = [name for name in COLUMNS if name not in ("fnlwgt", "income")]
HEAD = "apiVersion: lamslsa.dev/job/v1\nkind: Job\n"
REST = "beta1: 0.9, beta2: 0.999, epsilon: 1e-8, schedule: constant, augmentation: none"
ADAM = "batchSize: 64, optimizer: adam, learningRate: 5e-3, weightDecay: 0"
SAMPLING = "rows: all, confidenceLevel: 0.95, resamples: 20"
CLASSES = f"{SAMPLING}, calibrationBins: {BINS}, groups: [], slices: []"
ATTACK = f"dataset: %s, train: %s, {SAMPLING}, falsePositiveRates: {list(RATES)}"
SHADOWS = f"""shadows: 4,
    shadow: {{trainer: tabular-mlp/1, epochs: 2, {ADAM}, {REST}}}"""
LONGER = SHADOWS.replace("epochs: 2,", "epochs: 10,").replace("learningRate: 5e-3", "learningRate: 2e-2")
DIFFERENCE = "difference: {dataset: test, confidenceLevel: 0.95}"
ADULT = f"""{HEAD}
schemas:
  adult: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: "?",
    columns: [{", ".join(f"{{name: {c}, type: {'integer' if c in NUMBERS else 'string'}}}" for c in COLUMNS)}],
    label: {{column: income, classes: {{"<=50K": 0, "<=50K.": 0, ">50K": 1, ">50K.": 1}}}}}}
datasets:
  train: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
  test: {{schema: adult, skipLines: 1, groups: [], overlap: []}}
  few: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
  others: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
training: {{trainer: tabular-mlp/1, model: m, dataset: train, hidden: [16, 8], epochs: 4, {ADAM}, seed: 7,
  drop: [fnlwgt]}}
transforms:
  channels: {{transform: quantize-int8/1, model: int8, granularity: channel, {DIFFERENCE}}}
  tensors: {{transform: quantize-int8/1, model: int8, granularity: tensor, {DIFFERENCE}}}
  pruned: {{transform: prune/1, model: pruned, share: 0.6, scope: global, {DIFFERENCE}}}
  layers: {{transform: prune/1, model: pruned, share: 0.6, scope: layer, {DIFFERENCE}}}
  soup: {{transform: average/1, model: soup, parents: [{{name: one, weight: 0.3}}, {{name: two, weight: 0.7}}],
    {DIFFERENCE}}}
  onnx: {{transform: convert-onnx/1, model: onnx, opset: 21, tolerance: 1e-5, {DIFFERENCE}}}
evaluations:
  tabular: {{measurer: tabular-evaluation/1, dataset: test, {SAMPLING}, threshold: 0.4, calibrationBins: {BINS},
    groups: [[sex], [race]], slices: [[sex, race]]}}
  classes: {{measurer: classification/1, dataset: test, topK: [], {CLASSES}}}
  by-group: {{measurer: classification/1, dataset: test, topK: [], {SAMPLING}, calibrationBins: {BINS},
    groups: [[sex], [race]], slices: [[sex, race]]}}
  members: {{measurer: membership-inference/1, {ATTACK % ("test", "train")}}}
  lira: {{measurer: lira/1, {ATTACK % ("others", "few")}, variant: offline, variance: per-example, {SHADOWS}}}
  lira-online: {{measurer: lira/1, {ATTACK % ("others", "few")}, variant: online, variance: global, {SHADOWS}}}
  lira-low: {{measurer: lira/1, dataset: test, train: few, {SAMPLING}, falsePositiveRates: {list(LOW)},
    variant: offline, variance: global, {LONGER}}}
  lira-rows: {{measurer: lira/1, {ATTACK % ("others", "few")}, variant: online, variance: per-example, {SHADOWS}}}
  groups: {{measurer: group-fairness/1, dataset: test, {SAMPLING}, threshold: 0.3, minimumGroupSize: 30,
    groups: [[sex], [sex, race]]}}
  flips: {{measurer: counterfactual-fairness/1, dataset: test, {SAMPLING}, threshold: 0.4,
    attributes: [{{column: race, values: [White, Black]}}, {{column: workclass, values: [Private, State-gov]}},
      {{column: sex, values: [Male, Female]}}],
    coChanges: [{{attribute: sex, from: Male, to: Female, column: relationship, values: {{Husband: Wife}}}}]}}
  baseline: {{measurer: baseline-comparison/1, dataset: test, {SAMPLING}, threshold: 0.4}}
  pgd: {{measurer: pgd/1, dataset: others, rows: all, confidenceLevel: 0.95, norm: Linf, epsilons: [1e-5, 0.1, 0.5],
    loss: margin, steps: 10, stepSize: 0.25, restarts: 1, features: all}}
  pgd-L2: {{measurer: pgd/1, dataset: others, rows: all, confidenceLevel: 0.95, norm: L2, epsilons: [0.2, 0.6],
    loss: margin, steps: 8, stepSize: 0.3, restarts: 2, features: all}}
  pgd-Linf: {{measurer: pgd/1, dataset: others, rows: all, confidenceLevel: 0.95, norm: Linf, epsilons: [0.2, 0.6],
    loss: cross-entropy, steps: 8, stepSize: 0.3, restarts: 2, features: [
      {{name: hours-per-week, minimum: 1, maximum: 60, step: 0}}, {{name: age, minimum: 17, maximum: 90, step: 1}}]}}
  damaged: {{measurer: corruptions/1, dataset: test, {SAMPLING}, corruptions: all, severities: [1, 4], columns: all}}
  some: {{measurer: corruptions/1, dataset: test, rows: 500, confidenceLevel: 0.95, resamples: 20,
    corruptions: [missing-values], severities: [4], columns: [age]}}
inference: {{measurer: inference/1, dataset: test, disclose: {{inputs: true, outputs: true}}, seed: null}}
model: {{measurer: model-properties/1, perTensor: true}}
"""
TEN = ", ".join(f'"{i}": {i}' for i in range(10))


class World:
    """A job with its data on disk, the model that it trains, and what it measures; everything once.

    Attributes:
        files: of the model.
    """

    def __init__(
        self, folder: Path, text: str, data: Mapping[str, bytes | Mapping[str, bytes]], stack: ExitStack
    ) -> None:
        self.folder = folder
        self.job: Job = load_job(text.encode(), "job.yaml")
        self._open = stack
        self.data = {name: self.read(name, files) for name, files in data.items()}
        _, (made,) = self.run(self.job.require_training(), {"train": self.data["train"]})
        self.files: dict[str, bytes] = dict(made.files)
        self.model = self.read("model", self.files, "model")
        self.tensors: Tensors = safetensors.numpy.load(self.files["model.safetensors"])

    def read(self, name: str, files: bytes | Mapping[str, bytes], kind: Kind = "dataset") -> VerifiedArtifact:
        root = self.folder / name
        if isinstance(files, bytes):
            root.write_bytes(files)
        else:
            for path, data in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
        return self._open.enter_context(read_verified(root, kind))

    def run(self, plan: Any, inputs: Mapping[str, VerifiedArtifact]) -> tuple[bytes, list[Any]]:
        payload, outputs = run_plan(plan, inputs, name="m")
        return payload, list(outputs.values())

    def evaluate(
        self, name: str, *, train: str | None = None, dataset: str = "test", baseline: World | None = None
    ) -> tuple[Evaluation, Found]:
        """The statement of an evaluation, and its metrics."""
        inputs = {"model": self.model, "dataset": self.data[dataset]}
        if train is not None:
            inputs["train"] = self.data[train]
        if baseline is not None:
            inputs["baseline"] = baseline.model
        (plan,) = self.job.require_evaluations(name).values()
        parsed = predicates.parse(statement.parse(self.run(plan, inputs)[0]))
        assert isinstance(parsed, Evaluation)
        return parsed, Found(parsed.metrics)

    def transform(
        self, name: str, parents: Mapping[str, World] | None = None
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The predicate of a transform of the model, or of these by role, and the files of the child."""
        models = {role: world.model for role, world in (parents or {"parent": self}).items()}
        inputs = {**models, "difference": self.data["test"]}
        payload, (made,) = self.run(self.job.require_transform(name), inputs)
        return json.loads(payload)["predicate"], dict(made.files)

    def infer(self) -> list[dict[str, Any]]:
        """The record of each row."""
        given = {
            "model": Given(artifact=self.model, name="m"),
            "dataset": Given(artifact=self.data["test"], name="test"),
        }
        outcome = self.job.require_inference().measure(given, Context())
        return [json.loads(line)["record"] for line in outcome.private["receipts.jsonl"].splitlines()]


Make = Callable[..., World]


class Found:
    """Metrics by name and by what tells those of one name apart."""

    def __init__(self, metrics: tuple[Metric, ...]) -> None:
        self._metrics = {self._key(item.name, item.groups, item.slice, item.parameters): item for item in metrics}
        assert len(self._metrics) == len(metrics)
        self.asked: set[Any] = set()
        for item in metrics:
            if item.interval is not None and item.interval.method == "wilson":
                assert item.value is not None
                bounds = wilson(item.value, item.samples, item.interval.level)
                assert (item.interval.lower, item.interval.upper) == near(bounds)

    def __call__(self, name: str, *groups: str, **parameters: Any) -> Any:
        """The value of a metric over all rows."""
        return self._value(self._key(name, groups, None, parameters))

    def interval(self, name: str, *groups: str, **parameters: Any) -> tuple[float, float]:
        """The ends of the interval of a metric over all rows."""
        found = self._metrics[self._key(name, groups, None, parameters)].interval
        assert found is not None
        return found.lower, found.upper

    def within(self, name: str, **cell: str) -> Any:
        """The value of a metric in one slice."""
        return self._value(self._key(name, (), cell, None))

    def interval_within(self, name: str, **cell: str) -> tuple[float, float]:
        """The ends of the interval of a metric in one slice."""
        found = self._metrics[self._key(name, (), cell, None)].interval
        assert found is not None
        return found.lower, found.upper

    def all_asked(self) -> bool:
        """Whether no metric was left out."""
        return self.asked == set(self._metrics)

    def _value(self, key: tuple[str, str]) -> Any:
        self.asked.add(key)
        return self._metrics[key].value

    @staticmethod
    def _key(name: str, *details: Any) -> tuple[str, str]:
        return name, json.dumps([item or None for item in details], sort_keys=True)


def wilson(share: float, samples: int, level: float) -> tuple[float, float]:
    """The score interval by its formula (Wilson 1927)."""
    z = norm.ppf((1 + level) / 2)
    middle = (share + z**2 / (2 * samples)) / (1 + z**2 / samples)
    half = z / (1 + z**2 / samples) * np.sqrt(share * (1 - share) / samples + z**2 / (4 * samples**2))
    return float(middle - half), float(middle + half)


def draws(found: Evaluation, stream: str, *texts: str) -> np.random.Generator:
    """The random numbers of a stream, as the specification derives them from the statement's seed."""
    key = json.dumps([stream, texts], separators=(",", ":"), ensure_ascii=False).encode()
    seed = hashlib.sha256(bytes.fromhex(found.seed.value.sha256) + key).hexdigest()
    return np.random.Generator(np.random.PCG64(int(seed, 16)))


def percentiles(values: Any) -> Any:
    """The interval of 95 % that these resampled values leave."""
    return near(tuple(np.quantile(np.array(values), [0.025, 0.975])))


def near(value: Any, absolute: float = 1e-9) -> Any:
    return pytest.approx(value, abs=absolute, rel=1e-9)


def affine(tensors: Tensors, inputs: Array) -> Array:
    """What a network of linear layers and ReLUs says, by torch in float64."""
    values = torch.tensor(inputs, dtype=torch.float64)
    last = max(int(name.split(".")[0]) for name in tensors)
    for index in range(0, last + 1, 2):
        weight, bias = (torch.tensor(tensors[f"{index}.{part}"], dtype=torch.float64) for part in ("weight", "bias"))
        values = values @ weight.T + bias
        values = values.clamp(min=0) if index < last else values
    return values.numpy()


@dataclass
class Census:
    """UCI Adult as pandas reads it, and as a network gets it."""

    world: World
    train: pd.DataFrame
    test: pd.DataFrame
    labels: Array
    answers: Array

    def matrix(self, frame: pd.DataFrame) -> Array:
        """Standardised by the training rows, one input for each category of them."""
        parts = []
        for name in SEEN:
            if name in NUMBERS:
                parts.append((frame[name] - self.train[name].mean()) / self.train[name].std(ddof=0))
            else:
                parts += [(frame[name] == value).astype(float) for value in sorted(self.train[name].dropna().unique())]
        return np.stack([part.to_numpy() for part in parts], axis=1).astype(np.float32)

    def bytes_of(self) -> dict[str, bytes]:
        """The files that the datasets were read from."""
        return {name: (self.world.folder / name).read_bytes() for name in self.world.data}

    def asked(self, frame: pd.DataFrame, tensors: Tensors | None = None) -> Array:
        """Of each row the probability of class 1, by torch."""
        weights = self.world.tensors if tensors is None else tensors
        found: Array = 1 / (1 + np.exp(-affine(weights, self.matrix(frame))[:, 0]))
        return found

    def keys(self, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
        """Each row as the network can tell it from others, with its class: what training did not hold is missing."""
        known = frame[SEEN].where(frame[SEEN].apply(lambda c: c.isin(self.train[c.name]) | (c.name in NUMBERS)), None)
        return [*zip(*(known[name].fillna("?") for name in SEEN), rich(frame), strict=True)]


def parsed(data: bytes, *, skip: int = 0) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(data),
        names=COLUMNS,
        skiprows=skip,
        skipinitialspace=True,
        na_values="?",
        keep_default_na=False,
    )


def rich(frame: pd.DataFrame) -> list[int]:
    return frame["income"].str.startswith(">50K").astype(int).tolist()


def example(name: str) -> Path:
    folder = EXAMPLES / name / "data"
    if not folder.exists():
        pytest.fail(f"expected the data of the example in {folder}: make examples-data")
    return folder


def read_census(adult: Path, make_world: Make) -> Census:
    """The first rows of Adult's files, and the network that ``ADULT`` trains on some of them."""
    lines = (adult / "adult.data").read_bytes().splitlines(keepends=True)
    data = {
        "train": b"".join(lines[:TRAIN]),
        "test": b"".join((adult / "adult.test").read_bytes().splitlines(keepends=True)[: TEST + 1]),
        "few": b"".join(lines[:FEW]),
        "others": b"".join(lines[TRAIN : TRAIN + FEW]),
    }
    world = make_world(ADULT, data)
    test = parsed(data["test"], skip=1)
    answers = np.array([record["output"]["value"]["probability"] for record in world.infer()])
    assert len(answers) == len(test) == TEST
    return Census(world, parsed(data["train"]), test, np.array(rich(test)), answers)

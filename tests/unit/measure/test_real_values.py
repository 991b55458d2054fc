"""Measured values on real data against other computations: pandas, NumPy, SciPy, scikit-learn, torch by hand.

The measurers hold their formulas against libraries themselves; here the answers of a model are computed anew from the
bytes of the data and of the weights, and every value by a formula or a call that the measurers do not use.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from PIL import Image
from scipy.stats import mannwhitneyu

from lamslsa import predicates, statement
from lamslsa.artifact.manifest import Kind
from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.measure import Context, Given, Job, load_job
from lamslsa.measure.evaluation import lira_shadows
from lamslsa.predicates import Dataset, Evaluation, Model
from lamslsa.predicates.evaluation import Metric
from lamslsa.testing.measuring import measure_dataset, run_plan
from tests.unit.measure.transforming import content

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]

EXAMPLES = Path(__file__).resolve().parents[3] / "build" / "examples"
TRAIN, TEST, FEW = 4000, 2500, 300
BINS = 15
RATES = (0.01, 0.1)
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
  int8: {{transform: quantize-int8/1, model: int8, granularity: channel, {DIFFERENCE}}}
  pruned: {{transform: prune/1, model: pruned, share: 0.6, scope: global, {DIFFERENCE}}}
  onnx: {{transform: convert-onnx/1, model: onnx, opset: 21, tolerance: 1e-5, {DIFFERENCE}}}
evaluations:
  tabular: {{measurer: tabular-evaluation/1, dataset: test, {SAMPLING}, threshold: 0.4, calibrationBins: {BINS},
    groups: [[sex], [race]], slices: [[sex, race]]}}
  classes: {{measurer: classification/1, dataset: test, topK: [], {CLASSES}}}
  members: {{measurer: membership-inference/1, {ATTACK % ("test", "train")}}}
  lira: {{measurer: lira/1, {ATTACK % ("others", "few")}, variant: offline, variance: per-example, shadows: 4,
    shadow: {{trainer: tabular-mlp/1, epochs: 2, {ADAM}, {REST}}}}}
inference: {{measurer: inference/1, dataset: test, disclose: {{inputs: true, outputs: true}}, seed: null}}
model: {{measurer: model-properties/1, perTensor: true}}
"""
TEN = ", ".join(f'"{i}": {i}' for i in range(10))
DIGITS = f"""{HEAD}
schemas:
  digits: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: null,
    columns: [{", ".join(f"{{name: x{i}, type: integer}}" for i in range(64))}, {{name: digit, type: string}}],
    label: {{column: digit, classes: {{{TEN}}}}}}}
datasets:
  train: {{schema: digits, skipLines: 0, groups: [], overlap: []}}
  test: {{schema: digits, skipLines: 0, groups: [], overlap: []}}
training: {{trainer: tabular-mlp/1, model: m, dataset: train, hidden: [16], epochs: 4, {ADAM}, seed: 1, drop: []}}
evaluations:
  classes: {{measurer: classification/1, dataset: test, topK: [2, 3], {CLASSES}}}
inference: {{measurer: inference/1, dataset: test, disclose: {{inputs: true, outputs: true}}, seed: null}}
"""
# Severities 1 and 3 move no pixel to the middle between two values, where rounding would be a matter of luck.
SEVERITIES = (1, 3)
DAMAGES = ("gaussian-noise", "impulse-noise", "brightness", "contrast", "pixelate")
IMAGES = f"""{HEAD}
schemas:
  digits: {{format: images, channels: 1, height: 28, width: 28, classes: {{{TEN}}}}}
datasets:
  train: {{schema: digits, overlap: []}}
  test: {{schema: digits, overlap: []}}
training: {{trainer: image-cnn/1, model: m, dataset: train, widths: [4, 8], batchNorm: false, hidden: [], dropout: 0,
  normalization: learned, epochs: 3, {ADAM}, seed: 1, {REST}}}
evaluation: {{measurer: corruptions/1, dataset: test, {SAMPLING}, corruptions: [{", ".join(DAMAGES)}],
  severities: {list(SEVERITIES)}, columns: all}}
"""


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

    def evaluate(self, name: str, *, train: str | None = None, dataset: str = "test") -> tuple[Evaluation, Found]:
        """The statement of an evaluation, and its metrics."""
        inputs = {"model": self.model, "dataset": self.data[dataset]}
        if train is not None:
            inputs["train"] = self.data[train]
        (plan,) = self.job.require_evaluations(name).values()
        parsed = predicates.parse(statement.parse(self.run(plan, inputs)[0]))
        assert isinstance(parsed, Evaluation)
        return parsed, Found(parsed.metrics)

    def transform(self, name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The predicate of a transform of the model, and the files of the child."""
        inputs = {"parent": self.model, "difference": self.data["test"]}
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

    def __call__(self, name: str, *groups: str, **parameters: Any) -> Any:
        """The value of a metric over all rows."""
        return self._value(self._key(name, groups, None, parameters))

    def within(self, name: str, **cell: str) -> Any:
        """The value of a metric in one slice."""
        return self._value(self._key(name, (), cell, None))

    def all_asked(self) -> bool:
        """Whether no metric was left out."""
        return self.asked == set(self._metrics)

    def _value(self, key: tuple[str, str]) -> Any:
        self.asked.add(key)
        return self._metrics[key].value

    @staticmethod
    def _key(name: str, *details: Any) -> tuple[str, str]:
        return name, json.dumps([item or None for item in details], sort_keys=True)


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


# --- UCI Adult -------------------------------------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(text: str, data: Mapping[str, bytes | Mapping[str, bytes]]) -> World:
            return World(tmp_path_factory.mktemp("world"), text, data, stack)

        yield make


@pytest.fixture(scope="module")
def census(adult: Path, make_world: Make) -> Census:
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


def test_answers_are_those_of_torch_by_hand(census: Census) -> None:
    expected = 1 / (1 + np.exp(-affine(census.world.tensors, census.matrix(census.test))[:, 0]))
    assert np.abs(census.answers - expected).max() < 1e-6
    assert census.answers.std() > 0.1, "a model that says something"


def test_inputs_are_the_rows_of_the_file(census: Census) -> None:
    told = pd.DataFrame([record["input"]["value"] for record in census.world.infer()])
    assert set(told.columns) == set(SEEN)
    for name in SEEN:
        assert told[name].fillna("?").tolist() == census.test[name].fillna("?").tolist()


def test_tabular_evaluation(census: Census) -> None:
    from fairlearn.metrics import MetricFrame, selection_rate
    from sklearn import metrics

    _, found = census.world.evaluate("tabular")
    said = (census.answers >= 0.4).astype(int)
    table = pd.crosstab(census.labels, said).to_numpy()
    (tn, fp), (fn, tp) = table.tolist()
    assert found("accuracy") == near((tp + tn) / TEST)
    assert found("balanced_accuracy") == near((tp / (tp + fn) + tn / (tn + fp)) / 2)
    assert found("f1") == near(2 * tp / (2 * tp + fp + fn))
    false, true, _ = metrics.roc_curve(census.labels, census.answers)
    assert found("auroc") == near(metrics.auc(false, true))
    assert found("expected_calibration_error") == near(calibration(census.labels, census.answers))
    rows = census.test.assign(label=census.labels, said=said, right=census.labels == said)
    rates = {"selection": selection_rate, "right": metrics.recall_score}
    for column in ("sex", "race"):
        framed = MetricFrame(metrics=rates, y_true=rows["label"], y_pred=rows["said"], sensitive_features=rows[column])
        selected = rows.groupby(column)["said"].mean()
        assert found("demographic_parity_difference", column) == near(selected.max() - selected.min())
        assert framed.difference()["selection"] == near(selected.max() - selected.min())
        by_label = rows.groupby(["label", column])["said"].mean().unstack()
        assert framed.difference()["right"] == near(by_label.loc[1].max() - by_label.loc[1].min())
        gaps = by_label.max(axis=1) - by_label.min(axis=1)
        assert found("equalized_odds_difference", column) == near(gaps.max())
    cells = 0
    for (sex, race), cell in rows.groupby(["sex", "race"]):
        names = {"sex": str(sex), "race": str(race)}
        assert found.within("accuracy", **names) == near(cell["right"].mean())
        assert found.within("selection_rate", **names) == near(cell["said"].mean())
        cells += 1
    assert cells == 10
    assert found.all_asked()


def test_classification_of_two_classes(census: Census) -> None:
    from sklearn.metrics import brier_score_loss

    _, found = census.world.evaluate("classes")
    shares = np.stack([1 - census.answers, census.answers], axis=1)
    classification(found, census.labels, shares)
    assert found("brier_score") == near(2 * brier_score_loss(census.labels, census.answers))
    assert found.all_asked()


def test_membership_inference(census: Census) -> None:
    _, found = census.world.evaluate("members", train="train")
    known = set(census.keys(census.train))
    new = np.array([key not in known for key in census.keys(census.test)])
    assert 0 < (~new).sum() < TEST
    assert found("members") == TRAIN
    assert found("non_members") == new.sum()
    assert found("overlapping_rows") == (~new).sum()
    members, others = (
        np.where(np.array(rich(frame)) == 1, 1, -1) * affine(census.world.tensors, census.matrix(frame))[:, 0]
        for frame in (census.train, census.test[new])
    )
    attacked(found, members, others)
    losses = [-np.log(1 / (1 + np.exp(-scores))) for scores in (members, others)]
    below = [(loss <= losses[0].mean()).mean() for loss in losses]
    assert found("membership_advantage") == near(below[0] - below[1], 1.5 / TEST)
    assert found.all_asked()


def attacked(found: Found, members: Array, others: Array) -> None:
    """AUC and rates of an attack with these scores; arithmetic in float32 may swap two rows, so a row may be off."""
    from sklearn.metrics import roc_curve

    area = mannwhitneyu(members, others).statistic / (len(members) * len(others))
    assert found("membership_auc") == near(area, 1e-5)
    assert found("membership_auc_either") == near(max(area, 1 - area), 1e-5)
    truth = np.repeat([1, 0], [len(members), len(others)])
    false, true, _ = roc_curve(truth, np.concatenate([members, others]), drop_intermediate=False)
    for rate in RATES:
        expected = true[false <= rate].max()
        assert found("membership_tpr", falsePositiveRate=rate) == near(expected, 1.5 / len(members))


def test_likelihood_ratio_attack(census: Census, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shadow models are taken as they were trained; how sure each is, and all that follows, is computed anew."""
    train: Callable[..., Any] = lira_shadows.fit_rows
    shadows: list[tuple[Any, Array]] = []

    def fit(description: Any, pool: Any, rows: Array, *rest: Any) -> Any:
        network = train(description, pool, rows, *rest)
        shadows.append((network, rows))
        return network

    monkeypatch.setattr(lira_shadows, "fit_rows", fit)
    _, found = census.world.evaluate("lira", train="few", dataset="others")
    few, others = (parsed((census.world.folder / name).read_bytes()) for name in ("few", "others"))
    known = set(census.keys(few))
    others = others[[key not in known for key in census.keys(others)]]
    pool = pd.concat([few, others])
    inputs, sign = census.matrix(pool), np.where(np.array(rich(pool)) == 1, 1, -1)
    assert len(shadows) == 4
    sure, outside = [], []
    for network, rows in shadows:
        own = {name: value.double().numpy() for name, value in network.state_dict().items()}
        sure.append(sign * affine(own, inputs)[:, 0])
        outside.append(~np.isin(np.arange(len(pool)), rows))
    unseen = np.ma.masked_array(np.stack(sure), ~np.stack(outside))
    assert (unseen.count(axis=0) == 2).all()
    target = sign * affine(census.world.tensors, inputs)[:, 0]
    scores = ((target - unseen.mean(axis=0)) / unseen.std(axis=0)).filled()
    attacked(found, scores[:FEW], scores[FEW:])
    assert (found("members"), found("non_members")) == (FEW, len(others))
    assert found("overlapping_rows") == FEW - len(others)
    assert found.all_asked()


def test_int8_differs_by_as_much_as_its_integers(census: Census) -> None:
    predicate, files = census.world.transform("int8")
    stored = safetensors.numpy.load(files["model.safetensors"])
    weights: dict[str, Array] = {}
    for name, tensor in census.world.tensors.items():
        weights[name] = stored[name].astype(np.float64)
        if tensor.ndim == 2:
            scale = np.abs(tensor).max(axis=1) / np.float32(127)
            assert np.array_equal(stored[f"{name}.scale"], scale)
            assert np.array_equal(stored[name], np.rint(tensor / np.where(scale > 0, scale, 1)[:, None]))
            weights[name] *= scale[:, None]
            worst = content(predicate, "measured")["largestWeightDifference"][name]
            assert worst == near(np.abs(weights[name] - tensor).max(), 1e-7)
    differs(census, predicate, weights)


def test_pruned_differs_by_as_much_as_its_zeros(census: Census) -> None:
    predicate, files = census.world.transform("pruned")
    matrices = [tensor for tensor in census.world.tensors.values() if tensor.ndim == 2]
    sizes = np.sort(np.abs(np.concatenate([tensor.reshape(-1) for tensor in matrices])))
    cut = int(0.6 * len(sizes))
    assert sizes[cut - 1] < sizes[cut]
    weights = {
        name: np.where((np.abs(tensor) < sizes[cut]) & (tensor.ndim == 2), 0, tensor)
        for name, tensor in census.world.tensors.items()
    }
    stored = safetensors.numpy.load(files["model.safetensors"])
    assert all(np.array_equal(stored[name], weights[name]) for name in census.world.tensors)
    measured = content(predicate, "measured")
    assert (measured["weights"], measured["zeros"]) == (len(sizes), cut)
    differs(census, predicate, weights)


def differs(census: Census, predicate: dict[str, Any], weights: Tensors) -> None:
    """The difference that is told is that of these weights."""
    inputs = census.matrix(census.test)
    before, after = (1 / (1 + np.exp(-affine(own, inputs)[:, 0])) for own in (census.world.tensors, weights))
    gaps = np.abs(after - before)
    told = content(predicate, "difference")["from"]["parent"]
    assert gaps.max() > 1e-3, "a difference that can be seen"
    assert told["maximum"] == near(gaps.max(), 1e-6)
    assert told["mean"] == near(gaps.mean(), 1e-6)
    assert told["changed"]["rows"] == ((before >= 0.5) != (after >= 0.5)).sum()
    assert told["samples"] == told["changed"]["samples"] == TEST


def test_onnx_differs_by_as_much_as_onnxruntime_says(census: Census) -> None:
    import onnxruntime

    predicate, files = census.world.transform("onnx")
    session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {session.get_inputs()[0].name: census.matrix(census.test)})
    gaps = np.abs(said[:, 1].astype(np.float64) - census.answers)
    told = content(predicate, "difference")["from"]["parent"]
    step = 2**-23
    assert told["maximum"] == pytest.approx(gaps.max(), abs=step)
    assert told["mean"] == pytest.approx(gaps.mean(), abs=step / 10)
    assert told["changed"]["rows"] == 0
    assert gaps.max() < 1e-6


def test_model_properties(census: Census) -> None:
    payload, _ = census.world.run(census.world.job.require_model(), {"model": census.world.model})
    found = predicates.parse(statement.parse(payload))
    assert isinstance(found, Model)
    tensors = census.world.tensors
    assert {item.name: item.shape for item in found.tensors} == {name: each.shape for name, each in tensors.items()}
    everything = np.concatenate([tensor.reshape(-1) for tensor in tensors.values()]).astype(np.float64)
    assert found.weights.elements == found.weights.trainable == everything.size
    assert found.weights.bytes == 4 * everything.size
    told = [(item.statistics, tensors[item.name].astype(np.float64)) for item in found.tensors]
    for statistics, numbers in [*told, (found.weights.statistics, everything)]:
        assert (statistics.minimum, statistics.maximum) == (numbers.min(), numbers.max())
        assert (statistics.elements, statistics.zeros) == (numbers.size, (numbers == 0).sum())
        assert statistics.mean == near(numbers.mean(), 1e-12)
        assert statistics.deviation == near(numbers.std(), 1e-12)
    assert not found.findings


# --- both kinds of classification ------------------------------------------------------------------------------------


def calibration(outcomes: Array, probabilities: Array) -> float:
    """Rows in bins of equal width, closed below; 1 is a bin of its own."""
    cut: Any = pd.cut
    bins = cut(probabilities, np.linspace(0, 1, BINS + 1), right=False, labels=False)
    gaps = pd.Series(outcomes - probabilities).groupby(np.nan_to_num(bins, nan=BINS)).mean()
    shares = pd.Series(np.nan_to_num(bins, nan=BINS)).value_counts(normalize=True)
    return float((gaps.abs() * shares).sum())


def classification(found: Found, labels: Array, shares: Array) -> None:
    """Every metric of ``classification/1`` that two classes and more have in common."""
    rows, classes = shares.shape
    said = shares.argmax(axis=1)
    table = pd.crosstab(labels, said).reindex(index=range(classes), columns=range(classes), fill_value=0).to_numpy()
    hits, actual, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    f1 = 2 * hits / (actual + predicted)
    agreement, chance = hits.sum() / rows, (actual * predicted).sum() / rows**2
    assert found("accuracy") == found("micro_f1") == near(agreement)
    assert found("balanced_accuracy") == near((hits / actual).mean())
    assert found("macro_f1") == near(f1.mean())
    assert found("weighted_f1") == near((f1 * actual).sum() / rows)
    assert found("cohen_kappa") == near((agreement - chance) / (1 - chance))
    truth, guess = np.eye(classes)[labels], np.eye(classes)[said]
    both = [np.stack([one[:, k] for one in (truth, guess)]) for k in range(classes)]
    covariance = np.sum([np.cov(pair) for pair in both], axis=0)
    assert found("matthews_correlation") == near(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    assert found("brier_score") == near(((shares - truth) ** 2).sum(axis=1).mean())
    assert found("log_loss") == near(-np.log((shares * truth).sum(axis=1)).mean())
    areas = [mannwhitneyu(shares[labels == k, k], shares[labels != k, k]).statistic for k in range(classes)]
    assert found("macro_auroc") == near((areas / (actual * (rows - actual))).mean())
    chosen, right = shares.max(axis=1), said == labels
    assert found("expected_calibration_error") == near(calibration(right, chosen))
    ranks = pd.Series(chosen).rank(method="min").astype(int) - 1
    adaptive = pd.Series(right - chosen).groupby(BINS * ranks // rows).sum().abs().sum() / rows
    assert found("adaptive_calibration_error") == near(adaptive)
    each = [calibration(truth[:, k], shares[:, k]) for k in range(classes)]
    assert found("classwise_calibration_error") == near(float(np.mean(each)))
    for k in range(classes):
        assert found("precision", **{"class": k}) == near(hits[k] / predicted[k])
        assert found("recall", **{"class": k}) == near(hits[k] / actual[k])
        assert found("f1", **{"class": k}) == near(f1[k])
        for other in range(classes):
            assert found("confusion", label=k, prediction=other) == near(table[k, other] / actual[k])


def test_classification_of_ten_classes(make_world: Make) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    lines = [",".join(str(int(pixel)) for pixel in row) for row in digits.data]
    texts = [f"{line},{label}\n".encode() for line, label in zip(lines, digits.target, strict=True)]
    world = make_world(DIGITS, {"train": b"".join(texts[:1000]), "test": b"".join(texts[1000:])})
    shares = np.array([record["output"]["value"]["probabilities"] for record in world.infer()])
    labels = digits.target[1000:]
    train = digits.data[:1000]
    spread = np.where(train.std(axis=0) > 0, train.std(axis=0), 1)
    logits = affine(world.tensors, (digits.data[1000:] - train.mean(axis=0)) / spread)
    expected = torch.softmax(torch.tensor(logits), dim=1).numpy()
    assert np.abs(shares - expected).max() < 1e-5
    _, found = world.evaluate("classes")
    classification(found, labels, shares)
    order = np.argsort(-shares, axis=1)
    for k in (2, 3):
        assert found("top_k_accuracy", k=k) == near((order[:, :k] == labels[:, None]).any(axis=1).mean())
    assert found.all_asked()


# --- images of digits ------------------------------------------------------------------------------------------------


def example(name: str) -> Path:
    folder = EXAMPLES / name / "data"
    if not folder.exists():
        pytest.fail(f"expected the data of the example in {folder}: make examples-data")
    return folder


def damaged(name: str, severity: int, images: Array, seed: bytes) -> Array:
    """The images after a corruption, as the table of the measurer's documentation defines it."""
    key = json.dumps(["corruption", [name, str(severity)]], separators=(",", ":")).encode()
    bits = np.random.PCG64(int(hashlib.sha256(seed + key).hexdigest(), 16))
    random = np.random.Generator(bits)
    first = severity == 1
    match name:
        case "gaussian-noise":
            found = images + random.normal(size=images.shape) * (0.04 if first else 0.08)
        case "impulse-noise":
            amount = 0.01 if first else 0.03
            draws = random.random(images.shape)
            found = images.copy()
            found[draws < amount / 2] = 0
            found[draws >= 1 - amount / 2] = 1
        case "brightness":
            found = images + (0.05 if first else 0.15)
        case "contrast":
            kept = 0.75 if first else 0.4
            found = kept * images + (1 - kept) * images.mean(axis=(1, 2))[:, None, None]
        case _:
            found = np.stack([squeezed(image, 26 if first else 23) for image in images])
    as_a_file: Array = np.rint(found.clip(0, 1) * 255) / 255
    return as_a_file


def squeezed(image: Array, side: int) -> Array:
    """Down to so many pixels, each the mean of those whose middle it covers, and back by the nearest."""
    middles = (np.arange(28) + 0.5) * side / 28
    cover = (np.floor(middles) == np.arange(side)[:, None]).astype(float)
    cover /= cover.sum(axis=1, keepdims=True)
    back = np.floor((np.arange(28) + 0.5) * side / 28).astype(int)
    small: Array = cover @ image @ cover.T
    large: Array = small[back][:, back]
    return large


def convolved(tensors: Tensors, description: dict[str, Any], images: Array) -> Array:
    """What the network says: two blocks of convolution, ReLU and pooling, then one linear layer."""
    weights = {name: torch.tensor(value) for name, value in tensors.items()}
    values = torch.tensor((images - description["mean"][0]) / description["deviation"][0], dtype=torch.float32)[:, None]
    for block in range(2):
        values = torch.conv2d(values, weights[f"conv{block}.weight"], weights[f"conv{block}.bias"], padding=1)
        values = torch.max_pool2d(values.relu(), 2)
    return (values.flatten(1) @ weights["linear0.weight"].T + weights["linear0.bias"]).numpy()


def test_corruptions_of_digits(make_world: Make) -> None:
    folder = example("digits")
    files: dict[str, dict[str, bytes]] = {}
    for name, count in (("train", 60), ("test", 25)):
        chosen = [path for k in range(10) for path in sorted((folder / name / str(k)).glob("*.png"))[:count]]
        files[name] = {path.relative_to(folder / name).as_posix(): path.read_bytes() for path in chosen}
    world = make_world(IMAGES, files)
    statement_, found = world.evaluate("evaluation")
    seed = bytes.fromhex(statement_.seed.value.sha256)
    description = json.loads(world.files["model.json"])
    pixels = {
        name: np.stack([np.asarray(Image.open(io.BytesIO(data))) for _, data in sorted(each.items())]) / 255
        for name, each in files.items()
    }
    assert description["mean"] == [near(pixels["train"].mean(), 1e-6)]
    assert description["deviation"] == [near(pixels["train"].std(), 1e-6)]
    labels = np.array([int(path.split("/")[0]) for path in sorted(files["test"])])

    def right(images: Array) -> Array:
        found: Array = convolved(world.tensors, description, images).argmax(axis=1) == labels
        return found

    clean = right(pixels["test"])
    assert found("accuracy") == near(clean.mean())
    assert 0.5 < clean.mean() < 1, "a model that damage can hurt"
    parts = []
    for name, severity in itertools.product(DAMAGES, SEVERITIES):
        parts.append(right(damaged(name, severity, pixels["test"], seed)).mean())
        assert found("corruption_accuracy", corruption=name, severity=severity) == near(parts[-1])
    assert len(set(parts)) > 3, "damage that can be told apart"
    over = {"corruptions": ",".join(DAMAGES)}
    assert found("mean_corruption_accuracy", **over) == near(np.mean(parts))
    assert found("relative_corruption_drop", **over) == near(1 - np.mean(parts) / clean.mean())
    assert found.all_asked()


# --- texts, and tables that almost agree -----------------------------------------------------------------------------


MOVIES = f"""{HEAD}
schemas:
  snippets: {{format: csv, delimiter: "\\t", header: false, trim: false, nullToken: null,
    columns: [{{name: id, type: integer}}, {{name: rating, type: number}}, {{name: text, type: string}}],
    label: {{column: rating, type: number}}}}
datasets:
  corpus: {{schema: snippets, skipLines: 0, groups: [], overlap: []}}
  sample:
    schema: snippets
    skipLines: 0
    groups: []
    overlap: []
    properties:
      nearDuplicates: [{{column: text, normalization: [casefold], unit: letters, size: 1, threshold: 0.3,
        permutations: 64, bands: 64, rows: 1}}]
      ngramOverlap: [{{column: text, with: corpus, otherColumn: text, n: 3, normalization: [casefold], words: letters}}]
"""


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def test_near_duplicates_and_shared_runs_of_snippets(tmp_path: Path) -> None:
    lines = (example("movie-snippets") / "snippets.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    text_of = {line: line.rstrip("\n").split("\t")[2] for line in lines}
    twice = pd.Series(text_of).loc[lambda texts: texts.duplicated(keep=False)].index.tolist()
    ordered = sorted(lines, key=lambda line: text_of[line].casefold())
    sample = list(dict.fromkeys([*twice, *ordered[8000:]]))[:400]
    corpus = [line for line in lines if line not in set(sample)][:400]
    for name, chosen in (("sample", sample), ("corpus", corpus)):
        (tmp_path / name).write_text("".join(chosen), encoding="utf-8")
    job = load_job(MOVIES.encode(), "job.yaml")
    with (
        read_verified(tmp_path / "sample", "dataset") as subject,
        read_verified(tmp_path / "corpus", "dataset") as other,
    ):
        payload = measure_dataset(subject, name="sample", job=job, others={"corpus": other})
    sheet = predicates.parse(statement.parse(payload))
    assert isinstance(sheet, Dataset)

    bags = [frozenset(words(text_of[line])) for line in sample]
    alike = [
        (i, j)
        for i, j in itertools.combinations(range(len(bags)), 2)
        if 10 * len(bags[i] & bags[j]) >= 3 * len(bags[i] | bags[j])
    ]
    (near_,) = sheet.near_duplicates
    assert (near_.samples, near_.distinct) == (400, len(set(bags)))
    assert near_.distinct < 400, "snippets that occur twice"
    assert near_.pairs == len({frozenset((bags[i], bags[j])) for i, j in alike if bags[i] != bags[j]}) > 5
    assert near_.documents == len({index for pair in alike for index in pair})
    assert near_.recall == near(1 - 0.7**64)

    runs = {line: list(zip(*(words(text_of[line])[k:] for k in range(3)), strict=False)) for line in lines}
    seen = {run for line in corpus for run in runs[line]}
    mine = [run for line in sample for run in runs[line]]
    (shared,) = sheet.ngram_overlap
    assert (shared.samples, shared.ngrams, shared.occurrences) == (400, len(set(mine)), len(mine))
    assert shared.shared == len(set(mine) & seen) > 0
    assert shared.shared_occurrences == sum(run in seen for run in mine)
    assert shared.documents == sum(not seen.isdisjoint(runs[line]) for line in sample)


COMPARED = ("age", "workclass", "education", "race", "sex", "hours-per-week")


@pytest.mark.parametrize("normalised", [False, True])
def test_overlap_of_rows_written_in_two_ways(adult: Path, tmp_path: Path, normalised: bool) -> None:
    """Adult's training rows against its test rows, every third of them with its texts in capitals and its age off."""
    lines = (adult / "adult.data").read_bytes().splitlines(keepends=True)[:3000]
    mine = b"".join(lines)
    theirs = parsed(b"".join((adult / "adult.test").read_bytes().splitlines(keepends=True)[1:3001]))
    odd = theirs.index % 3 == 0
    theirs["age"] = theirs["age"].astype(float).where(~odd, theirs["age"] + 0.25)
    for name in set(COLUMNS) - NUMBERS - {"income"}:
        theirs[name] = theirs[name].where(~odd, " " + theirs[name].str.upper())
    (tmp_path / "mine").write_bytes(mine)
    (tmp_path / "theirs").write_text(theirs.to_csv(index=False, header=False, na_rep="?"), encoding="utf-8")
    schemas = ADULT[: ADULT.index("datasets:")]
    asked = ", properties: {normalization: {text: [trim, casefold], digits: 0}}" if normalised else ""
    text = (
        schemas.replace("{name: age, type: integer}", "{name: age, type: number}")
        + f"""datasets:
  theirs: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
  mine: {{schema: adult, skipLines: 0, groups: [],
    overlap: [{{dataset: theirs, columns: [{", ".join(COMPARED)}]}}]{asked}}}
"""
    )
    job = load_job(text.encode(), "job.yaml")
    with (
        read_verified(tmp_path / "mine", "dataset") as subject,
        read_verified(tmp_path / "theirs", "dataset") as other,
    ):
        payload = measure_dataset(subject, name="mine", job=job, others={"theirs": other})
    sheet = predicates.parse(statement.parse(payload))
    assert isinstance(sheet, Dataset)

    def keys(frame: pd.DataFrame) -> pd.MultiIndex:
        chosen = frame[list(COMPARED)].copy()
        for name in set(COMPARED) - NUMBERS:
            chosen[name] = chosen[name].fillna("?").str.strip()
            chosen[name] = chosen[name].str.lower() if normalised else chosen[name]
        chosen["age"] = chosen["age"].round() if normalised else chosen["age"]
        return pd.MultiIndex.from_frame(chosen)

    own, their = keys(parsed(mine)), keys(theirs)
    (overlap,) = sheet.overlaps
    assert overlap.samples == 3000
    assert overlap.rows == own.isin(their).sum() > 100
    assert overlap.distinct == len(own.unique().intersection(their.unique()))

"""Measured values on real data against other computations: pandas, NumPy, SciPy, scikit-learn, torch by hand.

The measurers hold their formulas against libraries themselves; here the answers of a model are computed anew from the
bytes of the data and of the weights, and every value by a formula or a call that the measurers do not use. Attacks,
transforms, images and texts are in `test_real_values_attacks` and so on.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu

from lamslsa import predicates, statement
from lamslsa.measure import Context, Given
from lamslsa.predicates import Model
from tests.unit.measure.real_world import (
    ADAM,
    BINS,
    CLASSES,
    HEAD,
    SEEN,
    TEN,
    TEST,
    Array,
    Census,
    Found,
    Make,
    affine,
    near,
)

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


def test_answers_are_those_of_torch_by_hand(census: Census) -> None:
    expected = 1 / (1 + np.exp(-affine(census.world.tensors, census.matrix(census.test))[:, 0]))
    assert np.abs(census.answers - expected).max() < 1e-6
    assert census.answers.std() > 0.1, "a model that says something"


def test_inputs_are_the_rows_of_the_file(census: Census) -> None:
    told = pd.DataFrame([record["input"]["value"] for record in census.world.infer()])
    assert set(told.columns) == set(SEEN)
    for name in SEEN:
        assert told[name].fillna("?").tolist() == census.test[name].fillna("?").tolist()


def test_root_of_all_answers(census: Census) -> None:
    """RFC 9162, section 2.1.1, from the top down, over the records as the receipts have them."""
    plan = census.world.job.require_inference()
    inputs = {"model": census.world.model, "dataset": census.world.data["test"]}
    outcome = plan.measure({role: Given(artifact=each, name=role) for role, each in inputs.items()}, Context())
    leaves: list[bytes] = []
    for line in outcome.private["receipts.jsonl"].decode().splitlines():
        text = line.partition('"record":')[2]
        record, end = json.JSONDecoder().raw_decode(text)
        assert record["index"] == len(leaves)
        leaves.append(text[:end].encode())

    def root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        half = 2 ** ((len(leaves) - 1).bit_length() - 1)
        return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()

    (payload,) = outcome.statements
    told = json.loads(payload.data)["predicate"]["records"]
    assert told["size"] == len(leaves) == TEST
    assert told["root"]["sha256"] == root(leaves).hex()


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


def test_model_properties(census: Census) -> None:
    payload, _ = census.world.run(census.world.job.require_model(), {"model": census.world.model})
    found = predicates.parse(statement.parse(payload))
    assert isinstance(found, Model)
    tensors = census.world.tensors
    assert {item.name: item.shape for item in found.tensors} == {name: each.shape for name, each in tensors.items()}
    everything = np.concatenate([tensor.reshape(-1) for tensor in tensors.values()]).astype(np.float64)
    assert found.weights.elements == found.weights.trainable == everything.size
    assert found.weights.bytes == 4 * everything.size
    assert found.weights.tensors == len(tensors)
    assert found.weights.dtypes == {"F32": everything.size}
    assert {item.path: item.digest.sha256 for item in found.files} == {
        path: hashlib.sha256(data).hexdigest() for path, data in census.world.files.items()
    }
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

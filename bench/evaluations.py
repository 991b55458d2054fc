"""An evaluation, and the same metrics of the same answers by calling scikit-learn, torchmetrics and fairlearn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equalized_odds_difference, selection_rate
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error

from lamslsa.artifact.reader import read_verified
from lamslsa.measure import Context, Given, Job
from lamslsa.measure.evaluation import intervals
from lamslsa.measure.evaluation.asked import answer
from lamslsa.measure.evaluation.metrics import Answers, compute_metrics
from lamslsa.measure.evaluation.tabular import TabularEvaluation
from lamslsa.testing.measuring import tabular_evaluation

__all__ = ["Evaluated", "compare_evaluation"]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Medians of CPU seconds: the libraries, ours without its bootstrap, the bootstrap; and of ours over theirs."""

    libraries: float
    ours: float
    bootstrap: float
    ratio: float


def by_libraries(answers: Answers, job: TabularEvaluation) -> dict[str, float]:
    labels, scores = answers.labels, answers.scores
    predictions = (scores >= job.threshold).astype(np.int64)
    found = {
        "accuracy": accuracy_score(labels, predictions),
        "balanced_accuracy": balanced_accuracy_score(labels, predictions),
        "f1": f1_score(labels, predictions),
        "auroc": roc_auc_score(labels, scores),
        "expected_calibration_error": binary_calibration_error(
            torch.from_numpy(scores).to(torch.float64), torch.tensor(labels), n_bins=job.calibration_bins, norm="l1"
        ),
    }
    for columns in job.groups:
        groups = np.array(["/".join(row) for row in zip(*(answers.groups[name] for name in columns), strict=True)])
        for metric in (demographic_parity_difference, equalized_odds_difference):
            name = f"{metric.__name__} {'/'.join(columns)}"
            found[name] = metric(labels, predictions, sensitive_features=groups)
    for columns in job.slices:
        features = {name: answers.groups[name] for name in columns}
        frame = MetricFrame(
            metrics={"accuracy": accuracy_score, "selection_rate": selection_rate},
            y_true=labels,
            y_pred=predictions,
            sensitive_features=features,
        ).by_group
        for row in frame.reset_index().to_dict("records"):
            cell = "/".join(str(row[name]) for name in columns)
            found |= {f"{name} {cell}": row[name] for name in ("accuracy", "selection_rate")}
    return {name: float(value) for name, value in found.items()}


def by_measurer(answers: Answers, job: TabularEvaluation) -> dict[str, float]:
    found = {}
    for metric in compute_metrics(answers, job=job, seed=bytes(32)):
        about = "/".join(metric.slice.values()) if metric.slice else "/".join(metric.groups or ())
        if metric.value is not None:
            found[f"{metric.name} {about}".strip()] = metric.value
    return found


@contextmanager
def apart(spent: list[float]) -> Iterator[None]:
    """What the bootstrap takes is added to `spent`; whoever measures calls it by its module."""

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def work(*arguments: Any, **keywords: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **keywords)
            finally:
                spent.append(time.process_time() - began)

        return work

    kept = {name: getattr(intervals, name) for name in ("bootstrap_counts", "bootstrap_rows")}
    for name, function in kept.items():
        setattr(intervals, name, timed(function))
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(intervals, name, function)


def compare_evaluation(model: Path, data: Path, job: Job, *, turns: int, slices: bool) -> Evaluated:
    """Both over the same answers, in turns; the first turn warms up."""
    plan = replace(tabular_evaluation(job), resamples=1)
    plan = plan if slices else replace(plan, slices=())
    with read_verified(model, "model") as model_files, read_verified(data, "dataset") as rows:
        asked = tuple(dict.fromkeys((*plan.groups, *plan.slices)))
        replies = answer(
            Given(artifact=model_files, name="model"), Given(artifact=rows, name="rows"), plan.dataset, asked, Context()
        )
    answers = Answers(labels=replies.labels, scores=replies.scores, groups=dict(replies.groups))
    taken: list[tuple[float, float, float]] = []
    for turn in range(turns + 1):
        seconds = [0.0, 0.0]
        values: list[dict[str, float]] = [{}, {}]
        spent: list[float] = []
        for side in (0, 1) if turn % 2 else (1, 0):
            began = time.process_time()
            if side:
                with apart(spent):
                    values[1] = by_measurer(answers, plan)
            else:
                values[0] = by_libraries(answers, plan)
            seconds[side] = time.process_time() - began
        for name, value in values[0].items():
            assert abs(value - values[1][name]) < 1e-6, (name, value, values[1][name])
        assert values[0].keys() == values[1].keys(), values[0].keys() ^ values[1].keys()
        if turn:
            assert spent, "no bootstrap was seen"
            taken.append((seconds[0], seconds[1] - sum(spent), sum(spent)))
    return Evaluated(
        libraries=statistics.median(item[0] for item in taken),
        ours=statistics.median(item[1] for item in taken),
        bootstrap=statistics.median(item[2] for item in taken),
        ratio=statistics.median(item[1] / item[0] for item in taken),
    )

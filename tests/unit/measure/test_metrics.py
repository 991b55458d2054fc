"""Every metric against a computation of its own; what has no value says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamslsa.errors import FormatError, LamslsaError
from lamslsa.measure import Job
from lamslsa.measure.evaluation import intervals, metrics
from lamslsa.measure.evaluation.metrics import Answers, compute_metrics
from lamslsa.measure.evaluation.tabular import TabularEvaluation
from lamslsa.predicates.evaluation import Metric
from lamslsa.testing.measuring import tabular_evaluation

SEED = bytes(range(32))
MakeJob = Callable[..., Job]
Key = tuple[str, tuple[str, ...], tuple[str, ...]]


def drawn(count: int, seed: int = 0) -> Answers:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    scores = np.clip(random.normal(0.35 + 0.3 * labels, 0.25), 0, 1).astype(np.float32)
    scores[: count // 10] = np.float32(0.5)
    return Answers(
        labels=labels.astype(np.int64),
        scores=scores,
        groups={
            "sex": random.choice(["Male", "Female"], count).tolist(),
            "race": random.choice(["White", "Black", "Other"], count, p=[0.7, 0.2, 0.1]).tolist(),
        },
    )


def outcome(labels: list[int], scores: list[float], sex: list[str], race: list[str] | None = None) -> Answers:
    groups = {"sex": sex, "race": race or ["x"] * len(sex)}
    return Answers(labels=np.array(labels, np.int64), scores=np.array(scores, np.float32), groups=groups)


def by_key(found: tuple[Metric, ...]) -> dict[Key, Metric]:
    result = {(item.name, item.groups, tuple((item.slice or {}).values())): item for item in found}
    assert len(result) == len(found)
    return result


@pytest.fixture
def parameters(job: Job) -> TabularEvaluation:
    return tabular_evaluation(job)


def plain_values(of: Answers, threshold: float, bins: int) -> dict[Key, float]:
    """Every value in plain Python, from the definitions."""
    rows = list(zip(of.labels.tolist(), of.scores.tolist(), of.groups["sex"], of.groups["race"], strict=True))
    facts = [(label, int(score >= threshold), sex, race) for label, score, sex, race in rows]

    def share(chosen: list[bool]) -> float:
        return sum(chosen) / len(chosen)

    def rate(prediction_is: int, where: Callable[[Any], bool]) -> float:
        return share([fact[1] == prediction_is for fact in facts if where(fact)])

    true_positive = sum(fact[:2] == (1, 1) for fact in facts)
    wrong = sum(fact[0] != fact[1] for fact in facts)
    pairs = [
        (score > other) + (score == other) / 2
        for label, score, *_ in rows
        for other_label, other, *_ in rows
        if label and not other_label
    ]
    in_bins: dict[int, list[tuple[int, float]]] = {}
    for label, score, *_ in rows:
        in_bins.setdefault(math.floor(score * bins), []).append((label, score))
    error = sum(abs(sum(label - score for label, score in inside)) for inside in in_bins.values()) / len(rows)
    values: dict[Key, float] = {
        ("accuracy", (), ()): share([fact[0] == fact[1] for fact in facts]),
        ("balanced_accuracy", (), ()): (rate(1, lambda f: f[0] == 1) + rate(0, lambda f: f[0] == 0)) / 2,
        ("f1", (), ()): 2 * true_positive / (2 * true_positive + wrong),
        ("auroc", (), ()): math.fsum(pairs) / len(pairs),
        ("expected_calibration_error", (), ()): error,
    }
    for position, column in ((2, "sex"), (3, "race")):
        names = {fact[position] for fact in facts}
        selected = [rate(1, lambda f, n=name, p=position: f[p] == n) for name in names]  # type: ignore[misc]
        by_label = [
            [rate(1, lambda f, n=name, p=position, t=label: (f[p], f[0]) == (n, t)) for name in names]  # type: ignore[misc]
            for label in (0, 1)
        ]
        values["demographic_parity_difference", (column,), ()] = max(selected) - min(selected)
        values["equalized_odds_difference", (column,), ()] = max(max(rates) - min(rates) for rates in by_label)
    for sex in ("Female", "Male"):
        for race in ("Black", "Other", "White"):
            cell = [fact for fact in facts if fact[2:] == (sex, race)]
            values["accuracy", (), (sex, race)] = share([fact[0] == fact[1] for fact in cell])
            values["selection_rate", (), (sex, race)] = share([bool(fact[1]) for fact in cell])
    return values


@pytest.mark.parametrize("threshold", [0.5, 0.25])
def test_values_are_those_of_the_definitions(make_job: MakeJob, threshold: float) -> None:
    job = make_job(("threshold: 0.5", f"threshold: {threshold}"), ("resamples: 200", "resamples: 2"))
    of = drawn(400)
    found = by_key(compute_metrics(of, job=tabular_evaluation(job), seed=SEED))
    expected = plain_values(of, threshold, bins=10)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].value == pytest.approx(value, abs=1e-9), key
        assert found[key].undefined is None


def test_samples_and_methods(parameters: TabularEvaluation) -> None:
    of = drawn(400)
    for (name, _, cell), metric in by_key(compute_metrics(of, job=parameters, seed=SEED)).items():
        pairs = list(zip(of.groups["sex"], of.groups["race"], strict=True))
        assert metric.samples == (pairs.count((cell[0], cell[1])) if cell else 400)
        assert metric.interval is not None
        proportion = name in ("accuracy", "selection_rate")
        bootstrap = (
            "hull-bootstrap" if "error" in metric.name or "difference" in metric.name else "percentile-bootstrap"
        )
        assert metric.interval.method == ("wilson" if proportion else bootstrap)
        assert metric.interval.resamples == (None if proportion else 200)
        assert metric.interval.level == 0.95
        assert metric.value is not None
        assert metric.interval.lower <= metric.value <= metric.interval.upper
        assert metric.interval.lower < metric.interval.upper


def test_interval_of_a_largest_difference_reaches_nothing_and_holds_the_value(make_job: Callable[..., Job]) -> None:
    """Fair and calibrated by construction: a percentile interval alone would exclude 0, and now and then the value."""
    job = tabular_evaluation(make_job())
    reached = dict.fromkeys(("demographic_parity_difference", "expected_calibration_error"), 0)
    for seed in range(20):
        random = np.random.default_rng(seed)
        scores = random.uniform(0.02, 0.98, 300).astype(np.float32)
        of = Answers(
            labels=(random.uniform(size=300) < scores).astype(np.int64),
            scores=scores,
            groups={name: random.choice(["a", "b"], 300).tolist() for name in ("sex", "race")},
        )
        for metric in compute_metrics(of, job=job, seed=bytes([seed]) * 32):
            if metric.name in reached and metric.groups in ((), ("sex",)):
                assert metric.interval is not None
                assert metric.value is not None
                assert metric.interval.lower <= metric.value <= metric.interval.upper
                reached[metric.name] += metric.interval.lower == 0
    assert reached["demographic_parity_difference"] >= 18, reached
    # the calibration error of a sample is itself too large by chance, which no interval around it undoes
    assert reached["expected_calibration_error"] >= 6, reached


@pytest.mark.parametrize(("successes", "samples"), [(0, 5), (5, 5), (3, 10), (13_800, 16_281)])
def test_wilson_is_the_textbook_formula(successes: int, samples: int) -> None:
    z = 1.959963984540054
    share = successes / samples
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples**2)) / (1 + z * z / samples)
    lower, upper = intervals.wilson(successes, samples, level=0.95)
    assert lower == pytest.approx(max(0, centre - half), abs=1e-12)
    assert upper == pytest.approx(min(1, centre + half), abs=1e-12)


def test_bootstrap_of_counts_is_that_of_rows(parameters: TabularEvaluation) -> None:
    """Resampling rows and scoring each resample with the libraries gives the same interval, up to chance."""
    from fairlearn.metrics import demographic_parity_difference
    from sklearn.metrics import balanced_accuracy_score, f1_score

    of = drawn(300, seed=3)
    predictions = (of.scores >= 0.5).astype(int)
    sex = np.array(of.groups["sex"])
    random = np.random.default_rng(5)
    values: dict[Key, list[float]] = {}
    for _ in range(200):
        rows = random.integers(0, 300, 300)
        label, prediction = of.labels[rows], predictions[rows]
        values.setdefault(("f1", (), ()), []).append(f1_score(label, prediction))
        values.setdefault(("balanced_accuracy", (), ()), []).append(balanced_accuracy_score(label, prediction))
        values.setdefault(("demographic_parity_difference", ("sex",), ()), []).append(
            demographic_parity_difference(label, prediction, sensitive_features=sex[rows])
        )
    found = by_key(compute_metrics(of, job=parameters, seed=SEED))
    for key, resampled in values.items():
        interval = found[key].interval
        assert interval is not None
        width = np.quantile(resampled, 0.975) - np.quantile(resampled, 0.025)
        assert interval.lower == pytest.approx(np.quantile(resampled, 0.025), abs=0.25 * width)
        assert interval.upper == pytest.approx(np.quantile(resampled, 0.975), abs=0.25 * width)


def test_bootstrap_of_rows_uses_the_rows_it_draws() -> None:
    from sklearn.metrics import roc_auc_score
    from torch import from_numpy
    from torchmetrics.functional.classification import binary_calibration_error

    of = drawn(200, seed=4)
    auroc = intervals.AurocRows(of.labels, of.scores)
    calibration = intervals.CalibrationRows(of.labels, of.scores, edges=np.linspace(0, 1, 11))
    random = np.random.default_rng(6)
    for _ in range(20):
        rows = random.integers(0, 200, 200)
        assert auroc(rows) == pytest.approx(roc_auc_score(of.labels[rows], of.scores[rows]), abs=1e-12)
        expected = binary_calibration_error(
            from_numpy(of.scores[rows]).double(), from_numpy(of.labels[rows]), n_bins=10
        )
        assert calibration(rows) == pytest.approx(float(expected), abs=1e-12)


def test_values_do_not_depend_on_what_else_was_asked_for(make_job: MakeJob) -> None:
    of = drawn(300)
    everything = by_key(compute_metrics(of, job=tabular_evaluation(make_job()), seed=SEED))
    other = make_job(("groups: [[sex], [race]], slices: [[sex, race]]", "groups: [[race], [race, sex]], slices: []"))
    fewer = by_key(compute_metrics(of, job=tabular_evaluation(other), seed=SEED))
    shared = everything.keys() & fewer.keys()
    assert len(shared) == 7
    assert all(everything[key] == fewer[key] for key in shared)


def test_intervals_follow_the_seed(parameters: TabularEvaluation) -> None:
    of = drawn(300)
    one, again = (by_key(compute_metrics(of, job=parameters, seed=SEED)) for _ in range(2))
    other = by_key(compute_metrics(of, job=parameters, seed=bytes(32)))
    assert one == again
    for key, metric in one.items():
        assert metric.value == other[key].value
        assert (metric.interval == other[key].interval) == (key[0] in ("accuracy", "selection_rate"))


def test_one_class_has_no_balanced_accuracy_nor_auroc(parameters: TabularEvaluation) -> None:
    found = by_key(compute_metrics(outcome([1, 1], [0.9, 0.2], ["a", "b"]), job=parameters, seed=SEED))
    for key in (("balanced_accuracy", (), ()), ("auroc", (), ()), ("equalized_odds_difference", ("sex",), ())):
        assert found[key].value is None
        assert found[key].interval is None
        assert found[key].undefined
        assert "one class" in str(found[key].undefined)
    assert found["f1", (), ()].value == pytest.approx(2 / 3)
    assert found["demographic_parity_difference", ("sex",), ()].value == 1.0


def test_f1_of_nothing_is_undefined(parameters: TabularEvaluation) -> None:
    found = by_key(compute_metrics(outcome([0, 0], [0.1, 0.2], ["a", "b"]), job=parameters, seed=SEED))
    assert found["f1", (), ()] == Metric(name="f1", samples=2, undefined="no row is of class 1 or predicted as such")


def test_one_group_has_no_difference(parameters: TabularEvaluation) -> None:
    found = by_key(
        compute_metrics(outcome([0, 1, 1, 0], [0.1, 0.9, 0.2, 0.8], list("aabb")), job=parameters, seed=SEED)
    )
    for name in ("demographic_parity_difference", "equalized_odds_difference"):
        assert found[name, ("race",), ()].value is None
        assert found[name, ("race",), ()].undefined == "there is one group only"
        assert found[name, ("sex",), ()].value is not None


def test_group_without_positives_has_no_equalized_odds(parameters: TabularEvaluation) -> None:
    labels, scores = [0, 1, 0, 0], [0.1, 0.9, 0.2, 0.8]
    found = by_key(compute_metrics(outcome(labels, scores, list("aabb")), job=parameters, seed=SEED))
    metric = found["equalized_odds_difference", ("sex",), ()]
    assert (metric.value, metric.undefined) == (None, "the labels of the group b hold one class only")


def test_slice_without_rows_is_undefined(parameters: TabularEvaluation) -> None:
    of = outcome([0, 1, 1], [0.1, 0.9, 0.2], ["m", "m", "f"], ["w", "b", "w"])
    found = by_key(compute_metrics(of, job=parameters, seed=SEED))
    for name in ("accuracy", "selection_rate"):
        assert found[name, (), ("f", "b")] == Metric(
            name=name, samples=0, undefined="the slice has no rows", slice={"sex": "f", "race": "b"}
        )
        assert found[name, (), ("f", "w")].samples == 1


def test_interval_is_left_out_when_a_resample_has_no_value(parameters: TabularEvaluation) -> None:
    of = outcome([0, 1, 1, 0, 1], [0.1, 0.9, 0.2, 0.8, 0.7], list("aabba"))
    found = by_key(compute_metrics(of, job=parameters, seed=SEED))
    for key in (("balanced_accuracy", (), ()), ("auroc", (), ()), ("demographic_parity_difference", ("sex",), ())):
        assert found[key].value is not None
        assert found[key].interval is None


def test_prediction_is_one_at_the_threshold(parameters: TabularEvaluation) -> None:
    found = by_key(compute_metrics(outcome([1, 0], [0.5, 0.499999], ["a", "b"]), job=parameters, seed=SEED))
    assert found["accuracy", (), ()].value == 1.0


@pytest.mark.parametrize("scores", [[0.0, 1.0, 1.0, 0.0], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5]])
@pytest.mark.parametrize("bins", [1, 5, 8, 15])
def test_probabilities_on_the_edges_of_bins(make_job: MakeJob, scores: list[float], bins: int) -> None:
    job = make_job(("calibrationBins: 10", f"calibrationBins: {bins}"))
    of = outcome([0, 1, 0, 1], scores, list("abab"))
    found = by_key(compute_metrics(of, job=tabular_evaluation(job), seed=SEED))
    assert found["expected_calibration_error", (), ()].value is not None


def test_too_many_groups_are_refused(
    make_job: MakeJob, parameters: TabularEvaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_GROUPS", 2)
    with pytest.raises(FormatError) as groups:
        compute_metrics(drawn(100), job=parameters, seed=SEED)
    only_slices = make_job(("groups: [[sex], [race]], slices", "groups: [], slices"))
    of = outcome([0, 1], [0.1, 0.9], ["a", "b"], ["c", "d"])
    with pytest.raises(FormatError) as cells:
        compute_metrics(of, job=tabular_evaluation(only_slices), seed=SEED)
    assert groups.value.reason == cells.value.reason == "evaluation-groups"


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("balanced_accuracy", lambda counts: counts[..., 1, 1] * 0.0),
        ("f1", lambda counts: counts[..., 1, 1] * 0.0),
        ("demographic_parity_difference", lambda counts: counts[..., 0, 1, 1] * 0.0),
        ("equalized_odds_difference", lambda counts: counts[..., 0, 1, 1] * np.nan),
    ],
)
def test_two_computations_that_disagree_are_not_reported(
    parameters: TabularEvaluation, monkeypatch: pytest.MonkeyPatch, name: str, broken: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(intervals, name, broken)
    with pytest.raises(LamslsaError) as caught:
        compute_metrics(drawn(100), job=parameters, seed=SEED)
    assert caught.value.reason == "metric-disagreement"
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["AurocRows", "CalibrationRows"])
def test_row_formulas_that_disagree_are_not_reported(
    parameters: TabularEvaluation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(getattr(intervals, name), "__call__", lambda *_: 0.0)
    with pytest.raises(LamslsaError) as caught:
        compute_metrics(drawn(100), job=parameters, seed=SEED)
    assert caught.value.reason == "metric-disagreement"

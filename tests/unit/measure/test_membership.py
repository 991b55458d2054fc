"""Membership inference by loss: other libraries, brute force, models that memorise and models that cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.measure import Context, Job
from lamslsa.measure.data.schema import Task
from lamslsa.measure.evaluation.membership_rates import Bootstrap, Separation, membership_metrics
from lamslsa.measure.evaluation.membership_rows import confidences, keys, logit_of, read_rows
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.predicates import Evaluation
from lamslsa.testing.measuring import run_plan
from tests.unit.measure.conftest import JOB, draw_rows, to_csv

torch = pytest.importorskip("torch")

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]
SEED = bytes(range(32))
EVALUATION = JOB[JOB.index("evaluation: ") :].rstrip()
MEMBERSHIP = """evaluation: {measurer: membership-inference/1, dataset: people-test, train: people-train, rows: all,
  confidenceLevel: 0.95, resamples: 50, falsePositiveRates: [0.001, 0.01, 0.1]}"""


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


def how(resamples: int = 200) -> Bootstrap:
    return Bootstrap(level=0.95, resamples=resamples, seed=SEED)


@pytest.mark.parametrize("decimals", [9, 1])
def test_rates_are_those_of_scikit_learn(decimals: int) -> None:
    """With ties, where scores are rounded, and without."""
    from sklearn.metrics import roc_auc_score, roc_curve

    source = np.random.default_rng(0)
    members, others = source.normal(0.7, 1.2, 1500).round(decimals), source.normal(0, 1, 1100).round(decimals)
    truth = np.repeat([1, 0], [1500, 1100])
    scores = np.concatenate([members, others])
    metrics = membership_metrics(members, others, rates=(0.001, 0.01, 0.2), how=how(5), advantage=True)
    named = ["membership_auc", "membership_auc_either", "membership_advantage"]
    assert [metric.name for metric in metrics] == named + 3 * ["membership_tpr"]
    assert metrics[0].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert metrics[1].value == metrics[0].value
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    for metric in metrics[3:]:
        assert metric.parameters is not None
        assert metric.value == true[false <= metric.parameters["falsePositiveRate"]].max()
        assert metric.samples == 2600
    losses = np.log1p(np.exp(-scores))
    called = losses <= losses[:1500].mean()
    assert metrics[2].value == pytest.approx(called[:1500].mean() - called[1500:].mean())


def test_membership_told_backwards_counts_as_much() -> None:
    """Members of lower scores: whoever turns the score around has the same attack."""
    source = np.random.default_rng(0)
    members, others = source.normal(-3, 1, 2000), source.normal(0, 1, 2000)
    auc, either, *_ = membership_metrics(members, others, rates=(0.01,), how=how(20), advantage=True)
    turned, same, *_ = membership_metrics(others, members, rates=(0.01,), how=how(20), advantage=True)
    assert (auc.value or 0) < 0.05
    assert either.name == "membership_auc_either"
    assert either.value == 1 - (auc.value or 0)
    assert turned.value == same.value == pytest.approx(either.value)
    assert either.interval is not None
    assert 0.97 < either.interval.lower <= either.value <= either.interval.upper


def test_exact_rates_are_reached() -> None:
    """Ten of a thousand others are 1 %, whatever floats say of 0.01 x 1000; one tie more is too many."""
    others = np.concatenate([np.full(10, 5.0), np.zeros(990)])
    members = np.concatenate([np.full(4, 5.0), np.full(3, 7.0), np.full(3, 0.0)])
    by_rank = Separation(members, others)
    assert by_rank.true_positive_rate(0.01)(*by_rank.counts()) == 0.7
    assert by_rank.true_positive_rate(0.0099)(*by_rank.counts()) == 0.3
    tied = Separation(members, np.concatenate([np.full(11, 5.0), np.zeros(989)]))
    assert tied.true_positive_rate(0.01)(*tied.counts()) == 0.3
    top = Separation(np.zeros(5), np.ones(100))
    assert top.true_positive_rate(0.5)(*top.counts()) == 0
    for count in (1000, 3000, 7000):
        exact = Separation(np.full(1, 5.0), np.repeat([5.0, 0.0], [count // 1000, count - count // 1000]))
        assert exact.true_positive_rate(0.001)(*exact.counts()) == 1


def test_too_few_others_for_a_rate_is_undefined() -> None:
    scores = np.arange(99.0)
    metrics = membership_metrics(scores, scores, rates=(0.001, 0.01, 0.1), how=how(3), advantage=False)
    assert [metric.value is None for metric in metrics] == [False, False, True, True, False]
    assert metrics[2].undefined == "a false positive rate of 0.001 needs 1000 others or more, there are 99"
    assert metrics[3].undefined == "a false positive rate of 0.01 needs 100 others or more, there are 99"
    enough = membership_metrics(scores, np.arange(1000.0), rates=(0.001,), how=how(3), advantage=False)
    assert enough[2].value is not None
    for members, others, reason in (
        (scores, scores[:0], "there are no others"),
        (scores[:0], scores, "there are no members"),
        (scores[:0], scores[:0], "there are no others"),
    ):
        empty = membership_metrics(members, others, rates=(0.1,), how=how(3), advantage=True)
        assert {metric.undefined for metric in empty} == {reason}
        assert all(metric.value is None for metric in empty)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """AUC of two normal distributions at distance d is Φ(d / √2); the rate at 5 % is Φ(d - z)."""
    from scipy.stats import norm

    distance, covered, rounds = 0.5, [0, 0], 40
    truths = (norm.cdf(distance / math.sqrt(2)), norm.cdf(distance - norm.ppf(0.95)))
    for number in range(rounds):
        source = np.random.default_rng(number)
        metrics = membership_metrics(
            source.normal(distance, 1, 300),
            source.normal(0, 1, 300),
            rates=(0.05,),
            how=how(100),
            advantage=False,
        )
        del metrics[1]
        for position, (metric, truth) in enumerate(zip(metrics, truths, strict=True)):
            assert metric.interval is not None
            covered[position] += metric.interval.lower <= truth <= metric.interval.upper
    assert min(covered) >= 0.8 * rounds


def test_two_computations_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Separation, "auc", lambda *_: 0.25)
    with pytest.raises(LamslsaError) as caught:
        membership_metrics(np.arange(9.0), np.arange(9.0), rates=(0.5,), how=how(2), advantage=False)
    assert caught.value.reason == "metric-disagreement"


class Described:
    """As much of a description as is looked at."""

    architecture = "test/1"
    label = "y"
    inputs: Any = None

    def __init__(self, classes: int | None) -> None:
        self.task = Task(classes=classes)

    def refuse(self) -> None: ...


def test_confidence_is_the_logit_of_the_probability() -> None:
    source = np.random.default_rng(1)
    inputs = source.normal(size=(50, 4)).astype(np.float32)
    for classes, outputs in ((2, 1), (3, 3), (5, 5)):
        network = torch.nn.Linear(4, outputs).eval()
        labels = source.integers(0, classes, 50)
        with torch.no_grad():
            logits = network(torch.from_numpy(inputs)).double()
        full = torch.cat([torch.zeros_like(logits), logits], 1) if outputs == 1 else logits
        own = torch.softmax(full, 1).numpy()[np.arange(50), labels]
        found = logit_of(network, inputs, labels, Context())
        assert found == pytest.approx(np.log(own / (1 - own)), abs=1e-9)
        loaded = LoadedModel(description=Described(classes), network=network, answer=lambda batch: batch)
        examples = Examples(inputs=inputs, labels=labels, columns={})
        assert (confidences(loaded, examples, Context()) == found).all()


def test_certainty_does_not_saturate() -> None:
    network = torch.nn.Linear(1, 2).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[100.0], [0.0]]))
        network.bias.zero_()
    inputs, labels = np.array([[1.0], [2.0], [-3.0]], dtype=np.float32), np.zeros(3, dtype=np.int64)
    assert logit_of(network, inputs, labels, Context()).tolist() == [100.0, 200.0, -300.0]
    with torch.no_grad():
        network.weight.fill_(3e38)
    assert np.isfinite(logit_of(network, 9 * inputs, labels, Context())).all()


def test_probabilities_without_logits_are_refused(job: Job) -> None:
    """Of a model that is sure of everyone, float32 probabilities are all 1 or 0: ties, and an AUC of one half."""
    examples = Examples(inputs=np.zeros((2, 1), dtype=np.float32), labels=np.zeros(2, dtype=np.int64), columns={})
    sure = LoadedModel(description=Described(2), network=None, answer=lambda batch: np.ones(2, dtype=np.float32))
    for attempt in (
        lambda: confidences(sure, examples, Context()),
        lambda: read_rows(sure, {}, job.dataset("people-test"), job.dataset("people-train")),
    ):
        with pytest.raises(FormatError) as caught:
            attempt()
        assert caught.value.reason == "membership-logits"


def test_zero_has_one_sign_and_labels_count() -> None:
    def one(value: float, label: int) -> bytes:
        inputs = np.array([[value, 1.0]], dtype=np.float32)
        return keys(Examples(inputs=inputs, labels=np.array([label]), columns={}))[0]

    assert one(0.0, 1) == one(-0.0, 1)
    assert len({one(0.0, 1), one(0.0, 0), one(1e-30, 1)}) == 3


def parsed(payload: bytes) -> Evaluation:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Evaluation)
    return predicate


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


def test_statement(
    make_job: MakeJob, model: VerifiedArtifact, train_set: VerifiedArtifact, test_set: VerifiedArtifact
) -> None:
    job = make_job((EVALUATION, MEMBERSHIP))
    (plan,) = job.require_evaluations().values()
    assert [item.role for item in plan.inputs] == ["model", "dataset", "train"]
    assert "losses of people-train against those of people-test" in plan.steps()[0]
    given = {"model": model, "dataset": test_set, "train": train_set}
    payloads = [run_plan(plan, given, name="people-mlp")[0] for _ in range(2)]
    assert payloads[0] == payloads[1]
    found = parsed(payloads[0])
    assert found.configuration == {
        "rows": "all", "confidenceLevel": 0.95, "resamples": 50, "falsePositiveRates": [0.001, 0.01, 0.1],
    }  # fmt: skip
    (reference,) = found.references
    assert (reference.role, reference.kind, reference.name) == ("train", "dataset", "people-train")
    assert reference.digest.sha256 == train_set.manifest.sha256
    assert reference.schema_digest is not None
    assert reference.schema_digest.sha256 == job.dataset("people-train").schema.sha256
    values = {metric.name: metric for metric in found.metrics if metric.parameters is None}
    loaded = load_model(model)
    given_ = {role: type("G", (), {"artifact": artifact}) for role, artifact in given.items()}
    rows = read_rows(loaded, given_, job.dataset("people-test"), job.dataset("people-train"))  # type: ignore[arg-type]
    assert values["members"].value == 500
    assert values["overlapping_rows"].value == rows.overlapping >= 7
    assert values["non_members"].value == 307 - rows.overlapping
    assert values["overlapping_rows"].samples == 307
    shared = set(keys(rows.members)) & set(keys(rows.others))
    assert not shared
    assert 0.3 < (values["membership_auc"].value or 0) < 0.7
    rates = {item.parameters["falsePositiveRate"]: item for item in found.metrics if item.parameters}
    assert rates[0.001].undefined is not None
    assert rates[0.1].value is not None


def test_overlap_is_what_the_rows_say(
    make_job: MakeJob, read: Read, model: VerifiedArtifact, train_rows: list[list[str]]
) -> None:
    """By brute force on the texts: only what the model reads counts, and it does not read the score."""
    job = make_job((EVALUATION, MEMBERSHIP))
    fresh = draw_rows(200, 11)
    changed = [[*row[:2], "1.5", *row[3:]] for row in train_rows[:3]]  # another score is no other row to this model
    relabelled = [[*row[:-1], ">50K" if row[-1] == "<=50K" else "<=50K"] for row in train_rows[:40]]
    rows = [*fresh, *changed, *relabelled]

    def seen(row: list[str]) -> tuple[str, ...]:
        return (*row[:2], *row[3:])

    known = {seen(row) for row in train_rows}
    expected = sum(seen(row) in known for row in rows)
    data = read({"t": to_csv(rows, first="|\n", dot=".")})
    given: Any = {
        role: type("G", (), {"artifact": artifact})
        for role, artifact in {"dataset": data, "train": read({"p": to_csv(train_rows)})}.items()
    }
    found = read_rows(load_model(model), given, job.dataset("people-test"), job.dataset("people-train"))
    assert found.overlapping == expected
    assert len(found.others.labels) == len(rows) - expected
    assert 3 <= expected < len(rows)


def fitted(inputs: Any, labels: Any, *, steps: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = torch.nn.Sequential(torch.nn.Linear(inputs.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(
            network(torch.from_numpy(inputs))[:, 0], torch.from_numpy(labels).float()
        )
        loss.backward()
        optimizer.step()
    return network.eval()


def test_a_model_that_memorises_gives_its_rows_away_and_another_does_not() -> None:
    """Labels are coin tosses, so whatever a model knows of them it knows by heart."""
    source = np.random.default_rng(7)
    inputs = source.normal(size=(400, 20)).astype(np.float32)
    labels = source.integers(0, 2, 400)
    network = fitted(inputs[:200], labels[:200], steps=150)
    scores = logit_of(network, inputs, labels, Context())
    metrics = membership_metrics(scores[:200], scores[200:], rates=(0.01,), how=how(20), advantage=True)
    assert (metrics[0].value or 0) > 0.8
    assert (metrics[2].value or 0) > 0.35
    untrained = logit_of(fitted(inputs, labels, steps=0), inputs, labels, Context())
    nothing = membership_metrics(untrained[:200], untrained[200:], rates=(0.01,), how=how(100), advantage=True)
    assert nothing[0].interval is not None
    assert nothing[0].interval.lower < 0.5 < nothing[0].interval.upper
    assert abs(nothing[2].value or 0) < 0.15


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("train: people-train", "train: people-test", "job-membership"),
        ("train: people-train", "train: nobody", "yaml-choice"),
        ("rows: all", "rows: some", "yaml-choice"),
        ("[0.001, 0.01, 0.1]", "[0.1, 0.01]", "job-rates"),
        ("[0.001, 0.01, 0.1]", "[0]", "yaml-range"),
        ("[0.001, 0.01, 0.1]", "[1]", "yaml-range"),
        ("resamples: 50, ", "", "yaml-missing-key"),
    ],
)
def test_mistakes_in_a_job_are_refused(make_job: MakeJob, old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        make_job((EVALUATION, MEMBERSHIP.replace(old, new)))
    assert caught.value.reason == reason


def test_models_of_numbers_are_refused(job: Job) -> None:
    loaded = LoadedModel(description=Described(None), network=None, answer=lambda batch: batch)
    with pytest.raises(FormatError) as caught:
        read_rows(loaded, {}, job.dataset("people-test"), job.dataset("people-train"))
    assert caught.value.reason == "evaluation-task"

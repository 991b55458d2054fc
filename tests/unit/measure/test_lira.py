"""The likelihood ratio attack: scipy's densities, the halves, models that memorise, and runs that stop and go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Job
from lamslsa.measure.evaluation import lira_shadows
from lamslsa.measure.evaluation.lira import likelihood_scores
from lamslsa.measure.evaluation.lira_shadows import assign, fit_rows, shadow_confidences, trainable
from lamslsa.measure.evaluation.membership_rates import Separation
from lamslsa.measure.evaluation.membership_rows import keys, logit_of
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.features import NumberFeature
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.measure.models.mlp import ARCHITECTURE, Description
from lamslsa.measure.training import loop
from lamslsa.measure.training.settings import Adam, Schedule, Settings
from lamslsa.predicates import Evaluation
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS
from lamslsa.testing.measuring import run_plan
from tests.unit.measure.conftest import JOB

torch = pytest.importorskip("torch")

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]
SEED = bytes(range(32))
EVALUATION = JOB[JOB.index("evaluation: ") :].rstrip()
LIRA = """evaluation: {measurer: lira/1, dataset: people-test, train: people-train, rows: all, confidenceLevel: 0.95,
  resamples: 20, falsePositiveRates: [0.001, 0.1], variant: offline, variance: global, shadows: 4,
  shadow: {trainer: tabular-mlp/1, epochs: 2, batchSize: 64, optimizer: adam, learningRate: 0.01, weightDecay: 0,
    beta1: 0.9, beta2: 0.999, epsilon: 1e-8, schedule: constant, augmentation: none}}"""

PRIVACY = "privacy: {noiseMultiplier: 1, maxGradNorm: 1, delta: 1e-5, accountant: prv, sampling: poisson}"


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "epochs": 60,
        "batch_size": 32,
        "seed": 0,
        "optimizer": Adam(learning_rate=0.01, weight_decay=0),
        "schedule": Schedule(name="constant"),
        "privacy": None,
    }
    return Settings(**(values | changes))


def described(width: int, hidden: tuple[int, ...] = (64,)) -> Description:
    features = tuple(NumberFeature(name=f"x{number}", mean=0.0, deviation=1.0) for number in range(width))
    return Description(architecture=ARCHITECTURE, features=features, hidden=hidden, label="y")


def names(count: int) -> list[bytes]:
    return [f"{number:064x}".encode() for number in range(count)]


@pytest.mark.parametrize("variance", ["per-example", "global"])
@pytest.mark.parametrize("variant", ["offline", "online"])
def test_scores_are_those_of_normal_densities(variant: str, variance: str) -> None:
    """Row by row with SciPy, as algorithm 1 of the paper says it."""
    from scipy.stats import norm

    source = np.random.default_rng(0)
    shadows, target = source.normal(size=(8, 30)), source.normal(size=30)
    inside = assign(names(30), 8, SEED)
    found = likelihood_scores(target, shadows, inside, variant=variant, variance=variance)
    spreads = {
        which: np.sqrt(np.mean([np.var(shadows[inside[:, row] == which, row]) for row in range(30)]))
        for which in (False, True)
    }
    for row in range(30):
        parts = {}
        for which in (False, True):
            own = shadows[inside[:, row] == which, row]
            deviation = np.std(own) if variance == "per-example" else spreads[which]
            parts[which] = norm(own.mean(), deviation)
        if variant == "offline":
            assert norm.cdf(found[row]) == pytest.approx(parts[False].cdf(target[row]), abs=1e-12)
        else:
            expected = parts[True].logpdf(target[row]) - parts[False].logpdf(target[row])
            assert found[row] == pytest.approx(expected, abs=1e-9)


def test_no_deviation_is_no_division_by_zero() -> None:
    inside = np.array([[True, False], [False, True], [True, False], [False, True]])
    for variant in ("offline", "online"):
        found = likelihood_scores(
            np.array([2.0, 1.0]), np.ones((4, 2)), inside, variant=variant, variance="per-example"
        )
        assert np.isfinite(found).all()
        assert found[0] >= found[1]


def test_halves() -> None:
    rows = names(50) + names(10)  # ten rows twice
    inside = assign(rows, 6, SEED)
    assert inside.shape == (6, 60)
    assert (inside.sum(axis=0) == 3).all()
    assert (inside[:, :10] == inside[:, 50:]).all()
    assert not (inside == assign(rows, 6, bytes(32))).all()
    assert 0.3 < inside.mean(axis=1).min() <= inside.mean(axis=1).max() < 0.7
    moved = assign(rows[::-1], 6, SEED)
    assert (moved[:, ::-1] == inside).all()  # the order of rows does not matter


def world(count: int, width: int, source: Any) -> Examples:
    """Rows of two classes that overlap, some of them mislabelled: what is hard to guess is what gets remembered."""
    inputs = source.normal(size=(count, width)).astype(np.float32)
    score = 2 * inputs[:, 0] + source.normal(0, 1.5, count)
    return Examples(inputs=inputs, labels=(score > 0).astype(np.int64), columns={})


def test_a_model_that_memorises_is_found_out_better_than_by_loss() -> None:
    pool = world(240, 12, np.random.default_rng(1))
    description = described(12)
    members = np.arange(240) < 120
    quick = settings(epochs=50, batch_size=60, optimizer=Adam(learning_rate=0.03, weight_decay=0))
    target = fit_rows(description, pool, np.flatnonzero(members), replace(quick, seed=99), Context())
    shadows, inside = shadow_confidences(
        description, pool, names(240), shadows=8, settings=quick, seed=SEED, work=bytes(32), context=Context()
    )
    confidence = logit_of(target, pool.inputs, pool.labels, Context())

    def quality(values: Any) -> tuple[float, float]:
        by_rank = Separation(values[members], values[~members])
        return by_rank.auc(*by_rank.counts()), by_rank.true_positive_rate(0.05)(*by_rank.counts())

    by_loss, low_by_loss = quality(confidence)
    for variant in ("offline", "online"):
        auc, low = quality(likelihood_scores(confidence, shadows, inside, variant=variant, variance="global"))
        assert auc > by_loss + 0.03
        assert auc > 0.75
        assert low > low_by_loss
    swapped = likelihood_scores(confidence, shadows, ~inside, variant="online", variance="global")
    assert quality(swapped)[0] < 0.3


def test_a_shadow_is_trained_on_its_rows_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = world(40, 3, np.random.default_rng(2))
    seen: list[Any] = []
    fit = loop.fit

    def spy(material: Any, settings: Any, *rest: Any, **named: Any) -> Any:
        seen.append((material.inputs, material.labels, settings.seed))
        return fit(material, settings, *rest, **named)

    monkeypatch.setattr(lira_shadows, "fit", spy)
    state = torch.random.get_rng_state()
    steps: list[tuple[str, int, int]] = []
    found, inside = shadow_confidences(
        described(3, ()),
        pool,
        names(40),
        shadows=4,
        settings=settings(epochs=1, batch_size=7),
        seed=SEED,
        work=bytes(32),
        context=Context(progress=lambda *step: steps.append(step)),
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert found.shape == inside.shape == (4, 40)
    for (inputs, labels, _), rows in zip(seen, inside, strict=True):
        assert (inputs == pool.inputs[rows]).all()
        assert (labels == pool.labels[rows]).all()
        assert len(labels) % 7 != 1
    assert len({seed for *_, seed in seen}) == 4
    assert steps[0] == ("training shadow models", 0, 4)
    assert steps[-1] == ("training shadow models", 4, 4)


def test_no_batch_of_one_row_is_left() -> None:
    inside = np.array([True] * 9 + [False])
    rows = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"h", b"i"]
    lira_shadows._leave_no_single_row(inside, rows, 4)
    assert inside.sum() == 7  # both rows of the last key
    lira_shadows._leave_no_single_row(inside, rows, 1)
    assert inside.sum() == 7


class Kept:
    """Checkpoints in memory that fail after some of them."""

    def __init__(self, failing_after: int) -> None:
        self.states: dict[bytes, bytes] = {}
        self.left = failing_after

    def latest(self, work: bytes) -> bytes | None:
        return self.states.get(work)

    def keep(self, work: bytes, state: bytes) -> None:
        self.states[work] = state
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_run_that_was_stopped_goes_on_to_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = world(30, 3, np.random.default_rng(3))
    trained: list[int] = []
    fit = loop.fit

    def counting(*args: Any, **named: Any) -> Any:
        trained.append(1)
        return fit(*args, **named)

    monkeypatch.setattr(lira_shadows, "fit", counting)

    def run(context: Context) -> Any:
        return shadow_confidences(
            described(3, (4,)),
            pool,
            names(30),
            shadows=4,
            settings=settings(epochs=1),
            seed=SEED,
            work=b"w" * 32,
            context=context,
        )

    whole = run(Context())
    kept = Kept(failing_after=2)
    with pytest.raises(KeyboardInterrupt):
        run(Context(checkpoints=kept))
    trained.clear()
    resumed = run(Context(checkpoints=kept))
    assert len(trained) == 2
    assert (resumed[0] == whole[0]).all()
    assert (resumed[1] == whole[1]).all()
    odd = Kept(failing_after=99)
    odd.states[b"w" * 32] = b"12345"
    assert (run(Context(checkpoints=odd))[0] == whole[0]).all()


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


def test_statement(
    make_job: MakeJob, model: VerifiedArtifact, train_set: VerifiedArtifact, test_set: VerifiedArtifact
) -> None:
    job = make_job((EVALUATION, LIRA))
    (plan,) = job.require_evaluations().values()
    assert plan.steps()[:2] == (
        "4 shadow models of tabular-mlp/1, 2 epochs on half of people-train and people-test each",
        "as much work as 2 trainings on all of them",
    )
    given = {"model": model, "dataset": test_set, "train": train_set}
    payloads = [run_plan(plan, given, name="people-mlp")[0] for _ in range(2)]
    assert payloads[0] == payloads[1]
    found = predicates.parse(statement.parse(payloads[0]))
    assert isinstance(found, Evaluation)
    assert found.configuration == {
        "rows": "all",
        "confidenceLevel": 0.95,
        "resamples": 20,
        "falsePositiveRates": [0.001, 0.1],
        "variant": "offline",
        "variance": "global",
        "shadows": 4,
        "shadow": {
            "trainer": "tabular-mlp/1", "epochs": 2, "batchSize": 64, "optimizer": "adam", "learningRate": 0.01,
            "weightDecay": 0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "schedule": "constant",
            "augmentation": "none",
        },
    }  # fmt: skip
    assert found.configuration.keys() == DEFAULT_CONFIGURATIONS["lira/1"].keys()
    assert found.configuration["shadow"].keys() == DEFAULT_CONFIGURATIONS["lira/1"]["shadow"].keys()  # type: ignore[attr-defined]
    assert [metric.name for metric in found.metrics] == [
        "members", "non_members", "overlapping_rows", "membership_auc", "membership_auc_either",
            "membership_tpr", "membership_tpr",
    ]  # fmt: skip
    assert 0.3 < (found.metrics[3].value or 0) < 0.7
    assert 0.5 <= (found.metrics[4].value or 0) < 0.7
    assert found.metrics[5].undefined is not None
    assert found.metrics[5].undefined.startswith("a false positive rate of 0.001 needs 1000 others")
    assert found.references[0].digest.sha256 == train_set.manifest.sha256
    online = make_job((EVALUATION, LIRA.replace("offline", "online").replace("global", "per-example")))
    (other,) = online.require_evaluations().values()
    assert run_plan(other, given, name="people-mlp")[0] != payloads[0]


def test_progress_is_kept_under_all_that_a_shadow_depends_on(
    make_job: MakeJob,
    model: VerifiedArtifact,
    train_set: VerifiedArtifact,
    test_set: VerifiedArtifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (plan,) = make_job((EVALUATION, LIRA)).require_evaluations().values()
    works = []

    def stopped(*args: Any, work: bytes, **kwargs: Any) -> None:
        works.append(work)
        raise KeyboardInterrupt

    monkeypatch.setattr("lamslsa.measure.evaluation.lira.shadow_confidences", stopped)
    given = {"model": model, "dataset": test_set, "train": train_set}

    def work() -> bytes:
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan, given, name="people-mlp")
        return works[-1]

    first = work()
    assert work() == first
    with monkeypatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "97")
        assert work() != first, "threads can change a sum"
    with monkeypatch.context() as patch:
        patch.setattr("lamslsa.measure.evaluation.lira.PACKAGES", ("lamslsa", "torch"))
        assert work() != first, "so can another package"
    assert work() == first


def test_shadows_have_the_architecture_of_the_target(model: VerifiedArtifact) -> None:
    loaded = load_model(model)
    assert trainable(loaded, ARCHITECTURE) == loaded.description
    with pytest.raises(FormatError) as caught:
        trainable(loaded, "text-lstm/1")
    assert caught.value.reason == "lira-architecture"
    blind = LoadedModel(description=loaded.description, network=None, answer=loaded.answer)
    with pytest.raises(FormatError) as caught:
        trainable(blind, ARCHITECTURE)
    assert caught.value.reason == "lira-architecture"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("shadows: 4", "shadows: 5", "job-lira-shadows"),
        ("shadows: 4", "shadows: 2", "yaml-range"),
        ("variant: offline", "variant: both", "yaml-choice"),
        ("variance: global", "variance: none", "yaml-choice"),
        ("trainer: tabular-mlp/1", "trainer: pickle/1", "yaml-choice"),
        ("epochs: 2, ", "", "yaml-missing-key"),
        ("augmentation: none", "augmentation: none, seed: 3", "yaml-unknown-key"),
        ("train: people-train", "train: people-test", "job-membership"),
        (
            "augmentation: none",
            f"augmentation: none, {PRIVACY}",
            "job-lira-privacy",
        ),
    ],
)
def test_mistakes_in_a_job_are_refused(make_job: MakeJob, old: str, new: str, reason: str) -> None:
    assert old in LIRA
    with pytest.raises(FormatError) as caught:
        make_job((EVALUATION, LIRA.replace(old, new)))
    assert caught.value.reason == reason


def test_rows_that_look_alike_are_one_row_to_the_shadows() -> None:
    pool = world(10, 3, np.random.default_rng(4))
    twice = replace(
        pool, inputs=np.concatenate([pool.inputs, pool.inputs]), labels=np.concatenate([pool.labels, pool.labels])
    )
    inside = assign([key.hex().encode() for key in keys(twice)], 4, SEED)
    assert (inside[:, :10] == inside[:, 10:]).all()

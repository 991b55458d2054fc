"""Projected gradient descent against exact answers, another library, and what a host might try."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Job
from lamslsa.measure.data.schema import Task
from lamslsa.measure.evaluation import robustness
from lamslsa.measure.evaluation.attacks import Attacked, Descent, Space, attack, blocks, losses, predicted
from lamslsa.measure.evaluation.robustness_metrics import chosen, network_of, proportion
from lamslsa.measure.evaluation.robustness_space import moving_columns, space_of
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.interface import ImageInputs, TextInputs
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.predicates import Evaluation
from lamslsa.testing.measuring import run_plan
from tests.unit.measure.conftest import JOB

torch = pytest.importorskip("torch")

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]

SEED = bytes(range(32))
EVALUATION = JOB[JOB.index("evaluation: ") :].rstrip()
PGD = """evaluation: {measurer: pgd/1, dataset: people-test, rows: all, confidenceLevel: 0.95, norm: Linf,
  epsilons: [0, 0.5, 2], loss: margin, steps: 5, stepSize: 0.5, restarts: 2, features: all}"""


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


class Described:
    """As much of a description as an attack looks at."""

    architecture = "test/1"
    label = "folder"

    def __init__(self, inputs: Any, classes: int | None = 2) -> None:
        self.inputs = inputs
        self.task = Task(classes=classes)

    def refuse(self) -> None: ...


def free(width: int, *, movable: list[bool] | None = None, room: float = math.inf) -> Space:
    return Space(
        movable=np.ones(width, dtype=bool) if movable is None else np.array(movable),
        lower=np.full(width, -room, dtype=np.float32),
        upper=np.full(width, room, dtype=np.float32),
        step=np.zeros(width, dtype=np.float32),
    )


def linear(weights: list[list[float]], bias: list[float]) -> Any:
    network = torch.nn.Linear(len(weights[0]), len(weights)).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor(weights))
        network.bias.copy_(torch.tensor(bias))
    return network


def descent(**changes: Any) -> Descent:
    values: dict[str, Any] = {
        "norm": "Linf", "epsilons": (0.0, 0.1, 0.3, 1.0), "loss": "margin", "steps": 10, "step_size": 0.25,
        "restarts": 2,
    }  # fmt: skip
    return Descent(**(values | changes))


def attacked(network: Any, inputs: Any, labels: Any, space: Space, **changes: Any) -> Attacked:
    return attack(network, inputs, labels, space=space, descent=descent(**changes), seed=SEED, context=Context())


@pytest.mark.parametrize("loss", ["margin", "cross-entropy"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_linear_model_has_an_exact_answer(norm: str, loss: str) -> None:
    source = np.random.default_rng(3)
    inputs = source.normal(size=(400, 6)).astype(np.float32)
    weights, bias = source.normal(size=6), 0.2
    labels = (inputs @ weights + bias + source.normal(size=400) > 0).astype(np.int64)
    movable = [True, False, True, True, False, True]
    network = linear([weights.tolist()], [bias])
    found = attacked(network, inputs, labels, free(6, movable=movable), norm=norm, loss=loss, steps=20)
    margin = np.where(labels == 1, 1, -1) * (inputs @ weights + bias)
    dual = np.linalg.norm(weights[movable], ord=1 if norm == "Linf" else 2)
    for epsilon, robust in zip(descent().epsilons, found.robust, strict=True):
        expected = margin - epsilon * dual > 0
        sure = np.abs(margin - epsilon * dual) > 1e-4
        assert sure.mean() > 0.99
        assert (robust[sure] == expected[sure]).all()
    assert (found.robust[0] == found.correct).all()
    assert not found.vanishing.any()


def test_range_of_a_feature_is_kept() -> None:
    source = np.random.default_rng(4)
    inputs = source.uniform(-1, 1, size=(300, 3)).astype(np.float32)
    inputs[:5, 0] = 1.5  # outside: may only come nearer
    weights = np.array([1.0, -2.0, 0.5])
    labels = (inputs @ weights > 0).astype(np.int64)
    found = attacked(linear([weights.tolist()], [0.0]), inputs, labels, free(3, room=1.0), epsilons=(0.7,))
    sign = np.where(labels == 1, 1, -1)[:, None]
    against = -sign * np.sign(weights)
    lower, upper = np.minimum(inputs, -1), np.maximum(inputs, 1)
    reached = np.clip(inputs + 0.7 * against, lower, upper)
    margin = sign[:, 0] * (reached @ weights)
    sure = np.abs(margin) > 1e-4
    assert (found.robust[0][sure] == (margin > 0)[sure]).all()
    assert 0 < found.robust[0].sum() < found.correct.sum()


def test_steps_are_whole_and_missing_values_stay() -> None:
    inputs = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    network = linear([[1.0, 0.0]], [-0.55])
    space = Space(
        movable=np.array([True, False]),
        lower=np.array([-9.0, 0]),
        upper=np.array([9.0, 0]),
        step=np.array([0.3, 0]),
        missing=np.array([[False, False], [True, False], [False, False]]),
    )
    labels = np.zeros(3, dtype=np.int64)
    found = attacked(network, inputs, labels, space, epsilons=(0.59, 0.6))
    assert found.robust[0].tolist() == [True, True, True]  # 0.3 is the only whole step within 0.59
    assert found.robust[1].tolist() == [False, True, False]
    continuous = attacked(network, inputs, labels, free(2), epsilons=(0.59,))
    assert not continuous.robust[0].any()


def trained_network(inputs: Any, labels: Any, *, hidden: int, outputs: int, steps: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    for _ in range(steps):
        optimizer.zero_grad()
        loss: Any = losses(network(x), y, "cross-entropy").mean()
        loss.backward()
        optimizer.step()
    return network.eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_art_finds_as_much_on_real_data() -> None:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier
    from sklearn.datasets import load_breast_cancer

    data, labels = load_breast_cancer(return_X_y=True)
    inputs = ((data - data.mean(0)) / data.std(0)).astype(np.float32)
    labels = labels.astype(np.int64)
    network = trained_network(inputs, labels, hidden=16, outputs=2, steps=60)
    movable = np.arange(30) % 2 == 0
    epsilon, clip = 0.4, (float(inputs.min()), float(inputs.max()))
    space = Space(
        movable=movable,
        lower=np.full(30, clip[0], dtype=np.float32),
        upper=np.full(30, clip[1], dtype=np.float32),
        step=np.zeros(30),
    )
    ours = attacked(network, inputs, labels, space, epsilons=(epsilon,), loss="cross-entropy", restarts=1, steps=20)
    classifier = PyTorchClassifier(
        network, torch.nn.CrossEntropyLoss(), input_shape=(30,), nb_classes=2, clip_values=clip, device_type="cpu"
    )
    pgd = ProjectedGradientDescentPyTorch(
        classifier, norm=np.inf, eps=epsilon, eps_step=0.1, max_iter=20, num_random_init=0, verbose=False
    )
    theirs = pgd.generate(inputs, labels, mask=movable.astype(np.float32))
    assert np.abs(theirs - inputs)[:, ~movable].max() == 0
    kept = classifier.predict(theirs).argmax(1) == labels
    assert abs(kept.mean() - ours.robust[0].mean()) < 0.01
    assert 0.1 < ours.robust[0].mean() < ours.correct.mean() - 0.1


def test_a_confident_network_is_attacked_all_the_same() -> None:
    """In float32 its cross-entropy has no gradient: the logits are beyond 17."""
    inputs = np.ones((8, 2), dtype=np.float32)
    network = linear([[25.0, 0.0]], [0.0])
    labels = np.ones(8, dtype=np.int64)
    for loss in ("margin", "cross-entropy"):
        found = attacked(network, inputs, labels, free(2), loss=loss, epsilons=(1.5,), restarts=1)
        assert not found.vanishing.any()
        assert not found.robust[0].any()


def test_no_gradient_is_reported_and_overflow_saves_no_row() -> None:
    inputs = np.ones((4, 2), dtype=np.float32)
    flat = attacked(linear([[0.0, 0.0]], [1.0]), inputs, np.ones(4, dtype=np.int64), free(2))
    assert flat.vanishing.all()
    assert flat.robust[-1].all()
    overflowing = torch.nn.Sequential(linear([[3e38, 0.0]], [0.0]), linear([[3e38]], [0.0])).eval()
    found = attacked(overflowing, inputs, np.ones(4, dtype=np.int64), free(2), epsilons=(0.5,))
    assert not found.correct.any()
    assert not found.robust[0].any()


def digits_network() -> tuple[Any, Any, Any]:
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images[:300, None] / 16).astype(np.float32)
    labels = data.target[:300].astype(np.int64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(216, 10)
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss: Any = losses(network(torch.from_numpy(images)), torch.from_numpy(labels), "cross-entropy").mean()
        loss.backward()
        optimizer.step()
    return network.eval(), images, labels


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_images_stay_images_and_more_room_breaks_more(norm: str) -> None:
    network, images, labels = digits_network()
    seen: list[Any] = []
    network.register_forward_pre_hook(lambda _module, args: seen.append(args[0].detach().clone()))
    loaded = LoadedModel(
        description=Described(ImageInputs(channels=1, height=8, width=8), 10), network=network, answer=lambda x: x
    )
    space = space_of(loaded, None, Examples(inputs=images, labels=labels, columns={}), None)  # type: ignore[arg-type]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.random.get_rng_state()
    epsilons = (0.0, 0.05, 0.15) if norm == "Linf" else (0.0, 0.3, 1.0)
    found = attacked(network, images, labels, space, norm=norm, epsilons=epsilons, steps=5)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not network.training
    assert min(float(points.min()) for points in seen) >= 0
    assert max(float(points.max()) for points in seen) <= 1
    rates = [robust.mean() for robust in found.robust]
    assert rates[0] == found.correct.mean() == (predicted(network(torch.from_numpy(images))).numpy() == labels).mean()
    assert rates[0] > 0.9
    assert rates[0] > rates[1] > rates[2]
    for stronger, weaker in zip(found.robust[1:], found.robust[:-1], strict=True):
        assert not (stronger & ~weaker).any()
    again = attacked(network, images[:100], labels[:100], space, norm=norm, epsilons=epsilons, steps=5)
    assert [flags.tolist() for flags in again.robust] == [flags[:100].tolist() for flags in found.robust]


def test_points_stay_in_the_ball() -> None:
    network, images, labels = digits_network()
    one = slice(3, 4)
    for norm, order in (("Linf", np.inf), ("L2", 2)):
        seen: list[Any] = []
        hook = network.register_forward_pre_hook(
            lambda _module, args, into=seen: into.append(args[0].detach().numpy().copy())
        )
        space = Space(
            movable=np.ones((1, 8, 8), dtype=bool),
            lower=np.zeros((1, 8, 8)),
            upper=np.ones((1, 8, 8)),
            step=np.zeros((1, 8, 8)),
        )
        attacked(network, images[one], labels[one], space, norm=norm, epsilons=(0.02,), restarts=4)
        hook.remove()
        lengths = [np.linalg.norm((points - images[one]).reshape(-1), ord=order) for points in seen]
        assert max(lengths) <= 0.02 * (1 + 1e-4)
        assert max(lengths) > 0.015
        assert len(seen) > 40


def test_margin_and_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    labels = torch.tensor([0, 2])
    assert losses(logits, labels, "margin").tolist() == [-1.5, 2.0]
    by_hand = [
        -math.log(math.exp(2) / (math.exp(2) + math.exp(-1) + math.exp(0.5))),
        -math.log(math.exp(1) / (1 + math.exp(3) + math.exp(1))),
    ]
    assert losses(logits, labels, "cross-entropy").tolist() == pytest.approx(by_hand)
    single = torch.tensor([[2.0], [-1.0]])
    assert losses(single, torch.tensor([1, 1]), "margin").tolist() == [-2.0, 1.0]
    assert losses(single, torch.tensor([1, 0]), "cross-entropy").tolist() == pytest.approx(
        [math.log1p(math.exp(-2)), math.log1p(math.exp(-1))]
    )
    assert predicted(torch.tensor([[0.0], [-0.1]])).tolist() == [1, 0]


def parsed(payload: bytes) -> Evaluation:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Evaluation)
    return predicate


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


def run(job: Job, model: VerifiedArtifact, data: VerifiedArtifact) -> Evaluation:
    (plan,) = job.require_evaluations().values()
    return parsed(run_plan(plan, {"model": model, "dataset": data}, name="people-mlp")[0])


def values(found: Evaluation, name: str) -> list[float | None]:
    return [metric.value for metric in found.metrics if metric.name == name]


def test_statement_agrees_with_every_age_tried_out(
    make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact, test_rows: list[list[str]]
) -> None:
    """Age is the only number that the model reads, and moves by whole years: all of them can be tried."""
    job = make_job((EVALUATION, PGD))
    found = run(job, model, test_set)
    loaded = load_model(model)
    network = network_of(loaded)
    inputs = loaded.description.inputs
    age = next(feature for feature in inputs.features if feature.name == "age")  # type: ignore[union-attr]
    plan = next(iter(job.require_evaluations().values()))
    examples = robustness.read_examples(loaded, test_set, plan.dataset, columns=["age"])  # type: ignore[attr-defined]
    ages = [int(row[0]) for row in test_rows]
    robust, still = [], []
    for epsilon in (0.0, 0.5, 2.0):
        flags, stays = [], 0
        for row, own, label in zip(examples.inputs, ages, examples.labels.tolist(), strict=True):
            reach = math.floor(epsilon * age.deviation + 1e-9)  # type: ignore[union-attr]
            tried = [year for year in range(own - reach, own + reach + 1) if min(ages) <= year <= max(ages)]
            stays += len(tried) == 1
            points = np.repeat(row[None], len(tried), axis=0)
            points[:, 0] = [(year - age.mean) / age.deviation for year in tried]  # type: ignore[union-attr]
            flags.append(bool((predicted(network(torch.from_numpy(points))) == label).all()))
        robust.append(sum(flags) / len(flags))
        still.append(stays / len(flags))
    assert values(found, "immovable_rows") == still
    assert still[0] == 1
    assert values(found, "robust_accuracy")[0] is None
    assert values(found, "robust_accuracy")[1:] == pytest.approx(robust[1:], abs=1.5 / len(ages))
    assert robust[2] < robust[0]
    assert values(found, "accuracy") == [robust[0]]
    broken = [1 - value / robust[0] for value in values(found, "robust_accuracy") if value is not None]
    assert values(found, "attack_success_rate")[1:] == pytest.approx(broken)
    assert found.metrics[1].parameters == {"epsilon": 0, "norm": "Linf"}
    assert found.metrics[-1].name == "zero_gradient_rate"
    assert found.configuration == {
        "rows": "all", "confidenceLevel": 0.95, "norm": "Linf", "epsilons": [0, 0.5, 2], "loss": "margin", "steps": 5,
        "stepSize": 0.5, "restarts": 2, "features": "all",
    }  # fmt: skip
    assert {metric.samples for metric in found.metrics[:2]} == {len(test_rows)}
    first, second = (run_plan(plan, {"model": model, "dataset": test_set}, name="m")[0] for _ in range(2))
    assert first == second


def test_a_radius_within_which_nothing_moves_makes_nothing_robust(
    read: Read, make_job: MakeJob, linear_model: Callable[..., dict[str, bytes]], test_set: VerifiedArtifact
) -> None:
    """A model that hangs on each year alone, and a radius of less than a year: no row can move, none is robust."""
    features = [{"type": "number", "name": "age", "mean": 40.005, "deviation": 10.0}]
    fragile = read(linear_model(features, [[50.0]], [0.0], label="income"), "model")
    found = run(make_job((EVALUATION, PGD.replace("[0, 0.5, 2]", "[0.03, 0.09, 0.3]"))), fragile, test_set)
    assert values(found, "immovable_rows")[:2] == [1, 1]
    assert values(found, "robust_accuracy")[:2] == values(found, "attack_success_rate")[:2] == [None, None]
    reasons = {metric.undefined for metric in found.metrics if metric.value is None}
    assert reasons == {"no row can move within this radius"}
    assert values(found, "immovable_rows")[2] == 0
    assert values(found, "robust_accuracy")[2] is not None


def test_rows_that_cannot_move_are_found_in_every_norm() -> None:
    """By hand: the first input goes by steps of 1, the second by any amount; a row lacks it, two are at its end."""
    inputs = np.array([[0.0, 0.5], [0.0, 0.5], [0.0, 1.0], [0.25, 1.0]], dtype=np.float32)
    for norm in ("Linf", "L2"):
        space = Space(
            movable=np.array([True, True]),
            lower=np.array([-0.9, 1.0]),
            upper=np.array([1.0, 1.0]),
            step=np.array([1.0, 0.0]),
            missing=np.array([[False, False], [False, True], [False, False], [False, False]]),
        )
        network, labels = linear([[1.0, 1.0]], [0.0]), np.ones(4, dtype=np.int64)
        found = attacked(network, inputs, labels, space, norm=norm, epsilons=(0.0, 0.5, 1.0), steps=1)
        by_hand = [[True] * 4, [False, True, True, True], [False, False, False, False]]
        assert [flags.tolist() for flags in found.immovable] == by_hand


def test_declared_ranges_and_samples(make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    wide = run(make_job((EVALUATION, PGD)), model, test_set)
    narrow = PGD.replace("features: all", "features: [{name: age, minimum: 17, maximum: 18, step: 1}]")
    found = run(make_job((EVALUATION, narrow)), model, test_set)
    assert found.configuration["features"] == [{"name": "age", "minimum": 17, "maximum": 18, "step": 1}]
    assert values(found, "robust_accuracy")[2] > values(wide, "robust_accuracy")[2]  # type: ignore[operator]
    sampled = run(make_job((EVALUATION, PGD.replace("rows: all", "rows: 50"))), model, test_set)
    assert sampled.metrics[0].samples == 50
    assert sampled.configuration["rows"] == 50


def test_samples_are_drawn_without_replacement() -> None:
    places = chosen(100, 30, SEED)
    assert len(set(places.tolist())) == 30
    assert places.tolist() == sorted(places.tolist())
    assert places.tolist() != chosen(100, 30, bytes(32)).tolist()
    assert chosen(10, None, SEED).tolist() == chosen(10, 99, SEED).tolist() == list(range(10))


def test_undefined_says_why() -> None:
    none = np.zeros(0, dtype=bool)
    assert proportion("accuracy", none, level=0.9).undefined == "there are no rows"
    plan = robustness.Pgd(
        dataset=None,  # type: ignore[arg-type]
        rows=None,
        confidence_level=0.95,
        descent=descent(epsilons=(0.1,)),
        features=None,
    )
    wrong = np.zeros(5, dtype=bool)
    outcome = Attacked(correct=wrong, robust=(wrong,), immovable=(wrong,), vanishing=wrong)
    metrics = {item.name: item for item in plan.metrics(outcome)}
    assert metrics["robust_accuracy"].value == metrics["immovable_rows"].value == 0
    for name in ("attack_success_rate", "zero_gradient_rate"):
        assert metrics[name].value is None
        assert metrics[name].undefined == "no row gets its class to begin with"
    assert list(blocks(np.zeros((0, 4)))) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("epsilons: [0, 0.5, 2]", "epsilons: [0.5, 0.2]", "job-epsilons"),
        ("epsilons: [0, 0.5, 2]", "epsilons: []", "yaml-empty"),
        ("norm: Linf", "norm: L1", "yaml-choice"),
        ("loss: margin", "loss: best", "yaml-choice"),
        ("steps: 5", "steps: 0", "yaml-range"),
        ("rows: all", "rows: 0", "yaml-range"),
        ("rows: all", "rows: some", "yaml-choice"),
        (", features: all", "", "yaml-missing-key"),
        ("features: all", "features: [{name: sex, minimum: 0, maximum: 1, step: 0}]", "yaml-choice"),
        ("features: all", "features: [{name: age, minimum: 2, maximum: 2, step: 0}]", "job-attack-range"),
        (
            "features: all",
            "features: [{name: age, minimum: 1, maximum: 2, step: 0}, {name: age, minimum: 1, maximum: 2, step: 0}]",
            "job-attack-range",
        ),
    ],
)
def test_mistakes_in_a_job_are_refused(make_job: MakeJob, old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        make_job((EVALUATION, PGD.replace(old, new)))
    assert caught.value.reason == reason


def test_a_feature_that_the_model_does_not_read_is_refused(
    make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact
) -> None:
    job = make_job((EVALUATION, PGD.replace("all}", "[{name: score, minimum: 0, maximum: 1, step: 0}]}")))
    with pytest.raises(FormatError, match="numeric features that the model reads") as caught:
        run(job, model, test_set)
    assert caught.value.reason == "attack-features"


def test_models_that_cannot_be_attacked_are_refused(job: Job) -> None:
    def loaded(inputs: Any, classes: int | None = 2, network: Any = None) -> LoadedModel:
        return LoadedModel(description=Described(inputs, classes), network=network, answer=lambda x: x)

    image, texts = ImageInputs(channels=1, height=8, width=8), TextInputs(column="t", vocabulary=("a",), length=4)
    dataset = job.dataset("people-test")
    with pytest.raises(FormatError) as caught:
        network_of(loaded(image))
    assert caught.value.reason == "attack-gradient"
    with pytest.raises(FormatError) as caught:
        network_of(loaded(image, classes=None, network=torch.nn.Flatten()))
    assert caught.value.reason == "evaluation-task"
    with pytest.raises(FormatError) as caught:
        moving_columns(loaded(texts), dataset, None)
    assert caught.value.reason == "attack-inputs"
    with pytest.raises(FormatError) as caught:
        moving_columns(loaded(image), dataset, ())
    assert caught.value.reason == "attack-features"
    assert moving_columns(loaded(image), dataset, None) == ()


def test_features_without_any_value_are_refused(job: Job, model: VerifiedArtifact) -> None:
    loaded = load_model(model)
    width = 1 + 3 + 1 + 2 + 3
    examples = Examples(
        inputs=np.zeros((2, width), dtype=np.float32), labels=np.zeros(2), columns={"age": ["(missing)", "(missing)"]}
    )
    with pytest.raises(FormatError, match="missing ones only") as caught:
        space_of(loaded, job.dataset("people-test"), examples, None)
    assert caught.value.reason == "attack-features"

"""AutoAttack on small networks: the library's own driver, closed forms, and what stays untouched."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from lamslsa import _yaml, predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Plan
from lamslsa.measure.data.schema import ImageSchema, Task, TextSchema
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.evaluation import robustness_autoattack
from lamslsa.measure.evaluation.attacks_autoattack import (
    ATTACKS,
    Ensemble,
    Outcomes,
    _attack,
    _Batch,
    auto_attack,
    inapplicable,
)
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.interface import ImageInputs
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.measure.registry import BUILT_IN
from lamslsa.measure.seeds import sub_seed
from lamslsa.predicates import Evaluation
from lamslsa.testing.measuring import run_plan

torch = pytest.importorskip("torch")
pytest.importorskip("pyautoattack")

Read = Callable[..., VerifiedArtifact]
SEED = bytes(range(32))
DIGITS = DatasetJob(
    name="digits-test",
    schema=ImageSchema(channels=1, height=8, width=8, classes={"zero": 0, "one": 1, "two": 2, "three": 3}),
    groups=(),
    overlap=(),
    declared=None,
)
TEXTS = DatasetJob(name="texts", schema=TextSchema(documents="line"), groups=(), overlap=(), declared=None)
EVALUATION = """{measurer: autoattack/1, dataset: digits-test, rows: 40, confidenceLevel: 0.95, version: standard,
  norm: Linf, epsilons: [0.2, 0.35], iterations: 5, queries: 20}"""


def declared(*changes: tuple[str, str]) -> Plan:
    text = EVALUATION
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    node = _yaml.loads(text.encode(), source="job.yaml").mapping()
    return BUILT_IN.declare("evaluation", "measurer", node, Scope(datasets={"digits-test": DIGITS, "texts": TEXTS}))


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


def ensemble(**changes: Any) -> Ensemble:
    values: dict[str, Any] = {"norm": "Linf", "epsilons": (0.1,), "iterations": 10, "queries": 50}
    return Ensemble(**(values | changes))


def digits(classes: int, count: int) -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    data = load_digits()
    rows = np.flatnonzero(data.target < classes)[:count]
    return (data.images[rows, None] / 16).astype(np.float32), data.target[rows].astype(np.int64)


def trained(images: Any, labels: Any, outputs: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, outputs)
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        logits = network(torch.from_numpy(images))
        target = torch.from_numpy(labels)
        if outputs == 1:
            loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target.float())
        else:
            loss = torch.nn.functional.cross_entropy(logits, target)
        loss.backward()
        optimizer.step()
    return network.eval()


def run(network: Any, images: Any, labels: Any, classes: int, **changes: Any) -> Outcomes:
    return auto_attack(
        network, images, labels, classes=classes, ensemble=ensemble(**changes), seed=SEED, context=Context()
    )


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_driver_of_the_library_finds_the_same(norm: str) -> None:
    """Each attack alone, with its seed: the same rows are broken, in the library's own parameters of `standard`."""
    from pyautoattack import AutoAttack

    images, labels = digits(4, 40)
    network = trained(images, labels, 4)
    epsilon = 0.25 if norm == "Linf" else 1.5
    found = run(network, images, labels, 4, norm=norm, epsilons=(epsilon,), iterations=100, queries=150)
    correct = found.correct
    for name in ATTACKS:
        chosen = sub_seed(SEED, "autoattack", [name, "0", "0"])
        library = AutoAttack(network, eps=epsilon, norm=norm, seed=int.from_bytes(chosen[:8], "big") >> 1)
        library.square.n_queries = 150
        library.apgd_targeted.n_target_classes = library.fab.n_target_classes = 3
        library.attacks_to_run = [name]
        trace = sys.gettrace()
        with torch.random.fork_rng(devices=[]):
            points, _ = library.run_standard_evaluation(torch.from_numpy(images), torch.from_numpy(labels))
        sys.settrace(trace)
        with torch.no_grad():
            theirs = (network(points).argmax(1).numpy() == labels) & correct
        assert found.robust[0][name].tolist() == theirs.tolist()
    rates = {name: flags.mean() for name, flags in found.robust[0].items()}
    assert set(rates) == set(ATTACKS)
    assert max(rates.values()) < correct.mean()
    assert rates["square"] > min(rates.values())


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_linear_model_has_an_exact_answer(norm: str) -> None:
    source = np.random.default_rng(5)
    images = source.uniform(0.4, 0.6, size=(120, 1, 8, 8)).astype(np.float32)
    weights = source.normal(size=64)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1)).eval()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor(weights)[None])
        network[1].bias.fill_(float(-(0.5 * weights).sum()))
    scores = (images.reshape(120, -1) - 0.5) @ weights
    labels = (scores > 0).astype(np.int64)
    dual = np.linalg.norm(weights, ord=1 if norm == "Linf" else 2)
    epsilon = float(np.median(np.abs(scores)) / dual)  # no pixel can reach 0 or 1
    found = run(network, images, labels, 2, norm=norm, epsilons=(epsilon,), iterations=30)
    assert set(found.robust[0]) == {"apgd-ce", "fab-t", "square"}
    exact = np.abs(scores) > epsilon * dual
    sure = np.abs(np.abs(scores) / (epsilon * dual) - 1) > 0.02
    together = np.logical_and.reduce(list(found.robust[0].values()))
    assert (together[sure] == exact[sure]).all()
    for flags in found.robust[0].values():
        assert not (exact & sure & ~flags).any()


def test_nothing_around_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = digits(3, 30)
    network = trained(images, labels, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for parameter in network.parameters():
        parameter.grad = None
    state, trace = torch.random.get_rng_state(), sys.gettrace()
    first = run(network, images, labels, 3, epsilons=(0.0, 0.1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert sys.gettrace() is trace
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    torch.manual_seed(99)
    second = run(network, images, labels, 3, epsilons=(0.0, 0.1))
    for one, other in zip(first.robust, second.robust, strict=True):
        assert {name: flags.tolist() for name, flags in one.items()} == {
            name: flags.tolist() for name, flags in other.items()
        }
    assert all((flags == first.correct).all() for flags in first.robust[0].values())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert set(first.robust[1]) == {"apgd-ce", "fab-t", "square"}


def test_points_outside_of_the_ball_are_put_back() -> None:
    """A library that cheats finds nothing: its points are cut to the radius, and to 0 to 1, before they count."""
    images, labels = digits(3, 20)
    network = trained(images, labels, 3)
    batch = _Batch(network, images, labels, Context())
    seen: list[Any] = []

    class Cheat:
        norm = "Linf"
        seed = 0

        def __init__(self, value: float) -> None:
            self.value = value

        def perturb(self, images: Any, labels: Any) -> Any:
            return torch.full_like(images, self.value)

    network.register_forward_pre_hook(lambda _module, args: seen.append(args[0].numpy().copy()))
    for value in (9.0, float("nan"), float("-inf")):
        kept = batch.kept_under(Cheat(value), SEED, 1e-4)
        assert kept.tolist() == batch.correct.tolist()
        assert np.abs(seen[-1] - images).max() <= 1.001e-4
        assert 0 <= seen[-1].min() <= seen[-1].max() <= 1


def test_when_no_image_is_right_nothing_is_attacked() -> None:
    images, labels = digits(3, 12)
    network = trained(images, labels, 3)
    wrong = (network(torch.from_numpy(images)).argmax(1).numpy() + 1) % 3
    found = run(network, images, wrong, 3)
    assert not found.correct.any()
    assert not any(flags.any() for flags in found.robust[0].values())


def test_which_attacks_apply() -> None:
    def applies(name: str, classes: int, norm: Any, shape: tuple[int, ...]) -> bool:
        return inapplicable(name, classes=classes, shape=shape, norm=norm) is None

    def made(name: str, classes: int) -> Any:
        return _attack(name, None, classes=classes, ensemble=ensemble(), epsilon=0.1, context=Context())

    square, flat, tiny = (1, 1, 8, 8), (1, 1, 8, 9), (1, 1, 4, 4)
    assert [applies("apgd-t", classes, "Linf", square) for classes in (2, 3, 4, 10)] == [False, False, True, True]
    assert [applies("square", 10, norm, shape) for norm in ("Linf", "L2") for shape in (square, flat, tiny)] == [
        True, True, True, True, False, False,
    ]  # fmt: skip
    assert all(applies(name, 2, norm, square) for name in ("apgd-ce", "fab-t") for norm in ("Linf", "L2"))
    library = made("apgd-t", 5)
    assert library.n_target_classes == 4
    assert made("fab-t", 100).n_target_classes == 9


class Digits:
    """A description of the images."""

    architecture = "image-cnn/1"
    label = "folder"
    task = Task(classes=4)
    inputs = ImageInputs(channels=1, height=8, width=8)

    def refuse(self) -> None: ...


def test_statement(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits(4, 60)
    network = trained(images, labels, 4)
    loaded = LoadedModel(description=Digits(), network=network, answer=lambda inputs: inputs)
    monkeypatch.setattr(robustness_autoattack, "load_model", lambda _artifact, device: loaded)
    monkeypatch.setattr(
        robustness_autoattack,
        "read_examples",
        lambda *_: Examples(inputs=images, labels=labels, columns={}),
    )
    plan = declared()
    assert "apgd-ce, apgd-t, fab-t, square on 40 images of digits-test, Linf 0.2, 0.35" in plan.steps()[0]
    inputs: Mapping[str, VerifiedArtifact] = {
        "model": read({"model.json": b"{}"}, "model"),
        "dataset": read({"a.png": b"x", "b.png": b"y"}),
    }
    payloads = [run_plan(plan, inputs, name="cnn")[0] for _ in range(2)]
    assert payloads[0] == payloads[1]
    found = predicates.parse(statement.parse(payloads[0]))
    assert isinstance(found, Evaluation)
    assert found.configuration == {
        "rows": 40, "confidenceLevel": 0.95, "version": "standard", "norm": "Linf", "epsilons": [0.2, 0.35],
        "iterations": 5, "queries": 20,
    }  # fmt: skip
    assert [(metric.name, metric.parameters) for metric in found.metrics[:3]] == [
        ("accuracy", None),
        ("robust_accuracy", {"epsilon": 0.2, "norm": "Linf"}),
        ("robust_accuracy", {"epsilon": 0.2, "norm": "Linf", "attack": "apgd-ce"}),
    ]
    assert {metric.samples for metric in found.metrics} == {40}
    by_radius = [metric.value for metric in found.metrics if metric.parameters and "attack" not in metric.parameters]
    assert by_radius[0] is not None
    assert by_radius[1] is not None
    assert by_radius[1] < by_radius[0] < (found.metrics[0].value or 0)
    for position in (1, 6):
        alone = [metric.value for metric in found.metrics[position + 1 : position + 5] if metric.value is not None]
        assert len(alone) == 4
        assert found.metrics[position].value is not None
        assert found.metrics[position].value <= min(alone)  # type: ignore[operator]
    assert "pyautoattack" in {package.name for package in found.environment.packages}
    # The rows are drawn, and the attacks put together, by hand.
    seed = bytes.fromhex(found.seed.value.sha256)
    drawn = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(seed + b'["rows",[]]').digest(), "big")))
    rows = np.sort(drawn.choice(60, size=40, replace=False))
    own = ensemble(epsilons=(0.2, 0.35), iterations=5, queries=20)
    outcomes = auto_attack(network, images[rows], labels[rows], classes=4, ensemble=own, seed=seed, context=Context())
    assert found.metrics[0].value == outcomes.correct.mean()
    for epsilon, by_attack in zip((0.2, 0.35), outcomes.robust, strict=True):
        at = {json.dumps(item.parameters): item.value for item in found.metrics if item.parameters}
        radius = {"epsilon": epsilon, "norm": "Linf"}
        assert at[json.dumps(radius)] == np.stack([*by_attack.values()]).all(axis=0).mean()
        for name, flags in by_attack.items():
            assert at[json.dumps({**radius, "attack": name})] == flags.mean()


def test_an_attack_that_does_not_apply_says_so() -> None:
    plan = robustness_autoattack.AutoAttack(
        dataset=None,  # type: ignore[arg-type]
        rows=None,
        confidence_level=0.95,
        ensemble=ensemble(),
    )
    correct = np.array([True, True, False])
    by_attack = {"apgd-ce": np.array([True, False, False]), "fab-t": correct, "square": correct}
    metrics = plan.metrics(Outcomes(correct=correct, robust=(by_attack,)), classes=2, shape=(3, 1, 8, 8))
    targeted = next(item for item in metrics if item.parameters and item.parameters.get("attack") == "apgd-t")
    assert targeted.value is None
    assert targeted.undefined == "the targeted DLR loss needs four classes, the model has 2"
    assert metrics[1].value == pytest.approx(1 / 3)


def test_tables_are_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError) as caught:
        declared(("dataset: digits-test", "dataset: texts"))
    assert caught.value.reason == "job-attack-images"
    plan = declared()
    description = Digits()
    description.inputs = None  # type: ignore[assignment]
    loaded = LoadedModel(description=description, network=torch.nn.Flatten(), answer=lambda inputs: inputs)
    monkeypatch.setattr(robustness_autoattack, "load_model", lambda _artifact, device: loaded)
    with pytest.raises(FormatError) as caught:
        run_plan(plan, {"model": read({"m": b"{}"}, "model"), "dataset": read({"a": b"x", "b": b""})}, name="cnn")
    assert caught.value.reason == "attack-inputs"


def test_mistakes_in_a_job_are_refused() -> None:
    for old, new, reason in (
        ("version: standard", "version: plus", "yaml-choice"),
        ("iterations: 5", "iterations: 0", "yaml-range"),
        (", queries: 20", "", "yaml-missing-key"),
        ("epsilons: [0.2, 0.35]", "epsilons: [0.1, 0.1]", "job-epsilons"),
    ):
        with pytest.raises(FormatError) as caught:
            declared((old, new))
        assert caught.value.reason == reason

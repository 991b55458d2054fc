"""``--device cuda`` on a pretended GPU: everything that takes a device runs there, and says what it did on the CPU.

No test here has seen a GPU; what a pretended one can tell and what not stands in `tests.unit.measure.pretend_device`.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamslsa import statement
from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.errors import UnavailableError
from lamslsa.measure import Context, Given, load_job
from lamslsa.measure import environment as surroundings
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Device, Input, Plan
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.training import own
from lamslsa.testing.trainers import InterruptedTrainingError, Kept, interrupted
from tests.unit.measure.pretend_device import NAME, Pretended, pretend_device

torch = pytest.importorskip("torch")

Files = Mapping[str, bytes]
ADAM = (
    "epochs: 1, batchSize: 16, optimizer: adam, learningRate: 1e-2, weightDecay: 1e-3, beta1: 0.9, beta2: 0.999, "
    "epsilon: 1e-8, schedule: cosine, augmentation: none, seed: 3"
)
SGD = ADAM.replace("adam", "sgd").replace("beta1: 0.9, beta2: 0.999, epsilon: 1e-8", "momentum: 0.9, nesterov: true")
PRIVACY = "privacy: {noiseMultiplier: 1.5, maxGradNorm: 0.4, delta: 1e-5, accountant: rdp, sampling: poisson}"
ROWS = "rows: all, confidenceLevel: 0.95"
DRAWS = f"{ROWS}, resamples: 10"
CLASSES = ", ".join(f"k{i}: {i}" for i in range(4))
LSTM = """trainer: text-lstm/1, model: m, dataset: texts, textColumn: text, tokens: casefold-words, vocabularySize: 9,
    minimumCount: 1, length: 4, embedding: 4, hidden: 4, layers: 1, bidirectional: true"""
IMAGES = "model: m, dataset: digits, hidden: [8], normalization: learned, batchNorm: true, dropout: 0"
JOB = f"""
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  table: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: "?", columns: [{{name: x, type: number}},
    {{name: sex, type: string}}, {{name: y, type: string}}], label: {{column: y, classes: {{a: 0, b: 1}}}}}}
  sizes: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: null, columns: [{{name: x, type: number}},
    {{name: sex, type: string}}, {{name: y, type: string}}], label: {{column: x, type: number}}}}
  pictures: {{format: images, channels: 1, height: 8, width: 8, classes: {{{CLASSES}}}}}
  words: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: "?",
    columns: [{{name: text, type: string}}, {{name: y, type: string}}],
    label: {{column: y, classes: {{bad: 0, good: 1}}}}}}
datasets:
  rows: {{schema: table, skipLines: 0, groups: [], overlap: []}}
  seen: {{schema: table, skipLines: 0, groups: [], overlap: []}}
  sizes: {{schema: sizes, skipLines: 0, groups: [], overlap: []}}
  digits: {{schema: pictures, overlap: []}}
  texts: {{schema: words, skipLines: 0, groups: [], overlap: []}}
"""
TRAININGS = {
    "mlp": f"{{trainer: tabular-mlp/1, model: m, dataset: rows, hidden: [6], drop: [], {ADAM}}}",
    "rival": f"{{trainer: tabular-mlp/1, model: m, dataset: rows, hidden: [3], drop: [], {SGD}}}",
    "sizes": f"{{trainer: tabular-mlp/1, model: m, dataset: sizes, hidden: [6], drop: [], {SGD}}}",
    "cnn": f"{{trainer: image-cnn/1, widths: [4], {IMAGES}, {ADAM}}}",
    "vgg": f"{{trainer: image-vgg/1, depth: 11, firstWidth: 2, {IMAGES}, {SGD}}}",
    "lstm": f"{{{LSTM}, dropout: 0, {ADAM}}}",
    "private": f"{{trainer: tabular-mlp/1, model: m, dataset: rows, hidden: [6], drop: [], {SGD}, {PRIVACY}}}",
    "private-cnn": f"{{trainer: image-cnn/1, widths: [4], {IMAGES.replace('true', 'false')}, {SGD}, {PRIVACY}}}",
    "private-lstm": f"{{{LSTM}, dropout: 0, {SGD}, {PRIVACY}}}",
}
DROPOUT = f"{{{LSTM}, dropout: 0.5, {ADAM}}}".replace("epochs: 1", "epochs: 2")
EVALUATIONS = {
    ("mlp", "tabular"): f"{{measurer: tabular-evaluation/1, dataset: rows, {DRAWS}, threshold: 0.5, calibrationBins: 5,"
    " groups: [[sex]], slices: []}",
    ("mlp", "groups"): f"{{measurer: group-fairness/1, dataset: rows, {DRAWS}, threshold: 0.5, minimumGroupSize: 2,"
    " groups: [[sex]]}",
    ("mlp", "flips"): f"{{measurer: counterfactual-fairness/1, dataset: rows, {DRAWS}, threshold: 0.5,"
    " attributes: [{column: sex, values: [m, f]}], coChanges: []}",
    ("mlp", "baseline"): f"{{measurer: baseline-comparison/1, dataset: rows, {DRAWS}, threshold: 0.5}}",
    ("mlp", "pgd"): f"{{measurer: pgd/1, dataset: rows, {ROWS}, norm: Linf, epsilons: [0.1, 1], loss: margin, steps: 2,"
    " stepSize: 0.5, restarts: 2, features: [{name: x, minimum: -9, maximum: 99, step: 0.1}]}",
    ("cnn", "pgd-L2"): f"{{measurer: pgd/1, dataset: digits, {ROWS}, norm: L2, epsilons: [0.1, 1], loss: cross-entropy,"
    " steps: 2, stepSize: 0.5, restarts: 2, features: all}",
    ("cnn", "autoattack"): f"{{measurer: autoattack/1, dataset: digits, {ROWS}, version: standard, norm: Linf,"
    " epsilons: [0.1], iterations: 2, queries: 2}",
    ("cnn", "autoattack-L2"): f"{{measurer: autoattack/1, dataset: digits, {ROWS}, version: standard, norm: L2,"
    " epsilons: [0.3], iterations: 2, queries: 2}",
    ("cnn", "damaged"): f"{{measurer: corruptions/1, dataset: digits, {DRAWS}, corruptions: all, severities: [1],"
    " columns: all}",
    ("vgg", "classes"): f"{{measurer: classification/1, dataset: digits, {DRAWS}, topK: [2], calibrationBins: 5,"
    " groups: [], slices: []}",
    ("lstm", "texts"): f"{{measurer: classification/1, dataset: texts, {DRAWS}, topK: [], calibrationBins: 5,"
    " groups: [], slices: []}",
    ("sizes", "errors"): f"{{measurer: regression/1, dataset: sizes, {DRAWS}, groups: [], slices: []}}",
    ("mlp", "members"): f"{{measurer: membership-inference/1, dataset: rows, train: seen, {DRAWS},"
    " falsePositiveRates: [0.1]}",
    ("mlp", "lira"): f"{{measurer: lira/1, dataset: rows, train: seen, {DRAWS}, falsePositiveRates: [0.1],"
    " variant: offline, variance: global, shadows: 4, shadow: {trainer: tabular-mlp/1,"
    f" {ADAM.rpartition(', seed')[0]}}}}}",
}


class World:
    """The data, and a model of each architecture, trained on the CPU."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._open, self._models = folder, stack, dict[str, Files]()
        self.data = {name: self.read(files, "dataset") for name, files in _data().items()}

    def read(self, files: Files, kind: Any) -> VerifiedArtifact:
        root = self._folder / str(len(list(self._folder.iterdir())))
        for path, data in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        only = kind == "dataset" and len(files) == 1
        return self._open.enter_context(read_verified(root / next(iter(files)) if only else root, kind))

    def plan(self, stage: str, text: str) -> Plan:
        job = load_job(f"{JOB}{stage}: {text}\n".encode(), "job.yaml")
        if stage == "training":
            return job.require_training()
        return job.require_inference() if stage == "inference" else next(iter(job.require_evaluations().values()))

    def measure(self, plan: Plan, device: Device, *, model: Files | None = None, **context: Any) -> Any:
        """The outcome; a model as it is given, and every dataset by its name."""
        inputs = {
            item.role: Given(
                artifact=self._artifact(item, model or {}),
                name=item.name or "m",
            )
            for item in plan.inputs
        }
        return plan.measure(inputs, Context(device=device, **context))

    def _artifact(self, item: Input, model: Files) -> VerifiedArtifact:
        if item.kind == "dataset":
            return self.data[str(item.name)]
        return self.read(self.model("rival") if item.role == "baseline" else model, "model")

    def model(self, name: str) -> Files:
        if name not in self._models:
            self._models[name] = self.measure(self.plan("training", TRAININGS[name]), "cpu").outputs["m"].files
        return self._models[name]


def _data() -> dict[str, Files]:
    from PIL import Image
    from sklearn.datasets import load_digits

    rows = [f"{value},{'mf'[value % 2]},{'ab'[value % 7 > 2]}\n" for value in range(40)]
    texts = [
        f"{'the film was'[: 4 * (i % 4)]} {'great' if i % 2 else 'dull'},{'good' if i % 2 else 'bad'}\n"
        for i in range(20)
    ]
    digits = load_digits()
    pictures = {}
    for number in np.flatnonzero(digits.target < 4)[:12]:
        buffer = io.BytesIO()
        Image.fromarray(np.round(digits.images[number] * 255 / 16).astype(np.uint8)).save(buffer, "png")
        pictures[f"k{digits.target[number]}/{number:03}.png"] = buffer.getvalue()
    return {
        "rows": {"rows": "".join(rows[20:]).encode()},
        "seen": {"seen": "".join(rows[:25]).encode()},
        "sizes": {"sizes": "".join(rows).encode()},
        "digits": pictures,
        "texts": {"texts": "".join(texts).encode()},
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("devices"), stack)


@pytest.fixture
def gpu() -> Iterator[Pretended]:
    with pretend_device() as device:
        yield device


def said(outcome: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A predicate without its environment, and the environment."""
    predicate: Any = statement.parse(outcome.statements[0].data).predicate
    holder = predicate
    if "buildDefinition" in predicate:
        holder = predicate["buildDefinition"]["internalParameters"]
    return predicate, holder.pop("environment")


@contextmanager
def as_before(device: Pretended) -> Iterator[None]:
    """Both generators are left as they were found."""
    before = torch.get_rng_state(), device.get_state()
    yield
    after = torch.get_rng_state(), device.get_state()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.fixture
def known_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda count=32: bytes(range(count)))


@pytest.mark.usefixtures("known_key")
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_does_the_same_there(world: World, name: str) -> None:
    expected = world.model(name)
    with pretend_device() as device, as_before(device):
        outcome = world.measure(world.plan("training", TRAININGS[name]), "cuda")
    assert outcome.outputs["m"].files == expected
    assert device.calls.total() > 50
    assert said(outcome)[1]["machine"]["device"] == "cuda"


@pytest.mark.parametrize(("model", "name"), EVALUATIONS)
def test_an_evaluation_finds_the_same_there(world: World, model: str, name: str) -> None:
    plan, files = world.plan("evaluation", EVALUATIONS[model, name]), world.model(model)
    expected, before = said(world.measure(plan, "cpu", model=files))
    with pretend_device() as device, as_before(device):
        found, around = said(world.measure(plan, "cuda", model=files))
    assert found == expected
    assert (before["machine"]["device"], around["machine"]["device"]) == ("cpu", "cuda")
    assert device.calls.total() > 0


def test_an_interrupted_training_goes_on_with_the_dropout_of_the_device(world: World) -> None:
    plan, kept = world.plan("training", DROPOUT), Kept()
    with pretend_device() as device:
        whole = world.measure(plan, "cuda")
        torch.manual_seed(99)
        with pytest.raises(InterruptedTrainingError):
            world.measure(plan, "cuda", checkpoints=kept, progress=interrupted(1))
        device.seed(98)
        resumed = world.measure(plan, "cuda", checkpoints=kept)
        assert device.calls["bernoulli_"] > 0
    assert len(kept.states) == 2
    assert resumed.outputs["m"].files == whole.outputs["m"].files


INFERENCE = "{measurer: inference/1, dataset: %s, disclose: {inputs: false, outputs: true}, seed: null}"


def inferred(world: World, dataset: str, model: Files, device: Device) -> tuple[Any, Any]:
    """The answers to every row, and the machine."""
    outcome = world.measure(world.plan("inference", INFERENCE % dataset), device, model=model)
    receipts = [json.loads(line) for line in outcome.private["receipts.jsonl"].splitlines()]
    return [receipt["record"]["output"] for receipt in receipts], said(outcome)[1]["machine"]


def converted(world: World, text: str) -> Files:
    """A child of the network of the table, made on the CPU as all transforms are."""
    job = load_job(f"{JOB}transforms:\n  t: {text}\n".encode(), "job.yaml")
    plan = job.plans("transform", "t")["t"]
    files: Files = world.measure(plan, "cuda", model=world.model("mlp")).outputs["c"].files
    return files


DIFFERENCE = "model: c, difference: {dataset: rows, confidenceLevel: 0.95}"


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm"])
def test_an_inference_answers_the_same_there(world: World, name: str) -> None:
    dataset = {"mlp": "rows", "cnn": "digits", "lstm": "texts"}[name]
    expected, _ = inferred(world, dataset, world.model(name), "cpu")
    with pretend_device() as device:
        found, machine = inferred(world, dataset, world.model(name), "cuda")
    assert (found, machine["deviceName"]) == (expected, NAME)
    assert device.calls.total() > 0


def test_a_model_in_int8_lives_there(world: World, gpu: Pretended) -> None:
    child = converted(world, f"{{transform: quantize-int8/1, granularity: channel, {DIFFERENCE}}}")
    assert not gpu.calls, "transforms stay on the CPU"
    assert inferred(world, "rows", child, "cuda")[1]["device"] == "cuda"
    assert gpu.calls


def test_what_onnxruntime_computed_on_the_cpu_is_not_said_of_the_gpu(world: World, gpu: Pretended) -> None:
    child = converted(world, f"{{transform: convert-onnx/1, opset: 21, tolerance: 1e-5, {DIFFERENCE}}}")
    _, machine = inferred(world, "rows", child, "cuda")
    assert (machine["device"], "deviceName" in machine) == ("cpu", False)
    plan = world.plan("evaluation", EVALUATIONS["mlp", "tabular"])
    _, around = said(world.measure(plan, "cuda", model=child))
    assert (around["machine"]["device"], "deviceName" in around["machine"]) == ("cpu", False)
    assert not gpu.calls


def test_what_is_said_of_a_gpu(gpu: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "version"
    monkeypatch.setattr(surroundings, "_DRIVER", driver)
    with one_thread(device="cuda"):
        found = environment(["lamslsa", "torch"], device="cuda")
        driver.write_text("580.95.05\n")
        again = environment(["lamslsa", "torch"], device="cuda")
    assert gpu.holds(torch.zeros(1)) is False
    machine = found.machine
    assert machine.items() >= {
        "device": "cuda", "deviceName": NAME, "computeCapability": "9.0", "multiprocessors": 132, "driver": "unknown",
        "cuda": "13.0", "cudnn": 91300, "threads": 1,
    }.items()  # fmt: skip
    assert again.machine == {**machine, "driver": "580.95.05"}
    assert found.variables.items() >= {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NVIDIA_TF32_OVERRIDE": "0"}.items()


OWN = """
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: m
datasets: {train: rows}
models: {}
configuration: {}
"""
OWN_CODE = """
import os
from lamslsa import own
assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
(own.model_dir() / "w").write_bytes(b"w")
"""


@pytest.mark.parametrize("started", [True, False])
def test_of_own_code_the_device_is_said_that_it_started(
    world: World, gpu: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, started: bool
) -> None:
    (tmp_path / "train.py").write_text(OWN_CODE)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: started)
    monkeypatch.setattr(own, "_distributions", lambda: ["lamslsa", "torch"])  # all that pytest has loaded takes long
    plan = own.load_own_training(OWN.encode(), source="job.yaml", code=tmp_path)
    found = said(world.measure(plan, "cpu" if started else "cuda"))[1]
    assert found["machine"]["device"] == ("cuda" if started else "cpu")
    assert ("deviceName" in found["machine"]) == started
    assert found["variables"]["NVIDIA_TF32_OVERRIDE"] == "0"


def test_variables_that_choose_kernels_are_kept() -> None:
    chosen = {"CUBLASLT_WORKSPACE_SIZE": "1", "TORCH_BLAS_PREFER_CUBLASLT": "1", "CUDNN_LOGDEST_DBG": "x"}
    kept = environment(["duckdb"], variables={**chosen, "TORCH_HOME": "/home/somebody"}).variables
    assert kept == chosen


@pytest.mark.usefixtures("gpu")
def test_cuda_that_was_started_otherwise_is_refused() -> None:
    with one_thread(device="cuda"):
        torch.ones(2, device="cuda").sum()
    with one_thread(device="cuda"):
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:2:16:8"
    with pytest.raises(UnavailableError) as caught, one_thread(device="cuda"):
        pass
    assert (caught.value.reason, "CUBLAS_WORKSPACE_CONFIG=:4096:8" in str(caught.value.hint)) == (
        "device-started",
        True,
    )


@pytest.mark.usefixtures("gpu")
def test_the_gpu_of_another_maker_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(UnavailableError) as caught, one_thread(device="cuda"):
        pass
    assert caught.value.reason == "device-missing"


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "device-memory"),
        (torch.AcceleratorError("CUDA error: no kernel image is available\nmore"), "device-failed"),
    ],
)
def test_a_gpu_that_cannot_is_said(error: Exception, reason: str) -> None:
    with pytest.raises(UnavailableError) as caught, one_thread(device="cuda"):
        raise error
    assert (caught.value.reason, "\n" in str(caught.value)) == (reason, False)
    assert not torch.are_deterministic_algorithms_enabled()


def there(*values: float) -> Any:
    return torch.tensor(values, device="cuda")


def lstm_gradient() -> Any:
    lstm = torch.nn.LSTM(1, 1).to("cuda").eval()
    return lstm(there(1.0).reshape(1, 1))[0].sum().backward()


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "operand": (lambda: there(1, 2) + torch.ones(2), "same device"),
    "index": (lambda: torch.ones(2)[there(0).long()], "same device"),
    "mask": (lambda: torch.where(torch.ones(2, dtype=torch.bool), there(1, 2), 0), "same device"),
    "weights": (lambda: torch.nn.Linear(2, 2)(there(1.0, 2.0)), "same device"),
    "loss": (lambda: torch.nn.functional.mse_loss(there(1.0, 2.0), torch.ones(2)), "same device"),
    "view": (lambda: there(1, 2)[:1].add_(torch.ones(1)), "same device"),
    "numpy": (lambda: there(1, 2).numpy(), "numpy"),
    "array": (lambda: np.asarray(there(1, 2)), "numpy"),
    "permutation": (lambda: torch.randperm(3, generator=torch.Generator(), device="cuda"), "generator"),
    "noise": (lambda: there(1.0, 2.0).normal_(generator=torch.Generator()), "generator"),
    "cumulative": (lambda: there(1.0, 2.0).cumsum(0), "deterministic"),
    "histogram": (lambda: torch.histc(there(1.0, 2.0)), "deterministic"),
    "lengths": (
        lambda: torch.nn.utils.rnn.pack_padded_sequence(there(1, 2).reshape(2, 1), there(1).long().sort()[0]),
        "lengths",
    ),
    "lstm": (lstm_gradient, "training mode"),
}  # fmt: skip


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_pretended_device_refuses_what_a_real_one_does(mistake: str) -> None:
    do, said_of_it = MISTAKES[mistake]
    with one_thread(device="cuda"), pytest.raises((RuntimeError, TypeError), match=said_of_it):
        do()


@pytest.mark.usefixtures("gpu")
def test_the_pretended_device_takes_what_a_real_one_does() -> None:
    with one_thread(device="cuda"):
        values = there(3, 1, 2)
        assert values.device == torch.device("cuda", 0)
        assert values.cpu().numpy().tolist() == (values + torch.tensor(0)).tolist() == [3, 1, 2]
        assert values[torch.tensor([1])].is_cuda
        assert torch.ones(3).copy_(values).device.type == "cpu"
        assert values.copy_(torch.ones(3)).new_tensor([1]).is_cuda
        assert values.long().cumsum(0).is_cuda


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("forgotten", ["deterministic", "tf32", "workspace"])
def test_the_pretended_device_notices_what_was_forgotten(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with one_thread(device="cuda"):
        square = there(1, 2, 3, 4).reshape(2, 2)
        if forgotten == "deterministic":
            torch.use_deterministic_algorithms(False)
        elif forgotten == "tf32":
            torch.backends.cudnn.allow_tf32 = True
        else:
            monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        with pytest.raises((AssertionError, RuntimeError)):
            square @ square

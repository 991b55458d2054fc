"""Trainers of networks: what was run is what is said, on real data, and an interruption changes nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from lamslsa import _codec, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError, VerificationError
from lamslsa.measure import Context, Job
from lamslsa.measure.checkpoints import SealedFolder
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.predict import predict
from lamslsa.measure.training import images, loop
from lamslsa.measure.training.chain import every, verify_chain
from lamslsa.predicates import Provenance
from lamslsa.predicates.provenance import Byproduct
from lamslsa.testing.measuring import measure_evaluation, measure_training
from lamslsa.testing.trainers import (
    ADAM,
    TABLE,
    InterruptedTrainingError,
    Kept,
    dataset_job,
    interrupted,
    run_training,
    trainer_plan,
)

Read = Callable[..., VerifiedArtifact]
MakeJob = Callable[..., Job]

SGD = (
    "optimizer: sgd, learningRate: 0.1, weightDecay: 0, momentum: 0, nesterov: false, schedule: constant, "
    "augmentation: none, seed: 5"
)
IRIS = (
    '{format: csv, delimiter: ",", header: false, trim: true, nullToken: null, columns: [{name: a, type: number}, '
    "{name: b, type: number}, {name: c, type: number}, {name: d, type: number}, {name: y, type: string}], "
    "label: {column: y, classes: {k0: 0, k1: 1, k2: 2}}}"
)
DIABETES = (
    '{format: csv, delimiter: ",", header: false, trim: true, nullToken: null, columns: ['
    + ", ".join(f"{{name: x{i}, type: number}}" for i in range(10))
    + ", {name: y, type: number}], label: {column: y, type: number}}"
)
TEN = ", ".join(f"k{i}: {i}" for i in range(10))
DIGITS = f"{{format: images, channels: 1, height: 8, width: 8, classes: {{{TEN}}}}}"
TEXTS = (
    '{format: csv, delimiter: ",", header: false, trim: true, nullToken: "?", columns: [{name: text, type: string}, '
    "{name: y, type: string}], label: {column: y, classes: {bad: 0, good: 1}}}"
)
MLP = "trainer: tabular-mlp/1, model: m, dataset: d, drop: []"
CNN = "trainer: image-cnn/1, model: m, dataset: d, widths: [8, 16], hidden: [32], normalization: learned"
VGG = "trainer: image-vgg/1, model: m, dataset: d, depth: 11, firstWidth: 8, hidden: [16], normalization: learned"
LSTM = (
    "trainer: text-lstm/1, model: m, dataset: d, textColumn: text, tokens: casefold-words, vocabularySize: 50, "
    "minimumCount: 2, length: 6, embedding: 8, hidden: 8, layers: 1, bidirectional: true, dropout: 0.1"
)


def configuration(provenance: Provenance) -> dict[str, Any]:
    return provenance.build_definition.external_parameters.configuration


def csv(rows: Any) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


@pytest.fixture
def iris(read: Read) -> VerifiedArtifact:
    from sklearn.datasets import load_iris

    data = load_iris()
    return read({"iris": csv([*row, f"k{label}"] for row, label in zip(data.data, data.target, strict=True))})


@pytest.fixture
def diabetes(read: Read) -> VerifiedArtifact:
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    return read({"diabetes": csv([*row, label] for row, label in zip(data.data, data.target, strict=True))})


@pytest.fixture
def texts(read: Read) -> VerifiedArtifact:
    """Sentences that are good or bad by one word, somewhere in the first six."""
    source = np.random.default_rng(0)
    rows = []
    for number in range(120):
        filler = [str(word) for word in source.choice(["the", "Film", "a", "plot", "was"], size=source.integers(0, 5))]
        word = str(source.choice(["great", "LOVELY"] if number % 2 else ["dull", "awful"]))
        filler.insert(int(source.integers(0, len(filler) + 1)), word)
        rows.append([" ".join(filler), "good" if number % 2 else "bad"])
    return read({"texts": csv([*rows, ["?", "good"]])})


@pytest.fixture
def digits(read: Read) -> VerifiedArtifact:
    """The first 300 digits of scikit-learn as a folder of PNGs."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = digit_pixels()[:300]
    return read({f"k{data.target[i]}/{i:03}.png": png(pixels[i]) for i in range(300)})


def digit_pixels() -> np.ndarray[Any, Any]:
    from sklearn.datasets import load_digits

    pixels: np.ndarray[Any, Any] = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    return pixels


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def test_three_classes(read: Read, iris: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{MLP}, hidden: [16], {ADAM.replace('epochs: 3', 'epochs: 20')}}}", IRIS)
    provenance, files, _ = run_training(plan, iris)
    assert json.loads(files["model.json"])["says"] == {"type": "classes", "classes": 3}
    loaded = load_model(read(files, "model"))
    examples = read_examples(loaded, iris, dataset_job(IRIS))
    scores = predict(loaded, examples.inputs, Context())
    assert scores.shape == (150, 3)
    assert (scores.argmax(axis=1) == examples.labels).mean() > 0.93
    assert verify_chain(provenance)[-1].epoch == 20


def test_regression_is_least_squares(read: Read, diabetes: VerifiedArtifact) -> None:
    """Without a hidden layer, over all rows at once: gradient descent by hand gives the same line."""
    from sklearn.datasets import load_diabetes

    settings = f"epochs: 40, batchSize: 442, {SGD}"
    provenance, files, _ = run_training(trainer_plan(f"{{{MLP}, hidden: [], {settings}}}", DIABETES), diabetes)
    data = load_diabetes(scaled=False)
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    mean, deviation = data.target.mean(), data.target.std()
    y = (data.target - mean) / deviation
    document = json.loads(files["model.json"])
    assert document["says"] == {"type": "number", "mean": pytest.approx(mean), "deviation": pytest.approx(deviation)}
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = torch.nn.Linear(10, 1)
    w, b = first.weight.detach().numpy()[0].astype(np.float64), float(first.bias.detach())
    losses = []
    for _ in range(40):
        error = x @ w + b - y
        losses.append(float((error**2).mean()))
        w, b = w - 0.1 * 2 * (error @ x) / len(y), b - 0.1 * 2 * error.mean()
    loaded = load_model(read(files, "model"))
    found = predict(loaded, read_examples(loaded, diabetes, dataset_job(DIABETES)).inputs, Context())
    assert found == pytest.approx(mean + deviation * (x @ w + b), rel=1e-4)
    assert [item.loss for item in verify_chain(provenance)] == pytest.approx(losses, rel=1e-4)


def test_labels_beyond_float32_are_refused(read: Read) -> None:
    rows = csv([*[0.5] * 10, value] for value in (1e100, 2e100))
    with pytest.raises(FormatError) as caught:
        run_training(
            trainer_plan(f"{{{MLP}, hidden: [], epochs: 1, batchSize: 2, {SGD}}}", DIABETES), read({"a": rows})
        )
    assert caught.value.reason == "feature-range"


@pytest.mark.parametrize(
    ("trainer", "rest", "epochs", "at_least"),
    [(CNN, "batchNorm: true, dropout: 0.1", 15, 0.8), (VGG, "batchNorm: true, dropout: 0", 20, 0.5)],
)
def test_digits_are_learned(
    read: Read, digits: VerifiedArtifact, trainer: str, rest: str, epochs: int, at_least: float
) -> None:
    from sklearn.datasets import load_digits

    plan = trainer_plan(f"{{{trainer}, {rest}, {ADAM.replace('epochs: 3', f'epochs: {epochs}')}}}", DIGITS)
    provenance, files, _ = run_training(plan, digits)
    data = load_digits()
    inputs = digit_pixels()[300:900, None].astype(np.float32) / 255
    scores = predict(load_model(read(files, "model")), inputs, Context())
    assert (scores.argmax(axis=1) == data.target[300:900]).mean() > at_least
    assert configuration(provenance)["batchNorm"] is True
    scale = json.loads(files["model.json"])
    assert scale["mean"] == [pytest.approx(digit_pixels()[:300].mean() / 255)]
    assert scale["deviation"] == [pytest.approx(digit_pixels()[:300].std() / 255)]
    seen = read_examples(load_model(read(files, "model")), digits, dataset_job(DIGITS))
    assert sorted(map(bytes, (seen.inputs * 255).round().astype(np.uint8))) == sorted(map(bytes, digit_pixels()[:300]))
    assert np.bincount(seen.labels).tolist() == np.bincount(data.target[:300]).tolist()
    packages = {item.name for item in provenance.build_definition.internal_parameters.environment.packages}
    assert {"pillow", "torch"} <= packages


def test_texts_are_learned(read: Read, texts: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{LSTM}, {ADAM.replace('epochs: 3', 'epochs: 8')}}}", TEXTS)
    _, files, _ = run_training(plan, texts)
    document = json.loads(files["model.json"])
    assert document["vocabulary"] == sorted(document["vocabulary"], key=document["vocabulary"].index)
    assert {"great", "lovely", "dull", "awful", "film"} <= set(document["vocabulary"])
    loaded = load_model(read(files, "model"))
    examples = read_examples(loaded, texts, dataset_job(TEXTS), columns=["text"])
    assert examples.inputs[-1].tolist() == [0] * 6
    assert examples.columns["text"][-1] == "(missing)"
    assert ((predict(loaded, examples.inputs, Context()) > 0.5) == examples.labels)[:-1].mean() > 0.95


def test_attested_epochs_are_those_that_were_run(iris: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Laminator: attested epochs were not those run. Here they are counted, whatever the job file asked for."""
    import torch

    steps: list[int] = []
    step = torch.optim.Adam.step

    def counted(self: Any, *given: Any) -> Any:
        steps.append(1)
        return step(self, *given)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    plan = trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS)
    provenance, _, _ = run_training(plan, iris)
    chain = verify_chain(provenance)
    assert configuration(provenance)["epochs"] == chain[-1].epoch == 3
    assert len(steps) == chain[-1].step == 3 * 5
    whole = loop._Training._permutations
    monkeypatch.setattr(loop._Training, "_permutations", lambda self: list(whole(self))[:2])
    cut, _, _ = run_training(plan, iris)
    assert configuration(cut)["epochs"] == 2
    with pytest.raises(VerificationError):
        verify_chain(cut)


def test_training_and_evaluation_name_the_model_by_one_digest(
    read: Read, job: Job, train_set: VerifiedArtifact, test_set: VerifiedArtifact
) -> None:
    """Laminator: train used SHA-256 and evaluation SHA-512 as the model id, so cards could not be chained."""
    trained = measure_training(train_set, job=job)
    model = read(dict(trained.files), "model")
    evaluated = statement.parse(measure_evaluation(model, test_set, name="m", job=job))
    (made,), (measured,) = statement.parse(trained.payload).subjects, evaluated.subjects
    assert made.sha256 == measured.sha256 == model.manifest.sha256
    assert len(made.sha256) == 64


def test_order_of_rows_is_told_by_its_digest(iris: VerifiedArtifact) -> None:
    import torch

    provenance, _, _ = run_training(trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS), iris)
    source = torch.Generator().manual_seed(3)
    order = b"".join(struct.pack("<150q", *torch.randperm(150, generator=source).tolist()) for _ in range(3))
    (found,) = (item for item in provenance.run_details.byproducts if item.name == "order-of-rows")
    assert found.digest is not None
    assert found.digest.sha256 == hashlib.sha256(order).hexdigest()


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ("schedule: step, scheduleEvery: 2, scheduleFactor: 0.1", [0.1, 0.1, 0.01, 0.01, 0.001]),
        (
            "schedule: cosine",
            [0.1, 0.0904508497, 0.0654508497, 0.0345491503, 0.0095491503],
        ),
    ],
)
def test_optimizer_and_schedule_are_those_of_torch(iris: VerifiedArtifact, settings: str, rates: list[float]) -> None:
    """The same loop over torch's own optimiser and schedule, written out."""
    import safetensors.torch
    import torch

    shape = f"{MLP}, hidden: [4], epochs: 5, batchSize: 40, augmentation: none, seed: 9"
    sgd = "optimizer: sgd, learningRate: 0.1, weightDecay: 1e-2, momentum: 0.9, nesterov: true"
    plan = trainer_plan(f"{{{shape}, {sgd}, {settings}}}", IRIS)
    provenance, files, _ = run_training(plan, iris)
    said = configuration(provenance)
    assert (said["momentum"], said["nesterov"], said["optimizer"]) == (0.9, True, "sgd")
    from sklearn.datasets import load_iris

    data = load_iris()
    x = torch.from_numpy(((data.data - data.data.mean(axis=0)) / data.data.std(axis=0)).astype(np.float32))
    y = torch.from_numpy(data.target.astype(np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    order = torch.Generator().manual_seed(9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        for batch in torch.split(torch.randperm(150, generator=order), 40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    found = safetensors.torch.load(files["model.safetensors"])
    for name, tensor in model.state_dict().items():
        assert torch.allclose(found[name], tensor, atol=1e-5), name


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (", augmentation: none", "", "yaml-missing-key"),
        ("augmentation: none", "augmentation: flips", "yaml-choice"),
        (", beta1: 0.9", "", "yaml-missing-key"),
        ("beta2: 0.999", "beta2: 1", "yaml-range"),
        ("epsilon: 1e-8", "epsilon: 0", "yaml-range"),
        ("schedule: constant", "schedule: linear", "yaml-choice"),
        ("schedule: constant", "schedule: step, scheduleEvery: 2", "yaml-missing-key"),
        ("schedule: constant", "schedule: step, scheduleEvery: 0, scheduleFactor: 0.1", "yaml-range"),
        ("schedule: constant", "schedule: constant, scheduleEvery: 2", "yaml-unknown-key"),
        ("optimizer: adam", "optimizer: sgd", "yaml-missing-key"),
        ("optimizer: adam", "optimizer: sgd, momentum: 0, nesterov: true", "job-optimizer"),
        ("optimizer: adam", "optimizer: sgd, momentum: 1, nesterov: true", "yaml-range"),
        ("dropout: 0", "dropout: 1", "yaml-range"),
        ("widths: [8, 16]", "widths: []", "yaml-empty"),
        ("widths: [8, 16]", f"widths: {[1] * 17}", "job-hidden"),
        ("normalization: learned", "normalization: imagenet", "yaml-choice"),
        ("normalization: learned", "normalization: {mean: [0.1, 0.2], deviation: [1]}", "job-normalization"),
        ("normalization: learned", "normalization: {mean: [0.1], deviation: [0]}", "job-normalization"),
        ("batchNorm: true, ", "", "yaml-missing-key"),
    ],
)
def test_every_field_is_asked_for(old: str, new: str, reason: str) -> None:
    trainer = f"{{{CNN}, batchNorm: true, dropout: 0, {ADAM}}}"
    assert old in trainer
    with pytest.raises(FormatError) as caught:
        trainer_plan(trainer.replace(old, new), DIGITS)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("trainer", "schema", "reason"),
    [
        (f"{{{VGG}, batchNorm: true, dropout: 0, {ADAM}}}".replace("depth: 11", "depth: 12"), DIGITS, "yaml-range"),
        (f"{{{CNN}, batchNorm: true, dropout: 0, {ADAM}}}", IRIS, "job-images"),
        (f"{{{MLP}, hidden: [], {ADAM}}}", DIGITS, "schema-not-a-table"),
        (f"{{{LSTM}, {ADAM}}}".replace("textColumn: text", "textColumn: y"), TEXTS, "yaml-choice"),
        (f"{{{LSTM}, {ADAM}}}".replace("dropout: 0.1", "dropout: 1"), TEXTS, "yaml-range"),
        (f"{{{LSTM}, {ADAM}}}".replace("casefold-words", "bytes"), TEXTS, "yaml-choice"),
    ],
)
def test_trainers_refuse_what_they_cannot_train(trainer: str, schema: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        trainer_plan(trainer, schema)
    assert caught.value.reason == reason


def test_a_row_left_over_has_no_batch_statistics(digits: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{CNN}, batchNorm: true, dropout: 0, {ADAM.replace('32', '299')}}}", DIGITS)
    with pytest.raises(FormatError) as caught:
        run_training(plan, digits)
    assert caught.value.reason == "training-batch"


def test_images_of_another_shape_are_refused(read: Read, digits: VerifiedArtifact, iris: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{CNN}, batchNorm: false, dropout: 0, {ADAM.replace('epochs: 3', 'epochs: 1')}}}", DIGITS)
    loaded = load_model(read(run_training(plan, digits)[1], "model"))
    with pytest.raises(FormatError) as caught:
        read_examples(loaded, digits, dataset_job(DIGITS.replace("width: 8", "width: 9")))
    assert caught.value.reason == "feature-column"
    with pytest.raises(FormatError) as other:
        read_examples(loaded, digits, dataset_job(DIGITS.replace(TEN, "k0: 0, k1: 1, k2: 2")))
    assert other.value.reason == "evaluation-label"
    as_folder = IRIS.replace("name: y,", "name: folder,").replace("column: y", "column: folder")
    as_folder = as_folder.replace("k0: 0, k1: 1, k2: 2", TEN)
    with pytest.raises(FormatError) as table:
        read_examples(loaded, iris, dataset_job(as_folder))
    assert table.value.reason == "schema-not-images"


def test_text_column_has_to_be_there(read: Read, texts: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{LSTM}, {ADAM.replace('epochs: 3', 'epochs: 1')}}}", TEXTS)
    loaded = load_model(read(run_training(plan, texts)[1], "model"))
    with pytest.raises(FormatError) as caught:
        read_examples(loaded, texts, dataset_job(TEXTS.replace("name: text", "name: review")))
    assert caught.value.reason == "feature-column"


def test_no_rows_are_nothing_to_train_on(digits: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros((0, 1, 8, 8), dtype=np.uint8), np.zeros(0, dtype=np.int64)
    monkeypatch.setattr(images, "read_pixels", lambda artifact, dataset: nothing)
    declared = f"{{{CNN}, batchNorm: false, dropout: 0, {ADAM}}}".replace("learned", "{mean: [0], deviation: [1]}")
    with pytest.raises(FormatError) as caught:
        run_training(trainer_plan(declared, DIGITS), digits)
    assert caught.value.reason == "training-empty"


@pytest.mark.parametrize("device", ["cuda"])
def test_a_device_that_is_not_there_is_said(iris: VerifiedArtifact, device: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    from lamslsa.errors import UnavailableError

    with pytest.raises(UnavailableError) as caught:
        run_training(trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS), iris, device=device)
    assert caught.value.reason == "device-missing"


def altered(provenance: Provenance, change: Callable[[list[dict[str, Any]]], Any]) -> Provenance:
    """The same provenance with another chain."""
    byproducts = []
    for item in provenance.run_details.byproducts:
        kept = item
        if item.name == "checkpoint-chain" and item.content is not None:
            chain = json.loads(base64.b64decode(item.content))
            change(chain)
            kept = Byproduct(name=item.name, content=_codec.encode_base64(json.dumps(chain).encode()))
        byproducts.append(kept)
    details = msgspec.structs.replace(provenance.run_details, byproducts=tuple(byproducts))
    return msgspec.structs.replace(provenance, run_details=details)


def test_chain_by_hand(iris: VerifiedArtifact) -> None:
    import rfc8785

    plan = trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS)
    provenance, files, _ = run_training(plan, iris)
    domain = b"https://lamslsa.dev/checkpoint-chain/v1\n"
    read_as = {"digest": iris.manifest.sha256, "schemaDigest": dataset_job(IRIS).schema.sha256}
    document: Any = {
        "trainer": "tabular-mlp/1",
        "configuration": configuration(provenance),
        "datasets": {"train": read_as},
    }
    link = hashlib.sha256(domain + rfc8785.dumps(document)).digest()
    for number, item in enumerate(verify_chain(provenance), 1):
        checkpoint = hashlib.sha256(bytes.fromhex(item.weights) + bytes.fromhex(item.optimizer)).digest()
        assert item.loss is not None
        link = hashlib.sha256(
            domain + link + struct.pack(">Q", 5 * number) + checkpoint + struct.pack(">d", item.loss)
        ).digest()
        assert item.link == link.hex()
    assert item.weights == hashlib.sha256(files["model.safetensors"]).hexdigest()


def test_no_part_of_a_chain_can_be_another(iris: VerifiedArtifact) -> None:
    provenance, _, _ = run_training(trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS), iris)
    changes: list[Callable[[list[dict[str, Any]]], Any]] = [
        lambda chain: chain[1].update(loss=chain[1]["loss"] / 2),
        lambda chain: chain[1].pop("loss"),
        lambda chain: chain[0].update(step=4),
        lambda chain: chain[0].update(weights="00" * 32),
        lambda chain: chain[2].update(optimizer="00" * 32),
        lambda chain: chain[2].update(link="00" * 32),
        lambda chain: chain.pop(),
        lambda chain: chain.pop(0),
        lambda chain: chain.reverse(),
        lambda chain: chain.append(chain[2]),
        lambda chain: chain[0].update(epoch=2),
        lambda chain: chain[2].update(epoch=4),
    ]
    for change in changes:
        with pytest.raises(VerificationError) as caught:
            verify_chain(altered(provenance, change))
        assert caught.value.reason == "checkpoint-chain"
    for change, reason in [
        (lambda chain: chain.clear(), "chain-syntax"),
        (lambda chain: chain[0].update(step="5"), "chain-syntax"),
        (lambda chain: chain[0].update(weights="zz"), "chain-syntax"),
    ]:
        with pytest.raises(FormatError) as refused:
            verify_chain(altered(provenance, change))
        assert refused.value.reason == reason
    bare = msgspec.structs.replace(
        provenance, run_details=msgspec.structs.replace(provenance.run_details, byproducts=())
    )
    with pytest.raises(FormatError) as missing:
        verify_chain(bare)
    assert missing.value.reason == "chain-missing"


def test_chain_is_of_this_configuration_and_this_data(iris: VerifiedArtifact) -> None:
    provenance, _, _ = run_training(trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS), iris)
    definition = provenance.build_definition
    external = definition.external_parameters
    other = msgspec.structs.replace(external, configuration={**external.configuration, "seed": 4})
    for changed in (
        msgspec.structs.replace(definition, external_parameters=other),
        msgspec.structs.replace(definition, resolved_dependencies=definition.resolved_dependencies[1:]),
    ):
        with pytest.raises(VerificationError):
            verify_chain(msgspec.structs.replace(provenance, build_definition=changed))


def test_long_trainings_have_at_most_256_checkpoints(read: Read) -> None:
    rows = read({"a": b"1,a\n2,b\n"})
    plan = trainer_plan(f"{{{MLP}, hidden: [], {ADAM.replace('epochs: 3', 'epochs: 600')}}}", TABLE)
    provenance, _, _ = run_training(plan, rows)
    chain = verify_chain(provenance)
    assert [item.epoch for item in chain[:2]] == [3, 6]
    assert len(chain) == 200
    assert all(len(range(0, epochs, every(epochs))) <= 256 for epochs in (1, 255, 256, 257, 511, 513, 100_000))


def epochs_into(stages: list[int]) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "training epochs":
            stages.append(done)

    return progress


RESUMED = [
    (f"{{{MLP}, hidden: [4], {ADAM}}}", IRIS, "iris"),
    (f"{{{MLP}, hidden: [4], epochs: 3, batchSize: 32, {SGD}}}".replace("momentum: 0", "momentum: 0.9"), IRIS, "iris"),
    (f"{{{MLP}, hidden: [4], epochs: 3, batchSize: 32, {SGD}}}", IRIS, "iris"),
    (f"{{{CNN}, batchNorm: true, dropout: 0.5, {ADAM}}}", DIGITS, "digits"),
    (f"{{{LSTM}, {ADAM}}}", TEXTS, "texts"),
]


@pytest.mark.parametrize(("trainer", "schema", "data"), RESUMED)
def test_interruption_changes_no_byte(trainer: str, schema: str, data: str, request: pytest.FixtureRequest) -> None:
    artifact = request.getfixturevalue(data)
    plan = trainer_plan(trainer, schema)
    _, files, whole = run_training(plan, artifact)
    kept = Kept()
    with pytest.raises(InterruptedTrainingError):
        run_training(plan, artifact, checkpoints=kept, progress=interrupted(2))
    assert len(kept.states) == 2
    for states in (kept.states, kept.states[:1]):
        stages: list[int] = []
        resumed = Kept(list(states))
        _, again, outcome = run_training(
            plan,
            artifact,
            checkpoints=resumed,
            progress=epochs_into(stages),
        )
        assert stages[0] == len(states), "it went on from where it was"
        assert again == files
        assert json.loads(outcome.statements[0].data) == json.loads(whole.statements[0].data)
        assert outcome.statements[0].data == whole.statements[0].data
    assert len(set(kept.works)) == 1


def test_checkpoint_of_other_work_is_never_used(iris: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{MLP}, hidden: [4], {ADAM}}}", IRIS)
    other = trainer_plan(f"{{{MLP}, hidden: [4], {ADAM.replace('seed: 3', 'seed: 4')}}}", IRIS)
    _, files, _ = run_training(plan, iris)
    kept, mine = Kept(), Kept()
    run_training(other, iris, checkpoints=kept)
    run_training(plan, iris, checkpoints=mine)
    assert set(kept.works).isdisjoint(mine.works)
    # even where whoever keeps them hands over another work's state
    _, again, _ = run_training(plan, iris, checkpoints=Kept([kept.states[1]]))
    assert again == files


def test_altered_checkpoint_is_as_good_as_none(iris: VerifiedArtifact) -> None:
    plan = trainer_plan(f"{{{MLP}, hidden: [4], {ADAM}}}", IRIS)
    kept = Kept()
    _, files, _ = run_training(plan, iris, checkpoints=kept)
    good = kept.states[1]
    bent = [bytes([*good[:at], good[at] ^ 1, *good[at + 1 :]]) for at in range(0, len(good) - 5100, 97)]
    for state in (b"", b"\0" * 8, b"\xff" * 40, good[:-1], good + b"\0", *bent[:4]):
        _, again, _ = run_training(plan, iris, checkpoints=Kept([state]))
        assert again == files


def test_work_is_the_surroundings_too(iris: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = trainer_plan(f"{{{MLP}, hidden: [], {ADAM}}}", IRIS)
    here, there = Kept(), Kept()
    run_training(plan, iris, checkpoints=here)
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    run_training(plan, iris, checkpoints=there)
    assert set(here.works).isdisjoint(there.works)


KILLED = """
import os, signal, sys
from pathlib import Path
from lamslsa.artifact.reader import read_verified
from lamslsa.measure import Context, Given
from lamslsa.measure.checkpoints import SealedFolder
from lamslsa.testing.trainers import trainer_plan
data, kept, trainer, schema = sys.argv[1:]
def progress(stage, done, total):
    if (stage, done) == ("training epochs", 2):
        os.kill(os.getpid(), signal.SIGKILL)
with read_verified(Path(data), "dataset") as artifact:
    plan = trainer_plan(trainer, schema)
    context = Context(progress=progress, checkpoints=SealedFolder(Path(kept), key=bytes(32)))
    plan.measure({"train": Given(artifact=artifact, name="d")}, context)
"""


def test_killed_in_the_middle(tmp_path: Path, iris: VerifiedArtifact) -> None:
    trainer = f"{{{MLP}, hidden: [4], {ADAM}}}"
    (tmp_path / "iris").write_bytes(iris.only().bytes())
    arguments = [str(tmp_path / "iris"), str(tmp_path / "kept"), trainer, IRIS]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    plan = trainer_plan(trainer, IRIS)
    _, files, whole = run_training(plan, iris)
    sealed = SealedFolder(tmp_path / "kept", key=bytes(32))
    stages: list[int] = []
    _, again, outcome = run_training(
        plan,
        iris,
        checkpoints=sealed,
        progress=epochs_into(stages),
    )
    assert again == files
    assert outcome.statements[0].data == whole.statements[0].data
    assert stages[0] == 2

"""What the trainers of networks share: from a network and what it is fitted to, to the model and its statement."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from lamslsa import _codec, predicates
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.interface import DESCRIPTION_FILE, WEIGHTS_FILE, Answer, Classes, Number, dump_description
from lamslsa.measure.training import privacy as secret
from lamslsa.measure.training.chain import dump_chain, first_link
from lamslsa.measure.training.loop import Fitted, Material, fit
from lamslsa.measure.training.provenance import TRAIN, dataset_digests, training_outcome
from lamslsa.measure.training.settings import Settings
from lamslsa.predicates._common import Digest, Environment
from lamslsa.predicates.provenance import Byproduct

__all__ = ["LOSSES", "ORDER", "answer_for", "learned_from", "train_network", "training_inputs"]

LOSSES: Final = "loss-per-epoch"
ORDER: Final = "order-of-rows"
_PACKAGES: Final = ("lamslsa", "numpy", "safetensors", "torch")
_MAX_FLOAT32: Final = 3.4e38
_WORK: Final = b"https://lamslsa.dev/training-work/v1\n"


def training_inputs(dataset: DatasetJob) -> tuple[Input, ...]:
    """The training data, which is all that a trainer reads."""
    return (Input(role=TRAIN, kind="dataset", name=dataset.name),)


def answer_for(task: Task, labels: Any) -> Answer:
    """What the outputs of a network for these labels mean.

    Raises:
        FormatError: labels that do not fit into float32.
    """
    if task.classes is not None:
        return Classes(classes=task.classes)
    from lamslsa.measure.models.encode import mean_and_deviation

    mean, deviation = mean_and_deviation("the label", labels)
    if len(labels) and max(abs(float(labels.max())), abs(float(labels.min()))) > _MAX_FLOAT32:
        raise FormatError("expected labels that fit into float32, got larger ones", reason="feature-range")
    return Number(mean=mean, deviation=deviation)


def learned_from(what: str, dataset: DatasetJob) -> tuple[str, ...]:
    """What of ``model.json`` is learned from the rows: ``what``, and of labels that are numbers their scale."""
    return (what, "label scale") if dataset.schema.target.task.classes is None else (what,)


def train_network(
    *,
    trainer: MeasurerName,
    model: str,
    dataset: DatasetJob,
    settings: Settings,
    shape: Mapping[str, Any],
    learned: Sequence[str],
    read: Callable[[VerifiedArtifact], Material],
    packages: Sequence[str],
    inputs: Mapping[str, Given],
    context: Context,
) -> Outcome:
    """Train, and say how.

    Args:
        trainer: whose code trains.
        model: what the model is called.
        dataset: the training data as the job has it.
        settings: how it is fitted.
        shape: the trainer's own part of the configuration.
        learned: what of ``model.json`` is learned from the rows, before training and without noise.
        read: verified bytes to the network and what it is fitted to.
        packages: the distributions that ``read`` imports.
        inputs: see `lamslsa.measure.interface.Plan`.
        context: see `lamslsa.measure.interface.Plan`.
    """
    artifact = inputs[TRAIN].artifact
    context.progress("reading rows", 0, 1)
    material = read(artifact)
    context.progress("reading rows", 1, 1)
    material.description.refuse()
    privacy = ("cryptography", "opacus", "scipy") if settings.privacy is not None else ()
    with one_thread(device=context.device):
        surroundings = environment((*packages, *_PACKAGES, *privacy), device=context.device)
        planned = _configuration(settings, shape, learned, len(material.labels), epochs=settings.epochs)
        start = first_link(str(trainer), planned, dataset_digests(dataset, artifact))
        description = dump_description(_struct(material))
        work = _work(start, surroundings, description)
        fitted = fit(material, settings, context, start=start, work=work)
    return training_outcome(
        trainer=trainer,
        model=model,
        files={DESCRIPTION_FILE: description, WEIGHTS_FILE: fitted.weights},
        dataset=dataset,
        artifact=artifact,
        configuration=_configuration(
            settings, shape, learned, len(material.labels), epochs=fitted.epochs, steps=fitted.steps
        ),
        surroundings=surroundings,
        byproducts=_byproducts(fitted),
    )


def _struct(material: Material) -> msgspec.Struct:
    if not isinstance(material.description, msgspec.Struct):
        raise TypeError("expected a description that can be written")
    return material.description


def _configuration(
    settings: Settings,
    shape: Mapping[str, Any],
    learned: Sequence[str],
    rows: int,
    *,
    epochs: int,
    steps: int | None = None,
) -> dict[str, Any]:
    """What was run: ``epochs`` and ``steps`` are counted; before training, as many as were asked for."""
    private = None
    if settings.privacy is not None and rows:
        count = epochs * secret.steps(rows, settings.batch_size) if steps is None else steps
        rate = secret.sample_rate(rows, settings.batch_size)
        private = {
            **settings.privacy.resolved(),
            "sampleRate": rate,
            "steps": count,
            "epsilon": secret.epsilon(settings.privacy, rate=rate, count=count),
            "notCovered": list(learned),
            "reproducible": False,
        }
    return {**shape, **settings.resolved(epochs=epochs, privacy=private)}


def _work(start: bytes, surroundings: Environment, description: bytes) -> bytes:
    """A digest of all that the result and its statement depend on; the environment has the digest of this code."""
    document = {
        "start": start.hex(),
        "environment": predicates.to_wire(surroundings),
        "description": _codec.sha256_hex(description),
    }
    return hashlib.sha256(_WORK + _codec.canonical_with_fractions(document)).digest()


def _byproducts(fitted: Fitted) -> list[Byproduct]:
    found = [dump_chain(fitted.chain)]
    if fitted.order is not None:
        found.append(Byproduct(name=ORDER, digest=Digest(sha256=fitted.order), annotations={"kind": "order"}))
        content = _codec.encode_base64(_codec.dumps(list(fitted.losses)))
        found.append(Byproduct(name=LOSSES, content=content, media_type="application/json"))
    return found

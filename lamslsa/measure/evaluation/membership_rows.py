"""Members and others: the rows of two datasets as a model sees them, and how confident it is about each.

Rules:
- Members are all rows of the training data. Others are the rows of the evaluated dataset, without those that the
  training data holds too (the same inputs to the network, and the same label): a model cannot be blamed for these, and
  they would blur what is measured. They are counted.
- That the rows are those that the model was trained on is not measured: a verifier compares their digest, which is a
  reference of the statement, with the provenance of the model.

Confidence is the logit of the probability p of the row's own class, log(p / (1 - p)): for a network from its logits in
float64, z_y - log Σ exp(z_j), j ≠ y (Carlini et al. 2022). A model that gives probabilities alone is refused: in
float32 they saturate, everything certain ties, and the model that leaks as a network would seem not to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.evaluation.attacks import blocks
from lamslsa.measure.evaluation.robustness_metrics import refuse_numbers
from lamslsa.measure.interface import Context, Given, Input
from lamslsa.measure.models.examples import Examples, read_examples
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.predicates._common import Digest
from lamslsa.predicates.evaluation import Metric, Reference

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = ["Rows", "confidences", "counted", "keys", "logit_of", "read_rows", "reference", "roles", "sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of both datasets, and which of them count.

    Attributes:
        members: the training data.
        others: the evaluated dataset without what the training data holds.
        overlapping: how many rows were left out of it.
    """

    members: Examples
    others: Examples
    overlapping: int


def sources(node: _yaml.Mapping_, scope: Scope) -> tuple[DatasetJob, DatasetJob]:
    """The evaluated dataset and the training data, as a job names them.

    Raises:
        FormatError: an unknown dataset, or one and the same.
    """
    dataset = scope.dataset(node.take("dataset"))
    item = node.take("train")
    train = scope.dataset(item)
    if train.name == dataset.name:
        item.refuse("expected another dataset than the evaluated one, got the same", reason="job-membership")
    return dataset, train


def roles(dataset: DatasetJob, train: DatasetJob) -> tuple[Input, ...]:
    """The model, the evaluated dataset, and the training data."""
    return (
        Input(role="model", kind="model"),
        Input(role="dataset", kind="dataset", name=dataset.name),
        Input(role="train", kind="dataset", name=train.name),
    )


def reference(train: DatasetJob, given: Given) -> Reference:
    """The training data as it stands in the statement."""
    return Reference(
        role="train",
        kind="dataset",
        name=train.name,
        digest=Digest(sha256=given.artifact.manifest.sha256),
        schema_digest=Digest(sha256=train.schema.sha256),
    )


def read_rows(loaded: LoadedModel, inputs: Mapping[str, Given], dataset: DatasetJob, train: DatasetJob) -> Rows:
    """Read both datasets for a model of classes.

    Raises:
        FormatError: the model says numbers or has no logits, or a dataset is not what it takes.
    """
    import numpy as np

    refuse_numbers(loaded)
    _network_of(loaded)
    members = read_examples(loaded, inputs["train"].artifact, train)
    everything = read_examples(loaded, inputs["dataset"].artifact, dataset)
    known = set(keys(members))
    new = np.array([key not in known for key in keys(everything)], dtype=bool)
    return Rows(
        members=members,
        others=Examples(inputs=everything.inputs[new], labels=everything.labels[new], columns={}),
        overlapping=int((~new).sum()),
    )


def keys(examples: Examples) -> list[bytes]:
    """A digest of each row as the model sees it, label included; zero has one sign."""
    import numpy as np

    labels = examples.labels.astype("<i8")
    found = []
    for row, label in zip(examples.inputs, labels, strict=True):
        found.append(hashlib.sha256(np.ascontiguousarray(row + 0).tobytes() + label.tobytes()).digest())
    return found


def counted(rows: Rows) -> list[Metric]:
    """How many rows there are of each kind."""
    sizes = {"members": len(rows.members.labels), "non_members": len(rows.others.labels)}
    found = [Metric(name=name, samples=size, value=float(size)) for name, size in sizes.items()]
    evaluated = sizes["non_members"] + rows.overlapping
    return [*found, Metric(name="overlapping_rows", samples=evaluated, value=float(rows.overlapping))]


def confidences(loaded: LoadedModel, examples: Examples, context: Context) -> Array:
    """How sure a model is of the class of each row, float64 (n,); finite.

    Raises:
        FormatError: the model has no logits.
    """
    import numpy as np

    network = _network_of(loaded)
    if not len(examples.labels):
        return np.zeros(0)
    return logit_of(network, examples.inputs, examples.labels, context)


def _network_of(loaded: LoadedModel) -> torch.nn.Module:
    if loaded.network is None:
        raise FormatError(
            f"expected a model with logits, got {loaded.architecture}, which gives probabilities in float32",
            reason="membership-logits",
            hint="attack the network that it was converted from",
        )
    return loaded.network


def logit_of(network: torch.nn.Module, inputs: Array, labels: Array, context: Context) -> Array:
    """The confidence of a network in each row; what is not finite counts as the largest or smallest number."""
    import numpy as np
    import torch

    network.eval()
    parts = []
    with torch.no_grad():
        for part in blocks(inputs):
            logits = network(torch.from_numpy(np.array(inputs[part])).to(context.device)).double().cpu().numpy()
            parts.append(_confidence(logits, labels[part]))
    found: Array = np.nan_to_num(np.concatenate(parts), nan=-1e30, posinf=1e30, neginf=-1e30)
    return found


def _confidence(logits: Array, labels: Array) -> Array:
    import numpy as np

    if logits.shape[1] == 1:
        return np.where(labels == 1, logits[:, 0], -logits[:, 0])
    own = np.arange(logits.shape[1]) == labels[:, None]
    others = np.where(own, -np.inf, logits)
    top = others.max(axis=1)
    with np.errstate(invalid="ignore"):
        rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
        difference: Array = logits[own] - rest
    return difference

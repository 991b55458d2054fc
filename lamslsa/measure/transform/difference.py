"""How far the answers of a child are from those of a parent, on a dataset that the job declares.

The child is loaded from its own bytes, as whoever gets it would load it, so what is measured is its real arithmetic.

    maximum, mean   of |difference|: of probabilities over rows and classes (of two classes: of class 1), or of numbers
    changed         rows whose predicted class is another: p >= 0.5 of two classes, the first largest of more; with the
                    share and its Wilson interval (Wilson 1927). Models that say numbers have none, and say so.

What a transform read counts as seen by its product: a policy refuses an evaluation of the child on this very dataset.
Training data, or data set aside for this, is what to name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, _yaml
from lamslsa.artifact.memory import Memory
from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Scope, fraction, name
from lamslsa.measure.environment import environment
from lamslsa.measure.evaluation.intervals import wilson
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Output, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.measure.models.predict import predict
from lamslsa.measure.transform.provenance import transform_statement
from lamslsa.predicates.provenance import Byproduct

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["DATASET", "PARENT", "Made", "ModelTransform", "Parent", "compare", "declare_difference", "loaded_from"]

PARENT: Final = "parent"
DATASET: Final = "difference"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "safetensors", "scipy", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A model that went in."""

    given: Given
    loaded: LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of the child, and what was measured while it was made."""

    files: Mapping[str, bytes]
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTransform:
    """The plan of a transform of models.

    Attributes:
        transform: by name and version.
        model: what the child is called.
        roles: of the parents, ``parent`` or ``parent:<name>``.
        dataset: where the difference is measured, at ``confidence_level``.
        parameters: of the transform, as they stand in the statement.
        make: the parents by role to the child.
        packages: the distributions that it imports beside those of every model.
        tolerance: the largest difference that is let through; None where any is.
    """

    transform: str
    model: str
    roles: tuple[str, ...]
    dataset: DatasetJob
    confidence_level: float
    parameters: Mapping[str, Any]
    make: Callable[[Mapping[str, Parent]], Made]
    packages: tuple[str, ...] = ()
    tolerance: float | None = None

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(self.transform)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The parents, and the data on which the child is compared with them."""
        parents = (Input(role=role, kind="model", name=role.partition(":")[2] or None) for role in self.roles)
        return (*parents, Input(role=DATASET, kind="dataset", name=self.dataset.name))

    @property
    def makes(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    def steps(self) -> tuple[str, ...]:
        """What would be made."""
        return (
            f"{self.model} by {self.transform} of {', '.join(self.roles)}",
            f"the difference of the answers on {self.dataset.name}",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {**self.parameters, "confidenceLevel": self.confidence_level}

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        models = [sizes[role] for role in self.roles]
        asked = rates.asking(self.dataset.schema, sizes[DATASET], models=[*models, models[0]])
        return rates.LOADING["torch and scikit-learn"] + asked

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Make the child, compare it, and say so; see `lamslsa.measure.interface.Plan`."""
        progress, data = context.progress, inputs[DATASET]
        with one_thread():
            progress("reading models", 0, 1)
            parents = {
                role: Parent(given=inputs[role], loaded=load_model(inputs[role].artifact)) for role in self.roles
            }
            progress("reading models", 1, 1)
            made = self.make(parents)
            output = Output.of("model", made.files)
            child = loaded_from(made.files, context.memory)
            found = {}
            for role, parent in parents.items():
                rows = read_examples(parent.loaded, data.artifact, self.dataset)
                own = read_examples(child, data.artifact, self.dataset)
                before = predict(parent.loaded, rows.inputs, context)
                after = predict(child, own.inputs, context)
                found[role] = compare(before, after, loaded=child, level=self.confidence_level)
                self._refuse(found[role]["maximum"])
            needed = {*_PACKAGES, *self.packages, *child.packages, *self.dataset.schema.packages}
            needed |= {package for parent in parents.values() for package in parent.loaded.packages}
            surroundings = environment(sorted(needed))
        byproducts = [_content("difference", {"dataset": self.dataset.name, "from": found})]
        if made.measured:
            byproducts.append(_content("measured", made.measured))
        payload = transform_statement(
            transform=self.measurer,
            name=self.model,
            output=output.manifest,
            configuration=self.configuration(),
            datasets={DATASET: (self.dataset, data)},
            models={role: parent.given for role, parent in parents.items()},
            packages=(),
            byproducts=byproducts,
            surroundings=surroundings,
        )
        return Outcome(statements=[payload], outputs={self.model: output})

    def _refuse(self, maximum: float) -> None:
        if self.tolerance is not None and not maximum <= self.tolerance:
            raise FormatError(
                f"expected the child to answer as its parent within {self.tolerance}, got a difference of {maximum}",
                reason="transform-difference",
            )


def declare_difference(node: _yaml.Mapping_, scope: Scope) -> tuple[str, DatasetJob, float]:
    """The keys that all transforms of models have: what the child is called, and how the difference is measured."""
    called = name(node.take("model"))
    fields = node.take("difference").mapping()
    dataset = scope.dataset(fields.take("dataset"))
    level = fraction(fields.take("confidenceLevel"))
    fields.finish()
    return called, dataset, level


def loaded_from(files: Mapping[str, bytes], memory: Memory) -> LoadedModel:
    """The model that these files are, read as strictly as any other."""
    own = [
        VerifiedFile(path=path, content=memoryview(data), file=None, memory=memory)
        for path, data in sorted(files.items())
    ]
    return load_model(VerifiedArtifact(kind="model", files=own))


def compare(before: Array, after: Array, *, loaded: LoadedModel, level: float) -> dict[str, Any]:
    """The difference as it stands in the statement.

    Args:
        before: what the parent says, as `lamslsa.measure.models.predict.predict` gives it.
        after: what the child says.
        loaded: the child, for what the answers mean.
        level: of the Wilson interval.

    Raises:
        FormatError: the models answer in different shapes, or there are no rows.
    """
    import numpy as np

    if before.shape != after.shape or not len(before):
        raise FormatError(
            f"expected answers to the same rows, got {before.shape} and {after.shape}", reason="difference-shape"
        )
    gaps = np.abs(after.astype(np.float64) - before.astype(np.float64)).reshape(-1)
    result: dict[str, Any] = {
        "of": "numbers" if loaded.task.classes is None else "probabilities",
        "samples": len(before),
        "maximum": float(gaps.max()),
        "mean": math.fsum(gaps.tolist()) / len(gaps),
    }
    if loaded.task.classes is None:
        return {**result, "changed": {"undefined": "the model says numbers, not classes"}}
    rows = int((_classes(before) != _classes(after)).sum())
    lower, upper = wilson(rows, len(before), level=level)
    interval = {"level": level, "lower": lower, "upper": upper, "method": "wilson"}
    return {
        **result,
        "changed": {"rows": rows, "samples": len(before), "value": rows / len(before), "interval": interval},
    }


def _classes(scores: Array) -> Array:
    found: Array = scores >= 0.5 if scores.ndim == 1 else scores.argmax(axis=1)
    return found


def _content(called: str, value: Any) -> Byproduct:
    return Byproduct(name=called, content=_codec.encode_base64(_codec.dumps(value)), media_type="application/json")

"""Plans of trainers without a whole job file, for tests and benchmarks.

>>> fields = "trainer: tabular-mlp/1, model: m, dataset: d, hidden: [], drop: []"
>>> str(trainer_plan(f"{{{fields}, {ADAM}}}", TABLE).measurer)
'tabular-mlp/1'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lamslsa import _yaml, predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure import Context, Given, Outcome, Plan
from lamslsa.measure.data import declare as schemas
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.registry import BUILT_IN
from lamslsa.predicates import Provenance

__all__ = [
    "ADAM",
    "TABLE",
    "InterruptedTrainingError",
    "Kept",
    "dataset_job",
    "interrupted",
    "run_training",
    "trainer_plan",
]

ADAM: Final = (
    "epochs: 3, batchSize: 32, optimizer: adam, learningRate: 1e-2, weightDecay: 0, beta1: 0.9, beta2: 0.999, "
    "epsilon: 1e-8, schedule: constant, augmentation: none, seed: 3"
)
TABLE: Final = (
    '{format: csv, delimiter: ",", header: false, trim: true, nullToken: null, columns: [{name: x, type: number}, '
    "{name: y, type: string}], label: {column: y, classes: {a: 0, b: 1}}}"
)


def dataset_job(schema: str) -> DatasetJob:
    """A dataset ``d`` of a schema, as a job file writes schemas."""
    declared = schemas.schema(_yaml.loads(schema.encode(), source="schema").mapping())
    return DatasetJob(name="d", schema=declared, groups=(), overlap=(), declared=None)


def trainer_plan(trainer: str, schema: str) -> Plan:
    """A training of the dataset ``d``.

    Raises:
        FormatError: a mistake in its fields.
    """
    node = _yaml.loads(trainer.encode(), source="trainer").mapping()
    return BUILT_IN.declare("training", "trainer", node, Scope(datasets={"d": dataset_job(schema)}))


def run_training(
    plan: Plan, artifact: VerifiedArtifact, **context: Any
) -> tuple[Provenance, dict[str, bytes], Outcome]:
    """Train the model ``m``: its provenance, its files, and all of the outcome."""
    outcome = plan.measure({"train": Given(artifact=artifact, name="d")}, Context(**context))
    provenance = predicates.parse(statement.parse(outcome.statements[0].data))
    if not isinstance(provenance, Provenance):
        raise TypeError("expected the statement of a training")
    return provenance, dict(outcome.outputs["m"].files), outcome


class Kept:
    """Checkpoints in a list, oldest first; gives back the last, whatever work it is of.

    Attributes:
        works: every work that was asked for or kept.
    """

    def __init__(self, states: list[bytes] | None = None) -> None:
        self.states = states or []
        self.works: list[bytes] = []

    def latest(self, work: bytes) -> bytes | None:
        """The last state."""
        self.works.append(work)
        return self.states[-1] if self.states else None

    def keep(self, work: bytes, state: bytes) -> None:
        """Append a state."""
        self.works.append(work)
        self.states.append(state)


class InterruptedTrainingError(Exception):
    """The machine went down."""


def interrupted(after: int) -> Callable[[str, int, int], None]:
    """Progress during which the machine goes down before epoch ``after``, counted from 0."""

    def progress(stage: str, done: int, total: int) -> None:
        del total
        if stage == "training epochs" and done == after:
            raise InterruptedTrainingError

    return progress

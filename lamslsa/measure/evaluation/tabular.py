"""Measurer ``tabular-evaluation/1``: what a tabular model is worth on a dataset, over every row of it.

Inference is float32 in evaluation mode, on one thread, in batches of 4096 rows in file order; the last is shorter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.environment import environment
from lamslsa.measure.evaluation.loading import LoadedModel, load_model
from lamslsa.measure.evaluation.metrics import MISSING, Outcome, compute_metrics
from lamslsa.measure.interface import Progress, silent
from lamslsa.measure.job import EvaluationJob, Groups, Job
from lamslsa.measure.table import Source, Table, open_tables
from lamslsa.measure.training.encode import encode
from lamslsa.measure.training.model import one_thread
from lamslsa.predicates._common import DatasetReference, Digest, File, Measurer
from lamslsa.predicates.evaluation import PREDICATE_TYPE, Evaluation, ModelDescription, Seed, derive_seed

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BATCH_ROWS", "measure_evaluation", "predict"]

BATCH_ROWS: Final = 4096
_NAME: Final = "tabular-evaluation"
_VERSION: Final = "1"
_PACKAGES: Final = (
    "duckdb",
    "fairlearn",
    "lamslsa",
    "numpy",
    "safetensors",
    "scikit-learn",
    "scipy",
    "torch",
    "torchmetrics",
)


def measure_evaluation(
    model: VerifiedArtifact, dataset: VerifiedArtifact, *, name: str, job: Job, progress: Progress = silent
) -> bytes:
    """Evaluate a model on a dataset.

    Args:
        model: the verified bytes of the model folder.
        dataset: the verified bytes of the CSV file.
        name: the name of the model in the statement.
        job: the job file.
        progress: is told how far the evaluation has come.

    Returns:
        The payload bytes of a statement with predicate ``https://lamslsa.dev/evaluation/v1``.

    Raises:
        FormatError: the model or the dataset is not what it has to be.
    """
    parameters = job.require_evaluation()
    schema = parameters.dataset.schema
    configuration = parameters.configuration()
    configuration_digest = predicates.configuration_digest(configuration)
    seed = derive_seed(model=model.manifest.sha256, dataset=dataset.manifest.sha256, configuration=configuration_digest)
    with one_thread():
        progress("reading model and rows", 0, 1)
        loaded = load_model(model)
        source = Source(file=the_table(dataset, parameters.dataset.name), schema=schema)
        with open_tables({"rows": source}) as tables:
            outcome = _outcome(loaded, tables["rows"], parameters, progress)
        progress("computing metrics", 0, 1)
        metrics = compute_metrics(outcome, job=parameters, seed=bytes.fromhex(seed))
        progress("computing metrics", 1, 1)
        surroundings = environment(_PACKAGES)
    predicate = Evaluation(
        kind="model",
        measurer=Measurer(name=_NAME, version=_VERSION),
        model=ModelDescription(
            architecture=loaded.description.architecture,
            files=tuple(
                File(path=entry.path, digest=Digest(sha256=entry.sha256), size=entry.size)
                for entry in model.manifest.files
            ),
        ),
        dataset=DatasetReference(
            name=parameters.dataset.name,
            digest=Digest(sha256=dataset.manifest.sha256),
            schema_digest=Digest(sha256=schema.sha256),
        ),
        configuration=configuration,
        configuration_digest=Digest(sha256=configuration_digest),
        groups=_asked_for(parameters),
        seed=Seed(derivation="sha256(model||dataset||configuration)", value=Digest(sha256=seed)),
        metrics=metrics,
        environment=surroundings,
    )
    subject = statement.Subject(name=name, sha256=model.manifest.sha256)
    return statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))


def _asked_for(parameters: EvaluationJob) -> Groups:
    """Groupings whose groups are compared, then those that are sliced, each once."""
    return tuple(dict.fromkeys((*parameters.groups, *parameters.slices)))


def _outcome(loaded: LoadedModel, table: Table, parameters: EvaluationJob, progress: Progress) -> Outcome:
    if loaded.description.label != table.schema.label.column:
        raise FormatError(
            f"expected a dataset with the label {loaded.description.label!r}, got {table.schema.label.column!r}",
            reason="evaluation-label",
        )
    inputs = encode(table, loaded.description.features)
    labels = table.values(table.schema.label.column)
    columns = dict.fromkeys(column for columns in _asked_for(parameters) for column in columns)
    groups = {column: _group_names(table, column) for column in columns}
    progress("reading model and rows", 1, 1)
    return Outcome(labels=labels, scores=predict(loaded, inputs, progress), groups=groups)


def predict(
    loaded: LoadedModel, inputs: np.ndarray[Any, np.dtype[np.float32]], progress: Progress = silent
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The probability of class 1 for each row.

    Raises:
        FormatError: a probability is not a number.
    """
    import numpy as np
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH_ROWS):
            progress("predicting rows", start, len(inputs))
            logits = loaded.network(torch.from_numpy(inputs[start : start + BATCH_ROWS]))
            parts.append(torch.sigmoid(logits.squeeze(1)).numpy())
    progress("predicting rows", len(inputs), len(inputs))
    scores = np.concatenate(parts)
    if not np.isfinite(scores).all():
        raise FormatError(
            "expected a probability for each row, got one that is not a number", reason="evaluation-not-finite"
        )
    return scores


def _group_names(table: Table, column: str) -> list[str]:
    """The text of each value; integers without the point that their float64 form has."""
    kind = table.schema.columns[table.schema.position(column)].type
    names = []
    for value in table.values(column).tolist():
        if value is None or value != value:  # noqa: PLR0124 - NaN is how a number is missing
            names.append(MISSING)
        elif kind == "integer":
            names.append(str(int(value)))
        else:
            names.append(str(value).lower() if kind == "boolean" else str(value))
    if kind == "string" and names.count(MISSING) != sum(value is None for value in table.values(column).tolist()):
        raise FormatError(f"expected no group called {MISSING} in {column!r}, got one", reason="evaluation-group-name")
    return names

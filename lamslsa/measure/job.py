"""The job file: everything that a measurement could depend on, declared in one YAML document.

Rules:
- A field that can change a result has no default: it is written, and stands in the statement.
- Every key must be known; a mistake is refused with its line and column.
- Names refer to things in the same file: a dataset to its schema, a training or an evaluation to its dataset.

    apiVersion: lamslsa.dev/job/v1
    kind: TabularJob
    schemas: {<name>: {format, delimiter, header, trim, nullToken, columns: [{name, type}], label: {column, classes}}}
    datasets: {<name>: {schema, skipLines, groups: [[column…]…], overlap: [dataset…], declared: {license, …}}}
    training: {trainer, model, dataset, hidden, epochs, batchSize, learningRate, weightDecay, optimizer, seed, drop}
    evaluation: {measurer, dataset, rows, threshold, confidenceLevel, resamples, calibrationBins, groups, slices}

``declared``, ``training`` and ``evaluation`` may be absent: a job for datasheets needs no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.schema import MAX_COLUMNS, TYPES, Column, ColumnType, Label, Schema
from lamslsa.predicates.dataset import Declared

__all__ = [
    "API_VERSION",
    "MEASURER_EVALUATION",
    "TRAINER",
    "DatasetJob",
    "EvaluationJob",
    "Job",
    "TrainingJob",
    "load_job",
]

API_VERSION: Final = "lamslsa.dev/job/v1"
TRAINER: Final = "tabular-mlp/1"
MEASURER_EVALUATION: Final = "tabular-evaluation/1"
_DELIMITERS: Final = (",", ";", "\t", "|")
_MAX_GROUPINGS: Final = 64
_MAX_GROUP_COLUMNS: Final = 8
_MAX_NAME: Final = 128

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetJob:
    """One dataset: its schema, the joint counts wanted, and the datasets it is compared with."""

    name: str
    schema: Schema
    groups: Groups
    overlap: tuple[str, ...]
    declared: Declared | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """Every hyperparameter of ``tabular-mlp/1``; ``drop`` are features that the model does not see."""

    model: str
    dataset: DatasetJob
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    optimizer: str
    seed: int
    drop: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationJob:
    """The parameters of ``tabular-evaluation/1``.

    Attributes:
        groups: groupings whose groups are compared.
        slices: groupings whose every cell is measured by itself.
    """

    dataset: DatasetJob
    rows: str
    threshold: float
    confidence_level: float
    resamples: int
    calibration_bins: int
    groups: Groups
    slices: Groups

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            "rows": self.rows,
            "threshold": self.threshold,
            "confidenceLevel": self.confidence_level,
            "resamples": self.resamples,
            "calibrationBins": self.calibration_bins,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job file, parsed."""

    source: str
    datasets: Mapping[str, DatasetJob]
    training: TrainingJob | None
    evaluation: EvaluationJob | None

    def dataset(self, name: str) -> DatasetJob:
        """The dataset of that name.

        Raises:
            FormatError: the job declares no such dataset.
        """
        if name not in self.datasets:
            raise FormatError(
                f"{self.source}: expected a dataset of this job, got {name[:_MAX_NAME]!r}",
                reason="job-dataset",
                hint=f"declared: {', '.join(self.datasets)}",
            )
        return self.datasets[name]

    def require_training(self) -> TrainingJob:
        """The training, or a FormatError if the job declares none."""
        if self.training is None:
            raise FormatError(f"{self.source}: expected the key 'training', got none", reason="job-training")
        return self.training

    def require_evaluation(self) -> EvaluationJob:
        """The evaluation, or a FormatError if the job declares none."""
        if self.evaluation is None:
            raise FormatError(f"{self.source}: expected the key 'evaluation', got none", reason="job-evaluation")
        return self.evaluation


def load_job(data: bytes, source: str) -> Job:
    """Parse a job file.

    Args:
        data: the bytes of the file.
        source: its name, for messages.

    Raises:
        FormatError: not strict YAML, a key missing or unknown, or a name that refers to nothing.
    """
    root = _yaml.loads(data, source=source).mapping()
    root.take("apiVersion").choice([API_VERSION])
    root.take("kind").choice(["TabularJob"])
    schemas = {name: _schema(node.mapping()) for name, node in root.take("schemas").mapping()}
    datasets = _datasets(root.take("datasets").mapping(), schemas)
    training = root.get("training")
    evaluation = root.get("evaluation")
    job = Job(
        source=source,
        datasets=datasets,
        training=None if training is None else _training(training.mapping(), datasets),
        evaluation=None if evaluation is None else _evaluation(evaluation.mapping(), datasets),
    )
    root.finish()
    return job


def _name(node: _yaml.Node) -> str:
    name = node.string()
    if len(name) > _MAX_NAME or not name.isprintable():
        node.refuse(f"expected at most {_MAX_NAME} printable characters, got {name[:40]!a}", reason="job-name")
    return name


def _schema(node: _yaml.Mapping_) -> Schema:
    node.take("format").choice(["csv"])
    columns_node = node.take("columns")
    columns = tuple(_column(item.mapping()) for item in columns_node.sequence())
    names = [column.name for column in columns]
    if not 2 <= len(columns) <= MAX_COLUMNS:
        columns_node.refuse(f"expected 2 to {MAX_COLUMNS} columns, got {len(columns)}", reason="job-columns")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        columns_node.refuse(f"expected unique column names, got {twice!r} twice", reason="job-columns")
    schema = Schema(
        delimiter=node.take("delimiter").choice(_DELIMITERS),
        header=node.take("header").boolean(),
        skip_lines=0,
        trim=node.take("trim").boolean(),
        null_token=_null_token(node.take("nullToken")),
        columns=columns,
        label=_label(node.take("label").mapping(), columns),
    )
    node.finish()
    return schema


def _column(node: _yaml.Mapping_) -> Column:
    name = _name(node.take("name"))
    wanted = node.take("type").choice(TYPES)
    kind: ColumnType = next(option for option in TYPES if option == wanted)
    node.finish()
    return Column(name=name, type=kind)


def _null_token(node: _yaml.Node) -> str | None:
    if isinstance(node, _yaml.Scalar) and node.value is None:
        return None
    return _printable(node.text(), node)


def _printable(text: str, node: _yaml.Node) -> str:
    if not text.isprintable():
        node.refuse(f"expected printable characters, got {text[:40]!a}", reason="job-text")
    return text


def _label(node: _yaml.Mapping_, columns: tuple[Column, ...]) -> Label:
    column_node = node.take("column")
    column = column_node.choice([column.name for column in columns])
    if next(item.type for item in columns if item.name == column) != "string":
        column_node.refuse(f"expected a label column of type string, got {column!r}", reason="job-label")
    classes_node = node.take("classes").mapping()
    classes = {_printable(text, value): value.integer(minimum=0, maximum=1) for text, value in classes_node}
    if set(classes.values()) != {0, 1}:
        classes_node.refuse("expected texts for both classes, 0 and 1, got only one class", reason="job-label")
    node.finish()
    return Label(column=column, classes=classes)


def _datasets(node: _yaml.Mapping_, schemas: Mapping[str, Schema]) -> dict[str, DatasetJob]:
    datasets: dict[str, DatasetJob] = {}
    compared: list[tuple[DatasetJob, _yaml.Node]] = []
    for name, item in node:
        if len(name) > _MAX_NAME or not name or not name.isprintable():
            item.refuse(f"expected a printable name, got {name[:40]!a}", reason="job-name")
        fields = item.mapping()
        shared = schemas[fields.take("schema").choice(schemas)]
        schema = replace(shared, skip_lines=fields.take("skipLines").integer(minimum=0, maximum=1000))
        overlap = fields.take("overlap")
        datasets[name] = DatasetJob(
            name=name,
            schema=schema,
            groups=_groups(fields.take("groups"), [c.name for c in schema.columns if c.type != "number"]),
            overlap=tuple(other.string() for other in overlap.sequence(empty=True)),
            declared=_declared(fields.get("declared")),
        )
        compared.append((datasets[name], overlap))
        fields.finish()
    if not datasets:
        node.refuse("expected at least one dataset, got none", reason="yaml-empty")
    for dataset, overlap in compared:
        _refuse_incomparable(dataset, overlap, datasets)
    return datasets


def _refuse_incomparable(dataset: DatasetJob, node: _yaml.Node, datasets: Mapping[str, DatasetJob]) -> None:
    for other, item in zip(dataset.overlap, node.sequence(empty=True), strict=True):
        item.choice([name for name in datasets if name != dataset.name])
        if datasets[other].schema.features != dataset.schema.features:
            item.refuse(
                f"expected a dataset with the same feature columns and types, got {other!r}", reason="job-overlap"
            )
    if len(set(dataset.overlap)) != len(dataset.overlap):
        node.refuse("expected each dataset once, got one twice", reason="job-overlap")


def _declared(node: _yaml.Node | None) -> Declared | None:
    if node is None:
        return None
    fields = node.mapping()
    texts = [fields.get(key) for key in ("license", "source", "description")]
    fields.finish()
    license_, source, description = (None if text is None else text.string() for text in texts)
    return Declared(license=license_, source=source, description=description)


def _groups(node: _yaml.Node, columns: list[str]) -> Groups:
    items = node.sequence(empty=True)
    if len(items) > _MAX_GROUPINGS:
        node.refuse(f"expected at most {_MAX_GROUPINGS} groupings, got {len(items)}", reason="job-groups")
    groups = []
    for item in items:
        names = tuple(name.choice(columns) for name in item.sequence())
        if len(set(names)) != len(names) or len(names) > _MAX_GROUP_COLUMNS:
            item.refuse(f"expected 1 to {_MAX_GROUP_COLUMNS} different columns, got others", reason="job-groups")
        groups.append(names)
    if len(set(groups)) != len(groups):
        node.refuse("expected each grouping once, got one twice", reason="job-groups")
    return tuple(groups)


def _training(node: _yaml.Mapping_, datasets: Mapping[str, DatasetJob]) -> TrainingJob:
    node.take("trainer").choice([TRAINER])
    dataset = datasets[node.take("dataset").choice(datasets)]
    features = [column.name for column in dataset.schema.features]
    hidden = node.take("hidden").sequence(empty=True)
    drop_node = node.take("drop")
    drop = tuple(item.choice(features) for item in drop_node.sequence(empty=True))
    if len(set(drop)) != len(drop) or len(drop) == len(features):
        drop_node.refuse("expected some features to remain and each to be dropped once, got others", reason="job-drop")
    if len(hidden) > 32:
        node.refuse(f"expected at most 32 hidden layers, got {len(hidden)}", reason="job-hidden")
    job = TrainingJob(
        model=_name(node.take("model")),
        dataset=dataset,
        hidden=tuple(width.integer(minimum=1, maximum=8192) for width in hidden),
        epochs=node.take("epochs").integer(minimum=1, maximum=100_000),
        batch_size=node.take("batchSize").integer(minimum=1, maximum=2**24),
        learning_rate=node.take("learningRate").number(minimum=0, maximum=1000),
        weight_decay=node.take("weightDecay").number(minimum=0, maximum=1000),
        optimizer=node.take("optimizer").choice(["adam"]),
        seed=node.take("seed").integer(minimum=0, maximum=2**53),
        drop=drop,
    )
    node.finish()
    return job


def _evaluation(node: _yaml.Mapping_, datasets: Mapping[str, DatasetJob]) -> EvaluationJob:
    node.take("measurer").choice([MEASURER_EVALUATION])
    dataset = datasets[node.take("dataset").choice(datasets)]
    columns = [column.name for column in dataset.schema.features if column.type != "number"]
    level = node.take("confidenceLevel")
    if not 0 < level.number() < 1:
        level.refuse("expected a confidence level between 0 and 1, got another number", reason="yaml-range")
    job = EvaluationJob(
        dataset=dataset,
        rows=node.take("rows").choice(["all"]),
        threshold=node.take("threshold").number(minimum=0, maximum=1),
        confidence_level=level.number(),
        resamples=node.take("resamples").integer(minimum=1, maximum=100_000),
        calibration_bins=node.take("calibrationBins").integer(minimum=1, maximum=10_000),
        groups=_groups(node.take("groups"), columns),
        slices=_groups(node.take("slices"), columns),
    )
    node.finish()
    return job

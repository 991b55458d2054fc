"""The job file: everything that a measurement could depend on, declared in one YAML document.

Rules:
- A field that can change a result has no default: it is written, and stands in the statement.
- Every key must be known; a mistake is refused with its line and column.
- Names refer to things in the same file: a dataset to its schema, a training or an evaluation to its dataset.

    apiVersion: lamslsa.dev/job/v1
    kind: Job
    schemas: {<name>: {format, columns: [{name, type}], label, …}}
    datasets: {<name>: {schema, skipLines, groups: [[column…]…], overlap: [dataset…], declared, properties}}
    training: {trainer: <name>/<version>, …}
    transforms: {<name>: {transform: <name>/<version>, …}}
    evaluation: {measurer: <name>/<version>, …}      or evaluations: {<name>: {measurer, …}}
    inference: {measurer: <name>/<version>, …}
    model: {measurer: <name>/<version>, …}

All but ``schemas`` and ``datasets`` may be absent: a job for datasheets needs no model. What follows the name of a
measurer is read by that measurer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data import declare as schemas
from lamslsa.measure.data.schema import AnySchema, Schema
from lamslsa.measure.dataset import declare as sheets
from lamslsa.measure.declarations import MAX_NAME, Compared, DatasetJob, Scope, groups
from lamslsa.measure.interface import Plan, Stage
from lamslsa.measure.registry import BUILT_IN, Catalogue
from lamslsa.predicates.dataset import RESPONSIBLE, Declared

__all__ = ["API_VERSION", "Job", "load_job"]

API_VERSION: Final = "lamslsa.dev/job/v1"
_ONLY: Final = "evaluation"
_NAMED: Final = ("dataset", "transform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job file, parsed.

    Attributes:
        sheets: the plan of each dataset's datasheet.
    """

    source: str
    datasets: Mapping[str, DatasetJob]
    sheets: Mapping[str, Plan]
    training: Plan | None
    transforms: Mapping[str, Plan]
    evaluations: Mapping[str, Plan]
    inference: Plan | None
    model: Plan | None

    def dataset(self, name: str) -> DatasetJob:
        """The dataset of that name.

        Raises:
            FormatError: the job declares no such dataset.
        """
        if name not in self.datasets:
            raise FormatError(
                f"{self.source}: expected a dataset of this job, got {name[:MAX_NAME]!r}",
                reason="job-dataset",
                hint=f"declared: {', '.join(self.datasets)}",
            )
        return self.datasets[name]

    def sheet(self, name: str) -> Plan:
        """The datasheet of the dataset of that name; raises as `dataset`."""
        self.dataset(name)
        return self.sheets[name]

    def require_training(self) -> Plan:
        """The training, or a FormatError if the job declares none."""
        if self.training is None:
            raise FormatError(f"{self.source}: expected the key 'training', got none", reason="job-training")
        return self.training

    def require_transform(self, name: str) -> Plan:
        """The transform of that name, or a FormatError if the job declares no such transform."""
        if name not in self.transforms:
            raise FormatError(
                f"{self.source}: expected a transform of this job, got {name[:MAX_NAME]!r}",
                reason="job-transform",
                hint=f"declared: {', '.join(self.transforms) or 'none'}",
            )
        return self.transforms[name]

    def require_evaluations(self, name: str | None = None) -> Mapping[str, Plan]:
        """The evaluations, or the one of that name.

        Raises:
            FormatError: the job declares none, or none of that name.
        """
        if not self.evaluations:
            raise FormatError(f"{self.source}: expected the key 'evaluation', got none", reason="job-evaluation")
        if name is None:
            return self.evaluations
        if name not in self.evaluations:
            raise FormatError(
                f"{self.source}: expected an evaluation of this job, got {name[:MAX_NAME]!r}",
                reason="job-evaluation",
                hint=f"declared: {', '.join(self.evaluations)}",
            )
        return {name: self.evaluations[name]}

    def require_inference(self) -> Plan:
        """The inference, or a FormatError if the job declares none."""
        if self.inference is None:
            raise FormatError(f"{self.source}: expected the key 'inference', got none", reason="job-inference")
        return self.inference

    def require_model(self) -> Plan:
        """The model's properties, or a FormatError if the job declares none."""
        if self.model is None:
            raise FormatError(f"{self.source}: expected the key 'model', got none", reason="job-model")
        return self.model

    def plans(self, stage: Stage, name: str | None) -> Mapping[str, Plan]:
        """What the job declares of a stage, by name.

        Args:
            stage: which part of the job.
            name: of the dataset, transform or evaluation; None for all evaluations, and where a job has but one.

        Raises:
            FormatError: the job declares none, none of that name, or a name is missing or superfluous (job-name).
        """
        if (name is None) == (stage in _NAMED) and stage != "evaluation":
            raise FormatError(
                f"{self.source}: expected a name for a {' or '.join(_NAMED)} and not for another stage, "
                f"got {name!a:.80} for the stage {stage}",
                reason="job-name",
            )
        match stage:
            case "dataset":
                return {name or "": self.sheet(name or "")}
            case "training":
                return {stage: self.require_training()}
            case "transform":
                return {name or "": self.require_transform(name or "")}
            case "evaluation":
                return self.require_evaluations(name)
            case "inference":
                return {stage: self.require_inference()}
            case "model":
                return {stage: self.require_model()}


def load_job(data: bytes, source: str, *, catalogue: Catalogue = BUILT_IN) -> Job:
    """Parse a job file.

    Args:
        data: the bytes of the file.
        source: its name, for messages.
        catalogue: the measurers that it may name.

    Raises:
        FormatError: not strict YAML, a key missing or unknown, or a name that refers to nothing.
    """
    root = _yaml.loads(data, source=source).mapping()
    root.take("apiVersion").choice([API_VERSION])
    root.take("kind").choice(["Job"])
    declared = {name: schemas.schema(node.mapping()) for name, node in root.take("schemas").mapping()}
    scope, sheet_plans = _datasets(root.take("datasets").mapping(), declared)
    training, inference, model = (root.get(key) for key in ("training", "inference", "model"))
    job = Job(
        source=source,
        datasets=scope.datasets,
        sheets=sheet_plans,
        training=None if training is None else catalogue.declare("training", "trainer", training.mapping(), scope),
        transforms=_plans(
            root.get("transforms"), lambda fields: catalogue.declare("transform", "transform", fields, scope)
        ),
        evaluations=_evaluations(root, catalogue, scope),
        inference=None if inference is None else catalogue.declare("inference", "measurer", inference.mapping(), scope),
        model=None if model is None else catalogue.declare("model", "measurer", model.mapping(), scope),
    )
    root.finish()
    return job


def _evaluations(root: _yaml.Mapping_, catalogue: Catalogue, scope: Scope) -> dict[str, Plan]:
    one, several = root.get("evaluation"), root.get("evaluations")
    if one is not None and several is not None:
        several.refuse("expected evaluation or evaluations, got both", reason="job-evaluation")
    if one is not None:
        return {_ONLY: catalogue.declare("evaluation", "measurer", one.mapping(), scope)}
    return _plans(several, lambda fields: catalogue.declare("evaluation", "measurer", fields, scope))


def _plans(node: _yaml.Node | None, declare: Callable[[_yaml.Mapping_], Plan]) -> dict[str, Plan]:
    return {} if node is None else {_label(name, item): declare(item.mapping()) for name, item in node.mapping()}


def _label(name: str, item: _yaml.Node) -> str:
    if len(name) > MAX_NAME or not name or not name.isprintable():
        item.refuse(f"expected a printable name, got {name[:40]!a}", reason="job-name")
    return name


def _datasets(node: _yaml.Mapping_, declared: Mapping[str, AnySchema]) -> tuple[Scope, dict[str, Plan]]:
    datasets: dict[str, DatasetJob] = {}
    compared: dict[str, _yaml.Node] = {}
    wanted: dict[str, _yaml.Mapping_ | None] = {}
    for name, item in node:
        _label(name, item)
        fields = item.mapping()
        schema = declared[fields.take("schema").choice(declared)]
        if isinstance(schema, Schema) and schema.format == "csv":
            schema = replace(schema, skip_lines=fields.take("skipLines").integer(minimum=0, maximum=1000))
        overlap = fields.take("overlap")
        datasets[name] = DatasetJob(
            name=name,
            schema=schema,
            groups=groups(fields.take("groups"), [c.name for c in schema.columns if c.type != "number"])
            if isinstance(schema, Schema)
            else (),
            overlap=tuple(_compared(other, schema) for other in overlap.sequence(empty=True)),
            declared=_declared(fields.get("declared")),
        )
        compared[name] = overlap
        properties = fields.get("properties")
        wanted[name] = None if properties is None else properties.mapping()
        fields.finish()
    if not datasets:
        node.refuse("expected at least one dataset, got none", reason="yaml-empty")
    for name, overlap in compared.items():
        _refuse_incomparable(datasets[name], overlap, datasets)
    scope = Scope(datasets=datasets)
    return scope, {name: sheets.declare(datasets[name], fields, scope) for name, fields in wanted.items()}


def _refuse_incomparable(dataset: DatasetJob, node: _yaml.Node, datasets: Mapping[str, DatasetJob]) -> None:
    for other, item in zip(dataset.overlap, node.sequence(empty=True), strict=True):
        name = item.mapping().take("dataset") if isinstance(item, _yaml.Mapping_) else item
        name.choice([name for name in datasets if name != dataset.name])
        if not dataset.schema.comparable(datasets[other.dataset].schema):
            item.refuse(
                f"expected a dataset with the same feature columns and types, got {other.dataset!r}",
                reason="job-overlap",
            )
    every = tuple(column.name for column in dataset.schema.features) if isinstance(dataset.schema, Schema) else ()
    if len({(item.dataset, item.columns or every) for item in dataset.overlap}) != len(dataset.overlap):
        node.refuse("expected each dataset once with the same columns, got one twice", reason="job-overlap")


def _compared(node: _yaml.Node, schema: AnySchema) -> Compared:
    """A dataset to be compared by all features, or ``{dataset, columns}``."""
    if not isinstance(node, _yaml.Mapping_):
        return Compared(dataset=node.string())
    other, columns = node.take("dataset").string(), node.take("columns")
    node.finish()
    if not isinstance(schema, Schema):
        columns.refuse("expected columns of tables only, got some of another dataset", reason="job-overlap")
    features = [column.name for column in schema.features]
    names = [item.choice(features) for item in columns.sequence()]
    if len(set(names)) != len(names):
        columns.refuse("expected each column once, got one twice", reason="job-overlap")
    return Compared(dataset=other, columns=tuple(name for name in features if name in names))


def _declared(node: _yaml.Node | None) -> Declared | None:
    if node is None:
        return None
    fields = node.mapping()
    texts = [fields.get(key) for key in ("license", "source", "description")]
    responsible = fields.get("responsible")
    fields.finish()
    license_, source, description = (None if text is None else text.string() for text in texts)
    return Declared(
        license=license_,
        source=source,
        description=description,
        responsible=None if responsible is None else _responsible(responsible.mapping()),
    )


def _responsible(fields: _yaml.Mapping_) -> dict[str, str]:
    found = {key: node.string() for key in RESPONSIBLE if (node := fields.get(key)) is not None}
    fields.finish()
    return found

"""Measurer ``counterfactual-fairness/1``: whether a decision changes when an attribute of the row does.

Each row of a declared value gets each other declared value in turn, and the model is asked again (`flips`). This is no
causal statement (Kusner et al. 2017 ask for a causal model): what else would be different about a person is not
changed, unless it was declared. A model that reads neither the attribute nor what changes with it has no value, since
nothing was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, _yaml
from lamslsa.measure import rates
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.evaluation.asked import PACKAGES, Sampling, declare_dataset, refuse_answers, refuse_other_task
from lamslsa.measure.evaluation.flips import Attribute, CoChange, Flipped, flip
from lamslsa.measure.evaluation.report import About, Report
from lamslsa.measure.evaluation.resampling import row_values
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.seeds import sub_seed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["NAME", "CounterfactualEvaluation", "declare", "measure_flips"]

NAME: Final = "counterfactual-fairness/1"
_MAX_ATTRIBUTES: Final = 16
_MAX_VALUES: Final = 16
_MAX_CHANGES: Final = 256
_UNREAD: Final = "the model reads neither the attribute nor a column that changes with it"


def measure_flips(attribute: Attribute, flipped: Flipped, *, threshold: float, report: Report, seed: bytes) -> None:
    """Write every metric of one attribute, in a fixed order.

    Args:
        attribute: the column and its values.
        flipped: what the model said.
        threshold: a row is predicted as class 1 from this probability on.
        report: where metrics are written.
        seed: of the evaluation.
    """
    import numpy as np

    samples = len(flipped.codes)
    groups = (attribute.column,)
    about = About(groups=groups)
    among = _codec.canonical(sorted(attribute.values)).decode()
    every = About(groups=groups, parameters={"values": among})
    report.proportion("attribute_missing", int((flipped.codes == -1).sum()), samples, about=about)
    report.proportion("attribute_undeclared", int((flipped.codes == -2).sum()), samples, about=every)
    has = np.flatnonzero(flipped.codes >= 0)
    codes, scores = flipped.codes[has], flipped.scores[:, has].astype(np.float64)
    decisions = scores >= threshold
    own = np.arange(len(has))
    changed = (decisions != decisions[codes, own]).any(axis=0)
    moved = abs(scores - scores[codes, own]).max(axis=0)
    stream = sub_seed(seed, "flips", [attribute.column, among])
    _write(report, flipped, changed=changed, moved=moved, about=every, seed=stream)
    for source, before in enumerate(attribute.values):
        for target, after in enumerate(attribute.values):
            if source == target:
                continue
            rows = codes == source
            pair = About(groups=groups, parameters={"from": before, "to": after})
            change = scores[target, rows] - scores[source, rows]
            gained = decisions[target, rows] & ~decisions[source, rows]
            lost = decisions[source, rows] & ~decisions[target, rows]
            stream = sub_seed(seed, "flip", [attribute.column, before, after])
            _write(report, flipped, changed=gained | lost, moved=abs(change), about=pair, seed=stream)
            _direction(report, flipped, (gained, lost, change), pair, stream)


def _write(report: Report, flipped: Flipped, *, changed: Array, moved: Array, about: About, seed: bytes) -> None:
    reason = None if flipped.read else _UNREAD
    if reason is None and not len(changed):
        reason = "no row has the value"
    if reason is not None:
        for metric in ("decision_change", "mean_absolute_probability_change", "max_absolute_probability_change"):
            report.undefined(metric, len(changed), reason, about)
        return
    report.proportion("decision_change", int(changed.sum()), len(changed), about=about)
    _mean(report, "mean_absolute_probability_change", moved, about, seed)
    report.bootstrapped("max_absolute_probability_change", float(moved.max()), len(moved), None, about=about)


def _direction(report: Report, flipped: Flipped, found: tuple[Array, Array, Array], about: About, seed: bytes) -> None:
    gained, lost, change = found
    reason = None if flipped.read else _UNREAD
    if reason is None and not len(change):
        reason = "no row has the value"
    if reason is not None:
        for metric in ("decision_gain", "decision_loss", "mean_probability_change"):
            report.undefined(metric, len(change), reason, about)
        return
    report.proportion("decision_gain", int(gained.sum()), len(change), about=about)
    report.proportion("decision_loss", int(lost.sum()), len(change), about=about)
    _mean(report, "mean_probability_change", change, about, seed)


def _mean(report: Report, metric: str, values: Array, about: About, seed: bytes) -> None:
    resampled = row_values(
        {metric: lambda rows: float(values[rows].mean())}, len(values), seed=seed, resamples=report.resamples
    )
    report.bootstrapped(metric, float(values.mean()), len(values), resampled[metric], about=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterfactualEvaluation:
    """The plan of an evaluation.

    Attributes:
        threshold: a row is predicted as class 1 from this probability on.
        attributes: what is flipped, one at a time.
        changes: what changes with an attribute.
    """

    dataset: DatasetJob
    sampling: Sampling
    threshold: float
    attributes: tuple[Attribute, ...]
    changes: tuple[CoChange, ...]

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the data that it is measured on."""
        return Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=self.dataset.name)

    def steps(self) -> tuple[str, ...]:
        """What would be flipped."""
        return tuple(
            f"decisions on {self.dataset.name} with {item.column} flipped among {', '.join(item.values)}"
            for item in self.attributes
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            **self.sampling.configuration(),
            "threshold": self.threshold,
            "coChanges": [item.resolved() for item in self.changes],
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.evaluating(
            self.dataset.schema,
            sizes["dataset"],
            models=[sizes["model"]] * sum(len(item.values) for item in self.attributes),
            resamples=self.sampling.resamples,
            metrics=sum(len(item.values) ** 2 for item in self.attributes),
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Evaluate; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        report = Report(level=self.sampling.confidence_level, resamples=self.sampling.resamples)
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            refuse_other_task(loaded.task, "binary")
            found = flip(
                loaded,
                dataset.artifact,
                self.dataset,
                attributes=self.attributes,
                changes=self.changes,
                context=context,
            )
            for attribute, flipped in zip(self.attributes, found, strict=True):
                if flipped.read:
                    refuse_answers(
                        flipped.scores[:, flipped.codes >= 0].reshape(-1),
                        (flipped.codes >= 0).sum() * len(attribute.values),
                        loaded.task,
                    )
                measure_flips(attribute, flipped, threshold=self.threshold, report=report, seed=seed)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[loaded],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=tuple((item.column,) for item in self.attributes),
                metrics=report.metrics,
                packages=PACKAGES,
                context=context,
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = declare_dataset(node, scope, "binary")
    sampling = Sampling.declared(node)
    threshold = node.take("threshold").number(minimum=0, maximum=1)
    attributes = _attributes(node.take("attributes"), dataset.table)
    changes = _changes(node.take("coChanges"), dataset.table, attributes)
    return CounterfactualEvaluation(
        dataset=dataset, sampling=sampling, threshold=threshold, attributes=attributes, changes=changes
    )


def _attributes(node: _yaml.Node, schema: Schema) -> tuple[Attribute, ...]:
    items = node.sequence()
    found: dict[str, Attribute] = {}
    for item in items:
        fields = item.mapping()
        column = fields.take("column").choice(_columns(schema))
        values_node = fields.take("values")
        values = tuple(_value(value, schema, column) for value in values_node.sequence())
        if not 2 <= len(values) <= _MAX_VALUES or len(set(values)) != len(values):
            values_node.refuse(
                f"expected 2 to {_MAX_VALUES} different values of {column!r}, got others",
                reason="counterfactual-values",
            )
        fields.finish()
        found[column] = Attribute(column=column, values=values)
    if len(found) != len(items) or len(items) > _MAX_ATTRIBUTES:
        node.refuse(
            f"expected at most {_MAX_ATTRIBUTES} attributes, each once, got others", reason="counterfactual-attributes"
        )
    return tuple(found.values())


def _changes(node: _yaml.Node, schema: Schema, attributes: tuple[Attribute, ...]) -> tuple[CoChange, ...]:
    items = node.sequence(empty=True)
    values = {item.column: item.values for item in attributes}
    found: dict[tuple[str, str, str, str], CoChange] = {}
    for item in items:
        fields = item.mapping()
        attribute = fields.take("attribute").choice(values)
        source = fields.take("from").choice(values[attribute])
        target = fields.take("to").choice(values[attribute])
        column = fields.take("column").choice([other for other in _columns(schema) if other != attribute])
        mapping = {
            _text(key, value, schema, column): _value(value, schema, column)
            for key, value in fields.take("values").mapping()
        }
        fields.finish()
        if source == target or not mapping:
            item.refuse("expected values that change with another value, got none", reason="counterfactual-changes")
        found[attribute, source, target, column] = CoChange(
            attribute=attribute, source=source, target=target, column=column, values=mapping
        )
    if len(found) != len(items) or len(items) > _MAX_CHANGES:
        node.refuse(f"expected at most {_MAX_CHANGES} changes, each once, got others", reason="counterfactual-changes")
    return tuple(found.values())


def _columns(schema: Schema) -> list[str]:
    return [item.name for item in schema.features if item.type in ("string", "boolean")]


def _value(node: _yaml.Node, schema: Schema, column: str) -> str:
    return _text(name(node), node, schema, column)


def _text(text: str, node: _yaml.Node, schema: Schema, column: str) -> str:
    kind = schema.columns[schema.position(column)].type
    if (kind == "boolean" and text not in ("true", "false")) or text == schema.null_token:
        node.refuse(f"expected a value that {column!r} can have, got {text[:80]!r}", reason="counterfactual-values")
    return text

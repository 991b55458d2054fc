"""The sections of a card that show evaluations: values over all rows, differences, and tables of whatever has parts.

A metric with a slice or with parameters stands in a table with those of the same columns: a row for each class, radius
or severity, and where two parameters tell the values of one metric apart (label and prediction, corruption and
severity), one of them goes across.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._source import MAX_ITEMS, code_notices, code_words, facts, listing
from lamslsa.cards.parts import Fact, GroupRow, GroupTable, Measure, Reference, Source
from lamslsa.cards.view import Evaluation
from lamslsa.policy.appraisal import Planned
from lamslsa.predicates import evaluation as evaluations

__all__ = ["evaluation_section"]

_LABELS: Final = MappingProxyType(
    {
        "f1": "F1 score",
        "macro_f1": "Macro F1 score",
        "micro_f1": "Micro F1 score",
        "weighted_f1": "Weighted F1 score",
        "auroc": "AUROC",
        "macro_auroc": "Macro AUROC",
        "cohen_kappa": "Cohen's kappa",
        "equalized_odds_difference": "Equalised odds difference",
        "equalized_odds_ratio": "Equalised odds ratio",
        "membership_auc": "Membership AUC",
        "membership_tpr": "Membership true positive rate",
        "mcnemar_p_value": "McNemar p-value",
        "r2": "R²",
        "confusion": "Share of the rows of a label",
    }
)
_COUNTS: Final = frozenset(
    {"members", "non_members", "overlapping_rows", "groups_left_out", "only_model_right", "only_baseline_right"}
)
_METHODS: Final = MappingProxyType(
    {"wilson": "Wilson", "percentile-bootstrap": "bootstrap", "hull-bootstrap": "bootstrap, hull"}
)
_PRODUCT: Final = " × "
_MAX_TABLES: Final = 24
_MAX_ROWS: Final = 60
_MAX_ACROSS: Final = 12

_Metric = evaluations.Metric
_Columns = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _label(name: str) -> str:
    """A metric in words; names that are no words of ours stay as they are.

    >>> _label("balanced_accuracy"), _label("<b>")
    ('Balanced accuracy', '<b>')
    """
    if name in _LABELS:
        return _LABELS[name]
    words = name.split("_")
    plain = name.isascii() and all(word.isalnum() and word.islower() for word in words) and len(name) <= 64
    return " ".join(words).capitalize() if plain else name


def _value_text(metric: _Metric) -> str:
    interval, value = metric.interval, metric.value
    if value is None:
        return f"undefined: {metric.undefined or 'no reason given'}"
    if interval is not None:
        return f"{_text.number(value)} ({_text.number(interval.lower)}–{_text.number(interval.upper)})"
    if metric.name in _COUNTS and value.is_integer():
        return _text.count(int(value))
    return f"{_text.number(value)} (no interval)"


def _measure(metric: _Metric) -> Measure:
    interval = metric.interval
    method = ""
    if interval is not None:
        method = f"{100 * interval.level:g} % {_METHODS[interval.method]}"
        if interval.resamples is not None:
            method += f" × {_text.count(interval.resamples)}"
    return Measure(
        name=metric.name,
        label=_label(metric.name),
        text=_value_text(metric),
        method=method,
        samples=_text.count(metric.samples),
        groups=_PRODUCT.join(metric.groups),
        value=metric.value,
        lower=interval.lower if interval and metric.value is not None else None,
        upper=interval.upper if interval and metric.value is not None else None,
    )


def _part_text(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _columns(metric: _Metric) -> _Columns:
    """What a metric shares with those of its table: compared groups, columns of the slice, names of the parameters."""
    return metric.groups, tuple(metric.slice or {}), tuple(sorted(metric.parameters or {}))


def _parts(metric: _Metric, columns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    rows, parameters = metric.slice or {}, metric.parameters or {}
    return (*(rows[column] for column in columns), *(_part_text(parameters[name]) for name in names))


@dataclass(slots=True)
class _Rows:
    """Metrics by what tells rows apart; one that is there twice starts another row, so that none is hidden."""

    rows: dict[tuple[tuple[str, ...], int], dict[str, _Metric]]

    @classmethod
    def of(cls, cells: Sequence[tuple[tuple[str, ...], str, _Metric]]) -> _Rows:
        """Each cell is the key of its row, the key of its column, and the metric."""
        rows: dict[tuple[tuple[str, ...], int], dict[str, _Metric]] = {}
        times: dict[tuple[tuple[str, ...], str], int] = {}
        for row, column, metric in cells:
            seen = times[row, column] = times.get((row, column), -1) + 1
            rows.setdefault((row, seen), {})[column] = metric
        return cls(rows)

    def table(
        self, *, title: str, columns: tuple[str, ...], across: Mapping[str, str], references: tuple[float | None, ...]
    ) -> GroupTable:
        """The table; ``across`` is the key of each other column and its title."""
        shown = []
        for (parts, _), cells in self.rows.items():
            samples = " / ".join(_text.count(each) for each in {metric.samples: None for metric in cells.values()})
            measures = tuple(_measure(cells[key]) if key in cells else None for key in across)
            shown.append(GroupRow(groups=parts, samples=samples, measures=measures))
        return GroupTable(
            title=title,
            columns=columns,
            metrics=tuple(Fact(name=name, value=value) for name, value in across.items()),
            references=references,
            rows=tuple(shown),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How a table is laid out.

    Attributes:
        constant: parameters that are the same for all of its metrics.
        varying: the others, which tell rows apart.
        across: the values of the last of them, where they stand side by side; empty where metrics do.
    """

    constant: tuple[str, ...]
    varying: tuple[str, ...]
    across: tuple[str, ...]

    @classmethod
    def of(cls, about: _Columns, metrics: Sequence[_Metric]) -> _Shape:
        """Read off the metrics what varies among them."""
        _, columns, parameters = about
        values = {name: dict.fromkeys(_parts(metric, (), (name,))[0] for metric in metrics) for name in parameters}
        constant = tuple(name for name in parameters if len(values[name]) == 1)
        if len(constant) == len(parameters) and not columns:
            constant = ()
        varying = tuple(name for name in parameters if name not in constant)
        across: tuple[str, ...] = ()
        if not columns and len(varying) == 2 and len({metric.name for metric in metrics}) == 1:
            across = tuple(values[varying[1]])
        return cls(constant=constant, varying=varying, across=across if 1 < len(across) <= _MAX_ACROSS else ())


def _table(about: _Columns, metrics: Sequence[_Metric], overall: Mapping[str, float | None]) -> tuple[GroupTable, int]:
    """The table of metrics that have the same columns, and how many of them are in it."""
    groups, columns, _ = about
    shape = _Shape.of(about, metrics)
    kept = metrics[: MAX_ITEMS if columns or shape.across else _fitting(metrics, shape.varying)]
    common = "".join(f", {name} {_parts(metrics[0], (), (name,))[0]}" for name in shape.constant)
    common += f", groups {_PRODUCT.join(groups)}" if groups else ""
    if shape.across:
        down, last = shape.varying
        cells = [(_parts(m, (), (down,)), _parts(m, (), (last,))[0], m) for m in kept]
        table = _Rows.of(cells).table(
            title=f"{_label(kept[0].name)}: by {down}, and across by {last}{common}",
            columns=(down,),
            across={key: f"{last} {key}" for key in shape.across},
            references=(None,) * len(shape.across),
        )
        return table, len(kept)
    names = list(dict.fromkeys(metric.name for metric in kept))
    table = _Rows.of([(_parts(metric, columns, shape.varying), metric.name, metric) for metric in kept]).table(
        title=f"By {_PRODUCT.join((*columns, *shape.varying))}{common}",
        columns=(*columns, *shape.varying),
        across={name: _label(name) for name in names},
        references=tuple(overall.get(name) for name in names),
    )
    return table, len(kept)


def _fitting(metrics: Sequence[_Metric], parameters: Sequence[str]) -> int:
    """How many metrics, from the first, make up at most so many rows."""
    rows: set[tuple[str, ...]] = set()
    for index, metric in enumerate(metrics[:MAX_ITEMS]):
        rows.add(_parts(metric, (), parameters))
        if len(rows) > _MAX_ROWS:
            return index
    return MAX_ITEMS


def _tables(metrics: Sequence[_Metric], overall: Mapping[str, float | None]) -> tuple[tuple[GroupTable, ...], int]:
    """The tables, and how many metrics are in none of them."""
    together: dict[_Columns, list[_Metric]] = {}
    for metric in metrics:
        together.setdefault(_columns(metric), []).append(metric)
    tables, shown = [], 0
    for about, members in list(together.items())[:_MAX_TABLES]:
        table, kept = _table(about, members, overall)
        tables.append(table)
        shown += kept
    return tuple(tables), len(metrics) - shown


def _reference(reference: evaluations.Reference, seen: Mapping[str, str]) -> Fact:
    """What else was read; of a dataset, whether the model was made with it as far as provenance says."""
    digest, known = reference.digest.sha256, ""
    if reference.kind == "dataset":
        known = f" ({seen.get(digest, 'named by no provenance of this model')})"
    return Fact(name=f"{reference.role}: {reference.kind} {reference.name}{known}", value=f"sha256:{digest}")


def _plan(predicate: predicates.Evaluation, planned: Planned | None) -> tuple[Fact, ...]:
    """Since when the evaluation was planned, where a rule asked for that; else only what the evaluation says."""
    if planned is not None:
        when = f"{planned.at.astimezone(dt.UTC):%Y-%m-%d}"
        return (Fact(name="plan", value=f"as planned on {when}, plan sha256:{planned.plan.statement.sha256}"),)
    if predicate.plan is not None:
        named = f"sha256:{predicate.plan.digest.sha256}, named by the evaluation; no satisfied rule asks for it"
        return (Fact(name="plan", value=named),)
    return ()


def evaluation_section(
    predicate: predicates.Evaluation, source: Source, seen: Mapping[str, str], planned: Planned | None = None
) -> Evaluation:
    """Metrics over all rows, differences between groups, and tables, apart.

    Args:
        predicate: the evaluation.
        source: where it comes from.
        seen: what the model was made with, by digest of the dataset.
        planned: the plan that counted for it; None where none did.
    """
    parted = [metric for metric in predicate.metrics if metric.slice or metric.parameters]
    whole = [metric for metric in predicate.metrics if not metric.slice and not metric.parameters]
    overall = listing(_measure(metric) for metric in whole if not metric.groups)
    tables, omitted = _tables(parted, {measure.name: measure.value for measure in overall.shown})
    return Evaluation(
        source=source,
        dataset=Reference(name=predicate.dataset.name, digest=predicate.dataset.digest.sha256),
        notices=code_notices(predicate.measurer),
        facts=(
            *_plan(predicate, planned),
            Fact(name="measurer", value=code_words(predicate.measurer)),
            Fact(name="architecture", value=predicate.model.architecture),
            Fact(name="configuration digest", value=predicate.configuration_digest.sha256),
            Fact(name="seed, derived from model, dataset and configuration", value=predicate.seed.value.sha256),
        ),
        configuration=listing(facts(predicate.configuration), limit=40),
        references=listing((_reference(each, seen) for each in predicate.references), limit=20),
        overall=overall,
        differences=listing(_measure(metric) for metric in whole if metric.groups),
        tables=tables,
        omitted=omitted,
    )

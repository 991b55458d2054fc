"""The sections of a card that show predicates: evaluations, datasheets, trainings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._source import facts, listing
from lamslsa.cards.view import (
    Dataset,
    Distribution,
    Evaluation,
    Fact,
    GroupRow,
    GroupTable,
    Listing,
    Measure,
    Reference,
    Share,
    Source,
    Training,
)
from lamslsa.predicates import dataset as datasheets
from lamslsa.predicates import evaluation as evaluations

__all__ = ["dataset_section", "evaluation_section", "training_section"]

_LABELS: Final = MappingProxyType(
    {
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "f1": "F1 score",
        "auroc": "AUROC",
        "expected_calibration_error": "Expected calibration error",
        "demographic_parity_difference": "Demographic parity difference",
        "equalized_odds_difference": "Equalised odds difference",
        "equalised_odds_difference": "Equalised odds difference",
        "selection_rate": "Selection rate",
    }
)
_METHODS: Final = MappingProxyType({"wilson": "Wilson", "percentile-bootstrap": "bootstrap"})
_MAIN_PACKAGES: Final = ("lamslsa", "torch", "numpy", "scikit-learn", "scipy", "safetensors", "duckdb")
_PURL: Final = re.compile(r"pkg:pypi/(?P<name>[A-Za-z0-9._-]{1,64})@(?P<version>[^?#]{1,64})")
_PRODUCT: Final = " × "
_WITHHELD: Final = "not disclosed"


def _measure(metric: evaluations.Metric) -> Measure:
    interval = metric.interval
    if metric.value is None:
        text = f"undefined: {metric.undefined or 'no reason given'}"
    elif interval is None:
        text = f"{_text.number(metric.value)} (no interval)"
    else:
        text = f"{_text.number(metric.value)} ({_text.number(interval.lower)}–{_text.number(interval.upper)})"
    method = ""
    if interval is not None:
        method = f"{100 * interval.level:g} % {_METHODS[interval.method]}"
        if interval.resamples is not None:
            method += f" × {_text.count(interval.resamples)}"
    return Measure(
        name=metric.name,
        label=_LABELS.get(metric.name, metric.name),
        text=text,
        method=method,
        samples=_text.count(metric.samples),
        groups=_PRODUCT.join(metric.groups),
        value=metric.value,
        lower=interval.lower if interval and metric.value is not None else None,
        upper=interval.upper if interval and metric.value is not None else None,
    )


def _group_row(values: tuple[str, ...], metrics: Sequence[evaluations.Metric], names: Sequence[str]) -> GroupRow:
    by_name = {metric.name: _measure(metric) for metric in metrics}
    samples = {metric.samples: None for metric in metrics}
    return GroupRow(
        groups=values,
        samples=" / ".join(_text.count(each) for each in samples),
        measures=tuple(by_name.get(name) for name in names),
    )


def _rows_of(metrics: Sequence[evaluations.Metric]) -> list[tuple[tuple[str, ...], list[evaluations.Metric]]]:
    """Metrics by slice; a metric that is there twice for one slice starts another row, so that none is hidden."""
    rows: list[tuple[tuple[str, ...], list[evaluations.Metric]]] = []
    for metric in metrics:
        values = tuple((metric.slice or {}).values())
        for known, members in rows:
            if known == values and all(member.name != metric.name for member in members):
                members.append(metric)
                break
        else:
            rows.append((values, [metric]))
    return rows


def _group_tables(slices: Sequence[evaluations.Metric], overall: Sequence[Measure]) -> tuple[GroupTable, ...]:
    by_columns: dict[tuple[str, ...], list[evaluations.Metric]] = {}
    for metric in slices:
        by_columns.setdefault(tuple(metric.slice or {}), []).append(metric)
    references = {measure.name: measure.value for measure in overall}
    tables = []
    for columns, metrics in by_columns.items():
        names = list(dict.fromkeys(metric.name for metric in metrics))
        tables.append(
            GroupTable(
                columns=columns,
                metrics=tuple(Fact(name=name, value=_LABELS.get(name, name)) for name in names),
                references=tuple(references.get(name) for name in names),
                rows=tuple(_group_row(values, members, names) for values, members in _rows_of(metrics)),
            )
        )
    return tuple(tables)


def evaluation_section(predicate: predicates.Evaluation, source: Source) -> Evaluation:
    """Metrics over all rows, differences between groups, and slices, apart."""
    sliced = listing(metric for metric in predicate.metrics if metric.slice)
    whole = [metric for metric in predicate.metrics if not metric.slice]
    overall = listing(_measure(metric) for metric in whole if not metric.groups)
    return Evaluation(
        source=source,
        dataset=Reference(name=predicate.dataset.name, digest=predicate.dataset.digest.sha256),
        facts=(
            Fact(name="measurer", value=str(predicate.measurer)),
            Fact(name="architecture", value=predicate.model.architecture),
            *facts(predicate.configuration)[:20],
            Fact(name="configuration digest", value=predicate.configuration_digest.sha256),
            Fact(name="seed, derived from model, dataset and configuration", value=predicate.seed.value.sha256),
        ),
        overall=overall,
        differences=listing(_measure(metric) for metric in whole if metric.groups),
        groups=_group_tables(sliced.shown, overall.shown),
        slices_omitted=sliced.omitted,
    )


def _cell_text(values: Iterable[str | float | bool | None]) -> str:
    return _PRODUCT.join("missing" if value is None else str(value) for value in values)


def _distribution(distribution: datasheets.Distribution, title: str) -> Distribution:
    total = distribution.samples or 1
    return Distribution(
        title=title,
        samples=_text.count(distribution.samples),
        shares=listing(
            (
                Share(
                    label=_cell_text(cell.values),
                    count=_text.count(cell.count),
                    share=_text.percent(cell.count / total),
                    fraction=min(1.0, cell.count / total),
                )
                for cell in distribution.cells
            ),
            limit=40,
        ),
    )


def _distributions(predicate: predicates.Dataset) -> Listing[Distribution]:
    found = []
    if predicate.label_balance is not None:
        found.append(_distribution(predicate.label_balance, f"Label: {_PRODUCT.join(predicate.label_balance.columns)}"))
    found += [_distribution(each, _PRODUCT.join(each.columns)) for each in predicate.distributions]
    return listing(found, limit=12)


def _overlap(overlap: datasheets.Overlap) -> str:
    rows, samples, distinct = map(_text.count, (overlap.rows, overlap.samples, overlap.distinct))
    return (
        f"{rows} of {samples} rows ({distinct} distinct), compared over {len(overlap.columns)} columns, also occur in "
        f"{_text.short(overlap.dataset.digest.sha256)} {overlap.dataset.name}"
    )


def _missing(predicate: predicates.Dataset) -> str:
    found = [column.missing for column in predicate.columns]
    known = [count for count in found if count is not None]
    return _text.count(sum(known)) if len(known) == len(found) else _WITHHELD


def dataset_section(predicate: predicates.Dataset, reference: Reference, role: str, source: Source) -> Dataset:
    """Sizes, missing values, duplicates, distributions and overlaps; what the owner declares stands apart."""
    gaps = [column for column in predicate.columns if column.missing]
    declared = predicate.declared or datasheets.Declared()
    return Dataset(
        source=source,
        reference=reference,
        role=role,
        facts=(
            Fact(name="rows", value=_text.count(predicate.rows)),
            Fact(name="columns", value=_text.count(len(predicate.columns))),
            Fact(
                name="duplicate rows",
                value=_WITHHELD if predicate.duplicates is None else _text.count(predicate.duplicates.rows),
            ),
            Fact(name="missing values", value=_missing(predicate)),
            Fact(name="files", value=_text.count(len(predicate.files))),
            Fact(name="measurer", value=str(predicate.measurer)),
            Fact(name="schema digest", value=predicate.schema_digest.sha256),
        ),
        missing=listing(Fact(name=column.name, value=_text.count(column.missing or 0)) for column in gaps),
        distributions=_distributions(predicate),
        overlaps=listing(_overlap(overlap) for overlap in predicate.overlaps),
        declared=tuple(
            Fact(name=name, value=value)
            for name, value in (
                ("license", declared.license),
                ("source", declared.source),
                ("description", declared.description),
            )
            if value is not None
        ),
    )


def _main_packages(descriptors: Iterable[predicates._common.ResourceDescriptor]) -> tuple[Fact, ...]:
    versions: dict[str, str] = {}
    for descriptor in descriptors:
        purl = _PURL.match(descriptor.uri or "")
        if purl:
            versions.setdefault(purl["name"].lower(), purl["version"].replace("%2B", "+"))
    return tuple(Fact(name=name, value=versions[name]) for name in _MAIN_PACKAGES if name in versions)


def training_section(predicate: predicates.Provenance, source: Source) -> Training:
    """Parameters, ingredients and packages; what the operating system reports of the machine stands apart."""
    definition = predicate.build_definition
    external, environment = definition.external_parameters, definition.internal_parameters.environment
    roles = {name: role for role, name in (*external.models.items(), *external.datasets.items())}
    return Training(
        source=source,
        facts=(
            Fact(name="trainer" if external.transform is None else "transform", value=str(external.code)),
            Fact(name="builder", value=predicate.run_details.builder.id),
            Fact(name="python", value=environment.python),
        ),
        ingredients=listing(
            Fact(
                name=" ".join(filter(None, (roles.get(each.name), each.annotations.kind, each.name))),
                value=f"sha256:{each.digest.sha256}",
            )
            for each in definition.resolved_dependencies
            if each.annotations.kind != "package"
        ),
        parameters=listing(facts(external.configuration)),
        packages=_main_packages(environment.packages),
        package_count=_text.count(len(environment.packages)),
        reported=listing((*facts(environment.machine), *facts(environment.variables))),
    )

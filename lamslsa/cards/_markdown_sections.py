"""The sections of the Markdown card: evaluations, properties, inferences, datasheets, and how things were made."""

from __future__ import annotations

from collections.abc import Iterable

from lamslsa.cards._inline import (
    Inline,
    digest,
    fact_table,
    mark,
    more,
    origin,
    own,
    own_headers,
    quoted,
    table,
)
from lamslsa.cards.parts import MARKS, Fact, GroupTable, Listing, Measure, Standing, Table
from lamslsa.cards.view import Dataset, Evaluation, Inference, Properties, Training

__all__ = ["dataset_blocks", "evaluation_blocks", "inference_blocks", "properties_blocks", "training_blocks"]


def _notices(notices: Iterable[Fact]) -> Iterable[str]:
    """What to know before reading the values; the names are the card's own words."""
    return (f"> **⚠ {notice.name}:** {quoted(notice.value)}" for notice in notices)


def _measures(measures: Listing[Measure], standing: Standing) -> Iterable[str]:
    rows = [
        (quoted(each.label), quoted(each.groups) if each.groups else own("all rows"), _value(each, standing),
         own(each.samples), own(each.method or "none"))
        for each in measures.shown
    ]  # fmt: skip
    if rows:
        yield table(own_headers("Metric", "Compared", "Value", "Samples", "Interval"), rows)
    yield from more(measures, "metrics")


def _value(measure: Measure | None, standing: Standing) -> Inline:
    return own(f"{MARKS[standing]} {quoted(measure.text)}") if measure else own("not measured")


def _groups(groups: GroupTable, standing: Standing) -> Iterable[str]:
    yield f"{quoted(groups.title)}:"
    headers = [*map(quoted, groups.columns), own("Samples"), *(quoted(metric.value) for metric in groups.metrics)]
    rows = [
        [*map(quoted, row.groups), own(row.samples), *(_value(each, standing) for each in row.measures)]
        for row in groups.rows
    ]
    yield table(headers, rows)


def _table(found: Table, standing: Standing) -> Iterable[str]:
    if found.rows.shown:
        yield f"{quoted(found.title)}:"
        rows = [
            [
                *map(quoted, row[: found.names]),
                *(own(f"{MARKS[standing]} {quoted(cell)}") for cell in row[found.names :]),
            ]
            for row in found.rows.shown
        ]
        yield table(own_headers(*found.headers), rows)
    yield from more(found.rows, found.what)


def _titled(title: str, facts: Listing[Fact], what: str, standing: Standing) -> Iterable[str]:
    if facts.shown:
        yield f"{title}:"
        yield fact_table(facts.shown, standing)
    yield from more(facts, what)


def evaluation_blocks(evaluation: Evaluation) -> Iterable[str]:
    """Values over all rows, differences, tables, and what it was measured with."""
    standing = evaluation.source.standing
    yield f"### Evaluation on {quoted(evaluation.dataset.name)} {digest(evaluation.dataset.digest)}"
    yield origin(evaluation.source)
    yield from _notices(evaluation.notices)
    yield from _measures(evaluation.overall, standing)
    yield from _measures(evaluation.differences, standing)
    for groups in evaluation.tables:
        yield from _groups(groups, standing)
    yield from more(Listing(shown=(), omitted=evaluation.omitted), "values")
    yield from _titled("Also read", evaluation.references, "artifacts", standing)
    yield fact_table((*evaluation.facts, *evaluation.configuration.shown), standing)
    yield from more(evaluation.configuration, "parameters")


def properties_blocks(properties: Properties) -> Iterable[str]:
    """Findings first, then files, numbers, tensors."""
    standing = properties.source.standing
    yield f"### Files and weights {digest(properties.source.statement)}"
    yield origin(properties.source)
    yield from _notices(properties.notices)
    yield fact_table(properties.facts, standing)
    yield from _table(properties.findings, standing)
    yield from _table(properties.files, standing)
    yield "Weights of floating-point type:"
    yield fact_table(properties.statistics, standing)
    yield from _table(properties.tensors, standing)


def inference_blocks(inference: Inference) -> Iterable[str]:
    """One record with its sides, or what the statement commits to."""
    standing = inference.source.standing
    yield f"### {inference.title} on {quoted(inference.dataset.name)} {digest(inference.dataset.digest)}"
    yield origin(inference.source)
    yield from _notices(inference.notices)
    yield fact_table(inference.facts, standing)
    yield from _titled("Input", inference.input, "values", standing)
    yield from _titled("Output", inference.output, "values", standing)
    yield from _titled("Parameters", inference.configuration, "parameters", standing)


def dataset_blocks(dataset: Dataset) -> Iterable[str]:
    """What was counted and compared, what is withheld, and what the owner declares."""
    standing = dataset.source.standing
    sign = MARKS[standing]
    name, role = quoted(dataset.reference.name), dataset.role or "not linked to this model"
    yield f"### Dataset {name} {digest(dataset.reference.digest)}: {role}"
    yield origin(dataset.source)
    yield from _notices(dataset.notices)
    yield fact_table(dataset.facts, standing)
    for overlap in dataset.overlaps.shown:
        yield f"- {sign} Overlap: {quoted(overlap)}"
    yield from more(dataset.overlaps, "overlaps")
    if dataset.missing.shown:
        rows = [(quoted(fact.name), own(f"{sign} {fact.value}")) for fact in dataset.missing.shown]
        yield table(own_headers("Column", "Missing values"), rows)
    yield from more(dataset.missing, "columns")
    for each in dataset.distributions.shown:
        counts = [(quoted(one.label), own(f"{sign} {one.count}"), own(one.share)) for one in each.shares.shown]
        yield table((quoted(each.title), own("Rows"), own("Share")), counts)
        yield from more(each.shares, "groups")
    yield from more(dataset.distributions, "distributions")
    for found in dataset.tables:
        yield from _table(found, standing)
    yield from _titled("Withheld values and commitments to them", dataset.withheld, "withheld values", standing)
    if dataset.declared.shown:
        yield f"**{mark('declared')}** by the owner:"
        yield fact_table(dataset.declared.shown, "declared")
    yield from more(dataset.declared, "declared values")


def training_blocks(training: Training) -> Iterable[str]:
    """Ingredients, parameters, packages, what was measured on the way, and what the machine reports."""
    standing = training.source.standing
    made = ""
    if training.about:
        made = f": {quoted(training.product.name)} {digest(training.product.digest)}, {training.about}"
    yield f"### {training.kind} run {digest(training.source.statement)}{made}"
    yield origin(training.source)
    yield from _notices(training.notices)
    yield fact_table((*training.facts, *training.ingredients.shown), standing)
    yield from more(training.ingredients, "ingredients")
    yield from _titled("Parameters", training.parameters, "parameters", standing)
    yield from _titled("Differential privacy", training.privacy, "parameters", standing)
    if training.losses is not None:
        yield f"- {MARKS[standing]} {training.losses.title}: {quoted(training.losses.text)}"
    for found in training.tables:
        yield from _table(found, standing)
    yield from _titled("Measured on the way", training.measured, "values", standing)
    yield f"{training.package_count} packages are in the statement, each with version and digest; among them:"
    yield fact_table(training.packages, standing)
    if training.reported.shown:
        yield f"**{mark('declared')}**, as reported by the operating system:"
        yield fact_table(training.reported.shown, "declared")
    yield from more(training.reported, "values")

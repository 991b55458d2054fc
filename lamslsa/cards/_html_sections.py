"""The panels of the HTML card: evaluations, properties, inferences, datasheets, and how things were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lamslsa.cards import _charts
from lamslsa.cards._markup import Markup, element, join
from lamslsa.cards._widgets import (
    EMPTY,
    SPACE,
    data_table,
    declared_panel,
    digest_code,
    digest_or_text,
    fact_list,
    more,
    notices,
    panel,
    titled,
)
from lamslsa.cards.parts import Curve, Distribution, GroupTable, Listing, Measure, Table
from lamslsa.cards.view import Dataset, Evaluation, Inference, Properties, Training

__all__ = ["dataset_panel", "evaluation_panel", "inference_panel", "properties_panel", "training_panel"]

_FEW: Final = 3
_SOME: Final = 7


def _measures(caption: str, measures: Listing[Measure], *, by: bool) -> Markup:
    if not measures.shown:
        return EMPTY
    headers = ("Metric", *(("Groups",) if by else ()), "Value", "Samples", "Interval")
    rows = [
        (
            join((each.label, SPACE, element("code", {"class": "wire"}, each.name))),
            *((each.groups,) if by else ()),
            element("strong", {"class": "value"}, each.text),
            each.samples,
            element("span", {"class": "value"}, each.method or "none"),
        )
        for each in measures.shown
    ]
    return join((data_table(caption, headers, rows), more(measures, "metrics")))


def _groups(table: GroupTable) -> Markup:
    across, rows = len(table.metrics), []
    for row in table.rows:
        cells = []
        for measure, reference in zip(row.measures, table.references, strict=True):
            if measure is None:
                cells.append(element("span", {"class": "note"}, "not measured"))
                continue
            bar = (_charts.measure_bar(measure, reference, narrow=across > _FEW) if across <= _SOME else None) or EMPTY
            cells.append(element("div", {"class": "measure"}, bar, element("span", {"class": "value"}, measure.text)))
        rows.append((*row.groups, row.samples, *cells))
    methods = sorted({m.method for row in table.rows for m in row.measures if m is not None and m.method})
    bars = "Bars run from 0 to 1; whiskers" if across <= _SOME else "Intervals"
    dotted = "; dotted: over all rows" if any(each is not None for each in table.references) else ""
    caption = f"{table.title}. {bars}: {'; '.join(methods) or 'none'}{dotted}"
    headers = (*table.columns, "Samples", *(each.value for each in table.metrics))
    return data_table(caption, headers, rows, kind="groups" if across <= _FEW else "groups tight")


def _table(table: Table, *, kind: str = "") -> Markup:
    if not table.rows.shown:
        return EMPTY
    rows = [
        (*row[: table.names], *(element("span", {}, digest_or_text(cell)) for cell in row[table.names :]))
        for row in table.rows.shown
    ]
    return join((data_table(table.title, table.headers, rows, kind=kind), more(table.rows, table.what)))


def evaluation_panel(evaluation: Evaluation) -> Markup:
    """Values over all rows, differences, tables, and what it was measured with."""
    title = join(("On ", element("b", {}, evaluation.dataset.name), SPACE, digest_code(evaluation.dataset.digest)))
    return panel(
        evaluation.source, title,
        notices(evaluation.notices),
        _measures("Over all rows", evaluation.overall, by=False),
        _measures("Differences between groups", evaluation.differences, by=True),
        *map(_groups, evaluation.tables), more(Listing(shown=(), omitted=evaluation.omitted), "values"),
        titled("Also read", evaluation.references, "artifacts"),
        element("h4", {}, "Measured with"), fact_list((*evaluation.facts, *evaluation.configuration.shown)),
        more(evaluation.configuration, "parameters"),
    )  # fmt: skip


def properties_panel(properties: Properties) -> Markup:
    """Findings first, then files, numbers, tensors."""
    title = join(("Files and weights, statement ", digest_code(properties.source.statement)))
    return panel(
        properties.source, title,
        notices(properties.notices), fact_list(properties.facts),
        _table(properties.findings), _table(properties.files),
        element("h4", {}, "Weights of floating-point type"), fact_list(properties.statistics),
        _table(properties.tensors, kind="dense"),
    )  # fmt: skip


def inference_panel(inference: Inference) -> Markup:
    """One record with its sides, or what the statement commits to."""
    title = join(
        (f"{inference.title} on ", element("b", {}, inference.dataset.name), SPACE,
         digest_code(inference.dataset.digest))
    )  # fmt: skip
    return panel(
        inference.source, title,
        notices(inference.notices), fact_list(inference.facts),
        titled("Input", inference.input, "values"), titled("Output", inference.output, "values"),
        titled("Parameters", inference.configuration, "parameters"),
    )  # fmt: skip


def _distribution(distribution: Distribution) -> Markup:
    rows = []
    for share in distribution.shares.shown:
        bar = _charts.share_bar(f"{share.label}: {share.share}", share.fraction)
        value = element("span", {"class": "value"}, share.share)
        rows.append((share.label, element("div", {"class": "measure"}, bar, value), share.count))
    caption = f"{distribution.title}, {distribution.samples} rows"
    return join(
        (data_table(caption, ("Group", "Share", "Rows"), rows, kind="shares"), more(distribution.shares, "groups"))
    )


def dataset_panel(dataset: Dataset) -> Markup:
    """What was counted and compared, what is withheld, and what the owner declares."""
    role = dataset.role or "not linked to this model"
    title = join((element("b", {}, dataset.reference.name), SPACE, digest_code(dataset.reference.digest), f" · {role}"))
    overlaps = [
        element("p", {"class": "overlap"}, element("b", {}, "Overlap: "), each, ".") for each in dataset.overlaps.shown
    ]
    missing = [(fact.name, fact.value) for fact in dataset.missing.shown]
    return panel(
        dataset.source, title, notices(dataset.notices), fact_list(dataset.facts),
        *overlaps, more(dataset.overlaps, "overlaps"),
        element(
            "div", {"class": "columns"},
            *map(_distribution, dataset.distributions.shown),
            data_table("Missing values by column", ("Column", "Missing"), missing) if missing else EMPTY,
        ),
        more(dataset.missing, "columns"), more(dataset.distributions, "distributions"),
        *map(_table, dataset.tables),
        titled("Withheld values and commitments to them", dataset.withheld, "withheld values"),
        declared_panel("Declared by the owner", dataset.declared.shown), more(dataset.declared, "declared values"),
    )  # fmt: skip


def _curve(curve: Curve | None) -> Markup:
    if curve is None:
        return EMPTY
    words = element("figcaption", {}, f"{curve.title}: {curve.text}")
    return element("figure", {"class": "losses"}, _charts.curve_chart(curve), words)


def training_panel(training: Training) -> Markup:
    """Ingredients, parameters, packages, what was measured on the way, and what the machine reports."""
    made: Sequence[str] = ()
    if training.about:
        made = (" · ", element("b", {}, training.product.name), SPACE, digest_code(training.product.digest),
                f", {training.about}")  # fmt: skip
    title = join((f"{training.kind} run ", digest_code(training.source.statement), *made))
    packages = f"{training.package_count} packages are in the statement, each with version and digest; among them:"
    return panel(
        training.source, title, notices(training.notices), fact_list(training.facts),
        titled("Ingredients", training.ingredients, "ingredients"),
        titled("Parameters", training.parameters, "parameters"),
        titled("Differential privacy", training.privacy, "parameters"),
        _curve(training.losses), *map(_table, training.tables),
        titled("Measured on the way", training.measured, "values"),
        element("h4", {}, "Packages"), element("p", {}, packages), fact_list(training.packages),
        declared_panel("Reported by the operating system", training.reported.shown), more(training.reported, "values"),
    )  # fmt: skip

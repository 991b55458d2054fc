"""Tables of a datasheet: summaries, anonymity, drift, requirements, near duplicates, runs of words, channels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._source import few, listing
from lamslsa.cards.parts import Table
from lamslsa.predicates import dataset as datasheets
from lamslsa.predicates._common import ArtifactReference

__all__ = ["tables"]

_MAX_ROWS: Final = 40
_NONE: Final = "none"
_PRODUCT: Final = " × "


def tables(predicate: predicates.Dataset) -> Iterator[Table]:
    """A table for each kind of property that the datasheet has, the requirements first."""
    kinds = (
        _table("Requirements", ("Group", "At least", "By", "Holds", "Rows"), map(_share, predicate.shares), names=2),
        _table(
            "Columns of numbers",
            ("Column", "Values", "Missing", "Minimum", "Maximum", "Mean", "Deviation", "Quantiles"),
            map(_summary, predicate.summaries),
        ),
        _table(
            "Anonymity: rows with the same quasi-identifiers make a class",
            ("Quasi-identifiers", "Rows", "Classes", "Smallest class (k)", "Rows in smaller classes"),
            map(_anonymity, predicate.anonymity),
        ),
        _table(
            "What classes give away",
            ("Quasi-identifiers", "Sensitive column", "Distinct diversity (l)", "Entropy diversity (l)",
             "Closeness (t)"),
            (_sensitive(each, column) for each in predicate.anonymity for column in each.sensitive),
            names=2,
        ),
        _table(
            "Drift",
            ("Column", "Against", "Rows", "Stability index (PSI)", "Kolmogorov-Smirnov"),
            map(_drift, predicate.drift),
            names=2,
        ),
        _table(
            "Near duplicates",
            ("Column", "Documents in pairs or equal", "Pairs", "Alike from", "Recall at least"),
            map(_near, predicate.near_duplicates),
        ),
        _table(
            "Runs of words that occur elsewhere",
            ("Against", "Words", "Documents with such a run", "Different runs shared", "Runs shared"),
            map(_ngrams, predicate.ngram_overlap),
            names=2,
        ),
        _table("Channels, values 0 to 255", ("Channel", "Mean", "Deviation"), _channels(predicate.images)),
    )  # fmt: skip
    return (table for table in kinds if table.rows.shown)


def _table(title: str, headers: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, names: int = 1) -> Table:
    return Table(title=title, headers=headers, rows=listing(rows, limit=_MAX_ROWS), names=names)


def _number(value: float | None) -> str:
    return _NONE if value is None else _text.number(value)


def _of(part: int, whole: int) -> str:
    return f"{_text.count(part)} of {_text.count(whole)}"


def _artifact(reference: ArtifactReference) -> str:
    return f"{_text.short(reference.digest.sha256)} {reference.name}"


def _share(share: datasheets.Share) -> tuple[str, ...]:
    group = " and ".join(
        f"{column} = {'missing' if value is None else json.dumps(value, ensure_ascii=False)}"
        for column, value in share.where.items()
    )
    by = "count"
    if share.by == "wilson":
        level = "" if share.confidence_level is None else f", {100 * share.confidence_level:g} %"
        by = f"Wilson lower bound{level}"
    return group, f"{100 * share.at_least:g} %", by, "yes" if share.holds else "NO", _text.count(share.samples)


def _summary(summary: datasheets.Summary) -> tuple[str, ...]:
    quantiles = [f"{each.probability:g}: {_text.number(each.value)}" for each in summary.quantiles]
    reason = "" if summary.undefined is None else f"undefined: {summary.undefined}"
    return (
        summary.column,
        _text.count(summary.samples),
        _text.count(summary.missing),
        *map(_number, (summary.minimum, summary.maximum, summary.mean, summary.deviation)),
        "; ".join(filter(None, (few(quantiles, separator="; ") if quantiles else "", reason))) or _NONE,
    )


def _anonymity(anonymity: datasheets.Anonymity) -> tuple[str, ...]:
    below = [f"below {each.size}: {_text.count(each.rows)}" for each in anonymity.rows_below]
    return (
        _PRODUCT.join(anonymity.quasi_identifiers),
        _text.count(anonymity.samples),
        _text.count(anonymity.classes),
        _text.count(anonymity.smallest_class),
        few(below, separator="; "),
    )


def _sensitive(anonymity: datasheets.Anonymity, sensitive: datasheets.Sensitive) -> tuple[str, ...]:
    closeness = f"{_number(sensitive.closeness)}, {sensitive.distance} distance"
    if sensitive.closeness is None:
        closeness = f"undefined: {sensitive.undefined or 'no reason given'}"
    return (
        _PRODUCT.join(anonymity.quasi_identifiers),
        sensitive.column,
        _text.count(sensitive.distinct_diversity),
        _text.number(sensitive.entropy_diversity),
        closeness,
    )


def _drift(drift: datasheets.Drift) -> tuple[str, ...]:
    test = drift.kolmogorov_smirnov
    reason = f"undefined: {drift.undefined or 'no reason given'}"
    compared = _NONE if drift.undefined is None else reason
    if test is not None:
        compared = f"{_text.number(test.statistic)} (p {_text.number(test.p_value)}, {test.method})"
    return (
        drift.column,
        _artifact(drift.reference),
        f"{_text.count(drift.samples)} against {_text.count(drift.reference_samples)}",
        reason if drift.psi is None else _text.number(drift.psi),
        compared,
    )


def _near(near: datasheets.NearDuplicates) -> tuple[str, ...]:
    return (
        near.column or "the text",
        _of(near.documents, near.samples),
        _text.count(near.pairs),
        f"{near.threshold:g}",
        _text.number(near.recall),
    )


def _ngrams(overlap: datasheets.NgramOverlap) -> tuple[str, ...]:
    column = "" if overlap.column is None else f", column {overlap.column}"
    other = "" if overlap.other_column is None else f" with {overlap.other_column}"
    return (
        f"{_artifact(overlap.dataset)}{column}{other}",
        _text.count(overlap.n),
        _of(overlap.documents, overlap.samples),
        _of(overlap.shared, overlap.ngrams),
        _of(overlap.shared_occurrences, overlap.occurrences),
    )


def _channels(images: datasheets.Images | None) -> Iterator[tuple[str, ...]]:
    if images is None:
        return
    names = ("red", "green", "blue") if len(images.channels) == 3 else ("grey",) if len(images.channels) == 1 else ()
    for index, channel in enumerate(images.channels):
        name = names[index] if names else str(index + 1)
        yield name, _text.number(channel.mean), _text.number(channel.deviation)

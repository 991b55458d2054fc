"""The sections of a card that show datasheets: what was counted, compared, required, withheld, and what is declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._dataset_tables import tables
from lamslsa.cards._source import code_notices, code_words, listing
from lamslsa.cards.parts import Distribution, Fact, Listing, Reference, Share, Source
from lamslsa.cards.view import Dataset
from lamslsa.predicates import dataset as datasheets

__all__ = ["dataset_section"]

_PRODUCT: Final = " × "
_WITHHELD: Final = "not disclosed"
_NOT_MEASURED: Final = "not measured"
_REQUIREMENTS: Final = "requirements"

_Values = Iterable[str | float | bool | None]


def _cell_text(values: _Values) -> str:
    return _PRODUCT.join("missing" if value is None else str(value) for value in values)


def _share(label: str, count: int, total: int) -> Share:
    fraction = count / (total or 1)
    return Share(
        label=label,
        count=_text.count(count),
        share=_text.percent(fraction),
        fraction=min(1.0, fraction),
    )


def _distribution(distribution: datasheets.Distribution, title: str, names: Mapping[str, str]) -> Distribution:
    total = distribution.samples
    cells = ((_cell_text(cell.values), cell.count) for cell in distribution.cells)
    return Distribution(
        title=title,
        samples=_text.count(total),
        shares=listing((_share(names.get(label, label), count, total) for label, count in cells), limit=40),
    )


def _conditional(conditional: datasheets.Conditional) -> Distribution:
    """The shares of each group add up to its own rows."""
    columns, given = _PRODUCT.join(conditional.columns), _PRODUCT.join(conditional.given)
    return Distribution(
        title=f"{columns} given {given}: share of the rows of each {given}",
        samples=_text.count(conditional.samples),
        shares=listing(
            (
                _share(f"{_cell_text(group.given)}: {_cell_text(cell.values)}", cell.count, group.rows)
                for group in conditional.groups
                for cell in group.cells
            ),
            limit=40,
        ),
    )


def _class_names(schema: Mapping[str, Any]) -> dict[str, str]:
    """What the schema calls the classes, by class; the schema is free JSON, and a class may have several names."""
    label = schema.get("label")
    classes = label.get("classes") if isinstance(label, dict) else None
    if not isinstance(classes, dict):
        return {}
    names: dict[str, list[str]] = {}
    for name, number in classes.items():
        if isinstance(number, int) and not isinstance(number, bool):
            names.setdefault(str(number), []).append(name)
    return {number: f"{number} ({', '.join(found)})" for number, found in names.items()}


def _distributions(predicate: predicates.Dataset) -> Listing[Distribution]:
    found = []
    balance = predicate.label_balance
    if balance is not None:
        found.append(_distribution(balance, f"Label: {_PRODUCT.join(balance.columns)}", _class_names(predicate.schema)))
    found += [_distribution(each, _PRODUCT.join(each.columns), {}) for each in predicate.distributions]
    found += [_conditional(each) for each in predicate.conditional]
    return listing(found, limit=12)


def _overlap(overlap: datasheets.Overlap) -> str:
    rows, samples, distinct = map(_text.count, (overlap.rows, overlap.samples, overlap.distinct))
    return (
        f"{rows} of {samples} rows ({distinct} distinct), compared over {len(overlap.columns)} columns, also occur in "
        f"{_text.short(overlap.dataset.digest.sha256)} {overlap.dataset.name}"
    )


def _absent(predicate: predicates.Dataset, name: str) -> str:
    """What to say of a value that does not stand there: kept back, or never measured."""
    kept = {each.pointer.split("/")[1] for each in predicate.withheld}
    return _WITHHELD if name in kept else _NOT_MEASURED


def _missing(predicate: predicates.Dataset) -> str:
    found = [column.missing for column in predicate.columns]
    known = [count for count in found if count is not None]
    return _text.count(sum(known)) if len(known) == len(found) else _WITHHELD


def _sizes(predicate: predicates.Dataset) -> Iterator[Fact]:
    documents, images = predicate.documents, predicate.images
    yield Fact(name="rows", value=_text.count(predicate.rows))
    if documents is not None:
        for name in ("documents", "empty", "characters", "words"):
            yield Fact(name=name, value=_text.count(getattr(documents, name)))
    if images is not None:
        yield Fact(name="image size", value=f"{_text.count(images.height)} × {_text.count(images.width)} pixels")
        yield Fact(name="pixels in all images", value=_text.count(images.pixels))
    if predicate.columns or not (documents or images):
        yield Fact(name="columns", value=_text.count(len(predicate.columns)))
    duplicates = predicate.duplicates
    yield Fact(
        name="duplicate rows",
        value=_absent(predicate, "duplicates") if duplicates is None else _text.count(duplicates.rows),
    )
    if predicate.columns or not (documents or images):
        yield Fact(name="missing values", value=_missing(predicate))


def _withheld(each: datasheets.Withheld) -> Fact:
    commitment = each.commitment
    return Fact(
        name=each.pointer, value="without a commitment" if commitment is None else f"sha256:{commitment.sha256}"
    )


def _notices(predicate: predicates.Dataset) -> Sequence[Fact]:
    notices = list(code_notices(predicate.measurer))
    if predicate.configuration.get("disclose") == _REQUIREMENTS:
        notices.append(
            Fact(name="Only requirements are disclosed", value="whether each holds, and no value that was measured")
        )
    elif predicate.withheld:
        notices.append(
            Fact(
                name="Values are withheld",
                value=f"{_text.count(len(predicate.withheld))} were measured and are kept back; none of them is zero",
            )
        )
    return notices


def _declared(declared: datasheets.Declared) -> Iterator[Fact]:
    named = (("license", declared.license), ("source", declared.source), ("description", declared.description))
    for name, value in (*named, *(declared.responsible or {}).items()):
        if value is not None:
            yield Fact(name=name, value=value)


def dataset_section(predicate: predicates.Dataset, reference: Reference, role: str, source: Source) -> Dataset:
    """Sizes, missing values, duplicates, distributions and overlaps; what the owner declares stands apart."""
    gaps = [column for column in predicate.columns if column.missing]
    return Dataset(
        source=source,
        reference=reference,
        role=role,
        notices=tuple(_notices(predicate)),
        facts=(
            *_sizes(predicate),
            Fact(name="files", value=_text.count(len(predicate.files))),
            Fact(name="measurer", value=code_words(predicate.measurer)),
            Fact(name="schema digest", value=predicate.schema_digest.sha256),
        ),
        missing=listing(Fact(name=column.name, value=_text.count(column.missing or 0)) for column in gaps),
        distributions=_distributions(predicate),
        tables=tuple(tables(predicate)),
        overlaps=listing(map(_overlap, predicate.overlaps), limit=40),
        withheld=listing(map(_withheld, predicate.withheld), limit=40),
        declared=listing(_declared(predicate.declared or datasheets.Declared()), limit=40),
    )

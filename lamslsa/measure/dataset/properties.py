"""The part ``properties`` of a dataset in a job file: what is measured besides what every datasheet says.

    properties: {conditional, summaries, anonymity, drift, shares, nearDuplicates, ngramOverlap,
                 normalization, disclose, withhold}

Every key may be absent; each family has its module, which says what an entry needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.dataset import anonymity, conditional, drift, near, ngrams, shares, summaries
from lamslsa.measure.dataset.disclosure import Disclosure, declare_disclosure
from lamslsa.measure.dataset.overlap import Normalization, declare_normalization
from lamslsa.measure.dataset.reading import Property
from lamslsa.measure.declarations import DatasetJob, Scope

__all__ = ["TABLE_FAMILIES", "TEXT_FAMILIES", "Family", "Properties", "declare"]

_MAX_ITEMS: Final = 64

Family = Callable[[_yaml.Mapping_, DatasetJob, Scope], Property]

TABLE_FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "conditional": conditional.declare,
        "summaries": summaries.declare,
        "anonymity": anonymity.declare,
        "drift": drift.declare,
        "shares": shares.declare,
        "nearDuplicates": near.declare,
        "ngramOverlap": ngrams.declare,
    }
)
TEXT_FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {"nearDuplicates": near.declare, "ngramOverlap": ngrams.declare}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What a job asks for.

    Attributes:
        items: the properties by family, in the order declared.
        normalization: of the overlap; None where rows are compared as they are.
    """

    items: Mapping[str, tuple[Property, ...]] = field(default_factory=dict)
    normalization: Normalization | None = None
    disclosure: Disclosure = field(default_factory=Disclosure)

    def __iter__(self) -> Iterator[tuple[str, Property]]:
        """Every property, with the family that it belongs to."""
        return ((family, item) for family, items in self.items.items() for item in items)

    @property
    def references(self) -> tuple[str, ...]:
        """The datasets that properties compare with, each once."""
        return tuple(dict.fromkeys(name for _, item in self for name in item.references))

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        normalization = {} if self.normalization is None else {"normalization": self.normalization.resolved()}
        asked = {family: [item.resolved() for item in items] for family, items in self.items.items()}
        return {**asked, **normalization, **self.disclosure.resolved()}


def declare(
    fields: _yaml.Mapping_ | None,
    dataset: DatasetJob,
    scope: Scope,
    *,
    families: Mapping[str, Family],
    always: tuple[str, ...],
) -> Properties:
    """Read ``properties``.

    Args:
        fields: None where the job has none.
        dataset: whose they are.
        scope: the datasets that it may be compared with.
        families: those that suit this kind of dataset.
        always: what its datasheet says in any case, apart from groupings and overlaps.

    Raises:
        FormatError: a key is missing or unknown, or a property does not suit the dataset.
    """
    if fields is None:
        return Properties()
    items = {}
    for key, family in families.items():
        node = fields.get(key)
        if node is not None:
            items[key] = _family(node, family, dataset, scope)
    normalization = fields.get("normalization") if "conditional" in families else None
    if normalization is not None and not dataset.overlap:
        normalization.refuse("expected a dataset with an overlap, got one without", reason="job-normalization")
    measured = {
        *always,
        *(["distributions"] if dataset.groups else []),
        *(["overlaps"] if dataset.overlap else []),
        *(key for key in items if key != "shares"),
    }
    found = Properties(
        items=items,
        normalization=None if normalization is None else declare_normalization(normalization.mapping()),
        disclosure=declare_disclosure(fields, measured=measured, requirements="shares" in items),
    )
    fields.finish()
    return found


def _family(node: _yaml.Node, family: Family, dataset: DatasetJob, scope: Scope) -> tuple[Property, ...]:
    found: list[Property] = []
    nodes = node.sequence()
    if len(nodes) > _MAX_ITEMS:
        node.refuse(f"expected at most {_MAX_ITEMS} entries, got {len(nodes)}", reason="job-properties")
    for item in nodes:
        fields = item.mapping()
        found.append(family(fields, dataset, scope))
        fields.finish()
        if found[-1] in found[:-1]:
            item.refuse("expected each entry once, got one twice", reason="job-properties")
    return tuple(found)

"""Which columns of a dataset the trainings of a model read: what an overlap has to be about.

Rules:
- Rows that differ in a column which no model sees are the same rows to it, so an overlap over such a column is smaller
  than it should be: a row number makes it 0. Fewer columns than a model sees can only make it larger.
- Of our trainers, ``drop`` takes features away and ``textColumn`` leaves one. What other code leaves out, nobody knows:
  it counts as having read every feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from lamslsa.lineage import Build
from lamslsa.predicates.provenance import TRAINING_BUILD_TYPE

__all__ = ["View", "features", "seen", "views"]

View = tuple[Literal["all but", "only"], frozenset[str]]
"""What a training read of the features of a dataset."""

_EVERYTHING: Final[View] = ("all but", frozenset())
_OTHER_FORMATS: Final[Mapping[str, frozenset[str]]] = {"images": frozenset({"pixels"}), "text": frozenset({"text"})}


def views(trainings: Iterable[Build], sha256: str) -> frozenset[View]:
    """What each training that read a dataset, by its manifest digest, saw of it; all of it where none of them did."""
    found = {_view(build) for build in trainings if any(item.artifact.sha256 == sha256 for item in build.datasets)}
    return frozenset(found) or frozenset({_EVERYTHING})


def _view(build: Build) -> View:
    definition = build.provenance.build_definition
    parameters = definition.external_parameters
    if definition.build_type != TRAINING_BUILD_TYPE or parameters.code.distribution is not None:
        return _EVERYTHING
    only, drop = (parameters.configuration.get(key) for key in ("textColumn", "drop"))
    if isinstance(only, str):
        return ("only", frozenset({only}))
    return (
        "all but",
        frozenset(item for item in drop if isinstance(item, str)) if isinstance(drop, list) else frozenset(),
    )


def features(schema: Mapping[str, Any]) -> frozenset[str]:
    """What the rows under a schema are compared by, label left out; nothing where the schema does not say."""
    other = _OTHER_FORMATS.get(str(schema.get("format")))
    columns, label = schema.get("columns"), schema.get("label")
    if other is not None or not isinstance(columns, list):
        return other or frozenset()
    names = [column.get("name") for column in columns if isinstance(column, Mapping)]
    target = label.get("column") if isinstance(label, Mapping) else None
    return frozenset(name for name in names if isinstance(name, str) and name != target)


def seen(every: frozenset[str], by: frozenset[View]) -> frozenset[str]:
    """The features that all of these trainings read."""
    for kind, names in by:
        every = every & names if kind == "only" else every - names
    return every

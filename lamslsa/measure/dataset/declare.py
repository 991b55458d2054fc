"""Which measurer makes the datasheet of a dataset: the one for its format."""

from __future__ import annotations

from typing import Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import ImageSchema, TextSchema
from lamslsa.measure.dataset import images, tabular, text
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.interface import Plan

__all__ = ["NAMES", "declare"]

NAMES: Final[tuple[str, ...]] = (images.NAME, tabular.NAME, text.NAME)


def declare(dataset: DatasetJob, fields: _yaml.Mapping_ | None, scope: Scope) -> Plan:
    """The plan of a datasheet.

    Args:
        dataset: what it is about.
        fields: ``properties`` of the job file; None where nothing more is asked for.
        scope: the datasets that it may be compared with.

    Raises:
        FormatError: a property is unknown, or refers to something that is not there.
    """
    if isinstance(dataset.schema, ImageSchema):
        return images.declare(dataset, dataset.schema, fields, scope)
    if isinstance(dataset.schema, TextSchema):
        return text.declare(dataset, dataset.schema, fields, scope)
    return tabular.declare(dataset, fields, scope)

"""Which measurers there are, by stage and by ``<name>/<version>``.

A third party adds one by an entry point of its distribution in the group ``lamslsa.measurers``. Such code is loaded
only where it was asked for by the distribution's name, which is an enclave build of its own: what runs beside a
measurer can forge what it says (threat model, attester 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from lamslsa import _yaml
from lamslsa.measure import evaluation, inference, model, training, transform
from lamslsa.measure.dataset.declare import NAMES as DATASETS
from lamslsa.measure.declarations import Scope
from lamslsa.measure.interface import Measurer, Plan, Stage

__all__ = ["BUILT_IN", "Catalogue"]


class Catalogue:
    """Measurers by stage and name.

    >>> "tabular-mlp/1" in BUILT_IN.names("training")
    True
    """

    def __init__(self, measurers: Iterable[Measurer]) -> None:
        self._by_name: Mapping[tuple[Stage, str], Measurer] = MappingProxyType(
            {(item.stage, f"{item.name.name}/{item.name.version}"): item for item in measurers}
        )

    def with_more(self, measurers: Iterable[Measurer]) -> Catalogue:
        """These measurers and more; none of them takes the name of another."""
        return Catalogue([*measurers, *self._by_name.values()])

    def names(self, stage: Stage) -> tuple[str, ...]:
        """What a job file may name in a stage, sorted."""
        return tuple(sorted(name for of, name in self._by_name if of == stage))

    def declare(self, stage: Stage, key: str, node: _yaml.Mapping_, scope: Scope) -> Plan:
        """The plan that a part of a job file declares; ``key`` is the field that names the measurer.

        Raises:
            FormatError: an unknown measurer, or a mistake in its fields.
        """
        name = node.take(key).choice(self.names(stage))
        plan = self._by_name[stage, name].declare(node, scope)
        node.finish()
        return plan

    def reserved(self) -> frozenset[str]:
        """Every name of ours, datasheets and a user's own training among them: nobody else's measurer has one."""
        return frozenset({name for _, name in self._by_name} | {*DATASETS, "own/1"})


BUILT_IN: Final = Catalogue(
    [*training.MEASURERS, *transform.MEASURERS, *evaluation.MEASURERS, *inference.MEASURERS, *model.MEASURERS]
)

"""A training run again from its statement: the same model, or what is different around it.

Steps, each of which refuses before anything is trained:
1. The statement is the provenance of a declarative training, and not of a private one, whose noise nobody has.
2. The plan is of the same trainer and configuration.
3. Every dataset is the one that was read, by the digest of its bytes and of its schema.

Then the plan is run. Another model is no error: on another kind of machine, or with other packages, sums round
differently. The result names every such difference, and says so if it finds none, which is when somebody should worry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError
from lamslsa.measure.interface import Context, Given, Plan
from lamslsa.predicates._common import Environment
from lamslsa.predicates.provenance import TRAINING_BUILD_TYPE, Dependency, Provenance
from lamslsa.statement import Statement

__all__ = ["Difference", "Reproduction", "reproduce"]

_ABSENT: Final = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something around the training that was another then: a package, a property of the machine, a variable."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of it.

    Attributes:
        expected: digest of the model that the statement is about, lower-case hexadecimal.
        found: digest of the model that was trained now.
        differences: what could explain another model; they can be there with the same model too.
    """

    expected: str
    found: str
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether it is the same model, byte for byte."""
        return self.expected == self.found


@runtime_checkable
class _Configured(Protocol):
    def configuration(self) -> dict[str, Any]: ...


def reproduce(attested: Statement, plan: Plan, inputs: Mapping[str, Given], context: Context) -> Reproduction:
    """Train again and compare.

    Args:
        attested: the statement of the training.
        plan: the same training as a job file declares it: it has the schema, of which the statement has the digest.
        inputs: as `lamslsa.measure.interface.Plan` takes them.
        context: where and with what to train.

    Raises:
        FormatError: one of the steps of this module refused.
    """
    # (1) something that can be run again
    provenance = _provenance(attested)
    # (2) the same work
    _refuse_other_work(provenance, plan)
    # (3) the same data
    _refuse_other_data(provenance, plan, inputs)
    outcome = plan.measure(inputs, context)
    again = statement.parse(outcome.statements[0].data)
    now = _provenance(again)
    before, after = (item.build_definition for item in (provenance, now))
    if _canonical(before.external_parameters.configuration) != _canonical(after.external_parameters.configuration):
        raise FormatError("expected the configuration of the statement, got another", reason="reproduce-configuration")
    return Reproduction(
        expected=attested.subjects[0].sha256,
        found=again.subjects[0].sha256,
        differences=(
            *_code(before.resolved_dependencies, after.resolved_dependencies),
            *_environments(before.internal_parameters.environment, after.internal_parameters.environment),
        ),
    )


def _provenance(attested: Statement) -> Provenance:
    found = predicates.parse(attested)
    if not isinstance(found, Provenance) or found.build_definition.build_type != TRAINING_BUILD_TYPE:
        raise FormatError(
            "expected the provenance of a declarative training, got another statement",
            reason="reproduce-statement",
            hint="code of the user's own and transforms are not run again",
        )
    if found.build_definition.external_parameters.configuration.get("privacy") is not None:
        raise FormatError(
            "expected a training that can be run again, got a private one",
            reason="reproduce-private",
            hint="its noise was drawn inside and is known to nobody",
        )
    return found


def _refuse_other_work(provenance: Provenance, plan: Plan) -> None:
    external = provenance.build_definition.external_parameters
    if str(external.code) != str(plan.measurer):
        raise FormatError(
            f"expected the trainer {external.code}, got {plan.measurer}",
            reason="reproduce-trainer",
            hint="name the job file of this training",
        )
    if not isinstance(plan, _Configured):
        return
    wanted, found = external.configuration, plan.configuration()
    for key in sorted(wanted.keys() | found.keys()):
        if key not in wanted or key not in found or _canonical(wanted[key]) != _canonical(found[key]):
            raise FormatError(
                f"expected {key!a:.80} as in the statement, got another",
                reason="reproduce-configuration",
                hint=f"the statement has {json.dumps(wanted.get(key))[:200]}",
            )


def _refuse_other_data(provenance: Provenance, plan: Plan, inputs: Mapping[str, Given]) -> None:
    definition = provenance.build_definition
    datasets = {item.name: item for item in definition.resolved_dependencies if item.annotations.kind == "dataset"}
    names = {item.role: item.name for item in plan.inputs}
    if set(definition.external_parameters.datasets) != set(inputs):
        raise FormatError(
            f"expected datasets in the roles {', '.join(definition.external_parameters.datasets)}, "
            f"got {', '.join(inputs)}",
            reason="reproduce-dataset",
        )
    for role, name in definition.external_parameters.datasets.items():
        was = datasets.get(name)
        if was is None or was.digest.sha256 != inputs[role].artifact.manifest.sha256 or names.get(role) != name:
            raise FormatError(
                f"expected the dataset {name!a:.80} of the statement as {role!a:.80}, got another",
                reason="reproduce-dataset",
                hint="the very bytes that were trained on, under the name that they had",
            )
        _refuse_other_schema(was, plan)


def _refuse_other_schema(was: Dependency, plan: Plan) -> None:
    schema = getattr(getattr(plan, "dataset", None), "schema", None)
    digest = was.annotations.schema_digest
    if schema is not None and (digest is None or digest.sha256 != schema.sha256):
        raise FormatError(
            f"expected {was.name!a:.80} under the schema of the statement, got another",
            reason="reproduce-schema",
            hint="the datasheet with this schema's digest has it in full",
        )


def _canonical(value: Any) -> bytes:
    return _codec.canonical_with_fractions(value)


def _code(before: tuple[Dependency, ...], after: tuple[Dependency, ...]) -> list[Difference]:
    then, now = (
        {item.name: item.digest.sha256 for item in items if item.annotations.kind == "code"}
        for items in (before, after)
    )
    return _compared("code", then, now)


def _environments(before: Environment, after: Environment) -> list[Difference]:
    packages = [
        {
            str(item.name): f"{item.uri} {item.digest.sha256 if item.digest is not None else ''}"
            for item in surroundings.packages
        }
        for surroundings in (before, after)
    ]
    return [
        *_compared("python", {"": before.python}, {"": after.python}),
        *_compared("machine", before.machine, after.machine),
        *_compared("variable", before.variables, after.variables),
        *_compared("package", packages[0], packages[1]),
    ]


def _compared(kind: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(what=f"{kind} {name}".strip(), then=str(then.get(name, _ABSENT)), now=str(now.get(name, _ABSENT)))
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]

"""What an expression can name: variables, their types, and functions.

There are two environments. In the first, whose types are those of the predicates, expressions are checked when a policy
is read. In the second, where everything is ``dyn``, they are evaluated over plain maps: a field that a statement leaves
out is an error there, as messages of protobuf would give 0 or an empty text.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from lamslsa.errors import UnavailableError
from lamslsa.policy.cel._messages import PACKAGE, Messages
from lamslsa.predicates import Dataset, Evaluation, Inference, Model, Provenance
from lamslsa.predicates._common import Digest

__all__ = ["KINDS", "PACKAGE", "AttestationView", "Overlaps", "Parameters", "checker", "evaluator", "fields"]

Parameters = Mapping[str, str | int | float | bool]
Overlaps = Mapping[tuple[str, str], int | str]
"""By training dataset and dataset, as the policy calls them: rows, or why there is no such number."""

KINDS: Final[Mapping[type, str]] = {
    Dataset: "dataset",
    Evaluation: "evaluation",
    Inference: "inference",
    Model: "model",
    Provenance: "provenance",
}
"""The field of an attestation that holds a predicate of this type."""


class ArtifactView(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An artifact, by the name that the policy gives it.

    Attributes:
        schema_digest: the schema under which a dataset was read.
    """

    name: str
    digest: Digest
    schema_digest: Digest | None = None


class StepView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A training or a transform.

    Attributes:
        statement: digest of its provenance.
        code: ``<name>/<version>``.
    """

    statement: Digest
    code: str
    build_type: str
    builder: str
    configuration: dict[str, Any]


class LineageView(Struct, frozen=True, kw_only=True, rename="camel"):
    """How the model came to be."""

    trained_on: tuple[ArtifactView, ...]
    bases: tuple[ArtifactView, ...]
    trainings: tuple[StepView, ...]
    transforms: tuple[StepView, ...]


class AttestationView(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A statement; one of the fields from ``dataset`` on holds its predicate.

    Attributes:
        statement: digest of its payload.
        subject: what it is about, by the policy's name.
        read: the dataset of an evaluation or inference, by the policy's name.
    """

    statement: Digest
    predicate_type: str
    subject: ArtifactView
    signer: str
    read: ArtifactView | None = None
    dataset: Dataset | None = None
    evaluation: Evaluation | None = None
    inference: Inference | None = None
    model: Model | None = None
    provenance: Provenance | None = None


@functools.cache
def _cel() -> Any:
    """The library.

    Raises:
        UnavailableError: it is not installed.
    """
    try:
        from cel_expr_python import cel
    except ImportError as err:
        raise UnavailableError(
            "expected cel-expr-python to evaluate the expressions of the policy, got no such package",
            reason="cel-not-installed",
            hint='pip install "lamslsa[cel]"',
        ) from err
    return cel


@functools.cache
def _messages() -> tuple[Any, Mapping[str, tuple[str, ...]]]:
    made = Messages()
    made.add(AttestationView, LineageView)
    return made.pool(), made.fields


def fields(message: str, parameters: Parameters) -> tuple[str, ...]:
    """The fields that a type has, by the name that messages of the checker give it."""
    if message == "params":
        return tuple(parameters)
    return _messages()[1].get(message.removeprefix(f"{PACKAGE}."), ())


def _functions(lineage: Any, evaluation: Any, overlap: Callable[..., int], metric: Callable[..., float]) -> list[Any]:
    cel = _cel()
    return [
        cel.FunctionDecl(
            "overlap",
            [
                cel.Overload(
                    "lineage_overlap",
                    return_type=cel.Type.INT,
                    parameters=[lineage, cel.Type.STRING, cel.Type.STRING],
                    is_member=True,
                    impl=overlap,
                )
            ],
        ),
        cel.FunctionDecl(
            "metric",
            [
                cel.Overload(
                    "evaluation_metric",
                    return_type=cel.Type.DOUBLE,
                    parameters=[evaluation, cel.Type.STRING],
                    is_member=True,
                    impl=metric,
                )
            ],
        ),
    ]


def checker(parameters: Parameters) -> Any:
    """The environment in which an expression with these parameters is checked.

    Parameters are declared as variables ``params.<name>``, so a name that is not there is found out. Their numbers are
    ``dyn``: they may be compared with integers and with fractions.

    Raises:
        UnavailableError: the library is not installed.
    """
    cel = _cel()
    types = cel.Type
    attestation, lineage, artifact, evaluation = (
        types(f"{PACKAGE}.{name}") for name in ("Attestation", "Lineage", "Artifact", "Evaluation")
    )
    named = {f"params.{name}": _type_of(value) for name, value in parameters.items()}
    return cel.NewEnv(
        descriptor_pool=_messages()[0],
        variables={
            "model": artifact,
            "lineage": lineage,
            "attestations": types.List(attestation),
            "now": types.TIMESTAMP,
            **named,
        },
        functions=_functions(lineage, evaluation, _never, _never),
    )


def _type_of(value: object) -> Any:
    types = _cel().Type
    if isinstance(value, bool):
        return types.BOOL
    return types.STRING if isinstance(value, str) else types.DYN


def _never(*_: Any) -> Any:
    raise ValueError("nothing is evaluated in the environment of the checker")


def evaluator(overlaps: Callable[[], Overlaps], parameters: Parameters) -> Any:
    """The environment in which an expression is evaluated, with the overlaps of the moment.

    Raises:
        UnavailableError: the library is not installed.
    """
    cel = _cel()
    types = cel.Type
    anything = types.Map(types.STRING, types.DYN)

    def overlap(_lineage: Mapping[str, Any], training: str, dataset: str) -> int:
        found = overlaps().get((training, dataset), "no datasheet that counts compares them")
        if not isinstance(found, int):
            raise ValueError(  # noqa: TRY004 - it is no type that is wrong
                f"no overlap of {dataset!r:.80} with {training!r:.80}: {found}"
            )
        return found

    return cel.NewEnv(
        variables={
            "model": types.DYN,
            "lineage": types.DYN,
            "attestations": types.List(types.DYN),
            "now": types.TIMESTAMP,
            **{f"params.{name}": _type_of(value) for name, value in parameters.items()},
        },
        functions=_functions(anything, anything, overlap, _metric),
    )


def _metric(evaluation: Mapping[str, Any], name: str) -> float:
    """The value of a metric over all rows; none of a group, of a slice or with parameters."""
    found = [
        item
        for item in evaluation.get("metrics", ())
        if item.get("name") == name and not any(item.get(key) for key in ("groups", "slice", "parameters"))
    ]
    if len(found) != 1:
        raise ValueError(f"expected one value of {name!r:.80} over all rows, got {len(found)}")
    value = found[0].get("value")
    if not isinstance(value, float) or not math.isfinite(value):
        raise ValueError(f"expected a value of {name!r:.80}, got none")
    return value

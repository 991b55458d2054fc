"""The values of a policy file, each read strictly; every refusal names line and column."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeVar, cast

from lamslsa import _codec
from lamslsa._yaml import Mapping_, Node
from lamslsa.errors import FormatError
from lamslsa.policy.model import ParameterTerms, Use
from lamslsa.predicates import configuration_digest
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

__all__ = [
    "age",
    "choices",
    "configuration",
    "digest",
    "each",
    "label",
    "limits",
    "measurer",
    "metric_parameters",
    "parameters",
    "rule_name",
    "samples",
    "slice_",
    "text",
    "time",
    "unique_texts",
    "use",
]

T = TypeVar("T")

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MEASURER: Final = re.compile(r"[^/\s]+/[^/\s]+")
_DISTRIBUTION: Final = re.compile(r"pkg:[a-z]+/[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_AGE: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RESERVED: Final = ("training", "lineage", "model signature")
_RESERVED_PREFIXES: Final = ("ingredient:", "signature:")
_DEFAULT_DIGESTS: Final = {name: configuration_digest(dict(value)) for name, value in DEFAULT_CONFIGURATIONS.items()}


def label(node: Node) -> str:
    """The name of an identity, platform, dataset or policy."""
    value = node.string()
    if not _LABEL.fullmatch(value):
        node.refuse(
            f"expected at most 64 letters, digits, dots, dashes and underscores at {node.where}, got {value[:80]!r}",
            reason="policy-name",
        )
    return value


def text(node: Node) -> str:
    """A name that somebody else chose: a metric, column or group."""
    value = node.string()
    if len(value) > 128 or not value.isprintable():
        node.refuse(f"expected at most 128 printable characters at {node.where}, got others", reason="policy-name")
    return value


def rule_name(node: Node) -> str:
    """The name of a rule: free text, but none that a built-in rule has."""
    value = text(node)
    if value in _RESERVED or value.startswith(_RESERVED_PREFIXES):
        node.refuse(f"expected a name that no built-in rule has, got {value!r}", reason="policy-name")
    return value


def time(node: Node) -> dt.datetime:
    """An RFC 3339 time in UTC."""
    value = node.string()
    try:
        parsed = dt.datetime.fromisoformat(value) if _TIME.fullmatch(value) else None
    except ValueError:
        parsed = None
    if parsed is None:
        node.refuse(
            f"expected an RFC 3339 time in UTC at {node.where}, got {value[:80]!r}",
            reason="policy-time",
            hint="write it like 2027-06-30T00:00:00Z",
        )
    return parsed


def age(node: Node) -> dt.timedelta:
    """How old evidence may be: ``90d``, ``12h``, ``30m``, ``45s``; never nothing."""
    value = node.string()
    match = _AGE.fullmatch(value)
    if match is None:
        node.refuse(
            f"expected an age such as 90d at {node.where}, got {value[:80]!r}",
            reason="policy-age",
            hint="a whole number of at most six digits and one of s, m, h, d",
        )
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


def each(node: Node, read: Callable[[Node], T]) -> tuple[T, ...]:
    """The items of a list, each read alike; none twice, and at least one."""
    result: list[T] = []
    for item in node.sequence():
        value = read(item)
        if value in result:
            item.refuse(f"expected each entry once at {node.where}, got one twice", reason="policy-duplicate")
        result.append(value)
    return tuple(result)


def choices(node: Node, options: Collection[str]) -> frozenset[str]:
    """A list of words out of a few."""
    return frozenset(each(node, lambda item: item.choice(options)))


def digest(node: Node) -> str:
    """The hexadecimal part of ``sha256:…``."""
    try:
        return _codec.parse_digest(node.string(), what=node.where)
    except FormatError as err:
        node.refuse(str(err), reason=err.reason, hint="lamslsa digest prints it")


def measurer(node: Node) -> str:
    """``<name>/<version>``, and of a third party's measurer also the distribution: ``{name, distribution}``.

    Returns:
        The words that `lamslsa.predicates._common.Measurer` has for it.
    """
    if isinstance(node, Mapping_):
        name, distribution = measurer(node.take("name")), node.take("distribution")
        node.finish()
        if not _DISTRIBUTION.fullmatch(distribution.string()):
            distribution.refuse(
                f"expected a package URL without version at {distribution.where}, got {distribution.string()[:80]!r}",
                reason="policy-measurer",
                hint="write it like pkg:pypi/acme-toxicity; the platform's reference value pins its files",
            )
        return f"{name} of {distribution.string()}"
    value = text(node)
    if not _MEASURER.fullmatch(value):
        node.refuse(f"expected <name>/<version> at {node.where}, got {value!r}", reason="policy-measurer")
    return value


def configuration(node: Mapping_, name: str) -> str:
    """The configuration that a rule means: the one it names, or the measurer's default."""
    given = node.get("configuration")
    if given is not None:
        return digest(given)
    if name not in _DEFAULT_DIGESTS:
        node.take("measurer").refuse(
            f"expected the key 'configuration' for {name!r}, which has no default, got none",
            reason="policy-configuration",
            hint=f"a default exists for {', '.join(_DEFAULT_DIGESTS)}",
        )
    return _DEFAULT_DIGESTS[name]


def limits(node: Mapping_) -> tuple[float | None, float | None]:
    """``min`` and ``max``, at least one of them, in their order."""
    low, high = node.get("min"), node.get("max")
    minimum = None if low is None else low.number()
    maximum = None if high is None else high.number()
    if minimum is None and maximum is None:
        node.refuse(f"expected min or max at {node.where}, got neither", reason="policy-limits")
    if minimum is not None and maximum is not None and minimum > maximum:
        node.refuse(f"expected min <= max at {node.where}, got {minimum:g} > {maximum:g}", reason="policy-limits")
    return minimum, maximum


def use(node: Node, minimum: float | None, maximum: float | None) -> Use:
    """Which number is compared. The end of the interval that flatters the model is refused."""
    value = cast("Use", node.choice(("lowerBound", "value", "upperBound")))
    if (value == "upperBound" and minimum is not None) or (value == "lowerBound" and maximum is not None):
        node.refuse(
            f"expected the careful end of the interval, got {value} with {'min' if value == 'upperBound' else 'max'}",
            reason="policy-use",
            hint="min goes with lowerBound, max with upperBound, both together with value",
        )
    return value


def samples(node: Mapping_) -> int:
    """The least number of rows."""
    minimum = node.take("min").integer(minimum=1)
    node.finish()
    return minimum


def unique_texts(node: Node) -> tuple[str, ...]:
    """A list of names without repetition."""
    return each(node, text)


def slice_(node: Mapping_) -> Mapping[str, str]:
    """Column to group."""
    if not node.entries:
        node.refuse(f"expected at least one column at {node.where}, got none", reason="yaml-empty")
    return {column: text(value) for column, value in node}


def metric_parameters(node: Mapping_) -> Mapping[str, str | int | float | bool]:
    """What tells metrics of one name apart: names to plain values."""
    if not node.entries:
        node.refuse(f"expected at least one parameter at {node.where}, got none", reason="yaml-empty")
    result: dict[str, str | int | float | bool] = {}
    for name, value in node:
        plain = value.plain()
        if not isinstance(plain, (str, int, float, bool)):
            value.refuse(f"expected a text, number or truth value at {value.where}, got others", reason="yaml-type")
        result[name] = plain
    return result


def parameters(node: Mapping_) -> tuple[ParameterTerms, ...]:
    """Limits on parameters of the training, each with min, max or both, or equals."""
    if not node.entries:
        node.refuse(f"expected at least one parameter at {node.where}, got none", reason="yaml-empty")
    return tuple(_parameter(text(node.entries[name][0]), value.mapping()) for name, value in node)


def _parameter(name: str, node: Mapping_) -> ParameterTerms:
    equals = node.get("equals")
    if equals is None:
        minimum, maximum = limits(node)
        node.finish()
        return ParameterTerms(name=name, minimum=minimum, maximum=maximum, equals=None)
    node.finish()
    if equals.plain() is None:
        equals.refuse(f"expected a value at {equals.where}, got null", reason="policy-limits")
    try:
        canonical = _codec.canonical_with_fractions(equals.plain())
    except FormatError as err:
        equals.refuse(str(err), reason=err.reason)
    return ParameterTerms(name=name, minimum=None, maximum=None, equals=canonical)

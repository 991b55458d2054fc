"""The values of a policy file: how each kind is read, strictly, and what its JSON Schema is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from msgspec import Meta
from packaging.licenses import canonicalize_license_expression
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from lamslsa import _codec
from lamslsa._yaml import Node
from lamslsa.errors import FormatError
from lamslsa.policy._keys import Keys, Value, Via
from lamslsa.policy._licenses import canonical

__all__ = [
    "Advisory",
    "Age",
    "Canonical",
    "CodeDigest",
    "Digest",
    "Hexadecimal",
    "Identifier",
    "Label",
    "License",
    "LicenseId",
    "MeasurementDigest",
    "Measurer",
    "Number",
    "PackageName",
    "Plain",
    "Release",
    "RuleName",
    "Term",
    "Text",
    "Time",
    "Versions",
    "constant",
    "one_of",
    "yes",
]

_LABEL: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_MEASURER: Final = r"[^/\s]+/[^/\s]+"
_DISTRIBUTION: Final = r"pkg:[a-z]+/[A-Za-z0-9][A-Za-z0-9._/-]{0,127}"
_PACKAGE: Final = r"pkg:pypi/[a-z0-9]+(-[a-z0-9]+)*"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_AGE: Final = r"([1-9][0-9]{0,5})([smhd])"
_HEX: Final = r"[0-9a-f]{64}"
_ADVISORY: Final = r"INTEL-SA-[0-9]{5}"
_IDENTIFIER: Final = r"[0-9a-z][0-9a-z-]{0,255}"
_RELEASE: Final = r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,127}"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RESERVED: Final = ("training", "lineage", "model signature")
_RESERVED_PREFIXES: Final = ("ingredient:", "signature:")


def _schema(pattern: str) -> Mapping[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def _spelled(pattern: str, what: str, *, reason: str, hint: str | None = None) -> Value:
    """A string of one form."""
    compiled = re.compile(pattern, re.ASCII)

    def read(node: Node) -> str:
        value = node.string()
        if not compiled.fullmatch(value):
            node.refuse(f"expected {what} at {node.where}, got {value[:80]!r}", reason=reason, hint=hint)
        return value

    return Value(read, _schema(pattern))


def constant(value: str, *, reason: str) -> Value:
    """A string that is always the same, so that other formats are told by it."""

    def read(node: Node) -> str:
        if node.string() != value:
            node.refuse(f"expected {value!r} at {node.where}, got {node.string()!r}", reason=reason)
        return value

    return Value(read, {"const": value})


def one_of(*options: str) -> Value:
    """One of these words, for options that another module lists."""
    return Value(lambda node: node.choice(options), {"enum": list(options)})


def yes(*, reason: str, hint: str = "leave it out instead") -> Value:
    """An option that is written to be true, or left out."""

    def read(node: Node) -> bool:
        if not node.boolean():
            node.refuse("expected true, got false", reason=reason, hint=hint)
        return True

    return Value(read, {"const": True})


def _printable(most: int, *, reason: str) -> Callable[[Node], str]:
    def read(node: Node) -> str:
        value = node.string()
        if len(value) > most or not value.isprintable():
            node.refuse(f"expected at most {most} printable characters at {node.where}, got others", reason=reason)
        return value

    return read


_text: Final = _printable(128, reason="policy-name")


def _rule_name(node: Node) -> str:
    value = _text(node)
    if value in _RESERVED or value.startswith(_RESERVED_PREFIXES):
        node.refuse(f"expected a name that no built-in rule has, got {value!r}", reason="policy-name")
    return value


def _time(node: Node) -> dt.datetime:
    value = node.string()
    try:
        parsed = dt.datetime.fromisoformat(value) if re.fullmatch(_TIME, value) else None
    except ValueError:
        parsed = None
    if parsed is None:
        node.refuse(
            f"expected an RFC 3339 time in UTC at {node.where}, got {value[:80]!r}",
            reason="policy-time",
            hint="write it like 2027-06-30T00:00:00Z",
        )
    return parsed


def _age(node: Node) -> dt.timedelta:
    value = node.string()
    match = re.fullmatch(_AGE, value)
    if match is None:
        node.refuse(
            f"expected an age such as 90d at {node.where}, got {value[:80]!r}",
            reason="policy-age",
            hint="a whole number of at most six digits and one of s, m, h, d",
        )
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


def _digest(node: Node) -> str:
    try:
        return _codec.parse_digest(node.string(), what=node.where)
    except FormatError as err:
        node.refuse(str(err), reason=err.reason, hint="lamslsa digest prints it")


def _number(node: Node) -> str:
    """An id of the host of a repository: digits, quoted or not."""
    value = node.plain()
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isdecimal() or not text.isascii() or len(text) > 20:
        node.refuse(f"expected a number at {node.where}, got {value!r:.80}", reason="policy-identity")
    return text


def _plain(node: Node) -> str | int | float | bool:
    plain = node.plain()
    if not isinstance(plain, (str, int, float, bool)):
        node.refuse(f"expected a text, number or truth value at {node.where}, got {node.kind}", reason="yaml-type")
    return plain


def _canonical(node: Node) -> bytes:
    """The RFC 8785 form of any value but null."""
    plain = node.plain()
    if plain is None:
        node.refuse(f"expected a value at {node.where}, got null", reason="policy-limits")
    try:
        return _codec.canonical_with_fractions(plain)
    except FormatError as err:
        node.refuse(str(err), reason=err.reason)


def _versions(node: Node) -> str:
    try:
        return str(SpecifierSet(node.string()))
    except InvalidSpecifier:
        node.refuse(
            f"expected version specifiers (PEP 440) at {node.where}, got {node.string()[:80]!r}",
            reason="policy-versions",
            hint='write them like ">=2.6,<3"',
        )


def _package(node: Node) -> str:
    """The package URL of a distribution on PyPI, without version, under the one spelling of its name (PEP 503)."""
    value = node.string()
    if not re.fullmatch(_PACKAGE, value):
        scheme, _, name = value.rpartition("/")
        known = scheme == "pkg:pypi" and re.fullmatch(r"[A-Za-z0-9._-]+", name)
        node.refuse(
            f"expected a package URL without version at {node.where}, got {value[:80]!r}",
            reason="policy-package",
            hint=f"write pkg:pypi/{canonicalize_name(name)}" if known else "write it like pkg:pypi/torch",
        )
    return value


def _license(node: Node) -> str:
    """The canonical form of an SPDX license expression, one that is read when a model is appraised."""
    value = node.string()
    if canonical(value) is None:
        node.refuse(
            f"expected an SPDX license expression at {node.where}, got {value[:80]!r}",
            reason="policy-license",
            hint="identifiers stand on https://spdx.org/licenses; others begin with LicenseRef-",
        )
    return canonicalize_license_expression(value)


def _license_id(node: Node) -> str:
    value = _license(node)
    if "(" in value or {"AND", "OR"} & set(value.split()):
        node.refuse(
            f"expected one licence at {node.where}, got an expression of several, {value[:80]!r}",
            reason="policy-license",
            hint="list each of them",
        )
    return value


def _measurer_name(node: Node) -> str:
    value = _text(node)
    if not re.fullmatch(_MEASURER, value):
        node.refuse(f"expected <name>/<version> at {node.where}, got {value!r}", reason="policy-measurer")
    return value


_MeasurerName = Annotated[str, Value(_measurer_name, {**_schema(_MEASURER), "maxLength": 128})]


class MeasurerKeys(Keys, frozen=True, kw_only=True):
    """A measurer of a third party, by its name and the distribution that it comes in."""

    name: Annotated[_MeasurerName, Meta(description="<name>/<version>, as it calls itself.")]
    distribution: Annotated[
        str,
        Meta(description="Its package URL without version, such as pkg:pypi/acme-toxicity."),
        _spelled(
            _DISTRIBUTION,
            "a package URL without version",
            reason="policy-measurer",
            hint="write it like pkg:pypi/acme-toxicity; the platform's reference value pins its files",
        ),
    ]


def _measurer(value: str | MeasurerKeys, _: Node) -> str:
    """The words that `lamslsa.predicates._common.Measurer` has for it."""
    return value if isinstance(value, str) else f"{value.name} of {value.distribution}"


_PRINTABLE: Final = r"[^\u0000-\u001f\u007f]"
_MEASUREMENT: Final = _spelled(_HEX, "64 lower-case hexadecimal digits", reason="policy-measurement")
_SPDX: Final = {"type": "string", "pattern": "^[A-Za-z0-9 ().+-]+$"}

Label = Annotated[
    str,
    _spelled(_LABEL, "at most 64 letters, digits, dots, dashes and underscores", reason="policy-name"),
]
"""The name of an identity, platform, dataset or policy."""
Text = Annotated[str, Value(_text, _schema(f"{_PRINTABLE}{{1,128}}"))]
"""A name that somebody else chose: a metric, column or group."""
RuleName = Annotated[
    str,
    Value(
        _rule_name,
        {
            **_schema(f"{_PRINTABLE}{{1,128}}"),
            "not": {"pattern": f"^(?:{'|'.join(_RESERVED)})$|^(?:{'|'.join(_RESERVED_PREFIXES)})"},
        },
    ),
]
"""Free text, but none that a built-in rule has."""
Term = Annotated[str, Value(_printable(512, reason="policy-identity"), _schema(f"{_PRINTABLE}{{1,512}}"))]
"""What a certificate says."""
Number = Annotated[str, Value(_number, {"anyOf": [{"type": "integer", "minimum": 0}, _schema("[0-9]{1,20}")]})]
Time = Annotated[dt.datetime, Value(_time, {**_schema(_TIME), "format": "date-time"})]
"""An RFC 3339 time in UTC."""
Age = Annotated[dt.timedelta, Value(_age, _schema(_AGE))]
"""How old something may be: ``90d``, ``12h``, ``30m``, ``45s``; never nothing."""
Digest = Annotated[str, Value(_digest, _schema(f"sha256:{_HEX}"))]
"""The hexadecimal part of ``sha256:…``."""
Hexadecimal = Annotated[str, _spelled(_HEX, "64 lower-case hexadecimal digits", reason="policy-identifier")]
MeasurementDigest = Annotated[str, _MEASUREMENT]
CodeDigest = Annotated[str, _MEASUREMENT]
Advisory = Annotated[str, _spelled(_ADVISORY, "an advisory such as INTEL-SA-00615", reason="policy-identifier")]
Identifier = Annotated[
    str, _spelled(_IDENTIFIER, "an id in lower case, as lamslsa inspect prints it,", reason="policy-identifier")
]
Release = Annotated[str, _spelled(_RELEASE, "a release", reason="policy-release")]
Measurer = Annotated[str, Via(_MeasurerName | MeasurerKeys, _measurer)]
"""``<name>/<version>``, and of a third party's measurer also the distribution: ``{name, distribution}``."""
Plain = Annotated[str | int | float | bool, Value(_plain, {"type": ["string", "number", "boolean"]})]
Canonical = Annotated[bytes, Value(_canonical, {"not": {"type": "null"}})]
PackageName = Annotated[str, Value(_package, _schema(_PACKAGE))]
Versions = Annotated[str, Value(_versions, {"type": "string", "minLength": 1})]
License = Annotated[str, Value(_license, _SPDX)]
LicenseId = Annotated[str, Value(_license_id, _SPDX)]

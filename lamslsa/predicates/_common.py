"""Pieces that several predicates share: strict, frozen wire models.

Required fields are required, nothing is coerced, unknown fields are ignored (in-toto's monotonic rule). Wire names are
lowerCamelCase; `to_wire` leaves out what is unset.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = [
    "ArtifactReference",
    "Count",
    "DatasetReference",
    "Digest",
    "Environment",
    "File",
    "HexDigest",
    "Kind",
    "Measurer",
    "ResourceDescriptor",
    "WireModel",
    "configuration_digest",
    "convert",
    "to_wire",
]

T = TypeVar("T")

HexDigest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Kind = Literal["dataset", "model"]


class WireModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all wire models; a field with a default is optional on the wire."""


class Digest(WireModel, frozen=True, kw_only=True):
    """A digest set with exactly the one algorithm that we emit."""

    sha256: HexDigest


class ResourceDescriptor(WireModel, frozen=True, kw_only=True):
    """in-toto ResourceDescriptor v1; ``content`` is base64."""

    name: str | None = None
    uri: str | None = None
    digest: Digest | None = None
    content: str | None = None
    media_type: str | None = None
    annotations: dict[str, Any] | None = None


class Measurer(WireModel, frozen=True, kw_only=True):
    """The code that computed a property; a policy names it ``<name>/<version>``.

    Attributes:
        distribution: whose code it is, where it is not ours: purl in ``uri``, SHA-256 of its RECORD in ``digest``.

    A third party's measurer never passes for one of ours, nor for that of another distribution: whoever compares
    measurers compares these words.

    >>> str(Measurer(name="toxicity", version="1"))
    'toxicity/1'
    >>> str(Measurer(name="toxicity", version="1", distribution=ResourceDescriptor(uri="pkg:pypi/acme@2.0")))
    'toxicity/1 of pkg:pypi/acme'
    """

    name: Name
    version: Name
    distribution: ResourceDescriptor | None = None

    def __str__(self) -> str:
        own = f"{self.name}/{self.version}"
        if self.distribution is None:
            return own
        return f"{own} of {(self.distribution.uri or self.distribution.name or '').partition('@')[0]}"


class File(WireModel, frozen=True, kw_only=True):
    """One file of the subject: informative, never an identity of its own."""

    path: str
    digest: Digest
    size: Count


class ArtifactReference(WireModel, frozen=True, kw_only=True):
    """Another artifact, by the digest of its canonical manifest."""

    name: Name
    digest: Digest


class DatasetReference(WireModel, frozen=True, kw_only=True):
    """A dataset as it was read: its bytes, and the declared schema under which they became rows.

    ``schema_digest`` is SHA-256 over the RFC 8785 form of the schema; the datasheet holds the schema in full.
    """

    name: Name
    digest: Digest
    schema_digest: Digest


class Environment(WireModel, frozen=True, kw_only=True):
    """Everything around the computation that could change a value.

    Attributes:
        python: implementation and version, for example ``CPython 3.11.7``.
        machine: cpu model, instruction set, threads and device, as reported by the operating system.
        variables: the environment variables that steer the numerical libraries.
        packages: one descriptor per installed package: purl in ``uri``, SHA-256 of its RECORD in ``digest``.
    """

    python: str
    machine: dict[str, str | int]
    variables: dict[str, str]
    packages: tuple[ResourceDescriptor, ...]


def convert(value: Any, kind: type[T], *, what: str) -> T:
    """Turn parsed JSON into a wire model, strictly.

    Raises:
        FormatError: a required field is missing or a value has another type.
    """
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as err:
        raise FormatError(f"expected a {what}, got {_lower(str(err))}", reason="predicate-schema") from err


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def to_wire(model: WireModel) -> Any:
    """Plain JSON values of a wire model, optional fields left out where unset."""
    return msgspec.to_builtins(model)


def configuration_digest(configuration: Any) -> str:
    """SHA-256 over the RFC 8785 form of a configuration, lower-case hexadecimal."""
    return _codec.sha256_hex(_codec.canonical_with_fractions(configuration))

"""Before a statement leaves: its ResourceDescriptors against the in-toto-attestation package.

That package is the schema that other tools read our descriptors with, so it decides whether they are ones. It only
looks: nothing passes through protobuf on its way out, since that would turn 5 into 5.0 and 2^53 + 1 into 2^53.
Protobuf is imported here and nowhere on the way of verification; it costs some 80 ms once.

Spec: https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError
from lamslsa.predicates._common import ArtifactReference, ResourceDescriptor, WireModel, to_wire
from lamslsa.predicates.provenance import Byproduct, Dependency
from lamslsa.predicates.tee_evidence import Content

__all__ = ["verify_descriptors"]

_DESCRIPTORS: Final = (ArtifactReference, Byproduct, Content, Dependency, ResourceDescriptor)


def verify_descriptors(payload: bytes) -> None:
    """Return if every subject and ResourceDescriptor of a statement is one.

    Raises:
        FormatError: the payload is no statement of a known predicate, or a descriptor in it is not valid.
    """
    parsed = statement.parse(payload)
    subjects = ({"name": subject.name, "digest": {"sha256": subject.sha256}} for subject in parsed.subjects)
    for value in (*subjects, *map(to_wire, _descriptors(predicates.parse(parsed)))):
        _verify_descriptor(value)


def _verify_descriptor(value: dict[str, Any]) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor as Reference

    if "content" in value:
        _codec.decode_base64(value["content"], what="content")  # protobuf reads much that is not base64
    descriptor = Reference()
    try:
        json_format.ParseDict(value, descriptor.pb)
        descriptor.validate()
    except (json_format.ParseError, ValueError) as err:
        raise FormatError(f"expected an in-toto ResourceDescriptor, got {err}", reason="descriptor") from err


def _descriptors(value: Any) -> Iterator[WireModel]:
    """Every model below ``value`` that is a ResourceDescriptor on the wire."""
    if isinstance(value, _DESCRIPTORS):
        yield value
    elif isinstance(value, WireModel):
        for name in value.__struct_fields__:
            yield from _descriptors(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _descriptors(item)

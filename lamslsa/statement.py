"""in-toto Statement v1: parse untrusted payload bytes, and make the bytes that a TEE vouches for.

Rules:
- A statement is its payload bytes; they are kept and never serialised again.
- Every subject has a name and exactly one digest, SHA-256 in lower-case hexadecimal (Sigstore clients refuse other
  algorithms in subjects; a second algorithm could name another artifact). At most 1024 subjects.
- Unknown fields are ignored (in-toto's monotonic rule); the predicate is a JSON object and not empty.

Spec: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

>>> payload = make([Subject(name="m", sha256="0" * 64)], "https://example.com/p/v1", {"a": 1})
>>> parse(payload).predicate
{'a': 1}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "MAX_SUBJECTS",
    "PAYLOAD_TYPE",
    "STATEMENT_TYPE",
    "Statement",
    "Subject",
    "make",
    "parse",
]

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_SUBJECTS: Final = 1024
MAX_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a statement is about: an artifact (manifest digest) or, in tee-evidence, a statement (payload digest)."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A parsed statement together with the very bytes it was parsed from.

    Attributes:
        payload: the bytes that were signed and quoted.
        sha256: SHA-256 of ``payload``, lower-case hexadecimal; the identity of this statement.
    """

    payload: bytes
    sha256: str
    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]


def _parse_subject(value: Any, index: int) -> Subject:
    match value:
        case {"name": str(name), "digest": {**digests}} if name:
            sha256 = digests.get("sha256")
            if len(digests) == 1 and isinstance(sha256, str) and _HEX.fullmatch(sha256):
                return Subject(name=name, sha256=sha256)
            raise FormatError(
                f"expected one digest, sha256 in lower-case hexadecimal, in subject {index}, got {list(digests)!s:.80}",
                reason="statement-subject-digest",
            )
        case _:
            raise FormatError(
                f"expected a name and a digest in subject {index}, got other fields", reason="statement-subject"
            )


def parse(payload: bytes) -> Statement:
    """Parse the payload bytes of an in-toto Statement v1.

    Raises:
        FormatError: not strict JSON, not a Statement v1, or over a limit.
    """
    value = _codec.loads(payload, max_bytes=MAX_PAYLOAD_BYTES)
    if not isinstance(value, dict):
        raise FormatError("expected a statement, got another JSON value", reason="statement-type")
    if value.get("_type") != STATEMENT_TYPE:
        raise FormatError(f"expected _type {STATEMENT_TYPE}, got {value.get('_type')!r:.80}", reason="statement-type")
    subjects = value.get("subject")
    if not isinstance(subjects, list) or not 1 <= len(subjects) <= MAX_SUBJECTS:
        raise FormatError(f"expected 1 to {MAX_SUBJECTS} subjects, got another number", reason="statement-subjects")
    predicate_type = value.get("predicateType")
    if not isinstance(predicate_type, str) or not predicate_type:
        raise FormatError("expected a predicateType, got none", reason="statement-predicate-type")
    predicate = value.get("predicate")
    if not isinstance(predicate, dict) or not predicate:
        raise FormatError(
            "expected a predicate that is an object and not empty, got none", reason="statement-predicate"
        )
    return Statement(
        payload=payload,
        sha256=_codec.sha256_hex(payload),
        subjects=tuple(_parse_subject(item, index) for index, item in enumerate(subjects)),
        predicate_type=predicate_type,
        predicate=predicate,
    )


def make(subjects: Sequence[Subject], predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    """Serialise a statement once; the result is parsed back, so nothing leaves that this module would refuse."""
    payload = _codec.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": subject.name, "digest": {"sha256": subject.sha256}} for subject in subjects],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )
    parse(payload)
    return payload

"""What a bundle says that it is about, so that it can be named and listed. Nothing of it is authentic.

Rules:
- Of a file ``*.intoto.jsonl`` each line is a bundle of its own. A line that is none yields its error: what is left out
  of a copy is said.
- Reading here is lax where `lamslsa.verification` is strict: a store keeps bundles that our verifier refuses.

>>> print(About(predicate_type="https://lamslsa.dev/evaluation/v1", subject="Census").name)
evaluation/v1 of Census
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.statement import MAX_PAYLOAD_BYTES
from lamslsa.store import naming
from lamslsa.store.detached import detached
from lamslsa.store.interface import StoredBundle

__all__ = ["About", "about", "each"]

_MAX_LINES: Final = 4096
_SCHEME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*/")
_KEPT_SEGMENTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a bundle says of itself.

    Attributes:
        subject: name of the first subject; empty where it has none.
    """

    predicate_type: str
    subject: str = ""

    @property
    def name(self) -> str:
        """A name for people, to be made harmless by `naming.file_name`."""
        kind = "/".join(_SCHEME.sub("", self.predicate_type).rstrip("/").split("/")[-_KEPT_SEGMENTS:])
        return f"{kind} of {self.subject}" if self.subject else kind


def about(bundle: bytes) -> About:
    """What the in-toto statement in a Sigstore bundle says that it is about.

    Raises:
        FormatError: there is no such statement.
    """
    match _codec.loads(bundle, max_bytes=naming.MAX_FILE_BYTES):
        case {"mediaType": str(), "dsseEnvelope": {"payload": str(text)}}:
            payload = _codec.loads(_codec.decode_base64(text, what="payload", max_bytes=MAX_PAYLOAD_BYTES))
        case _:
            payload = None
    match payload:
        case {"predicateType": str(kind), "subject": [{"name": str(name)}, *_]} if kind:
            return About(predicate_type=kind, subject=name)
        case {"predicateType": str(kind)} if kind:
            return About(predicate_type=kind)
        case _:
            raise FormatError(
                "expected an in-toto statement in a Sigstore bundle, got something else",
                reason="store-no-statement",
                hint="sign a statement about the file: lamslsa publish, or cosign attest",
            )


def each(found: StoredBundle) -> Iterator[StoredBundle]:
    """The bundles of a file, one at a time; an error stays as it is."""
    if not isinstance(found.data, bytes) or not found.source.endswith(naming.LINES_SUFFIX):
        yield found
        return
    lines = found.data.split(b"\n", _MAX_LINES)
    if len(lines) > _MAX_LINES:
        err = FormatError(f"expected at most {_MAX_LINES} lines in {found.source}, got more", reason="store-lines")
        yield StoredBundle(source=found.source, data=err)
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield StoredBundle(source=f"{found.source}:{number}", data=_line(line.strip()))


def _line(line: bytes) -> bytes | FormatError:
    try:
        value: Any = _codec.loads(line)
    except FormatError as err:
        return detached(err)
    match value:
        case {"mediaType": str()}:
            return line
        case _:
            return FormatError("expected a Sigstore bundle in this line, got something else", reason="store-line")

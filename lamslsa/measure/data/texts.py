"""Files of text to documents: strict UTF-8, a document for each file, or for each line of one.

Rules:
- No byte order mark and no NUL. Nothing is normalised: what counts as the same text is for a measurement to declare.
- A line ends in LF; a CR before it is part of the line. An empty line is an empty document, but nothing follows the
  last LF of a file.
- Documents keep the order of the manifest, and within a file that of the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.schema import TextSchema

__all__ = ["read_texts"]


def read_texts(artifact: VerifiedArtifact, schema: TextSchema) -> Iterator[str]:
    """Every document of a dataset, one at a time.

    Raises:
        FormatError: a file is not UTF-8 text, or a document too long, or there are too many or none.
    """
    count = 0
    for entry in artifact.manifest.files:
        for document in _documents(artifact.file(entry.path), schema):
            count += 1
            if count > limits.MAX_DOCUMENTS:
                raise FormatError(f"expected at most {limits.MAX_DOCUMENTS} documents, got more", reason="text-count")
            yield document
    if count == 0:
        raise FormatError("expected at least one document, got none", reason="text-count")


def _documents(file: VerifiedFile, schema: TextSchema) -> Iterator[str]:
    name = file.entry.path
    with file.open() as stream:
        if schema.documents == "file":
            yield _text(stream.read(limits.MAX_DOCUMENT_BYTES + 1), name, 1, first=True)
            return
        number = 0
        while line := stream.readline(limits.MAX_DOCUMENT_BYTES + 1):
            number += 1
            yield _text(line, name, number, first=number == 1).removesuffix("\n")


def _text(data: bytes, name: str, number: int, *, first: bool) -> str:
    if len(data) > limits.MAX_DOCUMENT_BYTES:
        _refuse(name, number, f"at most {limits.MAX_DOCUMENT_BYTES} bytes, got more", "text-size")
    if first and data.startswith(b"\xef\xbb\xbf"):
        _refuse(name, number, "no byte order mark, got one", "text-bom")
    if b"\0" in data:
        _refuse(name, number, "text, got a NUL", "text-nul")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise FormatError(f"{name}: document {number}: expected UTF-8, got other bytes", reason="text-utf8") from err


def _refuse(name: str, number: int, message: str, reason: str) -> NoReturn:
    raise FormatError(f"{name}: document {number}: expected {message}", reason=reason)

"""The documents of a dataset of texts."""

from __future__ import annotations

from collections.abc import Sequence

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import TextSchema

__all__ = ["documents_of"]


def documents_of(artifact: VerifiedArtifact, schema: TextSchema) -> Sequence[str]:
    """The documents, in the order of the files and their lines."""
    found: list[str] = []
    for entry in artifact.manifest.files:
        try:
            text = artifact.file(entry.path).bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError(f"{entry.path}: expected UTF-8, got other bytes", reason="text-utf8") from None
        found += [text] if schema.documents == "file" else text.removesuffix("\n").split("\n")
    return found

"""The digest of an architecture: what a model is built like, without anything that it learned.

    digest = SHA-256( JCS( {"description": …, "tensors": [[name, type, [size, …]], …]} ) )

- ``description`` is ``model.json``, or else ``config.json``, at the root of the folder; null where neither is a JSON
  object. Fields of learned values are taken out of it, at every depth: `LEARNED`. Lists of `COUNTED` give way to their
  length. Names of places and versions of libraries are taken out too: `VOLATILE`.
- ``tensors`` are those of all files in safe formats, sorted by name: of ONNX too.
- Of an ONNX model the graph is part of ``tensors``: a row ``["<position>", "<domain>:<operator>", []]`` for each node.

Two trainings of one network on other data have one digest, as long as their features have the same names and sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lamslsa import _codec
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.model.tensors import Entry
from lamslsa.predicates._common import Digest
from lamslsa.predicates.model import Architecture

__all__ = ["COUNTED", "LEARNED", "VOLATILE", "architecture_of"]

LEARNED: Final = frozenset({"mean", "deviation"})
COUNTED: Final = frozenset({"categories", "vocabulary"})
VOLATILE: Final = frozenset({"_name_or_path", "transformers_version"})
_DESCRIPTIONS: Final = ("model.json", "config.json")


def architecture_of(artifact: VerifiedArtifact, tensors: Iterable[Entry], nodes: Iterable[str]) -> Architecture:
    """Name, source and digest.

    Args:
        artifact: the files.
        tensors: of all files in safe formats.
        nodes: ``<domain>:<operator>`` of each node of a graph.
    """
    source, description = _description(artifact)
    rows: list[list[Any]] = sorted([entry.name, entry.dtype, list(entry.shape)] for entry in tensors)
    rows += [[str(position), operator, []] for position, operator in enumerate(nodes)]
    whole = {"description": _reduced(description), "tensors": rows}
    return Architecture(
        digest=Digest(sha256=_codec.sha256_hex(_codec.canonical_with_fractions(whole))),
        name=_name(description),
        source=source,
    )


def _description(artifact: VerifiedArtifact) -> tuple[str | None, Any]:
    paths = {entry.path for entry in artifact.manifest.files}
    for path in _DESCRIPTIONS:
        if path in paths:
            try:
                value = _codec.loads(bytes(artifact.file(path).view()))
            except FormatError:
                continue
            if isinstance(value, dict):
                return path, value
    return None, None


def _name(description: Any) -> str | None:
    if not isinstance(description, dict):
        return None
    named = description.get("architecture", description.get("architectures", description.get("model_type")))
    if isinstance(named, list) and named:
        named = named[0]
    return named[:256] if isinstance(named, str) and named else None


def _reduced(value: Any) -> Any:
    if isinstance(value, list):
        return [_reduced(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key not in LEARNED | VOLATILE}
    return {
        key: len(item) if key in COUNTED and isinstance(item, list) else _reduced(item) for key, item in kept.items()
    }

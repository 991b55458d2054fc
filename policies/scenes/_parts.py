"""What scenes are made of: statements, who signs and quotes them, and one changed at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from lamslsa import _codec, statement
from lamslsa.artifact.manifest import Manifest
from lamslsa.predicates import configuration_digest, evaluation, model
from lamslsa.testing import chain
from lamslsa.testing.chain import TRAIN, edited

__all__ = ["ENVIRONMENT", "Quoted", "Rehearsal", "Said", "Scene", "inspected", "measured_by", "same", "sheet"]

Quoted = Literal["released code", "other code", "other platform", "nobody"]
"""Whose quote covers a statement; that of another platform is of the released code too."""

ENVIRONMENT: Final[Mapping[str, Any]] = {
    "python": "CPython 3.11.7",
    "machine": {"cpu": "a simulated one", "threads": 1},
    "variables": {},
    "packages": [{"uri": "pkg:pypi/torch@2.7.1", "digest": {"sha256": "9" * 64}}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement, who signs it, and what quotes it; a list of files that is signed needs no quote."""

    role: str
    payload: bytes
    quoted: Quoted = "released code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is published about a model."""

    model: Manifest
    said: Mapping[str, Said]

    def by(self, name: str, role: str) -> Scene:
        """The same with another signer of one statement."""
        return replace(self, said={**self.said, name: replace(self.said[name], role=role)})

    def quoted(self, name: str, quoted: Quoted) -> Scene:
        """The same with another quote of one statement."""
        return replace(self, said={**self.said, name: replace(self.said[name], quoted=quoted)})

    def without(self, *names: str) -> Scene:
        """The same with statements left out."""
        return replace(self, said={name: item for name, item in self.said.items() if name not in names})

    def edited(self, name: str, path: tuple[str | int, ...], value: Any) -> Scene:
        """The same with one field of a statement changed, before it was signed and quoted."""
        item = self.said[name]
        return replace(self, said={**self.said, name: replace(item, payload=edited(item.payload, path, value))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One policy: its scene, what fills in its template, and what each case makes of the scene."""

    scene: Scene
    cases: Mapping[str, Callable[[Scene], Scene]]
    values: Mapping[str, str] = field(default_factory=dict)


def same(scene: Scene) -> Scene:
    """Nothing is changed."""
    return scene


def inspected(manifest: Manifest, *, name: str = "a model", formats: Mapping[str, str] | None = None) -> bytes:
    """Properties of a model by itself."""
    configuration = {"tensors": False}
    kinds = {"model.json": "json", "model.safetensors": "safetensors", **(formats or {})}
    statistics = {"elements": 7, "zeros": 0, "nonFinite": 0, "minimum": -1.0, "maximum": 1.0}
    return statement.make(
        [statement.Subject(name=name, sha256=manifest.sha256)],
        model.PREDICATE_TYPE,
        {
            "kind": "model",
            "measurer": {"name": "model-properties", "version": "1"},
            "configuration": configuration,
            "configurationDigest": {"sha256": configuration_digest(configuration)},
            "files": [
                {"path": item.path, "digest": {"sha256": item.sha256}, "size": item.size, "format": kinds[item.path]}
                for item in manifest.files
            ],
            "findings": [],
            "severities": {"code": 0, "unknown": 0, "notice": 0},
            "weights": {"tensors": 1, "elements": 7, "bytes": 28, "dtypes": {"F32": 7}, "statistics": statistics},
            "architecture": {"digest": {"sha256": "a" * 64}},
            "environment": ENVIRONMENT,
        },
    )


def sheet(name: str, sha256: str, *, rows: int, overlap: int | None = None, **more: Any) -> bytes:
    """A datasheet with further fields; ``overlap`` is how many of its rows stand in the training data."""
    overlaps = [] if overlap is None else [(TRAIN, chain.schema_digest(), overlap)]
    payload = chain.datasheet(name, sha256, rows=rows, overlaps=overlaps)
    for key, value in more.items():
        payload = edited(payload, ("predicate", key), value)
    return payload


def measured_by(measurer: str, payload: bytes, *, manifest: Manifest, dataset: str) -> bytes:
    """The evaluation as another measurer of ours would have made it, under its default configuration."""
    configuration = _codec.loads(_codec.dumps(dict(evaluation.DEFAULT_CONFIGURATIONS[f"{measurer}/1"])))
    digest = configuration_digest(configuration)
    seed = evaluation.derive_seed(model=manifest.sha256, dataset=dataset, configuration=digest)
    for path, value in {
        ("measurer", "name"): measurer,
        ("configuration",): configuration,
        ("configurationDigest", "sha256"): digest,
        ("seed", "value", "sha256"): seed,
    }.items():
        payload = edited(payload, ("predicate", *path), value)
    return payload

# ruff: noqa: INP001 - a script beside the policies, and no package
"""What is published about the models of the rehearsals, and what each case changes about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lamslsa import _codec, model_signature, statement
from lamslsa.artifact.manifest import Manifest
from lamslsa.predicates import configuration_digest, evaluation, model
from lamslsa.testing import chain
from lamslsa.testing.chain import REMOVED, TEST, TRAIN, edited, metric

__all__ = ["REHEARSALS", "Rehearsal", "Said", "Scene"]

_ENVIRONMENT: Final[Mapping[str, Any]] = {
    "python": "CPython 3.11.7",
    "machine": {"cpu": "a simulated one", "threads": 1},
    "variables": {},
    "packages": [{"uri": "pkg:pypi/torch@2.7.1", "digest": {"sha256": "9" * 64}}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement, and who signs it; a list of files that is signed needs no quote."""

    role: str
    payload: bytes
    quoted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is published about a model."""

    model: Manifest
    said: Mapping[str, Said]

    def by(self, name: str, role: str) -> Scene:
        """The same with another signer of one statement."""
        return replace(self, said={**self.said, name: replace(self.said[name], role=role)})

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


def _same(scene: Scene) -> Scene:
    return scene


def _inspected(manifest: Manifest, *, name: str = "a model", formats: Mapping[str, str] | None = None) -> bytes:
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
            "environment": _ENVIRONMENT,
        },
    )


def _sheet(name: str, sha256: str, *, rows: int, overlap: int | None = None, **more: Any) -> bytes:
    """A datasheet with further fields; ``overlap`` is how many of its rows stand in the training data."""
    overlaps = [] if overlap is None else [(TRAIN, chain.schema_digest(), overlap)]
    payload = chain.datasheet(name, sha256, rows=rows, overlaps=overlaps)
    for key, value in more.items():
        payload = edited(payload, ("predicate", key), value)
    return payload


def _by(measurer: str, payload: bytes, *, manifest: Manifest, dataset: str) -> bytes:
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


def hub_model() -> Rehearsal:
    """Tuned from a base out of a hub."""
    base = chain.model({"model.json": "{}", "model.safetensors": "weights of the hub"})
    tuned = chain.model()
    sheet = _sheet("tuning-data", TRAIN, rows=1000, declared={"license": "CC-BY-4.0"})
    scene = Scene(
        model=tuned,
        said={
            "data": Said(role="data-owner", payload=sheet),
            "training": Said(
                role="trainer",
                payload=chain.trained(tuned, datasets=[("tuning-data", TRAIN, "")], bases=[("hub-base", base.sha256)]),
            ),
            "inspection": Said(role="auditor", payload=_inspected(tuned)),
            "base": Said(role="auditor", payload=_inspected(base)),
            "signature": Said(role="trainer", payload=model_signature.statement(tuned, name="tuned"), quoted=False),
            "base-signature": Said(
                role="hub-publisher", payload=model_signature.statement(base, name="base"), quoted=False
            ),
        },
    )
    other = chain.model({"model.json": "{}", "model.safetensors": "other weights"})
    dependencies = ("predicate", "buildDefinition", "resolvedDependencies")
    pickled = ("predicate", "files", 1, "format")
    return Rehearsal(
        scene=scene,
        values={"BASE": f"sha256:{base.sha256}"},
        cases={
            "accepted": _same,
            "base-other": lambda it: it.edited("training", (*dependencies, 1, "digest", "sha256"), other.sha256),
            "base-unsigned": lambda it: it.without("base-signature"),
            "code-in-files": lambda it: it.edited("inspection", ("predicate", "severities", "code"), 1),
            "licence-other": lambda it: it.edited("data", ("predicate", "declared", "license"), "CC-BY-NC-4.0"),
            "pickle": lambda it: it.edited("inspection", pickled, "pickle"),
            "uninspected": lambda it: it.without("inspection"),
            "weights-unsigned": lambda it: it.without("signature"),
        },
    )


def quantized_release() -> Rehearsal:
    """A child of a transform, with its parent's evaluation beside its own."""
    parent, child = chain.model(), chain.model({"model.json": "{}", "model.safetensors": "int8"})
    datasets = [("train-data", TRAIN, "")]
    scene = Scene(
        model=child,
        said={
            "train": Said(role="data-owner", payload=_sheet("train-data", TRAIN, rows=32561)),
            "test": Said(
                role="data-owner",
                payload=_sheet("test-data", TEST, rows=16281, overlap=23),
            ),
            "training": Said(role="trainer", payload=chain.trained(parent, datasets=datasets)),
            "quantized": Said(
                role="trainer",
                payload=chain.transformed(child, parents=[("parent", parent.sha256)], datasets=datasets),
            ),
            "evaluation": Said(role="auditor", payload=chain.evaluated(child)),
            "parent": Said(role="auditor", payload=chain.evaluated(parent)),
        },
    )
    worse = (metric("accuracy", 0.868), metric("demographic_parity_difference", 0.15, groups=["sex"]))
    pruned = chain.transformed(child, parents=[("parent", parent.sha256)], datasets=datasets, by="prune/1")
    return Rehearsal(
        scene=scene,
        values={"PARENT": f"sha256:{parent.sha256}"},
        cases={
            "accepted": _same,
            "leaking": lambda it: it.edited("test", ("predicate", "overlaps", 0, "rows"), 31),
            "parent-better": lambda it: it.edited("parent", ("predicate", "metrics"), list(worse)),
            "parent-evaluation-only": lambda it: it.without("evaluation"),
            "parent-untrained": lambda it: it.without("training"),
            "pruned": lambda it: replace(it, said={**it.said, "quantized": Said(role="trainer", payload=pruned)}),
            "unfair": lambda it: it.edited("evaluation", ("predicate", "metrics", 1, "interval", "upper"), 0.26),
            "wrong": lambda it: it.edited("evaluation", ("predicate", "metrics", 0, "interval", "lower"), 0.83),
        },
    )


def confidential_data() -> Rehearsal:
    """Trained privately on data of which the datasheet says no more than that a requirement holds."""
    at = {"where": {"sex": "Female"}, "atLeast": 0.3, "by": "wilson", "samples": 32561, "confidenceLevel": 0.95}
    configuration = {"groups": [], "overlap": [], "disclose": "requirements"}
    private = {"epochs": 10, "optimizer": "sgd", "privacy": {"epsilon": 3.0, "delta": 1e-06}}
    sheet = _sheet(
        "confidential-data",
        TRAIN,
        rows=32561,
        shares=[at | {"holds": True}],
        configuration=configuration,
        columns=[],
        duplicates=REMOVED,
        withheld=[{"pointer": f"/{name}"} for name in ("columns", "duplicates", "labelBalance")],
    )
    ours = chain.model()
    scene = Scene(
        model=ours,
        said={
            "data": Said(role="data-owner", payload=sheet),
            "test": Said(role="data-owner", payload=_sheet("public-test-data", TEST, rows=16281)),
            "training": Said(
                role="trainer",
                payload=chain.trained(ours, datasets=[("confidential-data", TRAIN, "")], configuration=private),
            ),
            "evaluation": Said(role="auditor", payload=chain.evaluated(ours)),
        },
    )
    epsilon = ("predicate", "buildDefinition", "externalParameters", "configuration", "privacy", "epsilon")
    told = {"columns": ["sex"], "samples": 32561, "cells": [{"values": ["Female"], "count": 10771}]}
    return Rehearsal(
        scene=scene,
        cases={
            "accepted": _same,
            "data-other": lambda it: it.edited(
                "training",
                ("predicate", "buildDefinition", "resolvedDependencies", 0, "digest", "sha256"),
                "d" * 64,
            ),
            "gives-away-more": lambda it: it.edited("data", ("predicate", "distributions"), [told]),
            "not-private": lambda it: it.edited("training", epsilon, 30.0),
            "share-of-fewer": lambda it: it.edited("data", ("predicate", "shares", 0, "atLeast"), 0.1),
            "share-too-small": lambda it: it.edited("data", ("predicate", "shares", 0, "holds"), value=False),
            "sheet-by-trainer": lambda it: it.by("data", "trainer"),
            "wrong": lambda it: it.edited("evaluation", ("predicate", "metrics", 0, "interval", "lower"), 0.83),
        },
    )


def eu_ai_act_annex_iv() -> Rehearsal:
    """A model whose documentation stands in attestations, as far as a machine can look it up."""
    ours = chain.model()
    declared = {
        "source": "https://example.org/register",
        "description": "Adults with an income, one row each.",
        "responsible": {
            "dataCollection": "A census; everybody who answered.",
            "dataAnnotationProtocol": "Income as stated, in two classes.",
            "dataPreprocessingProtocol": "Rows without an age were left out.",
            "dataLimitations": "Of one country, in one year.",
        },
    }
    cells = [{"values": ["Female"], "count": 10771}, {"values": ["Male"], "count": 21790}]
    distributions = [{"columns": ["sex"], "samples": 32561, "cells": cells}]
    environment = ("predicate", "buildDefinition", "internalParameters", "environment")
    drop = {**metric("relative_corruption_drop", 0.05), "parameters": {"corruptions": _CORRUPTIONS}}
    robust = _by("corruptions", chain.evaluated(ours, metrics=[drop]), manifest=ours, dataset=TEST)
    scene = Scene(
        model=ours,
        said={
            "train": Said(
                role="data-owner",
                payload=_sheet("train-data", TRAIN, rows=32561, declared=declared, distributions=distributions),
            ),
            "test": Said(
                role="data-owner",
                payload=_sheet(
                    "test-data",
                    TEST,
                    rows=16281,
                    distributions=distributions,
                    overlap=23,
                ),
            ),
            "training": Said(
                role="trainer",
                payload=edited(chain.trained(ours, datasets=[("train-data", TRAIN, "")]), environment, _ENVIRONMENT),
            ),
            "evaluation": Said(role="auditor", payload=chain.evaluated(ours)),
            "robustness": Said(role="auditor", payload=robust),
            "inspection": Said(role="auditor", payload=_inspected(ours)),
        },
    )
    metrics = ("predicate", "metrics")
    labelling = ("predicate", "declared", "responsible", "dataAnnotationProtocol")
    return Rehearsal(
        scene=scene,
        cases={
            "accepted": _same,
            "b-no-parameters": lambda it: it.edited(
                "training", ("predicate", "buildDefinition", "externalParameters", "configuration"), {}
            ),
            "c-no-packages": lambda it: it.edited("training", (*environment, "packages"), []),
            "d-labelling-unsaid": lambda it: it.edited("train", labelling, REMOVED),
            "d-no-characteristics": lambda it: it.edited("train", ("predicate", "distributions"), []),
            "g-discriminating": lambda it: it.edited("evaluation", (*metrics, 1, "interval", "upper"), 0.26),
            "g-fragile": lambda it: it.edited("robustness", (*metrics, 0, "interval", "upper"), 0.11),
            "g-inaccurate": lambda it: it.edited("evaluation", (*metrics, 0, "interval", "lower"), 0.83),
            "g-leaking": lambda it: it.edited("test", ("predicate", "overlaps", 0, "rows"), 31),
            "g-signed-by-trainer": lambda it: it.by("evaluation", "trainer"),
            "g-test-data-unknown": lambda it: it.edited("test", ("predicate", "distributions"), []),
            "h-code": lambda it: it.edited("inspection", ("predicate", "severities", "code"), 1),
        },
    )


_CORRUPTIONS: Final = "missing-values,numeric-noise,category-swaps"
REHEARSALS: Final[Mapping[str, Callable[[], Rehearsal]]] = {
    "confidential-data": confidential_data,
    "eu-ai-act-annex-iv": eu_ai_act_annex_iv,
    "hub-model": hub_model,
    "quantized-release": quantized_release,
}

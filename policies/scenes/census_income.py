"""A classifier of incomes: two datasheets, a training, an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from lamslsa.testing import chain
from lamslsa.testing.chain import TEST, TRAIN, edited, metric
from scenes._parts import Rehearsal, Said, Scene, measured_by, same, sheet

__all__ = ["rehearsal"]

_METRICS: Final = (
    metric("accuracy", 0.855),
    metric("balanced_accuracy", 0.774),
    metric("f1", 0.669),
    metric("auroc", 0.910),
    metric("expected_calibration_error", 0.015),
    metric("demographic_parity_difference", 0.170, groups=["sex"]),
    metric("demographic_parity_difference", 0.202, groups=["race"]),
    metric("equalized_odds_difference", 0.071, groups=["sex"]),
    metric("accuracy", 0.960, rows={"sex": "Female", "race": "Black"}, samples=753),
)
_METRIC: Final = ("predicate", "metrics")
_DEPENDENCY: Final = ("predicate", "buildDefinition", "resolvedDependencies", 0)
_COLUMNS: Final = (*_DEPENDENCY, "annotations", "schemaDigest", "sha256")
_EPOCHS: Final = ("predicate", "buildDefinition", "externalParameters", "configuration", "epochs")


def rehearsal() -> Rehearsal:
    """A classifier of incomes, and a case of every way in which a rule can refuse it."""
    ours = chain.model()
    evaluation = edited(chain.evaluated(ours, metrics=_METRICS), ("predicate", "groups"), [["sex"], ["race"]])
    scene = Scene(
        model=ours,
        said={
            "train": Said(role="data-owner", payload=sheet("census-train", TRAIN, rows=32561)),
            "test": Said(role="data-owner", payload=sheet("census-test", TEST, rows=16281, overlap=2979)),
            "training": Said(role="trainer", payload=chain.trained(ours)),
            "evaluation": Said(role="auditor", payload=evaluation),
        },
    )
    return Rehearsal(scene=scene, cases={"accepted": same, **_MADE_OTHERWISE, **_EVALUATED_OTHERWISE, **_VALUES})


def _other_model(scene: Scene) -> Scene:
    return replace(scene, model=chain.model({"model.json": "{}", "model.safetensors": "other weights"}))


def _quantized(scene: Scene) -> Scene:
    """A child whose parent qualifies, with an evaluation of its own."""
    child = chain.model({"model.json": "{}", "model.safetensors": "int8"})
    transform = chain.transformed(child, parents=[("census-mlp", scene.model.sha256)])
    evaluation = chain.evaluated(child, metrics=_METRICS)
    said = {
        **scene.said,
        "transform": Said(role="trainer", payload=transform),
        "evaluation": Said(role="auditor", payload=evaluation),
    }
    return Scene(model=child, said=said)


def _trained(scene: Scene, **changes: Any) -> Scene:
    payload = chain.trained(scene.model, **changes)
    return replace(scene, said={**scene.said, "training": Said(role="trainer", payload=payload)})


def _evaluated(scene: Scene, payload: bytes) -> Scene:
    return replace(scene, said={**scene.said, "evaluation": Said(role="auditor", payload=payload)})


def _evaluated_on(scene: Scene, name: str, sha256: str) -> Scene:
    return _evaluated(scene, chain.evaluated(scene.model, dataset=(name, sha256, ""), metrics=_METRICS))


def _end(index: int, end: str, value: float) -> Callable[[Scene], Scene]:
    """Another end of the interval of one metric."""
    return lambda it: it.edited("evaluation", (*_METRIC, index, "interval", end), value)


def _samples(index: int, samples: int) -> Callable[[Scene], Scene]:
    return lambda it: it.edited("evaluation", (*_METRIC, index, "samples"), samples)


def _undefined(scene: Scene) -> Scene:
    nothing = {"name": "expected_calibration_error", "samples": 16281, "undefined": "no row has a confidence"}
    return scene.edited("evaluation", (*_METRIC, 4), nothing)


_MADE_OTHERWISE: Final[Mapping[str, Callable[[Scene], Scene]]] = {
    "base-model": lambda it: _trained(it, bases=[("somebody-else's", "b" * 64)]),
    "columns-other": lambda it: it.edited("training", _COLUMNS, "d" * 64),
    "data-other": lambda it: it.edited("training", (*_DEPENDENCY, "digest", "sha256"), "d" * 64),
    "data-undescribed": lambda it: it.without("train"),
    "expired": same,
    "model-other": _other_model,
    "quantized": _quantized,
    "sheet-by-trainer": lambda it: it.by("train", "trainer"),
    "trained-by-other-code": lambda it: it.quoted("training", "other code"),
    "trained-too-long": lambda it: it.edited("training", _EPOCHS, 51),
    "untrained": lambda it: it.without("training"),
}
_EVALUATED_OTHERWISE: Final[Mapping[str, Callable[[Scene], Scene]]] = {
    "evaluated-on-training-data": lambda it: _evaluated_on(it, "census-train", TRAIN),
    "measured-otherwise": lambda it: _evaluated(
        it, chain.evaluated(it.model, metrics=_METRICS, configuration={"threshold": 0.3})
    ),
    "measurer-other": lambda it: _evaluated(
        it,
        measured_by("corruptions", it.said["evaluation"].payload, manifest=it.model, dataset=TEST),
    ),
    "overlap-unmeasured": lambda it: it.edited("test", ("predicate", "overlaps"), []),
    "platform-other": lambda it: it.quoted("evaluation", "other platform"),
    "seed-chosen": lambda it: it.edited("evaluation", ("predicate", "seed", "value", "sha256"), "7" * 64),
    "signed-by-trainer": lambda it: it.by("evaluation", "trainer"),
    "test-data-other": lambda it: _evaluated_on(it, "census-test", "d" * 64),
    "test-data-undescribed": lambda it: it.without("test"),
    "unquoted": lambda it: it.quoted("evaluation", "nobody"),
}
_VALUES: Final[Mapping[str, Callable[[Scene], Scene]]] = {
    "calibration-undefined": _undefined,
    "f1-too-low": _end(2, "lower", 0.61),
    "inaccurate": _end(0, "lower", 0.83),
    "inaccurate-for-black-women": _end(8, "lower", 0.89),
    "leaking": lambda it: it.edited("test", ("predicate", "overlaps", 0, "rows"), 3001),
    "race-unmeasured": lambda it: _evaluated(
        it, chain.evaluated(it.model, metrics=[item for item in _METRICS if item.get("groups") != ["race"]])
    ),
    "ranks-badly": _end(3, "lower", 0.88),
    "too-few-black-women": _samples(8, 499),
    "too-few-rows": _samples(0, 9999),
    "unbalanced": _end(1, "lower", 0.71),
    "uncalibrated": _end(4, "upper", 0.07),
    "unequal-by-race": _end(6, "upper", 0.36),
    "unequal-by-sex": _end(5, "upper", 0.26),
    "unequal-odds": _end(7, "upper", 0.21),
}

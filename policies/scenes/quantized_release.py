"""A child of a transform, with its parent's evaluation beside its own."""

from __future__ import annotations

from dataclasses import replace

from lamslsa.testing import chain
from lamslsa.testing.chain import TEST, TRAIN, metric
from scenes._parts import Rehearsal, Said, Scene, same, sheet

__all__ = ["rehearsal"]


def rehearsal() -> Rehearsal:
    """A child of a transform, with its parent's evaluation beside its own."""
    parent, child = chain.model(), chain.model({"model.json": "{}", "model.safetensors": "int8"})
    datasets = [("train-data", TRAIN, "")]
    scene = Scene(
        model=child,
        said={
            "train": Said(role="data-owner", payload=sheet("train-data", TRAIN, rows=32561)),
            "test": Said(
                role="data-owner",
                payload=sheet("test-data", TEST, rows=16281, overlap=23),
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
            "accepted": same,
            "data-other": lambda it: it.edited(
                "training", ("predicate", "buildDefinition", "resolvedDependencies", 0, "digest", "sha256"), "d" * 64
            ),
            "data-undescribed": lambda it: it.without("train"),
            "quantized-by-auditor": lambda it: it.by("quantized", "auditor"),
            "leaking": lambda it: it.edited("test", ("predicate", "overlaps", 0, "rows"), 31),
            "parent-better": lambda it: it.edited("parent", ("predicate", "metrics"), list(worse)),
            "parent-evaluation-only": lambda it: it.without("evaluation"),
            "parent-untrained": lambda it: it.without("training"),
            "pruned": lambda it: replace(it, said={**it.said, "quantized": Said(role="trainer", payload=pruned)}),
            "unfair": lambda it: it.edited("evaluation", ("predicate", "metrics", 1, "interval", "upper"), 0.26),
            "wrong": lambda it: it.edited("evaluation", ("predicate", "metrics", 0, "interval", "lower"), 0.83),
        },
    )

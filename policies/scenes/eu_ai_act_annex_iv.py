"""A model whose documentation stands in attestations, as far as a machine can look it up."""

from __future__ import annotations

from typing import Final

from lamslsa.testing import chain
from lamslsa.testing.chain import REMOVED, TEST, TRAIN, edited, metric
from scenes._parts import ENVIRONMENT, Rehearsal, Said, Scene, inspected, measured_by, same, sheet

__all__ = ["rehearsal"]


_CORRUPTIONS: Final = "missing-values,numeric-noise,category-swaps"


def rehearsal() -> Rehearsal:
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
    robust = measured_by("corruptions", chain.evaluated(ours, metrics=[drop]), manifest=ours, dataset=TEST)
    scene = Scene(
        model=ours,
        said={
            "train": Said(
                role="data-owner",
                payload=sheet("train-data", TRAIN, rows=32561, declared=declared, distributions=distributions),
            ),
            "test": Said(
                role="data-owner",
                payload=sheet(
                    "test-data",
                    TEST,
                    rows=16281,
                    distributions=distributions,
                    overlap=23,
                ),
            ),
            "training": Said(
                role="trainer",
                payload=edited(chain.trained(ours, datasets=[("train-data", TRAIN, "")]), environment, ENVIRONMENT),
            ),
            "evaluation": Said(role="auditor", payload=chain.evaluated(ours)),
            "robustness": Said(role="auditor", payload=robust),
            "inspection": Said(role="auditor", payload=inspected(ours)),
        },
    )
    metrics = ("predicate", "metrics")
    labelling = ("predicate", "declared", "responsible", "dataAnnotationProtocol")
    return Rehearsal(
        scene=scene,
        cases={
            "accepted": same,
            "a-data-other": lambda it: it.edited(
                "training", ("predicate", "buildDefinition", "resolvedDependencies", 0, "digest", "sha256"), "d" * 64
            ),
            "a-untrained": lambda it: it.without("training"),
            "d-undescribed": lambda it: it.without("train"),
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

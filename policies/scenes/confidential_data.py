"""Trained privately on data of which the datasheet says no more than that a requirement holds."""

from __future__ import annotations

from lamslsa.testing import chain
from lamslsa.testing.chain import REMOVED, TEST, TRAIN
from scenes._parts import Rehearsal, Said, Scene, same, sheet

__all__ = ["rehearsal"]


def rehearsal() -> Rehearsal:
    """Trained privately on data of which the datasheet says no more than that a requirement holds."""
    at = {"where": {"sex": "Female"}, "atLeast": 0.3, "by": "wilson", "samples": 32561, "confidenceLevel": 0.95}
    configuration = {"groups": [], "overlap": [], "disclose": "requirements"}
    private = {"epochs": 10, "optimizer": "sgd", "privacy": {"epsilon": 3.0, "delta": 1e-06}}
    described = sheet(
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
            "data": Said(role="data-owner", payload=described),
            "test": Said(role="data-owner", payload=sheet("public-test-data", TEST, rows=16281)),
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
            "accepted": same,
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
